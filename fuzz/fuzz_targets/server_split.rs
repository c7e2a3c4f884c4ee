#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz::handshake::ServerSplit<'_>| {
    sans_socks_fuzz::server_split(input)
});
