//! The life of real daemons: how they say how they are, what signals do, what systemd hears, and that no log, metric or file says what a row says.

mod canary;
mod signals;
mod systemd;
mod watching;

use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

fn everyone(lab: &Lab) -> (Process, Vec<Process>) {
    let coordinator = lab.coordinator();
    let nodes = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    lab.wait_for_offers(&HOSPITALS);
    (coordinator, nodes)
}

/// Men and women of some ages. `from` tells studies apart.
fn study(from: u32) -> String {
    format!(
        "title = \"Lab\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age between {from} and 80\"\n\
         answer_within = \"5m\"\nsites = {HOSPITALS:?}\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n"
    )
}
