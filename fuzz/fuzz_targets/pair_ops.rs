#![no_main]

libfuzzer_sys::fuzz_target!(
    |input: sans_socks_fuzz_bodies::pair_ops::Pair| sans_socks_fuzz_bodies::pair_ops(input)
);
