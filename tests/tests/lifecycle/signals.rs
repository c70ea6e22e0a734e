//! SIGTERM lets rounds end, SIGHUP reads the configuration again, and neither costs a session that need not be lost.

use bocage_protocol::trust::SignedStudy;
use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use rustix::process::Signal;

use super::{EXE, everyone, study};

#[test]
fn a_coordinator_that_drains_takes_no_study_and_records_the_answer_under_way() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let _nodes: Vec<_> = HOSPITALS
        .iter()
        .enumerate()
        .map(|(i, site)| lab.node(site, if i == 0 { vec![hold.env()] } else { vec![] }.as_slice()))
        .collect();
    lab.wait_for_offers(&HOSPITALS);
    let running = lab.study("held", &study(30));
    let held = hold.next();
    for site in &HOSPITALS[1..] {
        coordinator.wait_for_line(&["site answered", site]);
    }
    coordinator.signal(Signal::TERM);
    coordinator.wait_for_line(&["draining"]);
    let signed = SignedStudy::sign(&lab.bound_study(&study(31)), &lab.researcher()).expect("signed");
    let (code, said) = lab.post(&signed);
    assert_eq!((code, &said["code"]), (503, &"busy".into()), "{said}");
    held.release();
    coordinator.wait_for_line(&["site answered", HOSPITALS[0]]);
    coordinator.wait_for_line(&["stopping"]);
    assert_eq!(coordinator.exit_code(), Some(0));
    hold.lift();
    // Nobody need be asked again: all four answers are there.
    let again = lab.coordinator();
    let result = running.published();
    assert_eq!(status(&result, HOSPITALS[0])["status"], "answered", "{result:#}");
    assert_eq!(again.log().matches("site answered").count(), 0, "{}", again.log());
}

#[test]
fn a_node_that_is_asked_to_stop_answers_the_round_under_way_first() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let coordinator = lab.coordinator();
    let first = lab.node(HOSPITALS[0], &[hold.env()]);
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    lab.wait_for_offers(&HOSPITALS);
    let running = lab.study("held", &study(30));
    let held = hold.next();
    first.signal(Signal::TERM);
    // It is asked, and refuses to begin another: its socket has gone.
    while lab.custodian_socket(HOSPITALS[0]).exists() {
        std::thread::yield_now();
    }
    held.release();
    coordinator.wait_for_line(&["site answered", HOSPITALS[0]]);
    assert_eq!(first.exit_code(), Some(0));
    let left: Vec<_> =
        std::fs::read_dir(lab.site(HOSPITALS[0]).join("state/run")).expect("the folder").flatten().collect();
    assert!(left.iter().all(|entry| entry.path().extension().is_none_or(|end| end != "sock")), "{left:?}");
    let (code, _, said) = lab.at_node(HOSPITALS[0], &["health"]);
    assert!(code == Some(1) && said.contains("the node does not run: nobody listens at"), "{said}");
    assert_eq!(status(&running.published(), HOSPITALS[0])["status"], "answered");
}

#[test]
fn a_node_that_is_interrupted_does_not_wait_for_a_round() {
    let lab = Lab::new(EXE);
    let hold = Hold::new(lab.path("").as_path());
    let _coordinator = lab.coordinator();
    let first = lab.node(HOSPITALS[0], &[hold.env()]);
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    lab.wait_for_offers(&HOSPITALS);
    let _running = lab.study("held", &study(30));
    let _held = hold.next();
    first.signal(Signal::INT);
    assert_eq!(first.exit_code(), Some(0));
    let (_, ledger, _) = lab.at_node(HOSPITALS[0], &["ledger", "show", "--format", "json"]);
    assert!(ledger.contains("stopped"), "the operator, not the query, ended it: {ledger}");
}

#[test]
fn a_policy_that_is_read_again_holds_for_the_next_study_and_no_session_is_lost() {
    let lab = Lab::new(EXE);
    let (coordinator, nodes) = everyone(&lab);
    let (site, node) = (HOSPITALS[0], &nodes[0]);
    let agent = node.child_pid("agent");
    assert_eq!(status(&lab.study("before", &study(30)).published(), site)["status"], "answered");

    lab.edit_node(site, "[policy]", "[policy]\ndecide = \"never\"");
    node.signal(Signal::HUP);
    node.wait_for_line(&["policy.decide", "ERROR"]);
    node.wait_for_line(&["the configuration is not read again"]);
    assert_eq!(status(&lab.study("broken", &study(31)).published(), site)["status"], "answered");

    lab.edit_node(site, "decide = \"never\"", "decide = \"refuse\"");
    lab.edit_node(site, "site = ", "stop_secs = 9\nsite = ");
    let from = node.lines();
    node.signal(Signal::HUP);
    node.wait_for_line_after(from, &["stop_secs", "take effect at the next start"]);
    node.wait_for_line_after(from, &["started", "custodian"]);
    node.wait_for_line_after(from, &["custodian and agent are up"]);
    let result = lab.study("after", &study(32)).published();
    assert_eq!(status(&result, site)["reason"]["code"], "policy_refused", "{result:#}");
    assert_eq!(node.child_pid("agent"), agent);
    assert_eq!(node.log().matches("session ready").count(), 1, "{}", node.log());
    assert_eq!(coordinator.log().matches("site disconnected").count(), 0, "{}", coordinator.log());
}

#[test]
fn a_state_folder_that_has_changed_keeps_the_old_configuration_in_force() {
    let lab = Lab::new(EXE);
    let node = lab.node(HOSPITALS[0], &[]);
    node.wait_for_line(&["custodian and agent are up"]);
    lab.edit_node(HOSPITALS[0], "state_dir = \"state\"", "state_dir = \"elsewhere\"");
    node.signal(Signal::HUP);
    node.wait_for_line(&["state_dir", "cannot change while the node runs"]);
    assert_eq!(node.log().matches("started child=\"custodian\"").count(), 1, "{}", node.log());
}

#[test]
fn a_coordinator_reads_again_who_may_ask_and_names_what_waits_for_a_restart() {
    let lab = Lab::new(EXE);
    let (coordinator, _nodes) = everyone(&lab);
    lab.study("before", &study(30)).published();
    let file = lab.path("net/coordinator/coordinator.toml");
    let text = std::fs::read_to_string(&file).expect("coordinator.toml");

    std::fs::write(&file, text.replace("min_sites = 2", "min_sites = 0")).expect("coordinator.toml");
    coordinator.signal(Signal::HUP);
    coordinator.wait_for_line(&["publication.min_sites", "ERROR"]);
    coordinator.wait_for_line(&["the configuration is not read again"]);
    lab.study("broken", &study(31)).published();

    let mut changed: toml::Table = toml::from_str(&text).expect("TOML");
    changed.remove("researcher").expect("a researcher");
    changed["publication"]["min_sites"] = 3.into();
    std::fs::write(&file, changed.to_string()).expect("coordinator.toml");
    coordinator.signal(Signal::HUP);
    coordinator.wait_for_line(&["publication.min_sites", "take effect at the next start"]);
    coordinator.wait_for_line(&["the configuration was read again"]);
    let known = lab.get("/v1/network");
    assert_eq!(known["researchers"], serde_json::json!([]), "{known:#}");
    assert_eq!(known["min_sites"], 2, "{known:#}");
}
