//! The memory of a server that holds 1,000,000 clients in the middle of the handshake. It is one allocation, of the size of a
//! machine times their number. For Linux, which reports resident memory.

use std::{env, fs};

use allocation_counter::measure;
use sans_socks::server::{Handshake, Output};
use sans_socks::{Method, Phase};
use slab::Slab;

/// Memory is mapped in pages of at most 2 MiB, and each end of the slab may share one.
const PAGES: usize = 2 * 2 * 1024 * 1024;

fn main() {
    // `cargo test` only checks that this runs, with fewer machines.
    let bench = env::args().any(|argument| argument == "--bench");
    let number = if bench { 1_000_000 } else { 10_000 };
    // A free place of the slab holds the index of the next one, so places are aligned for an index.
    let size = size_of::<Handshake>().next_multiple_of(align_of::<usize>());

    let mut slab = Slab::new();
    let before = resident();
    let allocations = measure(|| {
        slab.reserve_exact(number);
        for _ in 0..number {
            let key = slab.insert(Handshake::new());
            half_way(&mut slab[key]);
        }
    });
    let resident = resident() - before;

    println!("{number} server machines of {size} bytes  {:>12}", number * size);
    println!(
        "allocated {:>32}, in {}",
        allocations.bytes_total, allocations.count_total
    );
    println!("resident {resident:>33}");

    assert!(
        slab.iter()
            .all(|(_, handshake)| handshake.phase() == Phase::Authentication)
    );
    assert_eq!(allocations.count_total, 1);
    assert_eq!(allocations.bytes_total, (number * size) as u64);
    assert!((number * size..number * size + PAGES).contains(&resident));
}

/// Advances the handshake to the middle of a password.
fn half_way(handshake: &mut Handshake) {
    for bytes in [&b"\x05\x01\x02"[..], b"\x01\x05alice\x06sec"] {
        assert_eq!(handshake.handle_input(bytes), bytes.len());
        loop {
            match handshake.poll_output() {
                Output::SelectMethod(select) => {
                    select.select_preferred(&[Method::USERNAME_PASSWORD]);
                }
                Output::Transmit(transmit) => transmit.sent_all(),
                Output::NeedInput { .. } => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Returns the resident bytes of this process that do not belong to files.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"))
        .expect("Linux reports it");
    1024 * kibibytes.trim().parse::<usize>().expect("a number")
}
