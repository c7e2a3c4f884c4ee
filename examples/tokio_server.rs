//! A SOCKS5 server for CONNECT. tokio.
//!
//! ```text
//! cargo run --example tokio_server -- [LISTEN] [USER PASSWORD]
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```

use std::error::Error;
use std::time::Duration;
use std::{env, io};

use bytes::BytesMut;
use sans_socks::server::{Decision, Handshake};
use sans_socks::{Address, Command, Credentials, Io, Machine, Method, ReplyCode, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// Returns the connection to the target. `carry` then holds the first bytes of the tunnel.
async fn shake_hands(
    client: &mut TcpStream,
    carry: &mut BytesMut,
    login: Option<Credentials<'_>>,
) -> io::Result<TcpStream> {
    let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
    let (mut handshake, mut target) = (Handshake::new(), None);
    loop {
        match advance(&mut handshake, client, carry).await? {
            Decision::SelectMethod(select) => select.select_preferred(&[method]),
            Decision::Authenticate(attempt) => match login {
                Some(it) if attempt.credentials().verify(it.username(), it.password()) => attempt.accept(),
                _ => attempt.reject(),
            },
            Decision::PendingRequest(pending) if pending.request().command == Command::CONNECT => {
                let dialled = timeout(Duration::from_secs(8), dial(pending.request().address)).await;
                let dialled = dialled.unwrap_or_else(|late| Err(late.into()));
                let bound = dialled.and_then(|it| target.insert(it).local_addr());
                pending.answer(bound.map_err(ReplyCode::from));
            }
            Decision::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
            Decision::Established(_) => return target.ok_or_else(|| io::ErrorKind::NotConnected.into()),
            Decision::Closed(error) => return Err(error.into()),
            // Only for methods and commands that this server does not accept.
            Decision::Negotiate(negotiate) => negotiate.reject(),
            Decision::PendingPeer(pending) => pending.reject(ReplyCode::GENERAL_FAILURE),
        }
    }
}

/// Sends and reads until there is a decision. Bytes read beyond that stay in `carry`.
pub async fn advance<'m, M: Machine>(
    machine: &'m mut M,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    carry: &mut BytesMut,
) -> io::Result<M::Decision<'m>> {
    while let Some(io) = machine.poll_io() {
        match io {
            Io::Transmit(mut transmit) => stream.write_all_buf(&mut transmit).await?,
            Io::NeedInput { .. } => {
                stream.flush().await?;
                if carry.is_empty() && stream.read_buf(carry).await? == 0 {
                    machine.handle_eof();
                }
                machine.handle_buf(carry);
            }
        }
    }
    stream.flush().await?;
    machine
        .poll_decision()
        .ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

/// Connects to the first address that answers. An access list belongs here: it judges each address.
async fn dial(address: Address<'_>) -> io::Result<TcpStream> {
    match address.to_target().map_err(|_| io::ErrorKind::HostUnreachable)? {
        Target::Socket(address) => TcpStream::connect(address).await,
        Target::Name(name, port) => match lookup_host((name, port)).await {
            Ok(found) => TcpStream::connect(&found.collect::<Vec<_>>()[..]).await,
            Err(_) => Err(io::ErrorKind::HostUnreachable.into()),
        },
    }
}

async fn serve(mut client: TcpStream, login: Option<Credentials<'_>>) -> io::Result<()> {
    let mut carry = BytesMut::new();
    match timeout(
        Duration::from_secs(10),
        shake_hands(&mut client, &mut carry, login),
    )
    .await?
    {
        Ok(mut target) => {
            let ((from_client, to_client), (from_target, to_target)) = (client.split(), target.split());
            tokio::join!(
                pump(carry.chain(from_client), to_target),
                pump(from_target, to_client)
            );
            Ok(())
        }
        Err(error) => {
            // A close with unread input would send a reset, which can destroy the refusal on its way.
            client.shutdown().await?;
            let _ = timeout(Duration::from_secs(2), copy(&mut client, &mut sink())).await;
            Err(error)
        }
    }
}

/// Copies one direction of the tunnel. An error ends this direction: the other may still have data.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
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
            Ok((client, address)) => drop(tokio::spawn(async move {
                if let Err(error) = serve(client, login).await {
                    eprintln!("{address}: {error}");
                }
            })),
            Err(_) => sleep(Duration::from_millis(100)).await, // for instance no free descriptors
        }
    }
}
