//! Crowds of tiny studies over one network: each is published, and no process grows with their number.

use std::fmt;
use std::time::Instant;

use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::SignedStudy;

use crate::lab::{HOSPITALS, Lab};
use crate::process::{PATIENCE, peak_kib};

/// Studies that are open at the same time.
pub const BATCH: usize = 50;
/// What a process may grow by from the first batch to the last, in KiB: the buffers of a store and an allocator's slack, however many studies.
const GROWTH_KIB: u64 = 48 << 10;

/// The peak memory of each process after the first batch and after the last, in KiB.
pub struct Peaks(Vec<(String, u64, u64)>);

impl fmt::Display for Peaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, early, late) in &self.0 {
            write!(f, "{name} {early} → {late} KiB; ")?;
        }
        Ok(())
    }
}

/// So many studies in batches, each published; then every ledger is whole and no process has grown beyond its bound.
pub fn crowd(exe: &str, studies: usize) -> Peaks {
    let lab = Lab::new(exe);
    let coordinator = lab.coordinator();
    let nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let children = HOSPITALS.iter().zip(&nodes).flat_map(|(site, node)| {
        ["agent", "custodian"].map(|role| (format!("{site}'s {role}"), node.child_pid(role).expect("a child")))
    });
    let processes: Vec<_> = std::iter::once(("coordinator".to_owned(), coordinator.pid())).chain(children).collect();
    let peaks = || processes.iter().map(|(_, pid)| peak_kib(*pid)).collect::<Vec<_>>();
    let mut early = None;
    for batch in 0..studies.div_ceil(BATCH) {
        let ids: Vec<StudyId> = (0..BATCH).map(|at| submit(&lab, batch * BATCH + at)).collect();
        ids.into_iter().for_each(|id| wait_until_published(&lab, id));
        early.get_or_insert_with(peaks);
    }
    for site in HOSPITALS {
        let (code, said) = lab.verify_ledger(site);
        assert_eq!(code, Some(0), "{said}");
    }
    let ends = early.unwrap_or_else(peaks).into_iter().zip(peaks());
    let peaks = Peaks(processes.into_iter().zip(ends).map(|((name, _), (early, late))| (name, early, late)).collect());
    assert!(peaks.0.iter().all(|(_, early, late)| late.saturating_sub(*early) < GROWTH_KIB), "{peaks}");
    peaks
}

/// Hands in a study of everybody, whose cohort no other has: it is computed, not looked up.
fn submit(lab: &Lab, number: usize) -> StudyId {
    let text = format!(
        "title = \"Tiny\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nanswer_within = \"5m\"\nsites = {HOSPITALS:?}\n\
         where = \"chol < {}.5\"\n\
         [[analysis]]\nname = \"by_sex\"\ntable = {{ by = [\"sex\"], show = [\"count\"] }}\n",
        1000 + number
    );
    let signed = SignedStudy::sign(&lab.bound_study(&text), &lab.researcher()).expect("a signature");
    let (status, body) = lab.post(&signed);
    assert_eq!(status, 201, "{body}");
    signed.id()
}

fn wait_until_published(lab: &Lab, id: StudyId) {
    let begun = Instant::now();
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
