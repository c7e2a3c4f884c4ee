//! The reply of SOCKS4.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::ReplyCode;
use crate::error::Malformed;
use crate::message::{BufferTooSmall, Decoded, Encode, private};

/// A server's reply. It has 8 bytes.
///
/// ```
/// use sans_socks::socks4::{Reply, ReplyCode};
///
/// let (reply, _) = Reply::decode(b"\0\x5a\x0f\xa0\xc0\0\x02\x01")?.complete().unwrap();
/// assert_eq!(reply, Reply::new(ReplyCode::GRANTED, "192.0.2.1:4000".parse().unwrap()));
/// # Ok::<(), sans_socks::Malformed>(())
/// ```
///
/// ```text
/// +----+----+---------+-------+
/// | VN | CD | DSTPORT | DSTIP |
/// +----+----+---------+-------+
/// | 00 | 1  |    2    |   4   |
/// +----+----+---------+-------+
/// ```
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Reply {
    /// The outcome of the request: the field CD.
    pub code: ReplyCode,
    /// DSTIP and DSTPORT. For BIND, the listener: `0.0.0.0` means the server's own address. In BIND's second reply, the
    /// peer. For CONNECT they have no meaning.
    pub address: SocketAddrV4,
}

impl Reply {
    /// Creates a reply.
    #[inline]
    #[must_use]
    pub const fn new(code: ReplyCode, address: SocketAddrV4) -> Self {
        Self { code, address }
    }

    /// Decodes a reply. [Decides](crate::message) at byte 1 (VN), at byte 2 (CD) and at byte 8. VN `04`, which some
    /// servers send, is accepted.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VN is neither `00` nor `04`.
    #[inline]
    pub fn decode(input: &[u8]) -> Result<Decoded<Self>, Malformed> {
        match *input {
            [got, ..] if !matches!(got, 0 | super::VERSION) => Err(Malformed::Version { expected: 0, got }),
            [_, code, p, q, a, b, c, d, ..] => Ok(Decoded::Complete {
                value: Self::new(
                    ReplyCode::new(code),
                    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])),
                ),
                consumed: Self::MAX_LEN,
            }),
            [] | [_] => Ok(Decoded::incomplete(2, input.len())),
            _ => Ok(Decoded::incomplete(Self::MAX_LEN, input.len())),
        }
    }
}

impl private::Sealed for Reply {}
impl Encode for Reply {
    const MAX_LEN: usize = 8;

    #[inline]
    fn encoded_len(&self) -> usize {
        Self::MAX_LEN
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let [p, q] = self.address.port().to_be_bytes();
        let [a, b, c, d] = self.address.ip().octets();
        let out = out.first_chunk_mut().ok_or(BufferTooSmall {
            needed: Self::MAX_LEN,
        })?;
        *out = [0, self.code.get(), p, q, a, b, c, d];
        Ok(Self::MAX_LEN)
    }
}
