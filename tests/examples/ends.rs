//! Connections and associations that have ended leave no socket.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use crate::process::{Process, wait_until};
use crate::raw::{
    Association, CONNECT, Raw, UDP_ASSOCIATE, expect_nothing, failure, header, receive, request, udp,
    udp_on_released,
};
use crate::server::Server;
use crate::{target, tests};

tests!(
    tokio_server,
    descriptors_are_closed_after_every_end,
    refusals_without_stderr_end_nothing_else
);
tests!(
    std_server,
    descriptors_are_closed_after_every_end,
    refusals_without_stderr_end_nothing_else
);
tests!(
    mio_server,
    descriptors_are_closed_after_every_end,
    refusals_without_stderr_end_nothing_else
);
tests!(
    udp_relay,
    association_that_is_ended_closes_its_sockets,
    association_that_is_reset_closes_its_sockets
);
tests!(
    udp_relay_std,
    association_that_is_ended_closes_its_sockets,
    association_that_is_reset_closes_its_sockets
);

/// Returns how many sockets a process has.
pub(crate) fn sockets(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id()))
        .expect("the process runs")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// A server whose writes to stderr fail still refuses and serves.
fn refusals_without_stderr_end_nothing_else(driver: &str) {
    let server = Server::without_stderr(driver);
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    for _ in 0..3 {
        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, target::refusing()));
        client.expect(&failure(5));
        client.expect_end();

        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, echo));
        client.expect_success();
    }
}

/// After tunnels that each side ended, refusals, and clients that sent nothing.
fn descriptors_are_closed_after_every_end(driver: &str) {
    let server = Server::open(driver);
    let before = sockets(&server.process);
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    for _ in 0..10 {
        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, echo));
        client.expect_success();
        client.end();
        client.expect_end();

        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, echo));
        client.expect_success();
        client.send(b"never read");
        drop(client);

        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, target::refusing()));
        drop(client);

        drop(Raw::connect(server.address));
    }
    wait_until("the end of every connection", || {
        sockets(&server.process) == before
    });
}

/// no more datagrams are relayed, and the port is free. `end` ends the control connection.
fn expect_end_of_association(
    driver: &str,
    relay: impl FnOnce(&mut Raw) -> SocketAddr,
    end: impl FnOnce(Raw),
) {
    let server = Server::open(driver);
    let before = sockets(&server.process);
    let mut control = Raw::greeted(server.address);
    control.send(&request(UDP_ASSOCIATE, (Ipv4Addr::UNSPECIFIED, 0).into()));
    let relay = relay(&mut control);
    let association = Association { control, relay };
    let (client, target) = (udp(Ipv4Addr::LOCALHOST), udp(Ipv4Addr::LOCALHOST));
    let to_target = header(0x00, target.local_addr().expect("bound"));
    association.send(&client, &[&to_target, b"before"]);
    let (_, outer) = receive(&target);
    // Neither a fragment nor a name that does not resolve keeps anything in use.
    association.send(&client, &[&header(0x01, nowhere()), b"piece"]);
    association.send(&client, &[b"\0\0\0\x03\x12sans-socks.invalid\0\x35", b"lost"]);
    end(association.control);
    wait_until("the end of the association", || {
        sockets(&server.process) == before
    });

    let _ = client.send_to(&[&to_target[..], b"after"].concat(), relay);
    let _ = target.send_to(b"answer", outer);
    expect_nothing(&target);
    for port in [relay, outer] {
        drop(udp_on_released(port));
    }
    expect_nothing(&client);
}

/// The target of datagrams that must not arrive.
fn nowhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9).into()
}

///
fn association_that_is_ended_closes_its_sockets(driver: &str) {
    expect_end_of_association(driver, Raw::expect_success, |mut control| {
        control.end();
        control.expect_end();
    });
}

///
fn association_that_is_reset_closes_its_sockets(driver: &str) {
    let peek = |control: &mut Raw| {
        let mut reply = [0; 10];
        wait_until("the reply", || control.0.peek(&mut reply).expect("a reply") == 10);
        SocketAddr::from(([127, 0, 0, 1], u16::from_be_bytes([reply[8], reply[9]])))
    };
    // Closing with unread input makes the system send a reset.
    expect_end_of_association(driver, peek, drop);
}
