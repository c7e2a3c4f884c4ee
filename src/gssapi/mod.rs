//! GSSAPI, method `01`: [RFC 1961](https://www.rfc-editor.org/rfc/rfc1961).
//!
//! [`Negotiator`] authenticates the peers and agrees on a [`ProtectionLevel`]. [`Encapsulation`] protects everything
//! after that. Both exchange messages of type [`Frame`]. No mechanism is linked: implement [`Context`] over the GSS-API
//! library of your choice.
//!
//! ```text
//! client                                          server
//!   01 01 len token              ->                            each step of a context makes a token,
//!                                <-   01 01 len token          as often as the mechanism requires
//!                                <-   01 01 00 00              if the server's last step makes no token: "ready"
//!   01 02 len wrap(level)        ->                            01 integrity, 02 confidentiality, 03 selective
//!                                <-   01 02 len wrap(level)    the server's choice
//!   01 03 len wrap(request)      ->
//!                                <-   01 03 len wrap(reply)
//!   01 03 len wrap(bytes)       <-->  01 03 len wrap(bytes)    a datagram is one such frame
//!                                <-   01 FF                    at any time: refused
//! ```
//!
//! The module requires a `usize` of at least 32 bits, because a frame can be longer than 65,535 bytes. It is not compiled for
//! targets with a 16-bit `usize`.
//!
//! The guide shows [how the layers fit together](crate::guide::gssapi).

mod config;
mod context;
mod encapsulation;
mod error;
mod frame;
mod level;
mod negotiator;

pub use config::{ClientConfig, ServerConfig};
pub use context::{Context, Progress, Protection, Services};
pub use encapsulation::Encapsulation;
pub use error::Error;
pub use frame::{Frame, MessageType, Token};
pub use level::ProtectionLevel;
pub use negotiator::{Decision, Negotiator, Output, Step};
