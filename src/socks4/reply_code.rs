//! The reply codes of SOCKS4.

use crate::code_point::{self, code_point};

code_point! {
    /// CD of a reply: the outcome of a request. Only `5A` is success. Every other byte is a failure.
    ///
    /// The codes of version 5 convert into `5A` and `5B`, and the codes of version 4 convert into those of version 5.
    ///
    /// ```
    /// use sans_socks::{ReplyCode, socks4};
    ///
    /// assert_eq!(socks4::ReplyCode::from(ReplyCode::HOST_UNREACHABLE), socks4::ReplyCode::REJECTED);
    /// assert_eq!(ReplyCode::from(socks4::ReplyCode::IDENTD_MISMATCH), ReplyCode::NOT_ALLOWED);
    /// ```
    ReplyCode("reply code") {
        /// `5A`, 90: granted.
        GRANTED = 0x5a, "request granted";
        /// `5B`, 91: rejected or failed.
        REJECTED = 0x5b, "request rejected or failed";
        /// `5C`, 92: the server cannot connect to identd on the client's host.
        IDENTD_UNREACHABLE = 0x5c, "identd on the client's host unreachable";
        /// `5D`, 93: the client and identd report different user ids.
        IDENTD_MISMATCH = 0x5d, "user id differs from identd's";
    }
}

impl ReplyCode {
    /// Returns whether this is `5A`.
    #[inline]
    #[must_use]
    pub const fn is_granted(self) -> bool {
        self.get() == Self::GRANTED.get()
    }
}

/// Converts success into `5A`, and every failure into `5B`.
impl From<code_point::ReplyCode> for ReplyCode {
    #[inline]
    fn from(code: code_point::ReplyCode) -> Self {
        if code.is_success() {
            Self::GRANTED
        } else {
            Self::REJECTED
        }
    }
}

/// Converts `5A` into REP 00, `5C` and `5D` into REP 02, and every other byte into REP 01.
impl From<ReplyCode> for code_point::ReplyCode {
    fn from(code: ReplyCode) -> Self {
        match code {
            ReplyCode::GRANTED => Self::SUCCEEDED,
            ReplyCode::IDENTD_UNREACHABLE | ReplyCode::IDENTD_MISMATCH => Self::NOT_ALLOWED,
            _ => Self::GENERAL_FAILURE,
        }
    }
}
