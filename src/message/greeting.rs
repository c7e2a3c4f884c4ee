//! [RFC 1928 §3]: the client's greeting and the server's selection of a method.
//!
//! [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3

use core::fmt;

use super::{Decoded, Encode, VERSION, private, room};
use crate::code::Method;
use crate::error::{InvalidValue, Malformed};
use crate::message::BufferTooSmall;

/// A client's first message: the methods it can authenticate with, [RFC 1928 §3].
///
/// 3 to 257 octets.
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
/// use sans_socks::{Encode, Greeting, Method};
///
/// let greeting = Greeting::new(&[Method::NO_AUTHENTICATION, Method::USERNAME_PASSWORD])?;
/// let mut octets = [0; 4];
/// assert_eq!(greeting.encode_into(&mut octets)?, 4);
/// assert_eq!(octets, [5, 2, 0, 2]);
///
/// let (decoded, consumed) = Greeting::decode(&octets)?.complete().unwrap();
/// assert_eq!((decoded, consumed), (greeting, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §3]: https://www.rfc-editor.org/rfc/rfc1928#section-3
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Greeting<'a> {
    methods: Methods<'a>,
}

impl<'a> Greeting<'a> {
    /// A greeting that offers `methods`, in this order.
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

    /// For methods that were checked to be 1 to 255.
    #[inline]
    pub(crate) const fn from_checked(methods: &'a [Method]) -> Self {
        Self {
            methods: Methods(Offer::Built(methods)),
        }
    }

    /// Reads a greeting. Decides at octet 1 (VER), 2 (NMETHODS) and at the last.
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
                    Some(octets) => Decoded::Complete {
                        value: Self {
                            methods: Methods(Offer::Wire(octets)),
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

    /// The methods offered.
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
                Offer::Wire(octets) => super::copy(octets, methods),
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

/// The methods of a greeting: a set, in the order of the client's preference by convention only.
///
/// Duplicates are the peer's business. `FF` may stand in a list that was received; it is no method, so it
/// is passed over here (R-010).
#[derive(Clone, Copy)]
pub struct Methods<'a>(Offer<'a>);

/// Where the methods stand: received, or given by the program.
#[derive(Clone, Copy)]
enum Offer<'a> {
    Wire(&'a [u8]),
    Built(&'a [Method]),
}

impl<'a> Methods<'a> {
    /// Whether `method` was offered; never true of `FF`.
    #[inline]
    #[must_use]
    pub fn contains(&self, method: Method) -> bool {
        method != Method::NO_ACCEPTABLE
            && match self.0 {
                Offer::Wire(octets) => octets.contains(&method.get()),
                Offer::Built(methods) => methods.contains(&method),
            }
    }

    /// The methods in the order of the list, without `FF`.
    pub fn iter(&self) -> impl Iterator<Item = Method> + Clone + use<'a> {
        let (wire, built) = match self.0 {
            Offer::Wire(octets) => (octets, [].as_slice()),
            Offer::Built(methods) => ([].as_slice(), methods),
        };
        let wire = wire.iter().copied().map(Method::new);
        wire.chain(built.iter().copied())
            .filter(|method| *method != Method::NO_ACCEPTABLE)
    }

    /// NMETHODS.
    #[inline]
    const fn offer_len(&self) -> usize {
        match self.0 {
            Offer::Wire(octets) => octets.len(),
            Offer::Built(methods) => methods.len(),
        }
    }

    /// For octets that were received as METHODS.
    #[inline]
    pub(crate) const fn from_wire(octets: &'a [u8]) -> Self {
        Self(Offer::Wire(octets))
    }
}

impl PartialEq for Methods<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Methods<'_> {}

impl fmt::Debug for Methods<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A server's answer to a greeting: the method it selected, [RFC 1928 §3].
///
/// 2 octets. [`Method::NO_ACCEPTABLE`] is a refusal: the client must close.
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
    /// METHOD. Whether it was offered is for the client machine to judge.
    pub method: Method,
}

impl Selection {
    /// A selection of `method`.
    #[inline]
    #[must_use]
    pub const fn new(method: Method) -> Self {
        Self { method }
    }

    /// Reads a selection. Decides at octet 1 (VER) and 2.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `05`.
    #[inline]
    pub fn decode(input: &[u8]) -> Result<Decoded<Self>, Malformed> {
        match *input {
            [VERSION, method, ..] => Ok(Decoded::Complete {
                value: Self::new(Method::new(method)),
                consumed: 2,
            }),
            [VERSION] | [] => Ok(Decoded::incomplete(2, input.len())),
            [got, ..] => Err(Malformed::Version {
                expected: VERSION,
                got,
            }),
        }
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
