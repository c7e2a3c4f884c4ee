//! The server drivers under test.

use std::net::SocketAddr;
use std::process::Command;

use crate::process::{Process, example};

/// What the servers let in where they ask for credentials.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "correct horse";

/// A server driver that is listening.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

/// The drivers whose command line is `[LISTEN] [USER PASSWORD]`. The others take options.
const THIN: [&str; 2] = ["udp_relay", "udp_relay_std"];

impl Server {
    /// Lets everyone in.
    pub(crate) fn open(driver: &str) -> Self {
        Self::on(driver, "127.0.0.1:0")
    }

    /// Lets in who knows [`USER`] and [`PASSWORD`].
    pub(crate) fn with_login(driver: &str) -> Self {
        let mut command = listening(driver, "127.0.0.1:0");
        match THIN.contains(&driver) {
            true => command.args([USER, PASSWORD]),
            false => command.args(["--user", USER, "--password", PASSWORD]),
        };
        Self::run(command)
    }

    pub(crate) fn start(driver: &str, options: &[&str]) -> Self {
        let mut command = listening(driver, "127.0.0.1:0");
        command.args(options);
        Self::run(command)
    }

    /// Lets everyone in, on an address of the test's choice.
    pub(crate) fn on(driver: &str, listen: &str) -> Self {
        Self::run(listening(driver, listen))
    }

    /// Lets everyone in, and can have so many files open and no more.
    #[cfg(target_os = "linux")]
    pub(crate) fn with_descriptors(driver: &str, limit: u32) -> Self {
        let server = listening(driver, "127.0.0.1:0");
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--nofile={limit}:"))
            .arg(server.get_program())
            .args(server.get_args());
        Self::run(command)
    }

    /// Lets everyone in, and has one heap for all its threads: what one of them lets go, another can use. So what it
    /// needs does not depend on which thread had the connections.
    #[cfg(target_os = "linux")]
    pub(crate) fn with_one_heap(driver: &str) -> Self {
        let mut command = listening(driver, "127.0.0.1:0");
        command.env("MALLOC_ARENA_MAX", "1");
        Self::run(command)
    }

    fn run(command: Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line();
        let address = line
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("{line:?} does not tell the address"));
        Self { address, process }
    }
}

fn listening(driver: &str, address: &str) -> Command {
    let mut command = example(driver);
    if !THIN.contains(&driver) {
        command.arg("--listen");
    }
    command.arg(address);
    command
}
