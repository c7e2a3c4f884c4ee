//! A client that the test controls byte by byte.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::{CONNECT, PATIENCE};

/// A connection on which the test sends and expects exact bytes.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a duration");
        stream.set_write_timeout(Some(PATIENCE)).expect("a duration");
        stream.set_nodelay(true).expect("TCP");
        Self(stream)
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("it listens"))
    }

    /// A client with this address, for limits that count addresses.
    pub(crate) fn connect_from(ip: impl Into<IpAddr>, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::new(ip.into(), 0).into())
            .expect("a local address");
        socket.connect(&address.into()).expect("it listens");
        Self::over(socket.into())
    }

    pub(crate) fn greeted(address: SocketAddr) -> Self {
        Self::connect(address).greet()
    }

    pub(crate) fn greet(mut self) -> Self {
        self.send(&[5, 1, 0]);
        self.expect(&[5, 0]);
        self
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it reads");
    }

    /// Sends until nothing is accepted for a second. Returns how many bytes were sent, each of them 7.
    pub(crate) fn fill(&mut self) -> usize {
        let second = Duration::from_secs(1);
        self.0.set_write_timeout(Some(second)).expect("a duration");
        let chunk = vec![7; 1 << 20];
        let mut sent = 0;
        while let Ok(n) = self.0.write(&chunk) {
            sent += n;
            assert!(sent < 64 << 20, "the system's buffers are smaller than 64 MiB");
        }
        self.0.set_write_timeout(Some(PATIENCE)).expect("a duration");
        sent
    }

    #[track_caller]
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("{len} bytes were expected: {error}"));
        bytes
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: &[u8]) {
        assert_eq!(self.read(bytes.len()), bytes);
    }

    /// Expects the end of the stream, and not a reset.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).expect("not a reset"), 0);
    }

    /// Returns whether nothing has arrived.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).expect("connected");
        let silent = matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).expect("connected");
        silent
    }

    /// Returns whether the proxy answers a greeting.
    pub(crate) fn is_served(&mut self) -> bool {
        let _ = self.0.write_all(&[5, 1, 0]);
        matches!(self.0.read(&mut [0; 2]), Ok(1..))
    }

    /// Logs in as `alice`. Returns STATUS.
    pub(crate) fn log_in(mut self, password: &str) -> u8 {
        let len = u8::try_from(password.len()).expect("short");
        self.send(&[b"\x05\x01\x02\x01\x05alice", &[len][..], password.as_bytes()].concat());
        self.expect(&[5, 2]);
        self.read(2)[1]
    }

    #[track_caller]
    pub(crate) fn expect_closed(&mut self) {
        match self.0.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => panic!("a byte before the end of the connection"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }

    #[track_caller]
    pub(crate) fn expect_reset(&mut self) {
        let end = self.0.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    }

    pub(crate) fn end(&self) {
        self.0.shutdown(std::net::Shutdown::Write).expect("connected");
    }

    pub(crate) fn reset(self) {
        SockRef::from(&self.0)
            .set_linger(Some(Duration::ZERO))
            .expect("TCP");
    }

    pub(crate) fn request(&mut self, command: u8, address: impl Into<Target>) {
        self.send(&request(command, address));
    }

    /// Reads a reply: REP and BND.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> (u8, SocketAddr) {
        let head = self.read(4);
        assert_eq!((head[0], head[2]), (5, 0));
        let ip: IpAddr = match head[3] {
            1 => <[u8; 4]>::try_from(self.read(4)).expect("4 bytes").into(),
            4 => <[u8; 16]>::try_from(self.read(16)).expect("16 bytes").into(),
            other => panic!("ATYP {other}"),
        };
        let port = self.read(2);
        (head[1], (ip, u16::from_be_bytes([port[0], port[1]])).into())
    }

    #[track_caller]
    pub(crate) fn expect_success(&mut self) -> SocketAddr {
        let (code, bound) = self.reply();
        assert_eq!(code, 0, "REP");
        bound
    }

    #[track_caller]
    pub(crate) fn expect_refusal(&mut self, code: u8) {
        assert_eq!(self.reply(), (code, (Ipv4Addr::UNSPECIFIED, 0).into()));
        self.expect_end();
    }

    /// Requests a tunnel to `target`.
    #[track_caller]
    pub(crate) fn tunnel(mut self, target: impl Into<Target>) -> Self {
        self.request(CONNECT, target);
        self.expect_success();
        self
    }
}

/// The target of a request.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Address(SocketAddr),
    Name(String, u16),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl From<(&str, u16)> for Target {
    fn from((name, port): (&str, u16)) -> Self {
        Self::Name(name.into(), port)
    }
}

/// ATYP, address and port.
pub(crate) fn address(target: impl Into<Target>) -> Vec<u8> {
    let (mut bytes, port) = match target.into() {
        Target::Address(SocketAddr::V4(it)) => ([&[1][..], &it.ip().octets()].concat(), it.port()),
        Target::Address(SocketAddr::V6(it)) => ([&[4][..], &it.ip().octets()].concat(), it.port()),
        Target::Name(name, port) => {
            let len = u8::try_from(name.len()).expect("short");
            ([&[3, len][..], name.as_bytes()].concat(), port)
        }
    };
    bytes.extend(port.to_be_bytes());
    bytes
}

pub(crate) fn request(command: u8, target: impl Into<Target>) -> Vec<u8> {
    [&[5, command, 0][..], &address(target)].concat()
}
