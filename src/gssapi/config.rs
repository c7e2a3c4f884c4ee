//! What each side proposes and accepts, and its verdict on what the other names: RFC 1961's policy, as values.

use super::error::Error;
use super::{ProtectionLevel, Services};

/// A set of levels, one bit each. Bit 0 is the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Levels(u8);

impl Levels {
    const CLEAR: Self = Self::of(None);
    const ALL: Self = Self::CLEAR
        .with(Some(ProtectionLevel::Integrity))
        .with(Some(ProtectionLevel::Confidentiality))
        .with(Some(ProtectionLevel::Selective));

    const fn of(level: Option<ProtectionLevel>) -> Self {
        Self(1 << byte_of(level))
    }

    const fn with(self, level: Option<ProtectionLevel>) -> Self {
        Self(self.0 | Self::of(level).0)
    }

    const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    const fn has(self, level: Option<ProtectionLevel>) -> bool {
        self.0 & Self::of(level).0 != 0
    }
}

/// Returns the byte of a level; that of none is `00`.
pub(super) const fn byte_of(level: Option<ProtectionLevel>) -> u8 {
    match level {
        Some(level) => level.get(),
        None => 0,
    }
}

/// Why a level is refused.
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

/// Returns `level` if the context has the services that it takes (R-115).
pub(super) fn available(
    level: Option<ProtectionLevel>,
    services: Services,
) -> Result<Option<ProtectionLevel>, Refusal> {
    match level {
        Some(level) if !services.suffice_for(level) => Err(Refusal::Unavailable(level)),
        _ => Ok(level),
    }
}

/// Returns the level that the peer names by `byte`, if it is allowed and available.
fn judge(byte: u8, allowed: Levels, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
    let level = ProtectionLevel::new(byte);
    if (level.is_none() && byte != 0) || !allowed.has(level) {
        return Err(Refusal::NotAllowed(byte));
    }
    available(level, services)
}

/// How messages are framed, and how long their tokens may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The settings that both roles have, once.
macro_rules! framing_settings {
    () => {
        /// Sets whether the level bytes are sent and expected unwrapped, as NEC's implementation did. An attacker on the
        /// way can then change them. A wrapped level is not accepted: nothing is detected.
        #[must_use]
        pub const fn with_nec(mut self, nec: bool) -> Self {
            self.framing.nec = nec;
            self
        }

        /// Returns whether the level bytes are unwrapped.
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

        /// Sets the length of the longest token with a level that is accepted, in bytes. The default is 256.
        #[must_use]
        pub const fn with_max_level_token(mut self, max_level_token: u16) -> Self {
            self.framing.max_level_token = max_level_token;
            self
        }

        /// Returns the length of the longest token with a level that is accepted, in bytes.
        #[must_use]
        pub const fn max_level_token(&self) -> u16 {
            self.framing.max_level_token
        }

        pub(super) const fn framing(&self) -> Framing {
            self.framing
        }
    };
}

/// The level that a client proposes, and the answers that it accepts.
///
/// ```
/// use sans_socks::gssapi::{ClientConfig, ProtectionLevel};
///
/// // Proposes confidentiality, and accepts integrity alone.
/// let config = ClientConfig::new(ProtectionLevel::Confidentiality)
///     .with_accepted(&[ProtectionLevel::Integrity]);
/// assert!(config.accepts(ProtectionLevel::Integrity));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientConfig {
    proposed: Option<ProtectionLevel>,
    accepted: Levels,
    framing: Framing,
}

impl ClientConfig {
    /// Proposes `level`, and accepts no other answer.
    #[must_use]
    pub const fn new(level: ProtectionLevel) -> Self {
        Self::proposing(Some(level))
    }

    /// Proposes level `00`, which is not in RFC 1961, and accepts no other answer. The peers are authenticated, and
    /// nothing that follows is protected.
    ///
    /// For servers that are set up for old versions of curl.
    #[must_use]
    pub const fn clear() -> Self {
        Self::proposing(None)
    }

    const fn proposing(level: Option<ProtectionLevel>) -> Self {
        Self {
            proposed: level,
            accepted: Levels::of(level),
            framing: Framing::DEFAULT,
        }
    }

    /// Returns the level that is proposed; `None` for level `00`.
    #[must_use]
    pub const fn proposed(&self) -> Option<ProtectionLevel> {
        self.proposed
    }

    /// Sets which levels are accepted as an answer, besides the one proposed.
    #[must_use]
    pub const fn with_accepted(self, levels: &[ProtectionLevel]) -> Self {
        let accepted = with_all(Levels::of(self.proposed), levels);
        Self { accepted, ..self }
    }

    /// Returns whether `level` is accepted as an answer.
    #[must_use]
    pub const fn accepts(&self, level: ProtectionLevel) -> bool {
        self.accepted.has(Some(level))
    }

    framing_settings!();

    /// Returns the level agreed on when the server answers `byte`.
    pub(super) fn judge(self, byte: u8, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
        judge(byte, self.accepted, services)
    }
}

/// [`ProtectionLevel::Confidentiality`], and no other answer.
impl Default for ClientConfig {
    fn default() -> Self {
        Self::new(ProtectionLevel::Confidentiality)
    }
}

/// The levels that a server agrees to.
///
/// ```
/// use sans_socks::gssapi::{ProtectionLevel, ServerConfig};
///
/// // Every client gets confidentiality, whatever it proposes.
/// let config = ServerConfig::new()
///     .with_allowed(&[ProtectionLevel::Confidentiality])
///     .with_counter_offer(Some(ProtectionLevel::Confidentiality));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    allowed: Levels,
    counter_offer: Option<ProtectionLevel>,
    framing: Framing,
}

impl ServerConfig {
    /// Returns the defaults: agrees to any of the three levels, as the client proposes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allowed: Levels::ALL.without(Levels::CLEAR),
            counter_offer: None,
            framing: Framing::DEFAULT,
        }
    }

    /// Sets the levels that are agreed to.
    #[must_use]
    pub const fn with_allowed(self, levels: &[ProtectionLevel]) -> Self {
        let clear = self.allowed.without(Levels::ALL.without(Levels::CLEAR));
        let allowed = with_all(clear, levels);
        Self { allowed, ..self }
    }

    /// Returns whether `level` is agreed to.
    #[must_use]
    pub const fn allows(&self, level: ProtectionLevel) -> bool {
        self.allowed.has(Some(level))
    }

    /// Sets the answer to a client that proposes one of the other levels, which is not allowed or which the context
    /// cannot do. The client may then close. By default, `None`, it is refused with `01 FF`.
    ///
    /// The level need not be among those that are [allowed](Self::with_allowed).
    #[must_use]
    pub const fn with_counter_offer(mut self, counter_offer: Option<ProtectionLevel>) -> Self {
        self.counter_offer = counter_offer;
        self
    }

    /// Returns the counter-offer.
    #[must_use]
    pub const fn counter_offer(&self) -> Option<ProtectionLevel> {
        self.counter_offer
    }

    /// Sets whether level `00`, which is not in RFC 1961, is agreed to. The client is authenticated, and nothing that
    /// follows is protected.
    ///
    /// For old versions of curl, which propose nothing else.
    #[must_use]
    pub const fn with_clear(mut self, clear: bool) -> Self {
        self.allowed = if clear {
            self.allowed.with(None)
        } else {
            self.allowed.without(Levels::CLEAR)
        };
        self
    }

    /// Returns whether level `00` is agreed to.
    #[must_use]
    pub const fn clear(&self) -> bool {
        self.allowed.has(None)
    }

    framing_settings!();

    /// Returns the answer to a client that proposes `byte`, and so the level agreed on.
    pub(super) fn judge(self, byte: u8, services: Services) -> Result<Option<ProtectionLevel>, Refusal> {
        match (judge(byte, self.allowed, services), self.counter_offer) {
            // Level 00 has no counter-offer: the client asked for no protection at all.
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

const fn with_all(mut set: Levels, levels: &[ProtectionLevel]) -> Levels {
    let mut rest = levels;
    while let [level, others @ ..] = rest {
        set = set.with(Some(*level));
        rest = others;
    }
    set
}
