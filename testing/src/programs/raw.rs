//! Connections and datagrams without a SOCKS library.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};

use super::process::{PATIENCE, wait_until};

/// CMD of CONNECT.
pub const CONNECT: u8 = 0x01;
/// CMD of BIND.
pub const BIND: u8 = 0x02;
/// CMD of UDP ASSOCIATE.
pub const UDP_ASSOCIATE: u8 = 0x03;

/// The greeting that offers no authentication.
pub const OFFER_NONE: &[u8] = b"\x05\x01\x00";
/// The selection of no authentication.
pub const SELECT_NONE: &[u8] = b"\x05\x00";

/// Returns a request: `05 CMD 00`, ATYP, address and port.
pub fn request(command: u8, target: SocketAddr) -> Vec<u8> {
    [&[0x05, command, 0x00][..], &address(target)].concat()
}

/// Returns a CONNECT request for a name.
pub fn request_name(name: &str, port: u16) -> Vec<u8> {
    let len = u8::try_from(name.len()).expect("at most 255 bytes");
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

/// Returns a user name and password, RFC 1929.
pub fn login(user: &str, password: &str) -> Vec<u8> {
    let len = |field: &str| u8::try_from(field.len()).expect("at most 255 bytes");
    let mut bytes = vec![0x01, len(user)];
    bytes.extend_from_slice(user.as_bytes());
    bytes.push(len(password));
    bytes.extend_from_slice(password.as_bytes());
    bytes
}

/// Returns a failure reply of the servers in this repository, with an address of zeros.
pub fn failure(code: u8) -> [u8; 10] {
    [0x05, code, 0x00, 0x01, 0, 0, 0, 0, 0, 0]
}

/// Returns a success reply with `bound` as BND.
pub fn success(bound: SocketAddr) -> Vec<u8> {
    [&[0x05, 0x00, 0x00][..], &address(bound)].concat()
}

/// One TCP connection.
pub struct Raw(pub TcpStream);

impl Raw {
    /// Connects.
    pub fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).expect("a server that listens"))
    }

    /// Wraps a connection. Reads fail after [`PATIENCE`].
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    /// Connects and greets. The server has then selected method 00.
    pub fn greeted(to: SocketAddr) -> Self {
        let mut raw = Self::connect(to);
        raw.send(OFFER_NONE);
        raw.expect(SELECT_NONE);
        raw
    }

    /// Sends bytes, in one segment if they fit.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("a connection that is open");
    }

    /// Ends this side of the connection.
    pub fn end(&mut self) {
        self.0
            .shutdown(Shutdown::Write)
            .expect("a connection that is open");
    }

    /// Sends back the bytes that it receives, up to the end of input.
    pub fn echo(mut self) {
        let mut input = self.0.try_clone().expect("a second handle");
        io::copy(&mut input, &mut self.0).expect("a connection that is open");
    }

    /// Reads `N` bytes.
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).expect("more bytes");
        bytes
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub fn expect(&mut self, bytes: &[u8]) {
        let mut got = Vec::new();
        let read = (&self.0).take(bytes.len() as u64).read_to_end(&mut got);
        assert_eq!(hex::encode(&got), hex::encode(bytes), "{read:?}");
    }

    /// Reads everything up to the end of the stream.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("the end");
        bytes
    }

    /// Reads a success reply, and returns its address and port.
    #[track_caller]
    pub fn expect_success(&mut self) -> SocketAddr {
        self.expect(b"\x05\x00\x00");
        match self.take::<1>() {
            [0x01] => SocketAddr::from((self.take::<4>(), u16::from_be_bytes(self.take()))),
            [0x04] => SocketAddr::from((self.take::<16>(), u16::from_be_bytes(self.take()))),
            [other] => panic!("ATYP {other:02X} in a reply"),
        }
    }

    /// Expects the end of the stream, and no bytes before it.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(hex::encode(self.rest()), "");
    }

    /// Expects the end of the connection, and no bytes before it. A server with unread input may reset it.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let mut got = Vec::new();
        match self.0.read_to_end(&mut got) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed: {error}"),
        }
        assert_eq!(hex::encode(got), "");
    }
}

/// Returns the header of a datagram: `00 00`, FRAG, ATYP, address and port.
pub fn header(frag: u8, to: SocketAddr) -> Vec<u8> {
    [&[0x00, 0x00, frag][..], &address(to)].concat()
}

/// Returns the header of a whole datagram for a name.
pub fn header_name(name: &str, port: u16) -> Vec<u8> {
    let len = u8::try_from(name.len()).expect("at most 255 bytes");
    [
        &[0x00, 0x00, 0x00, 0x03, len],
        name.as_bytes(),
        &port.to_be_bytes(),
    ]
    .concat()
}

/// Opens a UDP socket. Receiving fails after [`PATIENCE`].
pub fn udp(ip: impl Into<IpAddr>) -> UdpSocket {
    patient(UdpSocket::bind((ip.into(), 0)).expect("a port on loopback"))
}

/// Opens a UDP socket on a port that was released. Another process may use the port for a moment.
pub fn udp_on_released(address: SocketAddr) -> UdpSocket {
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

/// Receives a datagram, and returns its source as well.
#[track_caller]
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_535];
    let (len, source) = socket.recv_from(&mut bytes).expect("a datagram");
    bytes.truncate(len);
    (bytes, source)
}

/// Expects that no datagram is waiting.
///
/// Call it after a later datagram was received: an earlier one would have arrived.
#[track_caller]
pub fn expect_nothing(socket: &UdpSocket) {
    socket.set_nonblocking(true).expect("a socket");
    let got = socket.recv_from(&mut [0; 1]);
    assert_eq!(got.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    socket.set_nonblocking(false).expect("a socket");
}

/// A UDP association.
pub struct Association {
    /// The connection that keeps the association alive.
    pub control: Raw,
    /// Where the relay receives datagrams.
    pub relay: SocketAddr,
}

impl Association {
    /// Opens an association for a client that does not state its address.
    pub fn open(server: SocketAddr) -> Self {
        Self::open_for(server, (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Opens an association for the client address `client`.
    pub fn open_for(server: SocketAddr, client: SocketAddr) -> Self {
        let mut control = Raw::greeted(server);
        control.send(&request(UDP_ASSOCIATE, client));
        let relay = control.expect_success();
        assert_ne!(relay.port(), 0, "R-047: the client sends to BND");
        Self { control, relay }
    }

    /// Sends bytes to the relay.
    pub fn send(&self, socket: &UdpSocket, parts: &[&[u8]]) {
        socket.send_to(&parts.concat(), self.relay).expect("sent");
    }

    /// Expects a datagram from the relay, with `source` in its header.
    #[track_caller]
    pub fn expect(&self, socket: &UdpSocket, source: SocketAddr, payload: &[u8]) {
        let (got, from) = receive(socket);
        assert_eq!(from, self.relay, "its source is not BND");
        assert_eq!(
            hex::encode(got),
            hex::encode([&header(0x00, source), payload].concat())
        );
    }

    /// Sends a datagram to a target that echoes, and expects it back.
    #[track_caller]
    pub fn expect_echo(&self, socket: &UdpSocket, target: SocketAddr, payload: &[u8]) {
        self.send(socket, &[&header(0x00, target), payload]);
        self.expect(socket, target, payload);
    }
}
