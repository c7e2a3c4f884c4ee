//! All bytes of a tunnel arrive, in both directions, for every split and either order of closing.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;

use crate::client;
use crate::process::PATIENCE;
use crate::raw::{CONNECT, OFFER_NONE, Raw, SELECT_NONE, login, request, request_name};
use crate::server::{PASSWORD, Server, USER};
use crate::target;

use crate::tests;

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(tokio_server, $($scenario),+, names_are_resolved);
        tests!(std_server, $($scenario),+, names_are_resolved);
        tests!(mio_server, $($scenario),+);
    };
}

every_server!(
    handshake_in_one_segment_is_served,
    login_in_one_segment_is_served,
    handshake_byte_by_byte_is_served,
    session_cut_at_every_byte_is_served,
    early_data_beyond_any_buffer_arrives_whole,
    banner_behind_the_reply_arrives,
    ip_address_of_every_form_is_reached,
    client_half_close_leaves_the_answer,
    client_half_close_before_the_reply_leaves_the_answer,
    target_half_close_leaves_the_upload,
    both_directions_carry_data_at_once,
    many_tunnels_wait_for_none_of_the_others,
);
tests!(tokio_client, echo_returns_through_every_server);
tests!(std_client, echo_returns_through_every_server);

///
fn handshake_in_one_segment_is_served(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    let request = request(CONNECT, target::echo(Ipv4Addr::LOCALHOST));
    client.send(&[OFFER_NONE, &request, b"early"].concat());
    client.expect(SELECT_NONE);
    client.expect_success();
    client.expect(b"early");
    client.send(b"late");
    client.expect(b"late");
    client.end();
    client.expect_end();
}

///
fn handshake_byte_by_byte_is_served(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    let send = |client: &mut Raw, bytes: &[u8]| bytes.iter().for_each(|byte| client.send(&[*byte]));
    send(&mut client, OFFER_NONE);
    client.expect(SELECT_NONE);
    send(&mut client, &request(CONNECT, target::echo(Ipv4Addr::LOCALHOST)));
    client.expect_success();
    send(&mut client, b"one by one");
    client.expect(b"one by one");
}

/// every cut of a whole session, with a login, into two writes.
fn session_cut_at_every_byte_is_served(driver: &str) {
    let server = Server::with_login(driver);
    let request = request(CONNECT, target::echo(Ipv4Addr::LOCALHOST));
    let session = [b"\x05\x01\x02", &login(USER, PASSWORD)[..], &request, b"early"].concat();
    for cut in 1..session.len() {
        let mut client = Raw::connect(server.address);
        let (first, second) = session.split_at(cut);
        client.send(first);
        // An answer shows that the server has read the first part. Fewer than three bytes get no answer.
        if cut >= 3 {
            client.expect(b"\x05\x02");
        }
        client.send(second);
        if cut < 3 {
            client.expect(b"\x05\x02");
        }
        client.expect(b"\x01\x00");
        client.expect_success();
        client.expect(b"early");
    }
}

/// more bytes than a server can be expected to buffer while it dials.
fn early_data_beyond_any_buffer_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let (target, collected) = target::collect(b"");
    let data = &target::body()[..1024 * 1024];
    let mut client = Raw::greeted(server.address);
    client.send(&[&request(CONNECT, target), data].concat());
    client.expect_success();
    client.end();
    assert!(collected.recv_timeout(PATIENCE).expect("a connection") == data);
    client.expect_end();
}

/// a target that speaks first.
fn banner_behind_the_reply_arrives(driver: &str) {
    let server = Server::open(driver);
    let (target, _collected) = target::collect(b"220 banner\r\n");
    let mut client = Raw::greeted(server.address);
    client.send(&request(CONNECT, target));
    client.expect_success();
    client.expect(b"220 banner\r\n");
}

/// : a name that spells an address, and an IPv4-mapped IPv6 address.
fn ip_address_of_every_form_is_reached(driver: &str) {
    let v4 = target::echo(Ipv4Addr::LOCALHOST);
    let v6 = target::echo(Ipv6Addr::LOCALHOST);
    let mapped = (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), v4.port());
    expect_tunnels(
        driver,
        &[
            request(CONNECT, v4),
            request(CONNECT, v6),
            request(CONNECT, mapped.into()),
            request_name("127.0.0.1", v4.port()),
            request_name("::1", v6.port()),
        ],
    );
}

///
fn names_are_resolved(driver: &str) {
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    expect_tunnels(driver, &[request_name("localhost", echo.port())]);
}

fn expect_tunnels(driver: &str, requests: &[Vec<u8>]) {
    let server = Server::open(driver);
    for request in requests {
        let mut client = Raw::greeted(server.address);
        client.send(request);
        client.expect_success();
        client.send(b"ping");
        client.expect(b"ping");
    }
}

/// The target answers after the client has half-closed.
fn client_half_close_leaves_the_answer(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::greeted(server.address);
    client.send(&request(CONNECT, target::answer(b"answer")));
    client.expect_success();
    client.send(b"question");
    client.end();
    client.expect(b"answer");
    client.expect_end();
}

/// The client half-closes before it receives the reply.
fn client_half_close_before_the_reply_leaves_the_answer(driver: &str) {
    let server = Server::open(driver);
    let mut client = Raw::connect(server.address);
    let request = request(CONNECT, target::answer(b"answer"));
    client.send(&[OFFER_NONE, &request, b"question"].concat());
    client.end();
    client.expect(SELECT_NONE);
    client.expect_success();
    client.expect(b"answer");
    client.expect_end();
}

/// The client continues to send after the target has ended its side.
fn target_half_close_leaves_the_upload(driver: &str) {
    let server = Server::open(driver);
    let (target, collected) = target::collect(b"that is all");
    let mut client = Raw::greeted(server.address);
    client.send(&request(CONNECT, target));
    client.expect_success();
    client.expect(b"that is all");
    client.expect_end();
    client.send(b"not for me");
    client.end();
    assert_eq!(
        collected.recv_timeout(PATIENCE).expect("a connection"),
        b"not for me"
    );
}

/// Both directions are full at once. Neither may wait for the other.
fn both_directions_carry_data_at_once(driver: &str) {
    let server = Server::open(driver);
    let data = &target::body()[..8 * 1024 * 1024];
    let mut client = Raw::greeted(server.address);
    client.send(&request(CONNECT, target::echo(Ipv4Addr::LOCALHOST)));
    client.expect_success();
    let mut sender = Raw::over(client.0.try_clone().expect("a second handle"));
    thread::scope(|scope| {
        scope.spawn(move || {
            sender.send(data);
            sender.end();
        });
        assert!(client.rest() == data);
    });
}

/// No connection waits for another.
fn many_tunnels_wait_for_none_of_the_others(driver: &str) {
    let server = Server::open(driver);
    let target = target::echo(Ipv4Addr::LOCALHOST);
    let mut clients: Vec<Raw> = (0..100).map(|_| Raw::connect(server.address)).collect();
    for client in &mut clients {
        client.send(&[OFFER_NONE, &request(CONNECT, target)].concat());
    }
    for (n, client) in clients.iter_mut().enumerate().rev() {
        client.expect(SELECT_NONE);
        client.expect_success();
        client.send(&n.to_be_bytes());
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.expect(&n.to_be_bytes());
        client.end();
        client.expect_end();
    }
}

/// a client that sends everything at once, with a login.
fn login_in_one_segment_is_served(driver: &str) {
    let server = Server::with_login(driver);
    let mut client = Raw::connect(server.address);
    let request = request(CONNECT, target::echo(Ipv4Addr::LOCALHOST));
    client.send(&[b"\x05\x01\x02", &login(USER, PASSWORD)[..], &request, b"early"].concat());
    client.expect(b"\x05\x02\x01\x00");
    client.expect_success();
    client.expect(b"early");
}

/// A client through each server, by each form of address that the server accepts.
fn echo_returns_through_every_server(driver: &str) {
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    for name in ["tokio_server", "std_server", "mio_server"] {
        let server = Server::with_login(name);
        for (host, port) in [("127.0.0.1", v4), ("::1", v6), ("localhost", v4)] {
            if name == "mio_server" && host == "localhost" {
                continue;
            }
            let client = client::start(driver, server.address, &[USER, PASSWORD], host, port);
            client.expect_echo(b"there and back");
        }
    }
}
