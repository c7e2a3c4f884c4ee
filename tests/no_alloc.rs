//! A whole handshake of either role allocates nothing.

mod session;

use allocation_counter::measure;
use sans_socks::Phase;
use session::{End, every_session};

#[test]
fn a_handshake_allocates_nothing() {
    let mut sessions = 0;
    every_session(|session| {
        for chunk in [1, usize::MAX] {
            let session = session::Session { chunk, ..session };
            let mut phases = None;
            let allocations = measure(|| phases = Some(session.run(|_| {})));
            assert_eq!(allocations.count_total, 0, "{session:?}");

            // It did go through.
            let end = match session.end {
                End::Tunnel => Phase::Established,
                _ => Phase::Closed,
            };
            assert_eq!(phases, Some((end, end)), "{session:?}");
            sessions += 1;
        }
    });
    assert!(sessions > 500, "{sessions}");
}

/// The counter counts: one allocation in the midst of a session is seen.
#[test]
fn an_allocation_would_be_seen() {
    every_session(|session| {
        let mut first = true;
        let allocations = measure(|| {
            session.run(|_| {
                if core::mem::take(&mut first) {
                    core::hint::black_box(Box::new(session.chunk));
                }
            });
        });
        assert_eq!(allocations.count_total, 1);
    });
}
