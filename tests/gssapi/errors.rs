//! Errors that only the crate can construct, obtained from the bytes of a peer or from a context.

use sans_socks::gssapi::{
    Context, Encapsulation, Error, MessageType, Negotiator, Output, Progress, Protection, ProtectionLevel,
    ServerConfig, Services,
};

use std::fmt::Debug;
use std::marker::PhantomData;

/// A context that is established at once, with these sizes.
struct Sizes<E> {
    token: usize,
    max_plain: usize,
    error: PhantomData<E>,
}

impl<E> Context for Sizes<E> {
    type Error = E;

    fn step(&mut self, _: Option<&[u8]>, _: &mut Vec<u8>) -> Result<Progress, E> {
        Ok(Progress::Complete)
    }

    fn services(&self) -> Services {
        Services::new().with_integrity(true)
    }

    fn wrap(&mut self, _: Protection, _: &[u8], out: &mut Vec<u8>) -> Result<Protection, E> {
        out.resize(out.len() + self.token, 0);
        Ok(Protection::Integrity)
    }

    fn unwrap(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Protection, E> {
        Ok(Protection::Integrity)
    }

    fn max_plain(&self, _: Protection, _: usize) -> usize {
        self.max_plain
    }
}

fn layer<E>(token: usize, max_plain: usize) -> Encapsulation<Sizes<E>> {
    let context = Sizes {
        token,
        max_plain,
        error: PhantomData,
    };
    Encapsulation::new(context, ProtectionLevel::Integrity)
}

/// Returns the end of a server that consumes `first`, runs the step if there is one, and consumes `then`.
fn server<E: Debug>(config: ServerConfig, first: &[u8], then: &[u8]) -> Error<E> {
    let context = Sizes {
        token: 0,
        max_plain: 0,
        error: PhantomData,
    };
    let mut server = Negotiator::server(context, config);
    let _ = server.handle_input(first);
    server.run_step();
    if let Output::Transmit(transmit) = server.poll_output() {
        transmit.sent_all();
    }
    let _ = server.handle_input(then);
    server.into_encapsulation().map(drop).expect_err("it is refused")
}

/// Returns the error for a token of `len` bytes where at most `max` are accepted or fit.
pub(crate) fn token_too_long<E: Debug>(len: usize, max: usize) -> Error<E> {
    match (u16::try_from(len), u16::try_from(max)) {
        (Ok(len), Ok(max)) => {
            let [high, low] = len.to_be_bytes();
            let config = ServerConfig::new().with_max_token(max);
            server(config, &[1, 1, high, low], &[])
        }
        _ => layer(len, 0)
            .encapsulate_datagram(&[], &mut Vec::new())
            .expect_err("it does not fit"),
    }
}

/// Returns the error for plaintext of `len` bytes where `max` fit.
pub(crate) fn plain_too_long<E: Debug>(len: usize, max: usize) -> Error<E> {
    layer(0, max)
        .encapsulate_datagram(&vec![0; len], &mut Vec::new())
        .expect_err("it does not fit")
}

/// Returns the error for a message of type `got` where `expected` is required.
pub(crate) fn unexpected_message<E: Debug>(expected: MessageType, got: MessageType) -> Error<E> {
    let message = [1, got.get()];
    match expected {
        MessageType::Authentication => server(ServerConfig::new(), &message, &[]),
        MessageType::ProtectionLevel => server(ServerConfig::new(), &[1, 1, 0, 0], &message),
        MessageType::Encapsulated => layer(0, 0)
            .decapsulate(&message, &mut Vec::new())
            .expect_err("another type"),
    }
}
