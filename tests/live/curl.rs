//! curl through the server drivers.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use crate::process::{Finished, Process};
use crate::server::{PASSWORD, Server, USER};
use crate::{target, tests};

macro_rules! every_server {
    ($($scenario:ident),+ $(,)?) => {
        tests!(
            tokio_server, ignore = "needs curl",
            $($scenario),+, download_by_name_arrives_whole, socks4a_download_arrives_whole,
        );
        tests!(
            std_server, ignore = "needs curl",
            $($scenario),+, download_by_name_arrives_whole, socks4a_download_arrives_whole,
        );
        tests!(mio_server, ignore = "needs curl", $($scenario),+);
        tests!(
            proxy,
            ignore = "needs curl and cargo build -p sans-socks-proxy",
            $($scenario),+, download_by_name_arrives_whole, socks4a_download_arrives_whole
        );
    };
}

every_server!(
    download_by_address_arrives_whole,
    download_over_ipv6_arrives_whole,
    upload_arrives_whole,
    right_password_is_accepted,
    wrong_password_is_rejected,
    missing_password_is_refused,
    refused_target_is_reported,
    socks4_download_arrives_whole,
    socks4_refused_target_is_reported,
);

/// CURLE_PROXY: the handshake with the proxy failed.
const PROXY_FAILED: i32 = 97;

fn curl(arguments: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    // With `no_proxy` in the environment, these tests would pass without a proxy.
    command.args(["--silent", "--show-error", "--disable", "--noproxy", ""]);
    Process::start({
        command.args(arguments);
        command
    })
    .finish()
}

#[track_caller]
fn expect(end: &Finished, stdout: &[u8]) {
    assert!(end.status.success(), "{:?}: {}", end.status, end.stderr);
    assert!(end.stdout == stdout, "{} bytes", end.stdout.len());
}

#[track_caller]
fn expect_failure(end: &Finished, reason: &str) {
    assert_eq!(end.status.code(), Some(PROXY_FAILED), "{}", end.stderr);
    assert!(end.stderr.contains(reason), "{}", end.stderr);
}

fn url(host: &str, origin: SocketAddr) -> String {
    format!("http://{host}:{}/", origin.port())
}

/// curl resolves the name itself: ATYP 01. 64 MiB.
fn download_by_address_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let url = url("127.0.0.1", target::http(Ipv4Addr::LOCALHOST));
    expect(
        &curl(&["--socks5", &server.address.to_string(), &url]),
        target::body(),
    );
}

/// The server resolves the name: ATYP 03. 64 MiB.
fn download_by_name_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let url = url("localhost", target::http(Ipv4Addr::LOCALHOST));
    expect(
        &curl(&["--socks5-hostname", &server.address.to_string(), &url]),
        target::body(),
    );
}

/// ATYP 04.
fn download_over_ipv6_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let url = url("[::1]", target::http(Ipv6Addr::LOCALHOST));
    for option in ["--socks5", "--socks5-hostname"] {
        expect(
            &curl(&[option, &server.address.to_string(), &url]),
            target::body(),
        );
    }
}

/// 64 MiB in the other direction.
fn upload_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let url = url("127.0.0.1", target::http(Ipv4Addr::LOCALHOST));
    let file = target::body_file().to_string_lossy();
    let proxy = server.address.to_string();
    let end = curl(&[
        "--socks5-hostname",
        &proxy,
        "--header",
        "Expect:",
        "--upload-file",
        &file,
        &url,
    ]);
    expect(&end, b"equal");
}

fn login(password: &str) -> String {
    format!("{USER}:{password}")
}

fn right_password_is_accepted(driver: &str) {
    let server = Server::with_login(driver);
    let url = url("127.0.0.1", target::http(Ipv4Addr::LOCALHOST));
    let proxy = server.address.to_string();
    for option in ["--socks5", "--socks5-hostname"] {
        let end = curl(&[option, &proxy, "--proxy-user", &login(PASSWORD), &url]);
        expect(&end, target::body());
    }
}

fn wrong_password_is_rejected(driver: &str) {
    let server = Server::with_login(driver);
    let url = url("localhost", target::http(Ipv4Addr::LOCALHOST));
    let proxy = server.address.to_string();
    let end = curl(&["--socks5-hostname", &proxy, "--proxy-user", &login("wrong"), &url]);
    expect_failure(&end, "User was rejected by the SOCKS5 server (1 1)");
}

fn missing_password_is_refused(driver: &str) {
    let server = Server::with_login(driver);
    let url = url("localhost", target::http(Ipv4Addr::LOCALHOST));
    let end = curl(&["--socks5-hostname", &server.address.to_string(), &url]);
    expect_failure(&end, "No authentication method was acceptable");
}

fn refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let url = url("127.0.0.1", target::refusing());
    let end = curl(&["--socks5-hostname", &server.address.to_string(), &url]);
    expect_failure(&end, "(5)");
}

/// VN 04, an address.
fn socks4_download_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let url = url("127.0.0.1", target::http(Ipv4Addr::LOCALHOST));
    let end = curl(&["--socks4", &server.address.to_string(), &url]);
    expect(&end, target::body());
}

/// VN 04, a name, and a user id.
fn socks4a_download_arrives_whole(driver: &str) {
    let server = Server::open(driver);
    let url = url("localhost", target::http(Ipv4Addr::LOCALHOST));
    let proxy = server.address.to_string();
    let by_option = curl(&["--socks4a", &proxy, "--proxy-user", "alice:", &url]);
    expect(&by_option, target::body());
    let by_scheme = curl(&["--proxy", &format!("socks4a://alice@{proxy}"), &url]);
    expect(&by_scheme, target::body());
}

/// 5B.
fn socks4_refused_target_is_reported(driver: &str) {
    let server = Server::open(driver);
    let url = url("127.0.0.1", target::refusing());
    let end = curl(&["--socks4", &server.address.to_string(), &url]);
    expect_failure(&end, "(91)");
}
