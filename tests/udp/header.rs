//! The header of RFC 1928 section 7: ..Q-085, Q-087, Q-093,
//! Q-094, and the `udp` vectors.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sans_socks::message::{BufferTooSmall, Encode};
use sans_socks::udp::{Datagram, Frag, Header, MAX_HEADER_LEN, fragments, max_payload};
use sans_socks::{Address, Domain, Malformed};
use sans_socks_testing::vectors::{Vector, vectors_of};

/// The vectors that are datagrams.
fn rows() -> Vec<Vector> {
    let rows: Vec<_> = vectors_of("udp").collect();
    assert_eq!(rows.len(), 10, "a row is missing");
    rows
}

/// Datagrams that other programs drop: 8 bytes, 9.
const SHORT: [&[u8]; 2] = [b"\0\0\0\x03\x01a\0\x35", b"\0\0\0\x03\x01a\0\x35z"];

/// The bytes of all valid datagrams.
fn datagrams() -> Vec<Vec<u8>> {
    let rows = rows().into_iter();
    let valid = rows.filter_map(|row| row.result.starts_with("OK").then_some(row.input));
    valid.chain(SHORT.map(<[u8]>::to_vec)).collect()
}

///
#[test]
fn header_vectors_decode_as_stated() {
    for Vector {
        id,
        input: bytes,
        result: expected,
        ..
    } in rows()
    {
        let result = match Datagram::decode(&bytes) {
            Ok(Datagram { header, payload }) => format!(
                "OK consumed={} frag={:02x}, addr={}, data={}",
                bytes.len(),
                header.frag,
                header.address,
                hex::encode(payload)
            ),
            Err(Malformed::Truncated) => "ERROR short datagram".into(),
            Err(Malformed::EmptyDomain) => "ERROR empty domain".into(),
            Err(fault) => panic!("{id}: {fault}"),
        };
        assert_eq!(result, expected, "{id}");
    }
}

/// RSV is written as 0000, regardless of the RSV received. The rest is written as received.
#[test]
fn header_is_written_as_received_with_rsv_0000() {
    for bytes in datagrams() {
        let mut written = vec![0xa5; bytes.len()];
        let datagram = Datagram::decode(&bytes).unwrap();
        assert_eq!(datagram.encode_into(&mut written), Ok(bytes.len()));
        assert_eq!((&written[..2], &written[2..]), (&[0, 0][..], &bytes[2..]));
    }
}

///
#[test]
fn header_of_the_shortest_name_is_decoded() {
    for (bytes, payload) in SHORT.into_iter().zip([&b""[..], b"z"]) {
        let datagram = Datagram::decode(bytes).unwrap();
        assert_eq!(datagram.header.address, Address::try_from("a:53").unwrap());
        assert_eq!(datagram.payload, payload);
    }
}

/// the shortest input that shows each fault.
#[test]
fn header_fault_is_named() {
    let faults: [(&[u8], Malformed); 6] = [
        (b"", Malformed::Truncated),
        (b"\0\0\0\0", Malformed::AddressType(0)),
        (b"\0\0\0\x02", Malformed::AddressType(2)),
        (b"\0\0\0\x03", Malformed::Truncated),
        (b"\0\0\0\x03\0", Malformed::EmptyDomain),
        (b"\0\0\0\x03\x01a\0", Malformed::Truncated),
    ];
    for (bytes, fault) in faults {
        assert_eq!(Datagram::decode(bytes), Err(fault), "{bytes:?}");
    }
}

/// a datagram that ends inside its header is a fault, and never incomplete.
#[test]
fn header_truncated_at_any_byte_is_a_fault() {
    for bytes in datagrams() {
        let header_len = Datagram::decode(&bytes).unwrap().header.encoded_len();
        for cut in 0..header_len {
            let result = Datagram::decode(&bytes[..cut]);
            assert_eq!(result, Err(Malformed::Truncated), "{bytes:?} at {cut}");
        }
        for cut in header_len..=bytes.len() {
            let datagram = Datagram::decode(&bytes[..cut]).unwrap();
            assert_eq!(datagram.payload, &bytes[header_len..cut], "{bytes:?} at {cut}");
        }
    }
}

/// A second decoder, by offsets. Every result is compared with it.
fn by_offsets(bytes: &[u8]) -> Result<(u8, String, &[u8]), Malformed> {
    let header_len = match (bytes.get(3), bytes.get(4)) {
        (None, _) | (Some(3), None) => return Err(Malformed::Truncated),
        (Some(1), _) => 10,
        (Some(3), Some(0)) => return Err(Malformed::EmptyDomain),
        (Some(3), Some(n)) => 7 + usize::from(*n),
        (Some(4), _) => 22,
        (Some(unknown), _) => return Err(Malformed::AddressType(*unknown)),
    };
    if bytes.len() < header_len {
        return Err(Malformed::Truncated);
    }
    let (header, payload) = bytes.split_at(header_len);
    let host = match header[3] {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(&header[4..8]).unwrap()).to_string(),
        4 => format!(
            "[{}]",
            Ipv6Addr::from(<[u8; 16]>::try_from(&header[4..20]).unwrap())
        ),
        _ => header[5..header_len - 2].escape_ascii().to_string(),
    };
    let port = u16::from_be_bytes([header[header_len - 2], header[header_len - 1]]);
    Ok((header[2], format!("{host} {port}"), payload))
}

fn decoded(bytes: &[u8]) -> Result<(u8, String, &[u8]), Malformed> {
    Datagram::decode(bytes).map(|datagram| {
        let Header { frag, address } = datagram.header;
        let host = match address.host {
            sans_socks::Host::Ipv4(ip) => ip.to_string(),
            sans_socks::Host::Ipv6(ip) => format!("[{ip}]"),
            sans_socks::Host::Domain(name) => name.as_bytes().escape_ascii().to_string(),
        };
        (frag.get(), format!("{host} {}", address.port), datagram.payload)
    })
}

/// none of the 16,777,216 inputs of three bytes is a datagram.
#[test]
fn header_of_three_bytes_is_a_fault() {
    for bytes in 0..1_u32 << 24 {
        let [bytes @ .., _] = bytes.to_le_bytes();
        assert!(matches!(Datagram::decode(&bytes), Err(Malformed::Truncated)));
    }
}

/// up to twelve bytes: every ATYP and every byte after it (the length of a name), at every length.
#[test]
fn header_of_every_shape_agrees_with_its_offsets() {
    let mut bytes = *b"\x00\x01\x02\x00\x00efghijk";
    for atyp in 0..=255 {
        for after in 0..=255 {
            bytes[3] = atyp;
            bytes[4] = after;
            for len in 0..=bytes.len() {
                assert_eq!(decoded(&bytes[..len]), by_offsets(&bytes[..len]));
            }
        }
    }
}

fn any_address() -> impl Strategy<Value = (Option<IpAddr>, Vec<u8>, u16)> {
    let name = proptest::collection::vec(any::<u8>(), 1..=255);
    (proptest::option::of(any::<IpAddr>()), name, any::<u16>())
}

fn address((ip, name, port): &(Option<IpAddr>, Vec<u8>, u16)) -> Address<'_> {
    match ip {
        Some(ip) => Address::from((*ip, *port)),
        None => Address::from((Domain::new(name).unwrap(), *port)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// samples of longer inputs than those above.
    #[test]
    fn header_of_any_bytes_agrees_with_its_offsets(bytes in proptest::collection::vec(any::<u8>(), 0..=300), atyp in 0..6_u8) {
        prop_assert_eq!(decoded(&bytes), by_offsets(&bytes));
        let mut bytes = bytes;
        if let Some(byte) = bytes.get_mut(3) {
            *byte = atyp;
        }
        prop_assert_eq!(decoded(&bytes), by_offsets(&bytes));
    }

    ///
    #[test]
    fn header_of_any_address_round_trips(
        parts in any_address(),
        frag in any::<u8>(),
        payload in proptest::collection::vec(any::<u8>(), 0..=600),
        short in 0..2000_usize,
    ) {
        let datagram = Datagram::new(Header::new(Frag::new(frag), address(&parts)), &payload);
        let needed = datagram.encoded_len();
        prop_assert_eq!(needed, datagram.header.encoded_len() + payload.len());

        let mut bytes = vec![0xa5; needed + 3];
        prop_assert_eq!(datagram.encode_into(&mut bytes), Ok(needed));
        prop_assert_eq!(&bytes[needed..], [0xa5; 3]);
        prop_assert_eq!(Datagram::decode(&bytes[..needed]), Ok(datagram));

        // all or nothing.
        let mut bytes = vec![0xa5; short % needed];
        let error = datagram.encode_into(&mut bytes).unwrap_err();
        prop_assert_eq!(error.needed, needed);
        prop_assert!(bytes.iter().all(|byte| *byte == 0xa5));
    }
}

/// One address of every form and every length.
fn every_form(test: impl Fn(Address<'_>, usize)) {
    test(Address::from((IpAddr::from([192, 0, 2, 7]), 5300)), 10);
    test(Address::from((IpAddr::from([7_u16; 8]), 5300)), 22);
    let name: Vec<u8> = (0..=254).collect();
    for len in 1..=255 {
        let name = Domain::new(&name[..len]).unwrap();
        test(Address::from((name, 5300)), 7 + len);
    }
}

/// `prepend` and `encode_into` write the same, with every headroom from 0 up, and nothing else.
#[test]
fn prepend_writes_what_encode_into_writes() {
    every_form(|address, header_len| {
        let header = Header::new(Frag::new(0x83), address);
        let mut alone = [0xa5; MAX_HEADER_LEN];
        assert_eq!(header.encode_into(&mut alone), Ok(header_len));
        let (alone, untouched) = alone.split_at(header_len);
        assert!(untouched.iter().all(|byte| *byte == 0xa5));

        for headroom in 0..=MAX_HEADER_LEN + 2 {
            let mut buf = vec![0xa5; headroom + 4];
            let result = header.prepend(&mut buf, headroom);
            let written = match result {
                Ok(start) => {
                    assert_eq!(start + header_len, headroom);
                    assert_eq!(buf[start..headroom], *alone);
                    start..headroom
                }
                Err(BufferTooSmall { needed, .. }) => {
                    assert!(headroom < header_len);
                    assert_eq!(needed, header_len);
                    0..0
                }
            };
            for (at, byte) in buf.iter().enumerate() {
                assert!(written.contains(&at) || *byte == 0xa5);
            }
        }
    });
}

#[test]
fn prepend_to_a_payload_beyond_the_buffer_is_refused() {
    let header = Header::standalone(Address::UNSPECIFIED);
    let mut buf = [0xa5; 16];
    for payload_start in [17, 26, usize::MAX] {
        assert_eq!(header.prepend(&mut buf, payload_start).unwrap_err().needed, 10);
        assert_eq!(buf, [0xa5; 16]);
    }
    // An empty payload at the end of the buffer.
    assert_eq!(header.prepend(&mut buf, 16), Ok(6));
}

///
#[test]
fn max_payload_leaves_room_for_the_header() {
    every_form(|address, header_len| {
        assert_eq!(Header::standalone(address).encoded_len(), header_len);
        assert_eq!(max_payload(65507, &address), 65507 - header_len);
        assert_eq!(max_payload(header_len, &address), 0);
        assert_eq!(max_payload(header_len - 1, &address), 0);
        assert_eq!(max_payload(0, &address), 0);
    });
    assert_eq!(MAX_HEADER_LEN, 262);
    assert_eq!(Header::MAX_LEN, MAX_HEADER_LEN);
}

///
#[test]
fn frag_has_a_position_and_an_end_bit() {
    for byte in 0..=255 {
        let frag = Frag::new(byte);
        assert_eq!(frag.get(), byte);
        assert_eq!(frag.position(), byte % 128);
        assert_eq!(frag.is_last(), byte >= 128);
        assert_eq!(frag == Frag::STANDALONE, byte == 0);
    }
}

/// `Encode::encode` appends the same bytes.
#[cfg(feature = "bytes")]
#[test]
fn header_encode_appends_the_same_bytes() {
    every_form(|address, header_len| {
        let header = Header::standalone(address);
        let mut alone = [0; MAX_HEADER_LEN];
        header.encode_into(&mut alone).unwrap();
        let mut appended = vec![0xa5];
        header.encode(&mut appended).unwrap();
        assert_eq!(appended[1..], alone[..header_len]);
    });
}

/// The sender's side.
mod fragments_sent {
    use core::num::NonZeroUsize;

    use super::*;

    fn pieces(payload: &[u8], max: usize) -> Vec<(u8, Vec<u8>)> {
        let to = Address::try_from("example.com:53").unwrap();
        let pieces = fragments(to, payload, NonZeroUsize::new(max).unwrap()).unwrap();
        let announced = pieces.len();
        let pieces: Vec<_> = pieces
            .map(|piece| {
                assert_eq!(piece.header.address, to, "every piece carries the address");
                (piece.header.frag.get(), piece.payload.to_vec())
            })
            .collect();
        assert_eq!(pieces.len(), announced);
        pieces
    }

    /// D-18, R-081.
    #[test]
    fn payload_of_one_piece_has_frag_00() {
        assert_eq!(pieces(b"ab", 2), [(0x00, b"ab".to_vec())]);
        assert_eq!(pieces(b"ab", usize::MAX), [(0x00, b"ab".to_vec())]);
        assert_eq!(pieces(b"", 1), [(0x00, vec![])]);
    }

    /// D-18.
    #[test]
    fn last_of_several_pieces_has_the_end_bit() {
        assert_eq!(pieces(b"abc", 2), [(0x01, b"ab".to_vec()), (0x82, b"c".to_vec())]);
        assert_eq!(
            pieces(b"abcd", 2),
            [(0x01, b"ab".to_vec()), (0x82, b"cd".to_vec())]
        );
    }

    /// D-18.
    #[test]
    fn more_than_127_pieces_are_an_error() {
        let all = pieces(&[7; 127], 1);
        assert_eq!(all.first(), Some(&(0x01, vec![7])));
        assert_eq!(all.last(), Some(&(0xff, vec![7])));
        let count = |payload: &[u8], max: usize| {
            fragments(Address::UNSPECIFIED, payload, NonZeroUsize::new(max).unwrap())
                .map(|pieces| pieces.len())
                .map_err(|error| error.pieces)
        };
        assert_eq!(count(&[7; 128], 1), Err(128));
        assert_eq!(count(&[7; 254], 2), Ok(127));
        assert_eq!(count(&[7; 255], 2), Err(128));
        assert_eq!(count(&[7; 65536], 1), Err(65536));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// D-18.
        #[test]
        fn pieces_of_any_size_are_the_payload(payload in proptest::collection::vec(any::<u8>(), 0..=2000), max in 16..=2100_usize) {
            let pieces = pieces(&payload, max);
            prop_assert_eq!(pieces.iter().flat_map(|(_, piece)| piece.clone()).collect::<Vec<_>>(), payload);
            prop_assert!(pieces.iter().all(|(_, piece)| piece.len() <= max));
            for (index, (frag, _)) in pieces.iter().enumerate() {
                let last = index + 1 == pieces.len();
                let position = if pieces.len() == 1 { 0 } else { index + 1 };
                prop_assert_eq!(usize::from(frag % 128), position);
                prop_assert_eq!(*frag >= 128, last && position > 0);
            }
        }
    }
}
