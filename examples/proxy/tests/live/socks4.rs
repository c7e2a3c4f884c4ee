//! SOCKS4 and SOCKS4a on the same port.

use std::net::SocketAddr;

use crate::common::{LOCALHOST, Names, Proxy, Raw, accept, listener};

fn request(target: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(target) = target else {
        panic!("IPv4")
    };
    [
        &[4, 1][..],
        &target.port().to_be_bytes(),
        &target.ip().octets(),
        b"user\0",
    ]
    .concat()
}

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
    for request in [request(address), by_name] {
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

#[test]
fn version_4_is_refused_without_the_option() {
    let proxy = Proxy::start(&[]);
    let (_target, address) = listener();
    let mut client = Raw::connect(proxy.address);
    client.send(&request(address));
    client.expect_end();
}
