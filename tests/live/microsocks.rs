//! The client drivers through microsocks.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use crate::client;
use crate::process::{Process, start_on_free_port};
use crate::{target, tests};

macro_rules! every_client {
    ($($scenario:ident),+ $(,)?) => {
        tests!(tokio_client, ignore = "needs microsocks", $($scenario),+);
        tests!(std_client, ignore = "needs microsocks", $($scenario),+);
    };
}

every_client!(
    connect_is_relayed,
    right_password_is_accepted,
    wrong_password_is_rejected,
    refused_target_is_reported
);

const LOGIN: &[&str] = &["alice", "secret"];

fn microsocks(login: &[&str]) -> (Process, SocketAddr) {
    start_on_free_port(|port| {
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
        if let [user, password] = login {
            command.args(["-u", user, "-P", password]);
        }
        Process::start(command)
    })
}

fn connect_is_relayed(driver: &str) {
    let (_microsocks, proxy) = microsocks(&[]);
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    client::expect_body(driver, proxy, &[]);
    client::start(driver, proxy, &[], "127.0.0.1", v4).expect_echo(b"by IPv4");
    client::start(driver, proxy, &[], "localhost", v4).expect_echo(b"by name");
    client::start(driver, proxy, &[], "::1", v6).expect_echo(b"by IPv6");
}

fn right_password_is_accepted(driver: &str) {
    let (_microsocks, proxy) = microsocks(LOGIN);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    client::start(driver, proxy, LOGIN, "localhost", port).expect_echo(b"let in");
}

/// for a client without a password.
fn wrong_password_is_rejected(driver: &str) {
    let (_microsocks, proxy) = microsocks(LOGIN);
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    client::expect_failure(driver, proxy, &["alice", "wrong"], port, "rejected");
    client::expect_failure(driver, proxy, &[], port, "no acceptable authentication method");
}

#[test]
#[ignore = "needs microsocks"]
fn chain_leads_through_two() {
    let (_first, first) = microsocks(&[]);
    let (_second, second) = microsocks(&[]);
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    client::chain(first, second, echo).expect_echo(b"through both");
}

fn refused_target_is_reported(driver: &str) {
    let (_microsocks, proxy) = microsocks(&[]);
    client::expect_failure(
        driver,
        proxy,
        &[],
        target::refusing().port(),
        "refused: connection refused",
    );
}
