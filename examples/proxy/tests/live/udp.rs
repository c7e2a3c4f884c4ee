//! UDP ASSOCIATE.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

#[cfg(target_os = "linux")]
use crate::common::in_namespace;
use crate::common::{
    ANYONE, Association, LOCALHOST, LOCALHOST_V6, PATIENCE, Proxy, UDP_ASSOCIATE, datagram, eventually,
    expect, hold_burst, is_silent, udp,
};

#[test]
fn datagrams_are_relayed_both_ways_over_both_ip_versions() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    for ip in [LOCALHOST, LOCALHOST_V6] {
        let (target, at) = udp(ip);
        for payload in [&b"question"[..], b"", &[7; 8000]] {
            association.send(at, payload);
            let outer = expect(&target, payload);
            target.send_to(payload, outer).expect("loopback");
            association.expect(at, payload);
        }
    }
}

#[test]
fn largest_datagrams_are_relayed() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    let payload = vec![7; 65_507 - 10];
    association.send(at, &payload);
    let outer = expect(&target, &payload);
    target.send_to(&payload, outer).expect("loopback");
    association.expect(at, &payload);
    // With a header, this datagram is larger than UDP allows. It is dropped, and the next one is not.
    target.send_to(&[7; 65_507], outer).expect("loopback");
    target.send_to(b"next", outer).expect("loopback");
    association.expect(at, b"next");
    // In fragments, a client can send the largest payload.
    let payload = vec![8; 65_507];
    association.send_fragments(at, &payload, 1200);
    expect(&target, &payload);
}

/// Datagrams for which a system call fails, or a host answers with ICMP.
#[test]
fn unreachable_targets_do_not_end_the_association() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (gone, gone_at) = udp(LOCALHOST);
    drop(gone);
    for target in ["127.0.0.1:0", "255.255.255.255:9", "[2001:db8::1]:9", "0.0.0.1:9"] {
        association.send(target.parse::<SocketAddr>().expect("an address"), b"x");
    }
    association.send(gone_at, b"refused by ICMP");
    let (target, at) = udp(LOCALHOST);
    for _ in 0..3 {
        association.send(at, b"still here");
        let outer = expect(&target, b"still here");
        target.send_to(b"yes", outer).expect("loopback");
        association.expect(at, b"yes");
    }
    // The proxy sends datagrams that arrive together with one system call. Only the failed ones are dropped.
    for n in 0..100 {
        association.send(SocketAddr::from(([255; 4], 9)), b"x");
        association.send(at, &[n]);
    }
    for n in 0..100 {
        expect(&target, &[n]);
    }
}

/// The client's port is closed for a while, so that answers to it meet ICMP errors.
#[test]
fn client_port_that_refuses_ends_nothing() {
    let proxy = Proxy::start(&[]);
    let mut association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    association.send(at, b"question");
    let outer = expect(&target, b"question");
    let client = association.socket.local_addr().expect("bound");
    association.socket = udp(LOCALHOST).0;
    for _ in 0..20 {
        target.send_to(b"to a closed port", outer).expect("loopback");
    }
    // When the proxy has relayed the datagrams of another association, it has also relayed these.
    let other = Association::open(&proxy);
    other.send(at, b"other");
    expect(&target, b"other");
    association.socket = UdpSocket::bind(client).expect("it was free");
    association
        .socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a duration");
    association.send(at, b"again");
    target
        .send_to(b"answer", expect(&target, b"again"))
        .expect("loopback");
    let mut buffer = [0; 100];
    loop {
        let len = association.socket.recv(&mut buffer).expect("the answer");
        if !buffer[..len].ends_with(b"to a closed port") {
            assert!(buffer[..len].ends_with(b"answer"));
            break;
        }
    }
}

#[test]
fn association_ends_with_its_control_connection() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    association.send(at, b"x");
    expect(&target, b"x");
    let (relay, socket) = (association.relay, association.socket);
    drop(association.control);
    eventually("the port is free", || UdpSocket::bind(relay).is_ok());
    drop(socket);
}

/// Also in order, when whole datagrams and fragments arrive together.
#[test]
fn fragments_are_reassembled() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    let payload: Vec<u8> = (0..3000_u16).map(|n| n as u8).collect();
    for _ in 0..20 {
        association.send(at, b"before");
        association.send_fragments(at, &payload, 700);
        association.send(at, b"after");
    }
    for _ in 0..20 {
        expect(&target, b"before");
        expect(&target, &payload);
        expect(&target, b"after");
    }
}

#[test]
fn stranger_is_dropped_at_both_sides() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    let (stranger, _) = udp([127, 0, 0, 2]);
    stranger
        .send_to(&datagram(at, b"from a stranger"), association.relay)
        .expect("loopback");
    association.send(at, b"from the client");
    let outer = expect(&target, b"from the client");
    // A datagram from another port of the target's host is an answer. One from another host is not.
    let (other_port, other_at) = udp(LOCALHOST);
    stranger
        .send_to(b"to the outer socket", SocketAddr::new(LOCALHOST, outer.port()))
        .expect("loopback");
    other_port.send_to(b"another port", outer).expect("loopback");
    association.expect(other_at, b"another port");
    // The client's first datagram determines its port.
    let (second, _) = udp(LOCALHOST);
    second
        .send_to(&datagram(at, b"from another port"), association.relay)
        .expect("loopback");
    association.send(at, b"second");
    expect(&target, b"second");
    assert!(is_silent(&target));
}

/// Clients that change their port within an association.
#[test]
fn any_port_of_the_client_is_accepted_by_option() {
    let proxy = Proxy::start(&["--udp-any-port"]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    association.send(at, b"first");
    expect(&target, b"first");
    let (second, _) = udp(LOCALHOST);
    second
        .send_to(&datagram(at, b"second"), association.relay)
        .expect("loopback");
    let outer = expect(&target, b"second");
    target.send_to(b"answer", outer).expect("loopback");
    let mut buffer = [0; 100];
    let len = second.recv(&mut buffer).expect("the last port has the answer");
    assert!(buffer[..len].ends_with(b"answer"));
}

// The ports here are below those that systems give to other sockets.
#[test]
fn relay_is_where_the_options_say() {
    let proxy = Proxy::start(&[
        "--udp-bind",
        "127.0.0.4",
        "--udp-advertise",
        "192.0.2.9",
        "--udp-ports",
        "22000-22999",
    ]);
    let mut ports = Vec::new();
    for _ in 0..3 {
        let association = Association::open(&proxy);
        assert_eq!(association.relay.ip(), IpAddr::from([192, 0, 2, 9]));
        assert!((22_000..=22_999).contains(&association.relay.port()));
        let (target, at) = udp(LOCALHOST);
        let inner = SocketAddr::from(([127, 0, 0, 4], association.relay.port()));
        association
            .socket
            .send_to(&datagram(at, b"x"), inner)
            .expect("loopback");
        expect(&target, b"x");
        ports.push(association);
    }
}

// Another program may have some of these ports.
#[test]
fn association_without_a_free_port_is_refused() {
    let proxy = Proxy::start(&["--udp-ports", "23210-23219"]);
    let is_free = |port: &u16| UdpSocket::bind((LOCALHOST, *port)).is_ok();
    let free = (23_210..=23_219).filter(is_free).count();
    let _held: Vec<_> = (0..free).map(|_| Association::open(&proxy)).collect();
    let mut client = proxy.client();
    client.request(UDP_ASSOCIATE, ANYONE);
    client.expect_refusal(1);
}

#[test]
fn bind_address_is_the_source_of_datagrams() {
    let proxy = Proxy::start(&["--bind-address", "127.0.0.3"]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    association.send(at, b"x");
    assert_eq!(expect(&target, b"x").ip(), IpAddr::from([127, 0, 0, 3]));
}

const BURST: u16 = 300;

fn of_burst(n: u16) -> [u8; 1200] {
    let mut payload = [7; 1200];
    payload[..2].copy_from_slice(&n.to_be_bytes());
    payload
}

/// Expects a burst in order. Each datagram begins with a header.
fn expect_burst(socket: &UdpSocket, header: &[u8]) {
    for n in 0..BURST {
        expect(socket, &[header, &of_burst(n)].concat());
    }
}

/// The receive buffer holds a burst for which no reader is fast enough. Only 241 datagrams once arrived.
#[test]
fn burst_of_300_datagrams_arrives_whole() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    hold_burst(&target);
    thread::scope(|scope| {
        scope.spawn(|| expect_burst(&target, &[]));
        (0..BURST).for_each(|n| association.send(at, &of_burst(n)));
    });
}

#[test]
fn burst_of_300_answers_arrives_whole() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    association.send(at, b"question");
    let outer = expect(&target, b"question");
    let client = &association.socket;
    hold_burst(client);
    thread::scope(|scope| {
        scope.spawn(|| expect_burst(client, &datagram(at, b"")));
        for n in 0..BURST {
            target.send_to(&of_burst(n), outer).expect("loopback");
        }
    });
}

/// A flood of foreign datagrams to both sockets.
#[test]
fn flood_from_a_foreign_source_is_not_forwarded() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    let (stranger, _) = udp([127, 0, 0, 2]);
    association.send(at, b"first");
    let outer = expect(&target, b"first");
    for n in 0..200_u8 {
        for _ in 0..20 {
            for socket in [association.relay, outer] {
                let foreign = datagram(at, b"foreign");
                stranger.send_to(&foreign, socket).expect("loopback");
            }
        }
        association.send(at, &[n]);
        expect(&target, &[n]);
        target.send_to(&[n], outer).expect("loopback");
        association.expect(at, &[n]);
    }
    assert!(is_silent(&target) && is_silent(&association.socket));
}

/// Runs of one size are sent with segmentation offload. Sizes, targets and IP versions may still be mixed.
#[test]
fn mixed_sizes_and_targets_arrive_in_order() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let targets = [udp(LOCALHOST), udp(LOCALHOST), udp(LOCALHOST_V6)];
    let mut expected: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    let mut random = 12345_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_103_515_245).wrapping_add(12345);
        (random >> 16) % below
    };
    for n in 0..500_u32 {
        let to = if next(3) > 0 { 0 } else { next(3) as usize };
        let len = [0, 4, 100, 1200, 1200, 1200, 1452, 1453, 9000][next(9) as usize];
        let payload: Vec<u8> = n.to_be_bytes().into_iter().cycle().take(len).collect();
        association.send(targets[to].1, &payload);
        expected.entry(to).or_default().push(payload);
        if n % 16 == 15 {
            for (to, payloads) in std::mem::take(&mut expected) {
                for payload in payloads {
                    expect(&targets[to].0, &payload);
                }
            }
        }
    }
}

/// Runs of equal datagrams are sent with segmentation offload, if the kernel supports it.
#[test]
fn runs_of_equal_datagrams_arrive_in_order() {
    let proxy = Proxy::start(&[]);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    for run in 0..30_u8 {
        for n in 0..16 {
            association.send(at, &[&[run, n][..], &[7; 1400]].concat());
        }
        for n in 0..16 {
            let outer = expect(&target, &[&[run, n][..], &[7; 1400]].concat());
            target
                .send_to(&[&[n][..], &[8; 1390]].concat(), outer)
                .expect("loopback");
        }
        for n in 0..16 {
            association.expect(at, &[&[n][..], &[8; 1390]].concat());
        }
    }
}

/// The kernel refuses segments that are larger than the MTU. The datagrams are then sent one by one.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the programs unshare and ip"]
fn runs_arrive_without_segmentation_offload() {
    in_namespace(
        "ip link set lo mtu 1300 up",
        "udp::runs_of_equal_datagrams_arrive_in_order",
    );
}
