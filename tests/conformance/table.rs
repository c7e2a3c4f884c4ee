use super::{File, ids};

/// How a reason begins why a rule has no test of the crate.
const REASONS: [&str; 4] = ["driver: ", "documented: ", "no code: ", "not followed: "];

pub(crate) struct Row {
    pub(crate) id: String,
    /// Where it is enforced.
    pub(crate) paths: Vec<String>,
    pub(crate) tests: Vec<String>,
    /// Whether it says why no test of the crate need be among them.
    pub(crate) has_reason: bool,
}

/// The rows of all tables in a Markdown file. The first cell is the id, the last but one says where the rule is
/// enforced, the last what proves it.
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
            faults.push(format!("{}: {id} has not as many cells as its table", file.path));
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
            // Modules are written small, and types are not.
            tests: quoted(proof, |word| {
                word.contains("::") && word.starts_with(char::is_lowercase)
            }),
            has_reason,
        });
    }
    rows
}

/// What stands `in such quotes`, and is one of those.
fn quoted(text: &str, is_one: impl Fn(&str) -> bool) -> Vec<String> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| is_one(word)).map(str::to_string).collect()
}
