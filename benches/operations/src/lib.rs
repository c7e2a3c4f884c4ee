//! What is measured: operations on fixed bytes, each with a check of what came of it. `time` and `instructions` share
//! them.
//!
//! An operation has its inputs through [`black_box`], and makes whatever belongs to one connection itself: a
//! machine is part of its handshake.

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
        // One call in the whole program: it is inlined, whatever its size.
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

/// Every job whose cost has to grow in proportion to what a peer sends, at one `size`: so many bytes in each
/// field, so many fragments, ten times as many bytes in a token.
///
/// None copies more than 4,000 bytes at a time: beyond that the C library's `memcpy` goes byte by byte, as
/// instructions are counted.
pub fn growth(bench: &mut impl Bench, size: u8) {
    handshake::growth(bench, size);
    udp::growth(bench, size);
    gssapi::growth(bench, size);
}

/// Where every copy takes the same instructions, whatever else is in memory.
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
