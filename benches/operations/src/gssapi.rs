//! The framing of RFC 1961, over a context that protects nothing, so that only this crate is measured.

use std::convert::Infallible;
use std::hint::black_box;

use sans_socks::gssapi::{
    Context, Encapsulation, Negotiator, Output, Progress, Protection, ProtectionLevel, ServerConfig, Services,
};

use super::Bench;

const LEVEL: ProtectionLevel = ProtectionLevel::Integrity;

/// A context whose tokens are the plaintext. One token of each side establishes it.
struct Clear;

impl Context for Clear {
    type Error = Infallible;

    fn step(&mut self, _: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Infallible> {
        out.extend_from_slice(b"token");
        Ok(Progress::Complete)
    }

    fn services(&self) -> Services {
        Services::new().with_integrity(true)
    }

    fn wrap(&mut self, _: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<Protection, Infallible> {
        out.extend_from_slice(plain);
        Ok(Protection::Integrity)
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Infallible> {
        out.extend_from_slice(token);
        Ok(Protection::Integrity)
    }

    fn max_plain(&self, _: Protection, max_token: usize) -> usize {
        max_token
    }
}

/// A frame.
fn frame(message_type: u8, token: &[u8]) -> Vec<u8> {
    let len = u16::try_from(token.len()).expect("a token");
    [&[1, message_type][..], &len.to_be_bytes(), token].concat()
}

pub(super) fn all(bench: &mut impl Bench) {
    let plain = [0x5a; 1200];
    let wire = frame(3, &plain);

    bench.job(
        "gssapi/encapsulate",
        (layer(), Vec::new()),
        |(layer, out)| {
            out.clear();
            layer.encapsulate(black_box(&plain), out)
        },
        |result, (_, out)| assert_eq!((result, out), (Ok(()), &wire)),
    );
    decapsulate(bench, "gssapi/decapsulate", &wire, wire.len());
    decapsulate(bench, "gssapi/decapsulate/pieces", &wire, 100);
    bench.job(
        "gssapi/datagram",
        (layer(), Vec::new(), Vec::new()),
        |(layer, out, back)| {
            out.clear();
            back.clear();
            layer.encapsulate_datagram(black_box(&plain), out)?;
            layer.decapsulate_datagram(black_box(out), back)
        },
        |result, (_, _, back)| assert_eq!((result, &back[..]), (Ok(()), &plain[..])),
    );
    negotiate(bench, "gssapi/negotiate", 1200, usize::MAX);
}

/// Measures tokens of ten times `size` bytes, in pieces, and `size` frames.
pub(super) fn growth(bench: &mut impl Bench, size: u8) {
    let bytes = vec![0x5a; usize::from(size) * 10];
    let wire = frame(3, &bytes);
    for len in [1, 10] {
        decapsulate(bench, &format!("gssapi/decapsulate/{len}"), &wire, len);
        negotiate(bench, &format!("gssapi/negotiate/{len}"), bytes.len(), len);
    }
    let frames: Vec<u8> = bytes.chunks(10).flat_map(|token| frame(3, token)).collect();
    decapsulate(bench, "gssapi/decapsulate/frames", &frames, usize::MAX);
}

fn layer() -> Encapsulation<Clear> {
    Encapsulation::new(Clear, LEVEL)
}

/// Decapsulates the wire in reads of `len` bytes.
fn decapsulate(bench: &mut impl Bench, name: &str, wire: &[u8], len: usize) {
    bench.job(
        name,
        (layer(), Vec::with_capacity(wire.len())),
        |(layer, plain)| {
            plain.clear();
            for mut read in black_box(wire).chunks(len) {
                while !read.is_empty() {
                    let taken = layer.decapsulate(read, plain)?;
                    read = read.get(taken..).unwrap_or_default();
                }
            }
            layer.handle_eof()
        },
        |result, (_, plain)| {
            assert_eq!(result, Ok(()), "{name}");
            assert!(
                !plain.is_empty() && plain.iter().all(|byte| *byte == 0x5a),
                "{name}"
            );
        },
    );
}

/// Runs a server's negotiation: a token of `token` bytes, then the level, in reads of `len` bytes.
fn negotiate(bench: &mut impl Bench, name: &str, token: usize, len: usize) {
    let messages = [frame(1, &vec![0x5a; token]), frame(2, &[LEVEL.get()])];
    bench.job(
        name,
        (),
        |()| {
            let mut negotiator = Negotiator::server(Clear, ServerConfig::new());
            for read in black_box(&messages)
                .iter()
                .flat_map(|message| message.chunks(len))
            {
                if negotiator.handle_input(read) != read.len() {
                    return None;
                }
                loop {
                    match negotiator.poll_output() {
                        Output::Transmit(transmit) => {
                            black_box(transmit.as_bytes());
                            transmit.sent_all();
                        }
                        Output::NeedInput { .. } => break,
                        Output::Step(step) => step.run(),
                        Output::Established => return Some(negotiator.into_encapsulation().ok()?.level()),
                        Output::Closed(_) => return None,
                    }
                }
            }
            None
        },
        |level, ()| assert_eq!(level, Some(Some(LEVEL)), "{name}"),
    );
}
