//! The proxy, live on loopback: what it must withstand, and what its clients rely on.

mod access;
mod bind;
mod cli;
mod common;
mod connect;
mod datagrams;
mod limits;
mod link_local;
mod memory;
mod own;
mod readme;
mod relay;
mod socks4;
mod udp;
