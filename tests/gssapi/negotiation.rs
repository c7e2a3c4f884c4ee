use std::sync::Arc;

use crate::errors::{token_too_long, unexpected_message};
use sans_socks::Machine;
use sans_socks::Malformed;
use sans_socks::gssapi::{
    ClientConfig, Context, Encapsulation, Error, Frame, MessageType, Negotiator, Output, Progress,
    Protection, ProtectionLevel, ServerConfig, Services,
};
use sans_socks::message::Decoded;
use sans_socks_testing::driver::early::RESTS;
use sans_socks_testing::faults::wrong_version;

use sans_socks_testing::gssapi::{
    Fake, Fault, Outcome, converse, drive, drive_after_eof, every_split, frame, wrapped,
};

use MessageType::{Authentication, Encapsulated};
use Protection::{Confidentiality as CONF, Integrity as INTEG};
use ProtectionLevel::{Confidentiality, Integrity, Selective};

const ABORT: &[u8] = b"\x01\xff";
const LEVELS: [ProtectionLevel; 3] = [Integrity, Confidentiality, Selective];
/// With 1, 3 or 5 tokens the last one is the client's, so the server must send an empty one: "ready". With 2, 4 or 6 the last
/// one is the server's, and the client completes without a token.
const TOKENS: std::ops::RangeInclusive<usize> = 1..=6;

fn client(tokens: usize, config: ClientConfig) -> Negotiator<Fake> {
    Negotiator::client(Fake::initiator(tokens), config)
}

fn server(tokens: usize, config: ServerConfig) -> Negotiator<Fake> {
    Negotiator::server(Fake::acceptor(tokens), config)
}

fn proposing(level: ProtectionLevel) -> ClientConfig {
    ClientConfig::new(level)
}

fn authentication(number: usize) -> Vec<u8> {
    frame(1, format!("token {number}").as_bytes())
}

fn level_of(by_initiator: bool, byte: u8) -> Vec<u8> {
    frame(2, &wrapped(by_initiator, INTEG, &[byte]))
}

/// Returns the bytes that a client and a server send, with `tokens` tokens and at `level`.
fn exchange(tokens: usize, level: u8) -> (Vec<u8>, Vec<u8>) {
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    for number in 0..tokens {
        let side = if number % 2 == 0 {
            &mut from_client
        } else {
            &mut from_server
        };
        side.extend(authentication(number));
    }
    if tokens % 2 == 1 {
        from_server.extend(frame(1, b""));
    }
    from_client.extend(level_of(true, level));
    from_server.extend(level_of(false, level));
    (from_client, from_server)
}

/// Returns where each message of `bytes` begins, and where the last one ends.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = vec![0];
    let mut end = 0;
    while let Ok(Decoded::Complete { consumed, .. }) = Frame::decode(&bytes[end..]) {
        assert_ne!(consumed, 0);
        end += consumed;
        at.push(end);
    }
    assert_eq!(end, bytes.len());
    at
}

/// 1 to 6 tokens, of which the server sends the last one or an empty one,
/// then the client's level and the server's. Every byte is as the RFC requires.
#[test]
fn negotiators_agree_after_every_number_of_tokens() {
    for tokens in TOKENS {
        for level in LEVELS {
            let (of_client, of_server) = converse(
                client(tokens, proposing(level)),
                server(tokens, ServerConfig::new()),
            );
            let (from_client, from_server) = exchange(tokens, level.get());
            assert_eq!(
                of_client.facts(),
                (from_client, vec![], Ok(Some(level))),
                "{tokens} tokens"
            );
            assert_eq!(
                of_server.facts(),
                (from_server, vec![], Ok(Some(level))),
                "{tokens} tokens"
            );
        }
    }
}

/// however the input is split, the same is sent and agreed, and the bytes that follow are left.
#[test]
fn negotiation_split_anywhere_gives_the_same() {
    for tokens in TOKENS {
        let (mut from_client, mut from_server) = exchange(tokens, 2);
        let (sent_by_client, sent_by_server) = (from_client.clone(), from_server.clone());
        let rest = b"\x01\x03\x00\x01what follows";
        from_client.extend_from_slice(rest);
        from_server.extend_from_slice(rest);

        let facts = every_split(&from_server, |pieces| {
            drive(client(tokens, proposing(Confidentiality)), pieces).facts()
        });
        assert_eq!(facts, (sent_by_client, rest.to_vec(), Ok(Some(Confidentiality))));

        let facts = every_split(&from_client, |pieces| {
            drive(server(tokens, ServerConfig::new()), pieces).facts()
        });
        assert_eq!(facts, (sent_by_server, rest.to_vec(), Ok(Some(Confidentiality))));
    }
}

/// Reading `needed` bytes at a time never reads beyond the negotiation.
#[test]
fn needed_read_exactly_leaves_nothing_over() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for (mut negotiator, bytes) in [
            (client(tokens, proposing(Integrity)), from_server),
            (server(tokens, ServerConfig::new()), from_client),
        ] {
            let mut rest = &bytes[..];
            for _ in 0..100 {
                match negotiator.poll_output() {
                    Output::NeedInput { needed } => {
                        let (now, later) = rest.split_at(needed.get());
                        assert_eq!(negotiator.handle_input(now), needed.get());
                        rest = later;
                    }
                    Output::Transmit(transmit) => transmit.sent_all(),
                    Output::Step(step) => step.run(),
                    Output::Established => break,
                    Output::Closed(error) => panic!("{error:?}"),
                }
            }
            assert!(rest.is_empty());
            assert!(matches!(negotiator.poll_output(), Output::Established));
        }
    }
}

/// `handle_buf` is `handle_input` over any `Buf`.
#[cfg(feature = "bytes")]
#[test]
fn handle_buf_leaves_the_bytes_that_follow() {
    use bytes::Buf;

    let (mut bytes, sent) = exchange(1, 1);
    bytes.extend_from_slice(b"rest");
    let (first, second) = bytes.split_at(7);
    let mut input = first.chain(second);
    let mut negotiator = server(1, ServerConfig::new());
    let mut out = Vec::new();
    for _ in 0..1000 {
        match negotiator.poll_output() {
            Output::NeedInput { .. } => Machine::handle_buf(&mut negotiator, &mut input),
            Output::Transmit(mut transmit) => {
                assert_eq!(transmit.remaining(), transmit.as_bytes().len());
                out.extend_from_slice(&transmit.copy_to_bytes(1));
            }
            Output::Step(step) => step.run(),
            Output::Established => break,
            Output::Closed(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(out, sent);
    assert_eq!(input.copy_to_bytes(input.remaining()), "rest");

    // A part of a message is consumed as a whole.
    let mut negotiator = server(1, ServerConfig::new());
    let mut input = &b"\x01\x01\x00"[..];
    Machine::handle_buf(&mut negotiator, &mut input);
    assert_eq!(input, b"");
}

/// an abort may replace any message. It is a refusal, and is not answered.
#[test]
fn abort_in_every_state_is_a_rejection() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for (bytes, sent, of_client) in [
            (&from_server, &from_client, true),
            (&from_client, &from_server, false),
        ] {
            let boundaries = boundaries(bytes);
            let (_, inner) = boundaries.split_last().unwrap();
            for at in inner {
                let input = [&bytes[..*at], ABORT, b"rest"].concat();
                let facts = every_split(&input, |pieces| {
                    if of_client {
                        drive(client(tokens, proposing(Integrity)), pieces).facts()
                    } else {
                        drive(server(tokens, ServerConfig::new()), pieces).facts()
                    }
                });
                assert_eq!(facts.1, b"rest");
                assert_eq!(facts.2, Err(Error::Rejected));
                assert!(sent.starts_with(&facts.0), "only the bytes before it");
            }
        }
    }
}

/// the end of input is a refusal, before any message and inside one. The steps and bytes before it are not lost.
#[test]
fn eof_in_every_state_is_unexpected() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for at in 0..from_server.len() {
            let outcome = drive(client(tokens, proposing(Integrity)), &[&from_server[..at]]);
            assert!(from_client.starts_with(&outcome.sent));
            assert!(
                matches!(outcome.error(), Error::UnexpectedEof { .. }),
                "{at} bytes"
            );
        }
        for at in 0..from_client.len() {
            let outcome = drive(server(tokens, ServerConfig::new()), &[&from_client[..at]]);
            assert!(from_server.starts_with(&outcome.sent));
            assert!(
                matches!(outcome.error(), Error::UnexpectedEof { .. }),
                "{at} bytes"
            );
        }
    }
}

/// "for any reason". A server that rejects sends one abort after its pending bytes. A client sends nothing.
#[test]
fn reject_sends_an_abort_once() {
    for received in [&[][..], &authentication(0)] {
        let mut negotiator = server(2, ServerConfig::new());
        let _ = negotiator.handle_input(received);
        negotiator.reject();
        let Output::Transmit(transmit) = negotiator.poll_output() else {
            panic!("no abort")
        };
        assert_eq!(transmit.as_bytes(), [0x01, 0xff]);
        transmit.sent_all();
        negotiator.reject();
        assert!(matches!(
            negotiator.poll_output(),
            Output::Closed(Error::Abandoned)
        ));
        assert_eq!(negotiator.handle_input(&authentication(0)), 0);
    }

    let mut negotiator = client(2, proposing(ProtectionLevel::Integrity));
    negotiator.reject();
    assert!(matches!(
        negotiator.poll_output(),
        Output::Closed(Error::Abandoned)
    ));
    assert!(matches!(negotiator.into_encapsulation(), Err(Error::Abandoned)));
}

/// An end of input during a step takes effect after the step and the bytes that it sends.
#[test]
fn eof_during_a_step_waits_for_it() {
    let mut negotiator = server(2, ServerConfig::new());
    let _ = negotiator.handle_input(&authentication(0));
    negotiator.handle_eof();
    let Output::Step(step) = negotiator.poll_output() else {
        panic!("no step")
    };
    step.run();
    let Output::Transmit(transmit) = negotiator.poll_output() else {
        panic!("nothing to send")
    };
    assert_eq!(transmit.as_bytes(), authentication(1));
    transmit.sent_all();
    assert!(matches!(
        negotiator.poll_output(),
        Output::Closed(Error::UnexpectedEof {
            due: MessageType::ProtectionLevel,
            ..
        })
    ));
    assert_eq!(negotiator.handle_input(&level_of(true, 1)), 0);
}

/// An end of input that is announced before the last bytes are offered loses none of them, in any state. The outcome is
/// that of an end announced while input is needed.
#[test]
fn eof_announced_early_loses_nothing() {
    for tokens in TOKENS {
        let (mut from_client, mut from_server) = exchange(tokens, 1);
        for wire in [&mut from_client, &mut from_server] {
            wire.extend_from_slice(b"rest");
        }
        for at in 0..=from_server.len() {
            let start = || client(tokens, proposing(Integrity));
            let wire = &from_server[..at];
            let late = drive(start(), &[wire]).facts();
            for rest in RESTS {
                assert_eq!(drive_after_eof(start(), wire, rest).facts(), late, "{rest:?}");
            }
        }
        for at in 0..=from_client.len() {
            let start = || server(tokens, ServerConfig::new());
            let wire = &from_client[..at];
            let late = drive(start(), &[wire]).facts();
            for rest in RESTS {
                assert_eq!(drive_after_eof(start(), wire, rest).facts(), late, "{rest:?}");
            }
        }
    }
}

/// A second announcement, or an empty slice, means that the caller no longer holds the bytes that were not consumed.
#[test]
fn eof_announced_twice_gives_up_the_bytes_left() {
    for again in [
        |server: &mut Negotiator<Fake>| server.handle_eof(),
        |server: &mut Negotiator<Fake>| assert_eq!(server.handle_input(b""), 0),
    ] {
        let mut server = server(2, ServerConfig::new());
        let input = [authentication(0), level_of(true, 1)].concat();
        assert_eq!(server.handle_input(&input), authentication(0).len());
        server.run_step();
        if let Output::Transmit(transmit) = server.poll_output() {
            transmit.sent_all();
        }
        server.handle_eof();
        assert!(matches!(server.poll_output(), Output::NeedInput { .. }));
        again(&mut server);
        assert!(matches!(
            server.poll_output(),
            Output::Closed(Error::UnexpectedEof {
                due: MessageType::ProtectionLevel,
                ..
            })
        ));
    }
}

/// A negotiator can move to the thread that runs its step. `run_step` does nothing when no step is pending, which `drive` checks
/// in every state.
#[test]
fn run_step_on_another_thread_continues() {
    let (from_client, from_server) = exchange(5, 2);
    let (mut negotiator, mut unread) = (client(5, proposing(Confidentiality)), &from_server[..]);
    let mut sent = Vec::new();
    loop {
        match negotiator.poll_output() {
            Output::NeedInput { .. } => unread = &unread[negotiator.handle_input(unread)..],
            Output::Transmit(transmit) => {
                sent.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            Output::Step(_) => {
                let stepped = std::thread::spawn(move || {
                    negotiator.run_step();
                    negotiator
                });
                negotiator = stepped.join().unwrap();
            }
            Output::Established => break,
            Output::Closed(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(sent, from_client);
}

/// a client whose context fails closes, and sends nothing. R-114: a server sends `01 FF`.
#[test]
fn failing_step_closes() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for failing in 1..=tokens / 2 + 1 {
            let mut context = Fake::initiator(tokens);
            context.failing_step = Some(failing);
            let outcome = drive(Negotiator::client(context, proposing(Integrity)), &[&from_server]);
            let before: Vec<u8> = (0..failing - 1).flat_map(|n| authentication(2 * n)).collect();
            assert_eq!(outcome.sent, before);
            assert_eq!(outcome.error(), Error::Context(Fault::Told));
        }
        for failing in 1..=tokens.div_ceil(2) {
            let mut context = Fake::acceptor(tokens);
            context.failing_step = Some(failing);
            let outcome = drive(Negotiator::server(context, ServerConfig::new()), &[&from_client]);
            let mut before: Vec<u8> = (0..failing - 1).flat_map(|n| authentication(2 * n + 1)).collect();
            before.extend_from_slice(ABORT);
            assert_eq!(outcome.sent, before);
            assert_eq!(outcome.error(), Error::Context(Fault::Told));
        }
    }
}

/// only the expected message is accepted.
#[test]
fn message_of_another_type_is_refused() {
    let cases: [(&[Vec<u8>], MessageType, MessageType); 6] = [
        (&[level_of(true, 1)], Authentication, MessageType::ProtectionLevel),
        (&[frame(3, b"x")], Authentication, Encapsulated),
        (
            &[authentication(0), frame(3, b"x")],
            MessageType::ProtectionLevel,
            Encapsulated,
        ),
        (
            &[authentication(0), authentication(2)],
            MessageType::ProtectionLevel,
            Authentication,
        ),
        // Only a server sends the empty message.
        (
            &[authentication(0), frame(1, b"")],
            MessageType::ProtectionLevel,
            Authentication,
        ),
        // a level with type 01.
        (
            &[authentication(0), frame(1, &wrapped(true, INTEG, &[1]))],
            MessageType::ProtectionLevel,
            Authentication,
        ),
    ];
    for (messages, expected, got) in cases {
        let input = messages.concat();
        let facts = every_split(&input, |pieces| {
            drive(server(2, ServerConfig::new()), pieces).facts()
        });
        assert!(facts.0.ends_with(ABORT), "R-114");
        assert_eq!(facts.2, Err(unexpected_message(expected, got)));
        let consumed = input.len() - messages.last().unwrap().len() + 2;
        assert_eq!(facts.1, input[consumed..], "no byte after the fault is consumed");
    }

    for (tokens, messages, expected, got) in [
        (
            2,
            vec![level_of(false, 1)],
            Authentication,
            MessageType::ProtectionLevel,
        ),
        (2, vec![frame(3, b"x")], Authentication, Encapsulated),
        (
            2,
            vec![authentication(1), frame(3, b"x")],
            MessageType::ProtectionLevel,
            Encapsulated,
        ),
        // a level before one was proposed.
        (
            1,
            vec![level_of(false, 1)],
            Authentication,
            MessageType::ProtectionLevel,
        ),
        (1, vec![frame(3, b"x")], Authentication, Encapsulated),
    ] {
        let outcome = drive(client(tokens, proposing(Integrity)), &[&messages.concat()]);
        assert!(!outcome.sent.ends_with(ABORT), "R-109: a client just closes");
        assert_eq!(outcome.error(), unexpected_message(expected, got));
    }
}

/// other bytes are refused at the byte that shows it. A wrong version is not consumed.
#[test]
fn bytes_of_another_protocol_are_refused() {
    let facts = every_split(b"\x05\x01\x00", |pieces| {
        drive(server(2, ServerConfig::new()), pieces).facts()
    });
    let version = wrong_version(1, 5);
    assert_eq!(
        facts,
        (ABORT.to_vec(), b"\x05\x01\x00".to_vec(), Err(version.into()))
    );

    let facts = every_split(b"\x01\x04\x00", |pieces| {
        drive(server(2, ServerConfig::new()), pieces).facts()
    });
    let fault = Malformed::MessageType(4).into();
    assert_eq!(facts, (ABORT.to_vec(), b"\x00".to_vec(), Err(fault)));

    let outcome = drive(client(2, proposing(Integrity)), &[b"HTTP/1.1 400"]);
    assert_eq!(outcome.sent, authentication(0));
    assert_eq!(outcome.unread, b"HTTP/1.1 400");
}

/// a client that sent the last token waits for one authentication message, with any token. Before
/// the level, it accepts one empty authentication message, and not a second one.
#[test]
fn client_ready_token_is_accepted_once() {
    let config = proposing(Integrity);
    let sent = [authentication(0), level_of(true, 1)].concat();
    for (ready, answers) in [
        (&b""[..], vec![level_of(false, 1)]),
        (b"whatever", vec![level_of(false, 1)]),
        (b"", vec![frame(1, b""), level_of(false, 1)]),
    ] {
        let mut input = frame(1, ready);
        let waiting = drive(client(1, config), &[]);
        assert_eq!(
            waiting.sent,
            authentication(0),
            "a level before the server is ready"
        );
        input.extend(answers.concat());
        let facts = every_split(&input, |pieces| drive(client(1, config), pieces).facts());
        assert_eq!(facts, (sent.clone(), vec![], Ok(Some(Integrity))));
    }

    // A client that is complete without a token proposes at once, and still accepts a "ready".
    let waiting = drive(client(2, config), &[&authentication(1)]);
    assert_eq!(waiting.sent, sent);
    let input = [authentication(1), frame(1, b""), level_of(false, 1)].concat();
    let facts = every_split(&input, |pieces| drive(client(2, config), pieces).facts());
    assert_eq!(facts, (sent, vec![], Ok(Some(Integrity))));

    // Each call consumes one message, even here.
    let mut negotiator = client(2, config);
    let mut input = &[authentication(1), frame(1, b""), level_of(false, 1)].concat()[..];
    let mut consumed = Vec::new();
    for _ in 0..7 {
        match negotiator.poll_output() {
            Output::NeedInput { .. } => {
                let n = negotiator.handle_input(input);
                input = &input[n..];
                consumed.push(n);
            }
            Output::Step(step) => step.run(),
            Output::Transmit(transmit) => transmit.sent_all(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(consumed, [11, 4, level_of(false, 1).len()]);

    let twice = [
        authentication(1),
        frame(1, b""),
        frame(1, b""),
        level_of(false, 1),
    ]
    .concat();
    assert_eq!(
        drive(client(2, config), &[&twice]).error(),
        unexpected_message(MessageType::ProtectionLevel, Authentication)
    );
    let full = [authentication(1), frame(1, b"x"), level_of(false, 1)].concat();
    assert_eq!(drive(client(2, config), &[&full]).error(), token_too_long(1, 0));
}

/// no level is proposed, agreed to or accepted if the context lacks a service for it.
#[test]
fn level_without_its_services_is_unavailable() {
    let without_any = |mut context: Fake| {
        context.services = Services::default();
        context
    };
    for level in LEVELS {
        let context = without_any(Fake::initiator(2));
        let outcome = drive(
            Negotiator::client(context, proposing(level)),
            &[&authentication(1)],
        );
        assert_eq!(outcome.sent, authentication(0), "nothing is proposed");
        assert_eq!(outcome.error(), Error::LevelUnavailable(level));

        let context = without_any(Fake::acceptor(2));
        let input = [authentication(0), level_of(true, level.get())].concat();
        let outcome = drive(Negotiator::server(context, ServerConfig::new()), &[&input]);
        assert_eq!(outcome.sent, [&authentication(1), ABORT].concat());
        assert_eq!(outcome.error(), Error::LevelUnavailable(level));
    }

    let outcome = drive(
        Negotiator::client(Fake::initiator(2).integrity_only(), proposing(Confidentiality)),
        &[&authentication(1)],
    );
    assert_eq!(outcome.error(), Error::LevelUnavailable(Confidentiality));

    // The server answers a level that the client accepts, but that its context does not support.
    let config = proposing(Integrity).with_accepted(&[Confidentiality]);
    let input = [authentication(1), level_of(false, 2)].concat();
    let outcome = drive(
        Negotiator::client(Fake::initiator(2).integrity_only(), config),
        &[&input],
    );
    assert_eq!(outcome.error(), Error::LevelUnavailable(Confidentiality));

    for level in [Integrity, Selective] {
        let (of_client, of_server) = converse(
            Negotiator::client(Fake::initiator(2).integrity_only(), proposing(level)),
            Negotiator::server(Fake::acceptor(2).integrity_only(), ServerConfig::new()),
        );
        assert_eq!(of_client.end.unwrap().level(), Some(level));
        assert_eq!(of_server.end.unwrap().level(), Some(level));
    }
}

/// both roles refuse every byte other than 1, 2 and 3. Level 00 is opt-in.
#[test]
fn undefined_level_is_refused() {
    for byte in (0..=255).filter(|byte| !(1..=3).contains(byte)) {
        let input = [authentication(0), level_of(true, byte)].concat();
        for config in [
            ServerConfig::new(),
            ServerConfig::new().with_counter_offer(Some(Confidentiality)),
        ] {
            let outcome = drive(server(2, config), &[&input]);
            assert_eq!(outcome.sent, [&authentication(1), ABORT].concat());
            assert_eq!(outcome.error(), Error::LevelNotAllowed(byte));
        }
        let input = [authentication(1), level_of(false, byte)].concat();
        let config = proposing(Integrity).with_accepted(&[Confidentiality, Selective]);
        let outcome = drive(client(2, config), &[&input]);
        assert_eq!(outcome.sent, [authentication(0), level_of(true, 1)].concat());
        assert_eq!(outcome.error(), Error::LevelNotAllowed(byte));
    }
}

/// every answer to every proposal, with every policy of the client. It refuses an unwanted answer, even one
/// with more protection.
#[test]
fn client_answer_is_accepted_by_policy() {
    for proposed in LEVELS {
        for accepted in LEVELS {
            for answer in LEVELS {
                let config = proposing(proposed).with_accepted(&[accepted]);
                let input = [authentication(1), level_of(false, answer.get())].concat();
                let outcome = drive(client(2, config), &[&input]);
                assert_eq!(
                    outcome.sent,
                    [authentication(0), level_of(true, proposed.get())].concat()
                );
                if answer == proposed || answer == accepted {
                    assert_eq!(outcome.end.unwrap().level(), Some(answer));
                } else {
                    assert_eq!(outcome.error(), Error::LevelNotAllowed(answer.get()));
                }
            }
        }
    }
    assert_eq!(ClientConfig::default(), proposing(Confidentiality));
}

/// a server refuses a level that is not allowed, or answers with its counter-offer.
#[test]
fn server_proposal_is_allowed_by_policy() {
    for allowed in LEVELS {
        for proposed in LEVELS {
            let input = [authentication(0), level_of(true, proposed.get())].concat();
            let config = ServerConfig::new().with_allowed(&[allowed]);
            let outcome = drive(server(2, config), &[&input]);
            if proposed == allowed {
                assert_eq!(outcome.end.unwrap().level(), Some(allowed));
            } else {
                assert_eq!(outcome.sent, [&authentication(1), ABORT].concat());
                assert_eq!(outcome.error(), Error::LevelNotAllowed(proposed.get()));
            }

            let outcome = drive(server(2, config.with_counter_offer(Some(allowed))), &[&input]);
            assert_eq!(
                outcome.sent,
                [authentication(1), level_of(false, allowed.get())].concat()
            );
            assert_eq!(outcome.end.unwrap().level(), Some(allowed));
        }
    }

    // An allowed proposal gets no counter-offer.
    for proposed in LEVELS {
        for offer in LEVELS {
            let input = [authentication(0), level_of(true, proposed.get())].concat();
            let outcome = drive(
                server(2, ServerConfig::new().with_counter_offer(Some(offer))),
                &[&input],
            );
            assert_eq!(
                outcome.sent,
                [authentication(1), level_of(false, proposed.get())].concat()
            );
            assert_eq!(outcome.end.unwrap().level(), Some(proposed));
        }
    }

    // A level that the context does not support also gets the counter-offer, unless the context does not support that either.
    let input = [authentication(0), level_of(true, 2)].concat();
    for (offer, expected) in [
        (Integrity, Ok(Some(Integrity))),
        (Confidentiality, Err(Error::LevelUnavailable(Confidentiality))),
    ] {
        let config = ServerConfig::new().with_counter_offer(Some(offer));
        let context = Fake::acceptor(2).integrity_only();
        let outcome = drive(Negotiator::server(context, config), &[&input]);
        assert_eq!(outcome.facts().2, expected);
    }
}

/// if both sides opt in, level 00 is agreed on by a wrapped `00`.
#[test]
fn level_00_is_opt_in() {
    let refused = converse(
        client(2, ClientConfig::unprotected()),
        server(2, ServerConfig::new()),
    );
    assert_eq!(refused.0.error(), Error::Rejected);
    assert_eq!(refused.1.error(), Error::LevelNotAllowed(0));

    let config = ServerConfig::new().with_clear(true).with_allowed(&[Integrity]);
    let (of_client, of_server) = converse(client(2, ClientConfig::unprotected()), server(2, config));
    let (from_client, from_server) = exchange(2, 0);
    assert_eq!(of_client.facts(), (from_client, vec![], Ok(None)));
    assert_eq!(of_server.facts(), (from_server, vec![], Ok(None)));

    // A client that proposes protection does not accept level 00, and one that proposes level 00 accepts no other.
    let input = [authentication(1), level_of(false, 0)].concat();
    assert_eq!(
        drive(client(2, proposing(Integrity)), &[&input]).error(),
        Error::LevelNotAllowed(0)
    );
    let input = [authentication(1), level_of(false, 2)].concat();
    assert_eq!(
        drive(client(2, ClientConfig::unprotected()), &[&input]).error(),
        Error::LevelNotAllowed(2)
    );
    // The opt-in does not include the other undefined bytes.
    for byte in 4..=255 {
        let input = [authentication(0), level_of(true, byte)].concat();
        let outcome = drive(server(2, ServerConfig::new().with_clear(true)), &[&input]);
        assert_eq!(outcome.error(), Error::LevelNotAllowed(byte));
        let input = [authentication(1), level_of(false, byte)].concat();
        let outcome = drive(client(2, ClientConfig::unprotected()), &[&input]);
        assert_eq!(outcome.error(), Error::LevelNotAllowed(byte));
    }
    let allowed = ServerConfig::new().with_clear(true);
    assert_eq!(allowed.with_clear(true), allowed);
    assert_eq!(allowed.with_clear(false), ServerConfig::new());
}

/// Q-110, V-112: if both sides opt in, the level is unwrapped. The form is not detected.
#[test]
fn nec_is_opt_in() {
    let nec = proposing(Confidentiality).with_nec(true);
    let (of_client, of_server) = converse(client(2, nec), server(2, ServerConfig::new().with_nec(true)));
    let bare = b"\x01\x02\x00\x01\x02";
    assert_eq!(of_client.sent, [&authentication(0), &bare[..]].concat());
    assert_eq!(of_server.sent, [&authentication(1), &bare[..]].concat());
    assert_eq!(of_client.end.unwrap().level(), Some(Confidentiality));
    assert_eq!(of_server.end.unwrap().level(), Some(Confidentiality));

    let of_server = converse(client(2, nec), server(2, ServerConfig::new())).1;
    assert_eq!(of_server.sent, [&authentication(1), ABORT].concat());
    assert_eq!(of_server.error(), Error::Context(Fault::Checksum));

    let of_server = converse(
        client(2, proposing(Confidentiality)),
        server(2, ServerConfig::new().with_nec(true)),
    )
    .1;
    assert_eq!(
        of_server.error(),
        Error::LevelLength(wrapped(true, INTEG, &[2]).len())
    );

    let input = [&authentication(1), &bare[..]].concat();
    assert_eq!(
        drive(client(2, proposing(Confidentiality)), &[&input]).error(),
        Error::Context(Fault::Checksum)
    );
    let input = [&authentication(1), &b"\x01\x02\x00\x01\x00"[..]].concat();
    assert_eq!(
        drive(client(2, nec), &[&input]).error(),
        Error::LevelNotAllowed(0)
    );
}

/// the level is one byte, wrapped without confidentiality. A confidential token is accepted.
#[test]
fn level_token_holds_one_byte() {
    for plain in [&b""[..], b"\x01\x01", b"\x02\x00\x00"] {
        let input = [authentication(0), frame(2, &wrapped(true, INTEG, plain))].concat();
        let outcome = drive(server(2, ServerConfig::new()), &[&input]);
        assert_eq!(outcome.sent, [&authentication(1), ABORT].concat());
        assert_eq!(outcome.error(), Error::LevelLength(plain.len()));

        let input = [authentication(1), frame(2, &wrapped(false, INTEG, plain))].concat();
        let outcome = drive(client(2, proposing(Integrity)), &[&input]);
        assert_eq!(outcome.error(), Error::LevelLength(plain.len()));
    }

    let input = [authentication(0), frame(2, &wrapped(true, CONF, &[2]))].concat();
    let outcome = drive(server(2, ServerConfig::new()), &[&input]);
    assert_eq!(outcome.sent, [authentication(1), level_of(false, 2)].concat());
    assert_eq!(outcome.end.unwrap().level(), Some(Confidentiality));
}

/// A context that cannot wrap the level closes the negotiation.
#[test]
fn level_that_cannot_be_wrapped_closes() {
    let mut context = Fake::acceptor(2);
    context.failing_wrap = Some(0);
    let input = [authentication(0), level_of(true, 1)].concat();
    let outcome = drive(Negotiator::server(context, ServerConfig::new()), &[&input]);
    assert_eq!(outcome.sent, [&authentication(1), ABORT].concat());
    assert_eq!(outcome.error(), Error::Context(Fault::Told));

    let mut context = Fake::initiator(2);
    context.failing_wrap = Some(0);
    let outcome = drive(
        Negotiator::client(context, proposing(Integrity)),
        &[&authentication(1)],
    );
    assert_eq!(outcome.sent, authentication(0));
    assert_eq!(outcome.error(), Error::Context(Fault::Told));
}

/// before a peer is authenticated, its token has at most 16,384 bytes, and its level 256. A longer one is refused
/// at the length, and no byte of it is consumed. Both limits can be raised to 65,535.
#[test]
fn tokens_before_authentication_are_limited() {
    fn with_token(len: usize, config: ServerConfig) -> Outcome<Fake> {
        let mut context = Fake::acceptor(2);
        context.token_len = len;
        let mut token = b"token 0".to_vec();
        token.resize(len, b'.');
        let input = [frame(1, &token), level_of(true, 1)].concat();
        drive(Negotiator::server(context, config), &[&input])
    }
    let default = ServerConfig::new();
    for (len, config) in [
        (16_384, default),
        (16_385, default.with_max_token(16_385)),
        (65_535, default.with_max_token(65_535)),
    ] {
        assert_eq!(
            with_token(len, config).end.unwrap().level(),
            Some(Integrity),
            "{len}"
        );
    }
    for (len, max, config) in [
        (16_385, 16_384, default),
        (65_535, 65_534, default.with_max_token(65_534)),
    ] {
        let outcome = with_token(len, config);
        assert_eq!(outcome.sent, ABORT);
        assert_eq!(outcome.unread[..7], *b"token 0");
        assert_eq!(outcome.error(), token_too_long(len, max));
    }

    let overhead = wrapped(true, INTEG, b"").len();
    for (len, max, config) in [
        (257, 256, default),
        (65_535, 65_534, default.with_max_level_token(65_534)),
    ] {
        let long = wrapped(true, INTEG, &vec![0; len - overhead]);
        let input = [authentication(0), frame(2, &long)].concat();
        let outcome = drive(server(2, config), &[&input]);
        assert_eq!(outcome.unread, long);
        assert_eq!(outcome.error(), token_too_long(len, max));
    }
    // A token of the greatest length is accepted or refused for its content.
    let long = wrapped(true, INTEG, &vec![0; 256 - overhead]);
    let input = [authentication(0), frame(2, &long)].concat();
    assert_eq!(
        drive(server(2, default), &[&input]).error(),
        Error::LevelLength(256 - overhead)
    );

    let input = [&b"\x01\x01\x40\x01"[..], b"rest"].concat();
    let facts = every_split(&input, |pieces| {
        drive(client(2, proposing(Integrity)), pieces).facts()
    });
    let error = token_too_long(16_385, 16_384);
    assert_eq!(facts, (authentication(0), b"rest".to_vec(), Err(error)));
    let config = proposing(Integrity).with_max_token(3).with_max_level_token(3);
    assert_eq!(
        drive(client(2, config), &[&authentication(1)]).error(),
        token_too_long(7, 3)
    );

    // The other two messages to a client: "ready", which it ignores, and the level.
    for (input, max) in [
        (vec![frame(1, &[0; 16_385])], 16_384),
        (vec![frame(1, b""), frame(2, &[0; 257])], 256),
    ] {
        let last = input.last().unwrap();
        let outcome = drive(client(1, proposing(Integrity)), &[&input.concat()]);
        assert_eq!(outcome.unread, last[4..]);
        let len = last.len() - 4;
        assert_eq!(outcome.error(), token_too_long(len, max));
    }
}

/// A context whose steps are this function, and that cannot wrap.
struct Scripted(fn(Option<&[u8]>, &mut Vec<u8>) -> Progress);

impl Context for Scripted {
    type Error = Fault;

    fn step(&mut self, token: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Progress, Fault> {
        Ok(self.0(token, out))
    }

    fn services(&self) -> Services {
        Services::default()
    }

    fn wrap(&mut self, _: Protection, _: &[u8], _: &mut Vec<u8>) -> Result<Protection, Fault> {
        Err(Fault::Told)
    }

    fn unwrap(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Protection, Fault> {
        Err(Fault::Told)
    }

    fn max_plain(&self, _: Protection, _: usize) -> usize {
        0
    }
}

/// after a step that continues without a token, nothing is sent, and the peer's next token is awaited. It may be
/// empty.
#[test]
fn step_without_a_token_sends_nothing() {
    let silent = |token: Option<&[u8]>, out: &mut Vec<u8>| {
        if token == Some(b"") {
            out.extend_from_slice(b"at last");
        }
        Progress::ContinueNeeded
    };
    let input = [frame(1, b"x"), frame(1, b""), ABORT.to_vec()].concat();
    for negotiator in [
        Negotiator::client(Scripted(silent), proposing(Integrity)),
        Negotiator::server(Scripted(silent), ServerConfig::new()),
    ] {
        let outcome = drive(negotiator, &[&input]);
        assert_eq!(outcome.sent, frame(1, b"at last"));
        assert_eq!(outcome.error(), Error::Rejected);
    }
}

/// a token of 65,535 bytes is sent. One of 65,536 bytes is an error, not a panic.
#[test]
fn token_of_the_context_beyond_65535_bytes_is_an_error() {
    for (len, fits) in [(65_535, true), (65_536, false)] {
        let mut context = Fake::initiator(2);
        context.token_len = len;
        let outcome = drive(Negotiator::client(context, proposing(Integrity)), &[]);
        assert_eq!(outcome.sent.len(), if fits { 4 + len } else { 0 });
        let error = outcome.error();
        if fits {
            assert!(matches!(error, Error::UnexpectedEof { .. }));
        } else {
            assert_eq!(error, token_too_long(len, 65_535));
        }
    }

    let verbose = Scripted(|_, out| {
        out.resize(65_536, 0);
        Progress::Complete
    });
    let outcome = drive(
        Negotiator::server(verbose, ServerConfig::new()),
        &[&authentication(0)],
    );
    assert_eq!(outcome.sent, ABORT);
    assert_eq!(outcome.error(), token_too_long(65_536, 65_535));
}

/// With any bit flipped, in either direction, the negotiation fails.
#[test]
fn negotiation_with_a_flipped_bit_fails() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 2);
        let accept_all = proposing(Confidentiality)
            .with_accepted(&[Integrity])
            .with_accepted(&[Selective]);
        for at in 0..from_client.len() {
            for bit in 0..8 {
                let mut flipped = from_client.clone();
                flipped[at] ^= 1 << bit;
                let outcome = drive(server(tokens, ServerConfig::new()), &[&flipped]);
                assert!(outcome.end.is_err(), "bit {bit} of byte {at}");
            }
        }
        // The token of "ready" is not checked, so a wrong length may include the bytes after it. That fails, too.
        for at in 0..from_server.len() {
            for bit in 0..8 {
                let mut flipped = from_server.clone();
                flipped[at] ^= 1 << bit;
                let outcome = drive(client(tokens, accept_all), &[&flipped]);
                assert!(outcome.end.is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

/// There is no layer before the negotiation has ended, and before its last byte was sent.
#[test]
fn into_encapsulation_before_the_end_is_abandoned() {
    assert_eq!(
        client(2, proposing(Integrity)).into_encapsulation().unwrap_err(),
        Error::Abandoned
    );
    let mut negotiator = server(2, ServerConfig::new());
    let mut input = &[authentication(0), level_of(true, 1)].concat()[..];
    for _ in 0..4 {
        match negotiator.poll_output() {
            Output::NeedInput { .. } => input = &input[negotiator.handle_input(input)..],
            Output::Step(step) => step.run(),
            Output::Transmit(transmit) => transmit.sent_all(),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(negotiator.poll_output(), Output::Transmit(_)));
    assert_eq!(negotiator.into_encapsulation().unwrap_err(), Error::Abandoned);
}

/// the context is dropped with the machine or the layer. R-124: no message is sent then.
#[test]
fn context_is_dropped_with_the_machine() {
    let context = Fake::initiator(2);
    let life = Arc::downgrade(&context.life);
    let negotiator = Negotiator::client(context, proposing(Integrity));
    assert!(life.upgrade().is_some());
    assert!(negotiator.into_encapsulation().is_err());
    assert!(life.upgrade().is_none(), "after a failure");

    let context = Fake::initiator(2);
    let life = Arc::downgrade(&context.life);
    let (from_client, from_server) = exchange(2, 1);
    let outcome = drive(Negotiator::client(context, proposing(Integrity)), &[&from_server]);
    assert_eq!(outcome.sent, from_client);
    let layer = outcome.end.unwrap();
    assert!(life.upgrade().is_some(), "in the layer");
    drop(layer);
    assert!(life.upgrade().is_none(), "after the layer");
}

/// `Debug` shows the state of a negotiator. Its context is available at the end.
#[test]
fn negotiator_debug_shows_the_state() {
    /// Returns the states when `wire` is received.
    fn states(mut negotiator: Negotiator<Fake>, wire: &[u8]) -> Vec<String> {
        let mut rest = wire;
        let mut states = Vec::new();
        loop {
            let _ = negotiator.poll_output();
            let state = format!("{negotiator:?}");
            let state = state.strip_prefix("Negotiator { state: \"").unwrap();
            let state = state.strip_suffix("\", .. }").unwrap().to_string();
            if states.last() != Some(&state) {
                states.push(state);
            }
            match negotiator.poll_output() {
                Output::NeedInput { .. } if rest.is_empty() => negotiator.handle_eof(),
                Output::NeedInput { .. } => rest = &rest[negotiator.handle_input(rest)..],
                Output::Transmit(transmit) => transmit.sent_all(),
                Output::Step(step) => {
                    assert_eq!(format!("{step:?}"), "Step");
                    step.run();
                }
                Output::Established | Output::Closed(_) => {
                    assert!(negotiator.context().services.integrity);
                    return states;
                }
            }
        }
    }

    let (from_client, from_server) = exchange(3, 1);
    let client = || client(3, proposing(Integrity));
    assert_eq!(
        states(client(), &from_server),
        ["step", "token", "step", "ready", "level", "established"]
    );
    assert_eq!(states(client(), b""), ["step", "token", "closed"]);
    assert_eq!(
        states(server(3, ServerConfig::default()), &from_client),
        ["token", "step", "token", "step", "level", "established"]
    );
}

/// A step may run on another thread. `Debug` shows no token.
#[test]
fn machines_are_send_and_show_no_token() {
    fn assert_send<T: Send + Sync + 'static>(_: &T) {}

    assert_send(&Encapsulation::new(Fake::acceptor(0), Integrity));
    let mut negotiator = server(2, ServerConfig::new());
    assert_send(&negotiator);
    assert_eq!(
        format!("{:?}", negotiator.poll_output()),
        "NeedInput { needed: 2 }"
    );
    let _ = negotiator.handle_input(&frame(1, &[0xd7; 100]));
    assert_eq!(format!("{negotiator:?}"), "Negotiator { state: \"step\", .. }");
    assert_eq!(format!("{:?}", negotiator.poll_output()), "Step");
    assert_eq!(format!("{:?}", negotiator.poll_decision()), "Some(Step)");

    let mut negotiator = client(2, proposing(Integrity));
    if let Output::Step(step) = negotiator.poll_output() {
        step.run();
    }
    assert_eq!(
        format!("{:?}", negotiator.poll_output()),
        "Transmit(Transmit(11 bytes))"
    );
}
