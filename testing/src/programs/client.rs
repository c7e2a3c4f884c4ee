//! The client drivers under test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::process::{Process, example};
use super::target;

/// The address of the second proxy of `chain`, for tests that act as both proxies.
pub const SECOND_PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 1080);

/// Starts a driver. `login` ends its command line: user name and password, `socks4`, or nothing.
pub fn start(driver: &str, proxy: SocketAddr, login: &[&str], host: &str, port: u16) -> Process {
    let mut command = example(driver);
    command.arg(proxy.to_string());
    if driver == "chain" {
        command.arg(SECOND_PROXY.to_string());
    }
    command.args([host, &port.to_string()]).args(login);
    Process::start(command)
}

/// Starts `chain` to the target through both proxies.
pub fn chain(first: SocketAddr, second: SocketAddr, target: SocketAddr) -> Process {
    let mut command = example("chain");
    command.args([first, second].map(|proxy| proxy.to_string()));
    command.args([target.ip().to_string(), target.port().to_string()]);
    Process::start(command)
}

/// Fetches 64 MiB.
///
/// An echo would not do: microsocks writes in one direction before it reads in the other, and blocks for ever when both
/// are full.
pub fn expect_body(driver: &str, proxy: SocketAddr, login: &[&str]) {
    let origin = target::http(Ipv4Addr::LOCALHOST);
    let mut client = start(driver, proxy, login, "127.0.0.1", origin.port());
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    while !client.line().is_empty() {}
    client.expect(target::body());
    let end = client.finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert_eq!(end.stdout, b"", "unexpected bytes");
}

/// Expects a failure, with its reason on stderr.
#[track_caller]
pub fn expect_failure(driver: &str, proxy: SocketAddr, login: &[&str], port: u16, reason: &str) {
    start(driver, proxy, login, "localhost", port).expect_failure(reason);
}
