#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz::udp_ops::Scenario| sans_socks_fuzz::udp_ops(input));
