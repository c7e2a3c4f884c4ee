//! The proxy never connects or relays to itself.

use std::net::{Ipv4Addr, SocketAddr};

use crate::common::{
    ANYONE, CONNECT, LOCALHOST, LOCALHOST_V6, Names, Program, Proxy, Raw, UDP_ASSOCIATE, accept, datagram,
    eventually, listener, request, udp,
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
    let proxy = Proxy::with_resolver(
        &[
            "--listen",
            "[::]:0",
            "--open",
            "--allow",
            "127.0.0.0/8",
            "--allow",
            "::1",
            "--allow",
            "0.0.0.0",
            "--allow",
            "::",
        ],
        names,
    );
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
    let mut far = Raw::connect_from([127, 0, 0, 9], proxy.address).greet();
    far.request(UDP_ASSOCIATE, ANYONE);
    let far_relay = far.expect_success();
    let mut near = proxy.client();
    near.request(UDP_ASSOCIATE, ANYONE);
    let near_relay = near.expect_success();
    let (far_client, _) = udp([127, 0, 0, 9]);
    let (near_client, _) = udp(LOCALHOST);
    let (target, target_at) = udp(LOCALHOST);
    let inner = datagram(target_at, b"through the far relay");
    for alias in [
        near_relay.ip(),
        [127, 5, 5, 5].into(),
        Ipv4Addr::UNSPECIFIED.into(),
        LOCALHOST_V6,
    ] {
        let alias = SocketAddr::new(alias, near_relay.port());
        far_client
            .send_to(&datagram(alias, &inner), far_relay)
            .expect("loopback");
    }
    // When the far relay forwards this datagram, it has handled the earlier ones.
    let mut buffer = [0; 200];
    far_client
        .send_to(&datagram(target_at, b"far"), far_relay)
        .expect("loopback");
    assert_eq!(target.recv(&mut buffer).expect("it arrives"), 3);
    near_client
        .send_to(&datagram(target_at, b"near"), near_relay)
        .expect("loopback");
    let (len, outer) = target.recv_from(&mut buffer).expect("it arrives");
    assert_eq!(&buffer[..len], b"near");
    target.send_to(b"answer", outer).expect("loopback");
    let len = near_client.recv(&mut buffer).expect("the true client's answer");
    assert!(buffer[..len].ends_with(b"answer"));
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
