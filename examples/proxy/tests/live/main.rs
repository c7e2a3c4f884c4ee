//! The proxy on loopback: the attacks and faults that it must withstand, and the service that its clients need.

mod access;
mod bind;
mod cli;
mod common;
mod connect;
mod datagrams;
mod embedded;
mod handshake;
mod limits;
mod link_local;
mod memory;
mod names;
mod readme;
mod relay;
mod self_connection;
mod socks4;
mod udp;
