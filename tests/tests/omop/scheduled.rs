//! A running node beside a warehouse: it takes its snapshots by itself, each in a process that is confined.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use bocage_tests::clock::Steps;
use bocage_tests::escapes;
use bocage_tests::process::Process;

use super::started::Server;

const HOUR: i64 = 3600;

#[test]
fn a_running_node_reads_a_warehouse_at_its_start_and_by_schedule_and_its_ingests_are_confined() {
    let Some(server) = Server::shared() else { return };
    let network = super::days::network(&server, "scheduled", "refresh = \"2h\"");
    let config = network.text("net/sites/hospital/node.toml");
    let steps = Steps::new(&network.path(""));
    let env = [steps.env(), (escapes::DIALS.to_owned(), "1".to_owned())];
    let args = ["node", "run", "--config", &config].map(OsStr::new);
    let node = Process::start("hospital", Path::new(env!("CARGO_BIN_EXE_bocage-lab")), &args, &env);
    let at = node.wait_for_line(&["took a snapshot", "periods", "rows=1000"]);
    let at = node.wait_for_line_after(at, &["the snapshot is in use"]);

    server.sql("scheduled", &super::days::view("2000"));
    steps.set(3 * HOUR);
    // The schedule is looked at once a minute, and then an ingest begins.
    let at = node.wait_for_line_after(at, &["no session", "in a row: 3"]);
    let at = node.wait_for_line_after(at, &["taking a snapshot", "periods", "older"]);
    let at = node.wait_for_line_after(at, &["took a snapshot", "periods", "rows=2000"]);
    node.wait_for_line_after(at, &["the snapshot is in use"]);
    let log = node.log();
    drop(node);
    let sockets = |outcome: &str| log.lines().filter(|line| line.contains(&format!("a socket: {outcome}"))).count();
    assert!(sockets("Err(1)") >= 2 && sockets("Ok") == 0, "{log}");
    let mut show = Command::new(env!("CARGO_BIN_EXE_bocage-lab"));
    let shown = show.args(["node", "ledger", "show", "--format", "json", "--config", &config]).output();
    let shown = String::from_utf8(shown.expect("the command").stdout).expect("UTF-8");
    assert!(shown.contains("\"start\"") && shown.contains("\"schedule\""), "{shown}");
}
