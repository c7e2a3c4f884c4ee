//! The codec: values, captured messages, and every input that is not a message.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use proptest::collection::vec;
use proptest::prelude::*;
use sans_socks::message::{Decoded, Encode};
use sans_socks::socks4::{Reply, ReplyCode, Request, UserId};
use sans_socks::{Address, Command, Domain, Host, InvalidValue, Malformed};

use sans_socks_testing::driver::exchange::{self, Message};
use sans_socks_testing::driver::unhex as bytes;
use sans_socks_testing::faults::wrong_version;
use sans_socks_testing::transcripts::transcripts;

fn encoded(message: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    assert_eq!(message.encode_into(&mut bytes), Ok(bytes.len()));
    bytes
}

fn request<'a>(command: Command, address: &'a str, user_id: &'a str) -> Request<'a> {
    let address = Address::try_from(address).unwrap();
    Request::new(command, address, UserId::new(user_id).unwrap()).unwrap()
}

/// Returns the beginning of a request up to DSTIP.
fn head(ip: [u8; 4]) -> Vec<u8> {
    [&[4, 1, 0, 80][..], &ip].concat()
}

const NAMED: [u8; 4] = [0, 0, 0, 1];
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// Returns how many bytes lead to the next decision about a request.
fn next_decision(bytes: &[u8], have: usize) -> usize {
    exchange::next_decision(Message::Socks4Request, false, bytes, have).unwrap()
}

/// Checks every truncation of the message `bytes`: how many bytes are needed, and where the message ends.
fn decides_where_it_must<'a, T: PartialEq + core::fmt::Debug>(
    bytes: &'a [u8],
    decode: impl Fn(&'a [u8]) -> Result<Decoded<T>, Malformed>,
    next_decision: impl Fn(usize) -> usize,
) {
    let whole = decode(bytes);
    let end = match &whole {
        Ok(Decoded::Complete { consumed, .. }) => *consumed,
        Err(_) => bytes.len(),
        Ok(Decoded::Incomplete { .. }) => panic!("{bytes:02x?} is no whole message"),
    };
    assert_eq!(end, bytes.len());
    for have in 0..end {
        match decode(&bytes[..have]) {
            Ok(Decoded::Incomplete { needed }) => {
                assert_eq!(have + needed.get(), next_decision(have), "{have} of {bytes:02x?}");
                assert!(have + needed.get() <= end, "{have} of {bytes:02x?}");
            }
            other => panic!("{other:?} after {have} of {bytes:02x?}"),
        }
    }
}

mod values {
    use super::*;

    /// 0 to 255 bytes without a NUL.
    #[test]
    fn user_id_is_bounded_and_has_no_nul() {
        for len in [0, 1, 254, 255] {
            let user_id = vec![b'u'; len];
            assert_eq!(UserId::new(&user_id).unwrap().as_bytes(), user_id);
        }
        for len in [256, 257, 65_536] {
            let user_id = vec![b'u'; len];
            assert_eq!(UserId::new(&user_id), Err(InvalidValue::UserId(len)));
        }
        for nul in ["\0", "\0u", "u\0", "u\0host"] {
            assert_eq!(UserId::new(nul), Err(InvalidValue::UserId(nul.len())));
        }
        // Any other byte is part of it.
        let every = Vec::from_iter(1..=255);
        assert_eq!(UserId::new(&every).unwrap().as_bytes(), every);
        assert_eq!(UserId::EMPTY.as_bytes(), b"");
        assert_eq!(UserId::default(), UserId::EMPTY);
        assert_eq!(UserId::MAX_LEN, 255);
    }

    /// User ids have equal hashes if, and only if, they are equal.
    #[test]
    fn user_id_equality_and_hash_agree() {
        use std::collections::HashSet;
        use std::hash::{DefaultHasher, Hash, Hasher};

        let ids = ["", "a", "b", "ab", "ba"].map(|id| UserId::new(id).unwrap());
        for (at, id) in ids.iter().enumerate() {
            for (other_at, other) in ids.iter().enumerate() {
                assert_eq!(id == other, at == other_at, "{:?}", id.as_bytes());
            }
        }
        let mut hashes = HashSet::new();
        for id in ids {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            assert!(hashes.insert(hasher.finish()), "{:?}", id.as_bytes());
        }
    }

    /// a request whose bytes would be ambiguous cannot be built.
    #[test]
    fn request_has_only_addresses_with_an_encoding() {
        let new = |host: Host<'static>| {
            let address = Address { host, port: 80 };
            Request::new(Command::CONNECT, address, UserId::EMPTY)
        };
        for ip in [
            [0, 0, 0, 0],
            [0, 0, 1, 0],
            [0, 0, 1, 1],
            [0, 1, 0, 1],
            [1, 0, 0, 1],
            [255; 4],
        ] {
            let host = Host::from(Ipv4Addr::from(ip));
            assert_eq!(new(host).unwrap().address(), Address { host, port: 80 });
        }
        for x in 1..=255 {
            let host = Host::from(Ipv4Addr::new(0, 0, 0, x));
            assert_eq!(new(host), Err(InvalidValue::Socks4Address));
        }
        for ip in ["::", "::1", "::ffff:127.0.0.1", "2001:db8::1"] {
            let host = Host::Ipv6(ip.parse().unwrap());
            assert_eq!(new(host), Err(InvalidValue::Socks4Address));
        }
        for name in ["\0", "a\0", "\0a", "a\0b"] {
            let host = Domain::new(name).unwrap().into();
            assert_eq!(new(host), Err(InvalidValue::Socks4Address));
        }
        for name in ["a", "127.0.0.1", "::1", "a\x01b\x7f\r\n", "\u{e9}.test"] {
            let host = Domain::new(name).unwrap().into();
            assert_eq!(new(host).unwrap().address().host, host);
        }
    }

    /// the four named codes, and all others by their byte.
    #[test]
    fn reply_codes_are_named() {
        let codes = [
            (ReplyCode::GRANTED, 90, "GRANTED", "request granted"),
            (ReplyCode::REJECTED, 91, "REJECTED", "request rejected or failed"),
            (
                ReplyCode::IDENTD_UNREACHABLE,
                92,
                "IDENTD_UNREACHABLE",
                "identd on the client's host unreachable",
            ),
            (
                ReplyCode::IDENTD_MISMATCH,
                93,
                "IDENTD_MISMATCH",
                "user id differs from identd's",
            ),
        ];
        for (code, byte, name, text) in codes {
            assert_eq!(code, ReplyCode::new(byte));
            assert_eq!((code.get(), code.name()), (byte, Some(name)));
            assert_eq!(
                (format!("{code:?}"), code.to_string()),
                (name.into(), text.into())
            );
            assert_eq!(name.to_lowercase().parse(), Ok(code));
        }
        for byte in 0..=255 {
            let code = ReplyCode::from(byte);
            assert_eq!(u8::from(code), byte);
            assert_eq!(code.is_granted(), byte == 90);
            if !(90..=93).contains(&byte) {
                assert_eq!(code.name(), None);
                assert_eq!(format!("{code:?}"), format!("ReplyCode({byte:#04x})"));
                assert_eq!(code.to_string(), format!("reply code {byte:#04x}"));
            }
        }
    }

    /// codes of version 5 become success or failure. Codes of version 4 keep their meaning in version 5.
    #[test]
    fn reply_codes_convert_between_versions() {
        use sans_socks::ReplyCode as Version5;

        for byte in 0..=255 {
            let expected = match byte {
                0 => ReplyCode::GRANTED,
                _ => ReplyCode::REJECTED,
            };
            assert_eq!(ReplyCode::from(Version5::new(byte)), expected);

            let expected = match byte {
                90 => Version5::SUCCEEDED,
                92 | 93 => Version5::NOT_ALLOWED,
                _ => Version5::GENERAL_FAILURE,
            };
            assert_eq!(Version5::from(ReplyCode::new(byte)), expected);
        }
    }

    /// A user id may be a secret, so it is not printed, alone or in a request.
    #[test]
    fn user_id_is_not_printed() {
        let user_id = UserId::new("hunter2").unwrap();
        assert_eq!(
            format!("{user_id:?} {user_id:#?}"),
            "UserId(7 bytes) UserId(7 bytes)"
        );
        let text = format!("{:?}", request(Command::CONNECT, "example.com:80", "hunter2"));
        assert!(
            text.contains("UserId(7 bytes)") && text.contains("example.com"),
            "{text}"
        );
        assert!(!text.contains("hunter"), "{text}");
        let error = UserId::new("hunter2\0").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter"), "{error}");
    }

    #[test]
    fn errors_name_what_was_got_and_expected() {
        let cases = [
            (
                InvalidValue::UserId(256).to_string(),
                "user id of 256 bytes, expected at most 255 and no NUL",
            ),
            (
                InvalidValue::Socks4Address.to_string(),
                "address has no encoding in SOCKS4",
            ),
            (
                Malformed::UserIdTooLong.to_string(),
                "user id of more than 255 bytes",
            ),
            (
                Malformed::DomainTooLong.to_string(),
                "domain name of more than 255 bytes",
            ),
            (
                wrong_version(4, 5).to_string(),
                "unexpected version 0x05, expected 0x04",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text, expected);
        }
    }

    /// the longest messages, by the diagrams and with 255 bytes in each field.
    #[test]
    fn longest_messages_have_max_len() {
        let field = [b'x'; 255];
        let address = Address::from((Domain::new(&field).unwrap(), 80));
        let request = Request::new(Command::CONNECT, address, UserId::new(&field).unwrap()).unwrap();
        assert_eq!((request.encoded_len(), Request::MAX_LEN), (520, 520));
        // `encode` has room for it, too.
        #[cfg(feature = "bytes")]
        {
            let mut out = Vec::new();
            assert_eq!(request.encode(&mut out), Ok(()));
            assert_eq!(out, encoded(&request));
        }
        let reply = Reply::new(ReplyCode::GRANTED, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        assert_eq!((reply.encoded_len(), Reply::MAX_LEN), (8, 8));
    }
}

mod messages {
    use super::*;

    /// bytes, and their meaning.
    #[test]
    fn request_is_encoded_and_decoded_by_the_diagram() {
        let cases = [
            (
                request(Command::CONNECT, "127.0.0.1:8080", ""),
                "04 01 1f90 7f000001 00",
            ),
            (
                request(Command::CONNECT, "127.0.0.1:8080", "alice"),
                "04 01 1f90 7f000001 616c696365 00",
            ),
            (
                request(Command::BIND, "192.0.2.9:21", "u"),
                "04 02 0015 c0000209 75 00",
            ),
            // 0.0.0.0 is an address like any other, and so is port 0.
            (request(Command::BIND, "0.0.0.0:0", ""), "04 02 0000 00000000 00"),
            (
                request(Command::CONNECT, "app.test:8080", "u"),
                "04 01 1f90 00000001 75 00 6170702e74657374 00",
            ),
            (request(Command::BIND, "a:1", ""), "04 02 0001 00000001 00 61 00"),
            // Tor's look-up.
            (
                request(Command::RESOLVE, "a:0", ""),
                "04 f0 0000 00000001 00 61 00",
            ),
        ];
        for (request, expected) in cases {
            assert_eq!(encoded(&request), bytes(expected), "{request:?}");
            let bytes = bytes(expected);
            let decoded = Request::decode(&bytes).unwrap().complete();
            assert_eq!(decoded, Some((request, bytes.len())));
            decides_where_it_must(&bytes, Request::decode, |have| next_decision(&bytes, have));
        }
    }

    /// any x announces a name. Only the name is kept.
    #[test]
    fn request_with_any_x_of_0_0_0_x_has_a_name() {
        for x in 1..=255 {
            let bytes = [&head([0, 0, 0, x])[..], b"u\0app.test\0"].concat();
            let (request, consumed) = Request::decode(&bytes).unwrap().complete().unwrap();
            assert_eq!(request, super::request(Command::CONNECT, "app.test:80", "u"));
            assert_eq!(consumed, bytes.len());
            decides_where_it_must(&bytes, Request::decode, |have| next_decision(&bytes, have));
        }
        for ip in [
            [0, 0, 0, 0],
            [0, 0, 1, 0],
            [0, 0, 1, 1],
            [0, 1, 0, 1],
            [1, 0, 0, 1],
            [0, 2, 3, 4],
        ] {
            let bytes = [&head(ip)[..], b"u\0app.test\0"].concat();
            let (request, consumed) = Request::decode(&bytes).unwrap().complete().unwrap();
            assert_eq!(request.address().host, Host::from(Ipv4Addr::from(ip)));
            assert_eq!(
                bytes[consumed..],
                *b"app.test\0",
                "later bytes belong to the tunnel"
            );
        }
    }

    /// the codec refuses no value of CD and DSTPORT.
    #[test]
    fn request_with_any_command_and_port_passes() {
        for command in 0..=255 {
            for port in [0, 1, 80, 0xff00, 0xffff] {
                for user_id in ["", "u"] {
                    let [p, q] = u16::to_be_bytes(port);
                    let bytes = [&[4, command, p, q, 192, 0, 2, 9], user_id.as_bytes(), b"\0"].concat();
                    let (request, _) = Request::decode(&bytes).unwrap().complete().unwrap();
                    let target = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 9), port);
                    assert_eq!(request.command(), Command::new(command));
                    assert_eq!(request.address(), Address::from(SocketAddr::from(target)));
                    assert_eq!(request.user_id().as_bytes(), user_id.as_bytes());
                    assert_eq!(encoded(&request), bytes);
                }
            }
        }
    }

    /// a field may have any byte except NULL. `Domain::has_control_bytes` and `Address::canonical` check the content
    /// of a name.
    #[test]
    fn request_keeps_control_bytes_and_literals() {
        for byte in 1..=255 {
            let field = [b'a', byte, b'b'];
            let bytes = [&head(NAMED)[..], &field, b"\0", &field, b"\0"].concat();
            let (request, _) = Request::decode(&bytes).unwrap().complete().unwrap();
            assert_eq!(request.user_id().as_bytes(), field);
            let Host::Domain(name) = request.address().host else {
                panic!("{request:?}");
            };
            assert_eq!(name.as_bytes(), field);
            assert_eq!(name.has_control_bytes(), byte.is_ascii_control());
            assert_eq!(encoded(&request), bytes);
        }
        for literal in ["127.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1"] {
            let bytes = [&head(NAMED)[..], b"\0", literal.as_bytes(), b"\0"].concat();
            let (request, _) = Request::decode(&bytes).unwrap().complete().unwrap();
            let address = request.address();
            assert_eq!(address.host, Domain::new(literal).unwrap().into());
            assert!(address.canonical().to_socket_addr().unwrap().ip().is_loopback());
        }
    }

    /// lengths up to the limit, and every truncation.
    #[test]
    fn request_has_room_for_255_bytes_in_each_field() {
        for user_id in [0, 1, 2, 253, 254, 255] {
            for name in [1, 2, 253, 254, 255] {
                let (user_id, name) = (vec![b'u'; user_id], vec![b'n'; name]);
                let bytes = [&head(NAMED)[..], &user_id, b"\0", &name, b"\0"].concat();
                let (request, consumed) = Request::decode(&bytes).unwrap().complete().unwrap();
                assert_eq!(
                    (request.user_id().as_bytes(), consumed),
                    (&user_id[..], bytes.len())
                );
                assert_eq!(request.address().host, Domain::new(&name).unwrap().into());
                assert_eq!(encoded(&request), bytes);
                decides_where_it_must(&bytes, Request::decode, |have| next_decision(&bytes, have));
            }
            let bytes = [&head(LOOPBACK)[..], &vec![b'u'; user_id], b"\0"].concat();
            decides_where_it_must(&bytes, Request::decode, |have| next_decision(&bytes, have));
        }
    }

    /// bytes, and their meaning. Every code and every address is valid.
    #[test]
    fn reply_is_encoded_and_decoded_by_the_diagram() {
        let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1), 0x9e35);
        for code in 0..=255 {
            let reply = Reply::new(ReplyCode::new(code), address);
            let bytes = [0, code, 0x9e, 0x35, 127, 0, 0, 1];
            assert_eq!(encoded(&reply), bytes);
            assert_eq!(Reply::decode(&bytes).unwrap().complete(), Some((reply, 8)));
            decides_where_it_must(&bytes, Reply::decode, |have| if have < 2 { 2 } else { 8 });
        }
        // an address that the client must replace.
        let bytes = bytes("00 5a 0050 00000000");
        let (reply, _) = Reply::decode(&bytes).unwrap().complete().unwrap();
        assert!(reply.address.ip().is_unspecified());
        let proxy = [192, 0, 2, 1].into();
        let bound = Address::from(std::net::SocketAddr::from(reply.address)).or_host(proxy);
        assert_eq!(bound.to_string(), "192.0.2.1:80");
    }

    /// VN 04 is accepted like 00, and never sent.
    #[test]
    fn reply_with_vn_4_is_accepted() {
        let bytes = bytes("04 5a 1f90 7f000001");
        let (reply, consumed) = Reply::decode(&bytes).unwrap().complete().unwrap();
        assert_eq!((reply.code, consumed), (ReplyCode::GRANTED, 8));
        assert_eq!(encoded(&reply)[0], 0);
        decides_where_it_must(&bytes, Reply::decode, |have| if have < 2 { 2 } else { 8 });
    }

    /// recorded messages of curl and Dante.
    #[test]
    fn captured_messages_round_trip() {
        let cases = [
            (
                "client-curl-socks4",
                request(Command::CONNECT, "127.0.0.1:8080", ""),
                (ReplyCode::GRANTED, "127.0.0.1:40501"),
            ),
            (
                "client-curl-socks4-userid",
                request(Command::CONNECT, "127.0.0.1:8080", "alice"),
                (ReplyCode::GRANTED, "127.0.0.1:34679"),
            ),
            // Dante does not support SOCKS4a.
            (
                "client-curl-socks4a",
                request(Command::CONNECT, "app.test:8080", ""),
                (ReplyCode::REJECTED, "127.0.0.1:39765"),
            ),
        ];
        let recorded = transcripts("client-curl-socks4");
        for (file, request, (code, address)) in cases {
            let transcript = recorded
                .iter()
                .find(|recorded| recorded.file == file)
                .expect(file);
            let (client, server) = (&transcript.client, &transcript.server);
            assert_eq!(encoded(&request), client[0]);
            let all = client.concat();
            let decoded = Request::decode(&all).unwrap().complete();
            assert_eq!(
                decoded,
                Some((request, client[0].len())),
                "and the tunnel is left"
            );

            let reply = Reply::new(code, address.parse().unwrap());
            assert_eq!(encoded(&reply), server[0]);
            let decoded = Reply::decode(&server.concat()).unwrap().complete();
            assert_eq!(decoded, Some((reply, 8)));
        }
    }
}

mod bad_input {
    use super::*;

    /// Returns the fault of `bytes`, and checks that the last byte shows it and no earlier one does.
    #[track_caller]
    fn fault(bytes: &[u8]) -> Malformed {
        let fault = Request::decode(bytes).unwrap_err();
        decides_where_it_must(bytes, Request::decode, |have| next_decision(bytes, have));
        fault
    }

    /// a wrong version is reported at the first byte.
    #[test]
    fn request_of_another_version_is_a_fault() {
        for version in (0..=255).filter(|version| *version != 4) {
            assert_eq!(Request::decode(&[version]), Err(wrong_version(4, version)));
            let whole = [version, 1, 0, 80, 127, 0, 0, 1, 0];
            assert_eq!(Request::decode(&whole), Err(wrong_version(4, version)));
        }
    }

    ///
    #[test]
    fn reply_of_another_version_is_a_fault() {
        for version in (1..=255).filter(|version| *version != 4) {
            assert_eq!(Reply::decode(&[version]), Err(wrong_version(0, version)));
            let whole = [version, 90, 0, 80, 127, 0, 0, 1];
            assert_eq!(Reply::decode(&whole), Err(wrong_version(0, version)));
        }
    }

    /// a user id without an end is refused at byte 256, byte by byte or 64 KiB at once.
    #[test]
    fn user_id_without_nul_is_a_fault_at_byte_256() {
        for ip in [LOOPBACK, NAMED, [0; 4]] {
            let mut bytes = head(ip);
            for len in 1..=255 {
                bytes.push(b'u');
                let decoded = Request::decode(&bytes).unwrap();
                assert!(
                    matches!(decoded, Decoded::Incomplete { .. }),
                    "{len}: {decoded:?}"
                );
            }
            bytes.push(b'u');
            assert_eq!(fault(&bytes), Malformed::UserIdTooLong);
            bytes.resize(65_536, b'u');
            assert_eq!(Request::decode(&bytes), Err(Malformed::UserIdTooLong));
            bytes.push(0);
            assert_eq!(Request::decode(&bytes), Err(Malformed::UserIdTooLong));
        }
        // The NUL is one byte late.
        let late = [&head(LOOPBACK)[..], &[b'u'; 256], b"\0"].concat();
        assert_eq!(Request::decode(&late), Err(Malformed::UserIdTooLong));
    }

    ///
    #[test]
    fn name_without_nul_is_a_fault_at_byte_256() {
        for user_id in [0, 1, 254, 255] {
            let mut bytes = [&head(NAMED)[..], &vec![b'u'; user_id], b"\0", &[b'n'; 255]].concat();
            let decoded = Request::decode(&bytes).unwrap();
            assert!(matches!(decoded, Decoded::Incomplete { .. }), "{decoded:?}");
            bytes.push(b'n');
            assert_eq!(fault(&bytes), Malformed::DomainTooLong);
            bytes.resize(65_536, b'n');
            bytes.push(0);
            assert_eq!(Request::decode(&bytes), Err(Malformed::DomainTooLong));
        }
    }

    /// an extra NULL after the user id makes the name empty.
    #[test]
    fn empty_name_is_a_fault() {
        for user_id in [0, 1, 254, 255] {
            for x in [1, 255] {
                let bytes = [&head([0, 0, 0, x])[..], &vec![b'u'; user_id], b"\0\0"].concat();
                assert_eq!(fault(&bytes), Malformed::EmptyDomain);
                let whole = [&bytes[..], b"app.test\0"].concat();
                assert_eq!(Request::decode(&whole), Err(Malformed::EmptyDomain));
            }
        }
    }

    /// a NULL ends the user id, and a name can follow only if DSTIP announces it.
    #[test]
    fn nul_in_a_user_id_does_not_make_a_name() {
        let bytes = [&head(LOOPBACK)[..], b"alice\0evil.test\0"].concat();
        let (request, consumed) = Request::decode(&bytes).unwrap().complete().unwrap();
        assert_eq!(request, super::request(Command::CONNECT, "127.0.0.1:80", "alice"));
        assert_eq!(bytes[consumed..], *b"evil.test\0");
        assert_eq!(UserId::new("alice\0evil.test"), Err(InvalidValue::UserId(15)));
    }

    /// A message of version 5 is not a message of version 4, and the reverse.
    #[test]
    fn message_of_one_version_is_a_fault_in_the_other() {
        use sans_socks::message::Greeting;

        assert_eq!(Request::decode(b"\x05\x01\x00"), Err(wrong_version(4, 5)));
        assert_eq!(
            Greeting::decode(b"\x04\x01\x00\x50\x7f\0\0\x01\0").map(drop),
            Err(wrong_version(5, 4))
        );
        assert_eq!(Reply::decode(b"\x05\x00"), Err(wrong_version(0, 5)));
        // A greeting after a request is not part of it.
        let glued = [&head(LOOPBACK)[..], b"u\0\x05\x01\x00"].concat();
        let (_, consumed) = Request::decode(&glued).unwrap().complete().unwrap();
        assert_eq!(glued[consumed..], *b"\x05\x01\x00");
    }
}

/// Checks that a message is decoded as it was encoded, and is written completely or not at all.
fn round_trip<M: Encode + PartialEq + core::fmt::Debug>(
    message: &M,
    is_same: impl Fn(&[u8]) -> Option<usize>,
) -> Result<(), TestCaseError> {
    let bytes = encoded(message);
    prop_assert!(bytes.len() <= M::MAX_LEN);
    prop_assert_eq!(is_same(&bytes), Some(bytes.len()));
    let after = [&bytes[..], b"\0tunnel"].concat();
    prop_assert_eq!(is_same(&after), Some(bytes.len()));

    let before: Vec<u8> = bytes.iter().map(|byte| !byte).chain([0xa5; 3]).collect();
    let mut out = before.clone();
    for room in 0..bytes.len() {
        prop_assert_eq!(
            message.encode_into(&mut out[..room]).unwrap_err().needed,
            bytes.len()
        );
        prop_assert_eq!(&out, &before);
    }
    prop_assert_eq!(message.encode_into(&mut out), Ok(bytes.len()));
    prop_assert_eq!(&out[..bytes.len()], &bytes);
    prop_assert_eq!(&out[bytes.len()..], [0xa5; 3]);

    #[cfg(feature = "bytes")]
    {
        use bytes::{BufMut, BytesMut};

        let mut growing = b"before".to_vec();
        prop_assert_eq!(message.encode(&mut growing), Ok(()));
        prop_assert_eq!(&growing[6..], &bytes);
        let mut short = BytesMut::new().limit(bytes.len() - 1);
        prop_assert_eq!(message.encode(&mut short).unwrap_err().needed, bytes.len());
        prop_assert!(short.get_ref().is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    ///
    #[test]
    fn request_of_any_fields_round_trips(
        command: u8,
        ip: [u8; 4],
        name in proptest::option::of(vec(1..=255_u8, 1..=255)),
        port: u16,
        user_id in vec(1..=255_u8, 0..=255),
    ) {
        let host = match &name {
            Some(name) => Domain::new(name).unwrap().into(),
            None => Host::from(Ipv4Addr::from(ip)),
        };
        let address = Address { host, port };
        let user_id = UserId::new(&user_id).unwrap();
        let request = Request::new(Command::new(command), address, user_id);
        if let (None, [0, 0, 0, 1..=255]) = (&name, ip) {
            prop_assert_eq!(request, Err(InvalidValue::Socks4Address));
            return Ok(());
        }
        let request = request.unwrap();
        round_trip(&request, |bytes| {
            let (read, consumed) = Request::decode(bytes).unwrap().complete()?;
            (read == request).then_some(consumed)
        })?;
        let bytes = encoded(&request);
        decides_where_it_must(&bytes, Request::decode, |have| next_decision(&bytes, have));
    }

    ///
    #[test]
    fn reply_of_any_fields_round_trips(code: u8, ip: [u8; 4], port: u16) {
        let reply = Reply::new(ReplyCode::new(code), SocketAddrV4::new(ip.into(), port));
        round_trip(&reply, |bytes| {
            let (read, consumed) = Reply::decode(bytes).unwrap().complete()?;
            (read == reply).then_some(consumed)
        })?;
    }

    /// A reader that reads byte by byte, or the number of bytes needed, ends at the same byte as one that has all of them.
    #[test]
    fn input_of_any_bytes_has_one_outcome(
        start in prop_oneof![Just(4), any::<u8>()],
        ip in prop_oneof![Just(NAMED), any::<[u8; 4]>()],
        rest in vec(prop_oneof![1 => Just(0), 100 => any::<u8>()], 0..600),
    ) {
        let input = [&[start, 1, 0, 80][..], &ip, &rest].concat();
        let outcome = Request::decode(&input);
        if let Ok(Decoded::Complete { value, consumed }) = outcome {
            let mut expected = input[..consumed].to_vec();
            if matches!(value.address().host, Host::Domain(_)) {
                expected[7] = 1;
            }
            prop_assert_eq!(encoded(&value), expected);
        }
        for exact in [false, true] {
            let mut have = 0;
            let stepwise = loop {
                match Request::decode(&input[..have]) {
                    Ok(Decoded::Incomplete { .. }) if have == input.len() => break None,
                    Ok(Decoded::Incomplete { needed }) if exact => have = input.len().min(have + needed.get()),
                    Ok(Decoded::Incomplete { .. }) => have += 1,
                    decided => break Some(decided),
                }
            };
            match stepwise {
                Some(decided) => prop_assert_eq!(&decided, &outcome),
                None => prop_assert!(matches!(outcome, Ok(Decoded::Incomplete { .. })), "{outcome:?}"),
            }
            if let (Some(Ok(Decoded::Complete { consumed, .. })), true) = (&stepwise, exact) {
                prop_assert_eq!(*consumed, have, "nothing is left over");
            }
        }
    }
}
