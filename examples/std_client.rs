//! Connects stdin and stdout to a target through a SOCKS5 proxy, like `nc`. CONNECT, blocking I/O.
//!
//! ```text
//! cargo run --example std_client -- 127.0.0.1:1080 example.com 80 [USER PASSWORD | socks4]
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, process, thread};

use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::socks4::UserId;
use sans_socks::{Address, Credentials, Machine, Request};

/// Returns the tunnel, and its first bytes, which were received after the handshake.
fn connect(proxy: &str, mut handshake: Handshake) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(proxy)?;
    let mut carry = Vec::new();
    match handshake.advance(&mut stream, &mut carry)? {
        Decision::Established(_reply) => Ok((stream, carry)),
        Decision::Closed(error) => Err(error.into()),
        _ => Err(io::ErrorKind::Unsupported.into()), // if you offer another method or request BIND
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let usage = "usage: std_client PROXY HOST PORT [USER PASSWORD | socks4]";
    let args: &[String] = env::args().collect::<Vec<_>>().leak();
    let [_, proxy, host, port, login @ ..] = args else {
        return Err(usage.into());
    };
    let request = Request::connect(Address::try_from((&host[..], port.parse()?))?);
    let handshake = match login {
        [] => Handshake::new(&request, Auth::none()),
        [user, password] => Handshake::new(&request, Auth::password(Credentials::new(user, password)?)),
        [version] if version == "socks4" => Handshake::socks4(&request, UserId::new("")?)?,
        _ => return Err(usage.into()),
    };

    // One deadline covers the dial and the handshake. A read timeout would start again at every byte.
    let (sender, connected) = mpsc::channel();
    thread::spawn(move || sender.send(connect(proxy, handshake)));
    let late = |_| "no answer from the proxy within 10 s";
    let (stream, carry) = connected.recv_timeout(Duration::from_secs(10)).map_err(late)??;

    let mut upload = stream.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut upload); // if this fails, the read below fails, too
        let _ = upload.shutdown(Shutdown::Write);
    });
    let (mut download, mut stdout, mut chunk) = (carry.chain(stream), io::stdout(), [0; 16 * 1024]);
    loop {
        match download.read(&mut chunk)? {
            0 => return Ok(()),
            n => stdout.write_all(&chunk[..n])?,
        }
        stdout.flush()?;
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("std_client: {error}");
        process::exit(1);
    }
}
