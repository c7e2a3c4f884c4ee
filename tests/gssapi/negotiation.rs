use std::sync::Arc;

use crate::errors::{token_too_long, unexpected_message};
use crate::faults::wrong_version;
#[cfg(feature = "bytes")]
use sans_socks::Machine;
use sans_socks::Malformed;
use sans_socks::gssapi::{
    ClientConfig, Context, Encapsulation, Error, Frame, MessageType, Negotiator, Output, Progress,
    Protection, ProtectionLevel, ServerConfig, Services,
};
use sans_socks::message::Decoded;

use crate::context::{Fake, Fault, Outcome, converse, drive, every_split, frame, wrapped};

use MessageType::{Authentication, Encapsulated};
use Protection::{Confidentiality as CONF, Integrity as INTEG};
use ProtectionLevel::{Confidentiality, Integrity, Selective};

const ABORT: &[u8] = b"\x01\xff";
const LEVELS: [ProtectionLevel; 3] = [Integrity, Confidentiality, Selective];
/// With 1, 3, 5 tokens the client completes with the last of them, so that the server has to say that it is
/// ready; with 2, 4, 6 the server does, and the client completes without one.
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

fn level_of(by_initiator: bool, octet: u8) -> Vec<u8> {
    frame(2, &wrapped(by_initiator, INTEG, &[octet]))
}

/// What a client with `tokens` tokens and `level` sends, and what the server does.
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

/// Where each message of `octets` begins, and where the last ends.
fn boundaries(octets: &[u8]) -> Vec<usize> {
    let mut at = vec![0];
    let mut end = 0;
    while let Ok(Decoded::Complete { consumed, .. }) = Frame::decode(&octets[end..]) {
        assert_ne!(consumed, 0);
        end += consumed;
        at.push(end);
    }
    assert_eq!(end, octets.len());
    at
}

/// 1 to 6 tokens, with a last one of the server or with
/// the empty one in its place, then the level, the client's first. Every octet is what the RFC says.
#[test]
fn every_number_of_legs_at_every_level() {
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

/// however the peer's octets are cut, the same is sent, the same agreed, and what follows is left.
#[test]
fn every_split_of_every_exchange_gives_the_same() {
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

/// Reading no more than `needed` says never reads into what follows.
#[test]
fn needed_is_exact() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for (mut negotiator, octets) in [
            (client(tokens, proposing(Integrity)), from_server),
            (server(tokens, ServerConfig::new()), from_client),
        ] {
            let mut rest = &octets[..];
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

/// As `handle_input`, over any `Buf`.
#[cfg(feature = "bytes")]
#[test]
fn handle_buf_leaves_what_follows() {
    use bytes::Buf;

    let (mut octets, sent) = exchange(1, 1);
    octets.extend_from_slice(b"rest");
    let (first, second) = octets.split_at(7);
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

    // All that has come, where that is less than a message.
    let mut negotiator = server(1, ServerConfig::new());
    let mut input = &b"\x01\x01\x00"[..];
    Machine::handle_buf(&mut negotiator, &mut input);
    assert_eq!(input, b"");
}

/// an abort is a refusal wherever a message may come; nobody answers it.
#[test]
fn abort_in_every_state() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for (octets, sent, of_client) in [
            (&from_server, &from_client, true),
            (&from_client, &from_server, false),
        ] {
            let boundaries = boundaries(octets);
            let (_, inner) = boundaries.split_last().unwrap();
            for at in inner {
                let input = [&octets[..*at], ABORT, b"rest"].concat();
                let facts = every_split(&input, |pieces| {
                    if of_client {
                        drive(client(tokens, proposing(Integrity)), pieces).facts()
                    } else {
                        drive(server(tokens, ServerConfig::new()), pieces).facts()
                    }
                });
                assert_eq!(facts.1, b"rest");
                assert_eq!(facts.2, Err(Error::Rejected));
                assert!(sent.starts_with(&facts.0), "nothing but what was due before it");
            }
        }
    }
}

/// the end of input is a refusal wherever a message, or the rest of one, may come; steps and octets
/// that are due before it are not lost.
#[test]
fn eof_in_every_state() {
    for tokens in TOKENS {
        let (from_client, from_server) = exchange(tokens, 1);
        for at in 0..from_server.len() {
            let outcome = drive(client(tokens, proposing(Integrity)), &[&from_server[..at]]);
            assert!(from_client.starts_with(&outcome.sent));
            assert!(
                matches!(outcome.error(), Error::UnexpectedEof { .. }),
                "{at} octets"
            );
        }
        for at in 0..from_client.len() {
            let outcome = drive(server(tokens, ServerConfig::new()), &[&from_client[..at]]);
            assert!(from_server.starts_with(&outcome.sent));
            assert!(
                matches!(outcome.error(), Error::UnexpectedEof { .. }),
                "{at} octets"
            );
        }
    }
}

/// "for any reason". A server that gives up says so after all that was due before, once; a client says nothing.
#[test]
fn giving_up() {
    for received in [&[][..], &authentication(0)] {
        let mut negotiator = server(2, ServerConfig::new());
        let _ = negotiator.handle_input(received);
        negotiator.reject();
        let Output::Transmit(transmit) = negotiator.poll_output() else {
            panic!("nothing is said")
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

/// The end of input is latched: told before it matters, it waits for the step and the octets that are due.
#[test]
fn eof_does_not_undo_what_is_due() {
    let mut negotiator = server(2, ServerConfig::new());
    let _ = negotiator.handle_input(&authentication(0));
    negotiator.handle_eof();
    let Output::Step(step) = negotiator.poll_output() else {
        panic!("the step is still due")
    };
    step.run();
    let Output::Transmit(transmit) = negotiator.poll_output() else {
        panic!("and what came of it")
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

/// a client whose context fails closes, with no octet. R-114: a server answers `01 FF`.
#[test]
fn a_failing_step() {
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

/// the message that is due, and no other type.
#[test]
fn a_message_of_another_type() {
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
        // The empty message is the server's to send.
        (
            &[authentication(0), frame(1, b"")],
            MessageType::ProtectionLevel,
            Authentication,
        ),
        // a level under type 01.
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
        let taken = input.len() - messages.last().unwrap().len() + 2;
        assert_eq!(
            facts.1,
            input[taken..],
            "nothing behind the octet that shows it is taken"
        );
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
        // no level answers one that was not proposed yet.
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

/// R-114, and the octets: what is no frame is refused at the octet that shows it; a wrong version is not taken.
#[test]
fn no_frame() {
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

/// behind a last token of its own, a client waits for one authentication message,
/// whatever is in it; where the level is due, it lets one empty authentication message pass, and not a
/// second.
#[test]
fn the_ready_token() {
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
            "no level before the server is ready"
        );
        input.extend(answers.concat());
        let facts = every_split(&input, |pieces| drive(client(1, config), pieces).facts());
        assert_eq!(facts, (sent.clone(), vec![], Ok(Some(Integrity))));
    }

    // Complete without a token of its own: the level goes out at once, and a needless "ready" may come.
    let waiting = drive(client(2, config), &[&authentication(1)]);
    assert_eq!(waiting.sent, sent);
    let input = [authentication(1), frame(1, b""), level_of(false, 1)].concat();
    let facts = every_split(&input, |pieces| drive(client(2, config), pieces).facts());
    assert_eq!(facts, (sent, vec![], Ok(Some(Integrity))));

    // One message a call, this one like any other.
    let mut negotiator = client(2, config);
    let mut input = &[authentication(1), frame(1, b""), level_of(false, 1)].concat()[..];
    let mut taken = Vec::new();
    for _ in 0..7 {
        match negotiator.poll_output() {
            Output::NeedInput { .. } => {
                let n = negotiator.handle_input(input);
                input = &input[n..];
                taken.push(n);
            }
            Output::Step(step) => step.run(),
            Output::Transmit(transmit) => transmit.sent_all(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, [11, 4, level_of(false, 1).len()]);

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

/// no level is proposed, agreed to or taken that the context has not the services for.
#[test]
fn levels_need_services() {
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

    // The server answers what the client's context cannot do, though its policy takes it.
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

/// R-117, and level 00 only by opt-in: any octet but 1, 2 and 3 is refused by both sides.
#[test]
fn octets_that_are_no_level() {
    for octet in (0..=255).filter(|octet| !(1..=3).contains(octet)) {
        let input = [authentication(0), level_of(true, octet)].concat();
        for config in [
            ServerConfig::new(),
            ServerConfig::new().with_counter_offer(Some(Confidentiality)),
        ] {
            let outcome = drive(server(2, config), &[&input]);
            assert_eq!(outcome.sent, [&authentication(1), ABORT].concat());
            assert_eq!(outcome.error(), Error::LevelNotAllowed(octet));
        }
        let input = [authentication(1), level_of(false, octet)].concat();
        let config = proposing(Integrity).with_accepted(&[Confidentiality, Selective]);
        let outcome = drive(client(2, config), &[&input]);
        assert_eq!(outcome.sent, [authentication(0), level_of(true, 1)].concat());
        assert_eq!(outcome.error(), Error::LevelNotAllowed(octet));
    }
}

/// every answer to every proposal, under every policy of the client. No downgrade, and no
/// upgrade either, that was not asked for.
#[test]
fn a_client_takes_the_answers_that_its_policy_has() {
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

/// what a server does not allow it refuses, or answers with its counter-offer.
#[test]
fn a_server_agrees_to_the_levels_that_its_policy_has() {
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

    // Where the proposal is allowed, there is nothing to offer against it.
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

    // A counter-offer also stands in for a level that the context cannot do, unless it cannot do that either.
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

/// the clear, where both sides have opted in, is agreed on with a wrapped `00`.
#[test]
fn the_clear_is_an_opt_in() {
    let refused = converse(client(2, ClientConfig::clear()), server(2, ServerConfig::new()));
    assert_eq!(refused.0.error(), Error::Rejected);
    assert_eq!(refused.1.error(), Error::LevelNotAllowed(0));

    let config = ServerConfig::new().with_clear(true).with_allowed(&[Integrity]);
    let (of_client, of_server) = converse(client(2, ClientConfig::clear()), server(2, config));
    let (from_client, from_server) = exchange(2, 0);
    assert_eq!(of_client.facts(), (from_client, vec![], Ok(None)));
    assert_eq!(of_server.facts(), (from_server, vec![], Ok(None)));

    // It is not where a client that asks for protection ends up, nor a client that asks for none with more.
    let input = [authentication(1), level_of(false, 0)].concat();
    assert_eq!(
        drive(client(2, proposing(Integrity)), &[&input]).error(),
        Error::LevelNotAllowed(0)
    );
    let input = [authentication(1), level_of(false, 2)].concat();
    assert_eq!(
        drive(client(2, ClientConfig::clear()), &[&input]).error(),
        Error::LevelNotAllowed(2)
    );
    // And it is one octet of the 253 that RFC 1961 does not have.
    for octet in 4..=255 {
        let input = [authentication(0), level_of(true, octet)].concat();
        let outcome = drive(server(2, ServerConfig::new().with_clear(true)), &[&input]);
        assert_eq!(outcome.error(), Error::LevelNotAllowed(octet));
        let input = [authentication(1), level_of(false, octet)].concat();
        let outcome = drive(client(2, ClientConfig::clear()), &[&input]);
        assert_eq!(outcome.error(), Error::LevelNotAllowed(octet));
    }
    let allowed = ServerConfig::new().with_clear(true);
    assert_eq!(allowed.with_clear(true), allowed);
    assert_eq!(allowed.with_clear(false), ServerConfig::new());
}

/// the level unwrapped, V-112, where both sides have opted in; it is never detected.
#[test]
fn nec_is_an_opt_in() {
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

/// exactly one octet, wrapped without confidentiality; one that came with it is tolerated.
#[test]
fn the_level_token() {
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

/// A context that cannot wrap the level.
#[test]
fn a_level_that_cannot_be_wrapped() {
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

/// before it is authenticated, a peer's token has at most 16,384 octets and its level message 256; more is
/// refused at the length, and not one octet of it taken. Both can be set up to 65,535.
#[test]
fn caps_before_authentication() {
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
    // As long as may be, it is judged by what is in it.
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

    // A client's other two messages: "ready", of which nothing is used, and the level.
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

/// A context whose steps do this, and that can do nothing else.
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

/// a step that continues without a token sends nothing, and the peer's next token is waited for.
/// An empty token of the peer's is a token.
#[test]
fn a_step_without_a_token() {
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

/// a context's token of 65,535 octets goes out; one of 65,536 is an error, and no panic.
#[test]
fn a_token_of_the_context_that_is_too_long() {
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

/// Whatever bit is changed on the way, in either direction, nobody is talked into anything.
#[test]
fn no_flipped_bit_gets_through() {
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
                assert!(outcome.end.is_err(), "bit {bit} of octet {at}");
            }
        }
        // The token in "ready" is the one thing that nobody checks, so its length may hide what follows it, and
        // no more.
        for at in 0..from_server.len() {
            for bit in 0..8 {
                let mut flipped = from_server.clone();
                flipped[at] ^= 1 << bit;
                let outcome = drive(client(tokens, accept_all), &[&flipped]);
                assert!(outcome.end.is_err(), "bit {bit} of octet {at}");
            }
        }
    }
}

/// `finish` gives nothing before the end, and nothing before the last octet was sent.
#[test]
fn finish_before_the_end() {
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

/// the context goes with the machine, whatever becomes of it. R-124: nothing is sent for it.
#[test]
fn the_context_is_dropped() {
    let context = Fake::initiator(2);
    let life = Arc::downgrade(&context.life);
    let negotiator = Negotiator::client(context, proposing(Integrity));
    assert!(life.upgrade().is_some());
    assert!(negotiator.into_encapsulation().is_err());
    assert!(life.upgrade().is_none(), "failed");

    let context = Fake::initiator(2);
    let life = Arc::downgrade(&context.life);
    let (from_client, from_server) = exchange(2, 1);
    let outcome = drive(Negotiator::client(context, proposing(Integrity)), &[&from_server]);
    assert_eq!(outcome.sent, from_client);
    let layer = outcome.end.unwrap();
    assert!(life.upgrade().is_some(), "the layer has it");
    drop(layer);
    assert!(life.upgrade().is_none(), "dropped with the layer");
}

/// What a negotiator prints is where it stands, from its first step to its end; and its context can be asked.
#[test]
fn every_state_has_a_name() {
    /// The states on the way, when `wire` comes.
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

/// A step may run on another thread; a token prints nowhere.
#[test]
fn machines_are_send_and_print_no_token() {
    fn assert_send<T: Send + Sync + 'static>(_: &T) {}

    assert_send(&Encapsulation::new(Fake::acceptor(0), Integrity));
    let mut negotiator = server(2, ServerConfig::new());
    assert_send(&negotiator);
    let _ = negotiator.handle_input(&frame(1, &[0xd7; 100]));
    assert_eq!(format!("{negotiator:?}"), "Negotiator { state: \"step\", .. }");
    assert_eq!(format!("{:?}", negotiator.poll_output()), "Step");

    let mut negotiator = client(2, proposing(Integrity));
    if let Output::Step(step) = negotiator.poll_output() {
        step.run();
    }
    assert_eq!(
        format!("{:?}", negotiator.poll_output()),
        "Transmit(Transmit(11 bytes))"
    );
}
