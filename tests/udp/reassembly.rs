//! Reassembly: every scenario F-01..F-15, F-17, F-19 and F-20 (the others are in `association.rs`), the rules
//! D-1..D-10, D-12, D-14..D-17 and R-077..R-080, and a comparison with a model on random sequences. All with every
//! storage.

use core::time::Duration;

use proptest::prelude::*;
use sans_socks::Address;
use sans_socks::udp::{Datagram, Discard, Frag, Header, Outcome, Reassembler};
use sans_socks_testing::reassembly::{Expected, Machine, Pair};

/// Runs a test with each storage, for sequences of `max_datagram` bytes, of which `ROOM` fit.
fn with_limits<const ROOM: usize>(max_datagram: usize, test: impl Fn(&mut dyn Machine)) {
    // The initial content of the storage is ignored.
    test(&mut Reassembler::with_storage([0xa5; ROOM]).with_max_datagram(max_datagram));
    let slice = &mut [0xa5; ROOM][..];
    test(&mut Reassembler::with_storage(slice).with_max_datagram(max_datagram));
    #[cfg(feature = "alloc")]
    if ROOM >= max_datagram.min(65535) {
        test(&mut Reassembler::with_storage(Vec::new()).with_max_datagram(max_datagram));
        test(&mut Reassembler::with_storage(vec![0xa5; 9]).with_max_datagram(max_datagram));
    }
}

fn with_every_storage(test: impl Fn(&mut dyn Machine)) {
    with_limits::<65507>(65507, test);
}

use Discard::{AddressMismatch, Duplicate, Gap, InvalidFrag, NoStart, Reset, TooLarge, Unterminated};
use Expected::{Drop, Pending};

fn deliver(payload: &str) -> Expected {
    Expected::Deliver(payload.into())
}

const TO: &str = "127.0.0.1:5300";

fn datagram<'a>(frag: u8, to: &'a str, payload: &'a [u8]) -> Datagram<'a> {
    let address = Address::try_from(to).unwrap();
    Datagram::new(Header::new(Frag::new(frag), address), payload)
}

/// A step: milliseconds, FRAG, payload, and the expected outcome.
type Step<'a> = (u64, u8, &'a str, Expected);

fn scenario(steps: &[Step<'_>]) {
    with_every_storage(|machine| {
        for (index, (ms, frag, payload, expected)) in steps.iter().enumerate() {
            let datagram = datagram(*frag, TO, payload.as_bytes());
            let outcome = machine.handle_datagram(Duration::from_millis(*ms), datagram);
            if let Outcome::Deliver(delivered) = outcome {
                assert_eq!(delivered.header.address, datagram.header.address);
            }
            assert_eq!(Expected::from(outcome), *expected, "step {index} of {steps:?}");
        }
    });
}

/// F-01, R-076, R-077: decoded from the wire, V-101 and its next fragment.
#[test]
fn two_fragments_are_delivered_as_one() {
    with_every_storage(|machine| {
        for (bytes, expected) in [
            ("000001017f00000114b46631", Pending),
            ("000082017f00000114b46632", deliver("f1f2")),
        ] {
            let bytes = hex::decode(bytes).unwrap();
            let datagram = Datagram::decode(&bytes).unwrap();
            let outcome = machine.handle_datagram(Duration::ZERO, datagram);
            assert_eq!(Expected::from(outcome), expected);
        }
    });
}

/// F-02, D-8.
#[test]
fn single_fragment_is_delivered() {
    scenario(&[(0, 0x81, "f3", deliver("f3"))]);
}

/// F-03, D-17.
#[test]
fn three_fragments_are_delivered_as_one() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x02, "b", Pending),
        (0, 0x83, "c", deliver("abc")),
    ]);
}

/// F-04, R-079, D-5.
#[test]
fn lower_position_1_starts_anew() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x02, "b", Pending),
        (0, 0x01, "x", Pending),
        (0, 0x82, "y", deliver("xy")),
    ]);
}

/// F-05, R-078.
#[test]
fn sequence_expires_after_5_seconds() {
    let steps = [(0, 0x01, "a", Pending), (5000, 0x82, "b", Drop(NoStart))];
    // A caller that is late, or has no timer.
    scenario(&steps);
    // A caller that is on time.
    with_every_storage(|machine| {
        let outcome = machine.handle_datagram(Duration::ZERO, datagram(0x01, TO, b"a"));
        assert_eq!(Expected::from(outcome), Pending);
        assert_eq!(machine.poll_timeout(), Some(Duration::from_secs(5)));
        machine.handle_timeout(Duration::from_millis(4999));
        assert_eq!((machine.buffered(), machine.poll_timeout().is_some()), (1, true));
        machine.handle_timeout(Duration::from_millis(5000));
        assert_eq!((machine.buffered(), machine.poll_timeout()), (0, None));
        let outcome = machine.handle_datagram(Duration::from_millis(5000), datagram(0x82, TO, b"b"));
        assert_eq!(Expected::from(outcome), Drop(NoStart));
    });
}

/// F-06.
#[test]
fn sequence_within_5_seconds_is_delivered() {
    scenario(&[(0, 0x01, "a", Pending), (4999, 0x82, "b", deliver("ab"))]);
}

/// F-07, D-2.
#[test]
fn duplicate_fragment_is_ignored() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x01, "a", Drop(Duplicate)),
        (0, 0x82, "b", deliver("ab")),
    ]);
}

/// F-08, D-3.
#[test]
fn fragment_after_a_gap_drops_the_sequence() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x03, "c", Drop(Gap)),
        (0, 0x82, "b", Drop(NoStart)),
    ]);
}

/// F-09, D-4.
#[test]
fn fragment_without_a_start_is_dropped() {
    scenario(&[(0, 0x02, "b", Drop(NoStart))]);
}

/// F-10, D-7: the queue is unchanged.
#[test]
fn end_bit_without_a_position_is_invalid() {
    scenario(&[(0, 0x80, "f", Drop(InvalidFrag))]);
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x80, "f", Drop(InvalidFrag)),
        (0, 0x82, "b", deliver("ab")),
    ]);
}

/// F-11, R-079, D-6.
#[test]
fn whole_datagram_empties_the_queue() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x00, "z", deliver("z")),
        (0, 0x82, "b", Drop(NoStart)),
    ]);
}

/// F-12, D-10: addresses are compared byte by byte. A name differs from the address it spells, and a mapped address from the
/// one it maps.
#[test]
fn fragment_to_another_address_drops_the_sequence() {
    for other in [
        "127.0.0.1:5301",
        "127.0.0.2:5300",
        "[::1]:5300",
        "[::ffff:127.0.0.1]:5300",
        "a.b:5300",
    ] {
        with_every_storage(|machine| {
            let now = Duration::ZERO;
            assert_eq!(
                machine.handle_datagram(now, datagram(0x01, TO, b"a")),
                Outcome::Pending
            );
            let outcome = machine.handle_datagram(now, datagram(0x82, other, b"b"));
            assert_eq!(Expected::from(outcome), Drop(AddressMismatch));
            let outcome = machine.handle_datagram(now, datagram(0x82, TO, b"b"));
            assert_eq!(Expected::from(outcome), Drop(NoStart));
        });
    }
    let spelled = Address::from((sans_socks::Domain::new("127.0.0.1").unwrap(), 5300));
    with_every_storage(|machine| {
        let first = Datagram::new(Header::new(Frag::new(0x01), spelled), b"a");
        assert_eq!(machine.handle_datagram(Duration::ZERO, first), Outcome::Pending);
        let outcome = machine.handle_datagram(Duration::ZERO, datagram(0x82, TO, b"b"));
        assert_eq!(Expected::from(outcome), Drop(AddressMismatch));
    });
}

/// F-13, R-076.
#[test]
fn sequence_of_127_positions_is_delivered() {
    let mut steps: Vec<Step<'_>> = (1..127).map(|position| (0, position, "p", Pending)).collect();
    steps.push((0, 0xff, "p", deliver(&"p".repeat(127))));
    scenario(&steps);
}

/// F-14, D-9.
#[test]
fn position_127_without_the_end_bit_drops_the_sequence() {
    let mut steps: Vec<Step<'_>> = (1..127).map(|position| (0, position, "p", Pending)).collect();
    steps.push((0, 0x7f, "p", Drop(Unterminated)));
    steps.push((0, 0xff, "p", Drop(NoStart)));
    scenario(&steps);
}

/// F-15, D-15.
#[test]
fn sequence_that_is_too_large_is_dropped() {
    let large = "l".repeat(65497);
    scenario(&[
        (0, 0x01, &large, Pending),
        (0, 0x82, "elevenbytes", Drop(TooLarge)),
        (0, 0x82, "b", Drop(NoStart)),
    ]);
    // One byte less fits.
    scenario(&[
        (0, 0x01, &large, Pending),
        (0, 0x82, "ten  bytes", deliver(&format!("{large}ten  bytes"))),
    ]);
}

/// F-17, D-8.
#[test]
fn single_fragment_empties_the_queue() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x81, "z", deliver("z")),
        (0, 0x82, "b", Drop(NoStart)),
    ]);
}

/// F-19, D-14.
#[test]
fn empty_fragments_are_counted() {
    scenario(&[(0, 0x01, "", Pending), (0, 0x82, "b", deliver("b"))]);
    scenario(&[
        (0, 0x01, "", Pending),
        (0, 0x02, "", Pending),
        (0, 0x83, "", deliver("")),
    ]);
}

/// R-079, D-1, D-5: the end bit is not part of the position. A fragment at a lower position other than 1 is dropped.
#[test]
fn lower_position_other_than_1_empties_the_queue() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x02, "b", Pending),
        (0, 0x03, "c", Pending),
        (0, 0x82, "x", Drop(Reset)),
        (0, 0x84, "d", Drop(NoStart)),
    ]);
}

/// D-2, F-20: FRAG 01 begins a datagram, in any state. Fragments of two datagrams are not joined.
#[test]
fn first_fragment_with_another_payload_starts_anew() {
    scenario(&[
        (0, 0x01, "PAY alice ", Pending),
        (0, 0x01, "PAY mallory ", Pending),
        (0, 0x82, "9999 EUR", deliver("PAY mallory 9999 EUR")),
    ]);
}

/// D-2: a first fragment to another address is not a duplicate.
#[test]
fn first_fragment_with_another_address_starts_anew() {
    with_every_storage(|machine| {
        let other = "192.0.2.2:53";
        let _ = machine.handle_datagram(Duration::ZERO, datagram(0x01, TO, b"a"));
        let _ = machine.handle_datagram(Duration::ZERO, datagram(0x01, other, b"a"));
        match machine.handle_datagram(Duration::ZERO, datagram(0x82, other, b"b")) {
            Outcome::Deliver(whole) => {
                assert_eq!(whole.header.address, Address::try_from(other).unwrap());
                assert_eq!(whole.payload, b"ab");
            }
            outcome => panic!("{outcome:?}"),
        }
    });
}

/// D-2: the last position with another payload belongs to another datagram.
#[test]
fn last_position_with_another_payload_drops_the_sequence() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x02, "b", Pending),
        (0, 0x02, "x", Drop(Reset)),
        (0, 0x83, "c", Drop(NoStart)),
    ]);
}

/// D-2: a repeated fragment is ignored at every position, and with the end bit.
#[test]
fn duplicate_of_the_highest_position_is_ignored() {
    scenario(&[
        (0, 0x01, "a", Pending),
        (0, 0x02, "b", Pending),
        (0, 0x02, "b", Drop(Duplicate)),
        (0, 0x82, "b", Drop(Duplicate)),
        (0, 0x83, "c", deliver("abc")),
        (0, 0x83, "c", Drop(NoStart)),
    ]);
}

/// R-077, D-12: later fragments do not move the deadline. A new sequence has its own.
#[test]
fn deadline_is_not_moved_by_later_fragments() {
    with_every_storage(|machine| {
        let ms = Duration::from_millis;
        assert_eq!(machine.poll_timeout(), None);
        let _ = machine.handle_datagram(ms(100), datagram(0x01, TO, b"a"));
        let _ = machine.handle_datagram(ms(4000), datagram(0x02, TO, b"b"));
        let _ = machine.handle_datagram(ms(4500), datagram(0x02, TO, b"b"));
        assert_eq!(machine.poll_timeout(), Some(ms(5100)));
        let _ = machine.handle_datagram(ms(5000), datagram(0x01, TO, b"a"));
        assert_eq!(machine.poll_timeout(), Some(ms(10000)));
        let _ = machine.handle_datagram(ms(6000), datagram(0x00, TO, b"z"));
        assert_eq!(machine.poll_timeout(), None);
    });
}

/// the timer can be longer than 5 s, and is never shorter.
#[test]
fn timeout_below_5_seconds_is_raised() {
    for (asked, is) in [
        (0, 5000),
        (4999, 5000),
        (5000, 5000),
        (5001, 5001),
        (60_000, 60_000),
    ] {
        let mut reassembler = Reassembler::with_storage([0; 1]).with_timeout(Duration::from_millis(asked));
        let _ = reassembler.handle_datagram(Duration::ZERO, datagram(0x01, TO, b"a"));
        assert_eq!(reassembler.poll_timeout(), Some(Duration::from_millis(is)));
    }
}

/// A deadline beyond the range of the clock does not overflow.
#[test]
fn deadline_beyond_the_clock_does_not_overflow() {
    let mut reassembler = Reassembler::with_storage([0; 2]).with_timeout(Duration::MAX);
    let now = Duration::from_secs(7);
    let _ = reassembler.handle_datagram(now, datagram(0x01, TO, b"a"));
    assert_eq!(reassembler.poll_timeout(), Some(Duration::MAX));
}

#[cfg(feature = "std")]
#[test]
fn std_instant_serves_as_the_clock() {
    let start = std::time::Instant::now();
    let mut reassembler = Reassembler::with_storage(Vec::new());
    let _ = reassembler.handle_datagram(start, datagram(0x01, TO, b"a"));
    assert_eq!(reassembler.poll_timeout(), Some(start + Duration::from_secs(5)));
    let outcome = reassembler.handle_datagram(start + Duration::from_millis(4999), datagram(0x82, TO, b"b"));
    assert_eq!(Expected::from(outcome), deliver("ab"));

    // A sum beyond its range becomes a time far in the future.
    let century = Duration::from_secs(100 * 365 * 86400);
    assert!(sans_socks::Timestamp::saturating_add(start, Duration::MAX) > start + century);
}

/// D-15: `max_datagram` limits only the payload of sequences, and is at most 65535.
#[test]
fn max_datagram_limits_sequences_alone() {
    with_limits::<4>(4, |machine| {
        let mut step = |frag, payload| -> Expected {
            machine
                .handle_datagram(Duration::ZERO, datagram(frag, TO, payload))
                .into()
        };
        assert_eq!(step(0x01, b"abcde"), Drop(TooLarge));
        assert_eq!(step(0x81, b"abcde"), Drop(TooLarge));
        assert_eq!(step(0x81, b"abcd"), deliver("abcd"));
        assert_eq!(step(0x00, b"abcde"), deliver("abcde"));
        assert_eq!(step(0x01, b"abcd"), Pending);
        assert_eq!(step(0x02, b""), Pending);
        assert_eq!(step(0x83, b"e"), Drop(TooLarge));
        assert_eq!(step(0x83, b""), Drop(NoStart));
    });
    let large = vec![b'l'; 65535];
    with_limits::<65535>(usize::MAX, |machine| {
        let _ = machine.handle_datagram(Duration::ZERO, datagram(0x01, TO, &large[1..]));
        let outcome = machine.handle_datagram(Duration::ZERO, datagram(0x82, TO, b"l"));
        assert_eq!(Expected::from(outcome), Expected::Deliver(large.clone()));
        let _ = machine.handle_datagram(Duration::ZERO, datagram(0x01, TO, &large));
        let outcome = machine.handle_datagram(Duration::ZERO, datagram(0x82, TO, b"l"));
        assert_eq!(Expected::from(outcome), Drop(TooLarge));
    });
}

/// Storage that is shorter than `max_datagram` limits sequences, and not unfragmented datagrams.
#[test]
fn short_storage_limits_sequences_alone() {
    with_limits::<3>(65507, |machine| {
        let mut step = |frag, payload| -> Expected {
            machine
                .handle_datagram(Duration::ZERO, datagram(frag, TO, payload))
                .into()
        };
        assert_eq!(step(0x81, b"abcd"), deliver("abcd"));
        assert_eq!(step(0x01, b"abcd"), Drop(TooLarge));
        assert_eq!(step(0x01, b"ab"), Pending);
        assert_eq!(step(0x02, b"cd"), Drop(TooLarge));
        assert_eq!(step(0x01, b"ab"), Pending);
        assert_eq!(step(0x82, b"c"), deliver("abc"));
    });
}

/// The payload of an unfragmented datagram is not copied.
#[test]
fn whole_datagram_is_not_copied() {
    with_every_storage(|machine| {
        let payload = *b"payload";
        for frag in [0x00, 0x81] {
            let outcome = machine.handle_datagram(Duration::ZERO, datagram(frag, TO, &payload));
            let Outcome::Deliver(delivered) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(delivered.payload.as_ptr_range(), payload.as_ptr_range());
        }
    });
}

/// D-16: `buffered` returns the bytes held, which include a delivery until the next call.
#[test]
fn buffered_counts_what_is_held() {
    let now = Duration::ZERO;
    for next in 0..4 {
        with_every_storage(|machine| {
            let _ = machine.handle_datagram(now, datagram(0x01, TO, b"abc"));
            assert_eq!(machine.buffered(), 3);
            let _ = machine.handle_datagram(now, datagram(0x82, TO, b"de"));
            assert_eq!((machine.buffered(), machine.poll_timeout()), (5, None));
            match next {
                0 => machine.handle_timeout(now),
                1 => machine.reset(),
                2 => drop(machine.handle_datagram(now, datagram(0x00, TO, b"z"))),
                _ => drop(machine.handle_datagram(now, datagram(0x80, TO, b"z"))),
            }
            assert_eq!(machine.buffered(), 0);
        });
    }
}

#[test]
fn reset_drops_the_sequence() {
    with_every_storage(|machine| {
        let _ = machine.handle_datagram(Duration::ZERO, datagram(0x01, TO, b"a"));
        machine.reset();
        assert_eq!((machine.buffered(), machine.poll_timeout()), (0, None));
        let outcome = machine.handle_datagram(Duration::ZERO, datagram(0x82, TO, b"b"));
        assert_eq!(Expected::from(outcome), Drop(NoStart));
    });
}

/// A datagram that is truncated inside its header does not reach the queue.
#[test]
fn truncation_at_every_byte_leaves_the_queue_unchanged() {
    let first = hex::decode("000001017f00000114b46631").unwrap();
    for last in [
        "000082017f00000114b46632",
        "000082030c7f00000114b46632616263646500",
        "000082040000000000000000000000000000000114b46869",
    ] {
        let last = hex::decode(last).unwrap();
        with_every_storage(|machine| {
            let whole = Datagram::decode(&last).unwrap();
            let header_len = last.len() - whole.payload.len();
            let _ = machine.handle_datagram(Duration::ZERO, Datagram::decode(&first).unwrap());
            for cut in 0..header_len {
                if let Ok(datagram) = Datagram::decode(&last[..cut]) {
                    let _ = machine.handle_datagram(Duration::ZERO, datagram);
                }
                let state = (machine.buffered(), machine.poll_timeout());
                assert_eq!(state, (2, Some(Duration::from_secs(5))), "cut at {cut}");
            }
        });
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// FRAG, index of the address, length of the payload.
    Datagram(u8, usize, usize),
    /// Whether it is the last, index of the address, length of the payload; at the next position.
    Next(bool, usize, usize),
    /// The previous datagram again, with these bits of FRAG flipped.
    Again(u8),
    /// The caller's timer.
    Tick,
    /// The end of an association.
    Reset,
}

/// Milliseconds that pass first, and an operation.
fn any_op() -> impl Strategy<Value = (u64, Op)> {
    let pass = prop_oneof![8 => 0..200_u64, 1 => 0..6000_u64];
    let to = prop_oneof![20 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let len = prop_oneof![6 => 0..4_usize, 1 => 0..40_usize];
    let few = (0..5_u8, any::<bool>()).prop_map(|(position, last)| position | u8::from(last) << 7);
    let frag = prop_oneof![4 => few, 1 => any::<u8>()];
    let op = prop_oneof![
        8 => (proptest::bool::weighted(0.2), to.clone(), len.clone()).prop_map(|(last, to, len)| Op::Next(last, to, len)),
        3 => (frag, to, len).prop_map(|(frag, to, len)| Op::Datagram(frag, to, len)),
        1 => prop_oneof![4 => Just(0), 1 => Just(0x80), 1 => any::<u8>()].prop_map(Op::Again),
        1 => Just(Op::Tick),
        1 => Just(Op::Reset),
    ];
    (pass, op)
}

/// Consecutive positions up to 127.
fn any_run() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let step = || (0..41_u64, Just(Op::Next(false, 0, 0)));
    let ending = proptest::collection::vec(any_op(), 0..6);
    (proptest::collection::vec(step(), 120..=126), ending)
        .prop_map(|(run, ending)| run.into_iter().chain(ending).collect())
}

const ADDRESSES: [&str; 3] = [TO, "example.com:5300", "[::1]:5300"];

/// Runs the operations on the machine and on the model.
fn compare(machine: &mut dyn Machine, max_datagram: usize, room: usize, ops: &[(u64, Op)]) {
    let mut pair = Pair::new(machine, max_datagram, room);
    let mut serial = 0_u8;
    let mut before = (0x00, 0, Vec::new());
    for (pass, op) in ops {
        pair.pass(Duration::from_millis(*pass));
        let (frag, to, len) = match *op {
            Op::Datagram(frag, to, len) => (frag, to, len),
            Op::Next(last, to, len) => (pair.next_position() | u8::from(last) << 7, to, len),
            Op::Again(bits) => {
                let (frag, to, payload) = &before;
                pair.handle_datagram(datagram(frag ^ bits, ADDRESSES[*to], payload));
                continue;
            }
            Op::Tick => {
                pair.handle_timeout();
                continue;
            }
            Op::Reset => {
                pair.reset();
                continue;
            }
        };
        // All payloads differ, so a delivery shows its fragments.
        let payload: Vec<u8> = core::iter::repeat_with(|| {
            serial = serial.wrapping_add(1);
            serial
        })
        .take(len)
        .collect();
        pair.handle_datagram(datagram(frag, ADDRESSES[to], &payload));
        before = (frag, to, payload);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// D-1..D-10, D-12, D-14, D-15: in any order, at any time.
    #[test]
    fn reassembler_agrees_with_the_model(ops in proptest::collection::vec(any_op(), 0..80)) {
        with_limits::<24>(24, |machine| compare(machine, 24, 24, &ops));
        with_limits::<17>(24, |machine| compare(machine, 24, 17, &ops));
        with_limits::<24>(17, |machine| compare(machine, 17, 24, &ops));
    }

    /// D-1..D-10, D-12, D-14, D-15: up to the last position.
    #[test]
    fn reassembler_agrees_with_the_model_up_to_position_127(ops in any_run()) {
        with_limits::<40>(40, |machine| compare(machine, 40, 40, &ops));
    }

    /// datagrams with FRAG 00 are delivered unchanged.
    #[test]
    fn whole_datagrams_are_delivered_unchanged(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
        with_limits::<8>(8, |machine| {
            for payload in &payloads {
                let whole = datagram(0x00, TO, payload);
                assert_eq!(machine.handle_datagram(Duration::ZERO, whole), Outcome::Deliver(whole));
                assert_eq!((machine.buffered(), machine.poll_timeout()), (0, None));
            }
        });
    }
}

/// `Debug` prints the number of bytes buffered, and not the payload.
#[test]
fn reassembler_debug_shows_no_payload() {
    let mut reassembler = Reassembler::with_storage([0; 64]);
    let to = Address::try_from("127.0.0.1:53").unwrap();
    let piece = Datagram::new(Header::new(Frag::new(1), to), b"Zq7");
    assert_eq!(
        reassembler.handle_datagram(Duration::ZERO, piece),
        Outcome::Pending
    );
    let shown = format!("{reassembler:?} {reassembler:x?}");
    assert!(
        shown.contains("buffered: 3") && shown.contains("127.0.0.1"),
        "{shown}"
    );
    // As text, as numbers, and as numbers in hex.
    for payload in ["Zq7", "90, 113", "5a, 71", "5a71", "storage"] {
        assert!(!shown.contains(payload), "{shown}");
    }
}

#[cfg(feature = "alloc")]
#[test]
fn reassembler_default_equals_an_empty_one() {
    let default = Reassembler::<Duration, Vec<u8>>::default();
    assert_eq!(
        format!("{default:?}"),
        format!("{:?}", Reassembler::<Duration, _>::with_storage(Vec::new()))
    );
}

/// D-2, R-079: a link loses, repeats and reorders fragments, except the first one of a datagram. Every delivery is one whole
/// datagram that was sent.
///
/// Each fragment has the tag of its datagram and its own number. RFC 1928 has no identifier, so if a first fragment is lost or
/// reordered, two datagrams can still be joined.
#[test]
fn reassembler_lossy_link_never_mixes_datagrams() {
    use sans_socks::udp::fragments;

    let mut random = fastrand::Rng::with_seed(1928);
    let (mut delivered, mut lost) = (0, 0);
    let mut reassembler = Reassembler::with_storage([0; 4096]);
    let to = Address::try_from(TO).unwrap();
    for tag in 0..20_000_u32 {
        let count = random.u8(1..8);
        let [a, b, c, d] = tag.to_be_bytes();
        let payload: Vec<u8> = (0..count).flat_map(|number| [a, b, c, d, number]).collect();
        let mut pieces: Vec<_> = fragments(to, &payload, 5.try_into().unwrap()).unwrap().collect();
        let first = pieces.remove(0);
        for index in 1..pieces.len() {
            if random.u8(..) < 16 {
                pieces.swap(index - 1, index);
            }
        }
        for (index, piece) in core::iter::once(first).chain(pieces).enumerate() {
            if index > 0 && random.u8(..) < 13 {
                lost += 1;
                continue;
            }
            for _ in 0..=u8::from(random.u8(..) < 8) {
                if let Outcome::Deliver(whole) = reassembler.handle_datagram(Duration::ZERO, piece) {
                    delivered += 1;
                    assert_eq!(whole.payload, payload, "{tag:08x}");
                }
            }
        }
    }
    assert!(
        delivered > 10_000 && lost > 1_000,
        "{delivered} delivered, {lost} lost"
    );
}

/// `new` needs no type annotation, even if the timer is used first.
#[cfg(feature = "std")]
#[test]
fn reassembler_new_infers_its_types() {
    let mut reassembler = Reassembler::new();
    assert_eq!(reassembler.poll_timeout(), None);
    reassembler.handle_timeout(std::time::Instant::now());
    struct Relay {
        _reassembler: Reassembler,
    }
    let _ = Relay {
        _reassembler: reassembler,
    };
}

#[test]
fn reassembler_settings_are_returned() {
    let reassembler: Reassembler<Duration, _> = Reassembler::with_storage([0; 8]);
    assert_eq!(reassembler.timeout(), Duration::from_secs(5));
    assert_eq!(reassembler.max_datagram(), 65507);
    let reassembler = reassembler
        .with_timeout(Duration::from_secs(9))
        .with_max_datagram(70_000);
    assert_eq!(reassembler.timeout(), Duration::from_secs(9));
    assert_eq!(reassembler.max_datagram(), 65535);
    assert_eq!(
        reassembler.with_timeout(Duration::ZERO).timeout(),
        Duration::from_secs(5)
    );
}
