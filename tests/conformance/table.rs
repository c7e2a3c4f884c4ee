use super::{File, ids};

/// The words that begin the reason why no test of the crate proves a rule.
const REASONS: [&str; 4] = ["driver: ", "documented: ", "no code: ", "not followed: "];

pub(crate) struct Row {
    pub(crate) id: String,
    /// The place that enforces it.
    pub(crate) paths: Vec<String>,
    pub(crate) tests: Vec<String>,
    /// Whether it has a reason why no test of the crate is among them.
    pub(crate) has_reason: bool,
}

/// Returns the rows of all tables in a Markdown file. The first cell is the id, the last but one is the place that enforces the
/// rule, and the last names the tests that prove it.
pub(crate) fn rows(file: &File, faults: &mut Vec<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut columns = 0;
    for line in file.text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let id = cells[0];
        if id == "id" {
            columns = cells.len();
            continue;
        }
        if !ids(id).contains(id) {
            faults.push(format!("{}: no id at the beginning of a row: {id}", file.path));
            continue;
        }
        if cells.len() != columns {
            faults.push(format!(
                "{}: {id} has a different number of cells than its table",
                file.path
            ));
        }
        if cells.contains(&"") {
            faults.push(format!("{}: {id} has an empty cell", file.path));
        }
        let &[_, .., place, proof] = &cells[..] else {
            continue;
        };
        let has_reason = REASONS.iter().any(|reason| proof.starts_with(reason));
        let paths: Vec<String> = quoted(place, |word| word.contains('/'));
        if paths.is_empty() && !has_reason {
            faults.push(format!("{id}: it is enforced nowhere"));
        }
        rows.push(Row {
            id: id.to_string(),
            paths,
            tests: quoted(proof, is_test),
            has_reason,
        });
    }
    rows
}

/// Returns the table with a new last cell in each row: its reason, and the names that `proving` returns for its id.
pub(crate) fn generated(text: &str, proving: impl Fn(&str) -> Vec<String>) -> String {
    let lines = text.lines().map(|line| {
        let row = line
            .trim_end()
            .strip_suffix('|')
            .and_then(|row| row.rsplit_once('|'));
        let id = line.strip_prefix("| ").and_then(|row| row.split_once(' '));
        let (Some((row, proof)), Some((id, _))) = (row, id) else {
            return format!("{line}\n");
        };
        if !ids(id).contains(id) {
            return format!("{line}\n");
        }
        let reason = reason(proof);
        let names = proving(id)
            .into_iter()
            .map(|name| format!("`{name}`"))
            .filter(|name| !reason.contains(name.as_str()))
            .collect::<Vec<_>>()
            .join(", ");
        let space = if reason.is_empty() || names.is_empty() {
            ""
        } else {
            " "
        };
        format!("{row}| {reason}{space}{names} |\n")
    });
    lines.collect()
}

/// Returns the text in the last cell before the names of tests.
fn reason(proof: &str) -> &str {
    let mut rest = proof.trim();
    while let Some((before, name)) = rest.strip_suffix('`').and_then(|rest| rest.rsplit_once('`')) {
        if !is_test(name) {
            break;
        }
        rest = before.trim_end().trim_end_matches(',').trim_end();
    }
    rest
}

/// Returns whether this is the name of a test. Modules are in lower case, and types are not.
fn is_test(word: &str) -> bool {
    word.contains("::") && word.starts_with(char::is_lowercase)
}

/// Returns the text `in such quotes`.
fn quoted(text: &str, is_one: impl Fn(&str) -> bool) -> Vec<String> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| is_one(word)).map(str::to_string).collect()
}
