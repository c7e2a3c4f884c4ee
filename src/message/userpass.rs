//! [RFC 1929 §2]: username and password, and the server's answer.
//!
//! [RFC 1929 §2]: https://www.rfc-editor.org/rfc/rfc1929#section-2

use super::{Decoded, Encode, copy, decode_pair, length_byte, private, room};
use crate::code_point::AuthStatus;
use crate::credentials::Credentials;
use crate::error::Malformed;
use crate::message::BufferTooSmall;

/// VER of RFC 1929: the version of the sub-negotiation, not of SOCKS.
pub(crate) const VERSION: u8 = 1;

/// VER, ULEN and PLEN.
const FIXED_LEN: usize = 3;

/// The message of [RFC 1929 §2] has 5 to 513 bytes, or 3 to 513 if empty fields are allowed.
///
/// ```text
/// +----+------+----------+------+----------+
/// |VER | ULEN |  UNAME   | PLEN |  PASSWD  |
/// +----+------+----------+------+----------+
/// | 01 |  1   | 1 to 255 |  1   | 1 to 255 |
/// +----+------+----------+------+----------+
/// ```
///
/// [RFC 1929 §2]: https://www.rfc-editor.org/rfc/rfc1929#section-2
impl<'a> Credentials<'a> {
    /// Decodes the message. [Decides](crate::message) at byte 1 (VER), at byte 2 (ULEN), at PLEN and at the last byte.
    ///
    /// ```
    /// use sans_socks::Credentials;
    ///
    /// let (credentials, consumed) = Credentials::decode(b"\x01\x05alice\x06secret")?.complete().unwrap();
    /// assert!(credentials.verify("alice", "secret"));
    /// assert_eq!(consumed, 14);
    /// # Ok::<(), sans_socks::Malformed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `01`, [`Malformed::EmptyCredentials`] when ULEN or PLEN is `00`.
    #[inline]
    pub fn decode(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        decode(input, VERSION, 1)
    }

    /// Decodes the message, whose fields may be empty. curl and Java send empty fields, and Tor accepts them.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `01`.
    #[inline]
    pub fn decode_allowing_empty(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        decode(input, VERSION, 0)
    }
}

/// Decodes a message that begins with `version`, with at least `min` bytes in each field.
#[inline]
pub(crate) fn decode(input: &[u8], version: u8, min: u8) -> Result<Decoded<Credentials<'_>>, Malformed> {
    let have = input.len();
    match *input {
        [got, ..] if got != version => Err(Malformed::Version {
            expected: VERSION,
            got,
        }),
        [_, u, ..] if u < min => Err(Malformed::EmptyCredentials),
        [_, u, ref rest @ ..] => {
            let u = usize::from(u);
            let Some((username, &[p, ref rest @ ..])) = rest.split_at_checked(u) else {
                return Ok(Decoded::incomplete(FIXED_LEN + u, have));
            };
            if p < min {
                return Err(Malformed::EmptyCredentials);
            }
            let p = usize::from(p);
            let total = FIXED_LEN + u + p;
            Ok(match rest.get(..p) {
                Some(password) => Decoded::Complete {
                    value: Credentials::from_counted(username, password),
                    consumed: total,
                },
                None => Decoded::incomplete(total, have),
            })
        }
        _ => Ok(Decoded::incomplete(2, have)),
    }
}

const _: () = assert!(Credentials::MAX_LEN == FIXED_LEN + 2 * Credentials::MAX_FIELD_LEN);

impl private::Sealed for Credentials<'_> {}
impl Encode for Credentials<'_> {
    const MAX_LEN: usize = 513;

    #[inline]
    fn encoded_len(&self) -> usize {
        FIXED_LEN + self.username().len() + self.password().len()
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.encoded_len();
        if let [version, ulen, fields @ ..] = room(out, needed)? {
            *version = VERSION;
            *ulen = length_byte(self.username());
            if let Some((uname, [plen, passwd @ ..])) = fields.split_at_mut_checked(self.username().len()) {
                copy(self.username(), uname);
                *plen = length_byte(self.password());
                copy(self.password(), passwd);
            }
        }
        Ok(needed)
    }
}

impl AuthStatus {
    /// Decodes the message of two bytes. [Decides](crate::message) at byte 1 (VER) and at byte 2.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `01`. Some servers send `05`. The client's handshake accepts that, unless
    /// [`with_strict_status_version`](crate::client::Config::with_strict_status_version) is set.
    #[inline]
    pub fn decode(input: &[u8]) -> Result<Decoded<Self>, Malformed> {
        Ok(decode_pair(VERSION, input)?.map(Self::new))
    }
}

impl private::Sealed for AuthStatus {}
impl Encode for AuthStatus {
    const MAX_LEN: usize = 2;

    #[inline]
    fn encoded_len(&self) -> usize {
        2
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let out = out.first_chunk_mut().ok_or(BufferTooSmall { needed: 2 })?;
        *out = [VERSION, self.get()];
        Ok(2)
    }
}
