//! The user name and password of RFC 1929, as values that `Debug` does not print.
//!
//! Their encoding is in `message/userpass.rs`.

use core::fmt;

use constant_time_eq::constant_time_eq;
use zeroize::Zeroize;

use crate::error::InvalidValue;

/// A user name and a password, [RFC 1929 §2]: byte strings of 1 to 255 bytes each, borrowed.
///
/// They have no character set and no terminator: a NUL is a byte like any other. `Debug` prints only lengths, and there is
/// no `Display`. There is no `PartialEq` either, because `==` would leak timing: compare with [`verify`](Self::verify).
/// [`CredentialsBuf`] is the owned form.
///
/// RFC 1929 sends both in cleartext. Do not use it on untrusted networks.
///
/// ```
/// use sans_socks::Credentials;
///
/// let given = Credentials::new("alice", "secret")?;
/// assert!(given.verify("alice", "secret"));
/// assert!(!given.verify("alice", "secret\0"));
/// assert_eq!(format!("{given:?}"), "Credentials { username: 5 bytes, password: 6 bytes }");
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
    /// The length of the longest user name or password in bytes.
    pub const MAX_FIELD_LEN: usize = 255;

    /// Creates credentials after checking both lengths.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::UsernameLength`] or [`InvalidValue::PasswordLength`] unless each has 1 to 255 bytes.
    #[inline]
    pub fn new<U, P>(username: &'a U, password: &'a P) -> Result<Self, InvalidValue>
    where
        U: AsRef<[u8]> + ?Sized,
        P: AsRef<[u8]> + ?Sized,
    {
        Self::with_min_len(1, username.as_ref(), password.as_ref())
    }

    /// Creates credentials whose fields may be empty. RFC 1929 does not allow that, but some programs do.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::UsernameLength`] or [`InvalidValue::PasswordLength`] when one has more than 255 bytes.
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

    /// Creates credentials of at most 255 bytes each without a check: the decoder has checked the lengths.
    #[inline]
    pub(crate) const fn from_counted(username: &'a [u8], password: &'a [u8]) -> Self {
        Self { username, password }
    }

    /// Returns the user name: the field UNAME.
    #[inline]
    #[must_use]
    pub const fn username(&self) -> &'a [u8] {
        self.username
    }

    /// Returns the password: the field PASSWD.
    #[inline]
    #[must_use]
    pub const fn password(&self) -> &'a [u8] {
        self.password
    }

    /// Returns whether these are exactly `username` and `password`.
    ///
    /// The time depends only on the lengths, not on which field or byte differs.
    #[inline]
    #[must_use]
    pub fn verify(&self, username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> bool {
        let username = constant_time_eq(self.username, username.as_ref());
        let password = constant_time_eq(self.password, password.as_ref());
        username & password
    }
}

/// Prints only the lengths.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &format_args!("{} bytes", self.username.len()))
            .field("password", &format_args!("{} bytes", self.password.len()))
            .finish()
    }
}

/// Owned [`Credentials`], for a configuration or for a check on another thread. They need no allocation.
///
/// The constructors check the lengths, `Debug` prints only lengths, and `drop` overwrites the bytes.
///
/// Every move can leave a copy of the bytes in memory that nothing overwrites, even the move out of the constructor. Rust
/// cannot prevent that. Box the value early, and pass references or the box.
///
/// Its size is 512 bytes, so it is not `Copy`.
///
/// ```
/// use sans_socks::CredentialsBuf;
///
/// let expected = CredentialsBuf::new("alice", "secret")?;
/// assert!(expected.verify("alice", "secret"));
/// assert_eq!(expected.as_credentials().username(), b"alice");
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone)]
pub struct CredentialsBuf {
    username: Field,
    password: Field,
}

/// A user name or a password.
#[derive(Clone)]
struct Field {
    bytes: [u8; Credentials::MAX_FIELD_LEN],
    len: u8,
}

impl CredentialsBuf {
    /// Creates credentials after checking both lengths.
    ///
    /// # Errors
    ///
    /// As for [`Credentials::new`].
    pub fn new(username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Result<Self, InvalidValue> {
        Credentials::new(&username, &password).map(Self::from)
    }

    /// Creates credentials whose fields may be empty.
    ///
    /// # Errors
    ///
    /// As for [`Credentials::new_allowing_empty`].
    pub fn new_allowing_empty(
        username: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidValue> {
        Credentials::new_allowing_empty(&username, &password).map(Self::from)
    }

    /// Returns the borrowed form.
    #[must_use]
    pub fn as_credentials(&self) -> Credentials<'_> {
        Credentials::from_counted(self.username.as_bytes(), self.password.as_bytes())
    }

    /// Returns whether these are exactly `username` and `password`, as [`Credentials::verify`] does.
    #[must_use]
    pub fn verify(&self, username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> bool {
        self.as_credentials().verify(username, password)
    }
}

impl Field {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; Credentials::MAX_FIELD_LEN];
        let mut len = 0;
        for (slot, byte) in bytes.iter_mut().zip(from) {
            *slot = *byte;
            len += 1;
        }
        Self { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl From<Credentials<'_>> for CredentialsBuf {
    fn from(credentials: Credentials<'_>) -> Self {
        Self {
            username: Field::new(credentials.username()),
            password: Field::new(credentials.password()),
        }
    }
}

/// Prints only the lengths.
impl fmt::Debug for CredentialsBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_credentials().fmt(f)
    }
}
