//! The client drivers and `ssh -D`, which is a SOCKS server.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Process, scratch, start_on_free_port};
use crate::{client, target, tests};

tests!(
    tokio_client,
    ignore = "needs ssh, and sshd with /run/sshd",
    connect_is_relayed
);
tests!(
    std_client,
    ignore = "needs ssh, and sshd with /run/sshd",
    connect_is_relayed,
    socks4_connect_is_relayed
);

/// A client and a server of ssh, with their own keys.
struct Ssh {
    address: SocketAddr,
    directory: PathBuf,
    _client: Process,
    _server: Process,
}

impl Ssh {
    fn start() -> Self {
        let mut directory = PathBuf::new();
        let (server, sshd) = start_on_free_port(|port| {
            directory = scratch().join(format!("ssh-{port}"));
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).expect("a directory of its own");
            make_key(&directory.join("key"));
            start_server(&directory, port)
        });
        let (client, address) = start_on_free_port(|port| start_client(&directory, sshd, port));
        Self {
            address,
            directory,
            _client: client,
            _server: server,
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// One key identifies the server, and authenticates the client.
fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen");
}

fn start_server(directory: &Path, port: u16) -> Process {
    let key = directory.join("key");
    let mut command = Command::new("/usr/sbin/sshd"); // it must be started by an absolute path
    command.args(["-D", "-e", "-f", "/dev/null", "-h"]).arg(&key);
    for option in [
        &format!("ListenAddress=127.0.0.1:{port}"),
        &format!("AuthorizedKeysFile={}.pub", key.display()),
        "PidFile=none",
        "StrictModes=no",
        "UsePAM=no",
    ] {
        command.args(["-o", option]);
    }
    Process::start(command)
}

fn start_client(directory: &Path, sshd: SocketAddr, port: u16) -> Process {
    let mut command = Command::new("ssh");
    command
        .args(["-F", "none", "-N", "-D", &format!("127.0.0.1:{port}"), "-i"])
        .arg(directory.join("key"))
        .args(["-p", &sshd.port().to_string(), "127.0.0.1"]);
    for option in [
        "BatchMode=yes",
        "ExitOnForwardFailure=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    ] {
        command.args(["-o", option]);
    }
    Process::start(command)
}

fn connect_is_relayed(driver: &str) {
    let ssh = Ssh::start();
    let v4 = target::echo(Ipv4Addr::LOCALHOST).port();
    let v6 = target::echo(Ipv6Addr::LOCALHOST).port();
    client::expect_body(driver, ssh.address, &[]);
    client::start(driver, ssh.address, &[], "127.0.0.1", v4).expect_echo(b"by IPv4");
    client::start(driver, ssh.address, &[], "localhost", v4).expect_echo(b"by name");
    client::start(driver, ssh.address, &[], "::1", v6).expect_echo(b"by IPv6");
}

/// An address, and a name as SOCKS4a.
fn socks4_connect_is_relayed(driver: &str) {
    let ssh = Ssh::start();
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    client::expect_body(driver, ssh.address, &["socks4"]);
    client::start(driver, ssh.address, &["socks4"], "127.0.0.1", port).expect_echo(b"by address");
    client::start(driver, ssh.address, &["socks4"], "localhost", port).expect_echo(b"by name");
}
