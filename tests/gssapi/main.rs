//! RFC 1961: rules, quirks, vectors V-110 to V-125, and captured sessions.

#![allow(missing_docs)]

mod captures;
mod composition;
mod context;
mod encapsulation;
mod frame;
mod memory;
mod negotiation;
