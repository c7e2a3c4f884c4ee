//! The client drivers through Dante's danted.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, thread};

use crate::client;
use crate::process::{Process, scratch, start_on_free_port};
use crate::raw::Raw;
use crate::{target, tests};

tests!(
    tokio_client,
    ignore = "needs danted, run as root, and a system user",
    connect_is_relayed,
    proxy_on_ipv6_is_reached,
    refused_target_is_reported,
    name_that_does_not_resolve_is_reported,
    right_password_is_accepted,
    wrong_password_is_rejected,
);
tests!(
    std_client,
    ignore = "needs danted, run as root, and a system user",
    connect_is_relayed,
    proxy_on_ipv6_is_reached,
    refused_target_is_reported,
    name_that_does_not_resolve_is_reported,
    right_password_is_accepted,
    wrong_password_is_rejected,
    socks4_connect_is_relayed,
    socks4_refusal_is_reported,
    socks4a_is_refused,
);

tests!(
    bind_client,
    ignore = "needs danted, run as root, and a system user",
    bind_has_two_replies_and_data
);
tests!(
    udp_client,
    ignore = "needs danted, run as root, and a system user",
    datagrams_are_answered
);

/// The environment variable with `USER:PASSWORD` of a system user, whom danted authenticates.
const LOGIN: &str = "SANS_SOCKS_DANTED_LOGIN";

/// A running danted. After a signal it ends its children itself.
struct Danted {
    process: Process,
    address: SocketAddr,
    directory: PathBuf,
}

impl Danted {
    fn start() -> Self {
        let template = include_str!("danted.conf.in");
        let mut directory = PathBuf::new();
        let (process, address) = start_on_free_port(|port| {
            directory = scratch().join(format!("danted-{port}"));
            fs::create_dir_all(&directory).expect("a directory of its own");
            let configuration = directory.join("danted.conf");
            let text = template
                .replace("@DIR@", &directory.to_string_lossy())
                .replace("@PORT@", &port.to_string());
            fs::write(&configuration, text).expect("its configuration");
            let mut command = Command::new("danted");
            command.arg("-f").arg(configuration);
            Process::start(command)
        });
        Self {
            process,
            address,
            directory,
        }
    }
}

impl Drop for Danted {
    fn drop(&mut self) {
        self.process.terminate();
        if thread::panicking() {
            let log = fs::read_to_string(self.directory.join("danted.log"));
            eprintln!("--- danted.log\n{}---", log.unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Returns the system user that danted authenticates, and its password.
fn with_login(test: impl FnOnce(&str, &str)) {
    let login = env::var(LOGIN)
        .unwrap_or_else(|_| panic!("{LOGIN} must be USER:PASSWORD of a system user; see .ci/run"));
    let (user, password) = login.split_once(':').expect("USER:PASSWORD");
    test(user, password);
}

fn connect_is_relayed(driver: &str) {
    let danted = Danted::start();
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    client::expect_body(driver, danted.address, &[]);
    client::start(driver, danted.address, &[], "127.0.0.1", v4).expect_echo(b"by IPv4");
    client::start(driver, danted.address, &[], "localhost", v4).expect_echo(b"by name");
    client::start(driver, danted.address, &[], "::1", v6).expect_echo(b"by IPv6");
}

fn proxy_on_ipv6_is_reached(driver: &str) {
    let danted = Danted::start();
    let proxy = (Ipv6Addr::LOCALHOST, danted.address.port()).into();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    client::start(driver, proxy, &[], "::1", v6).expect_echo(b"by IPv6");
}

fn refused_target_is_reported(driver: &str) {
    let danted = Danted::start();
    client::expect_failure(
        driver,
        danted.address,
        &[],
        target::refusing().port(),
        "refused: connection refused",
    );
}

/// danted returns the name in its refusal.
fn name_that_does_not_resolve_is_reported(driver: &str) {
    let danted = Danted::start();
    let end = client::start(driver, danted.address, &[], "sans-socks.invalid", 80).finish();
    assert!(!end.status.success());
    assert!(end.stderr.contains("refused: host unreachable"), "{}", end.stderr);
}

fn right_password_is_accepted(driver: &str) {
    let danted = Danted::start();
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    with_login(|user, password| {
        client::start(driver, danted.address, &[user, password], "localhost", port).expect_echo(b"let in");
    });
}

/// danted serves both versions on one port.
fn socks4_connect_is_relayed(driver: &str) {
    let danted = Danted::start();
    client::expect_body(driver, danted.address, &["socks4"]);
}

/// 5B.
const SOCKS4_REFUSAL: &str = "refused: request rejected or failed";

fn socks4_refusal_is_reported(driver: &str) {
    let danted = Danted::start();
    let port = target::refusing().port();
    client::start(driver, danted.address, &["socks4"], "127.0.0.1", port).expect_failure(SOCKS4_REFUSAL);
}

/// for a name, danted connects to 0.0.0.1, although it could reach the target.
fn socks4a_is_refused(driver: &str) {
    let danted = Danted::start();
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    client::start(driver, danted.address, &["socks4"], "localhost", port).expect_failure(SOCKS4_REFUSAL);
}

///
fn wrong_password_is_rejected(driver: &str) {
    let danted = Danted::start();
    with_login(|user, _| {
        client::expect_failure(driver, danted.address, &[user, "wrong"], 80, "rejected");
    });
}

/// R-041..R-043: danted sends the second reply and the peer's first bytes in one segment.
fn bind_has_two_replies_and_data(driver: &str) {
    let danted = Danted::start();
    let mut client = client::start(driver, danted.address, &[], "127.0.0.1", 0);
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

///
fn datagrams_are_answered(driver: &str) {
    let danted = Danted::start();
    let port = target::udp_echo_on_both();
    for host in ["127.0.0.1", "localhost"] {
        let mut client = client::start(driver, danted.address, &[], host, port);
        for line in ["one", "two", &"long ".repeat(1_000)] {
            client.send(format!("{line}\n").as_bytes());
            client.expect(format!("{line}\n").as_bytes());
        }
        let end = client.finish();
        assert!(end.status.success(), "{}", end.stderr);
        assert_eq!(end.stdout, b"", "answers that nobody sent");
    }
}
