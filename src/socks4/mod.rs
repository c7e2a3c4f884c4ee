//! The messages of SOCKS4 and SOCKS4a, in the style of [`message`](crate::message).
//!
//! Both handshakes support this version. With [`server::Config::with_socks4`](crate::server::Config::with_socks4), a server
//! accepts either version on one port. [`client::Handshake::socks4`](crate::client::Handshake::socks4) creates a client's
//! handshake. The specifications are `SOCKS4.protocol` and `SOCKS4a.protocol` by Ying-Da Lee.
//!
//! | message | file | bytes |
//! |---|---|---|
//! | [`Request`] | `request.rs` | 9..=520 |
//! | [`Reply`] | `reply.rs` | 8 |
//!
//! **Version 4 has no authentication.** A server that checks credentials must refuse requests of this version.

use core::fmt;

mod reply;
pub(crate) mod reply_code;
mod request;

pub use reply::Reply;
pub use reply_code::ReplyCode;
pub use request::{Request, UserId};

/// The versions of SOCKS that a server can accept on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// SOCKS4 and SOCKS4a.
    Socks4,
    /// SOCKS5.
    Socks5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Socks4 => "SOCKS4",
            Self::Socks5 => "SOCKS5",
        })
    }
}

/// VN of a request.
pub(crate) const VERSION: u8 = 4;
