//! The client's side of UDP ASSOCIATE: where it sends datagrams, and which it accepts.

use core::net::SocketAddr;
use core::time::Duration;

use sans_socks::udp::{ClientAssociation, Datagram, Discard, Header, Outcome, Reassembler, fragments};
use sans_socks::{Address, InvalidValue, Malformed};

type Client = ClientAssociation<Duration, [u8; 64]>;

/// Returns an association with a proxy whose control connection has the peer address `proxy`.
fn from_reply(bound: &str, proxy: &str) -> Result<Client, InvalidValue> {
    let bound = Address::try_from(bound).unwrap();
    ClientAssociation::with_reassembler(&bound, socket(proxy), Reassembler::with_storage([0; 64]))
}

fn client(bound: &str) -> Client {
    from_reply(bound, "192.0.2.1:1080").unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// an unspecified BND.ADDR is the proxy's address.
#[test]
fn client_sends_to_bnd_or_to_the_proxy() {
    for (bound, relay) in [
        ("192.0.2.9:4000", "192.0.2.9:4000"),
        ("0.0.0.0:4000", "192.0.2.1:4000"),
        ("[::]:4000", "192.0.2.1:4000"),
        ("[::ffff:192.0.2.9]:4000", "192.0.2.9:4000"),
        ("[2001:db8::9]:4000", "[2001:db8::9]:4000"),
    ] {
        assert_eq!(client(bound).relay(), socket(relay), "{bound}");
    }
}

/// for a server behind NAT, which reports an address that clients cannot reach.
#[test]
fn client_with_proxy_host_sends_to_the_proxy() {
    let client = client("10.0.0.9:4000");
    assert!(!client.proxy_host());
    assert_eq!(client.relay(), socket("10.0.0.9:4000"));
    let client = client.with_proxy_host(true);
    assert!(client.proxy_host());
    assert_eq!(client.relay(), socket("192.0.2.1:4000"));
    assert!(client.admits(socket("192.0.2.1:4000")));
    for source in ["10.0.0.9:4000", "192.0.2.1:1080"] {
        assert!(!client.admits(socket(source)), "{source}");
    }
    assert_eq!(client.with_proxy_host(false).relay(), socket("10.0.0.9:4000"));
}

/// SOCKS addresses have no scope. A link-local relay is on the link of the control connection.
#[test]
fn client_link_local_relay_has_the_scope_of_the_proxy() {
    for (bound, proxy, relay) in [
        ("[fe80::9]:4000", "[fe80::1%2]:1080", "[fe80::9%2]:4000"),
        ("[::]:4000", "[fe80::1%2]:1080", "[fe80::1%2]:4000"),
        ("0.0.0.0:4000", "[fe80::1%2]:1080", "[fe80::1%2]:4000"),
        ("[fe80::9]:4000", "192.0.2.1:1080", "[fe80::9]:4000"),
        ("[2001:db8::9]:4000", "[fe80::1%2]:1080", "[2001:db8::9]:4000"),
    ] {
        assert_eq!(
            from_reply(bound, proxy).unwrap().relay(),
            socket(relay),
            "{bound}"
        );
    }
    let client = from_reply("10.0.0.9:4000", "[fe80::1%2]:1080")
        .unwrap()
        .with_proxy_host(true);
    assert_eq!(client.relay(), socket("[fe80::1%2]:4000"));
    assert!(client.admits(socket("[fe80::1%2]:4000")));
    assert!(!client.admits(socket("[fe80::1%3]:4000")));
}

/// no datagram can be sent to port 0. A name that the proxy reports is not looked up.
#[test]
fn client_bnd_that_cannot_be_sent_to_is_an_error() {
    for (bound, error) in [
        ("relay.example:4000", InvalidValue::NotAnIp),
        ("relay.example:0", InvalidValue::NotAnIp),
        ("192.0.2.9:0", InvalidValue::PortZero),
        ("0.0.0.0:0", InvalidValue::PortZero),
    ] {
        assert_eq!(
            from_reply(bound, "192.0.2.1:1080").map(|_| ()),
            Err(error),
            "{bound}"
        );
    }
    assert_eq!(InvalidValue::PortZero.to_string(), "port 0, expected 1 to 65535");
}

#[test]
fn client_accepts_the_relay_alone() {
    let mut client = client("192.0.2.9:4000");
    let mut bytes = [0; 64];
    let to = Address::try_from("192.0.2.50:53").unwrap();
    let len = Datagram::new(Header::standalone(to), b"answer")
        .encode_into(&mut bytes)
        .unwrap();
    for source in [
        "192.0.2.9:4001",
        "192.0.2.8:4000",
        "[::ffff:192.0.2.8]:4000",
        "[2001:db8::9]:4000",
    ] {
        assert!(!client.admits(socket(source)));
        let outcome = client.accept(Duration::ZERO, socket(source), &bytes[..len]);
        assert_eq!(outcome, Outcome::Dropped(Discard::Source), "{source}");
    }
    for source in ["192.0.2.9:4000", "[::ffff:192.0.2.9]:4000"] {
        let outcome = client.accept(Duration::ZERO, socket(source), &bytes[..len]);
        assert_eq!(
            outcome,
            Outcome::Deliver(Datagram::new(Header::standalone(to), b"answer")),
            "{source}"
        );
    }
    let truncated = client.accept(Duration::ZERO, socket("192.0.2.9:4000"), &bytes[..3]);
    assert_eq!(
        truncated,
        Outcome::Dropped(Discard::Malformed(Malformed::Truncated))
    );
}

/// fragments are reassembled, and expire.
#[test]
fn client_fragments_are_reassembled_and_expire() {
    let mut client = client("192.0.2.9:4000");
    let relay = client.relay();
    let from = Address::try_from("192.0.2.50:53").unwrap();
    let pieces: Vec<Vec<u8>> = fragments(from, b"in pieces", 4.try_into().unwrap())
        .unwrap()
        .map(|piece| {
            let mut bytes = vec![0; piece.encoded_len()];
            piece.encode_into(&mut bytes).unwrap();
            bytes
        })
        .collect();
    assert_eq!(client.poll_timeout(), None);
    for piece in &pieces[..2] {
        assert_eq!(client.accept(Duration::ZERO, relay, piece), Outcome::Pending);
    }
    assert_eq!(client.poll_timeout(), Some(Duration::from_secs(5)));
    match client.accept(Duration::from_secs(1), relay, &pieces[2]) {
        Outcome::Deliver(whole) => {
            assert_eq!((whole.header.address, whole.payload), (from, &b"in pieces"[..]));
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(client.accept(Duration::ZERO, relay, &pieces[0]), Outcome::Pending);
    client.handle_timeout(Duration::from_secs(5));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(
        client.accept(Duration::from_secs(5), relay, &pieces[1]),
        Outcome::Dropped(Discard::NoStart)
    );
}

/// The header takes 10 bytes with an IPv4 address, 22 with an IPv6 address, and the length of a name plus 7. UDP carries
/// 65,507 bytes over IPv4, and 65,527 over IPv6.
#[test]
fn client_max_payload_goes_by_the_family_of_the_relay() {
    let to = Address::try_from("192.0.2.50:53").unwrap();
    assert_eq!(client("192.0.2.9:4000").max_payload(&to), 65_497);
    assert_eq!(client("[2001:db8::9]:4000").max_payload(&to), 65_517);
    // A dual-stack control connection reports an IPv4 proxy as a mapped address.
    let mapped = from_reply("0.0.0.0:4000", "[::ffff:192.0.2.1]:1080").unwrap();
    assert_eq!(mapped.max_payload(&to), 65_497);
}

/// `Debug` does not print buffered payloads.
#[test]
fn client_debug_shows_no_payload() {
    let mut client = client("192.0.2.9:4000");
    let fragment = b"\0\0\x01\x01\xc6\x33\x64\x09\0\x35Zq7";
    assert_eq!(
        client.accept(Duration::ZERO, client.relay(), fragment),
        Outcome::Pending
    );
    let shown = format!("{client:?} {client:x?}");
    assert!(
        shown.contains("bound: 192.0.2.9:4000") && shown.contains("buffered: 3"),
        "{shown}"
    );
    // As text, as numbers, and as numbers in hex.
    for payload in ["Zq7", "90, 113", "5a, 71", "5a71"] {
        assert!(!shown.contains(payload), "{shown}");
    }
}

/// `new` needs no type annotation, even if the timer is used first.
#[cfg(feature = "std")]
#[test]
fn client_new_infers_its_types() {
    struct Peer {
        association: ClientAssociation,
    }
    let bound = Address::try_from("192.0.2.9:4000").unwrap();
    let association = ClientAssociation::new(&bound, socket("192.0.2.1:1080")).unwrap();
    assert_eq!(association.poll_timeout(), None);
    let mut peer = Peer { association };
    peer.association.handle_timeout(std::time::Instant::now());
}
