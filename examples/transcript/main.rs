//! The output of an actual SOCKS5 session: every octet, with direction, field name and meaning.
//!
//! Both machines of the crate talk to each other in memory; nothing is sent anywhere. Passwords are shown,
//! since looking at them is the point.
//!
//! ```text
//! cargo run --example transcript
//! cargo run --example transcript -- --auth alice:secret --command bind
//! cargo run --example transcript -- --command udp
//! cargo run --example transcript -- --auth alice:wrong --reject
//! cargo run --example transcript -- --refuse 05 '[2001:db8::1]:443'
//! ```

mod annotate;
mod session;

use core::error::Error;
use core::str::FromStr;
use std::io::Write;

use clap::{Parser, ValueEnum};
use sans_socks::{AddressBuf, Command, Credentials, ReplyCode};

use session::{Event, Outcome, Session};

/// Prints a SOCKS5 session, octet by octet: who sends it, what the field is called, what it means.
#[derive(Parser)]
struct Arguments {
    /// The client's user name and password; without it there is no authentication.
    #[arg(long, value_name = "USER:PASS")]
    auth: Option<Password>,
    /// What the client asks for.
    #[arg(long, value_enum, default_value_t = Asked::Connect)]
    command: Asked,
    /// The server refuses the request with this reply code, in hex.
    #[arg(long, value_name = "CODE", value_parser = failure)]
    refuse: Option<ReplyCode>,
    /// The server rejects the password; without one, it accepts no method that the client offers.
    #[arg(long, conflicts_with = "refuse")]
    reject: bool,
    /// What the client wants to reach; for BIND, the peer that it expects. There is a default for each.
    #[arg(value_name = "HOST:PORT")]
    target: Option<AddressBuf>,
}

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

#[derive(Clone)]
struct Password {
    username: String,
    password: String,
}

impl FromStr for Password {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (username, password) = text.split_once(':').ok_or("there is no ':'")?;
        Credentials::new(username, password).map_err(|invalid| invalid.to_string())?;
        Ok(Self {
            username: username.into(),
            password: password.into(),
        })
    }
}

fn failure(text: &str) -> Result<ReplyCode, String> {
    match u8::from_str_radix(text, 16).map(ReplyCode::new) {
        Ok(ReplyCode::SUCCEEDED) => Err("00 is success".into()),
        Ok(code) => Ok(code),
        Err(error) => Err(error.to_string()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let target = match arguments.target {
        Some(target) => target,
        None => arguments.command.default_target().parse()?,
    };
    let session = Session {
        command: arguments.command.command(),
        target,
        password: arguments.auth.map(|auth| (auth.username, auth.password)),
        outcome: match arguments.refuse {
            _ if arguments.reject => Outcome::Rejected,
            Some(code) => Outcome::Refused(code),
            None => Outcome::Success,
        },
    };
    let events = session.run()?;
    let mut out = String::from(
        "# A SOCKS5 session. C is the client, S the server. A line is a field: its offset in the message,\n\
         # its octets in hex, its name in the RFC, and what it says. Numbers go most significant octet first.\n",
    );
    for (i, event) in events.iter().enumerate() {
        let goes_on = matches!(event, Event::Note(_)) && i > 0 && matches!(events[i - 1], Event::Note(_));
        out += &format!("{}{event}", if goes_on { "" } else { "\n" });
    }
    out += "\n# The octets alone:\n\n";
    for event in &events {
        if let Event::Message(message) = event {
            out += &message.hex();
        }
    }
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}
