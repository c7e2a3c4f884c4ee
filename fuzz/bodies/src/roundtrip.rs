//! Encodes and decodes any value: the result is the same, and encoding writes the whole message or nothing, and no other
//! byte.

use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use sans_socks::gssapi::Frame;
use sans_socks::message::{AuthStatus, Decoded, Encode, Greeting, Selection};
use sans_socks::udp::{Datagram, Discard, Frag, Header, Outcome, Reassembler, fragments, max_payload};
use sans_socks::{Address, AddressBuf, Credentials, Host, Malformed, Reply, Request, socks4};

#[derive(Arbitrary)]
enum Value<'a> {
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

pub fn roundtrip(input: &[u8]) {
    match Value::arbitrary_take_rest(Unstructured::new(input)) {
        Ok(Value::Greeting(it)) => message(&it, |octets| is(Greeting::decode(octets), &it)),
        Ok(Value::Selection(it)) => message(&it, |octets| is(Selection::decode(octets), &it)),
        Ok(Value::Credentials(it)) => message(&it, |octets| {
            let (read, consumed) = Credentials::decode(octets).ok()?.complete()?;
            read.verify(it.username(), it.password()).then_some(consumed)
        }),
        Ok(Value::AuthStatus(it)) => message(&it, |octets| is(AuthStatus::decode(octets), &it)),
        Ok(Value::Request(it)) => message(&it, |octets| is(Request::decode(octets), &it)),
        Ok(Value::Reply(it)) => message(&it, |octets| is(Reply::decode(octets), &it)),
        Ok(Value::Frame(it)) => message(&it, |octets| is(Frame::decode(octets), &it)),
        Ok(Value::Datagram(it)) => datagram(it),
        Ok(Value::Fragments(to, max, payload)) => reassembled(to, max, payload),
        Ok(Value::AddressBuf(it)) => text(&it),
        Ok(Value::Socks4Request(it)) => message(&it, |octets| is(socks4::Request::decode(octets), &it)),
        Ok(Value::Socks4Reply(it)) => message(&it, |octets| is(socks4::Reply::decode(octets), &it)),
        Err(_) => {}
    }
}

/// The bytes of the message, if that is what was read.
fn is<T: PartialEq + Debug>(read: Result<Decoded<T>, Malformed>, written: &T) -> Option<usize> {
    let (read, consumed) = read.ok()?.complete()?;
    (read == *written).then_some(consumed)
}

fn message<T: Encode>(message: &T, read: impl Fn(&[u8]) -> Option<usize>) {
    let len = message.encoded_len();
    assert!(len <= T::MAX_LEN);
    let mut octets = vec![0; len];
    assert_eq!(message.encode_into(&mut octets), Ok(len));
    assert_eq!(read(&octets), Some(len));

    // A buffer with something else in every place, which must stay where there is no room.
    let before: Vec<u8> = octets.iter().map(|octet| !octet).chain([0xa5; 3]).collect();
    let mut out = before.clone();
    for room in (0..len.min(600)).chain(len.saturating_sub(3)..len) {
        assert_eq!(message.encode_into(&mut out[..room]).unwrap_err().needed, len);
        assert!(out == before, "written in part");
    }
    assert_eq!(message.encode_into(&mut out), Ok(len));
    assert!(out[..len] == octets && out[len..] == [0xa5; 3], "written beyond");
    assert_eq!(read(&out), Some(len), "with octets behind");
    assert_eq!(read(&octets[..len - 1]), None, "without the last");

    #[cfg(feature = "bytes")]
    {
        let mut appended = b"before".to_vec();
        assert_eq!(message.encode(&mut appended), Ok(()));
        assert!(appended.strip_prefix(b"before") == Some(&octets), "appended");
        let mut out = before.clone();
        let mut room = &mut out[..len - 1];
        assert_eq!(message.encode(&mut room).unwrap_err().needed, len);
        assert!(out == before, "appended in part");
    }
}

fn datagram(datagram: Datagram<'_>) {
    let Datagram { header, payload } = datagram;
    message(&header, |octets| {
        // Behind a header there is always a payload; only its length tells where it begins.
        let read = Datagram::decode(octets).ok()?;
        (read.header == header).then_some(octets.len() - read.payload.len())
    });
    let len = datagram.encoded_len();
    let mut octets = vec![0xa5; len + 3];
    assert_eq!(
        datagram.encode_into(&mut octets[..len - 1]).unwrap_err().needed,
        len
    );
    assert!(octets.iter().all(|octet| *octet == 0xa5));
    assert_eq!(datagram.encode_into(&mut octets), Ok(len));
    assert_eq!(octets[len..], [0xa5; 3]);
    octets.truncate(len);
    assert_eq!(Datagram::decode(&octets), Ok(datagram));
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
    assert_eq!(headroom, [&[0xa5; 5], &octets[..]].concat());
}

fn reassembled(to: Address<'_>, max: NonZeroUsize, payload: &[u8]) {
    // Else hardly any would be cut into more than one piece, and fewer than 128.
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
