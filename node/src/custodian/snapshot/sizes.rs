//! Snapshots of sources that do not fit into memory: nothing of how they were cut shows in them, and little of them is in memory at a time.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::SecretKey;
use proptest::prelude::*;
use serde_json::json;

use super::bad_sources::disk::Failing;
use super::shuffle::{Room, Shuffle};
use super::*;
use crate::custodian::optout::IdForm;
use crate::custodian::source::{BatchSize, Conforming, DatasetSpec, Mapping, Opened, Reason, SUBJECT};

const CONTRACT: &str = r#"
    id = "visits@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "visit"
    type = "int"
    range = [0, 1000000]
    required = true
    [[column]]
    name = "note"
    type = "text"
"#;

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// What a row of the source says: its patient, and whether it fits, and whether the patient opts out in it.
type Row = (Option<u8>, bool, bool);

struct Site {
    dir: tempfile::TempDir,
    contract: Contract,
    spec: DatasetSpec,
}

impl Site {
    fn new(of: &str, rows: &[Row]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut csv = "patient,visit,note,out\n".to_owned();
        for (i, (patient, fits, out)) in rows.iter().enumerate() {
            let patient = patient.map(|p| format!("p{p}")).unwrap_or_default();
            let visit = if *fits { i.to_string() } else { String::new() };
            csv += &format!("{patient},{visit},a note on visit {i},{out}\n");
        }
        fs::write(dir.path().join("visits.csv"), csv).unwrap();
        let section = json!({
            "contract": "visits@1",
            "source": {"kind": "csv", "path": "visits.csv"},
            "optout": "out = 'true'",
        });
        let spec = DatasetSpec::read("visits", &section, "node.toml", dir.path(), &mut Problems::default()).unwrap();
        Self { contract: parse(of, "visits.toml").unwrap(), dir, spec }
    }

    fn take(&self, into: &str, size: Size) -> Result<Manifest, SnapshotError> {
        let form = IdForm::of(None, &SecretKey::generate(&mut Sevens)).unwrap();
        let dir = self.dir.path().join(into);
        let taking = Taking { size, form: Some(&form), ..Taking::into(&dir) };
        taking.take(&self.spec, &self.contract, Timestamp(1))
    }
}

fn size(rows: usize, held_bytes: usize, group_bytes: u64) -> Size {
    Size { batch: BatchSize { rows, bytes: usize::MAX }, held_bytes, group_bytes }
}

/// The visits of each patient who has one, and whether the patient opted out.
fn expected(rows: &[Row], one_row: bool) -> Vec<(Vec<i64>, bool)> {
    let mut patients: BTreeMap<u8, (Vec<i64>, bool)> = BTreeMap::new();
    for (i, (patient, fits, out)) in rows.iter().enumerate() {
        let Some(patient) = patient else { continue };
        let (visits, opted_out) = patients.entry(*patient).or_default();
        *opted_out |= out;
        if *fits && (!one_row || visits.is_empty()) {
            visits.push(i as i64);
        }
    }
    let mut patients: Vec<_> = patients.into_values().filter(|(visits, _)| !visits.is_empty()).collect();
    patients.sort();
    patients
}

/// The same of a snapshot.
fn found(site: &Site, into: &str, manifest: &Manifest) -> Vec<(Vec<i64>, bool)> {
    let dir = site.dir.path().join(into);
    let snapshot = Snapshot::open_current(&dir, "visits").unwrap();
    let ids = subject_ids(&dir, manifest).unwrap();
    let numbers = snapshot.frame().column(SUBJECT).unwrap().u32().unwrap().into_no_null_iter();
    let visits = snapshot.frame().column("visit").unwrap().i64().unwrap().into_no_null_iter();
    let notes = snapshot.frame().column("note").unwrap().str().unwrap().iter();
    let mut patients = vec![(Vec::new(), false); manifest.subjects as usize];
    let mut last = 0;
    for ((number, visit), note) in numbers.zip(visits).zip(notes) {
        assert!(number >= last, "rows of a patient stand together");
        assert_eq!(note.unwrap(), format!("a note on visit {visit}"));
        last = number;
        patients[number as usize].0.push(visit);
    }
    ids.flagged.iter().for_each(|number| patients[*number as usize].1 = true);
    patients.sort();
    patients
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_size_shows_in_a_snapshot_and_each_patient_s_rows_are_there_in_order(
        rows in proptest::collection::vec((proptest::option::weighted(0.9, 0..12u8), prop::bool::weighted(0.8), prop::bool::weighted(0.2)), 1..60),
        one_row in any::<bool>(),
        batch in 1..9usize,
    ) {
        let contract = if one_row { format!("one_row_per_subject = true\n{CONTRACT}") } else { CONTRACT.to_owned() };
        let site = Site::new(&contract, &rows);
        let expected = expected(&rows, one_row);
        let whole = site.take("whole", Size::default());
        if expected.is_empty() {
            prop_assert!(whole.is_err());
            return Ok(());
        }
        let whole = whole.unwrap();
        prop_assert_eq!(found(&site, "whole", &whole), expected);
        for (i, size) in [size(batch, 1, 1), size(batch, 500, 200), size(100, 1, u64::MAX)].into_iter().enumerate() {
            let cut = site.take(&i.to_string(), size).unwrap();
            prop_assert_eq!((cut.content, cut.ids), (whole.content, whole.ids));
            prop_assert_eq!(&cut.report, &whole.report);
        }
        let repeated = whole.report.rows_rejected.iter().find(|r| r.reason == Reason::RepeatedSubject);
        prop_assert!(one_row || repeated.is_none());
        let rejected: u64 = whole.report.rows_rejected.iter().map(|r| r.rows).sum();
        prop_assert_eq!(whole.report.rows_kept + rejected, rows.len() as u64);
    }
}

#[test]
fn rows_that_are_a_patient_each_stay_in_the_source_s_order() {
    let contract = CONTRACT.replace("subject = \"patient\"", "subject = \"row\"");
    let rows: Vec<Row> = (0..50).map(|i| (Some(i), i % 5 != 0, i == 7)).collect();
    let site = Site::new(&contract, &rows);
    let [whole, cut] = [site.take("whole", Size::default()), site.take("cut", size(3, 1, 1))].map(Result::unwrap);
    assert_eq!((whole.content, whole.ids, whole.subjects), (cut.content, cut.ids, 40));
    let visits = found(&site, "cut", &cut);
    assert_eq!(visits, (0..50).filter(|i| i % 5 != 0).map(|i| (vec![i], i == 7)).collect::<Vec<_>>());
}

#[test]
fn however_many_rows_there_are_few_are_in_memory_and_few_keys() {
    let contract = format!(
        "{CONTRACT}[[rule]]\nname = \"twice\"\nkind = \"duplicate\"\ncolumns = [\"visit\"]\non_fail = \"reject\"\n"
    );
    let most = |count: u32| {
        let rows: Vec<Row> = (0..count).map(|i| (Some((i % 251) as u8), true, false)).collect();
        let site = Site::new(&contract, &rows);
        let opened = Opened::open(&site.spec.source).unwrap();
        let mapping = Mapping::bind(&site.spec, &site.contract, &opened.columns()).unwrap();
        let mut conforming = Conforming::new(&site.spec, &site.contract, &mapping, Timestamp(0), &BTreeMap::new());
        let mut reading = opened.read(&mapping, BatchSize { rows: 100, bytes: usize::MAX }).unwrap();
        let floor = Floor { disk: &SystemDisk, bytes: 0 };
        let room = Room { held_bytes: 20_000, group_bytes: 20_000 };
        let (schema, rules) = (conforming.schema(), conforming.late().len());
        let mut shuffle = Shuffle::new(site.dir.path(), floor, room, &schema, rules).unwrap();
        let mut all = 0;
        while let Some(texts) = reading.next().unwrap() {
            assert!(texts.height() <= 100);
            let batch = conforming.batch(texts).unwrap();
            all += batch.estimated_size();
            shuffle.add(batch, &conforming.take_keys()).unwrap();
        }
        shuffle
            .each_key(|rule, _, keys| {
                conforming.compare(rule, keys, Vec::new());
                Ok(())
            })
            .unwrap();
        (shuffle.finish(|_| Ok(())).unwrap(), all)
    };
    let ((few, _), (many, all)) = (most(1_000), most(20_000));
    // What is held, a batch beyond it, and a part more than a group; of keys, 20 bytes a row, none but those of a part.
    assert!(few <= 60_000 && many <= 250_000 && many * 5 < all, "{few} {many} of {all}");
}

#[test]
fn a_taking_that_is_interrupted_leaves_nothing_but_the_rows_that_it_put_aside() {
    let rows: Vec<Row> = (0..200).map(|i| (Some(i), true, false)).collect();
    let site = Site::new(CONTRACT, &rows);
    let dir = site.dir.path().join("snapshots");
    let form = IdForm::of(None, &SecretKey::generate(&mut Sevens)).unwrap();
    let seen = Mutex::new(Vec::new());
    let wanted = |stop: usize| {
        seen.lock().unwrap().clear();
        let goes_on = |progress: Progress| {
            let mut seen = seen.lock().unwrap();
            seen.push(progress);
            seen.len() < stop
        };
        let taking = Taking { size: size(100, 1, 1), form: Some(&form), goes_on: &goes_on, ..Taking::into(&dir) };
        taking.take(&site.spec, &site.contract, Timestamp(1))
    };
    let mut stop = 1;
    while let Err(error) = wanted(stop) {
        assert!(matches!(error, SnapshotError::Interrupted), "{error}");
        let left = fs::read_dir(dir.join("visits")).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(left.into_iter().all(|name| name == "unfinished.rows"));
        super::unfinished::remove(&dir.join("visits"));
        stop += 1;
    }
    let seen = seen.into_inner().unwrap();
    assert!(matches!(seen[1], Progress::Reading { rows: 100, share: Some(share) } if share > 0.3 && share < 0.7));
    assert!(seen.iter().any(|p| matches!(p, Progress::Sorting { .. })) && seen.last() == Some(&Progress::Written));
}

#[test]
fn a_disk_that_fills_up_while_rows_are_put_aside_leaves_the_snapshot_before_in_use() {
    let rows: Vec<Row> = (0..200).map(|i| (Some(i), true, false)).collect();
    let site = Site::new(CONTRACT, &rows);
    let dir = site.dir.path().join("snapshots");
    let take = |disk: &dyn Disk| {
        let taking = Taking { size: size(100, 1, 1), floor: Floor { disk, bytes: 0 }, ..Taking::into(&dir) };
        taking.take(&site.spec, &site.contract, Timestamp(1))
    };
    let before = take(&SystemDisk).unwrap();
    for takes in [0, 1, 3_000] {
        let disk = Failing { free: u64::MAX, takes, then: std::io::ErrorKind::StorageFull };
        let error = take(&disk).unwrap_err();
        assert!(matches!(error, SnapshotError::Full { .. }), "{error}");
        assert_eq!(current(&dir, "visits").unwrap(), before.content);
        assert_eq!(fs::read_dir(dir.join("visits")).unwrap().count(), 3, "nothing else is left");
    }
}
