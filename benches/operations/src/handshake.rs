//! Whole handshakes of both roles.

use std::hint::black_box;
use std::net::SocketAddr;
use std::slice;
use std::sync::atomic::{Ordering, compiler_fence};

use sans_socks::client::{self, Auth};
use sans_socks::server::{self, Established};
use sans_socks::socks4::UserId;
use sans_socks::{Credentials, Method, Request};

use super::message::{
    CREDENTIALS, GREETING, PASSWORD, REPLY_IPV4, REPLY_SOCKS4, REQUEST_DOMAIN, REQUEST_SOCKS4, USERNAME,
    bound, target,
};
use super::{Bench, LONGEST_HOST, PORT};

/// The bytes that a driver has sent.
struct Sent {
    bytes: [u8; 1024],
    len: usize,
}

impl Sent {
    const fn new() -> Self {
        Self {
            bytes: [0; 1024],
            len: 0,
        }
    }

    #[inline(always)]
    fn send(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        black_box(&self.bytes);
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Returns each byte as a separate read, so that the compiler cannot join their copies.
#[inline(always)]
fn one_by_one(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.iter().map(|byte| {
        compiler_fence(Ordering::SeqCst);
        slice::from_ref(byte)
    })
}

/// Drives a server. No read in `reads` extends beyond the end of a message.
#[inline(always)]
fn serve<'a>(
    config: server::Config,
    reads: impl Iterator<Item = &'a [u8]>,
    method: Method,
    (username, password): (&[u8], &[u8]),
    sent: &mut Sent,
) -> Option<Established> {
    use server::Output;

    let mut handshake = server::Handshake::with_config(config);
    sent.len = 0;
    for read in reads {
        if handshake.handle_input(read) != read.len() {
            return None;
        }
        loop {
            match handshake.poll_output() {
                Output::Transmit(transmit) => {
                    sent.send(transmit.as_bytes())?;
                    transmit.sent_all();
                }
                Output::NeedInput { .. } => break,
                Output::SelectMethod(select) => {
                    select.select_preferred(&[method]);
                }
                Output::Authenticate(authenticate) => {
                    let credentials = authenticate.credentials();
                    if credentials.verify(black_box(username), black_box(password)) {
                        authenticate.accept();
                    } else {
                        authenticate.reject();
                    }
                }
                Output::PendingRequest(pending) => {
                    black_box(&pending.request());
                    pending.accept(bound());
                }
                Output::Established(established) => return Some(established),
                _ => return None,
            }
        }
    }
    None
}

/// A client of version 5.
#[inline(always)]
fn connect<'a>(
    reads: impl Iterator<Item = &'a [u8]>,
    credentials: Option<Login<'_>>,
    sent: &mut Sent,
) -> Option<Option<SocketAddr>> {
    let auth = match credentials {
        None => Auth::none(),
        Some((username, password)) => {
            Auth::password_or_none(Credentials::new(black_box(username), black_box(password)).ok()?)
        }
    };
    let mut handshake = client::Handshake::new(&Request::connect(target()?), auth);
    drive(&mut handshake, reads, sent)
}

/// A client of version 4.
#[inline(always)]
fn connect_socks4<'a>(reads: impl Iterator<Item = &'a [u8]>, sent: &mut Sent) -> Option<Option<SocketAddr>> {
    let user_id = UserId::new(black_box(USERNAME)).ok()?;
    let mut handshake = client::Handshake::socks4(&Request::connect(target()?), user_id).ok()?;
    drive(&mut handshake, reads, sent)
}

/// Drives a client. Returns where the server is bound, if that is an IP address.
#[inline(always)]
fn drive<'a>(
    handshake: &mut client::Handshake,
    mut reads: impl Iterator<Item = &'a [u8]>,
    sent: &mut Sent,
) -> Option<Option<SocketAddr>> {
    use client::Output;

    sent.len = 0;
    loop {
        match handshake.poll_output() {
            Output::Transmit(transmit) => {
                sent.send(transmit.as_bytes())?;
                transmit.sent_all();
            }
            Output::NeedInput { .. } => {
                let read = reads.next()?;
                if handshake.handle_input(read) != read.len() {
                    return None;
                }
            }
            Output::Established(reply) => {
                return Some(reply.address.to_socket_addr());
            }
            _ => return None,
        }
    }
}

/// The messages of one side, and the bytes that the other must send.
struct Exchange {
    messages: Vec<Vec<u8>>,
    /// All messages, for one read.
    stream: Vec<u8>,
    answers: Vec<u8>,
}

impl Exchange {
    fn new(messages: &[&[u8]], answers: &[&[u8]]) -> Self {
        Self {
            messages: messages.iter().map(|message| message.to_vec()).collect(),
            stream: messages.concat(),
            answers: answers.concat(),
        }
    }

    /// Returns a read for each message.
    #[inline(always)]
    fn whole(&self) -> impl Iterator<Item = &[u8]> {
        black_box(&self.messages[..]).iter().map(Vec::as_slice)
    }

    /// Returns a read for each byte.
    #[inline(always)]
    fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        one_by_one(black_box(&self.stream[..]))
    }

    /// Returns reads of this many bytes.
    #[inline(always)]
    fn pieces(&self, len: usize) -> impl Iterator<Item = &[u8]> {
        self.whole().flat_map(move |message| message.chunks(len))
    }
}

type Login<'a> = (&'a [u8], &'a [u8]);

const LOGIN: Login<'static> = (USERNAME, PASSWORD);
const VERSION_5: server::Config = server::Config::new();
const NO_AUTHENTICATION: &[u8] = b"\x05\x01\x00";

pub(super) fn all(bench: &mut impl Bench) {
    const NONE: Method = Method::NO_AUTHENTICATION;
    const PASSWORD: Method = Method::USERNAME_PASSWORD;

    let none = Exchange::new(&[NO_AUTHENTICATION, REQUEST_DOMAIN], &[b"\x05\x00", REPLY_IPV4]);
    server(bench, "server/none", &none, |sent| {
        serve(VERSION_5, none.whole(), NONE, LOGIN, sent)
    });
    server(bench, "server/none/bytes", &none, |sent| {
        serve(VERSION_5, none.bytes(), NONE, LOGIN, sent)
    });

    let password = Exchange::new(
        &[GREETING, CREDENTIALS, REQUEST_DOMAIN],
        &[b"\x05\x02", b"\x01\x00", REPLY_IPV4],
    );
    server(bench, "server/password", &password, |sent| {
        serve(VERSION_5, password.whole(), PASSWORD, LOGIN, sent)
    });
    server(bench, "server/password/bytes", &password, |sent| {
        serve(VERSION_5, password.bytes(), PASSWORD, LOGIN, sent)
    });

    let login: Login<'_> = (&[b'u'; 255], &[b'p'; 255]);
    let longest = long(GREETING, login, LONGEST_HOST.as_bytes());
    server(bench, "server/longest", &longest, |sent| {
        serve(VERSION_5, longest.whole(), PASSWORD, login, sent)
    });
    server(bench, "server/longest/bytes", &longest, |sent| {
        serve(VERSION_5, longest.bytes(), PASSWORD, login, sent)
    });

    let none = Exchange::new(&[b"\x05\x00", REPLY_IPV4], &[NO_AUTHENTICATION, REQUEST_DOMAIN]);
    client(bench, "client/none", &none, |sent| {
        connect(none.whole(), None, sent)
    });
    client(bench, "client/none/bytes", &none, |sent| {
        connect(none.bytes(), None, sent)
    });

    let password = Exchange::new(
        &[b"\x05\x02", b"\x01\x00", REPLY_IPV4],
        &[GREETING, CREDENTIALS, REQUEST_DOMAIN],
    );
    client(bench, "client/password", &password, |sent| {
        connect(password.whole(), Some(LOGIN), sent)
    });
    client(bench, "client/password/bytes", &password, |sent| {
        connect(password.bytes(), Some(LOGIN), sent)
    });
}

/// Measures SOCKS4a.
pub(super) fn socks4(bench: &mut impl Bench) {
    let served = Exchange::new(&[REQUEST_SOCKS4], &[REPLY_SOCKS4]);
    let config = VERSION_5.with_socks4(true);
    let method = Method::NO_AUTHENTICATION;
    server(bench, "server/socks4", &served, |sent| {
        serve(config, served.whole(), method, LOGIN, sent)
    });
    server(bench, "server/socks4/bytes", &served, |sent| {
        serve(config, served.bytes(), method, LOGIN, sent)
    });
    let connected = Exchange::new(&[REPLY_SOCKS4], &[REQUEST_SOCKS4]);
    client(bench, "client/socks4", &connected, |sent| {
        connect_socks4(connected.whole(), sent)
    });
}

/// Measures messages with `size` bytes in every field, in reads of several lengths.
pub(super) fn growth(bench: &mut impl Bench, size: u8) {
    let field = vec![b'x'; usize::from(size)];
    let login: Login<'_> = (&field, &field);
    // Methods that no server has, and the one that is selected.
    let greeting = [&[5, size + 1], &vec![0x7f; usize::from(size)][..], &[2]].concat();
    let exchange = long(&greeting, login, &field);
    let bound = [&[5, 0, 0, 3, size], &field[..], &[0, 0]].concat();
    let reply = Exchange::new(
        &[b"\x05\x02", b"\x01\x00", &bound],
        &[GREETING, CREDENTIALS, REQUEST_DOMAIN],
    );
    let head = b"\x04\x01\x01\xbb\0\0\0\x01";
    let request = [head, &field[..], b"\0", &field, b"\0"].concat();
    let request = Exchange::new(&[&request], &[REPLY_SOCKS4]);
    for len in [1, 6] {
        server(bench, &format!("server/{len}"), &exchange, |sent| {
            serve(
                VERSION_5,
                exchange.pieces(len),
                Method::USERNAME_PASSWORD,
                login,
                sent,
            )
        });
        client(bench, &format!("client/{len}"), &reply, |sent| {
            connect(reply.pieces(len), Some(LOGIN), sent)
        });
        server(bench, &format!("server/socks4/{len}"), &request, |sent| {
            let method = Method::NO_AUTHENTICATION;
            serve(
                VERSION_5.with_socks4(true),
                request.pieces(len),
                method,
                LOGIN,
                sent,
            )
        });
    }
}

/// Returns the bytes of a client with these credentials and this target.
fn long(greeting: &[u8], (username, password): Login<'_>, host: &[u8]) -> Exchange {
    let field = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
    Exchange::new(
        &[
            greeting,
            &[&[1], &field(username)[..], &field(password)].concat(),
            &[&[5, 1, 0, 3], &field(host)[..], &PORT.to_be_bytes()].concat(),
        ],
        &[b"\x05\x02", b"\x01\x00", REPLY_IPV4],
    )
}

fn server(
    bench: &mut impl Bench,
    name: &str,
    exchange: &Exchange,
    operation: impl FnMut(&mut Sent) -> Option<Established>,
) {
    bench.job(name, Sent::new(), operation, |established, sent| {
        assert_eq!(established, Some(Established::Stream), "{name}");
        assert_eq!(sent.bytes(), exchange.answers, "{name}");
    });
}

fn client(
    bench: &mut impl Bench,
    name: &str,
    exchange: &Exchange,
    operation: impl FnMut(&mut Sent) -> Option<Option<SocketAddr>>,
) {
    bench.job(name, Sent::new(), operation, |bound, sent| {
        assert!(bound.is_some(), "{name}");
        assert_eq!(sent.bytes(), exchange.answers, "{name}");
    });
}
