//! The parts of the client's handshake that only version 4 has.

use core::net::SocketAddr;

use super::{Answer, Config, Handshake, LONGEST, Message, State};
use crate::buffer::{Buffer, Word, push};
use crate::code_point::{Command, ReplyCode};
use crate::error::{Error, InvalidValue};
use crate::message::Decoded;
use crate::message::request::{Reply, Request};
use crate::socks4::{self, UserId, Version};

impl Handshake {
    /// Creates a handshake of SOCKS4, or of SOCKS4a if the target is a name.
    ///
    /// There is no authentication. The outputs are those of version 5, except
    /// [`Output::Negotiate`](super::Output::Negotiate). A refusal is reported as [`Error::Socks4Refused`].
    ///
    /// ```
    /// use sans_socks::client::{Handshake, Output};
    /// use sans_socks::socks4::UserId;
    /// use sans_socks::{Address, Request};
    ///
    /// let request = Request::connect(Address::try_from(("example.com", 80))?);
    /// let mut handshake = Handshake::socks4(&request, UserId::EMPTY)?;
    /// if let Output::Transmit(transmit) = handshake.poll_output() {
    ///     assert_eq!(transmit.as_bytes(), b"\x04\x01\0\x50\0\0\0\x01\0example.com\0");
    ///     transmit.sent_all();
    /// }
    /// assert_eq!(handshake.handle_input(b"\0\x5a\0\0\0\0\0\0"), 8);
    /// assert!(matches!(handshake.poll_output(), Output::Established(_)));
    /// # Ok::<(), sans_socks::InvalidValue>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidValue::Socks4Address`] when the host is an IPv6 address, `0.0.0.x` with x other than 0, or a name with a
    /// NUL. [`InvalidValue::Socks4Command`] for [`Command::UDP_ASSOCIATE`].
    pub fn socks4(request: &Request<'_>, user_id: UserId<'_>) -> Result<Self, InvalidValue> {
        if request.command == Command::UDP_ASSOCIATE {
            return Err(InvalidValue::Socks4Command);
        }
        let message = socks4::Request::new(request.command, request.address, user_id)?;
        let mut words = [Word::default(); LONGEST / 8];
        let end = push(words.as_flattened_mut(), 0, &message);
        Ok(Self {
            buffer: Buffer::sending(words, end, (0, end)),
            greeting_end: 0,
            credentials_end: 0,
            request_end: end,
            config: Config::new(),
            version: Version::Socks4,
            command: request.command,
            method: None,
            state: State::Read(Message::Reply),
        })
    }

    /// Consumes a reply, or part of one.
    pub(super) fn receive_socks4(&mut self, input: &[u8], message: Message) -> usize {
        if self.buffer.received_len() == 0 {
            // Most replies arrive whole.
            if let Ok(Decoded::Complete { consumed, .. }) = decode_socks4_reply(input) {
                self.succeeded(message);
                self.buffer.take_whole(input, consumed);
                return consumed;
            }
        }
        self.receive_part(message, input, decode_socks4_reply)
    }

    /// Returns a reply of version 4 as one of version 5.
    pub(super) fn socks4_reply(&self) -> Reply<'_> {
        match socks4::Reply::decode(self.buffer.received()) {
            Ok(Decoded::Complete { value, .. }) => {
                Reply::new(value.code.into(), SocketAddr::V4(value.address).into())
            }
            _ => {
                debug_assert!(false, "the reply was decoded before");
                Reply::new(ReplyCode::GENERAL_FAILURE, crate::Address::UNSPECIFIED)
            }
        }
    }
}

/// Decodes a reply of version 4. Reports a failure as soon as CD is received.
pub(super) fn decode_socks4_reply(bytes: &[u8]) -> Result<Decoded<Answer>, Error> {
    if let [0 | socks4::VERSION, code, ..] = *bytes {
        let code = socks4::ReplyCode::new(code);
        if !code.is_granted() {
            return Err(Error::Socks4Refused(code));
        }
    }
    Ok(socks4::Reply::decode(bytes)?.map(|_| Answer::Succeeded))
}
