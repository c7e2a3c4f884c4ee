//! The client drivers and tor.
//!
//! No tor network is needed. tor refuses private addresses at once, and the tests check its refusal.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Process, scratch, start_on_free_port};
use crate::{client, tests};

tests!(tokio_client, ignore = "needs tor", refusal_is_reported);
tests!(
    std_client,
    ignore = "needs tor",
    refusal_is_reported,
    socks4_refusal_is_reported
);

/// A running tor, with its own directory.
struct Tor {
    _process: Process,
    address: SocketAddr,
    directory: PathBuf,
}

impl Tor {
    fn start() -> Self {
        let mut directory = PathBuf::new();
        let (process, address) = start_on_free_port(|port| {
            directory = scratch().join(format!("tor-{port}"));
            fs::create_dir_all(&directory).expect("a directory of its own");
            // An authority that does not exist: tor connects to no other host.
            let authority = format!("here orport=9 no-v2 127.0.0.1:9 {}", "0".repeat(40));
            let mut command = Command::new("tor");
            command
                .args(["-f", "/nonexistent", "--ignore-missing-torrc", "--quiet"])
                .args(["--defaults-torrc", "/nonexistent"])
                .arg("--DataDirectory")
                .arg(&directory)
                .args(["--SocksPort", &format!("127.0.0.1:{port}")])
                .args(["--DirAuthority", &authority, "--UseDefaultFallbackDirs", "0"]);
            Process::start(command)
        });
        Self {
            _process: process,
            address,
            directory,
        }
    }
}

impl Drop for Tor {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn refusal_is_reported(driver: &str) {
    let tor = Tor::start();
    client::expect_failure(
        driver,
        tor.address,
        &[],
        80,
        "refused: general SOCKS server failure",
    );
}

/// 5B, to an address and to a name.
fn socks4_refusal_is_reported(driver: &str) {
    let tor = Tor::start();
    for host in ["127.0.0.1", "localhost"] {
        client::start(driver, tor.address, &["socks4"], host, 80)
            .expect_failure("refused: request rejected or failed");
    }
}
