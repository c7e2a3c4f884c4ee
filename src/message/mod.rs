//! The messages of RFC 1928 and RFC 1929: decoders of `&[u8]`, encoders into `&mut [u8]`.
//!
//! The state machines use them. A driver rarely needs this module.
//!
//! Each decoder *decides* at certain bytes, which its documentation lists, counted from 1. At such a byte, the decoder
//! finds a fault, or learns how many more bytes it needs.
//!
//! | message | RFC | file | bytes |
//! |---|---|---|---|
//! | [`Greeting`] | 1928 §3 | `greeting.rs` | 3..=257 |
//! | [`Selection`] | 1928 §3 | `greeting.rs` | 2 |
//! | [`Credentials`](crate::Credentials) | 1929 §2 | `userpass.rs` | 5..=513 |
//! | [`AuthStatus`] | 1929 §2 | `userpass.rs` | 2 |
//! | [`Request`] | 1928 §4 | `request.rs` | 8..=262 |
//! | [`Reply`] | 1928 §6 | `request.rs` | 7..=262 |
//!
//! `addressing.rs` has the address that requests, replies and UDP headers share,
//! [RFC 1928 §5](https://www.rfc-editor.org/rfc/rfc1928#section-5).

use core::num::NonZeroUsize;

use crate::error::Malformed;

pub(crate) mod addressing;
pub(crate) mod greeting;
pub(crate) mod request;
pub(crate) mod userpass;

pub use crate::code_point::AuthStatus;
pub use greeting::{Greeting, Methods, MethodsIter, Selection};
pub use request::{Reply, Request};

/// A buffer without room for the whole message. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("buffer too small: {needed} bytes needed")]
#[non_exhaustive]
pub struct BufferTooSmall {
    /// The length of the message in bytes.
    pub needed: usize,
}

/// VER of RFC 1928.
pub(crate) const VERSION: u8 = 5;

/// The outcome of a decoder.
///
/// Incomplete input is never an error, and an error is final.
#[expect(clippy::exhaustive_enums, reason = "there is no third outcome")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Decoded<T> {
    /// A complete message.
    Complete {
        /// The message. It borrows from the input.
        value: T,
        /// The length of the message in bytes. Bytes after that do not belong to it.
        consumed: usize,
    },
    /// The input is the beginning of a message.
    Incomplete {
        /// At least this many more bytes are needed. Reading this many never reads past the message.
        needed: NonZeroUsize,
    },
}

impl<T> Decoded<T> {
    /// Returns the message and its length, if it is complete.
    ///
    /// ```
    /// use sans_socks::Method;
    /// use sans_socks::message::Selection;
    ///
    /// let (selection, consumed) = Selection::decode(&[5, 2])?.complete().unwrap();
    /// assert_eq!((selection.method, consumed), (Method::USERNAME_PASSWORD, 2));
    /// assert!(Selection::decode(&[5])?.complete().is_none());
    /// # Ok::<(), sans_socks::Malformed>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn complete(self) -> Option<(T, usize)> {
        match self {
            Self::Complete { value, consumed } => Some((value, consumed)),
            Self::Incomplete { .. } => None,
        }
    }

    /// Maps the message.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Decoded<U> {
        match self {
            Self::Complete { value, consumed } => Decoded::Complete {
                value: f(value),
                consumed,
            },
            Self::Incomplete { needed } => Decoded::Incomplete { needed },
        }
    }

    /// Returns the outcome for `have` bytes, where the next decision needs `total`.
    #[inline]
    pub(crate) fn incomplete(total: usize, have: usize) -> Self {
        let needed = NonZeroUsize::new(total.saturating_sub(have)).unwrap_or(NonZeroUsize::MIN);
        Self::Incomplete { needed }
    }
}

/// A message that can be encoded.
///
/// Constructors check lengths, so encoding fails only if there is too little room. It writes the whole message or nothing.
/// This trait is sealed.
///
/// ```
/// use sans_socks::Method;
/// use sans_socks::message::{Encode, Selection};
///
/// let message = Selection::new(Method::NO_AUTHENTICATION);
/// let mut bytes = [0; Selection::MAX_LEN];
/// let len = message.encode_into(&mut bytes)?;
/// assert_eq!(bytes[..len], [5, 0]);
/// # #[cfg(feature = "bytes")] {
///
/// let mut out = vec![0xff];
/// message.encode(&mut out)?; // appends
/// assert_eq!(out, [0xff, 5, 0]);
/// # }
/// # Ok::<(), sans_socks::message::BufferTooSmall>(())
/// ```
pub trait Encode: private::Sealed {
    /// The length of the longest message of this type in bytes.
    const MAX_LEN: usize;

    /// Returns the length of this message in bytes.
    fn encoded_len(&self) -> usize;

    /// Writes the message to the front of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `out` is shorter than [`encoded_len`](Self::encoded_len). `out` is then unchanged.
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall>;

    /// Appends the message to `out`.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `out` has less room than [`encoded_len`](Self::encoded_len). `out` is then unchanged.
    /// A `Vec<u8>` or a `BytesMut` grows, and never causes this error.
    #[cfg(feature = "bytes")]
    fn encode(&self, out: &mut impl bytes::BufMut) -> Result<(), BufferTooSmall> {
        let needed = self.encoded_len();
        if out.remaining_mut() < needed {
            return Err(BufferTooSmall { needed });
        }
        let mut bytes = zeroize::Zeroizing::new([0; LONGEST]);
        let len = self.encode_into(&mut bytes[..])?;
        out.put_slice(bytes.get(..len).unwrap_or_default());
        Ok(())
    }
}

/// The length of the longest message in bytes.
#[cfg(feature = "bytes")]
const LONGEST: usize = crate::socks4::Request::MAX_LEN;
#[cfg(feature = "bytes")]
const _: () = assert!(
    LONGEST >= Greeting::MAX_LEN
        && LONGEST >= Selection::MAX_LEN
        && LONGEST >= crate::Credentials::MAX_LEN
        && LONGEST >= AuthStatus::MAX_LEN
        && LONGEST >= Request::MAX_LEN
        && LONGEST >= Reply::MAX_LEN
        && LONGEST >= crate::socks4::Reply::MAX_LEN
        && LONGEST >= crate::udp::Header::MAX_LEN,
    "no other message is longer, except a GSSAPI frame, which has its own `encode`"
);

/// Decodes a message of two bytes, the first of which must be `version`. Returns the second.
#[inline]
pub(crate) fn decode_pair(version: u8, input: &[u8]) -> Result<Decoded<u8>, Malformed> {
    match *input {
        [got, ..] if got != version => Err(Malformed::Version {
            expected: version,
            got,
        }),
        [_, value, ..] => Ok(Decoded::Complete { value, consumed: 2 }),
        _ => Ok(Decoded::incomplete(2, input.len())),
    }
}

/// Returns the first `needed` bytes of `out`.
#[inline]
pub(crate) fn room(out: &mut [u8], needed: usize) -> Result<&mut [u8], BufferTooSmall> {
    out.get_mut(..needed).ok_or(BufferTooSmall { needed })
}

/// Returns the length byte of a field. Its constructor has checked that it has at most 255 bytes.
#[inline]
pub(crate) const fn length_byte(field: &[u8]) -> u8 {
    field.len() as u8
}

/// Copies `from` to `to`, which has the same length. `copy_from_slice` would add a panic to the program.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

pub(crate) mod private {
    #[expect(unnameable_types, reason = "this is what seals `Encode`")]
    pub trait Sealed {}
}
