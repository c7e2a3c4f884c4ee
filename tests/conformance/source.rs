use std::collections::BTreeSet;

use super::{File, ids};

pub(crate) struct Test {
    /// The name in the tables: target, modules, function.
    pub(crate) name: String,
    /// The ids in the name, or in the comment directly above.
    pub(crate) ids: BTreeSet<String>,
}

pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) tests: Vec<Test>,
    pub(crate) ids: BTreeSet<String>,
}

impl<'a> Source<'a> {
    pub(crate) fn scan(file: &'a File) -> Self {
        let mut source = Self {
            path: &file.path,
            tests: Vec::new(),
            ids: ids(&file.text),
        };
        let Some(target) = target(&file.path) else {
            return source;
        };
        // The modules of a line, and the indentation of each.
        let mut modules: Vec<(usize, &str)> = Vec::new();
        let mut above = String::new();
        let mut is_test = false;
        for line in file.text.lines() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            if code.starts_with("//") {
                above += code;
                above.push('\n');
                continue;
            }
            if code.starts_with("#[") {
                is_test |= code == "#[test]";
                continue;
            }
            if code == "}" && modules.last().is_some_and(|(of, _)| *of == indent) {
                modules.pop();
            }
            if let Some(name) = code.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
                modules.push((indent, name));
            }
            // The macro `tests!` defines tests from the functions in `tests/examples` and `tests/live` that take a driver's name.
            is_test |= indent == 0 && code.ends_with("(driver: &str) {");
            if let (true, Some(name)) = (is_test, function(code)) {
                let path = modules.iter().map(|(_, name)| *name).chain([name]);
                let path = path.collect::<Vec<_>>().join("::");
                source.tests.push(Test {
                    name: format!("{target}::{path}"),
                    ids: ids(&format!("{above}{}", spelled(&path))),
                });
            }
            above.clear();
            is_test = false;
        }
        source
            .ids
            .extend(source.tests.iter().flat_map(|test| test.ids.clone()));
        source
    }
}

/// `tests/gssapi/frame.rs` is `gssapi::frame`, and its `main.rs` is `gssapi`. The name of another package is a prefix:
/// `examples/proxy/tests/live/udp.rs` is `proxy::live::udp`. A file that is not below `tests/` has no name.
fn target(path: &str) -> Option<String> {
    let (package, path) = match path.strip_prefix("tests/") {
        Some(path) => ("", path),
        None => path.split_once("/tests/")?,
    };
    let path = path.strip_suffix(".rs")?;
    let path = path.strip_suffix("/main").unwrap_or(path).replace('/', "::");
    Some(match package.rsplit('/').next() {
        None | Some("") => path,
        Some(package) => format!("{package}::{path}"),
    })
}

fn function(code: &str) -> Option<&str> {
    let (name, _) = code.strip_prefix("fn ")?.split_once('(')?;
    Some(name)
}

/// Returns a test's name with its ids in their usual form: `r_079_a_lower_one` becomes `R-079 a lower one`.
fn spelled(path: &str) -> String {
    let mut text = String::new();
    for word in path.split(['_', ':']) {
        match word {
            "r" | "q" | "d" | "f" | "v" => text += &format!("{}-", word.to_uppercase()),
            _ => text += &format!("{word} "),
        }
    }
    text
}

/// Functions with a temporary copy of bytes that may be credentials, and how many there are in each file.
const TEMPORARY_COPIES: [(&str, usize); 2] = [("src/machine.rs", 2), ("src/message/mod.rs", 1)];

/// A test cannot look at the stack of a function that has returned, so this one reads the source.
#[test]
fn temporary_copies_of_credentials_are_wiped() {
    for (path, count) in TEMPORARY_COPIES {
        let files = super::files("src", ".rs");
        let file = files.iter().find(|file| file.path == path).unwrap();
        let lines = file.text.lines().map(str::trim_start);
        let copies: Vec<&str> = lines
            .filter(|line| line.starts_with("let ") && line.contains("[0; "))
            .collect();
        assert_eq!(copies.len(), count, "{path}: {copies:?}");
        for copy in copies {
            assert!(copy.contains("zeroize::Zeroizing::new(["), "{path}: {copy}");
        }
    }
}
