//! Memory and descriptors: how much is used, and that it is released.

use std::net::UdpSocket;
use std::time::Duration;

use socket2::SockRef;

use crate::common::{
    ANYONE, Gate, LOCALHOST, Program, Proxy, Raw, UDP_ASSOCIATE, accept, command, datagram, eventually,
    listener, udp,
};

/// A connection that waits for its request holds 1.5 KiB: its task has 1,024 bytes, most of them the state machine, and
/// tokio and the allocator need the rest.
#[test]
fn held_handshake_is_small() {
    const COUNT: i64 = 2000;
    let program = Program::start(&["--max-per-client", "5000"]);
    // The first ones grow tables and arenas.
    let warm: Vec<_> = (0..500).map(|_| program.client()).collect();
    let before = program.memory();
    let held: Vec<_> = (0..COUNT).map(|_| program.client()).collect();
    let each = (program.memory() - before) * 1024 / COUNT;
    eprintln!("{each} bytes for each held handshake");
    assert!(each <= 1600, "{each} bytes");
    drop((warm, held));
}

/// A tunnel that was busy and is now idle keeps at most 8 KiB in total. It was once 129 KiB.
#[test]
fn tunnel_that_was_busy_is_small() {
    const COUNT: i64 = 200;
    let program = Program::start(&[]);
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
        std::thread::scope(|scope| {
            scope.spawn(|| client.send(&body));
            far.read(body.len());
        });
        std::thread::scope(|scope| {
            scope.spawn(|| far.send(&body));
            client.read(body.len());
        });
    }
    let each = (program.memory() - before) / COUNT;
    eprintln!("{each} KiB for each tunnel that was busy once");
    assert!(each <= 8, "{each} KiB");
}

/// 1,000 associations at once, with traffic and a fragment that waits for others, leave no descriptor and no memory.
#[test]
fn associations_leave_nothing() {
    const COUNT: i64 = 1000;
    // One worker thread: each keeps buffers, and memory for the associations that it has opened.
    let mut command = command(&["--listen", "127.0.0.1:0", "--max-per-client", "5000"]);
    command.env("TOKIO_WORKER_THREADS", "1");
    let program = Program::spawn(command);
    let (target, target_at) = udp(LOCALHOST);
    let before = program.descriptors();
    let mut memory = Vec::new();
    for _ in 0..5 {
        let associations: Vec<(Raw, UdpSocket)> = (0..COUNT)
            .map(|_| {
                let mut control = program.client();
                control.request(UDP_ASSOCIATE, ANYONE);
                let relay = control.expect_success();
                let (client, _) = udp(LOCALHOST);
                client
                    .send_to(&datagram(target_at, b"x"), relay)
                    .expect("loopback");
                let (_, outer) = target.recv_from(&mut [0; 10]).expect("relayed");
                target.send_to(b"y", outer).expect("loopback");
                client.recv(&mut [0; 100]).expect("the answer");
                // The first of several fragments: the proxy holds it.
                let piece = [&[0, 0, 1][..], &datagram(target_at, &[0; 1000])[3..]].concat();
                client.send_to(&piece, relay).expect("loopback");
                (control, client)
            })
            .collect();
        drop(associations);
        eventually("descriptors are closed", || program.descriptors() <= before);
        memory.push(program.memory());
    }
    // The allocator keeps the memory of the first round. Each later round leaves less than 128 bytes for each association.
    eprintln!("KiB after each round: {memory:?}");
    assert!((memory[4] - memory[0]) * 1024 <= 4 * COUNT * 128, "{memory:?}");
}

/// Each association once held 1 MiB for a slow name: datagrams that waited for it. It keeps the first 128 KiB.
#[test]
fn datagrams_that_wait_for_a_name_are_bounded_in_bytes() {
    const SIZE: usize = 10_000;
    let gate = Gate::default();
    let proxy = Proxy::with_resolver(&[], gate.clone());
    let (target, at) = udp(LOCALHOST);
    SockRef::from(&target).set_recv_buffer_size(1 << 20).expect("UDP");
    let mut control = proxy.client();
    control.request(UDP_ASSOCIATE, ANYONE);
    let relay = control.expect_success();
    let (client, _) = udp(LOCALHOST);
    let expect = |payload: &[u8]| {
        let mut buffer = [0; SIZE + 1];
        let len = target.recv(&mut buffer).expect("it arrives");
        assert_eq!(&buffer[..len], payload);
    };
    for n in 0..40 {
        let waits = datagram(("slow.test", at.port()), &[n; SIZE]);
        client.send_to(&waits, relay).expect("loopback");
        // When the relay forwards this datagram, it has handled the earlier ones.
        client
            .send_to(&datagram(at, b"by address"), relay)
            .expect("loopback");
        expect(b"by address");
    }
    assert_eq!(gate.begun(), 1);
    gate.open();
    let kept = u8::try_from(128 * 1024 / SIZE).expect("few");
    (0..kept).for_each(|n| expect(&[n; SIZE]));
    target
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a duration");
    assert!(
        target.recv(&mut [0; SIZE]).is_err(),
        "more than 128 KiB were kept"
    );
}
