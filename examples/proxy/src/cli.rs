//! The command line.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;

use crate::access::Network;
use crate::config::PortRange;

const AFTER_HELP: &str = "\
Access rules:
  Rules apply to the address that is dialed, after a name was resolved.
  Of the rules that match, the one with the longest prefix decides.
  If --listen is not a loopback address, loopback, link-local and private
  targets and the addresses of this host are denied. An --allow rule for
  the same network, or a part of it, permits its targets.
  To permit only NET: --deny 0.0.0.0/0 --deny ::/0 --allow NET

Examples:
  sans-socks-proxy
  sans-socks-proxy --listen 0.0.0.0:1080 --user alice --password-file FILE
  sans-socks-proxy --listen [::]:1080 --open --allow 10.0.0.0/8

Exit codes: 0 after SIGTERM or SIGINT, 1 after a second signal or if the
proxy cannot run, 2 if the command line or a setting is wrong.";

/// A SOCKS5 proxy with CONNECT, BIND and UDP ASSOCIATE
#[derive(Clone, Debug, Parser)]
#[command(name = "sans-socks-proxy", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Options {
    /// Listen here; port 0 lets the system choose one (may be repeated)
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:1080")]
    pub listen: Vec<SocketAddr>,

    /// Accept SOCKS4 and SOCKS4a too, which have no password
    #[arg(long)]
    pub socks4: bool,

    /// Require this user name and a password
    #[arg(long, value_name = "NAME", help_heading = "Login")]
    pub user: Option<String>,

    /// Use this password; local users can see it in the process list
    #[arg(
        long,
        value_name = "PASS",
        env = "SANS_SOCKS_PASSWORD",
        hide_env_values = true,
        help_heading = "Login"
    )]
    pub password: Option<Password>,

    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE", help_heading = "Login")]
    pub password_file: Option<PathBuf>,

    /// Serve everyone without a password, also beyond loopback
    #[arg(long, help_heading = "Login")]
    pub open: bool,

    /// Allow targets in this network (may be repeated)
    #[arg(long, value_name = "NET", help_heading = "Access")]
    pub allow: Vec<Network>,

    /// Deny targets in this network (may be repeated)
    #[arg(long, value_name = "NET", help_heading = "Access")]
    pub deny: Vec<Network>,

    /// Limit connections of all clients together
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub max_connections: u32,

    /// Limit connections of one client address (IPv6: one /64)
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub max_per_client: u32,

    /// Limit greeting, login and request together
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub handshake_timeout: u32,

    /// Reset a tunnel after this long without data
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub idle_timeout: u32,

    /// Let tunnels finish for this long after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 30, help_heading = "Limits")]
    pub drain_timeout: u32,

    /// Use this local address towards targets (one for each IP version)
    #[arg(long, value_name = "ADDR", help_heading = "Outgoing")]
    pub bind_address: Vec<IpAddr>,

    /// Receive clients' datagrams at this local address
    #[arg(long, value_name = "ADDR", help_heading = "UDP")]
    pub udp_bind: Option<IpAddr>,

    /// Tell clients to send datagrams to this address (behind NAT)
    #[arg(long, value_name = "ADDR", help_heading = "UDP")]
    pub udp_advertise: Option<IpAddr>,

    /// Receive clients' datagrams at these ports (behind a firewall)
    #[arg(long, value_name = "MIN-MAX", help_heading = "UDP")]
    pub udp_ports: Option<PortRange>,

    /// Accept every port of the client within one association
    #[arg(long, help_heading = "UDP")]
    pub udp_any_port: bool,

    /// Log this much: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Logging")]
    pub log_level: tracing::Level,
}

/// A password, which [`Debug`](fmt::Debug) does not print.
#[derive(Clone)]
pub struct Password(pub(crate) String);

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
