//! Memory and descriptors: how much is used, and that it is released.

use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::common::{
    Association, CONNECT, Gate, LOCALHOST, Program, Proxy, Raw, accept, datagram, eventually, expect,
    listener, udp,
};

/// Returns the memory in KiB once the program has freed what belonged to connections that have ended.
fn settled(program: &Program) -> i64 {
    let work = |_| {
        drop(program.client());
        thread::sleep(Duration::from_millis(10));
        program.memory()
    };
    (0..50).map(work).min().expect("50 rounds")
}

/// A connection that waits for its request holds about 1,200 bytes: 896 in its task, most of them the state machine, 256 that
/// tokio has for its socket, and 48 for its address.
#[test]
fn held_handshake_is_small() {
    const COUNT: i64 = 2000;
    allow_descriptors(4000);
    let program = Program::with_one_worker(&["--max-per-client", "5000"]);
    // The first ones grow tables.
    let warm: Vec<_> = (0..500).map(|_| program.client()).collect();
    let before = program.memory();
    let held: Vec<_> = (0..COUNT).map(|_| program.client()).collect();
    let each = (program.memory() - before) * 1024 / COUNT;
    eprintln!("{each} bytes for each held handshake");
    assert!(each <= 1228, "{each} bytes"); // 1.2 KiB
    drop((warm, held));
}

/// A tunnel that was busy and is now idle keeps at most 3 KiB in total. It was once 129 KiB.
#[test]
fn tunnel_that_was_busy_is_small() {
    const COUNT: i64 = 200;
    let program = Program::with_one_worker(&[]);
    let (target, address) = listener();
    let tunnel = || {
        let client = program.client().tunnel(address);
        (client, accept(&target))
    };
    let _warm: Vec<_> = (0..20).map(|_| tunnel()).collect();
    let before = program.memory();
    let mut tunnels: Vec<_> = (0..COUNT).map(|_| tunnel()).collect();
    let body = vec![7; 400_000];
    for (client, far) in &mut tunnels {
        thread::scope(|scope| {
            scope.spawn(|| client.send(&body));
            far.read(body.len());
        });
        thread::scope(|scope| {
            scope.spawn(|| far.send(&body));
            client.read(body.len());
        });
    }
    let each = (program.memory() - before) * 1024 / COUNT;
    eprintln!("{each} bytes for each tunnel that was busy once");
    assert!(each <= 3072, "{each} bytes");
}

/// 10,000 clients in the middle of the handshake, and 1,000 tunnels that are busy, all at once. Twice: what tables keep
/// from the first round serves the second.
#[test]
fn thousands_of_clients_at_once_leave_nothing() {
    const HELD: usize = 10_000;
    const TUNNELS: usize = 1000;
    const CHUNK: usize = 16 * 1024;
    allow_descriptors(HELD + 2 * TUNNELS + 1000);
    let limit = (HELD + TUNNELS).to_string();
    let limits = ["--max-connections", &limit, "--max-per-client", "1000"];
    let program = Program::with_one_worker(&[&limits[..], &["--handshake-timeout", "300"]].concat());
    let before = program.descriptors();
    let (target, address) = listener();
    let client = |n: usize| {
        let host = u8::try_from(n / 1000 + 1).expect("few");
        Raw::connect_from([127, 0, 0, host], program.address).greet()
    };
    let mut memory = Vec::new();
    for _ in 0..2 {
        let held: Vec<_> = (0..HELD).map(client).collect();
        let mut tunnels: Vec<_> = (HELD..HELD + TUNNELS)
            .map(|n| (client(n).tunnel(address), accept(&target)))
            .collect();
        let chunk = [7; CHUNK];
        for _ in 0..5 {
            for (client, far) in &mut tunnels {
                client.send(&chunk);
                far.send(&chunk);
            }
            for (client, far) in &mut tunnels {
                far.expect(&chunk);
                client.expect(&chunk);
            }
        }
        let all = program.memory();
        for mut client in held {
            client.request(CONNECT, program.address);
            client.expect_refusal(2); // it was served all the time
        }
        drop(tunnels);
        eventually("descriptors are closed", || program.descriptors() <= before);
        memory.push((all, settled(&program)));
    }
    eprintln!("KiB with all of them, and after they have gone: {memory:?}");
    let [(all, first), (_, second)] = memory[..] else {
        unreachable!("two rounds")
    };
    assert!(first < all / 4, "{memory:?}");
    // Less than 16 bytes for each client.
    assert!(
        (second - first) * 1024 < 16 * (HELD + TUNNELS) as i64,
        "{memory:?}"
    );
}

/// Allows this process at least this many descriptors.
fn allow_descriptors(count: usize) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("Unix");
    assert!(hard >= count as u64, "raise `ulimit -Hn` to {count}");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
}

/// 1,000 associations at once, with traffic and a fragment that waits for others, leave no descriptor and no memory.
#[test]
fn associations_leave_nothing() {
    const COUNT: i64 = 1000;
    allow_descriptors(4000);
    let program = Program::with_one_worker(&["--max-per-client", "5000"]);
    let (target, target_at) = udp(LOCALHOST);
    let before = program.descriptors();
    let mut memory = Vec::new();
    for _ in 0..5 {
        let associations: Vec<_> = (0..COUNT)
            .map(|_| {
                let association = Association::of(program.client(), LOCALHOST);
                association.send(target_at, b"x");
                let outer = expect(&target, b"x");
                target.send_to(b"y", outer).expect("loopback");
                association.expect(target_at, b"y");
                // The first of several fragments: the proxy holds it.
                let piece = [&[0, 0, 1][..], &datagram(target_at, &[0; 1000])[3..]].concat();
                let sent = association.socket.send_to(&piece, association.relay);
                sent.expect("loopback");
                association
            })
            .collect();
        drop(associations);
        eventually("descriptors are closed", || program.descriptors() <= before);
        memory.push(settled(&program));
    }
    // Tables keep the memory of the first round. Each later round leaves less than 128 bytes for each association.
    eprintln!("KiB after each round: {memory:?}");
    assert!((memory[4] - memory[0]) * 1024 <= 4 * COUNT * 128, "{memory:?}");
}

/// Each association once held 1 MiB of datagrams that waited for a slow name. Now it keeps the first 128 KiB.
#[test]
fn datagrams_that_wait_for_a_name_are_bounded_in_bytes() {
    const SIZE: usize = 10_000;
    let gate = Gate::default();
    let proxy = Proxy::with_resolver(&[], gate.clone());
    let (target, at) = udp(LOCALHOST);
    SockRef::from(&target).set_recv_buffer_size(1 << 20).expect("UDP");
    let association = Association::open(&proxy);
    for n in 0..40 {
        association.send(("slow.test", at.port()), &[n; SIZE]);
        // When the relay forwards this datagram, it has handled the earlier ones.
        association.send(at, b"by address");
        expect(&target, b"by address");
    }
    eventually("the look-up has begun", || gate.begun() > 0);
    assert_eq!(gate.begun(), 1);
    gate.open();
    let kept = u8::try_from(128 * 1024 / SIZE).expect("few");
    for n in 0..kept {
        expect(&target, &[n; SIZE]);
    }
    target
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a duration");
    assert!(
        target.recv(&mut [0; SIZE]).is_err(),
        "more than 128 KiB were kept"
    );
}
