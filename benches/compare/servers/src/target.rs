//! The targets of the tunnels. Each has a thread, which ends with the program.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use slab::Slab;

use crate::client::ECHO;

const LISTENER: Token = Token(usize::MAX);

/// Echoes the bytes of a client, and closes.
pub(crate) fn echo() -> io::Result<SocketAddr> {
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    thread::Builder::new().spawn(move || {
        if let Err(error) = serve_echo(&listener, &mut poll) {
            eprintln!("echo: {error}");
        }
    })?;
    Ok(address)
}

struct Echo {
    stream: TcpStream,
    received: usize,
    /// Bytes that could not be sent yet.
    pending: Vec<u8>,
}

fn serve_echo(listener: &TcpListener, poll: &mut Poll) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut connections = Slab::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(listener, poll, &mut connections)?,
                // An event may be older than the end of its connection.
                Token(key) if connections.contains(key) => match connections[key].advance(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => drop(connections.remove(key)),
                },
                _ => {}
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Slab<Echo>) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let entry = connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), both)?;
        entry.insert(Echo {
            stream,
            received: 0,
            pending: Vec::new(),
        });
    }
}

impl Echo {
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            while !self.pending.is_empty() {
                let n = self.stream.write(&self.pending)?;
                self.pending.drain(..n);
            }
            if self.received >= ECHO.len() {
                return Ok(());
            }
            let n = self.stream.read(buffer)?;
            if n == 0 {
                return Ok(());
            }
            self.received += n;
            self.pending.extend_from_slice(&buffer[..n]);
        }
    }
}

/// Sends this many bytes to each client, and closes.
pub(crate) fn source(bytes: u64) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().spawn(move || {
        for stream in listener.incoming() {
            // The other end of the tunnel reports its errors.
            let _ = stream.and_then(|stream| send(stream, bytes));
        }
    })?;
    Ok(address)
}

fn send(mut stream: std::net::TcpStream, bytes: u64) -> io::Result<()> {
    let chunk = [b'.'; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let n = left.min(chunk.len() as u64);
        stream.write_all(&chunk[..n as usize])?;
        left -= n;
    }
    Ok(())
}

/// Sends each datagram back.
pub(crate) fn udp_echo() -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    enlarge_receive_buffer(&socket)?;
    let address = socket.local_addr()?;
    thread::Builder::new().spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            // An error is an ICMP message about a server that has ended.
            if let Ok((len, source)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..len], source);
            }
        }
    })?;
    Ok(address)
}

/// Enlarges the receive buffer, so that losses of this program do not count as losses of a server.
pub(crate) fn enlarge_receive_buffer(socket: &UdpSocket) -> io::Result<()> {
    const SIZE: usize = 8 << 20;
    // Only a privileged program may exceed the system's limit.
    set_socket_recv_buffer_size_force(socket, SIZE).or_else(|_| set_socket_recv_buffer_size(socket, SIZE))?;
    Ok(())
}
