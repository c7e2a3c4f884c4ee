//! Compares every decoder with a second one, written from the RFCs alone (`reference.rs`).
//!
//! Both must return the same value, bytes consumed, bytes needed and fault. The inputs are all of up to 3 bytes, every shape of
//! a longer one, and random ones. `SANS_SOCKS_RANDOM_INPUTS` sets the number of random inputs.

mod reference;

use std::{env, thread};

use fastrand::Rng;
use reference::{Addr, Message, Verdict};
use sans_socks::gssapi::Frame;
use sans_socks::message::{AuthStatus, Decoded, Greeting, Selection};
use sans_socks::udp::Datagram;
use sans_socks::{Address, Credentials, Host, Malformed, Reply, Request, socks4};

/// A decoder of the crate, and its reference.
struct Decoder {
    name: &'static str,
    crates: fn(&[u8]) -> Verdict<'_>,
    reference: fn(&[u8]) -> Verdict<'_>,
}

const DECODERS: [Decoder; 11] = [
    SOCKS4_REQUEST,
    SOCKS4_REPLY,
    Decoder {
        name: "Greeting::decode",
        crates: |bytes| {
            stream(Greeting::decode(bytes), |it| {
                Message::Greeting(methods(&it, bytes))
            })
        },
        reference: reference::greeting,
    },
    Decoder {
        name: "Selection::decode",
        crates: |bytes| stream(Selection::decode(bytes), |it| Message::Selection(it.method.get())),
        reference: reference::selection,
    },
    Decoder {
        name: "Credentials::decode",
        crates: |bytes| {
            stream(Credentials::decode(bytes), |it| {
                Message::Credentials(it.username(), it.password())
            })
        },
        reference: reference::credentials,
    },
    Decoder {
        name: "Credentials::decode_allowing_empty",
        crates: |bytes| {
            stream(Credentials::decode_allowing_empty(bytes), |it| {
                Message::Credentials(it.username(), it.password())
            })
        },
        reference: reference::credentials_allowing_empty,
    },
    Decoder {
        name: "AuthStatus::decode",
        crates: |bytes| stream(AuthStatus::decode(bytes), |it| Message::Status(it.get())),
        reference: reference::status,
    },
    Decoder {
        name: "Request::decode",
        crates: |bytes| {
            stream(Request::decode(bytes), |it| {
                Message::Request(it.command.get(), addr(it.address), it.address.port)
            })
        },
        reference: reference::request,
    },
    Decoder {
        name: "Reply::decode",
        crates: |bytes| {
            stream(Reply::decode(bytes), |it| {
                Message::Reply(it.code.get(), addr(it.address), it.address.port)
            })
        },
        reference: reference::reply,
    },
    Decoder {
        name: "Datagram::decode",
        crates: |bytes| match Datagram::decode(bytes) {
            Ok(Datagram { header, payload }) => {
                let (frag, address) = (header.frag.get(), header.address);
                // A datagram has no length, so it consumes all bytes.
                Verdict::Whole(
                    Message::Datagram(frag, addr(address), address.port, payload),
                    bytes.len(),
                )
            }
            Err(fault) => Verdict::Fault(fault),
        },
        reference: reference::datagram,
    },
    Decoder {
        name: "Frame::decode",
        crates: |bytes| {
            stream(Frame::decode(bytes), |it| match it {
                Frame::Token { message_type, token } => Message::Frame(message_type.get(), token.as_bytes()),
                Frame::Abort => Message::Abort,
            })
        },
        reference: reference::frame,
    },
];

const SOCKS4_REQUEST: Decoder = Decoder {
    name: "socks4::Request::decode",
    crates: |bytes| {
        stream(socks4::Request::decode(bytes), |it| {
            let address = it.address();
            Message::Socks4Request(
                it.command().get(),
                addr(address),
                address.port,
                it.user_id().as_bytes(),
            )
        })
    },
    reference: reference::socks4_request,
};

const SOCKS4_REPLY: Decoder = Decoder {
    name: "socks4::Reply::decode",
    crates: |bytes| {
        stream(socks4::Reply::decode(bytes), |it| {
            Message::Socks4Reply(it.code.get(), it.address.ip().octets(), it.address.port())
        })
    },
    reference: reference::socks4_reply,
};

fn stream<'a, T>(
    decoded: Result<Decoded<T>, Malformed>,
    message: impl FnOnce(T) -> Message<'a>,
) -> Verdict<'a> {
    match decoded {
        Ok(Decoded::Complete { value, consumed }) => Verdict::Whole(message(value), consumed),
        Ok(Decoded::Incomplete { needed }) => Verdict::Short(needed.get()),
        Err(fault) => Verdict::Fault(fault),
    }
}

fn addr(address: Address<'_>) -> Addr<'_> {
    match address.host {
        Host::Ipv4(ip) => Addr::V4(ip.octets()),
        Host::Domain(name) => Addr::Name(name.as_bytes()),
        Host::Ipv6(ip) => Addr::V6(ip.octets()),
    }
}

/// Returns the bytes of METHODS, after checking that they are the greeting's methods. (The greeting returns methods one by one,
/// and skips FF, R-010.)
fn methods<'a>(greeting: &Greeting<'_>, bytes: &'a [u8]) -> &'a [u8] {
    let len = sans_socks::message::Encode::encoded_len(greeting) - 2;
    let methods = bytes.get(2..2 + len).unwrap_or_default();
    let offered = methods.iter().copied().filter(|method| *method != 0xff);
    assert!(
        greeting.methods().iter().map(u8::from).eq(offered),
        "{greeting:?} of {bytes:02x?}"
    );
    methods
}

/// How many inputs had each result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    inputs: u64,
    whole: u64,
    short: u64,
    fault: u64,
}

impl Tally {
    fn count(&mut self, verdict: Verdict<'_>) {
        self.inputs += 1;
        match verdict {
            Verdict::Whole(..) => self.whole += 1,
            Verdict::Short(_) => self.short += 1,
            Verdict::Fault(_) => self.fault += 1,
        }
    }
}

impl Decoder {
    /// Compares both, and returns the reference's fault.
    ///
    /// `fault` is the reference's fault in the first bytes. It has read no further, so its verdict does not depend on later
    /// bytes, and it does not run again.
    fn check(&self, bytes: &[u8], fault: Option<Malformed>, tally: &mut Tally) -> Option<Malformed> {
        let expected = match fault {
            Some(fault) => Verdict::Fault(fault),
            None => (self.reference)(bytes),
        };
        let got = (self.crates)(bytes);
        assert!(
            got == expected,
            "{} of {bytes:02x?}:\n     got {got:?}\nexpected {expected:?}",
            self.name
        );
        tally.count(expected);
        match expected {
            // With more bytes, this is no longer a fault.
            Verdict::Fault(Malformed::Truncated) | Verdict::Whole(..) | Verdict::Short(_) => None,
            Verdict::Fault(fault) => Some(fault),
        }
    }

    fn check_up_to_3_bytes(&self) -> Tally {
        let mut tally = Tally::default();
        self.check(&[], None, &mut tally);
        for a in 0..=255 {
            let fault = self.check(&[a], None, &mut tally);
            for b in 0..=255 {
                let fault = self.check(&[a, b], fault, &mut tally);
                for c in 0..=255 {
                    self.check(&[a, b, c], fault, &mut tally);
                }
            }
        }
        tally
    }
}

/// R-004..R-006, R-008, R-022, R-033, R-061, R-201, R-206, Q-093, Q-134.
#[test]
fn input_of_up_to_3_bytes_agrees_with_the_reference() {
    let tallies = thread::scope(|scope| {
        DECODERS
            .each_ref()
            .map(|decoder| scope.spawn(|| decoder.check_up_to_3_bytes()))
            .map(|thread| thread.join().unwrap())
    });
    let inputs = 1 + 256 + 256 * 256 + 256 * 256 * 256;
    // The version byte, any second byte, and any third byte or none.
    let two_bytes = 256 * 257;
    let abort = 257;
    let whole = [0, 0, 256, two_bytes, 0, 1, two_bytes, 0, 0, 0, abort];
    for ((decoder, tally), whole) in DECODERS.iter().zip(tallies).zip(whole) {
        println!("{}: {tally:?}", decoder.name);
        assert_eq!((tally.inputs, tally.whole), (inputs, whole), "{}", decoder.name);
    }
}

/// Length bytes around limits.
const LENGTHS: [u8; 5] = [0, 1, 127, 128, 255];

/// Bytes that differ from their neighbours, for the fields.
fn filled<const N: usize>(head: &[u8]) -> [u8; N] {
    let mut bytes = core::array::from_fn(|at| (at * 37) as u8);
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

/// ..R-030, R-033, R-072, R-086, Q-046, Q-093.
#[test]
fn address_of_every_shape_agrees_with_the_reference() {
    let mut tally = Tally::default();
    let [.., request, reply, datagram, _] = &DECODERS;
    for decoder in [request, reply, datagram] {
        // Every first byte, every ATYP.
        for first in 0..=255 {
            let fault = decoder.check(&[first], None, &mut tally);
            for atyp in 0..=255 {
                let lengths = if atyp == 3 { &LENGTHS[..] } else { &LENGTHS[..1] };
                for &length in lengths {
                    let bytes: [u8; 264] = filled(&[first, 0, 0, atyp, length]);
                    let total = match atyp {
                        1 => 10,
                        4 => 22,
                        _ => 7 + usize::from(length),
                    };
                    for len in [4, 5, total - 1, total] {
                        decoder.check(&bytes[..len], fault, &mut tally);
                    }
                }
            }
        }
        // Every length byte, and every length up to the whole message and one byte more.
        for (atyp, longest) in [(1, 11), (3, 263), (4, 23)] {
            for length in 0..=255 {
                let bytes: [u8; 264] = filled(&[5, 0, 0, atyp, length]);
                for len in 0..=longest {
                    decoder.check(&bytes[..len], None, &mut tally);
                }
            }
        }
    }
    println!("{tally:?}");
}

/// R-004..R-006, R-010.
#[test]
fn greeting_of_every_shape_agrees_with_the_reference() {
    let mut tally = Tally::default();
    let [_, _, greeting, ..] = &DECODERS;
    for first in 0..=255 {
        let fault = greeting.check(&[first], None, &mut tally);
        for length in 0..=255 {
            let bytes: [u8; 260] = filled(&[first, length]);
            let lens = if fault.is_none() { 1..=bytes.len() } else { 1..=4 };
            for len in lens {
                greeting.check(&bytes[..len], fault, &mut tally);
            }
        }
    }
    println!("{tally:?}");
}

/// R-061..R-063, Q-062.
#[test]
fn credentials_of_every_shape_agree_with_the_reference() {
    let mut tally = Tally::default();
    let [_, _, _, _, strict, lenient, ..] = &DECODERS;
    for decoder in [strict, lenient] {
        for first in 0..=255 {
            let fault = decoder.check(&[first], None, &mut tally);
            for ulen in 0..=255 {
                let mut bytes: [u8; 516] = filled(&[first, ulen]);
                let behind_uname = 2 + usize::from(ulen);
                let plens = if fault.is_none() { 0..=255 } else { 0..=1 };
                for plen in plens {
                    // The two are independent, so every value of each is tested, but not every pair.
                    if !LENGTHS.contains(&ulen) && !LENGTHS.contains(&plen) {
                        continue;
                    }
                    bytes[behind_uname] = plen;
                    let total = behind_uname + 1 + usize::from(plen);
                    for len in [behind_uname - 1, behind_uname, behind_uname + 1, total - 1, total] {
                        decoder.check(&bytes[..len], fault, &mut tally);
                    }
                }
            }
        }
    }
    println!("{tally:?}");
}

///
#[test]
fn frame_of_every_shape_agrees_with_the_reference() {
    let mut tally = Tally::default();
    let [.., frame] = &DECODERS;
    let mut bytes = filled::<{ 4 + 65_535 + 1 }>(&[]);
    for first in 0..=255 {
        for mtyp in 0..=255 {
            bytes[..2].copy_from_slice(&[first, mtyp]);
            let fault = frame.check(&bytes[..2], None, &mut tally);
            let lengths = if fault.is_none() {
                &LENGTHS[..]
            } else {
                &LENGTHS[..1]
            };
            for &high in lengths {
                for &low in lengths {
                    bytes[2..4].copy_from_slice(&[high, low]);
                    frame.check(&bytes[..3], fault, &mut tally);
                    frame.check(&bytes[..4], fault, &mut tally);
                    let total = 4 + usize::from(u16::from_be_bytes([high, low]));
                    for len in [total - 1, total, total + 1] {
                        frame.check(&bytes[..len], fault, &mut tally);
                    }
                }
            }
        }
    }
    println!("{tally:?}");
}

/// ..R-234, R-237, Q-130, Q-131, Q-132.
#[test]
fn socks4_request_of_every_shape_agrees_with_the_reference() {
    let mut tally = Tally::default();
    let decoder = &SOCKS4_REQUEST;
    // Every first byte, every command, and addresses beside those that announce a name.
    let ips = [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 255],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
        [0, 1, 0, 1],
        [1, 0, 0, 1],
    ];
    for first in 0..=255 {
        let fault = decoder.check(&[first], None, &mut tally);
        for command in 0..=255 {
            for ip in ips {
                let head = [&[first, command, 0, 80][..], &ip].concat();
                for tail in [
                    &b""[..],
                    b"\0",
                    b"\0\0",
                    b"u\0",
                    b"\0n\0",
                    b"u\0n\0",
                    b"u\0n\0GET",
                ] {
                    decoder.check(&[&head, tail].concat(), fault, &mut tally);
                }
            }
        }
    }
    // Lengths of both fields around the limits, with every truncation.
    let lengths = [0, 1, 2, 127, 253, 254, 255, 256, 257, 300];
    for ip in [[0, 0, 0, 0], [0, 0, 0, 7], [127, 0, 0, 1]] {
        for user_id in lengths {
            for name in lengths {
                let field = |len: usize| (0..len).map(|at| (at * 37 % 255) as u8 + 1);
                let bytes: Vec<u8> = [4, 1, 0, 80]
                    .into_iter()
                    .chain(ip)
                    .chain(field(user_id))
                    .chain([0])
                    .chain(field(name))
                    .chain([0, 0xff])
                    .collect();
                let mut fault = None;
                for len in 0..=bytes.len() {
                    fault = decoder.check(&bytes[..len], fault, &mut tally);
                }
            }
        }
    }
    println!("{tally:?}");
    assert!(
        tally.whole > 1000 && tally.fault > 1000 && tally.short > 1000,
        "{tally:?}"
    );
}

///
#[test]
fn socks4_reply_of_every_shape_agrees_with_the_reference() {
    let mut tally = Tally::default();
    let decoder = &SOCKS4_REPLY;
    for first in 0..=255 {
        for code in 0..=255 {
            let bytes: [u8; 9] = filled(&[first, code]);
            let mut fault = None;
            for len in 0..=bytes.len() {
                fault = decoder.check(&bytes[..len], fault, &mut tally);
            }
        }
    }
    assert_eq!(tally.whole, 2 * 256 * 2);
}

#[test]
fn random_and_mutated_inputs_agree_with_the_reference() {
    let inputs = match env::var("SANS_SOCKS_RANDOM_INPUTS") {
        Ok(inputs) => inputs.parse().unwrap(),
        Err(_) => 250_000,
    };
    let mut rng = Rng::with_seed(1928);
    let mut tallies = [Tally::default(); DECODERS.len()];
    let mut bytes = Vec::new();
    for _ in 0..inputs {
        bytes.clear();
        if rng.u8(..8) == 0 {
            bytes.resize(rng.usize(..600), 0);
            rng.fill(&mut bytes);
        } else {
            message(&mut rng, &mut bytes);
            for _ in 0..rng.u8(..4) {
                mutate(&mut rng, &mut bytes);
            }
        }
        for (decoder, tally) in DECODERS.iter().zip(&mut tallies) {
            decoder.check(&bytes, None, tally);
        }
    }
    for (decoder, tally) in DECODERS.iter().zip(tallies) {
        println!("{}: {tally:?}", decoder.name);
        // Every result has occurred.
        let enough = inputs / 100;
        assert!(
            tally.whole > enough && tally.fault > enough,
            "{}: {tally:?}",
            decoder.name
        );
        assert!(
            tally.short > enough / 10 || decoder.name == "Datagram::decode",
            "{}: {tally:?}",
            decoder.name
        );
    }
}

/// Appends a message of any kind, and bytes that may follow it.
fn message(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let field = |rng: &mut Rng, bytes: &mut Vec<u8>, len: usize| {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        rng.fill(&mut bytes[start..]);
    };
    let counted = |rng: &mut Rng, bytes: &mut Vec<u8>| {
        let len = LENGTHS[rng.usize(..LENGTHS.len())].min(rng.u8(..));
        bytes.push(len);
        field(rng, bytes, len.into());
    };
    let until_null = |rng: &mut Rng, bytes: &mut Vec<u8>| {
        let len = [0, 1, 254, 255, 256][rng.usize(..5)].min(rng.usize(..300));
        bytes.extend((0..len).map(|_| rng.u8(1..)));
        bytes.push(0);
    };
    match rng.u8(..7) {
        5 => {
            bytes.extend([4, rng.u8(..), rng.u8(..), rng.u8(..)]);
            bytes.extend([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [127, 0, 0, 1]][rng.usize(..4)]);
            until_null(rng, bytes);
            until_null(rng, bytes);
        }
        6 => {
            bytes.extend([[0, 4][rng.usize(..2)], rng.u8(..)]);
            field(rng, bytes, 6);
        }
        0 => {
            bytes.push(5);
            counted(rng, bytes);
        }
        1 => {
            bytes.push(1);
            counted(rng, bytes);
            counted(rng, bytes);
        }
        2 => {
            bytes.extend([1, [1, 2, 3, 0xff][rng.usize(..4)], 0]);
            counted(rng, bytes);
        }
        _ => {
            bytes.extend([if rng.bool() { 5 } else { 0 }, rng.u8(..), 0]);
            let atyp = rng.u8(..5);
            bytes.push(atyp);
            match atyp {
                1 => field(rng, bytes, 4 + 2),
                3 => {
                    counted(rng, bytes);
                    field(rng, bytes, 2);
                }
                _ => field(rng, bytes, 16 + 2),
            }
        }
    }
    if rng.bool() {
        bytes.extend(b"GET /");
    }
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let byte = [0, 1, 3, 4, 5, 0xff, rng.u8(..)][rng.usize(..7)];
    // Most decisions are near the front.
    let at = rng.usize(..=bytes.len()).min(rng.usize(..16));
    match (rng.u8(..4), bytes.get_mut(at)) {
        (0, _) => bytes.truncate(rng.usize(..=bytes.len())),
        (1, _) => bytes.insert(at.min(bytes.len()), byte),
        (2, Some(_)) => drop(bytes.remove(at)),
        (_, Some(old)) => *old = byte,
        (_, None) => bytes.push(byte),
    }
}
