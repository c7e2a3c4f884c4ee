//! The client's side of UDP ASSOCIATE: where it sends, and what it accepts.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use sans_socks::udp::{ClientAssociation, Datagram, Discard, Header, Outcome, Reassembler, fragments};
use sans_socks::{Address, InvalidValue, Malformed};

const PROXY: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

fn client(bound: &str) -> ClientAssociation<Duration, [u8; 64]> {
    let bound = Address::try_from(bound).unwrap();
    ClientAssociation::with_reassembler(&bound, PROXY, Reassembler::with_storage([0; 64])).unwrap()
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
    // A server behind NAT says an address that its clients cannot reach.
    assert_eq!(
        client("10.0.0.9:4000").with_relay_host(PROXY).relay(),
        socket("192.0.2.1:4000")
    );
}

/// A name is not looked up on the word of the proxy.
#[test]
fn client_bnd_that_is_a_name_is_an_error() {
    let named = Address::try_from("relay.example:4000").unwrap();
    let reassembler: Reassembler<Duration, _> = Reassembler::with_storage([0; 1]);
    let result = ClientAssociation::with_reassembler(&named, PROXY, reassembler).map(|_| ());
    assert_eq!(result, Err(InvalidValue::NotAnIp));
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
            assert_eq!((whole.header.address, whole.payload), (from, &b"in pieces"[..]))
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

/// The header takes 10, 22 or 7 bytes and the name; UDP carries 65,507 bytes over IPv4 and 65,527 over IPv6.
#[test]
fn client_max_payload_goes_by_the_family_of_the_relay() {
    let to = Address::try_from("192.0.2.50:53").unwrap();
    assert_eq!(client("192.0.2.9:4000").max_payload(&to), 65_497);
    assert_eq!(client("[2001:db8::9]:4000").max_payload(&to), 65_517);
}
