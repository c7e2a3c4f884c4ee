//! SOCKS4 and SOCKS4a on the same port.

use std::net::SocketAddr;

use crate::common::{BIND, CONNECT, LOCALHOST, Names, Proxy, Raw, accept, is_unused, listener, refusing};

fn request(command: u8, target: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(target) = target else {
        panic!("IPv4")
    };
    [
        &[4, command][..],
        &target.port().to_be_bytes(),
        &target.ip().octets(),
        b"user\0",
    ]
    .concat()
}

///
#[test]
fn both_versions_are_served_with_the_option() {
    let proxy = Proxy::with_resolver(&["--socks4"], Names(|_: &str| Ok(vec![LOCALHOST])));
    let (target, address) = listener();
    let by_name = [
        &[4, 1][..],
        &address.port().to_be_bytes(),
        b"\0\0\0\x01user\0name.test\0",
    ]
    .concat();
    for request in [request(CONNECT, address), by_name] {
        let mut client = Raw::connect(proxy.address);
        client.send(&request);
        assert_eq!(client.read(8)[..2], [0, 0x5a]);
        let mut far = accept(&target);
        client.send(b"x");
        far.expect(b"x");
    }
    let _client = proxy.client().tunnel(address);
    accept(&target);
}

/// The first reply has the port for the peer, and the second the peer's address.
#[test]
fn bind_has_two_replies() {
    let proxy = Proxy::start(&["--socks4"]);
    let mut client = Raw::connect(proxy.address);
    client.send(&request(BIND, SocketAddr::new(LOCALHOST, 9)));
    let first = client.read(8);
    assert_eq!(first[..2], [0, 0x5a]);
    let port = u16::from_be_bytes([first[2], first[3]]);
    let mut peer = Raw::connect(SocketAddr::new(LOCALHOST, port));
    let peer_port = peer.0.local_addr().expect("connected").port();
    client.expect(&[&[0, 0x5a][..], &peer_port.to_be_bytes(), &[127, 0, 0, 1]].concat());
    peer.send(b"from the peer");
    client.expect(b"from the peer");
    client.send(b"from the client");
    peer.expect(b"from the client");
}

#[test]
fn failed_request_is_refused_with_5b() {
    let proxy = Proxy::start(&["--socks4", "--deny", "127.0.0.2"]);
    let (_refusing, address) = refusing();
    let denied = SocketAddr::from(([127, 0, 0, 2], 9));
    for (command, target) in [(CONNECT, address), (CONNECT, denied), (BIND, denied)] {
        let mut client = Raw::connect(proxy.address);
        client.send(&request(command, target));
        client.expect(&[0, 0x5b, 0, 0, 0, 0, 0, 0]);
        client.expect_end();
    }
}

/// A proxy with a login cannot have the option, because version 4 has no login.
#[test]
fn version_4_is_refused_without_the_option() {
    for args in [&[][..], &["--user", "alice", "--password", "secret"]] {
        let proxy = Proxy::start(args);
        let (target, address) = listener();
        let mut client = Raw::connect(proxy.address);
        client.send(&request(CONNECT, address));
        client.expect_end();
        assert!(is_unused(&target), "the target was connected");
    }
}
