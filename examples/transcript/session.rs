//! Both machines against each other in memory, and what goes over the wire between them.

use core::error::Error;
use core::fmt;
use core::net::SocketAddr;
use core::num::NonZeroUsize;
use core::time::Duration;

use sans_socks::udp::{Association, Header, MAX_HEADER_LEN, Outcome as Reassembled, Reassembler, fragments};
use sans_socks::{
    Address, AddressBuf, Command, Credentials, Host, Method, ReplyCode, Request, client, server,
};

use crate::annotate::{Direction, Message};
use crate::gssapi::{self, Layers};

/// Who wants what of whom, and whether it is granted.
pub(crate) struct Session {
    pub(crate) command: Command,
    /// What the client wants to reach.
    pub(crate) target: AddressBuf,
    pub(crate) auth: Auth,
    pub(crate) outcome: Outcome,
}

/// How the client says who it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    None,
    Password { username: String, password: String },
    Gssapi,
}

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// The server does not let the client in.
    Rejected,
    /// The server lets the client in, and does not do what it asks for.
    Refused(ReplyCode),
}

/// What happens, in order.
pub(crate) enum Event {
    Message(Message),
    /// What the octets do not show.
    Note(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Note(note) => writeln!(f, "# {note}"),
        }
    }
}

/// Where the server connects from, listens, and relays: an address for documentation, RFC 5737.
const SERVER: &str = "192.0.2.1";
/// Where the client's datagrams come from.
const CLIENT: &str = "203.0.113.5:45678";
/// What a name stands for.
const PEER: &str = "198.51.100.7";
/// What the client cuts its datagrams to, when it sends fragments.
const PIECE: NonZeroUsize = NonZeroUsize::new(10).unwrap();

impl Session {
    /// Every message of the session, with notes on what happens between them.
    pub(crate) fn run(&self) -> Result<Vec<Event>, Box<dyn Error>> {
        let auth = match &self.auth {
            Auth::Password { username, password } => {
                client::Auth::password(Credentials::new(username, password)?)
            }
            Auth::None => client::Auth::none(),
            Auth::Gssapi => client::Auth::new(&[Method::GSSAPI], None)?,
        };
        // A client that does not know where its datagrams will come from says 0.0.0.0:0.
        let address = match self.command {
            Command::UDP_ASSOCIATE => Address::UNSPECIFIED,
            _ => self.target.as_address(),
        };
        let request = Request::new(self.command, address);
        let mut run = Run {
            session: self,
            client: client::Handshake::new(&request, auth),
            server: server::Handshake::new(),
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

    fn server_address(&self) -> Result<AddressBuf, Box<dyn Error>> {
        let port = match self.command {
            Command::CONNECT => 49152,
            Command::BIND => 40000,
            _ => 50000,
        };
        Ok(format!("{SERVER}:{port}").parse()?)
    }

    /// Who connects to a listening server, or answers a datagram.
    fn peer(&self) -> Result<AddressBuf, Box<dyn Error>> {
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
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    /// Under all that is sent, once GSSAPI is negotiated.
    layers: Option<Layers>,
    events: Vec<Event>,
}

#[derive(PartialEq, Eq)]
enum Turn {
    Acted,
    Waits,
    Done,
}

impl Run<'_> {
    fn client_turn(&mut self) -> Result<Turn, Box<dyn Error>> {
        match self.client.poll_output() {
            client::Output::Transmit(transmit) => {
                let message = Message::new(Direction::ToServer, self.server.phase(), transmit.as_bytes())?;
                self.to_server.extend_from_slice(transmit.as_bytes());
                transmit.sent(message.octets.len());
                self.stream(message)?;
            }
            client::Output::NeedInput { .. } if self.to_client.is_empty() => return Ok(Turn::Waits),
            client::Output::NeedInput { .. } => {
                let taken = self.client.handle_input(&self.to_client);
                self.to_client.drain(..taken);
            }
            client::Output::Negotiate(negotiate) => {
                let server::Output::Negotiate(server) = self.server.poll_output() else {
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
                self.note(
                    "Both sides are toys in place of Kerberos: they prove nothing, and protect nothing.",
                );
                self.events.extend(messages.into_iter().map(Event::Message));
                if self.layers.is_some() {
                    self.note("From here on everything is encapsulated.");
                }
            }
            client::Output::Bound(bound) => {
                let note = format!(
                    "The client tells the peer to connect to {}, and waits.",
                    bound.address()
                );
                bound.wait_for_peer();
                self.note(note);
            }
            client::Output::Established(_) | client::Output::Closed(_) => return Ok(Turn::Done),
        }
        Ok(Turn::Acted)
    }

    fn server_turn(&mut self) -> Result<Turn, Box<dyn Error>> {
        let Session { outcome, target, .. } = self.session;
        match self.server.poll_output() {
            server::Output::Transmit(transmit) => {
                let message = Message::new(Direction::ToClient, self.client.phase(), transmit.as_bytes())?;
                self.to_client.extend_from_slice(transmit.as_bytes());
                transmit.sent(message.octets.len());
                self.stream(message)?;
            }
            server::Output::NeedInput { .. } if self.to_server.is_empty() => return Ok(Turn::Waits),
            server::Output::NeedInput { .. } => {
                let taken = self.server.handle_input(&self.to_server);
                self.to_server.drain(..taken);
            }
            server::Output::SelectMethod(select) => match &self.session.auth {
                Auth::Password { .. } => select.select(Method::USERNAME_PASSWORD)?,
                Auth::Gssapi => select.select(Method::GSSAPI)?,
                Auth::None if *outcome == Outcome::Rejected => {
                    select.reject();
                    self.note("The server wants a password, and the client has none.");
                }
                Auth::None => select.select(Method::NO_AUTHENTICATION)?,
            },
            server::Output::Authenticate(authenticate) if *outcome == Outcome::Rejected => {
                authenticate.reject();
                self.note("The server finds that the password is wrong.");
            }
            server::Output::Authenticate(authenticate) => {
                authenticate.accept();
                self.note("The server finds that the password is right.");
            }
            // The client's turn is for both.
            server::Output::Negotiate(_) => return Ok(Turn::Waits),
            server::Output::PendingRequest(pending) => {
                if let Outcome::Refused(code) = *outcome {
                    pending.reject(code);
                    self.note(format!("The server cannot or will not do that: {code}."));
                } else {
                    let bound = self.session.server_address()?;
                    let note = match pending.request().command {
                        Command::CONNECT => format!("The server connects to {target} from {bound}."),
                        Command::BIND => format!("The server listens on {bound}."),
                        _ => format!("The server relays datagrams on {bound}, UDP."),
                    };
                    pending.accept(bound.as_address());
                    self.note(note);
                }
            }
            server::Output::PendingPeer(pending) => {
                let peer = self.session.peer()?;
                pending.accept(peer.as_address());
                self.note(format!("The peer connects to the server from {peer}."));
            }
            server::Output::Established(_) | server::Output::Closed(_) => return Ok(Turn::Done),
        }
        Ok(Turn::Acted)
    }

    /// What comes behind the handshake.
    fn tunnel(&mut self) -> Result<(), Box<dyn Error>> {
        match (self.session.outcome, self.session.command) {
            (Outcome::Rejected, _) if self.session.auth == Auth::None => {
                self.note("The client closes the connection.");
            }
            (Outcome::Rejected, _) => self.note("The server closes the connection."),
            (Outcome::Refused(_), _) => self.note("The server closes the connection, within 10 seconds."),
            (Outcome::Success, Command::CONNECT) => {
                self.note("From here on the connection is a tunnel to the target.");
                self.data(Direction::ToServer, b"GET / HTTP/1.0\r\n\r\n")?;
                self.data(Direction::ToClient, b"HTTP/1.0 200 OK\r\n\r\n")?;
            }
            (Outcome::Success, Command::BIND) => {
                self.note("From here on the connection is a tunnel to the peer.");
                self.data(Direction::ToClient, b"from the peer\n")?;
                self.data(Direction::ToServer, b"to the peer\n")?;
            }
            (Outcome::Success, _) => self.relay()?,
        }
        Ok(())
    }

    /// Datagrams through the relay: whole, then in fragments.
    fn relay(&mut self) -> Result<(), Box<dyn Error>> {
        let source: SocketAddr = CLIENT.parse()?;
        let mut association = Association::new(source, &Address::UNSPECIFIED).with_fragments(true);
        let mut reassembler = Reassembler::<Duration, _>::with_storage([0; 512]);
        self.note(
            "The client has datagrams for the target. It sends them to the relay, each behind a header.",
        );
        self.note(format!(
            "The first comes from {source}: from here on, only that port is the client's."
        ));
        for (question, max_payload) in [
            ("a question", NonZeroUsize::MAX),
            ("a question in three pieces", PIECE),
        ] {
            if max_payload == PIECE {
                self.note("A relay may put fragments together; few do.");
            }
            let target = self.session.target.as_address();
            for piece in fragments(target, question.as_bytes(), max_payload)? {
                let mut octets = vec![0; piece.encoded_len()];
                piece.encode_into(&mut octets)?;
                self.datagram(Direction::ToServer, &octets)?;
                let piece = association.accept(source, &octets)?;
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
        self.note(format!("An answer comes to the relay from {peer}."));
        let mut octets = vec![0; MAX_HEADER_LEN];
        octets.extend_from_slice(b"an answer");
        let start = Header::standalone(peer.as_address()).prepend(&mut octets, MAX_HEADER_LEN)?;
        self.datagram(Direction::ToClient, &octets[start..])?;
        self.note("The client closes the TCP connection. That ends the association.");
        Ok(())
    }

    fn datagram(&mut self, direction: Direction, octets: &[u8]) -> Result<(), Box<dyn Error>> {
        let datagram = Message::datagram(direction, octets)?;
        let sent = match &mut self.layers {
            Some(layers) => layers.encapsulate_datagram(datagram)?,
            None => datagram,
        };
        self.events.push(Event::Message(sent));
        Ok(())
    }

    fn data(&mut self, direction: Direction, octets: &[u8]) -> Result<(), Box<dyn Error>> {
        self.stream(Message::data(direction, octets))
    }

    fn stream(&mut self, message: Message) -> Result<(), Box<dyn Error>> {
        let sent = match &mut self.layers {
            Some(layers) => layers.encapsulate(message)?,
            None => message,
        };
        self.events.push(Event::Message(sent));
        Ok(())
    }

    fn note(&mut self, note: impl Into<String>) {
        self.events.push(Event::Note(note.into()));
    }
}
