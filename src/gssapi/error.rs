//! Why a negotiation failed, a stream ended, or a datagram was dropped.

use thiserror::Error as ThisError;

use super::{MessageType, ProtectionLevel};
use crate::error::Malformed;

/// Why a negotiation failed, a stream ended, or a datagram was dropped. `E` is the context's own error.
///
/// With `std` it converts into a `std::io::Error` of the kind that fits, which holds it as its inner error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum Error<E> {
    /// The peer sent octets that are no frame.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The peer sent a message of another type than the one that was due.
    #[error("unexpected message of type {got}, expected {expected}")]
    #[non_exhaustive]
    UnexpectedMessage {
        /// The type that was due.
        expected: MessageType,
        /// The type that came.
        got: MessageType,
    },
    /// The peer announced, or the context made, a token that is too long. Of the peer's, nothing but the length was taken.
    #[error("token of {len} bytes exceeds the limit of {max}")]
    #[non_exhaustive]
    TokenTooLong {
        /// The octets it has.
        len: usize,
        /// The octets it may have.
        max: usize,
    },
    /// The context failed: it could not be established, or a message did not pass.
    #[error("GSSAPI context failed")]
    Context(#[source] E),
    /// `01 FF`: the peer refused.
    #[error("rejected by the peer")]
    Rejected,
    /// A protection level is one octet, and this many were wrapped.
    #[error("protection level of {0} bytes, expected 1")]
    LevelLength(usize),
    /// The peer named a protection level that this side does not allow, or that RFC 1961 does not have.
    #[error("protection level {0:#04x} is not allowed")]
    LevelNotAllowed(u8),
    /// The context has not the services for this level.
    #[error("context lacks the services for protection level {0}")]
    LevelUnavailable(ProtectionLevel),
    /// A token that must be confidential is not: one received at [`ProtectionLevel::Confidentiality`], or one that the
    /// context was asked to make so. Nothing of it was sent.
    #[error("token is not confidential")]
    NotConfidential,
    /// Plaintext that does not fit one token.
    #[error("{len} bytes of plaintext exceed the {max} that fit in one token")]
    #[non_exhaustive]
    PlainTooLong {
        /// The octets there are.
        len: usize,
        /// The octets there is room for.
        max: usize,
    },
    /// A datagram is longer or shorter than the one frame in it.
    #[error("datagram is not exactly one frame")]
    DatagramLength,
    /// The peer ended its side of the connection where its message was due. Many a server refuses like this.
    #[error("connection ended before a message of type {due}")]
    #[non_exhaustive]
    UnexpectedEof {
        /// The message that was due.
        due: MessageType,
    },
    /// This side ended the negotiation before it was over.
    #[error("negotiation rejected")]
    Abandoned,
    /// The stream has failed before.
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
