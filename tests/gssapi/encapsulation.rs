use crate::errors::{plain_too_long, token_too_long, unexpected_message};
use sans_socks::Malformed;
use sans_socks::gssapi::{ClientConfig, ServerConfig};
use sans_socks::gssapi::{Encapsulation, Error, MessageType, Negotiator, Protection, ProtectionLevel};
use sans_socks::message::Decoded;
use sans_socks_testing::faults::wrong_version;

use sans_socks_testing::gssapi::{Fake, Fault, OVERHEAD, converse, every_split, frame, wrapped};

use Protection::{Confidentiality as CONF, Integrity as INTEG};
use ProtectionLevel::{Confidentiality, Integrity, Selective};

type Layer = Encapsulation<Fake>;

/// Returns the layers of a client and a server.
fn layers(level: ProtectionLevel) -> (Layer, Layer) {
    (
        Encapsulation::new(Fake::initiator(0), level),
        Encapsulation::new(Fake::acceptor(0), level),
    )
}

/// Returns the same for datagrams, which arrive in any order.
fn datagram_layers(level: ProtectionLevel) -> (Layer, Layer) {
    let unordered = |mut context: Fake| {
        context.sequence = false;
        context
    };
    (
        Encapsulation::new(unordered(Fake::initiator(0)), level),
        Encapsulation::new(unordered(Fake::acceptor(0)), level),
    )
}

fn clear_layers() -> (Layer, Layer) {
    let (client, server) = converse(
        Negotiator::client(Fake::initiator(2), ClientConfig::unprotected()),
        Negotiator::server(Fake::acceptor(2), ServerConfig::new().with_clear(true)),
    );
    (client.end.unwrap(), server.end.unwrap())
}

fn sealed(layer: &mut Layer, plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    layer.encapsulate(plain, &mut wire).unwrap();
    wire
}

/// Decapsulates all of `wire`, up to the first error.
fn opened(layer: &mut Layer, mut wire: &[u8]) -> (Vec<u8>, Result<(), Error<Fault>>) {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        match layer.decapsulate(wire, &mut plain) {
            Ok(consumed) => {
                assert_ne!(consumed, 0, "at least one byte is consumed");
                wire = &wire[consumed..];
            }
            Err(error) => return (plain, Err(error)),
        }
    }
    let end = layer.handle_eof();
    (plain, end)
}

/// ..R-123: level 1 is never confidential, level 2 always is, and level 3 is as selected for each message. The
/// receiver learns which.
#[test]
fn layer_sends_the_protection_of_its_level() {
    for (level, expected) in [
        (Integrity, [INTEG, INTEG, INTEG]),
        (Confidentiality, [CONF, CONF, CONF]),
        (Selective, [CONF, INTEG, CONF]),
    ] {
        let (mut client, mut server) = layers(level);
        assert_eq!(client.level(), Some(level));
        let mut wire = sealed(&mut client, b"first");
        client.select(INTEG);
        wire.extend(sealed(&mut client, b"second"));
        client.select(CONF);
        wire.extend(sealed(&mut client, b"third"));

        let (mut rest, mut plain) = (&wire[..], Vec::new());
        assert_eq!(server.last_protection(), None);
        for protection in expected {
            assert_eq!(rest[..2], [1, 3]);
            assert_eq!(rest[4] == 1, protection == CONF, "{level}");
            let len = 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            assert_eq!(server.decapsulate(rest, &mut plain), Ok(len));
            assert_eq!(server.last_protection(), Some(protection), "{level}");
            rest = &rest[len..];
        }
        assert!(rest.is_empty());
        assert_eq!(
            (&plain[..], server.handle_eof()),
            (&b"firstsecondthird"[..], Ok(()))
        );
    }
}

/// at level 3 the receiver learns the protection of each message and datagram. Incomplete or refused input does not
/// count as a message.
#[test]
fn last_protection_is_that_of_the_last_message() {
    let (mut client, mut server) = datagram_layers(Selective);
    let mut plain = Vec::new();
    for protection in [INTEG, CONF, CONF, INTEG] {
        let before = server.last_protection();
        client.select(protection);
        let wire = sealed(&mut client, b"stream");
        let (first, last) = wire.split_at(wire.len() - 1);
        assert_eq!(server.decapsulate(first, &mut plain), Ok(first.len()));
        assert_eq!(server.last_protection(), before);
        assert_eq!(server.decapsulate(last, &mut plain), Ok(1));
        assert_eq!(server.last_protection(), Some(protection));
    }
    for protection in [CONF, INTEG] {
        client.select(protection);
        let mut datagram = Vec::new();
        client.encapsulate_datagram(b"datagram", &mut datagram).unwrap();
        server.decapsulate_datagram(&datagram, &mut plain).unwrap();
        assert_eq!(server.last_protection(), Some(protection));
        assert!(server.decapsulate_datagram(&datagram, &mut plain).is_err());
        assert_eq!(server.last_protection(), Some(protection), "a replay");
    }

    let (mut client, mut server) = clear_layers();
    let wire = sealed(&mut client, b"stream");
    assert_eq!(opened(&mut server, &wire).0, b"stream");
    assert_eq!(server.last_protection(), None);
}

/// if a context leaves confidentiality out, and reports that, its token is not sent.
#[test]
fn context_that_leaves_confidentiality_out_is_detected() {
    let never_confidential = |level| {
        let mut context = Fake::initiator(0);
        context.never_confidential = true;
        Encapsulation::new(context, level)
    };
    for level in [Confidentiality, Selective] {
        let mut layer = never_confidential(level);
        let mut wire = b"before".to_vec();
        assert_eq!(
            layer.encapsulate_datagram(b"secret", &mut wire),
            Err(Error::NotConfidential)
        );
        assert_eq!(
            layer.encapsulate(b"secret", &mut wire),
            Err(Error::NotConfidential)
        );
        assert_eq!(wire, b"before");
        assert_eq!(layer.encapsulate(b"secret", &mut wire), Err(Error::Failed));
    }

    // If only integrity was requested, such a token is sent.
    let mut selective = never_confidential(Selective);
    selective.select(INTEG);
    for mut layer in [never_confidential(Integrity), selective] {
        assert_ne!(sealed(&mut layer, b"public"), b"");
    }
}

/// at level 3, the default is integrity if the context lacks confidentiality.
#[test]
fn layer_selective_without_confidentiality_sends_integrity() {
    let mut client = Encapsulation::new(Fake::initiator(0).integrity_only(), Selective);
    assert_eq!(sealed(&mut client, b"x")[4], 0);
}

/// a context is never asked for a service that it lacks. A library may leave the service out, and report that only in
/// "conf_state".
#[test]
fn layer_without_the_service_sends_nothing() {
    let unprotected = || {
        let mut context = Fake::initiator(0).integrity_only();
        context.services.integrity = false;
        context
    };
    let mut selected = Encapsulation::new(Fake::initiator(0).integrity_only(), Selective);
    selected.select(CONF);
    for (mut layer, unavailable) in [
        (
            Encapsulation::new(Fake::initiator(0).integrity_only(), Confidentiality),
            Confidentiality,
        ),
        (selected, Confidentiality),
        (Encapsulation::new(unprotected(), Integrity), Integrity),
        (Encapsulation::new(unprotected(), Selective), Integrity),
    ] {
        let error = Err(Error::LevelUnavailable(unavailable));
        let mut wire = b"before".to_vec();
        assert_eq!(layer.encapsulate_datagram(b"bytes", &mut wire), error);
        assert_eq!(layer.encapsulate(b"bytes", &mut wire), error);
        assert_eq!(wire, b"before");
    }
}

/// a token that is not confidential is an error at level 2. The other levels accept both.
#[test]
fn layer_accepts_the_protection_of_its_level() {
    for level in [Integrity, Confidentiality, Selective] {
        for protection in [INTEG, CONF] {
            let wire = frame(3, &wrapped(true, protection, b"bytes"));
            let by_stream = opened(&mut layers(level).1, &wire);
            let mut plain = b"before".to_vec();
            let by_datagram = datagram_layers(level).1.decapsulate_datagram(&wire, &mut plain);
            if level == Confidentiality && protection == INTEG {
                assert_eq!(by_stream, (vec![], Err(Error::NotConfidential)));
                assert_eq!(by_datagram, Err(Error::NotConfidential));
                assert_eq!(plain, b"before");
            } else {
                assert_eq!(by_stream, (b"bytes".to_vec(), Ok(())));
                assert_eq!(by_datagram, Ok(()));
                assert_eq!(plain, b"beforebytes");
            }
        }
    }
}

/// frames split anywhere, and several in one piece, give the same plaintext.
#[test]
fn stream_split_anywhere_gives_the_same() {
    let (mut client, _) = layers(Confidentiality);
    let mut wire = sealed(&mut client, b"a request");
    wire.extend(sealed(&mut client, b"and bytes"));
    // Empty plaintext has no meaning in a stream. In particular, it is not the end.
    wire.extend(frame(3, &{
        let mut token = Vec::new();
        let mut third = Fake::initiator(0);
        for _ in 0..3 {
            token.clear();
            sans_socks::gssapi::Context::wrap(&mut third, CONF, b"", &mut token).unwrap();
        }
        token
    }));
    let (plain, end) = every_split(&wire, |pieces| {
        let (_, mut server) = layers(Confidentiality);
        let mut plain = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let consumed = server.decapsulate(rest, &mut plain).unwrap();
                assert_ne!(consumed, 0, "at least one byte is consumed");
                rest = &rest[consumed..];
            }
        }
        (plain, server.handle_eof())
    });
    assert_eq!((&plain[..], end), (&b"a requestand bytes"[..], Ok(())));
}

/// One call consumes bytes up to the end of the frame in progress, and appends to the plaintext.
#[test]
fn decapsulate_opens_one_frame_a_call() {
    let (mut client, mut server) = layers(Integrity);
    let first = sealed(&mut client, b"one");
    let wire = [first.clone(), sealed(&mut client, b"two")].concat();
    let mut plain = b"before:".to_vec();
    assert_eq!(server.decapsulate(&wire[..3], &mut plain), Ok(3));
    assert_eq!(plain, b"before:");
    assert_eq!(server.decapsulate(&wire[3..], &mut plain), Ok(first.len() - 3));
    assert_eq!(plain, b"before:one");
    assert_eq!(
        server.decapsulate(&wire[first.len()..], &mut plain),
        Ok(wire.len() - first.len())
    );
    assert_eq!(plain, b"before:onetwo");
    assert_eq!(server.decapsulate(b"", &mut plain), Ok(0));
}

/// a stream is split at the longest plaintext of a token, and every frame except the last is full.
#[test]
fn long_plaintext_is_split() {
    let room = 65_535 - OVERHEAD;
    for len in [0, 1, room, room + 1, 100_000, 3 * room] {
        let plain: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let (mut client, mut server) = layers(Confidentiality);
        let wire = sealed(&mut client, &plain);
        let mut frames = 0;
        let mut rest = &wire[..];
        while let Some((header, _)) = rest.split_first_chunk::<4>() {
            let token = usize::from(u16::from_be_bytes([header[2], header[3]]));
            rest = &rest[4 + token..];
            frames += 1;
            assert!(rest.is_empty() || token == 65_535);
        }
        assert_eq!(frames, len.div_ceil(room), "no frame for empty plaintext");
        assert!(opened(&mut server, &wire) == (plain, Ok(())), "{len}");
    }
}

/// empty plaintext needs no token, even if no byte would fit.
#[test]
fn empty_plaintext_needs_no_token() {
    let mut context = Fake::initiator(0);
    context.claimed_overhead = 65_535;
    let mut layer = Encapsulation::new(context, Integrity);
    let mut wire = b"before".to_vec();
    assert_eq!(layer.encapsulate(b"", &mut wire), Ok(()));
    assert_eq!(wire, b"before");
}

/// a datagram is one token, or an error.
#[test]
fn datagram_is_not_split() {
    let room = 65_535 - OVERHEAD;
    let (mut client, mut server) = datagram_layers(Confidentiality);
    let mut wire = b"before".to_vec();
    assert_eq!(
        client.encapsulate_datagram(&vec![0; room + 1], &mut wire),
        Err(plain_too_long(room + 1, room))
    );
    assert_eq!(wire, b"before");
    for len in [0, 1, room] {
        let (plain, mut datagram, mut out) = (vec![5; len], Vec::new(), Vec::new());
        client.encapsulate_datagram(&plain, &mut datagram).unwrap();
        assert_eq!(datagram.len(), 4 + OVERHEAD + len);
        server.decapsulate_datagram(&datagram, &mut out).unwrap();
        assert_eq!(out, plain, "{len}");
    }
}

/// the limit for a fragment is the plaintext that fits a frame, with its header.
#[test]
fn max_plain_counts_the_whole_frame() {
    let (mut client, _) = datagram_layers(Integrity);
    for limit in [0, 4, 4 + OVERHEAD, 4 + OVERHEAD + 1, 1400, 65_539, 70_000] {
        let max = client.max_plain(limit);
        assert_eq!(max, limit.min(65_539).saturating_sub(4 + OVERHEAD));
        if max > 0 {
            let mut datagram = Vec::new();
            client.encapsulate_datagram(&vec![0; max], &mut datagram).unwrap();
            assert!(datagram.len() <= limit);
        }
    }
    assert_eq!(clear_layers().0.max_plain(1400), 1400);
}

/// the limit is that of a message with the protection selected.
#[test]
fn max_plain_is_that_of_the_protection() {
    for (level, selected, added) in [
        (Integrity, CONF, 0),
        (Confidentiality, INTEG, 32),
        (Selective, CONF, 32),
        (Selective, INTEG, 0),
    ] {
        let mut context = Fake::initiator(0);
        context.claimed_for_confidentiality = 32;
        let mut layer = Encapsulation::new(context, level);
        layer.select(selected);
        let room = 65_535 - OVERHEAD - added;
        assert_eq!(layer.max_plain(65_539), room);
        let error = plain_too_long(room + 1, room);
        assert_eq!(
            layer.encapsulate_datagram(&vec![0; room + 1], &mut Vec::new()),
            Err(error)
        );
        assert_eq!(sealed(&mut layer, &vec![0; room]).len(), 4 + OVERHEAD + room);
        assert_eq!(
            sealed(&mut layer, &vec![0; room + 1]).len(),
            2 * (4 + OVERHEAD) + room + 1
        );
    }
}

/// a datagram that is longer or shorter than its frame is dropped, with no other effect.
#[test]
fn datagram_of_another_length_is_dropped() {
    let (mut client, mut server) = datagram_layers(Integrity);
    let mut datagram = Vec::new();
    client.encapsulate_datagram(b"payload", &mut datagram).unwrap();
    let mut plain = Vec::new();
    for len in 0..datagram.len() {
        assert_eq!(
            server.decapsulate_datagram(&datagram[..len], &mut plain),
            Err(Error::DatagramLength),
            "{len} bytes of {}",
            datagram.len()
        );
    }
    let longer = [&datagram[..], b"\0"].concat();
    assert_eq!(
        server.decapsulate_datagram(&longer, &mut plain),
        Err(Error::DatagramLength)
    );
    assert!(plain.is_empty());
    server.decapsulate_datagram(&datagram, &mut plain).unwrap();
    assert_eq!(plain, b"payload");
}

/// a bad datagram is dropped with a reason. The next one, and the stream, are accepted.
#[test]
fn bad_datagram_is_not_fatal() {
    let (mut client, mut server) = datagram_layers(Integrity);
    let mut good = Vec::new();
    client.encapsulate_datagram(b"payload", &mut good).unwrap();
    let mut plain = b"before".to_vec();
    let version = wrong_version(1, 5);
    for (bad, error) in [
        (b"\x05\x03\x00\x00".to_vec(), Error::Malformed(version)),
        (
            b"\x01\x09\x00\x00".to_vec(),
            Error::Malformed(Malformed::MessageType(9)),
        ),
        (b"\x01\xff".to_vec(), Error::Rejected),
        (
            frame(1, b""),
            unexpected_message(MessageType::Encapsulated, MessageType::Authentication),
        ),
        (
            frame(3, b"rubbish that is longer"),
            Error::Context(Fault::Checksum),
        ),
    ] {
        assert_eq!(server.decapsulate_datagram(&bad, &mut plain), Err(error));
        assert_eq!(plain, b"before");
    }
    server.decapsulate_datagram(&good, &mut plain).unwrap();
    assert_eq!(plain, b"beforepayload");
    assert_eq!(
        server.decapsulate_datagram(&good, &mut plain),
        Err(Error::Context(Fault::Sequence)),
        "a replay"
    );
    assert_eq!(plain, b"beforepayload");
    let wire = sealed(&mut client, b"stream");
    assert_eq!(opened(&mut server, &wire), (b"stream".to_vec(), Ok(())));
}

/// datagrams may arrive in any order if the context does not provide sequence.
#[test]
fn datagrams_in_any_order_are_accepted() {
    let (mut client, mut server) = datagram_layers(Confidentiality);
    let datagrams: Vec<Vec<u8>> = (0..4u8)
        .map(|number| {
            let mut datagram = Vec::new();
            client.encapsulate_datagram(&[number], &mut datagram).unwrap();
            datagram
        })
        .collect();
    let mut plain = Vec::new();
    for number in [2, 0, 3, 1] {
        server
            .decapsulate_datagram(&datagrams[number], &mut plain)
            .unwrap();
    }
    assert_eq!(plain, [2, 0, 3, 1]);
}

/// bytes that are not an encapsulated message end the stream, in both directions.
#[test]
fn stream_fault_is_fatal() {
    let version = wrong_version(1, 5);
    for (bad, error) in [
        (b"\x05".to_vec(), Error::Malformed(version)),
        (b"\x01\x09".to_vec(), Error::Malformed(Malformed::MessageType(9))),
        (b"\x01\xff".to_vec(), Error::Rejected),
        (
            b"\x01\x01".to_vec(),
            unexpected_message(MessageType::Encapsulated, MessageType::Authentication),
        ),
        (
            b"\x01\x02".to_vec(),
            unexpected_message(MessageType::Encapsulated, MessageType::ProtectionLevel),
        ),
        (frame(3, b""), Error::Context(Fault::Checksum)),
        (
            frame(3, b"rubbish that is longer"),
            Error::Context(Fault::Checksum),
        ),
    ] {
        let (mut client, _) = layers(Integrity);
        let good = sealed(&mut client, b"good");
        let after = sealed(&mut client, b"after");
        let input = [&good[..], &bad].concat();
        every_split(&input, |pieces| {
            let (_, mut server) = layers(Integrity);
            let (mut plain, mut end) = (Vec::new(), Ok(0));
            for piece in pieces {
                let mut rest = *piece;
                while !rest.is_empty() && end.is_ok() {
                    end = server.decapsulate(rest, &mut plain);
                    assert_ne!(end, Ok(0), "at least one byte is consumed");
                    rest = end.map_or(&[], |consumed| &rest[consumed..]);
                }
            }
            assert_eq!(plain, b"good");
            assert_eq!(end, Err(error));

            let (mut other, failed) = (Vec::new(), Error::Failed);
            assert_eq!(server.decapsulate(&after, &mut other), Err(failed));
            assert_eq!(server.encapsulate(b"x", &mut other), Err(failed));
            assert_eq!(server.decapsulate_datagram(&after, &mut other), Err(failed));
            assert_eq!(server.encapsulate_datagram(b"x", &mut other), Err(failed));
            assert_eq!(server.handle_eof(), Err(failed));
            assert!(other.is_empty());
        });
    }
}

/// The input may end between two frames, but not inside one.
#[test]
fn stream_eof_inside_a_frame_is_a_fault() {
    let (mut client, _) = layers(Integrity);
    let wire = [sealed(&mut client, b"one"), sealed(&mut client, b"two")].concat();
    for at in 0..=wire.len() {
        let (plain, end) = opened(&mut layers(Integrity).1, &wire[..at]);
        assert!(b"onetwo".starts_with(&plain[..]));
        if at % (wire.len() / 2) == 0 {
            assert_eq!(end, Ok(()), "{at}");
        } else {
            let due = MessageType::Encapsulated;
            assert!(
                matches!(end, Err(Error::UnexpectedEof { due: found, .. }) if found == due),
                "{at}"
            );
            #[cfg(feature = "std")]
            assert_eq!(
                std::io::Error::from(end.unwrap_err()).kind(),
                std::io::ErrorKind::UnexpectedEof
            );
        }
    }
}

/// After a flipped bit in any frame, the messages before it are returned, and then an error.
#[test]
fn stream_with_a_flipped_bit_gives_no_other_plaintext() {
    for level in [Integrity, Confidentiality, Selective] {
        let (mut client, _) = layers(level);
        let messages = [&b"the first"[..], b"x", b"the third message"];
        let frames = messages.map(|message| sealed(&mut client, message));
        let wire = frames.concat();
        for at in 0..wire.len() {
            let mut intact = Vec::new();
            let mut end = 0;
            for (frame, message) in frames.iter().zip(messages) {
                end += frame.len();
                if end <= at {
                    intact.extend_from_slice(message);
                }
            }
            for bit in 0..8 {
                let mut flipped = wire.clone();
                flipped[at] ^= 1 << bit;
                let (plain, end) = opened(&mut layers(level).1, &flipped);
                assert_eq!(plain, intact, "{level}, bit {bit} of byte {at}");
                assert!(end.is_err(), "{level}, bit {bit} of byte {at}");
            }
        }
    }
}

/// A datagram with a flipped bit is an error, and nothing else is affected.
#[test]
fn datagram_with_a_flipped_bit_is_dropped() {
    let (mut client, mut server) = datagram_layers(Confidentiality);
    let mut datagram = Vec::new();
    client.encapsulate_datagram(b"payload", &mut datagram).unwrap();
    let mut plain = Vec::new();
    for at in 0..datagram.len() {
        for bit in 0..8 {
            let mut flipped = datagram.clone();
            flipped[at] ^= 1 << bit;
            assert!(server.decapsulate_datagram(&flipped, &mut plain).is_err());
            assert!(plain.is_empty(), "bit {bit} of byte {at}");
        }
    }
    server.decapsulate_datagram(&datagram, &mut plain).unwrap();
    assert_eq!(plain, b"payload");
}

/// Frames that are replayed, swapped, missing or reflected are refused if the context provides sequence.
#[test]
fn frames_out_of_sequence_are_refused() {
    let (mut client, _) = layers(Confidentiality);
    let [a, b, c] = ["a", "b", "c"].map(|plain| sealed(&mut client, plain.as_bytes()));
    let reflected = sealed(&mut layers(Confidentiality).1, b"a");
    for (wire, intact, fault) in [
        ([&a[..], &a, &b].concat(), "a", Fault::Sequence),
        ([&a[..], &b, &a].concat(), "ab", Fault::Sequence),
        ([&b[..], &a, &c].concat(), "", Fault::Sequence),
        ([&a[..], &c].concat(), "a", Fault::Sequence),
        (reflected, "", Fault::Checksum),
    ] {
        let (plain, end) = opened(&mut layers(Confidentiality).1, &wire);
        assert_eq!(
            (plain, end),
            (intact.as_bytes().to_vec(), Err(Error::Context(fault)))
        );
    }
}

/// A context that cannot wrap, has no room, or exceeds its own limit ends the stream. Nothing is appended.
#[test]
fn context_that_fails_to_wrap_sends_nothing() {
    type Fail = fn(&mut Fake);
    let failing: [(Fail, Error<Fault>); 4] = [
        (
            |context| context.failing_wrap = Some(0),
            Error::Context(Fault::Told),
        ),
        // Here the first of two frames has been encoded.
        (
            |context| context.failing_wrap = Some(1),
            Error::Context(Fault::Told),
        ),
        (
            |context| context.claimed_overhead = 65_535,
            plain_too_long(70_000, 0),
        ),
        (
            |context| context.claimed_overhead = OVERHEAD - 1,
            token_too_long(65_536, 65_535),
        ),
    ];
    for (fail, error) in failing {
        let mut context = Fake::initiator(0);
        fail(&mut context);
        let mut layer = Encapsulation::new(context, Integrity);
        let mut wire = b"before".to_vec();
        assert_eq!(layer.encapsulate(&[0; 70_000], &mut wire), Err(error));
        assert_eq!(wire, b"before");
        assert_eq!(layer.encapsulate(b"", &mut wire), Err(Error::Failed));
    }

    // Only that datagram is lost.
    let mut context = Fake::initiator(0);
    context.claimed_overhead = OVERHEAD - 1;
    let mut layer = Encapsulation::new(context, Integrity);
    let mut wire = b"before".to_vec();
    let error = token_too_long(65_536, 65_535);
    assert_eq!(
        layer.encapsulate_datagram(&vec![0; 65_536 - OVERHEAD], &mut wire),
        Err(error)
    );
    assert_eq!(wire, b"before");
    layer.encapsulate_datagram(b"next", &mut wire).unwrap();
    assert_eq!(wire.len(), 6 + 4 + OVERHEAD + 4);
}

/// at level 00, bytes are passed through.
#[test]
fn layer_at_level_00_passes_bytes_through() {
    let (mut client, mut server) = clear_layers();
    assert_eq!(client.level(), None);
    let bytes = b"\x05\x01\x00\x01\x7f\x00\x00\x01\x46\xa0 and \x01\xff";
    assert_eq!(sealed(&mut client, bytes), bytes);
    assert_eq!(opened(&mut server, bytes), (bytes.to_vec(), Ok(())));
    let (mut datagram, mut plain) = (Vec::new(), Vec::new());
    client.encapsulate_datagram(bytes, &mut datagram).unwrap();
    server.decapsulate_datagram(&datagram, &mut plain).unwrap();
    assert_eq!((&datagram[..], &plain[..]), (&bytes[..], &bytes[..]));
}

/// `Debug` shows no byte of the stream.
#[test]
fn layer_debug_shows_the_level_only() {
    let (mut layer, _) = layers(Selective);
    layer
        .decapsulate(b"\x01\x03\x00\xd7secret", &mut Vec::new())
        .unwrap();
    assert_eq!(
        format!("{layer:?}"),
        "Encapsulation { level: Some(Selective), failed: false, .. }"
    );
}

/// The codec decodes the frames of the layer.
#[test]
fn layer_frame_is_decoded_by_the_codec() {
    let wire = sealed(&mut layers(Integrity).0, b"x");
    let decoded = sans_socks::gssapi::Frame::decode(&wire);
    assert!(matches!(decoded, Ok(Decoded::Complete { consumed, .. }) if consumed == wire.len()));
}
