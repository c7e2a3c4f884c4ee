//! What the UDP side takes: its own size, and from the heap nothing but for fragments that wait.

use core::time::Duration;

use allocation_counter::measure;
use sans_socks::Address;
use sans_socks::message::Encode;
use sans_socks::udp::{
    Association, Datagram, Header, MAX_HEADER_LEN, Outcome, Reassembler, Storage, fragments,
};

/// Octets on the wire.
fn wire(frag: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, frag][..], b"\x03\x0bexample.com\0\x35", payload].concat()
}

/// With FRAG 00 alone the relay's whole way, there and back, allocates nothing.
#[test]
fn standalone_traffic_allocates_nothing() {
    relay_both_ways(Reassembler::with_storage([0; 16]));
    #[cfg(feature = "alloc")]
    relay_both_ways(Reassembler::with_storage(Vec::new()));
}

fn relay_both_ways<B: Storage>(mut reassembler: Reassembler<Duration, B>) {
    let source = "192.0.2.7:4000".parse().unwrap();
    let octets = wire(0x00, &[7; 1200]);
    let mut association =
        Association::new(([192, 0, 2, 7], 51000).into(), &Address::UNSPECIFIED).with_fragments(true);
    let mut buf = [0; MAX_HEADER_LEN + 1200];
    let info = measure(|| {
        for second in 0..100 {
            let datagram = association.accept(source, &octets).unwrap();
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

/// Neither does a sequence of one, a fragment that is dropped, or one without an allocator.
#[test]
fn other_traffic_allocates_nothing() {
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

/// D-15, D-16: a `Vec` holds exactly the octets that wait, and lets go of them with the call after delivery.
#[cfg(feature = "alloc")]
#[test]
fn d_16_memory_is_exact_and_let_go() {
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

    // The same where a sequence is given up: a gap, an expiry.
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

/// An association that waits for its client costs its own size, and that is small.
#[test]
fn sizes() {
    assert!(size_of::<Association>() <= 80);
    assert!(size_of::<Reassembler<Duration, [u8; 0]>>() <= 360);
}
