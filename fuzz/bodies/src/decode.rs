//! Passes any bytes to every decoder. A decoded message is encoded to the same bytes, an incomplete one reports how many
//! bytes are missing, and a fault is reported at the byte that shows it.

use std::fmt::{Debug, Display};

use sans_socks::gssapi::Frame;
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Selection};
use sans_socks::udp::{Datagram, Header};
use sans_socks::{Address, Credentials, Host, Malformed, Reply, Request, socks4};

pub fn decode(input: &[u8]) {
    let out = &mut vec![0xee; input.len() + Credentials::MAX_LEN];
    stream(input, out, Greeting::decode, as_read, PartialEq::eq);
    stream(input, out, Selection::decode, as_read, PartialEq::eq);
    stream(input, out, AuthStatus::decode, as_read, PartialEq::eq);
    stream(input, out, Credentials::decode, as_read, same_credentials);
    stream(
        input,
        out,
        Credentials::decode_allowing_empty,
        as_read,
        same_credentials,
    );
    // RSV is ignored, and written as 00.
    let request = |_: &Request<'_>, bytes: &mut Vec<u8>| bytes[2] = 0;
    stream(input, out, Request::decode, request, PartialEq::eq);
    // The same holds for a reply. A name of length 0, which means that there is no address, is written as 0.0.0.0.
    let reply = |_: &Reply<'_>, bytes: &mut Vec<u8>| {
        bytes[2] = 0;
        if bytes[3..5] == [3, 0] {
            bytes.splice(3..5, [1, 0, 0, 0, 0]);
        }
    };
    stream(input, out, Reply::decode, reply, PartialEq::eq);
    stream(input, out, Frame::decode, as_read, PartialEq::eq);
    // Any x in 0.0.0.x announces a name, and is written as 1.
    let socks4_request = |request: &socks4::Request<'_>, bytes: &mut Vec<u8>| {
        if let Host::Domain(_) = request.address().host {
            bytes[7] = 1;
        }
    };
    stream_with(
        Decisions::CanMoveOn,
        input,
        out,
        socks4::Request::decode,
        socks4_request,
        PartialEq::eq,
    );
    // VN 04 is accepted, and written as 00.
    let socks4_reply = |_: &socks4::Reply, bytes: &mut Vec<u8>| bytes[0] = 0;
    stream(input, out, socks4::Reply::decode, socks4_reply, PartialEq::eq);
    datagram(input, out);
    text(input);
}

/// Every byte is written as it was read.
fn as_read<T>(_: &T, _: &mut Vec<u8>) {}

fn same_credentials(one: &Credentials<'_>, other: &Credentials<'_>) -> bool {
    one.verify(other.username(), other.password())
}

/// Whether a decision point may move while the bytes up to it arrive.
#[derive(Clone, Copy)]
enum Decisions {
    Stay,
    /// A field that ends with a NUL can turn out to be longer.
    CanMoveOn,
}

fn stream<'a, T: Encode + Debug>(
    input: &'a [u8],
    out: &'a mut [u8],
    decode: impl Fn(&'a [u8]) -> Result<Decoded<T>, Malformed>,
    written: impl Fn(&T, &mut Vec<u8>),
    same: impl Fn(&T, &T) -> bool,
) {
    stream_with(Decisions::Stay, input, out, decode, written, same);
}

fn stream_with<'a, T: Encode + Debug>(
    decisions: Decisions,
    input: &'a [u8],
    out: &'a mut [u8],
    decode: impl Fn(&'a [u8]) -> Result<Decoded<T>, Malformed>,
    written: impl Fn(&T, &mut Vec<u8>),
    same: impl Fn(&T, &T) -> bool,
) {
    // Byte by byte: each decision is at the byte that the previous one announced, and none is revoked.
    let mut decision = 0;
    let mut end = None;
    for have in 0..=input.len() {
        match (decode(&input[..have]), end) {
            (Ok(Decoded::Incomplete { needed }), None) => {
                let next = have + needed.get();
                let stays = match decisions {
                    Decisions::Stay => next == decision,
                    Decisions::CanMoveOn => next >= decision,
                };
                assert!(have >= decision || stays, "a decision point that moves");
                decision = next;
            }
            (Ok(Decoded::Complete { consumed, .. }), None) => {
                assert_eq!(
                    (consumed, decision),
                    (have, have),
                    "complete where it was announced"
                );
                end = Some(Ok(consumed));
            }
            (Ok(Decoded::Complete { consumed, .. }), Some(whole)) => {
                assert_eq!(Ok(consumed), whole, "later bytes change nothing");
            }
            // VER is checked before the decision point to which it belongs.
            (Err(fault), None) => {
                let early = have == 1 && matches!(fault, Malformed::Version { .. });
                assert!(
                    have == decision || early,
                    "{fault:?} after {have} bytes, expected after {decision}"
                );
                end = Some(Err(fault));
                tells(&fault);
            }
            (Err(fault), Some(first)) => assert_eq!(Err(fault), first, "later bytes change nothing"),
            (Ok(Decoded::Incomplete { .. }), Some(_)) => panic!("complete or faulty, and then incomplete"),
        }
    }

    let Ok(Decoded::Complete { value, consumed }) = decode(input) else {
        return;
    };
    let mut expected = input[..consumed].to_vec();
    written(&value, &mut expected);
    let len = value.encoded_len();
    assert!(len <= T::MAX_LEN);
    out[..len].fill(0xee);
    assert_eq!(value.encode_into(&mut out[..len - 1]).unwrap_err().needed, len);
    assert!(out[..len - 1].iter().all(|byte| *byte == 0xee), "all or nothing");
    assert_eq!(value.encode_into(out), Ok(len));
    assert_eq!(out[..len], expected);
    let again = decode(&out[..len]);
    let Ok(Decoded::Complete {
        value: again,
        consumed,
    }) = again
    else {
        panic!("{value:?} comes back as {again:?}");
    };
    assert!(
        same(&again, &value) && consumed == len,
        "{value:?} comes back as {again:?}"
    );
}

fn datagram(input: &[u8], out: &mut [u8]) {
    let decoded = Datagram::decode(input);
    // A datagram is truncated up to the end of its header, and complete from there on, unless it is faulty.
    let whole = (0..=input.len()).find(|have| Datagram::decode(&input[..*have]) != Err(Malformed::Truncated));
    match (decoded, whole) {
        (Err(Malformed::Truncated), whole) => assert_eq!(whole, None),
        (decoded, None) => panic!("{decoded:?}"),
        (Err(fault), Some(shown)) => {
            tells(&fault);
            assert!((shown..input.len()).all(|have| Datagram::decode(&input[..have]) == Err(fault)));
        }
        (Ok(datagram), Some(header_len)) => {
            let Datagram { header, payload } = datagram;
            assert_eq!(datagram.encoded_len(), input.len());
            assert_eq!(
                (header.encoded_len(), payload),
                (header_len, &input[header_len..])
            );
            assert!(header_len <= Header::MAX_LEN);
            assert_eq!(datagram.encode_into(out), Ok(input.len()));
            // RSV is ignored, and written as 0000.
            assert_eq!(out[..2], [0, 0]);
            assert_eq!(out[2..input.len()], input[2..]);
            assert_eq!(Datagram::decode(&out[..input.len()]), Ok(datagram));
            address(header.address);
        }
    }
}

/// Checks the input as text of the form `host:port`.
fn text(input: &[u8]) {
    if let Some(parsed) = std::str::from_utf8(input)
        .ok()
        .and_then(|text| Address::try_from(text).ok())
    {
        address(parsed);
        // Printed text parses as the same address, or not at all.
        let printed = parsed.to_string();
        match Address::try_from(&*printed) {
            Ok(again) => assert_eq!(again, parsed),
            Err(_) => assert!(printed.starts_with('"'), "{printed}"),
        }
    }
}

fn address(address: Address<'_>) {
    tells(&address);
    let canonical = address.canonical();
    assert_eq!(canonical.canonical(), canonical);
    assert_eq!(canonical.port, address.port);
}

/// Checks that it can be printed on one line.
fn tells(it: &(impl Debug + Display)) {
    let text = format!("{it} {it:?}");
    assert!(!text.chars().any(char::is_control), "{text}");
}
