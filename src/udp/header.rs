//! [RFC 1928 §7]: the header of each UDP datagram between client and relay.
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

use crate::address::Address;
use crate::code_point::code_point;
use crate::error::Malformed;
use crate::message::BufferTooSmall;
use crate::message::addressing::{self, EmptyDomain};
use crate::message::{Encode, private, room};

/// 262: the most octets of a header, which has then a name of 255 octets.
pub const MAX_HEADER_LEN: usize = addressing::MAX_LEN;

/// RSV, written as `0000` and not looked at.
const RSV: u8 = 0;

code_point! {
    /// FRAG: whether a datagram stands alone, or which piece of one it is, [RFC 1928 §7].
    ///
    /// ```text
    ///   7   6   5   4   3   2   1   0
    /// +---+---+---+---+---+---+---+---+
    /// |end|         position          |
    /// +---+---+---+---+---+---+---+---+
    /// ```
    ///
    /// | octet | meaning |
    /// |---|---|
    /// | `00` | a whole datagram |
    /// | `01` to `7F` | the piece at this position, with more behind it |
    /// | `80` | nothing: position 0 is none |
    /// | `81` to `FF` | the last piece, at the position that the low seven bits tell |
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
        /// `00`: a whole datagram.
        STANDALONE = 0x00, "standalone";
    }
}

impl Frag {
    /// The bit that marks the last piece.
    pub(super) const LAST: u8 = 0x80;

    /// 127: the highest position.
    pub(super) const MAX_POSITION: u8 = 0x7f;

    /// The low seven bits: the place in the sequence, which begins at 1. 0 for a whole datagram, and for the
    /// meaningless `80`.
    #[inline]
    #[must_use]
    pub const fn position(self) -> u8 {
        self.get() & Self::MAX_POSITION
    }

    /// The high bit: whether this is the last piece of its sequence. A whole datagram is no piece: `false`.
    #[inline]
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.get() & Self::LAST != 0
    }
}

/// What stands before each datagram's octets, [RFC 1928 §7]. 8 to 262 octets.
///
/// ```text
/// +----+------+------+----------+----------+----------+
/// |RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |
/// +----+------+------+----------+----------+----------+
/// | 2  |  1   |  1   | Variable |    2     | Variable |
/// +----+------+------+----------+----------+----------+
/// ```
///
/// | ATYP | octets up to DATA |
/// |---|---|
/// | `01` IPv4 | 10 |
/// | `03` name of n octets | 7 + n |
/// | `04` IPv6 | 22 (the RFC's 20 is a slip) |
///
/// [`prepend`](Self::prepend) writes it before a payload that already lies in the buffer;
/// [`Encode::encode_into`] writes it to a buffer of its own, for scatter/gather.
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Header<'a> {
    /// FRAG.
    pub frag: Frag,
    /// DST.ADDR and DST.PORT: to the relay, where the datagram goes; to the client, where it came from.
    pub address: Address<'a>,
}

impl<'a> Header<'a> {
    /// A header.
    #[inline]
    #[must_use]
    pub const fn new(frag: Frag, address: Address<'a>) -> Self {
        Self { frag, address }
    }

    /// The header of a whole datagram: FRAG `00`.
    #[inline]
    #[must_use]
    pub const fn standalone(address: Address<'a>) -> Self {
        Self::new(Frag::STANDALONE, address)
    }

    /// Writes the header into the octets of `buf` just before `payload_start`, and returns where it begins.
    /// Nothing else of `buf` is touched: what was received at `payload_start` is sent from where it lies.
    ///
    /// ```text
    /// buf  |   headroom    |      payload      |  ...
    ///      |     | header  |      payload      |  ...
    ///            ^         ^
    ///            returned  payload_start
    /// ```
    ///
    /// [`MAX_HEADER_LEN`] octets of headroom are enough for every header; 22 are, where the address comes from
    /// a socket and hence is an IP address.
    ///
    /// ```
    /// use sans_socks::udp::{Header, MAX_HEADER_LEN};
    /// use sans_socks::Address;
    ///
    /// let mut buf = [0; MAX_HEADER_LEN + 1500];
    /// buf[MAX_HEADER_LEN..][..2].copy_from_slice(b"hi"); // as a socket would have done
    /// let header = Header::standalone(Address::try_from("127.0.0.1:5300")?);
    /// let start = header.prepend(&mut buf, MAX_HEADER_LEN)?;
    /// assert_eq!(buf[start..MAX_HEADER_LEN + 2], *b"\0\0\0\x01\x7f\0\0\x01\x14\xb4hi");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when fewer than [`encoded_len`](Encode::encoded_len) octets of `buf` lie before
    /// `payload_start`, or `payload_start` lies beyond the end of `buf`; `buf` is then as it was.
    #[inline]
    pub fn prepend(&self, buf: &mut [u8], payload_start: usize) -> Result<usize, BufferTooSmall> {
        addressing::encode_before(self.head(), &self.address, buf, payload_start)
    }

    /// What stands before ATYP.
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

/// A datagram between client and relay: the [`Header`] and the octets behind it, which may be none.
///
/// ```
/// use sans_socks::udp::{Datagram, Frag};
/// use sans_socks::{Address, Malformed};
///
/// let octets = b"\0\0\0\x03\x0bexample.com\0\x35query";
/// let datagram = Datagram::decode(octets)?;
/// assert_eq!(datagram.header.frag, Frag::STANDALONE);
/// assert_eq!(datagram.header.address, Address::try_from("example.com:53")?);
/// assert_eq!(datagram.payload, b"query");
///
/// // A datagram is whole by definition: there is no "not yet".
/// assert_eq!(Datagram::decode(&octets[..16]), Err(Malformed::Truncated));
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
    /// A datagram.
    #[inline]
    #[must_use]
    pub const fn new(header: Header<'a>, payload: &'a [u8]) -> Self {
        Self { header, payload }
    }

    /// Reads a whole datagram, as one `recv` gives it. RSV is not looked at.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] when the header goes beyond the end, [`Malformed::AddressType`] when ATYP is
    /// not `01`, `03` or `04`, [`Malformed::EmptyDomain`] for a name of length 0.
    #[inline]
    pub fn decode(octets: &'a [u8]) -> Result<Self, Malformed> {
        let complete = |address, header_len| match (octets, octets.get(header_len..)) {
            (&[_, _, frag, ..], Some(payload)) => {
                Ok(Self::new(Header::new(Frag::new(frag), address), payload))
            }
            _ => Err(Malformed::Truncated),
        };
        addressing::decode(octets, EmptyDomain::Malformed, complete, |_| {
            Err(Malformed::Truncated)
        })
    }

    /// The octets that this datagram takes.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.header.encoded_len().saturating_add(self.payload.len())
    }

    /// Writes the header and a copy of the payload to the front of `out`, and returns their length.
    ///
    /// [`Header::prepend`] spares the copy.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `out` is shorter than [`encoded_len`](Self::encoded_len); `out` is then as it
    /// was.
    #[inline]
    pub fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.encoded_len();
        let out = room(out, needed)?;
        let header_len = self.header.encode_into(out)?;
        let behind = out.get_mut(header_len..).unwrap_or_default();
        if let Some(to) = behind.get_mut(..self.payload.len()) {
            to.copy_from_slice(self.payload);
        }
        Ok(needed)
    }
}

/// The most octets of payload that a datagram to or from `address` can carry, where the whole may have
/// `limit`: the header takes 10, 22, or 7 and the name's. 0 where not even the header fits.
///
/// `limit` is 65507 over IPv4 and 65527 over IPv6 at most. An authentication method that encapsulates
/// datagrams takes octets of its own: subtract them from `limit` first.
///
/// [RFC 1928 §7]: a program has to tell its UDP users of less room than the system has.
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
