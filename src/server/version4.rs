//! The parts of the server's handshake that only version 4 has.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::{Established, Handshake, Message, State};
use crate::address::{Address, Host};
use crate::buffer::Progress;
use crate::code_point::{Command, ReplyCode};
use crate::error::Error;
use crate::message::{Decoded, length_byte};
use crate::socks4::{self, Version};

impl Handshake {
    /// Consumes a request, or part of one.
    #[inline(never)] // The path of version 5 need not save registers.
    pub(super) fn receive_socks4(&mut self, input: &[u8]) -> usize {
        // If a request arrives one byte at a time, this handles most of its bytes, with a third of the instructions.
        if socks4::Request::is_inside_field(self.buffer.received_len(), input) {
            self.buffer.take_undecided(input);
            return input.len();
        }
        let config = self.config;
        let decode = |bytes: &[u8]| State::after(Message::Greeting, config, bytes);
        let begins = self.buffer.received_len() == 0;
        let (consumed, progress) = match begins.then(|| decode(input)) {
            // Most requests arrive whole.
            Some(Ok(Decoded::Complete { value, consumed })) => {
                self.buffer.take_whole(input, consumed);
                (consumed, Progress::Message(value))
            }
            _ => self.buffer.receive_at_once(input, decode).unwrap_or_else(|| {
                let first = Message::Greeting.first_decision(config);
                self.buffer.receive(input, first, decode)
            }),
        };
        self.buffer.mark_all_secret(); // the user id
        match progress {
            Progress::Partial => {}
            // SOCKS4 has no such command.
            Progress::Message(State::Reply(request)) if request.command == Command::UDP_ASSOCIATE => {
                self.reject(Version::Socks4, ReplyCode::COMMAND_NOT_SUPPORTED);
            }
            Progress::Message(next) => self.state = next,
            Progress::Fault(fault) => self.refuse(Message::Greeting, Version::Socks4, fault),
        }
        consumed
    }

    /// Sends a failure with a code of version 4, which is converted for a client of version 5.
    pub(super) fn reject_socks4(&mut self, version: Version, code: socks4::ReplyCode) {
        let code = if code.is_granted() {
            socks4::ReplyCode::REJECTED
        } else {
            code
        };
        match version {
            Version::Socks5 => self.reject(version, code.into()),
            Version::Socks4 => {
                self.send_socks4_failure(code);
                self.state = State::Closed(Error::Socks4Refused(code));
            }
        }
    }

    /// Sends a failure. Keeps a complete request, without its user id, for [`request`](Self::request).
    pub(super) fn send_socks4_failure(&mut self, code: socks4::ReplyCode) {
        match socks4::Request::decode(self.buffer.received()) {
            Ok(Decoded::Complete { value, .. }) => {
                let len = length_byte(value.user_id().as_bytes());
                self.buffer.remove(socks4::Request::USER_ID_START, len);
            }
            _ => {
                self.buffer.wipe_secret();
                self.buffer.begin();
            }
        }
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        self.buffer
            .send_after_received(&socks4::Reply::new(code, nowhere));
    }

    /// Accepts a request. The reply has room for an IPv4 address only.
    pub(super) fn accept_socks4(&mut self, address: Address<'_>) {
        let ip = match address.host {
            Host::Ipv4(ip) => Some(ip),
            Host::Ipv6(ip) => ip.to_ipv4_mapped(),
            Host::Domain(_) => None,
        };
        let bound = match ip {
            Some(ip) => SocketAddrV4::new(ip, address.port),
            // A command other than CONNECT and BIND asks for the address, which this reply cannot carry.
            None if matches!(self.state, State::Established(Established::Other(_))) => {
                return self.reject(Version::Socks4, ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED);
            }
            // CONNECT has no use for the address. For BIND, zeros mean the address at which the client reached the server.
            None => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, address.port),
        };
        self.buffer.wipe_secret();
        self.buffer
            .send_message(&socks4::Reply::new(socks4::ReplyCode::GRANTED, bound));
    }
}
