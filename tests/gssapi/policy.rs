//! RFC 1961 section 4.2: which levels are proposed, agreed to and accepted, as a table of every configuration, every
//! byte that the peer may name, and every set of services.

use sans_socks::gssapi::{
    ClientConfig, Context, Error, Negotiator, Output, Progress, Protection, ProtectionLevel, ServerConfig,
    Services,
};

use ProtectionLevel::{Confidentiality, Integrity, Selective};

const LEVELS: [ProtectionLevel; 3] = [Integrity, Confidentiality, Selective];
const LEVEL_OR_NONE: [Option<ProtectionLevel>; 4] =
    [None, Some(Integrity), Some(Confidentiality), Some(Selective)];

/// A context that is complete after one step, without a token.
struct Complete(Services);

impl Context for Complete {
    type Error = ();

    fn step(&mut self, _: Option<&[u8]>, _: &mut Vec<u8>) -> Result<Progress, ()> {
        Ok(Progress::Complete)
    }

    fn services(&self) -> Services {
        self.0
    }

    fn wrap(&mut self, _: Protection, plain: &[u8], out: &mut Vec<u8>) -> Result<Protection, ()> {
        out.extend_from_slice(plain);
        Ok(Protection::Integrity)
    }

    fn unwrap(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<Protection, ()> {
        out.extend_from_slice(token);
        Ok(Protection::Integrity)
    }

    fn max_plain(&self, _: Protection, max_token: usize) -> usize {
        max_token
    }
}

/// The outcome of a negotiation.
type End = Result<Option<ProtectionLevel>, Error<()>>;

/// Returns the bytes sent in answer to `input`, and the end.
fn run(mut negotiator: Negotiator<Complete>, input: &[&[u8]]) -> (Vec<u8>, End) {
    let mut input = input.iter();
    let mut sent = Vec::new();
    loop {
        match negotiator.poll_output() {
            Output::Transmit(transmit) => {
                sent.extend_from_slice(transmit.as_bytes());
                transmit.sent_all();
            }
            Output::NeedInput { .. } => {
                let message = input.next().expect("the negotiation ends after the level");
                assert_eq!(negotiator.handle_input(message), message.len());
            }
            Output::Step(step) => step.run(),
            Output::Established | Output::Closed(_) => {
                let end = negotiator.into_encapsulation();
                return (sent, end.map(|layer| layer.level()));
            }
        }
    }
}

fn subsets() -> impl Iterator<Item = Vec<ProtectionLevel>> {
    (0..8).map(|set| {
        let levels = LEVELS.into_iter().enumerate();
        levels
            .filter_map(|(bit, level)| (set & 1 << bit != 0).then_some(level))
            .collect()
    })
}

fn services() -> impl Iterator<Item = Services> {
    (0..4).map(|set| {
        Services::new()
            .with_integrity(set & 1 != 0)
            .with_confidentiality(set & 2 != 0)
    })
}

/// every level requires integrity, and level 2 also requires confidentiality. Level 00 requires nothing.
fn is_available(level: Option<ProtectionLevel>, services: Services) -> bool {
    match level {
        None => true,
        Some(Integrity | Selective) => services.integrity,
        Some(Confidentiality) => services.integrity && services.confidentiality,
    }
}

fn unavailable(level: Option<ProtectionLevel>) -> End {
    Err(Error::LevelUnavailable(level.expect("00 is always available")))
}

/// A message with a level.
fn message(byte: u8) -> [u8; 5] {
    [1, 2, 0, 1, byte]
}

fn byte_of(level: Option<ProtectionLevel>) -> u8 {
    level.map_or(0, ProtectionLevel::get)
}

/// a server agrees to a byte if it is allowed and available. If not, it answers with
/// the counter-offer to one of the three levels, or refuses with `01 FF`.
#[test]
fn server_answers_every_proposal_by_its_policy() {
    for allowed in subsets() {
        for clear in [false, true] {
            for counter_offer in LEVEL_OR_NONE {
                let config = ServerConfig::new()
                    .with_allowed(&allowed)
                    .with_clear(clear)
                    .with_counter_offer(counter_offer);
                assert!(
                    LEVELS
                        .iter()
                        .all(|level| config.allows(*level) == allowed.contains(level))
                );
                assert_eq!((config.clear(), config.counter_offer()), (clear, counter_offer));
                for services in services() {
                    for byte in 0..=255 {
                        let expected = match ProtectionLevel::new(byte) {
                            None if byte == 0 && clear => Ok(None),
                            None => Err(Error::LevelNotAllowed(byte)),
                            level @ Some(known) => {
                                let is_allowed = allowed.contains(&known);
                                match counter_offer {
                                    _ if is_allowed && is_available(level, services) => Ok(level),
                                    Some(_) if is_available(counter_offer, services) => Ok(counter_offer),
                                    Some(_) => unavailable(counter_offer),
                                    None if is_allowed => unavailable(level),
                                    None => Err(Error::LevelNotAllowed(byte)),
                                }
                            }
                        };
                        let mut answer = b"\x01\x01\0\0".to_vec();
                        match expected {
                            Ok(level) => answer.extend(message(byte_of(level))),
                            Err(_) => answer.extend(b"\x01\xff"),
                        }
                        let server = Negotiator::server(Complete(services), config);
                        assert_eq!(
                            run(server, &[b"\x01\x01\0\0", &message(byte)]),
                            (answer, expected),
                            "{config:?}, {services:?}, byte {byte}"
                        );
                    }
                }
            }
        }
    }
}

/// a client proposes its level if that is available. It accepts an answer that is
/// available, and was proposed or is in the set of accepted levels.
#[test]
fn client_accepts_every_answer_by_its_policy() {
    for proposed in LEVEL_OR_NONE {
        for accepted in subsets() {
            let config = proposed
                .map_or(ClientConfig::unprotected(), ClientConfig::new)
                .with_accepted(&accepted);
            let is_accepted = |level| proposed == Some(level) || accepted.contains(&level);
            assert!(
                LEVELS
                    .iter()
                    .all(|level| config.accepts(*level) == is_accepted(*level))
            );
            assert_eq!(config.proposed(), proposed);
            for services in services() {
                for byte in 0..=255 {
                    let expected = match ProtectionLevel::new(byte) {
                        _ if !is_available(proposed, services) => unavailable(proposed),
                        None if byte == 0 && proposed.is_none() => Ok(None),
                        Some(level) if is_accepted(level) => {
                            if is_available(Some(level), services) {
                                Ok(Some(level))
                            } else {
                                unavailable(Some(level))
                            }
                        }
                        _ => Err(Error::LevelNotAllowed(byte)),
                    };
                    let sent = if is_available(proposed, services) {
                        message(byte_of(proposed)).to_vec()
                    } else {
                        Vec::new()
                    };
                    let client = Negotiator::client(Complete(services), config);
                    assert_eq!(
                        run(client, &[&message(byte)]),
                        (sent, expected),
                        "{config:?}, {services:?}, byte {byte}"
                    );
                }
            }
        }
    }
}

/// A setter replaces the earlier value, and does not change the other settings.
#[test]
fn setter_replaces_its_own_setting_only() {
    let server = ServerConfig::new();
    assert_eq!(ServerConfig::default(), server);
    assert_eq!(server.with_allowed(&[Integrity]).with_allowed(&LEVELS), server);
    assert_eq!(server.with_clear(true).with_clear(false), server);
    assert_eq!(
        server
            .with_counter_offer(Some(Integrity))
            .with_counter_offer(None),
        server
    );
    let changed = server.with_clear(true).with_allowed(&[]);
    assert!(changed.clear());
    assert!(LEVELS.iter().all(|level| !changed.allows(*level)));

    let client = ClientConfig::new(Integrity);
    assert_eq!(ClientConfig::default(), ClientConfig::new(Confidentiality));
    assert_eq!(client.with_accepted(&LEVELS).with_accepted(&[]), client);

    assert_eq!((client.nec(), server.nec()), (false, false));
    assert_eq!((client.max_token(), server.max_token()), (16_384, 16_384));
    assert_eq!((client.max_level_token(), server.max_level_token()), (256, 256));
    let client = client.with_nec(true).with_max_token(1).with_max_level_token(2);
    let server = server.with_nec(true).with_max_token(3).with_max_level_token(4);
    assert_eq!((client.nec(), server.nec()), (true, true));
    assert_eq!((client.max_token(), server.max_token()), (1, 3));
    assert_eq!((client.max_level_token(), server.max_level_token()), (2, 4));
}
