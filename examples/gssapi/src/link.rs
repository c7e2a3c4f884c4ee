//! A blocking stream, and the layer over it as soon as there is one.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sans_socks::gssapi::{Context, Encapsulation, Error, Negotiator, Output, ProtectionLevel};

/// What is between a socket and all that is sent: nothing at first, then the encapsulation.
///
/// Both directions go through one context, and take turns with it. Nobody holds it while waiting for a socket.
pub struct Layer<C>(Mutex<Option<Encapsulation<C>>>);

/// Nothing.
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

    /// Sends all of `octets`.
    ///
    /// # Errors
    ///
    /// Those of the encapsulation, which are the stream's end, and those of `to`.
    pub fn send(&self, to: &mut impl Write, octets: &[u8]) -> io::Result<()> {
        let mut wire = Vec::new();
        match self.lock().as_mut() {
            Some(layer) => layer.encapsulate(octets, &mut wire)?,
            None => wire.extend_from_slice(octets),
        }
        to.write_all(&wire)
    }

    /// Reads once, and appends what came out to `octets`: maybe nothing yet. `false` is the stream's end.
    ///
    /// # Errors
    ///
    /// Those of the encapsulation, which are the stream's end, and those of `from`.
    pub fn receive(&self, from: &mut impl Read, octets: &mut Vec<u8>) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let n = from.read(&mut chunk)?;
        if n == 0 {
            if let Some(layer) = self.lock().as_mut() {
                layer.handle_eof()?;
            }
            return Ok(false);
        }
        self.open(&chunk[..n], octets)?;
        Ok(true)
    }

    fn open(&self, mut wire: &[u8], octets: &mut Vec<u8>) -> io::Result<()> {
        match self.lock().as_mut() {
            Some(layer) => {
                while !wire.is_empty() {
                    let taken = layer.decapsulate(wire, octets)?;
                    wire = &wire[taken..];
                }
            }
            None => octets.extend_from_slice(wire),
        }
        Ok(())
    }

    /// Appends `plain` to `datagram` as it goes over the network.
    ///
    /// # Errors
    ///
    /// It does not fit, or the stream has failed.
    pub fn seal_datagram(&self, plain: &[u8], datagram: &mut Vec<u8>) -> Result<(), Error<C::Error>> {
        match self.lock().as_mut() {
            Some(layer) => layer.encapsulate_datagram(plain, datagram),
            None => {
                datagram.extend_from_slice(plain);
                Ok(())
            }
        }
    }

    /// Appends to `plain` what is in a datagram that came from the network.
    ///
    /// # Errors
    ///
    /// It does not pass, or the stream has failed.
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

/// A stream during the handshake: its layer, and what the peer has sent and nobody has taken.
pub struct Link<C> {
    pub stream: TcpStream,
    pub layer: Layer<C>,
    /// In the end, the tunnel's first octets.
    pub carry: Vec<u8>,
    /// Up to when [`receive`](Self::receive) waits.
    pub deadline: Option<Instant>,
}

impl<C> Link<C>
where
    C: Context<Error: std::error::Error + Send + Sync + 'static>,
{
    /// Without a layer.
    #[must_use]
    pub fn new(stream: TcpStream, deadline: Option<Instant>) -> Self {
        Self {
            stream,
            layer: Layer::default(),
            carry: Vec::new(),
            deadline,
        }
    }

    /// Sends all of `octets`.
    ///
    /// # Errors
    ///
    /// Those of [`Layer::send`].
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.layer.send(&mut self.stream, octets)
    }

    /// Waits for more octets in `carry`, which may be none yet. `false` is the stream's end.
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

    /// Negotiates, and puts the layer that comes of it over the stream.
    ///
    /// A step may ask the key distribution centre, and this thread waits for that.
    ///
    /// # Errors
    ///
    /// Those of the negotiation, and of the stream.
    pub fn negotiate(&mut self, mut negotiator: Negotiator<C>) -> io::Result<()> {
        loop {
            match negotiator.poll_output() {
                Output::Transmit(octets) => {
                    let n = self.stream.write(octets.bytes())?;
                    octets.sent(n);
                }
                Output::NeedInput { .. } => {
                    if self.carry.is_empty() && !self.receive()? {
                        negotiator.handle_eof();
                    }
                    let taken = negotiator.handle_input(&self.carry);
                    self.carry.drain(..taken);
                }
                Output::Step(step) => step.run(),
                Output::Established | Output::Closed(_) => break,
            }
        }
        let layer = negotiator.into_encapsulation()?;
        *self.layer.lock() = Some(layer);
        let wire = std::mem::take(&mut self.carry);
        self.layer.open(&wire, &mut self.carry)
    }

    /// What was negotiated, and the context; `None` if nothing was.
    pub fn negotiated<T>(&self, ask: impl FnOnce(Option<ProtectionLevel>, &C) -> T) -> Option<T> {
        self.layer
            .lock()
            .as_ref()
            .map(|layer| ask(layer.level(), layer.context()))
    }
}
