//! The datagrams of UDP ASSOCIATE, [RFC 1928 §7], for the relay and for the client.
//!
//! | | |
//! |---|---|
//! | [`Datagram`], [`Header`], [`Frag`] | the datagrams between client and relay |
//! | [`Association`] | the relay's side: accepts the datagrams of the host that holds the control connection |
//! | [`AssociationTable`] | many associations on one socket |
//! | [`ClientAssociation`] | the client's side: where to send datagrams, and which to accept |
//! | [`Reassembler`] | converts fragments into complete datagrams |
//! | [`fragments`] | splits a payload into fragments, for a peer that is known to reassemble |
//!
//! Support for fragments is optional in the RFC, and most relays drop them. [`Association`] does so by default.
//!
//! The guide shows [a relay for production](crate::guide::udp_relay).
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

mod association;
mod client;
mod discard;
mod fragment;
mod header;
mod reassembly;
#[cfg(feature = "alloc")]
mod table;

pub use association::Association;
pub use client::ClientAssociation;
pub use discard::Discard;
pub use fragment::{TooManyFragments, fragments};
pub use header::{Datagram, Frag, Header, MAX_HEADER_LEN, max_payload};
pub use reassembly::{MIN_REASSEMBLY_TIMEOUT, Outcome, Reassembler, Storage};
#[cfg(feature = "alloc")]
pub use table::{AssociationTable, TableError};
