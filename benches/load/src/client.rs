//! The client's side of one connection: handshake, 1 KiB there and back, close.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use nix::errno::Errno;
use nix::libc::linger;
use nix::sys::socket::sockopt::{IpBindAddressNoPort, Linger};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, setsockopt, socket,
};
use sans_socks::Request;
use sans_socks::client::{Auth, Handshake, Output};

/// What is sent through the tunnel and has to come back.
pub(crate) const ECHO: [u8; 1024] = {
    let mut octets = [0; 1024];
    let mut n = 0;
    while n < octets.len() {
        octets[n] = (n * 31 % 251) as u8;
        n += 1;
    }
    octets
};

/// A handshake for a tunnel to `target`.
pub(crate) fn handshake(target: SocketAddr) -> Handshake {
    Handshake::new(&Request::connect(target.into()), Auth::none())
}

/// Goes on with a handshake on a stream of either kind; `WouldBlock` comes from the stream. Gives how many octets stand
/// at the end of what was read last that came behind the reply, as a range of `buffer`.
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

/// One step of a handshake. When it is established: how many octets came behind the reply.
fn step(
    handshake: &mut Handshake,
    stream: &mut (impl Read + Write),
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    match handshake.poll_output() {
        Output::Transmit(octets) => {
            let n = stream.write(octets.bytes())?;
            octets.sent(n);
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
        Output::Negotiate(negotiate) => negotiate.abandon(),
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
    /// How long it took from the start to the server's reply.
    pub(crate) established: Option<Duration>,
    sent: usize,
    received: usize,
}

impl Session {
    pub(crate) fn start(source: Ipv4Addr, proxy: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            started: Instant::now(),
            stream: connect_from(source, proxy)?,
            handshake: handshake(target),
            established: None,
            sent: 0,
            received: 0,
        })
    }

    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Goes on, to the last octet of the echo, or `WouldBlock`.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.established.is_none() {
            if shake_hands(&mut self.handshake, &mut self.stream, buffer)? != 0 {
                return Err(io::Error::other("octets from a target that has sent none"));
            }
            self.established = Some(self.age());
        }
        while self.sent < ECHO.len() {
            self.sent += self.stream.write(&ECHO[self.sent..])?;
        }
        while self.received < ECHO.len() {
            let n = self.stream.read(buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !ECHO[self.received..].starts_with(&buffer[..n]) {
                return Err(io::Error::other("the echo differs"));
            }
            self.received += n;
        }
        Ok(())
    }

    /// Goes on, up to the middle of the handshake: the server has selected a method, and waits for the request.
    pub(crate) fn advance_half_way(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while !self.is_half_way() {
            step(&mut self.handshake, &mut self.stream, buffer)?;
        }
        Ok(())
    }

    pub(crate) fn is_half_way(&self) -> bool {
        self.handshake.method().is_some()
    }

    /// Whether the server has ended it; `WouldBlock` while it has not.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match self.stream.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("octets that the server owes nobody")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn reset_when_closed(&self) -> io::Result<()> {
        let linger = linger {
            l_onoff: 1,
            l_linger: 0,
        };
        Ok(setsockopt(&self.stream, Linger, &linger)?)
    }
}

/// From `source`. The port is chosen when it connects, so that the same one may lead to several servers.
fn connect_from(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    bind(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(source, 0)),
    )?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from_std(socket.into())),
        Err(error) => Err(error.into()),
    }
}
