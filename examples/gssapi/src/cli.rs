//! The parts of the command lines that the server and the client share, and their log lines.

use std::error::Error;
use std::fmt::Arguments;
use std::io::{self, Write};

use clap::Args;
use sans_socks::{Credentials, InvalidValue};

/// `--user` and `--password`: both, or neither.
#[derive(Args)]
pub struct Login {
    /// Use this user name (RFC 1929)
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// Use this password (RFC 1929)
    #[arg(long, value_name = "PASS", requires = "user")]
    password: Option<String>,
}

impl Login {
    /// Returns the credentials, if there are any.
    ///
    /// # Errors
    ///
    /// A field does not have 1 to 255 bytes.
    pub fn credentials(&self) -> Result<Option<Credentials<'_>>, InvalidValue> {
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => Credentials::new(user, password).map(Some),
            _ => Ok(None),
        }
    }
}

/// Logs an error, and returns the exit code.
#[must_use]
pub fn exit_code(result: Result<(), Box<dyn Error>>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            log(format_args!("{}", in_full(&*error)));
            1
        }
    }
}

/// Returns the text of an error and of its sources.
#[must_use]
pub fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Writes a line to stderr. Unlike `eprintln`, it does not panic when stderr is closed.
pub fn log(line: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
