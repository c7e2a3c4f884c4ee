//! Connects stdin and stdout to a target through two SOCKS5 proxies, like `nc`. CONNECT, blocking I/O.
//!
//! ```text
//! cargo run --example chain -- 127.0.0.1:1080 127.0.0.1:1081 example.com 80
//! ```
//!
//! The first proxy connects to the second, and the second connects to the target. Exact reads leave the first byte after
//! each handshake in the socket, so no buffer is passed from one handshake to the next.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, process, thread};

use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::{Address, Machine, Request};

/// Asks the proxy at the far end of `stream` to connect to `next`. The error contains its refusal, so `ReplyCode::from`
/// can return the code.
///
/// For a proxy with a password, pass an `Auth` here. The first proxy sees the credentials for the second.
fn extend(stream: &mut (impl Read + Write), next: Address<'_>) -> io::Result<()> {
    let mut handshake = Handshake::new(&Request::connect(next), Auth::none());
    match handshake.advance_exact(stream)? {
        Decision::Established(_reply) => Ok(()),
        Decision::Closed(error) => Err(error.into()),
        _ => Err(io::ErrorKind::Unsupported.into()), // if you offer another method or request BIND
    }
}

fn connect(
    first: &str,
    second: &str,
    target: Address<'_>,
) -> Result<TcpStream, Box<dyn Error + Send + Sync>> {
    let mut stream = TcpStream::connect(first)?;
    let next = Address::try_from(second)?;
    extend(&mut stream, next).map_err(|error| format!("proxy {first}: {error}"))?;
    extend(&mut stream, target).map_err(|error| format!("proxy {second}: {error}"))?;
    Ok(stream)
}

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: &[String] = env::args().collect::<Vec<_>>().leak();
    let [_, first, second, host, port] = args else {
        return Err("usage: chain PROXY PROXY HOST PORT".into());
    };
    let target = Address::try_from((&host[..], port.parse()?))?;

    // One deadline covers all hops. A read timeout would start again at every byte.
    let (sender, connected) = mpsc::channel();
    thread::spawn(move || sender.send(connect(first, second, target)));
    let late = |_| "no answer from the proxies within 10 s";
    let stream = connected.recv_timeout(Duration::from_secs(10)).map_err(late)??;

    let mut upload = stream.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut upload); // if this fails, the read below fails, too
        let _ = upload.shutdown(Shutdown::Write);
    });
    let (mut download, mut stdout, mut chunk) = (stream, io::stdout(), [0; 16 * 1024]);
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
        eprintln!("chain: {error}");
        process::exit(1);
    }
}
