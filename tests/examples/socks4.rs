//! SOCKS4 and SOCKS4a: the server drivers without a login, and `std_client`.

use std::net::{Ipv4Addr, SocketAddr};

use crate::clients::Proxied;
use crate::process::PATIENCE;
use crate::raw::{BIND, CONNECT, Raw};
use crate::server::Server;
use crate::{client, target, tests};

tests!(
    tokio_server,
    request_of_an_address_is_granted,
    request_of_a_name_is_granted,
    refused_target_and_bind_are_answered_5b,
    name_that_does_not_resolve_is_answered_5b,
);
tests!(
    std_server,
    request_of_an_address_is_granted,
    request_of_a_name_is_granted,
    refused_target_and_bind_are_answered_5b,
    name_that_does_not_resolve_is_answered_5b,
);
tests!(
    mio_server,
    request_of_an_address_is_granted,
    name_is_answered_5b,
    refused_target_and_bind_are_answered_5b,
);

/// Returns `04 CD`, port, address and user id.
fn request(command: u8, target: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(target) = target else {
        panic!("SOCKS4 has IPv4 addresses only")
    };
    let (port, ip) = (target.port().to_be_bytes(), target.ip().octets());
    [&[0x04, command], &port[..], &ip, b"user\0"].concat()
}

/// Returns the same for a name: SOCKS4a.
fn request_name(name: &str, port: u16) -> Vec<u8> {
    let by_name = request(CONNECT, (Ipv4Addr::new(0, 0, 0, 1), port).into());
    [&by_name, name.as_bytes(), b"\0"].concat()
}

fn expect_success(client: &mut Raw) {
    client.expect(b"\x00\x5a");
    client.take::<6>(); // a port and an address, which clients ignore for CONNECT
}

fn expect_refusal(server: &Server, request: &[u8]) {
    let mut client = Raw::connect(server.address);
    client.send(request);
    client.expect(b"\x00\x5b");
    client.take::<6>();
    client.expect_end();
}

/// In one segment with early data, and byte by byte.
fn request_of_an_address_is_granted(driver: &str) {
    let server = Server::open(driver);
    let request = request(CONNECT, target::echo(Ipv4Addr::LOCALHOST));
    let mut client = Raw::connect(server.address);
    client.send(&[&request, &b"early"[..]].concat());
    expect_success(&mut client);
    client.expect(b"early");
    client.end();
    client.expect_end();

    let mut client = Raw::connect(server.address);
    request.iter().for_each(|byte| client.send(&[*byte]));
    expect_success(&mut client);
    client.send(b"late");
    client.expect(b"late");
}

/// SOCKS4a.
fn request_of_a_name_is_granted(driver: &str) {
    let server = Server::open(driver);
    let (target, collected) = target::collect(b"banner");
    let mut client = Raw::connect(server.address);
    client.send(&request_name("localhost", target.port()));
    expect_success(&mut client);
    client.expect(b"banner");
    client.send(b"to the target");
    client.end();
    let received = collected.recv_timeout(PATIENCE).expect("a connection");
    assert_eq!(received, b"to the target");
}

/// 5B, then closed: a target that refuses, and BIND.
fn refused_target_and_bind_are_answered_5b(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request(CONNECT, target::refusing()));
    expect_refusal(&server, &request(BIND, target::refusing()));
}

fn name_that_does_not_resolve_is_answered_5b(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request_name("sans-socks.invalid", 80));
}

/// By a server that does not resolve names.
fn name_is_answered_5b(driver: &str) {
    let server = Server::open(driver);
    expect_refusal(&server, &request_name("localhost", 80));
}

#[test]
fn std_client_speaks_socks4() {
    let Proxied { client, mut control } = Proxied::start("std_client", &["socks4"]);
    control.expect(b"\x04\x01\x00\x07\xc0\x00\x02\x01\x00");
    control.send(b"\x00\x5a\x00\x00\x00\x00\x00\x00");
    std::thread::scope(|scope| {
        scope.spawn(|| control.echo());
        client.expect_echo(b"there and back");
    });
}

#[test]
fn std_client_reports_a_socks4_refusal() {
    let Proxied { client, mut control } = Proxied::start("std_client", &["socks4"]);
    control.send(b"\x00\x5b\x00\x00\x00\x00\x00\x00");
    client.expect_failure("refused");
}

/// A name is sent as SOCKS4a.
#[test]
fn std_client_and_std_server_agree_on_socks4a() {
    let server = Server::open("std_server");
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    client::start("std_client", server.address, &["socks4"], "localhost", port).expect_echo(b"by name");
}
