//! The seeds of `gssapi_ops`, written as operations. `SANS_SOCKS_WRITE_SEEDS=1 cargo test -p sans-socks-fuzz-bodies --features
//! arbitrary,bytes gssapi_seeds` writes the files. A finding is added here, as it was printed.

use sans_socks_testing::vectors::vectors_of;

use super::encoded::{Encoded, check, encoded};
use super::gssapi_ops::{
    Client, Context, Framing, Level, Levels, MaxToken, Message, MessageOp, Op, Piece, Scenario, Server,
    StreamOp,
};

encoded! {
    enum Scenario {
        Client { client, ops }
        Server { server, ops }
        Stream { level, ops }
        Conversation { client, server, ops }
    }
    enum Level { None {} Integrity {} Confidentiality {} Selective {} }
    enum MaxToken { Default {} Longest {} Exact {} TooShort {} }
    enum Op { Receive { piece } Offer { n } OfferNeeded {} Send { n } Step {} End {} Reject {} }
    enum Piece {
        Token {}
        Ready {}
        Level { byte, confidential }
        BareLevel { byte }
        Abort {}
        Frame { mtyp, token }
        Raw { len, bytes }
    }
    enum StreamOp { Seal { confidential, len } Receive { piece } Offer { n } }
    enum MessageOp {
        Select { confidential }
        Send { len }
        SendLong {}
        Deliver { len }
        DeliverAll {}
        Flip { at, bit }
        Datagram { len }
        DatagramUnderAttack { len, at, bit }
    }
}
encoded! {
    struct Client { proposed, accepted, framing, context }
    struct Server { allowed, clear, counter_offer, framing, context }
    struct Levels { integrity, confidentiality, selective }
    struct Framing { nec, max_token }
    struct Context { tokens, lacks_integrity, lacks_confidentiality, fails }
    struct Message { to_server, op }
}

const LEVELS: [Level; 3] = [Level::Integrity, Level::Confidentiality, Level::Selective];
const ALL: Levels = Levels {
    integrity: true,
    confidentiality: true,
    selective: true,
};
const NONE: Levels = Levels {
    integrity: false,
    confidentiality: false,
    selective: false,
};
const DEFAULT: Framing = Framing {
    nec: false,
    max_token: MaxToken::Default,
};
const NEC: Framing = Framing {
    nec: true,
    max_token: MaxToken::Exact,
};

/// Returns a working context of this many tokens.
fn context(tokens: u8) -> Context {
    Context {
        tokens: tokens - 1,
        lacks_integrity: false,
        lacks_confidentiality: false,
        fails: false,
    }
}

fn client(tokens: u8, proposed: Level) -> Client {
    Client {
        proposed,
        accepted: NONE,
        framing: DEFAULT,
        context: context(tokens),
    }
}

fn server(tokens: u8) -> Server {
    Server {
        allowed: ALL,
        clear: false,
        counter_offer: Level::None,
        framing: DEFAULT,
        context: context(tokens),
    }
}

fn level(byte: u8) -> Piece {
    Piece::Level {
        byte,
        confidential: false,
    }
}

/// Returns the messages of a server to a client, in a context of this many tokens.
fn to_client(tokens: u8, byte: u8) -> Vec<Piece> {
    let mut pieces = vec![Piece::Token; usize::from(tokens / 2)];
    if tokens % 2 == 1 {
        pieces.push(Piece::Ready);
    }
    pieces.push(level(byte));
    pieces
}

/// Returns the messages of a client to a server.
fn to_server(tokens: u8, byte: u8) -> Vec<Piece> {
    let mut pieces = vec![Piece::Token; usize::from(tokens.div_ceil(2))];
    pieces.push(level(byte));
    pieces
}

fn received(pieces: &[Piece]) -> Vec<Op> {
    pieces.iter().map(|&piece| Op::Receive { piece }).collect()
}

/// Returns a scenario in which all of these arrive, and the caller reads and writes a few bytes at a time.
fn slowly(pieces: &[Piece]) -> Vec<Op> {
    let mut ops = received(pieces);
    for _ in 0..20 {
        ops.extend([
            Op::Offer { n: 1 },
            Op::Send { n: 2 },
            Op::OfferNeeded,
            Op::Step,
            Op::Offer { n: 3 },
        ]);
    }
    ops
}

fn raw(bytes: &[u8]) -> Vec<Piece> {
    bytes
        .chunks(8)
        .map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            let len = chunk.len() as u8;
            Piece::Raw { len, bytes }
        })
        .collect()
}

fn there(op: MessageOp) -> Message {
    let to_server = true;
    Message { to_server, op }
}

fn back(op: MessageOp) -> Message {
    let to_server = false;
    Message { to_server, op }
}

/// Messages in both directions, of every kind.
fn messages() -> Vec<Message> {
    vec![
        there(MessageOp::Send { len: 5 }),
        there(MessageOp::Deliver { len: 3 }),
        there(MessageOp::Select { confidential: false }),
        there(MessageOp::Send { len: 6 }),
        back(MessageOp::Send { len: 0 }),
        there(MessageOp::DeliverAll),
        there(MessageOp::Datagram { len: 9 }),
        back(MessageOp::Select { confidential: true }),
        back(MessageOp::SendLong),
        back(MessageOp::Deliver { len: 200 }),
        back(MessageOp::DatagramUnderAttack {
            len: 4,
            at: 2,
            bit: 0,
        }),
        there(MessageOp::DeliverAll),
    ]
}

fn seeds() -> Vec<(String, Scenario)> {
    let mut seeds = Vec::new();
    for tokens in 1..=6 {
        for (byte, proposed) in (1..).zip(LEVELS) {
            let name = format!("{tokens}-level-{byte}");
            let of_client = client(tokens, proposed);
            let of_server = server(tokens);
            seeds.push((
                format!("client-{name}"),
                Scenario::Client {
                    client: of_client,
                    ops: received(&to_client(tokens, byte)),
                },
            ));
            seeds.push((
                format!("server-{name}"),
                Scenario::Server {
                    server: of_server,
                    ops: received(&to_server(tokens, byte)),
                },
            ));
            seeds.push((
                format!("conversation-{name}"),
                Scenario::Conversation {
                    client: of_client,
                    server: of_server,
                    ops: messages(),
                },
            ));
        }
        seeds.push((
            format!("client-{tokens}-slowly"),
            Scenario::Client {
                client: client(tokens, Level::Integrity),
                ops: slowly(&to_client(tokens, 1)),
            },
        ));
        seeds.push((
            format!("server-{tokens}-slowly"),
            Scenario::Server {
                server: server(tokens),
                ops: slowly(&to_server(tokens, 1)),
            },
        ));
    }
    for row in vectors_of("gss") {
        let ops = received(&raw(&row.input));
        let server = server(2);
        seeds.push((row.id.to_string(), Scenario::Server { server, ops }));
    }
    let of_server = |name: &str, server, pieces: &[Piece]| {
        let ops = received(pieces);
        (name.to_string(), Scenario::Server { server, ops })
    };
    let of_client = |name: &str, client, pieces: &[Piece]| {
        let ops = received(pieces);
        (name.to_string(), Scenario::Client { client, ops })
    };
    let ops_of_server = |name: &str, tokens, ops| {
        let server = server(tokens);
        (name.to_string(), Scenario::Server { server, ops })
    };
    let of_stream = |name: &str, level, ops: &[StreamOp]| {
        let ops = ops.to_vec();
        (name.to_string(), Scenario::Stream { level, ops })
    };
    let of_both = |name: &str, client, server, ops| {
        let name = format!("conversation-{name}");
        (name, Scenario::Conversation { client, server, ops })
    };
    let clear = Server {
        clear: true,
        ..server(1)
    };
    let nec = Server {
        framing: NEC,
        ..server(2)
    };
    let counter_offer = Server {
        allowed: NONE,
        counter_offer: Level::Integrity,
        ..server(2)
    };
    let fails = Server {
        context: Context {
            fails: true,
            ..context(4)
        },
        ..server(4)
    };
    let lacks = Server {
        context: Context {
            lacks_confidentiality: true,
            ..context(2)
        },
        ..server(2)
    };
    let too_short = Server {
        framing: Framing {
            max_token: MaxToken::TooShort,
            ..DEFAULT
        },
        ..server(2)
    };
    seeds.extend([
        of_server("Q-121-negotiator", server(2), &raw(b"\x01\x01\xff\xffab")),
        of_server("abort", server(2), &[Piece::Abort]),
        of_server("server-clear", clear, &to_server(1, 0)),
        of_server("server-nec", nec, &[Piece::Token, Piece::BareLevel { byte: 2 }]),
        of_server("server-counter-offer", counter_offer, &to_server(2, 2)),
        of_server("server-fails", fails, &to_server(4, 1)),
        of_server("server-lacks-confidentiality", lacks, &to_server(2, 2)),
        of_server("server-token-too-long", too_short, &[Piece::Token]),
        of_server("server-version", server(2), &raw(b"\x05\x01\x00")),
        of_server(
            "server-message-of-another-type",
            server(2),
            &[
                Piece::Token,
                Piece::Frame {
                    mtyp: 3,
                    token: [0; 8],
                },
            ],
        ),
        of_client("client-clear", client(2, Level::None), &to_client(2, 0)),
        of_client(
            "client-needless-ready",
            client(2, Level::Integrity),
            &[Piece::Token, Piece::Ready, level(1)],
        ),
        of_client(
            "client-ready-twice",
            client(2, Level::Integrity),
            &[Piece::Token, Piece::Ready, Piece::Ready, level(1)],
        ),
        // Bytes that were offered during a step once still counted as offered after it. So after the end of input, the
        // negotiator asked for bytes that did not exist.
        ops_of_server(
            "server-end-during-a-step",
            3,
            [
                received(&[Piece::Token, Piece::Token]),
                received(&raw(b"\x01\x02\x00")),
                vec![Op::Offer { n: 255 }, Op::Offer { n: 255 }, Op::End],
            ]
            .concat(),
        ),
        ops_of_server(
            "server-end-early",
            2,
            [vec![Op::End], received(&to_server(2, 1))].concat(),
        ),
        ops_of_server(
            "server-rejects",
            2,
            [
                received(&[Piece::Token]),
                vec![Op::OfferNeeded, Op::Step, Op::Send { n: 3 }, Op::Reject],
            ]
            .concat(),
        ),
        of_stream(
            "Q-121-layer",
            Level::Integrity,
            &[StreamOp::Receive {
                piece: raw(b"\x01\x03\xff\xffab")[0],
            }],
        ),
        of_both("clear", client(2, Level::None), clear, messages()),
        of_both(
            "counter",
            client(2, Level::Confidentiality),
            counter_offer,
            messages(),
        ),
        of_both(
            "counter-accepted",
            Client {
                accepted: ALL,
                ..client(2, Level::Confidentiality)
            },
            counter_offer,
            messages(),
        ),
        of_both(
            "nec",
            Client {
                framing: NEC,
                ..client(2, Level::Selective)
            },
            nec,
            messages(),
        ),
        of_both(
            "refused",
            client(2, Level::Selective),
            Server {
                allowed: NONE,
                ..server(2)
            },
            messages(),
        ),
        of_both(
            "changed",
            client(2, Level::Integrity),
            server(2),
            vec![
                there(MessageOp::Send { len: 5 }),
                there(MessageOp::Flip { at: 9, bit: 3 }),
                there(MessageOp::DeliverAll),
            ],
        ),
    ]);
    for (byte, level) in (1..).zip(LEVELS) {
        let ops = [
            StreamOp::Seal {
                confidential: true,
                len: 5,
            },
            StreamOp::Offer { n: 3 },
            StreamOp::Seal {
                confidential: byte != 1,
                len: 3,
            },
            StreamOp::Offer { n: 30 },
            StreamOp::Seal {
                confidential: false,
                len: 0,
            },
            StreamOp::Receive {
                piece: Piece::Raw {
                    len: 3,
                    bytes: *b"\x01\x03\0\x05junk",
                },
            },
        ];
        seeds.push(of_stream(&format!("decapsulate-{byte}"), level, &ops));
        seeds.push(of_stream(&format!("decapsulate-cut-{byte}"), level, &ops[..3]));
    }
    seeds
}

/// Each file has the content that its name promises, and there are no others.
#[test]
fn gssapi_seeds_are_the_operations_written_here() {
    check("gssapi_ops", seeds());
}
