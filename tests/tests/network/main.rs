//! A whole network as real processes over real sockets: its ordinary bad days, and those who should not get in.

mod days;
mod intruders;
mod ledger;

use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

fn study(answer_within: &str) -> String {
    format!(
        "title = \"Lab\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age between 30 and 80\"\n\
         answer_within = \"{answer_within}\"\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n"
    )
}

fn everyone(lab: &Lab) -> (Process, Vec<Process>) {
    let coordinator = lab.coordinator();
    let nodes = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    (coordinator, nodes)
}
