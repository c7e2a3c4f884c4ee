//! Loads SOCKS5 servers on this machine, one after another, and prints the figures as tables.

mod client;
mod report;
mod server;
mod target;
mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use server::{Places, Program, Server, own_processor_time};
use tcp::{Held, Plan};
use udp::{Associations, Shape};

/// How long to wait for the end of held connections after their deadline.
const DROP_PATIENCE: Duration = Duration::from_secs(60);

/// How long after their deadline held connections may end.
const LATENESS: Duration = Duration::from_secs(5);

/// Loads SOCKS5 servers on loopback and prints tables
///
/// TCP: connections open and close (handshake, 1 KiB there and back), first alone, then while others are held open in the middle
/// of the handshake. Another connection carries a large download. UDP: associations keep datagrams in flight to a target and
/// back. In every round, each server is started, loaded and stopped. The tables show medians. An error of one of this crate's
/// servers, or a missed deadline, fails the run.
#[derive(Parser)]
struct Options {
    /// Load these servers [default: all that are installed]
    #[arg(value_name = "SERVER")]
    servers: Vec<Program>,
    /// Measure these protocols
    #[arg(long, value_delimiter = ',', default_value = "tcp,udp")]
    protocols: Vec<Protocol>,
    /// Run this many rounds
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Limit connections that open and close in one run
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    connections: usize,
    /// Limit the time of one run
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    seconds: u64,
    /// Open this many connections at a time
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    in_flight: usize,
    /// Hold this many connections in the middle of the handshake
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    held: usize,
    /// Download this many MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    bulk: u64,
    /// Run these UDP loads: ASSOCIATIONSxIN_FLIGHTxBYTES[+flood|+elsewhere]
    #[arg(
        long,
        value_name = "LOAD",
        value_delimiter = ',',
        default_value = "8x16x1200,1x1x1200,1x1x1200+flood,1x1x1200+elsewhere,1x16x9000,64x4x200"
    )]
    udp: Vec<Shape>,
    #[command(flatten)]
    places: Places,
    /// Write the tables into this file, between its markers
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write all medians into this file as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
}

/// Errors, and how often each occurred.
type Errors = BTreeMap<String, usize>;

fn note(errors: &mut Errors, error: &io::Error) {
    *errors.entry(error.to_string()).or_default() += 1;
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
        udp_echo: target::udp_echo()?,
    };
    let programs = options.programs()?;
    let mut tcp = Vec::new();
    if options.protocols.contains(&Protocol::Tcp) {
        tcp.extend(programs.iter().map(|&program| Row::new(program, ())));
    }
    let mut udp = Vec::new();
    if options.protocols.contains(&Protocol::Udp) {
        for &shape in &options.udp {
            let programs = programs.iter().filter(|program| program.relays_udp());
            udp.extend(programs.map(|&program| Row::new(program, shape)));
        }
    }
    for round in 1..=options.rounds {
        for row in &mut tcp {
            row.measure(round, |program, (), errors| {
                let sample = measure_tcp(program, &targets, options, errors)?;
                Ok((report::brief_tcp(&sample), sample))
            });
            row.collect_errors();
        }
        for row in &mut udp {
            row.measure(round, |program, shape, _| {
                let sample = measure_udp(program, shape, &targets, options)?;
                Ok((report::brief_udp(shape, &sample), sample))
            });
        }
    }
    let tables = report::tables(&tcp, &udp, options);
    print!("{}", tables.markdown);
    if let Some(path) = &options.write {
        report::write(path, &tables.markdown).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &options.csv {
        std::fs::write(path, tables.csv).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for row in tcp.iter().filter(|row| row.program.is_ours()) {
        row.check(options)?;
    }
    for row in udp.iter().filter(|row| row.program.is_ours()) {
        row.check_errors()?;
    }
    Ok(())
}

/// This program and the server need one descriptor for each held connection, and some more.
fn allow_descriptors(held: usize) -> Result<(), Box<dyn Error>> {
    let limit = getrlimit(Resource::Nofile);
    let needed = held as u64 + 1024;
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(
            format!("holding {held} connections needs {needed} descriptors: raise `ulimit -Hn`").into(),
        );
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(())
}

impl Options {
    /// Returns the servers that were named, or otherwise those that are installed.
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

/// The targets of the tunnels and associations.
struct Targets {
    echo: SocketAddr,
    source: SocketAddr,
    udp_echo: SocketAddr,
}

/// A server under a load, and the sample of each round.
struct Row<L, S> {
    program: Program,
    load: L,
    samples: Vec<S>,
    /// Errors that are not part of a sample.
    errors: Errors,
}

type TcpRow = Row<(), TcpSample>;
type UdpRow = Row<Shape, UdpSample>;

struct TcpSample {
    alone: tcp::Run,
    /// The processor time of the server and of this program for each connection of `alone`, in seconds.
    processor_time: f64,
    own_processor_time: f64,
    /// Bytes a second.
    bulk: f64,
    /// The processor time of the server for one byte, in seconds.
    bulk_processor_time: f64,
    held: Held,
    /// Bytes for each connection held.
    memory: f64,
    beside_held: tcp::Run,
}

struct UdpSample {
    run: udp::Run,
    /// The processor time of the server for each round trip, in seconds.
    processor_time: f64,
}

fn measure_tcp(
    program: Program,
    targets: &Targets,
    options: &Options,
    errors: &mut Errors,
) -> io::Result<TcpSample> {
    let plan = Plan {
        connections: options.connections,
        in_flight: options.in_flight,
        time: Duration::from_secs(options.seconds),
    };
    let server = Server::start(program, &options.places)?;
    let before = (server.processor_time()?, own_processor_time()?);
    let alone = tcp::run(server.address, targets.echo, &plan)?;
    let after = (server.processor_time()?, own_processor_time()?);
    let bulk = tcp::bulk(server.address, targets.source, options.bulk << 20);
    let after_bulk = server.processor_time()?;
    let bulk_time = after_bulk.saturating_sub(after.0).as_secs_f64();
    let (bulk, bulk_processor_time) = match bulk {
        Ok(bulk) => (bulk, bulk_time / (options.bulk << 20) as f64),
        Err(error) => {
            note(errors, &error);
            (f64::NAN, f64::NAN)
        }
    };
    let memory_before = server.memory()?;
    let mut held = Held::open(server.address, options.held.min(program.max_held()))?;
    let memory = server.memory()?.saturating_sub(memory_before);
    let memory = memory as f64 / (held.opened - held.ended.len()) as f64;
    let beside_held = tcp::run(server.address, targets.echo, &plan)?;
    held.must_all_be_there()?;
    if let Some(deadline) = program.deadline(&options.places) {
        held.wait_for_the_end(deadline + DROP_PATIENCE)?;
    }
    held.close();
    let connections = alone.latencies.len() as f64;
    Ok(TcpSample {
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

fn measure_udp(
    program: Program,
    shape: Shape,
    targets: &Targets,
    options: &Options,
) -> io::Result<UdpSample> {
    let server = Server::start(program, &options.places)?;
    let mut associations = Associations::open(server.address, targets.udp_echo, shape)?;
    // The first datagrams open sockets and allocate buffers.
    associations.run(Duration::from_millis(100))?;
    let before = server.processor_time()?;
    let run = associations.run(Duration::from_secs(options.seconds))?;
    let processor_time = server.processor_time()?.saturating_sub(before);
    if run.received == 0 {
        return Err(io::Error::other("no datagram was answered"));
    }
    Ok(UdpSample {
        processor_time: processor_time.as_secs_f64() / run.received as f64,
        run,
    })
}

impl<L: Copy, S> Row<L, S> {
    const fn new(program: Program, load: L) -> Self {
        Self {
            program,
            load,
            samples: Vec::new(),
            errors: Errors::new(),
        }
    }

    /// Adds the sample of a round.
    fn measure(
        &mut self,
        round: u32,
        sample: impl FnOnce(Program, L, &mut Errors) -> io::Result<(String, S)>,
    ) {
        let name = self.program.name();
        match sample(self.program, self.load, &mut self.errors) {
            Ok((brief, sample)) => {
                eprintln!("round {round}: {name}: {brief}");
                self.samples.push(sample);
            }
            Err(error) => {
                eprintln!("round {round}: {name}: {error}");
                note(&mut self.errors, &error);
            }
        }
    }

    fn check_errors(&self) -> Result<(), String> {
        match self.errors.first_key_value() {
            Some((error, count)) => Err(format!("{}: {count} times: {error}", self.program.name())),
            None => Ok(()),
        }
    }
}

impl TcpRow {
    /// Adds the errors of the samples to the other errors.
    fn collect_errors(&mut self) {
        for sample in &mut self.samples {
            for errors in [
                &mut sample.alone.errors,
                &mut sample.held.errors,
                &mut sample.beside_held.errors,
            ] {
                for (error, count) in std::mem::take(errors) {
                    *self.errors.entry(error).or_default() += count;
                }
            }
        }
    }

    fn check(&self, options: &Options) -> Result<(), String> {
        self.check_errors()?;
        let name = self.program.name();
        let deadline = self.program.deadline(&options.places).unwrap_or_default();
        for TcpSample { held, .. } in &self.samples {
            if held.ended.iter().any(|age| *age < deadline) {
                return Err(format!("{name} ended a handshake before its deadline"));
            }
            if let Some(age) = held.ended.iter().max().filter(|age| **age > deadline + LATENESS) {
                let late = (*age - deadline).as_secs_f64();
                return Err(format!("{name} ended a handshake {late:.1} s after its deadline"));
            }
            let wanted = options.held.min(self.program.max_held());
            if held.ended.len() < wanted {
                let left = wanted - held.ended.len();
                return Err(format!("{name} left {left} handshakes open after their deadline"));
            }
        }
        Ok(())
    }
}
