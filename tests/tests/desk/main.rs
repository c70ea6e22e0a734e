//! The steward's desk with real processes: what a person says by the command line decides what leaves, over every restart.

mod days;
mod forged;
mod words;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest, Step};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

/// The hospital whose steward decides.
const ASKING: &str = HOSPITALS[0];

/// A network in which the first hospital's steward decides.
fn lab() -> Lab {
    let lab = Lab::new(EXE);
    lab.edit_node(ASKING, "[policy]", "[policy]\ndecide = \"ask\"");
    lab
}

fn study(answer_within: &str) -> String {
    format!(
        "title = \"Desk\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age between 30 and 80\"\n\
         answer_within = \"{answer_within}\"\nsites = {HOSPITALS:?}\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n"
    )
}

fn everyone(lab: &Lab, env: &[(String, String)]) -> (Process, Vec<Process>) {
    let coordinator = lab.coordinator_with(env);
    let nodes = HOSPITALS.iter().map(|site| lab.node(site, env)).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    (coordinator, nodes)
}

fn signed(lab: &Lab) -> SignedStudy {
    SignedStudy::sign(&lab.bound_study(&study("5m")), &lab.researcher()).expect("a signature")
}

/// A study, handed in.
fn submitted(lab: &Lab) -> SignedStudy {
    let signed = signed(lab);
    let (status, body) = lab.post(&signed);
    assert_eq!(status, 201, "{body}");
    signed
}

/// The request for the only round of [`study`].
fn request(study: &SignedStudy) -> Request {
    let step = Step { analysis: 0, state: RoundState::First };
    Request::Round(RoundRequest { study: study.clone(), round: 0, steps: vec![step], revocations: None })
}

/// What the asking site tells whoever waits.
fn waits(lab: &Lab, study: &SignedStudy) -> PublicError {
    match lab.ask_custodian(ASKING, &request(study)) {
        Reply::Pending(error) => error,
        other => panic!("it does not wait: {other:?}"),
    }
}

fn released(lab: &Lab, study: &SignedStudy) -> bool {
    matches!(lab.ask_custodian(ASKING, &request(study)), Reply::Released(_))
}

/// A command at the asking site that works.
fn said(lab: &Lab, args: &[&str]) -> String {
    let (code, out, err) = lab.at_node(ASKING, args);
    assert_eq!(code, Some(0), "{args:?}: {err}");
    out
}

/// How many records of a kind the asking site's ledger has.
fn records(lab: &Lab, kind: &str) -> i64 {
    let sql = rusqlite::Connection::open(lab.site(ASKING).join("state/ledger.sqlite")).expect("the ledger");
    sql.query_row("select count(*) from record where kind = ?", [kind], |row| row.get(0)).expect("a count")
}

fn assert_pending(error: &PublicError) {
    assert_eq!(error.code, ErrorCode::ApprovalPending, "{error}");
}
