//! Counts the instructions of each job with valgrind's callgrind. A job runs N times in one process and 2 N times in
//! another, and the difference is divided by N. With one compiler the result is the same every time.
//!
//! Each count is compared with its ceiling in `../ceilings.txt`. Counts at growing sizes are compared with each other. So are
//! the counts of comparing credentials, or user ids, that differ in different places.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs};

mod ceilings;
mod constant;
mod growth;

use ceilings::Ceilings;
use sans_socks_operations::Bench;

const USAGE: &str = "counts            compares every count with its ceiling
counts --record   sets the ceilings to the current counts";

/// It has as many digits as its double, so that both processes have the same stack.
const TIMES: u32 = 100;

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match *arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => check(false),
        ["--record"] => check(true),
        [times, size, name] => repeat(times.parse()?, size.parse()?, name),
        _ => Err(USAGE.into()),
    }
}

fn check(record: bool) -> Result<(), Error> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ceilings.txt");
    let mut ceilings = Ceilings::parse(&fs::read_to_string(path)?)?;

    let mut counts = Vec::new();
    for name in names(sans_socks_operations::all) {
        let count = count(0, &name)?;
        println!(
            "{name:26} {count:>7} of {}",
            ceilings.of(&name).unwrap_or_default()
        );
        counts.push((name, count));
    }
    if record {
        ceilings.record(&counts, &compiler()?);
        fs::write(path, ceilings.to_string())?;
    }
    let mut faults = ceilings.faults(&counts);

    println!("\n{:26} {:?}", "at sizes of", growth::SIZES);
    let mut series = names(|bench| sans_socks_operations::growth(bench, growth::SIZES[0]));
    series.push(growth::CONTROL.into());
    for name in series {
        let mut counts = [0; growth::SIZES.len()];
        for (count_at, size) in counts.iter_mut().zip(growth::SIZES) {
            *count_at = count(size, &name)?;
        }
        println!("{name:26} {counts:?}");
        match (growth::in_proportion(counts), &name[..]) {
            (true, growth::CONTROL) => {
                faults.push("the control with quadratic growth was not detected".into());
            }
            (false, growth::CONTROL) | (true, _) => {}
            (false, _) => faults.push(format!("{name}: {counts:?} is out of proportion")),
        }
    }

    println!("\n{:26} wherever credentials differ", "the same");
    for name in constant::JOBS.into_iter().chain([constant::CONTROL]) {
        let mut counts = [0; constant::CASES.len()];
        for (count_at, case) in counts.iter_mut().zip(constant::CASES) {
            *count_at = count(case, name)?;
        }
        println!("{name:26} {counts:?}");
        match (constant::is_constant(counts), name) {
            (true, constant::CONTROL) => {
                faults.push("the control, a comparison that stops early, was not detected".into());
            }
            (false, constant::CONTROL) | (true, _) => {}
            (false, _) => faults.push(format!("{name}: {counts:?} depends on where credentials differ")),
        }
    }

    if faults.is_empty() {
        return Ok(());
    }
    let versions = format!("ceilings: {}\nhere:     {}", ceilings.compiler, compiler()?);
    Err(format!("\n{}\n{versions}", faults.join("\n")).into())
}

fn compiler() -> Result<String, Error> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// Returns the instructions of a job. `size` is 0 for a job without a size.
fn count(size: u8, name: &str) -> Result<u64, Error> {
    let [once, twice] = [TIMES, 2 * TIMES].map(|times| start(times, size, name));
    let (once, twice) = (collected(once?)?, collected(twice?)?);
    Ok(twice.saturating_sub(once).div_ceil(TIMES.into()))
}

/// Returns a command that runs this program under callgrind, without an environment that would move its stack.
fn start(times: u32, size: u8, name: &str) -> Result<Child, Error> {
    let this = env::current_exe()?;
    let (directory, program) = this.parent().zip(this.file_name()).ok_or("no path")?;
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--"])
        .arg(Path::new(".").join(program))
        .args([&times.to_string(), &format!("{size:03}"), name])
        .current_dir(directory)
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("valgrind: {error}").into())
}

/// Returns the count that callgrind reports at the end.
fn collected(child: Child) -> Result<u64, Error> {
    let output = child.wait_with_output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    match collected {
        Some((_, count)) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(report.into()),
    }
}

/// The part that runs under callgrind.
fn repeat(times: u32, size: u8, name: &str) -> Result<(), Error> {
    let mut repeat = Repeat {
        times,
        name,
        found: false,
    };
    match (size, name) {
        (0, _) => sans_socks_operations::all(&mut repeat),
        (_, growth::CONTROL) => growth::control(&mut repeat, size),
        (_, name) if name == constant::CONTROL || constant::JOBS.contains(&name) => {
            constant::run(name, &mut repeat, size);
        }
        _ => sans_socks_operations::growth(&mut repeat, size),
    }
    if repeat.found { Ok(()) } else { Err(USAGE.into()) }
}

/// Runs one job.
struct Repeat<'a> {
    times: u32,
    name: &'a str,
    found: bool,
}

impl Bench for Repeat<'_> {
    fn job<S, T>(
        &mut self,
        name: &str,
        mut state: S,
        operation: impl FnMut(&mut S) -> T,
        check: impl FnOnce(T, &S),
    ) {
        if name == self.name {
            let last = sans_socks_operations::repeat(self.times, &mut state, operation);
            check(last, &state);
            self.found = true;
        }
    }
}

fn names(list: impl FnOnce(&mut Names)) -> Vec<String> {
    let mut names = Names(Vec::new());
    list(&mut names);
    names.0
}

/// Lists the jobs.
struct Names(Vec<String>);

impl Bench for Names {
    fn job<S, T>(&mut self, name: &str, _: S, _: impl FnMut(&mut S) -> T, _: impl FnOnce(T, &S)) {
        self.0.push(name.into());
    }
}
