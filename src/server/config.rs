//! What a server tolerates, and how it reads messages accordingly.

use crate::address::{Address, Host};
use crate::credentials::Credentials;
use crate::error::Malformed;
use crate::message::request::Request;
use crate::message::{Decoded, VERSION, userpass};

/// Server leniency settings. The defaults interoperate with deployed clients.
///
/// ```
/// use sans_socks::server::{Config, Handshake};
///
/// let config = Config::new().with_empty_credentials(true);
/// assert!(config.empty_credentials());
/// let handshake = Handshake::with_config(config);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct Config {
    empty_credentials: bool,
    control_bytes: bool,
    strict_reserved: bool,
    lenient_version: bool,
}

impl Config {
    /// Returns the defaults: all settings off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            empty_credentials: false,
            control_bytes: false,
            strict_reserved: false,
            lenient_version: false,
        }
    }

    /// Sets whether empty user names and passwords reach [`Authenticate`](super::Authenticate) instead of being
    /// rejected with `01 01`.
    ///
    /// RFC 1929 does not allow them. curl and Java send them, and Tor accepts them.
    #[must_use]
    pub const fn with_empty_credentials(mut self, empty_credentials: bool) -> Self {
        self.empty_credentials = empty_credentials;
        self
    }

    /// Returns whether empty user names and passwords reach [`Authenticate`](super::Authenticate).
    #[must_use]
    pub const fn empty_credentials(&self) -> bool {
        self.empty_credentials
    }

    /// Sets whether names with control bytes reach [`PendingRequest`](super::PendingRequest) instead of being
    /// refused with REP 01.
    ///
    /// A resolver written in C stops at a NUL: see
    /// [`Domain::has_control_bytes`](crate::Domain::has_control_bytes).
    #[must_use]
    pub const fn with_control_bytes(mut self, control_bytes: bool) -> Self {
        self.control_bytes = control_bytes;
        self
    }

    /// Returns whether names with control bytes reach [`PendingRequest`](super::PendingRequest).
    #[must_use]
    pub const fn control_bytes(&self) -> bool {
        self.control_bytes
    }

    /// Sets whether a request with RSV other than `00` is refused with REP 01. By default RSV is ignored.
    #[must_use]
    pub const fn with_strict_reserved(mut self, strict_reserved: bool) -> Self {
        self.strict_reserved = strict_reserved;
        self
    }

    /// Returns whether a request with RSV other than `00` is refused.
    #[must_use]
    pub const fn strict_reserved(&self) -> bool {
        self.strict_reserved
    }

    /// Sets whether credentials may begin with version `05` instead of `01`. By default they are rejected with
    /// `01 01`.
    ///
    /// RFC 1929 requires `01`. Some clients send `05`, and V2Ray accepts it.
    #[must_use]
    pub const fn with_lenient_version(mut self, lenient_version: bool) -> Self {
        self.lenient_version = lenient_version;
        self
    }

    /// Returns whether credentials may begin with version `05`.
    #[must_use]
    pub const fn lenient_version(&self) -> bool {
        self.lenient_version
    }

    /// The first decision about a request is at ATYP, or at RSV before it.
    pub(super) const fn first_decision_of_request(self) -> u16 {
        if self.strict_reserved { 3 } else { 4 }
    }

    /// Reads credentials, as this configuration tolerates them.
    #[inline]
    pub(super) fn decode_credentials<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<Decoded<Credentials<'a>>, Malformed> {
        let version = match *bytes {
            [VERSION, ..] if self.lenient_version => VERSION,
            _ => userpass::VERSION,
        };
        userpass::decode(bytes, version, u8::from(!self.empty_credentials))
    }

    /// Reads a request, as this configuration tolerates it.
    #[inline]
    pub(super) fn decode_request<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<Request<'a>>, Malformed> {
        if let [VERSION, _, reserved, ..] = *bytes {
            if self.strict_reserved && reserved != 0 {
                return Err(Malformed::Reserved(reserved));
            }
        }
        let decoded = Request::decode(bytes)?;
        if let Decoded::Complete {
            value:
                Request {
                    address:
                        Address {
                            host: Host::Domain(name),
                            ..
                        },
                    ..
                },
            ..
        } = decoded
        {
            if !self.control_bytes && name.has_control_bytes() {
                return Err(Malformed::ControlBytes);
            }
        }
        Ok(decoded)
    }
}
