//! UDP ASSOCIATE by name: order, memory, slow names, names with several addresses.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Association, CONNECT, Gate, LOCALHOST, Names, PATIENCE, Proxy, Raw, eventually, expect, hold_burst,
    is_silent, listener, udp, udp_with_one_port,
};

/// 100 datagrams in a row to a name. Only 16 once arrived, out of order.
#[test]
fn datagrams_by_name_arrive_whole_and_in_order() {
    static LOOKUP: RwLock<()> = RwLock::new(());
    let before_lookup = LOOKUP.write().expect("not poisoned");
    let names = Names(|_: &str| {
        let _ended = LOOKUP.read();
        Ok(vec![LOCALHOST])
    });
    let proxy = Proxy::with_resolver(&[], names);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    for n in 0..100_u8 {
        association.send(("name.test", at.port()), &[n; 200]);
    }
    association.send(at, b"by address");
    expect(&target, b"by address");
    drop(before_lookup);
    for n in 0..100_u8 {
        expect(&target, &[n; 200]);
    }
}

/// Waiting datagrams are sent before datagrams that arrive when the look-up ends.
#[test]
fn datagrams_stay_in_order_while_a_lookup_ends() {
    let proxy = Proxy::with_resolver(&[], Names(|_: &str| Ok(vec![LOCALHOST])));
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    for run in 0..1000_u16 {
        let name = format!("{run}.test");
        let payload = |n: u8| [&run.to_be_bytes()[..], &[n]].concat();
        for n in 0..20 {
            association.send((&*name, at.port()), &payload(n));
        }
        for n in 0..20 {
            expect(&target, &payload(n));
        }
    }
}

/// 1,000 datagrams a second, with a resolver that takes 50 ms: none is lost, and the name is looked up once. About 800 of
/// them may wait.
#[test]
fn thousand_datagrams_a_second_by_name_arrive() {
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    let names = Names(|_: &str| {
        LOOKUPS.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(50));
        Ok(vec![LOCALHOST])
    });
    let proxy = Proxy::with_resolver(&[], names);
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    hold_burst(&target);
    let reader = thread::spawn(move || {
        for n in 0..1000 {
            expect(&target, format!("{n:0>100}").as_bytes());
        }
    });
    let start = Instant::now();
    for n in 0..1000_u32 {
        association.send(("name.test", at.port()), format!("{n:0>100}").as_bytes());
        thread::sleep((start + Duration::from_millis(1) * n).saturating_duration_since(Instant::now()));
    }
    reader.join().expect("all of them");
    assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
}

/// Slow names of a client do not delay its other names, another client's names, or addresses.
#[test]
fn slow_names_disturb_nobody() {
    static SLOW: RwLock<()> = RwLock::new(());
    let forever = SLOW.write().expect("not poisoned");
    let names = Names(|name: &str| {
        if name.starts_with("slow") {
            drop(SLOW.read());
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(vec![LOCALHOST])
    });
    let proxy = Proxy::with_resolver(&[], names);
    let attacker = Association::of(
        Raw::connect_from([127, 0, 0, 2], proxy.address).greet(),
        [127, 0, 0, 2],
    );
    for n in 0..200 {
        attacker.send((&*format!("slow{n}.test"), 9), &[0; 1000]);
    }
    let association = Association::open(&proxy);
    let (target, at) = udp(LOCALHOST);
    for _ in 0..200 {
        association.send(("slow.test", at.port()), &[0; 1000]);
    }
    association.send(("quick.test", at.port()), b"by name");
    expect(&target, b"by name");
    association.send(at, b"by address");
    expect(&target, b"by address");
    // The attacker's own datagrams to addresses are also relayed.
    attacker.send(at, b"by address");
    expect(&target, b"by address");
    drop(forever);
}

/// The look-ups of an association use the share that its client has for connections. They count until the resolver returns,
/// even if the association has ended. Those that still wait for the share then are not started.
#[test]
fn lookups_of_datagrams_use_the_share_of_the_client() {
    let gate = Gate::default();
    let proxy = Proxy::with_resolver(&[], gate.clone());
    let client = || Raw::connect_from([127, 0, 0, 2], proxy.address).greet();
    let association = Association::of(client(), [127, 0, 0, 2]);
    let (target, at) = udp(LOCALHOST);
    for n in 0..200 {
        association.send((&*format!("slow{n}.test"), 9), b"x");
    }
    // When the relay forwards this datagram, it has handled the earlier ones.
    association.send(at, b"by address");
    expect(&target, b"by address");
    eventually("the share is used up", || gate.begun() == 16);
    let (_target, address) = listener();
    let mut waiting = client();
    waiting.request(CONNECT, ("quick.test", address.port()));
    let Association { control, relay, .. } = association;
    drop(control);
    eventually("the association has ended", || UdpSocket::bind(relay).is_ok());
    thread::sleep(Duration::from_millis(200));
    assert!(waiting.is_silent(), "the share is still used up");
    gate.open();
    waiting.expect_success();
    assert_eq!(gate.begun(), 16, "look-ups that no association waits for");
}

/// If the addresses of a name rotate, a flow keeps one of them.
#[test]
fn flow_stays_with_its_address() {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let hosts: [IpAddr; 3] = [
        [127, 0, 0, 11].into(),
        [127, 0, 0, 12].into(),
        [127, 0, 0, 13].into(),
    ];
    let names = Names(move |_: &str| {
        let mut hosts = hosts;
        hosts.rotate_left(TURN.fetch_add(1, Ordering::SeqCst) % 3);
        Ok(hosts.into())
    });
    let proxy = Proxy::with_resolver(&[], names);
    let association = Association::open(&proxy);
    let ([first, others @ ..], port) = udp_with_one_port(hosts);
    for n in 0..60_u8 {
        association.send(("rotating.test", port), &[n]);
        let outer = expect(&first, &[n]);
        first.send_to(b"answer", outer).expect("loopback");
        association.expect((hosts[0], port).into(), b"answer");
    }
    assert!(others.iter().all(is_silent));
}

/// If an address never answers, the next one is used.
#[test]
fn silent_address_gives_way() {
    let hosts: [IpAddr; 2] = [[127, 0, 0, 11].into(), [127, 0, 0, 12].into()];
    let proxy = Proxy::with_resolver(&[], Names(move |_: &str| Ok(hosts.into())));
    let association = Association::open(&proxy);
    let ([_silent, second], port) = udp_with_one_port(hosts);
    second.set_nonblocking(true).expect("a socket");
    let start = Instant::now();
    let mut buffer = [0; 10];
    while second.recv(&mut buffer).is_err() {
        assert!(start.elapsed() < PATIENCE, "it is never tried");
        association.send(("two.test", port), b"x");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A look-up that takes longer is given up, and the name is looked up again.
#[test]
#[ignore = "takes 6 s"]
fn slow_lookup_is_given_up_after_5_seconds() {
    let gate = Gate::default();
    let proxy = Proxy::with_resolver(&[], gate.clone());
    let association = Association::open(&proxy);
    let start = Instant::now();
    eventually("a second look-up begins", || {
        association.send(("slow.test", 9), b"x");
        thread::sleep(Duration::from_millis(50));
        gate.begun() == 2
    });
    assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());
    gate.open();
}
