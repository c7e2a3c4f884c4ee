//! What the servers share: the command line, whom it lets in, and how a failure reads in the log.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Parser;
use sans_socks::{Address, Credentials, Error, Host, InvalidValue, Method, OtherProtocol, ReplyCode};

#[path = "cli.rs"]
mod cli;
pub(crate) use cli::*;

/// How long a dial may take, all addresses of a name together.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long what a refused client still sends is read and discarded; less than
/// [`REFUSAL_CLOSE_DEADLINE`](sans_socks::REFUSAL_CLOSE_DEADLINE).
///
/// To close while there is unread input makes the system send a reset, which may reach the client before it
/// has read the refusal.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How much a client may send ahead of the reply.
pub(crate) const EARLY_LIMIT: usize = 64 * 1024;

/// How long not to accept when that has failed: out of descriptors, the next try fails as well.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A SOCKS5 proxy
///
/// Whoever reaches it may use it, so without --user it belongs on a loopback address.
#[derive(Parser)]
pub(crate) struct Options {
    /// Where to listen; port 0 lets the system choose one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:1080")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) login: Login,
    /// How long a client has for greeting, credentials and request
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    handshake_timeout: u32,
}

impl Options {
    /// The command line, checked, for as long as the program runs.
    pub(crate) fn from_command_line() -> Result<&'static Self, InvalidValue> {
        let options = Box::leak(Box::new(Self::parse()));
        options.login.credentials()?;
        Ok(options)
    }

    /// Why the server cannot listen.
    pub(crate) fn explain(&self, error: &io::Error) -> String {
        format!("cannot listen on {}: {error}", self.listen)
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout.into())
    }

    /// The methods to select from: where there is a password, nothing less will do.
    pub(crate) fn methods(&self) -> &'static [Method] {
        match self.login.credentials() {
            Ok(None) => &[Method::NO_AUTHENTICATION],
            _ => &[Method::USERNAME_PASSWORD],
        }
    }

    pub(crate) fn admits(&self, given: &Credentials<'_>) -> bool {
        match self.login.credentials() {
            Ok(Some(login)) => given.verify(login.username(), login.password()),
            _ => false,
        }
    }
}

/// Says on stdout where the server listens, at once: port 0 is known only now.
pub(crate) fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}

/// A log line for a connection that has failed. No error of this crate shows credentials.
pub(crate) fn log_failure(client: SocketAddr, error: &io::Error) {
    let reason = in_full(error);
    match protocol(error) {
        Some(protocol) => log(format_args!("{client}: {reason}; looks like {protocol}")),
        None => log(format_args!("{client}: {reason}")),
    }
}

/// What the client spoke instead of SOCKS5.
fn protocol(error: &io::Error) -> Option<OtherProtocol> {
    match error.get_ref()?.downcast_ref()? {
        Error::Malformed(fault) => fault.looks_like(),
        _ => None,
    }
}

/// A host and port as a resolver takes them: text, so another name has no address.
pub(crate) fn lookup_name(address: Address<'_>) -> io::Result<String> {
    match address.host {
        Host::Domain(name) if name.to_str().is_err() => Err(unresolved()),
        _ => Ok(address.canonical().to_string()),
    }
}

/// What an address may use of the time up to `deadline`, when `left` addresses are still to be tried.
pub(crate) fn share(deadline: Instant, left: usize) -> Duration {
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    let share = deadline.saturating_duration_since(Instant::now()) / left;
    share.max(Duration::from_millis(1))
}

/// A name that has no address. The system's own error says so in no portable way.
pub(crate) fn unresolved() -> io::Error {
    Error::Refused(ReplyCode::HOST_UNREACHABLE).into()
}
