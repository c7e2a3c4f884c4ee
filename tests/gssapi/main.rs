//! RFC 1961: its rules, the behaviour of deployed programs, vectors, and captured sessions.

#![allow(missing_docs)]

#[cfg(feature = "std")]
mod advance;
mod captures;
mod composition;
mod encapsulation;
mod errors;
mod frame;
mod memory;
mod negotiation;
mod policy;
