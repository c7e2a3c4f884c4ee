//! `chain` through two servers.

use std::net::Ipv4Addr;

use crate::client::chain;
use crate::process::Process;
use crate::server::Server;
use crate::target;

const SERVERS: [&str; 3] = ["tokio_server", "std_server", "mio_server"];

#[test]
fn tunnel_leads_through_both() {
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    for first in SERVERS {
        for second in SERVERS {
            let (first, second) = (Server::open(first), Server::open(second));
            chain(first.address, second.address, echo).expect_echo(b"through both");
        }
    }
}

#[track_caller]
fn expect_failure(client: Process, reason: &str) {
    let end = client.finish();
    assert_eq!(end.status.code(), Some(1));
    assert!(end.stderr.contains(reason), "{}", end.stderr);
}

#[test]
fn refusal_names_the_hop() {
    let (first, second) = (Server::open("tokio_server"), Server::open("tokio_server"));
    let unused = target::refusing();
    let refused = |proxy| format!("proxy {proxy}: refused: connection refused");
    expect_failure(chain(first.address, unused, unused), &refused(first.address));
    expect_failure(
        chain(first.address, second.address, unused),
        &refused(second.address),
    );
}

/// The second proxy requires a password, and `chain` has none.
#[test]
fn missing_password_names_the_hop() {
    let (first, second) = (Server::open("tokio_server"), Server::with_login("std_server"));
    let reason = format!("proxy {}: no acceptable authentication method", second.address);
    expect_failure(chain(first.address, second.address, target::refusing()), &reason);
}
