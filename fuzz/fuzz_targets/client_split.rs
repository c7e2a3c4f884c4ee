#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz_bodies::handshake::ClientSplit<'_>| {
    sans_socks_fuzz_bodies::client_split(input)
});
