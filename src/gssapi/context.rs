//! What a GSS-API library provides: a security context.

use alloc::vec::Vec;

use super::ProtectionLevel;

/// A security context of either side, from a GSS-API library.
///
/// This crate links no mechanism: implement the trait over the library of your choice, and bring the names and
/// credentials. The context is deleted when it is dropped. The token of `gss_delete_sec_context` is never sent.
///
/// An initiator requests these flags:
///
/// | flag | |
/// |---|---|
/// | `GSS_C_MUTUAL_FLAG`, `GSS_C_REPLAY_FLAG`, `GSS_C_INTEG_FLAG` | always |
/// | `GSS_C_CONF_FLAG` | unless confidentiality is never wanted |
/// | `GSS_C_SEQUENCE_FLAG` | for CONNECT and BIND. Datagrams arrive in any order, and are counted together with the messages of the stream |
/// | `GSS_C_DELEG_FLAG` | RFC 1961 requires it, but it hands the user's credentials to the proxy. Leave it to the user, as Dante does |
///
/// Every method that writes appends to `out`, and leaves the bytes before that as they are. After an error, what it
/// has appended is discarded.
///
/// A later version may add methods. Each will have a default, so that existing implementations still compile.
///
/// ```
#[doc = include_str!("../guide/gssapi/toy_context.rs")]
/// ```
pub trait Context {
    /// The error of the library.
    type Error;

    /// Runs a step of context establishment: `gss_init_sec_context` or `gss_accept_sec_context`.
    ///
    /// `token` is what the peer has sent, and may be empty. It is `None` in the first step of an initiator. What is
    /// appended to `out` is sent to the peer. If nothing is appended, nothing is sent, with one exception: an acceptor
    /// that is complete sends an empty token. The method is not called again once it has returned
    /// [`Progress::Complete`].
    ///
    /// It may block. To admit only some names, look at the name of the initiator when the context is complete, and
    /// return an error. The client is then refused with `01 FF`.
    ///
    /// # Errors
    ///
    /// Any major status other than `GSS_S_COMPLETE` and `GSS_S_CONTINUE_NEEDED`. Also, if mutual authentication was
    /// requested and not provided.
    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Self::Error>;

    /// Returns which services the context has: `GSS_C_INTEG_FLAG` and `GSS_C_CONF_FLAG` of "ret_flags".
    ///
    /// It is called only when the context is complete.
    fn services(&self) -> Services;

    /// Protects `plain`: `gss_wrap`, with `protection` as "conf_req_flag" and the default quality of protection.
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
    /// 0 if the overhead alone is longer.
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
    /// Returns no service.
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

    /// Returns whether a context with these services can do `level`.
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
