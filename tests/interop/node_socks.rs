//! The npm package `socks` through the server drivers.

use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::process::Command;
use std::thread;

use crate::process::{Process, installed, source};
use crate::raw::Raw;
use crate::server::{PASSWORD, Server, USER};
use crate::target;

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(tokio_server, ignore = "needs node and its package socks", $($scenario),+, bind, udp);
        tests!(std_server, ignore = "needs node and its package socks", $($scenario),+, bind);
        tests!(mio_server, ignore = "needs node and its package socks", $($scenario),+, bind_is_refused);
    };
}

every_server!(connect, right_password, wrong_password, refused_target);

fn node(server: &Server, command: &str, host: &str, port: u16, login: &[&str]) -> Process {
    let mut node = Command::new("node");
    node.env("NODE_PATH", installed("node_modules"))
        .arg(source("node_socks.cjs"))
        .arg(command)
        .args([server.address.ip().to_string(), server.address.port().to_string()])
        .args([host, &port.to_string()])
        .args(login);
    Process::start(node)
}

fn connect(driver: &str) {
    let server = Server::open(driver);
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    node(&server, "connect", "127.0.0.1", v4, &[]).expect_echo(target::body());
    node(&server, "connect", "localhost", v4, &[]).expect_echo(b"by name");
    node(&server, "connect", "::1", v6, &[]).expect_echo(b"by IPv6");
}

fn right_password(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    node(&server, "connect", "localhost", port, &[USER, PASSWORD]).expect_echo(b"let in");
}

#[track_caller]
fn expect_failure(process: Process, reason: &str) {
    let end = process.finish();
    assert!(!end.status.success());
    assert!(end.stderr.contains(reason), "{}", end.stderr);
}

fn wrong_password(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    expect_failure(
        node(&server, "connect", "localhost", port, &[USER, "wrong"]),
        "Socks5 Authentication failed",
    );
}

fn refused_target(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    expect_failure(
        node(&server, "connect", "localhost", port, &[]),
        "Socks5 proxy rejected connection - ConnectionRefused",
    );
}

/// R-041..R-043: both replies, and what the peer sends at once.
fn bind(driver: &str) {
    let server = Server::open(driver);
    let mut client = node(&server, "bind", "0.0.0.0", 0, &[]);
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
    expect_failure(
        node(&server, "bind", "0.0.0.0", 0, &[]),
        "Socks5 proxy rejected connection - CommandNotSupported",
    );
}

///
fn udp(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::udp_echo_on_both();
    for host in ["127.0.0.1", "::1", "localhost"] {
        node(&server, "associate", host, port, &[USER, PASSWORD]).expect_answers(host, port);
    }
}
