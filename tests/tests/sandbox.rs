//! The sandbox of a node: every act that must fail in a real process, a kernel that cannot confine one, and what children inherit.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bocage_tests::escapes::{Outcome, escapes};
use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::old_kernel;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

#[test]
fn every_act_that_leads_out_of_a_process_is_refused_with_the_sandbox_and_done_without_it() {
    let escapes = escapes(EXE);
    assert!(escapes.len() > 105, "{} acts", escapes.len());
    let wrong: Vec<_> =
        escapes.iter().filter(|e| (&e.on, &e.off) != (&Outcome::Refused, &Outcome::Succeeded)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn config(lab: &Lab) -> PathBuf {
    lab.site(HOSPITALS[0]).join("node.toml")
}

fn lab_command(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new(EXE);
    command.arg("node").args(args).arg("--config").arg(config(lab));
    command
}

#[test]
fn without_landlock_a_node_stays_down_and_names_the_override() {
    let lab = Lab::new(EXE);
    let run = lab_command(&lab, &["run"]).env(old_kernel::VARIABLE, "1").output().expect("the command");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("error: the supervisor cannot be confined: the kernel has no landlock"), "{said}");
    assert!(said.contains("require_sandbox = false in node.toml"), "{said}");
    let check = lab_command(&lab, &["check"]).env(old_kernel::VARIABLE, "1").output().expect("the command");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(
        said.contains("sandbox      no landlock, seccomp: the node does not start; require_sandbox = false"),
        "{said}"
    );
    let check = lab_command(&lab, &["check"]).output().expect("the command");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("sandbox      landlock ABI ") && said.contains("each process is confined"), "{said}");
}

#[test]
fn with_the_override_a_node_runs_without_landlock_and_says_so() {
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let env = [(old_kernel::VARIABLE, "1"), ("BOCAGE_NODE__REQUIRE_SANDBOX", "false")];
    let node = lab.node(HOSPITALS[0], &env.map(|(name, value)| (name.to_owned(), value.to_owned())));
    coordinator.wait_for_line(&["connected", HOSPITALS[0]]);
    node.wait_for_line(&["the agent cannot be confined: the kernel has no landlock", "require_sandbox = false"]);
}

#[test]
fn children_inherit_neither_files_nor_an_environment_that_was_meant_for_others() {
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let secret = lab.path("inherited");
    fs::write(&secret, "").expect("a file");
    let node = lab.node_with_open_file(HOSPITALS[0], &secret, &[("AWS_SECRET_ACCESS_KEY".to_owned(), "x".to_owned())]);
    coordinator.wait_for_line(&["connected", HOSPITALS[0]]);
    let files = |pid: u32| -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there");
        entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
    };
    assert!(files(node.pid()).contains(&secret), "the supervisor was started with it");
    for child in ["agent", "custodian"] {
        let pid = node.child_pid(child).expect("a child");
        assert!(!files(pid).contains(&secret), "{child}");
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("the process is there");
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("POLARS_MAX_THREADS=") && !environment.contains("AWS_"), "{child}: {environment}");
    }
}

#[test]
fn a_source_that_is_replaced_by_a_rename_is_read_by_the_next_ingest() {
    let lab = Lab::new(EXE);
    let hold = Hold::at_start(lab.path("").as_path());
    let node = lab.node(HOSPITALS[0], &[hold.env()]);
    let confined = hold.next();
    let data = lab.site(HOSPITALS[0]).join("data");
    fs::copy(data.join("heart.csv"), data.join("next.csv")).expect("a copy");
    fs::rename(data.join("next.csv"), data.join("heart.csv")).expect("it takes the place");
    confined.release();
    node.wait_for_line(&["the snapshot is in use"]);
}
