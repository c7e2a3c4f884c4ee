//! An observer between client and server, which identifies each message.

use std::net::SocketAddr;

use sans_socks::message::Decoded;
use sans_socks::{Command, Method, Reply};

use crate::Event;
use crate::annotate::{Direction, Kind, Message};

/// The state of a connection, in both directions.
#[derive(Debug)]
pub(crate) struct Observer {
    to_server: Side,
    to_client: Side,
    command: Command,
    relay: Option<SocketAddr>,
}

#[derive(Debug)]
struct Side {
    due: Due,
    /// Bytes that are not annotated yet.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A greeting, or a request of SOCKS4.
    First,
    Message(Kind),
    /// A message that depends on a message of the other side.
    Unknown,
    /// Frames of GSSAPI, or a message without encapsulation.
    Frames(Kind),
    Data,
}

impl Observer {
    pub(crate) const fn new() -> Self {
        Self {
            to_server: Side::new(Due::First),
            to_client: Side::new(Due::Unknown),
            command: Command::CONNECT,
            relay: None,
        }
    }

    /// Returns the messages that are complete with these bytes.
    pub(crate) fn observe(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Event> {
        self.side(direction).bytes.extend_from_slice(bytes);
        let mut events = Vec::new();
        loop {
            let before = events.len();
            events.extend(self.next(Direction::ToServer));
            events.extend(self.next(Direction::ToClient));
            if events.len() == before {
                return events;
            }
        }
    }

    /// Returns the remaining bytes at the end.
    pub(crate) fn finish(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for direction in [Direction::ToServer, Direction::ToClient] {
            let bytes = std::mem::take(&mut self.side(direction).bytes);
            if !bytes.is_empty() {
                events.push(Event::Note("The capture ends within a message.".to_owned()));
                events.push(Event::Message(Message::unknown(direction, &bytes)));
            }
        }
        events
    }

    /// Returns where the relay receives datagrams, after a reply to UDP ASSOCIATE.
    pub(crate) const fn relay(&self) -> Option<SocketAddr> {
        self.relay
    }

    const fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn next(&mut self, direction: Direction) -> Vec<Event> {
        let side = self.side(direction);
        let Some(first) = side.bytes.first() else {
            return Vec::new();
        };
        let kind = match side.due {
            Due::First if *first == 4 => Kind::Socks4Request,
            Due::First => Kind::Greeting,
            Due::Message(kind) => kind,
            Due::Frames(kind) if *first == 5 => kind,
            Due::Frames(_) => Kind::Frame,
            Due::Unknown => return Vec::new(),
            Due::Data => {
                let bytes = std::mem::take(&mut side.bytes);
                return vec![Event::Message(Message::data(direction, &bytes))];
            }
        };
        match kind.annotate(direction, &side.bytes) {
            Ok(None) => Vec::new(),
            Ok(Some(message)) => {
                side.bytes.drain(..message.bytes.len());
                if kind == Kind::Reply && self.command == Command::UDP_ASSOCIATE {
                    let reply = Reply::decode(&message.bytes).ok().and_then(Decoded::complete);
                    self.relay = reply.and_then(|(reply, _)| reply.address.to_socket_addr());
                }
                let note = self.follow(kind, message.bytes[1]);
                let message = Event::Message(message);
                std::iter::once(message).chain(note.map(Event::Note)).collect()
            }
            Err(error) => {
                let bytes = std::mem::take(&mut side.bytes);
                (self.to_server.due, self.to_client.due) = (Due::Data, Due::Data);
                vec![
                    Event::Note(format!("Not the expected message: {error}.")),
                    Event::Message(Message::unknown(direction, &bytes)),
                ]
            }
        }
    }

    /// Chooses the message that follows one of `kind`, whose second byte is `code`: METHOD, STATUS, CMD, REP, CD or one that
    /// is not used here.
    fn follow(&mut self, kind: Kind, code: u8) -> Option<String> {
        let (to_server, to_client) = match kind {
            Kind::Greeting => (Due::Unknown, Due::Message(Kind::Selection)),
            Kind::Selection => match Method::new(code) {
                Method::NO_AUTHENTICATION => (Due::Message(Kind::Request), Due::Unknown),
                Method::USERNAME_PASSWORD => (Due::Message(Kind::Credentials), Due::Unknown),
                Method::GSSAPI => (Due::Frames(Kind::Request), Due::Frames(Kind::Reply)),
                Method::NO_ACCEPTABLE => (Due::Data, Due::Data),
                _ => {
                    (self.to_server.due, self.to_client.due) = (Due::Data, Due::Data);
                    return Some("The messages of the method follow.".to_owned());
                }
            },
            Kind::Credentials => (Due::Message(Kind::Request), Due::Message(Kind::Status)),
            // A client may have sent its request before the status.
            Kind::Status if code == 0 => match self.to_server.due {
                Due::Data => (Due::Data, Due::Message(Kind::Reply)),
                due => (due, Due::Unknown),
            },
            Kind::Status => (Due::Data, Due::Data),
            Kind::Request | Kind::Socks4Request => {
                self.command = Command::new(code);
                let reply = match (kind, self.to_client.due) {
                    (_, Due::Message(Kind::Status)) => Kind::Status,
                    (Kind::Request, _) => Kind::Reply,
                    _ => Kind::Socks4Reply,
                };
                (Due::Data, Due::Message(reply))
            }
            Kind::Reply if code == 0 && self.command == Command::BIND => {
                (Due::Data, Due::Message(Kind::SecondReply))
            }
            Kind::Socks4Reply if code == 0x5a && self.command == Command::BIND => {
                (Due::Data, Due::Message(Kind::Socks4SecondReply))
            }
            Kind::Reply | Kind::SecondReply | Kind::Socks4Reply | Kind::Socks4SecondReply => {
                (Due::Data, Due::Data)
            }
            Kind::Frame => (self.to_server.due, self.to_client.due),
        };
        (self.to_server.due, self.to_client.due) = (to_server, to_client);
        None
    }
}

impl Side {
    const fn new(due: Due) -> Self {
        Self {
            due,
            bytes: Vec::new(),
        }
    }
}
