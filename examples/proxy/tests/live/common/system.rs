//! What Linux reports, and networks of its own.

use std::env;
use std::fs;
use std::process::Command;

/// A row of /proc/net/tcp: an IPv4 connection or listener.
pub(crate) struct Connection {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// 1: established, 2: dialing.
    pub(crate) state: u8,
    /// 2: keep-alive.
    pub(crate) timer: u8,
}

/// Returns the rows with this port at either end. The table may have many others, such as connections that have ended.
pub(crate) fn tcp_connections(port: u16) -> Vec<Connection> {
    let port = format!(":{port:04X} ");
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let row = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let port = |field: &str| {
            let (_, port) = field.split_once(':').expect("ADDRESS:PORT");
            u16::from_str_radix(port, 16).expect("hexadecimal")
        };
        let number = |field: &str| u8::from_str_radix(&field[..2], 16).expect("hexadecimal");
        Connection {
            local_port: port(fields[1]),
            remote_port: port(fields[2]),
            state: number(fields[3]),
            timer: number(fields[5]),
        }
    };
    table
        .lines()
        .filter(|line| line.contains(&port))
        .map(row)
        .collect()
}

const NAMESPACE: &str = "SANS_SOCKS_TEST_NAMESPACE";

/// Runs a test of this binary in a network namespace, after a shell command has set it up. Returns `false` if this is already
/// in it.
#[track_caller]
pub(crate) fn in_namespace(setup: &str, test: &str) -> bool {
    if env::var_os(NAMESPACE).is_some() {
        return false;
    }
    let script = format!("{setup} && exec \"$0\" --exact --include-ignored \"$1\"");
    let mut command = Command::new("unshare");
    command
        .env(NAMESPACE, "1")
        .args(["--map-root-user", "--net", "sh", "-c", &script])
        .arg(env::current_exe().expect("a test"))
        .arg(test);
    let output = command.output().expect("unshare is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("1 passed"), "{text}{errors}");
    true
}
