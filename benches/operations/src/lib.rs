//! The measured operations on fixed bytes, each with a check of its result. `time` and `instructions` share them.
//!
//! An operation gets its inputs through [`black_box`], and builds everything that belongs to one connection: a machine is
//! part of its handshake.

// Some need a heap. Without the feature, this is nothing.
#![cfg(feature = "alloc")]

use std::hint::black_box;

mod gssapi;
mod handshake;
mod message;
mod udp;

/// What is done with an operation: it is timed, counted, or only listed.
pub trait Bench {
    /// `operation` is what is measured, over and over with the same `state`; `check` looks at what the last one
    /// left.
    fn job<S, T>(
        &mut self,
        name: &str,
        state: S,
        operation: impl FnMut(&mut S) -> T,
        check: impl FnOnce(T, &S),
    );
}

/// Carries `operation` out `times` times, at least once, and returns the last result.
#[inline]
pub fn repeat<S, T>(times: u32, state: &mut S, mut operation: impl FnMut(&mut S) -> T) -> T {
    let mut left = times;
    loop {
        // One call in the whole program: it is inlined at any size.
        let result = operation(state);
        // By reference: to move it there would be a copy, and no user's.
        black_box(&result);
        left = left.saturating_sub(1);
        if left == 0 {
            return result;
        }
    }
}

/// Every job that has a figure of its own.
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
/// None copies more than 4,000 bytes at a time. Beyond that, callgrind counts the C library's `memcpy` byte by byte.
pub fn growth(bench: &mut impl Bench, size: u8) {
    handshake::growth(bench, size);
    udp::growth(bench, size);
    gssapi::growth(bench, size);
}

/// An alignment at which every copy takes the same instructions.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

const HOST: &str = "www.example.com";
const PORT: u16 = 443;

/// The longest that the DNS can name: 253 bytes of labels.
const LONGEST_HOST: &str = concat!(
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
);
