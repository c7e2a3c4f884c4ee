//! The code that the tests, the fuzz targets and the examples' tests of this workspace share. It is not published.
//!
//! | module | |
//! |---|---|
//! | [`driver`] | the one driver: runs any machine over a script of bytes, or against another |
//! | [`session`] | whole sessions between both handshakes, without allocation, observed at every step |
//! | [`faults`] | errors that only the crate can construct |
//! | [`reassembly`] | a simple model of reassembly |
//! | `gssapi` | a GSSAPI context that checks its input, and negotiators over it for the driver |
//! | [`vectors`] | the golden vectors |
//! | [`transcripts`] | recorded sessions |
//! | [`programs`] | the programs of `examples/`, and their peers |

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "only tests use it, and they do not print it"
)]

pub mod driver;
pub mod faults;
#[cfg(feature = "alloc")]
pub mod gssapi;
pub mod programs;
pub mod reassembly;
pub mod session;
pub mod transcripts;
pub mod vectors;
