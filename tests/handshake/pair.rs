//! The client machine against the server machine in memory: every combination of request and answer, with tunnel bytes
//! directly after the handshake on both sides.
//!
//! [`Combination::stated`] derives the expected result from the RFCs alone.

use std::num::NonZeroU8;

use sans_socks::client::{self, Auth};
use sans_socks::message::{Encode, Greeting};
use sans_socks::server::Established;
use sans_socks::{Address, Command, Credentials, Domain, Error, Method, ReplyCode, Request};
use sans_socks_testing::driver::{Client, Due, Script, Server, Side, Verdict, address, converse};
use sans_socks_testing::faults::authentication_rejected;

/// The bytes that the client's caller sends right after the request, before the reply.
const EARLY: &[u8] = b"\x05\x01\x00 early";
/// The bytes that the server's caller sends right after the last reply.
const BANNER: &[u8] = b"\x05\x00\x00\x01 banner";

const NONE: Method = Method::NO_AUTHENTICATION;
const PASSWORD: Method = Method::USERNAME_PASSWORD;
const GSSAPI: Method = Method::GSSAPI;
const PRIVATE: Method = Method::new(0x80);

/// The client's request, and the server's answer.
struct Combination<'a> {
    request: Request<'a>,
    offered: &'a [Method],
    credentials: Credentials<'a>,
    optimistic: bool,
    prefer: &'a [Method],
    verdict: Verdict,
    reply: Result<Address<'a>, ReplyCode>,
    peer: Result<Address<'a>, ReplyCode>,
}

/// The expected result.
struct Stated {
    client: Due,
    server: Due,
    /// How many of the client's bytes the server consumes.
    consumed: usize,
    client_decisions: Vec<Due>,
    server_decisions: Vec<Due>,
}

impl Combination<'_> {
    fn stated(&self) -> Stated {
        let mut stated = Stated {
            client: Due::Closed(Error::NoAcceptableMethod),
            server: Due::Closed(Error::NoAcceptableMethod),
            consumed: Greeting::new(self.offered).unwrap().encoded_len(),
            client_decisions: Vec::new(),
            server_decisions: vec![Due::SelectMethod(self.offered.to_vec())],
        };
        let Some(method) = self
            .prefer
            .iter()
            .find(|method| self.offered.contains(method))
            .copied()
        else {
            return stated;
        };
        if method == PASSWORD {
            let (username, password) = (self.credentials.username(), self.credentials.password());
            let due = Due::Authenticate(username.to_vec(), password.to_vec());
            stated.server_decisions.push(due);
            stated.consumed += self.credentials.encoded_len();
            let status = match self.verdict {
                Verdict::Accept => 0,
                Verdict::Reject => 1,
                Verdict::RejectWith(status) => status.get(),
            };
            if status != 0 {
                stated.client = Due::Closed(authentication_rejected(status));
                stated.server = stated.client.clone();
                return stated;
            }
        } else if method != NONE {
            stated.client_decisions.push(Due::Negotiate(method));
            stated.server_decisions.push(Due::Negotiate(method));
        }
        let Request { command, address } = self.request;
        stated
            .server_decisions
            .push(Due::PendingRequest(command, address.into()));
        stated.consumed += self.request.encoded_len();
        let mut answer = self.reply;
        if let (Ok(bound), Command::BIND) = (self.reply, command) {
            stated.client_decisions.push(Due::Bound(bound.into()));
            stated.server_decisions.push(Due::PendingPeer);
            answer = self.peer;
        }
        match answer {
            Ok(address) => {
                stated.client = Due::Connected(ReplyCode::SUCCEEDED, address.into());
                stated.server = Due::Served(match command {
                    Command::CONNECT | Command::BIND => Established::Stream,
                    Command::UDP_ASSOCIATE => Established::UdpAssociation,
                    other => Established::Other(other),
                });
            }
            Err(code) => {
                stated.client = Due::Closed(Error::Refused(code));
                stated.server = stated.client.clone();
            }
        }
        stated
    }

    fn check(&self) {
        let server = Script::Server(Server {
            prefer: self.prefer,
            verdict: self.verdict,
            reply: self.reply,
            peer: self.peer,
            ..Server::default()
        });
        let client = Script::Client(Client {
            request: self.request,
            auth: Auth::new(self.offered, Some(self.credentials)).unwrap(),
            config: client::Config::new().with_optimistic(self.optimistic),
            raw_negotiation: 0,
            socks4: None,
        });
        let stated = self.stated();
        for read in [1, 3, usize::MAX] {
            let (mut client, mut server) = (client.start(), server.start());
            let (mut client, mut server) = (Side::new(&mut *client), Side::new(&mut *server));
            (client.tunnel, server.tunnel) = (EARLY, BANNER);
            converse(&mut client, &mut server, read);

            let what = format!("{:?}", (&self.request, self.offered, self.prefer, self.verdict));
            let what = format!(
                "{what}, {:?}, {:?}, optimistic {}",
                self.reply, self.peer, self.optimistic
            );
            assert_eq!(client.end.as_ref(), Some(&stated.client), "{what}");
            assert_eq!(server.end.as_ref(), Some(&stated.server), "{what}");
            assert_eq!(client.decisions, stated.client_decisions, "{what}");
            assert_eq!(server.decisions, stated.server_decisions, "{what}");
            assert_eq!(
                server.inbox,
                client.sent[stated.consumed..],
                "{what}: not consumed by the server"
            );
            match stated.client {
                Due::Connected(..) => assert_eq!(client.inbox, BANNER, "{what}: not consumed by the client"),
                // A refusal is reported at REP, so eight of its bytes are not consumed.
                Due::Closed(Error::Refused(_)) => {
                    assert_eq!(client.inbox, [0, 1, 0, 0, 0, 0, 0, 0], "{what}");
                }
                _ => assert_eq!(client.inbox, [], "{what}"),
            }
        }
    }
}

fn commands() -> [Command; 6] {
    [
        Command::CONNECT,
        Command::BIND,
        Command::UDP_ASSOCIATE,
        Command::RESOLVE,
        Command::RESOLVE_PTR,
        Command::new(0x7f),
    ]
}

const OFFERS: [&[Method]; 7] = [
    &[NONE],
    &[PASSWORD],
    &[NONE, PASSWORD],
    &[GSSAPI],
    &[GSSAPI, PASSWORD],
    &[NONE, GSSAPI, PASSWORD, PRIVATE],
    &[PRIVATE],
];

const PREFERENCES: [&[Method]; 6] = [
    &[NONE],
    &[PASSWORD],
    &[PASSWORD, NONE],
    &[NONE, PASSWORD],
    &[GSSAPI, PASSWORD],
    &[PRIVATE],
];

/// every command, form of host, offer, policy and
/// verdict, granted and refused, optimistic and not.
#[test]
fn machines_agree_in_every_combination() {
    let long = [b'x'; 255];
    let hosts = [
        address("127.0.0.1:8080"),
        address("[::1]:8080"),
        address("app.test:8080"),
        Address::from((Domain::new(&long).unwrap(), 0xffff)),
    ];
    let alice = Credentials::new("alice", "secret").unwrap();
    let verdicts = [
        Verdict::Accept,
        Verdict::Reject,
        Verdict::RejectWith(NonZeroU8::MAX),
    ];
    let refused = Err(ReplyCode::CONNECTION_REFUSED);
    let bound = Ok(address("127.0.0.1:33543"));
    let peer = Ok(address("[::1]:57278"));
    let answers = [(bound, peer), (refused, peer), (bound, refused)];
    let mut combinations = 0;
    for command in commands() {
        for host in hosts {
            for offered in OFFERS {
                for prefer in PREFERENCES {
                    for verdict in verdicts {
                        for (reply, peer) in answers {
                            for optimistic in [false, true] {
                                let combination = Combination {
                                    request: Request::new(command, host),
                                    offered,
                                    credentials: alice,
                                    optimistic,
                                    prefer,
                                    verdict,
                                    reply,
                                    peer,
                                };
                                combination.check();
                                combinations += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 6 * 4 * 7 * 6 * 3 * 3 * 2);
}

/// every REP, in the only reply and in BIND's second.
#[test]
fn refusal_of_every_code_reaches_the_client() {
    for command in commands() {
        for rep in 1..=0xff {
            let refused = Err(ReplyCode::new(rep));
            for reply in [refused, Ok(Address::UNSPECIFIED)] {
                Combination {
                    request: Request::new(command, address("app.test:8080")),
                    offered: &[NONE],
                    credentials: Credentials::new("a", "b").unwrap(),
                    optimistic: false,
                    prefer: &[NONE],
                    verdict: Verdict::Accept,
                    reply,
                    peer: refused,
                }
                .check();
            }
        }
    }
}

/// every form of address in both of BIND's replies and in Tor's answers, names included.
#[test]
fn bound_address_of_every_form_reaches_the_client() {
    let long = [0xfe; 255];
    let bound = [
        Address::UNSPECIFIED,
        address("[::]:0"),
        address("localhost:80"),
        address("255.255.255.255:65535"),
        Address::from((Domain::new(&long).unwrap(), 1)),
    ];
    for command in commands() {
        for (reply, peer) in bound
            .into_iter()
            .flat_map(|reply| bound.map(|peer| (reply, peer)))
        {
            Combination {
                request: Request::new(command, address("app.test:8080")),
                offered: &[NONE],
                credentials: Credentials::new("a", "b").unwrap(),
                optimistic: true,
                prefer: &[NONE],
                verdict: Verdict::Accept,
                reply: Ok(reply),
                peer: Ok(peer),
            }
            .check();
        }
    }
}

/// Q-039b, Q-069: credentials of every length and of every byte arrive unchanged.
#[test]
fn credentials_of_every_length_reach_the_server() {
    let every: Vec<u8> = (0..=0xff).collect();
    for len in 1..=255 {
        let (username, password) = (&every[..len], &every[256 - len..]);
        Combination {
            request: Request::connect(address("app.test:8080")),
            offered: &[PASSWORD],
            credentials: Credentials::new(username, password).unwrap(),
            optimistic: len % 2 == 0,
            prefer: &[PASSWORD],
            verdict: Verdict::Accept,
            reply: Ok(Address::UNSPECIFIED),
            peer: Ok(Address::UNSPECIFIED),
        }
        .check();
    }
}
