//! Simulated sessions: both machines in memory, which exchange only bytes.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use sans_socks::socks4::UserId;
use sans_socks::udp::{Association, Header, MAX_HEADER_LEN, Outcome as Reassembled, Reassembler, fragments};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Host, Io, Machine, Method, ReplyCode, Request, client, server,
};

use crate::annotate::{Direction, Message};
use crate::gssapi::{self, Layers};
use crate::observe::Observer;
use crate::{Error, Event};

/// The request of a client, and the answer of the server.
#[derive(Clone, Debug)]
pub struct Session {
    /// The command of the request.
    pub command: Command,
    /// The address in the request.
    pub target: AddressBuf,
    /// How the client authenticates.
    pub auth: Auth,
    /// How the session ends.
    pub outcome: Outcome,
}

/// How a client authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// It does not.
    None,
    /// With user name and password, RFC 1929.
    Password {
        /// UNAME.
        username: String,
        /// PASSWD.
        password: String,
    },
    /// With GSSAPI, RFC 1961. A toy replaces Kerberos.
    Gssapi,
    /// SOCKS4 with this user id, which the server does not verify.
    Socks4 {
        /// USERID.
        user_id: String,
    },
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tunnel or the association is established.
    Success,
    /// The server rejects the client.
    Rejected,
    /// The server accepts the client, and refuses the request.
    Refused(ReplyCode),
}

/// The address from which the server connects, and at which it listens and relays. It is for documentation, RFC 5737.
const SERVER: &str = "192.0.2.1";
/// The source of the client's datagrams.
const CLIENT: &str = "203.0.113.5:45678";
/// The address to which every name resolves.
const PEER: &str = "198.51.100.7";
/// The payload of each fragment that the client sends.
const PIECE: NonZeroUsize = NonZeroUsize::new(10).unwrap();

impl Session {
    /// Returns every message of the session, and notes on the events in between.
    ///
    /// # Errors
    ///
    /// The session has a value that the protocol cannot encode, such as an IPv6 address in SOCKS4.
    pub fn run(&self) -> Result<Vec<Event>, Error> {
        // a client that does not know the source of its datagrams sends 0.0.0.0:0.
        let address = match self.command {
            Command::UDP_ASSOCIATE => Address::UNSPECIFIED,
            _ => self.target.as_address(),
        };
        let request = Request::new(self.command, address);
        let client = match &self.auth {
            Auth::None => client::Handshake::new(&request, client::Auth::none()),
            Auth::Password { username, password } => {
                let credentials = Credentials::new(username, password)?;
                client::Handshake::new(&request, client::Auth::password(credentials))
            }
            Auth::Gssapi => client::Handshake::new(&request, client::Auth::new(&[Method::GSSAPI], None)?),
            Auth::Socks4 { user_id } => client::Handshake::socks4(&request, UserId::new(user_id)?)?,
        };
        let mut run = Run {
            session: self,
            client,
            server: server::Handshake::with_config(server::Config::new().with_socks4(true)),
            observer: Observer::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            layers: None,
            events: Vec::new(),
        };
        run.note("The client has connected to the server's TCP port, 1080 by convention.");
        loop {
            let client = run.client_turn()?;
            if client == Turn::Acted {
                continue;
            }
            match (client, run.server_turn()?) {
                (Turn::Done, Turn::Done) => break,
                (Turn::Waits, Turn::Waits) => return Err("each side waits for the other".into()),
                _ => {}
            }
        }
        run.tunnel()?;
        Ok(run.events)
    }

    fn server_address(&self) -> Result<AddressBuf, Error> {
        let port = match self.command {
            Command::CONNECT => 49152,
            Command::BIND => 40000,
            _ => 50000,
        };
        Ok(format!("{SERVER}:{port}").parse()?)
    }

    /// Returns the address that connects to a listening server, or that answers a datagram.
    fn peer(&self) -> Result<AddressBuf, Error> {
        match self.target.as_address() {
            Address {
                host: Host::Domain(_),
                port,
            } => Ok(format!("{PEER}:{port}").parse()?),
            _ => Ok(self.target.clone()),
        }
    }
}

struct Run<'a> {
    session: &'a Session,
    client: client::Handshake,
    server: server::Handshake,
    observer: Observer,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    /// The layers that protect all further bytes, once GSSAPI is negotiated.
    layers: Option<Layers>,
    events: Vec<Event>,
}

#[derive(PartialEq, Eq)]
enum Turn {
    Acted,
    Waits,
    Done,
}

/// Sends what is to be sent, or consumes what was received. Returns what was sent, or `None` if a decision is pending.
fn transfer(
    machine: &mut impl Machine,
    inbox: &mut Vec<u8>,
    outbox: &mut Vec<u8>,
) -> Option<(Turn, Vec<u8>)> {
    let mut sent = Vec::new();
    match machine.poll_io()? {
        Io::Transmit(transmit) => {
            sent.extend_from_slice(transmit.as_bytes());
            outbox.extend_from_slice(&sent);
            transmit.sent_all();
        }
        Io::NeedInput { .. } if inbox.is_empty() => return Some((Turn::Waits, sent)),
        Io::NeedInput { .. } => {
            let consumed = machine.handle_input(inbox);
            inbox.drain(..consumed);
        }
    }
    Some((Turn::Acted, sent))
}

impl Run<'_> {
    fn client_turn(&mut self) -> Result<Turn, Error> {
        use client::Decision;

        if let Some((turn, sent)) = transfer(&mut self.client, &mut self.to_client, &mut self.to_server) {
            self.data(Direction::ToServer, &sent)?;
            return Ok(turn);
        }
        match self.client.poll_decision() {
            None => return Ok(Turn::Waits),
            Some(Decision::Negotiate(negotiate)) => {
                let Some(server::Decision::Negotiate(server)) = self.server.poll_decision() else {
                    return Err("the server does not negotiate".into());
                };
                let (messages, layers) = gssapi::negotiate(self.session.outcome != Outcome::Rejected)?;
                if layers.is_some() {
                    negotiate.accept();
                    server.accept();
                } else {
                    negotiate.reject();
                    server.reject();
                }
                self.layers = layers;
                self.note("A toy replaces Kerberos on both sides. It proves nothing, and protects nothing.");
                self.events.extend(messages.into_iter().map(Event::Message));
                if self.layers.is_some() {
                    self.note("All further bytes are encapsulated.");
                }
            }
            Some(Decision::Bound(bound)) => {
                let note = format!(
                    "The client tells the peer to connect to {}, and waits.",
                    bound.address()
                );
                bound.wait_for_peer();
                self.note(note);
            }
            Some(Decision::Established(_) | Decision::Closed(_)) => return Ok(Turn::Done),
        }
        Ok(Turn::Acted)
    }

    fn server_turn(&mut self) -> Result<Turn, Error> {
        use server::Decision;

        if let Some((turn, sent)) = transfer(&mut self.server, &mut self.to_server, &mut self.to_client) {
            self.data(Direction::ToClient, &sent)?;
            return Ok(turn);
        }
        let Session { outcome, target, .. } = self.session;
        match self.server.poll_decision() {
            // The client's turn runs both sides of the negotiation.
            None | Some(Decision::Negotiate(_)) => return Ok(Turn::Waits),
            Some(Decision::SelectMethod(select)) => match &self.session.auth {
                Auth::Password { .. } => select.select(Method::USERNAME_PASSWORD)?,
                Auth::Gssapi => select.select(Method::GSSAPI)?,
                Auth::None if *outcome == Outcome::Rejected => {
                    select.reject();
                    self.note("The server requires a password, and the client has none.");
                }
                Auth::None | Auth::Socks4 { .. } => select.select(Method::NO_AUTHENTICATION)?,
            },
            Some(Decision::Authenticate(authenticate)) if *outcome == Outcome::Rejected => {
                authenticate.reject();
                self.note("The server finds that the password is wrong.");
            }
            Some(Decision::Authenticate(authenticate)) => {
                authenticate.accept();
                self.note("The server finds that the password is right.");
            }
            Some(Decision::PendingRequest(pending)) if *outcome == Outcome::Rejected => {
                pending.reject(ReplyCode::NOT_ALLOWED);
                self.note("The server rejects this user.");
            }
            Some(Decision::PendingRequest(pending)) => {
                if let Outcome::Refused(code) = *outcome {
                    pending.reject(code);
                    self.note(format!("The server refuses the request: {code}."));
                } else {
                    let bound = self.session.server_address()?;
                    let note = match pending.request().command {
                        Command::CONNECT => format!("The server connects to {target} from {bound}."),
                        Command::BIND => format!("The server listens on {bound}."),
                        _ => format!("The server relays datagrams on UDP {bound}."),
                    };
                    pending.accept(bound.as_address());
                    self.note(note);
                }
            }
            Some(Decision::PendingPeer(pending)) => {
                let peer = self.session.peer()?;
                pending.accept(peer.as_address());
                self.note(format!("The peer connects to the server from {peer}."));
            }
            Some(Decision::Established(_) | Decision::Closed(_)) => return Ok(Turn::Done),
        }
        Ok(Turn::Acted)
    }

    /// Continues after the handshake.
    fn tunnel(&mut self) -> Result<(), Error> {
        match (self.session.outcome, self.session.command) {
            (Outcome::Rejected, _) if self.session.auth == Auth::None => {
                self.note("The client closes the connection.");
            }
            (Outcome::Rejected, _) => self.note("The server closes the connection."),
            (Outcome::Refused(_), _) => self.note("The server closes the connection, within 10 seconds."),
            (Outcome::Success, Command::CONNECT) => {
                self.note("The connection is now a tunnel to the target.");
                self.data(Direction::ToServer, b"GET / HTTP/1.0\r\n\r\n")?;
                self.data(Direction::ToClient, b"HTTP/1.0 200 OK\r\n\r\n")?;
            }
            (Outcome::Success, Command::BIND) => {
                self.note("The connection is now a tunnel to the peer.");
                self.data(Direction::ToClient, b"from the peer\n")?;
                self.data(Direction::ToServer, b"to the peer\n")?;
            }
            (Outcome::Success, _) => self.relay()?,
        }
        Ok(())
    }

    /// Sends datagrams through the relay: whole, then in fragments.
    fn relay(&mut self) -> Result<(), Error> {
        let source: SocketAddr = CLIENT.parse()?;
        let mut association = Association::new(source, &Address::UNSPECIFIED).with_fragments(true);
        let mut reassembler = Reassembler::<Duration, _>::with_storage([0; 512]);
        self.note("The client sends datagrams for the target to the relay. Each starts with a header.");
        self.note(format!(
            "The first is from {source}. The relay now accepts only that port of the client."
        ));
        for (question, max_payload) in [
            ("a question", NonZeroUsize::MAX),
            ("a question in three pieces", PIECE),
        ] {
            if max_payload == PIECE {
                self.note("A relay may reassemble fragments. Few relays do.");
            }
            let target = self.session.target.as_address();
            for piece in fragments(target, question.as_bytes(), max_payload)? {
                let mut bytes = vec![0; piece.encoded_len()];
                piece.encode_into(&mut bytes)?;
                self.datagram(Direction::ToServer, &bytes)?;
                let piece = association.accept(source, &bytes)?;
                match reassembler.handle_datagram(Duration::ZERO, piece) {
                    Reassembled::Deliver(whole) => self.note(format!(
                        "The relay sends \"{}\" to {}.",
                        String::from_utf8_lossy(whole.payload),
                        whole.header.address,
                    )),
                    Reassembled::Pending => {}
                    Reassembled::Dropped(reason) => return Err(reason.into()),
                }
            }
        }
        let peer = self.session.peer()?;
        self.note(format!("The relay receives an answer from {peer}."));
        let mut bytes = vec![0; MAX_HEADER_LEN];
        bytes.extend_from_slice(b"an answer");
        let start = Header::standalone(peer.as_address()).prepend(&mut bytes, MAX_HEADER_LEN)?;
        self.datagram(Direction::ToClient, &bytes[start..])?;
        self.note("The client closes the TCP connection, which ends the association.");
        Ok(())
    }

    fn datagram(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), Error> {
        let datagram = Message::datagram(direction, bytes)?;
        let sent = match &mut self.layers {
            Some(layers) => layers.encapsulate_datagram(datagram)?,
            None => datagram,
        };
        self.events.push(Event::Message(sent));
        Ok(())
    }

    fn data(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), Error> {
        let events = self.observer.observe(direction, bytes);
        self.stream(events)
    }

    /// Adds events of the stream, under the layers that are negotiated.
    fn stream(&mut self, events: Vec<Event>) -> Result<(), Error> {
        for event in events {
            self.events.push(match (event, &mut self.layers) {
                (Event::Message(message), Some(layers)) => Event::Message(layers.encapsulate(message)?),
                (event, _) => event,
            });
        }
        Ok(())
    }

    fn note(&mut self, note: impl Into<String>) {
        self.events.push(Event::Note(note.into()));
    }
}
