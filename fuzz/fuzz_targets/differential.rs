#![no_main]

#[path = "../src/differential.rs"]
mod differential;

libfuzzer_sys::fuzz_target!(|peer: differential::Peer<'_>| differential::differential(peer));
