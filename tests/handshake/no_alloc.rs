//! A handshake of either role does not allocate.

use allocation_counter::measure;
use sans_socks::Phase;
use sans_socks_testing::session::{End, Session, every_session};

#[test]
fn handshake_allocates_nothing() {
    let mut sessions = 0;
    every_session(|session| {
        for chunk in [1, usize::MAX] {
            let session = Session { chunk, ..session };
            let mut phases = None;
            let allocations = measure(|| phases = Some(session.run(|_| {})));
            assert_eq!(allocations.count_total, 0, "{session:?}");

            // It was a whole handshake.
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

/// The counter sees one allocation inside a session.
#[test]
fn one_allocation_is_counted() {
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
