//! The client drivers under test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::process::{Process, example};
use crate::target;

/// User name and password, or none.
pub(crate) type Login<'a> = Option<(&'a str, &'a str)>;

/// The second proxy of `chain`, for tests that play both.
pub(crate) const SECOND_PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 1080);

pub(crate) fn start(driver: &str, proxy: SocketAddr, login: Login<'_>, host: &str, port: u16) -> Process {
    let mut command = example(driver);
    command.arg(proxy.to_string());
    if driver == "chain" {
        command.arg(SECOND_PROXY.to_string());
    }
    command.args([host, &port.to_string()]);
    if let Some((user, password)) = login {
        command.args([user, password]);
    }
    Process::start(command)
}

/// Fetches 64 MiB. Not an echo: microsocks writes in one direction before it reads in the other, and with both full
/// that is for ever.
pub(crate) fn expect_body(driver: &str, proxy: SocketAddr) {
    let origin = target::http(Ipv4Addr::LOCALHOST);
    let mut client = start(driver, proxy, None, "127.0.0.1", origin.port());
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    while !client.line().is_empty() {}
    client.expect(target::body());
    let end = client.finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert_eq!(end.stdout, b"", "octets that nobody sent");
}

/// It ends with a failure and says why.
#[track_caller]
pub(crate) fn expect_failure(driver: &str, proxy: SocketAddr, login: Login<'_>, port: u16, reason: &str) {
    let end = start(driver, proxy, login, "localhost", port).finish();
    assert!(!end.status.success());
    assert!(end.stderr.contains(reason), "{}", end.stderr);
    assert_eq!(end.stdout, b"");
}
