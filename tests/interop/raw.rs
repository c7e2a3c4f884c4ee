//! A client without a SOCKS library: octets out, octets in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};

use crate::process::{PATIENCE, wait_until};

pub(crate) const CONNECT: u8 = 0x01;
pub(crate) const BIND: u8 = 0x02;
pub(crate) const UDP_ASSOCIATE: u8 = 0x03;

/// The greeting that offers no authentication, and the answer that selects it.
pub(crate) const OFFER_NONE: &[u8] = b"\x05\x01\x00";
pub(crate) const SELECT_NONE: &[u8] = b"\x05\x00";

/// `05 CMD 00`, ATYP, address and port.
pub(crate) fn request(command: u8, target: SocketAddr) -> Vec<u8> {
    [&[0x05, command, 0x00][..], &address(target)].concat()
}

/// A CONNECT request for a name.
pub(crate) fn request_name(name: &str, port: u16) -> Vec<u8> {
    let len = u8::try_from(name.len()).expect("at most 255 octets");
    [
        &[0x05, CONNECT, 0x00, 0x03, len],
        name.as_bytes(),
        &port.to_be_bytes(),
    ]
    .concat()
}

fn address(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => [&[0x01][..], &v4.ip().octets(), &port].concat(),
        SocketAddr::V6(v6) => [&[0x04][..], &v6.ip().octets(), &port].concat(),
    }
}

/// A user name and password, RFC 1929.
pub(crate) fn login(user: &str, password: &str) -> Vec<u8> {
    let len = |field: &str| u8::try_from(field.len()).expect("at most 255 octets");
    let mut octets = vec![0x01, len(user)];
    octets.extend_from_slice(user.as_bytes());
    octets.push(len(password));
    octets.extend_from_slice(password.as_bytes());
    octets
}

/// A failure reply as the servers here send it: ten octets, zeros behind the code.
pub(crate) fn failure(code: u8) -> [u8; 10] {
    [0x05, code, 0x00, 0x01, 0, 0, 0, 0, 0, 0]
}

/// A reply that says success, and `bound` as BND.
pub(crate) fn success(bound: SocketAddr) -> Vec<u8> {
    [&[0x05, 0x00, 0x00][..], &address(bound)].concat()
}

/// One TCP connection.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).expect("a server that listens"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    /// A connection on which the server has selected method 00.
    pub(crate) fn greeted(to: SocketAddr) -> Self {
        let mut raw = Self::connect(to);
        raw.send(OFFER_NONE);
        raw.expect(SELECT_NONE);
        raw
    }

    /// In one segment, if it fits.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).expect("a connection that is open");
    }

    pub(crate) fn end(&mut self) {
        self.0
            .shutdown(Shutdown::Write)
            .expect("a connection that is open");
    }

    /// Sends back what comes, to the end of input.
    pub(crate) fn echo(mut self) {
        let mut input = self.0.try_clone().expect("a second handle");
        io::copy(&mut input, &mut self.0).expect("a connection that is open");
    }

    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.0.read_exact(&mut octets).expect("more octets");
        octets
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, octets: &[u8]) {
        let mut got = Vec::new();
        let read = (&self.0).take(octets.len() as u64).read_to_end(&mut got);
        assert_eq!(hex::encode(&got), hex::encode(octets), "{read:?}");
    }

    /// Everything to the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.0.read_to_end(&mut octets).expect("the end");
        octets
    }

    /// A reply that says success, and the address and port in it.
    #[track_caller]
    pub(crate) fn expect_success(&mut self) -> SocketAddr {
        self.expect(b"\x05\x00\x00");
        match self.take::<1>() {
            [0x01] => SocketAddr::from((self.take::<4>(), u16::from_be_bytes(self.take()))),
            [0x04] => SocketAddr::from((self.take::<16>(), u16::from_be_bytes(self.take()))),
            [other] => panic!("ATYP {other:02X} in a reply"),
        }
    }

    /// Nothing more, and the end of the stream.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(hex::encode(self.rest()), "");
    }

    /// Nothing more, and no connection, be it by a reset: a server that leaves input unread makes one.
    #[track_caller]
    pub(crate) fn expect_closed(&mut self) {
        let mut got = Vec::new();
        match self.0.read_to_end(&mut got) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed: {error}"),
        }
        assert_eq!(hex::encode(got), "");
    }
}

/// The header of a datagram: `00 00`, FRAG, ATYP, address and port.
pub(crate) fn header(frag: u8, to: SocketAddr) -> Vec<u8> {
    [&[0x00, 0x00, frag][..], &address(to)].concat()
}

/// The header of a whole datagram for a name.
pub(crate) fn header_name(name: &str, port: u16) -> Vec<u8> {
    let len = u8::try_from(name.len()).expect("at most 255 octets");
    [
        &[0x00, 0x00, 0x00, 0x03, len],
        name.as_bytes(),
        &port.to_be_bytes(),
    ]
    .concat()
}

/// A UDP socket that does not wait for ever.
pub(crate) fn udp(ip: impl Into<IpAddr>) -> UdpSocket {
    patient(UdpSocket::bind((ip.into(), 0)).expect("a port on loopback"))
}

/// A UDP socket on a port that has been let go. The system may have given it to somebody else for a moment.
pub(crate) fn udp_on_released(address: SocketAddr) -> UdpSocket {
    let mut socket = None;
    wait_until(&format!("{address} is free"), || {
        socket = UdpSocket::bind(address).ok();
        socket.is_some()
    });
    patient(socket.expect("waited for"))
}

fn patient(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    socket
}

/// The next datagram, and where it came from.
#[track_caller]
pub(crate) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut octets = vec![0; 65_535];
    let (len, source) = socket.recv_from(&mut octets).expect("a datagram");
    octets.truncate(len);
    (octets, source)
}

/// Nothing has come. It does not wait: what could have come has been overtaken by something that has.
#[track_caller]
pub(crate) fn expect_nothing(socket: &UdpSocket) {
    socket.set_nonblocking(true).expect("a socket");
    let got = socket.recv_from(&mut [0; 1]);
    assert_eq!(got.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    socket.set_nonblocking(false).expect("a socket");
}

/// A UDP association: its control connection, and where it takes datagrams.
pub(crate) struct Association {
    pub(crate) control: Raw,
    pub(crate) relay: SocketAddr,
}

impl Association {
    /// of a client that does not tell where it sends from.
    pub(crate) fn open(server: SocketAddr) -> Self {
        Self::open_for(server, (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    pub(crate) fn open_for(server: SocketAddr, client: SocketAddr) -> Self {
        let mut control = Raw::greeted(server);
        control.send(&request(UDP_ASSOCIATE, client));
        let relay = control.expect_success();
        assert_ne!(relay.port(), 0, "R-047: BND is where the client must send");
        Self { control, relay }
    }

    /// Sends octets to the relay: a header and a payload, or whatever is not.
    pub(crate) fn send(&self, socket: &UdpSocket, parts: &[&[u8]]) {
        socket.send_to(&parts.concat(), self.relay).expect("sent");
    }

    /// The next datagram is from the relay: the header of `source`, and the payload.
    #[track_caller]
    pub(crate) fn expect(&self, socket: &UdpSocket, source: SocketAddr, payload: &[u8]) {
        let (got, from) = receive(socket);
        assert_eq!(from, self.relay, "it does not come from BND");
        assert_eq!(
            hex::encode(got),
            hex::encode([&header(0x00, source), payload].concat())
        );
    }

    /// To a target that echoes, and back.
    #[track_caller]
    pub(crate) fn expect_echo(&self, socket: &UdpSocket, target: SocketAddr, payload: &[u8]) {
        self.send(socket, &[&header(0x00, target), payload]);
        self.expect(socket, target, payload);
    }
}
