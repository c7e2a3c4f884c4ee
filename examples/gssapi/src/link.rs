//! A blocking stream, and the layer over it after the negotiation.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sans_socks::gssapi::{Context, Decision, Encapsulation, Error, Negotiator, ProtectionLevel};
use sans_socks::{Io, Machine};

/// The layer over a socket: none at first, then the encapsulation.
///
/// Both directions share one context. Neither direction locks the context while waiting for the socket.
pub struct Layer<C>(Mutex<Option<Encapsulation<C>>>);

/// No layer yet.
impl<C> Default for Layer<C> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<C> Layer<C>
where
    C: Context<Error: std::error::Error + Send + Sync + 'static>,
{
    fn lock(&self) -> MutexGuard<'_, Option<Encapsulation<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all of `plain`.
    ///
    /// # Errors
    ///
    /// Those of the encapsulation, which end the stream, and those of `to`.
    pub fn send(&self, to: &mut impl Write, plain: &[u8]) -> io::Result<()> {
        let mut wire = Vec::new();
        match self.lock().as_mut() {
            Some(layer) => layer.encapsulate(plain, &mut wire)?,
            None => wire.extend_from_slice(plain),
        }
        to.write_all(&wire)
    }

    /// Reads once, and appends the plaintext of every frame that is complete to `plain`. Returns `false` at the end of
    /// the stream.
    ///
    /// # Errors
    ///
    /// Those of the encapsulation, which end the stream, and those of `from`.
    pub fn receive(&self, from: &mut impl Read, plain: &mut Vec<u8>) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let n = from.read(&mut chunk)?;
        if n == 0 {
            if let Some(layer) = self.lock().as_mut() {
                layer.handle_eof()?;
            }
            return Ok(false);
        }
        self.open(&chunk[..n], plain)?;
        Ok(true)
    }

    fn open(&self, mut wire: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
        match self.lock().as_mut() {
            Some(layer) => {
                while !wire.is_empty() {
                    let consumed = layer.decapsulate(wire, plain)?;
                    wire = &wire[consumed..];
                }
            }
            None => plain.extend_from_slice(wire),
        }
        Ok(())
    }

    /// Appends `plain` to `datagram` in the form for the network.
    ///
    /// # Errors
    ///
    /// Those of [`Encapsulation::encapsulate_datagram`].
    pub fn seal_datagram(&self, plain: &[u8], datagram: &mut Vec<u8>) -> Result<(), Error<C::Error>> {
        match self.lock().as_mut() {
            Some(layer) => layer.encapsulate_datagram(plain, datagram),
            None => {
                datagram.extend_from_slice(plain);
                Ok(())
            }
        }
    }

    /// Appends the plaintext of a datagram from the network to `plain`.
    ///
    /// # Errors
    ///
    /// Those of [`Encapsulation::decapsulate_datagram`].
    pub fn open_datagram(&self, datagram: &[u8], plain: &mut Vec<u8>) -> Result<(), Error<C::Error>> {
        match self.lock().as_mut() {
            Some(layer) => layer.decapsulate_datagram(datagram, plain),
            None => {
                plain.extend_from_slice(datagram);
                Ok(())
            }
        }
    }
}

/// A stream during the handshake, its layer, and the bytes that were read and not consumed.
pub struct Link<C> {
    /// The connection to the peer.
    pub stream: TcpStream,
    /// The layer that protects its bytes, if there is one.
    pub layer: Layer<C>,
    /// The bytes that were read and not consumed. They become the first bytes of the tunnel.
    pub carry: Vec<u8>,
    /// How long [`receive`](Self::receive) waits.
    pub deadline: Option<Instant>,
}

impl<C> Link<C>
where
    C: Context<Error: std::error::Error + Send + Sync + 'static>,
{
    /// Begins without a layer.
    #[must_use]
    pub fn new(stream: TcpStream, deadline: Option<Instant>) -> Self {
        Self {
            stream,
            layer: Layer::default(),
            carry: Vec::new(),
            deadline,
        }
    }

    /// Sends and reads until `machine` returns a decision. The machine is a handshake or, before there is a layer, a
    /// negotiation.
    ///
    /// # Errors
    ///
    /// Those of [`Layer::send`] and [`receive`](Self::receive).
    pub fn advance<'m, M: Machine>(&mut self, machine: &'m mut M) -> io::Result<M::Decision<'m>> {
        while let Some(io) = machine.poll_io() {
            match io {
                Io::Transmit(transmit) => {
                    self.layer.send(&mut self.stream, transmit.as_bytes())?;
                    transmit.sent_all();
                }
                Io::NeedInput { .. } => {
                    if self.carry.is_empty() && !self.receive()? {
                        machine.handle_eof();
                    }
                    let consumed = machine.handle_input(&self.carry);
                    self.carry.drain(..consumed);
                }
            }
        }
        let decision = machine.poll_decision();
        debug_assert!(decision.is_some(), "a machine has input, output or a decision");
        decision.ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// Waits for more bytes in `carry`. There may be none if no frame is complete. Returns `false` at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// Those of [`Layer::receive`], and [`io::ErrorKind::TimedOut`] at the deadline.
    pub fn receive(&mut self) -> io::Result<bool> {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        match self.layer.receive(&mut self.stream, &mut self.carry) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            received => received,
        }
    }

    /// Negotiates, and puts the resulting layer over the stream.
    ///
    /// A step may wait for the key distribution centre, and blocks this thread.
    ///
    /// # Errors
    ///
    /// Those of the negotiation, and of the stream.
    pub fn negotiate(&mut self, mut negotiator: Negotiator<C>) -> io::Result<()> {
        while let Decision::Step(step) = self.advance(&mut negotiator)? {
            step.run();
        }
        let layer = negotiator.into_encapsulation()?;
        *self.layer.lock() = Some(layer);
        let wire = std::mem::take(&mut self.carry);
        self.layer.open(&wire, &mut self.carry)
    }

    /// Passes the level and the context to `ask`. Returns `None` if there is no layer.
    pub fn negotiated<T>(&self, ask: impl FnOnce(Option<ProtectionLevel>, &C) -> T) -> Option<T> {
        self.layer
            .lock()
            .as_ref()
            .map(|layer| ask(layer.level(), layer.context()))
    }
}
