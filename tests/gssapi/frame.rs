use sans_socks::gssapi::{Frame, MessageType, ProtectionLevel, Token};
use sans_socks::message::{BufferTooSmall, Decoded, Encode};
use sans_socks::{InvalidValue, Malformed};
use sans_socks_testing::faults::wrong_version;
use sans_socks_testing::vectors::vectors_of;

fn token(message_type: MessageType, bytes: &[u8]) -> Frame<'_> {
    Frame::Token {
        message_type,
        token: Token::new(bytes).unwrap(),
    }
}

fn complete(bytes: &[u8]) -> (Frame<'_>, usize) {
    Frame::decode(bytes)
        .unwrap()
        .complete()
        .expect("a complete frame")
}

fn needed(bytes: &[u8]) -> usize {
    match Frame::decode(bytes) {
        Ok(Decoded::Incomplete { needed }) => needed.get(),
        other => panic!("{other:?} of {bytes:x?}"),
    }
}

fn vector(id: &str) -> Vec<u8> {
    vectors_of("gss").find(|row| row.id == id).expect(id).input
}

const WHOLE: [(&str, MessageType, usize); 6] = [
    ("V-110", MessageType::Authentication, 0),
    ("V-112", MessageType::ProtectionLevel, 1),
    ("V-113", MessageType::ProtectionLevel, 29),
    ("V-115", MessageType::Encapsulated, 38),
    ("V-116", MessageType::Encapsulated, 38),
    ("V-125", MessageType::Encapsulated, 2),
];

/// Every vector of these frames has a test below.
#[test]
fn every_vector_is_tested() {
    let others = ["V-118", "V-119", "V-121", "V-122", "V-124"];
    let mut tested: Vec<&str> = WHOLE.iter().map(|(id, ..)| *id).chain(others).collect();
    tested.sort_unstable();
    let all: Vec<&str> = vectors_of("gss").map(|row| row.id).collect();
    assert_eq!(tested, all);
}

/// V-110, V-112, V-113, V-115, V-116, V-125: a frame has "mtyp", two bytes of length, the token, and no
/// other bytes.
#[test]
fn complete_vectors_decode_and_encode() {
    for (id, mtyp, len) in WHOLE {
        let bytes = vector(id);
        let (frame, consumed) = complete(&bytes);
        assert_eq!(consumed, 4 + len, "{id}");
        assert_eq!(frame, token(mtyp, &bytes[4..4 + len]), "{id}");

        let mut out = vec![0xee; consumed];
        assert_eq!(frame.encode_into(&mut out), Ok(consumed));
        assert_eq!(out, bytes[..consumed], "{id} encoded");
    }
}

/// V-118, V-119: an incomplete frame is not an error. It reports how many bytes are missing to the next decision.
#[test]
fn partial_vectors_report_what_is_needed() {
    assert_eq!(needed(&[]), 2);
    assert_eq!(needed(&[1]), 1);
    assert_eq!(needed(&vector("V-118")), 2);
    assert_eq!(needed(&vector("V-119")), 1);
    let whole = vector("V-113");
    for at in 4..whole.len() {
        assert_eq!(needed(&whole[..at]), whole.len() - at);
    }
}

/// V-121, V-122: a fault is reported at the byte that shows it, with or without the bytes after it.
#[test]
fn faulty_vectors_fail_at_the_byte_that_shows_it() {
    let version = vector("V-121");
    for at in 1..=version.len() {
        assert_eq!(Frame::decode(&version[..at]), Err(wrong_version(1, 2)));
    }
    let mtyp = vector("V-122");
    for at in 2..=mtyp.len() {
        assert_eq!(Frame::decode(&mtyp[..at]), Err(Malformed::MessageType(4)));
    }
    for mtyp in (0..=254).filter(|mtyp| !(1..=3).contains(mtyp)) {
        assert_eq!(Frame::decode(&[1, mtyp]), Err(Malformed::MessageType(mtyp)));
        assert_eq!(MessageType::new(mtyp), None);
    }
}

/// V-124, R-114: an abort has two bytes and no length.
#[test]
fn abort_vector_has_two_bytes() {
    let bytes = vector("V-124");
    assert_eq!(complete(&bytes), (Frame::Abort, 2));
    assert_eq!(complete(&bytes[..2]), (Frame::Abort, 2));
    let mut out = [0xee; 4];
    assert_eq!(Frame::Abort.encode_into(&mut out), Ok(2));
    assert_eq!(out, [1, 0xff, 0xee, 0xee]);
    assert_eq!(Frame::Abort.encoded_len(), 2);
}

/// a token has at most 65,535 bytes.
#[test]
fn token_of_65535_bytes_is_the_longest() {
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

/// the length is in network byte order.
#[test]
fn length_is_big_endian() {
    let bytes = vec![0; 0x0102];
    let mut out = vec![0; 0x0106];
    token(MessageType::Authentication, &bytes)
        .encode_into(&mut out)
        .unwrap();
    assert_eq!(out[..4], [1, 1, 1, 2]);
}

/// `encode_into` writes the whole frame or nothing.
#[test]
fn encode_into_a_small_buffer_writes_nothing() {
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

/// `encode` writes the whole frame or nothing, even for tokens longer than any other message.
#[cfg(feature = "bytes")]
#[test]
fn encode_appends_a_frame_of_any_length() {
    for len in [0, 1, 509, 510, 600, 65_535] {
        let bytes = vec![9; len];
        let frame = token(MessageType::Encapsulated, &bytes);
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        assert_eq!(complete(&out), (frame, 4 + len));

        let mut room = vec![0xee; 3 + len];
        assert!(frame.encode(&mut &mut room[..]).is_err());
        assert!(room.iter().all(|byte| *byte == 0xee));
        room.push(0xee);
        frame.encode(&mut &mut room[..]).unwrap();
        assert_eq!(room, out);
    }
    let mut out = Vec::new();
    Frame::Abort.encode(&mut out).unwrap();
    assert_eq!(out, [1, 0xff]);
}

/// `Debug` shows no byte of a token.
#[test]
fn frame_debug_shows_the_length_only() {
    let frame = token(MessageType::Encapsulated, b"secret");
    assert_eq!(
        format!("{frame:?}"),
        "Token { message_type: Encapsulated, token: Token(6 bytes) }"
    );
}

/// The error of the context is the source, and its text is not repeated.
#[cfg(feature = "std")]
#[test]
fn error_converts_into_io_error_and_has_a_source() {
    use std::error::Error as _;
    use std::io;

    use crate::errors::{plain_too_long, token_too_long, unexpected_message};
    use sans_socks::gssapi::Error;

    let error = Error::Context(io::Error::other("no ticket"));
    assert_eq!(error.source().unwrap().to_string(), "no ticket");
    assert!(!error.to_string().contains("ticket"));

    let io: io::Error = Error::<io::Error>::Rejected.into();
    assert!(io.get_ref().unwrap().is::<Error<io::Error>>());

    let (expected, got) = (MessageType::Authentication, MessageType::Encapsulated);
    let (len, max) = (2, 1);
    for (error, kind) in [
        (Malformed::MessageType(4).into(), io::ErrorKind::InvalidData),
        (unexpected_message(expected, got), io::ErrorKind::InvalidData),
        (token_too_long(len, max), io::ErrorKind::InvalidData),
        (Error::LevelLength(2), io::ErrorKind::InvalidData),
        (Error::NotConfidential, io::ErrorKind::InvalidData),
        (Error::DatagramLength, io::ErrorKind::InvalidData),
        (Error::Rejected, io::ErrorKind::PermissionDenied),
        (Error::LevelNotAllowed(4), io::ErrorKind::PermissionDenied),
        (
            Error::LevelUnavailable(ProtectionLevel::Selective),
            io::ErrorKind::Unsupported,
        ),
        (plain_too_long(len, max), io::ErrorKind::InvalidInput),
        (Error::Abandoned, io::ErrorKind::ConnectionAborted),
        (Error::Failed, io::ErrorKind::ConnectionAborted),
        (
            Error::Context(io::Error::from(io::ErrorKind::TimedOut)),
            io::ErrorKind::Other,
        ),
    ] {
        let text = format!("{error:?}");
        assert_eq!(io::Error::from(error).kind(), kind, "{text}");
    }
}

#[test]
fn levels_and_types_have_names() {
    let names = [1, 2, 3].map(|byte| {
        let level = ProtectionLevel::new(byte).unwrap();
        let message_type = MessageType::new(byte).unwrap();
        format!("{level}; {message_type}")
    });
    assert_eq!(
        names,
        [
            "integrity; authentication",
            "confidentiality; protection level",
            "selective; encapsulated data",
        ]
    );
}
