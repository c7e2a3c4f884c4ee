//! A client's association, and the targets of its datagrams.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;

use sans_socks::Address;
use sans_socks::udp::{Datagram, fragments};

use super::{ANYONE, LOCALHOST, Proxy, Raw, Target, UDP_ASSOCIATE, datagram, udp};

/// A client's association.
pub(crate) struct Association {
    pub(crate) control: Raw,
    /// BND.
    pub(crate) relay: SocketAddr,
    pub(crate) socket: UdpSocket,
}

impl Association {
    pub(crate) fn open(proxy: &Proxy) -> Self {
        Self::of(proxy.client(), LOCALHOST)
    }

    pub(crate) fn of(mut control: Raw, ip: impl Into<IpAddr>) -> Self {
        control.request(UDP_ASSOCIATE, ANYONE);
        let relay = control.expect_success();
        Self {
            control,
            relay,
            socket: udp(ip).0,
        }
    }

    pub(crate) fn send(&self, target: impl Into<Target>, payload: &[u8]) {
        self.socket
            .send_to(&datagram(target, payload), self.relay)
            .expect("loopback");
    }

    pub(crate) fn send_fragments(&self, target: SocketAddr, payload: &[u8], size: usize) {
        let size = NonZeroUsize::new(size).expect("not 0");
        for piece in fragments(target.into(), payload, size).expect("few") {
            let mut bytes = vec![0; piece.encoded_len()];
            piece.encode_into(&mut bytes).expect("room");
            self.socket.send_to(&bytes, self.relay).expect("loopback");
        }
    }

    #[track_caller]
    pub(crate) fn expect(&self, from: SocketAddr, payload: &[u8]) {
        let mut buffer = vec![0; 65_535];
        let (len, relay) = self.socket.recv_from(&mut buffer).expect("an answer");
        assert_eq!(relay, self.relay);
        let answer = Datagram::decode(&buffer[..len]).expect("a header");
        assert_eq!(answer.header.address, Address::from(from));
        assert!(answer.payload == payload, "{} bytes", answer.payload.len());
    }
}

#[track_caller]
pub(crate) fn expect(socket: &UdpSocket, payload: &[u8]) -> SocketAddr {
    let mut buffer = vec![0; 65_535];
    let (len, from) = socket.recv_from(&mut buffer).expect("a datagram");
    assert!(
        &buffer[..len] == payload,
        "{} bytes: {:?}",
        len,
        &buffer[..len.min(50)]
    );
    from
}

pub(crate) fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).expect("a socket");
    let silent = socket.recv(&mut [0; 10]).is_err();
    socket.set_nonblocking(false).expect("a socket");
    silent
}
