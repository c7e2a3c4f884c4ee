//! The errors of a negotiation, of a stream and of a datagram.

use thiserror::Error as ThisError;

use super::{MessageType, ProtectionLevel};
use crate::error::Malformed;

/// The reason why a negotiation failed, a stream ended, or a datagram was dropped. `E` is the error of the context.
///
/// With feature `std` it converts into a `std::io::Error`, which keeps it as its inner error:
///
/// | error | `std::io::ErrorKind` |
/// |---|---|
/// | `Malformed`, `UnexpectedMessage`, `TokenTooLong`, `LevelLength`, `NotConfidential`, `DatagramLength` | `InvalidData` |
/// | `Rejected`, `LevelNotAllowed` | `PermissionDenied` |
/// | `LevelUnavailable` | `Unsupported` |
/// | `PlainTooLong` | `InvalidInput` |
/// | `UnexpectedEof` | `UnexpectedEof` |
/// | `Abandoned`, `Failed` | `ConnectionAborted` |
/// | `Context` | `Other` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum Error<E> {
    /// The bytes received are not a frame.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The message received does not have the expected type.
    #[error("unexpected message of type {got}, expected {expected}")]
    #[non_exhaustive]
    UnexpectedMessage {
        /// The type expected.
        expected: MessageType,
        /// The type received.
        got: MessageType,
    },
    /// The peer announced a token that is too long, or the context produced one. Nothing of the peer's token was consumed.
    #[error("token of {len} bytes exceeds the limit of {max}")]
    #[non_exhaustive]
    TokenTooLong {
        /// The length of the token in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The context failed: it was not established, or a message could not be wrapped or unwrapped.
    #[error("GSSAPI context failed")]
    Context(#[source] E),
    /// The peer refused with `01 FF`.
    #[error("rejected by the peer")]
    Rejected,
    /// The peer wrapped a protection level of this many bytes.
    #[error("protection level of {0} bytes, expected 1")]
    LevelLength(usize),
    /// The peer sent a protection level that the configuration does not allow, or that RFC 1961 does not define.
    #[error("protection level {0:#04x} is not allowed")]
    LevelNotAllowed(u8),
    /// The context lacks a service that this level requires.
    #[error("context lacks the services for protection level {0}")]
    LevelUnavailable(ProtectionLevel),
    /// A token is not confidential, although it must be. It was received at [`ProtectionLevel::Confidentiality`], or the
    /// context produced it although confidentiality was requested. Nothing of it was returned or sent.
    #[error("token is not confidential")]
    NotConfidential,
    /// The plaintext does not fit one token.
    #[error("{len} bytes of plaintext exceed the {max} that fit in one token")]
    #[non_exhaustive]
    PlainTooLong {
        /// The length of the plaintext in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The datagram is longer or shorter than the one frame in it.
    #[error("datagram is not exactly one frame")]
    DatagramLength,
    /// The peer ended its side of the connection before this message was complete. Many servers do that to refuse.
    #[error("connection ended before a message of type {due}")]
    #[non_exhaustive]
    UnexpectedEof {
        /// The type of the message expected.
        due: MessageType,
    },
    /// This side rejected the peer, or ended the negotiation before it was complete.
    #[error("negotiation rejected")]
    Abandoned,
    /// The stream failed in an earlier call.
    #[error("encapsulated stream already failed")]
    Failed,
}

#[cfg(feature = "std")]
impl<E> From<Error<E>> for std::io::Error
where
    E: core::error::Error + Send + Sync + 'static,
{
    fn from(error: Error<E>) -> Self {
        use std::io::ErrorKind;

        let kind = match error {
            Error::Malformed(_)
            | Error::UnexpectedMessage { .. }
            | Error::TokenTooLong { .. }
            | Error::LevelLength(_)
            | Error::NotConfidential
            | Error::DatagramLength => ErrorKind::InvalidData,
            Error::Rejected | Error::LevelNotAllowed(_) => ErrorKind::PermissionDenied,
            Error::LevelUnavailable(_) => ErrorKind::Unsupported,
            Error::PlainTooLong { .. } => ErrorKind::InvalidInput,
            Error::UnexpectedEof { .. } => ErrorKind::UnexpectedEof,
            Error::Abandoned | Error::Failed => ErrorKind::ConnectionAborted,
            Error::Context(_) => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
