use sans_socks::gssapi::{Error, Frame, MessageType, Token};
use sans_socks::{BufferTooSmall, Decoded, Encode, InvalidValue, Malformed};

fn token(message_type: MessageType, octets: &[u8]) -> Frame<'_> {
    Frame::Token {
        message_type,
        token: Token::new(octets).unwrap(),
    }
}

fn complete(octets: &[u8]) -> (Frame<'_>, usize) {
    Frame::decode(octets).unwrap().complete().expect("a whole frame")
}

fn needed(octets: &[u8]) -> usize {
    match Frame::decode(octets) {
        Ok(Decoded::Incomplete { needed }) => needed.get(),
        other => panic!("{other:?} of {octets:x?}"),
    }
}

const V_110: &str = "01010000";
const V_112: &str = "0102000102";
const V_113: &str = "0102001d050404ff000c0000000000000080f8cd018ec9507b6b778b2e774c48c6";
const V_115: &str = "01030026050404ff000c0000000000000080f8ce050100017f00000146a0b3fa748dddbba2c85d7c11b8";
const V_116: &str = "01030026050405ff000c00000000000034da5443050000017f000001d1cd5419cd34dec2104bdf8df33b";
const V_118: &str = "0101";
const V_119: &str = "010300";
const V_121: &str = "02010000";
const V_122: &str = "01040000";
const V_124: &str = "01ff0000";
const V_125: &str = "01030002aabb01030001cc";

/// V-110 to V-116, V-125, and: mtyp, a two-octet length, and the token; not an octet more.
#[test]
fn vectors_of_whole_frames() {
    for (vector, mtyp, len) in [
        (V_110, MessageType::Authentication, 0),
        (V_112, MessageType::ProtectionLevel, 1),
        (V_113, MessageType::ProtectionLevel, 29),
        (V_115, MessageType::Encapsulated, 38),
        (V_116, MessageType::Encapsulated, 38),
        (V_125, MessageType::Encapsulated, 2),
    ] {
        let octets = hex::decode(vector).unwrap();
        let (frame, consumed) = complete(&octets);
        assert_eq!(consumed, 4 + len, "{vector}");
        assert_eq!(frame, token(mtyp, &octets[4..4 + len]), "{vector}");

        let mut out = vec![0xee; consumed];
        assert_eq!(frame.encode_into(&mut out), Ok(consumed));
        assert_eq!(out, octets[..consumed], "{vector} written again");
    }
}

/// V-118, V-119: not yet, and how many octets are missing up to the next decision.
#[test]
fn vectors_of_parts_and_what_is_needed() {
    assert_eq!(needed(&[]), 2);
    assert_eq!(needed(&[1]), 1);
    assert_eq!(needed(&hex::decode(V_118).unwrap()), 2);
    assert_eq!(needed(&hex::decode(V_119).unwrap()), 1);
    let whole = hex::decode(V_113).unwrap();
    for at in 4..whole.len() {
        assert_eq!(needed(&whole[..at]), whole.len() - at);
    }
}

/// V-121, V-122: a fault is shown by the octet that has it, whatever else is there or not.
#[test]
fn vectors_of_faults() {
    let version = hex::decode(V_121).unwrap();
    for at in 1..=version.len() {
        assert_eq!(
            Frame::decode(&version[..at]),
            Err(Malformed::Version { expected: 1, got: 2 })
        );
    }
    let mtyp = hex::decode(V_122).unwrap();
    for at in 2..=mtyp.len() {
        assert_eq!(Frame::decode(&mtyp[..at]), Err(Malformed::MessageType(4)));
    }
    for mtyp in (0..=254).filter(|mtyp| !(1..=3).contains(mtyp)) {
        assert_eq!(Frame::decode(&[1, mtyp]), Err(Malformed::MessageType(mtyp)));
        assert_eq!(MessageType::new(mtyp), None);
    }
}

/// V-124, R-114: an abort is two octets, and no length is waited for.
#[test]
fn vector_of_an_abort() {
    let octets = hex::decode(V_124).unwrap();
    assert_eq!(complete(&octets), (Frame::Abort, 2));
    assert_eq!(complete(&octets[..2]), (Frame::Abort, 2));
    let mut out = [0xee; 4];
    assert_eq!(Frame::Abort.encode_into(&mut out), Ok(2));
    assert_eq!(out, [1, 0xff, 0xee, 0xee]);
    assert_eq!(Frame::Abort.encoded_len(), 2);
}

/// 65,535 octets are a token, 65,536 are none.
#[test]
fn the_longest_token() {
    let long = vec![7; 65_536];
    assert_eq!(Token::new(&long).unwrap_err(), InvalidValue::TokenLength(65_536));

    let frame = token(MessageType::Encapsulated, &long[1..]);
    assert_eq!(frame.encoded_len(), Frame::MAX_LEN);
    let mut out = vec![0; 65_539];
    assert_eq!(frame.encode_into(&mut out), Ok(65_539));
    assert_eq!(out[..4], [1, 3, 0xff, 0xff]);
    assert_eq!(complete(&out), (frame, 65_539));
    assert_eq!(needed(&out[..65_538]), 1);
}

/// the length is in network order.
#[test]
fn the_length_is_big_endian() {
    let octets = vec![0; 0x0102];
    let mut out = vec![0; 0x0106];
    token(MessageType::Authentication, &octets)
        .encode_into(&mut out)
        .unwrap();
    assert_eq!(out[..4], [1, 1, 1, 2]);
}

/// Writing is all or nothing.
#[test]
fn too_small_a_buffer_is_left_as_it_was() {
    let frame = token(MessageType::ProtectionLevel, b"abc");
    let mut out = [0xee; 6];
    assert_eq!(
        frame
            .encode_into(&mut out)
            .map_err(|BufferTooSmall { needed, .. }| needed),
        Err(7)
    );
    assert_eq!(out, [0xee; 6]);
}

/// The same by way of `BufMut`, for tokens longer than any other message, too.
#[cfg(feature = "bytes")]
#[test]
fn encode_appends_a_frame_of_any_length() {
    for len in [0, 1, 509, 510, 600, 65_535] {
        let octets = vec![9; len];
        let frame = token(MessageType::Encapsulated, &octets);
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        assert_eq!(complete(&out), (frame, 4 + len));

        let mut room = vec![0xee; 3 + len];
        assert!(frame.encode(&mut &mut room[..]).is_err());
        assert!(room.iter().all(|octet| *octet == 0xee));
    }
    let mut out = Vec::new();
    Frame::Abort.encode(&mut out).unwrap();
    assert_eq!(out, [1, 0xff]);
}

/// No token prints itself.
#[test]
fn debug_shows_lengths_only() {
    let frame = token(MessageType::Encapsulated, b"secret");
    assert_eq!(
        format!("{frame:?}"),
        "Token { message_type: Encapsulated, token: Token(6 octets) }"
    );
}

/// The context's error is the source, and its text is not said twice.
#[cfg(feature = "std")]
#[test]
fn errors_convert_and_have_a_source() {
    use std::error::Error as _;
    use std::io;

    let error = Error::Context(io::Error::other("no ticket"));
    assert_eq!(error.source().unwrap().to_string(), "no ticket");
    assert!(!error.to_string().contains("ticket"));

    let io: io::Error = Error::<io::Error>::Rejected.into();
    assert_eq!(io.kind(), io::ErrorKind::PermissionDenied);
    assert!(io.get_ref().unwrap().is::<Error<io::Error>>());
}
