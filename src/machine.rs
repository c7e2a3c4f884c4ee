//! What all state machines have in common: input and output.

use core::num::NonZeroUsize;

use crate::transmit::Transmit;

/// The input or output that is pending.
#[expect(
    clippy::exhaustive_enums,
    reason = "there is no third kind of input and output"
)]
#[derive(Debug)]
#[must_use]
pub enum Io<'a> {
    /// Send these bytes.
    Transmit(Transmit<'a>),
    /// Pass received bytes to [`Machine::handle_input`]. Read from the stream if you have none.
    ///
    /// Flush a buffered or encrypted stream before you read.
    NeedInput {
        /// How many bytes the machine can use now. Fewer are fine. If you read at most this many, the machine consumes
        /// all of them, except a wrong version byte and what follows it.
        needed: NonZeroUsize,
    },
}

/// A state machine of this crate: a handshake of either role, or a GSSAPI negotiation.
///
/// Input and output are the same for every machine. Decisions differ between machines, and the caller makes them. With
/// this trait, one function can do the input and output of all machines. [`advance`](Self::advance) and
/// [`advance_exact`](Self::advance_exact) are such functions, over any [`Read`](std::io::Read) and
/// [`Write`](std::io::Write). They need feature `std`:
///
/// ```
/// # #[cfg(feature = "std")] {
/// use sans_socks::client::{Auth, Decision, Handshake};
/// use sans_socks::{Address, Machine, Request};
/// use std::io::{self, Read, Write};
///
/// /// Connects to `target` through the proxy at the other end of `stream`.
/// fn connect(stream: &mut (impl Read + Write), target: Address<'_>) -> io::Result<()> {
///     let mut handshake = Handshake::new(&Request::connect(target), Auth::none());
///     match handshake.advance_exact(stream)? {
///         Decision::Established(_) => Ok(()),
///         Decision::Closed(error) => Err(error.into()),
///         _ => Err(io::ErrorKind::Unsupported.into()), // if you offer another method or request BIND
///     }
/// }
/// # }
/// ```
///
/// An asynchronous program needs its own function. This one is for tokio:
///
/// ```
/// # #[cfg(not(all(feature = "std", feature = "bytes")))] fn main() {}
/// # #[cfg(all(feature = "std", feature = "bytes"))] mod program {
#[doc = include_str!("guide/advance.rs")]
/// # pub async fn run() -> std::io::Result<()> {
/// #     use bytes::BytesMut;
/// #     use tokio::io::AsyncWriteExt;
/// #     use sans_socks::client::{Auth, Decision, Handshake};
/// #     use sans_socks::{Address, Request};
/// #     let (mut stream, mut far) = tokio::io::duplex(64);
/// #     far.write_all(b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0banner").await?;
/// #     let mut carry = BytesMut::new();
/// #     let mut handshake = Handshake::new(&Request::connect(Address::UNSPECIFIED), Auth::none());
/// #     let decision = advance(&mut handshake, &mut stream, &mut carry).await?;
/// #     assert!(matches!(decision, Decision::Established(_)));
/// #     assert_eq!(carry, b"banner"[..]);
/// #     Ok(())
/// # }
/// # }
/// # #[cfg(all(feature = "std", feature = "bytes"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// #     program::run().await
/// # }
/// ```
///
/// This trait is sealed.
pub trait Machine: private::Sealed {
    /// The decisions of the caller, and the two final outcomes: `Established` and `Closed`.
    type Decision<'a>
    where
        Self: 'a;

    /// Consumes bytes from the peer, up to the end of the message in progress. Returns how many.
    ///
    /// Keep the rest: it belongs to a later call or to the tunnel. Unless [`Io::NeedInput`] is pending, nothing is
    /// consumed. Poll again after every call, even if it returns 0. A wrong version byte ends the handshake without being
    /// consumed, so that you can pass the stream to the handler of another protocol.
    #[must_use = "what was not consumed belongs to a later call or to the tunnel"]
    fn handle_input(&mut self, input: &[u8]) -> usize;

    /// Notes that the peer has ended its side of the connection.
    ///
    /// If a decision is pending, the machine first waits for your answer. If output is pending, it waits until the
    /// bytes are sent. The reason is that a client may half-close after its request. As soon as the machine needs more
    /// input, it closes with `UnexpectedEof`.
    ///
    /// The machine still consumes the bytes that you received before the end. If it did not consume all the bytes
    /// that you offered, it asks for the rest. If you hold received bytes that you have not offered yet, offer them before
    /// you poll again.
    ///
    /// If you negotiated a method yourself, and that negotiation consumed the rest of the bytes, pass an empty slice to
    /// [`handle_input`](Self::handle_input). This means that you hold no more bytes. While
    /// [`Io::NeedInput`] is pending, a second call of `handle_eof` does the same. At any other time, it does nothing.
    fn handle_eof(&mut self);

    /// Returns the pending input or output, or `None` if a decision is pending.
    ///
    /// Until you perform it, further calls return the same.
    ///
    /// ```
    /// use sans_socks::{Io, Machine};
    ///
    /// /// Returns whether to wait for a readable socket, or `None` if the socket does not matter now.
    /// fn waits_for_input(machine: &mut impl Machine) -> Option<bool> {
    ///     Some(match machine.poll_io()? {
    ///         Io::NeedInput { .. } => true,
    ///         Io::Transmit(_) => false, // for a writable one
    ///     })
    /// }
    /// # assert_eq!(waits_for_input(&mut sans_socks::server::Handshake::new()), Some(true));
    /// ```
    fn poll_io(&mut self) -> Option<Io<'_>>;

    /// Returns the pending decision, or `None` if input or output is pending.
    ///
    /// Exactly one of `poll_io` and `poll_decision` returns `Some`. Until you answer the decision, further calls return
    /// the same one.
    ///
    /// ```
    /// use sans_socks::server::{Decision, Handshake};
    /// use sans_socks::{Machine, Method};
    ///
    /// let mut handshake = Handshake::new();
    /// assert!(handshake.poll_decision().is_none());
    /// assert_eq!(handshake.handle_input(&[5, 1, 0]), 3);
    /// if let Some(Decision::SelectMethod(select)) = handshake.poll_decision() {
    ///     select.select_preferred(&[Method::NO_AUTHENTICATION]);
    /// }
    /// assert!(handshake.poll_decision().is_none()); // the selection is to be sent
    /// ```
    fn poll_decision(&mut self) -> Option<Self::Decision<'_>>;

    /// Consumes bytes from the peer as [`handle_input`](Self::handle_input) does, and advances `input` past them.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use sans_socks::Machine;
    /// use sans_socks::server::Handshake;
    ///
    /// let mut received = BytesMut::from(&b"\x05\x01\0\x05\x01"[..]);
    /// Handshake::new().handle_buf(&mut received);
    /// assert_eq!(received, b"\x05\x01"[..]); // the request begins here: first the server selects a method
    /// ```
    #[cfg(feature = "bytes")]
    fn handle_buf(&mut self, input: &mut impl bytes::Buf) {
        loop {
            match self.handle_input(input.chunk()) {
                0 => break,
                n => input.advance(n),
            }
            if !input.has_remaining() {
                break;
            }
        }
    }

    /// Sends, flushes and reads until there is a decision, and returns it.
    ///
    /// `carry` holds the bytes that were read and not yet consumed. Start with an empty one, and pass the same one to every
    /// call. After the handshake it holds the first bytes of the tunnel. Consumed bytes, which may be credentials, are
    /// overwritten in it.
    ///
    /// Reads up to 1,024 bytes at a time. The stream is flushed before each read and before each decision.
    ///
    /// # Errors
    ///
    /// The first error of `stream`, including `WouldBlock` and `Interrupted`, or `WriteZero` if `stream` accepts no bytes.
    /// You may call again: the machine and `carry` continue where they stopped. A failed handshake is not an error here,
    /// but the decision `Closed`.
    #[cfg(feature = "std")]
    fn advance<S: std::io::Read + std::io::Write + ?Sized>(
        &mut self,
        stream: &mut S,
        carry: &mut alloc::vec::Vec<u8>,
    ) -> std::io::Result<Self::Decision<'_>> {
        let mut chunk = zeroize::Zeroizing::new([0; CHUNK]);
        while let Some(io) = self.poll_io() {
            match io {
                Io::Transmit(transmit) => transmit.write_to(stream)?,
                Io::NeedInput { .. } if carry.is_empty() => {
                    stream.flush()?;
                    let read = read(stream, &mut chunk[..])?;
                    let consumed = handle_read(self, read);
                    carry.extend_from_slice(read.get(consumed..).unwrap_or_default());
                }
                Io::NeedInput { .. } => {
                    let consumed = self.handle_input(carry);
                    consume(carry, consumed);
                }
            }
        }
        stream.flush()?;
        decided(self.poll_decision())
    }

    /// Sends, flushes and reads until there is a decision, and returns it. Never reads past the handshake.
    ///
    /// Reads at most [`needed`](Io::NeedInput) bytes at a time, so after the handshake, the next byte in `stream` is the first
    /// of the tunnel. Use it to pass on the bare stream, for instance to a TLS client or a second proxy. It takes more reads
    /// than [`advance`](Self::advance): by default, four to eight for CONNECT in SOCKS5. A server of SOCKS4 reads user
    /// id and name byte by byte.
    ///
    /// If the peer speaks another protocol, the bytes read up to that point are lost. Use [`advance`](Self::advance) if you
    /// pass such connections to another handler.
    ///
    /// # Errors
    ///
    /// Those of [`advance`](Self::advance). Here too, you may call again: the machine continues where it stopped.
    #[cfg(feature = "std")]
    fn advance_exact<S: std::io::Read + std::io::Write + ?Sized>(
        &mut self,
        stream: &mut S,
    ) -> std::io::Result<Self::Decision<'_>> {
        let mut chunk = zeroize::Zeroizing::new([0; CHUNK]);
        while let Some(io) = self.poll_io() {
            match io {
                Io::Transmit(transmit) => transmit.write_to(stream)?,
                Io::NeedInput { needed } => {
                    stream.flush()?;
                    let needed = needed.get().min(CHUNK);
                    let read = read(stream, chunk.get_mut(..needed).unwrap_or_default())?;
                    let _ = handle_read(self, read);
                }
            }
        }
        stream.flush()?;
        decided(self.poll_decision())
    }
}

/// How many bytes `advance` and `advance_exact` read at most at a time.
#[cfg(feature = "std")]
const CHUNK: usize = 1024;

#[cfg(feature = "std")]
fn read<'a>(stream: &mut (impl std::io::Read + ?Sized), chunk: &'a mut [u8]) -> std::io::Result<&'a [u8]> {
    let n = stream.read(chunk)?;
    Ok(chunk.get(..n).unwrap_or(chunk))
}

/// Passes the bytes of one read to the machine. An empty read is the end of input.
#[cfg(feature = "std")]
fn handle_read(machine: &mut (impl Machine + ?Sized), read: &[u8]) -> usize {
    if read.is_empty() {
        machine.handle_eof();
    }
    machine.handle_input(read)
}

/// Removes the first `n` bytes and moves the rest to the front. Overwrites the old bytes after the new end.
#[cfg(feature = "std")]
fn consume(carry: &mut alloc::vec::Vec<u8>, n: usize) {
    use zeroize::Zeroize;

    let n = n.min(carry.len());
    let left = carry.len() - n;
    carry.rotate_left(n);
    carry.get_mut(left..).unwrap_or_default().zeroize();
    carry.truncate(left);
}

/// Exactly one of `poll_io` and `poll_decision` returns `Some`, so the error does not occur.
#[cfg(feature = "std")]
fn decided<D>(decision: Option<D>) -> std::io::Result<D> {
    debug_assert!(decision.is_some(), "a machine has input, output or a decision");
    decision.ok_or_else(|| std::io::ErrorKind::Other.into())
}

pub(crate) mod private {
    #[expect(unnameable_types, reason = "this is what seals `Machine`")]
    pub trait Sealed {}
}
