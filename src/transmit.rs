//! The bytes that a state machine wants sent.

use core::fmt;

use zeroize::Zeroize;

/// How far a message has been sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The first byte that has not been sent. Bytes are pending while it is below `end`.
    start: u32,
    end: u32,
    /// Bytes to overwrite as soon as they have been sent.
    secret: (u16, u16),
}

impl Cursor {
    pub(crate) const fn new(start: u16, end: u16, secret: (u16, u16)) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
            secret,
        }
    }

    #[inline]
    pub(crate) const fn is_sending(&self) -> bool {
        self.start < self.end
    }

    #[inline]
    pub(crate) fn send(&mut self, start: u32, end: u32) {
        self.start = start;
        self.end = end;
    }

    /// Also sends the bytes up to `end`.
    #[cfg(all(feature = "alloc", not(target_pointer_width = "16")))]
    pub(crate) fn extend(&mut self, end: u32) {
        self.end = end;
    }

    #[inline]
    pub(crate) fn set_secret(&mut self, start: u16, end: u16) {
        self.secret = (start, end);
    }

    #[inline]
    pub(crate) fn wipe_secret(&mut self, bytes: &mut [u8]) {
        let (start, end) = self.secret;
        if start < end {
            self.secret = (0, 0);
            if let Some(secret) = bytes.get_mut(start.into()..end.into()) {
                secret.zeroize();
            }
        }
    }
}

/// Bytes to send before anything else is done.
///
/// They stay pending until you confirm them, for instance with [`sent`](Self::sent). The slice that
/// [`as_bytes`](Self::as_bytes) returns points into the state machine. If the kernel reads the slice later, as with
/// io_uring, copy the bytes into your own buffer, and confirm them right after the copy. Over an encapsulated or
/// encrypted stream, confirm the bytes that the encrypting layer has accepted.
///
/// With feature `bytes` this is also a `bytes::Buf`, so that `write_all_buf` and similar functions can drain it:
///
/// ```
/// # #[cfg(feature = "bytes")] {
/// use bytes::Buf;
/// use sans_socks::{server, Method};
///
/// let mut handshake = server::Handshake::new();
/// let _ = handshake.handle_input(&[5, 1, 0]);
/// if let server::Output::SelectMethod(select) = handshake.poll_output() {
///     select.select_preferred(&[Method::NO_AUTHENTICATION]);
/// }
/// if let server::Output::Transmit(mut transmit) = handshake.poll_output() {
///     assert_eq!(transmit.copy_to_bytes(transmit.remaining())[..], [5, 0]);
/// }
/// assert!(matches!(handshake.poll_output(), server::Output::NeedInput { .. }));
/// # }
/// ```
#[must_use = "the bytes are pending until they are confirmed as sent"]
pub struct Transmit<'a> {
    bytes: &'a mut [u8],
    cursor: &'a mut Cursor,
}

impl<'a> Transmit<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a mut [u8], cursor: &'a mut Cursor) -> Self {
        Self { bytes, cursor }
    }
}

impl Transmit<'_> {
    /// Returns the bytes that have not been sent. A `Transmit` that a state machine has just returned is never
    /// empty.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let range = self.cursor.start as usize..self.cursor.end as usize;
        self.bytes.get(range).unwrap_or_default()
    }

    /// Marks the first `n` bytes as sent. Larger values mean all.
    ///
    /// ```
    /// use sans_socks::Transmit;
    /// use std::io::{self, Write};
    ///
    /// /// Writes once. The next poll returns the rest.
    /// fn send(transmit: Transmit<'_>, socket: &mut impl Write) -> io::Result<()> {
    ///     match socket.write(transmit.as_bytes())? {
    ///         0 => return Err(io::ErrorKind::WriteZero.into()),
    ///         n => transmit.sent(n),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn sent(mut self, n: usize) {
        self.skip(n);
    }

    /// Marks all bytes as sent.
    #[inline]
    pub fn sent_all(mut self) {
        self.finish();
    }

    /// Writes the bytes to `stream` until all are sent.
    ///
    /// ```
    /// use sans_socks::{Io, Machine};
    /// use std::io::{self, Write};
    ///
    /// /// Sends until the machine needs something else.
    /// fn send_all(machine: &mut impl Machine, stream: &mut impl Write) -> io::Result<()> {
    ///     while let Some(Io::Transmit(transmit)) = machine.poll_io() {
    ///         transmit.write_to(stream)?;
    ///     }
    ///     stream.flush()
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of [`write`](std::io::Write::write), including `WouldBlock` and `Interrupted`, or `WriteZero` if `stream`
    /// accepts no bytes. The bytes written before the error are marked as sent, so a second call continues after
    /// them.
    #[cfg(feature = "std")]
    pub fn write_to(mut self, stream: &mut (impl std::io::Write + ?Sized)) -> std::io::Result<()> {
        while self.cursor.is_sending() {
            match stream.write(self.as_bytes())? {
                0 => return Err(std::io::ErrorKind::WriteZero.into()),
                n => self.skip(n),
            }
        }
        Ok(())
    }

    #[inline]
    fn skip(&mut self, n: usize) {
        if n < self.as_bytes().len() {
            self.cursor.start += n as u32;
        } else {
            self.finish();
        }
    }

    #[inline]
    fn finish(&mut self) {
        self.cursor.start = self.cursor.end;
        // Was the whole secret sent? Without a secret, its end is 0, and the subtraction wraps.
        if u32::from(self.cursor.secret.1).wrapping_sub(1) < self.cursor.end {
            self.cursor.wipe_secret(self.bytes);
        }
    }
}

#[cfg(feature = "bytes")]
impl bytes::Buf for Transmit<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.as_bytes().len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.as_bytes()
    }

    /// Marks bytes as sent, with the same clamp as [`Transmit::sent`].
    #[inline]
    fn advance(&mut self, n: usize) {
        self.skip(n);
    }
}

/// Prints how many bytes are left, but not the bytes themselves, because those of a client may be a password.
impl fmt::Debug for Transmit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transmit({} bytes)", self.as_bytes().len())
    }
}
