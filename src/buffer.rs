//! The inline buffer of a handshake. It holds the message in progress, and the bytes to send.
//!
//! It consumes exactly the bytes of the message in progress, and stops at the first byte that shows a fault, however the
//! input is split. A *decision point* is a byte at which the decoder finds a fault, or learns how long the message is.

use core::num::NonZeroUsize;

use zeroize::Zeroize;

use crate::message::{Decoded, Encode, copy};
use crate::transmit::{Cursor, Transmit};

/// The initial content of a buffer is moved in words. The compiler moves a few words in registers, and zeroes the rest
/// of the buffer in place. If the content were moved in bytes, the compiler would copy the whole buffer.
pub(crate) type Word = [u8; 8];

/// `N` bytes, and the state of receiving and sending them.
pub(crate) struct Buffer<const N: usize> {
    bytes: [u8; N],
    outgoing: Cursor,
    /// The message in progress is `bytes[..received]`.
    received: u16,
    /// The number of bytes up to the next decision point. 0 if it is unknown, and before the first byte.
    missing: u16,
    /// The farthest end of the input offered so far, counted from the start of the message. If it is beyond `received`,
    /// the caller still holds input. Saturates.
    reach: u16,
    /// Whether the peer has ended its side.
    eof: bool,
}

/// The result of consuming input.
pub(crate) enum Progress<T, E> {
    /// The message is not complete yet.
    Partial,
    /// The message is complete.
    Message(T),
    /// The message has this fault. The byte that shows it is the last byte consumed. If it is the first byte of the
    /// message, it is not consumed.
    Fault(E),
}

/// Writes `message` into `bytes` from `start` on, and returns where it ends.
#[inline]
pub(crate) fn push(bytes: &mut [u8], start: u16, message: &impl Encode) -> u16 {
    let room = bytes.get_mut(usize::from(start)..);
    let len = room.map_or(Ok(0), |room| message.encode_into(room));
    debug_assert!(len.is_ok(), "a buffer has room for every message of its role");
    start + len.unwrap_or(0) as u16
}

impl<const N: usize> Buffer<N> {
    /// A buffer that has nothing to send.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            outgoing: Cursor::new(0, 0, (0, 0)),
            received: 0,
            missing: 0,
            reach: 0,
            eof: false,
        }
    }

    /// A buffer that sends the bytes of `words` up to `end`. Those in the range `secret` are overwritten afterwards.
    #[inline(always)] // Otherwise a client's handshake of SOCKS4a takes 1.6 % more instructions.
    pub(crate) fn sending<const M: usize>(words: [Word; M], end: u16, secret: (u16, u16)) -> Self {
        let mut bytes = [0; N];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            copy(&word, to);
        }
        Self {
            bytes,
            outgoing: Cursor::new(0, end, secret),
            received: 0,
            missing: 0,
            reach: 0,
            eof: false,
        }
    }

    /// Returns the number of bytes up to the next decision point, if it is known.
    #[inline]
    pub(crate) const fn missing(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.missing as usize)
    }

    /// Returns whether the next byte begins a message, and the peer can still send.
    #[inline]
    pub(crate) const fn is_at_start(&self) -> bool {
        self.received == 0 && !self.eof
    }

    /// Returns the number of bytes up to the next decision point of the message in progress, after the peer has ended its
    /// side. `None` means that the caller holds no more input. Before the end, [`missing`](Self::missing) has the number.
    ///
    /// `first` is the first decision point of the message.
    pub(crate) fn want<T, E>(
        &self,
        first: u16,
        decode: impl Fn(&[u8]) -> Result<Decoded<T>, E>,
    ) -> Option<NonZeroUsize> {
        debug_assert!(self.eof, "the number is known");
        if self.reach <= self.received {
            return None;
        }
        NonZeroUsize::new(self.missing_of(first, decode).into())
    }

    fn missing_of<T, E>(&self, first: u16, decode: impl Fn(&[u8]) -> Result<Decoded<T>, E>) -> u16 {
        if self.received < first {
            return first - self.received;
        }
        match decode(self.received()) {
            Ok(Decoded::Incomplete { needed }) => short(needed.get()),
            _ => {
                debug_assert!(false, "a message in progress is incomplete");
                1
            }
        }
    }

    /// Consumes input that does not reach the next decision point. Returns `None` for any other input.
    ///
    /// This fast path cuts the instructions for input that arrives byte by byte to a third.
    #[inline]
    pub(crate) fn take_short(&mut self, input: &[u8]) -> Option<usize> {
        // Before the first byte `missing` is 0. That byte may be a wrong version, which must not be consumed.
        if input.len() >= usize::from(self.missing) {
            return None;
        }
        self.append(input);
        self.missing -= input.len() as u16;
        Some(input.len())
    }

    /// Consumes the whole message `input[..end]`.
    #[inline]
    pub(crate) fn take_whole(&mut self, input: &[u8], end: usize) {
        debug_assert!(self.received == 0 && self.missing == 0, "a message begins");
        debug_assert!(end <= input.len().min(N), "the message is whole, and has room");
        let reach = usize::from(self.reach).max(input.len().min(usize::from(u16::MAX)));
        self.received = end as u16;
        self.reach = (reach - end) as u16;
        if let (Some(message), Some(room)) = (input.get(..end), self.bytes.get_mut(..end)) {
            copy(message, room);
        }
    }

    /// Consumes bytes up to the end of the message in progress, and returns how many.
    ///
    /// Advances from decision point to decision point, so that nothing is consumed after a fault. `first` is the first
    /// decision point of the message. `decode` gets all of the message so far. If the first byte is the fault, it is not
    /// consumed.
    #[inline(always)] // Each caller gets a copy with its decoder. Otherwise the result passes through memory.
    pub(crate) fn receive<T, E>(
        &mut self,
        input: &[u8],
        first: u16,
        decode: impl Fn(&[u8]) -> Result<Decoded<T>, E>,
    ) -> (usize, Progress<T, E>) {
        if input.is_empty() {
            self.reach = 0;
            return (0, Progress::Partial);
        }
        self.offer(input);
        // The first byte, the version, is also a decision point.
        let mut missing = if self.received == 0 { 1 } else { self.missing };
        let mut rest = input;
        while let Some((now, later)) = rest.split_at_checked(usize::from(missing)) {
            self.append(now);
            rest = later;
            let progress = match decode(self.received()) {
                Ok(Decoded::Incomplete { needed }) => {
                    missing = match first.checked_sub(self.received) {
                        Some(missing @ 1..) => missing,
                        _ => short(needed.get()),
                    };
                    continue;
                }
                Ok(Decoded::Complete { value, .. }) => Progress::Message(value),
                Err(fault) => {
                    if self.received == 1 {
                        self.received = 0;
                        return (0, Progress::Fault(fault));
                    }
                    Progress::Fault(fault)
                }
            };
            self.missing = 0;
            self.end_message();
            return (input.len() - rest.len(), progress);
        }
        self.append(rest);
        self.missing = if self.eof { 0 } else { missing - short(rest.len()) };
        (input.len(), Progress::Partial)
    }

    /// Consumes the bytes of the message in progress as [`receive`](Self::receive) does, but decodes once for all of
    /// `input`. Returns `None`, and consumes nothing, if `input` is empty, or if there is a fault: only `receive` finds
    /// the byte that shows it.
    ///
    /// It is for a message that can end at any byte. `receive` would decode the message again at each byte.
    pub(crate) fn receive_at_once<T, E>(
        &mut self,
        input: &[u8],
        decode: impl Fn(&[u8]) -> Result<Decoded<T>, E>,
    ) -> Option<(usize, Progress<T, E>)> {
        if input.is_empty() {
            return None;
        }
        self.offer(input);
        let before = self.received;
        self.append(input.get(..N - usize::from(before)).unwrap_or(input));
        let offered = self.received;
        let decoded = decode(self.received());
        self.received = match decoded {
            Ok(Decoded::Complete { consumed, .. }) => short(consumed),
            Ok(Decoded::Incomplete { .. }) => offered,
            Err(_) => before,
        };
        // Bytes that are not consumed must not stay here: they belong to the caller.
        if let Some(rest) = self.bytes.get_mut(self.received.into()..offered.into()) {
            rest.zeroize();
        }
        let consumed = usize::from(self.received - before);
        let progress = match decoded.ok()? {
            Decoded::Complete { value, .. } => {
                self.missing = 0;
                self.end_message();
                Progress::Message(value)
            }
            Decoded::Incomplete { needed } => {
                self.missing = if self.eof { 0 } else { short(needed.get()) };
                Progress::Partial
            }
        };
        Some((consumed, progress))
    }

    /// Consumes input that contains no decision point of the message in progress, and is not empty. Leaves `missing`
    /// as it is: as long as the length is unknown, it is only a minimum.
    #[inline]
    pub(crate) fn take_undecided(&mut self, input: &[u8]) {
        self.offer(input);
        self.append(input);
    }

    /// Notes how far the input reaches.
    #[inline]
    fn offer(&mut self, input: &[u8]) {
        self.reach = self.reach.max(short(input.len()).saturating_add(self.received));
    }

    #[inline]
    fn append(&mut self, input: &[u8]) {
        let end = usize::from(self.received);
        debug_assert!(
            input.len() <= N - end,
            "a buffer has room for every message of its role"
        );
        if let [byte] = *input {
            if let Some(slot) = self.bytes.get_mut(end) {
                *slot = byte;
            }
        } else if let Some(slots) = self.bytes.get_mut(end..end + input.len()) {
            copy(input, slots);
        }
        self.received += input.len() as u16;
    }

    /// Counts `reach` from the start of the next message.
    #[inline]
    fn end_message(&mut self) {
        self.reach = self.reach.saturating_sub(self.received);
    }

    /// Begins to read a new message. The bytes of the last one stay until they are overwritten.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.received = 0;
    }

    /// Returns the bytes of the message so far.
    #[inline]
    pub(crate) fn received(&self) -> &[u8] {
        self.range(0, self.received)
    }

    /// Returns the length of the message so far.
    #[inline]
    pub(crate) const fn received_len(&self) -> u16 {
        self.received
    }

    /// Returns the message so far and the bytes after it. The compiler knows the length.
    #[inline]
    pub(crate) const fn bytes(&self) -> &[u8; N] {
        &self.bytes
    }

    /// Returns the bytes from `start` to `end`.
    #[inline]
    pub(crate) fn range(&self, start: u16, end: u16) -> &[u8] {
        let range = self.bytes.get(usize::from(start)..usize::from(end));
        debug_assert!(range.is_some(), "a range of a message");
        range.unwrap_or_default()
    }

    /// Notes how much input the caller holds for the next message.
    pub(crate) fn hold(&mut self, input: &[u8]) {
        self.reach = match short(input.len()) {
            0 => 0,
            len => self.reach.max(len),
        };
    }

    /// Sends `message`, which overwrites the message received.
    #[inline]
    pub(crate) fn send_message(&mut self, message: &impl Encode) {
        let end = push(&mut self.bytes, 0, message);
        self.begin();
        self.send(0, end);
    }

    /// Sends `message`, and keeps the message received before it in the buffer.
    #[inline]
    pub(crate) fn send_after_received(&mut self, message: &impl Encode) {
        let end = push(&mut self.bytes, self.received, message);
        self.send(self.received, end);
    }

    /// Sends the bytes from `start` to `end`.
    #[inline]
    pub(crate) fn send(&mut self, start: u16, end: u16) {
        self.outgoing.send(start.into(), end.into());
    }

    /// Returns whether bytes must be sent before anything else.
    #[inline]
    pub(crate) const fn is_sending(&self) -> bool {
        self.outgoing.is_sending()
    }

    /// Returns the bytes to be sent.
    #[inline]
    pub(crate) const fn transmit(&mut self) -> Transmit<'_> {
        Transmit::new(&mut self.bytes, &mut self.outgoing)
    }

    /// Notes that the peer has ended its side. If `input_due`, the machine waits for input, and a second call means that the
    /// caller holds no more.
    #[inline]
    pub(crate) fn handle_eof(&mut self, input_due: bool) {
        if input_due && self.eof {
            self.reach = 0;
        }
        self.eof = true;
        self.missing = 0;
    }

    /// Marks the bytes received, and those up to the next decision point, as credentials.
    #[inline]
    pub(crate) fn mark_received_secret(&mut self) {
        self.outgoing.set_secret(0, self.received + self.missing);
    }

    /// Removes the `len` bytes from `start` on from the message received, moves the rest of the message forward, and
    /// zeroes the bytes after its new end.
    pub(crate) fn remove(&mut self, start: usize, len: u8) {
        for at in start..usize::from(self.received) {
            let byte = self.received().get(at + usize::from(len)).copied();
            if let Some(slot) = self.bytes.get_mut(at) {
                *slot = byte.unwrap_or(0);
            }
        }
        self.received = self.received.saturating_sub(len.into());
    }

    /// Marks all bytes as secret. [`wipe_secret`](Self::wipe_secret) and `drop` overwrite them.
    #[inline]
    pub(crate) fn mark_all_secret(&mut self) {
        self.outgoing.set_secret(0, N as u16);
    }

    /// Overwrites the credentials.
    #[inline]
    pub(crate) fn wipe_secret(&mut self) {
        self.outgoing.wipe_secret(&mut self.bytes);
    }
}

impl<const N: usize> Drop for Buffer<N> {
    #[inline]
    fn drop(&mut self) {
        self.wipe_secret();
    }
}

/// Returns `len` as a `u16`, saturating: no message is longer than 65,535 bytes.
#[inline]
fn short(len: usize) -> u16 {
    len.min(usize::from(u16::MAX)) as u16
}
