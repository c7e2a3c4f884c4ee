use crate::errors::{plain_too_long, token_too_long, unexpected_message};
use crate::faults::wrong_version;
use sans_socks::gssapi::{Frame, MessageType, ProtectionLevel, Token};
use sans_socks::message::{BufferTooSmall, Decoded, Encode};
use sans_socks::{InvalidValue, Malformed};

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

/// The octets of a row of `tests/data/vectors.tsv`.
fn vector(id: &str) -> Vec<u8> {
    let row = gss_rows().find(|row| row[0] == id).expect(id);
    hex::decode(row[2]).unwrap()
}

fn gss_rows() -> impl Iterator<Item = Vec<&'static str>> {
    include_str!("../data/vectors.tsv")
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| row.get(1) == Some(&"gss"))
}

const WHOLE: [(&str, MessageType, usize); 6] = [
    ("V-110", MessageType::Authentication, 0),
    ("V-112", MessageType::ProtectionLevel, 1),
    ("V-113", MessageType::ProtectionLevel, 29),
    ("V-115", MessageType::Encapsulated, 38),
    ("V-116", MessageType::Encapsulated, 38),
    ("V-125", MessageType::Encapsulated, 2),
];

/// Every vector about these frames has its test below.
#[test]
fn no_vector_is_left_out() {
    let others = ["V-118", "V-119", "V-121", "V-122", "V-124"];
    let mut tested: Vec<&str> = WHOLE.iter().map(|(id, ..)| *id).chain(others).collect();
    tested.sort_unstable();
    let all: Vec<&str> = gss_rows().map(|row| row[0]).collect();
    assert_eq!(tested, all);
}

/// V-110, V-112, V-113, V-115, V-116, V-125: mtyp, a two-octet length, and the token; not an octet more.
#[test]
fn vectors_of_whole_frames() {
    for (id, mtyp, len) in WHOLE {
        let octets = vector(id);
        let (frame, consumed) = complete(&octets);
        assert_eq!(consumed, 4 + len, "{id}");
        assert_eq!(frame, token(mtyp, &octets[4..4 + len]), "{id}");

        let mut out = vec![0xee; consumed];
        assert_eq!(frame.encode_into(&mut out), Ok(consumed));
        assert_eq!(out, octets[..consumed], "{id} written again");
    }
}

/// V-118, V-119: not yet, and how many octets are missing up to the next decision.
#[test]
fn vectors_of_parts_and_what_is_needed() {
    assert_eq!(needed(&[]), 2);
    assert_eq!(needed(&[1]), 1);
    assert_eq!(needed(&vector("V-118")), 2);
    assert_eq!(needed(&vector("V-119")), 1);
    let whole = vector("V-113");
    for at in 4..whole.len() {
        assert_eq!(needed(&whole[..at]), whole.len() - at);
    }
}

/// V-121, V-122: a fault is shown by the octet that has it, whatever else is there or not.
#[test]
fn vectors_of_faults() {
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

/// V-124, R-114: an abort is two octets, and no length is waited for.
#[test]
fn vector_of_an_abort() {
    let octets = vector("V-124");
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
        room.push(0xee);
        frame.encode(&mut &mut room[..]).unwrap();
        assert_eq!(room, out);
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
        "Token { message_type: Encapsulated, token: Token(6 bytes) }"
    );
}

/// What is printed of a message and of a level is the RFC's name for it.
#[test]
fn names() {
    use sans_socks::gssapi::ProtectionLevel;

    let messages = [
        MessageType::Authentication,
        MessageType::ProtectionLevel,
        MessageType::Encapsulated,
    ];
    assert_eq!(
        messages.map(|message| message.to_string()),
        ["authentication", "protection level", "encapsulated data"]
    );
    let levels = [1, 2, 3].map(|octet| ProtectionLevel::new(octet).unwrap().to_string());
    assert_eq!(levels, ["integrity", "confidentiality", "selective"]);
}

/// The context's error is the source, and its text is not said twice.
#[cfg(feature = "std")]
#[test]
fn errors_convert_and_have_a_source() {
    use std::error::Error as _;
    use std::io;

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
    let names = [1, 2, 3].map(|octet| {
        let level = ProtectionLevel::new(octet).unwrap();
        let message_type = MessageType::new(octet).unwrap();
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
