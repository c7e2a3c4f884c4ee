//! Captures of one connection, as text or as bytes.

use crate::annotate::Direction;
use crate::observe::Observer;
use crate::{Error, Event};

/// Annotates text: lines of `C>S` or `S>C` and bytes in hex, or `EOF` or `RST`.
///
/// `C -> S`, the form of a transcript, is also accepted. Empty lines, and text after a `#`, are ignored.
///
/// # Errors
///
/// A line has another form.
pub fn hex(text: &str) -> Result<Vec<Event>, Error> {
    let mut observer = Observer::new();
    let mut events = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (direction, rest) = direction(line)
            .ok_or_else(|| format!("line {}: {line:?} does not begin with C>S or S>C", i + 1))?;
        match rest {
            "" => {}
            "EOF" => events.push(Event::Note(format!("{} ends its side.", sender(direction)))),
            "RST" => events.push(Event::Note(format!(
                "{} resets the connection.",
                sender(direction)
            ))),
            rest => {
                let bytes =
                    bytes(rest).ok_or_else(|| format!("line {}: {rest:?} is not bytes in hex", i + 1))?;
                events.extend(observer.observe(direction, &bytes));
            }
        }
    }
    events.extend(observer.finish());
    Ok(events)
}

/// Annotates the bytes of each side, in an order that the protocol allows.
pub fn streams(client: &[u8], server: &[u8]) -> Vec<Event> {
    let mut observer = Observer::new();
    let mut events = observer.observe(Direction::ToServer, client);
    events.extend(observer.observe(Direction::ToClient, server));
    events.extend(observer.finish());
    events
}

pub(crate) const fn sender(direction: Direction) -> &'static str {
    match direction {
        Direction::ToServer => "The client",
        Direction::ToClient => "The server",
    }
}

fn direction(line: &str) -> Option<(Direction, &str)> {
    [
        ("C>S", Direction::ToServer),
        ("C -> S", Direction::ToServer),
        ("S>C", Direction::ToClient),
        ("S -> C", Direction::ToClient),
    ]
    .into_iter()
    .find_map(|(prefix, direction)| Some((direction, line.strip_prefix(prefix)?.trim())))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let byte = |text: &str| match text.len() {
        2 => u8::from_str_radix(text, 16).ok(),
        _ => None,
    };
    text.split_whitespace().map(byte).collect()
}
