//! Split invariance: either machine takes the same steps and leaves the same bytes for every order of its caller's
//! operations.
//!
//! [`Side`] asserts the invariants after each operation, and [`run`] in the exchanges that the result is compared with.

use arbitrary::Arbitrary;

use super::op::Op;
use super::script::{ClientCaller, ServerCaller};
use sans_socks_testing::driver::{Delivery, Eof, Script, Side, run};

#[derive(Arbitrary, Debug)]
pub struct ServerSplit<'a> {
    server: ServerCaller,
    input: Input<'a>,
}

#[derive(Arbitrary, Debug)]
pub struct ClientSplit<'a> {
    client: ClientCaller,
    input: Input<'a>,
}

/// The first operations of the caller, which then follows the machine's steps, and the bytes of the peer.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Whether the input ends after `bytes`, or more may be received.
    ends: bool,
    ops: Vec<Op>,
    bytes: &'a [u8],
}

pub fn server_split(split: ServerSplit<'_>) {
    let ServerSplit { server, input } = split;
    is_split_invariant(&Script::Server(server.script()), &input);
}

pub fn client_split(split: ClientSplit<'_>) {
    let ClientSplit { client, input } = split;
    is_split_invariant(&Script::Client(client.script()), &input);
}

fn is_split_invariant(script: &Script<'_>, input: &Input<'_>) {
    let eof = if input.ends { Eof::WhenAsked } else { Eof::Never };
    let whole = run(script, &Delivery::reads([input.bytes]).eof(eof));
    assert!(input.bytes.ends_with(&whole.unread));

    let exact = Delivery {
        exact: true,
        write: 1 + input.ops.len(),
        ..Delivery::reads([input.bytes]).eof(eof)
    };
    assert_eq!(run(script, &exact), whole, "`needed` bytes at a time");

    let mut machine = script.start();
    let mut side = Side::new(&mut *machine);
    side.inbox.extend_from_slice(input.bytes);
    side.inbox_ended = input.ends;
    for op in &input.ops {
        op.act(&mut side);
    }
    side.finish();
    assert_eq!(side.end.as_ref(), whole.end());
    assert_eq!(side.sent, whole.sent());
    assert_eq!(side.decisions, whole.decisions());
    assert_eq!(side.inbox, whole.unread);
}

#[cfg(test)]
mod tests {
    use sans_socks_testing::driver::Due;

    use super::*;
    use crate::replay::seeds;

    /// Without such a seed, `cargo test` would run no machine of version 4 here.
    #[test]
    fn seeds_grant_and_refuse_requests_of_version_4() {
        let (mut granted, mut refused) = (0, 0);
        for ServerSplit { server, input } in seeds("server_split") {
            let script = Script::Server(server.script());
            let record = run(&script, &Delivery::reads([input.bytes]));
            if matches!(record.decisions().first(), Some(Due::PendingSocks4Request(..))) {
                granted += usize::from(matches!(record.end(), Some(Due::Served(_))));
                refused += usize::from(matches!(record.end(), Some(Due::Closed(_))));
            }
        }
        assert!(granted >= 4 && refused >= 1, "server: {granted}, {refused}");

        let (mut granted, mut refused) = (0, 0);
        for ClientSplit { client, input } in seeds("client_split") {
            let script = client.script();
            if script.socks4.is_some() {
                let record = run(&Script::Client(script), &Delivery::reads([input.bytes]));
                granted += usize::from(matches!(record.end(), Some(Due::Connected(..))));
                refused += usize::from(matches!(record.end(), Some(Due::Closed(_))));
            }
        }
        assert!(granted >= 3 && refused >= 1, "client: {granted}, {refused}");
    }
}
