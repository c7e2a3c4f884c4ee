//! One deadline of 10 s for a whole handshake, whether the peer is silent or sends a byte now and then.
//!
//! Each driver takes 10 s, so all drivers of a kind run at the same time, in one test.

use std::io::Write;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::Proxied;
use crate::process::PATIENCE;
use crate::raw::{CONNECT, Raw, request};
use crate::server::Server;
use crate::target;

///
#[test]
fn slow_client_meets_one_deadline() {
    thread::scope(|scope| {
        for driver in [
            "std_server",
            "tokio_server",
            "mio_server",
            "udp_relay",
            "udp_relay_std",
        ] {
            scope.spawn(move || {
                let server = Server::open(driver);
                thread::scope(|scope| {
                    scope.spawn(|| expect_silent_client_is_closed(&server));
                    scope.spawn(|| expect_slow_client_is_closed(&server));
                });
            });
        }
    });
}

fn expect_silent_client_is_closed(server: &Server) {
    let start = Instant::now();
    let mut silent = Raw::connect(server.address);
    silent.expect_closed();
    assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
}

fn expect_slow_client_is_closed(server: &Server) {
    let start = Instant::now();
    let mut slow = Raw::connect(server.address);
    slow.send(b"\x05\xff");
    let mut trickle = slow.0.try_clone().expect("a second handle");
    let trickle = thread::spawn(move || {
        while start.elapsed() < PATIENCE && trickle.write_all(b"\x80").is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    // 255 bytes would take four minutes.
    slow.expect_closed();
    assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
    drop(slow);
    trickle.join().expect("no panic");
}

/// the deadline is for the handshake. A tunnel outlives it.
#[test]
fn tunnel_has_no_deadline() {
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    let servers = ["std_server", "tokio_server", "mio_server"].map(Server::open);
    let mut tunnels = servers.each_ref().map(|server| {
        let mut tunnel = Raw::greeted(server.address);
        tunnel.send(&request(CONNECT, echo));
        tunnel.expect_success();
        tunnel
    });
    thread::sleep(Duration::from_secs(12));
    for tunnel in &mut tunnels {
        tunnel.send(b"still here");
        tunnel.expect(b"still here");
    }
}

///
#[test]
fn slow_proxy_meets_one_deadline() {
    thread::scope(|scope| {
        for driver in ["std_client", "tokio_client", "bind_client", "chain", "udp_client"] {
            scope.spawn(move || {
                let start = Instant::now();
                let (silent, mut slow) = (Proxied::start(driver, &[]), Proxied::start(driver, &[]));
                slow.control.send(b"\x05\x00\x05\x00\x00\x03\xff");
                while !slow.client.has_ended() {
                    // The client may have closed in between.
                    let _ = slow.control.0.write(b"x");
                    thread::sleep(Duration::from_millis(500));
                }
                slow.client.expect_failure("10 s");
                silent.client.expect_failure("10 s");
                assert!(
                    start.elapsed() >= Duration::from_secs(10),
                    "{:?}",
                    start.elapsed()
                );
            });
        }
    });
}
