//! The messages of RFC 1928 and RFC 1929: decoders of `&[u8]`, encoders into `&mut [u8]`.
//!
//! The state machines use them; a program that drives a machine rarely needs this module.
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
//! The address that requests, replies and UDP headers share,
//! [RFC 1928 §5](https://www.rfc-editor.org/rfc/rfc1928#section-5), is in `addressing.rs`.

use core::num::NonZeroUsize;

pub(crate) mod addressing;
pub(crate) mod greeting;
pub(crate) mod request;
pub(crate) mod userpass;

pub use crate::code::AuthStatus;
pub use greeting::{Greeting, Methods, Selection};
pub use request::{Reply, Request};

/// The buffer has no room for the whole message. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("buffer too small: {needed} bytes needed")]
#[non_exhaustive]
pub struct BufferTooSmall {
    /// The length of the message in bytes.
    pub needed: usize,
}

/// VER of RFC 1928.
pub(crate) const VERSION: u8 = 5;

/// What a decoder made of its input.
///
/// "Not yet" is never an error, and an error is never "not yet".
#[expect(clippy::exhaustive_enums, reason = "there is no third outcome")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Decoded<T> {
    /// A whole message.
    Complete {
        /// The message; what it borrows, it borrows from the input.
        value: T,
        /// The octets that it took. What stands behind them is not this message's.
        consumed: usize,
    },
    /// So far the input is the beginning of a message.
    Incomplete {
        /// At least this many more bytes are needed. Reading exactly this many never reads past the message.
        needed: NonZeroUsize,
    },
}

impl<T> Decoded<T> {
    /// The message and its octets, if it is whole.
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

    /// The same outcome about another view of the message.
    #[inline]
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Decoded<U> {
        match self {
            Self::Complete { value, consumed } => Decoded::Complete {
                value: view(value),
                consumed,
            },
            Self::Incomplete { needed } => Decoded::Incomplete { needed },
        }
    }

    /// Of the `total` bytes up to the next decision there are `have`, which is fewer.
    #[inline]
    pub(crate) fn incomplete(total: usize, have: usize) -> Self {
        let needed = NonZeroUsize::new(total.saturating_sub(have)).unwrap_or(NonZeroUsize::MIN);
        Self::Incomplete { needed }
    }
}

/// A message that can be written out.
///
/// Lengths were checked when the value was built, so writing can fail for want of room alone, and it is
/// all or nothing. This trait is sealed.
pub trait Encode: private::Sealed {
    /// The most octets such a message takes.
    const MAX_LEN: usize;

    /// The octets that this message takes.
    fn encoded_len(&self) -> usize;

    /// Writes the message to the front of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `out` is shorter than [`encoded_len`](Self::encoded_len); `out` is then as
    /// it was.
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall>;

    /// Appends the message to `out`.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `out` has not [`encoded_len`](Self::encoded_len) octets of room; `out` is
    /// then as it was. A `Vec<u8>` and a `BytesMut` grow, and never give it.
    #[cfg(feature = "bytes")]
    fn encode(&self, out: &mut impl bytes::BufMut) -> Result<(), BufferTooSmall> {
        let needed = self.encoded_len();
        if out.remaining_mut() < needed {
            return Err(BufferTooSmall { needed });
        }
        let mut octets = zeroize::Zeroizing::new([0; LONGEST]);
        let len = self.encode_into(&mut octets[..])?;
        out.put_slice(octets.get(..len).unwrap_or_default());
        Ok(())
    }
}

/// The most octets of any message: RFC 1929's with both fields of 255.
#[cfg(feature = "bytes")]
const LONGEST: usize = 513;

/// The first `needed` octets of `out`.
#[inline]
pub(crate) fn room(out: &mut [u8], needed: usize) -> Result<&mut [u8], BufferTooSmall> {
    out.get_mut(..needed).ok_or(BufferTooSmall { needed })
}

/// The length byte of a field, which was checked to have at most 255 bytes when its value was built.
#[inline]
pub(crate) const fn length_byte(field: &[u8]) -> u8 {
    field.len() as u8
}

/// Copies `from` to `to`, which has the same length. (`copy_from_slice` would have to be able to panic.)
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
