//! A SOCKS server for CONNECT, on tokio.
//!
//! ```text
//! cargo run --example tokio_server -- [LISTEN] [USER PASSWORD]
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```

use std::{env, io, time::Duration};

use bytes::BytesMut;
use sans_socks::server::{Config, Handshake, Output};
use sans_socks::{Address, Command, Credentials, Machine, Method, ReplyCode, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

type Login = Option<Credentials<'static>>;

/// Returns the connection to the target. `carry` then holds the first bytes of the tunnel.
async fn shake_hands(client: &mut TcpStream, carry: &mut BytesMut, login: Login) -> io::Result<TcpStream> {
    let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
    let config = Config::new().with_socks4(login.is_none()); // SOCKS4 has no passwords
    let (mut handshake, mut target) = (Handshake::with_config(config), None);
    loop {
        match handshake.poll_output() {
            Output::Transmit(mut transmit) => client.write_all_buf(&mut transmit).await?,
            Output::NeedInput { .. } => {
                if carry.is_empty() && client.read_buf(carry).await? == 0 {
                    handshake.handle_eof();
                }
                handshake.handle_buf(carry);
            }
            Output::SelectMethod(select) => select.select_preferred(&[method]),
            Output::Authenticate(given) => match login {
                Some(it) if given.credentials().verify(it.username(), it.password()) => given.accept(),
                _ => given.reject(),
            },
            Output::PendingRequest(pending) if pending.request().command == Command::CONNECT => {
                let dialed = dial(pending.request().address).await;
                let bound = dialed.and_then(|it| target.insert(it).local_addr());
                pending.answer(bound.map_err(ReplyCode::from));
            }
            Output::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
            Output::Established(_) => return target.ok_or_else(|| io::ErrorKind::NotConnected.into()),
            Output::Closed(error) => return Err(error.into()),
            _ => return Err(io::ErrorKind::Unsupported.into()), // if you select another method or accept BIND
        }
    }
}

/// Connects to the first address that answers. A production server checks each address first: see `examples/proxy`.
async fn dial(address: Address<'_>) -> io::Result<TcpStream> {
    match address.to_target().map_err(io::Error::other)? {
        Target::Socket(address) => TcpStream::connect(address).await,
        Target::Name(name, port) => match lookup_host((name, port)).await {
            Ok(found) => TcpStream::connect(&found.collect::<Vec<_>>()[..]).await,
            Err(_) => Err(io::ErrorKind::HostUnreachable.into()),
        },
    }
}

async fn serve(mut client: TcpStream, login: Login) -> io::Result<()> {
    let mut carry = BytesMut::new();
    let handshake = shake_hands(&mut client, &mut carry, login);
    match timeout(Duration::from_secs(10), handshake).await? {
        Ok(mut target) => {
            // If the upload fails, this loses an early answer of the target. `examples/proxy` delivers it.
            target.write_all(&carry).await?;
            copy_bidirectional(&mut client, &mut target).await.map(drop)
        }
        Err(error) => {
            // Closing with unread input would send a reset, which can erase the refusal.
            client.shutdown().await?;
            let _ = timeout(Duration::from_secs(2), copy(&mut client, &mut sink())).await;
            Err(error)
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
        _ => return Err("usage: tokio_server [LISTEN] [USER PASSWORD]".into()),
    };
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((client, peer)) => drop(tokio::spawn(async move {
                let served = serve(client, login).await;
                served.inspect_err(|error| eprintln!("{peer}: {error}"))
            })),
            Err(_) => sleep(Duration::from_millis(100)).await, // there may be no free descriptor
        }
    }
}
