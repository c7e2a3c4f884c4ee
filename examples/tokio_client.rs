//! A client on tokio: CONNECT, and BIND with its two replies.
//!
//! ```text
//! cargo run --example tokio_client -- --proxy 127.0.0.1:1080 example.com 80
//! cargo run --example tokio_client -- --proxy 127.0.0.1:1080 --bind 192.0.2.1 0
//! ```
//!
//! stdin goes into the tunnel, and its end is passed on; what comes out goes to stdout, until the far side
//! ends. With `--bind` it first prints `bound ADDR:PORT`, where the proxy waits for HOST to connect
//! (0.0.0.0: for anybody), then `peer ADDR:PORT`, who has.
//!
//! It shows that reply and tunnel may come in one segment and nothing is lost: what the handshake leaves in
//! the buffer is the tunnel's.

use std::error::Error;
use std::io::{self, Write};
use std::process;

use bytes::BytesMut;
use clap::Parser;
use sans_socks::Command;
use sans_socks::client::{Handshake, Output};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[path = "common/client.rs"]
mod common;
use common::{Options, exit_code};

/// Opens a tunnel through a SOCKS5 proxy: stdin goes in, what comes out goes to stdout, as with nc
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Wait until HOST connects to the proxy, in place of connecting to HOST; 0.0.0.0 is anybody
    #[arg(long)]
    bind: bool,
}

#[tokio::main]
async fn main() {
    let code = exit_code(run(Arguments::parse()).await);
    // A return would wait for the thread that waits for stdin.
    process::exit(code);
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let options = &arguments.options;
    let command = if arguments.bind {
        Command::BIND
    } else {
        Command::CONNECT
    };
    let handshake = options.handshake(command)?;
    let mut proxy = TcpStream::connect(options.proxy.to_string())
        .await
        .map_err(|error| options.explain(&error))?;
    proxy.set_nodelay(true)?;
    let carry = shake_hands(&mut proxy, handshake, arguments.bind)
        .await
        .map_err(|error| options.explain(&error))?;
    Ok(tunnel(proxy, carry).await?)
}

/// Returns what came behind the handshake: the tunnel's first octets.
async fn shake_hands(proxy: &mut TcpStream, mut handshake: Handshake, bind: bool) -> io::Result<BytesMut> {
    let mut input = BytesMut::new();
    loop {
        match handshake.poll_output() {
            Output::Transmit(mut octets) => proxy.write_all_buf(&mut octets).await?,
            Output::NeedInput { .. } => {
                if input.is_empty() && proxy.read_buf(&mut input).await? == 0 {
                    handshake.handle_eof();
                }
                handshake.handle_buf(&mut input);
            }
            Output::Negotiate(negotiate) => negotiate.abandon(),
            Output::Bound(bound) => {
                let address = bound.address().or_host(proxy.peer_addr()?.ip());
                print(&format!("bound {address}"))?;
                bound.wait_for_peer();
            }
            Output::Established(reply) => {
                if bind {
                    print(&format!("peer {}", reply.address))?;
                }
                return Ok(input);
            }
            Output::Closed(error) => return Err(error.into()),
        }
    }
}

/// A line on stdout, at once: somebody waits for it.
fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Copies both ways until the far side ends.
async fn tunnel(proxy: TcpStream, carry: BytesMut) -> io::Result<()> {
    let (from_proxy, mut to_proxy) = proxy.into_split();
    tokio::spawn(async move {
        // What fails here fails below as well.
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut to_proxy).await;
        let _ = to_proxy.shutdown().await;
    });
    let mut stdout = tokio::io::stdout();
    tokio::io::copy(&mut carry.chain(from_proxy), &mut stdout).await?;
    stdout.flush().await
}
