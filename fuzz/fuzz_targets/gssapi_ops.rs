#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz_bodies::gssapi_ops::Scenario| {
    sans_socks_fuzz_bodies::gssapi_ops(input)
});
