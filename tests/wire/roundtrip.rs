//! Every message is decoded as it was encoded, for all lengths and bytes (Q-039b). Decoders keep their promises for any input.

use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Selection};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Domain, Host, InvalidValue, Malformed, Method, Reply,
    ReplyCode, Request,
};

/// Writes `message`, reads it back, and returns its bytes.
///
/// `reads` are the totals after each read of exactly `needed` bytes. `is_same` decodes, and returns whether the result is the
/// message.
fn round_trip<M: Encode>(
    message: &M,
    reads: &[usize],
    is_same: impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed>,
) -> Vec<u8> {
    let len = message.encoded_len();
    assert!(len <= M::MAX_LEN);

    // The bytes after the message are neither written nor read.
    let mut bytes = vec![0xa5; len + 3];
    assert_eq!(message.encode_into(&mut bytes), Ok(len));
    assert_eq!(bytes[len..], [0xa5; 3]);
    let whole = Decoded::Complete {
        value: true,
        consumed: len,
    };
    assert_eq!(is_same(&bytes), Ok(whole));
    bytes.truncate(len);
    assert_eq!(is_same(&bytes), Ok(whole));

    let mut totals = Vec::new();
    let mut have = 0;
    while let Decoded::Incomplete { needed } = is_same(&bytes[..have]).unwrap() {
        have += needed.get();
        totals.push(have);
    }
    assert_eq!(totals, reads);
    bytes
}

/// Checks that a message is incomplete up to its last byte, and that `needed` never extends past its end.
fn is_incomplete_up_to_the_end(bytes: &[u8], is_same: impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed>) {
    for have in 0..bytes.len() {
        match is_same(&bytes[..have]) {
            Ok(Decoded::Incomplete { needed }) => assert!(have + needed.get() <= bytes.len()),
            other => panic!("{other:?} after {have} of {bytes:02x?}"),
        }
    }
}

/// Checks that a buffer that is too short does not change.
fn is_written_all_or_nothing(message: &impl Encode, bytes: &[u8]) {
    let mut before: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    before.pop();
    let mut buffer = before.clone();
    for room in 0..bytes.len() {
        let error = message.encode_into(&mut buffer[..room]).unwrap_err();
        assert_eq!(error.needed, bytes.len());
        assert_eq!(buffer, before);

        #[cfg(feature = "bytes")]
        {
            let mut out = &mut buffer[..room];
            let error = message.encode(&mut out).unwrap_err();
            assert_eq!((error.needed, out.len()), (bytes.len(), room));
            assert_eq!(buffer, before);
        }
    }
}

/// `encode` appends what `encode_into` writes.
#[cfg(feature = "bytes")]
fn is_appended(message: &impl Encode, bytes: &[u8]) {
    use bytes::{BufMut, BytesMut};

    let expected = [b"before", bytes].concat();
    let mut growing = b"before".to_vec();
    message.encode(&mut growing).unwrap();
    assert_eq!(growing, expected);

    let mut exact = BytesMut::from(&b"before"[..]).limit(bytes.len());
    message.encode(&mut exact).unwrap();
    assert_eq!(exact.into_inner(), expected);

    let mut exact = vec![0; bytes.len()];
    message.encode(&mut &mut exact[..]).unwrap();
    assert_eq!(exact, bytes);

    // A buffer that is not contiguous.
    let (mut front, mut back) = ([0; 1], vec![0; bytes.len() - 1]);
    message
        .encode(&mut (&mut front[..]).chain_mut(&mut back[..]))
        .unwrap();
    assert_eq!([&front[..], &back].concat(), bytes);
}

#[cfg(not(feature = "bytes"))]
fn is_appended(_: &impl Encode, _: &[u8]) {}

fn check<M: Encode>(
    message: &M,
    reads: &[usize],
    is_same: impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed>,
) {
    let bytes = round_trip(message, reads, &is_same);
    is_incomplete_up_to_the_end(&bytes, is_same);
    is_written_all_or_nothing(message, &bytes);
    is_appended(message, &bytes);
}

fn greeting_is<'a>(expected: &'a [Method]) -> impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed> + 'a {
    |bytes| Ok(Greeting::decode(bytes)?.map(|got| got.methods().iter().eq(expected.iter().copied())))
}

fn credentials_are<'a>(
    username: &'a [u8],
    password: &'a [u8],
) -> impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed> + 'a {
    move |bytes| {
        let decoded = Credentials::decode_allowing_empty(bytes)?;
        Ok(decoded.map(|got| got.username() == username && got.password() == password))
    }
}

fn request_is<'a>(expected: Request<'a>) -> impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed> + 'a {
    move |bytes| Ok(Request::decode(bytes)?.map(|got| got == expected))
}

fn reply_is<'a>(expected: Reply<'a>) -> impl Fn(&[u8]) -> Result<Decoded<bool>, Malformed> + 'a {
    move |bytes| Ok(Reply::decode(bytes)?.map(|got| got == expected))
}

/// Returns the totals of the reads of a request. Those of a reply also have a 2 at the front.
fn address_reads(address: &Address<'_>) -> Vec<usize> {
    match address.host {
        Host::Ipv4(_) => vec![4, 10],
        Host::Domain(name) => vec![4, 5, 7 + name.as_bytes().len()],
        Host::Ipv6(_) => vec![4, 22],
    }
}

fn reply_reads(address: &Address<'_>) -> Vec<usize> {
    [vec![2], address_reads(address)].concat()
}

/// all 256 values of each code point pass through.
#[test]
fn code_points_of_every_byte_round_trip() {
    let address = Address::UNSPECIFIED;
    for byte in 0..=255 {
        let selection = Selection::new(Method::new(byte));
        check(&selection, &[2], |bytes| {
            Ok(Selection::decode(bytes)?.map(|got| got == selection))
        });
        let status = AuthStatus::new(byte);
        check(&status, &[2], |bytes| {
            Ok(AuthStatus::decode(bytes)?.map(|got| got == status))
        });
        let request = Request::new(Command::new(byte), address);
        check(&request, &address_reads(&address), request_is(request));
        let reply = Reply::new(ReplyCode::new(byte), address);
        check(&reply, &reply_reads(&address), reply_is(reply));
        if byte != 0xff {
            let methods = [Method::new(byte)];
            check(&Greeting::new(&methods).unwrap(), &[2, 3], greeting_is(&methods));
        }
    }
}

/// Q-039b: all lengths of a field, each with all values of a byte.
#[test]
fn fields_of_every_length_and_byte_round_trip() {
    for byte in 0..=255 {
        let bytes = [byte; 255];
        for len in 0..=255 {
            let field = &bytes[..len];
            for (username, password) in [(field, &b"p"[..]), (b"u", field)] {
                let credentials = Credentials::new_allowing_empty(username, password).unwrap();
                let (u, p) = (username.len(), password.len());
                let reads = [2, 3 + u, 3 + u + p];
                let reads = if p == 0 { &reads[..2] } else { &reads };
                round_trip(&credentials, reads, credentials_are(username, password));
            }
            let Ok(name) = Domain::new(field) else {
                assert_eq!(len, 0);
                continue;
            };
            let address = Address::from((name, 0xfffe));
            let request = Request::connect(address);
            round_trip(&request, &address_reads(&address), request_is(request));
            let reply = Reply::new(ReplyCode::SUCCEEDED, address);
            round_trip(&reply, &reply_reads(&address), reply_is(reply));
        }
    }
}

/// `MAX_LEN` is the length of the longest message.
#[test]
fn longest_messages_have_max_len() {
    fn longest<M: Encode>(message: &M) {
        assert_eq!(message.encoded_len(), M::MAX_LEN);
    }
    let field = [0; 255];
    let name = Address::from((Domain::new(&field).unwrap(), 1));
    longest(&Greeting::new(&[Method::GSSAPI; 255]).unwrap());
    longest(&Selection::new(Method::GSSAPI));
    longest(&Credentials::new(&field, &field).unwrap());
    longest(&AuthStatus::SUCCESS);
    longest(&Request::connect(name));
    longest(&Reply::new(ReplyCode::SUCCEEDED, name));
}

/// a value without an encoding cannot be built, so none is truncated.
#[test]
fn value_without_an_encoding_cannot_be_built() {
    let long = [b'a'; 256];
    assert_eq!(Domain::new(&long), Err(InvalidValue::DomainLength(256)));
    assert_eq!(Domain::new(""), Err(InvalidValue::DomainLength(0)));
    let text = format!("{}:80", "a".repeat(256));
    assert_eq!(
        Address::try_from(text.as_str()),
        Err(InvalidValue::DomainLength(256))
    );

    let error = |credentials: Result<Credentials<'_>, _>| credentials.unwrap_err();
    for len in [256, 299, 512] {
        let long = vec![b'a'; len];
        let (username, password) = (
            InvalidValue::UsernameLength(len),
            InvalidValue::PasswordLength(len),
        );
        assert_eq!(error(Credentials::new(&long, "p")), username);
        assert_eq!(error(Credentials::new("u", &long)), password);
        assert_eq!(error(Credentials::new_allowing_empty(&long, "")), username);
        assert_eq!(error(Credentials::new_allowing_empty("", &long)), password);
    }
    assert_eq!(error(Credentials::new("", "p")), InvalidValue::UsernameLength(0));
    assert_eq!(error(Credentials::new("u", "")), InvalidValue::PasswordLength(0));

    let methods = [Method::GSSAPI; 256];
    assert_eq!(Greeting::new(&methods), Err(InvalidValue::MethodCount(256)));
    assert_eq!(Greeting::new(&[]), Err(InvalidValue::MethodCount(0)));
    let methods = [Method::GSSAPI, Method::NO_ACCEPTABLE];
    assert_eq!(Greeting::new(&methods), Err(InvalidValue::NoAcceptableOffered));
}

/// Generates one of the three kinds of host.
fn host((kind, ip): (u8, [u8; 16]), name: &[u8]) -> Host<'_> {
    match kind % 3 {
        0 => Host::Ipv4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])),
        1 => Host::Ipv6(Ipv6Addr::from(ip)),
        _ => Host::Domain(Domain::new(name).unwrap()),
    }
}

/// Generates input that often passes the first decisions of a decoder.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let likely = prop_oneof![Just(0), Just(1), Just(3), Just(4), Just(5), 6..20u8, any::<u8>()];
    (vec(likely, 0..8), vec(any::<u8>(), 0..600)).prop_map(|(head, tail)| [head, tail].concat())
}

/// What must be true of a decoder's outcome on any input; `bytes` encodes what was decoded.
fn decoder_keeps_its_promises(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<Decoded<Vec<u8>>, Malformed>,
) -> Result<(), TestCaseError> {
    let outcome = decode(input);
    if let Ok(Decoded::Complete { value, consumed }) = &outcome {
        prop_assert!(*consumed <= input.len());
        prop_assert_eq!(value, &input[..*consumed]);
    }
    // Reading byte by byte, or as many bytes as are needed, has the same outcome.
    for by_byte in [true, false] {
        let mut have = 0;
        let stepwise = loop {
            match decode(&input[..have]) {
                Ok(Decoded::Incomplete { .. }) if have == input.len() => break None,
                Ok(Decoded::Incomplete { .. }) if by_byte => have += 1,
                Ok(Decoded::Incomplete { needed }) => have = input.len().min(have + needed.get()),
                decided => break Some(decided),
            }
        };
        match stepwise {
            Some(decided) => prop_assert_eq!(&decided, &outcome),
            None => prop_assert!(matches!(outcome, Ok(Decoded::Incomplete { .. })), "{outcome:?}"),
        }
    }
    Ok(())
}

fn encoded(message: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    message.encode_into(&mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    ///
    #[test]
    fn greeting_of_any_methods_round_trips(methods in vec(0..=0xfe_u8, 1..=255)) {
        let methods: Vec<Method> = methods.into_iter().map(Method::new).collect();
        check(&Greeting::new(&methods).unwrap(), &[2, 2 + methods.len()], greeting_is(&methods));
    }

    ///
    #[test]
    fn credentials_of_any_bytes_round_trip(username in vec(any::<u8>(), 1..=255), password in vec(any::<u8>(), 1..=255)) {
        let (u, p) = (username.len(), password.len());
        let credentials = Credentials::new(&username, &password).unwrap();
        check(&credentials, &[2, 3 + u, 3 + u + p], credentials_are(&username, &password));
        let strict = Credentials::decode(&encoded(&credentials)).unwrap().complete().is_some();
        prop_assert!(strict);
    }

    ///
    #[test]
    fn request_of_any_fields_round_trips(
        command: u8,
        kind: (u8, [u8; 16]),
        name in vec(any::<u8>(), 1..=255),
        port: u16,
    ) {
        let address = Address { host: host(kind, &name), port };
        let request = Request::new(Command::new(command), address);
        check(&request, &address_reads(&address), request_is(request));
        //
        let bytes = encoded(&request);
        prop_assert_eq!(bytes[2], 0);
        prop_assert_eq!(&bytes[bytes.len() - 2..], port.to_be_bytes());
    }

    ///
    #[test]
    fn reply_of_any_fields_round_trips(
        code: u8,
        kind: (u8, [u8; 16]),
        name in vec(any::<u8>(), 1..=255),
        port: u16,
    ) {
        let address = Address { host: host(kind, &name), port };
        let reply = Reply::new(ReplyCode::new(code), address);
        check(&reply, &reply_reads(&address), reply_is(reply));
        //
        prop_assert_eq!(encoded(&reply)[2], 0);
    }

    #[test]
    fn address_buf_holds_any_address(
        kind: (u8, [u8; 16]),
        name in vec(any::<u8>(), 1..=255),
        port: u16,
    ) {
        let address = Address { host: host(kind, &name), port };
        let owned = AddressBuf::from(address);
        prop_assert_eq!(owned.as_address(), address);
        prop_assert_eq!(owned.to_string(), address.to_string());
    }

    /// Printed text is ASCII graphic, and parses as the same address or not at all.
    #[test]
    fn address_text_parses_as_what_was_printed_or_not_at_all(
        kind: (u8, [u8; 16]),
        name in prop_oneof![
            vec(any::<u8>(), 1..=255),
            "[a-z0-9.-]{1,20}".prop_map(String::into_bytes),
            "[0-9.:%\\[\\]\"\\\\x]{1,12}".prop_map(String::into_bytes),
        ],
        port: u16,
    ) {
        let address = Address { host: host(kind, &name), port };
        let text = address.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
        match Address::try_from(text.as_str()) {
            Ok(read) => prop_assert_eq!(read, address),
            Err(_) => prop_assert!(text.starts_with('"'), "{}", text),
        }
        let owned: Result<AddressBuf, _> = text.parse();
        prop_assert_eq!(owned.ok(), Address::try_from(text.as_str()).ok().map(AddressBuf::from));
    }

    #[test]
    fn text_of_any_kind_is_an_address_or_an_error(text: String) {
        if let Ok(address) = Address::try_from(text.as_str()) {
            let again = address.to_string();
            match Address::try_from(again.as_str()) {
                Ok(read) => prop_assert_eq!(read, address),
                Err(_) => prop_assert!(again.starts_with('"'), "{}", again),
            }
        }
    }

    #[test]
    fn greeting_decoder_keeps_its_promises_for_any_input(input in input()) {
        decoder_keeps_its_promises(&input, |bytes| {
            Ok(Greeting::decode(bytes)?.map(|greeting| encoded(&greeting)))
        })?;
    }

    #[test]
    fn selection_decoder_keeps_its_promises_for_any_input(input in input()) {
        decoder_keeps_its_promises(&input, |bytes| {
            Ok(Selection::decode(bytes)?.map(|selection| encoded(&selection)))
        })?;
    }

    #[test]
    fn credentials_decoder_keeps_its_promises_for_any_input(input in input()) {
        decoder_keeps_its_promises(&input, |bytes| {
            Ok(Credentials::decode(bytes)?.map(|credentials| encoded(&credentials)))
        })?;
        decoder_keeps_its_promises(&input, |bytes| {
            Ok(Credentials::decode_allowing_empty(bytes)?.map(|credentials| encoded(&credentials)))
        })?;
    }

    #[test]
    fn status_decoder_keeps_its_promises_for_any_input(input in input()) {
        decoder_keeps_its_promises(&input, |bytes| {
            Ok(AuthStatus::decode(bytes)?.map(|status| encoded(&status)))
        })?;
    }

    /// RSV is ignored, so encoding does not restore it.
    #[test]
    fn request_decoder_keeps_its_promises_for_any_input(input in input()) {
        decoder_keeps_its_promises(&input, |bytes| {
            let rsv = bytes.get(2).copied();
            Ok(Request::decode(bytes)?.map(|request| with_rsv(rsv, encoded(&request))))
        })?;
    }

    ///
    #[test]
    fn reply_decoder_keeps_its_promises_for_any_input(input in input()) {
        decoder_keeps_its_promises(&input, |bytes| {
            let rsv = bytes.get(2).copied();
            Ok(Reply::decode(bytes)?.map(|reply| match bytes {
                // a name of length 0 is decoded as 0.0.0.0, so encoding does not restore it either.
                [_, _, _, 3, 0, ..] => bytes[..7].to_vec(),
                _ => with_rsv(rsv, encoded(&reply)),
            }))
        })?;
    }
}

fn with_rsv(rsv: Option<u8>, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2] = rsv.unwrap();
    bytes
}
