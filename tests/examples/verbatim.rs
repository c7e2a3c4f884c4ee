//! What the examples repeat of the documentation is its very text.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a source file")
}

#[test]
fn advance_helper_is_the_documented_one() {
    let documented: String = read("src/machine.rs")
        .lines()
        .skip_while(|line| !line.contains("/// /// Sends and reads until there is a decision."))
        .take_while(|line| !line.starts_with("/// #"))
        .map(|line| line.strip_prefix("/// ").unwrap_or("").to_owned() + "\n")
        .collect();
    assert!(documented.contains(".poll_decision()"), "{documented:?}");
    assert!(read("examples/tokio_client.rs").contains(&documented));
}
