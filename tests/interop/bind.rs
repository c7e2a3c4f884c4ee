//! BIND, octet by octet: two replies, then the tunnel.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread;

use crate::client;
use crate::raw::{BIND, Raw, failure, request};
use crate::server::{PASSWORD, Server, USER};

tests!(
    tokio_server,
    both_replies_and_data,
    peer_that_speaks_first,
    peer_that_is_expected,
    peer_that_is_not_expected
);
tests!(
    std_server,
    both_replies_and_data,
    peer_that_speaks_first,
    peer_that_is_expected,
    peer_that_is_not_expected
);

tests!(bind_client, tunnel_through_every_server);

const ANYONE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A client that waits for `expected`, and where.
fn bound(server: &Server, expected: IpAddr) -> (Raw, SocketAddr) {
    let mut client = Raw::greeted(server.address);
    client.send(&request(BIND, (expected, 0).into()));
    let bound = client.expect_success();
    assert_ne!(bound.port(), 0, "R-041: BND is where the peer must connect");
    assert_ne!(bound.port(), server.address.port(), "Q-041");
    (client, bound)
}

///
fn both_replies_and_data(driver: &str) {
    let server = Server::open(driver);
    let (mut client, bound) = bound(&server, ANYONE);
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
    let (mut client, bound) = bound(&server, ANYONE);
    let mut peer = Raw::over(TcpStream::connect(bound).expect("R-041: it listens"));
    peer.send(b"peer data");
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
    client.expect(b"peer data");
}

/// by its address, in IPv6 clothes too; `::` is anybody as well.
fn peer_that_is_expected(driver: &str) {
    let server = Server::open(driver);
    for expected in [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ] {
        let (mut client, bound) = bound(&server, expected);
        let mut peer = Raw::over(TcpStream::connect(bound).expect("R-041: it listens"));
        client.expect_success();
        client.send(b"to the peer");
        peer.expect(b"to the peer");
    }
}

/// a second reply of REP=02, and not an octet of the peer's.
fn peer_that_is_not_expected(driver: &str) {
    let server = Server::open(driver);
    let (mut client, bound) = bound(&server, Ipv4Addr::new(127, 0, 0, 2).into());
    let mut peer = Raw::over(TcpStream::connect(bound).expect("R-041: it listens"));
    // It may be gone already.
    let _ = peer.0.write_all(b"peer data");
    client.expect(&failure(0x02));
    client.expect_end();
    peer.expect_closed();
}

/// R-041..R-043.
fn tunnel_through_every_server(driver: &str) {
    for server in ["tokio_server", "std_server"] {
        let server = Server::with_login(server);
        let mut client = client::start(driver, server.address, Some((USER, PASSWORD)), "127.0.0.1", 0);
        let bound = client.line();
        let bound = bound.strip_prefix("bound ").expect("the first reply's address");
        let mut peer = Raw::over(TcpStream::connect(bound).expect("it listens"));
        peer.send(b"from the peer\n");
        assert_eq!(
            client.line(),
            format!("peer {}", peer.0.local_addr().expect("connected"))
        );
        assert_eq!(client.line(), "from the peer");
        let peer = thread::spawn(move || peer.echo());
        client.expect_echo(b"from the client");
        peer.join().expect("no panic");
    }
}
