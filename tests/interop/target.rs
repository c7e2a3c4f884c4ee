//! What a tunnel leads to: small servers on threads of the test, which end with it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};
use std::thread;

/// 64 MiB in which no eight octets in line come twice, so that a lost, doubled or moved piece shows.
pub(crate) fn body() -> &'static [u8] {
    static BODY: OnceLock<Vec<u8>> = OnceLock::new();
    BODY.get_or_init(|| {
        (0..64 * 1024 * 1024 / 8_u64)
            .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes())
            .collect()
    })
}

/// [`body`] as a file, for programs that send files.
pub(crate) fn body_file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("body");
        fs::write(&path, body()).expect("a file for the body");
        path
    })
}

/// Listens on a port of `ip` and gives each connection to `serve`, on a thread of its own.
pub(crate) fn listen(
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

/// Sends back what comes, to the end of input.
pub(crate) fn echo(ip: impl Into<IpAddr>) -> SocketAddr {
    listen(ip, |mut stream| {
        let mut input = stream.try_clone()?;
        io::copy(&mut input, &mut stream).map(drop)
    })
}

/// Sends each datagram back.
pub(crate) fn udp_echo(ip: impl Into<IpAddr>) -> SocketAddr {
    serve_udp(UdpSocket::bind((ip.into(), 0)).expect("a port on loopback"))
}

/// Sends each datagram back; at the same port of both families, since a name may stand for either.
pub(crate) fn udp_echo_on_both() -> u16 {
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
        let mut octets = vec![0; 65_535];
        loop {
            if let Ok((len, source)) = socket.recv_from(&mut octets) {
                let _ = socket.send_to(&octets[..len], source);
            }
        }
    });
    address
}

/// Says `greeting` and no more, reads to the end of input, and hands that over.
pub(crate) fn collect(greeting: &'static [u8]) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
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

/// Says `answer` when it has read to the end of input.
pub(crate) fn answer(answer: &'static [u8]) -> SocketAddr {
    listen(Ipv4Addr::LOCALHOST, move |mut stream| {
        io::copy(&mut stream, &mut io::sink())?;
        stream.write_all(answer)
    })
}

/// An HTTP origin: GET answers with [`body`]; PUT answers `equal` if that is what it got.
pub(crate) fn http(ip: impl Into<IpAddr>) -> SocketAddr {
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

/// Where nobody listens.
pub(crate) fn refusing() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port that was free")
}
