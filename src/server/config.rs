//! The leniency settings of a server, and the decoders that follow them.

use core::fmt;

use crate::address::{Address, Host};
use crate::credentials::Credentials;
use crate::error::Malformed;
use crate::message::request::Request;
use crate::message::{Decoded, VERSION, userpass};
use crate::socks4;

/// Server leniency settings. The defaults interoperate with deployed clients.
///
/// ```
/// use sans_socks::server::{Config, Handshake};
///
/// let config = Config::new().with_empty_credentials(true);
/// assert!(config.empty_credentials());
/// let handshake = Handshake::with_config(config);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Config {
    /// One bit for each setting keeps a handshake within its 560 bytes.
    settings: u8,
}

const EMPTY_CREDENTIALS: u8 = 1 << 0;
const CONTROL_BYTES: u8 = 1 << 1;
const STRICT_RESERVED: u8 = 1 << 2;
const LENIENT_VERSION: u8 = 1 << 3;
const SOCKS4: u8 = 1 << 4;

impl Config {
    /// Returns the defaults: all settings off.
    #[must_use]
    pub const fn new() -> Self {
        Self { settings: 0 }
    }

    /// Sets whether empty user names and passwords reach [`Authenticate`](super::Authenticate) instead of being
    /// rejected with `01 01`.
    ///
    /// RFC 1929 does not allow them. curl and Java send them, and Tor accepts them.
    #[must_use]
    pub const fn with_empty_credentials(self, empty_credentials: bool) -> Self {
        self.with(EMPTY_CREDENTIALS, empty_credentials)
    }

    /// Returns whether empty user names and passwords reach [`Authenticate`](super::Authenticate).
    #[must_use]
    pub const fn empty_credentials(&self) -> bool {
        self.has(EMPTY_CREDENTIALS)
    }

    /// Sets whether names with control bytes reach [`PendingRequest`](super::PendingRequest) instead of being
    /// refused with REP 01, or with `5B` in version 4.
    ///
    /// A resolver written in C stops at a NUL: see
    /// [`Domain::has_control_bytes`](crate::Domain::has_control_bytes).
    #[must_use]
    pub const fn with_control_bytes(self, control_bytes: bool) -> Self {
        self.with(CONTROL_BYTES, control_bytes)
    }

    /// Returns whether names with control bytes reach [`PendingRequest`](super::PendingRequest).
    #[must_use]
    pub const fn control_bytes(&self) -> bool {
        self.has(CONTROL_BYTES)
    }

    /// Sets whether a request with RSV other than `00` is refused with REP 01. By default RSV is ignored.
    #[must_use]
    pub const fn with_strict_reserved(self, strict_reserved: bool) -> Self {
        self.with(STRICT_RESERVED, strict_reserved)
    }

    /// Returns whether a request with RSV other than `00` is refused.
    #[must_use]
    pub const fn strict_reserved(&self) -> bool {
        self.has(STRICT_RESERVED)
    }

    /// Sets whether credentials may begin with version `05` instead of `01`. By default, credentials that begin with
    /// `05` are rejected with `01 01`.
    ///
    /// RFC 1929 requires `01`. Some clients send `05`, and V2Ray accepts it.
    #[must_use]
    pub const fn with_lenient_version(self, lenient_version: bool) -> Self {
        self.with(LENIENT_VERSION, lenient_version)
    }

    /// Returns whether credentials may begin with version `05`.
    #[must_use]
    pub const fn lenient_version(&self) -> bool {
        self.has(LENIENT_VERSION)
    }

    /// Sets whether clients of SOCKS4 and SOCKS4a are accepted on the same port. By default their first byte closes
    /// the handshake without being consumed.
    ///
    /// **Version 4 has no authentication.** Its request reaches [`PendingRequest`](super::PendingRequest) without
    /// [`SelectMethod`](super::SelectMethod) and [`Authenticate`](super::Authenticate). A server that requires
    /// credentials must leave this off, or reject every request whose
    /// [`version`](super::PendingRequest::version) is [`Version::Socks4`](crate::Version::Socks4).
    #[must_use]
    pub const fn with_socks4(self, socks4: bool) -> Self {
        self.with(SOCKS4, socks4)
    }

    /// Returns whether clients of SOCKS4 and SOCKS4a are accepted.
    #[must_use]
    pub const fn socks4(&self) -> bool {
        self.has(SOCKS4)
    }

    const fn with(mut self, setting: u8, on: bool) -> Self {
        if on {
            self.settings |= setting;
        } else {
            self.settings &= !setting;
        }
        self
    }

    #[inline]
    const fn has(self, setting: u8) -> bool {
        self.settings & setting != 0
    }

    /// Returns how many bytes the first decision about a request needs: up to ATYP, or up to RSV if that is checked.
    pub(super) const fn first_decision_of_request(self) -> u16 {
        if self.strict_reserved() { 3 } else { 4 }
    }

    /// Decodes credentials, with this configuration's leniency.
    #[inline]
    pub(super) fn decode_credentials<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<Decoded<Credentials<'a>>, Malformed> {
        let version = match *bytes {
            [VERSION, ..] if self.lenient_version() => VERSION,
            _ => userpass::VERSION,
        };
        userpass::decode(bytes, version, u8::from(!self.empty_credentials()))
    }

    /// Decodes a request, with this configuration's leniency.
    #[inline(always)] // Otherwise a handshake without a password takes 8 % more instructions.
    pub(super) fn decode_request<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<Request<'a>>, Malformed> {
        if let [VERSION, _, reserved, ..] = *bytes {
            if self.strict_reserved() && reserved != 0 {
                return Err(Malformed::Reserved(reserved));
            }
        }
        let decoded = Request::decode(bytes)?;
        if let Decoded::Complete { value, .. } = &decoded {
            self.check(&value.address)?;
        }
        Ok(decoded)
    }

    /// Decodes a request of SOCKS4, with this configuration's leniency.
    pub(super) fn decode_socks4<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<Decoded<socks4::Request<'a>>, Malformed> {
        let decoded = socks4::Request::decode(bytes)?;
        if let Decoded::Complete { value, .. } = &decoded {
            self.check(&value.address())?;
        }
        Ok(decoded)
    }

    /// Returns whether the client's first byte begins a request of SOCKS4, and SOCKS4 is accepted.
    #[inline]
    pub(super) fn reads_socks4(&self, bytes: &[u8]) -> bool {
        self.socks4() && matches!(bytes, [socks4::VERSION, ..])
    }

    #[inline]
    fn check(&self, address: &Address<'_>) -> Result<(), Malformed> {
        match address.host {
            Host::Domain(name) if !self.control_bytes() && name.has_control_bytes() => {
                Err(Malformed::ControlBytes)
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("empty_credentials", &self.empty_credentials())
            .field("control_bytes", &self.control_bytes())
            .field("strict_reserved", &self.strict_reserved())
            .field("lenient_version", &self.lenient_version())
            .field("socks4", &self.socks4())
            .finish()
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Config {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let all = EMPTY_CREDENTIALS | CONTROL_BYTES | STRICT_RESERVED | LENIENT_VERSION | SOCKS4;
        Ok(Self {
            settings: u8::arbitrary(u)? & all,
        })
    }
}
