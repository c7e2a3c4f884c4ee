//! The code that `gssapi_server` and `gssapi_client` share: a context of Kerberos 5 for [`sans_socks::gssapi`], and a
//! blocking stream with the layer over it.

#![cfg(feature = "kerberos")]
#![forbid(unsafe_code)]
#![allow(
    missing_debug_implementations,
    reason = "handles of a C library and of streams"
)]

mod cli;
mod kerberos;
mod level;
mod link;

pub use cli::{Login, exit_code, in_full, log};
pub use kerberos::{Acceptor, Credentials, Error, Initiator, Kerberos};
pub use level::{InvalidLevels, Level, client_config, server_config};
pub use link::{Layer, Link};
