//! UDP ASSOCIATE byte by byte: forms of addresses, fragments, and what is dropped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::common::{
    ANYONE, DUAL_STACK, LOCALHOST, LOCALHOST_V6, Names, Program, Proxy, Raw, Target, UDP_ASSOCIATE, address,
    datagram, eventually, expect, udp,
};

/// Opens an association for the client address that the request names.
fn associate(proxy: SocketAddr, client: SocketAddr) -> (Raw, SocketAddr) {
    let mut control = Raw::greeted(proxy);
    control.request(UDP_ASSOCIATE, client);
    let relay = control.expect_success();
    (control, relay)
}

/// Returns a datagram with this FRAG.
fn fragment(frag: u8, target: SocketAddr, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, frag][..], &address(target), payload].concat()
}

/// names, text and IPv4 in IPv6 reach the target; the answer names the IP address.
#[test]
fn every_form_of_address_is_relayed() {
    let proxy = Proxy::with_resolver(&[], Names(|_: &str| Ok(vec![LOCALHOST])));
    let (_control, relay) = associate(proxy.address, ANYONE);
    let (client, _) = udp(LOCALHOST);
    let (target, at) = udp(LOCALHOST);
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), at.port());
    let names = ["name.test", "127.0.0.1", "::ffff:127.0.0.1"].map(|name| Target::from((name, at.port())));
    for form in names.into_iter().chain([Target::from(mapped), Target::from(at)]) {
        client
            .send_to(&datagram(form, b"question"), relay)
            .expect("loopback");
        let outer = expect(&target, b"question");
        target.send_to(b"answer", outer).expect("loopback");
        assert_eq!(expect(&client, &datagram(at, b"answer")), relay);
    }
}

/// the relay has the address at which the client has reached the proxy, even if that is IPv4 on a socket for both
/// IP versions.
#[test]
fn relay_is_where_the_client_has_reached_the_proxy() {
    let proxy = Proxy::start(&["--listen", "[::]:0", "--open"]);
    for ip in [LOCALHOST, LOCALHOST_V6] {
        let (_control, relay) = associate((ip, proxy.address.port()).into(), ANYONE);
        assert_eq!(relay.ip(), ip);
    }
}

/// over one listener for both IP versions, a client of either reaches targets of both. Datagrams
/// from a port other than the one in its request are dropped.
#[test]
fn association_on_a_dual_stack_listener_reaches_both_ip_versions() {
    let proxy = Proxy::start(&DUAL_STACK);
    let targets = [udp(LOCALHOST), udp(LOCALHOST_V6)];
    for ip in [LOCALHOST, LOCALHOST_V6] {
        let near = SocketAddr::new(ip, proxy.address.port());
        for is_named in [false, true] {
            let (client, at) = udp(ip);
            let (_control, relay) = associate(near, if is_named { at } else { ANYONE });
            if is_named {
                let (neighbour, _) = udp(ip);
                neighbour
                    .send_to(&datagram(targets[0].1, b"the neighbour's"), relay)
                    .expect("loopback");
            }
            for (target, at) in &targets {
                client
                    .send_to(&datagram(*at, b"question"), relay)
                    .expect("loopback");
                let outer = expect(target, b"question");
                target.send_to(b"answer", outer).expect("loopback");
                assert_eq!(expect(&client, &datagram(*at, b"answer")), relay);
            }
        }
    }
}

/// When descriptors run out, associations are refused with REP 01. When descriptors are free again, the next is served.
#[test]
fn association_without_a_descriptor_is_refused_with_01() {
    let program = Program::with_descriptors(48, &[]);
    let before = program.descriptors();
    let mut clients: Vec<Raw> = (0..24).map(|_| program.client()).collect();
    let mut refused = 0;
    for client in &mut clients {
        client.request(UDP_ASSOCIATE, ANYONE);
        let (code, _) = client.reply();
        assert!(code <= 1, "REP {code}");
        refused += u32::from(code);
    }
    assert!((1..24).contains(&refused), "{refused} of 24 are refused");
    drop(clients);
    eventually("descriptors are free again", || program.descriptors() <= before);
    associate(program.address, ANYONE);
}

/// the port in the request is the client's. Q-088: if the request has the target's address instead, it does not
/// determine the client's port.
#[test]
fn port_that_the_request_names_is_the_clients() {
    let proxy = Proxy::start(&[]);
    let (client, named) = udp(LOCALHOST);
    let (neighbour, _) = udp(LOCALHOST);
    let (target, at) = udp(LOCALHOST);
    let (_control, relay) = associate(proxy.address, named);
    neighbour
        .send_to(&datagram(at, b"the neighbour's"), relay)
        .expect("loopback");
    client
        .send_to(&datagram(at, b"the client's"), relay)
        .expect("loopback");
    expect(&target, b"the client's");

    let (_control, relay) = associate(proxy.address, ([192, 0, 2, 1], 53).into());
    neighbour
        .send_to(&datagram(at, b"misread"), relay)
        .expect("loopback");
    expect(&target, b"misread");
}

/// F-03, F-04, F-08, F-09, F-11, F-20.
#[test]
fn fragments_are_put_together_or_given_up() {
    let proxy = Proxy::start(&[]);
    let (_control, relay) = associate(proxy.address, ANYONE);
    let (client, _) = udp(LOCALHOST);
    let (target, at) = udp(LOCALHOST);
    for (frag, payload) in [
        (0x01, "one "),
        (0x02, "two "),
        (0x83, "three"), // whole
        (0x82, "no first piece"),
        (0x01, "x"),
        (0x83, "a gap"),
        (0x01, "given "),
        (0x02, "up "),
        (0x01, "four "), // starts anew
        (0x82, "five"),  // whole
        (0x01, "given up"),
        (0x00, "alone"), // whole
        (0x82, "too late"),
        (0x81, "first and last"), // whole
        (0x01, "given up"),
        (0x01, "six "),  // starts anew
        (0x82, "seven"), // whole
    ] {
        client
            .send_to(&fragment(frag, at, payload.as_bytes()), relay)
            .expect("loopback");
    }
    for whole in [
        "one two three",
        "four five",
        "alone",
        "first and last",
        "six seven",
    ] {
        expect(&target, whole.as_bytes());
    }
}

/// dropped without an answer, and the association continues.
#[test]
fn malformed_datagrams_are_dropped() {
    let proxy = Proxy::start(&[]);
    let (_control, relay) = associate(proxy.address, ANYONE);
    let (client, _) = udp(LOCALHOST);
    let (target, at) = udp(LOCALHOST);
    let good = datagram(at, b"");
    let mut malformed: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    malformed.extend([
        b"\0\0\0\x02\x7f\0\0\x01\0\x50unknown ATYP".to_vec(),
        b"\0\0\0\x03\0\0\x50empty name".to_vec(),
        b"\0\0\0\x03\xffname cut short".to_vec(),
        b"\0\0\0\x03\x02a\0\0\x50NUL in a name".to_vec(),
        b"\0\0\0\x03\x01\xff\0\x50not text".to_vec(),
        fragment(0x80, at, b"position 0"),
    ]);
    for bytes in malformed {
        client.send_to(&bytes, relay).expect("loopback");
    }
    client.send_to(&datagram(at, b"good"), relay).expect("loopback");
    let outer = expect(&target, b"good");
    target.send_to(b"answer", outer).expect("loopback");
    assert_eq!(expect(&client, &datagram(at, b"answer")), relay);
}

/// bytes on the control connection are discarded, however many.
#[test]
fn bytes_on_the_control_connection_are_discarded() {
    let proxy = Proxy::start(&[]);
    let (mut control, relay) = associate(proxy.address, ANYONE);
    let (client, _) = udp(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (target, at) = udp(LOCALHOST);
    control.send(&vec![0; 16 << 20]);
    client
        .send_to(&datagram(at, b"still here"), relay)
        .expect("loopback");
    expect(&target, b"still here");
    control.end();
    control.expect_end();
}
