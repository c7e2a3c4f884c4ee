//! The receiver's side of fragmentation: the reassembly queue and its timer.
//!
//! What [RFC 1928 §7] fixes: positions 1 to 127, the mark of the last, a queue that is emptied when its timer
//! expires or a lower position comes, a timer of 5 s at least. It says little of the rest, which is here:
//!
//! | FRAG `80 \| p`, `p` | no sequence | open, `h` came last |
//! |---|---|---|
//! | `00` | delivered | delivered, sequence emptied |
//! | `80` | `InvalidFrag` | `InvalidFrag` |
//! | p = 1 | starts, or `81`: delivered | h > 1 or `81`: as without a sequence; else `Duplicate` |
//! | 1 < p < h | `NoStart` | `Reset`, emptied |
//! | p = h > 1 | | `Duplicate` |
//! | p = h + 1 | `NoStart` | appended; the last: delivered. `AddressMismatch`, `TooLarge`, `Unterminated`: emptied |
//! | p > h + 1 | `NoStart` | `Gap`, emptied: what is missing could only come as a lower position |
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{Datagram, Frag, Header};
use crate::address::{Address, AddressBuf};
use crate::error::Discard;
use crate::time::Timestamp;

/// 5 s: the least time that a sequence is given to become whole, and the default, [RFC 1928 §7].
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
pub const MIN_REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest datagram that UDP over IPv4 carries.
const DEFAULT_MAX_DATAGRAM: usize = 65_507;

/// The largest that UDP's length field can tell.
const HARD_MAX_DATAGRAM: usize = 65_535;

/// Puts the fragments of one sender's datagrams together again, [RFC 1928 §7].
///
/// One for each direction of an association, behind its [`Association`](super::Association) (or the client's
/// own check of the source). It holds one sequence at a time, in order; [`Discard`] says what breaks one.
/// A datagram that comes whole is handed through as it is.
///
/// `I` is the caller's time. `B` is where fragments wait: a `Vec<u8>` (`new`), or without an
/// allocator an array or a slice of the caller's ([`with_storage`](Self::with_storage)).
///
/// Memory: none before a first fragment. Then exactly the octets that came, and never more than
/// [`max_datagram`](Self::max_datagram). All is let go when the sequence is given up, and after a delivery with
/// the next call. [`buffered`](Self::buffered) tells the sum, so that an owner of many can bound it.
///
/// ```
/// use core::time::Duration;
/// use sans_socks::udp::{fragments, Outcome, Reassembler};
/// use sans_socks::Address;
///
/// let mut reassembler = Reassembler::with_storage([0; 1500]);
/// let to = Address::try_from("example.com:53")?;
/// for piece in fragments(to, b"in three pieces", 6.try_into()?)? {
///     match reassembler.handle_datagram(Duration::ZERO, piece) {
///         Outcome::Deliver(whole) => assert_eq!((whole.header.address, whole.payload), (to, &b"in three pieces"[..])),
///         Outcome::Pending => assert!(!piece.header.frag.is_last()),
///         Outcome::Dropped(reason) => panic!("{reason}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
pub struct Reassembler<I, B> {
    timeout: Duration,
    max_datagram: usize,
    storage: B,
    /// The octets in `storage`: of the open sequence or, if there is none, of what was delivered last.
    buffered: usize,
    sequence: Option<Sequence<I>>,
}

/// A sequence that has begun.
#[derive(Debug)]
struct Sequence<I> {
    /// That of the first fragment; every other must have the same.
    address: AddressBuf,
    /// The position that came last.
    highest: u8,
    /// Fixed when the first fragment came.
    deadline: I,
}

/// What became of a datagram.
#[expect(clippy::exhaustive_enums, reason = "there is no fourth outcome")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<'a> {
    /// A whole datagram, with FRAG `00`: relay it.
    Deliver(Datagram<'a>),
    /// A fragment that waits for the next.
    Pending,
    /// The datagram goes no further.
    Dropped(Discard),
}

#[cfg(feature = "alloc")]
impl<I: Timestamp> Reassembler<I, Vec<u8>> {
    /// A reassembler that takes memory from the heap when a first fragment comes, and gives it back.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_storage(Vec::new())
    }
}

#[cfg(feature = "alloc")]
impl<I: Timestamp> Default for Reassembler<I, Vec<u8>> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Timestamp, B: Storage> Reassembler<I, B> {
    /// A reassembler that keeps fragments in `storage`. What is in it has no meaning.
    ///
    /// An array or a slice that is shorter than [`max_datagram`](Self::max_datagram) is the limit of what can
    /// be put together.
    #[must_use]
    pub const fn with_storage(storage: B) -> Self {
        Self {
            timeout: MIN_REASSEMBLY_TIMEOUT,
            max_datagram: DEFAULT_MAX_DATAGRAM,
            storage,
            buffered: 0,
            sequence: None,
        }
    }

    /// How long after its first fragment a sequence is given up. The default is
    /// [`MIN_REASSEMBLY_TIMEOUT`], and so is anything less.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(MIN_REASSEMBLY_TIMEOUT);
        self
    }

    /// The most octets of payload that a sequence may come to. The default is 65507; anything above 65535 is
    /// 65535.
    ///
    /// A datagram that comes whole is not measured.
    #[must_use]
    pub fn max_datagram(mut self, octets: usize) -> Self {
        self.max_datagram = octets.min(HARD_MAX_DATAGRAM);
        self
    }

    /// The octets of payload held: of the open sequence, or of what was delivered last, until the next call.
    ///
    /// To bound the sum over many associations, drop a datagram whose FRAG is not `00` unseen where it would
    /// go beyond the bound: the sequence then breaks, and nobody else's does.
    #[inline]
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.buffered
    }

    /// Takes the next datagram.
    ///
    /// A timer that has run out by `now` counts first, so a late caller extends no sequence.
    ///
    /// What is delivered borrows the datagram itself if it came whole (FRAG `00`, or `81` with position 1 and
    /// the mark of the last), else the storage.
    pub fn handle_datagram<'a>(&'a mut self, now: I, datagram: Datagram<'a>) -> Outcome<'a> {
        self.handle_timeout(now);
        let frag = datagram.header.frag;
        // 0: no sequence is open.
        let highest = self.sequence.as_ref().map_or(0, |sequence| sequence.highest);
        match frag.position() {
            0 if frag.is_last() => Outcome::Dropped(Discard::InvalidFrag),
            0 => {
                self.reset();
                Outcome::Deliver(datagram)
            }
            1 if highest != 1 || frag.is_last() => self.start(now, datagram),
            _ if highest == 0 => Outcome::Dropped(Discard::NoStart),
            position if position < highest => self.abandon(Discard::Reset),
            position if position == highest => Outcome::Dropped(Discard::Duplicate),
            position if position - highest == 1 => self.append(datagram),
            _ => self.abandon(Discard::Gap),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: the deadline of the open sequence, which later
    /// fragments do not put off. Ask again after each datagram.
    #[inline]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<I> {
        self.sequence.as_ref().map(|sequence| sequence.deadline)
    }

    /// Gives the open sequence up if its deadline has come. Without one it lets go of what was delivered last.
    ///
    /// To call it too early or too often does no harm. To call it late, or never, costs memory alone: see
    /// [`handle_datagram`](Self::handle_datagram).
    #[inline]
    pub fn handle_timeout(&mut self, now: I) {
        let waits = self
            .sequence
            .as_ref()
            .is_some_and(|sequence| now < sequence.deadline);
        if !waits {
            self.reset();
        }
    }

    /// Gives the open sequence up, and lets go of all memory.
    pub fn reset(&mut self) {
        self.sequence = None;
        self.buffered = 0;
        self.storage.release();
    }

    /// Position 1.
    fn start<'a>(&'a mut self, now: I, first: Datagram<'a>) -> Outcome<'a> {
        self.reset();
        let Datagram { header, payload } = first;
        if header.frag.is_last() && payload.len() <= self.max_datagram {
            return whole(header.address, payload);
        }
        if self.store(payload).is_none() {
            return self.abandon(Discard::TooLarge);
        }
        self.sequence = Some(Sequence {
            address: header.address.into(),
            highest: 1,
            deadline: now.saturating_add(self.timeout),
        });
        Outcome::Pending
    }

    /// The position behind the one that came last.
    fn append<'a>(&'a mut self, next: Datagram<'a>) -> Outcome<'a> {
        let Datagram { header, payload } = next;
        match &mut self.sequence {
            Some(sequence) if sequence.address.as_address() == header.address => {
                sequence.highest = header.frag.position();
            }
            _ => return self.abandon(Discard::AddressMismatch),
        }
        if self.store(payload).is_none() {
            return self.abandon(Discard::TooLarge);
        }
        if header.frag.is_last() {
            self.sequence = None;
            return whole(header.address, self.storage.octets(self.buffered));
        }
        if header.frag.position() == Frag::MAX_POSITION {
            return self.abandon(Discard::Unterminated);
        }
        Outcome::Pending
    }

    /// Puts `payload` behind what is buffered, if that is allowed and possible.
    fn store(&mut self, payload: &[u8]) -> Option<()> {
        let total = self.buffered.checked_add(payload.len())?;
        if total > self.max_datagram {
            return None;
        }
        self.storage.append(self.buffered, payload)?;
        self.buffered = total;
        Some(())
    }

    /// Drops the datagram, and the sequence with it.
    fn abandon(&mut self, reason: Discard) -> Outcome<'_> {
        self.reset();
        Outcome::Dropped(reason)
    }
}

/// Delivers a datagram that is not, or no longer, in pieces.
fn whole<'a>(address: Address<'a>, payload: &'a [u8]) -> Outcome<'a> {
    Outcome::Deliver(Datagram::new(Header::standalone(address), payload))
}

impl<I: fmt::Debug, B> fmt::Debug for Reassembler<I, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembler")
            .field("timeout", &self.timeout)
            .field("max_datagram", &self.max_datagram)
            .field("buffered", &self.buffered)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// Where a [`Reassembler`] keeps fragments: a `Vec<u8>` (with `alloc`), a `[u8; N]` or a `&mut [u8]`. This
/// trait is sealed.
pub trait Storage: private::Sealed {}

#[cfg(feature = "alloc")]
impl Storage for Vec<u8> {}
impl<const N: usize> Storage for [u8; N] {}
impl Storage for &mut [u8] {}

mod private {
    #[expect(unnameable_types, reason = "this is what seals `Storage`")]
    pub trait Sealed {
        /// Puts `octets` behind the first `len`, which are kept; `None` where there is no room for them.
        fn append(&mut self, len: usize, octets: &[u8]) -> Option<()>;

        /// The first `len` octets.
        fn octets(&self, len: usize) -> &[u8];

        /// Forgets all octets and gives memory back.
        fn release(&mut self);
    }
}

#[cfg(feature = "alloc")]
impl private::Sealed for Vec<u8> {
    fn append(&mut self, _: usize, octets: &[u8]) -> Option<()> {
        self.try_reserve_exact(octets.len()).ok()?;
        self.extend_from_slice(octets);
        Some(())
    }

    fn octets(&self, _: usize) -> &[u8] {
        self
    }

    #[inline]
    fn release(&mut self) {
        *self = Self::new();
    }
}

impl<const N: usize> private::Sealed for [u8; N] {
    fn append(&mut self, len: usize, octets: &[u8]) -> Option<()> {
        append(self, len, octets)
    }

    fn octets(&self, len: usize) -> &[u8] {
        self.get(..len).unwrap_or_default()
    }

    #[inline]
    fn release(&mut self) {}
}

impl private::Sealed for &mut [u8] {
    fn append(&mut self, len: usize, octets: &[u8]) -> Option<()> {
        append(self, len, octets)
    }

    fn octets(&self, len: usize) -> &[u8] {
        self.get(..len).unwrap_or_default()
    }

    #[inline]
    fn release(&mut self) {}
}

fn append(storage: &mut [u8], len: usize, octets: &[u8]) -> Option<()> {
    let to = storage.get_mut(len..)?.get_mut(..octets.len())?;
    to.copy_from_slice(octets);
    Some(())
}
