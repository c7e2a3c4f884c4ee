//! The client and the server that share one process without a heap.

use crate::process::{Process, example};

#[test]
fn message_returns_through_the_tunnel() {
    let end = Process::start(example("no_alloc")).finish();
    assert!(end.status.success(), "{}", end.stderr);
    assert!(end.stdout.starts_with(b"There and back again"));
}
