//! Handshakes that arrive in pieces, or end early.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use crate::common::{CONNECT, LOCALHOST, Names, Proxy, Raw, accept, is_unused, listener, request};

const EARLY: &[u8] = b"early";

/// A CONNECT through a proxy of its own.
struct Session {
    proxy: Proxy,
    target: TcpListener,
    /// What the client sends, and the length of each reply.
    messages: Vec<(Vec<u8>, usize)>,
}

impl Session {
    fn new(args: &[&str], messages: impl FnOnce(SocketAddr) -> Vec<(Vec<u8>, usize)>) -> Self {
        let (target, address) = listener();
        Self {
            proxy: Proxy::with_resolver(args, Names(|_: &str| Ok(vec![LOCALHOST]))),
            target,
            messages: messages(address),
        }
    }

    /// SOCKS5 with a login, SOCKS4, and SOCKS4a.
    fn all() -> [Self; 3] {
        let version_4 = |rest: &'static [u8]| {
            move |at: SocketAddr| vec![([&[4, 1][..], &at.port().to_be_bytes(), rest].concat(), 8)]
        };
        [
            Self::new(&["--user", "alice", "--password", "secret"], |at| {
                vec![
                    (vec![5, 2, 0, 2], 2),
                    (b"\x01\x05alice\x06secret".to_vec(), 2),
                    (request(CONNECT, at), 10),
                ]
            }),
            Self::new(&["--socks4"], version_4(b"\x7f\0\0\x01user\0")),
            Self::new(&["--socks4"], version_4(b"\0\0\0\x01user\0name.test\0")),
        ]
    }

    /// Returns all messages in one.
    fn handshake(&self) -> Vec<u8> {
        self.messages
            .iter()
            .flat_map(|(message, _)| message.clone())
            .collect()
    }

    /// Returns the length of all replies to a client that has sent this many bytes.
    fn reply_len(&self, sent: usize) -> usize {
        let mut end = 0;
        let is_whole = |(message, _): &&(Vec<u8>, usize)| {
            end += message.len();
            end <= sent
        };
        self.messages
            .iter()
            .take_while(is_whole)
            .map(|(_, reply)| reply)
            .sum()
    }

    /// Sends the handshake and early data in pieces, and uses the tunnel.
    fn run(&self, pieces: &[&[u8]]) {
        let whole = self.handshake().len();
        let mut client = Raw::connect(self.proxy.address);
        let mut sent = 0;
        for piece in pieces {
            client.send(piece);
            sent += piece.len();
            thread::sleep(Duration::from_millis(3)); // for the proxy to read this piece alone
            assert!(
                sent >= whole || is_unused(&self.target),
                "dialed after {sent} bytes"
            );
        }
        let mut far = accept(&self.target);
        far.expect(EARLY);
        far.send(b"answer");
        client.read(self.reply_len(whole));
        client.expect(b"answer");
    }
}

#[test]
fn every_handshake_in_two_pieces_ends_in_a_tunnel() {
    for session in Session::all() {
        let bytes = [&session.handshake(), EARLY].concat();
        for cut in 1..bytes.len() {
            session.run(&[&bytes[..cut], &bytes[cut..]]);
        }
    }
}

#[test]
fn every_handshake_in_single_bytes_ends_in_a_tunnel() {
    for session in Session::all() {
        let bytes = [&session.handshake(), EARLY].concat();
        session.run(&bytes.chunks(1).collect::<Vec<_>>());
    }
}

/// The messages before the end are answered, and the target is not dialed.
#[test]
fn handshake_that_ends_early_dials_nothing() {
    for session in Session::all() {
        let bytes = session.handshake();
        for cut in 0..bytes.len() {
            let mut client = Raw::connect(session.proxy.address);
            client.send(&bytes[..cut]);
            client.end();
            let mut got = Vec::new();
            client.0.read_to_end(&mut got).expect("not a reset");
            assert_eq!(got.len(), session.reply_len(cut), "after {cut} bytes: {got:?}");
        }
        assert!(is_unused(&session.target));
    }
}
