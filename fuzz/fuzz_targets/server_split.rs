#![no_main]

libfuzzer_sys::fuzz_target!(|input: sans_socks_fuzz_bodies::handshake::ServerSplit<'_>| {
    sans_socks_fuzz_bodies::server_split(input)
});
