//! Sessions recorded between real programs, `tests/data/transcripts`.
//!
//! A transcript has lines of `C>S` and `S>C` with the bytes of one send, or `EOF` or `RST`. A line `# [id] text` begins a
//! case, any other `#` line is a comment. `...` replaces bytes of the tunnel that were not kept.

use std::fs;
use std::path::Path;

use crate::driver::unhex;

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// The name of the file, without its ending.
    pub file: String,
    /// Empty if the file is one case.
    pub id: String,
    /// The lines with bytes that were kept, and the ends.
    pub text: String,
    /// The sends of the client.
    pub client: Vec<Vec<u8>>,
    /// The sends of the server.
    pub server: Vec<Vec<u8>>,
}

/// Returns the cases of all files whose names begin with `prefix`, in the order of the files.
pub fn transcripts(prefix: &str) -> Vec<Transcript> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/transcripts");
    let files = fs::read_dir(directory).expect("the transcripts");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let file = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name in ASCII");
        let known = file.starts_with("client-") || file.starts_with("server-");
        assert!(known, "no test replays {}", path.display());
        if file.starts_with(prefix) {
            let text = fs::read_to_string(&path).expect("a transcript");
            all.extend(cases(file, &text));
        }
    }
    all
}

fn cases(file: &str, text: &str) -> Vec<Transcript> {
    let case = |id: &str| Transcript {
        file: file.into(),
        id: id.into(),
        ..Transcript::default()
    };
    let mut cases: Vec<Transcript> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix('#') {
            let id = title
                .trim_start()
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'));
            cases.extend(id.map(|(id, _)| case(id)));
            continue;
        }
        if cases.is_empty() {
            cases.push(case(""));
        }
        let case = cases.last_mut().expect("one was added");
        let line = line.trim_end_matches(" ...");
        case.text += line;
        case.text.push('\n');
        match line.split_at(4) {
            (_, "EOF" | "RST") => {}
            ("C>S ", sent) => case.client.push(unhex(sent)),
            ("S>C ", sent) => case.server.push(unhex(sent)),
            _ => panic!("{file}: {line}"),
        }
    }
    cases
}
