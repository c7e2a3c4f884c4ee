//! A client without a SOCKS library: octets out, octets in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::process::PATIENCE;

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

/// A failure reply as the servers here send it: ten octets, zeros behind the code.
pub(crate) fn failure(code: u8) -> [u8; 10] {
    [0x05, code, 0x00, 0x01, 0, 0, 0, 0, 0, 0]
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
