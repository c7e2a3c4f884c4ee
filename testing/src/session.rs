//! Sessions between both machines, for tests that inspect each machine after every step. Unlike [`driver`](crate::driver),
//! this allocates nothing, so that a test can count what the machines allocate.

use sans_socks::client::{self, Auth};
use sans_socks::server;
use sans_socks::socks4::UserId;
use sans_socks::{Address, Command, Credentials, Io, Machine, Method, Phase, ReplyCode, Request};

/// The secrets that a test searches for.
pub const USERNAME: &str = "Zq7xKw9vHd3m";
pub const PASSWORD: &str = "Wj4kYb2qTg8n";

/// A request, the answer, and what happens to the connection.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    pub request: Request<'a>,
    pub auth: Auth<'a>,
    /// The user id, if the client uses version 4.
    pub socks4: Option<UserId<'a>>,
    /// The client's configuration.
    pub config: client::Config,
    /// The method that the server selects.
    pub method: Method,
    pub end: End,
    /// The most bytes that are sent or offered at a time.
    pub chunk: usize,
    /// A fault of the connection, and after how many turns of both sides it happens.
    pub fault: Option<(usize, Fault)>,
}

/// How it ends, if the connection has no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Tunnel,
    NoAcceptableMethod,
    /// The password, or another method's negotiation, is rejected.
    Rejected,
    Refused,
    /// BIND's second reply is a refusal.
    PeerRefused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends.
    Eof,
    /// It carries bytes that do not belong to a message.
    Garbage,
}

/// A machine after one of its turns.
pub enum Seen<'a> {
    Client(&'a mut client::Handshake),
    Server(&'a mut server::Handshake),
}

/// Runs every command with every kind of authentication and every end, and the same in version 4.
pub fn every_session(mut with: impl FnMut(Session<'_>)) {
    let credentials = Credentials::new(USERNAME, PASSWORD).unwrap();
    let all = [Method::USERNAME_PASSWORD, Method::GSSAPI];
    let all = Auth::new(&all, Some(credentials)).unwrap();
    let (none, password) = (Auth::none(), Auth::password(credentials));
    let either = Auth::password_or_none(credentials);
    for (auth, method, optimistic) in [
        (none, Method::NO_AUTHENTICATION, false),
        (none, Method::NO_AUTHENTICATION, true),
        (password, Method::USERNAME_PASSWORD, false),
        (password, Method::USERNAME_PASSWORD, true),
        (either, Method::USERNAME_PASSWORD, false),
        (either, Method::NO_AUTHENTICATION, false),
        (all, Method::USERNAME_PASSWORD, false),
        (all, Method::GSSAPI, false),
    ] {
        for command in [
            Command::CONNECT,
            Command::BIND,
            Command::UDP_ASSOCIATE,
            Command::RESOLVE,
        ] {
            for target in ["192.0.2.9:80", "example.com:80", "[2001:db8::9]:80"] {
                for end in [
                    End::Tunnel,
                    End::NoAcceptableMethod,
                    End::Rejected,
                    End::Refused,
                    End::PeerRefused,
                ] {
                    let impossible = match end {
                        End::Rejected => method == Method::NO_AUTHENTICATION,
                        End::PeerRefused => command != Command::BIND,
                        _ => false,
                    };
                    if impossible {
                        continue;
                    }
                    with(Session {
                        request: Request::new(command, Address::try_from(target).unwrap()),
                        auth,
                        socks4: None,
                        config: client::Config::new().with_optimistic(optimistic),
                        method,
                        end,
                        chunk: usize::MAX,
                        fault: None,
                    });
                }
            }
        }
    }
    every_socks4_session(with);
}

/// Runs every command of version 4 with every end.
fn every_socks4_session(mut with: impl FnMut(Session<'_>)) {
    for command in [Command::CONNECT, Command::BIND, Command::RESOLVE] {
        for target in ["192.0.2.9:80", "example.com:80"] {
            for end in [End::Tunnel, End::Refused, End::PeerRefused] {
                if end == End::PeerRefused && command != Command::BIND {
                    continue;
                }
                with(Session {
                    request: Request::new(command, Address::try_from(target).unwrap()),
                    auth: Auth::none(),
                    socks4: Some(UserId::new(USERNAME).unwrap()),
                    config: client::Config::new(),
                    method: Method::NO_AUTHENTICATION,
                    end,
                    chunk: usize::MAX,
                    fault: None,
                });
            }
        }
    }
}

/// Bytes in transit.
struct Wire {
    bytes: [u8; 2048],
    len: usize,
}

impl Wire {
    const fn new() -> Self {
        Self {
            bytes: [0; 2048],
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn drop_front(&mut self, n: usize) {
        self.bytes.copy_within(n..self.len, 0);
        self.len -= n;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Acted,
    Waits,
    Done,
}

impl Session<'_> {
    /// Runs the session, passes each machine to `see` after each of its turns, and returns the final phases.
    pub fn run(&self, mut see: impl FnMut(Seen<'_>)) -> (Phase, Phase) {
        let mut client = match self.socks4 {
            Some(user_id) => client::Handshake::socks4(&self.request, user_id).unwrap(),
            None => client::Handshake::with_config(&self.request, self.auth, self.config),
        };
        let config = server::Config::new().with_socks4(self.socks4.is_some());
        let mut server = server::Handshake::with_config(config);
        let (mut to_client, mut to_server) = (Wire::new(), Wire::new());
        see(Seen::Client(&mut client));
        see(Seen::Server(&mut server));
        let mut turns = 0;
        loop {
            let clients = self.client_turn(&mut client, &mut to_client, &mut to_server);
            see(Seen::Client(&mut client));
            let servers = self.server_turn(&mut server, &mut to_server, &mut to_client);
            see(Seen::Server(&mut server));
            match (clients, servers) {
                (Turn::Done, Turn::Done) => return (client.phase(), server.phase()),
                (Turn::Waits, Turn::Waits) => panic!("each side waits for the other: {self:?}"),
                (Turn::Waits, Turn::Done) => client.handle_eof(),
                (Turn::Done, Turn::Waits) => server.handle_eof(),
                _ => {}
            }
            turns += 1;
            assert!(turns < 10_000, "unlimited turns: {self:?}");
            match self.fault {
                Some((at, Fault::Eof)) if at == turns => {
                    (to_client.len, to_server.len) = (0, 0);
                    client.handle_eof();
                    server.handle_eof();
                }
                Some((at, Fault::Garbage)) if at == turns => {
                    (to_client.len, to_server.len) = (0, 0);
                    to_client.push(PASSWORD.as_bytes());
                    to_server.push(PASSWORD.as_bytes());
                }
                _ => {}
            }
        }
    }

    fn client_turn(
        &self,
        client: &mut client::Handshake,
        to_client: &mut Wire,
        to_server: &mut Wire,
    ) -> Turn {
        use client::Decision;

        if let Some(turn) = self.transfer(client, to_client, to_server) {
            return turn;
        }
        match client.poll_decision().expect("no input or output is due") {
            Decision::Negotiate(negotiate) if self.end == End::Rejected => negotiate.reject(),
            Decision::Negotiate(negotiate) => negotiate.accept(),
            Decision::Bound(bound) => bound.wait_for_peer(),
            Decision::Established(_) | Decision::Closed(_) => return Turn::Done,
        }
        Turn::Acted
    }

    fn server_turn(
        &self,
        server: &mut server::Handshake,
        to_server: &mut Wire,
        to_client: &mut Wire,
    ) -> Turn {
        use server::Decision;

        if let Some(turn) = self.transfer(server, to_server, to_client) {
            return turn;
        }
        let bound = match self.socks4 {
            Some(_) => "192.0.2.1:40000",
            None => "[2001:db8::1]:40000",
        };
        let bound = Address::try_from(bound).unwrap();
        match server.poll_decision().expect("no input or output is due") {
            Decision::SelectMethod(select) if self.end == End::NoAcceptableMethod => select.reject(),
            Decision::SelectMethod(select) => {
                select.select_preferred(&[self.method]);
                assert_eq!(server.method(), Some(self.method));
            }
            Decision::Authenticate(authenticate) => {
                assert!(authenticate.credentials().verify(USERNAME, PASSWORD));
                match self.end {
                    End::Rejected => authenticate.reject(),
                    _ => authenticate.accept(),
                }
            }
            Decision::Negotiate(negotiate) if self.end == End::Rejected => negotiate.reject(),
            Decision::Negotiate(negotiate) => negotiate.accept(),
            Decision::PendingRequest(pending) if self.end == End::Refused => {
                pending.reject(ReplyCode::CONNECTION_REFUSED);
            }
            Decision::PendingRequest(pending) => {
                assert_eq!(pending.request(), self.request);
                assert_eq!(pending.user_id(), self.socks4);
                pending.accept(bound);
            }
            Decision::PendingPeer(pending) if self.end == End::PeerRefused => {
                pending.reject(ReplyCode::NOT_ALLOWED);
            }
            Decision::PendingPeer(pending) => pending.accept(bound),
            Decision::Established(_) | Decision::Closed(_) => return Turn::Done,
        }
        Turn::Acted
    }

    /// Sends or consumes some bytes, or returns `None` if a decision is pending.
    fn transfer(&self, machine: &mut impl Machine, inbox: &mut Wire, outbox: &mut Wire) -> Option<Turn> {
        match machine.poll_io()? {
            Io::Transmit(transmit) => {
                let n = transmit.as_bytes().len().min(self.chunk);
                outbox.push(&transmit.as_bytes()[..n]);
                transmit.sent(n);
            }
            Io::NeedInput { .. } if inbox.len == 0 => return Some(Turn::Waits),
            Io::NeedInput { .. } => {
                let n = inbox.len.min(self.chunk);
                let consumed = machine.handle_input(&inbox.get()[..n]);
                inbox.drop_front(consumed);
            }
        }
        Some(Turn::Acted)
    }
}
