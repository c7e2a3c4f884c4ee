//! A client for GSSAPI with Kerberos, on blocking sockets: CONNECT, BIND with its two replies, and UDP ASSOCIATE.
//!
//! ```text
//! gssapi_client --proxy localhost:1080 example.com 80
//! gssapi_client --proxy localhost:1080 --bind 192.0.2.1 0
//! gssapi_client --proxy localhost:1080 --udp --levels 2,1 192.0.2.1 7
//! ```
//!
//! It sends stdin and its end through the tunnel, and writes the received bytes to stdout, until the far side ends.
//!
//! With `--bind` it first prints `bound ADDR:PORT`, where the proxy waits for HOST to connect (0.0.0.0: any host). Then it
//! prints `peer ADDR:PORT`, the host that has connected.
//!
//! With `--udp` it sends each line of stdin as a datagram to the target, and prints each answer as a line. It ends one second
//! after the end of stdin and the last answer.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use sans_socks::client::{Auth, Decision, Handshake};
use sans_socks::gssapi::{ClientConfig, Negotiator};
use sans_socks::{Address, AddressBuf, Command, Domain, Error as SocksError, InvalidValue, Method, Request};
use sans_socks_gssapi::{Initiator, Layer, Level, Link, Login, client_config, exit_code, in_full};

mod udp;

/// Connect stdin and stdout to a target through a SOCKS5 proxy with Kerberos, like nc
///
/// With --user and --password the proxy may choose these instead of Kerberos. Then nothing is protected, not even the
/// password.
#[derive(Parser)]
struct Arguments {
    /// Connect to this proxy
    #[arg(long, value_name = "HOST:PORT")]
    proxy: AddressBuf,
    #[command(flatten)]
    login: Login,
    /// Expect this service name of the proxy
    #[arg(long, value_name = "NAME@HOST", default_value = "rcmd@localhost")]
    service: String,
    /// Propose the first level, and accept all (1, 2, 3; 0: no protection)
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "2")]
    levels: Vec<Level>,
    /// Send and expect protection levels unwrapped, as in NEC's implementation
    #[arg(long)]
    nec: bool,
    /// Limit the handshake, but not the wait for the peer of BIND
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    handshake_timeout: u32,
    /// Wait for HOST to connect instead, with BIND (0.0.0.0: any host)
    #[arg(long)]
    bind: bool,
    /// Send each line as a datagram, and print each answer as a line
    #[arg(long, conflicts_with = "bind")]
    udp: bool,
    /// Name or address of the target; the proxy resolves the name
    host: String,
    /// Port of the target
    port: u16,
}

fn main() {
    let code = exit_code(run(&Arguments::parse()));
    // The thread that reads stdin may still block, so this does not return.
    process::exit(code);
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let config = client_config(&arguments.levels, arguments.nec)?;
    let target = Address::from((Domain::new(&arguments.host)?, arguments.port)).canonical();
    let handshake = arguments.handshake(target)?;
    let context = Initiator::new(&arguments.service, arguments.udp)?;
    let proxy = TcpStream::connect(arguments.proxy.to_string()).map_err(|error| arguments.explain(&error))?;
    proxy.set_nodelay(true)?;
    let deadline = Instant::now() + Duration::from_secs(arguments.handshake_timeout.into());
    let mut link = Link::new(proxy, Some(deadline));
    let address =
        shake_hands(&mut link, handshake, context, config).map_err(|error| arguments.explain(&error))?;
    link.stream.set_read_timeout(None)?;
    if arguments.udp {
        return udp::converse(link, address.as_address(), target);
    }
    if arguments.bind {
        print(&format!("peer {address}"))?;
    }
    Ok(tunnel(link).map_err(|error| arguments.explain(&error))?)
}

impl Arguments {
    /// Creates the handshake. In a UDP ASSOCIATE, zeros leave the source of the datagrams open, because a NAT may change it.
    fn handshake(&self, target: Address<'_>) -> Result<Handshake, InvalidValue> {
        let request = match self {
            Self { bind: true, .. } => Request::new(Command::BIND, target),
            Self { udp: true, .. } => Request::new(Command::UDP_ASSOCIATE, Address::UNSPECIFIED),
            _ => Request::connect(target),
        };
        let login = self.login.credentials()?;
        let methods = [Method::GSSAPI, Method::USERNAME_PASSWORD];
        let auth = Auth::new(&methods[..1 + usize::from(login.is_some())], login)?;
        Ok(Handshake::new(&request, auth))
    }

    /// Returns the text of an error from the proxy.
    fn explain(&self, error: &io::Error) -> String {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(SocksError::Refused(code)) => format!("proxy refused: {code} (REP {:02X})", code.get()),
            _ => format!("proxy {}: {}", self.proxy, in_full(error)),
        }
    }
}

/// Returns the address in the last reply.
fn shake_hands(
    link: &mut Link<Initiator>,
    mut handshake: Handshake,
    context: Initiator,
    config: ClientConfig,
) -> io::Result<AddressBuf> {
    let mut context = Some(context);
    loop {
        match link.advance(&mut handshake)? {
            Decision::Negotiate(negotiate) => match context.take() {
                Some(context) => {
                    link.negotiate(Negotiator::client(context, config))?;
                    negotiate.accept();
                }
                None => negotiate.reject(),
            },
            Decision::Bound(bound) => {
                let address = bound.address().or_host(link.stream.peer_addr()?.ip());
                print(&format!("bound {address}"))?;
                bound.wait_for_peer();
                link.deadline = None;
            }
            Decision::Established(reply) => return Ok(reply.address.into()),
            Decision::Closed(error) => return Err(error.into()),
        }
    }
}

/// Prints a line to stdout and flushes it.
fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Copies both ways until the far side ends.
fn tunnel(link: Link<Initiator>) -> io::Result<()> {
    let mut proxy = link.stream;
    let to_proxy = proxy.try_clone()?;
    let layer = Arc::new(link.layer);
    thread::spawn({
        let layer = Arc::clone(&layer);
        // If this fails, the read below fails, too.
        move || upload(&layer, to_proxy)
    });
    let mut stdout = io::stdout();
    let mut plain = link.carry;
    loop {
        stdout.write_all(&plain)?;
        stdout.flush()?;
        plain.clear();
        if !layer.receive(&mut proxy, &mut plain)? {
            return Ok(());
        }
    }
}

fn upload(layer: &Layer<Initiator>, mut proxy: TcpStream) -> io::Result<()> {
    let mut stdin = io::stdin();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stdin.read(&mut chunk)? {
            0 => return proxy.shutdown(Shutdown::Write),
            n => layer.send(&mut proxy, &chunk[..n])?,
        }
    }
}
