//! Many tiny studies: memory does not grow with their number, and each is published.

use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::SignedStudy;
use bocage_tests::lab::HOSPITALS;
use bocage_tests::process::PATIENCE;
use bocage_tests::{lab::Lab, scale};

use super::{COST_KIB, EXE, study_of};

fn submit(lab: &Lab) -> StudyId {
    let study = lab.bound_study(&study_of(&HOSPITALS, "5m"));
    let signed = SignedStudy::sign(&study, &lab.researcher()).expect("a signature");
    let (status, body) = lab.post(&signed);
    assert_eq!(status, 201, "{body}");
    signed.id()
}

fn wait_until_published(lab: &Lab, id: StudyId) {
    let begun = std::time::Instant::now();
    let mut path = format!("/v1/studies/{id}");
    loop {
        let status = lab.get(&path);
        if status["state"] == "published" {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:#}");
        path = format!("/v1/studies/{id}?wait_secs=20&seen={}", status["version"]);
    }
}

#[test]
fn hundreds_of_tiny_studies_are_all_published_in_bounded_memory() {
    const BATCH: usize = 50;
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let batches = (4 * scale() as usize).min(10_000 / BATCH);
    let mut early = Vec::new();
    let pids: Vec<u32> = std::iter::once(coordinator.pid())
        .chain(nodes.iter().flat_map(|n| ["agent", "custodian"].map(|role| n.child_pid(role).expect("a child"))))
        .collect();
    for batch in 0..batches {
        let ids: Vec<StudyId> = (0..BATCH).map(|_| submit(&lab)).collect();
        for id in ids {
            wait_until_published(&lab, id);
        }
        if batch == 0 {
            early = pids.iter().map(|pid| bocage_tests::process::peak_kib(*pid)).collect();
        }
    }
    for (pid, early) in pids.iter().zip(early) {
        let grown = bocage_tests::process::peak_kib(*pid).saturating_sub(early);
        assert!(grown < COST_KIB, "process {pid} grew by {grown} KiB over {batches} batches");
    }
    for site in HOSPITALS {
        let (code, said) = lab.verify_ledger(site);
        assert_eq!(code, Some(0), "{said}");
    }
}
