//! The measured operations on fixed bytes, each with a check of its result. `time` and `instructions` share them.
//!
//! An operation gets its inputs through [`black_box`], and builds all objects of one connection. So a machine is part of its
//! handshake.

// Some operations need a heap. Without the feature `alloc`, this crate is empty.
#![cfg(feature = "alloc")]

use std::hint::black_box;

mod gssapi;
mod handshake;
mod message;
mod udp;

/// The use of an operation, which is timed, counted, or only listed.
pub trait Bench {
    /// Measures `operation`, which is repeated with the same `state`. `check` checks the result of the last run.
    fn job<S, T>(
        &mut self,
        name: &str,
        state: S,
        operation: impl FnMut(&mut S) -> T,
        check: impl FnOnce(T, &S),
    );
}

/// Runs `operation` `times` times, at least once, and returns the last result.
#[inline]
pub fn repeat<S, T>(times: u32, state: &mut S, mut operation: impl FnMut(&mut S) -> T) -> T {
    let mut left = times;
    loop {
        // The whole program has only one call, so it is inlined whatever its size.
        let result = operation(state);
        // It is passed by reference, because a move would be a copy that no user makes.
        black_box(&result);
        left = left.saturating_sub(1);
        if left == 0 {
            return result;
        }
    }
}

/// Runs every job that has its own figure.
pub fn all(bench: &mut impl Bench) {
    message::all(bench);
    udp::all(bench);
    handshake::all(bench);
    handshake::socks4(bench);
    gssapi::all(bench);
}

/// Runs every job whose cost must grow in proportion to the input, at one `size`: the bytes in each field, the number of
/// fragments, or a tenth of the bytes in a token.
///
/// No job copies more than 4,000 bytes at a time. Above that, callgrind counts the C library's `memcpy` byte by byte.
pub fn growth(bench: &mut impl Bench, size: u8) {
    handshake::growth(bench, size);
    udp::growth(bench, size);
    gssapi::growth(bench, size);
}

/// The alignment at which every copy takes the same instructions.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

const HOST: &str = "www.example.com";
const PORT: u16 = 443;

/// The longest DNS name: 253 bytes of labels and dots.
const LONGEST_HOST: &str = concat!(
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
);
