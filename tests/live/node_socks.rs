//! The npm package `socks` through the servers.

use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::process::Command;
use std::thread;

use crate::process::{Process, installed};
use crate::raw::Raw;
use crate::server::{PASSWORD, Server, USER, udp_hosts};
use crate::{target, tests};

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(
            tokio_server, ignore = "needs node and its package socks",
            $($scenario),+, names_are_resolved_by_the_server, bind_is_refused,
        );
        tests!(
            std_server, ignore = "needs node and its package socks",
            $($scenario),+, names_are_resolved_by_the_server, bind_is_refused,
        );
        tests!(mio_server, ignore = "needs node and its package socks", $($scenario),+, bind_is_refused);
        tests!(
            proxy,
            ignore = "needs node, its package socks and cargo build -p sans-socks-proxy",
            $($scenario),+,
            names_are_resolved_by_the_server,
            bind_has_two_replies_and_data,
            socks4_bind_has_two_replies_and_data,
            datagrams_are_answered,
        );
    };
}

every_server!(
    connect_is_relayed,
    right_password_is_accepted,
    wrong_password_is_rejected,
    refused_target_is_reported,
    socks4_connect_is_relayed,
    socks4_refused_target_is_reported,
);
tests!(
    udp_relay,
    ignore = "needs node and its package socks",
    datagrams_are_answered
);
tests!(
    udp_relay_std,
    ignore = "needs node and its package socks",
    datagrams_are_answered
);

fn node(server: &Server, command: &str, host: &str, port: u16, login: &[&str]) -> Process {
    start(server, "5", command, host, port, login)
}

fn node4(server: &Server, command: &str, host: &str, port: u16) -> Process {
    start(server, "4", command, host, port, &["alice"])
}

fn start(server: &Server, version: &str, command: &str, host: &str, port: u16, login: &[&str]) -> Process {
    let mut node = Command::new("node");
    node.env("NODE_PATH", installed("node_modules"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/node_socks.cjs"))
        .args([version, command])
        .args([server.address.ip().to_string(), server.address.port().to_string()])
        .args([host, &port.to_string()])
        .args(login);
    Process::start(node)
}

fn connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    node(&server, "connect", "127.0.0.1", v4, &[]).expect_echo(target::body());
    node(&server, "connect", "::1", v6, &[]).expect_echo(b"by IPv6");
}

fn names_are_resolved_by_the_server(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    node(&server, "connect", "localhost", port, &[]).expect_echo(b"by name");
    node4(&server, "connect", "localhost", port).expect_echo(b"by name, SOCKS4a");
}

fn right_password_is_accepted(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    node(&server, "connect", "127.0.0.1", port, &[USER, PASSWORD]).expect_echo(b"let in");
}

fn wrong_password_is_rejected(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    node(&server, "connect", "127.0.0.1", port, &[USER, "wrong"])
        .expect_failure("Socks5 Authentication failed");
}

fn refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    node(&server, "connect", "127.0.0.1", port, &[])
        .expect_failure("Socks5 proxy rejected connection - ConnectionRefused");
}

/// VN 04, an address and a user id.
fn socks4_connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    node4(&server, "connect", "127.0.0.1", port).expect_echo(target::body());
}

/// 5B.
fn socks4_refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    node4(&server, "connect", "127.0.0.1", port)
        .expect_failure("Socks4 Proxy rejected connection - (Failed)");
}

/// R-041..R-043: both replies, and the bytes that the peer sends at once.
fn bind_has_two_replies_and_data(driver: &str) {
    let server = Server::open(driver);
    expect_bind(node(&server, "bind", "0.0.0.0", 0, &[]));
}

/// Both replies of SOCKS4.
fn socks4_bind_has_two_replies_and_data(driver: &str) {
    let server = Server::open(driver);
    expect_bind(node4(&server, "bind", "0.0.0.0", 0));
}

fn expect_bind(mut client: Process) {
    let bound = client.line();
    let bound = bound.strip_prefix("bound ").expect("the first reply's address");
    let mut peer = Raw::over(TcpStream::connect(bound).expect("it listens"));
    peer.send(b"from the peer\n");
    let peer_address = peer.0.local_addr().expect("connected");
    assert_eq!(client.line(), format!("peer {peer_address}"));
    assert_eq!(client.line(), "from the peer");
    let peer = thread::spawn(move || peer.echo());
    client.expect_echo(b"from the client");
    peer.join().expect("no panic");
}

fn bind_is_refused(driver: &str) {
    let server = Server::open(driver);
    node(&server, "bind", "0.0.0.0", 0, &[])
        .expect_failure("Socks5 proxy rejected connection - CommandNotSupported");
}

///
fn datagrams_are_answered(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::udp_echo_on_both();
    for host in udp_hosts(driver) {
        node(&server, "associate", host, port, &[USER, PASSWORD]).expect_answers(host, port);
    }
}
