#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz_bodies::udp_ops::Scenario| {
    sans_socks_fuzz_bodies::udp_ops(input)
});
