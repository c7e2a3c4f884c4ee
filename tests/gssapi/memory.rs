//! memory grows with the bytes that have arrived. "len" reserves none.

use allocation_counter::measure;
use sans_socks::gssapi::{Encapsulation, Negotiator, Output, ProtectionLevel, ServerConfig};

use sans_socks_testing::gssapi::{Fake, OVERHEAD};

/// The limit when ten bytes of a frame with the greatest length have arrived.
const FEW: u64 = 256;

///
#[test]
fn negotiator_reserves_no_memory_for_len() {
    let mut negotiator = Negotiator::server(Fake::acceptor(2), ServerConfig::new().with_max_token(u16::MAX));
    let info = measure(|| {
        assert_eq!(negotiator.handle_input(b"\x01\x01\xff\xffabcdef"), 10);
        assert!(matches!(negotiator.poll_output(), Output::NeedInput { .. }));
    });
    assert!(info.bytes_max <= FEW, "{} bytes", info.bytes_max);
}

///
#[test]
fn layer_reserves_no_memory_for_len() {
    let mut layer = Encapsulation::new(Fake::acceptor(0), ProtectionLevel::Integrity);
    let mut plain = Vec::new();
    let info = measure(|| assert_eq!(layer.decapsulate(b"\x01\x03\xff\xffabcdef", &mut plain), Ok(10)));
    assert!(info.bytes_max <= FEW, "{} bytes", info.bytes_max);
}

/// the longest frame in small pieces. A buffer has at most twice the size of its contents, three times while it
/// grows. After the frame, nothing is left.
#[test]
fn layer_buffers_one_frame_at_most() {
    let mut client = Encapsulation::new(Fake::initiator(0), ProtectionLevel::Integrity);
    let mut server = Encapsulation::new(Fake::acceptor(0), ProtectionLevel::Integrity);
    let (mut wire, mut plain) = (Vec::new(), Vec::with_capacity(65_535));
    client
        .encapsulate(&vec![0; 65_535 - OVERHEAD], &mut wire)
        .unwrap();
    let info = measure(|| {
        for piece in wire.chunks(100) {
            assert_eq!(server.decapsulate(piece, &mut plain), Ok(piece.len()));
        }
    });
    assert!(info.bytes_max <= 3 * 65_539, "{} bytes", info.bytes_max);
    assert!(
        info.bytes_current <= FEW as i64,
        "{} bytes stay",
        info.bytes_current
    );
    assert_eq!(plain.len(), 65_535 - OVERHEAD);
}

/// A frame that is complete in the input is unwrapped there.
#[test]
fn complete_frame_is_not_copied() {
    let mut client = Encapsulation::new(Fake::initiator(0), ProtectionLevel::Integrity);
    let mut server = Encapsulation::new(Fake::acceptor(0), ProtectionLevel::Integrity);
    let (mut wire, mut plain) = (Vec::new(), Vec::with_capacity(65_535));
    client.encapsulate(&[0; 10_000], &mut wire).unwrap();
    let info = measure(|| assert_eq!(server.decapsulate(&wire, &mut plain), Ok(wire.len())));
    assert!(info.bytes_max <= FEW, "{} bytes", info.bytes_max);
}

/// A stream that has failed buffers nothing.
#[test]
fn failed_layer_buffers_nothing() {
    let mut layer = Encapsulation::new(Fake::acceptor(0), ProtectionLevel::Integrity);
    let mut plain = Vec::with_capacity(65_535);
    let info = measure(|| {
        let wire = [&b"\x01\x03\xff\xff"[..], &[0; 65_535]].concat();
        let (first, last) = wire.split_at(60_000);
        assert_eq!(layer.decapsulate(first, &mut plain), Ok(60_000));
        assert!(layer.decapsulate(last, &mut plain).is_err());
    });
    assert_eq!(info.bytes_current, 0, "bytes stay");
}
