//! The memory of the UDP side. Only the table and waiting fragments use the heap.

use core::time::Duration;

use allocation_counter::measure;
use sans_socks::Address;
use sans_socks::message::Encode;
#[cfg(feature = "alloc")]
use sans_socks::udp::AssociationTable;
use sans_socks::udp::{
    Association, ClientAssociation, Datagram, Header, MAX_HEADER_LEN, Outcome, Reassembler, Storage,
    fragments,
};

/// A datagram on the wire.
fn wire(frag: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, frag][..], b"\x03\x0bexample.com\0\x35", payload].concat()
}

/// Relaying datagrams with FRAG 00, in both directions, allocates nothing.
#[test]
fn standalone_traffic_allocates_nothing() {
    relay_both_ways(Reassembler::with_storage([0; 16]));
    #[cfg(feature = "alloc")]
    relay_both_ways(Reassembler::with_storage(Vec::new()));
}

fn relay_both_ways<B: Storage>(mut reassembler: Reassembler<Duration, B>) {
    let source = "192.0.2.7:4000".parse().unwrap();
    let bytes = wire(0x00, &[7; 1200]);
    let mut association =
        Association::new(([192, 0, 2, 7], 51000).into(), &Address::UNSPECIFIED).with_fragments(true);
    let mut buf = [0; MAX_HEADER_LEN + 1200];
    let info = measure(|| {
        for second in 0..100 {
            let datagram = association.accept(source, &bytes).unwrap();
            let outcome = reassembler.handle_datagram(Duration::from_secs(second), datagram);
            assert!(matches!(outcome, Outcome::Deliver(delivered) if delivered == datagram));
            reassembler.handle_timeout(Duration::from_secs(second));
            let header = Header::standalone(datagram.header.address);
            assert_eq!(header.prepend(&mut buf, MAX_HEADER_LEN), Ok(MAX_HEADER_LEN - 18));
            assert_eq!(header.encode_into(&mut buf), Ok(18));
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// A client that sends and receives datagrams with FRAG 00 allocates nothing.
#[test]
fn client_standalone_traffic_allocates_nothing() {
    client_both_ways(Reassembler::with_storage([0; 16]));
    #[cfg(feature = "alloc")]
    client_both_ways(Reassembler::with_storage(Vec::new()));
}

fn client_both_ways<B: Storage>(reassembler: Reassembler<Duration, B>) {
    let (bound, proxy) = (Address::try_from("0.0.0.0:4000").unwrap(), "192.0.2.1:1080");
    let answer = wire(0x00, &[7; 1200]);
    let mut buf = [0; MAX_HEADER_LEN + 1200];
    let info = measure(|| {
        let proxy = proxy.parse().unwrap();
        let mut association = ClientAssociation::with_reassembler(&bound, proxy, reassembler).unwrap();
        for second in 0..100 {
            let to = Address::try_from("example.com:53").unwrap();
            let query = Datagram::new(Header::standalone(to), &[7; 1200]);
            assert!(query.payload.len() <= association.max_payload(&to));
            assert_eq!(query.encode_into(&mut buf), Ok(1218));
            let (now, relay) = (Duration::from_secs(second), association.relay());
            assert_eq!(association.accept(now, relay, &answer), Outcome::Deliver(query));
            association.handle_timeout(now);
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// A table allocates when an association is added, or its client changes, and not for other datagrams.
#[cfg(feature = "alloc")]
#[test]
fn table_known_client_allocates_nothing() {
    let mut table = AssociationTable::new(1000);
    let host = |n: u8| ([192, 0, 2, n], 4000).into();
    let bytes = wire(0x00, &[7; 1200]);
    for n in 0..100 {
        let association = Association::new(host(n), &Address::UNSPECIFIED).with_any_port(n % 2 == 0);
        table.insert(n, association).unwrap();
        table.accept(host(n), &bytes).unwrap();
    }
    let info = measure(|| {
        for n in 0..100 {
            assert_eq!(table.accept(host(n), &bytes).map(|(key, _)| key), Ok(n));
            assert!(table.accept(host(200), &bytes).is_err());
            assert_eq!(table.get(&n).and_then(Association::client), Some(host(n)));
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");

    // A removed association leaves no memory, except an empty node in each of the two maps.
    let mut empty = AssociationTable::new(1000);
    let info = measure(|| {
        for n in 0..100 {
            let association = Association::new(host(n), &Address::UNSPECIFIED).with_any_port(true);
            empty.insert(n, association).unwrap();
            empty.accept(host(n), &bytes).unwrap();
        }
        for n in 0..100 {
            assert!(empty.remove(&n).is_some());
        }
    });
    assert!(info.count_current <= 2, "{info:?}");
}

/// A sequence of one fragment, a dropped fragment, and a sequence in an array allocate nothing.
#[test]
fn short_sequences_and_discards_allocate_nothing() {
    let mut reassembler = Reassembler::with_storage([0; 4096]);
    let (single, late) = (wire(0x81, &[7; 1200]), wire(0x82, &[7; 1200]));
    let payload = [7; 4096];
    let to = Address::try_from("example.com:53").unwrap();
    let info = measure(|| {
        let single = Datagram::decode(&single).unwrap();
        assert!(matches!(
            reassembler.handle_datagram(Duration::ZERO, single),
            Outcome::Deliver(_)
        ));
        let late = Datagram::decode(&late).unwrap();
        assert!(matches!(
            reassembler.handle_datagram(Duration::ZERO, late),
            Outcome::Dropped(_)
        ));
        let mut delivered = 0;
        for piece in fragments(to, &payload, 100.try_into().unwrap()).unwrap() {
            if let Outcome::Deliver(whole) = reassembler.handle_datagram(Duration::ZERO, piece) {
                delivered += whole.payload.len();
            }
        }
        assert_eq!(delivered, payload.len());
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// D-15, D-16: a `Vec` holds exactly the waiting bytes. The call after a delivery releases them.
#[cfg(feature = "alloc")]
#[test]
fn reassembler_memory_is_exact_and_released() {
    let mut reassembler = Reassembler::with_storage(Vec::new());
    let payload = vec![7; 1000];
    let to = Address::try_from("example.com:53").unwrap();
    let pieces: Vec<_> = fragments(to, &payload, 100.try_into().unwrap())
        .unwrap()
        .collect();

    let mut held = 0;
    for piece in &pieces {
        let info = measure(|| {
            let _ = reassembler.handle_datagram(Duration::ZERO, *piece);
        });
        held += info.bytes_current;
        assert_eq!(held, i64::try_from(reassembler.buffered()).unwrap());
    }
    assert_eq!(held, 1000);
    let after_delivery = measure(|| reassembler.handle_timeout(Duration::ZERO));
    assert_eq!((after_delivery.bytes_current, reassembler.buffered()), (-1000, 0));

    // A sequence that is dropped, here by a gap and by its timer, releases them too.
    for end in 0..2 {
        let info = measure(|| {
            let _ = reassembler.handle_datagram(Duration::ZERO, pieces[0]);
            match end {
                0 => drop(reassembler.handle_datagram(Duration::ZERO, pieces[2])),
                _ => reassembler.handle_timeout(Duration::from_secs(5)),
            }
        });
        assert_eq!((info.count_total, info.bytes_current), (1, 0), "{info:?}");
    }
}

/// An association costs its own size.
#[test]
fn association_has_a_bounded_size() {
    assert!(size_of::<Association>() <= 80);
    assert!(size_of::<ClientAssociation<Duration, [u8; 0]>>() <= 440);
    assert!(size_of::<Reassembler<Duration, [u8; 0]>>() <= 360);
}
