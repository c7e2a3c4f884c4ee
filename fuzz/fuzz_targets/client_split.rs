#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz::handshake::ClientSplit<'_>| {
    sans_socks_fuzz::client_split(input)
});
