//! Code that the examples share with the documentation is identical.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a source file")
}

#[test]
fn advance_helper_is_the_documented_one() {
    let documented = read("src/guide/advance.rs");
    assert!(documented.contains("fn advance"), "{documented:?}");
    assert!(read("examples/tokio_client.rs").contains(&documented));
}

/// Returns the first example of a page, up to its hidden lines. Comments are left out.
fn first_example(page: &str) -> String {
    let page = read(page);
    let (_, example) = page.split_once("\nuse sans_socks::").expect("an example");
    let lines = example
        .lines()
        .take_while(|line| !line.starts_with("# ") && *line != "```");
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

#[test]
fn servers_of_readme_and_guide_are_the_same() {
    let readme = first_example("README.md");
    assert!(readme.contains("fn serve"), "{readme:?}");
    assert_eq!(readme, first_example("src/guide/server.md"));
}

/// Returns how many lines a function has, with its signature and its end.
fn lines_of(function: &str, page: &str) -> usize {
    let page = read(page).replace("/// ", "").replace("//! ", "");
    let (_, rest) = page.split_once(function).expect("the function");
    rest.lines().take_while(|line| *line != "}").count() + 1
}

#[test]
fn smallest_programs_are_short() {
    assert!(lines_of("fn connect(", "src/machine.rs") <= 10);
    assert!(lines_of("fn serve(", "src/guide/server.md") <= 20);
    assert!(lines_of("async fn serve(", "src/guide/server.md") <= 25);
}

/// The drivers also read arguments, accept SOCKS4 and set deadlines. They answer the other decisions as the guide does.
#[test]
fn drivers_answer_as_the_guide_does() {
    for (driver, page) in [
        ("std_server", "server"),
        ("tokio_server", "server"),
        ("mio_server", "server"),
        ("std_client", "client"),
    ] {
        let guide = first_example(&format!("src/guide/{page}.md"));
        let driver = read(&format!("examples/{driver}.rs")).replace("Output::", "Decision::");
        let arms = guide.lines().map(str::trim).filter(|line| {
            let is_last = line.starts_with("_ =>") || line.starts_with("Decision::Closed");
            is_last || line.starts_with("Decision::PendingRequest")
        });
        let arms: Vec<_> = arms
            .map(|arm| arm.replace("io::ErrorKind", "ErrorKind"))
            .collect();
        assert!(arms.len() >= 2, "{guide}");
        let driver = driver.replace("io::ErrorKind", "ErrorKind");
        for arm in arms {
            assert!(driver.contains(&arm), "{arm}");
        }
    }
}
