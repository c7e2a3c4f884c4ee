//! PySocks through the servers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use crate::process::{Process, installed};
use crate::server::{PASSWORD, Server, USER, udp_hosts};
use crate::{target, tests};

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(
            tokio_server, ignore = "needs python3 and PySocks",
            $($scenario),+, names_are_resolved_by_the_server, socks4a_connect_is_relayed,
        );
        tests!(
            std_server, ignore = "needs python3 and PySocks",
            $($scenario),+, names_are_resolved_by_the_server, socks4a_connect_is_relayed,
        );
        tests!(mio_server, ignore = "needs python3 and PySocks", $($scenario),+);
        tests!(
            proxy,
            ignore = "needs python3, PySocks and cargo build -p sans-socks-proxy",
            $($scenario),+,
            names_are_resolved_by_the_server,
            socks4a_connect_is_relayed,
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
    ignore = "needs python3 and PySocks",
    datagrams_are_answered
);
tests!(
    udp_relay_std,
    ignore = "needs python3 and PySocks",
    datagrams_are_answered
);

fn pysocks(server: &Server, host: &str, port: u16, login: &[&str]) -> Process {
    start("pysocks.py", &["SOCKS5"], server, host, port, login)
}

fn pysocks4(server: &Server, host: &str, port: u16) -> Process {
    start("pysocks.py", &["SOCKS4"], server, host, port, &["alice"])
}

fn start(script: &str, version: &[&str], server: &Server, host: &str, port: u16, login: &[&str]) -> Process {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", installed("python"))
        .arg(format!("{}/tests/live/{script}", env!("CARGO_MANIFEST_DIR")))
        .args(version)
        .args([server.address.ip().to_string(), server.address.port().to_string()])
        .args([host, &port.to_string()])
        .args(login);
    Process::start(command)
}

fn connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    pysocks(&server, "127.0.0.1", v4, &[]).expect_echo(target::body());
    pysocks(&server, "::1", v6, &[]).expect_echo(b"by IPv6");
}

fn names_are_resolved_by_the_server(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    pysocks(&server, "localhost", port, &[]).expect_echo(b"by name");
}

fn right_password_is_accepted(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    pysocks(&server, "127.0.0.1", port, &[USER, PASSWORD]).expect_echo(b"let in");
}

fn wrong_password_is_rejected(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    pysocks(&server, "127.0.0.1", port, &[USER, "wrong"]).expect_failure("SOCKS5 authentication failed");
    pysocks(&server, "127.0.0.1", port, &[])
        .expect_failure("All offered SOCKS5 authentication methods were rejected");
}

fn refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    pysocks(&server, "127.0.0.1", port, &[]).expect_failure("0x05: Connection refused");
}

/// VN 04, an address and a user id.
fn socks4_connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    pysocks4(&server, "127.0.0.1", port).expect_echo(target::body());
}

/// VN 04, a name and a user id.
fn socks4a_connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    pysocks4(&server, "localhost", port).expect_echo(b"by name");
}

/// 5B.
fn socks4_refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    pysocks4(&server, "127.0.0.1", port).expect_failure("0x5b: Request rejected or failed");
}

/// PySocks sends the name "0" and its port in the request..
fn datagrams_are_answered(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::udp_echo_on_both();
    for host in udp_hosts(driver) {
        start("pysocks_udp.py", &[], &server, host, port, &[USER, PASSWORD]).expect_answers(host, port);
    }
}
