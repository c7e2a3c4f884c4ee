//! A client and a server over smoltcp, a TCP/IP stack for bare metal: no allocation, 64-byte buffers.
//!
//! ```text
//! cargo run --no-default-features --example no_alloc
//! ```

use sans_socks::{Address, Command, Io, Machine, Method, ReplyCode, Request, client, server};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

/// Sends and receives until there is a decision, or until the socket cannot do what the machine needs next.
///
/// The machine never consumes bytes that follow the handshake, so it reads directly from the socket's buffer.
fn advance<'m, M: Machine>(machine: &'m mut M, socket: &mut Socket<'_>) -> Option<M::Decision<'m>> {
    while let Some(io) = machine.poll_io() {
        match io {
            Io::Transmit(transmit) => match socket.send_slice(transmit.as_bytes()).ok()? {
                0 => return None,
                n => transmit.sent(n),
            },
            Io::NeedInput { .. } => {
                match socket.recv(|bytes| (machine.handle_input(bytes), bytes.is_empty())) {
                    Ok(is_empty) if is_empty => return None,
                    Ok(_) => {}
                    Err(RecvError::Finished) => machine.handle_eof(),
                    Err(RecvError::InvalidState) => return None, // the socket is not connected yet
                }
            }
        }
    }
    machine.poll_decision()
}

/// Returns whether the tunnel is established.
fn serve(handshake: &mut server::Handshake, socket: &mut Socket<'_>) -> bool {
    use server::Decision;
    while let Some(decision) = advance(handshake, socket) {
        match decision {
            Decision::SelectMethod(select) => select.select_preferred(&[Method::NO_AUTHENTICATION]),
            // A real server dials here, and returns while the dial is pending. The next call gets the token again.
            Decision::PendingRequest(pending) if pending.request().command == Command::CONNECT => {
                pending.accept(Address::UNSPECIFIED);
            }
            Decision::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
            Decision::Established(_) => return true,
            _ => {
                socket.close(); // the refusal has been sent
                return false;
            }
        }
    }
    false
}

const MESSAGE: &[u8] =
    b"There and back again, through a tunnel whose ends hold no more than 64 bytes at a time.";

/// Sends the message through the tunnel, and returns `Some` when all of it has been echoed.
fn run() -> Option<()> {
    let mut device = Loopback(None);
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::ZERO);
    let host = IpAddress::v4(127, 0, 0, 1);
    interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(host, 8)).unwrap_or_default());
    let mut buffers = [[0; 64]; 4];
    let [a, b, c, d] = buffers
        .each_mut()
        .map(|buffer| SocketBuffer::new(&mut buffer[..]));
    let (mut near, mut far) = (Socket::new(a, b), Socket::new(c, d));
    far.listen(1080).ok()?;
    near.connect(interface.context(), (host, 1080), 49152).ok()?;
    let mut sockets = [SocketStorage::EMPTY; 2];
    let mut sockets = SocketSet::new(&mut sockets[..]);
    let (near, far) = (sockets.add(near), sockets.add(far));

    let request = Request::connect(Address::try_from("a.example:7").ok()?);
    let mut client = client::Handshake::new(&request, client::Auth::none());
    let mut server = server::Handshake::new();
    let (mut sent, mut received) = (0, 0);
    // The deadline is 10 s. A server has one for each handshake, and aborts a socket that exceeds it.
    for now in 0..10_000 {
        interface.poll(Instant::from_millis(now), &mut device, &mut sockets);
        let socket = sockets.get_mut::<Socket<'_>>(far);
        if serve(&mut server, socket) {
            // Instead of a target, the server echoes.
            let (mut chunk, room) = ([0; 64], socket.send_capacity() - socket.send_queue());
            match socket.recv_slice(&mut chunk[..room]) {
                Ok(n) => socket.send_slice(&chunk[..n]).ok().map(drop)?,
                Err(_) => socket.close(),
            }
        }
        let socket = sockets.get_mut::<Socket<'_>>(near);
        match advance(&mut client, socket) {
            Some(client::Decision::Established(_)) => {}
            Some(_) => return None,
            None => continue,
        }
        sent += socket.send_slice(&MESSAGE[sent..]).unwrap_or(0);
        if sent == MESSAGE.len() {
            socket.close();
        }
        let rest = &MESSAGE[received..];
        match socket.recv(|bytes| (bytes.len(), rest.starts_with(bytes).then_some(bytes.len()))) {
            Ok(n) => received += n?,
            Err(_) => return rest.is_empty().then_some(()),
        }
    }
    None
}

/// A loopback device that holds one packet. smoltcp's own loopback device needs an allocator.
struct Loopback(Option<Packet>);

struct Packet {
    bytes: [u8; MTU],
    len: usize,
}

const MTU: usize = 576;

impl Device for Loopback {
    type RxToken<'t> = Packet;
    type TxToken<'t> = &'t mut Self;

    fn receive(&mut self, _: Instant) -> Option<(Packet, &mut Self)> {
        let packet = self.0.take()?;
        Some((packet, self))
    }

    fn transmit(&mut self, _: Instant) -> Option<&mut Self> {
        self.0.is_none().then_some(self)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ip, MTU);
        capabilities
    }
}

impl RxToken for Packet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.bytes[..self.len])
    }
}

impl TxToken for &mut Loopback {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let packet = self.0.insert(Packet { bytes: [0; MTU], len });
        write(&mut packet.bytes[..len])
    }
}

/// Fails if anything was allocated, by smoltcp or by this crate.
fn main() {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = run());
    assert!(result.is_some(), "the tunnel failed");
    assert_eq!(counted.count_total, 0, "something was allocated");
    println!("{}", MESSAGE.escape_ascii());
}
