//! The receiver's side of fragmentation: the reassembly queue and its timer.
//!
//! [RFC 1928 §7] defines positions 1 to 127, the mark of the last fragment, and a timer of at least 5 s. It also requires
//! that a lower position empties the queue. This implementation decides the rest:
//!
//! | FRAG, or its position `p` | no open sequence | open sequence, last position `h` |
//! |---|---|---|
//! | `00` | delivered | delivered, sequence dropped |
//! | `80` | `InvalidFrag` | `InvalidFrag` |
//! | `81` | delivered, or `TooLarge` | delivered or `TooLarge`, sequence dropped |
//! | p = h, same address and payload | | `Duplicate` |
//! | p = 1 | starts a sequence, or `TooLarge` | starts a sequence or `TooLarge`, the open one is dropped |
//! | 1 < p <= h | `NoStart` | `Reset`, sequence dropped |
//! | p = h + 1 | `NoStart` | appended, and delivered if it is marked as the last; on `AddressMismatch`, `TooLarge` or `Unterminated`, sequence dropped |
//! | p > h + 1 | `NoStart` | `Gap`, sequence dropped: the missing fragment could only arrive as a lower position |
//!
//! Position 1 always begins a datagram. If it did not replace an open sequence, the loss of a single fragment could join the
//! fragments of two datagrams.
//!
//! [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{Datagram, Discard, Frag, Header};
use crate::address::{Address, AddressBuf};
use crate::time::Timestamp;

/// 5 s: the shortest allowed lifetime of an incomplete sequence, and the default, [RFC 1928 §7].
///
/// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
pub const MIN_REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest payload of UDP over IPv4.
const DEFAULT_MAX_DATAGRAM: usize = 65_507;

/// The largest value of UDP's length field.
const HARD_MAX_DATAGRAM: usize = 65_535;

macro_rules! reassembler {
    ($($clock:ty, $storage:ty)?) => {
        /// Reassembles the fragments of one sender's datagrams, [RFC 1928 §7].
        ///
        /// A relay needs one for each association, and passes it what [`Association::accept`](super::Association::accept)
        /// returns. A [`ClientAssociation`](super::ClientAssociation) has its own. A reassembler holds one sequence at a
        /// time, whose fragments must arrive in order. [`Discard`] lists the reasons for dropping a sequence.
        /// Unfragmented datagrams pass through unchanged.
        ///
        /// `T` is the type of your timestamps. `B` is the storage of fragments: a `Vec<u8>`, or without an allocator your own
        /// array or slice ([`with_storage`](Self::with_storage)). With feature `std` the defaults are `std::time::Instant`
        /// and `Vec<u8>`, which `new` uses.
        ///
        /// A sequence has no identifier in the RFC. So the fragments of two datagrams to one address can be joined: if the
        /// end of one datagram and the first fragment of the next are lost, or if fragments arrive in another order. A
        /// payload therefore needs its own checksum.
        ///
        /// A `Vec<u8>` uses no memory before a first fragment. From then on, it holds the bytes received, never more
        /// than [`max_datagram`](Self::max_datagram). Its memory is released when a sequence is dropped, or by the
        /// next call after a delivery. [`buffered`](Self::buffered) returns the amount, so that you can limit the sum
        /// of many reassemblers. The size of the reassembler itself is at most 360 bytes with a `Vec<u8>`: it holds the
        /// address of a sequence inline.
        ///
        /// ```
        /// # #[cfg(not(feature = "std"))] fn main() {}
        /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// use sans_socks::udp::{fragments, Outcome, Reassembler};
        /// use sans_socks::Address;
        /// use std::time::{Duration, Instant};
        ///
        /// let mut reassembler = Reassembler::new();
        /// let now = Instant::now();
        /// let to = Address::try_from("example.com:53")?;
        /// for piece in fragments(to, b"in three pieces", 6.try_into()?)? {
        ///     match reassembler.handle_datagram(now, piece) {
        ///         Outcome::Deliver(whole) => {
        ///             assert_eq!((whole.header.address, whole.payload), (to, &b"in three pieces"[..]));
        ///         }
        ///         Outcome::Pending => assert!(!piece.header.frag.is_last()),
        ///         Outcome::Dropped(reason) => eprintln!("dropped: {reason}"),
        ///     }
        ///     // How long an event loop may wait for the next datagram.
        ///     let wait: Option<Duration> =
        ///         reassembler.poll_timeout().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        ///     assert!(wait <= Some(Duration::from_secs(5)));
        /// }
        /// // And when that time is over, or after a delivery to release memory:
        /// reassembler.handle_timeout(Instant::now());
        /// assert_eq!(reassembler.buffered(), 0);
        /// # Ok(())
        /// # }
        /// ```
        ///
        /// [RFC 1928 §7]: https://www.rfc-editor.org/rfc/rfc1928#section-7
        pub struct Reassembler<T $(= $clock)?, B $(= $storage)?> {
            timeout: Duration,
            max_datagram: usize,
            storage: B,
            /// How many bytes of `storage` are in use, by the open sequence or else by the last delivery.
            buffered: usize,
            sequence: Option<Sequence<T>>,
        }
    };
}

#[cfg(feature = "std")]
reassembler!(std::time::Instant, Vec<u8>);
#[cfg(not(feature = "std"))]
reassembler!();

/// An open sequence.
#[derive(Debug)]
struct Sequence<T> {
    /// The address of the first fragment. All others must have the same.
    address: AddressBuf,
    /// The position of the last fragment received.
    highest: u8,
    /// Where that fragment begins in the storage.
    last_start: usize,
    /// Set when the first fragment is received.
    deadline: T,
}

/// The outcome of a datagram.
///
/// ```
/// use sans_socks::udp::{Datagram, Discard, Outcome};
///
/// fn relay(outcome: Outcome<'_>, send: impl FnOnce(Datagram<'_>), count: impl FnOnce(Discard)) {
///     match outcome {
///         Outcome::Deliver(datagram) => send(datagram),
///         Outcome::Pending => {}
///         Outcome::Dropped(reason) => count(reason),
///     }
/// }
/// ```
#[expect(clippy::exhaustive_enums, reason = "there is no fourth outcome")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<'a> {
    /// A complete datagram, with FRAG `00`. Relay it.
    Deliver(Datagram<'a>),
    /// A fragment was stored. The datagram is not complete yet.
    Pending,
    /// The datagram was dropped.
    Dropped(Discard),
}

#[cfg(feature = "std")]
impl Reassembler {
    /// Creates a reassembler that allocates memory when a first fragment is received, and releases it afterwards.
    ///
    /// Its clock is `std::time::Instant`. For another clock, use `Reassembler::with_storage(Vec::new())`.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_storage(Vec::new())
    }
}

#[cfg(feature = "alloc")]
impl<T: Timestamp> Default for Reassembler<T, Vec<u8>> {
    fn default() -> Self {
        Self::with_storage(Vec::new())
    }
}

impl<T: Timestamp, B: Storage> Reassembler<T, B> {
    /// Creates a reassembler that stores fragments in `storage`, whose content is ignored.
    ///
    /// If an array or a slice is shorter than [`max_datagram`](Self::max_datagram), its length is the limit.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sans_socks::udp::Reassembler;
    ///
    /// // No allocator, and time as a duration since some moment.
    /// let mut reassembler = Reassembler::with_storage([0; 1500]);
    /// reassembler.handle_timeout(Duration::from_millis(20));
    /// ```
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

    /// Sets the time from the first fragment of a sequence until it expires. The default is
    /// [`MIN_REASSEMBLY_TIMEOUT`]. Shorter values become that value.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(MIN_REASSEMBLY_TIMEOUT);
        self
    }

    /// Returns the time from the first fragment of a sequence until it expires.
    #[inline]
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sets the largest payload in bytes that fragments may add up to. The default is 65507, the maximum 65535.
    ///
    /// It does not limit unfragmented datagrams.
    #[must_use]
    pub fn with_max_datagram(mut self, max_datagram: usize) -> Self {
        self.max_datagram = max_datagram.min(HARD_MAX_DATAGRAM);
        self
    }

    /// Returns the largest payload in bytes that fragments may add up to.
    #[inline]
    #[must_use]
    pub const fn max_datagram(&self) -> usize {
        self.max_datagram
    }

    /// Returns how many bytes of payload are buffered, for the open sequence or, until the next call, for the last delivery.
    ///
    /// To limit the sum over many associations, do not pass on a fragment that would exceed the limit. Then only that
    /// fragment's sequence is lost.
    #[inline]
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.buffered
    }

    /// Handles the next datagram.
    ///
    /// A sequence that has expired by `now` is dropped first, even if [`handle_timeout`](Self::handle_timeout) was not called.
    ///
    /// If the argument is complete (FRAG `00`, or `81`: a first fragment that is also the last), the delivered
    /// datagram borrows it. Otherwise it borrows the storage.
    pub fn handle_datagram<'a>(&'a mut self, now: T, datagram: Datagram<'a>) -> Outcome<'a> {
        self.handle_timeout(now);
        let frag = datagram.header.frag;
        // 0 if no sequence is open.
        let highest = self.sequence.as_ref().map_or(0, |sequence| sequence.highest);
        match frag.position() {
            0 if frag.is_last() => Outcome::Dropped(Discard::InvalidFrag),
            0 => {
                self.reset();
                Outcome::Deliver(datagram)
            }
            1 if frag.is_last() => self.start(now, datagram),
            position if position == highest && self.has_last(&datagram) => {
                Outcome::Dropped(Discard::Duplicate)
            }
            1 => self.start(now, datagram),
            _ if highest == 0 => Outcome::Dropped(Discard::NoStart),
            position if position <= highest => self.abandon(Discard::Reset),
            position if position - highest == 1 => self.append(datagram),
            _ => self.abandon(Discard::Gap),
        }
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), which is the deadline of the open sequence. Later
    /// fragments do not extend it. Call this again after each datagram.
    #[inline]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<T> {
        self.sequence.as_ref().map(|sequence| sequence.deadline)
    }

    /// Drops the open sequence if its deadline has passed. If no sequence is open, releases the memory of the last
    /// delivery.
    ///
    /// You may call it early and often. If you call it late or never, memory is released later, and nothing else changes.
    #[inline]
    pub fn handle_timeout(&mut self, now: T) {
        let waits = self
            .sequence
            .as_ref()
            .is_some_and(|sequence| now < sequence.deadline);
        if !waits {
            self.reset();
        }
    }

    /// Drops the open sequence, and releases all memory.
    pub fn reset(&mut self) {
        self.sequence = None;
        self.buffered = 0;
        self.storage.release();
    }

    /// Starts a sequence with the fragment at position 1.
    fn start<'a>(&'a mut self, now: T, first: Datagram<'a>) -> Outcome<'a> {
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
            last_start: 0,
            deadline: now.saturating_add(self.timeout),
        });
        Outcome::Pending
    }

    /// Appends the fragment at the next position.
    fn append<'a>(&'a mut self, next: Datagram<'a>) -> Outcome<'a> {
        let Datagram { header, payload } = next;
        match &mut self.sequence {
            Some(sequence) if sequence.address == header.address => {
                sequence.highest = header.frag.position();
                sequence.last_start = self.buffered;
            }
            _ => return self.abandon(Discard::AddressMismatch),
        }
        if self.store(payload).is_none() {
            return self.abandon(Discard::TooLarge);
        }
        if header.frag.is_last() {
            self.sequence = None;
            return whole(header.address, self.storage.bytes(self.buffered));
        }
        if header.frag.position() == Frag::MAX_POSITION {
            return self.abandon(Discard::Unterminated);
        }
        Outcome::Pending
    }

    /// Returns whether the last fragment received had this address and payload.
    fn has_last(&self, again: &Datagram<'_>) -> bool {
        self.sequence.as_ref().is_some_and(|sequence| {
            let buffered = self.storage.bytes(self.buffered);
            sequence.address == again.header.address
                && buffered.get(sequence.last_start..) == Some(again.payload)
        })
    }

    /// Stores `payload` after the bytes that are buffered, if the limit and the storage allow it.
    fn store(&mut self, payload: &[u8]) -> Option<()> {
        let total = self.buffered.checked_add(payload.len())?;
        if total > self.max_datagram {
            return None;
        }
        self.storage.append(self.buffered, payload)?;
        self.buffered = total;
        Some(())
    }

    /// Drops the datagram and the sequence.
    fn abandon(&mut self, reason: Discard) -> Outcome<'_> {
        self.reset();
        Outcome::Dropped(reason)
    }
}

/// Delivers a complete datagram.
fn whole<'a>(address: Address<'a>, payload: &'a [u8]) -> Outcome<'a> {
    Outcome::Deliver(Datagram::new(Header::standalone(address), payload))
}

impl<T: fmt::Debug, B> fmt::Debug for Reassembler<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembler")
            .field("timeout", &self.timeout)
            .field("max_datagram", &self.max_datagram)
            .field("buffered", &self.buffered)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// The storage of a [`Reassembler`]: a `Vec<u8>` (with `alloc`), a `[u8; N]` or a `&mut [u8]`. This
/// trait is sealed.
pub trait Storage: private::Sealed {}

#[cfg(feature = "alloc")]
impl Storage for Vec<u8> {}
impl<const N: usize> Storage for [u8; N] {}
impl Storage for &mut [u8] {}

mod private {
    #[expect(unnameable_types, reason = "this is what seals `Storage`")]
    pub trait Sealed {
        /// Stores `bytes` after the first `len` bytes, which are kept. Returns `None` if there is no room.
        fn append(&mut self, len: usize, bytes: &[u8]) -> Option<()>;

        /// Returns the first `len` bytes.
        fn bytes(&self, len: usize) -> &[u8];

        /// Drops all bytes and releases memory.
        fn release(&mut self);
    }
}

#[cfg(feature = "alloc")]
impl private::Sealed for Vec<u8> {
    fn append(&mut self, _: usize, bytes: &[u8]) -> Option<()> {
        self.try_reserve_exact(bytes.len()).ok()?;
        self.extend_from_slice(bytes);
        Some(())
    }

    fn bytes(&self, _: usize) -> &[u8] {
        self
    }

    #[inline]
    fn release(&mut self) {
        *self = Self::new();
    }
}

impl<const N: usize> private::Sealed for [u8; N] {
    fn append(&mut self, len: usize, bytes: &[u8]) -> Option<()> {
        append(self, len, bytes)
    }

    fn bytes(&self, len: usize) -> &[u8] {
        self.get(..len).unwrap_or_default()
    }

    #[inline]
    fn release(&mut self) {}
}

impl private::Sealed for &mut [u8] {
    fn append(&mut self, len: usize, bytes: &[u8]) -> Option<()> {
        append(self, len, bytes)
    }

    fn bytes(&self, len: usize) -> &[u8] {
        self.get(..len).unwrap_or_default()
    }

    #[inline]
    fn release(&mut self) {}
}

fn append(storage: &mut [u8], len: usize, bytes: &[u8]) -> Option<()> {
    let to = storage.get_mut(len..)?.get_mut(..bytes.len())?;
    to.copy_from_slice(bytes);
    Some(())
}
