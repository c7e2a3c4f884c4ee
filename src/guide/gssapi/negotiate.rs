use sans_socks::Machine;
use sans_socks::gssapi::{Context, Decision, Encapsulation, Negotiator};
use std::error::Error;
use std::io::{self, Read, Write};

/// Runs the negotiation over the raw stream.
pub fn negotiate<C>(
    stream: &mut (impl Read + Write),
    mut negotiator: Negotiator<C>,
) -> io::Result<Encapsulation<C>>
where
    C: Context<Error: Error + Send + Sync + 'static>,
{
    while let Decision::Step(step) = negotiator.advance_exact(stream)? {
        step.run(); // may block
    }
    Ok(negotiator.into_encapsulation()?)
}
