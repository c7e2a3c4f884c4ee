//! A SOCKS5 server for UDP ASSOCIATE only, with blocking I/O and threads for each client.
//!
//! ```text
//! cargo run --example udp_relay_std -- [LISTEN] [USER PASSWORD]
//! ```

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::{env, thread, time::Duration};

use sans_socks::server::{Decision, Handshake};
use sans_socks::udp::{Association, Header, MAX_HEADER_LEN};
use sans_socks::{Command, Credentials, Machine, Method, ReplyCode};

/// The socket for the client, the socket for the targets, and the check of the client's datagrams.
type Relay = (UdpSocket, UdpSocket, Association);
type Login = Option<Credentials<'static>>;

/// Opens the relay that the client asks for.
fn associate(mut control: &TcpStream, login: Login) -> io::Result<Relay> {
    let (mut here, peer) = (control.local_addr()?, control.peer_addr()?);
    here.set_ip(here.ip().to_canonical());
    here.set_port(0); // keeps the scope of a link-local host
    let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
    let (mut handshake, mut relay) = (Handshake::new(), None);
    loop {
        match handshake.advance_exact(&mut control)? {
            Decision::SelectMethod(select) => select.select_preferred(&[method]),
            Decision::Authenticate(given) => match login {
                Some(it) if given.credentials().verify(it.username(), it.password()) => given.accept(),
                _ => given.reject(),
            },
            Decision::PendingRequest(pending) if pending.request().command == Command::UDP_ASSOCIATE => {
                let association = Association::new(peer, &pending.request().address);
                let (inner, outer) = (UdpSocket::bind(here), UdpSocket::bind("0.0.0.0:0"));
                let bound = inner.and_then(|inner| relay.insert((inner, outer?, association)).0.local_addr());
                pending.answer(bound.map_err(ReplyCode::from));
            }
            Decision::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
            Decision::Established(_) => return relay.ok_or_else(|| io::ErrorKind::Unsupported.into()),
            Decision::Closed(error) => return Err(error.into()),
            _ => return Err(io::ErrorKind::Unsupported.into()), // if you select another method or accept BIND
        }
    }
}

fn serve(mut control: &TcpStream, login: Login) -> io::Result<()> {
    // One deadline covers the handshake, and the close after a refusal. A read timeout would start again at every byte.
    let (established, deadline) = mpsc::channel::<()>();
    let late = control.try_clone()?;
    thread::Builder::new().spawn(move || match deadline.recv_timeout(Duration::from_secs(10)) {
        Err(RecvTimeoutError::Timeout) => late.shutdown(Shutdown::Both),
        _ => Ok(()),
    })?;
    let associated = associate(control, login);
    let Ok(relay) = associated else {
        // Closing with unread input would send a reset, which can erase the refusal.
        control.shutdown(Shutdown::Write)?;
        let _ = io::copy(&mut control, &mut io::sink());
        return associated.map(drop);
    };
    drop(established);
    run(control, relay)
}

/// Relays to IPv4 addresses until the control connection closes. A production relay has another socket for IPv6.
fn run(mut control: &TcpStream, (inner, outer, mut association): Relay) -> io::Result<()> {
    let (ended, client) = (AtomicBool::new(false), OnceLock::new());
    // Nothing interrupts a blocked `recv_from`, so each thread checks `ended` at least once a second.
    inner.set_read_timeout(Some(Duration::from_secs(1)))?;
    outer.set_read_timeout(Some(Duration::from_secs(1)))?;
    // Anyone can cause errors of `recv_from` and `send_to`, so they must not end the relay.
    thread::scope(|scope| {
        let upload = thread::Builder::new().spawn_scoped(scope, || {
            let mut buf = vec![0; 65_535];
            while !ended.load(Ordering::Relaxed) {
                let Ok((len, source)) = inner.recv_from(&mut buf) else {
                    continue;
                };
                let Ok(datagram) = association.accept(source, &buf[..len]) else {
                    continue;
                };
                client.get_or_init(|| source);
                // A look-up delays this client. Check an access list here. It must refuse the inner sockets.
                let mut targets = datagram.header.address.to_socket_addrs().into_iter().flatten();
                if let Some(target) = targets.find(SocketAddr::is_ipv4) {
                    let _ = outer.send_to(datagram.payload, target);
                }
            }
        });
        let download = thread::Builder::new().spawn_scoped(scope, || {
            let mut buf = vec![0; MAX_HEADER_LEN + 65_535];
            while !ended.load(Ordering::Relaxed) {
                let Ok((len, source)) = outer.recv_from(&mut buf[MAX_HEADER_LEN..]) else {
                    continue;
                };
                let header = Header::standalone(source.into()).prepend(&mut buf, MAX_HEADER_LEN);
                if let (Some(client), Ok(start)) = (client.get(), header) {
                    let _ = inner.send_to(&buf[start..MAX_HEADER_LEN + len], client);
                }
            }
        });
        let spawned = upload.and(download);
        let discarded = spawned.and_then(|_| io::copy(&mut control, &mut io::sink()));
        ended.store(true, Ordering::Relaxed);
        discarded.map(drop)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: &[String] = env::args().skip(1).collect::<Vec<_>>().leak();
    let (listen, login) = match args {
        [] => ("127.0.0.1:1080", None),
        [listen] => (&listen[..], None),
        [listen, user, password] => (&listen[..], Some(Credentials::new(user, password)?)),
        _ => return Err("usage: udp_relay_std [LISTEN] [USER PASSWORD]".into()),
    };
    let listener = TcpListener::bind(listen)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let accepted = listener.accept().and_then(|(control, peer)| {
            let serve = move || serve(&control, login).inspect_err(|error| eprintln!("{peer}: {error}"));
            thread::Builder::new().spawn(serve)
        });
        if accepted.is_err() {
            thread::sleep(Duration::from_millis(100)); // there may be no free descriptor, or no more threads
        }
    }
}
