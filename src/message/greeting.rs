//! [RFC 1928 §3]: the client's greeting and the server's selection of a method.
//!
//! [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3

use core::fmt;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;

use super::{Decoded, Encode, VERSION, decode_pair, private, room};
use crate::code_point::Method;
use crate::error::{InvalidValue, Malformed};
use crate::message::BufferTooSmall;

/// A client's first message: the methods it can authenticate with, [RFC 1928 §3].
///
/// 3 to 257 bytes.
///
/// ```text
/// +----+----------+----------+
/// |VER | NMETHODS | METHODS  |
/// +----+----------+----------+
/// | 05 |    1     | 1 to 255 |
/// +----+----------+----------+
/// ```
///
/// ```
/// use sans_socks::Method;
/// use sans_socks::message::{Encode, Greeting};
///
/// let greeting = Greeting::new(&[Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD])?;
/// let mut bytes = [0; 4];
/// assert_eq!(greeting.encode_into(&mut bytes)?, 4);
/// assert_eq!(bytes, [5, 2, 0, 2]);
///
/// let (decoded, consumed) = Greeting::decode(&bytes)?.complete().unwrap();
/// assert_eq!((decoded, consumed), (greeting, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Greeting<'a> {
    methods: Methods<'a>,
}

impl<'a> Greeting<'a> {
    /// Creates a greeting that offers `methods`, in this order.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::MethodCount`] unless there are 1 to 255; [`InvalidValue::NoAcceptableOffered`] when
    /// [`Method::NO_ACCEPTABLE`] is among them.
    pub fn new(methods: &'a [Method]) -> Result<Self, InvalidValue> {
        if !(1..=255).contains(&methods.len()) {
            return Err(InvalidValue::MethodCount(methods.len()));
        }
        if methods.contains(&Method::NO_ACCEPTABLE) {
            return Err(InvalidValue::NoAcceptableOffered);
        }
        Ok(Self::from_checked(methods))
    }

    /// Creates a greeting of 1 to 255 methods, which the caller has checked.
    #[inline]
    pub(crate) const fn from_checked(methods: &'a [Method]) -> Self {
        Self {
            methods: Methods(Offer::Built(methods)),
        }
    }

    /// Decodes a greeting. [Decides](crate::message) at byte 1 (VER), at byte 2 (NMETHODS) and at the last byte.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `05`, [`Malformed::NoMethods`] when NMETHODS is `00`.
    #[inline]
    pub fn decode(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        match *input {
            [VERSION, 0, ..] => Err(Malformed::NoMethods),
            [VERSION, n, ref rest @ ..] => {
                let n = usize::from(n);
                Ok(match rest.get(..n) {
                    Some(bytes) => Decoded::Complete {
                        value: Self {
                            methods: Methods(Offer::Wire(bytes)),
                        },
                        consumed: 2 + n,
                    },
                    None => Decoded::incomplete(2 + n, input.len()),
                })
            }
            [VERSION] | [] => Ok(Decoded::incomplete(2, input.len())),
            [got, ..] => Err(Malformed::Version {
                expected: VERSION,
                got,
            }),
        }
    }

    /// Returns the methods offered.
    #[inline]
    #[must_use]
    pub const fn methods(&self) -> Methods<'a> {
        self.methods
    }
}

impl private::Sealed for Greeting<'_> {}
impl Encode for Greeting<'_> {
    const MAX_LEN: usize = 257;

    #[inline]
    fn encoded_len(&self) -> usize {
        2 + self.methods.offer_len()
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.encoded_len();
        if let [version, n, methods @ ..] = room(out, needed)? {
            *version = VERSION;
            *n = methods.len() as u8;
            match self.methods.0 {
                Offer::Wire(bytes) => super::copy(bytes, methods),
                Offer::Built(built) => {
                    for (to, method) in methods.iter_mut().zip(built) {
                        *to = method.get();
                    }
                }
            }
        }
        Ok(needed)
    }
}

/// The methods that a greeting offers.
///
/// Clients usually list their preferred method first, but the protocol gives the order no meaning. Duplicates are kept. In a
/// received list, `FF` is not a method and is skipped.
///
/// ```
/// use sans_socks::Method;
/// use sans_socks::message::Greeting;
///
/// let (greeting, _) = Greeting::decode(&[5, 2, 0x00, 0x02])?.complete().unwrap();
/// assert!(greeting.methods().contains(Method::USERNAME_PASSWORD));
/// for method in greeting.methods() {
///     println!("{method}");
/// }
/// # Ok::<(), sans_socks::Malformed>(())
/// ```
#[derive(Clone, Copy)]
pub struct Methods<'a>(Offer<'a>);

/// The methods in their original order, including `FF`.
#[derive(Clone, Copy)]
enum Offer<'a> {
    Wire(&'a [u8]),
    Built(&'a [Method]),
}

impl<'a> Methods<'a> {
    /// Returns whether `method` was offered. `FF` never is.
    #[inline]
    #[must_use]
    pub fn contains(&self, method: Method) -> bool {
        method != Method::NO_ACCEPTABLE
            && match self.0 {
                Offer::Wire(bytes) => bytes.contains(&method.get()),
                Offer::Built(methods) => methods.contains(&method),
            }
    }

    /// Returns the methods in the order of the list, without `FF`.
    #[inline]
    #[must_use]
    pub const fn iter(&self) -> MethodsIter<'a> {
        MethodsIter(self.0)
    }

    /// Returns the value of NMETHODS.
    #[inline]
    const fn offer_len(&self) -> usize {
        match self.0 {
            Offer::Wire(bytes) => bytes.len(),
            Offer::Built(methods) => methods.len(),
        }
    }

    /// Creates the methods of a METHODS field that was received.
    #[inline]
    pub(crate) const fn from_wire(bytes: &'a [u8]) -> Self {
        Self(Offer::Wire(bytes))
    }
}

impl<'a> IntoIterator for Methods<'a> {
    type Item = Method;
    type IntoIter = MethodsIter<'a>;

    #[inline]
    fn into_iter(self) -> MethodsIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Methods<'a> {
    type Item = Method;
    type IntoIter = MethodsIter<'a>;

    #[inline]
    fn into_iter(self) -> MethodsIter<'a> {
        self.iter()
    }
}

/// An iterator over [`Methods`], in the order of the list, without `FF`.
#[derive(Clone)]
pub struct MethodsIter<'a>(Offer<'a>);

impl Iterator for MethodsIter<'_> {
    type Item = Method;

    #[inline]
    fn next(&mut self) -> Option<Method> {
        loop {
            let method = match &mut self.0 {
                Offer::Wire(bytes) => Method::new(*split_off_first(bytes)?),
                Offer::Built(methods) => *split_off_first(methods)?,
            };
            if method != Method::NO_ACCEPTABLE {
                return Some(method);
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(Methods(self.0).offer_len())) // each may be `FF`
    }
}

impl FusedIterator for MethodsIter<'_> {}

/// Does what `<[T]>::split_off_first` does, which needs Rust 1.87.
#[inline]
fn split_off_first<'a, T>(list: &mut &'a [T]) -> Option<&'a T> {
    let (first, rest) = list.split_first()?;
    *list = rest;
    Some(first)
}

impl fmt::Debug for MethodsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Methods(self.0).fmt(f)
    }
}

impl PartialEq for Methods<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Methods<'_> {}

impl Hash for Methods<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for method in self.iter() {
            method.hash(state);
        }
        // Ends the list with a byte that no list contains. So `[a], [b]` and `[a, b], []` hash differently.
        Method::NO_ACCEPTABLE.hash(state);
    }
}

impl fmt::Debug for Methods<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A server's answer to a greeting: the method it selected, [RFC 1928 §3].
///
/// 2 bytes. [`Method::NO_ACCEPTABLE`] is a refusal: the client must close.
///
/// ```
/// use sans_socks::Method;
/// use sans_socks::message::{Encode, Selection};
///
/// let mut bytes = [0; Selection::MAX_LEN];
/// Selection::new(Method::USERNAME_PASSWORD).encode_into(&mut bytes)?;
/// assert_eq!(bytes, [5, 2]);
/// # Ok::<(), sans_socks::message::BufferTooSmall>(())
/// ```
///
/// ```text
/// +----+--------+
/// |VER | METHOD |
/// +----+--------+
/// | 05 |   1    |
/// +----+--------+
/// ```
///
/// [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3
#[expect(clippy::exhaustive_structs, reason = "the wire has this field")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Selection {
    /// METHOD. The client's handshake checks that it was offered.
    pub method: Method,
}

impl Selection {
    /// Creates a selection of `method`.
    #[inline]
    #[must_use]
    pub const fn new(method: Method) -> Self {
        Self { method }
    }

    /// Decodes a selection. [Decides](crate::message) at byte 1 (VER) and at byte 2.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `05`.
    #[inline]
    pub fn decode(input: &[u8]) -> Result<Decoded<Self>, Malformed> {
        Ok(decode_pair(VERSION, input)?.map(|method| Self::new(Method::new(method))))
    }
}

impl private::Sealed for Selection {}
impl Encode for Selection {
    const MAX_LEN: usize = 2;

    #[inline]
    fn encoded_len(&self) -> usize {
        2
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let out = out.first_chunk_mut().ok_or(BufferTooSmall { needed: 2 })?;
        *out = [VERSION, self.method.get()];
        Ok(2)
    }
}
