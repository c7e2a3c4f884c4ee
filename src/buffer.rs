//! The machines' one inline buffer: the message that is coming in, or the octets that are going out.
//!
//! It takes exactly the octets of the message in progress, so nothing has ever to be handed back, and it
//! stops at the first octet that shows a fault, however the input was cut.

use core::fmt;
use core::num::NonZeroUsize;

use zeroize::Zeroize;

use crate::message::{Decoded, Encode, copy};

/// `N` octets and what is being done with them.
pub(crate) struct Buffer<const N: usize> {
    octets: [u8; N],
    cursor: Cursor,
}

struct Cursor {
    /// Receiving: 0. Sending: the first octet that has not been sent.
    start: u16,
    /// Behind the last octet received, or to be sent.
    end: u16,
    /// The octets missing up to the next decision; 0 while no input is due.
    missing: u16,
    /// `missing`, as it will be when all has been sent.
    then: u16,
    /// Where credentials stand, to be wiped.
    secret: (u16, u16),
    sending: bool,
    eof: bool,
}

/// Writes `message` to `octets` from `start` on, and says where it ends.
#[inline]
pub(crate) fn push(octets: &mut [u8], start: u16, message: &impl Encode) -> u16 {
    let room = octets.get_mut(usize::from(start)..);
    let len = room.map_or(Ok(0), |room| message.encode_into(room)).unwrap_or(0);
    start + len as u16
}

/// What came of some input, of which so many octets were taken.
#[derive(Clone, Copy)]
pub(crate) enum Received<E> {
    /// The message is not whole yet.
    Partial(usize),
    /// [`Buffer::received`] is a whole message.
    Message(usize),
    /// The octets taken last show this.
    Fault(usize, E),
}

impl<const N: usize> Buffer<N> {
    /// An empty buffer that wants input, with `missing` octets up to the first decision.
    pub(crate) const fn receiving(missing: u16) -> Self {
        Self {
            octets: [0; N],
            cursor: Cursor {
                start: 0,
                end: 0,
                missing,
                then: 0,
                secret: (0, 0),
                sending: false,
                eof: false,
            },
        }
    }

    /// A buffer that sends its octets up to `end`, some of which may be `secret`, then wants a message as
    /// [`want`](Self::want) does.
    #[inline(always)]
    pub(crate) const fn sending(octets: [u8; N], end: u16, secret: (u16, u16), then: u16) -> Self {
        Self {
            octets,
            cursor: Cursor {
                start: 0,
                end,
                missing: 0,
                then,
                secret,
                sending: true,
                eof: false,
            },
        }
    }

    /// How many octets are missing up to the next decision, if input is due.
    #[inline]
    pub(crate) const fn missing(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.cursor.missing as usize)
    }

    /// Takes input that does not reach the next decision; `None` for any other.
    #[inline]
    pub(crate) fn take_short(&mut self, input: &[u8]) -> Option<usize> {
        // The first octet is never short: it may be of a wrong version, and is then not taken.
        if self.cursor.end == 0 || input.len() >= usize::from(self.cursor.missing) {
            return None;
        }
        self.append(input);
        Some(input.len())
    }

    /// Takes the octets of the message in progress and not one more, and says how many.
    ///
    /// `decode` reads the message from its first octet on; it must never find a fault in a part of what it
    /// called complete. A fault of the very first octet leaves that octet untaken.
    #[inline]
    pub(crate) fn receive<E>(
        &mut self,
        input: &[u8],
        decode: impl Fn(&[u8]) -> Result<Decoded<()>, E> + Copy,
    ) -> Received<E> {
        if self.cursor.end == 0 {
            if let Ok(Decoded::Complete { consumed, .. }) = decode(input) {
                self.append(input.get(..consumed).unwrap_or(input));
                self.cursor.missing = 0;
                return Received::Message(consumed);
            }
        }
        self.receive_stepwise(input, decode)
    }

    /// From decision to decision, so that nothing is taken behind a fault.
    #[inline(never)]
    fn receive_stepwise<E>(
        &mut self,
        input: &[u8],
        decode: impl Fn(&[u8]) -> Result<Decoded<()>, E>,
    ) -> Received<E> {
        if self.cursor.end == 0 {
            let Some(first) = input.get(..1) else {
                return Received::Partial(0);
            };
            if let Err(fault) = decode(first) {
                self.cursor.missing = 0;
                return Received::Fault(0, fault);
            }
        }
        let mut rest = input;
        while let Some((now, later)) = rest.split_at_checked(usize::from(self.cursor.missing)) {
            self.append(now);
            rest = later;
            match decode(self.received()) {
                Ok(Decoded::Incomplete { needed }) => self.cursor.missing = needed.get() as u16,
                Ok(Decoded::Complete { .. }) => return Received::Message(input.len() - rest.len()),
                Err(fault) => return Received::Fault(input.len() - rest.len(), fault),
            }
        }
        self.append(rest);
        Received::Partial(input.len())
    }

    #[inline]
    fn append(&mut self, input: &[u8]) {
        let end = usize::from(self.cursor.end);
        if let [octet] = *input {
            if let Some(slot) = self.octets.get_mut(end) {
                *slot = octet;
            }
        } else if let Some(slots) = self.octets.get_mut(end..end + input.len()) {
            copy(input, slots);
        }
        self.cursor.end += input.len() as u16;
        self.cursor.missing = self.cursor.missing.wrapping_sub(input.len() as u16);
    }

    /// The octets of the message so far.
    #[inline]
    pub(crate) fn received(&self) -> &[u8] {
        range(&self.octets, 0, self.cursor.end)
    }

    /// The octets from `start` to `end`, whatever they are.
    #[inline]
    pub(crate) fn octets(&self, start: u16, end: u16) -> &[u8] {
        range(&self.octets, start, end)
    }

    /// Waits for a new message, with `missing` octets up to its first decision.
    #[inline]
    pub(crate) fn want(&mut self, missing: u16) {
        self.cursor.want(missing);
    }

    /// Sends `message` in the place of all that stands here, then wants a message as
    /// [`want`](Self::want) does; none if `then` is 0.
    #[inline]
    pub(crate) fn send_message(&mut self, message: &impl Encode, then: u16) {
        let end = push(&mut self.octets, 0, message);
        self.send(0, end, then);
    }

    /// Sends the octets from `start` to `end`, then wants a message as [`want`](Self::want) does.
    #[inline]
    pub(crate) fn send(&mut self, start: u16, end: u16, then: u16) {
        self.cursor.start = start;
        self.cursor.end = end;
        self.cursor.missing = 0;
        self.cursor.then = then;
        self.cursor.sending = start < end;
    }

    /// Whether octets are to be sent before anything else.
    #[inline]
    pub(crate) const fn is_sending(&self) -> bool {
        self.cursor.sending
    }

    /// The octets that are to be sent.
    #[inline]
    pub(crate) fn transmit(&mut self) -> Transmit<'_> {
        Transmit {
            octets: &mut self.octets,
            cursor: &mut self.cursor,
        }
    }

    /// No input will come any more.
    #[inline]
    pub(crate) fn handle_eof(&mut self) {
        self.cursor.eof = true;
        self.cursor.missing = 0;
    }

    /// The octets received, and those that will be up to the next decision, are credentials.
    #[inline]
    pub(crate) fn mark_received_secret(&mut self) {
        self.cursor.secret = (0, self.cursor.end + self.cursor.missing);
    }

    /// Overwrites the credentials.
    #[inline]
    pub(crate) fn wipe_secret(&mut self) {
        self.cursor.wipe_secret(&mut self.octets);
    }
}

impl<const N: usize> Drop for Buffer<N> {
    #[inline]
    fn drop(&mut self) {
        self.wipe_secret();
    }
}

impl Cursor {
    #[inline]
    fn want(&mut self, missing: u16) {
        self.start = 0;
        self.end = 0;
        self.missing = if self.eof { 0 } else { missing };
    }

    #[inline]
    fn wipe_secret(&mut self, octets: &mut [u8]) {
        let (start, end) = core::mem::take(&mut self.secret);
        if start < end {
            if let Some(secret) = octets.get_mut(usize::from(start)..usize::from(end)) {
                secret.zeroize();
            }
        }
    }
}

/// The octets from `start` to `end`, which is not beyond them.
#[inline]
fn range(octets: &[u8], start: u16, end: u16) -> &[u8] {
    let end = usize::from(end).min(octets.len());
    octets.get(usize::from(start).min(end)..end).unwrap_or_default()
}

/// Octets to send, in this order, before anything else is done.
///
/// They move with the machine: a completion-based event loop copies them out. Over an encapsulated stream,
/// [`sent`](Self::sent) means handed on.
///
/// With feature `bytes` this is also a `bytes::Buf`, so that `write_all_buf` and its like can drain it:
///
/// ```
/// # #[cfg(feature = "bytes")] {
/// use bytes::Buf;
/// use sans_socks::{server, Method};
///
/// let mut handshake = server::Handshake::new();
/// handshake.handle_input(&[5, 1, 0]);
/// if let server::Output::SelectMethod(select) = handshake.poll_output() {
///     select.select_preferred(&[Method::NO_AUTHENTICATION]);
/// }
/// if let server::Output::Transmit(mut transmit) = handshake.poll_output() {
///     assert_eq!(transmit.copy_to_bytes(transmit.remaining())[..], [5, 0]);
/// }
/// assert!(matches!(handshake.poll_output(), server::Output::NeedInput { .. }));
/// # }
/// ```
#[must_use = "the octets are due until `sent` says that they are gone"]
pub struct Transmit<'a> {
    octets: &'a mut [u8],
    cursor: &'a mut Cursor,
}

impl Transmit<'_> {
    /// The octets that have not been sent; never empty when it comes from `poll_output`.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        range(self.octets, self.cursor.start, self.cursor.end)
    }

    /// The first `n` of them are gone; all, if there are fewer.
    #[inline]
    pub fn sent(mut self, n: usize) {
        self.skip(n);
    }

    #[inline]
    fn skip(&mut self, n: usize) {
        let left = usize::from(self.cursor.end - self.cursor.start);
        if n < left {
            self.cursor.start += n as u16;
        } else if self.cursor.sending {
            self.finish();
        }
    }

    #[inline]
    fn finish(&mut self) {
        self.cursor.sending = false;
        if (1..=self.cursor.end).contains(&self.cursor.secret.1) {
            self.cursor.wipe_secret(self.octets);
        }
        self.cursor.want(self.cursor.then);
    }
}

#[cfg(feature = "bytes")]
impl bytes::Buf for Transmit<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.bytes().len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.bytes()
    }

    /// As [`Transmit::sent`], with the same clamp.
    #[inline]
    fn advance(&mut self, n: usize) {
        self.skip(n);
    }
}

/// How many octets are left, not which: a client's may be a password.
impl fmt::Debug for Transmit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transmit({} octets)", self.bytes().len())
    }
}
