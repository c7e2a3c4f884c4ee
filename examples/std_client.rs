//! A client on blocking sockets and threads: CONNECT.
//!
//! ```text
//! cargo run --example std_client -- --proxy 127.0.0.1:1080 example.com 80
//! ```
//!
//! stdin goes into the tunnel, and its end is passed on; what comes out goes to stdout, until the far side
//! ends.
//!
//! It shows the least that a driver needs: a buffer, `read` and `write`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process;
use std::thread;

use clap::Parser;
use sans_socks::Command;
use sans_socks::client::{Handshake, Output};

#[path = "common/client.rs"]
mod common;
use common::{Options, exit_code};

fn main() {
    let code = exit_code(run(&Options::parse()));
    // The thread that reads stdin may still wait there.
    process::exit(code);
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let handshake = options.handshake(Command::CONNECT)?;
    let mut proxy = TcpStream::connect(options.proxy.to_string()).map_err(|error| options.explain(&error))?;
    proxy.set_nodelay(true)?;
    let carry = shake_hands(&mut proxy, handshake).map_err(|error| options.explain(&error))?;
    Ok(tunnel(proxy, &carry)?)
}

/// Returns what came behind the handshake: the tunnel's first octets.
fn shake_hands(proxy: &mut TcpStream, mut handshake: Handshake) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    loop {
        match handshake.poll_output() {
            Output::Transmit(transmit) => {
                let n = proxy.write(transmit.as_bytes())?;
                transmit.sent(n);
            }
            Output::NeedInput { .. } => {
                if input.is_empty() {
                    let mut chunk = [0; 1024];
                    match proxy.read(&mut chunk)? {
                        0 => handshake.handle_eof(),
                        n => input.extend_from_slice(&chunk[..n]),
                    }
                }
                let taken = handshake.handle_input(&input);
                input.drain(..taken);
            }
            Output::Negotiate(negotiate) => negotiate.reject(),
            Output::Bound(bound) => bound.wait_for_peer(),
            Output::Established(_) => return Ok(input),
            Output::Closed(error) => return Err(error.into()),
        }
    }
}

/// Copies both ways until the far side ends.
fn tunnel(mut proxy: TcpStream, carry: &[u8]) -> io::Result<()> {
    let mut to_proxy = proxy.try_clone()?;
    thread::spawn(move || {
        // What fails here fails below as well.
        let _ = io::copy(&mut io::stdin(), &mut to_proxy);
        let _ = to_proxy.shutdown(Shutdown::Write);
    });
    let mut stdout = io::stdout();
    let mut chunk = [0; 16 * 1024];
    let mut octets = carry;
    loop {
        stdout.write_all(octets)?;
        stdout.flush()?;
        octets = match proxy.read(&mut chunk)? {
            0 => return Ok(()),
            n => &chunk[..n],
        };
    }
}
