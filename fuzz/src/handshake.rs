//! Split invariance: either machine gives the same outputs and leaves the same octets, however its input is cut.
//!
//! What is true of every exchange is asserted by the tests' own driver, [`run`]: asking again gives the same, an
//! end stays, `Transmit` is not empty, input is taken where it is due and nowhere else, and what was taken and
//! what is left are what was given.

use std::num::NonZeroU8;

use sans_socks::client::{self, Auth};
use sans_socks::{Address, Command, Credentials, Method, ReplyCode, Request, server};

use super::common::{Client, Delivery, Eof, Record, Script, Server, Verdict, run};
use super::octets::{Octets, pieces};

const NONE: Method = Method::NO_AUTHENTICATION;
const GSSAPI: Method = Method::GSSAPI;
const PASSWORD: Method = Method::USERNAME_PASSWORD;
const PRIVATE: Method = Method::new(0x80);
const MANY: &[Method] = &[PASSWORD; 255];

impl Octets<'_> {
    fn answer(&mut self) -> Result<Address<'static>, ReplyCode> {
        match self.octet() {
            code @ 0x80.. => Err(ReplyCode::new(code & 0x7f)),
            _ => Ok(self.address()),
        }
    }

    /// What a server's program will say.
    pub fn server(&mut self) -> Server<'static> {
        let flags = self.octet();
        Server {
            config: server::Config::new()
                .with_empty_credentials(flags & 1 != 0)
                .with_control_bytes(flags & 2 != 0)
                .with_strict_reserved(flags & 4 != 0),
            prefer: self.choose([
                &[NONE],
                &[PASSWORD],
                &[PASSWORD, NONE],
                &[GSSAPI, PASSWORD],
                &[PRIVATE],
                &[Method::NO_ACCEPTABLE],
                &[],
            ] as [&[Method]; 7]),
            verdict: match NonZeroU8::new(self.octet()) {
                None => Verdict::Accept,
                Some(NonZeroU8::MIN) => Verdict::Reject,
                Some(status) => Verdict::RejectWith(status),
            },
            raw_negotiation: usize::from(flags >> 5),
            reply: self.answer(),
            peer: self.answer(),
        }
    }

    /// What a client's program wants.
    pub fn client(&mut self) -> Client<'static> {
        let flags = self.octet();
        let (short, long) = (&b"u"[..], &[b'p'; 255][..]);
        let credentials = self.choose([(short, short), (short, long), (long, short), (long, long)]);
        let credentials = Credentials::new(credentials.0, credentials.1).expect("1 to 255 octets");
        let offered = self.choose([
            &[NONE],
            &[PASSWORD],
            &[NONE, PASSWORD],
            &[GSSAPI],
            &[GSSAPI, PASSWORD],
            &[NONE, GSSAPI, PASSWORD, PRIVATE],
            MANY,
        ] as [&[Method]; 7]);
        Client {
            request: Request::new(Command::new(self.octet()), self.address()),
            auth: Auth::new(offered, Some(credentials)).expect("an offer"),
            config: client::Config::new()
                .with_optimistic(flags & 1 != 0)
                .with_strict_reserved(flags & 2 != 0)
                .with_strict_status_version(flags & 4 != 0),
            raw_negotiation: usize::from(flags >> 5),
        }
    }
}

pub fn server_split(input: &[u8]) {
    let mut input = Octets(input);
    let script = Script::Server(input.server());
    is_split_invariant(&script, input);
}

pub fn client_split(input: &[u8]) {
    let mut input = Octets(input);
    let script = Script::Client(input.client());
    is_split_invariant(&script, input);
}

/// The input: how it ends and how it is cut, then what the peer sends.
fn is_split_invariant(script: &Script<'_>, mut input: Octets<'_>) {
    let eof = input.choose([Eof::Never, Eof::WhenAsked, Eof::AtOnce]);
    let seed = u64::from(input.u16()) * 0x0001_0001_0001_0001;
    let Octets(octets) = input;

    let whole = run(script, &Delivery::reads([octets]).eof(eof));
    assert!(octets.ends_with(&whole.unread));
    let cut = Delivery::reads(pieces(seed, octets)).eof(eof);
    assert_eq!(run(script, &cut), whole, "in pieces");

    let exact = Delivery {
        exact: true,
        write: 1 + usize::from(seed as u8),
        ..cut.clone()
    };
    assert_eq!(run(script, &exact), whole, "as `needed` says");

    if cfg!(feature = "bytes") {
        let chained = Delivery {
            chained: true,
            drain: true,
            ..cut
        };
        // This goes on from message to message where nothing is due between them.
        let waits = whole.waits.clone();
        let chained = Record {
            waits,
            ..run(script, &chained)
        };
        assert_eq!(chained, whole, "as a chained `Buf`");
    }
}
