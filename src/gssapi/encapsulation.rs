//! [RFC 1961 §5](https://www.rfc-editor.org/rfc/rfc1961#section-5): the layer over the stream after the negotiation.

use alloc::vec::Vec;
use core::fmt;
use core::mem::take;

use super::frame::{HEADER_LEN, MessageType, Token, decode_token, header};
use super::{Context, Error, Protection, ProtectionLevel, Services};
use crate::message::{Decoded, copy};

/// The layer over the socket after the negotiation, [RFC 1961 §5]. It protects the request, the replies, the bytes of the
/// tunnel, and each datagram of an association.
///
/// ```text
/// +------+------+------+.......................+
/// + ver  | mtyp | len  |       token           |
/// +------+------+------+.......................+
/// + 0x01 | 0x03 |  2   | up to 2^16 - 1 octets |
/// +------+------+------+.......................+
/// ```
///
/// [`Negotiator::into_encapsulation`](super::Negotiator::into_encapsulation) returns it.
///
/// ```
/// # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/gssapi/toy_context.rs")); }
/// # use toy::Toy;
/// use sans_socks::gssapi::{Encapsulation, ProtectionLevel};
///
/// let mut layer = Encapsulation::new(Toy, ProtectionLevel::Integrity);
/// let (mut wire, mut plain) = (Vec::new(), Vec::new());
/// layer.encapsulate(b"hi", &mut wire)?;
/// assert_eq!(wire, b"\x01\x03\0\x03\0hi"); // this context only prepends one byte
/// let consumed = layer.decapsulate(&wire, &mut plain)?;
/// assert_eq!((consumed, &plain[..]), (wire.len(), &b"hi"[..]));
/// # Ok::<(), sans_socks::gssapi::Error<std::io::Error>>(())
/// ```
///
/// | level | sends | accepts |
/// |---|---|---|
/// | [`Integrity`](ProtectionLevel::Integrity) | tokens that are not confidential | any token |
/// | [`Confidentiality`](ProtectionLevel::Confidentiality) | confidential tokens | confidential tokens, else [`Error::NotConfidential`] |
/// | [`Selective`](ProtectionLevel::Selective) | tokens as [selected](Self::select) | any token, see [`last_protection`](Self::last_protection) |
/// | none, if both sides opt in | the bytes without frames | the same |
///
/// # Errors
///
/// The first error of a stream ends it, in both directions. From then on, every call returns [`Error::Failed`]. An error
/// of a datagram affects only that datagram.
///
/// Plaintext is appended only when its whole token has been verified. If the context checks the sequence of tokens, the
/// plaintext appended is the plaintext that the peer has wrapped, in the same order.
///
/// # Memory
///
/// It buffers at most one partial frame of up to 65,539 bytes, as the bytes arrive. Memory for "len" bytes is not
/// reserved in advance. Between frames it buffers nothing.
///
/// Dropping it drops the context, and sends no token.
///
/// [RFC 1961 §5]: https://www.rfc-editor.org/rfc/rfc1961#section-5
pub struct Encapsulation<C> {
    context: C,
    services: Services,
    level: Option<ProtectionLevel>,
    /// The protection of the messages sent at level `Selective`.
    selected: Protection,
    /// The protection of the last message received.
    last: Option<Protection>,
    /// The frame in progress.
    partial: Vec<u8>,
    failed: bool,
}

impl<C: Context> Encapsulation<C> {
    /// Creates a layer at `level`, with a context that is already established.
    ///
    /// If the context lacks a [service](Context::services) that `level` needs, sending fails with
    /// [`Error::LevelUnavailable`].
    #[must_use]
    pub fn new(context: C, level: ProtectionLevel) -> Self {
        Self::agreed(context, Some(level))
    }

    pub(super) fn agreed(context: C, level: Option<ProtectionLevel>) -> Self {
        let services = context.services();
        let selected = if services.confidentiality {
            Protection::Confidentiality
        } else {
            Protection::Integrity
        };
        Self {
            context,
            services,
            level,
            selected,
            last: None,
            partial: Vec::new(),
            failed: false,
        }
    }

    /// Returns the agreed level, or `None` if both sides opted in to level `00`.
    #[must_use]
    pub const fn level(&self) -> Option<ProtectionLevel> {
        self.level
    }

    /// Returns the context, which knows the name of the peer.
    #[must_use]
    pub const fn context(&self) -> &C {
        &self.context
    }

    /// Returns the protection of the last message that was decapsulated, from the stream or a datagram.
    ///
    /// One call of [`decapsulate`](Self::decapsulate) completes at most one message. So at level
    /// [`Selective`](ProtectionLevel::Selective), call this after each call, to learn the protection of the plaintext that
    /// it appended. Returns `None` before the first message, and always if the [level](Self::level) is `None`.
    #[must_use]
    pub const fn last_protection(&self) -> Option<Protection> {
        self.last
    }

    /// Selects the protection of the messages sent from now on, at level [`Selective`](ProtectionLevel::Selective).
    ///
    /// The default is confidentiality, if the context has that service. If the context lacks the selected service, sending
    /// fails. At other levels, this has no effect.
    pub const fn select(&mut self, protection: Protection) {
        self.selected = protection;
    }

    /// Returns the length of the longest plaintext that fits a frame of `max_frame` bytes, with the protection of the
    /// next message. Returns 0 if the overhead alone does not fit.
    ///
    /// Use it to fragment a datagram, since each fragment is wrapped separately.
    #[must_use]
    pub fn max_plain(&self, max_frame: usize) -> usize {
        match self.protection() {
            Some(protection) => {
                let max_token = max_frame.saturating_sub(HEADER_LEN).min(Token::MAX_LEN);
                self.context.max_plain(protection, max_token)
            }
            None => max_frame,
        }
    }

    /// Consumes bytes from the stream, up to the end of the frame in progress. When the frame is complete, appends its
    /// plaintext to `plain`.
    ///
    /// Returns how many bytes were consumed: at least one, unless `wire` is empty. Call it again with the rest until
    /// none is left:
    ///
    /// ```
    /// use sans_socks::gssapi::{Context, Encapsulation, Error};
    ///
    /// fn decapsulate_all<C: Context>(
    ///     layer: &mut Encapsulation<C>,
    ///     mut wire: &[u8],
    ///     plain: &mut Vec<u8>,
    /// ) -> Result<(), Error<C::Error>> {
    ///     while !wire.is_empty() {
    ///         let consumed = layer.decapsulate(wire, plain)?;
    ///         wire = &wire[consumed..];
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The plaintext is a stream, so the end of a token has no meaning. One token may hold the last bytes of the handshake
    /// and the first bytes of the tunnel.
    ///
    /// # Errors
    ///
    /// Each ends the stream, and nothing was appended:
    ///
    /// - [`Error::Malformed`] and [`Error::UnexpectedMessage`] if the bytes are not encapsulated data
    /// - [`Error::Rejected`] for an abort
    /// - [`Error::Context`] if a token cannot be unwrapped
    /// - [`Error::NotConfidential`] if a token must be confidential and is not
    /// - [`Error::Failed`] after any error of the stream
    pub fn decapsulate(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<usize, Error<C::Error>> {
        self.fatal(|this| {
            if this.level.is_none() {
                plain.extend_from_slice(wire);
                return Ok(wire.len());
            }
            if this.partial.is_empty() {
                if let Decoded::Complete { value, consumed } = decode(wire)? {
                    this.open(value, plain)?;
                    return Ok(consumed);
                }
            }
            let mut partial = take(&mut this.partial);
            let mut rest = wire;
            loop {
                match decode(&partial)? {
                    Decoded::Complete { value, .. } => {
                        this.open(value, plain)?;
                        break;
                    }
                    Decoded::Incomplete { .. } if rest.is_empty() => {
                        this.partial = partial;
                        break;
                    }
                    Decoded::Incomplete { needed } => {
                        let (now, later) = rest.split_at_checked(needed.get()).unwrap_or((rest, &[]));
                        partial.extend_from_slice(now);
                        rest = later;
                    }
                }
            }
            Ok(wire.len() - rest.len())
        })
    }

    /// Notes that the peer has ended its side of the stream. Call it when all bytes before that have been consumed.
    ///
    /// RFC 1961 has no message for the end. So an attacker can end the stream between two frames, and neither side can
    /// detect that.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEof`] inside a frame, which ends the stream in both directions. [`Error::Failed`] after any
    /// error of the stream.
    pub fn handle_eof(&mut self) -> Result<(), Error<C::Error>> {
        self.fatal(|this| {
            if this.partial.is_empty() {
                return Ok(());
            }
            Err(Error::UnexpectedEof {
                due: MessageType::Encapsulated,
            })
        })
    }

    /// Appends `plain` to `wire`, in as many frames as it needs. Empty plaintext needs no frame.
    ///
    /// Send the bytes in the order of the calls, because the context may number the messages.
    ///
    /// # Errors
    ///
    /// Each ends the stream, and nothing was appended:
    ///
    /// - [`Error::Context`] if the context cannot wrap
    /// - [`Error::LevelUnavailable`] if it lacks a service that the message needs
    /// - [`Error::NotConfidential`] if it did not encrypt although confidentiality was requested
    /// - [`Error::PlainTooLong`] if not even one byte fits in a token
    /// - [`Error::TokenTooLong`] if a token has more than 65,535 bytes, although [`max_plain`](Context::max_plain)
    ///   allowed its plaintext
    /// - [`Error::Failed`] after any error of the stream
    pub fn encapsulate(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Error<C::Error>> {
        let start = wire.len();
        let sealed = self.fatal(|this| {
            let Some(protection) = this.available_protection()? else {
                wire.extend_from_slice(plain);
                return Ok(());
            };
            let max = this.context.max_plain(protection, Token::MAX_LEN);
            if max == 0 && !plain.is_empty() {
                return Err(Error::PlainTooLong {
                    len: plain.len(),
                    max,
                });
            }
            plain
                .chunks(max.max(1))
                .try_for_each(|piece| seal(&mut this.context, protection, piece, wire))
        });
        if sealed.is_err() {
            wire.truncate(start);
        }
        sealed
    }

    /// Appends the plaintext of a datagram, which must be exactly one frame, to `plain`.
    ///
    /// # Errors
    ///
    /// Drop the datagram. Nothing was appended, and the association continues. The errors are those of
    /// [`decapsulate`](Self::decapsulate), and [`Error::DatagramLength`] when the datagram is longer or shorter than its
    /// frame. [`Error::Failed`] means that the stream has failed, which ends the association too.
    pub fn decapsulate_datagram(
        &mut self,
        datagram: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), Error<C::Error>> {
        self.check()?;
        if self.level.is_none() {
            plain.extend_from_slice(datagram);
            return Ok(());
        }
        match decode(datagram)? {
            Decoded::Complete { value, consumed } if consumed == datagram.len() => self.open(value, plain),
            _ => Err(Error::DatagramLength),
        }
    }

    /// Appends `plain` to `datagram` as one frame.
    ///
    /// `plain` must fit in one token. [`max_plain`](Self::max_plain) returns how much fits in a frame of the size that the
    /// network allows.
    ///
    /// # Errors
    ///
    /// Nothing was appended, and the association continues. The errors are those of
    /// [`encapsulate`](Self::encapsulate), and [`Error::PlainTooLong`] when the plaintext does not fit one token.
    /// [`Error::Failed`] means that the stream has failed, which ends the association too.
    pub fn encapsulate_datagram(
        &mut self,
        plain: &[u8],
        datagram: &mut Vec<u8>,
    ) -> Result<(), Error<C::Error>> {
        self.check()?;
        let Some(protection) = self.available_protection()? else {
            datagram.extend_from_slice(plain);
            return Ok(());
        };
        let (len, max) = (plain.len(), self.context.max_plain(protection, Token::MAX_LEN));
        if len > max {
            return Err(Error::PlainTooLong { len, max });
        }
        seal(&mut self.context, protection, plain, datagram)
    }

    /// Returns the protection of the next message (R-122).
    const fn protection(&self) -> Option<Protection> {
        match self.level {
            Some(ProtectionLevel::Integrity) => Some(Protection::Integrity),
            Some(ProtectionLevel::Confidentiality) => Some(Protection::Confidentiality),
            Some(ProtectionLevel::Selective) => Some(self.selected),
            None => None,
        }
    }

    /// Returns the protection of the next message, if the context has the service for it (R-115).
    fn available_protection(&self) -> Result<Option<Protection>, Error<C::Error>> {
        let protection = self.protection();
        let level = match protection {
            Some(Protection::Confidentiality) => ProtectionLevel::Confidentiality,
            Some(Protection::Integrity) => ProtectionLevel::Integrity,
            None => return Ok(None),
        };
        if self.services.suffice_for(level) {
            Ok(protection)
        } else {
            Err(Error::LevelUnavailable(level))
        }
    }

    /// Appends the plaintext of `token` to `plain`, or nothing after an error.
    fn open(&mut self, token: &[u8], plain: &mut Vec<u8>) -> Result<(), Error<C::Error>> {
        let start = plain.len();
        let opened = match (self.level, self.context.unwrap(token, plain)) {
            (Some(ProtectionLevel::Confidentiality), Ok(Protection::Integrity)) => {
                Err(Error::NotConfidential)
            }
            (_, opened) => opened.map_err(Error::Context),
        };
        match opened {
            Ok(protection) => {
                self.last = Some(protection);
                Ok(())
            }
            Err(error) => {
                plain.truncate(start);
                Err(error)
            }
        }
    }

    const fn check(&self) -> Result<(), Error<C::Error>> {
        if self.failed { Err(Error::Failed) } else { Ok(()) }
    }

    /// Runs `act`. An error ends the stream.
    fn fatal<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, Error<C::Error>>,
    ) -> Result<T, Error<C::Error>> {
        self.check()?;
        let outcome = act(self);
        if outcome.is_err() {
            self.failed = true;
            self.partial = Vec::new();
        }
        outcome
    }
}

fn decode<E>(input: &[u8]) -> Result<Decoded<&[u8]>, Error<E>> {
    let allowed = |got| (got == MessageType::Encapsulated).then_some(u16::MAX);
    Ok(decode_token(input, MessageType::Encapsulated, allowed)?.map(|(_, token)| token))
}

/// Appends a frame with `plain` to `wire`, or nothing after an error.
fn seal<C: Context>(
    context: &mut C,
    protection: Protection,
    plain: &[u8],
    wire: &mut Vec<u8>,
) -> Result<(), Error<C::Error>> {
    let start = wire.len();
    wire.extend_from_slice(&header(MessageType::Encapsulated, 0));
    let token = wire.len();
    let sealed = context.wrap(protection, plain, wire).map_err(Error::Context);
    let sealed = sealed.and_then(|given| {
        if (protection, given) == (Protection::Confidentiality, Protection::Integrity) {
            return Err(Error::NotConfidential);
        }
        let len = wire.len().saturating_sub(token);
        let short = u16::try_from(len).map_err(|_| Error::TokenTooLong {
            len,
            max: Token::MAX_LEN,
        })?;
        if let Some(slot) = wire.get_mut(start..token) {
            copy(&header(MessageType::Encapsulated, short), slot);
        }
        Ok(())
    });
    if sealed.is_err() {
        wire.truncate(start);
    }
    sealed
}

/// Prints the level, and whether the stream has failed. Bytes and the context are not printed.
impl<C> fmt::Debug for Encapsulation<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encapsulation")
            .field("level", &self.level)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
