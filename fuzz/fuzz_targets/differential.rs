#![no_main]

use sans_socks_fuzz::{Peer, differential};

libfuzzer_sys::fuzz_target!(|peer: Peer<'_>| differential(peer));
