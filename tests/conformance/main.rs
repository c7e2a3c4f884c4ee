//! Compares the tables in `docs/conformance` with the tests. Each rule has a test that proves it, or a reason why there is
//! none. Each test that a table names exists, and mentions the rule. The row of each rule that a test mentions names the test.
//!
//! Sources are read as text, line by line. This works because rustfmt has formatted them.

mod source;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use sans_socks_testing::vectors::vectors;
use source::Source;
use table::Row;

struct File {
    /// The path from the crate's root.
    path: String,
    text: String,
}

/// Returns all files below `directory` whose names end with `ending`.
fn files(directory: &str, ending: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut directories = vec![directory.to_string()];
    while let Some(directory) = directories.pop() {
        let entries =
            fs::read_dir(root.join(&directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{directory}/{name}");
            if entry.file_type().unwrap().is_dir() {
                // Leaves out build results, and this file, whose faults below are intended.
                if name != "target" && path != "tests/conformance" {
                    directories.push(path);
                }
            } else if name.ends_with(ending) {
                let text = fs::read_to_string(entry.path()).unwrap();
                files.push(File { path, text });
            }
        }
    }
    files
}

/// Returns the ids of rules in `text`: `R-`, `Q-`, `D-`, `F-`, and `V-` for vectors. `A..B` and `A to B` mean all from A to B.
fn ids(text: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    // Letter, number, how wide that is written, and where it ended.
    let mut last: Option<(char, usize, usize, usize)> = None;
    for (hyphen, _) in text.match_indices('-') {
        let mut before = text[..hyphen].chars().rev();
        let Some(letter @ ('R' | 'Q' | 'D' | 'F' | 'V')) = before.next() else {
            continue;
        };
        let behind = &text[hyphen + 1..];
        let width = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let len = width + usize::from(behind[width..].starts_with('b'));
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let Ok(number) = behind[..width].parse() else {
            continue;
        };
        if is_word(before.next()) || is_word(behind[len..].chars().next()) {
            continue;
        }
        if let Some((first, from, width, end)) = last {
            if first == letter && matches!(&text[end..hyphen - 1], ".." | " to ") {
                ids.extend((from + 1..number).map(|n| format!("{letter}-{n:0width$}")));
            }
        }
        ids.insert(format!("{letter}-{}", &behind[..len]));
        last = Some((letter, number, width, hyphen + 1 + len));
    }
    ids
}

/// Returns the faults, a sentence each. `vectors` has the `V-` ids, and `exists` returns whether a file exists.
fn faults(
    tables: &[File],
    sources: &[File],
    vectors: &BTreeSet<String>,
    exists: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    let sources: Vec<Source<'_>> = sources.iter().map(Source::scan).collect();
    // The tests, and the file of each.
    let mut tests = BTreeMap::new();
    for source in &sources {
        for test in &source.tests {
            if tests.insert(&test.name, (test, source.path)).is_some() {
                faults.push(format!("{}: two tests have this name", test.name));
            }
        }
    }

    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for table in tables {
        for row in table::rows(table, &mut faults) {
            let id = row.id.clone();
            if rows.insert(id.clone(), row).is_some() {
                faults.push(format!("{id}: two rows"));
            }
        }
    }

    for (id, row) in &rows {
        for path in row.paths.iter().filter(|path| !exists(path)) {
            faults.push(format!("{id}: {path} is not there"));
        }
        let only_driver = |name| tests.get(name).is_some_and(|(_, path)| is_of_driver(path));
        if !row.has_reason && row.tests.iter().all(only_driver) {
            faults.push(format!("{id}: no test of the crate, and no reason"));
        }
        for name in &row.tests {
            match tests.get(name) {
                None => faults.push(format!("{id}: there is no test {name}")),
                Some((test, _)) if !test.ids.contains(id) => {
                    faults.push(format!("{id}: {name} does not mention it"));
                }
                Some(_) => {}
            }
        }
    }

    for source in &sources {
        for test in &source.tests {
            for id in &test.ids {
                if rows.get(id).is_some_and(|row| !row.tests.contains(&test.name)) {
                    faults.push(format!("{id}: its row does not name {}", test.name));
                }
            }
        }
        for id in &source.ids {
            match rows.get(id) {
                None if vectors.contains(id) => {}
                None => faults.push(format!("{id}: no row, and {} mentions it", source.path)),
                Some(row) => {
                    let says_so = source.tests.iter().any(|test| test.ids.contains(id));
                    let of_source = |name| tests.get(name).is_some_and(|(_, path)| *path == source.path);
                    if !source.tests.is_empty() && !says_so && !row.tests.iter().any(of_source) {
                        faults.push(format!("{id}: its row names no test of {}", source.path));
                    }
                }
            }
        }
    }
    faults
}

/// Returns the tests that mention `id`: those of the crate, then those of the drivers and of other packages.
fn proving(sources: &[Source<'_>], id: &str) -> Vec<String> {
    let mut names: Vec<_> = sources
        .iter()
        .flat_map(|source| source.tests.iter().map(|test| (is_of_driver(source.path), test)))
        .filter(|(_, test)| test.ids.contains(id))
        .map(|(of_driver, test)| (of_driver, test.name.clone()))
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

/// Returns whether a test is of a driver, and not of the crate itself. A rule that only drivers follow needs a reason.
fn is_of_driver(path: &str) -> bool {
    ["tests/examples/", "tests/live/", "examples/"]
        .iter()
        .any(|directory| path.starts_with(directory))
}

/// The tests that mention a rule are added to its row, and those that do not are removed. Nothing else changes.
#[test]
fn generated_column_names_the_tests_that_mention_the_rule() {
    let sources = [("tests/a.rs", TESTS), ("tests/live/b.rs", LIVE)].map(|(path, text)| File {
        path: path.to_string(),
        text: text.to_string(),
    });
    let scanned: Vec<Source<'_>> = sources.iter().map(Source::scan).collect();
    for (from, to) in [
        ("", ""),
        (", `a::one`", ""),
        ("`a::one`", "`a::won`, `a::no_rule`"),
        ("four`. `live::b::four`", "four`."),
        ("a wish.", "a wish. `a::one`"),
    ] {
        let changed = TABLE.replacen(from, to, 1);
        assert_eq!(
            table::generated(&changed, |id| proving(&scanned, id)),
            TABLE,
            "{from:?}"
        );
    }
}

#[test]
fn tables_and_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tables = Vec::new();
    for name in ["rfc1928", "rfc1929", "rfc1961", "socks4", "reassembly", "quirks"] {
        let path = format!("docs/conformance/{name}.md");
        let text = fs::read_to_string(root.join(&path)).unwrap();
        tables.push(File { path, text });
    }
    // There are no rules 018 and 019. No other check notices a missing row if no test mentions its rule.
    let rfcs = ids("R-001 to R-017, R-020 to R-054, R-060 to R-068, R-070 to R-087, R-100 to R-132");
    for id in rfcs.into_iter().chain(ids("R-200 to R-222, R-230 to R-237")) {
        let row = format!("\n| {id} |");
        assert!(
            tables.iter().any(|table| table.text.contains(&row)),
            "{id} has no row"
        );
    }
    let sources: Vec<File> = ["src", "tests", "examples", "fuzz"]
        .into_iter()
        .flat_map(|directory| files(directory, ".rs"))
        .collect();
    let vectors = vectors().map(|row| row.id.to_string()).collect();

    let scanned: Vec<Source<'_>> = sources.iter().map(Source::scan).collect();
    for table in &mut tables {
        let fresh = table::generated(&table.text, |id| proving(&scanned, id));
        if fresh == table.text {
            continue;
        }
        assert!(
            env::var_os("SANS_SOCKS_BLESS").is_some(),
            "{} is not up to date: run SANS_SOCKS_BLESS=1 cargo test --test conformance",
            table.path
        );
        fs::write(root.join(&table.path), &fresh).unwrap();
        table.text = fresh;
    }
    let faults = faults(&tables, &sources, &vectors, |path| root.join(path).is_file());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

const TABLE: &str = "
# RFC 1

| id | § | level | rule | where | proved by |
|---|---|---|---|---|---|
| R-001 | 1 | MUST | One. | `src/a.rs` `Type` | `a::deep::r_001_to_r_003_all`, `a::one` |
| R-002 | 1 | – | Two. | `src/a.rs` | `a::deep::r_001_to_r_003_all` |
| R-003 | 1 | – | Three. | `src/a.rs` | `a::deep::r_001_to_r_003_all` |
| Q-004 | 1 | – | Four. | `src/a.rs` | driver: it sees `Type::four`. `live::b::four` |
| Q-005 | 1 | – | Five. | – | no code: a wish. |
";

const TESTS: &str = r#"
//! R-001..R-003, and V-001.

/// R-001: one.
#[test]
fn one() {}

mod deep {
    /// All.
    #[cfg(feature = "std")]
    #[test]
    fn r_001_to_r_003_all() {}
}

/// Nobody asks for it.
#[test]
fn no_rule() {}
"#;

const LIVE: &str = "
/// Q-004.
fn four(driver: &str) {
}
";

const SRC: &str = "// R-002: see there. UTF-8, R-2D-2, X-R-1.";

/// A table and sources without a fault. Each change to them must cause exactly the faults listed with it.
#[test]
fn faults_of_every_kind_are_found() {
    let found = |from: &str, to: &str| {
        let changed = |path: &str, text: &str| File {
            path: path.to_string(),
            text: text.replacen(from, to, 1),
        };
        let texts = [TABLE, TESTS, LIVE, SRC];
        assert_eq!(
            texts.iter().filter(|text| text.contains(from)).count(),
            1,
            "{from:?} is in one file"
        );
        faults(
            &[changed("rfc1.md", TABLE)],
            &[
                changed("tests/a.rs", TESTS),
                changed("tests/live/b.rs", LIVE),
                changed("src/a.rs", SRC),
            ],
            &BTreeSet::from(["V-001".to_string()]),
            |path| path == "src/a.rs",
        )
    };
    assert_eq!(found("# RFC 1", "# RFC 2"), [""; 0]);

    let cases: [(&str, &str, &[&str]); 21] = [
        // Changes of a row.
        (", `a::one`", "", &["R-001: its row does not name a::one"]),
        (
            "`a::one`",
            "`a::won`",
            &[
                "R-001: there is no test a::won",
                "R-001: its row does not name a::one",
            ],
        ),
        (
            "Two. | `src/a.rs` | `a",
            "Two. | `src/a.rs` | `a::no_rule`, `a",
            &["R-002: a::no_rule does not mention it"],
        ),
        (
            "driver: it sees",
            "It sees",
            &["Q-004: no test of the crate, and no reason"],
        ),
        (
            "driver: it sees `Type::four`. `live::b::four`",
            "driver:",
            &[
                "Q-004: no test of the crate, and no reason",
                "Q-004: its row does not name live::b::four",
            ],
        ),
        (
            "Three. | `src/a.rs`",
            "Three. | `src/b.rs`",
            &["R-003: src/b.rs is not there"],
        ),
        (
            "Three. | `src/a.rs`",
            "Three. | –",
            &["R-003: it is enforced nowhere"],
        ),
        (
            "| 1 | MUST |",
            "| MUST |",
            &["rfc1.md: R-001 has a different number of cells than its table"],
        ),
        ("One.", " ", &["rfc1.md: R-001 has an empty cell"]),
        (
            "| R-003 |",
            "| R003 |",
            &[
                "rfc1.md: no id at the beginning of a row: R003",
                "R-003: no row, and tests/a.rs mentions it",
            ],
        ),
        (
            "| R-003 |",
            "| R-002 |",
            &["R-002: two rows", "R-003: no row, and tests/a.rs mentions it"],
        ),
        // Changes of a test.
        (
            "/// R-001: one",
            "/// One",
            &["R-001: a::one does not mention it"],
        ),
        (
            "/// All.",
            "/// All, and Q-004.",
            &["Q-004: its row does not name a::deep::r_001_to_r_003_all"],
        ),
        (
            "/// Nobody asks for it.\n#[test]\nfn no_rule",
            "/// R-001.\n#[test]\nfn one",
            &["a::one: two tests have this name"],
        ),
        ("#[test]\nfn one", "fn one", &["R-001: there is no test a::one"]),
        (
            "(driver: &str)",
            "(driver: &str, more: bool)",
            &["Q-004: there is no test live::b::four"],
        ),
        (
            "/// Nobody asks",
            "/// R-006: nobody asks",
            &["R-006: no row, and tests/a.rs mentions it"],
        ),
        // Changes of text that only mentions an id.
        ("V-001", "V-002", &["V-002: no row, and tests/a.rs mentions it"]),
        (
            "and V-001",
            "and Q-004",
            &["Q-004: its row names no test of tests/a.rs"],
        ),
        (
            "R-001..R-003",
            "R-001 to R-004",
            &["R-004: no row, and tests/a.rs mentions it"],
        ),
        (
            "// R-002",
            "// R-006",
            &["R-006: no row, and src/a.rs mentions it"],
        ),
    ];
    for (from, to, stated) in cases {
        assert_eq!(found(from, to), stated, "{from:?} => {to:?}");
    }
}
