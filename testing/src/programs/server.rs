//! The servers under test: the drivers, and `proxy`, which is `examples/proxy`.

use std::net::SocketAddr;
use std::process::Command;

use super::process::{Process, built, example};

/// The user name that servers with a login accept.
pub const USER: &str = "alice";
/// Its password.
pub const PASSWORD: &str = "correct horse";

/// A server that listens.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server itself.
    pub process: Process,
}

impl Server {
    /// Starts a server that accepts every client, including those of SOCKS4.
    pub fn open(name: &str) -> Self {
        Self::on(name, "127.0.0.1:0")
    }

    /// Starts a server that accepts clients with [`USER`] and [`PASSWORD`].
    pub fn with_login(name: &str) -> Self {
        let mut command = listening(name, "127.0.0.1:0");
        match name {
            "proxy" => command.args(["--user", USER, "--password", PASSWORD]),
            _ => command.args([USER, PASSWORD]),
        };
        Self::run(command)
    }

    /// Starts a server that accepts every client, on an address that the test chooses.
    pub fn on(name: &str, listen: &str) -> Self {
        let mut command = listening(name, listen);
        if name == "proxy" {
            command.arg("--socks4");
        }
        Self::run(command)
    }

    /// Starts a server that accepts every client, and can have at most `limit` files open.
    #[cfg(target_os = "linux")]
    pub fn with_descriptors(name: &str, limit: u32) -> Self {
        let server = listening(name, "127.0.0.1:0");
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--nofile={limit}:"))
            .arg(server.get_program())
            .args(server.get_args());
        Self::run(command)
    }

    /// Starts a server that accepts every client, and cannot write to stderr.
    #[cfg(target_os = "linux")]
    pub fn without_stderr(name: &str) -> Self {
        let server = listening(name, "127.0.0.1:0");
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec "$0" "$@" 2>/dev/full"#])
            .arg(server.get_program())
            .args(server.get_args());
        Self::run(command)
    }

    fn run(command: Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line();
        let address = line
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("{line:?} does not contain the address"));
        Self { address, process }
    }
}

fn listening(name: &str, address: &str) -> Command {
    let mut command = match name {
        "proxy" => built("sans-socks-proxy", "cargo build -p sans-socks-proxy"),
        _ => example(name),
    };
    if name == "proxy" {
        command.arg("--listen");
    }
    command.arg(address);
    command
}

/// Returns the hosts to which a server relays datagrams. `udp_relay` and `udp_relay_std` support only IPv4, and
/// `udp_relay` does not resolve names.
pub fn udp_hosts(name: &str) -> &'static [&'static str] {
    match name {
        "udp_relay" => &["127.0.0.1"],
        "udp_relay_std" => &["127.0.0.1", "localhost"],
        _ => &["127.0.0.1", "::1", "localhost"],
    }
}
