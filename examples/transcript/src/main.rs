//! Prints a SOCKS session, simulated or captured, and explains every byte.
//!
//! In a simulated session, the client and server machines of the crate exchange bytes in memory, and nothing is sent.
//! Passwords are printed.
//!
//! ```text
//! cargo run -p sans-socks-transcript
//! cargo run -p sans-socks-transcript -- --auth alice:secret --command bind
//! cargo run -p sans-socks-transcript -- --command udp
//! cargo run -p sans-socks-transcript -- --auth alice:wrong --reject
//! cargo run -p sans-socks-transcript -- --auth gssapi
//! cargo run -p sans-socks-transcript -- --socks4=alice
//! cargo run -p sans-socks-transcript -- --refuse 05 '[2001:db8::1]:443'
//! tcpdump -i lo -w capture.pcap port 1080 or udp
//! cargo run -p sans-socks-transcript -- --pcap capture.pcap
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::{fs, process};

use clap::{Parser, ValueEnum};
use sans_socks::{AddressBuf, Command, Credentials, ReplyCode};
use sans_socks_transcript::session::{Auth, Outcome, Session};
use sans_socks_transcript::{Error, Event, capture, pcap, print};

/// Print a SOCKS session, simulated or captured, and explain every byte
///
/// The output has colours on a terminal. NO_COLOR and CLICOLOR_FORCE are respected.
#[derive(Parser)]
#[command(name = "sans-socks-transcript", version)]
struct Arguments {
    /// Use this login, or "gssapi" for a toy context [default: none]
    #[arg(long, value_name = "USER:PASS", value_parser = auth)]
    auth: Option<Auth>,
    /// Use SOCKS4, or SOCKS4a if TARGET is a name
    #[arg(long, value_name = "USERID", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(conflicts_with = "auth")]
    socks4: Option<String>,
    /// Request this command
    #[arg(long, value_enum, default_value_t = Asked::Connect)]
    command: Asked,
    /// Refuse the request with this reply code, in hex
    #[arg(long, value_name = "CODE", value_parser = failure)]
    refuse: Option<ReplyCode>,
    /// Reject the client, or without --auth, the methods that it offers
    #[arg(long, conflicts_with = "refuse")]
    reject: bool,
    /// Request this target, or for BIND, expect this peer
    #[arg(value_name = "TARGET")]
    target: Option<AddressBuf>,
    /// Read lines of "C>S" or "S>C", then bytes in hex; "-" is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = SIMULATION)]
    hex: Option<PathBuf>,
    /// Read the client's bytes and the server's bytes from two files
    #[arg(long, num_args = 2, value_names = ["CLIENT", "SERVER"], conflicts_with_all = SIMULATION)]
    #[arg(conflicts_with = "hex")]
    streams: Option<Vec<PathBuf>>,
    /// Read a capture of packets, pcap or pcapng; "-" is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = SIMULATION)]
    #[arg(conflicts_with_all = ["hex", "streams"])]
    pcap: Option<PathBuf>,
    /// Set the TCP port of the server in the capture of packets
    #[arg(long, default_value_t = 1080, requires = "pcap")]
    port: u16,
}

const SIMULATION: [&str; 6] = ["auth", "socks4", "command", "refuse", "reject", "target"];

#[derive(Clone, Copy, ValueEnum)]
enum Asked {
    Connect,
    Bind,
    Udp,
}

impl Asked {
    const fn command(self) -> Command {
        match self {
            Self::Connect => Command::CONNECT,
            Self::Bind => Command::BIND,
            Self::Udp => Command::UDP_ASSOCIATE,
        }
    }

    const fn default_target(self) -> &'static str {
        match self {
            Self::Connect => "example.com:80",
            Self::Bind => "198.51.100.7:20",
            Self::Udp => "example.com:53",
        }
    }
}

/// `gssapi`, or `USER:PASS`.
fn auth(text: &str) -> Result<Auth, String> {
    if text == "gssapi" {
        return Ok(Auth::Gssapi);
    }
    let (username, password) = text.split_once(':').ok_or("neither gssapi nor USER:PASS")?;
    Credentials::new(username, password).map_err(|invalid| invalid.to_string())?;
    Ok(Auth::Password {
        username: username.into(),
        password: password.into(),
    })
}

fn failure(text: &str) -> Result<ReplyCode, String> {
    match u8::from_str_radix(text, 16).map(ReplyCode::new) {
        Ok(ReplyCode::SUCCEEDED) => Err("00 is success".into()),
        Ok(code) => Ok(code),
        Err(error) => Err(error.to_string()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let result = match path.as_os_str() == "-" {
        true => io::stdin().read_to_end(&mut bytes).map(drop),
        false => fs::read(path).map(|read| bytes = read),
    };
    result.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes)
}

fn simulate(arguments: Arguments) -> Result<Vec<Event>, Error> {
    let target = match arguments.target {
        Some(target) => target,
        None => arguments.command.default_target().parse()?,
    };
    let session = Session {
        command: arguments.command.command(),
        target,
        auth: match (arguments.socks4, arguments.auth) {
            (Some(user_id), _) => Auth::Socks4 { user_id },
            (None, auth) => auth.unwrap_or(Auth::None),
        },
        outcome: match arguments.refuse {
            _ if arguments.reject => Outcome::Rejected,
            Some(code) => Outcome::Refused(code),
            None => Outcome::Success,
        },
    };
    session.run()
}

fn events(arguments: Arguments) -> Result<Vec<Event>, Error> {
    match (&arguments.hex, arguments.streams.as_deref(), &arguments.pcap) {
        (Some(path), _, _) => capture::hex(&String::from_utf8(read(path)?)?),
        (_, Some([client, server]), _) => Ok(capture::streams(&read(client)?, &read(server)?)),
        (_, _, Some(path)) => pcap::annotate(&read(path)?, arguments.port),
        _ => simulate(arguments),
    }
}

fn main() {
    let written = events(Arguments::parse()).and_then(|events| {
        match anstream::stdout().write_all(print(&events).as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()), // for instance `| head`
            result => Ok(result?),
        }
    });
    if let Err(error) = written {
        eprintln!("sans-socks-transcript: {error}");
        process::exit(1);
    }
}
