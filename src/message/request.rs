//! [RFC 1928 §4] and [§6]: the request and the reply, which have the same form.
//!
//! [RFC 1928 §4]: https://www.rfc-editor.org/rfc/rfc1928#section-4
//! [§6]: https://www.rfc-editor.org/rfc/rfc1928#section-6

use super::addressing::{self, EmptyDomain};
use super::{Decoded, Encode, VERSION, private};
use crate::address::Address;
use crate::code_point::{Command, ReplyCode};
use crate::error::Malformed;
use crate::message::BufferTooSmall;

/// RSV, written as `00` and ignored when read.
const RSV: u8 = 0;

/// A client's request, [RFC 1928 §4]. It has 8 to 262 bytes.
///
/// ```text
/// +----+-----+-------+------+----------+----------+
/// |VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
/// +----+-----+-------+------+----------+----------+
/// | 05 |  1  |  00   |  1   | Variable |    2     |
/// +----+-----+-------+------+----------+----------+
/// ```
///
/// ```
/// use sans_socks::{Address, Command, Request};
///
/// let bytes = b"\x05\x01\x00\x03\x0bexample.com\x01\xbbGET / HTTP/1.1";
/// let (request, consumed) = Request::decode(bytes)?.complete().unwrap();
/// assert_eq!(request.command, Command::CONNECT);
/// assert_eq!(request.address, Address::try_from("example.com:443")?);
/// assert_eq!(&bytes[consumed..], b"GET / HTTP/1.1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §4]: https://www.rfc-editor.org/rfc/rfc1928#section-4
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Request<'a> {
    /// CMD. Unknown commands are decoded too, and a server gets them as [`PendingRequest`](crate::server::PendingRequest).
    pub command: Command,
    /// DST.ADDR and DST.PORT: the target of CONNECT, the expected peer of BIND, or the source of the client's datagrams.
    pub address: Address<'a>,
}

impl<'a> Request<'a> {
    /// Creates a request.
    #[inline]
    #[must_use]
    pub const fn new(command: Command, address: Address<'a>) -> Self {
        Self { command, address }
    }

    /// Creates a request to connect to `address`.
    #[inline]
    #[must_use]
    pub const fn connect(address: Address<'a>) -> Self {
        Self::new(Command::CONNECT, address)
    }

    /// Creates a request to listen for one connection from `peer`.
    #[inline]
    #[must_use]
    pub const fn bind(peer: Address<'a>) -> Self {
        Self::new(Command::BIND, peer)
    }

    /// Creates a request to relay datagrams that have the source address `client`. Pass [`Address::UNSPECIFIED`] if that is
    /// unknown, for instance because of NAT.
    #[inline]
    #[must_use]
    pub const fn udp_associate(client: Address<'a>) -> Self {
        Self::new(Command::UDP_ASSOCIATE, client)
    }

    /// Decodes a request. [Decides](crate::message) at byte 1 (VER), at byte 4 (ATYP), for a name at byte 5 (its
    /// length), and at the last byte. RSV is ignored.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `05`, [`Malformed::AddressType`] when ATYP is not `01`, `03` or
    /// `04`, [`Malformed::EmptyDomain`] for a name of length 0.
    #[inline]
    pub fn decode(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        decode(input, EmptyDomain::Malformed, |command, address| {
            Self::new(Command::new(command), address)
        })
    }
}

impl Request<'_> {
    /// Where a name begins: after VER, CMD, RSV, ATYP and the length of the name.
    pub(crate) const NAME_START: usize = addressing::TO_ATYP + 1;
}

const _: () = assert!(Request::MAX_LEN == addressing::MAX_LEN && Reply::MAX_LEN == addressing::MAX_LEN);

impl private::Sealed for Request<'_> {}
impl Encode for Request<'_> {
    const MAX_LEN: usize = 262;

    #[inline]
    fn encoded_len(&self) -> usize {
        addressing::encoded_len(&self.address)
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        addressing::encode([VERSION, self.command.get(), RSV], &self.address, out)
    }
}

/// A server's reply, [RFC 1928 §6]. It has 7 to 262 bytes.
///
/// ```text
/// +----+-----+-------+------+----------+----------+
/// |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |
/// +----+-----+-------+------+----------+----------+
/// | 05 |  1  |  00   |  1   | Variable |    2     |
/// +----+-----+-------+------+----------+----------+
/// ```
///
/// ```
/// use sans_socks::message::Encode;
/// use sans_socks::{Address, Reply, ReplyCode};
///
/// let reply = Reply::new(ReplyCode::SUCCEEDED, Address::try_from("192.0.2.1:4000")?);
/// let mut bytes = [0; Reply::MAX_LEN];
/// let len = reply.encode_into(&mut bytes)?;
/// assert_eq!(&bytes[..len], b"\x05\0\0\x01\xc0\0\x02\x01\x0f\xa0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Reply<'a> {
    /// The outcome of the request: the field REP.
    pub code: ReplyCode,
    /// BND.ADDR and BND.PORT: the local address of the connection, the listener or the relay, or, in the second reply to
    /// BIND, the address of the peer. Many servers reply to CONNECT with `0.0.0.0:0`.
    pub address: Address<'a>,
}

impl<'a> Reply<'a> {
    /// Creates a reply.
    #[inline]
    #[must_use]
    pub const fn new(code: ReplyCode, address: Address<'a>) -> Self {
        Self { code, address }
    }

    /// Decodes a reply. [Decides](crate::message) at byte 1 (VER), at byte 2 (REP), at byte 4 (ATYP), for a name at
    /// byte 5 (its length), and at the last byte. RSV is ignored. A name of length 0, which some servers send, becomes
    /// `0.0.0.0`.
    ///
    /// Some servers send only the first two bytes of a refusal. So act on REP as soon as you have it, as the client's
    /// handshake does.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `05`, [`Malformed::AddressType`] when ATYP is not `01`, `03` or
    /// `04`. Some servers send ATYP `00` in a failure.
    #[inline]
    pub fn decode(input: &'a [u8]) -> Result<Decoded<Self>, Malformed> {
        if let [] | [VERSION] = input {
            return Ok(Decoded::incomplete(2, input.len()));
        }
        decode(input, EmptyDomain::Unspecified, |code, address| {
            Self::new(ReplyCode::new(code), address)
        })
    }
}

impl private::Sealed for Reply<'_> {}
impl Encode for Reply<'_> {
    const MAX_LEN: usize = 262;

    #[inline]
    fn encoded_len(&self) -> usize {
        addressing::encoded_len(&self.address)
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        addressing::encode([VERSION, self.code.get(), RSV], &self.address, out)
    }
}

/// Decodes either message: the byte after VER, and the address.
#[inline(always)] // Each caller gets a copy with its `message`.
fn decode<'a, T>(
    input: &'a [u8],
    empty: EmptyDomain,
    message: impl FnOnce(u8, Address<'a>) -> T,
) -> Result<Decoded<T>, Malformed> {
    let incomplete = |total| Ok(Decoded::incomplete(total, input.len()));
    match *input {
        [VERSION, code, ..] => {
            let complete = |address, consumed| {
                let value = message(code, address);
                Ok(Decoded::Complete { value, consumed })
            };
            addressing::decode(input, empty, complete, incomplete)
        }
        [VERSION] | [] => incomplete(addressing::TO_ATYP),
        [got, ..] => Err(Malformed::Version {
            expected: VERSION,
            got,
        }),
    }
}
