//! What the clients' and the servers' command lines have in common.

use std::error::Error;
use std::io::{self, Write};

use clap::Args;
use sans_socks::{Credentials, InvalidValue};

/// `--user` and `--password`: both, or neither.
#[derive(Args)]
pub(crate) struct Login {
    /// User name of RFC 1929
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// Its password
    #[arg(long, value_name = "PASS", requires = "user")]
    password: Option<String>,
}

impl Login {
    pub(crate) fn credentials(&self) -> Result<Option<Credentials<'_>>, InvalidValue> {
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => Credentials::new(user, password).map(Some),
            _ => Ok(None),
        }
    }
}

/// Says on stderr what went wrong, and gives the exit code.
pub(crate) fn exit_code(result: Result<(), Box<dyn Error>>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            log(format_args!("{}", in_full(&*error)));
            1
        }
    }
}

/// An error, and what is behind it.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// A line on stderr. Unlike `eprintln`, it does not panic when nobody reads there any more.
pub(crate) fn log(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
