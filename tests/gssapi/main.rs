//! RFC 1961: its rules, what programs in the wild make of them, vectors, and captured sessions.

#![allow(missing_docs)]

mod captures;
mod composition;
mod context;
mod encapsulation;
mod errors;
#[path = "../common/faults.rs"]
mod faults;
mod frame;
mod memory;
mod negotiation;
