//! Limits on connections, time and guesses.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{CONNECT, LOCALHOST, Names, Program, Proxy, Raw, accept, eventually, listener};

#[test]
fn connections_of_one_address_are_limited() {
    let proxy = Proxy::start(&["--max-per-client", "3"]);
    let mut held: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    assert!(!Raw::connect(proxy.address).is_served());
    assert!(
        Raw::connect_from([127, 0, 0, 2], proxy.address).is_served(),
        "another address"
    );
    held.pop();
    eventually("the slot is free again", || {
        Raw::connect(proxy.address).is_served()
    });
}

#[test]
fn connections_in_all_are_limited() {
    let proxy = Proxy::start(&["--max-connections", "3"]);
    let mut held: Vec<_> = (1..=3)
        .map(|host| Raw::connect_from([127, 0, 0, host], proxy.address).greet())
        .collect();
    let another: IpAddr = [127, 0, 0, 9].into();
    assert!(!Raw::connect_from(another, proxy.address).is_served());
    held.pop();
    eventually("the slot is free again", || {
        Raw::connect_from(another, proxy.address).is_served()
    });
}

#[test]
fn tunnel_counts_until_it_ends() {
    let proxy = Proxy::start(&["--max-per-client", "1"]);
    let (target, address) = listener();
    let client = proxy.client().tunnel(address);
    let far = accept(&target);
    assert!(!Raw::connect(proxy.address).is_served());
    drop((client, far));
    eventually("the slot is free again", || {
        Raw::connect(proxy.address).is_served()
    });
}

/// 300 connections of one address, with 256 descriptors for all. Those above the limit are closed.
#[test]
fn connections_above_the_limit_hold_no_descriptors() {
    let program = Program::with_descriptors(256, &["--max-per-client", "100"]);
    let _silent: Vec<_> = (0..300).map(|_| Raw::connect(program.address)).collect();
    Raw::connect_from([127, 0, 0, 2], program.address).greet();
}

/// The deadline applies before the first byte, after the greeting, and to bytes that arrive slowly.
#[test]
fn handshake_ends_at_its_deadline() {
    let proxy = Proxy::start(&["--handshake-timeout", "3"]);
    let start = Instant::now();
    let mut silent = Raw::connect(proxy.address);
    let mut half = proxy.client();
    let mut slow = Raw::connect(proxy.address);
    slow.send(&[5, 255]); // at the pace below, 255 methods take 12 s
    slow.0
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a duration");
    let end = loop {
        let _ = slow.0.write_all(&[1]);
        match slow.0.read(&mut [0]).map_err(|error| error.kind()) {
            Err(io::ErrorKind::WouldBlock) => {
                assert!(
                    start.elapsed() < Duration::from_secs(10),
                    "a byte moves the deadline"
                );
            }
            end => break end,
        }
    };
    assert!(
        matches!(end, Ok(0) | Err(io::ErrorKind::ConnectionReset)),
        "{end:?}"
    );
    silent.expect_end();
    half.expect_end();
    let elapsed = start.elapsed();
    assert!((3..10).contains(&elapsed.as_secs()), "{elapsed:?}");
}

/// The deadline of the handshake does not cut off a request that takes longer: both replies are sent after it.
#[test]
fn reply_is_sent_after_the_deadline_of_the_handshake() {
    let names = Names(|name: &str| {
        thread::sleep(Duration::from_secs(4));
        match name {
            "name.test" => Ok(vec![LOCALHOST]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    });
    let proxy = Proxy::with_resolver(&["--handshake-timeout", "3"], names);
    let (_target, address) = listener();
    let (mut granted, mut refused) = (proxy.client(), proxy.client());
    granted.request(CONNECT, ("name.test", address.port()));
    refused.request(CONNECT, ("unknown.test", address.port()));
    granted.expect_success();
    refused.expect_refusal(4);
}

/// Without the limit, a guess in each millisecond would be possible.
#[test]
fn wrong_passwords_are_slowed_down() {
    let proxy = Proxy::start(&["--user", "alice", "--password", "secret"]);
    let start = Instant::now();
    let mut guesses = 0;
    while start.elapsed() < Duration::from_secs(4) {
        assert_eq!(Raw::connect(proxy.address).log_in("guess1"), 1);
        guesses += 1;
    }
    assert!((4..=8).contains(&guesses), "{guesses} guesses in 4 s");
    // Another address is served at once. The right password is also accepted from the slow address, after the delay.
    let start = Instant::now();
    let another = Raw::connect_from([127, 0, 0, 2], proxy.address);
    assert_eq!(another.log_in("secret"), 0);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(Raw::connect(proxy.address).log_in("secret"), 0);
}

/// Parallel guesses are not faster.
#[test]
fn parallel_guesses_wait_for_each_other() {
    let proxy = Proxy::start(&[
        "--user",
        "alice",
        "--password",
        "secret",
        "--handshake-timeout",
        "4",
    ]);
    for _ in 0..3 {
        assert_eq!(Raw::connect(proxy.address).log_in("guess1"), 1);
    }
    let start = Instant::now();
    let mut clients: Vec<_> = (0..30).map(|_| Raw::connect(proxy.address)).collect();
    for client in &mut clients {
        client.send(&[&[5, 1, 2, 1, 5][..], b"alice", &[6], b"guess2"].concat());
        client.expect(&[5, 2]);
    }
    // Guesses whose turn would be after their deadline are rejected at once, without a check.
    for mut client in clients {
        client
            .0
            .set_read_timeout(Some(Duration::from_secs(15)))
            .expect("a duration");
        client.expect(&[1, 1]);
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

/// Wrong methods, wrong passwords and malformed messages cost a proxy little, and leave no resources in use.
#[test]
fn refusals_before_login_leave_nothing() {
    let program =
        Program::with_one_worker(&["--user", "alice", "--password", "secret", "--log-level", "error"]);
    let refused = |n: usize| {
        let ip = [127, 0, 2, u8::try_from(n / 3 % 250).expect("small") + 1]; // each guesses two or three times
        let mut client = Raw::connect_from(ip, program.address);
        client.send(
            [
                &[5, 1, 0][..],
                &[5, 1, 2, 1, 5, b'a', b'l', b'i', b'c', b'e', 1, b'x'],
                b"G",
            ][n % 3],
        );
        client.0.read_to_end(&mut Vec::new()).expect("not a reset");
    };
    (0..300).for_each(refused); // the first ones grow tables and arenas
    let (descriptors, threads, memory) = (program.descriptors(), program.threads(), program.memory());
    (0..1500).for_each(refused);
    assert!(program.threads() <= threads, "{} threads", program.threads());
    let grown = program.memory() - memory;
    assert!(grown < 512, "{grown} KiB");
    eventually("descriptors are closed", || program.descriptors() <= descriptors);
}

/// Without an accepted method and a password, no request is read.
#[test]
fn login_cannot_be_skipped() {
    let proxy = Proxy::start(&["--user", "alice", "--password", "secret"]);
    let mut client = Raw::connect(proxy.address);
    client.send(&[5, 1, 0]);
    client.expect(&[5, 0xff]);
    client.expect_end();
    assert_eq!(Raw::connect(proxy.address).log_in("secreT"), 1);
    assert_eq!(Raw::connect(proxy.address).log_in("secret"), 0);
}

/// A client that continues to send can read its refusal. A silent client is closed soon.
#[test]
fn refused_client_can_read_why_and_does_not_stay() {
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(&[5, 1, 0, 2]); // unknown ATYP
    client.send(&[0; 10_000]);
    let start = Instant::now();
    client.expect(&[5, 8, 0, 1, 0, 0, 0, 0, 0, 0]);
    client.expect_end();
    // Writing fails once the proxy has closed its socket, 2 s later.
    eventually("the connection is closed", || client.0.write_all(b"x").is_err());
    assert!(start.elapsed() < Duration::from_secs(10));
}
