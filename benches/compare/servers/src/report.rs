//! The tables.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use procfs::{CpuInfo, Current};

use crate::server::{Program, output};
use crate::udp::{FLOOD, Shape};
use crate::{Options, Row, TcpRow, TcpSample, UdpRow, UdpSample};

const BEGIN: &str = "<!-- load:begin -->\n";
const END: &str = "<!-- load:end -->\n";

const MIB: f64 = (1 << 20) as f64;

/// One round of a server over TCP.
pub(crate) fn brief_tcp(sample: &TcpSample) -> String {
    format!(
        "{:.0} handshakes/s, {:.0} beside {} held, {:.0} bytes each, {:.0} MiB/s",
        sample.alone.per_second(),
        sample.beside_held.per_second(),
        sample.held.opened,
        sample.memory,
        sample.bulk / MIB,
    )
}

/// One round of a server over UDP.
pub(crate) fn brief_udp(shape: Shape, sample: &UdpSample) -> String {
    format!(
        "{shape}: {:.0} round trips/s, {:.2} % lost, {:.2} µs each",
        sample.run.per_second(),
        sample.run.loss(),
        sample.processor_time * 1e6,
    )
}

/// The same medians, for people and for programs.
pub(crate) struct Tables {
    pub(crate) markdown: String,
    /// `protocol,load,server,measure,median`.
    pub(crate) csv: String,
}

/// A heading, the digits after the point, and the figure of one round, of which the median is shown.
type Column<S> = (String, usize, fn(&S) -> f64);

pub(crate) fn tables(tcp: &[TcpRow], udp: &[UdpRow], options: &Options) -> Tables {
    let mut tables = Tables {
        markdown: heading(tcp, udp, options),
        csv: "protocol,load,server,measure,median\n".into(),
    };
    if !tcp.is_empty() {
        tables.tcp(tcp, options);
    }
    if !udp.is_empty() {
        tables.udp(udp);
    }
    tables
}

impl Tables {
    fn tcp(&mut self, rows: &[TcpRow], options: &Options) {
        let held = options.held;
        let columns: [Column<TcpSample>; 10] = [
            ("handshakes/s".into(), 0, |s| s.alone.per_second()),
            ("p50 ms".into(), 2, |s| s.alone.percentile(50) * 1e3),
            ("p99 ms".into(), 2, |s| s.alone.percentile(99) * 1e3),
            ("processor µs each".into(), 0, |s| s.processor_time * 1e6),
            (format!("handshakes/s beside {held} held"), 0, |s| {
                s.beside_held.per_second()
            }),
            (format!("p99 ms beside {held} held"), 2, |s| {
                s.beside_held.percentile(99) * 1e3
            }),
            ("KiB each held".into(), 2, |s| s.memory / 1024.0),
            ("held".into(), 0, |s| s.held.opened as f64),
            ("MiB/s".into(), 0, |s| s.bulk / MIB),
            ("processor ms a GiB".into(), 0, |s| {
                s.bulk_processor_time * 1024.0 * MIB * 1e3
            }),
        ];
        self.head("server", &columns, &["ended after s", "errors"]);
        let load = format!("{} at a time", options.in_flight);
        for row in rows {
            let _ = write!(self.markdown, "| {} |", row.program.name());
            self.figures("tcp", &load, row, &columns);
            let _ = writeln!(self.markdown, " {} | {} |", ended(row), errors(row));
        }
    }

    fn udp(&mut self, rows: &[UdpRow]) {
        let columns: [Column<UdpSample>; 3] = [
            ("round trips/s".into(), 0, |s| s.run.per_second()),
            ("lost %".into(), 2, |s| s.run.loss()),
            ("processor µs each".into(), 2, |s| s.processor_time * 1e6),
        ];
        self.head("load | server", &columns, &["of danted's", "errors"]);
        for row in rows {
            let _ = write!(self.markdown, "| {} | {} |", row.load, row.program.name());
            self.figures("udp", &row.load.to_string(), row, &columns);
            let _ = writeln!(self.markdown, " {} | {} |", of_danted(row, rows), errors(row));
        }
    }

    fn head<S>(&mut self, first: &str, columns: &[Column<S>], last: &[&str]) {
        let text = &mut self.markdown;
        let _ = write!(text, "\n| {first} |");
        for heading in columns
            .iter()
            .map(|(heading, ..)| heading.as_str())
            .chain(last.iter().copied())
        {
            let _ = write!(text, " {heading} |");
        }
        *text += "\n|";
        *text += &"---|".repeat(first.split('|').count());
        *text += &"---:|".repeat(columns.len());
        *text += &"---|".repeat(last.len());
        *text += "\n";
    }

    fn figures<L, S>(&mut self, protocol: &str, load: &str, row: &Row<L, S>, columns: &[Column<S>]) {
        for (heading, digits, figure) in columns {
            let median = median(row.samples.iter().map(figure).collect());
            if median.is_nan() {
                self.markdown += " – |";
                continue;
            }
            let _ = write!(self.markdown, " {median:.digits$} |");
            let name = row.program.name();
            let _ = writeln!(self.csv, "{protocol},{load},{name},{heading},{median}");
        }
    }
}

/// Writes the date, the machine and the versions.
fn heading(tcp: &[TcpRow], udp: &[UdpRow], options: &Options) -> String {
    let processor = CpuInfo::current().ok();
    let model = processor
        .as_ref()
        .and_then(|info| info.model_name(0))
        .unwrap_or("?");
    let count = processor.as_ref().map_or(0, CpuInfo::num_cores);
    let mut programs: Vec<Program> = Vec::new();
    for program in tcp
        .iter()
        .map(|row| row.program)
        .chain(udp.iter().map(|row| row.program))
    {
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    let versions: String = programs
        .iter()
        .filter_map(|program| {
            Some(format!(
                "; {} {}",
                program.name(),
                program.version(&options.places)?
            ))
        })
        .collect();
    let mut text = format!(
        "{}; {model}, {count} processors; Linux {}; {}{versions}. Medians of {} rounds.\n",
        said("date", "+%F"),
        said("uname", "--kernel-release"),
        said("rustc", "--version"),
        options.rounds,
    );
    if !tcp.is_empty() {
        let own = tcp.iter().flat_map(|row| &row.samples);
        let _ = writeln!(
            text,
            "TCP: {} connections at a time; the generator itself used {:.0} µs of processor time for each.",
            options.in_flight,
            median(own.map(|sample| sample.own_processor_time * 1e6).collect()),
        );
    }
    if !udp.is_empty() {
        let _ = writeln!(
            text,
            "UDP: associations × datagrams in flight × bytes of payload; a flood is {FLOOD} datagrams a second.",
        );
    }
    text
}

fn said(program: &str, argument: &str) -> String {
    output(Command::new(program).arg(argument)).unwrap_or_else(|| format!("no {program}"))
}

/// Returns the median of the finite figures. A failed sample has none.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.retain(|figure| figure.is_finite());
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the median of a server's processor time for a round trip, divided by danted's in the same round. None if a
/// round of either failed.
fn of_danted(row: &UdpRow, rows: &[UdpRow]) -> String {
    let danted = rows
        .iter()
        .find(|other| other.load == row.load && other.program == Program::Danted);
    let danted = danted.filter(|danted| row.errors.is_empty() && danted.errors.is_empty());
    let ratios = danted.map_or_else(Vec::new, |danted| {
        let pairs = row.samples.iter().zip(&danted.samples);
        pairs
            .map(|(own, danted)| own.processor_time / danted.processor_time)
            .collect()
    });
    match median(ratios) {
        ratio if ratio.is_nan() => "–".into(),
        ratio => format!("{ratio:.2}"),
    }
}

/// Returns the ages of the first and the last connection that were ended, in all rounds.
fn ended(row: &TcpRow) -> String {
    let ages = row.samples.iter().flat_map(|sample| &sample.held.ended);
    match (ages.clone().min(), ages.max()) {
        (Some(first), Some(last)) => format!("{:.1} to {:.1}", first.as_secs_f64(), last.as_secs_f64()),
        _ => "–".into(),
    }
}

fn errors<L, S>(row: &Row<L, S>) -> String {
    let texts: Vec<_> = row
        .errors
        .iter()
        .map(|(error, count)| format!("{count}: {error}"))
        .collect();
    if texts.is_empty() {
        "0".into()
    } else {
        texts.join("; ")
    }
}

/// Replaces the text between the markers of a file.
pub(crate) fn write(path: &Path, tables: &str) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let parts = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(io::Error::other(format!("has no markers {BEGIN:?} and {END:?}")));
    };
    fs::write(path, format!("{before}{BEGIN}{tables}{END}{after}"))
}
