//! The user name and password of RFC 1929, as a value that does not print itself.
//!
//! How they stand on the wire is in `message/userpass.rs`.

use core::fmt;

use constant_time_eq::constant_time_eq;

use crate::error::InvalidValue;

/// A user name and a password, [RFC 1929 §2]: octet strings of 1 to 255 octets each.
///
/// No character set and no terminator: a NUL is an octet like any other. `Debug` shows lengths only;
/// there is no `Display`, and no `PartialEq`, which would take a time that tells how far it got.
/// Compare with [`verify`](Self::verify).
///
/// RFC 1929 sends both in the clear: not for a network where somebody may listen.
///
/// ```
/// use sans_socks::Credentials;
///
/// let given = Credentials::new("alice", "secret")?;
/// assert!(given.verify("alice", "secret"));
/// assert!(!given.verify("alice", "secret\0"));
/// assert_eq!(format!("{given:?}"), "Credentials { username: 5 octets, password: 6 octets }");
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
///
/// [RFC 1929 §2]: https://www.rfc-editor.org/rfc/rfc1929#section-2
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    username: &'a [u8],
    password: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// The most octets either field can have.
    pub const MAX_FIELD_LEN: usize = 255;

    /// Checks both lengths.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::UsernameLength`] or [`InvalidValue::PasswordLength`] unless each has 1 to 255 octets.
    #[inline]
    pub fn new<U, P>(username: &'a U, password: &'a P) -> Result<Self, InvalidValue>
    where
        U: AsRef<[u8]> + ?Sized,
        P: AsRef<[u8]> + ?Sized,
    {
        Self::with_min_len(1, username.as_ref(), password.as_ref())
    }

    /// As [`new`](Self::new), but either may be empty, which RFC 1929 does not allow and some programs do.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::UsernameLength`] or [`InvalidValue::PasswordLength`] when one has more than 255 octets.
    #[inline]
    pub fn new_allowing_empty<U, P>(username: &'a U, password: &'a P) -> Result<Self, InvalidValue>
    where
        U: AsRef<[u8]> + ?Sized,
        P: AsRef<[u8]> + ?Sized,
    {
        Self::with_min_len(0, username.as_ref(), password.as_ref())
    }

    #[inline]
    fn with_min_len(min: usize, username: &'a [u8], password: &'a [u8]) -> Result<Self, InvalidValue> {
        let allowed = min..=Self::MAX_FIELD_LEN;
        if !allowed.contains(&username.len()) {
            return Err(InvalidValue::UsernameLength(username.len()));
        }
        if !allowed.contains(&password.len()) {
            return Err(InvalidValue::PasswordLength(password.len()));
        }
        Ok(Self { username, password })
    }

    /// For octets whose counts came from length octets.
    #[inline]
    pub(crate) const fn from_counted(username: &'a [u8], password: &'a [u8]) -> Self {
        Self { username, password }
    }

    /// UNAME.
    #[inline]
    #[must_use]
    pub const fn username(&self) -> &'a [u8] {
        self.username
    }

    /// PASSWD.
    #[inline]
    #[must_use]
    pub const fn password(&self) -> &'a [u8] {
        self.password
    }

    /// Whether these are `username` and `password`, whole and octet for octet.
    ///
    /// Takes a time that depends on the lengths alone, not on where a difference is, nor on which of
    /// the two fields differs.
    #[inline]
    #[must_use]
    pub fn verify(&self, username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> bool {
        let username = constant_time_eq(self.username, username.as_ref());
        let password = constant_time_eq(self.password, password.as_ref());
        username & password
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &format_args!("{} octets", self.username.len()))
            .field("password", &format_args!("{} octets", self.password.len()))
            .finish()
    }
}
