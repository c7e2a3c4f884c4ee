//! A client on tokio: CONNECT, BIND with its two replies, and UDP ASSOCIATE.
//!
//! ```text
//! cargo run --example tokio_client -- --proxy 127.0.0.1:1080 example.com 80
//! cargo run --example tokio_client -- --proxy 127.0.0.1:1080 --bind 192.0.2.1 0
//! cargo run --example tokio_client -- --proxy 127.0.0.1:1080 --udp --fragment 100 192.0.2.1 7
//! ```
//!
//! stdin goes into the tunnel, and its end is passed on; what comes out goes to stdout, until the far side
//! ends. With `--bind` it first prints `bound ADDR:PORT`, where the proxy waits for HOST to connect
//! (0.0.0.0: for anybody), then `peer ADDR:PORT`, who has.
//!
//! With `--udp` each line of stdin is a datagram to the target, and each answer a line on stdout; line ends
//! are not sent. It ends when stdin has ended and no answer has come for a second, or, as a failure, when the
//! proxy ends the control connection. `--fragment` is for a proxy that is known to reassemble, as
//! `tokio_server` does; answers are reassembled in any case.
//!
//! It shows that reply and tunnel may come in one segment and nothing is lost: what the handshake leaves in
//! the buffer is the tunnel's.

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process;

use bytes::BytesMut;
use clap::Parser;
use sans_socks::client::{Handshake, Output};
use sans_socks::{AddressBuf, Command, Machine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[path = "common/client.rs"]
mod common;
#[path = "tokio_client/udp.rs"]
mod udp;
use common::{Options, exit_code};

/// Opens a tunnel through a SOCKS5 proxy: stdin goes in, what comes out goes to stdout, as with nc
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Wait until HOST connects to the proxy, in place of connecting to HOST; 0.0.0.0 is anybody
    #[arg(long)]
    bind: bool,
    /// Send each line as a datagram, and print each answer as a line
    #[arg(long, conflicts_with = "bind")]
    udp: bool,
    /// Send datagrams in fragments of this many octets
    #[arg(long, value_name = "OCTETS", requires = "udp")]
    fragment: Option<NonZeroUsize>,
}

#[tokio::main]
async fn main() {
    let code = exit_code(run(Arguments::parse()).await);
    // A return would wait for the thread that waits for stdin.
    process::exit(code);
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let options = &arguments.options;
    let command = match arguments {
        Arguments { bind: true, .. } => Command::BIND,
        Arguments { udp: true, .. } => Command::UDP_ASSOCIATE,
        _ => Command::CONNECT,
    };
    let handshake = options.handshake(command)?;
    let mut proxy = TcpStream::connect(options.proxy.to_string())
        .await
        .map_err(|error| options.explain(&error))?;
    proxy.set_nodelay(true)?;
    let (address, carry) = shake_hands(&mut proxy, handshake)
        .await
        .map_err(|error| options.explain(&error))?;
    if arguments.udp {
        return udp::converse(proxy, address.as_address(), options.target()?, arguments.fragment).await;
    }
    if arguments.bind {
        print(&format!("peer {address}"))?;
    }
    Ok(tunnel(proxy, carry).await?)
}

/// Returns the address in the last reply, and what came behind it: the tunnel's first octets.
async fn shake_hands(proxy: &mut TcpStream, mut handshake: Handshake) -> io::Result<(AddressBuf, BytesMut)> {
    let mut input = BytesMut::new();
    loop {
        match handshake.poll_output() {
            Output::Transmit(mut transmit) => proxy.write_all_buf(&mut transmit).await?,
            Output::NeedInput { .. } => {
                if input.is_empty() && proxy.read_buf(&mut input).await? == 0 {
                    handshake.handle_eof();
                }
                handshake.handle_buf(&mut input);
            }
            Output::Negotiate(negotiate) => negotiate.reject(),
            Output::Bound(bound) => {
                let address = bound.address().or_host(proxy.peer_addr()?.ip());
                print(&format!("bound {address}"))?;
                bound.wait_for_peer();
            }
            Output::Established(reply) => return Ok((reply.address.into(), input)),
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
