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

/// Arrays that become values. No name is a secret. A machine's buffer and a field of credentials overwrite their secrets, see
/// `tests/secrets/wiping.rs`.
const VALUES: [(&str, &str); 3] = [
    ("src/address.rs", "[0; Domain::MAX_LEN]"),
    ("src/buffer.rs", "[0; N]"),
    ("src/credentials.rs", "[0; Credentials::MAX_FIELD_LEN]"),
];

/// Every other array of zero bytes in a `let` is a temporary copy, which may be of credentials. A test cannot look at the
/// stack of a function that has returned, so this one reads the source. A client's messages begin in an array of words, which
/// stays on the stack, as `client::Handshake` says.
#[test]
fn temporary_copies_of_credentials_are_wiped() {
    let mut wiped = 0;
    let files = super::files("src", ".rs").into_iter();
    // The examples of the guide are no part of the crate.
    for file in files.filter(|file| !file.path.starts_with("src/guide/")) {
        let lines = file.text.lines().map(str::trim_start);
        for line in lines.filter(|line| line.starts_with("let ") && line.contains("[0")) {
            if VALUES
                .iter()
                .any(|(path, array)| file.path == *path && line.contains(array))
            {
                continue;
            }
            assert!(
                line.contains("zeroize::Zeroizing::new([0; "),
                "{}: {line}",
                file.path
            );
            wiped += 1;
        }
    }
    assert_eq!(wiped, 3);
}
