//! A complete SOCKS proxy on `sans-socks` and tokio, to use and to copy from.
//!
//! The library part exists for tests and for embedding: [`Server::bind`] takes a [`Config`] and a [`Resolve`].
//!
//! | module | |
//! |---|---|
//! | `cli`, `config` | the command line, and the settings checked before a port opens |
//! | `server` | listeners, accept loops, shutdown |
//! | `session` | one client: the handshake, and its decisions |
//! | `connect`, `resolve` | CONNECT: look-ups with a share for each client, Happy Eyeballs |
//! | `bind` | BIND: the listener, and the peer among strangers |
//! | `relay` | the tunnel |
//! | `udp` | UDP ASSOCIATE |
//! | `access`, `limits` | access rules and limits |
//! | `own_sockets` | the proxy's own sockets, which clients must not reach |
//! | `logging`, `socket` | a log that never blocks, socket options |

#![forbid(unsafe_code)]

mod access;
mod bind;
mod cli;
mod config;
mod connect;
mod limits;
mod logging;
mod own_sockets;
mod relay;
mod resolve;
mod server;
mod session;
mod socket;
mod udp;

pub use access::{Network, Rules};
pub use cli::{Options, Password};
pub use config::{Config, ConfigError, PortRange};
pub use logging::Logging;
pub use resolve::{Resolve, SystemResolver};
pub use server::Server;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A panic elsewhere leaves counters and tables consistent, so the proxy continues.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
