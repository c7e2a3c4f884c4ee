//! GSSAPI, method `01`: [RFC 1961](https://www.rfc-editor.org/rfc/rfc1961).
//!
//! TODO

mod encapsulation;
mod frame;
mod negotiator;

use alloc::vec::Vec;

use thiserror::Error as ThisError;

pub use encapsulation::Encapsulation;
pub use frame::{Frame, MessageType, Token};
pub use negotiator::{ClientConfig, Negotiator, Output, ServerConfig, Step, Transmit};

use crate::error::Malformed;

/// A security context: what a GSS-API library gives, of either side.
///
/// This crate links no mechanism; the program implements this over the library of its choice, and brings
/// names and credentials itself. Dropping it deletes the context, with no output token: that is never sent
///
///
/// A context of RFC 1961 asks for `GSS_C_MUTUAL_FLAG`, `GSS_C_REPLAY_FLAG`, `GSS_C_INTEG_FLAG`, for
/// `GSS_C_CONF_FLAG` unless confidentiality is of no interest, and for `GSS_C_SEQUENCE_FLAG` unless it is for
/// an association: datagrams come in any order, and are counted with the stream's messages. The RFC
/// also wants `GSS_C_DELEG_FLAG`, which hands the user's credentials to the proxy: leave it to the user, as
/// Dante does.
///
/// Each `out` is appended to: what stands in it already is not the context's. After an error nothing that was
/// appended is looked at.
pub trait Context {
    /// What the library reports.
    type Error;

    /// A step of establishment: `gss_init_sec_context` or `gss_accept_sec_context`.
    ///
    /// `token` is what the peer has sent, maybe of no octets; `None` in an initiator's first step. What is
    /// appended to `out` goes to the peer; with nothing appended nothing is sent, but for the empty token with
    /// which an acceptor says that it is ready. It is not called again once complete.
    ///
    /// This may block. A server that lets in some names only looks at the initiator's name when the context
    /// is complete, and fails the step: the client is then refused with `01 FF`.
    ///
    /// # Errors
    ///
    /// Any major status but `GSS_S_COMPLETE` and `GSS_S_CONTINUE_NEEDED`; and when mutual authentication was
    /// asked for and not given.
    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Self::Error>;

    /// Which services the context has, once it is complete: `GSS_C_INTEG_FLAG` and `GSS_C_CONF_FLAG` of
    /// "ret_flags".
    fn services(&self) -> Services;

    /// Protects `plain`: `gss_wrap`, with "conf_req_flag" as `protection` says and the default quality.
    ///
    /// # Errors
    ///
    /// Any major status but `GSS_S_COMPLETE`; and when confidentiality was asked for and "conf_state" says that
    /// it was not applied.
    fn wrap(&mut self, protection: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Checks and opens `token`: `gss_unwrap`. Returns what "conf_state" says about it.
    ///
    /// # Errors
    ///
    /// Any major status but plain `GSS_S_COMPLETE`: with one of the bits `GSS_S_DUPLICATE_TOKEN`,
    /// `GSS_S_OLD_TOKEN`, `GSS_S_UNSEQ_TOKEN` and `GSS_S_GAP_TOKEN` the token was replayed, or others are
    /// missing before it.
    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Self::Error>;

    /// The most plaintext whose token has at most `max_token` octets: `gss_wrap_size_limit`. 0, if the
    /// overhead alone is more.
    fn max_plain(&self, protection: Protection, max_token: usize) -> usize;
}

/// How far a context has come with a step.
#[expect(clippy::exhaustive_enums, reason = "GSS-API has these two")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// `GSS_S_CONTINUE_NEEDED`: it needs another token from the peer.
    ContinueNeeded,
    /// `GSS_S_COMPLETE`: it is established.
    Complete,
}

/// The services of a context, [RFC 1961 §4.1](https://www.rfc-editor.org/rfc/rfc1961#section-4.1).
#[expect(clippy::exhaustive_structs, reason = "RFC 1961 names these two")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Services {
    /// `GSS_C_INTEG_FLAG`.
    pub integrity: bool,
    /// `GSS_C_CONF_FLAG`.
    pub confidentiality: bool,
}

impl Services {
    /// Whether a context with these can do `level`: each takes integrity, and
    /// [`ProtectionLevel::Confidentiality`] confidentiality also.
    #[must_use]
    pub const fn suffice_for(self, level: ProtectionLevel) -> bool {
        self.integrity && (self.confidentiality || !matches!(level, ProtectionLevel::Confidentiality))
    }
}

/// What one message gets, or got.
#[expect(clippy::exhaustive_enums, reason = "\"conf_req_flag\" is true or false")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// Integrity alone: anybody on the way can read it.
    Integrity,
    /// Integrity and confidentiality.
    Confidentiality,
}

/// What is agreed about all that follows, [RFC 1961 §4.2](https://www.rfc-editor.org/rfc/rfc1961#section-4.2).
#[expect(clippy::exhaustive_enums, reason = "RFC 1961 has these three")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtectionLevel {
    /// `01`: every message has integrity, and none is confidential.
    Integrity = 1,
    /// `02`: every message has integrity and is confidential.
    Confidentiality = 2,
    /// `03`: every message has integrity; its sender chooses whether it is confidential.
    Selective = 3,
}

impl ProtectionLevel {
    /// The level with this octet; `None` for any but `01`, `02` and `03`.
    #[must_use]
    pub const fn new(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Integrity),
            2 => Some(Self::Confidentiality),
            3 => Some(Self::Selective),
            _ => None,
        }
    }

    /// Its octet.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }
}

impl core::fmt::Display for ProtectionLevel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Integrity => "integrity",
            Self::Confidentiality => "confidentiality",
            Self::Selective => "selective",
        })
    }
}

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
    #[error("a message of type {got} where {expected} was due")]
    UnexpectedMessage {
        /// The type that was due.
        expected: MessageType,
        /// The type that came.
        got: MessageType,
    },
    /// The peer announced, or the context made, a token that is too long. Of the peer's nothing was read.
    #[error("a token of {len} octets, where {max} are the most")]
    TokenTooLong {
        /// The octets it has.
        len: usize,
        /// The octets it may have.
        max: usize,
    },
    /// The context failed: it could not be established, or a message did not pass.
    #[error("the GSSAPI context failed")]
    Context(#[source] E),
    /// `01 FF`: the peer refused.
    #[error("rejected by the peer")]
    Rejected,
    /// A protection level is one octet, and this many were wrapped.
    #[error("a protection level of {0} octets")]
    LevelLength(usize),
    /// The peer named a protection level that this side does not allow, or that RFC 1961 does not have.
    #[error("protection level {0:#04x} is not allowed")]
    LevelNotAllowed(u8),
    /// The context has not the services for this level.
    #[error("the context cannot do protection level {0}")]
    LevelUnavailable(ProtectionLevel),
    /// At [`ProtectionLevel::Confidentiality`] a token came that was not confidential.
    #[error("a token that is not confidential")]
    NotConfidential,
    /// Plaintext that does not fit one token.
    #[error("{len} octets do not fit a token, which has room for {max}")]
    PlainTooLong {
        /// The octets there are.
        len: usize,
        /// The octets there is room for.
        max: usize,
    },
    /// A datagram is longer or shorter than the one frame in it.
    #[error("a datagram that is not exactly one frame")]
    DatagramLength,
    /// The peer ended its side of the connection where its message was due. Many a server refuses like this.
    #[error("the connection ended where a message of type {due} was due")]
    #[non_exhaustive]
    UnexpectedEof {
        /// The message that was due.
        due: MessageType,
    },
    /// This side ended the negotiation before it was over.
    #[error("negotiation abandoned")]
    Abandoned,
    /// The stream has failed before.
    #[error("the encapsulated stream has failed before")]
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
