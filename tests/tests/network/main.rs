//! A whole network as real processes over real sockets: its ordinary bad days, and those who should not get in.

mod again;
mod analyses;
mod approvals;
mod association;
mod checkpoints;
mod cox;
mod days;
mod discovered;
mod enrolment;
mod firewalls;
mod hedges;
mod intruders;
mod leavers;
mod ledger;
mod left_out;
mod models;
mod people;
mod permits;
mod predictions;
mod preflight;
mod report;
mod revocation;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::{Request, RoundRequest, Step};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

fn study(answer_within: &str) -> String {
    study_of(&HOSPITALS, answer_within)
}

/// The sites are named, so that a study does not depend on who has offered what by now.
fn study_of(sites: &[&str], answer_within: &str) -> String {
    format!(
        "title = \"Lab\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age between 30 and 80\"\n\
         answer_within = \"{answer_within}\"\nsites = {sites:?}\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n"
    )
}

/// The request for the only round of a study.
fn request(study: SignedStudy) -> Request {
    let step = Step { analysis: 0, state: RoundState::First };
    Request::Round(RoundRequest { study, round: 0, steps: vec![step], revocations: None })
}

fn everyone(lab: &Lab) -> (Process, Vec<Process>) {
    let coordinator = lab.coordinator();
    let nodes = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    (coordinator, nodes)
}
