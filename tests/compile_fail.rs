//! Protocol mistakes that do not compile.
//!
//! Each case is a program with one wrong line, which must be the only error. Only the code of the error or the name of the lint
//! is compared, because the wording may change. The same program with that line corrected must compile, so that no other mistake
//! causes the error. A `compile_fail` example in the documentation checks neither.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

struct Case {
    name: &'static str,
    /// The code of the only error.
    code: &'static str,
    /// The program, in which `LINE` marks the line.
    program: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "second_reply",
        code: "E0382",
        program: "
            pub fn answer(pending: server::PendingRequest<'_>) {
                pending.accept(Address::UNSPECIFIED);
                LINE
            }",
        wrong: "pending.reject(ReplyCode::GENERAL_FAILURE);",
        right: "",
    },
    Case {
        name: "second_answer_to_credentials",
        code: "E0382",
        program: "
            pub fn answer(authenticate: server::Authenticate<'_>) {
                authenticate.reject();
                LINE
            }",
        wrong: "authenticate.accept();",
        right: "",
    },
    Case {
        name: "third_bind_reply",
        code: "E0382",
        program: "
            pub fn answer(pending: server::PendingPeer<'_>) {
                pending.accept(Address::UNSPECIFIED);
                LINE
            }",
        wrong: "pending.accept(Address::UNSPECIFIED);",
        right: "",
    },
    Case {
        name: "second_selection",
        code: "E0382",
        program: "
            pub fn answer(select: server::SelectMethod<'_>) {
                select.select_preferred(&[Method::NO_AUTHENTICATION]);
                LINE
            }",
        wrong: "select.reject();",
        right: "",
    },
    Case {
        name: "second_answer_of_a_server_negotiation",
        code: "E0382",
        program: "
            pub fn answer(negotiate: server::Negotiate<'_>) {
                negotiate.accept();
                LINE
            }",
        wrong: "negotiate.reject();",
        right: "",
    },
    Case {
        name: "second_answer_of_a_client_negotiation",
        code: "E0382",
        program: "
            pub fn answer(negotiate: client::Negotiate<'_>) {
                negotiate.reject();
                LINE
            }",
        wrong: "negotiate.accept();",
        right: "",
    },
    Case {
        name: "second_answer_to_a_request",
        code: "E0382",
        program: "
            pub fn answer(pending: server::PendingRequest<'_>, bound: Result<Address<'_>, ReplyCode>) {
                pending.answer(bound);
                LINE
            }",
        wrong: "pending.answer(bound);",
        right: "",
    },
    Case {
        name: "reply_before_the_request",
        code: "E0599",
        program: "
            pub fn answer(select: server::SelectMethod<'_>) {
                LINE
            }",
        wrong: "select.accept(Address::UNSPECIFIED);",
        right: "select.reject();",
    },
    Case {
        name: "reply_without_a_request",
        code: "E0624",
        program: "
            pub fn answer(handshake: &mut server::Handshake) {
                LINE
            }",
        wrong: "handshake.reject(ReplyCode::GENERAL_FAILURE);",
        right: "handshake.handle_eof();",
    },
    Case {
        name: "token_constructed_by_the_caller",
        code: "E0451",
        program: "
            pub fn answer(handshake: &mut server::Handshake) {
                LINE
                authenticate.accept();
            }",
        wrong: "let authenticate = server::Authenticate { handshake };",
        right: "let server::Output::Authenticate(authenticate) = handshake.poll_output() else { return };",
    },
    Case {
        name: "request_before_authentication",
        code: "E0599",
        program: "
            pub fn target(authenticate: &server::Authenticate<'_>) -> usize {
                LINE
            }",
        wrong: "authenticate.request().command.get().into()",
        right: "authenticate.credentials().username().len()",
    },
    Case {
        name: "server_output_not_used",
        code: "unused_must_use",
        program: "
            #[deny(unused_must_use)]
            pub fn step(handshake: &mut server::Handshake) {
                LINE
            }",
        wrong: "handshake.poll_output();",
        right: "let _output = handshake.poll_output();",
    },
    Case {
        name: "client_output_not_used",
        code: "unused_must_use",
        program: "
            #[deny(unused_must_use)]
            pub fn step(handshake: &mut client::Handshake) {
                LINE
            }",
        wrong: "handshake.poll_output();",
        right: "let _output = handshake.poll_output();",
    },
    Case {
        name: "failed_selection_not_noticed",
        code: "unused_must_use",
        program: "
            #[deny(unused_must_use)]
            pub fn answer(select: server::SelectMethod<'_>) {
                LINE
            }",
        wrong: "select.select(Method::GSSAPI);",
        right: "select.select(Method::GSSAPI).unwrap();",
    },
    Case {
        name: "output_overlooked",
        code: "E0004",
        program: "
            pub fn is_over(output: client::Output<'_>) -> bool {
                match output {
                    client::Output::Established(_) | client::Output::Closed(_) => true,
                    client::Output::Transmit(_) | client::Output::NeedInput { .. } => false,
                    client::Output::Negotiate(_) => false,
                    LINE
                }
            }",
        wrong: "",
        right: "client::Output::Bound(_) => false,",
    },
    Case {
        name: "request_read_after_its_answer",
        code: "E0382",
        program: "
            pub fn answer(pending: server::PendingRequest<'_>) {
                pending.accept(Address::UNSPECIFIED);
                LINE
            }",
        wrong: "drop(pending.request());",
        right: "",
    },
    Case {
        name: "credentials_kept_after_the_answer",
        code: "E0505",
        program: "
            pub fn answer(authenticate: server::Authenticate<'_>) -> usize {
                let credentials = authenticate.credentials();
                let len = credentials.username().len();
                authenticate.accept();
                LINE
            }",
        wrong: "len + credentials.password().len()",
        right: "len",
    },
    Case {
        name: "bytes_confirmed_twice",
        code: "E0382",
        program: "
            pub fn write(transmit: Transmit<'_>) {
                transmit.sent(1);
                LINE
            }",
        wrong: "transmit.sent_all();",
        right: "",
    },
    Case {
        name: "decision_overlooked",
        code: "E0004",
        program: "
            pub fn is_over(decision: server::Decision<'_>) -> bool {
                match decision {
                    server::Decision::Established(_) | server::Decision::Closed(_) => true,
                    server::Decision::SelectMethod(_) | server::Decision::Authenticate(_) => false,
                    server::Decision::Negotiate(_) | server::Decision::PendingRequest(_) => false,
                    LINE
                }
            }",
        wrong: "",
        right: "server::Decision::PendingPeer(_) => false,",
    },
    Case {
        name: "io_not_used",
        code: "unused_must_use",
        program: "
            #[deny(unused_must_use)]
            pub fn step(io: Option<Io<'_>>) {
                if let Some(io) = io {
                    LINE
                }
            }",
        wrong: "identity(io);",
        right: "drop(identity(io));",
    },
    Case {
        name: "consumed_bytes_not_counted",
        code: "unused_must_use",
        program: "
            #[deny(unused_must_use)]
            pub fn step(machine: &mut impl Machine) {
                LINE
            }",
        wrong: "machine.handle_input(&[5]);",
        right: "let _consumed = machine.handle_input(&[5]);",
    },
    Case {
        name: "machine_implemented_elsewhere",
        code: "E0277",
        program: "
            pub struct Own;
            LINE",
        wrong: "
            impl Machine for Own {
                type Decision<'a> = ();
                fn handle_input(&mut self, _: &[u8]) -> usize { 0 }
                fn handle_eof(&mut self) {}
                fn poll_io(&mut self) -> Option<Io<'_>> { None }
                fn poll_decision(&mut self) -> Option<()> { Some(()) }
            }",
        right:
            "
            pub fn decide<M: Machine>(machine: &mut M) -> Option<M::Decision<'_>> { machine.poll_decision() }",
    },
    Case {
        name: "decision_held_while_polled",
        code: "E0499",
        program: "
            pub fn step(handshake: &mut server::Handshake) {
                let decision = handshake.poll_decision();
                let _io = handshake.poll_io();
                LINE
            }",
        wrong: "drop(decision);",
        right: "",
    },
    Case {
        name: "bound_address_after_waiting",
        code: "E0382",
        program: "
            pub fn bound(bound: client::Bound<'_>) {
                bound.wait_for_peer();
                LINE
            }",
        wrong: "bound.address();",
        right: "",
    },
    Case {
        name: "two_tokens",
        code: "E0499",
        program: "
            pub fn step(handshake: &mut server::Handshake) {
                let first = handshake.poll_output();
                let _second = handshake.poll_output();
                LINE
            }",
        wrong: "drop(first);",
        right: "",
    },
    Case {
        name: "input_while_a_token_is_held",
        code: "E0499",
        program: "
            pub fn step(handshake: &mut client::Handshake) {
                let output = handshake.poll_output();
                handshake.handle_input(&[]);
                LINE
            }",
        wrong: "drop(output);",
        right: "",
    },
    Case {
        name: "machine_copied",
        code: "E0599",
        program: "
            pub fn fork(handshake: server::Handshake) -> server::Handshake {
                LINE
            }",
        wrong: "handshake.clone()",
        right: "handshake",
    },
    Case {
        name: "credentials_compared_in_variable_time",
        code: "E0369",
        program: "
            pub fn judge(a: Credentials<'_>, b: Credentials<'_>) -> bool {
                LINE
            }",
        wrong: "a == b",
        right: "a.verify(b.username(), b.password())",
    },
    Case {
        name: "credentials_printed",
        code: "E0277",
        program: "
            pub fn log(credentials: Credentials<'_>) -> String {
                LINE
            }",
        wrong: "format!(\"{credentials}\")",
        right: "format!(\"{credentials:?}\")",
    },
];

///
#[test]
fn protocol_mistakes_do_not_compile() {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    write_package(&package);

    let outcome = Command::new(env!("CARGO"))
        .args([
            "check",
            "--offline",
            "--bins",
            "--keep-going",
            "--message-format=json",
        ])
        .current_dir(&package)
        // A separate directory, because the caller of this test may have locked the other one.
        .env("CARGO_TARGET_DIR", package.join("target"))
        // With these flags, the dependencies would be compiled again.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    let messages = String::from_utf8(outcome.stdout).unwrap();
    let log = String::from_utf8_lossy(&outcome.stderr);

    let mut codes: HashMap<String, Vec<String>> = HashMap::new();
    let mut compiled = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let target = message["target"]["name"].as_str().unwrap_or_default().to_owned();
        match message["reason"].as_str() {
            Some("compiler-artifact") => compiled.push(target),
            Some("compiler-message") => {
                // The summary at the end has no error code.
                if let Some(code) = message["message"]["code"]["code"].as_str() {
                    codes.entry(target).or_default().push(code.to_owned());
                }
            }
            _ => {}
        }
    }

    for Case { name, code, .. } in CASES {
        let (wrong, right) = (format!("{name}_wrong"), format!("{name}_right"));
        assert_eq!(
            codes.get(&wrong),
            Some(&vec![(*code).to_owned()]),
            "{wrong}\n{log}"
        );
        assert!(!compiled.contains(&wrong), "{wrong} compiles");
        assert_eq!(codes.get(&right), None, "{right}\n{log}");
        assert!(compiled.contains(&right), "{right} does not compile\n{log}");
    }
}

/// Writes a package with two programs for each case, which depends only on this crate.
fn write_package(package: &Path) {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = package.join("src/bin");
    // Removes programs of an earlier version of this file.
    let _ = fs::remove_dir_all(package.join("src"));
    fs::create_dir_all(&programs).unwrap();
    let manifest = format!(
        "[package]\nname = \"compile-fail\"\nedition = \"2024\"\n\n\
         [dependencies]\nsans-socks = {{ path = {crate_root:?}, default-features = false }}\n\n\
         [workspace]\n"
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    // Uses the same versions, so that nothing is downloaded.
    fs::copy(crate_root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();

    for case in CASES {
        for (suffix, line) in [("wrong", case.wrong), ("right", case.right)] {
            assert_eq!(case.program.matches("LINE").count(), 1, "{}", case.name);
            let program = case.program.replace("LINE", line);
            let program = format!(
                "#![allow(unused)]\n\
                 use core::convert::identity;\n\
                 use sans_socks::{{Address, Credentials, Io, Machine, Method, ReplyCode, Transmit, client, server}};\n\
                 {program}\n\
                 fn main() {{}}\n"
            );
            fs::write(programs.join(format!("{}_{suffix}.rs", case.name)), program).unwrap();
        }
    }
}
