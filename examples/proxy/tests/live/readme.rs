//! The tables in the README name tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Tests are named as `cargo test` takes them: `connect::name` is in `tests/live/connect.rs`, and `access::tests::name` in
/// `src/access.rs`.
fn is_test(root: &Path, path: &str) -> bool {
    let mut parts = path.split("::").collect::<Vec<_>>();
    let name = parts.pop().expect("never empty");
    let file: PathBuf = match parts[..] {
        [ref modules @ .., "tests"] => root.join("src").join(modules.join("/")),
        [module] => root.join("tests/live").join(module),
        _ => return false,
    };
    let source = fs::read_to_string(file.with_extension("rs")).unwrap_or_default();
    let head = format!("fn {name}() {{");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let is_attribute = pair[0].starts_with("#[test]") || pair[0].starts_with("#[ignore");
        (is_attribute && pair[1] == head)
            || (pair[0] == "#[tokio::test]" && pair[1] == format!("async {head}"))
    })
}

#[test]
fn every_row_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("it is there");
    let mut rows = 0;
    for line in readme.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, tests] = cells[..] else { continue };
        if tests == "test" || tests.starts_with("---") {
            continue;
        }
        rows += 1;
        assert!(tests.contains("::"), "no test: {line}");
        for test in tests.split(',').map(|test| test.trim().trim_matches('`')) {
            assert!(is_test(root, test), "no such test: {test}");
        }
    }
    assert!(rows > 20, "{rows} rows");
}
