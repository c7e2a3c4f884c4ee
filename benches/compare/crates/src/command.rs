//! The program that does the jobs of the rows in its arguments. It prints one fact in each line: row, job or side, measure,
//! value, separated by tabs.

use std::env;
use std::panic;
use std::process::{self, Command as Process};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::job::Job;
use crate::peer::{Context, Row};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Do every job once, and check the results
    Check,
    /// Print the facts that need no measurement
    Facts,
    /// Print the instructions of each job, counted by callgrind
    Instructions { row: Option<String> },
    /// Print the nanoseconds of each job: the fastest of many samples
    Times {
        #[arg(long, default_value_t = 45)]
        samples: usize,
        #[arg(long, default_value_t = 2.0)]
        milliseconds: f64,
        row: Option<String>,
    },
    /// Repeat a job
    Repeat { row: String, job: String, times: u64 },
}

/// # Panics
///
/// Panics if a program, a row or a job does not exist.
pub fn run(rows: &[Row]) {
    match Command::parse().verb {
        Verb::Check => check(rows),
        Verb::Facts => facts(rows),
        Verb::Instructions { row } => instructions(&cells(rows, row.as_deref())),
        Verb::Times {
            samples,
            milliseconds,
            row,
        } => {
            times(&cells(rows, row.as_deref()), samples, milliseconds);
        }
        Verb::Repeat { row, job, times } => {
            let found = cells(rows, Some(&row))
                .into_iter()
                .find(|(_, of)| format!("{of:?}") == job);
            let (row, job) = found.expect("no such cell");
            (row.repeat)(job, times, &mut Context::new());
        }
    }
}

type Cell = (Row, Job);

fn cells(rows: &[Row], name: Option<&str>) -> Vec<Cell> {
    let wanted = rows.iter().filter(|row| name.is_none_or(|name| name == row.name));
    wanted.flat_map(|row| row.jobs().map(|job| (*row, job))).collect()
}

fn check(rows: &[Row]) {
    let cells = cells(rows, None);
    let mut failed = 0;
    for (row, job) in &cells {
        if panic::catch_unwind(|| (row.check)(*job, &mut Context::new())).is_err() {
            eprintln!("{} does not do {job:?}", row.name);
            failed += 1;
        }
    }
    eprintln!("{} cells checked, {failed} wrong", cells.len());
    if failed > 0 {
        process::exit(1);
    }
}

fn facts(rows: &[Row]) {
    for row in rows {
        let name = row.name;
        println!("{name}\t\tversion\t{}", row.version);
        println!("{name}\t\thow\t{}", row.how);
        for (jobs, why) in row.missing {
            for job in *jobs {
                println!("{name}\t{job:?}\tmissing\t{why}");
            }
        }
        for (side, state) in [("server", (row.server_state)()), ("client", (row.client_state)())] {
            if let Some(state) = state {
                println!("{name}\t{side}\tinline\t{}", state.inline);
                println!("{name}\t{side}\tbuffer\t{}", state.buffer);
            }
        }
        #[cfg(feature = "peers")]
        for job in row.jobs() {
            let mut context = Context::new();
            (row.check)(job, &mut context);
            let crate::stream::Stream { reads, writes, .. } = context.stream;
            if reads > 0 {
                println!("{name}\t{job:?}\treads\t{reads}");
                println!("{name}\t{job:?}\twrites\t{writes}");
            }
        }
    }
}

/// Returns the cost of 2n runs minus the cost of n runs, which is the cost of n runs without the rest of the program.
fn instructions(cells: &[Cell]) {
    let next = Mutex::new(cells.iter());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((row, job)) = next.lock().expect("a worker failed").next() else {
                        return;
                    };
                    let times = match job {
                        Job::J11 => 20,
                        Job::J10 | Job::S6 => 100,
                        _ => 500,
                    };
                    let [once, twice] = [times, 2 * times].map(|times| collected(row, *job, times));
                    println!(
                        "{}\t{job:?}\tinstructions\t{}",
                        row.name,
                        (twice - once + times / 2) / times
                    );
                }
            });
        }
    });
}

/// Returns all instructions of a process that does the job this many times.
fn collected(row: &Row, job: Job, times: u64) -> u64 {
    let output = Process::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("it runs"))
        .args(["repeat", row.name, &format!("{job:?}"), &times.to_string()])
        .output()
        .expect("valgrind is not installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let count = log
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count
        .filter(|_| output.status.success())
        .unwrap_or_else(|| panic!("callgrind failed:\n{log}"))
}

/// The cells take turns, so that a slow period of the machine affects all of them. The fastest sample was disturbed least.
fn times(cells: &[Cell], samples: usize, milliseconds: f64) {
    let mut context = Context::new();
    let mut nanoseconds = |(row, job): &Cell, times| {
        let start = Instant::now();
        (row.repeat)(*job, times, &mut context);
        start.elapsed().as_nanos() as f64
    };
    let mut sampled: Vec<_> = cells
        .iter()
        .map(|cell| {
            let mut times = 64;
            while nanoseconds(cell, times) < milliseconds * 1e6 / 4.0 {
                times *= 2;
            }
            (cell, 4 * times, f64::INFINITY)
        })
        .collect();
    for _ in 0..samples {
        for (cell, times, fastest) in &mut sampled {
            *fastest = fastest.min(nanoseconds(cell, *times) / *times as f64);
        }
    }
    for ((row, job), _, fastest) in sampled {
        println!("{}\t{job:?}\tnanoseconds\t{fastest:.1}", row.name);
    }
}

/// Prints the heap allocations of each job. `measure` runs a closure, and returns the number of allocations, their bytes,
/// and the peak. (A program that measures anything else must not contain a counting allocator.)
pub fn allocations(rows: &[Row], measure: impl Fn(&mut dyn FnMut()) -> [u64; 3]) {
    const TIMES: u64 = 100;
    let mut context = Context::new();
    for (row, job) in cells(rows, None) {
        (row.repeat)(job, 1, &mut context);
        let [_, _, held] = measure(&mut || (row.repeat)(job, 1, &mut context));
        let [count, bytes, _] = measure(&mut || (row.repeat)(job, TIMES, &mut context));
        println!("{}\t{job:?}\tallocations\t{}", row.name, count.div_ceil(TIMES));
        println!("{}\t{job:?}\tallocated\t{}", row.name, bytes.div_ceil(TIMES));
        println!("{}\t{job:?}\theld\t{held}", row.name);
    }
}
