//! The table.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use procfs::{CpuInfo, Current};

use crate::server::output;
use crate::{Options, Row, Sample};

const BEGIN: &str = "<!-- load:begin -->\n";
const END: &str = "<!-- load:end -->\n";

/// A round of one server.
pub(crate) fn brief(sample: &Sample) -> String {
    format!(
        "{:.0} handshakes/s, {:.0} beside {} held, {:.0} octets each, {:.0} MiB/s",
        sample.alone.per_second(),
        sample.beside_held.per_second(),
        sample.held.opened,
        sample.memory,
        sample.bulk / MIB,
    )
}

const MIB: f64 = (1 << 20) as f64;

/// What a row shows: a heading, and the figure of one round, of which the median is shown.
type Column = (String, usize, fn(&Sample) -> f64);

pub(crate) fn table(rows: &[Row], options: &Options) -> String {
    let held = options.held;
    let columns: [Column; 10] = [
        ("handshakes/s".into(), 0, |s| s.alone.per_second()),
        ("p50 ms".into(), 2, |s| s.alone.percentile(50) * 1e3),
        ("p99 ms".into(), 2, |s| s.alone.percentile(99) * 1e3),
        ("processor µs each".into(), 0, |s| s.processor_time * 1e6),
        (format!("handshakes/s beside {held} held"), 0, |s| {
            s.beside_held.per_second()
        }),
        ("p99 ms".into(), 2, |s| s.beside_held.percentile(99) * 1e3),
        ("KiB each held".into(), 2, |s| s.memory / 1024.0),
        ("held".into(), 0, |s| s.held.opened as f64),
        ("MiB/s".into(), 0, |s| s.bulk / MIB),
        ("processor ms a GiB".into(), 0, |s| {
            s.bulk_processor_time * 1024.0 * MIB * 1e3
        }),
    ];
    let mut text = heading(rows, options);
    text += "\n| server |";
    for (heading, ..) in &columns {
        let _ = write!(text, " {heading} |");
    }
    text += " ended after s | errors |\n|---|";
    text += &"---:|".repeat(columns.len());
    text += "---|---|\n";
    for row in rows {
        let _ = write!(text, "| {} |", row.program.name());
        for (_, digits, figure) in &columns {
            let median = median(row.samples.iter().map(figure).collect());
            let _ = if median.is_nan() {
                write!(text, " – |")
            } else {
                write!(text, " {median:.digits$} |")
            };
        }
        let _ = writeln!(text, " {} | {} |", ended(row), errors(row));
    }
    text
}

/// When, where and with what.
fn heading(rows: &[Row], options: &Options) -> String {
    let processor = CpuInfo::current().ok();
    let model = processor
        .as_ref()
        .and_then(|info| info.model_name(0))
        .unwrap_or("?");
    let count = processor.as_ref().map_or(0, CpuInfo::num_cores);
    let own = rows
        .iter()
        .flat_map(|row| &row.samples)
        .map(|s| s.own_processor_time * 1e6);
    let versions: String = rows
        .iter()
        .filter_map(|row| {
            let version = row.program.version(&options.places)?;
            Some(format!("; {} {version}", row.program.name()))
        })
        .collect();
    format!(
        "{}; {model}, {count} processors; Linux {}; {}{versions}. Medians of {} rounds; {} connections at a time; \
         this program itself took {:.0} µs of processor for each.\n",
        said("date", "+%F"),
        said("uname", "--kernel-release"),
        said("rustc", "--version"),
        options.rounds,
        options.in_flight,
        median(own.collect()),
    )
}

fn said(program: &str, argument: &str) -> String {
    output(Command::new(program).arg(argument)).unwrap_or_else(|| format!("no {program}"))
}

/// Of those that there are: what failed has no figure.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.retain(|figure| figure.is_finite());
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The ages of the first and the last that were ended, in all rounds.
fn ended(row: &Row) -> String {
    let ages = row.samples.iter().flat_map(|sample| &sample.held.ended);
    match (ages.clone().min(), ages.max()) {
        (Some(first), Some(last)) => format!("{:.1} to {:.1}", first.as_secs_f64(), last.as_secs_f64()),
        _ => "–".into(),
    }
}

fn errors(row: &Row) -> String {
    let errors = row.errors();
    let texts: Vec<_> = errors
        .iter()
        .map(|(error, count)| format!("{count}: {error}"))
        .collect();
    if texts.is_empty() {
        "0".into()
    } else {
        texts.join("; ")
    }
}

/// Puts the table between the markers of a file.
pub(crate) fn write(path: &Path, table: &str) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let parts = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(io::Error::other(format!("has no markers {BEGIN:?} and {END:?}")));
    };
    fs::write(path, format!("{before}{BEGIN}{table}{END}{after}"))
}
