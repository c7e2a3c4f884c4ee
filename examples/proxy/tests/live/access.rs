//! Access rules, which apply to the dialed address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

#[cfg(target_os = "linux")]
use crate::common::in_namespace;
use crate::common::{
    Association, BIND, CONNECT, LOCALHOST, LOCALHOST_V6, Names, Proxy, Raw, accept, expect, is_silent,
    listener, udp,
};

/// Starts a public proxy. Returns it, and the address at which loopback clients reach it.
fn public(args: &[&str]) -> (Proxy, SocketAddr) {
    let names = Names(|name: &str| match name {
        "inside.test" => Ok(vec![LOCALHOST]),
        "both.test" => Ok(vec![LOCALHOST_V6, LOCALHOST]),
        _ => Err(io::ErrorKind::NotFound.into()),
    });
    let proxy = Proxy::with_resolver(&[&["--listen", "0.0.0.0:0", "--open"], args].concat(), names);
    let address = (Ipv4Addr::LOCALHOST, proxy.address.port()).into();
    (proxy, address)
}

#[test]
fn public_proxy_denies_internal_targets_by_every_spelling() {
    let (_proxy, address) = public(&[]);
    let (_target, SocketAddr::V4(target)) = listener() else {
        panic!("IPv4")
    };
    let port = target.port();
    for name in [
        "inside.test",
        "both.test",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "::1",
        "0.0.0.0",
    ] {
        let mut client = Raw::greeted(address);
        client.request(CONNECT, (name, port));
        client.expect_refusal(2);
    }
    let mapped = target.ip().to_ipv6_mapped();
    for ip in [
        LOCALHOST,
        mapped.into(),
        LOCALHOST_V6,
        Ipv4Addr::UNSPECIFIED.into(),
        [169, 254, 169, 254].into(),
        [10, 0, 0, 1].into(),
        [192, 168, 0, 1].into(),
    ] {
        let mut client = Raw::greeted(address);
        client.request(CONNECT, SocketAddr::new(ip, port));
        client.expect_refusal(2);
    }
}

#[test]
fn allow_rule_opens_an_internal_target() {
    let (_proxy, address) = public(&["--allow", "127.0.0.1"]);
    let (target, it) = listener();
    for target_address in [it.into(), ("inside.test", it.port()).into()] as [crate::common::Target; 2] {
        let _client = Raw::greeted(address).tunnel(target_address);
        accept(&target);
    }
    // ::1 is still denied, so the name leads to the other address.
    let _client = Raw::greeted(address).tunnel(("both.test", it.port()));
    accept(&target);
}

#[test]
fn deny_rule_closes_a_target_of_a_loopback_proxy() {
    let proxy = Proxy::start(&["--deny", "127.0.0.2"]);
    let mut client = proxy.client();
    client.request(CONNECT, SocketAddr::from(([127, 0, 0, 2], 9)));
    client.expect_refusal(2);
    let (target, it) = listener();
    let _client = proxy.client().tunnel(it);
    accept(&target);
}

#[test]
fn bind_for_a_denied_peer_is_refused() {
    let (_proxy, address) = public(&[]);
    let mut client = Raw::greeted(address);
    client.request(BIND, SocketAddr::new(LOCALHOST, 0));
    client.expect_refusal(2);
}

#[test]
fn datagrams_to_denied_targets_are_dropped() {
    let (_proxy, address) = public(&["--allow", "127.0.0.1"]);
    let (denied, denied_at) = udp([127, 0, 0, 2]);
    let (target, target_at) = udp(LOCALHOST);
    let association = Association::of(Raw::greeted(address), LOCALHOST);
    association.send(denied_at, b"denied");
    association.send(target_at, b"allowed");
    expect(&target, b"allowed");
    assert!(is_silent(&denied), "the first datagram was relayed");
}

/// The first address of the name is denied. A flow once began with it, and its datagrams were dropped for 3 s.
#[test]
fn datagrams_by_name_use_a_permitted_address() {
    let (_proxy, address) = public(&["--allow", "127.0.0.1"]);
    let (target, at) = udp(LOCALHOST);
    let association = Association::of(Raw::greeted(address), LOCALHOST);
    association.send(("both.test", at.port()), b"first");
    expect(&target, b"first");
}

/// A public proxy gives no access to services of its host, even at an address that is not internal.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the programs unshare and ip"]
fn public_proxy_denies_its_own_addresses() {
    const SETUP: &str =
        "ip link set lo up && ip addr add 203.0.113.7/32 dev lo && ip addr add 203.0.113.8/32 dev lo";
    if in_namespace(SETUP, "access::public_proxy_denies_its_own_addresses") {
        return;
    }
    let (_proxy, address) = public(&["--allow", "203.0.113.8"]);
    let [denied, allowed] = [7, 8].map(|host| IpAddr::from([203, 0, 113, host]));
    for (ip, code) in [(denied, 2), (allowed, 0)] {
        let target = TcpListener::bind((ip, 0)).expect("an address of this host");
        let mut client = Raw::greeted(address);
        client.request(CONNECT, target.local_addr().expect("it listens"));
        assert_eq!(client.reply().0, code, "{ip}");
    }
    let (denied, denied_at) = udp(denied);
    let (allowed, allowed_at) = udp(allowed);
    let association = Association::of(Raw::greeted(address), LOCALHOST);
    association.send(denied_at, b"denied");
    association.send(allowed_at, b"allowed");
    expect(&allowed, b"allowed");
    assert!(is_silent(&denied));
}

/// With this setting, a socket can be bound to any IPv6 address, so none is known to be the host's. IPv4 is not affected.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the programs unshare and ip"]
fn own_addresses_are_recognized_for_each_ip_version() {
    const SETUP: &str = "ip link set lo up && ip addr add 203.0.113.7/32 dev lo && \
                         echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind";
    if in_namespace(SETUP, "access::own_addresses_are_recognized_for_each_ip_version") {
        return;
    }
    let (_proxy, address) = public(&[]);
    for (ip, code) in [("203.0.113.7", 2), ("2001:db8::1", 3)] {
        let mut client = Raw::greeted(address);
        client.request(CONNECT, (ip, 9));
        assert_eq!(client.reply().0, code, "{ip}");
    }
}
