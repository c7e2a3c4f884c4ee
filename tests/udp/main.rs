//! UDP ASSOCIATE: datagrams and their headers, who may send them, fragments.

mod association;
mod client;
mod header;
mod no_alloc;
mod reassembly;
#[cfg(feature = "alloc")]
mod table;
