//! Connections that are of no use to anyone any more are let go.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;

use crate::process::{Process, wait_until};
use crate::raw::{BIND, CONNECT, OFFER_NONE, Raw, request};
use crate::server::Server;
use crate::target;

tests!(
    tokio_server,
    everything_is_closed_in_the_end,
    client_that_goes_during_the_dial,
    client_that_goes_before_the_peer_comes
);
tests!(
    std_server,
    everything_is_closed_in_the_end,
    client_that_goes_during_the_dial,
    client_that_goes_before_the_peer_comes
);
tests!(
    mio_server,
    everything_is_closed_in_the_end,
    client_that_goes_during_the_dial
);

fn sockets(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id()))
        .expect("the process runs")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// A listener on which a connection attempt gets no answer, neither yes nor no: its queue is full.
struct Unresponsive {
    address: SocketAddr,
    _runtime: Runtime,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Unresponsive {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = {
            let _context = runtime.enter();
            let socket = TcpSocket::new_v4().expect("a socket");
            socket
                .bind((Ipv4Addr::LOCALHOST, 0).into())
                .expect("a port on loopback");
            socket.listen(1).expect("bound")
        };
        let address = listener.local_addr().expect("bound");
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            assert!(queue.len() < 100, "a queue of 1 that is never full");
            queue.push(stream);
        }
        Self {
            address,
            _runtime: runtime,
            _listener: listener,
            _queue: queue,
        }
    }
}

/// After tunnels that each side ended, refusals, and clients that said nothing.
fn everything_is_closed_in_the_end(driver: &str) {
    let server = Server::open(driver);
    let before = sockets(&server.process);
    let echo = target::echo(Ipv4Addr::LOCALHOST);
    for _ in 0..10 {
        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, echo));
        client.expect_success();
        client.end();
        client.expect_end();

        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, echo));
        client.expect_success();
        client.send(b"never read");
        drop(client);

        let mut client = Raw::greeted(server.address);
        client.send(&request(CONNECT, target::refusing()));
        drop(client);

        drop(Raw::connect(server.address));
    }
    wait_until("the end of every connection", || {
        sockets(&server.process) == before
    });
}

/// A dial for a client that is gone is given up, long before it would fail by itself.
fn client_that_goes_during_the_dial(driver: &str) {
    let server = Server::open(driver);
    let target = Unresponsive::new();
    let before = sockets(&server.process);
    let mut client = Raw::connect(server.address);
    client.send(&[OFFER_NONE, &request(CONNECT, target.address), b"early"].concat());
    wait_until("the dial", || sockets(&server.process) == before + 2);
    // To close while there is unread input makes the system send a reset.
    client.0.peek(&mut [0]).expect("a method selection");
    drop(client);
    let gone = Instant::now();
    // A thread cannot be called back from connect(2): there, the connection of the client must do.
    let left = if driver == "std_server" { 1 } else { 0 };
    wait_until("the end of the connection", || {
        sockets(&server.process) == before + left
    });
    assert!(gone.elapsed() < Duration::from_secs(8), "{:?}", gone.elapsed());
}

/// The port of a BIND whose client is gone is free again.
fn client_that_goes_before_the_peer_comes(driver: &str) {
    let server = Server::open(driver);
    let before = sockets(&server.process);
    let mut client = Raw::greeted(server.address);
    client.send(&request(BIND, (Ipv4Addr::UNSPECIFIED, 0).into()));
    let bound = client.expect_success();
    drop(client);
    wait_until("the end of the connection", || sockets(&server.process) == before);
    assert!(TcpStream::connect(bound).is_err(), "{bound} still listens");
}
