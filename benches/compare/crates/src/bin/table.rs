//! Converts facts, whose form is in `command.rs`, into Markdown, and writes it into files.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Parser;
use sans_socks_peers::job::Job;

/// Print Markdown tables of the measurements, or write them into files
#[derive(Parser)]
struct Command {
    /// Read facts from these files
    #[arg(required = true)]
    facts: Vec<PathBuf>,
    /// Write sections between the markers of this file
    #[arg(long)]
    into: Vec<PathBuf>,
}

type Section = fn(&Facts) -> Option<String>;

const SECTIONS: [(&str, Section); 9] = [
    ("peers-summary", summary),
    ("peers-instructions", |facts| instructions(facts, Job::SOCKS5)),
    ("peers-state", state),
    ("peers-times", |facts| times(facts, Job::SOCKS5)),
    ("peers-socks4-instructions", |facts| {
        instructions(facts, Job::SOCKS4)
    }),
    ("peers-socks4-times", |facts| times(facts, Job::SOCKS4)),
    ("peers-allocations", allocations),
    ("peers-calls", calls),
    ("peers-rows", rows),
];

fn main() {
    let command = Command::parse();
    let read = |path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let facts = Facts::new(&command.facts.iter().map(read).collect::<String>());
    let sections = SECTIONS
        .iter()
        .filter_map(|(name, section)| Some((*name, section(&facts)?)));
    let sections: Vec<_> = sections.collect();
    if command.into.is_empty() {
        for (name, section) in &sections {
            println!("## {name}\n\n{section}");
        }
    }
    for path in &command.into {
        let mut text = read(path);
        for (name, section) in &sections {
            text = replaced(&text, name, section).unwrap_or(text);
        }
        fs::write(path, text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
}

/// Returns `text` with `section` between its markers, if it has them.
fn replaced(text: &str, name: &str, section: &str) -> Option<String> {
    let [begin, end] = ["begin", "end"].map(|which| format!("<!-- {name}:{which} -->\n"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}\n{end}{after}"))
}

struct Facts(Vec<[String; 4]>);

impl Facts {
    fn new(text: &str) -> Self {
        let fact = |line: &str| {
            let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
            fields.try_into().unwrap_or_else(|_| panic!("not a fact: {line}"))
        };
        Self(text.lines().map(fact).collect())
    }

    fn get(&self, row: &str, of: impl ToString, what: &str) -> Option<&str> {
        let key = [row, &of.to_string(), what];
        self.0
            .iter()
            .find_map(|[a, b, c, value]| ([a, b, c] == key).then_some(&**value))
    }

    fn number(&self, row: &str, of: impl ToString, what: &str) -> Option<f64> {
        self.get(row, of, what)?.parse().ok()
    }

    /// Returns the rows that have a fact `what`, in their order.
    fn rows(&self, what: &str) -> Vec<&str> {
        let named = self
            .0
            .iter()
            .filter(|[_, of, which, _]| of.is_empty() && which == "version");
        let has = |row: &str| self.0.iter().any(|[of, _, which, _]| of == row && which == what);
        named.map(|[row, ..]| &**row).filter(|row| has(row)).collect()
    }

    /// Returns a table of rows and `jobs`. If less is better, the lowest value of a crate is in bold.
    fn by_job(
        &self,
        jobs: &[Job],
        what: &str,
        bold: bool,
        show: impl Fn(&str, Job) -> Option<String>,
    ) -> Option<String> {
        let mut rows = self.rows(what);
        rows.retain(|row| jobs.iter().any(|job| self.get(row, name(*job), what).is_some()));
        let least = |job: Job| {
            let crates = rows.iter().filter(|row| **row != FLOOR);
            let numbers = crates.filter_map(|row| self.number(row, name(job), what));
            numbers.min_by(f64::total_cmp)
        };
        let heads = jobs.iter().map(|job| name(*job));
        let mut table = Table::new([String::new()].into_iter().chain(heads), "---:");
        for row in &rows {
            let cells = jobs.iter().map(|job| {
                let least = least(*job);
                let shown = show(row, *job).unwrap_or("–".to_owned());
                let is_least = *row != FLOOR && self.number(row, name(*job), what) == least;
                if bold && is_least && least.is_some() {
                    in_bold(&shown)
                } else {
                    shown
                }
            });
            table.row([title(row)].into_iter().chain(cells));
        }
        (!rows.is_empty()).then_some(table.0)
    }

    fn measured(&self, tool: &str) -> String {
        let value = |what| self.get("", "", what).unwrap_or_default();
        let mut all = vec![value("date"), value("processor"), value("compiler")];
        all.extend(self.get("", "", tool));
        all.join("; ")
    }
}

const FLOOR: &str = "floor";

const OURS: &str = "sans-socks";

fn name(job: Job) -> String {
    format!("{job:?}")
}

fn title(row: &str) -> String {
    if row == OURS { in_bold(row) } else { row.to_owned() }
}

fn in_bold(text: &str) -> String {
    format!("**{text}**")
}

struct Table(String);

impl Table {
    /// `rule` is the alignment of every column except the first.
    fn new(head: impl Iterator<Item = String>, rule: &str) -> Self {
        let mut table = Self(String::new());
        let head: Vec<_> = head.collect();
        let rules = (0..head.len()).map(|column| if column == 0 { "---" } else { rule }.to_owned());
        table.row(head.iter().cloned());
        table.row(rules);
        table
    }

    fn row(&mut self, cells: impl Iterator<Item = String>) {
        let cells: Vec<_> = cells.collect();
        writeln!(self.0, "| {} |", cells.join(" | ")).expect("a string takes all");
    }
}

/// Returns the three rows of the summary.
fn summary(facts: &Facts) -> Option<String> {
    let jobs = [
        (Job::J2, "decode a request with a name"),
        (Job::J8, "server's handshake with a password"),
        (Job::J9b, "client's handshake with a password"),
        (Job::J10, "server's handshake with a password, one byte at a time"),
    ];
    let rows = facts.rows("instructions");
    let best = |job| {
        let others = rows.iter().copied().filter(|row| ![FLOOR, OURS].contains(row));
        let numbered = others.filter_map(|row| Some((facts.number(row, name(job), "instructions")?, row)));
        let (_, row) = numbered.min_by(|(one, _), (other, _)| one.total_cmp(other))?;
        instructions_of(facts, row, job)
    };
    let heads = jobs.iter().map(|(_, head)| (*head).to_owned());
    let mut table = Table::new([String::new()].into_iter().chain(heads), "---:");
    let mut row = |title: &str, cell: &dyn Fn(Job) -> Option<String>| {
        let cells: Option<Vec<_>> = jobs.iter().map(|(job, _)| cell(*job)).collect();
        table.row([title.to_owned()].into_iter().chain(cells?));
        Some(())
    };
    row("the best other crate", &best)?;
    let ours = |job| Some(in_bold(&instructions_of(facts, OURS, job)?));
    row(&in_bold(OURS), &ours)?;
    row("a hand-written lower bound", &|job| {
        instructions_of(facts, FLOOR, job)
    })?;
    Some(table.0)
}

/// Returns instructions, and heap allocations in parentheses if there are any.
fn instructions_of(facts: &Facts, row: &str, job: Job) -> Option<String> {
    let count = facts.get(row, name(job), "instructions")?;
    Some(match facts.number(row, name(job), "allocations") {
        Some(allocations) if allocations > 0.0 => format!("{count} ({allocations})"),
        _ => count.to_owned(),
    })
}

fn instructions(facts: &Facts, jobs: &[Job]) -> Option<String> {
    let table = facts.by_job(jobs, "instructions", true, |row, job| {
        instructions_of(facts, row, job)
    })?;
    Some(format!("{table}\n{}.\n", facts.measured("valgrind")))
}

fn times(facts: &Facts, jobs: &[Job]) -> Option<String> {
    let table = facts.by_job(jobs, "nanoseconds", true, |row, job| {
        let time = facts.number(row, name(job), "nanoseconds")?;
        Some(if time < 10.0 {
            format!("{time:.1}")
        } else {
            format!("{time:.0}")
        })
    })?;
    Some(format!("{table}\n{}.\n", facts.measured("load")))
}

fn allocations(facts: &Facts) -> Option<String> {
    facts.by_job(Job::SOCKS5, "allocated", false, |row, job| {
        let [count, bytes] = ["allocations", "allocated"].map(|what| facts.get(row, name(job), what));
        Some(if count? == "0" {
            "0".to_owned()
        } else {
            format!("{}: {}", count?, bytes?)
        })
    })
}

fn calls(facts: &Facts) -> Option<String> {
    facts.by_job(Job::SOCKS5, "reads", false, |row, job| {
        let [reads, writes] = ["reads", "writes"].map(|what| facts.get(row, name(job), what));
        Some(format!("{} + {}", reads?, writes?))
    })
}

fn state(facts: &Facts) -> Option<String> {
    let side = |row: &str, side: &str, longest: [Job; 3]| {
        let inline = facts.number(row, side, "inline")?;
        let buffer = facts.number(row, side, "buffer")?;
        let held = longest
            .iter()
            .find_map(|job| facts.number(row, name(*job), "held"))?;
        Some(format!(
            "{inline} + {held} + {buffer} = {}",
            inline + held + buffer
        ))
    };
    let head = ["", "server", "client", "crates", "clean build"];
    let mut table = Table::new(head.into_iter().map(str::to_owned), "---:");
    for row in facts.rows("held") {
        let cells = [
            Some(title(row)),
            side(row, "server", [Job::J11, Job::J8, Job::J7]),
            side(row, "client", [Job::J9b, Job::J9a, Job::J9a]),
            facts.get(row, "", "crates").map(str::to_owned),
            facts.get(row, "", "build").map(|seconds| format!("{seconds} s")),
        ];
        table.row(cells.into_iter().map(|cell| cell.unwrap_or("–".to_owned())));
    }
    let measured = facts
        .get("", "", "measured")
        .map(|measured| format!("\nCrates and build: {measured}.\n"));
    (!facts.rows("held").is_empty()).then_some(table.0 + &measured.unwrap_or_default())
}

/// Returns a table that describes each row, and the jobs that are missing in it.
fn rows(facts: &Facts) -> Option<String> {
    let mut table = Table::new(
        ["", "version", "how", "missing"].into_iter().map(str::to_owned),
        "---",
    );
    for row in facts.rows("version") {
        let mut missing: Vec<(&str, Vec<String>)> = Vec::new();
        for job in Job::SOCKS5.iter().chain(Job::SOCKS4) {
            let Some(why) = facts.get(row, name(*job), "missing") else {
                continue;
            };
            match missing.iter_mut().find(|(other, _)| *other == why) {
                Some((_, jobs)) => jobs.push(name(*job)),
                None => missing.push((why, vec![name(*job)])),
            }
        }
        let missing: Vec<_> = missing
            .iter()
            .map(|(why, jobs)| format!("{}: {why}", jobs.join(", ")))
            .collect();
        let [version, how] = ["version", "how"].map(|what| facts.get(row, "", what).unwrap_or_default());
        table.row([title(row), version.to_owned(), how.to_owned(), missing.join("; ")].into_iter());
    }
    (!facts.rows("version").is_empty()).then_some(table.0)
}
