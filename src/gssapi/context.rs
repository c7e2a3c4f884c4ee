//! The security context that a GSS-API library provides.

use alloc::vec::Vec;

use super::ProtectionLevel;

/// A security context of either side, from a GSS-API library ([RFC 2743], and [RFC 2744] for C).
///
/// This crate links no mechanism. Implement the trait over the library of your choice, and supply the names and credentials.
/// `drop` deletes the context. The token of `gss_delete_sec_context` is never sent.
///
/// An initiator requests these flags:
///
/// | flag | |
/// |---|---|
/// | `GSS_C_MUTUAL_FLAG`, `GSS_C_REPLAY_FLAG`, `GSS_C_INTEG_FLAG` | always |
/// | `GSS_C_CONF_FLAG` | if any message may need confidentiality |
/// | `GSS_C_SEQUENCE_FLAG` | for CONNECT and BIND, but not for UDP ASSOCIATE: datagrams can arrive in any order, and share one sequence with the messages of the stream |
/// | `GSS_C_DELEG_FLAG` | only if the user asks for it, as in Dante: RFC 1961 requires it, but it passes the user's credentials to the proxy |
///
/// Methods append to `out`, and do not change the bytes that it already holds. After an error, the appended bytes are
/// discarded.
///
/// A later version may add methods with a default, so that existing implementations still compile.
///
/// ```
#[doc = include_str!("../guide/gssapi/toy_context.rs")]
/// ```
///
/// [RFC 2743]: https://www.rfc-editor.org/rfc/rfc2743
/// [RFC 2744]: https://www.rfc-editor.org/rfc/rfc2744
pub trait Context {
    /// The error of the library.
    type Error;

    /// Runs a step of context establishment: `gss_init_sec_context` or `gss_accept_sec_context`.
    ///
    /// `token` is the peer's token, which may be empty, or `None` in the first step of an initiator. The bytes appended to
    /// `out` are sent to the peer. If there are none, nothing is sent, except that a complete acceptor sends an empty
    /// token. After [`Progress::Complete`], this is not called again.
    ///
    /// It may block. To admit only some names, check the name of the initiator when the context is complete, and return an
    /// error for the others. The client is then refused with `01 FF`.
    ///
    /// # Errors
    ///
    /// Any major status other than `GSS_S_COMPLETE` and `GSS_S_CONTINUE_NEEDED`, or a lack of mutual authentication if that
    /// was requested.
    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Self::Error>;

    /// Returns which services the context has: `GSS_C_INTEG_FLAG` and `GSS_C_CONF_FLAG` of "ret_flags".
    ///
    /// This is called only when the context is complete.
    fn services(&self) -> Services;

    /// Protects `plain`: `gss_wrap`, with `protection` as "conf_req_flag", and with the default quality of protection.
    ///
    /// Returns the protection that "conf_state" reports. A token that lacks the confidentiality requested is discarded,
    /// with [`Error::NotConfidential`](super::Error::NotConfidential).
    ///
    /// # Errors
    ///
    /// Any major status other than `GSS_S_COMPLETE`.
    fn wrap(
        &mut self,
        protection: Protection,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Protection, Self::Error>;

    /// Verifies `token` and appends its plaintext: `gss_unwrap`. Returns the protection that "conf_state" reports.
    ///
    /// # Errors
    ///
    /// Any major status other than plain `GSS_S_COMPLETE`. The bits `GSS_S_DUPLICATE_TOKEN`, `GSS_S_OLD_TOKEN`,
    /// `GSS_S_UNSEQ_TOKEN` and `GSS_S_GAP_TOKEN` are errors too: the token was replayed, or one before it is missing.
    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Self::Error>;

    /// Returns the length of the longest plaintext whose token has at most `max_token` bytes: `gss_wrap_size_limit`.
    ///
    /// Returns 0 if the overhead alone is longer.
    fn max_plain(&self, protection: Protection, max_token: usize) -> usize;
}

/// The outcome of a step.
#[expect(clippy::exhaustive_enums, reason = "GSS-API has these two")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Progress {
    /// `GSS_S_CONTINUE_NEEDED`: the context needs another token from the peer.
    ContinueNeeded,
    /// `GSS_S_COMPLETE`: the context is established.
    Complete,
}

/// The services of a context, [RFC 1961 §4.1](https://www.rfc-editor.org/rfc/rfc1961#section-4.1).
///
/// ```
/// use sans_socks::gssapi::{ProtectionLevel, Services};
///
/// let services = Services::new().with_integrity(true);
/// assert!(services.suffice_for(ProtectionLevel::Selective));
/// assert!(!services.suffice_for(ProtectionLevel::Confidentiality));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct Services {
    /// `GSS_C_INTEG_FLAG`.
    pub integrity: bool,
    /// `GSS_C_CONF_FLAG`.
    pub confidentiality: bool,
}

impl Services {
    /// Returns a value without any service.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            integrity: false,
            confidentiality: false,
        }
    }

    /// Sets `GSS_C_INTEG_FLAG`.
    #[must_use]
    pub const fn with_integrity(mut self, integrity: bool) -> Self {
        self.integrity = integrity;
        self
    }

    /// Sets `GSS_C_CONF_FLAG`.
    #[must_use]
    pub const fn with_confidentiality(mut self, confidentiality: bool) -> Self {
        self.confidentiality = confidentiality;
        self
    }

    /// Returns whether a context with these services supports `level`.
    ///
    /// Every level requires integrity. [`ProtectionLevel::Confidentiality`] also requires confidentiality.
    #[must_use]
    pub const fn suffice_for(self, level: ProtectionLevel) -> bool {
        self.integrity && (self.confidentiality || !matches!(level, ProtectionLevel::Confidentiality))
    }
}

/// The protection of one message.
#[expect(clippy::exhaustive_enums, reason = "\"conf_req_flag\" is true or false")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Protection {
    /// Integrity alone: anyone on the path can read the message.
    Integrity,
    /// Integrity and confidentiality.
    Confidentiality,
}
