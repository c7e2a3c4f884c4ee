//! The committed inputs of `differential`, which the crate's own tests cannot run: it depends on another SOCKS crate.

#[test]
fn differential_seeds_pass() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/differential");
    sans_socks_fuzz_bodies::replay(seeds.as_ref(), |input| {
        sans_socks_fuzz_bodies::of_bytes(sans_socks_fuzz::differential, input);
    });
}
