//! Connects stdin and stdout to a target through a SOCKS5 proxy, like `nc`. CONNECT, tokio.
//!
//! ```text
//! cargo run --example tokio_client -- 127.0.0.1:1080 example.com 80 [USER PASSWORD]
//! ```

use std::error::Error;
use std::time::Duration;
use std::{env, io, process};

use bytes::BytesMut;
use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::{Address, Credentials, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, stdin, stdout};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Returns the tunnel, and its first bytes, which were received after the handshake.
async fn connect(proxy: &str, target: Address<'_>, auth: Auth<'_>) -> io::Result<(TcpStream, BytesMut)> {
    let mut stream = TcpStream::connect(proxy).await?;
    let mut handshake = Handshake::new(&Request::connect(target), auth);
    let mut carry = BytesMut::new();
    match advance(&mut handshake, &mut stream, &mut carry).await? {
        Decision::Established(_reply) => Ok((stream, carry)),
        Decision::Closed(error) => Err(error.into()),
        _ => Err(io::ErrorKind::Unsupported.into()), // if you offer another method or request BIND
    }
}

/// Sends and reads until there is a decision. Bytes read beyond that stay in `carry`.
pub async fn advance<'m, M: sans_socks::Machine>(
    machine: &'m mut M,
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    carry: &mut bytes::BytesMut,
) -> std::io::Result<M::Decision<'m>> {
    use sans_socks::Io;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    let decision = machine.poll_decision();
    debug_assert!(decision.is_some(), "a machine has input, output or a decision");
    decision.ok_or_else(|| std::io::ErrorKind::Other.into())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let usage = "usage: tokio_client PROXY HOST PORT [USER PASSWORD]";
    let args: Vec<String> = env::args().collect();
    let [_, proxy, host, port, login @ ..] = &args[..] else {
        return Err(usage.into());
    };
    let auth = match login {
        [] => Auth::none(),
        [user, password] => Auth::password(Credentials::new(user, password)?),
        _ => return Err(usage.into()),
    };
    let target = Address::try_from((&host[..], port.parse()?))?;

    // One deadline covers the dial and the handshake.
    let late = |_| "no answer from the proxy within 10 s";
    let connected = timeout(Duration::from_secs(10), connect(proxy, target, auth));
    let (stream, carry) = connected.await.map_err(late)??;

    let (download, mut upload) = stream.into_split();
    tokio::spawn(async move {
        let _ = copy(&mut stdin(), &mut upload).await; // if this fails, the read below fails, too
        let _ = upload.shutdown().await;
    });
    copy(&mut carry.chain(download), &mut stdout()).await?;
    Ok(())
}

#[tokio::main]
async fn main() {
    let result = run().await;
    if let Err(error) = &result {
        eprintln!("tokio_client: {error}");
    }
    process::exit(i32::from(result.is_err())); // returning would wait for the thread that reads stdin
}
