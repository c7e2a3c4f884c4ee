//! Sends each line of stdin as a datagram through a SOCKS5 proxy, and prints each answer. UDP ASSOCIATE, blocking I/O.
//! Exits when every line has been answered, or when no answer has arrived for 3 s.
//!
//! ```text
//! cargo run --example udp_client -- 127.0.0.1:1080 192.0.2.1 7 [USER PASSWORD]
//! ```

use std::io::{self, BufRead, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};
use std::{env, error, process, thread};

use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::udp::{ClientAssociation, Datagram, Header, Outcome};
use sans_socks::{Address, Credentials, Machine, Request};

/// Returns the control connection, and where to send datagrams.
fn associate(proxy: &str, auth: Auth<'_>) -> io::Result<(TcpStream, ClientAssociation)> {
    let mut control = TcpStream::connect(proxy)?;
    // The source address of the datagrams is unknown, because a NAT may change it.
    let mut handshake = Handshake::new(&Request::udp_associate(Address::UNSPECIFIED), auth);
    match handshake.advance_exact(&mut control)? {
        Decision::Established(reply) => {
            let association = ClientAssociation::new(&reply.address, control.peer_addr()?);
            Ok((control, association.map_err(io::Error::other)?))
        }
        Decision::Closed(error) => Err(error.into()),
        _ => Err(io::ErrorKind::Unsupported.into()), // if you offer another method or request BIND
    }
}

/// Prints each answer, and reports it to `answers`.
fn receive(socket: &UdpSocket, mut association: ClientAssociation, answers: &Sender<()>) -> io::Result<()> {
    let mut buf = vec![0; 65_535];
    loop {
        let Ok((len, source)) = socket.recv_from(&mut buf) else {
            continue; // not fatal: it may be an ICMP error about an earlier datagram
        };
        // This drops datagrams from other sources, and reassembles fragments.
        if let Outcome::Deliver(answer) = association.accept(Instant::now(), source, &buf[..len]) {
            io::stdout().write_all(&[answer.payload, b"\n"].concat())?;
            let _ = answers.send(());
        }
    }
}

fn run() -> Result<(), Box<dyn error::Error>> {
    let usage = "usage: udp_client PROXY HOST PORT [USER PASSWORD]";
    let args: &[String] = env::args().collect::<Vec<_>>().leak();
    let [_, proxy, host, port, login @ ..] = args else {
        return Err(usage.into());
    };
    let auth = match login {
        [] => Auth::none(),
        [user, password] => Auth::password(Credentials::new(user, password)?),
        _ => return Err(usage.into()),
    };
    let target = Address::try_from((&host[..], port.parse()?))?;

    // One deadline covers the dial and the handshake. A read timeout would start again at every byte.
    let (sender, associated) = mpsc::channel();
    thread::spawn(move || drop(sender.send(associate(proxy, auth))));
    let late = |_| "no answer from the proxy within 10 s";
    let (mut control, association) = associated.recv_timeout(Duration::from_secs(10)).map_err(late)??;

    // The relay knows its client by the address of the control connection.
    let socket = UdpSocket::bind((control.local_addr()?.ip(), 0))?;
    let relay = association.relay();
    let (sender, answers) = mpsc::channel();
    let receiver = socket.try_clone()?;
    thread::spawn(move || fail(receive(&receiver, association, &sender).unwrap_err()));
    thread::spawn(move || {
        let _ = io::copy(&mut control, &mut io::sink());
        fail("the proxy has ended the association");
    });
    let mut sent = 0;
    for line in io::stdin().lock().split(b'\n') {
        let line = line?; // the system refuses lines longer than `ClientAssociation::max_payload`
        let datagram = Datagram::new(Header::standalone(target), &line);
        let mut buf = vec![0; datagram.encoded_len()];
        datagram.encode_into(&mut buf)?;
        socket.send_to(&buf, relay)?;
        sent += 1;
    }
    for _ in 0..sent {
        let late = |_| "not every line was answered";
        answers.recv_timeout(Duration::from_secs(3)).map_err(late)?;
    }
    Ok(())
}

fn fail(error: impl std::fmt::Display) -> ! {
    eprintln!("udp_client: {error}");
    process::exit(1);
}

fn main() {
    run().unwrap_or_else(|error| fail(error));
}
