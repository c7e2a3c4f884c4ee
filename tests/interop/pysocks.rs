//! PySocks through the server drivers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use crate::process::{Process, installed, source};
use crate::server::{PASSWORD, Server, USER};
use crate::target;

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(tokio_server, ignore = "needs python3 and PySocks", $($scenario),+, udp);
        tests!(std_server, ignore = "needs python3 and PySocks", $($scenario),+);
        tests!(mio_server, ignore = "needs python3 and PySocks", $($scenario),+);
    };
}

every_server!(connect, right_password, wrong_password, refused_target);

fn pysocks(server: &Server, host: &str, port: u16, login: &[&str]) -> Process {
    start("pysocks.py", server, host, port, login)
}

fn start(script: &str, server: &Server, host: &str, port: u16, login: &[&str]) -> Process {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", installed("python"))
        .arg(source(script))
        .args([server.address.ip().to_string(), server.address.port().to_string()])
        .args([host, &port.to_string()])
        .args(login);
    Process::start(command)
}

fn connect(driver: &str) {
    let server = Server::open(driver);
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    pysocks(&server, "127.0.0.1", v4, &[]).expect_echo(target::body());
    pysocks(&server, "localhost", v4, &[]).expect_echo(b"by name");
    pysocks(&server, "::1", v6, &[]).expect_echo(b"by IPv6");
}

fn right_password(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    pysocks(&server, "localhost", port, &[USER, PASSWORD]).expect_echo(b"let in");
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
        pysocks(&server, "localhost", port, &[USER, "wrong"]),
        "SOCKS5 authentication failed",
    );
    expect_failure(
        pysocks(&server, "localhost", port, &[]),
        "All offered SOCKS5 authentication methods were rejected",
    );
}

fn refused_target(driver: &str) {
    let server = Server::open(driver);
    let port = target::refusing().port();
    expect_failure(
        pysocks(&server, "localhost", port, &[]),
        "0x05: Connection refused",
    );
}

/// PySocks asks with the name "0" and its port..
fn udp(driver: &str) {
    let server = Server::with_login(driver);
    let port = target::udp_echo_on_both();
    for host in ["127.0.0.1", "::1", "localhost"] {
        start("pysocks_udp.py", &server, host, port, &[USER, PASSWORD]).expect_answers(host, port);
    }
}
