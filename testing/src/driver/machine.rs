//! Any machine of the crate behind one interface, with the decisions of its caller.

use sans_socks::{Io, Machine as _, Phase};

use super::Due;

/// The part of a machine's caller that differs from machine to machine: its decisions.
pub trait Caller {
    type Machine: sans_socks::Machine;

    fn machine(&mut self) -> &mut Self::Machine;
    /// What `poll_output` returns.
    fn output(&mut self) -> Due;
    /// Returns the decision that `poll_decision` returns.
    fn decision(&mut self) -> Option<Due>;
    /// Answers the pending decision according to the script.
    fn decide(&mut self);

    fn consume(&mut self, input: &[u8]) -> usize {
        self.machine().handle_input(input)
    }

    /// The phase of a handshake.
    fn phase(&self) -> Option<Phase> {
        None
    }

    /// How many bytes of the raw stream the method's own negotiation consumes.
    fn raw_negotiation(&self) -> usize {
        0
    }

    fn reject_negotiation(&mut self) {
        panic!("no pending negotiation");
    }
}

/// A machine, and the decisions of its caller. Every [`Caller`] is one.
pub trait Machine {
    fn handle_input(&mut self, input: &[u8]) -> usize;
    #[cfg(feature = "bytes")]
    fn handle_buf(&mut self, input: &mut dyn bytes::Buf);
    fn handle_eof(&mut self);
    /// See [`Caller::phase`].
    fn phase(&self) -> Option<Phase>;
    /// Returns the step that `poll_output` returns. Checks that `poll_io` and `poll_decision` agree with it.
    fn due(&mut self) -> Due;
    /// Calls `Transmit::sent`. Panics unless bytes must be sent.
    fn sent(&mut self, n: usize);
    /// Drains `Transmit` as a `Buf`, `n` bytes at a time.
    #[cfg(feature = "bytes")]
    fn drain(&mut self, n: usize) -> Vec<u8>;
    /// See [`Caller::decide`].
    fn decide(&mut self);
    /// See [`Caller::raw_negotiation`].
    fn raw_negotiation(&self) -> usize;
    fn reject_negotiation(&mut self);
}

impl<C: Caller> Machine for C {
    fn handle_input(&mut self, input: &[u8]) -> usize {
        self.consume(input)
    }

    #[cfg(feature = "bytes")]
    fn handle_buf(&mut self, mut input: &mut dyn bytes::Buf) {
        self.machine().handle_buf(&mut input);
    }

    fn handle_eof(&mut self) {
        self.machine().handle_eof();
    }

    fn phase(&self) -> Option<Phase> {
        Caller::phase(self)
    }

    fn due(&mut self) -> Due {
        let due = self.output();
        let io = self.machine().poll_io().map(Due::from);
        let decision = self.decision();
        match (&io, &decision) {
            (Some(polled), None) | (None, Some(polled)) => assert_eq!(*polled, due),
            _ => panic!("{due:?}, but poll_io returns {io:?} and poll_decision {decision:?}"),
        }
        due
    }

    fn sent(&mut self, n: usize) {
        let Some(Io::Transmit(transmit)) = self.machine().poll_io() else {
            panic!("nothing to send");
        };
        if n == usize::MAX {
            transmit.sent_all();
        } else {
            transmit.sent(n);
        }
    }

    #[cfg(feature = "bytes")]
    fn drain(&mut self, n: usize) -> Vec<u8> {
        use bytes::Buf;

        let Some(Io::Transmit(mut transmit)) = self.machine().poll_io() else {
            panic!("nothing to send");
        };
        let mut drained = Vec::new();
        while transmit.has_remaining() {
            assert_eq!(transmit.chunk().len(), transmit.remaining());
            let n = n.min(transmit.remaining());
            drained.extend_from_slice(&transmit.chunk()[..n]);
            transmit.advance(n);
            assert!(drained.len() < 70_000, "unlimited output"); // the longest GSSAPI message has 65,539 bytes
        }
        drained
    }

    fn decide(&mut self) {
        Caller::decide(self);
    }

    fn raw_negotiation(&self) -> usize {
        Caller::raw_negotiation(self)
    }

    fn reject_negotiation(&mut self) {
        Caller::reject_negotiation(self);
    }
}
