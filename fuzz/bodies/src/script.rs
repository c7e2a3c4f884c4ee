//! The requests and answers of the machines' callers, as values that a fuzzer can generate.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;

use arbitrary::Arbitrary;
use sans_socks::client::{self, Auth};
use sans_socks::socks4::{self, UserId};
use sans_socks::{Address, Command, Credentials, Domain, Method, ReplyCode, Request, server};

use sans_socks_testing::driver::{Client, Server, Verdict};

const NONE: Method = Method::NO_AUTHENTICATION;
const GSSAPI: Method = Method::GSSAPI;
const PASSWORD: Method = Method::USERNAME_PASSWORD;
const PRIVATE: Method = Method::new(0x80);

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Host {
    Unspecified,
    Ipv4,
    Ipv6,
    Name,
    NameWithNul,
    LongestName,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Target {
    host: Host,
    port: u16,
}

impl Target {
    pub fn address(self) -> Address<'static> {
        let name = |name: &'static [u8]| Domain::new(name).expect("1 to 255 bytes").into();
        let host = match self.host {
            Host::Unspecified => Address::UNSPECIFIED.host,
            Host::Ipv4 => Ipv4Addr::LOCALHOST.into(),
            Host::Ipv6 => Ipv6Addr::LOCALHOST.into(),
            Host::Name => name(b"app.test"),
            Host::NameWithNul => name(b"localhost\0.test"),
            Host::LongestName => name(&[b'x'; 255]),
        };
        let port = self.port;
        Address { host, port }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Answer {
    Accept(Target),
    Reject(u8),
}

impl Answer {
    fn result(self) -> Result<Address<'static>, ReplyCode> {
        match self {
            Self::Accept(target) => Ok(target.address()),
            Self::Reject(code) => Err(ReplyCode::new(code)),
        }
    }
}

/// The methods that a server prefers.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Preference {
    None,
    Password,
    PasswordOrNone,
    GssapiOrPassword,
    Private,
    NoAcceptable,
    Nothing,
}

impl Preference {
    const fn methods(self) -> &'static [Method] {
        match self {
            Self::None => &[NONE],
            Self::Password => &[PASSWORD],
            Self::PasswordOrNone => &[PASSWORD, NONE],
            Self::GssapiOrPassword => &[GSSAPI, PASSWORD],
            Self::Private => &[PRIVATE],
            Self::NoAcceptable => &[Method::NO_ACCEPTABLE],
            Self::Nothing => &[],
        }
    }
}

/// A server's configuration, and the answers of its caller.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct ServerCaller {
    empty_credentials: bool,
    control_bytes: bool,
    strict_reserved: bool,
    lenient_version: bool,
    socks4: bool,
    /// Rejects with this code of version 4, instead of the one in `reply` or `peer`.
    socks4_code: Option<u8>,
    prefer: Preference,
    /// The credentials are accepted if this is 0.
    status: u8,
    /// How many bytes the caller's own negotiation consumes, modulo 8.
    raw_negotiation: u8,
    reply: Answer,
    peer: Answer,
}

impl ServerCaller {
    pub fn script(&self) -> Server<'static> {
        Server {
            config: server::Config::new()
                .with_empty_credentials(self.empty_credentials)
                .with_control_bytes(self.control_bytes)
                .with_strict_reserved(self.strict_reserved)
                .with_lenient_version(self.lenient_version)
                .with_socks4(self.socks4),
            prefer: self.prefer.methods(),
            verdict: match NonZeroU8::new(self.status) {
                None => Verdict::Accept,
                Some(NonZeroU8::MIN) => Verdict::Reject,
                Some(status) => Verdict::RejectWith(status),
            },
            raw_negotiation: usize::from(self.raw_negotiation % 8),
            reply: self.reply.result(),
            peer: self.peer.result(),
            socks4_code: self.socks4_code.map(socks4::ReplyCode::new),
        }
    }
}

/// The methods that a client offers.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Offer {
    None,
    Password,
    NoneOrPassword,
    Gssapi,
    GssapiOrPassword,
    All,
    PasswordManyTimes,
}

impl Offer {
    const fn methods(self) -> &'static [Method] {
        match self {
            Self::None => &[NONE],
            Self::Password => &[PASSWORD],
            Self::NoneOrPassword => &[NONE, PASSWORD],
            Self::Gssapi => &[GSSAPI],
            Self::GssapiOrPassword => &[GSSAPI, PASSWORD],
            Self::All => &[NONE, GSSAPI, PASSWORD, PRIVATE],
            Self::PasswordManyTimes => &[PASSWORD; 255],
        }
    }
}

/// The user id of version 4.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum User {
    Empty,
    Named,
    Longest,
}

impl User {
    fn id(self) -> UserId<'static> {
        UserId::new(match self {
            Self::Empty => &b""[..],
            Self::Named => b"alice",
            Self::Longest => &[b'u'; 255],
        })
        .expect("at most 255 bytes")
    }
}

/// A client's configuration, and the requests of its caller.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct ClientCaller {
    /// Uses version 4, if that can encode the request.
    socks4: Option<User>,
    optimistic: bool,
    strict_reserved: bool,
    strict_status_version: bool,
    long_username: bool,
    long_password: bool,
    offer: Offer,
    command: u8,
    target: Target,
    /// How many bytes the caller's own negotiation consumes, modulo 8.
    raw_negotiation: u8,
}

impl ClientCaller {
    pub fn script(&self) -> Client<'static> {
        let field = |is_long| -> &'static [u8] { if is_long { &[b'p'; 255] } else { b"u" } };
        let credentials = Credentials::new(field(self.long_username), field(self.long_password));
        let request = Request::new(Command::new(self.command), self.target.address());
        let user_id = self.socks4.map(User::id);
        Client {
            request,
            auth: Auth::new(self.offer.methods(), credentials.ok()).expect("1 to 255 methods"),
            config: client::Config::new()
                .with_optimistic(self.optimistic)
                .with_strict_reserved(self.strict_reserved)
                .with_strict_status_version(self.strict_status_version),
            raw_negotiation: usize::from(self.raw_negotiation % 8),
            socks4: user_id.filter(|user_id| client::Handshake::socks4(&request, *user_id).is_ok()),
        }
    }
}
