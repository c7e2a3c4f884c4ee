//! What a GSS-API library provides: a security context.

use alloc::vec::Vec;

use super::ProtectionLevel;

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

    /// Protects `plain`: `gss_wrap`, with "conf_req_flag" as `protection` says and the default quality. Returns what
    /// "conf_state" says about it: a library that leaves confidentiality out is detected, and nothing is sent.
    ///
    /// # Errors
    ///
    /// Any major status but `GSS_S_COMPLETE`.
    fn wrap(
        &mut self,
        protection: Protection,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Protection, Self::Error>;

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
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Progress {
    /// `GSS_S_CONTINUE_NEEDED`: it needs another token from the peer.
    ContinueNeeded,
    /// `GSS_S_COMPLETE`: it is established.
    Complete,
}

/// The services of a context, [RFC 1961 §4.1](https://www.rfc-editor.org/rfc/rfc1961#section-4.1).
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
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Protection {
    /// Integrity alone: anybody on the way can read it.
    Integrity,
    /// Integrity and confidentiality.
    Confidentiality,
}
