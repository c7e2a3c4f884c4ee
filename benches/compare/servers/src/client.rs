//! The client's side of one connection: handshake, 1 KiB there and back, close.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use sans_socks::Request;
use sans_socks::client::{Auth, Handshake, Output};

/// The bytes sent through the tunnel, which must be echoed.
pub(crate) const ECHO: [u8; 1024] = {
    let mut bytes = [0; 1024];
    let mut n = 0;
    while n < bytes.len() {
        bytes[n] = (n * 31 % 251) as u8;
        n += 1;
    }
    bytes
};

/// A handshake for a tunnel to `target`.
pub(crate) fn handshake(target: SocketAddr) -> Handshake {
    Handshake::new(&Request::connect(target.into()), Auth::none())
}

/// Advances a handshake on a blocking or non-blocking stream. Returns how many bytes of the last read follow the reply.
pub(crate) fn shake_hands(
    handshake: &mut Handshake,
    stream: &mut (impl Read + Write),
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        if let Some(early) = step(handshake, stream, buffer)? {
            return Ok(early);
        }
    }
}

/// Performs one step of a handshake. Once it is established, returns how many bytes follow the reply.
fn step(
    handshake: &mut Handshake,
    stream: &mut (impl Read + Write),
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    match handshake.poll_output() {
        Output::Transmit(transmit) => {
            let n = stream.write(transmit.as_bytes())?;
            transmit.sent(n);
        }
        Output::NeedInput { .. } => {
            let n = stream.read(buffer)?;
            if n == 0 {
                handshake.handle_eof();
            }
            let taken = handshake.handle_input(&buffer[..n]);
            if let Output::Established(_) = handshake.poll_output() {
                return Ok(Some(n - taken));
            }
        }
        Output::Negotiate(negotiate) => negotiate.reject(),
        Output::Bound(bound) => bound.wait_for_peer(),
        Output::Established(_) => return Ok(Some(0)),
        Output::Closed(error) => return Err(error.into()),
    }
    Ok(None)
}

/// A connection of an event loop.
pub(crate) struct Session {
    pub(crate) stream: TcpStream,
    handshake: Handshake,
    started: Instant,
    /// The time from the start to the server's reply.
    pub(crate) established: Option<Duration>,
    sent: usize,
    received: usize,
}

impl Session {
    pub(crate) fn start(proxy: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            started: Instant::now(),
            stream: TcpStream::connect(proxy)?,
            handshake: handshake(target),
            established: None,
            sent: 0,
            received: 0,
        })
    }

    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Advances until the end of the echo, or `WouldBlock`.
    ///
    /// The target closes first, so its port and the proxy's listening port get the state TIME_WAIT. At a client's port, that
    /// state would block one of the few ephemeral ports for a minute.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.established.is_none() {
            if shake_hands(&mut self.handshake, &mut self.stream, buffer)? != 0 {
                return Err(io::Error::other("bytes from a target that has sent none"));
            }
            self.established = Some(self.age());
        }
        while self.sent < ECHO.len() {
            self.sent += self.stream.write(&ECHO[self.sent..])?;
        }
        loop {
            let n = self.stream.read(buffer)?;
            if n == 0 {
                break;
            }
            if !ECHO[self.received..].starts_with(&buffer[..n]) {
                return Err(io::Error::other("the echo differs"));
            }
            self.received += n;
        }
        if self.received < ECHO.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Advances to the middle of the handshake, where the server has selected a method and waits for the request.
    pub(crate) fn advance_half_way(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while !self.is_half_way() {
            step(&mut self.handshake, &mut self.stream, buffer)?;
        }
        Ok(())
    }

    pub(crate) fn is_half_way(&self) -> bool {
        self.handshake.method().is_some()
    }

    /// Checks that the server has ended the connection. Returns `WouldBlock` while it has not.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match self.stream.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("bytes that the client did not ask for")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }
}
