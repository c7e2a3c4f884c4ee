//! UDP ASSOCIATE: sends lines as datagrams, and prints answers as lines.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use sans_socks::udp::{Datagram, Header};
use sans_socks::{Address, AddressBuf};
use sans_socks_gssapi::{Initiator, Layer, Link};

/// How long to wait for another answer after the end of stdin.
const QUIET: Duration = Duration::from_secs(1);

/// How often to check whether it has passed.
const TICK: Duration = Duration::from_millis(50);

/// Sends each line to `target` through the relay at `bound`, and prints the answers.
pub(crate) fn converse(
    link: Link<Initiator>,
    bound: Address<'_>,
    target: Address<'_>,
) -> Result<(), Box<dyn Error>> {
    let control = link.stream;
    // The relay accepts datagrams from the host of the control connection.
    let socket = UdpSocket::bind((control.local_addr()?.ip(), 0))?;
    let relay = locate(bound.or_host(control.peer_addr()?.ip()), socket.local_addr()?)?;
    socket.connect(relay)?;
    socket.set_read_timeout(Some(TICK))?;
    let layer = Arc::new(link.layer);
    let (ended, end) = channel();
    thread::spawn({
        let (layer, ended) = (Arc::clone(&layer), ended.clone());
        move || watch(&layer, control, &ended)
    });
    thread::spawn({
        let (layer, socket, target) = (Arc::clone(&layer), socket.try_clone()?, AddressBuf::from(target));
        move || ended.send(send_lines(&layer, &socket, target.as_address()))
    });

    let mut answer = vec![0; 65_535];
    let mut plain = Vec::new();
    let mut quiet = None;
    while quiet.is_none_or(|until| Instant::now() < until) {
        match end.try_recv() {
            Ok(end) => {
                end?;
                quiet = Some(Instant::now() + QUIET);
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        plain.clear();
        // An error is a timeout, or an ICMP message about an earlier datagram.
        let Ok(len) = socket.recv(&mut answer) else {
            continue;
        };
        if layer.open_datagram(&answer[..len], &mut plain).is_err() {
            continue;
        }
        if let Ok(datagram) = Datagram::decode(&plain) {
            let mut stdout = io::stdout();
            stdout.write_all(datagram.payload)?;
            stdout.write_all(b"\n")?;
            stdout.flush()?;
            quiet = quiet.map(|_| Instant::now() + QUIET);
        }
    }
    Ok(())
}

/// Waits for the end of the control connection, which ends the association.
fn watch(layer: &Layer<Initiator>, mut control: impl io::Read, ended: &Sender<io::Result<()>>) {
    let mut nothing = Vec::new();
    let end = loop {
        match layer.receive(&mut control, &mut nothing) {
            Ok(true) => nothing.clear(),
            Ok(false) => break io::Error::other("the proxy has ended the association"),
            Err(error) => break error,
        }
    };
    let _ = ended.send(Err(end));
}

fn send_lines(layer: &Layer<Initiator>, socket: &UdpSocket, target: Address<'_>) -> io::Result<()> {
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let datagram = Datagram::new(Header::standalone(target), &line);
        let mut plain = vec![0; datagram.encoded_len()];
        datagram.encode_into(&mut plain).map_err(io::Error::other)?;
        let mut sealed = Vec::new();
        layer.seal_datagram(&plain, &mut sealed)?;
        socket.send(&sealed)?;
    }
    Ok(())
}

/// Returns the address of the relay, of the same family as `local`.
fn locate(bound: Address<'_>, local: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
    if bound.port == 0 {
        return Err("no relay port in the reply of the proxy".into());
    }
    let found = bound
        .to_string()
        .to_socket_addrs()?
        .find(|relay| relay.is_ipv4() == local.is_ipv4());
    found.ok_or_else(|| format!("no route from {local} to the relay at {bound}").into())
}
