//! ncat through the servers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use crate::process::Process;
use crate::server::{PASSWORD, Server, USER};
use crate::{target, tests};

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(tokio_server, ignore = "needs ncat", $($scenario),+, names_are_resolved_by_the_server);
        tests!(std_server, ignore = "needs ncat", $($scenario),+, names_are_resolved_by_the_server);
        tests!(mio_server, ignore = "needs ncat", $($scenario),+);
        tests!(
            proxy,
            ignore = "needs ncat and cargo build -p sans-socks-proxy",
            $($scenario),+, names_are_resolved_by_the_server
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

/// `options` come before the target.
fn ncat(server: &Server, version: &str, options: &[&str], host: &str, port: u16) -> Process {
    let mut command = Command::new("ncat");
    command
        .args(["--proxy", &server.address.to_string(), "--proxy-type", version])
        .args(options)
        .args([host, &port.to_string()]);
    Process::start(command)
}

fn connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    ncat(&server, "socks5", &[], "127.0.0.1", v4).expect_echo(b"by IPv4");
    ncat(&server, "socks5", &[], "::1", v6).expect_echo(b"by IPv6");
}

/// ncat lets the proxy resolve names.
fn names_are_resolved_by_the_server(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    for version in ["socks5", "socks4"] {
        ncat(&server, version, &["--proxy-dns", "remote"], "localhost", port).expect_echo(b"by name");
    }
}

fn right_password_is_accepted(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    let login = format!("{USER}:{PASSWORD}");
    ncat(&server, "socks5", &["--proxy-auth", &login], "127.0.0.1", port).expect_echo(b"let in");
}

fn wrong_password_is_rejected(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    let login = format!("{USER}:wrong");
    ncat(&server, "socks5", &["--proxy-auth", &login], "127.0.0.1", port).expect_failure("auth");
}

fn refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    ncat(&server, "socks5", &[], "127.0.0.1", port).expect_failure("refused");
}

/// VN 04, an address and a user id.
fn socks4_connect_is_relayed(driver: &str) {
    let server = Server::open(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    ncat(&server, "socks4", &["--proxy-auth", "alice"], "127.0.0.1", port).expect_echo(b"by address");
}

/// 5B.
fn socks4_refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    ncat(&server, "socks4", &[], "127.0.0.1", port).expect_failure("Proxy connection failed");
}
