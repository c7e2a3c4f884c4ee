//! The methods that a client offers, its leniency settings, and the decoders that follow them.

use crate::code_point::{AuthStatus, Method, ReplyCode};
use crate::credentials::Credentials;
use crate::error::{Error, InvalidValue, Malformed};
use crate::message::greeting::Greeting;
use crate::message::request::Reply;
use crate::message::{Decoded, VERSION};

/// The methods that a client offers, and the credentials for username/password.
///
/// If you offer [`Method::NO_AUTHENTICATION`] together with another method, the server, or an attacker who
/// impersonates it, can skip authentication. Only [`password_or_none`](Self::password_or_none) and [`new`](Self::new)
/// can make such an offer.
///
/// ```
/// use sans_socks::client::Auth;
/// use sans_socks::{Credentials, Method};
///
/// let credentials = Credentials::new("alice", "secret")?;
/// let password = Auth::password(credentials);
///
/// let gssapi_or_password = Auth::new(&[Method::GSSAPI, Method::USERNAME_PASSWORD], Some(credentials))?;
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Auth<'a> {
    greeting: Greeting<'a>,
    credentials: Option<Credentials<'a>>,
}

impl<'a> Auth<'a> {
    /// Offers `00`: no authentication.
    #[inline]
    #[must_use]
    pub const fn none() -> Self {
        Self {
            greeting: Greeting::from_checked(&[Method::NO_AUTHENTICATION]),
            credentials: None,
        }
    }

    /// Offers `02` alone: user name and password.
    #[inline]
    #[must_use]
    pub const fn password(credentials: Credentials<'a>) -> Self {
        Self {
            greeting: Greeting::from_checked(&[Method::USERNAME_PASSWORD]),
            credentials: Some(credentials),
        }
    }

    /// Offers `00` and `02`, and lets the server choose.
    #[inline]
    #[must_use]
    pub const fn password_or_none(credentials: Credentials<'a>) -> Self {
        Self {
            greeting: Greeting::from_checked(&[Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD]),
            credentials: Some(credentials),
        }
    }

    /// Offers any methods, in this order. If the server selects one other than `00` and `02`, a
    /// [`Negotiate`](super::Negotiate) decision follows.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::MethodCount`] unless there are 1 to 255; [`InvalidValue::NoAcceptableOffered`] when
    /// [`Method::NO_ACCEPTABLE`] is among them; [`InvalidValue::CredentialsMissing`] when
    /// [`Method::USERNAME_PASSWORD`] is among them and `credentials` is `None`.
    pub fn new(methods: &'a [Method], credentials: Option<Credentials<'a>>) -> Result<Self, InvalidValue> {
        Self::offering(Greeting::new(methods)?, credentials)
    }

    pub(crate) fn offering(
        greeting: Greeting<'a>,
        credentials: Option<Credentials<'a>>,
    ) -> Result<Self, InvalidValue> {
        let password = greeting.methods().contains(Method::USERNAME_PASSWORD);
        if password && credentials.is_none() {
            return Err(InvalidValue::CredentialsMissing);
        }
        Ok(Self {
            greeting,
            credentials: credentials.filter(|_| password),
        })
    }

    pub(super) const fn greeting(&self) -> &Greeting<'a> {
        &self.greeting
    }

    pub(super) const fn credentials(&self) -> Option<&Credentials<'a>> {
        self.credentials.as_ref()
    }

    /// Returns whether the only method offered is `00` or `02`, so that the client knows its next messages in advance.
    pub(super) fn is_certain(&self) -> bool {
        let mut methods = self.greeting.methods().iter();
        matches!(
            (methods.next(), methods.next()),
            (Some(Method::NO_AUTHENTICATION | Method::USERNAME_PASSWORD), None)
        )
    }
}

/// Client settings. The defaults interoperate with deployed servers.
///
/// ```
/// use sans_socks::client::{Auth, Config, Handshake};
/// use sans_socks::{Address, Request};
///
/// let config = Config::new().with_optimistic(true);
/// let request = Request::connect(Address::try_from("example.com:80")?);
/// let mut handshake = Handshake::with_config(&request, Auth::none(), config);
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Config {
    optimistic: bool,
    strict_reserved: bool,
    strict_status_version: bool,
}

impl Config {
    /// Returns the defaults: all settings off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            optimistic: false,
            strict_reserved: false,
            strict_status_version: false,
        }
    }

    /// Sets whether greeting, credentials and request are sent together, without waiting for answers. It takes effect
    /// only if the client offers a single method, `00` or `02`.
    ///
    /// This saves one or two round trips, and keeps the order of the messages. The credentials are sent before the server
    /// asks for them. Some servers cannot handle that: microsocks 1.0.3 loses the early bytes, and tor 0.4.9.11 loses
    /// its method selection.
    #[must_use]
    pub const fn with_optimistic(mut self, optimistic: bool) -> Self {
        self.optimistic = optimistic;
        self
    }

    /// Returns whether everything is sent at once where possible.
    #[must_use]
    pub const fn optimistic(&self) -> bool {
        self.optimistic
    }

    /// Sets whether a reply with RSV other than `00` is malformed. By default RSV is ignored.
    #[must_use]
    pub const fn with_strict_reserved(mut self, strict_reserved: bool) -> Self {
        self.strict_reserved = strict_reserved;
        self
    }

    /// Returns whether a reply with RSV other than `00` is malformed.
    #[must_use]
    pub const fn strict_reserved(&self) -> bool {
        self.strict_reserved
    }

    /// Sets whether an RFC 1929 status must begin with `01`. By default `05`, which many servers send, is accepted.
    #[must_use]
    pub const fn with_strict_status_version(mut self, strict_status_version: bool) -> Self {
        self.strict_status_version = strict_status_version;
        self
    }

    /// Returns whether an RFC 1929 status must begin with `01`.
    #[must_use]
    pub const fn strict_status_version(&self) -> bool {
        self.strict_status_version
    }

    /// Decodes a status, with this configuration's leniency.
    #[inline]
    pub(super) fn decode_status(&self, bytes: &[u8]) -> Result<Decoded<AuthStatus>, Malformed> {
        match *bytes {
            [VERSION] if !self.strict_status_version => Ok(Decoded::incomplete(2, 1)),
            [VERSION, status, ..] if !self.strict_status_version => Ok(Decoded::Complete {
                value: AuthStatus::new(status),
                consumed: 2,
            }),
            _ => AuthStatus::decode(bytes),
        }
    }

    /// Decodes a reply. Reports a failure as soon as REP is received (Q-043, Q-045 in `docs/conformance/quirks.md`).
    #[inline(always)] // Otherwise a handshake without a password takes 8 % more instructions.
    pub(super) fn judge_reply(&self, bytes: &[u8]) -> Result<Decoded<()>, Error> {
        if let [VERSION, code, ..] = *bytes {
            let code = ReplyCode::new(code);
            if !code.is_success() {
                return Err(Error::Refused(code));
            }
        }
        if self.strict_reserved {
            match *bytes {
                [VERSION, _] => return Ok(Decoded::incomplete(3, 2)),
                [VERSION, _, reserved, ..] if reserved != 0 => {
                    return Err(Malformed::Reserved(reserved).into());
                }
                _ => {}
            }
        }
        Ok(Reply::decode(bytes)?.map(|_| ()))
    }
}
