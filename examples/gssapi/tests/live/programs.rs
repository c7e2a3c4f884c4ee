//! The programs under test, and the use of a tunnel through them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::realm::Realm;
use sans_socks_testing::programs::process::{Finished, PATIENCE, Process};
use sans_socks_testing::programs::target;

pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_gssapi_server");
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_gssapi_client");

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Server {
    pub(crate) fn start(realm: &Realm, options: &[&str]) -> Self {
        Self::with(realm, options, &[])
    }

    pub(crate) fn with(realm: &Realm, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = realm.command(SERVER);
        command.envs(environment.iter().copied());
        Self::listening(command, options)
    }

    pub(crate) fn listening(mut command: Command, options: &[&str]) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        let mut process = Process::start(command);
        let line = process.line();
        let address = line.strip_prefix("listening on ").expect("where it listens");
        let address = address.parse().expect("an address");
        Self { address, process }
    }
}

/// Starts a client.
pub(crate) fn client(realm: &Realm, proxy: SocketAddr, options: &[&str], port: u16) -> Process {
    client_with(realm, proxy, options, port, &[])
}

pub(crate) fn client_with(
    realm: &Realm,
    proxy: SocketAddr,
    options: &[&str],
    port: u16,
    environment: &[(&str, &str)],
) -> Process {
    let mut command = realm.command(CLIENT);
    command.args(["--proxy", &proxy.to_string()]).args(options);
    command.envs(environment.iter().copied());
    command.args(["127.0.0.1", &port.to_string()]);
    Process::start(command)
}

/// Returns 1 MiB in which no sequence of eight bytes repeats.
pub(crate) fn mebibyte() -> &'static [u8] {
    &target::body()[..1024 * 1024]
}

/// Starts an HTTP origin that serves `body`.
pub(crate) fn http(body: &'static [u8]) -> SocketAddr {
    target::listen(Ipv4Addr::LOCALHOST, move |mut stream| {
        let mut head = BufReader::new(stream.try_clone()?).lines();
        while head.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        write!(
            stream,
            "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)
    })
}

/// CONNECT: 1 MiB to an echo and back.
pub(crate) fn connect(realm: &Realm, proxy: SocketAddr, options: &[&str]) {
    let port = target::echo(Ipv4Addr::LOCALHOST).port();
    client(realm, proxy, options, port).expect_echo(mebibyte());
}

/// BIND: both replies, a peer that sends first, and 1 MiB to it and back.
pub(crate) fn bind(realm: &Realm, proxy: SocketAddr, options: &[&str]) {
    let mut client = client(realm, proxy, &[options, &["--bind"]].concat(), 0);
    let bound = client.line();
    let bound = bound.strip_prefix("bound ").expect("the first reply's address");
    let mut peer = TcpStream::connect(bound).expect("it listens");
    peer.write_all(b"from the peer\n").expect("a tunnel");
    let address = peer.local_addr().expect("connected");
    assert_eq!(client.line(), format!("peer {address}"));
    assert_eq!(client.line(), "from the peer");
    let peer = thread::spawn(move || io::copy(&mut peer.try_clone()?, &mut peer));
    client.expect_echo(mebibyte());
    peer.join().expect("no panic").expect("a tunnel up to its end");
}

/// UDP ASSOCIATE: datagrams of many lengths to an echo and back, one at a time.
pub(crate) fn udp(realm: &Realm, proxy: SocketAddr, options: &[&str]) {
    let echo = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    echo.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let port = echo.local_addr().expect("bound").port();
    let lengths = [1, 2, 100, 1200, 1400, 9000, 40_000];
    let sources = thread::spawn(move || {
        lengths.map(|_| {
            let mut buf = vec![0; 65_536];
            let (len, source) = echo.recv_from(&mut buf).expect("a datagram");
            echo.send_to(&buf[..len], source).expect("an answer");
            source
        })
    });
    let mut client = client(realm, proxy, &[options, &["--udp"]].concat(), port);
    for length in lengths {
        let line: String = ('a'..='z').cycle().take(length).collect();
        client.send(format!("{line}\n").as_bytes());
        assert!(client.line() == line, "the answer to {length} bytes");
    }
    expect_good_end(client);
    let sources = sources.join().expect("no panic");
    assert!(sources.iter().all(|source| *source == sources[0]), "{sources:?}");
}

fn expect_good_end(client: Process) {
    let end = client.finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert_eq!(end.stdout, b"", "surplus bytes");
}

/// Expects a failure with this reason, and no output.
#[track_caller]
pub(crate) fn expect_failure(end: &Finished, reason: &str) {
    assert!(!end.status.success(), "{}", end.stderr);
    assert!(end.stderr.contains(reason), "{}", end.stderr);
    assert_eq!(end.stdout, b"");
}

/// Waits until the server has logged these words.
#[track_caller]
pub(crate) fn expect_log(server: &Server, words: &str) {
    let start = std::time::Instant::now();
    while !server.process.log().contains(words) {
        assert!(
            start.elapsed() < PATIENCE,
            "no {words:?} in: {}",
            server.process.log()
        );
        thread::sleep(Duration::from_millis(10));
    }
}
