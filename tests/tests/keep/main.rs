//! What keeps a network for years, with real processes: backups of daemons under load, ledgers that come back, the doctor, and files of every schema.

mod backup;
mod doctor;
mod schemas;
mod ways;

use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");
const SITE: &str = HOSPITALS[0];
const TWO: [&str; 2] = [HOSPITALS[0], HOSPITALS[1]];

/// A study of two sites about the patients above an age: another question for each age.
fn study(age: u32) -> String {
    format!(
        "title = \"Lab\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age > {age}\"\n\
         answer_within = \"5m\"\nsites = {TWO:?}\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n"
    )
}

/// The coordinator and two nodes, connected and heard.
fn running(lab: &Lab) -> (Process, Vec<Process>) {
    let coordinator = lab.coordinator();
    let nodes = TWO.iter().map(|site| lab.node(site, &[])).collect();
    lab.wait_for_offers(&TWO);
    (coordinator, nodes)
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs a command that must succeed; answers what it said on standard output.
fn fine(lab: &Lab, args: &[&str]) -> String {
    let output = lab.run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
