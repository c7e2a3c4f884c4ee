//! Whose datagrams a relay takes: ..Q-089, F-16, F-18.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use sans_socks::udp::{Association, Datagram, Discard, Outcome, Reassembler};
use sans_socks::{Address, Malformed};

const QUERY: &[u8] = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn association(peer: &str, requested: &str) -> Association {
    Association::new(ip(peer), &Address::try_from(requested).unwrap())
}

/// With which port, if any, a request fixes the client's: the whole of, by hand.
const REQUESTED: &[(&str, &str, Option<u16>)] = &[
    // control connection's peer, DST, port
    ("192.0.2.7", "0.0.0.0:0", None),
    ("192.0.2.7", "0.0.0.0:4000", None),
    ("192.0.2.7", "192.0.2.7:0", None),
    ("192.0.2.7", "192.0.2.7:4000", Some(4000)),
    ("192.0.2.7", "[::ffff:192.0.2.7]:4000", Some(4000)),
    ("192.0.2.7", "192.0.2.8:4000", None),
    ("192.0.2.7", "[::]:4000", None),
    ("192.0.2.7", "[::1]:4000", None),
    ("192.0.2.7", "127.0.0.1:4000", None),
    ("192.0.2.7", "0:4000", None), // PySocks, V-056
    ("192.0.2.7", "example.com:4000", None),
    ("::ffff:192.0.2.7", "192.0.2.7:4000", Some(4000)),
    ("::ffff:192.0.2.7", "[::ffff:192.0.2.7]:4000", Some(4000)),
    ("::ffff:192.0.2.7", "0.0.0.0:0", None),
    ("2001:db8::7", "[2001:db8::7]:4000", Some(4000)),
    ("2001:db8::7", "[2001:db8::7]:0", None),
    ("2001:db8::7", "[2001:db8::8]:4000", None),
    ("2001:db8::7", "0.0.0.0:4000", None),
];

const SOURCES: &[&str] = &[
    "192.0.2.7:4000",
    "192.0.2.7:4001",
    "[::ffff:192.0.2.7]:4000",
    "[::ffff:192.0.2.7]:4001",
    "192.0.2.8:4000",
    "[::ffff:192.0.2.8]:4000",
    "127.0.0.1:4000",
    "0.0.0.0:4000",
    "[::192.0.2.7]:4000",
    "[2001:db8::7]:4000",
    "[2001:db8::7]:4001",
    "[2001:db8::8]:4000",
    "[::1]:4000",
    "[::]:4000",
];

/// The host behind a socket address, by its text.
fn host(source: &str) -> &str {
    let (host, _) = source.rsplit_once(':').unwrap();
    let host = host.trim_matches(['[', ']']);
    host.strip_prefix("::ffff:").unwrap_or(host)
}

/// every first and second source, for every request.
#[test]
fn q_080_every_source_and_request() {
    for (peer, requested, fixed) in REQUESTED {
        for first in SOURCES {
            for second in SOURCES {
                let case = format!("peer {peer}, DST {requested}, from {first}, then {second}");
                let mut association = association(peer, requested);
                let mut port = *fixed;
                let mut client = None;
                for source in [first, second] {
                    let address = socket(source);
                    let expected = host(source) == host(&format!("{peer}:0"))
                        && port.is_none_or(|port| port == address.port());
                    assert_eq!(association.admits(address), expected, "{case}");
                    let result = association.from_client(address, QUERY);
                    if expected {
                        assert_eq!(result.unwrap().payload, b"query", "{case}");
                        port = Some(address.port());
                        client = client.or(Some(address));
                    } else {
                        assert_eq!(result, Err(Discard::Source), "{case}");
                    }
                    assert_eq!(association.client(), client, "{case}: as the socket gave it");
                }
            }
        }
    }
}

/// ..Q-082: a foreign datagram captures nothing, whether it comes first or later.
#[test]
fn q_080_no_capture() {
    let (client, thief) = (socket("127.0.0.1:4000"), socket("127.0.0.2:4000"));
    let mut association = association("127.0.0.1", "0.0.0.0:0");
    assert_eq!(association.from_client(thief, QUERY), Err(Discard::Source));
    assert_eq!(association.client(), None);
    association.from_client(client, QUERY).unwrap();
    assert_eq!(association.from_client(thief, QUERY), Err(Discard::Source));
    association.from_client(client, QUERY).unwrap();
    assert_eq!(association.client(), Some(client));
}

/// not one of them teaches the port, and not one ends the association.
#[test]
fn r_086_malformed_datagrams_change_nothing() {
    let mut malformed: Vec<Vec<u8>> = [
        &b""[..],
        b"\0\0\0",
        b"\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x02\x7f\0\0\x01\x14\xb4",
        b"\0\0\0\x03\0\x14\xb4a",
        b"\0\0\0\x03\x03abc",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    for (whole, header_len) in [
        (QUERY.to_vec(), 10),
        (b"\0\0\0\x03\x01a\0\x35".to_vec(), 8),
        ([&b"\0\0\0\x04"[..], &[0; 15], b"\x01\x14\xb4hi"].concat(), 22),
    ] {
        malformed.extend((0..header_len).map(|cut| whole[..cut].to_vec()));
    }
    // From another port of the same host, which must not be learned.
    let other = socket("192.0.2.7:4999");
    let client = socket("192.0.2.7:4000");
    for fragments in [false, true] {
        let mut association = association("192.0.2.7", "0.0.0.0:0");
        if fragments {
            association = association.accept_fragments();
        }
        let before = format!("{association:?}");
        for octets in &malformed {
            let result = association.from_client(other, octets);
            assert!(matches!(result, Err(Discard::Malformed(_))), "{octets:?}");
            assert_eq!(format!("{association:?}"), before, "{octets:?}");
        }
        association.from_client(client, QUERY).unwrap();
        let before = format!("{association:?}");
        for octets in &malformed {
            let result = association.from_client(client, octets);
            assert!(matches!(result, Err(Discard::Malformed(_))), "{octets:?}");
            assert_eq!(format!("{association:?}"), before, "{octets:?}");
        }
        association.from_client(client, QUERY).unwrap();
    }
}

/// F-18: without reassembly every fragment is dropped, and teaches nothing.
#[test]
fn f_18_fragments_are_dropped_by_default() {
    let mut association = association("192.0.2.7", "0.0.0.0:0");
    let mut octets = QUERY.to_vec();
    for frag in 1..=255 {
        octets[2] = frag;
        assert_eq!(
            association.from_client(socket("192.0.2.7:4999"), &octets),
            Err(Discard::Fragment)
        );
        assert_eq!(association.client(), None);
    }
    association.from_client(socket("192.0.2.7:4000"), QUERY).unwrap();
}

/// and passed on where they were asked for. 80 is no fragment (V-104).
#[test]
fn r_082_fragments_are_accepted_on_request() {
    let source = socket("192.0.2.7:4000");
    let mut octets = QUERY.to_vec();
    for frag in 0..=255 {
        let mut association = association("192.0.2.7", "0.0.0.0:0").accept_fragments();
        octets[2] = frag;
        let result = association.from_client(source, &octets);
        if frag == 0x80 {
            assert_eq!(result, Err(Discard::InvalidFrag));
            assert_eq!(association.client(), None);
        } else {
            assert_eq!(result.unwrap().header.frag.get(), frag);
            assert_eq!(association.client(), Some(source));
        }
    }
}

/// Every vector that is a datagram, cut at every octet of its header.
#[test]
fn r_086_truncated_vectors_change_nothing() {
    let vectors = include_str!("data/vectors.tsv").lines().filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        match columns.as_slice() {
            &[_, "udp", octets, result, ..] if result.starts_with("OK") => Some(hex::decode(octets).unwrap()),
            _ => None,
        }
    });
    let vectors: Vec<_> = vectors.collect();
    assert_eq!(vectors.len(), 8, "a row got lost");
    let client = socket("192.0.2.7:4000");
    let unknown = association("192.0.2.7", "0.0.0.0:0").accept_fragments();
    let mut known = unknown.clone();
    known.from_client(client, QUERY).unwrap();
    for octets in vectors {
        let header_len = octets.len() - Datagram::decode(&octets).unwrap().payload.len();
        for mut association in [unknown.clone(), known.clone()] {
            let before = format!("{association:?}");
            for cut in 0..header_len {
                let result = association.from_client(client, &octets[..cut]);
                assert_eq!(result, Err(Discard::Malformed(Malformed::Truncated)));
                assert_eq!(format!("{association:?}"), before, "{octets:?} at {cut}");
            }
        }
    }
}

/// D-11, F-16: a fragment from another host does not reach the queue.
#[test]
fn f_16_a_foreign_fragment_does_not_reach_the_queue() {
    let (client, thief) = (socket("127.0.0.1:4000"), socket("127.0.0.2:4000"));
    let mut association = association("127.0.0.1", "0.0.0.0:0").accept_fragments();
    let mut reassembler = Reassembler::with_storage([0; 16]);
    let mut receive = |source, octets: &[u8]| {
        let outcome = match association.from_client(source, octets) {
            Ok(datagram) => reassembler.handle_datagram(Duration::ZERO, datagram),
            Err(reason) => Outcome::Dropped(reason),
        };
        match outcome {
            Outcome::Deliver(Datagram { payload, .. }) => Ok(Some(payload.to_vec())),
            Outcome::Pending => Ok(None),
            Outcome::Dropped(reason) => Err(reason),
        }
    };
    assert_eq!(receive(client, b"\0\0\x01\x01\x7f\0\0\x01\x14\xb4a"), Ok(None));
    assert_eq!(
        receive(thief, b"\0\0\x82\x01\x7f\0\0\x01\x14\xb4x"),
        Err(Discard::Source)
    );
    // Nor does a malformed one of the client's own.
    assert_eq!(
        receive(client, b"\0\0\x82\x01\x7f\0\0\x01\x14"),
        Err(Discard::Malformed(Malformed::Truncated))
    );
    assert_eq!(
        receive(client, b"\0\0\x82\x01\x7f\0\0\x01\x14\xb4b"),
        Ok(Some(b"ab".to_vec()))
    );
}

/// datagrams that others drop.
#[test]
fn q_084_empty_payloads_and_short_names_are_datagrams() {
    let mut association = association("192.0.2.7", "0.0.0.0:0");
    for octets in [
        &b"\0\0\0\x01\x7f\0\0\x01\x14\xb4"[..],
        b"\0\0\0\x03\x01a\0\x35",
        &[&b"\0\0\0\x04"[..], &[0; 15], b"\x01\x14\xb4"].concat(),
    ] {
        let datagram = association.from_client(socket("192.0.2.7:4000"), octets).unwrap();
        assert_eq!(datagram.payload, b"");
    }
}

/// Q-087, V-100: RSV is not looked at, unless asked.
#[test]
fn q_087_reserved_octets() {
    let source = socket("192.0.2.7:4000");
    let mut octets = QUERY.to_vec();
    for (reserved, fault) in [
        ([0, 0], None),
        ([0, 1], Some(1)),
        ([2, 0], Some(2)),
        ([3, 4], Some(3)),
    ] {
        octets[..2].copy_from_slice(&reserved);
        association("192.0.2.7", "0.0.0.0:0")
            .from_client(source, &octets)
            .unwrap();

        let mut strict = association("192.0.2.7", "0.0.0.0:0").strict_reserved();
        let result = strict.from_client(source, &octets);
        match fault {
            None => assert_eq!(result.unwrap().payload, b"query"),
            Some(octet) => {
                assert_eq!(result, Err(Discard::Malformed(Malformed::Reserved(octet))));
                assert_eq!(strict.client(), None);
            }
        }
    }
}
