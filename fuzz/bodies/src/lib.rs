//! The bodies of the fuzz targets, as functions. So the crate's own tests (`tests/corpus_replay.rs`) can run them over the
//! committed inputs without a fuzzer.

// Some bodies need a heap. Without the feature `alloc`, this crate is empty.
#![cfg(feature = "alloc")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "only fuzz targets and tests use it"
)]

mod decode;
#[cfg(all(test, feature = "arbitrary"))]
mod encoded;
#[cfg(feature = "arbitrary")]
pub mod gssapi_ops;
#[cfg(all(test, feature = "arbitrary"))]
mod gssapi_seeds;
#[cfg(feature = "arbitrary")]
pub mod handshake;
#[cfg(feature = "arbitrary")]
mod op;
#[cfg(feature = "arbitrary")]
pub mod pair_ops;
mod replay;
#[cfg(feature = "arbitrary")]
pub mod roundtrip;
#[cfg(feature = "arbitrary")]
pub mod script;
#[cfg(feature = "arbitrary")]
pub mod udp_ops;
#[cfg(all(test, feature = "arbitrary"))]
mod udp_seeds;

pub use decode::decode;
#[cfg(feature = "arbitrary")]
pub use gssapi_ops::gssapi_ops;
#[cfg(feature = "arbitrary")]
pub use handshake::{client_split, server_split};
#[cfg(feature = "arbitrary")]
pub use pair_ops::pair_ops;
pub use replay::replay;
#[cfg(feature = "arbitrary")]
pub use roundtrip::roundtrip;
#[cfg(feature = "arbitrary")]
pub use udp_ops::udp_ops;

/// Runs the target over bytes, as the fuzzer does. Panics if they do not decode, because such an input would test nothing.
#[cfg(feature = "arbitrary")]
pub fn of_bytes<'a, T: arbitrary::Arbitrary<'a>>(target: fn(T), input: &'a [u8]) {
    target(decoded(input));
}

#[cfg(feature = "arbitrary")]
fn decoded<'a, T: arbitrary::Arbitrary<'a>>(input: &'a [u8]) -> T {
    T::arbitrary_take_rest(arbitrary::Unstructured::new(input)).expect("the input decodes")
}
