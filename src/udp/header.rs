//! The header of each UDP datagram between client and relay, [RFC 1928 §7].
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

use crate::address::Address;
use crate::code_point::code_point;
use crate::error::Malformed;
use crate::message::BufferTooSmall;
use crate::message::addressing::{self, EmptyDomain};
use crate::message::{Encode, private, room};

/// The length in bytes of the longest header, with a name of 255 bytes.
pub const MAX_HEADER_LEN: usize = 262;

const _: () = assert!(MAX_HEADER_LEN == addressing::MAX_LEN);

/// RSV, written as `0000` and ignored when read.
const RSV: u8 = 0;

code_point! {
    /// The FRAG field: a complete datagram, or the position of a fragment, [RFC 1928 §7].
    ///
    /// ```text
    ///   7   6   5   4   3   2   1   0
    /// +---+---+---+---+---+---+---+---+
    /// |end|         position          |
    /// +---+---+---+---+---+---+---+---+
    /// ```
    ///
    /// | FRAG | meaning |
    /// |---|---|
    /// | `00` | a complete datagram |
    /// | `01` to `7F` | the fragment at this position, with more to follow |
    /// | `80` | invalid: the last fragment, without a position |
    /// | `81` to `FF` | the last fragment, at the position in the low seven bits |
    ///
    /// ```
    /// use sans_socks::udp::Frag;
    ///
    /// let frag = Frag::new(0x83);
    /// assert_eq!((frag.position(), frag.is_last()), (3, true));
    /// assert_eq!(format!("{:?} {frag:?}", Frag::STANDALONE), "STANDALONE Frag(0x83)");
    /// ```
    ///
    /// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
    Frag("fragment") {
        /// `00`: a complete datagram.
        STANDALONE = 0x00, "standalone";
    }
}

impl Frag {
    /// The bit that marks the last fragment.
    pub(super) const LAST: u8 = 0x80;

    /// 127: the highest position.
    pub(super) const MAX_POSITION: u8 = 0x7f;

    /// Returns the low seven bits: the position in the sequence, counted from 1. It is 0 for a complete datagram and for
    /// the invalid `80`.
    #[inline]
    #[must_use]
    pub const fn position(self) -> u8 {
        self.get() & Self::MAX_POSITION
    }

    /// Returns the high bit: whether this is the last fragment of its sequence. `false` for a complete datagram.
    #[inline]
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.get() & Self::LAST != 0
    }
}

/// The header before the payload of each datagram, 8 to 262 bytes, [RFC 1928 §7].
///
/// ```text
/// +----+------+------+----------+----------+----------+
/// |RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |
/// +----+------+------+----------+----------+----------+
/// | 2  |  1   |  1   | Variable |    2     | Variable |
/// +----+------+------+----------+----------+----------+
/// ```
///
/// | ATYP | bytes before DATA |
/// |---|---|
/// | `01` IPv4 | 10 |
/// | `03` name of n bytes | 7 + n |
/// | `04` IPv6 | 22 (the RFC has 20, by mistake) |
///
/// [`prepend`](Self::prepend) writes it in front of a payload that is already in the buffer.
/// [`Encode::encode_into`] writes it to a separate buffer, for vectored output:
///
/// ```
/// use sans_socks::Address;
/// use sans_socks::message::Encode;
/// use sans_socks::udp::{Header, MAX_HEADER_LEN};
///
/// let header = Header::standalone(Address::try_from("127.0.0.1:53")?);
/// let mut buf = [0; MAX_HEADER_LEN];
/// let len = header.encode_into(&mut buf)?;
/// assert_eq!(buf[..len], *b"\0\0\0\x01\x7f\0\0\x01\0\x35");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Header<'a> {
    /// FRAG.
    pub frag: Frag,
    /// DST.ADDR and DST.PORT: the target of a datagram to the relay, or the source of a datagram to the client.
    pub address: Address<'a>,
}

impl<'a> Header<'a> {
    /// Creates a header.
    #[inline]
    #[must_use]
    pub const fn new(frag: Frag, address: Address<'a>) -> Self {
        Self { frag, address }
    }

    /// Creates the header of a complete datagram, with FRAG `00`.
    #[inline]
    #[must_use]
    pub const fn standalone(address: Address<'a>) -> Self {
        Self::new(Frag::STANDALONE, address)
    }

    /// Writes the header into `buf` directly before `payload_start`, and returns where the header starts.
    ///
    /// The rest of `buf` is unchanged. So you can receive a payload at `payload_start`, and send it without a copy.
    ///
    #[doc = include_str!("../../docs/pictures/prepend.svg")]
    ///
    /// Leave [`MAX_HEADER_LEN`] bytes of headroom for any header, or 22 for an IP address, such as that of a socket.
    ///
    /// ```
    /// use sans_socks::udp::{Header, MAX_HEADER_LEN};
    /// use sans_socks::Address;
    ///
    /// let mut buf = [0; MAX_HEADER_LEN + 1500];
    /// buf[MAX_HEADER_LEN..][..2].copy_from_slice(b"hi"); // as `recv_from` does
    /// let header = Header::standalone(Address::try_from("127.0.0.1:5300")?);
    /// let start = header.prepend(&mut buf, MAX_HEADER_LEN)?;
    /// assert_eq!(buf[start..MAX_HEADER_LEN + 2], *b"\0\0\0\x01\x7f\0\0\x01\x14\xb4hi");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if `payload_start` is less than [`encoded_len`](Encode::encoded_len), or beyond the end of `buf`.
    /// `buf` is then unchanged.
    #[inline]
    pub fn prepend(&self, buf: &mut [u8], payload_start: usize) -> Result<usize, BufferTooSmall> {
        addressing::encode_before(self.head(), &self.address, buf, payload_start)
    }

    /// Returns the bytes before ATYP.
    #[inline]
    const fn head(&self) -> [u8; 3] {
        [RSV, RSV, self.frag.get()]
    }
}

impl private::Sealed for Header<'_> {}
impl Encode for Header<'_> {
    const MAX_LEN: usize = MAX_HEADER_LEN;

    #[inline]
    fn encoded_len(&self) -> usize {
        addressing::encoded_len(&self.address)
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        addressing::encode(self.head(), &self.address, out)
    }
}

/// A datagram between client and relay: a [`Header`] and a payload, which may be empty.
///
/// ```
/// use sans_socks::udp::{Datagram, Frag};
/// use sans_socks::{Address, Malformed};
///
/// let bytes = b"\0\0\0\x03\x0bexample.com\0\x35query";
/// let datagram = Datagram::decode(bytes)?;
/// assert_eq!(datagram.header.frag, Frag::STANDALONE);
/// assert_eq!(datagram.header.address, Address::try_from("example.com:53")?);
/// assert_eq!(datagram.payload, b"query");
///
/// // A socket returns whole datagrams, so more bytes cannot follow: a part of a header is an error.
/// assert_eq!(Datagram::decode(&bytes[..16]), Err(Malformed::Truncated));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(clippy::exhaustive_structs, reason = "the wire has these two parts")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram<'a> {
    /// RSV to DST.PORT.
    pub header: Header<'a>,
    /// DATA.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Creates a datagram.
    #[inline]
    #[must_use]
    pub const fn new(header: Header<'a>, payload: &'a [u8]) -> Self {
        Self { header, payload }
    }

    /// Decodes a datagram that a socket has received. RSV is ignored, and names may have control bytes.
    ///
    /// In a relay, use [`Association::accept`](super::Association::accept). It also checks the source. It checks names for
    /// control bytes unless [`with_control_bytes`](super::Association::with_control_bytes) is set, and RSV if
    /// [`with_strict_reserved`](super::Association::with_strict_reserved) is set.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if the header is incomplete, [`Malformed::AddressType`] if ATYP is not `01`, `03` or `04`,
    /// [`Malformed::EmptyDomain`] for a name of length 0.
    #[inline]
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let complete = |address, header_len| match (datagram, datagram.get(header_len..)) {
            (&[_, _, frag, ..], Some(payload)) => {
                Ok(Self::new(Header::new(Frag::new(frag), address), payload))
            }
            _ => {
                debug_assert!(false, "the header was decoded");
                Err(Malformed::Truncated)
            }
        };
        addressing::decode(datagram, EmptyDomain::Malformed, complete, |_| {
            Err(Malformed::Truncated)
        })
    }

    /// Returns the length in bytes of the encoded datagram.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.header.encoded_len().saturating_add(self.payload.len())
    }

    /// Writes the header and a copy of the payload to the start of `out`, and returns their length.
    ///
    /// [`Header::prepend`] needs no copy.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if `out` is shorter than [`encoded_len`](Self::encoded_len). `out` is then unchanged.
    #[inline]
    pub fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.encoded_len();
        let out = room(out, needed)?;
        let header_len = self.header.encode_into(out)?;
        let after = out.get_mut(header_len..).unwrap_or_default();
        if let Some(to) = after.get_mut(..self.payload.len()) {
            to.copy_from_slice(self.payload);
        }
        Ok(needed)
    }
}

/// Returns the size in bytes of the largest payload that a datagram to or from `address` can have, if header and payload
/// together may have `limit` bytes. Returns 0 if the header is longer than `limit`.
///
/// `limit` is at most 65507 over IPv4, and 65527 over IPv6. From it, subtract the bytes that an authentication method
/// adds.
/// [RFC 1928 §7] requires a programming interface over SOCKS to report a size that is reduced by the header, instead of
/// the size that the system reports.
///
/// ```
/// use sans_socks::udp::max_payload;
/// use sans_socks::Address;
///
/// assert_eq!(max_payload(65507, &Address::try_from("127.0.0.1:53")?), 65497);
/// assert_eq!(max_payload(65507, &Address::try_from("[::1]:53")?), 65485);
/// assert_eq!(max_payload(65507, &Address::try_from("example.com:53")?), 65489);
/// # Ok::<(), sans_socks::InvalidValue>(())
/// ```
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[must_use]
pub fn max_payload(limit: usize, address: &Address<'_>) -> usize {
    limit.saturating_sub(addressing::encoded_len(address))
}
