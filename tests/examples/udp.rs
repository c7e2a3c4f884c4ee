//! UDP ASSOCIATE: `udp_relay`, `udp_relay_std` and `udp_client`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::client;
use crate::clients::{self, TARGET};
use crate::ends::sockets;
use crate::process::{Process, wait_until};
use crate::raw::{
    Association, OFFER_NONE, Raw, SELECT_NONE, UDP_ASSOCIATE, expect_nothing, failure, header, header_name,
    receive, request, success, udp, udp_on_released,
};
use crate::server::{PASSWORD, Server, USER, udp_hosts};
use crate::{target, tests};

macro_rules! every_relay {
    ($($scenario:ident),+ $(,)?) => {
        tests!(udp_relay, $($scenario),+);
        tests!(udp_relay_std, $($scenario),+);
    };
}

every_relay!(
    ipv4_target_is_relayed_in_every_form,
    empty_and_largest_payloads_are_relayed,
    answer_of_another_host_has_its_own_source,
    fragments_are_dropped,
    malformed_datagrams_are_dropped_without_an_answer,
    foreign_source_is_neither_relayed_nor_answered,
    port_that_the_request_names_is_the_clients,
    target_that_refuses_does_not_end_the_association,
    bytes_on_the_control_connection_are_discarded,
    lack_of_descriptors_is_refused_with_01,
);

tests!(
    udp_client,
    lines_pass_through_every_relay,
    relay_address_of_zeros_is_the_proxy,
    foreign_answers_are_dropped,
    answers_in_fragments_are_reassembled,
    relay_without_a_port_is_an_error,
    relay_with_a_name_is_an_error,
    proxy_that_ends_the_association_is_reported,
    late_answer_is_waited_for,
    missing_answer_is_reported,
);

/// R-070, R-074: IPv4 in every form but a name. IPv6 is dropped.
fn ipv4_target_is_relayed_in_every_form(driver: &str) {
    let server = Server::on(driver, "[::]:0");
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server));
    assert_eq!(association.relay.ip(), Ipv4Addr::LOCALHOST);
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    association.send(
        &client,
        &[&header(0x00, target::udp_echo(Ipv6Addr::LOCALHOST)), b"lost"],
    );
    association.send(&client, &[&header_name("127.0.0.1", echo.port()), b"text"]);
    association.expect(&client, echo, b"text");
    let mapped = (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), echo.port()).into();
    association.send(&client, &[&header(0x00, mapped), b"mapped"]);
    association.expect(&client, echo, b"mapped");
    association.expect_echo(&client, echo, b"by IPv4");
}

/// R-087, Q-084, and Q-094: a datagram without room for a header is dropped.
fn empty_and_largest_payloads_are_relayed(driver: &str) {
    let server = Server::open(driver);
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    association.expect_echo(&client, echo, b"");
    let largest = &target::body()[..65_507 - 10];
    association.expect_echo(&client, echo, largest);

    let target = udp(Ipv4Addr::LOCALHOST);
    let address = target.local_addr().expect("bound");
    association.send(&client, &[&header(0x00, address), b"question"]);
    let (question, outer) = receive(&target);
    assert_eq!(question, b"question");
    for answer in [&target::body()[..65_507], b"short"] {
        target.send_to(answer, outer).expect("sent");
    }
    association.expect(&client, address, b"short");
}

/// R-074: the header has the true source of an answer, which may differ from the target.
fn answer_of_another_host_has_its_own_source(driver: &str) {
    answers_over_ipv4(&Server::open(driver));
}

fn answers_over_ipv4(server: &Server) {
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let (asked, other) = (udp(Ipv4Addr::LOCALHOST), udp(Ipv4Addr::LOCALHOST));
    association.send(
        &client,
        &[&header(0x00, asked.local_addr().expect("bound")), b"who?"],
    );
    let (_, outer) = receive(&asked);
    other.send_to(b"me", outer).expect("sent");
    association.expect(&client, other.local_addr().expect("bound"), b"me");
}

/// R-083: by a relay that does not reassemble.
fn fragments_are_dropped(driver: &str) {
    let server = Server::open(driver);
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    for frag in [0x01, 0x82, 0x81] {
        association.send(&client, &[&header(frag, echo), b"piece"]);
    }
    association.expect_echo(&client, echo, b"whole");
    expect_nothing(&client);
}

/// R-086, R-073: dropped without an answer, and the association continues.
fn malformed_datagrams_are_dropped_without_an_answer(driver: &str) {
    let server = Server::open(driver);
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let target = udp(Ipv4Addr::LOCALHOST);
    let address = target.local_addr().expect("bound");
    let good = header(0x00, address);
    for len in 0..good.len() {
        association.send(&client, &[&good[..len]]);
    }
    association.send(&client, &[b"\0\0\0\x02\x7f\0\0\x01\0\x50unknown ATYP"]);
    association.send(&client, &[b"\0\0\0\x03\0\0\x50empty name"]);
    association.send(&client, &[b"\0\0\0\x03\xffname cut short"]);
    association.send(&client, &[b"\0\0\0\x03\x02a\0\0\x50NUL in a name"]);
    association.send(&client, &[b"\0\0\0\x03\x01\xff\0\x50not text"]);
    association.send(&client, &[&header(0x80, address), b"position 0"]);
    association.send(
        &client,
        &[&header(0x00, (Ipv4Addr::LOCALHOST, 0).into()), b"port 0"],
    );
    association.send(&client, &[&good, b"good"]);
    let (payload, outer) = receive(&target);
    assert_eq!(payload, b"good");
    target.send_to(b"answer", outer).expect("sent");
    association.expect(&client, address, b"answer");
    expect_nothing(&target);
    expect_nothing(&client);
}

/// R-075, Q-080..Q-082: a stranger's datagram is never relayed or answered, and does not become the client's.
fn foreign_source_is_neither_relayed_nor_answered(driver: &str) {
    let server = Server::open(driver);
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let stranger = udp(Ipv4Addr::new(127, 0, 0, 2));
    let target = udp(Ipv4Addr::LOCALHOST);
    let to_target = header(0x00, target.local_addr().expect("bound"));
    let exchange = |payload: &[u8]| {
        association.send(&client, &[&to_target, payload]);
        let (got, outer) = receive(&target);
        assert_eq!(got, payload, "the stranger's datagram was relayed");
        target.send_to(b"answer", outer).expect("sent");
        association.expect(&client, target.local_addr().expect("bound"), b"answer");
    };
    association.send(&stranger, &[&to_target, b"first"]);
    exchange(b"the client's first");
    association.send(&stranger, &[&to_target, b"later"]);
    // A datagram from the client's host, but not from the client.
    let neighbour = udp(Ipv4Addr::LOCALHOST);
    association.send(&neighbour, &[&to_target, b"another port"]);
    exchange(b"the client's second");
    expect_nothing(&stranger);
    expect_nothing(&neighbour);
    expect_nothing(&target);
}

/// R-045: the port in the request is the client's. Q-088: if the request has the target's address instead, it does not
/// determine the client's port.
fn port_that_the_request_names_is_the_clients(driver: &str) {
    let server = Server::open(driver);
    let (client, neighbour) = (udp(Ipv4Addr::LOCALHOST), udp(Ipv4Addr::LOCALHOST));
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    let association = Association::open_for(server.address, client.local_addr().expect("bound"));
    association.send(&neighbour, &[&header(0x00, echo), b"first"]);
    association.expect_echo(&client, echo, b"the client's");
    expect_nothing(&neighbour);

    let misread = Association::open_for(server.address, (Ipv4Addr::new(192, 0, 2, 1), 53).into());
    misread.expect_echo(&client, echo, b"all the same");
}

/// A datagram to a closed port is answered with an ICMP error.
fn target_that_refuses_does_not_end_the_association(driver: &str) {
    let server = Server::open(driver);
    let (client, association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    // No other test uses this address, so the port stays free.
    let nobody = udp(Ipv4Addr::new(127, 0, 0, 9)).local_addr().expect("bound");
    for _ in 0..3 {
        association.send(&client, &[&header(0x00, nobody), b"lost"]);
        association.expect_echo(&client, echo, b"relayed");
    }
    // The client's own port may be closed in the same way, and opened again.
    let port = client.local_addr().expect("bound").port();
    let target = udp(Ipv4Addr::LOCALHOST);
    let address = target.local_addr().expect("bound");
    association.send(&client, &[&header(0x00, address), b"where are you?"]);
    let (_, outer) = receive(&target);
    drop(client);
    for _ in 0..3 {
        target.send_to(b"lost", outer).expect("sent");
    }
    let client = udp_on_released((Ipv4Addr::LOCALHOST, port).into());
    association.send(&client, &[&header(0x00, echo), b"relayed"]);
    // A late answer to the old client reaches the new one.
    while receive(&client).0 != [&header(0x00, echo)[..], b"relayed"].concat() {}
}

/// Q-092: bytes on the control connection are discarded, and do not end the association.
fn bytes_on_the_control_connection_are_discarded(driver: &str) {
    let server = Server::open(driver);
    let (client, mut association) = (udp(Ipv4Addr::LOCALHOST), Association::open(server.address));
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    association.control.send(&target::body()[..16 * 1024 * 1024]);
    association.expect_echo(&client, echo, b"still here");
    association.control.end();
    association.control.expect_end();
}

/// Without a free descriptor the reply is REP=01, and the server recovers later.
fn lack_of_descriptors_is_refused_with_01(driver: &str) {
    // Of the 24 clients some get a relay. `udp_relay_std` has a second handle of each connection.
    let server = Server::with_descriptors(driver, if driver == "udp_relay_std" { 72 } else { 48 });
    let before = sockets(&server.process);
    let mut clients: Vec<Raw> = (0..24).map(|_| Raw::greeted(server.address)).collect();
    let asked = request(UDP_ASSOCIATE, (Ipv4Addr::UNSPECIFIED, 0).into());
    let mut refused = 0;
    for client in &mut clients {
        client.send(&asked);
        let reply: [u8; 10] = client.take();
        if reply == failure(0x01) {
            refused += 1;
        } else {
            assert_eq!(reply[..4], [0x05, 0x00, 0x00, 0x01]);
        }
    }
    assert!((1..24).contains(&refused), "{refused} of 24 refused");
    drop(clients);
    wait_until("the end of every connection", || {
        sockets(&server.process) == before
    });
    let echo = target::udp_echo(Ipv4Addr::LOCALHOST);
    Association::open(server.address).expect_echo(&udp(Ipv4Addr::LOCALHOST), echo, b"again");
}

fn lines_pass_through_every_relay(driver: &str) {
    for relay in ["udp_relay_std", "udp_relay"] {
        let server = Server::with_login(relay);
        let port = target::udp_echo_on_both();
        for host in udp_hosts(relay) {
            let mut client = client::start(driver, server.address, &[USER, PASSWORD], host, port);
            for line in [
                "one",
                "",
                "three\r",
                "in four words, \u{fc}",
                &"long ".repeat(1_000),
            ] {
                client.send(format!("{line}\n").as_bytes());
                client.expect(format!("{line}\n").as_bytes());
            }
            client.send(b"a line without an end");
            let end = client.finish();
            assert!(end.status.success(), "{}", end.stderr);
            assert_eq!(end.stdout, b"a line without an end\n", "{}", end.stderr);
        }
    }
}

/// A proxy that the test controls, and a client that has an association with it.
struct Proxied {
    client: Process,
    control: Raw,
    relay: UdpSocket,
}

impl Proxied {
    /// `bound` is BND of the reply, if it is not the address of the relay.
    fn new(driver: &str, bound: impl FnOnce(SocketAddr) -> SocketAddr) -> Self {
        let clients::Proxied { client, mut control } = clients::Proxied::start(driver, &[]);
        control.expect(OFFER_NONE);
        control.send(SELECT_NONE);
        // R-044.
        control.expect(&request(UDP_ASSOCIATE, (Ipv4Addr::UNSPECIFIED, 0).into()));
        let relay = udp(Ipv4Addr::LOCALHOST);
        let bound = bound(relay.local_addr().expect("bound"));
        control.send(&success(bound));
        Self {
            client,
            control,
            relay,
        }
    }

    /// Receives the client's line at the relay. Returns the client's address.
    fn expect(&self, frag: u8, payload: &[u8]) -> SocketAddr {
        let (bytes, source) = receive(&self.relay);
        assert_eq!(
            hex::encode(bytes),
            hex::encode([&header(frag, TARGET), payload].concat())
        );
        source
    }
}

/// R-044, Q-040: BND 0.0.0.0 is the proxy.
fn relay_address_of_zeros_is_the_proxy(driver: &str) {
    let everywhere = |relay: SocketAddr| (Ipv4Addr::UNSPECIFIED, relay.port()).into();
    let mut proxied = Proxied::new(driver, everywhere);
    proxied.client.send(b"question\n");
    let client = proxied.expect(0x00, b"question");
    // 0.0.0.0 would reach the relay, but is never the source of an answer.
    let answer = [&header(0x00, TARGET), &b"answer"[..]].concat();
    proxied.relay.send_to(&answer, client).expect("sent");
    proxied.client.expect(b"answer\n");
}

/// A datagram from another source than the relay is not an answer. R-081: the client does not fragment unless asked.
fn foreign_answers_are_dropped(driver: &str) {
    let mut proxied = Proxied::new(driver, |relay| relay);
    proxied.client.send(b"question\n");
    let client = proxied.expect(0x00, b"question");
    let answer = |payload: &[u8]| [&header(0x00, TARGET), payload].concat();
    let stranger = udp(Ipv4Addr::LOCALHOST);
    stranger.send_to(&answer(b"forged"), client).expect("sent");
    proxied.relay.send_to(b"malformed", client).expect("sent");
    proxied.relay.send_to(&answer(b"genuine"), client).expect("sent");
    proxied.client.expect(b"genuine\n");
}

/// R-077: each end has a reassembly queue.
fn answers_in_fragments_are_reassembled(driver: &str) {
    let mut proxied = Proxied::new(driver, |relay| relay);
    proxied.client.send(b"question\n");
    let client = proxied.expect(0x00, b"question");
    for (frag, payload) in [
        (0x01, "given "),
        (0x02, "up"),
        (0x01, "an "), // starts anew
        (0x02, "answer "),
        (0x83, "in pieces"),
        (0x82, "late"),
        (0x00, "whole"),
    ] {
        let bytes = [&header(frag, TARGET), payload.as_bytes()].concat();
        proxied.relay.send_to(&bytes, client).expect("sent");
    }
    proxied.client.expect(b"an answer in pieces\nwhole\n");
}

/// Q-040: the client cannot send to port 0.
fn relay_without_a_port_is_an_error(driver: &str) {
    let mut proxied = Proxied::new(driver, |relay| (relay.ip(), 0).into());
    proxied.control.expect_end();
    let end = proxied.client.finish();
    assert!(!end.status.success());
    assert!(end.stderr.contains("port"), "{}", end.stderr);
}

/// A name as BND: the client does not look it up.
fn relay_with_a_name_is_an_error(driver: &str) {
    let clients::Proxied { client, mut control } = clients::Proxied::start(driver, &[]);
    control.expect(OFFER_NONE);
    control.send(SELECT_NONE);
    control.send(b"\x05\x00\x00\x03\x09localhost\x00\x35");
    let end = client.finish();
    assert_eq!(end.status.code(), Some(1));
    assert!(end.stderr.contains("IP address"), "{}", end.stderr);
}

/// R-046: the client stops when the association ends.
fn proxy_that_ends_the_association_is_reported(driver: &str) {
    let mut proxied = Proxied::new(driver, |relay| relay);
    proxied.client.send(b"question\n");
    proxied.expect(0x00, b"question");
    proxied.control.send(b"bytes without a meaning");
    proxied.control.end();
    proxied.control.expect_end();
    let end = proxied.client.finish();
    assert!(!end.status.success());
    assert!(end.stderr.contains("ended"), "{}", end.stderr);
}

/// On a loaded machine an answer may take more than a second.
fn late_answer_is_waited_for(driver: &str) {
    let mut proxied = Proxied::new(driver, |relay| relay);
    proxied.client.send(b"question\n");
    proxied.client.end();
    let client = proxied.expect(0x00, b"question");
    thread::sleep(Duration::from_millis(1_500));
    let answer = [&header(0x00, TARGET), &b"answer"[..]].concat();
    proxied.relay.send_to(&answer, client).expect("sent");
    let end = proxied.client.finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert_eq!(end.stdout, b"answer\n");
}

fn missing_answer_is_reported(driver: &str) {
    let mut proxied = Proxied::new(driver, |relay| relay);
    proxied.client.send(b"question\n");
    proxied.expect(0x00, b"question");
    proxied.client.expect_failure("not every line was answered");
}
