//! The levels that each side proposes and accepts, [RFC 1961 §4.2](https://www.rfc-editor.org/rfc/rfc1961#section-4.2).
//!
//! The decision depends on the configuration, the byte that the peer sends, and the services of the context.

use super::error::Error;
use super::{ProtectionLevel, Services};

/// A set of levels. Bit n is the level whose byte is n, so bit 0 is level `00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Levels(u8);

impl Levels {
    const NONE: Self = Self(0);
    const CLEAR: Self = Self::of(None);
    /// The levels of RFC 1961.
    const PROTECTED: Self = Self::NONE.with_all(&[
        ProtectionLevel::Integrity,
        ProtectionLevel::Confidentiality,
        ProtectionLevel::Selective,
    ]);

    const fn of(level: Option<ProtectionLevel>) -> Self {
        Self(1 << byte_of(level))
    }

    const fn with_all(mut self, levels: &[ProtectionLevel]) -> Self {
        let mut rest = levels;
        while let [level, others @ ..] = rest {
            self.0 |= Self::of(Some(*level)).0;
            rest = others;
        }
        self
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn has(self, level: Option<ProtectionLevel>) -> bool {
        self.0 & Self::of(level).0 != 0
    }
}

/// Returns the byte of a level, `00` for none.
pub(super) const fn byte_of(level: Option<ProtectionLevel>) -> u8 {
    match level {
        Some(level) => level.get(),
        None => 0,
    }
}

/// The reason why a level is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotAllowed(u8),
    Unavailable(ProtectionLevel),
}

impl<E> From<Refusal> for Error<E> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotAllowed(byte) => Self::LevelNotAllowed(byte),
            Refusal::Unavailable(level) => Self::LevelUnavailable(level),
        }
    }
}

/// Returns `level` if the context has the services that it requires (R-115).
pub(super) fn available(
    level: Option<ProtectionLevel>,
    services: Services,
) -> Result<Option<ProtectionLevel>, Refusal> {
    match level {
        Some(level) if !services.suffice_for(level) => Err(Refusal::Unavailable(level)),
        _ => Ok(level),
    }
}

/// Returns the level that the peer's `byte` means, if it is allowed and available.
fn judge(byte: u8, allowed: Levels, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
    let level = ProtectionLevel::new(byte);
    if (level.is_none() && byte != 0) || !allowed.has(level) {
        return Err(Refusal::NotAllowed(byte));
    }
    available(level, services)
}

/// The form of the messages of a negotiation, and the limits for their tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Framing {
    pub(super) nec: bool,
    pub(super) max_token: u16,
    pub(super) max_level_token: u16,
}

impl Framing {
    const DEFAULT: Self = Self {
        nec: false,
        max_token: 16 * 1024,
        max_level_token: 256,
    };
}

/// The settings that both roles share.
macro_rules! framing_settings {
    () => {
        /// Sets whether levels are sent and expected unwrapped, as NEC's implementation does. The default is `false`.
        ///
        /// An attacker on the path can then change the levels. If this is set, wrapped levels are refused: the
        /// negotiator does not detect which form the peer uses.
        #[must_use]
        pub const fn with_nec(mut self, nec: bool) -> Self {
            self.framing.nec = nec;
            self
        }

        /// Returns whether levels are sent and expected unwrapped.
        #[must_use]
        pub const fn nec(&self) -> bool {
            self.framing.nec
        }

        /// Sets the length of the longest authentication token that is accepted, in bytes. The default is 16,384.
        #[must_use]
        pub const fn with_max_token(mut self, max_token: u16) -> Self {
            self.framing.max_token = max_token;
            self
        }

        /// Returns the length of the longest authentication token that is accepted, in bytes.
        #[must_use]
        pub const fn max_token(&self) -> u16 {
            self.framing.max_token
        }

        /// Sets how long a token that contains a level may be, in bytes. The default is 256.
        #[must_use]
        pub const fn with_max_level_token(mut self, max_level_token: u16) -> Self {
            self.framing.max_level_token = max_level_token;
            self
        }

        /// Returns how long a token that contains a level may be, in bytes.
        #[must_use]
        pub const fn max_level_token(&self) -> u16 {
            self.framing.max_level_token
        }

        pub(super) const fn framing(&self) -> Framing {
            self.framing
        }
    };
}

/// The level that a client proposes, and the answers that it accepts, [RFC 1961 §4.2].
///
/// ```
/// use sans_socks::gssapi::{ClientConfig, ProtectionLevel};
///
/// // Proposes confidentiality, and accepts integrity alone.
/// let config = ClientConfig::new(ProtectionLevel::Confidentiality)
///     .with_accepted(&[ProtectionLevel::Integrity]);
/// assert!(config.accepts(ProtectionLevel::Integrity));
/// ```
///
/// [RFC 1961 §4.2]: https://www.rfc-editor.org/rfc/rfc1961#section-4.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientConfig {
    proposed: Option<ProtectionLevel>,
    accepted: Levels,
    framing: Framing,
}

impl ClientConfig {
    /// Returns a configuration that proposes `level` and accepts no other answer.
    #[must_use]
    pub const fn new(level: ProtectionLevel) -> Self {
        Self::proposing(Some(level))
    }

    /// Returns a configuration that proposes level `00`, which is not in RFC 1961, and accepts no other answer.
    ///
    /// The peers are authenticated, but nothing after that is protected. Use it for servers that are configured for old
    /// versions of curl.
    #[must_use]
    pub const fn unprotected() -> Self {
        Self::proposing(None)
    }

    const fn proposing(level: Option<ProtectionLevel>) -> Self {
        Self {
            proposed: level,
            accepted: Levels::of(level),
            framing: Framing::DEFAULT,
        }
    }

    /// Returns the level that is proposed, or `None` for level `00`.
    #[must_use]
    pub const fn proposed(&self) -> Option<ProtectionLevel> {
        self.proposed
    }

    /// Sets which levels are accepted as an answer, in addition to the one proposed.
    #[must_use]
    pub const fn with_accepted(self, levels: &[ProtectionLevel]) -> Self {
        let accepted = Levels::of(self.proposed).with_all(levels);
        Self { accepted, ..self }
    }

    /// Returns whether `level` is accepted as an answer.
    #[must_use]
    pub const fn accepts(&self, level: ProtectionLevel) -> bool {
        self.accepted.has(Some(level))
    }

    framing_settings!();

    /// Returns the agreed level if the server answers `byte`.
    pub(super) fn judge(self, byte: u8, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
        judge(byte, self.accepted, services)
    }
}

/// Proposes [`ProtectionLevel::Confidentiality`] and accepts no other answer.
impl Default for ClientConfig {
    fn default() -> Self {
        Self::new(ProtectionLevel::Confidentiality)
    }
}

/// The levels that a server agrees to, [RFC 1961 §4.2].
///
/// ```
/// use sans_socks::gssapi::{ProtectionLevel, ServerConfig};
///
/// // Answers confidentiality to every client, even if it proposes another level.
/// let config = ServerConfig::new()
///     .with_allowed(&[ProtectionLevel::Confidentiality])
///     .with_counter_offer(Some(ProtectionLevel::Confidentiality));
/// ```
///
/// [RFC 1961 §4.2]: https://www.rfc-editor.org/rfc/rfc1961#section-4.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerConfig {
    allowed: Levels,
    counter_offer: Option<ProtectionLevel>,
    framing: Framing,
}

impl ServerConfig {
    /// Returns the defaults: agrees to each of the three levels of RFC 1961.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allowed: Levels::PROTECTED,
            counter_offer: None,
            framing: Framing::DEFAULT,
        }
    }

    /// Sets the levels that are agreed to. [`with_clear`](Self::with_clear) does so for level `00`.
    #[must_use]
    pub const fn with_allowed(self, levels: &[ProtectionLevel]) -> Self {
        let allowed = self.allowed.intersection(Levels::CLEAR).with_all(levels);
        Self { allowed, ..self }
    }

    /// Returns whether `level` is agreed to.
    #[must_use]
    pub const fn allows(&self, level: ProtectionLevel) -> bool {
        self.allowed.has(Some(level))
    }

    /// Sets the answer to a client whose proposal is not allowed, or requires a service that the context lacks.
    ///
    /// The client may accept the answer or close. The default is `None`: the client is refused with `01 FF`. The level
    /// need not be one of those [allowed](Self::with_allowed). A proposal of level `00` or of an undefined level never gets
    /// this answer.
    #[must_use]
    pub const fn with_counter_offer(mut self, counter_offer: Option<ProtectionLevel>) -> Self {
        self.counter_offer = counter_offer;
        self
    }

    /// Returns the counter-offer, if there is one.
    #[must_use]
    pub const fn counter_offer(&self) -> Option<ProtectionLevel> {
        self.counter_offer
    }

    /// Sets whether level `00`, which is not in RFC 1961, is agreed to. The default is `false`.
    ///
    /// The client is authenticated, but nothing after that is protected. Use it for old versions of curl, which propose
    /// no other level.
    #[must_use]
    pub const fn with_clear(self, clear: bool) -> Self {
        let protected = self.allowed.intersection(Levels::PROTECTED);
        let clear = if clear { Levels::CLEAR } else { Levels::NONE };
        Self {
            allowed: protected.union(clear),
            ..self
        }
    }

    /// Returns whether level `00` is agreed to.
    #[must_use]
    pub const fn clear(&self) -> bool {
        self.allowed.has(None)
    }

    framing_settings!();

    /// Returns the answer to a client that proposes `byte`. The answer is the agreed level.
    pub(super) fn judge(self, byte: u8, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
        match (judge(byte, self.allowed, services), self.counter_offer) {
            // A client that proposes 00 wants no protection, so there is no counter-offer.
            (Err(_), Some(offer)) if ProtectionLevel::new(byte).is_some() => available(Some(offer), services),
            (judged, _) => judged,
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new()
    }
}
