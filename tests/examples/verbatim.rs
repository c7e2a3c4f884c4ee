//! Code that the examples share with the documentation is identical.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a source file")
}

#[test]
fn advance_helper_is_the_documented_one() {
    let documented = read("src/guide/advance.rs");
    assert!(documented.contains("fn advance"), "{documented:?}");
    assert!(read("examples/tokio_client.rs").contains(&documented));
}
