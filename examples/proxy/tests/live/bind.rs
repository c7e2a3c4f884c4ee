//! BIND: two replies, strangers, both IP versions.

use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sans_socks_proxy::{Server, SystemResolver};
use tokio::runtime::Builder;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, pause};

use crate::common::{ANYONE, BIND, LOCALHOST, LOCALHOST_V6, Names, Program, Proxy, Raw, config, eventually};
#[cfg(target_os = "linux")]
use crate::common::{Connection, tcp_connections};

fn bound(proxy: &Proxy, expected: SocketAddr) -> (Raw, SocketAddr) {
    let mut client = proxy.client();
    client.request(BIND, expected);
    let bound = client.expect_success();
    assert_ne!(bound.port(), 0);
    assert_ne!(bound.port(), proxy.address.port());
    (client, bound)
}

/// ..R-043, R-049, Q-041.
#[test]
fn peer_and_client_exchange_data_after_two_replies() {
    let proxy = Proxy::start(&[]);
    for expected in [
        ANYONE,
        SocketAddr::new(LOCALHOST, 0),
        (Ipv6Addr::UNSPECIFIED, 0).into(),
        (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 0).into(),
    ] {
        let (mut client, bound) = bound(&proxy, expected);
        let mut peer = Raw::connect(bound);
        peer.send(b"from the peer");
        assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
        client.expect(b"from the peer");
        client.send(b"from the client");
        peer.expect(b"from the client");
        client.end();
        peer.expect_end();
        peer.end();
        client.expect_end();
    }
}

/// a port scanner must not end the wait.
#[test]
fn stranger_is_closed_and_the_peer_is_awaited() {
    let proxy = Proxy::start(&[]);
    let (mut client, bound) = bound(&proxy, ([127, 0, 0, 2], 0).into());
    for _ in 0..3 {
        Raw::connect(bound).expect_closed();
    }
    let mut peer = Raw::connect_from([127, 0, 0, 2], bound);
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
    client.send(b"x");
    peer.expect(b"x");
}

/// Without an expected host, the access rules decide who is a stranger.
#[test]
fn denied_peer_is_a_stranger_to_a_bind_for_anyone() {
    let proxy = Proxy::start(&["--deny", "127.0.0.2"]);
    let (mut client, bound) = bound(&proxy, ANYONE);
    let port = bound.port();
    Raw::connect_from([127, 0, 0, 2], (LOCALHOST, port).into()).expect_closed();
    let peer = Raw::connect((LOCALHOST, port).into());
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
}

/// The client is connected over IPv4, and its peer has IPv6.
#[test]
fn listener_has_the_ip_version_of_the_peer() {
    let proxy = Proxy::with_resolver(&[], Names(|_: &str| Ok(vec![LOCALHOST_V6, LOCALHOST])));
    let (mut client, at) = bound(&proxy, SocketAddr::new(LOCALHOST_V6, 0));
    assert_eq!(at.ip(), LOCALHOST_V6);
    let peer = Raw::connect(at);
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
    // A name with addresses of both: either may connect.
    let mut client = proxy.client();
    client.request(BIND, ("both.test", 0));
    let port = client.expect_success().port();
    let peer = Raw::connect(SocketAddr::new(LOCALHOST, port));
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
}

#[test]
fn bind_address_is_where_bind_listens() {
    let proxy = Proxy::start(&["--bind-address", "127.0.0.3"]);
    let (mut client, at) = bound(&proxy, ANYONE);
    assert_eq!(at.ip(), IpAddr::from([127, 0, 0, 3]));
    let peer = Raw::connect(at);
    assert_eq!(client.expect_success(), peer.0.local_addr().expect("connected"));
}

#[test]
fn client_that_ends_or_is_reset_ends_the_wait() {
    let proxy = Proxy::start(&[]);
    let expected = SocketAddr::from(([127, 0, 0, 2], 0)); // the attempts below are a stranger's
    let (client, at) = bound(&proxy, expected);
    client.end();
    eventually("the listener is closed", || {
        std::net::TcpStream::connect(at).is_err()
    });
    let (client, at) = bound(&proxy, expected);
    client.reset();
    eventually("the listener is closed", || {
        std::net::TcpStream::connect(at).is_err()
    });
}

/// the clock of the server is moved, so the two minutes take no time. It does not move while blocking code runs.
#[test]
fn peer_that_never_connects_is_reported_after_two_minutes() {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let config = config(&["--listen", "127.0.0.1:0"]);
        let server = Server::bind(config, SystemResolver).expect("it listens");
        let address = server.local_addrs()[0];
        tokio::spawn(server.run(pending()));
        let bind = move || {
            let mut client = Raw::greeted(address);
            client.request(BIND, ANYONE);
            client.expect_success();
            client
        };
        let mut client = spawn_blocking(bind).await.expect("no panic");
        pause();
        advance(Duration::from_secs(100)).await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(client.is_silent());
        advance(Duration::from_secs(21)).await; // timers round up
        let refused = spawn_blocking(move || client.expect_refusal(6));
        refused.await.expect("no panic");
    });
}

/// The client sends before its peer has connected. Back-pressure keeps the data at the client.
#[test]
fn early_data_is_bounded_and_reaches_the_peer() {
    let program = Program::with_one_worker(&[]);
    let mut client = program.client();
    client.request(BIND, ANYONE);
    let at = client.expect_success();
    let before = program.memory();
    let sent = client.fill();
    let buffered = program.memory() - before;
    assert!(buffered < 512, "{buffered} KiB");
    let mut peer = Raw::connect(at);
    client.expect_success();
    assert!(peer.read(sent).iter().all(|byte| *byte == 7));
}

#[cfg(target_os = "linux")]
#[test]
fn peer_is_kept_alive() {
    let proxy = Proxy::start(&[]);
    let (mut client, at) = bound(&proxy, SocketAddr::new(LOCALHOST, 0));
    let _peer = Raw::connect(at);
    client.expect_success();
    let has_timer = |it: &Connection| it.local_port == at.port() && (it.state, it.timer) == (1, 2);
    eventually("a keep-alive timer", || {
        tcp_connections(at.port()).iter().any(has_timer)
    });
}
