//! A SOCKS5 server for UDP ASSOCIATE only, on tokio.
//!
//! ```text
//! cargo run --example udp_relay -- [LISTEN] [USER PASSWORD]
//! ```

use std::{env, io, time::Duration};

use bytes::BytesMut;
use sans_socks::server::{Handshake, Output};
use sans_socks::udp::{Association, Header, MAX_HEADER_LEN};
use sans_socks::{Command, Credentials, Machine, Method, ReplyCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

/// The socket for the client, the socket for the targets, and the check of the client's datagrams.
type Relay = (UdpSocket, UdpSocket, Association);
type Login = Option<Credentials<'static>>;

/// Opens the relay that the client asks for.
async fn associate(control: &mut TcpStream, login: Login) -> io::Result<Relay> {
    let (mut here, peer) = (control.local_addr()?, control.peer_addr()?);
    here.set_ip(here.ip().to_canonical());
    here.set_port(0); // keeps the scope of a link-local host
    let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
    let (mut handshake, mut carry, mut relay) = (Handshake::new(), BytesMut::new(), None);
    loop {
        match handshake.poll_output() {
            Output::Transmit(mut transmit) => control.write_all_buf(&mut transmit).await?,
            Output::NeedInput { .. } => {
                if carry.is_empty() && control.read_buf(&mut carry).await? == 0 {
                    handshake.handle_eof();
                }
                handshake.handle_buf(&mut carry);
            }
            Output::SelectMethod(select) => select.select_preferred(&[method]),
            Output::Authenticate(given) => match login {
                Some(it) if given.credentials().verify(it.username(), it.password()) => given.accept(),
                _ => given.reject(),
            },
            Output::PendingRequest(pending) if pending.request().command == Command::UDP_ASSOCIATE => {
                let association = Association::new(peer, &pending.request().address);
                let (inner, outer) = (UdpSocket::bind(here).await, UdpSocket::bind("0.0.0.0:0").await);
                let bound = inner.and_then(|inner| relay.insert((inner, outer?, association)).0.local_addr());
                pending.answer(bound.map_err(ReplyCode::from));
            }
            Output::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
            Output::Established(_) => return relay.ok_or_else(|| io::ErrorKind::Unsupported.into()),
            Output::Closed(error) => return Err(error.into()),
            _ => return Err(io::ErrorKind::Unsupported.into()), // if you select another method or accept BIND
        }
    }
}

async fn serve(mut control: TcpStream, login: Login) -> io::Result<()> {
    let mut discard = sink();
    match timeout(Duration::from_secs(10), associate(&mut control, login)).await? {
        Ok(relay) => tokio::select! {
            result = run(relay) => result,
            result = copy(&mut control, &mut discard) => result.map(drop), // the association ends with it
        },
        Err(error) => {
            // Closing with unread input would send a reset, which can erase the refusal.
            control.shutdown().await?;
            let _ = timeout(Duration::from_secs(2), copy(&mut control, &mut discard)).await;
            Err(error)
        }
    }
}

/// Relays to IPv4 addresses. A production relay has a socket for IPv6, resolves in other tasks, and reassembles fragments.
async fn run((inner, outer, mut association): Relay) -> io::Result<()> {
    let (mut upload, mut download) = (vec![0; 65_535], vec![0; MAX_HEADER_LEN + 65_535]);
    // Anyone can cause errors of `recv_from` and `send_to`, so they must not end the relay.
    loop {
        tokio::select! {
            received = inner.recv_from(&mut upload) => {
                let Ok((len, source)) = received else { continue };
                let Ok(datagram) = association.accept(source, &upload[..len]) else { continue };
                // Check an access list here. It must refuse the inner sockets of this server.
                if let Some(target) = datagram.header.address.canonical().to_socket_addr() {
                    let _ = outer.send_to(datagram.payload, target).await;
                }
            }
            received = outer.recv_from(&mut download[MAX_HEADER_LEN..]) => {
                let (Ok((len, source)), Some(client)) = (received, association.client()) else { continue };
                if let Ok(start) = Header::standalone(source.into()).prepend(&mut download, MAX_HEADER_LEN) {
                    let _ = inner.send_to(&download[start..MAX_HEADER_LEN + len], client).await;
                }
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: &[String] = env::args().skip(1).collect::<Vec<_>>().leak();
    let (listen, login) = match args {
        [] => ("127.0.0.1:1080", None),
        [listen] => (&listen[..], None),
        [listen, user, password] => (&listen[..], Some(Credentials::new(user, password)?)),
        _ => return Err("usage: udp_relay [LISTEN] [USER PASSWORD]".into()),
    };
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((control, peer)) => drop(tokio::spawn(async move {
                let served = serve(control, login).await;
                served.inspect_err(|error| eprintln!("{peer}: {error}"))
            })),
            Err(_) => sleep(Duration::from_millis(100)).await, // there may be no free descriptor
        }
    }
}
