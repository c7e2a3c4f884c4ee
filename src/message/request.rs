//! [RFC 1928 §4] and [§6]: the request and the reply, two messages of one shape.
//!
//! [RFC 1928 §4]: https://www.rfc-editor.org/rfc/rfc1928#section-4
//! [§6]: https://www.rfc-editor.org/rfc/rfc1928#section-6

use super::addressing::{self, EmptyDomain};
use super::{Decoded, Encode, VERSION, private};
use crate::address::Address;
use crate::code_point::{Command, ReplyCode};
use crate::error::Malformed;
use crate::message::BufferTooSmall;

/// RSV, written as `00` and not looked at.
const RSV: u8 = 0;

/// What a client asks for, [RFC 1928 §4]. 8 to 262 octets.
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
/// let octets = b"\x05\x01\x00\x03\x0bexample.com\x01\xbbGET / HTTP/1.1";
/// let (request, consumed) = Request::decode(octets)?.complete().unwrap();
/// assert_eq!(request.command, Command::CONNECT);
/// assert_eq!(request.address, Address::try_from("example.com:443")?);
/// assert_eq!(&octets[consumed..], b"GET / HTTP/1.1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §4]: https://www.rfc-editor.org/rfc/rfc1928#section-4
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Request<'a> {
    /// CMD. Unknown ones are requests too: the server's program answers them.
    pub command: Command,
    /// DST.ADDR and DST.PORT: CONNECT's target, BIND's expected peer, or where the client's datagrams will
    /// come from.
    pub address: Address<'a>,
}

impl<'a> Request<'a> {
    /// A request to do `command` with `address`.
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

    /// Creates a request to relay datagrams that come from `client`. Pass [`Address::UNSPECIFIED`] if the client does
    /// not know its address, as behind NAT.
    #[inline]
    #[must_use]
    pub const fn udp_associate(client: Address<'a>) -> Self {
        Self::new(Command::UDP_ASSOCIATE, client)
    }

    /// Reads a request. Decides at octet 1 (VER), 4 (ATYP), for a name at 5 (its length), and at the last.
    /// RSV is not looked at.
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
    /// Where a name begins: after VER, CMD, RSV, ATYP and its length.
    pub(crate) const NAME_START: usize = addressing::TO_ATYP + 1;
}

impl private::Sealed for Request<'_> {}
impl Encode for Request<'_> {
    const MAX_LEN: usize = addressing::MAX_LEN;

    #[inline]
    fn encoded_len(&self) -> usize {
        addressing::encoded_len(&self.address)
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        addressing::encode([VERSION, self.command.get(), RSV], &self.address, out)
    }
}

/// What became of a request, [RFC 1928 §6]. 7 to 262 octets.
///
/// ```text
/// +----+-----+-------+------+----------+----------+
/// |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |
/// +----+-----+-------+------+----------+----------+
/// | 05 |  1  |  00   |  1   | Variable |    2     |
/// +----+-----+-------+------+----------+----------+
/// ```
///
/// [RFC 1928 §6]: https://www.rfc-editor.org/rfc/rfc1928#section-6
#[expect(clippy::exhaustive_structs, reason = "the wire has these two fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Reply<'a> {
    /// REP.
    pub code: ReplyCode,
    /// BND.ADDR and BND.PORT: where the server connects from, listens, or relays; of BIND's second reply,
    /// the peer. For a CONNECT it is a hint at best: many servers say `0.0.0.0:0`.
    pub address: Address<'a>,
}

impl<'a> Reply<'a> {
    /// A reply.
    #[inline]
    #[must_use]
    pub const fn new(code: ReplyCode, address: Address<'a>) -> Self {
        Self { code, address }
    }

    /// Reads a reply. Decides at octet 1 (VER), 2 (REP), 4 (ATYP), for a name at 5 (its length), and at the
    /// last. RSV is not looked at. A name of length 0, which some servers send, reads as `0.0.0.0`.
    ///
    /// Nothing is decided about REP here, but 2 octets are what a refusal may be cut to: judge it as soon as
    /// it is there, as the client machine does.
    ///
    /// # Errors
    ///
    /// [`Malformed::Version`] when VER is not `05`, [`Malformed::AddressType`] when ATYP is not `01`, `03` or
    /// `04` (some servers fail with ATYP `00`).
    #[inline(always)]
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
    const MAX_LEN: usize = addressing::MAX_LEN;

    #[inline]
    fn encoded_len(&self) -> usize {
        addressing::encoded_len(&self.address)
    }

    #[inline]
    fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        addressing::encode([VERSION, self.code.get(), RSV], &self.address, out)
    }
}

/// Reads either message: the octet behind VER, and the address.
#[inline(always)]
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
