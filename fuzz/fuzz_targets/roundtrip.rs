#![no_main]

libfuzzer_sys::fuzz_target!(|value: sans_socks_fuzz_bodies::roundtrip::Value<'_>| {
    sans_socks_fuzz_bodies::roundtrip(value)
});
