//! Encodes and decodes any value. The result is the same value. Encoding writes the whole message or nothing, and no other
//! byte.

use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::time::Duration;

use arbitrary::Arbitrary;
use sans_socks::gssapi::Frame;
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Selection};
use sans_socks::udp::{Datagram, Discard, Frag, Header, Outcome, Reassembler, fragments, max_payload};
use sans_socks::{Address, AddressBuf, Credentials, Host, Malformed, Reply, Request, socks4};

#[derive(Arbitrary, Debug)]
pub enum Value<'a> {
    Greeting(Greeting<'a>),
    Selection(Selection),
    Credentials(Credentials<'a>),
    AuthStatus(AuthStatus),
    Request(Request<'a>),
    Reply(Reply<'a>),
    Frame(Frame<'a>),
    Datagram(Datagram<'a>),
    Fragments(Address<'a>, NonZeroUsize, &'a [u8]),
    AddressBuf(Box<AddressBuf>),
    Socks4Request(socks4::Request<'a>),
    Socks4Reply(socks4::Reply),
}

pub fn roundtrip(value: Value<'_>) {
    match value {
        Value::Greeting(it) => message(&it, |bytes| is(Greeting::decode(bytes), &it)),
        Value::Selection(it) => message(&it, |bytes| is(Selection::decode(bytes), &it)),
        Value::Credentials(it) => message(&it, |bytes| {
            let (read, consumed) = Credentials::decode(bytes).ok()?.complete()?;
            read.verify(it.username(), it.password()).then_some(consumed)
        }),
        Value::AuthStatus(it) => message(&it, |bytes| is(AuthStatus::decode(bytes), &it)),
        Value::Request(it) => message(&it, |bytes| is(Request::decode(bytes), &it)),
        Value::Reply(it) => message(&it, |bytes| is(Reply::decode(bytes), &it)),
        Value::Frame(it) => message(&it, |bytes| is(Frame::decode(bytes), &it)),
        Value::Datagram(it) => datagram(it),
        Value::Fragments(to, max, payload) => reassembled(to, max, payload),
        Value::AddressBuf(it) => text(&it),
        Value::Socks4Request(it) => message(&it, |bytes| is(socks4::Request::decode(bytes), &it)),
        Value::Socks4Reply(it) => message(&it, |bytes| is(socks4::Reply::decode(bytes), &it)),
    }
}

/// Returns the length of the message, if that is what was decoded.
fn is<T: PartialEq + Debug>(read: Result<Decoded<T>, Malformed>, written: &T) -> Option<usize> {
    let (read, consumed) = read.ok()?.complete()?;
    (read == *written).then_some(consumed)
}

fn message<T: Encode>(message: &T, read: impl Fn(&[u8]) -> Option<usize>) {
    let len = message.encoded_len();
    assert!(len <= T::MAX_LEN);
    let mut bytes = vec![0; len];
    assert_eq!(message.encode_into(&mut bytes), Ok(len));
    assert_eq!(read(&bytes), Some(len));

    // Every byte of this buffer differs from the message. It must not change if there is no room.
    let before: Vec<u8> = bytes.iter().map(|byte| !byte).chain([0xa5; 3]).collect();
    let mut out = before.clone();
    for room in (0..len.min(600)).chain(len.saturating_sub(3)..len) {
        assert_eq!(message.encode_into(&mut out[..room]).unwrap_err().needed, len);
        assert!(out == before, "written in part");
    }
    assert_eq!(message.encode_into(&mut out), Ok(len));
    assert!(out[..len] == bytes && out[len..] == [0xa5; 3], "written beyond");
    assert_eq!(read(&out), Some(len), "with bytes after it");
    assert_eq!(read(&bytes[..len - 1]), None, "without the last byte");

    #[cfg(feature = "bytes")]
    {
        let mut appended = b"before".to_vec();
        assert_eq!(message.encode(&mut appended), Ok(()));
        assert!(appended.strip_prefix(b"before") == Some(&bytes), "appended");
        let mut out = before.clone();
        let mut room = &mut out[..len - 1];
        assert_eq!(message.encode(&mut room).unwrap_err().needed, len);
        assert!(out == before, "appended in part");
    }
}

fn datagram(datagram: Datagram<'_>) {
    let Datagram { header, payload } = datagram;
    message(&header, |bytes| {
        // A payload always follows a header, and only the header's length shows where it begins.
        let read = Datagram::decode(bytes).ok()?;
        (read.header == header).then_some(bytes.len() - read.payload.len())
    });
    let len = datagram.encoded_len();
    let mut bytes = vec![0xa5; len + 3];
    assert_eq!(
        datagram.encode_into(&mut bytes[..len - 1]).unwrap_err().needed,
        len
    );
    assert!(bytes.iter().all(|byte| *byte == 0xa5));
    assert_eq!(datagram.encode_into(&mut bytes), Ok(len));
    assert_eq!(bytes[len..], [0xa5; 3]);
    bytes.truncate(len);
    assert_eq!(Datagram::decode(&bytes), Ok(datagram));
    assert_eq!(max_payload(len, &header.address), payload.len());

    // The same in place.
    let header_len = header.encoded_len();
    let mut headroom = [&[0xa5; 5][..], &vec![0xa5; header_len], payload].concat();
    assert_eq!(
        header.prepend(&mut headroom, header_len - 1).unwrap_err().needed,
        header_len
    );
    assert!(header.prepend(&mut headroom, len + 6).is_err());
    assert_eq!(
        headroom,
        [&[0xa5; 5][..], &vec![0xa5; header_len], payload].concat()
    );
    assert_eq!(header.prepend(&mut headroom, header_len + 5), Ok(5));
    assert_eq!(headroom, [&[0xa5; 5], &bytes[..]].concat());
}

fn reassembled(to: Address<'_>, max: NonZeroUsize, payload: &[u8]) {
    // Otherwise hardly any payload would have between 2 and 127 fragments.
    let max = NonZeroUsize::new(max.get() % 64).unwrap_or(NonZeroUsize::MIN);
    let pieces = payload.len().div_ceil(max.get()).max(1);
    let fragments = match fragments(to, payload, max) {
        Ok(fragments) => fragments,
        Err(error) => return assert_eq!((error.pieces, pieces > 127), (pieces, true)),
    };
    assert_eq!(fragments.len(), pieces);
    let mut reassembler = Reassembler::with_storage(Vec::new());
    let mut delivered = false;
    for (index, piece) in fragments.enumerate() {
        assert!(piece.payload.len() <= max.get() && !delivered);
        match reassembler.handle_datagram(Duration::ZERO, piece) {
            Outcome::Pending => assert!(index + 1 < pieces),
            Outcome::Deliver(whole) => {
                assert_eq!(whole, Datagram::new(Header::new(Frag::STANDALONE, to), payload));
                delivered = true;
            }
            Outcome::Dropped(reason) => panic!("{}", Discard::to_string(&reason)),
        }
    }
    assert!(delivered);
}

fn text(address: &AddressBuf) {
    let Address { host, port } = address.as_address();
    assert_eq!(AddressBuf::from(Address { host, port }), *address);
    let printed = address.to_string();
    assert!(printed.bytes().all(|byte| byte.is_ascii_graphic()), "{printed}");
    match printed.parse::<AddressBuf>() {
        Ok(parsed) => assert_eq!(parsed, *address),
        Err(error) => assert!(printed.starts_with('"'), "{printed}: {error}"),
    }
    if !matches!(host, Host::Domain(_)) {
        assert_eq!(
            Address::from(address.as_address().to_socket_addr().unwrap()),
            address.as_address()
        );
    }
}
