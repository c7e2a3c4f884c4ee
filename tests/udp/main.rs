//! UDP ASSOCIATE: datagrams and their headers, their sources, and fragments.

mod association;
mod client;
mod header;
mod no_alloc;
mod reassembly;
#[cfg(feature = "alloc")]
mod table;
