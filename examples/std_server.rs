//! A SOCKS5 server for CONNECT. Blocking I/O, a thread for each connection.
//!
//! ```text
//! cargo run --example std_server -- [LISTEN] [USER PASSWORD]
//! curl --socks5-hostname 127.0.0.1:1080 http://example.com/
//! ```

use std::error::Error;
use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{env, thread};

use sans_socks::server::{Decision, Handshake};
use sans_socks::{Address, Command, Credentials, Machine, Method, ReplyCode};

/// Returns the connection to the target. `carry` then holds the first bytes of the tunnel.
fn shake_hands(
    mut client: &TcpStream,
    carry: &mut Vec<u8>,
    login: Option<Credentials<'_>>,
) -> io::Result<TcpStream> {
    let method = login.map_or(Method::NO_AUTHENTICATION, |_| Method::USERNAME_PASSWORD);
    let (mut handshake, mut target) = (Handshake::new(), None);
    loop {
        match handshake.advance(&mut client, carry)? {
            Decision::SelectMethod(select) => select.select_preferred(&[method]),
            Decision::Authenticate(attempt) => match login {
                Some(it) if attempt.credentials().verify(it.username(), it.password()) => attempt.accept(),
                _ => attempt.reject(),
            },
            Decision::PendingRequest(pending) if pending.request().command == Command::CONNECT => {
                let bound = dial(pending.request().address).and_then(|it| target.insert(it).local_addr());
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

/// Connects to the first address that answers. An access list belongs here: it judges each address.
fn dial(address: Address<'_>) -> io::Result<TcpStream> {
    let mut result = Err(io::ErrorKind::HostUnreachable.into());
    for address in address.to_socket_addrs()?.take(2) {
        result = TcpStream::connect_timeout(&address, Duration::from_secs(4));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn serve(mut client: &TcpStream, login: Option<Credentials<'_>>) -> io::Result<()> {
    // One deadline up to the tunnel or the end. A read timeout of the socket would begin again at every byte.
    let (established, deadline) = mpsc::channel::<()>();
    let late = client.try_clone()?;
    thread::spawn(move || match deadline.recv_timeout(Duration::from_secs(10)) {
        Err(RecvTimeoutError::Timeout) => late.shutdown(Shutdown::Both),
        _ => Ok(()),
    });
    let mut carry = Vec::new();
    match shake_hands(client, &mut carry, login) {
        Ok(target) => {
            drop(established);
            thread::scope(|scope| {
                scope.spawn(|| pump(&target, client));
                pump(carry.chain(client), &target);
            });
            Ok(())
        }
        Err(error) => {
            // A close with unread input would send a reset, which can destroy the refusal on its way.
            client.shutdown(Shutdown::Write)?;
            let _ = io::copy(&mut client, &mut io::sink());
            Err(error)
        }
    }
}

/// Copies one direction of the tunnel. An error ends this direction: the other may still have data.
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
        match listener.accept() {
            Ok((client, address)) => drop(thread::spawn(move || {
                if let Err(error) = serve(&client, login) {
                    eprintln!("{address}: {error}");
                }
            })),
            Err(_) => thread::sleep(Duration::from_millis(100)), // for instance no free descriptors
        }
    }
}
