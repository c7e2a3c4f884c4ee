//! The sessions of the clients. Each checks what it receives.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::{ANSWER, World, reset};

/// One session of one client.
pub(crate) struct Client<'a> {
    pub(crate) world: &'a World,
    /// Its address, which differs for every loop.
    pub(crate) ip: IpAddr,
    /// Counts sessions. What they do depends on it.
    pub(crate) n: u64,
}

type Session<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(Client<'a>) -> Session<'a>,
}

macro_rules! sessions {
    ($($name:literal: $run:ident,)*) => {
        [$(Kind { name: $name, run: |client| Box::pin($run(client)) }),*]
    };
}

pub(crate) const SESSIONS: [Kind; 13] = sessions![
    "uploads that the target echoes": echo,
    "SOCKS4 and SOCKS4a": socks4,
    "early answers to an upload": early_answer,
    "targets that reset": target_resets,
    "clients that leave": leave,
    "clients that say nothing": say_nothing,
    "tunnels without data": idle,
    "slow names": slow_name,
    "floods of nonsense and of nested handshakes": flood,
    "BIND with strangers": bind,
    "BIND given up": bind_given_up,
    "associations": associate,
    "associations with slow names and floods": associate_slowly,
];

fn body(n: u64) -> Vec<u8> {
    let len = n.wrapping_mul(7919) % 200_000;
    (0..len).map(|k| (k ^ (k >> 8) ^ n) as u8).collect()
}

fn expect(what: &str, is_so: bool) -> io::Result<()> {
    if is_so {
        Ok(())
    } else {
        Err(io::Error::other(what))
    }
}

/// ATYP, address and port.
fn by_address(address: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = address.ip() else {
        unreachable!("the load is IPv4")
    };
    [&[1][..], &ip.octets(), &address.port().to_be_bytes()].concat()
}

fn by_name(name: &str, port: u16) -> Vec<u8> {
    [&[3, name.len() as u8][..], name.as_bytes(), &port.to_be_bytes()].concat()
}

impl Client<'_> {
    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.ip, 0))?;
        socket.connect(address).await
    }

    /// Sends a request. Returns before the reply.
    async fn ask(&self, command: u8, address: &[u8]) -> io::Result<TcpStream> {
        let mut stream = self.connect_to(self.world.proxy).await?;
        stream.write_all(&[5, 1, 0]).await?;
        let mut selection = [0; 2];
        stream.read_exact(&mut selection).await?;
        expect("method selection", selection == [5, 0])?;
        stream
            .write_all(&[&[5, command, 0][..], address].concat())
            .await?;
        Ok(stream)
    }

    /// Requests, and expects success. Returns BND.
    async fn request(&self, command: u8, address: &[u8]) -> io::Result<(TcpStream, SocketAddr)> {
        let mut stream = self.ask(command, address).await?;
        let bound = success(&mut stream).await?;
        Ok((stream, bound))
    }

    async fn tunnel(&self, target: SocketAddr) -> io::Result<TcpStream> {
        let address = match self.n % 2 {
            0 => by_address(target),
            _ => by_name("quick.test", target.port()),
        };
        Ok(self.request(1, &address).await?.0)
    }
}

async fn reply(stream: &mut TcpStream) -> io::Result<(u8, SocketAddr)> {
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await?;
    let [_, code, _, _, a, b, c, d, high, low] = reply;
    Ok((code, ([a, b, c, d], u16::from_be_bytes([high, low])).into()))
}

async fn success(stream: &mut TcpStream) -> io::Result<SocketAddr> {
    let (code, bound) = reply(stream).await?;
    expect(&format!("REP {code:02x}"), code == 0)?;
    Ok(bound)
}

/// Reads until the end, which may be a reset.
async fn expect_closed(stream: &mut TcpStream) {
    while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {}
}

/// Sends a body, ends it, and expects it back whole, with an end.
async fn exchange(stream: TcpStream, body: &[u8]) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut got = Vec::new();
    let send = async {
        write.write_all(body).await?;
        write.shutdown().await
    };
    tokio::try_join!(send, read.read_to_end(&mut got))?;
    expect(&format!("{} of {} bytes", got.len(), body.len()), got == body)
}

async fn echo(client: Client<'_>) -> io::Result<()> {
    exchange(client.tunnel(client.world.echo).await?, &body(client.n)).await
}

async fn socks4(client: Client<'_>) -> io::Result<()> {
    let target = client.world.echo;
    let mut stream = client.connect_to(client.world.proxy).await?;
    let host: &[u8] = match client.n % 2 {
        0 => b"\x7f\0\0\x01user\0",
        _ => b"\0\0\0\x01user\0quick.test\0",
    };
    stream
        .write_all(&[&[4, 1][..], &target.port().to_be_bytes(), host].concat())
        .await?;
    let mut reply = [0; 8];
    stream.read_exact(&mut reply).await?;
    expect("reply of version 4", reply[..2] == [0, 0x5a])?;
    exchange(stream, &body(client.n)).await
}

/// The target's answer arrives whole although the upload fails.
async fn early_answer(client: Client<'_>) -> io::Result<()> {
    let stream = client.tunnel(client.world.early).await?;
    let (mut read, mut write) = stream.into_split();
    let upload = tokio::spawn(async move { while write.write_all(&[b'u'; 16384]).await.is_ok() {} });
    let mut got = Vec::new();
    let _ = read.read_to_end(&mut got).await;
    upload.abort();
    expect(&format!("{} of {ANSWER} bytes", got.len()), got.len() == ANSWER)
}

/// A download that is cut does not look complete, and the data before the cut arrives.
async fn target_resets(client: Client<'_>) -> io::Result<()> {
    let mut stream = client.tunnel(client.world.reset).await?;
    stream.write_all(b"x").await?;
    let mut got = Vec::new();
    let end = stream.read_to_end(&mut got).await;
    expect("a reset was passed on as an end", end.is_err())?;
    expect(&format!("{} of {ANSWER} bytes", got.len()), got.len() == ANSWER)
}

/// Leaves at different points, half of the time by a reset.
async fn leave(client: Client<'_>) -> io::Result<()> {
    let world = client.world;
    let mut stream = match client.n / 2 % 6 {
        0 => client.connect_to(world.proxy).await?,
        1 => {
            let mut stream = client.connect_to(world.proxy).await?;
            stream.write_all(&[5, 3, 0]).await?;
            stream
        }
        2 => client.ask(1, &[1, 127, 0]).await?,
        3 => client.ask(1, &by_address(world.silent)).await?,
        4 => client.ask(1, &by_name("slow.test", 80)).await?,
        _ => client.tunnel(world.echo).await?,
    };
    if client.n / 2 % 6 == 5 {
        let _ = timeout(Duration::from_millis(200), stream.write_all(&vec![7; 4 << 20])).await;
    }
    if client.n % 2 == 0 {
        reset(stream);
    }
    Ok(())
}

async fn say_nothing(client: Client<'_>) -> io::Result<()> {
    let mut stream = client.connect_to(client.world.proxy).await?;
    expect_closed(&mut stream).await;
    Ok(())
}

/// `--idle-timeout` ends it.
async fn idle(client: Client<'_>) -> io::Result<()> {
    let mut stream = client.tunnel(client.world.echo).await?;
    expect_closed(&mut stream).await;
    Ok(())
}

async fn slow_name(client: Client<'_>) -> io::Result<()> {
    let mut stream = client
        .ask(1, &by_name(&format!("slow{}.test", client.n), 80))
        .await?;
    let (code, _) = reply(&mut stream).await?;
    expect(&format!("REP {code:02x} for a name without address"), code == 4)
}

async fn flood(client: Client<'_>) -> io::Result<()> {
    let level = [&[5, 1, 0, 5, 1, 0][..], &by_address(client.world.proxy)].concat();
    let mut streams = Vec::new();
    for n in 0..50 {
        let mut stream = client.connect_to(client.world.proxy).await?;
        let bytes = if n == 0 {
            &level.repeat(520)[..]
        } else {
            b"GET / HTTP/1.1\r\n\r\n"
        };
        let _ = stream.write_all(bytes).await;
        streams.push(stream);
    }
    for mut stream in streams {
        expect_closed(&mut stream).await;
    }
    sleep(Duration::from_secs(1)).await; // with a shorter pause, this host runs out of ports
    Ok(())
}

/// The first to connect is a stranger.
async fn bind(client: Client<'_>) -> io::Result<()> {
    let peer = SocketAddr::new(client.ip, 0);
    let (mut stream, bound) = client.request(2, &by_address(peer)).await?;
    let mut stranger = TcpStream::connect(bound).await?;
    expect_closed(&mut stranger).await;
    let mut peer = client.connect_to(bound).await?;
    let named = success(&mut stream).await?;
    expect("the second reply names the peer", named == peer.local_addr()?)?;
    let body = body(client.n);
    let send = async {
        peer.write_all(&body).await?;
        peer.shutdown().await
    };
    let mut got = Vec::new();
    tokio::try_join!(send, stream.read_to_end(&mut got))?;
    expect(&format!("{} of {} bytes", got.len(), body.len()), got == body)
}

async fn bind_given_up(client: Client<'_>) -> io::Result<()> {
    let (stream, _) = client
        .request(2, &by_address(SocketAddr::new(client.ip, 0)))
        .await?;
    if client.n % 2 == 0 {
        reset(stream);
    }
    Ok(())
}

impl Client<'_> {
    async fn association(&self) -> io::Result<(TcpStream, UdpSocket)> {
        let (control, relay) = self.request(3, &[1, 0, 0, 0, 0, 0, 0]).await?;
        let socket = UdpSocket::bind((self.ip, 0)).await?;
        socket.connect(relay).await?;
        Ok((control, socket))
    }
}

/// Round trips by address and by name, whole and in two fragments.
async fn associate(client: Client<'_>) -> io::Result<()> {
    let (_control, socket) = client.association().await?;
    let target = client.world.udp_echo;
    let addresses = [by_address(target), by_name("quick.test", target.port())];
    let payload = &body(client.n.max(1))[..];
    let payload = &payload[..payload.len().min(1200)];
    let mut buffer = vec![0; 65536];
    for n in 0..20 {
        let address = &addresses[n % 2];
        let (first, second) = payload.split_at(payload.len() / 2);
        let datagrams: &[(u8, &[u8])] = if n % 4 < 2 {
            &[(0, payload)]
        } else {
            &[(1, first), (0x82, second)]
        };
        let mut answered = false;
        for _attempt in 0..5 {
            for (fragment, part) in datagrams {
                socket
                    .send(&[&[0, 0, *fragment][..], address, part].concat())
                    .await?;
            }
            if let Ok(len) = timeout(Duration::from_secs(2), socket.recv(&mut buffer)).await {
                answered = buffer[..len?].ends_with(payload);
                break;
            }
        }
        expect("a datagram was not answered", answered)?;
    }
    Ok(())
}

/// Slow names wait, a stranger floods the relay, and the client leaves.
async fn associate_slowly(client: Client<'_>) -> io::Result<()> {
    let (control, socket) = client.association().await?;
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let relay = socket.peer_addr()?;
    for n in 0..40 {
        let address = by_name(&format!("slow{n}.test"), 9);
        let _ = socket
            .send(&[&[0, 0, 0][..], &address, &[7; 1200]].concat())
            .await;
        for _ in 0..10 {
            let _ = stranger.send_to(&[0; 1200], relay).await;
        }
    }
    if client.n % 2 == 0 {
        reset(control);
    }
    Ok(())
}
