//! Targets of tunnels: small servers on threads of the test, which end with it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};
use std::{mem, thread};

use socket2::{Domain, Socket, Type};

use super::process::scratch;

/// Returns 64 MiB in which every aligned group of eight bytes is different, so that a lost, doubled or moved part is detected.
pub fn body() -> &'static [u8] {
    static BODY: OnceLock<Vec<u8>> = OnceLock::new();
    BODY.get_or_init(|| {
        (0..64 * 1024 * 1024 / 8_u64)
            .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes())
            .collect()
    })
}

/// Returns a file with [`body`], for programs that send files.
pub fn body_file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = scratch().join("body");
        fs::write(&path, body()).expect("a file for the body");
        path
    })
}

/// Listens on a port of `ip`, and serves each connection on its own thread.
pub fn listen(
    ip: impl Into<IpAddr>,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((ip.into(), 0)).expect("a port on loopback");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream?));
        }
    });
    address
}

/// Echoes each connection up to the end of its input.
pub fn echo(ip: impl Into<IpAddr>) -> SocketAddr {
    listen(ip, |mut stream| {
        let mut input = stream.try_clone()?;
        io::copy(&mut input, &mut stream).map(drop)
    })
}

/// Echoes each datagram.
pub fn udp_echo(ip: impl Into<IpAddr>) -> SocketAddr {
    serve_udp(UdpSocket::bind((ip.into(), 0)).expect("a port on loopback"))
}

/// Echoes each datagram, at the same port of IPv4 and IPv6, because a name may resolve to either.
pub fn udp_echo_on_both() -> u16 {
    let pair = (0..20).find_map(|_| {
        let v4 = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = v4.local_addr().ok()?.port();
        let v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).ok()?;
        Some((v4, v6))
    });
    let (v4, v6) = pair.expect("a port that is free on 127.0.0.1 and on ::1");
    serve_udp(v4);
    serve_udp(v6).port()
}

fn serve_udp(socket: UdpSocket) -> SocketAddr {
    let address = socket.local_addr().expect("bound");
    thread::spawn(move || {
        let mut bytes = vec![0; 65_535];
        loop {
            if let Ok((len, source)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&bytes[..len], source);
            }
        }
    });
    address
}

/// Sends `greeting` and ends its side, reads up to the end of input, and reports the bytes.
pub fn collect(greeting: &'static [u8]) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let (sender, collected) = mpsc::channel();
    let address = listen(Ipv4Addr::LOCALHOST, move |mut stream| {
        stream.write_all(greeting)?;
        stream.shutdown(Shutdown::Write)?;
        let mut input = Vec::new();
        stream.read_to_end(&mut input)?;
        sender.send(input).map_err(io::Error::other)
    });
    (address, collected)
}

/// Sends `answer` after the end of input.
pub fn answer(answer: &'static [u8]) -> SocketAddr {
    listen(Ipv4Addr::LOCALHOST, move |mut stream| {
        io::copy(&mut stream, &mut io::sink())?;
        stream.write_all(answer)
    })
}

/// Starts an HTTP server that answers GET with [`body`], and PUT with `equal` if it received that body.
pub fn http(ip: impl Into<IpAddr>) -> SocketAddr {
    listen(ip, |stream| {
        let mut input = BufReader::new(stream.try_clone()?);
        let mut output = stream;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if input.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let answer = if head.starts_with("PUT ") {
            let mut sent = vec![0; body().len()];
            input.read_exact(&mut sent)?;
            if sent == body() {
                b"equal"
            } else {
                b"differs".as_slice()
            }
        } else {
            body()
        };
        write!(
            output,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        )?;
        output.write_all(answer)
    })
}

/// Returns an address that refuses connections. The process keeps its port in use, so that no other program listens there.
pub fn refusing() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).expect("loopback");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    mem::forget(socket);
    address.expect("an IP address")
}
