//! A SOCKS server for CONNECT, with blocking I/O and a thread for each connection.
//!
//! ```text
//! cargo run --example std_server -- [LISTEN] [USER PASSWORD]
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```
//!
//! A production server also limits connections, checks targets, and sets a deadline for each dial: see `examples/proxy`.

use std::error::Error;
use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{env, thread};

use sans_socks::server::{Config, Decision, Handshake};
use sans_socks::{Command, Credentials, Machine, Method, ReplyCode};

type Login = Option<Credentials<'static>>;

/// Returns the connection to the target. `carry` then holds the first bytes of the tunnel.
fn shake_hands(mut client: &TcpStream, carry: &mut Vec<u8>, login: Login) -> io::Result<TcpStream> {
    let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
    let config = Config::new().with_socks4(login.is_none()); // SOCKS4 has no passwords
    let (mut handshake, mut target) = (Handshake::with_config(config), None);
    loop {
        match handshake.advance(&mut client, carry)? {
            Decision::SelectMethod(select) => select.select_preferred(&[method]),
            Decision::Authenticate(given) => match login {
                Some(it) if given.credentials().verify(it.username(), it.password()) => given.accept(),
                _ => given.reject(),
            },
            Decision::PendingRequest(pending) if pending.request().command == Command::CONNECT => {
                // This resolves a name, then dials. A production server checks each address in between.
                let dialed = TcpStream::connect(pending.request().address);
                let bound = dialed.and_then(|it| target.insert(it).local_addr());
                pending.answer(bound.map_err(ReplyCode::from));
            }
            Decision::PendingRequest(pending) => pending.reject(ReplyCode::COMMAND_NOT_SUPPORTED),
            Decision::Established(_) => return target.ok_or_else(|| io::ErrorKind::NotConnected.into()),
            Decision::Closed(error) => return Err(error.into()),
            _ => return Err(io::ErrorKind::Unsupported.into()), // if you select another method or accept BIND
        }
    }
}

fn serve(mut client: &TcpStream, login: Login) -> io::Result<()> {
    // One deadline covers the handshake, and the close after a refusal. A read timeout would start again at every byte.
    let (established, deadline) = mpsc::channel::<()>();
    let late = client.try_clone()?;
    thread::Builder::new().spawn(move || match deadline.recv_timeout(Duration::from_secs(10)) {
        Err(RecvTimeoutError::Timeout) => late.shutdown(Shutdown::Both),
        _ => Ok(()),
    })?;
    let mut carry = Vec::new();
    let shaken = shake_hands(client, &mut carry, login);
    let Ok(target) = shaken else {
        // Closing with unread input would send a reset, which can erase the refusal.
        client.shutdown(Shutdown::Write)?;
        let _ = io::copy(&mut client, &mut io::sink());
        return shaken.map(drop);
    };
    drop(established);
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, || pump(&target, client))?;
        pump(carry.chain(client), &target);
        Ok(())
    })
}

/// Copies one direction of the tunnel. An error ends only this direction: the other may still have data.
fn pump(mut from: impl Read, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: &[String] = env::args().skip(1).collect::<Vec<_>>().leak();
    let (listen, login) = match args {
        [] => ("127.0.0.1:1080", None),
        [listen] => (&listen[..], None),
        [listen, user, password] => (&listen[..], Some(Credentials::new(user, password)?)),
        _ => return Err("usage: std_server [LISTEN] [USER PASSWORD]".into()),
    };
    let listener = TcpListener::bind(listen)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let accepted = listener.accept().and_then(|(client, peer)| {
            let serve = move || serve(&client, login).inspect_err(|error| eprintln!("{peer}: {error}"));
            thread::Builder::new().spawn(serve)
        });
        if accepted.is_err() {
            thread::sleep(Duration::from_millis(100)); // there may be no free descriptor, or no more threads
        }
    }
}
