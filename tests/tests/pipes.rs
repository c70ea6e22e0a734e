//! A reader that has seen enough, or a terminal that is gone, is no error of a command and never a panic.

use std::process::{Command, Stdio};

use bocage_tests::lab::Lab;
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");
const SITE: &str = "cleveland";

/// The writing end of a pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A node that has begun its ledger.
fn running(lab: &Lab) -> Process {
    let node = lab.node(SITE, &[]);
    node.wait_for_line(&["the snapshot is in use"]);
    node
}

/// The exit code of a command whose results, and whose errors, nobody reads.
fn codes(lab: &Lab, args: &[&str]) -> [Option<i32>; 2] {
    let command = || {
        let mut command = Command::new(EXE);
        command.args(args).env("BOCAGE_PROFILE", lab.path("net/researcher/profile.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let code = |mut command: Command| command.status().expect("the command").code();
    let (mut silent, mut mute) = (command(), command());
    silent.stdout(unread());
    mute.stderr(unread());
    [code(silent), code(mute)]
}

#[test]
fn a_command_whose_output_nobody_reads_ends_as_it_would_otherwise() {
    let lab = Lab::new(EXE);
    let path = |below: &str| lab.path(below).to_str().expect("UTF-8").to_owned();
    let (coordinator, node) = (path("net/coordinator/coordinator.toml"), path("net/sites/cleveland/node.toml"));
    drop(running(&lab));
    let fine: [&[&str]; 6] = [
        &["coordinator", "check", "--config", &coordinator],
        &["node", "datasets", "refresh", "heart", "--config", &node],
        &["node", "datasets", "show", "heart", "--format", "csv", "--config", &node],
        &["node", "check", "--config", &node],
        &["node", "ledger", "show", "--format", "csv", "--config", &node],
        &["--help"],
    ];
    for args in fine {
        assert_eq!(codes(&lab, args), [Some(0), Some(0)], "{args:?}");
    }
    let study = path("study.toml");
    std::fs::write(&study, "title = 1").expect("a study");
    let wrong: [&[&str]; 6] = [
        &["coordinator", "check", "--config", "nowhere.toml"],
        &["coordinator", "serve", "--config", "nowhere.toml"],
        &["node", "run", "--config", "nowhere.toml"],
        &["study", "run", &study],
        &["network", "init", "nowhere.toml", "--out", "nowhere"],
        &["no-such-command"],
    ];
    for args in wrong {
        assert_eq!(codes(&lab, args), [Some(1), Some(1)], "{args:?}");
    }
}

#[test]
fn a_long_table_is_cut_off_by_its_reader_without_an_error() {
    let lab = Lab::new(EXE);
    let config = lab.site(SITE).join("node.toml");
    let config = config.to_str().expect("UTF-8");
    // More records than fit into any buffer of a writer.
    let args = ["node", "ledger", "show", "--format", "csv", "--config", config];
    let node = running(&lab);
    for word in ["pause", "resume"].repeat(30) {
        assert!(lab.run(&["node", word, "--config", config]).status.success());
    }
    drop(node);
    let length = lab.run(&args).stdout.len();
    assert!(length > 8192, "{length} bytes are no long table");
    assert_eq!(codes(&lab, &args), [Some(0), Some(0)]);
}
