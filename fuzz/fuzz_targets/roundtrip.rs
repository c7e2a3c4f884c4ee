#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sans_socks_fuzz_bodies::roundtrip(input));
