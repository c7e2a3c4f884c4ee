//! A client and a server, and a network and a scheduler that do what they like.

use sans_socks::Error;

use super::common::{Due, Machine, Script};
use super::octets::Octets;

/// A machine, and what is on its way to it.
struct Side<'a> {
    machine: Box<dyn Machine + 'a>,
    inbox: Vec<u8>,
    /// Nothing more will come to the inbox.
    inbox_ended: bool,
    /// The octets of the handshake.
    sent: Vec<u8>,
    taken: usize,
    decisions: Vec<Due>,
    end: Option<Due>,
}

impl<'a> Side<'a> {
    fn new(script: &'a Script<'a>) -> Self {
        Self {
            machine: script.start(),
            inbox: Vec::new(),
            inbox_ended: false,
            sent: Vec::new(),
            taken: 0,
            decisions: Vec::new(),
            end: None,
        }
    }

    /// What is due, which is the same when asked again, and for ever once it is the end.
    fn due(&mut self) -> Due {
        let due = self.machine.due();
        assert_eq!(self.machine.due(), due);
        if let Some(end) = &self.end {
            assert_eq!(due, *end);
        } else if due.is_end() {
            self.end = Some(due.clone());
        }
        due
    }

    /// Up to `n` octets come.
    fn read(&mut self, n: usize) {
        let due = self.due();
        let n = n.min(self.inbox.len());
        let taken = self.machine.handle_input(&self.inbox[..n]);
        assert!(taken <= n);
        if !matches!(due, Due::NeedInput(_)) {
            assert_eq!((taken, self.due()), (0, due), "nothing is taken, nothing changes");
        } else if n > 0 && taken == 0 {
            assert!(
                matches!(self.due(), Due::Closed(Error::Malformed(_))),
                "a wrong version"
            );
        }
        self.inbox.drain(..taken);
        self.taken += taken;
    }

    /// Up to `n` octets go, where any are due.
    fn write(&mut self, n: usize, peer: &mut Self) {
        if let Due::Transmit(octets) = self.due() {
            assert!(!octets.is_empty());
            let n = n.min(octets.len());
            self.machine.sent(n);
            self.sent.extend_from_slice(&octets[..n]);
            peer.come(&octets[..n]);
        }
    }

    fn come(&mut self, octets: &[u8]) {
        if !self.inbox_ended {
            self.inbox.extend_from_slice(octets);
        }
    }

    fn decide(&mut self) {
        let due = self.due();
        if !due.is_end() && !matches!(due, Due::Transmit(_) | Due::NeedInput(_)) {
            self.decisions.push(due);
            self.machine.decide();
        }
    }

    /// The program has the tunnel and speaks; nothing of that is the peer's handshake's.
    fn speak(&mut self, n: usize, peer: &mut Self) {
        if matches!(self.due(), Due::Served(_) | Due::Connected(..)) {
            peer.come(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 5, 1, 0, 5, 0, 1][..n]);
        }
    }

    /// Goes on until it can do nothing by itself.
    fn go_on(&mut self, peer: &mut Self) -> bool {
        let mut done = false;
        while self.end.is_none() {
            match self.due() {
                Due::NeedInput(_) if self.inbox.is_empty() && !self.inbox_ended => break,
                Due::NeedInput(_) if self.inbox.is_empty() => self.machine.handle_eof(),
                Due::NeedInput(_) => self.read(usize::MAX),
                Due::Transmit(_) => self.write(usize::MAX, peer),
                _ => self.decide(),
            }
            done = true;
        }
        if matches!(self.end, Some(Due::Closed(_))) && !peer.inbox_ended {
            peer.inbox_ended = true;
            done = true;
        }
        done
    }
}

/// Lets both go on until they are over, which they get.
fn conclude<'a>(client: &mut Side<'a>, server: &mut Side<'a>) {
    while client.go_on(server) | server.go_on(client) {}
    assert!(client.end.is_some() && server.end.is_some(), "a deadlock");
}

/// Whether both ends tell of the same handshake.
fn agree(client: &Due, server: &Due) -> bool {
    match (client, server) {
        (Due::Connected(..), Due::Served(_)) => true,
        (Due::Closed(client), Due::Closed(server)) => match server {
            Error::Malformed(_) => matches!(client, Error::Refused(_) | Error::AuthenticationRejected { .. }),
            _ => client == server,
        },
        _ => false,
    }
}

pub fn pair_ops(input: &[u8]) {
    let mut input = Octets(input);
    let mut client = input.client();
    let mut server = input.server();
    // No raw octets are exchanged: whatever is negotiated is agreed in silence.
    (client.raw_negotiation, server.raw_negotiation) = (0, 0);
    let (of_client, of_server) = (Script::Client(client), Script::Server(server));

    let (mut client, mut server) = (Side::new(&of_client), Side::new(&of_server));
    let mut cut = false;
    while let Some(op) = input.next_op() {
        let (side, peer) = match op & 1 {
            0 => (&mut client, &mut server),
            _ => (&mut server, &mut client),
        };
        let n = usize::from(op >> 4);
        match op >> 1 & 7 {
            0 => side.read(n),
            1 => side.read(usize::MAX),
            2 => side.write(n, peer),
            3 => side.write(usize::MAX, peer),
            4 => side.decide(),
            5 => side.speak(n, peer),
            // The peer has ended its side, and what it sent was lost from the n-th octet on.
            6 if n < 4 => {
                side.inbox.truncate(16 * n);
                side.inbox_ended = true;
                cut = true;
            }
            6 if n == 4 && matches!(side.due(), Due::Negotiate(_)) => {
                side.machine.reject_negotiation();
                cut = true;
            }
            // Said too early or too late, it ends nothing that does not wait.
            _ => {
                if side.inbox_ended && side.inbox.is_empty() {
                    side.machine.handle_eof();
                }
                side.due();
            }
        }
    }
    conclude(&mut client, &mut server);
    if cut {
        return;
    }

    let (mut one, mut other) = (Side::new(&of_client), Side::new(&of_server));
    conclude(&mut one, &mut other);
    for (side, straight) in [(&client, &one), (&server, &other)] {
        assert_eq!(side.end, straight.end);
        assert_eq!(side.decisions, straight.decisions);
        assert_eq!(side.sent, straight.sent);
        assert_eq!(side.taken, straight.taken);
    }
    let ends = (
        client.end.as_ref().expect("over"),
        server.end.as_ref().expect("over"),
    );
    assert!(agree(ends.0, ends.1), "{ends:?}");
    if let Due::Closed(Error::Refused(_)) = ends.0 {
        assert_eq!(
            client.inbox,
            [0, 1, 0, 0, 0, 0, 0, 0],
            "a refusal is judged at REP (Q-043)"
        );
    }
}
