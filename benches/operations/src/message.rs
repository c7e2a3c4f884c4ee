//! The codec.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use sans_socks::message::{Encode, Greeting};
use sans_socks::socks4;
use sans_socks::{Address, Command, Credentials, Domain, Method, Reply, ReplyCode, Request};

use super::{Bench, HOST, PORT};

pub(super) const GREETING: &[u8] = b"\x05\x02\x00\x02";
pub(super) const CREDENTIALS: &[u8] = b"\x01\x09benchmark\x1521 bytes of passwords";
pub(super) const REQUEST_IPV4: &[u8] = b"\x05\x01\x00\x01\xcb\x00\x71\x05\x01\xbb";
pub(super) const REQUEST_DOMAIN: &[u8] = b"\x05\x01\x00\x03\x0fwww.example.com\x01\xbb";
pub(super) const REPLY_IPV4: &[u8] = b"\x05\x00\x00\x01\xc6\x33\x64\x09\x01\xbb";
pub(super) const REQUEST_SOCKS4: &[u8] = b"\x04\x01\x01\xbb\0\0\0\x01benchmark\0www.example.com\0";
pub(super) const REPLY_SOCKS4: &[u8] = b"\0\x5a\x01\xbb\xc6\x33\x64\x09";

pub(super) const USERNAME: &[u8] = b"benchmark";
pub(super) const PASSWORD: &[u8] = b"21 bytes of passwords";
pub(super) const BOUND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);

/// BND.ADDR and BND.PORT of every reply.
#[inline(always)]
pub(super) fn bound() -> Address<'static> {
    SocketAddr::from((black_box(BOUND), black_box(PORT))).into()
}

/// DST.ADDR and DST.PORT, with a name.
#[inline(always)]
pub(super) fn target() -> Option<Address<'static>> {
    Some(Address::from((
        Domain::new(black_box(HOST)).ok()?,
        black_box(PORT),
    )))
}

pub(super) fn all(bench: &mut impl Bench) {
    let to_host = Address::try_from("www.example.com:443").expect("an address");

    bench.job(
        "request/ipv4/decode",
        (),
        |()| Request::decode(black_box(REQUEST_IPV4)),
        |result, ()| {
            let (request, consumed) = result.expect("well-formed").complete().expect("whole");
            let address = SocketAddr::from(([203, 0, 113, 5], PORT)).into();
            assert_eq!((request, consumed), (Request::connect(address), 10));
        },
    );
    bench.job(
        "request/domain/decode",
        (),
        |()| Request::decode(black_box(REQUEST_DOMAIN)),
        |result, ()| {
            let (request, consumed) = result.expect("well-formed").complete().expect("whole");
            assert_eq!(
                (request.command, request.address, consumed),
                (Command::CONNECT, to_host, 22)
            );
        },
    );
    encode("request/domain/encode", bench, REQUEST_DOMAIN, || {
        target().map(Request::connect)
    });
    encode("reply/ipv4/encode", bench, REPLY_IPV4, || {
        Some(Reply::new(ReplyCode::SUCCEEDED, bound()))
    });
    bench.job(
        "reply/ipv4/decode",
        (),
        |()| Reply::decode(black_box(REPLY_IPV4)),
        |result, ()| {
            let (reply, consumed) = result.expect("well-formed").complete().expect("whole");
            assert_eq!((reply, consumed), (Reply::new(ReplyCode::SUCCEEDED, bound()), 10));
        },
    );
    bench.job(
        "socks4/request/decode",
        (),
        |()| socks4::Request::decode(black_box(REQUEST_SOCKS4)),
        |result, ()| {
            let (request, consumed) = result.expect("well-formed").complete().expect("whole");
            assert_eq!((request.address(), consumed), (to_host, REQUEST_SOCKS4.len()));
        },
    );
    encode("socks4/request/encode", bench, REQUEST_SOCKS4, || {
        let user_id = socks4::UserId::new(black_box(USERNAME)).ok()?;
        socks4::Request::new(Command::CONNECT, target()?, user_id).ok()
    });
    bench.job(
        "greeting/decode",
        (),
        |()| Greeting::decode(black_box(GREETING)),
        |result, ()| {
            let (greeting, consumed) = result.expect("well-formed").complete().expect("whole");
            assert!(greeting.methods().contains(Method::USERNAME_PASSWORD));
            assert_eq!(consumed, 4);
        },
    );
    encode("greeting/encode", bench, GREETING, || {
        Greeting::new(black_box(&[Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD])).ok()
    });
    bench.job(
        "credentials/decode",
        (),
        |()| Credentials::decode(black_box(CREDENTIALS)),
        |result, ()| {
            let (credentials, consumed) = result.expect("well-formed").complete().expect("whole");
            assert!(credentials.verify(USERNAME, PASSWORD));
            assert_eq!(consumed, CREDENTIALS.len());
        },
    );
    encode("credentials/encode", bench, CREDENTIALS, || {
        Credentials::new(black_box(USERNAME), black_box(PASSWORD)).ok()
    });
}

/// Measures building a value and writing it.
fn encode<M: Encode>(name: &str, bench: &mut impl Bench, bytes: &[u8], message: impl Fn() -> Option<M>) {
    bench.job(
        name,
        [0; 64],
        |out| {
            let len = message().map(|message| message.encode_into(out));
            black_box(out);
            len
        },
        |len, out| {
            let len = len.expect("valid").expect("room");
            assert_eq!(&out[..len], bytes);
        },
    );
}
