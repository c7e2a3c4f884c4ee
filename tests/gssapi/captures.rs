//! Sessions captured between real programs over Kerberos, `tests/data/gssapi/`. A machine replaces each side, uses the tokens
//! of the capture, and must send the bytes of the capture.

use sans_socks_testing::faults::wrong_version;
use std::collections::VecDeque;

use sans_socks::gssapi::{
    ClientConfig, Context, Encapsulation, Error, Frame, MessageType, Negotiator, Progress, Protection,
    ProtectionLevel, ServerConfig, Services,
};
use sans_socks::message::Decoded;
use sans_socks::{Command, Reply, Request};

use sans_socks_testing::gssapi::drive;

use ProtectionLevel::{Confidentiality, Integrity};

/// Returns the bytes of one side after the method selection, split as they were captured.
fn side(capture: &str, prefix: &str) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for line in capture.lines() {
        if let Some(rest) = line.strip_prefix(prefix) {
            if let [len, bytes] = rest.split_whitespace().collect::<Vec<_>>()[..] {
                let bytes = hex::decode(bytes).unwrap();
                assert_eq!(bytes.len().to_string(), len, "a complete line");
                pieces.push(bytes);
            }
        }
    }
    assert_eq!(pieces.remove(0)[0], 5, "the greeting, or the selection");
    pieces
}

/// Returns the tokens of the frames at the front of `bytes`, and the bytes after them.
fn tokens(mut bytes: &[u8]) -> (Vec<(MessageType, &[u8])>, &[u8]) {
    let mut tokens = Vec::new();
    while let Ok(Decoded::Complete {
        value: Frame::Token { message_type, token },
        consumed,
    }) = Frame::decode(bytes)
    {
        assert_ne!(consumed, 0);
        tokens.push((message_type, token.as_bytes()));
        bytes = &bytes[consumed..];
    }
    (tokens, bytes)
}

/// Reads a Kerberos token of RFC 4121 section 4.2.6.2: the flag "Sealed", and the plaintext if it is not set.
fn cfx(token: &[u8]) -> (Protection, Vec<u8>) {
    assert_eq!(token[..2], [5, 4]);
    if token[2] & 2 == 0 {
        (Protection::Integrity, token[16..token.len() - 12].to_vec())
    } else {
        // 60 bytes of confounder, header copy and checksum. Zeros replace the plaintext, which is unknown.
        (Protection::Confidentiality, vec![0; token.len() - 60])
    }
}

/// A context that returns the captured tokens of one side, in order.
struct Recorded {
    initiator: bool,
    own: VecDeque<Vec<u8>>,
}

impl Context for Recorded {
    type Error = String;

    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, String> {
        if token.is_some() == self.initiator {
            return Ok(Progress::Complete);
        }
        out.extend(self.own.pop_front().ok_or("no token left")?);
        Ok(if self.initiator {
            Progress::ContinueNeeded
        } else {
            Progress::Complete
        })
    }

    fn services(&self) -> Services {
        Services::new().with_integrity(true).with_confidentiality(true)
    }

    fn wrap(
        &mut self,
        protection: Protection,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Protection, String> {
        let token = self.own.pop_front().ok_or("no token left")?;
        if cfx(&token) != (protection, plain.to_vec()) {
            return Err(format!("{protection:?} {plain:x?} was not captured"));
        }
        out.extend(token);
        Ok(protection)
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, String> {
        let (protection, plain) = cfx(token);
        out.extend(plain);
        Ok(protection)
    }

    fn max_plain(&self, _: Protection, max_token: usize) -> usize {
        max_token
    }
}

/// Runs one side to the end of the negotiation. Returns its layer, and the peer's bytes that are left over.
fn play<'a>(
    negotiator: impl FnOnce(Recorded) -> Negotiator<Recorded>,
    initiator: bool,
    nec: bool,
    own: &[u8],
    peer: &'a [Vec<u8>],
) -> (Result<Encapsulation<Recorded>, Error<String>>, Vec<u8>) {
    let (frames, _) = tokens(own);
    let bare = |message_type| nec && message_type == MessageType::ProtectionLevel;
    let context = Recorded {
        initiator,
        own: frames
            .iter()
            .filter(|(message_type, _)| !bare(*message_type))
            .map(|(_, token)| token.to_vec())
            .collect(),
    };
    let pieces: Vec<&'a [u8]> = peer.iter().map(Vec::as_slice).collect();
    let outcome = drive(negotiator(context), &pieces);
    let negotiation: usize = frames
        .iter()
        .filter(|(message_type, _)| *message_type != MessageType::Encapsulated)
        .map(|(_, token)| 4 + token.len())
        .sum();
    assert_eq!(outcome.sent, own[..negotiation], "as captured");
    (outcome.end, outcome.unread)
}

struct Session {
    command: Command,
    level: Option<ProtectionLevel>,
    nec: bool,
    /// How many frames each side sent after the negotiation, or bytes at level 00.
    frames: (usize, usize),
    capture: &'static str,
}

macro_rules! session {
    ($file:literal, $command:ident, $level:expr, $nec:literal, $frames:expr) => {
        Session {
            command: Command::$command,
            level: $level,
            nec: $nec,
            frames: $frames,
            capture: include_str!(concat!("../data/gssapi/", $file)),
        }
    };
}

fn sessions() -> [Session; 13] {
    [
        session!("dante-integrity.txt", CONNECT, Some(Integrity), false, (2, 3)),
        session!(
            "dante-confidentiality.txt",
            CONNECT,
            Some(Confidentiality),
            false,
            (2, 2)
        ),
        session!("dante-clear.txt", CONNECT, None, false, (98, 212)),
        session!("danted-l0-connect.txt", CONNECT, None, false, (37, 212)),
        session!("danted-l0-bind.txt", BIND, None, false, (10, 35)),
        session!("danted-l0-udp.txt", UDP_ASSOCIATE, None, false, (10, 10)),
        session!("danted-l1-connect.txt", CONNECT, Some(Integrity), false, (2, 2)),
        session!("danted-l1-bind.txt", BIND, Some(Integrity), false, (2, 3)),
        session!("danted-l1-udp.txt", UDP_ASSOCIATE, Some(Integrity), false, (1, 1)),
        session!(
            "danted-l2-connect.txt",
            CONNECT,
            Some(Confidentiality),
            false,
            (2, 3)
        ),
        session!("danted-l2-bind.txt", BIND, Some(Confidentiality), false, (2, 3)),
        session!(
            "danted-l2-udp.txt",
            UDP_ASSOCIATE,
            Some(Confidentiality),
            false,
            (1, 1)
        ),
        session!(
            "danted-l2-nec-udp.txt",
            UDP_ASSOCIATE,
            Some(Confidentiality),
            true,
            (1, 1)
        ),
    ]
}

fn client_config(level: Option<ProtectionLevel>, nec: bool) -> ClientConfig {
    level
        .map_or(ClientConfig::unprotected(), ClientConfig::new)
        .with_nec(nec)
}

/// Encodes and decodes the frames that one side sent after the negotiation. Returns their number and their plaintext.
fn relay(
    layer: &mut Encapsulation<Recorded>,
    peer_layer: &mut Encapsulation<Recorded>,
    wire: &[u8],
) -> (usize, Vec<u8>) {
    let mut all = Vec::new();
    if layer.level().is_none() {
        assert_eq!(peer_layer.decapsulate(wire, &mut all), Ok(wire.len()));
        assert_eq!(all, wire);
        return (wire.len(), all);
    }
    let (frames, rest) = tokens(wire);
    assert!(rest.is_empty());
    for (_, token) in &frames {
        let (_, plain) = cfx(token);
        let mut made = Vec::new();
        layer.encapsulate(&plain, &mut made).unwrap();
        assert_eq!(made[4..], **token, "as captured");
    }
    for byte in wire {
        assert_eq!(peer_layer.decapsulate(&[*byte], &mut all), Ok(1));
    }
    peer_layer.handle_eof().unwrap();
    (frames.len(), all)
}

/// Dante's client and server at every level. Both roles, with the bytes that the
/// other side of the capture sent.
#[test]
fn dante_sessions_are_replayed_byte_for_byte() {
    for session in sessions() {
        let (from_client, from_server) = (side(session.capture, "C>"), side(session.capture, "S>"));
        let client_config = client_config(session.level, session.nec);
        let server_config = ServerConfig::new().with_clear(true).with_nec(session.nec);
        let (of_client, to_client) = play(
            |context| Negotiator::client(context, client_config),
            true,
            session.nec,
            &from_client.concat(),
            &from_server,
        );
        let (of_server, to_server) = play(
            |context| Negotiator::server(context, server_config),
            false,
            session.nec,
            &from_server.concat(),
            &from_client,
        );
        let (mut of_client, mut of_server) = (of_client.unwrap(), of_server.unwrap());
        assert_eq!(of_client.level(), session.level);
        assert_eq!(of_server.level(), session.level);

        let (sent, requests) = relay(&mut of_client, &mut of_server, &to_server);
        let (answered, replies) = relay(&mut of_server, &mut of_client, &to_client);
        assert_eq!((sent, answered), session.frames);
        if session.level != Some(Confidentiality) {
            let (request, _) = Request::decode(&requests).unwrap().complete().unwrap();
            assert_eq!(request.command, session.command);
            let (reply, _) = Reply::decode(&replies).unwrap().complete().unwrap();
            assert!(reply.code.is_success());
        }
    }
}

/// curl 8.22 proposes level 2, and sends its request without a frame after the server has agreed.
#[test]
fn curl_request_without_a_frame_is_a_version_fault() {
    for (nec, capture) in [
        (false, include_str!("../data/gssapi/curl-8.22-lv210.txt")),
        (true, include_str!("../data/gssapi/curl-8.22-lv210-nec.txt")),
    ] {
        let (from_client, from_server) = (side(capture, "C>"), side(capture, "S>"));
        let (layer, rest) = play(
            |context| Negotiator::server(context, ServerConfig::new().with_nec(nec)),
            false,
            nec,
            &from_server.concat(),
            &from_client,
        );
        let mut layer = layer.unwrap();
        assert_eq!(layer.level(), Some(Confidentiality));
        let mut plain = Vec::new();
        assert_eq!(
            layer.decapsulate(&rest, &mut plain),
            Err(Error::Malformed(wrong_version(1, 5)))
        );
        assert!(plain.is_empty());
    }
}

/// curl 8.22 proposes level 2, is answered 0, and continues without protection. A client of this crate refuses.
#[test]
fn client_captured_downgrade_is_refused() {
    for (nec, capture) in [
        (false, include_str!("../data/gssapi/curl-8.22-lv0.txt")),
        (true, include_str!("../data/gssapi/curl-8.22-lv0-nec.txt")),
    ] {
        let (from_client, from_server) = (side(capture, "C>"), side(capture, "S>"));
        let (layer, rest) = play(
            |context| Negotiator::client(context, client_config(Some(Confidentiality), nec)),
            true,
            nec,
            &from_client.concat(),
            &from_server,
        );
        assert_eq!(layer.unwrap_err(), Error::LevelNotAllowed(0));
        assert_eq!(
            rest.first(),
            Some(&5),
            "the reply without protection is not consumed"
        );
    }
}
