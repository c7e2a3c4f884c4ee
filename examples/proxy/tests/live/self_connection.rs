//! The proxy never connects or relays to itself.

use std::net::{Ipv4Addr, SocketAddr};

#[cfg(target_os = "linux")]
use crate::common::in_namespace;
use crate::common::{
    Association, CONNECT, DUAL_STACK, LOCALHOST, LOCALHOST_V6, Names, Program, Proxy, Raw, accept, datagram,
    eventually, expect, listener, request, udp,
};

/// Early bytes are sent through the tunnel, so one write can hold the handshakes of all levels. Such a write once used all
/// 1,024 descriptors.
#[test]
fn nested_handshakes_in_one_write_reach_no_second_level() {
    let program = Program::start(&[]);
    let before = program.descriptors();
    let level = [&[5, 1, 0][..], &request(CONNECT, program.address)].concat();
    let mut client = Raw::connect(program.address);
    client.send(&level.repeat(520));
    client.expect(&[5, 0]);
    client.expect_refusal(2);
    assert!(program.descriptors() <= before + 2);
    let (target, address) = listener();
    let _client = program.client().tunnel(address);
    accept(&target);
}

#[test]
fn proxy_is_refused_by_every_alias() {
    let names = Names(|_: &str| Ok(vec![LOCALHOST, LOCALHOST_V6]));
    // No access rule refuses any of the aliases.
    let allowed = ["--allow", "0.0.0.0", "--allow", "::"];
    let proxy = Proxy::with_resolver(&[&DUAL_STACK[..], &allowed].concat(), names);
    let port = proxy.address.port();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for alias in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "::",
    ] {
        let mut client = Raw::greeted(at);
        client.request(CONNECT, (alias, port));
        client.expect_refusal(2);
    }
}

/// Through its own association, a far client once took over the association of a client on the proxy's host.
#[test]
fn datagram_to_an_own_relay_socket_is_dropped() {
    let proxy = Proxy::start(&[]);
    let far = Raw::connect_from([127, 0, 0, 9], proxy.address).greet();
    let far = Association::of(far, [127, 0, 0, 9]);
    let near = Association::open(&proxy);
    let (target, target_at) = udp(LOCALHOST);
    let inner = datagram(target_at, b"through the far relay");
    for alias in [
        near.relay.ip(),
        [127, 5, 5, 5].into(),
        Ipv4Addr::UNSPECIFIED.into(),
        LOCALHOST_V6,
    ] {
        far.send(SocketAddr::new(alias, near.relay.port()), &inner);
    }
    // When the far relay forwards this datagram, it has handled the earlier ones.
    far.send(target_at, b"far");
    expect(&target, b"far");
    near.send(target_at, b"near");
    let outer = expect(&target, b"near");
    target.send_to(b"answer", outer).expect("loopback");
    near.expect(target_at, b"answer"); // the true client has it
}

/// The host accepts connections to a whole network, and no socket can be bound to an address of it. So the proxy does not
/// recognize the address as its own. It recognizes the connection, by both of its ends.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the programs unshare and ip"]
fn connection_from_the_proxy_itself_is_refused() {
    if in_namespace(
        "ip link set lo up && ip route add local 2001:db8::/64 dev lo",
        "self_connection::connection_from_the_proxy_itself_is_refused",
    ) {
        return;
    }
    let proxy = Proxy::start(&[&DUAL_STACK[..], &["--allow", "2001:db8::/64"]].concat());
    let port = proxy.address.port();
    let alias = "2001:db8::1".parse().expect("an address");
    let mut client = Raw::greeted(SocketAddr::new(LOCALHOST, port))
        .tunnel(SocketAddr::new(alias, port))
        .greet();
    client.request(CONNECT, SocketAddr::new(LOCALHOST, 9));
    client.expect_refusal(2);
}

/// All descriptors are released.
#[test]
fn refused_nesting_leaves_no_descriptor() {
    let program = Program::start(&[]);
    let before = program.descriptors();
    for _ in 0..20 {
        let mut client = program.client();
        client.request(CONNECT, program.address);
        client.expect_refusal(2);
    }
    eventually("descriptors are closed", || program.descriptors() <= before);
}
