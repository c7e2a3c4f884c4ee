//! GSSAPI, RFC 1961, with a toy instead of Kerberos. The frames are real, but nothing is protected.

use std::fmt;

use sans_socks::gssapi::{
    ClientConfig, Context, Encapsulation, Frame, MessageType, Negotiator, Output, Progress, Protection,
    ProtectionLevel, ServerConfig, Services,
};

use crate::Error;
use crate::annotate::{Direction, Field, Kind, Message, frame_header};

/// A context that proves nothing and protects nothing. Each side sends its name, and a token is the plaintext and the sum
/// of its bytes.
enum Toy {
    Client,
    Server { lets_in: bool },
}

/// An unexpected token.
#[derive(Debug)]
struct Unexpected;

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unexpected token")
    }
}

impl std::error::Error for Unexpected {}

const CLIENT_TOKEN: &[u8] = b"toy: I am alice";
const SERVER_TOKEN: &[u8] = b"toy: I am the proxy";

impl Context for Toy {
    type Error = Unexpected;

    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Self::Error> {
        match (self, token) {
            (Self::Client, None) => {
                out.extend_from_slice(CLIENT_TOKEN);
                Ok(Progress::ContinueNeeded)
            }
            (Self::Server { lets_in: true }, Some(CLIENT_TOKEN)) => {
                out.extend_from_slice(SERVER_TOKEN);
                Ok(Progress::Complete)
            }
            (Self::Client, Some(SERVER_TOKEN)) => Ok(Progress::Complete),
            _ => Err(Unexpected),
        }
    }

    fn services(&self) -> Services {
        Services::new().with_integrity(true)
    }

    fn wrap(&mut self, _: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<Protection, Self::Error> {
        out.extend_from_slice(plain);
        out.push(sum(plain));
        Ok(Protection::Integrity)
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, Self::Error> {
        match token.split_last() {
            Some((check, plain)) if *check == sum(plain) => {
                out.extend_from_slice(plain);
                Ok(Protection::Integrity)
            }
            _ => Err(Unexpected),
        }
    }

    fn max_plain(&self, _: Protection, max_token: usize) -> usize {
        max_token.saturating_sub(1)
    }
}

fn sum(plain: &[u8]) -> u8 {
    plain.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Both sides of the layer after the negotiation.
pub(crate) struct Layers {
    client: Encapsulation<Toy>,
    server: Encapsulation<Toy>,
}

/// Returns every message of the negotiation, and the layers if the server accepts the client.
pub(crate) fn negotiate(lets_in: bool) -> Result<(Vec<Message>, Option<Layers>), Error> {
    let mut client = Negotiator::client(Toy::Client, ClientConfig::new(ProtectionLevel::Integrity));
    let mut server = Negotiator::server(Toy::Server { lets_in }, ServerConfig::new());
    let mut messages = Vec::new();
    loop {
        let to_server = messages.len();
        let client_is_done = turn(&mut client, Direction::ToServer, &mut messages)?;
        hear(&mut server, &messages[to_server..])?;
        let to_client = messages.len();
        let server_is_done = turn(&mut server, Direction::ToClient, &mut messages)?;
        hear(&mut client, &messages[to_client..])?;
        if client_is_done && server_is_done {
            break;
        }
    }
    let layers = match (client.into_encapsulation(), server.into_encapsulation()) {
        (Ok(client), Ok(server)) => Some(Layers { client, server }),
        _ => None,
    };
    Ok((messages, layers))
}

/// Runs one side until it needs input. Returns whether it has ended.
fn turn(
    side: &mut Negotiator<Toy>,
    direction: Direction,
    messages: &mut Vec<Message>,
) -> Result<bool, Error> {
    loop {
        match side.poll_output() {
            Output::Transmit(transmit) => {
                messages.push(message(direction, transmit.as_bytes())?);
                transmit.sent_all();
            }
            Output::Step(step) => step.run(),
            Output::NeedInput { .. } => return Ok(false),
            Output::Established | Output::Closed(_) => return Ok(true),
        }
    }
}

fn hear(side: &mut Negotiator<Toy>, messages: &[Message]) -> Result<(), Error> {
    for message in messages {
        if side.handle_input(&message.bytes) != message.bytes.len() {
            return Err("a message was consumed in part".into());
        }
    }
    Ok(())
}

/// Annotates a message of the negotiation.
fn message(direction: Direction, bytes: &[u8]) -> Result<Message, Error> {
    let Frame::Token { message_type, token } = whole(bytes)? else {
        let abort = Kind::Frame.annotate(direction, bytes)?;
        return Ok(Message {
            title: "abort",
            section: "RFC 1961 section 3.8".to_owned(),
            ..abort.ok_or("a message was sent in part")?
        });
    };
    let mut fields = frame_header(message_type, token.as_bytes());
    let (title, section) = match (message_type, token.as_bytes()) {
        (MessageType::ProtectionLevel, [level, _]) => {
            let level =
                ProtectionLevel::new(*level).map_or_else(|| "none".to_owned(), |level| level.to_string());
            fields.extend([Field::new("TOKEN", 1, level), check()]);
            ("protection level", "RFC 1961 section 4.3")
        }
        (_, token) => {
            fields.push(Field::text("TOKEN", token.len()));
            ("authentication", "RFC 1961 section 3.4")
        }
    };
    Ok(Message::with(direction, title, section, bytes, fields))
}

fn whole(bytes: &[u8]) -> Result<Frame<'_>, Error> {
    match Frame::decode(bytes)?.complete() {
        Some((frame, _)) => Ok(frame),
        None => Err("a message was sent in part".into()),
    }
}

impl Layers {
    /// Returns the message in the form for the stream.
    pub(crate) fn encapsulate(&mut self, message: Message) -> Result<Message, Error> {
        let (sender, receiver) = self.sides(message.direction);
        let (mut frame, mut plain) = (Vec::new(), Vec::new());
        sender.encapsulate(&message.bytes, &mut frame)?;
        receiver.decapsulate(&frame, &mut plain)?;
        encapsulated(message, frame, &plain)
    }

    /// Returns the message in the form for a datagram.
    pub(crate) fn encapsulate_datagram(&mut self, message: Message) -> Result<Message, Error> {
        let (sender, receiver) = self.sides(message.direction);
        let (mut frame, mut plain) = (Vec::new(), Vec::new());
        sender.encapsulate_datagram(&message.bytes, &mut frame)?;
        receiver.decapsulate_datagram(&frame, &mut plain)?;
        encapsulated(message, frame, &plain)
    }

    fn sides(&mut self, direction: Direction) -> (&mut Encapsulation<Toy>, &mut Encapsulation<Toy>) {
        match direction {
            Direction::ToServer => (&mut self.client, &mut self.server),
            Direction::ToClient => (&mut self.server, &mut self.client),
        }
    }
}

/// Annotates a frame: its own fields, around the fields of the message in it.
fn encapsulated(message: Message, frame: Vec<u8>, received: &[u8]) -> Result<Message, Error> {
    if received != message.bytes {
        return Err("the message received differs from the one sent".into());
    }
    let Frame::Token { message_type, token } = whole(&frame)? else {
        return Err("a frame without a token".into());
    };
    let mut fields = frame_header(message_type, token.as_bytes());
    fields.extend(message.fields);
    fields.push(check());
    Ok(Message {
        section: format!("{}; RFC 1961 section 5", message.section),
        bytes: frame,
        fields,
        ..message
    })
}

fn check() -> Field {
    Field::new("TOKEN", 1, "toy: the sum of the bytes in it")
}
