//! Loads SOCKS5 servers on this machine, each in turn, and prints what came of it as a table.

mod client;
mod load;
mod report;
mod server;
mod target;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use load::{Errors, Held, Plan, Run};
use server::{Places, Program, Server, own_processor_time};

/// How long behind their deadline to wait for the end of the connections that are held.
const DROP_PATIENCE: Duration = Duration::from_secs(60);

/// How long behind it they may end.
const LATENESS: Duration = Duration::from_secs(5);

/// Loads SOCKS5 servers on loopback, and prints a table
///
/// Each server is started, has connections come and go (handshake, 1 KiB there and back, close), has others held open
/// half-way through the handshake, has connections come and go again beside these, carries one large download, and is
/// ended. That is done for one server after the other, and then for all again, as many rounds as are wanted; the table
/// shows medians. It fails when one of this crate's servers has an error, or does not keep its deadline.
#[derive(Parser)]
struct Options {
    /// Servers to load; without any, all that this machine has
    #[arg(value_name = "SERVER")]
    servers: Vec<Program>,
    /// How often
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many connections may come and go in a run
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    connections: usize,
    /// How long a run may last
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    seconds: u64,
    /// How many of them at a time
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    in_flight: usize,
    /// How many connections are held half-way
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    held: usize,
    /// How much is downloaded
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    bulk: u64,
    #[command(flatten)]
    places: Places,
    /// Also write the table into this file, between its markers
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    allow_descriptors(options.held)?;
    let targets = Targets {
        echo: target::echo()?,
        source: target::source(options.bulk << 20)?,
    };
    let mut rows: Vec<_> = options.programs()?.into_iter().map(Row::new).collect();
    for round in 1..=options.rounds {
        for row in &mut rows {
            let name = row.program.name();
            match measure(row.program, &targets, options, &mut row.errors) {
                Ok(sample) => {
                    eprintln!("round {round}: {name}: {}", report::brief(&sample));
                    row.samples.push(sample);
                }
                Err(error) => {
                    eprintln!("round {round}: {name}: {error}");
                    load::note(&mut row.errors, &error);
                }
            }
        }
    }
    let table = report::table(&rows, options);
    print!("{table}");
    if let Some(path) = &options.write {
        report::write(path, &table).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for row in rows.iter().filter(|row| row.program.is_ours()) {
        row.check(options)?;
    }
    Ok(())
}

/// This program and the server both have a descriptor for each connection that is held, and for some more.
fn allow_descriptors(held: usize) -> Result<(), Box<dyn Error>> {
    let limit = getrlimit(Resource::Nofile);
    let needed = held as u64 + 1024;
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("to hold {held} takes {needed} descriptors: raise `ulimit -Hn`").into());
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(())
}

impl Options {
    /// Those that were named; or else those that are here.
    fn programs(&self) -> Result<Vec<Program>, Box<dyn Error>> {
        let named = !self.servers.is_empty();
        let mut programs = Vec::new();
        for &program in if named {
            &self.servers
        } else {
            Program::value_variants()
        } {
            match Server::start(program, &self.places) {
                Ok(_) => programs.push(program),
                Err(error) if named || program.is_ours() => {
                    return Err(format!("{}: {error}", program.name()).into());
                }
                Err(error) => eprintln!("left out: {}: {error}", program.name()),
            }
        }
        Ok(programs)
    }
}

/// Where the tunnels lead to.
struct Targets {
    echo: SocketAddr,
    source: SocketAddr,
}

/// A server, and what each round has shown.
struct Row {
    program: Program,
    samples: Vec<Sample>,
    /// What went wrong beside that which the samples have.
    errors: Errors,
}

struct Sample {
    alone: Run,
    /// Of the server, and of this program, for each connection of `alone`; in seconds.
    processor_time: f64,
    own_processor_time: f64,
    /// Octets a second.
    bulk: f64,
    /// Of the server, for an octet; in seconds.
    bulk_processor_time: f64,
    held: Held,
    /// Octets for each connection held.
    memory: f64,
    beside_held: Run,
}

fn measure(
    program: Program,
    targets: &Targets,
    options: &Options,
    errors: &mut Errors,
) -> io::Result<Sample> {
    let plan = Plan {
        connections: options.connections,
        in_flight: options.in_flight,
        time: Duration::from_secs(options.seconds),
    };
    let server = Server::start(program, &options.places)?;
    let before = (server.processor_time()?, own_processor_time()?);
    let alone = load::run(server.address, targets.echo, &plan)?;
    let after = (server.processor_time()?, own_processor_time()?);
    let bulk = load::bulk(server.address, targets.source, options.bulk << 20);
    let after_bulk = server.processor_time()?;
    let bulk_time = after_bulk.saturating_sub(after.0).as_secs_f64();
    let (bulk, bulk_processor_time) = match bulk {
        Ok(bulk) => (bulk, bulk_time / (options.bulk << 20) as f64),
        Err(error) => {
            load::note(errors, &error);
            (f64::NAN, f64::NAN)
        }
    };
    let memory_before = server.memory()?;
    let mut held = Held::open(server.address, options.held)?;
    let memory = server.memory()?.saturating_sub(memory_before);
    let memory = memory as f64 / (held.opened - held.ended.len()) as f64;
    let beside_held = load::run(server.address, targets.echo, &plan)?;
    held.must_all_be_there()?;
    if let Some(deadline) = program.deadline(&options.places) {
        held.wait_for_the_end(deadline + DROP_PATIENCE)?;
    }
    held.close();
    let connections = alone.latencies.len() as f64;
    Ok(Sample {
        processor_time: after.0.saturating_sub(before.0).as_secs_f64() / connections,
        own_processor_time: after.1.saturating_sub(before.1).as_secs_f64() / connections,
        alone,
        bulk,
        bulk_processor_time,
        held,
        memory,
        beside_held,
    })
}

impl Row {
    const fn new(program: Program) -> Self {
        Self {
            program,
            samples: Vec::new(),
            errors: Errors::new(),
        }
    }

    /// What is wrong, in any round.
    fn errors(&self) -> Errors {
        let mut sum = self.errors.clone();
        for sample in &self.samples {
            for errors in [
                &sample.alone.errors,
                &sample.held.errors,
                &sample.beside_held.errors,
            ] {
                for (error, count) in errors {
                    *sum.entry(error.clone()).or_default() += count;
                }
            }
        }
        sum
    }

    fn check(&self, options: &Options) -> Result<(), String> {
        let name = self.program.name();
        if let Some((error, count)) = self.errors().first_key_value() {
            return Err(format!("{name}: {count} times: {error}"));
        }
        let deadline = self.program.deadline(&options.places).unwrap_or_default();
        for Sample { held, .. } in &self.samples {
            if held.ended.iter().any(|age| *age < deadline) {
                return Err(format!("{name} ended a handshake before its deadline"));
            }
            if let Some(age) = held.ended.iter().max().filter(|age| **age > deadline + LATENESS) {
                let late = (*age - deadline).as_secs_f64();
                return Err(format!(
                    "{name} ended a handshake {late:.1} s behind its deadline"
                ));
            }
            if held.ended.len() < options.held {
                let left = options.held - held.ended.len();
                return Err(format!(
                    "{name} left {left} handshakes open behind their deadline"
                ));
            }
        }
        Ok(())
    }
}
