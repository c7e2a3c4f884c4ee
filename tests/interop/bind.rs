//! BIND, octet by octet: two replies, then the tunnel.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::raw::{BIND, Raw, request};
use crate::server::Server;

tests!(tokio_server, both_replies_and_data, peer_that_speaks_first);
tests!(std_server, both_replies_and_data, peer_that_speaks_first);

const ANYONE: (Ipv4Addr, u16) = (Ipv4Addr::UNSPECIFIED, 0);

fn bound(server: &Server) -> (Raw, SocketAddr) {
    let mut client = Raw::greeted(server.address);
    client.send(&request(BIND, ANYONE.into()));
    let bound = client.expect_success();
    assert_ne!(bound.port(), 0, "R-041: BND is where the peer must connect");
    assert_ne!(bound.port(), server.address.port(), "Q-041");
    (client, bound)
}

///
fn both_replies_and_data(driver: &str) {
    let server = Server::open(driver);
    let (mut client, bound) = bound(&server);
    let mut peer = Raw::over(TcpStream::connect(bound).expect("R-041: it listens"));
    assert_eq!(
        client.expect_success(),
        peer.0.local_addr().expect("connected"),
        "R-042"
    );
    client.send(b"to the peer");
    peer.expect(b"to the peer");
    client.end();
    peer.expect_end();
    peer.send(b"to the client");
    peer.end();
    client.expect(b"to the client");
    client.expect_end();
}

///
fn peer_that_speaks_first(driver: &str) {
    let server = Server::open(driver);
    let (mut client, bound) = bound(&server);
    let mut peer = Raw::over(TcpStream::connect(bound).expect("R-041: it listens"));
    peer.send(b"peer data");
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
    client.expect(b"peer data");
}
