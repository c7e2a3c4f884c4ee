//! What the clients share: the command line, the request that it asks for, and how a refusal reads.

use std::io;

use clap::Parser;
use sans_socks::client::{Auth, Config, Handshake};
use sans_socks::{Address, AddressBuf, Command, Domain, Error, InvalidValue, Request};

#[path = "cli.rs"]
mod cli;
pub(crate) use cli::*;

/// Opens a tunnel through a SOCKS5 proxy: stdin goes in, what comes out goes to stdout, as with nc
#[derive(Parser)]
pub(crate) struct Options {
    /// Where the proxy listens
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) proxy: AddressBuf,
    #[command(flatten)]
    login: Login,
    /// Send greeting, credentials and request in one flight
    #[arg(long)]
    optimistic: bool,
    /// Name or address of the target; the proxy resolves the name
    host: String,
    /// Port of the target
    port: u16,
}

impl Options {
    pub(crate) fn target(&self) -> Result<Address<'_>, InvalidValue> {
        let host = Domain::new(&self.host)?;
        Ok(Address::from((host, self.port)).canonical())
    }

    /// A handshake that asks for `command`: with the target, but for UDP ASSOCIATE, where the address is
    /// that of the client's datagrams, which a NAT may change. Zeros say that it is not known.
    pub(crate) fn handshake(&self, command: Command) -> Result<Handshake, InvalidValue> {
        let address = match command {
            Command::UDP_ASSOCIATE => Address::UNSPECIFIED,
            _ => self.target()?,
        };
        let auth = self.login.credentials()?.map_or_else(Auth::none, Auth::password);
        let config = Config::new().with_optimistic(self.optimistic);
        Ok(Handshake::with_config(
            &Request::new(command, address),
            auth,
            config,
        ))
    }

    /// What a failed handshake says to the user.
    pub(crate) fn explain(&self, error: &io::Error) -> String {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::Refused(code)) => format!("proxy refused: {code} (REP {:02X})", code.get()),
            _ => format!("proxy {}: {error}", self.proxy),
        }
    }
}
