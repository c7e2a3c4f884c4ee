//! Waits for one connection to the proxy, then connects it to stdin and stdout, like `nc -l`. BIND, blocking I/O.
//!
//! ```text
//! cargo run --example bind_client -- 127.0.0.1:1080 PEER PORT [USER PASSWORD]
//! bound 127.0.0.1:40000
//! peer 127.0.0.1:50000
//! ```
//!
//! `PEER` is the host that may connect. Proxies treat `0.0.0.0` as any host, and most ignore `PORT`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{env, process, thread};

use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::{Address, Credentials, Machine, Request};

/// Returns the tunnel, and its first bytes, which were received after the second reply.
///
/// Reports to `bound` when the proxy listens, then waits for the peer.
fn listen(
    proxy: &str,
    peer: Address<'_>,
    auth: Auth<'_>,
    bound: &mpsc::Sender<()>,
) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(proxy)?;
    let mut handshake = Handshake::new(&Request::bind(peer), auth);
    let mut carry = Vec::new();
    loop {
        match handshake.advance(&mut stream, &mut carry)? {
            Decision::Bound(reply) => {
                // A real client sends this address to the peer, over another connection.
                let address = reply.address().or_host(stream.peer_addr()?.ip());
                writeln!(io::stdout(), "bound {address}")?;
                reply.wait_for_peer();
                let _ = bound.send(());
            }
            Decision::Established(reply) => {
                writeln!(io::stdout(), "peer {}", reply.address)?;
                return Ok((stream, carry));
            }
            Decision::Closed(error) => return Err(error.into()),
            Decision::Negotiate(negotiate) => negotiate.reject(), // only if you offer another method
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let usage = "usage: bind_client PROXY PEER PORT [USER PASSWORD]";
    let args: &[String] = env::args().collect::<Vec<_>>().leak();
    let [_, proxy, host, port, login @ ..] = args else {
        return Err(usage.into());
    };
    let auth = match login {
        [] => Auth::none(),
        [user, password] => Auth::password(Credentials::new(user, password)?),
        _ => return Err(usage.into()),
    };
    let peer = Address::try_from((&host[..], port.parse()?))?;

    // One deadline covers everything up to the first reply. A read timeout would start again at every byte.
    let (sender, bound) = mpsc::channel();
    let tunnel = thread::spawn(move || listen(proxy, peer, auth, &sender));
    if bound.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
        return Err("no answer from the proxy within 10 s".into());
    }
    let (stream, carry) = tunnel.join().map_err(|_| "the thread panicked")??;

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
        eprintln!("bind_client: {error}");
        process::exit(1);
    }
}
