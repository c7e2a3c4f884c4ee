//! The command line of the server, and its log of failures.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use sans_socks::Credentials;
use sans_socks_gssapi::{Login, in_full, log};

#[derive(Args)]
pub(crate) struct Options {
    /// Listen here; port 0 lets the system choose one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:1080")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) login: Login,
    /// Limit greeting, credentials and request together
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    handshake_timeout: u32,
}

impl Options {
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout.into())
    }

    pub(crate) fn admits(&self, given: &Credentials<'_>) -> bool {
        match self.login.credentials() {
            Ok(Some(login)) => given.verify(login.username(), login.password()),
            _ => false,
        }
    }
}

/// Logs that a connection has failed. No error of `sans-socks` contains credentials.
pub(crate) fn log_failure(client: SocketAddr, error: &io::Error) {
    log(format_args!("{client}: {}", in_full(error)));
}
