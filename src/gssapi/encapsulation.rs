//! [RFC 1961 §5](https://www.rfc-editor.org/rfc/rfc1961#section-5): every octet behind the negotiation.

use alloc::vec::Vec;
use core::fmt;

use super::frame::{HEADER_LEN, MessageType, Token, decode_token, header};
use super::{Context, Error, Protection, ProtectionLevel, Services};
use crate::message::{Decoded, copy};

/// The layer between the socket and all that is sent behind the negotiation: the request, the replies, the
/// tunnel's octets, and each datagram of an association.
///
/// ```text
/// +------+------+------+.......................+
/// + ver  | mtyp | len  |       token           |
/// +------+------+------+.......................+
/// + 0x01 | 0x03 | 0x02 | up to 2^16 - 1 octets |
/// +------+------+------+.......................+
/// ```
///
/// It comes from [`Negotiator::into_encapsulation`](super::Negotiator::into_encapsulation). What is in a token:
///
/// | level | is sent | is taken |
/// |---|---|---|
/// | [`Integrity`](ProtectionLevel::Integrity) | not confidential | any |
/// | [`Confidentiality`](ProtectionLevel::Confidentiality) | confidential | confidential; else [`Error::NotConfidential`] |
/// | [`Selective`](ProtectionLevel::Selective) | as [`select`](Self::select) says | any |
/// | none, where both sides opted in | the octets as they are, without frames | the same |
///
/// # Faults
///
/// A stream is over with its first fault, in both directions: from then on every call gives
/// [`Error::Failed`]. A datagram that is no good is dropped, and changes nothing. Plaintext is given out only
/// when its whole token has passed, so what stands in `plain` is what the peer has wrapped, in its order,
/// as far as the context was asked for that.
///
/// # Memory
///
/// The octets of the one frame in progress, as they arrive: never more than 65,539 of them, and no
/// room is made on the word of "len". Between two frames it holds nothing.
///
/// The context is dropped with it, and deletes itself (R-125); no token is sent for that (R-124).
pub struct Encapsulation<C> {
    context: C,
    services: Services,
    level: Option<ProtectionLevel>,
    selected: Protection,
    last: Option<Protection>,
    partial: Vec<u8>,
    failed: bool,
}

impl<C: Context> Encapsulation<C> {
    /// Encapsulates at `level` with a context that is established already. Where its
    /// [services](Context::services) do not suffice for that, nothing is sent: [`Error::LevelUnavailable`].
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

    /// The level agreed on. `None`: none, since both sides opted in to the clear.
    #[must_use]
    pub const fn level(&self) -> Option<ProtectionLevel> {
        self.level
    }

    /// The context, to ask it who the peer is.
    #[must_use]
    pub const fn context(&self) -> &C {
        &self.context
    }

    /// Returns how the last message was protected whose plaintext was appended, of the stream or a datagram.
    ///
    /// Each call of [`decapsulate`](Self::decapsulate) opens one message at most, so at level
    /// [`Selective`](ProtectionLevel::Selective) the receiver learns it for each. `None` before the first message, and
    /// where nothing is protected.
    #[must_use]
    pub const fn last_protection(&self) -> Option<Protection> {
        self.last
    }

    /// At level [`Selective`](ProtectionLevel::Selective), what the messages from here on get; at any other
    /// level this changes nothing. At first it is confidentiality, if the context has it. Selected where the
    /// context has it not, sending fails.
    pub const fn select(&mut self, protection: Protection) {
        self.selected = protection;
    }

    /// The most plaintext that fits a frame of `max_frame` octets, as things are
    /// [selected](Self::select); 0 when not even its overhead fits.
    ///
    /// For the pieces of a fragmented datagram: each is wrapped alone.
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

    /// Takes octets from the stream: those of the frame in progress, and not one more. When the frame is
    /// whole, what was in it is appended to `plain`.
    ///
    /// Returns how many were taken, of any input at least one; give it the rest as long as there is one. Plaintext
    /// is a stream: where one token ends means nothing, and a handshake's last octets and the tunnel's
    /// first may share one.
    ///
    /// # Errors
    ///
    /// Each is the stream's end, and nothing was appended: [`Error::Malformed`],
    /// [`Error::UnexpectedMessage`], [`Error::Rejected`] for an abort, [`Error::Context`] for a token that
    /// does not pass, [`Error::NotConfidential`]; [`Error::Failed`] after any of these.
    pub fn decapsulate(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<usize, Error<C::Error>> {
        self.fatal(|this| {
            if this.level.is_none() {
                plain.extend_from_slice(wire);
                return Ok(wire.len());
            }
            if this.partial.is_empty() {
                if let Decoded::Complete { value, consumed } = decode(wire)? {
                    this.last = Some(open(&mut this.context, this.level, value, plain)?);
                    return Ok(consumed);
                }
            }
            let mut rest = wire;
            loop {
                match decode(&this.partial)? {
                    Decoded::Complete { value, .. } => {
                        this.last = Some(open(&mut this.context, this.level, value, plain)?);
                        this.partial = Vec::new();
                        break;
                    }
                    Decoded::Incomplete { .. } if rest.is_empty() => break,
                    Decoded::Incomplete { needed } => {
                        let (now, later) = rest.split_at_checked(needed.get()).unwrap_or((rest, &[]));
                        this.partial.extend_from_slice(now);
                        rest = later;
                    }
                }
            }
            Ok(wire.len() - rest.len())
        })
    }

    /// The peer has ended its side of the stream, and all octets before that have been taken.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEof`] inside a frame: octets are missing, and the stream is over. Between two frames
    /// nothing tells the peer's end from somebody else's: RFC 1961 has no message for it.
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

    /// Appends `plain` to `wire`, in as many frames as it takes; none for nothing.
    ///
    /// Send the octets in the order of the calls: a context that was asked for sequence counts them.
    ///
    /// # Errors
    ///
    /// Each is the stream's end, and nothing was appended: [`Error::Context`] when the context cannot wrap,
    /// [`Error::LevelUnavailable`] when it has no service for what is agreed on or
    /// [selected](Self::select), [`Error::NotConfidential`] when it left confidentiality out,
    /// [`Error::PlainTooLong`] when it has room for no byte,
    /// [`Error::TokenTooLong`] when it made a token longer than it said; [`Error::Failed`] after any of these.
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

    /// Appends to `plain` what is in a datagram, which must be one frame from its first octet to its last.
    ///
    /// # Errors
    ///
    /// Drop the datagram; nothing was appended, and the association goes on: those of
    /// [`decapsulate`](Self::decapsulate), and [`Error::DatagramLength`] when its length is not what "len"
    /// says. [`Error::Failed`] when the stream has failed, and the association with it.
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
            Decoded::Complete { value, consumed } if consumed == datagram.len() => {
                self.last = Some(open(&mut self.context, self.level, value, plain)?);
                Ok(())
            }
            _ => Err(Error::DatagramLength),
        }
    }

    /// Appends `plain` to `datagram` as one frame.
    ///
    /// It is not the network's limit that is looked at: see [`max_plain`](Self::max_plain).
    ///
    /// # Errors
    ///
    /// Nothing was appended, and the association goes on: [`Error::PlainTooLong`] when it does not fit one
    /// token; [`Error::Context`], [`Error::LevelUnavailable`] and [`Error::TokenTooLong`] as for
    /// [`encapsulate`](Self::encapsulate). [`Error::Failed`] when the stream has failed, and the association
    /// with it.
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

    /// What a message gets at the level agreed on (R-122).
    const fn protection(&self) -> Option<Protection> {
        match self.level {
            Some(ProtectionLevel::Integrity) => Some(Protection::Integrity),
            Some(ProtectionLevel::Confidentiality) => Some(Protection::Confidentiality),
            Some(ProtectionLevel::Selective) => Some(self.selected),
            None => None,
        }
    }

    /// The same, if the context has the service for it (R-115).
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

    const fn check(&self) -> Result<(), Error<C::Error>> {
        if self.failed { Err(Error::Failed) } else { Ok(()) }
    }

    /// Does something whose failure is the stream's end.
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

fn decode<E>(octets: &[u8]) -> Result<Decoded<&[u8]>, Error<E>> {
    decode_token(octets, MessageType::Encapsulated, u16::MAX)
}

/// Appends what is in `token` to `plain`: all of it, if it passes, or nothing.
fn open<C: Context>(
    context: &mut C,
    level: Option<ProtectionLevel>,
    token: &[u8],
    plain: &mut Vec<u8>,
) -> Result<Protection, Error<C::Error>> {
    let start = plain.len();
    let opened = match (level, context.unwrap(token, plain)) {
        (Some(ProtectionLevel::Confidentiality), Ok(Protection::Integrity)) => Err(Error::NotConfidential),
        (_, opened) => opened.map_err(Error::Context),
    };
    if opened.is_err() {
        plain.truncate(start);
    }
    opened
}

/// Appends a frame with `plain` in it to `wire`, or nothing.
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
        let octets = u16::try_from(len).map_err(|_| Error::TokenTooLong {
            len,
            max: Token::MAX_LEN,
        })?;
        if let Some(slot) = wire.get_mut(start..token) {
            copy(&header(MessageType::Encapsulated, octets), slot);
        }
        Ok(())
    });
    if sealed.is_err() {
        wire.truncate(start);
    }
    sealed
}

/// No octet of the stream, and nothing of the context.
impl<C> fmt::Debug for Encapsulation<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encapsulation")
            .field("level", &self.level)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
