//! The command line, exit codes, and shutdown.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use clap::CommandFactory;
use sans_socks_proxy::Options;

use crate::common::{Program, Raw, accept, command, config, eventually, listener, options, run, write_file};

/// The program ends with code 2, prints the reason, and has opened no port.
#[track_caller]
fn expect_refused(args: &[&str], reason: &str) {
    let (code, stdout, stderr) = run(command(args));
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
    assert!(stderr.contains(reason), "{args:?}: {stderr}");
}

#[test]
fn wrong_setting_is_refused_before_a_port_opens() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("password");
    write_file(&file, "secret\n");
    let file = file.to_str().expect("text");
    let long = "x".repeat(256);
    for (args, reason) in [
        (&["--listen", "0.0.0.0:0"][..], "--open"),
        (&["--listen", "[::]:0"], "--open"),
        (
            &["--listen", "127.0.0.1:0", "--listen", "192.0.2.1:0"],
            "192.0.2.1:0 would serve everyone",
        ),
        (&["--user", "alice"], "--password-file"),
        (&["--password", "secret"], "--user"),
        (
            &["--user", "", "--password", "secret"],
            "user name of 0 bytes, expected at least 1",
        ),
        (&["--user", "alice", "--password", &long], "password of 256 bytes"),
        (
            &["--user", "alice", "--password", "a", "--password-file", file],
            "keep one",
        ),
        (
            &["--user", "alice", "--password-file", "/nonexistent"],
            "/nonexistent",
        ),
        (
            &["--socks4", "--user", "alice", "--password", "secret"],
            "--socks4",
        ),
        (&["--allow", "example.com"], "10.0.0.0/8"),
        (&["--deny", "10.0.0.0/99"], "10.0.0.0/8"),
        (&["--bind-address", "192.0.2.1"], "address of this host"),
        (
            &["--bind-address", "127.0.0.1", "--bind-address", "127.0.0.2"],
            "keep one",
        ),
        (&["--udp-bind", "192.0.2.1"], "address of this host"),
        (&["--udp-advertise", "0.0.0.0"], "--udp-advertise"),
        (&["--udp-ports", "2000-1000"], "40000-40999"),
        (&["--udp-ports", "0-1000"], "40000-40999"),
        (&["--max-connections", "0"], "--max-connections"),
        (&["--idle-timeout", "0"], "--idle-timeout"),
        (&["--handshake-timeout", "soon"], "--handshake-timeout"),
        (&["--no-such-option"], "--no-such-option"),
    ] {
        expect_refused(args, reason);
    }
}

#[test]
fn taken_port_ends_with_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = taken.local_addr().expect("it listens").to_string();
    let (code, stdout, stderr) = run(command(&["--listen", &address]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.contains(&format!("cannot listen on {address}")),
        "{stderr}"
    );
}

#[test]
fn help_and_version_are_printed() {
    let (code, stdout, _) = run(command(&["--version"]));
    assert_eq!(code, Some(0));
    assert_eq!(
        stdout.trim(),
        concat!("sans-socks-proxy ", env!("CARGO_PKG_VERSION"))
    );
    let mut help = command(&["--help"]);
    help.env("SANS_SOCKS_PASSWORD", "hunter2");
    let (code, stdout, _) = run(help);
    assert_eq!(code, Some(0));
    for option in [
        "--listen",
        "--user",
        "--password",
        "--password-file",
        "SANS_SOCKS_PASSWORD",
        "--open",
        "--allow",
        "--deny",
        "--max-connections",
        "--max-per-client",
        "--handshake-timeout",
        "--idle-timeout",
        "--socks4",
        "--bind-address",
        "--udp-bind",
        "--udp-advertise",
        "--udp-ports",
        "--udp-any-port",
        "Exit codes",
    ] {
        assert!(stdout.contains(option), "{option}");
    }
    assert!(!stdout.contains("hunter2"), "the environment's password");
}

#[test]
fn help_of_each_option_is_short() {
    for option in Options::command().get_arguments() {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let len = help.chars().count();
        assert!(
            (10..=70).contains(&len) && !help.ends_with('.'),
            "{len} characters: {help}"
        );
        // One longer text would change the layout of all of `--help`.
        assert!(
            option.get_long_help().is_none(),
            "more than one paragraph: {help}"
        );
    }
}

#[test]
fn password_is_read_from_a_file_or_the_environment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("password");
    write_file(&file, "from a file\r\nsecond line\n");
    let by_file = Program::start(&["--user", "alice", "--password-file", file.to_str().expect("text")]);
    assert_eq!(Raw::connect(by_file.address).log_in("from a file"), 0);
    assert_eq!(Raw::connect(by_file.address).log_in("second line"), 1);

    let mut by_environment = command(&["--listen", "127.0.0.1:0", "--user", "alice"]);
    by_environment.env("SANS_SOCKS_PASSWORD", "from the environment");
    let by_environment = Program::spawn(by_environment);
    assert_eq!(
        Raw::connect(by_environment.address).log_in("from the environment"),
        0
    );
    assert_eq!(Raw::connect(by_environment.address).log_in(""), 1);
}

#[test]
fn listening_lines_name_every_address() {
    let mut program = Program::start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    Raw::greeted(program.address);
    program.signal("TERM"); // so that stdout ends even if a line is missing
    let mut rest = String::new();
    program.stdout.read_to_string(&mut rest).expect("text");
    let second = rest.trim_end().strip_prefix("listening on [::1]:");
    assert!(second.is_some_and(|port| port.parse::<u16>().is_ok()), "{rest:?}");
}

/// SIGTERM: no new connections, open tunnels finish, exit code 0.
#[test]
fn sigterm_lets_tunnels_finish() {
    let program = Program::start(&["--drain-timeout", "60"]);
    let (target, address) = listener();
    let mut client = program.client().tunnel(address);
    let mut far = accept(&target);
    program.signal("TERM");
    eventually("connections are refused", || {
        std::net::TcpStream::connect(program.address).is_err()
    });
    client.send(b"after the signal");
    far.expect(b"after the signal");
    far.send(b"answer");
    client.expect(b"answer");
    client.end();
    far.expect_end();
    drop(far);
    client.expect_end();
    let (status, stderr) = program.finish();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

/// A download that is cut must not look complete.
#[test]
fn drain_timeout_cuts_what_is_left() {
    for seconds in 0..=1 {
        let program = Program::start(&["--drain-timeout", &seconds.to_string()]);
        let (target, address) = listener();
        let mut client = program.client().tunnel(address);
        let mut far = accept(&target);
        far.send(b"half of the answer");
        client.expect(b"half of the answer");
        let start = Instant::now();
        program.signal("INT");
        client.expect_reset();
        far.expect_reset();
        let elapsed = start.elapsed();
        assert!(
            (seconds..seconds + 10).contains(&elapsed.as_secs()),
            "{elapsed:?}"
        );
        let (status, stderr) = program.finish();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("connections that are still open: 1"), "{stderr}");
    }
}

#[test]
fn second_signal_ends_at_once() {
    let program = Program::start(&["--drain-timeout", "600"]);
    let (target, address) = listener();
    let _client = program.client().tunnel(address);
    let _far = accept(&target);
    program.signal("TERM");
    eventually("connections are refused", || {
        std::net::TcpStream::connect(program.address).is_err()
    });
    program.signal("TERM");
    assert_eq!(program.finish().0.code(), Some(1));
}

/// Causes this many log lines, a multiple of 4.
fn log_lines(proxy: SocketAddr, lines: usize) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..lines / 4 {
                    let mut bad = Raw::connect(proxy);
                    bad.send(b"G");
                    bad.expect_end();
                }
            });
        }
    });
}

/// Stderr is no longer read, as with a supervisor that hangs or a terminal after Ctrl-S. About 1,000 failed connections once
/// stopped the whole server. The lines here fill the pipe and the queue, so some are dropped, and a later line reports how
/// many.
#[test]
fn full_log_stops_nothing() {
    const LINES: usize = 8000;
    let mut program = Program::start(&["--max-connections", "1000"]);
    let (target, address) = listener();
    let mut tunnel = program.client().tunnel(address);
    let mut far = accept(&target);
    log_lines(program.address, LINES);
    tunnel.send(b"x");
    far.expect(b"x");
    program.client();
    let stderr = BufReader::new(program.child.stderr.take().expect("piped"));
    let (mut written, mut dropped) = (0, 0);
    for line in stderr.lines() {
        let line = line.expect("text");
        match line.split_once(" log lines were dropped") {
            Some((count, _)) => dropped += count.parse::<usize>().expect("a number"),
            None => written += 1,
        }
        if written + dropped >= LINES {
            break;
        }
    }
    assert_eq!(written + dropped, LINES);
    assert!(written > 4096 && dropped > 0, "{written} lines were kept");
}

/// Lines that were dropped shortly before the end are reported at the end.
#[test]
fn dropped_lines_are_counted_at_the_end() {
    const LINES: usize = 6000;
    let mut program = Program::start(&["--max-connections", "1000"]);
    log_lines(program.address, LINES);
    program.signal("TERM");
    let stderr = io::read_to_string(program.child.stderr.take().expect("piped")).expect("text");
    assert_eq!(program.finish().0.code(), Some(0));
    let report = |line: &str| {
        line.split_once(" log lines were dropped")?
            .0
            .parse::<usize>()
            .ok()
    };
    let dropped: usize = stderr.lines().filter_map(report).sum();
    let written = stderr.lines().filter(|line| report(line).is_none()).count();
    assert!(dropped > 0, "{written} lines were written");
    assert_eq!(written + dropped, LINES + 1); // one more line reports that the program stops
}

/// The log lines of a loop that fails again and again are limited. It pauses each time, so it uses little processor time.
#[test]
fn lack_of_descriptors_fills_no_log() {
    let mut program = Program::with_descriptors(24, &["--max-connections", "1000"]);
    let start = Instant::now();
    let mut held: Vec<_> = (0..40).map(|_| Raw::connect(program.address)).collect();
    eventually("no descriptor is left", || program.descriptors() >= 23);
    let before = program.processor_time();
    std::thread::sleep(Duration::from_millis(1500));
    let used = program.processor_time() - before;
    assert!(used < Duration::from_millis(300), "{used:?} of 1.5 s");
    held.truncate(2);
    eventually("descriptors are free again", || program.descriptors() < 20);
    program.client();
    program.child.kill().expect("a child");
    let (_, stderr) = program.finish();
    let lines = stderr.lines().filter(|line| line.contains("accept:")).count();
    let most = 1 + start.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&(lines as u64)), "{stderr}");
}

/// The settings do not show the password when they are printed for debugging.
#[test]
fn password_is_not_in_debug_output() {
    let args = ["--user", "alice", "--password", "hunter2"];
    let text = format!("{:?} {:?}", options(&args), config(&args));
    assert!(text.contains("max_per_client: 512"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

/// An IPv4-mapped address is the IPv4 address.
#[test]
fn ipv4_mapped_addresses_are_ipv4_addresses() {
    let mapped = [
        "--bind-address",
        "::ffff:127.0.0.3",
        "--udp-bind",
        "::ffff:127.0.0.4",
    ];
    let mapped = [&mapped[..], &["--udp-advertise", "::ffff:192.0.2.9"]].concat();
    let plain: Vec<_> = mapped
        .iter()
        .map(|arg| arg.trim_start_matches("::ffff:"))
        .collect();
    assert_eq!(format!("{:?}", config(&mapped)), format!("{:?}", config(&plain)));
}

/// The log does not contain the password of the command line.
#[test]
fn password_is_not_logged() {
    let mut program = Program::start(&[
        "--user",
        "alice",
        "--password",
        "hunter2hunter2",
        "--log-level",
        "debug",
    ]);
    assert_eq!(Raw::connect(program.address).log_in("hunter2hunter2"), 0);
    assert_eq!(Raw::connect(program.address).log_in("wrong-password"), 1);
    program.signal("TERM");
    eventually("it ends", || program.child.try_wait().expect("a child").is_some());
    let (_, stderr) = program.finish();
    assert!(stderr.contains("authentication rejected"), "{stderr}");
    assert!(
        !stderr.contains("hunter2") && !stderr.contains("wrong-password"),
        "{stderr}"
    );
}
