//! Snapshots on disk: whole or not there, verified before use, the one before kept when a run fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::Problems;
use polars::prelude::IntoLazy;
use serde_json::json;

use super::*;
use crate::custodian::source::{DatasetSpec, SUBJECT};

const CONTRACT: &str = r#"
    id = "visits@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    [[column]]
    name = "sex"
    type = "code"
    codes = [{ code = "f" }, { code = "m" }]
    [[column]]
    name = "note"
    type = "text"
"#;

struct Site {
    dir: tempfile::TempDir,
    contract: Contract,
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap(), contract: parse(CONTRACT, "visits.toml").unwrap() };
        site.write(
            "patient,age,sex,note\nNHS-4711,63,m,seen twice by the same doctor\nNHS-0815,41,f,\nNHS-4711,64,m,b\n",
        );
        site
    }

    fn write(&self, csv: &str) {
        fs::write(self.dir.path().join("visits.csv"), csv).unwrap();
    }

    fn spec(&self, map: serde_json::Value) -> DatasetSpec {
        let section = json!({
            "contract": "visits@1",
            "source": {"kind": "csv", "path": "visits.csv"},
            "map": map,
        });
        DatasetSpec::read("visits", &section, "node.toml", self.dir.path(), &mut Problems::default()).unwrap()
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    fn take(&self) -> Result<Manifest, SnapshotError> {
        Taking::into(&self.snapshots()).take(&self.spec(json!({})), &self.contract, Timestamp(1))
    }

    fn arrow(&self, manifest: &Manifest) -> PathBuf {
        self.snapshots().join(format!("visits/{}.arrow", manifest.content))
    }
}

#[test]
fn a_snapshot_is_opened_as_it_was_taken() {
    let site = Site::new();
    let manifest = site.take().unwrap();
    let snapshot = Snapshot::open_current(&site.snapshots(), "visits").unwrap();
    assert_eq!(snapshot.manifest(), &manifest);
    assert_eq!((manifest.rows, manifest.subjects, manifest.created_at), (3, 2, Timestamp(1)));
    // A mapped file stays readable when its name is gone.
    fs::remove_file(site.arrow(&manifest)).unwrap();
    let frame = snapshot.frame().clone().lazy().collect_with_engine(polars::prelude::Engine::Streaming).unwrap();
    let frame = frame.unwrap_single();
    let numbers: Vec<u32> = frame.column(SUBJECT).unwrap().u32().unwrap().into_no_null_iter().collect();
    assert_eq!(numbers, [0, 0, 1]);
    let notes: Vec<Option<&str>> = frame.column("note").unwrap().str().unwrap().iter().collect();
    assert_eq!(notes, [Some("seen twice by the same doctor"), Some("b"), None]);
    let codes: Vec<Option<u8>> = frame.column("sex").unwrap().u8().unwrap().iter().collect();
    assert_eq!(codes, [Some(1), Some(1), Some(0)]);
}

#[test]
fn the_patients_own_ids_are_in_no_file() {
    let site = Site::new();
    site.take().unwrap();
    for entry in fs::read_dir(site.snapshots().join("visits")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|w| w == b"NHS-4711"));
    }
}

#[test]
fn equal_rows_have_equal_hashes_and_the_public_name_needs_the_secret() {
    let site = Site::new();
    let (first, second) = (site.take().unwrap(), site.take().unwrap());
    assert_eq!(first.content, second.content);
    let snapshot = Snapshot::open_current(&site.snapshots(), "visits").unwrap();
    let snapshot = Offered::new(std::sync::Arc::new(snapshot), None);
    assert_eq!(public_name(snapshot.identity(), &[1; 32]), public_name(snapshot.identity(), &[1; 32]));
    assert_ne!(public_name(snapshot.identity(), &[1; 32]), public_name(snapshot.identity(), &[2; 32]));
    assert_ne!(public_name(snapshot.identity(), &[1; 32]), first.content);
}

#[test]
fn one_changed_byte_anywhere_is_found() {
    let site = Site::new();
    let manifest = site.take().unwrap();
    let path = site.arrow(&manifest);
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        let error = Snapshot::open_current(&site.snapshots(), "visits").err().unwrap();
        assert!(matches!(error, SnapshotError::Altered { .. }), "{error}");
    }
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(Snapshot::open_current(&site.snapshots(), "visits").is_err());
    fs::write(&path, good).unwrap();
    assert!(Snapshot::open_current(&site.snapshots(), "visits").is_ok());
}

#[test]
fn a_manifest_of_another_contract_or_snapshot_is_refused() {
    let site = Site::new();
    let manifest = site.take().unwrap();
    let path = site.snapshots().join(format!("visits/{}.json", manifest.content));
    let refused = |altered: Manifest| {
        fs::write(&path, serde_json::to_vec(&altered).unwrap()).unwrap();
        matches!(Snapshot::open_current(&site.snapshots(), "visits"), Err(SnapshotError::Damaged { .. }))
    };
    let other = Digest::of("other", &[]);
    assert!(refused(Manifest { contract_hash: other, ..manifest.clone() }));
    assert!(refused(Manifest { content: other, ..manifest.clone() }));
    assert!(refused(Manifest { rows: 4, ..manifest.clone() }));
    assert!(!refused(manifest));
}

#[test]
fn a_failed_run_leaves_the_snapshot_before_it_in_use() {
    let site = Site::new();
    let manifest = site.take().unwrap();
    for bad in ["", "patient,age,sex,note\n", "patient,age,sex\na,1,f\n", "patient,age,sex,note\n,1,f,x\n"] {
        site.write(bad);
        assert!(site.take().is_err(), "{bad}");
        assert_eq!(Snapshot::open_current(&site.snapshots(), "visits").unwrap().manifest(), &manifest);
    }
    fs::remove_file(site.dir.path().join("visits.csv")).unwrap();
    assert!(matches!(site.take(), Err(SnapshotError::Source(_))));
    assert_eq!(current(&site.snapshots(), "visits").unwrap(), manifest.content);
}

#[test]
fn files_are_for_the_owner_alone_and_no_draft_stays() {
    let site = Site::new();
    site.take().unwrap();
    fs::write(site.snapshots().join("visits/.draft-killed"), b"half").unwrap();
    site.take().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.snapshots().join("visits")), 0o700);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(site.snapshots().join("visits")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600);
        names.push(entry.file_name().into_string().unwrap());
    }
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn a_snapshot_in_use_stays_open_while_a_newer_one_replaces_it() {
    let site = Site::new();
    site.take().unwrap();
    let snapshots = Snapshots::new(site.snapshots());
    let before = snapshots.current("visits").unwrap();
    assert!(std::sync::Arc::ptr_eq(&before, &snapshots.current("visits").unwrap()));
    site.write("patient,age,sex,note\na,1,f,x\n");
    site.take().unwrap();
    let after = snapshots.current("visits").unwrap();
    assert_ne!(before.content_hash(), after.content_hash());
    assert!(std::sync::Arc::ptr_eq(&before, &snapshots.get("visits", before.content_hash()).unwrap()));
    assert!(matches!(snapshots.current("nothing"), Err(SnapshotError::None { .. })));
    assert!(matches!(snapshots.current("../visits"), Err(SnapshotError::Name)));
}

#[test]
fn a_changed_contract_or_mapping_makes_it_stale_and_changed_rows_do_not() {
    let site = Site::new();
    let manifest = site.take().unwrap();
    let spec = site.spec(json!({}));
    site.write("other");
    assert_eq!(stale_reason(&manifest, &spec, &site.contract), None);
    assert_eq!(stale_reason(&manifest, &site.spec(json!({"note": "sex"})), &site.contract), Some(Stale::Settings));
    let wider = parse(&CONTRACT.replace("120", "130"), "visits.toml").unwrap();
    assert_eq!(stale_reason(&manifest, &spec, &wider), Some(Stale::Contract));
}

#[test]
fn the_same_rows_under_another_contract_are_another_snapshot() {
    let site = Site::new();
    let manifest = site.take().unwrap();
    let relabelled = parse(&CONTRACT.replace("{ code = \"f\" }", "{ code = \"f\", label = \"female\" }"), "v").unwrap();
    let other = Taking::into(&site.snapshots()).take(&site.spec(json!({})), &relabelled, Timestamp(2)).unwrap();
    assert_ne!(manifest.content, other.content);
}

/// Snapshots of `n` different states of the source, the oldest first.
fn history(site: &Site, n: i64) -> Vec<Digest> {
    let take = |i: i64| {
        site.write(&format!("patient,age,sex,note\na,{i},f,x\n"));
        Taking::into(&site.snapshots()).take(&site.spec(json!({})), &site.contract, Timestamp(i)).unwrap().content
    };
    (1..=n).map(take).collect()
}

fn left(site: &Site) -> Vec<Digest> {
    let mut held = held(&site.snapshots(), "visits").unwrap();
    held.reverse();
    held.into_iter().map(|h| h.manifest.content).collect()
}

#[test]
fn old_snapshots_go_but_for_the_newest_the_current_and_the_pinned() {
    let site = Site::new();
    let taken = history(&site, 6);
    let open = Snapshot::open(&site.snapshots(), "visits", &taken[1]).unwrap();
    let pinned = [taken[0]].into();
    assert_eq!(retire(&site.snapshots(), "visits", 2, &pinned).unwrap(), 2);
    assert_eq!(left(&site), [taken[0], taken[3], taken[4], taken[5]]);
    assert!(held(&site.snapshots(), "visits").unwrap()[0].current);
    assert_eq!(retire(&site.snapshots(), "visits", 2, &pinned).unwrap(), 0);
    assert_eq!(open.frame().height(), 1, "whoever reads it can read on");
    assert!(Snapshot::open(&site.snapshots(), "visits", &taken[0]).is_ok());
    assert!(Snapshot::open(&site.snapshots(), "visits", &taken[1]).is_err());
}

#[test]
fn rows_without_a_manifest_are_no_snapshot_and_go_too() {
    let site = Site::new();
    let taken = history(&site, 3);
    fs::remove_file(site.snapshots().join(format!("visits/{}.json", taken[1]))).unwrap();
    assert_eq!(left(&site), [taken[0], taken[2]]);
    assert_eq!(retire(&site.snapshots(), "visits", 2, &Default::default()).unwrap(), 1);
    assert!(!site.snapshots().join(format!("visits/{}.arrow", taken[1])).exists());
}

#[test]
fn what_is_dropped_is_gone_and_the_source_is_not() {
    let site = Site::new();
    history(&site, 3);
    let source = fs::read(site.dir.path().join("visits.csv")).unwrap();
    assert_eq!(drop_all(&site.snapshots(), "visits").unwrap(), 3);
    assert_eq!(fs::read_dir(site.snapshots().join("visits")).unwrap().count(), 0);
    assert!(matches!(current(&site.snapshots(), "visits"), Err(SnapshotError::None { .. })));
    assert_eq!(fs::read(site.dir.path().join("visits.csv")).unwrap(), source);
    assert!(held(&site.snapshots(), "nothing").unwrap().is_empty());
    assert!(matches!(drop_all(&site.snapshots(), "../visits"), Err(SnapshotError::Name)));
}
