//! SOCKS sessions, simulated or captured, with an explanation of every byte.

use std::fmt;

use anstyle::Style;

pub mod annotate;
pub mod capture;
mod gssapi;
mod observe;
pub mod pcap;
pub mod session;

use annotate::Message;

/// The error of every function here: text for the user.
pub type Error = Box<dyn std::error::Error>;

/// Something that happens in a session.
#[derive(Debug)]
pub enum Event {
    /// Bytes on the wire.
    Message(Message),
    /// An event that the bytes do not show.
    Note(String),
}

/// The text has colours. `anstream` removes them if they are not wanted.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NOTE: Style = Style::new().dimmed();
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Note(note) => writeln!(f, "{NOTE}# {note}{NOTE:#}"),
        }
    }
}

/// Returns the events as text: annotated, then the bytes alone.
pub fn print(events: &[Event]) -> String {
    let mut out = String::from(
        "# C is the client, S the server. A line is a field: its offset in the message, its bytes in hex, its name in\n\
         # the specification, and its meaning. Numbers are big-endian.\n",
    );
    let is_note = |event: &Event| matches!(event, Event::Note(_));
    for (i, event) in events.iter().enumerate() {
        let continues = is_note(event) && i > 0 && is_note(&events[i - 1]);
        out += &format!("{}{event}", if continues { "" } else { "\n" });
    }
    out += "\n# The bytes alone:\n\n";
    for event in events {
        if let Event::Message(message) = event {
            out += &message.hex();
        }
    }
    out
}
