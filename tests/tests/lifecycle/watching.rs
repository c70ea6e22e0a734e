//! Health, readiness and metrics of a running network.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use bocage_daemon::status::{Page, ask};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::PATIENCE;

use super::{EXE, everyone, study};

/// The value of one line of a page.
fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().expect("a number")
}

fn metrics(lab: &Lab, site: &str) -> String {
    let (code, page, said) = lab.at_node(site, &["metrics"]);
    assert_eq!(code, Some(0), "{said}");
    page
}

#[test]
fn a_node_without_its_coordinator_is_alive_and_not_ready_and_says_which_part() {
    let lab = Lab::new(EXE);
    let site = HOSPITALS[0];
    let (code, said, _) = lab.at_node(site, &["health"]);
    assert_eq!(code, Some(1), "nothing runs: {said}");
    let node = lab.node(site, &[]);
    node.wait_for_line(&["custodian and agent are up"]);
    node.wait_for_line(&["the snapshot is in use"]);
    assert_eq!(lab.at_node(site, &["health"]).0, Some(0));
    let (code, said, _) = lab.at_node(site, &["health", "--ready"]);
    assert_eq!(code, Some(1));
    assert_eq!(said, "custodian  ok\nagent      there is no session with the coordinator\n");
    let _coordinator = lab.coordinator();
    node.wait_for_line(&["session ready"]);
    assert_eq!(lab.at_node(site, &["health", "--ready"]).0, Some(0));
    for process in ["agent", "custodian"] {
        let socket = lab.site(site).join(format!("state/run/{process}-status.sock"));
        assert_eq!(std::fs::metadata(socket).expect("a socket").permissions().mode() & 0o777, 0o600, "{process}");
    }
}

#[test]
fn what_a_study_did_stands_in_the_metrics_of_all_who_took_part() {
    let lab = Lab::new(EXE);
    let socket = lab.watch_coordinator();
    lab.edit_node(HOSPITALS[3], "[policy]", "[policy]\ndecide = \"refuse\"");
    lab.edit_node(HOSPITALS[0], "[policy]", "[policy]\nmax_cells = 1000");
    let (_coordinator, _nodes) = everyone(&lab);
    lab.study("one", &study(30)).published();
    lab.study("again", &study(30)).published();
    let first = metrics(&lab, HOSPITALS[0]);
    let custodian = |name: &str| value(&first, &format!("bocage_custodian_{name}"));
    assert_eq!(custodian("rounds_total{outcome=\"released\"}"), 2.0);
    assert_eq!(custodian("gate_decisions_total{decision=\"released\"}"), 2.0);
    assert!(custodian("snapshot_age_seconds{dataset=\"heart\"}") >= 0.0);
    assert_eq!(custodian("ingest_failed{dataset=\"heart\"}"), 0.0);
    let left = custodian("cap_cells_left{dataset=\"heart\"}");
    assert!(left > 0.0 && left < 1000.0, "{left}");
    assert!(custodian("ledger_records") > 4.0 && custodian("state_free_bytes") > 0.0 && custodian("open_files") > 5.0);
    assert_eq!(custodian("paused"), 0.0);
    assert_eq!(value(&first, "bocage_agent_session{state=\"ready\"}"), 1.0);
    assert!(value(&first, "bocage_agent_requests_total{outcome=\"answered\"}") >= 2.0);
    assert!(value(&first, "bocage_agent_certificate_days_left") > 1.0);
    let last = metrics(&lab, HOSPITALS[3]);
    assert_eq!(value(&last, "bocage_custodian_rounds_total{outcome=\"refused\"}"), 2.0);
    assert_eq!(value(&last, "bocage_custodian_round_refusals_total{code=\"policy_refused\"}"), 2.0);
    let page = coordinator(&socket, Page::Metrics);
    let of = |name: &str| value(&page, &format!("bocage_coordinator_{name}"));
    assert_eq!((of("sites{state=\"connected\"}"), of("sites{state=\"disconnected\"}")), (4.0, 0.0));
    assert_eq!((of("rounds_total{outcome=\"answered\"}"), of("rounds_total{outcome=\"refused\"}")), (6.0, 2.0));
    assert_eq!(of("round_trip_seconds_count"), 6.0);
    assert_eq!((of("studies{state=\"published\"}"), of("studies{state=\"open\"}")), (2.0, 0.0));
    assert!(of("certificate_days_left") > 1.0 && of("resident_memory_bytes") > 1e6);
    assert_eq!(coordinator(&socket, Page::Ready), "ok\n");
}

fn coordinator(socket: &Path, page: Page) -> String {
    let (fine, text) = ask(socket, page).expect("an answer");
    assert!(fine, "{text}");
    text
}

#[test]
fn a_stranger_and_a_page_that_is_none_leave_a_reason_and_nothing_else() {
    let lab = Lab::new(EXE);
    let socket = lab.watch_coordinator();
    let coordinator_process = lab.coordinator();
    // A certificate of the network for a site that the roster does not have: what the coordinator knows of it is a word.
    lab.edit_coordinator("id = \"cleveland\"", "id = \"elsewhere\"");
    coordinator_process.kill();
    let coordinator_process = lab.coordinator();
    let _node = lab.node(HOSPITALS[0], &[]);
    coordinator_process.wait_for_line(&["site rejected", HOSPITALS[0]]);
    // It is counted when the node has gone.
    let until = Instant::now() + PATIENCE;
    let rejected = "bocage_coordinator_sessions_rejected_total{reason=\"site_unknown\"}";
    let page = loop {
        let page = coordinator(&socket, Page::Metrics);
        if page.contains(rejected) {
            break page;
        }
        assert!(Instant::now() < until, "{page}");
        std::thread::yield_now();
    };
    assert!(value(&page, rejected) >= 1.0);
    assert!(!page.contains("cleveland"), "{page}");
}
