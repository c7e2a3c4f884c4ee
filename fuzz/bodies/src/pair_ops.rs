//! A client and a server, with an arbitrary network and an arbitrary scheduler.

use arbitrary::Arbitrary;
use sans_socks::{Error, Malformed};

use super::op::Op;
use super::script::{ClientCaller, ServerCaller};
use sans_socks_testing::driver::{Due, Script, Side, conclude};

#[derive(Arbitrary, Debug)]
pub struct Pair {
    client: ClientCaller,
    server: ServerCaller,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Client(SideOp),
    Server(SideOp),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum SideOp {
    Machine(Op),
    /// Sends this many bytes through the tunnel, if there is one.
    UseTunnel(u8),
    /// Ends the input. From this position on, sent bytes that are not consumed are lost.
    Cut(u8),
    RejectNegotiation,
}

/// Bytes that look like messages.
const TUNNEL: [u8; 16] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 5, 1, 0, 5, 0, 1];

/// Performs `op` on one side. Returns false if its result may differ from that of an undisturbed handshake.
fn act(side: &mut Side<'_>, peer: &mut Side<'_>, op: SideOp) -> bool {
    match op {
        SideOp::Machine(op) => peer.receive(&op.act(side)),
        SideOp::UseTunnel(n) => {
            if matches!(side.due(), Due::Served(_) | Due::Connected(..)) {
                peer.receive(&TUNNEL[..usize::from(n) % (TUNNEL.len() + 1)]);
            }
        }
        SideOp::Cut(_) if side.inbox_ended => {}
        SideOp::Cut(at) => {
            side.inbox.truncate(at.into());
            side.inbox_ended = true;
            return false;
        }
        SideOp::RejectNegotiation if matches!(side.due(), Due::Negotiate(_)) => {
            side.machine.reject_negotiation();
            return false;
        }
        SideOp::RejectNegotiation => {}
    }
    true
}

/// Runs both sides to their ends, and checks that they end.
fn run<'a>(client: &mut Side<'a>, server: &mut Side<'a>) {
    conclude(client, server, usize::MAX);
    assert!(client.end.is_some() && server.end.is_some(), "deadlock");
}

/// Returns whether both ends belong to the same handshake.
fn agree(client: &Due, server: &Due) -> bool {
    match (client, server) {
        (Due::Connected(..), Due::Served(_)) => true,
        (Due::Closed(client), Due::Closed(server)) => match (client, server) {
            // A server that does not accept version 4 sends nothing.
            (
                Error::UnexpectedEof { received: 0, .. },
                Error::Malformed(Malformed::Version { got: 4, .. }),
            ) => true,
            (client, Error::Malformed(_)) => matches!(
                client,
                Error::Refused(_) | Error::Socks4Refused(_) | Error::AuthenticationRejected { .. }
            ),
            (Error::Socks4Refused(sent), Error::Refused(code)) => *sent == (*code).into(),
            _ => client == server,
        },
        _ => false,
    }
}

pub fn pair_ops(pair: Pair) {
    let (mut client, mut server) = (pair.client.script(), pair.server.script());
    // The raw negotiation exchanges no bytes. Both sides only have to accept or reject it.
    (client.raw_negotiation, server.raw_negotiation) = (0, 0);
    let (of_client, of_server) = (Script::Client(client), Script::Server(server));

    let (mut client, mut server) = (of_client.start(), of_server.start());
    let (mut client, mut server) = (Side::new(&mut *client), Side::new(&mut *server));
    let mut undisturbed = true;
    for step in pair.steps {
        undisturbed &= match step {
            Step::Client(op) => act(&mut client, &mut server, op),
            Step::Server(op) => act(&mut server, &mut client, op),
        };
    }
    run(&mut client, &mut server);
    if !undisturbed {
        return;
    }

    let (mut one, mut other) = (of_client.start(), of_server.start());
    let (mut one, mut other) = (Side::new(&mut *one), Side::new(&mut *other));
    run(&mut one, &mut other);
    for (side, straight) in [(&client, &one), (&server, &other)] {
        assert_eq!(side.end, straight.end);
        assert_eq!(side.decisions, straight.decisions);
        assert_eq!(side.sent, straight.sent);
    }
    let ends = (
        client.end.as_ref().expect("concluded"),
        server.end.as_ref().expect("concluded"),
    );
    assert!(agree(ends.0, ends.1), "{ends:?}");
    if let Due::Closed(Error::Refused(_)) = ends.0 {
        assert_eq!(
            client.inbox,
            [0, 1, 0, 0, 0, 0, 0, 0],
            "a refusal is reported at REP (Q-043)"
        );
    }
    if let Due::Closed(Error::Socks4Refused(_)) = ends.0 {
        assert_eq!(client.inbox, [0; 6], "a refusal is reported at CD");
    }
}

#[cfg(test)]
mod tests {
    use sans_socks_testing::faults::wrong_version;

    use super::*;
    use crate::replay::seeds;

    /// Without such a seed, `cargo test` would run no pair of version 4 here.
    #[test]
    fn seeds_grant_refuse_and_ignore_requests_of_version_4() {
        let (mut granted, mut refused, mut ignored) = (0, 0, 0);
        for Pair { client, server, .. } in seeds("pair_ops") {
            let (client, server) = (Script::Client(client.script()), Script::Server(server.script()));
            let (mut client, mut server) = (client.start(), server.start());
            let (mut client, mut server) = (Side::new(&mut *client), Side::new(&mut *server));
            run(&mut client, &mut server);
            if matches!(server.decisions.first(), Some(Due::PendingSocks4Request(..))) {
                granted += usize::from(matches!(server.end, Some(Due::Served(_))));
                refused += usize::from(matches!(client.end, Some(Due::Closed(Error::Socks4Refused(_)))));
            }
            let wrong = Some(Due::Closed(wrong_version(5, 4).into()));
            ignored += usize::from(server.end == wrong);
        }
        assert!(
            granted >= 2 && refused >= 2 && ignored >= 1,
            "{granted}, {refused}, {ignored}"
        );
    }
}
