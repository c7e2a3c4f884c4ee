//! The settings, checked before a port opens.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use sans_socks::{Credentials, CredentialsBuf, server};

use crate::access::Rules;
use crate::cli::{Options, Password};

/// The settings of a proxy. [`TryFrom<Options>`] checks them.
#[derive(Debug)]
pub struct Config {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) socks4: bool,
    /// In a box, so that moves of this struct do not copy the password.
    pub(crate) login: Option<Box<CredentialsBuf>>,
    pub(crate) rules: Rules,
    pub(crate) max_connections: usize,
    pub(crate) max_per_client: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) bind_v4: Option<IpAddr>,
    pub(crate) bind_v6: Option<IpAddr>,
    pub(crate) udp: UdpConfig,
}

/// The settings of UDP ASSOCIATE.
#[derive(Debug)]
pub(crate) struct UdpConfig {
    pub(crate) bind: Option<IpAddr>,
    pub(crate) advertise: Option<IpAddr>,
    pub(crate) ports: Option<PortRange>,
    pub(crate) any_port: bool,
}

/// Why the settings are refused, and what to do about it.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// `MIN-MAX`, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(pub(crate) RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        match (min.parse(), max.parse()) {
            (Ok(min), Ok(max)) if 0 < min && min <= max => Ok(Self(min..=max)),
            _ => Err("expected two ports like 40000-40999, the smaller one first".into()),
        }
    }
}

impl Config {
    /// Returns the local address for connections to `target`, if one is set.
    pub(crate) fn bind_address(&self, target: IpAddr) -> Option<IpAddr> {
        if target.is_ipv4() {
            self.bind_v4
        } else {
            self.bind_v6
        }
    }

    /// Returns the settings of the handshake.
    pub(crate) fn handshake(&self) -> server::Config {
        server::Config::new().with_socks4(self.socks4)
    }
}

impl TryFrom<Options> for Config {
    type Error = ConfigError;

    fn try_from(options: Options) -> Result<Self, ConfigError> {
        let login = login(&options)?;
        let is_public = |listen: &&SocketAddr| !listen.ip().to_canonical().is_loopback();
        let public = options.listen.iter().find(is_public);
        if let Some(listen) = public {
            if login.is_none() && !options.open {
                return refuse(format!(
                    "--listen {listen} would serve everyone who can reach it: set --user and a password, \
                     or --open to do so on purpose"
                ));
            }
        }
        if options.socks4 && login.is_some() {
            return refuse(
                "--socks4 would be a way around the password, which SOCKS4 does not have: omit --socks4 or --user",
            );
        }
        let bind = |is_ipv4: bool| {
            let addresses = options.bind_address.iter().map(IpAddr::to_canonical);
            let mut addresses = addresses.filter(|ip| ip.is_ipv4() == is_ipv4);
            match (addresses.next(), addresses.next()) {
                (_, Some(_)) => refuse("--bind-address has two addresses of one IP version: keep one"),
                (first, None) => Ok(first),
            }
        };
        let (bind_v4, bind_v6) = (bind(true)?, bind(false)?);
        for ip in bind_v4.into_iter().chain(bind_v6) {
            check_local("--bind-address", ip)?;
        }
        let udp = UdpConfig {
            bind: options.udp_bind.map(|ip| ip.to_canonical()),
            advertise: options.udp_advertise.map(|ip| ip.to_canonical()),
            ports: options.udp_ports,
            any_port: options.udp_any_port,
        };
        if let Some(ip) = udp.bind {
            check_local("--udp-bind", ip)?;
        }
        if udp.advertise.is_some_and(|ip| ip.is_unspecified()) {
            return refuse("--udp-advertise has no address that a client can send to: use the public one");
        }
        Ok(Self {
            rules: Rules::new(&options.allow, &options.deny, public.is_some()),
            listen: options.listen,
            socks4: options.socks4,
            login,
            max_connections: options.max_connections as usize,
            max_per_client: options.max_per_client as usize,
            handshake_timeout: seconds(options.handshake_timeout),
            idle_timeout: seconds(options.idle_timeout),
            drain_timeout: seconds(options.drain_timeout),
            bind_v4,
            bind_v6,
            udp,
        })
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(reason.into()))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// Reads the user name and the password, as the command line specifies.
fn login(options: &Options) -> Result<Option<Box<CredentialsBuf>>, ConfigError> {
    let password = match (&options.password, &options.password_file) {
        (Some(_), Some(_)) => {
            return refuse("--password-file and --password (or SANS_SOCKS_PASSWORD) are both set: keep one");
        }
        (Some(Password(password)), None) => Some(password.clone()),
        (None, Some(path)) => {
            let text = fs::read_to_string(path)
                .map_err(|error| ConfigError(format!("--password-file {}: {error}", path.display())))?;
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        (None, None) => None,
    };
    match (&options.user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => Credentials::new(user, &password)
            .map(|credentials| Some(Box::new(credentials.into())))
            .map_err(|error| ConfigError(format!("--user and password: {error}"))),
        (Some(_), None) => refuse("--user needs a password: set --password-file or SANS_SOCKS_PASSWORD"),
        (None, Some(_)) => refuse("a password without a user name: set --user"),
    }
}

/// Checks that sockets can have this local address.
fn check_local(option: &str, ip: IpAddr) -> Result<(), ConfigError> {
    match UdpSocket::bind((ip, 0)) {
        Ok(_) => Ok(()),
        Err(error) => refuse(format!("{option} {ip}: {error}; use an address of this host")),
    }
}
