//! Which datagrams a relay accepts: ..Q-089, F-16, F-18.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use sans_socks::udp::{Association, Datagram, Discard, Outcome, Reassembler};
use sans_socks::{Address, Malformed};
use sans_socks_testing::vectors::vectors_of;

const QUERY: &[u8] = b"\0\0\0\x01\xc6\x33\x64\x09\0\x35query";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn association(peer: &str, requested: &str) -> Association {
    Association::new(
        SocketAddr::new(ip(peer), 51000),
        &Address::try_from(requested).unwrap(),
    )
}

/// The port that each request determines, if any: all cases of, written by hand.
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

/// The host of a socket address, by its text.
fn host(source: &str) -> &str {
    let (host, _) = source.rsplit_once(':').unwrap();
    let host = host.trim_matches(['[', ']']);
    host.strip_prefix("::ffff:").unwrap_or(host)
}

/// every first and second source, for every request.
#[test]
fn association_source_is_compared_with_the_request() {
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
                    let result = association.accept(address, QUERY);
                    if expected {
                        assert_eq!(result.unwrap().payload, b"query", "{case}");
                        port = Some(address.port());
                        client = client.or(Some(address));
                    } else {
                        assert_eq!(result, Err(Discard::Source), "{case}");
                    }
                    assert_eq!(association.client(), client, "{case}: as the socket reported it");
                }
            }
        }
    }
}

/// ..Q-082: a foreign datagram does not take over an association, whether it is the first or a later one.
#[test]
fn association_is_not_captured_by_a_foreign_datagram() {
    let (client, thief) = (socket("127.0.0.1:4000"), socket("127.0.0.2:4000"));
    let mut association = association("127.0.0.1", "0.0.0.0:0");
    assert_eq!(association.accept(thief, QUERY), Err(Discard::Source));
    assert_eq!(association.client(), None);
    association.accept(client, QUERY).unwrap();
    assert_eq!(association.accept(thief, QUERY), Err(Discard::Source));
    association.accept(client, QUERY).unwrap();
    assert_eq!(association.client(), Some(client));
}

/// malformed datagrams do not fix the port, and do not end the association.
#[test]
fn association_malformed_datagram_changes_nothing() {
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
    // Another port of the same host, which must not be learned.
    let other = socket("192.0.2.7:4999");
    let client = socket("192.0.2.7:4000");
    for fragments in [false, true] {
        let mut association = association("192.0.2.7", "0.0.0.0:0");
        if fragments {
            association = association.with_fragments(true);
        }
        let before = format!("{association:?}");
        for bytes in &malformed {
            let result = association.accept(other, bytes);
            assert!(matches!(result, Err(Discard::Malformed(_))), "{bytes:?}");
            assert_eq!(format!("{association:?}"), before, "{bytes:?}");
        }
        association.accept(client, QUERY).unwrap();
        let before = format!("{association:?}");
        for bytes in &malformed {
            let result = association.accept(client, bytes);
            assert!(matches!(result, Err(Discard::Malformed(_))), "{bytes:?}");
            assert_eq!(format!("{association:?}"), before, "{bytes:?}");
        }
        association.accept(client, QUERY).unwrap();
    }
}

/// F-18: without reassembly every fragment is dropped, and fixes no port.
#[test]
fn association_fragments_are_dropped_by_default() {
    let mut association = association("192.0.2.7", "0.0.0.0:0");
    let mut bytes = QUERY.to_vec();
    for frag in 1..=255 {
        bytes[2] = frag;
        assert_eq!(
            association.accept(socket("192.0.2.7:4999"), &bytes),
            Err(Discard::Fragment)
        );
        assert_eq!(association.client(), None);
    }
    association.accept(socket("192.0.2.7:4000"), QUERY).unwrap();
}

/// fragments are accepted if the setting allows them. FRAG 80 is invalid (V-104).
#[test]
fn association_fragments_are_accepted_by_the_setting() {
    let source = socket("192.0.2.7:4000");
    let mut bytes = QUERY.to_vec();
    for frag in 0..=255 {
        let mut association = association("192.0.2.7", "0.0.0.0:0").with_fragments(true);
        bytes[2] = frag;
        let result = association.accept(source, &bytes);
        if frag == 0x80 {
            assert_eq!(result, Err(Discard::InvalidFrag));
            assert_eq!(association.client(), None);
        } else {
            assert_eq!(result.unwrap().header.frag.get(), frag);
            assert_eq!(association.client(), Some(source));
        }
    }
}

/// every vector that is a datagram, truncated at every byte of its header.
#[test]
fn association_truncated_vector_changes_nothing() {
    let vectors = vectors_of("udp").filter(|row| row.result.starts_with("OK"));
    let vectors: Vec<_> = vectors.map(|row| row.input).collect();
    assert_eq!(vectors.len(), 8, "a row is missing");
    let client = socket("192.0.2.7:4000");
    let unknown = association("192.0.2.7", "0.0.0.0:0").with_fragments(true);
    let mut known = unknown.clone();
    known.accept(client, QUERY).unwrap();
    for bytes in vectors {
        let header_len = bytes.len() - Datagram::decode(&bytes).unwrap().payload.len();
        for mut association in [unknown.clone(), known.clone()] {
            let before = format!("{association:?}");
            for cut in 0..header_len {
                let result = association.accept(client, &bytes[..cut]);
                assert_eq!(result, Err(Discard::Malformed(Malformed::Truncated)));
                assert_eq!(format!("{association:?}"), before, "{bytes:?} at {cut}");
            }
        }
    }
}

/// D-11, F-16: a fragment from another host does not reach the queue.
#[test]
fn association_foreign_fragment_does_not_reach_the_queue() {
    let (client, thief) = (socket("127.0.0.1:4000"), socket("127.0.0.2:4000"));
    let mut association = association("127.0.0.1", "0.0.0.0:0").with_fragments(true);
    let mut reassembler = Reassembler::with_storage([0; 16]);
    let mut receive = |source, bytes: &[u8]| {
        let outcome = match association.accept(source, bytes) {
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
    // Neither does a malformed fragment of the client.
    assert_eq!(
        receive(client, b"\0\0\x82\x01\x7f\0\0\x01\x14"),
        Err(Discard::Malformed(Malformed::Truncated))
    );
    assert_eq!(
        receive(client, b"\0\0\x82\x01\x7f\0\0\x01\x14\xb4b"),
        Ok(Some(b"ab".to_vec()))
    );
}

/// datagrams that other programs drop are accepted.
#[test]
fn association_empty_payload_and_short_name_are_accepted() {
    let mut association = association("192.0.2.7", "0.0.0.0:0");
    for bytes in [
        &b"\0\0\0\x01\x7f\0\0\x01\x14\xb4"[..],
        b"\0\0\0\x03\x01a\0\x35",
        &[&b"\0\0\0\x04"[..], &[0; 15], b"\x01\x14\xb4"].concat(),
    ] {
        let datagram = association.accept(socket("192.0.2.7:4000"), bytes).unwrap();
        assert_eq!(datagram.payload, b"");
    }
}

/// Q-087, V-100: RSV is ignored unless the setting is strict.
#[test]
fn association_reserved_bytes_are_ignored_unless_strict() {
    let source = socket("192.0.2.7:4000");
    let mut bytes = QUERY.to_vec();
    for (reserved, fault) in [
        ([0, 0], None),
        ([0, 1], Some(1)),
        ([2, 0], Some(2)),
        ([3, 4], Some(3)),
    ] {
        bytes[..2].copy_from_slice(&reserved);
        association("192.0.2.7", "0.0.0.0:0")
            .accept(source, &bytes)
            .unwrap();

        let mut strict = association("192.0.2.7", "0.0.0.0:0").with_strict_reserved(true);
        let result = strict.accept(source, &bytes);
        match fault {
            None => assert_eq!(result.unwrap().payload, b"query"),
            Some(byte) => {
                assert_eq!(result, Err(Discard::Malformed(Malformed::Reserved(byte))));
                assert_eq!(strict.client(), None);
            }
        }
    }
}

/// No discard changes the association. No port is fixed, so another port of the host is still admitted.
#[test]
fn association_every_discard_changes_nothing() {
    let (client, other_port) = (socket("192.0.2.7:4000"), socket("192.0.2.7:4001"));
    let named = b"\0\0\0\x03\x03a\0b\0\x35query";
    let reserved = b"\0\x01\0\x01\xc6\x33\x64\x09\0\x35query";
    let fragment = b"\0\0\x01\x01\xc6\x33\x64\x09\0\x35query";
    let frag_80 = b"\0\0\x80\x01\xc6\x33\x64\x09\0\x35query";
    let cases: [(SocketAddr, &[u8], bool, Discard); 7] = [
        (socket("192.0.2.8:4000"), QUERY, false, Discard::Source),
        (socket("192.0.2.7:0"), QUERY, false, Discard::Source),
        (client, b"\0\0\0", false, Discard::Malformed(Malformed::Truncated)),
        (client, named, false, Discard::Malformed(Malformed::ControlBytes)),
        (
            client,
            reserved,
            false,
            Discard::Malformed(Malformed::Reserved(1)),
        ),
        (client, fragment, false, Discard::Fragment),
        (client, frag_80, true, Discard::InvalidFrag),
    ];
    for (source, datagram, fragments, reason) in cases {
        for any_port in [false, true] {
            let mut association = association("192.0.2.7", "0.0.0.0:0")
                .with_strict_reserved(true)
                .with_fragments(fragments)
                .with_any_port(any_port);
            assert_eq!(association.accept(source, datagram), Err(reason));
            assert_eq!(association.client(), None, "{reason:?}");
            assert!(association.admits(other_port), "{reason:?}");
            assert!(association.admits(client), "{reason:?}");
        }
    }
}

/// datagrams are dropped if the server's handshake would refuse their names. A setting of the same name allows them.
#[test]
fn association_control_bytes_are_dropped_by_default() {
    let named = b"\0\0\0\x03\x0blocalhost\0x\0\x35query";
    let client = socket("192.0.2.7:4000");
    let strict = association("192.0.2.7", "0.0.0.0:0")
        .accept(client, named)
        .map(|_| ());
    assert_eq!(strict, Err(Discard::Malformed(Malformed::ControlBytes)));
    let mut lenient = association("192.0.2.7", "0.0.0.0:0").with_control_bytes(true);
    assert_eq!(lenient.accept(client, named).unwrap().payload, b"query");
}

/// Nothing can be sent to port 0, so it cannot be the client's.
#[test]
fn association_source_port_0_is_dropped() {
    for any_port in [false, true] {
        let mut association = association("192.0.2.7", "0.0.0.0:0").with_any_port(any_port);
        assert!(!association.admits(socket("192.0.2.7:0")));
        assert_eq!(
            association.accept(socket("192.0.2.7:0"), QUERY),
            Err(Discard::Source)
        );
    }
}

/// A link-local address on another link is another host's.
#[test]
fn association_scopes_are_compared_where_both_have_one() {
    let peer = socket("[fe80::1%2]:51000");
    for (source, admitted) in [
        ("[fe80::1%2]:4000", true),
        ("[fe80::1%3]:4000", false),
        ("[fe80::1]:4000", true),
        ("[fe80::2%2]:4000", false),
    ] {
        let association = Association::new(peer, &Address::UNSPECIFIED);
        assert_eq!(association.admits(socket(source)), admitted, "{source}");
        let unscoped = Association::new(socket("[fe80::1]:51000"), &Address::UNSPECIFIED);
        assert_eq!(
            unscoped.admits(socket(source)),
            source.starts_with("[fe80::1"),
            "{source}"
        );
    }
}

/// If the control connection has no scope, the first datagram determines it, as it does the port.
#[test]
fn association_scope_of_the_first_datagram_is_fixed() {
    for any_port in [false, true] {
        let mut association =
            Association::new(socket("[fe80::1]:51000"), &Address::UNSPECIFIED).with_any_port(any_port);
        assert!(association.admits(socket("[fe80::1%3]:4000")));
        association.accept(socket("[fe80::1%2]:4000"), QUERY).unwrap();
        assert!(association.admits(socket("[fe80::1%2]:4000")));
        assert!(association.admits(socket("[fe80::1]:4000")));
        assert!(
            !association.admits(socket("[fe80::1%3]:4000")),
            "any port: {any_port}"
        );
    }
}

/// A name that spells the peer's address counts as the address.
#[test]
fn association_name_that_spells_the_peer_fixes_the_port() {
    let name = sans_socks::Domain::new("192.0.2.7").unwrap();
    let association = Association::new(socket("192.0.2.7:51000"), &Address::from((name, 4000)));
    assert!(association.admits(socket("192.0.2.7:4000")));
    assert!(!association.admits(socket("192.0.2.7:4001")));
}

/// RFC 1928 restricts only the IP address. Every port of it is accepted, and answers go to the last one.
#[test]
fn association_with_any_port_follows_the_client() {
    let mut association = association("192.0.2.7", "192.0.2.7:4000").with_any_port(true);
    for port in ["4000", "4001", "4000", "5"] {
        let source = socket(&format!("192.0.2.7:{port}"));
        assert!(association.accept(source, QUERY).is_ok());
        assert_eq!(association.client(), Some(source));
    }
    assert_eq!(
        association.accept(socket("192.0.2.8:4000"), QUERY),
        Err(Discard::Source)
    );
}

#[test]
fn association_settings_are_returned() {
    let association = association("192.0.2.7", "0.0.0.0:0");
    let settings = |it: &Association| {
        (
            it.any_port(),
            it.fragments(),
            it.control_bytes(),
            it.strict_reserved(),
        )
    };
    assert_eq!(settings(&association), (false, false, false, false));
    assert_eq!(association.control_peer(), socket("192.0.2.7:51000"));
    assert_eq!(
        settings(&association.clone().with_any_port(true)),
        (true, false, false, false)
    );
    assert_eq!(
        settings(&association.clone().with_fragments(true)),
        (false, true, false, false)
    );
    assert_eq!(
        settings(&association.clone().with_control_bytes(true)),
        (false, false, true, false)
    );
    assert_eq!(
        settings(&association.with_strict_reserved(true)),
        (false, false, false, true)
    );
}
