//! What an idle node holds in memory beside the mapped snapshot.

use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::anonymous_kib;
use bocage_tests::scale;
use bocage_tests::steady::{self, steady};

use super::EXE;

/// For supervisor, agent and custodian together, in KiB. The pages of a mapped snapshot are the kernel's to take back and do not count.
const IDLE_KIB: u64 = 100 << 10;

#[test]
fn an_idle_node_that_has_answered_holds_less_than_100_mib_of_its_own() {
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    lab.study("idle", &bocage_tests::days::study("5m")).published();
    for (site, node) in HOSPITALS.iter().zip(&nodes) {
        let children = ["agent", "custodian"].map(|role| node.child_pid(role).expect("a child"));
        let held = [node.pid(), children[0], children[1]].map(|pid| anonymous_kib(pid).expect("it lives"));
        println!("{site}: supervisor, agent, custodian hold {held:?} KiB");
        assert!(held.iter().all(|kib| *kib > 0), "{held:?}");
        assert!(held.iter().sum::<u64>() < IDLE_KIB, "{site}: {held:?} KiB");
    }
}

#[test]
fn over_many_rounds_and_restarts_no_process_that_lives_on_grows_or_keeps_files_open() {
    println!("{}", steady(EXE, steady::ROUNDS / 2 * u64::from(scale()), 1));
}
