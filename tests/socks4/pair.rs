//! The client machine against the server machine that accepts both versions, with tunnel bytes directly after the
//! handshake on both sides.

use sans_socks::client::Auth;
use sans_socks::server::{Config, Established};
use sans_socks::socks4::{self, UserId};
use sans_socks::{Address, Command, Domain, Error, Phase, ReplyCode, Version};

use sans_socks_testing::driver::{Client, Due, Script, Server, Side, address, conclude};
use sans_socks_testing::faults::wrong_version;

/// The bytes that the client's caller sends right after its request.
const EARLY: &[u8] = b"\x05\x01\x00 early";
/// The bytes that the server's caller sends right after the last reply.
const BANNER: &[u8] = b"\x00\x5a\x00\x00 banner";

/// The end of each side, and the decisions that it returned.
#[derive(Debug, PartialEq)]
struct Outcome {
    client: (Due, Vec<Due>, Vec<u8>),
    server: (Due, Vec<Due>, Vec<u8>),
}

fn run(client: &Script<'_>, server: &Script<'_>, read: usize) -> Outcome {
    let (mut client, mut server) = (client.start(), server.start());
    let (mut client, mut server) = (Side::new(&mut *client), Side::new(&mut *server));
    (client.tunnel, server.tunnel) = (EARLY, BANNER);
    conclude(&mut client, &mut server, read);
    let end = |mut side: Side<'_>| (side.due(), side.decisions, side.inbox);
    Outcome {
        client: end(client),
        server: end(server),
    }
}

/// A request in one of the versions, and the answers to it.
struct Combination<'a> {
    version: Version,
    command: Command,
    target: Address<'a>,
    user_id: UserId<'a>,
    reply: Result<Address<'a>, ReplyCode>,
    peer: Result<Address<'a>, ReplyCode>,
    socks4_code: Option<socks4::ReplyCode>,
}

impl Combination<'_> {
    fn expected(&self) -> Outcome {
        let mut asked = vec![];
        let mut server_decisions = vec![];
        let address = self.target.into();
        if self.version == Version::Socks5 {
            server_decisions.push(Due::SelectMethod(vec![sans_socks::Method::NO_AUTHENTICATION]));
            server_decisions.push(Due::PendingRequest(self.command, address));
        } else {
            let user_id = self.user_id.as_bytes().to_vec();
            server_decisions.push(Due::PendingSocks4Request(self.command, address, user_id));
        }
        let mut answer = self.reply;
        if let (Ok(bound), Command::BIND) = (answer, self.command) {
            asked.push(Due::Bound(bound.into()));
            server_decisions.push(Due::PendingPeer);
            answer = self.peer;
        }
        if let Some(code) = self.socks4_code {
            answer = answer.map_err(|_| code.into());
        }
        let (client, server, unread) = match (answer, self.version) {
            (Ok(address), _) => {
                let established = match self.command {
                    Command::CONNECT | Command::BIND => Established::Stream,
                    other => Established::Other(other),
                };
                (
                    Due::Connected(ReplyCode::SUCCEEDED, address.into()),
                    Due::Served(established),
                    BANNER.to_vec(),
                )
            }
            (Err(code), Version::Socks5) => {
                let end = Due::Closed(Error::Refused(code));
                (end.clone(), end, vec![0, 1, 0, 0, 0, 0, 0, 0])
            }
            (Err(code), _) => {
                let sent = self.socks4_code.unwrap_or(socks4::ReplyCode::REJECTED);
                let end = match self.socks4_code {
                    Some(code) => Error::Socks4Refused(code),
                    None => Error::Refused(code),
                };
                (
                    Due::Closed(Error::Socks4Refused(sent)),
                    Due::Closed(end),
                    vec![0; 6],
                )
            }
        };
        Outcome {
            client: (client, asked, unread),
            server: (server, server_decisions, EARLY.to_vec()),
        }
    }

    fn check(&self) {
        let client = Client {
            auth: Auth::none(),
            socks4: (self.version == Version::Socks4).then_some(self.user_id),
            ..Client::new(self.command, self.target)
        };
        let server = Server {
            config: Config::new().with_socks4(true),
            reply: self.reply,
            peer: self.peer,
            socks4_code: self.socks4_code,
            ..Server::default()
        };
        let (client, server) = (Script::Client(client), Script::Server(server));
        for read in [1, 3, usize::MAX] {
            assert_eq!(
                run(&client, &server, read),
                self.expected(),
                "{:?} {:?} {}, {read} bytes at a time",
                self.version,
                self.command,
                self.target
            );
        }
    }
}

/// version 4 against the machine that accepts both, and
/// version 5 against the same.
#[test]
fn machines_agree_in_every_combination() {
    let (long_name, long_user_id) = ([b'n'; 255], [b'u'; 255]);
    let long_name = Address::from((Domain::new(&long_name).unwrap(), 0xffff));
    let refused = Err(ReplyCode::CONNECTION_REFUSED);
    let bound = Ok(address("192.0.2.1:33543"));
    let identd = Some(socks4::ReplyCode::IDENTD_UNREACHABLE);
    for version in [Version::Socks4, Version::Socks5] {
        for command in [1, 2, 0xf0, 0xf1, 0x7f].map(Command::new) {
            for target in [
                address("127.0.0.1:8080"),
                address("0.0.0.0:0"),
                address("app.test:80"),
                long_name,
            ] {
                for user_id in [&b""[..], b"alice", &long_user_id] {
                    for (reply, peer, socks4_code) in [
                        (bound, Ok(address("198.51.100.9:20")), None),
                        (refused, bound, None),
                        (bound, refused, None),
                        (refused, bound, identd),
                        (bound, refused, identd),
                    ] {
                        Combination {
                            version,
                            command,
                            target,
                            user_id: UserId::new(user_id).unwrap(),
                            reply,
                            peer,
                            socks4_code,
                        }
                        .check();
                    }
                }
            }
        }
    }
}

/// a server that accepts only version 5 sends nothing to a client of version 4.
#[test]
fn client_of_version_4_is_not_answered_by_version_5() {
    let client = Script::Client(Client::socks4(
        Command::CONNECT,
        address("app.test:80"),
        UserId::EMPTY,
    ));
    let server = Script::Server(Server::default());
    for read in [1, usize::MAX] {
        let outcome = run(&client, &server, read);
        assert_eq!(outcome.client.0.eof(), Some((Phase::Reply, 0)));
        assert_eq!(outcome.server.0, Due::Closed(wrong_version(5, 4).into()));
        assert_eq!(outcome.server.2.first(), Some(&4), "the byte is not consumed");
    }
}
