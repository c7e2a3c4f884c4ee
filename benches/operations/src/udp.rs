//! The relay's path, and reassembly.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use sans_socks::udp::{
    Association, Datagram, Header, MAX_HEADER_LEN, Outcome, Reassembler, Storage, fragments,
};
use sans_socks::{Address, Domain};

use super::{Aligned, Bench, HOST, PORT};

const LEN: usize = 1200;
static PAYLOAD: Aligned<LEN> = Aligned([0x5a; LEN]);
const IPV4: &[u8] = b"\x00\x00\x00\x01\xcb\x00\x71\x05\x01\xbb";
const DOMAIN: &[u8] = b"\x00\x00\x00\x03\x0fwww.example.com\x01\xbb";
const IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

/// The target or the source of a datagram.
#[inline(always)]
fn peer() -> Address<'static> {
    SocketAddr::from((black_box(IP), black_box(PORT))).into()
}

pub(super) fn all(bench: &mut impl Bench) {
    let ipv4 = [IPV4, &PAYLOAD.0].concat();
    let domain = [DOMAIN, &PAYLOAD.0].concat();

    for (name, bytes, header) in [
        ("udp/ipv4/decode", &ipv4, IPV4),
        ("udp/domain/decode", &domain, DOMAIN),
    ] {
        bench.job(
            name,
            (),
            |()| Datagram::decode(black_box(&bytes[..])),
            |datagram, ()| {
                let datagram = datagram.expect("well-formed");
                let mut buf = [0; 2048];
                let len = datagram.encode_into(&mut buf).expect("room");
                assert_eq!(
                    (&buf[..len], datagram.payload),
                    (&bytes[..], &bytes[header.len()..])
                );
            },
        );
    }
    bench.job(
        "udp/ipv4/encode",
        Aligned([0; 2048]),
        |buf| {
            let datagram = Datagram::new(Header::standalone(peer()), black_box(&PAYLOAD.0));
            let len = datagram.encode_into(&mut buf.0);
            black_box(&buf.0);
            len
        },
        |len, buf| assert_eq!(buf.0[..len.expect("room")], ipv4),
    );
    bench.job(
        "udp/ipv4/prepend",
        Aligned([0; 2048]),
        |buf| {
            let start = Header::standalone(peer()).prepend(&mut buf.0, black_box(MAX_HEADER_LEN));
            black_box(&buf.0);
            start
        },
        |start, buf| assert_eq!(&buf.0[start.expect("room")..MAX_HEADER_LEN], IPV4),
    );

    // One datagram from the client is accepted and forwarded. Another one gets a header and is sent back.
    let source = SocketAddr::from(([192, 0, 2, 7], 4000));
    let association = Association::new(source, &Address::UNSPECIFIED);
    bench.job(
        "udp/relay",
        (association, Reassembler::with_storage([]), Aligned([0; 2048])),
        |(association, reassembler, buf)| {
            let datagram = association.accept(black_box(source), black_box(&ipv4)).ok()?;
            let Outcome::Deliver(datagram) = reassembler.handle_datagram(now(), datagram) else {
                return None;
            };
            let target = datagram.header.address.to_socket_addr()?;
            black_box((target, datagram.payload));
            let start = Header::standalone(target.into()).prepend(&mut buf.0, black_box(MAX_HEADER_LEN));
            black_box(&buf.0);
            Some((association.client()?, start.ok()?))
        },
        |back, (.., buf)| {
            let (client, start) = back.expect("relayed");
            assert_eq!((client, &buf.0[start..MAX_HEADER_LEN]), (source, IPV4));
        },
    );

    let payload = [0x5a; 4 * LEN];
    let pieces = pieces(&payload, LEN);
    let array = Reassembler::with_storage([0; 4 * LEN]);
    reassembly(bench, "reassembly/array", &pieces, array);
    reassembly(
        bench,
        "reassembly/vec",
        &pieces,
        Reassembler::with_storage(Vec::new()),
    );
}

/// `size` fragments.
pub(super) fn growth(bench: &mut impl Bench, size: u8) {
    const LEN: usize = 500;
    let payload = vec![0x5a; usize::from(size) * LEN];
    let pieces = pieces(&payload, LEN);
    let array = Reassembler::with_storage([0; 127 * LEN]);
    reassembly(bench, "reassembly/array", &pieces, array);
    reassembly(
        bench,
        "reassembly/vec",
        &pieces,
        Reassembler::with_storage(Vec::new()),
    );
}

fn now() -> Duration {
    black_box(Duration::ZERO)
}

fn pieces(payload: &[u8], len: usize) -> Vec<Datagram<'_>> {
    let to = Address::from((Domain::new(HOST).expect("a name"), PORT));
    let len = NonZeroUsize::new(len).expect("not 0");
    fragments(to, payload, len).expect("127 at most").collect()
}

/// Returns the number of bytes delivered for `piece`.
#[inline(always)]
fn delivered_by<B: Storage>(reassembler: &mut Reassembler<Duration, B>, piece: Datagram<'_>) -> usize {
    match reassembler.handle_datagram(now(), piece) {
        Outcome::Deliver(whole) => black_box(whole.payload).len(),
        _ => 0,
    }
}

fn reassembly<B: Storage>(
    bench: &mut impl Bench,
    name: &str,
    pieces: &[Datagram<'_>],
    reassembler: Reassembler<Duration, B>,
) {
    bench.job(
        name,
        reassembler,
        |reassembler| {
            black_box(pieces)
                .iter()
                .map(|piece| delivered_by(reassembler, *piece))
                .sum::<usize>()
        },
        |delivered, _| {
            let sent: usize = pieces.iter().map(|piece| piece.payload.len()).sum();
            assert_eq!(delivered, sent, "{name}");
        },
    );
}
