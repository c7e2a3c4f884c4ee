//! The frame of every message, [RFC 1961 §3.4 to §5](https://www.rfc-editor.org/rfc/rfc1961#section-3.4).

use core::fmt;
use core::num::NonZeroUsize;

use super::Error;
use crate::error::{InvalidValue, Malformed};
use crate::message::{BufferTooSmall, Decoded, Encode, copy, private, room};

/// "ver" of RFC 1961.
const VERSION: u8 = 1;

/// "mtyp" of the abort message, which has neither length nor token.
const ABORT: u8 = 0xff;

/// 2: the length of "ver" and "mtyp", which are the first decision.
pub(super) const FIRST_DECISION: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// The length of "ver", "mtyp" and "len".
pub(super) const HEADER_LEN: usize = 4;

/// "mtyp": the kind of the token in a frame.
#[expect(clippy::exhaustive_enums, reason = "RFC 1961 names these three")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum MessageType {
    /// `01`: a token of context establishment, [RFC 1961 §3.4](https://www.rfc-editor.org/rfc/rfc1961#section-3.4).
    Authentication = 1,
    /// `02`: a protection level, [RFC 1961 §4.3](https://www.rfc-editor.org/rfc/rfc1961#section-4.3).
    ProtectionLevel = 2,
    /// `03`: encapsulated data, [RFC 1961 §5](https://www.rfc-editor.org/rfc/rfc1961#section-5).
    Encapsulated = 3,
}

impl MessageType {
    /// Returns the type with this byte, or `None` for any other byte. `FF` is [`Frame::Abort`], which has no token.
    #[must_use]
    pub const fn new(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Authentication),
            2 => Some(Self::ProtectionLevel),
            3 => Some(Self::Encapsulated),
            _ => None,
        }
    }

    /// Returns the byte of this type.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Authentication => "authentication",
            Self::ProtectionLevel => "protection level",
            Self::Encapsulated => "encapsulated data",
        })
    }
}

/// A token of the mechanism: 0 to 65,535 opaque bytes. `Debug` shows the length only.
///
/// ```
/// use sans_socks::gssapi::Token;
///
/// let token = Token::new(b"opaque")?;
/// assert_eq!(token.as_bytes(), b"opaque");
/// assert_eq!(format!("{token:?}"), "Token(6 bytes)");
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// The length of the longest token in bytes: 65,535.
    pub const MAX_LEN: usize = u16::MAX as usize;

    /// Creates a token of `bytes` after checking the length.
    ///
    /// # Errors
    ///
    /// [`InvalidValue::TokenLength`] for more than 65,535 bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, InvalidValue> {
        if bytes.len() > Self::MAX_LEN {
            return Err(InvalidValue::TokenLength(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

/// A message of [RFC 1961](https://www.rfc-editor.org/rfc/rfc1961). It has 4 to 65,539 bytes, or 2 if it is an abort.
///
/// ```text
/// +------+------+------+.......................+     +------+------+
/// + ver  | mtyp | len  |       token           |     + ver  | mtyp |
/// +------+------+------+.......................+     +------+------+
/// + 0x01 |  1   |  2   | up to 2^16 - 1 octets |     + 0x01 | 0xff |
/// +------+------+------+.......................+     +------+------+
/// ```
///
/// ```
/// use sans_socks::gssapi::{Frame, MessageType};
///
/// let (frame, consumed) = Frame::decode(b"\x01\x03\x00\x02\xaa\xbb\x01\x03")?.complete().unwrap();
/// let Frame::Token { message_type, token } = frame else { unreachable!() };
/// assert_eq!(message_type, MessageType::Encapsulated);
/// assert_eq!((token.as_bytes(), consumed), (&b"\xaa\xbb"[..], 6));
/// # Ok::<(), sans_socks::Malformed>(())
/// ```
#[expect(clippy::exhaustive_enums, reason = "RFC 1961 has these two forms")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Frame<'a> {
    /// A token and its type.
    Token {
        /// "mtyp".
        message_type: MessageType,
        /// "len" and "token".
        token: Token<'a>,
    },
    /// `01 FF`: the server refuses, [RFC 1961 §3.8](https://www.rfc-editor.org/rfc/rfc1961#section-3.8).
    Abort,
}

impl<'a> Frame<'a> {
    /// Decodes the message at the front of `input`.
    ///
    /// [Decides](crate::message) at byte 1 ("ver"), at byte 2 ("mtyp"), at byte 4 ("len"), and at the last byte.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when "ver" is not `01`, [`Malformed::MessageType`] when "mtyp" is none of
    /// `01 02 03 FF`.
    pub fn decode(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        Self::decode_checked(input, |_, _| Ok(()))
    }

    /// Decodes as [`decode`](Self::decode) does. Calls `check` with the type, and with the length of the token if
    /// `input` includes it.
    fn decode_checked<E: From<Malformed>>(
        input: &'a [u8],
        check: impl FnOnce(MessageType, Option<u16>) -> Result<(), E>,
    ) -> Result<Decoded<Self>, E> {
        let have = input.len();
        match *input {
            [] | [VERSION] => Ok(Decoded::incomplete(FIRST_DECISION.get(), have)),
            [VERSION, ABORT, ..] => Ok(Decoded::Complete {
                value: Self::Abort,
                consumed: 2,
            }),
            [VERSION, mtyp, ref rest @ ..] => {
                let message_type = MessageType::new(mtyp).ok_or(Malformed::MessageType(mtyp))?;
                let [high, low, ref rest @ ..] = *rest else {
                    check(message_type, None)?;
                    return Ok(Decoded::incomplete(HEADER_LEN, have));
                };
                let len = u16::from_be_bytes([high, low]);
                check(message_type, Some(len))?;
                let len = usize::from(len);
                Ok(match rest.get(..len) {
                    Some(token) => Decoded::Complete {
                        value: Self::Token {
                            message_type,
                            token: Token(token),
                        },
                        consumed: HEADER_LEN + len,
                    },
                    None => Decoded::incomplete(HEADER_LEN + len, have),
                })
            }
            [got, ..] => Err(Malformed::Version {
                expected: VERSION,
                got,
            }
            .into()),
        }
    }

    /// Returns the bytes before the token, and how many of them there are.
    fn header(&self) -> ([u8; HEADER_LEN], usize) {
        match self {
            Self::Token { message_type, token } => (header(*message_type, token.0.len() as u16), HEADER_LEN),
            Self::Abort => ([VERSION, ABORT, 0, 0], 2),
        }
    }

    const fn token(&self) -> &'a [u8] {
        match self {
            Self::Token { token, .. } => token.0,
            Self::Abort => &[],
        }
    }
}

const _: () = assert!(Frame::MAX_LEN == HEADER_LEN + Token::MAX_LEN);

impl private::Sealed for Frame<'_> {}
impl Encode for Frame<'_> {
    const MAX_LEN: usize = 65_539;

    fn encoded_len(&self) -> usize {
        self.header().1 + self.token().len()
    }

    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.encoded_len();
        let (header, len) = self.header();
        if let Some((before, token)) = room(out, needed)?.split_at_mut_checked(len) {
            copy(&header, before);
            copy(self.token(), token);
        }
        Ok(needed)
    }

    #[cfg(feature = "bytes")]
    fn encode(&self, out: &mut impl bytes::BufMut) -> Result<(), BufferTooSmall> {
        let needed = self.encoded_len();
        if out.remaining_mut() < needed {
            return Err(BufferTooSmall { needed });
        }
        let (header, len) = self.header();
        out.put_slice(header.get(..len).unwrap_or_default());
        out.put_slice(self.token());
        Ok(())
    }
}

/// Returns the bytes before a token of this length.
pub(super) const fn header(message_type: MessageType, len: u16) -> [u8; HEADER_LEN] {
    let [high, low] = len.to_be_bytes();
    [VERSION, message_type.get(), high, low]
}

/// Decodes the message at the front of `input`, if the peer may send it now.
///
/// `max` returns the limit for a token of a type, or `None` if the type is not allowed. The error for such a type
/// contains `expected`.
pub(super) fn decode_token<E>(
    input: &[u8],
    expected: MessageType,
    max: impl FnOnce(MessageType) -> Option<u16>,
) -> Result<Decoded<(MessageType, &[u8])>, Error<E>> {
    let frame = Frame::decode_checked(input, |got, len| {
        let max = max(got).ok_or(Error::UnexpectedMessage { expected, got })?;
        match len {
            Some(len) if len > max => Err(Error::TokenTooLong {
                len: len.into(),
                max: max.into(),
            }),
            _ => Ok(()),
        }
    })?;
    Ok(match frame {
        Decoded::Incomplete { needed } => Decoded::Incomplete { needed },
        Decoded::Complete {
            value: Frame::Token { message_type, token },
            consumed,
        } => Decoded::Complete {
            value: (message_type, token.as_bytes()),
            consumed,
        },
        Decoded::Complete {
            value: Frame::Abort, ..
        } => return Err(Error::Rejected),
    })
}
