//! A taking that goes on where one before was interrupted gives what one gives that is not: the same rows, the same report, nothing left. Where the source or
//! anything else is another now, it begins anew.

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bocage_protocol::contract::{Contract, pack, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::Problems;
use serde_json::{Value, json};

use super::keys::KEY_PARTS;
use super::spool::{Spool, Stream};
use super::{Floor, Manifest, Progress, Size, SnapshotError, SystemDisk, Taking, unfinished};
use crate::custodian::source::{BatchSize, DatasetSpec};

const CONTRACT: &str = r#"
    id = "visits@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "visit"
    type = "int"
    range = [0, 90]
    [[column]]
    name = "on"
    type = "date"
    range = ["1970-01-01", "2100-01-01"]
    [[rule]]
    name = "no_visit_twice"
    kind = "duplicate"
    columns = ["visit"]
    on_fail = "reject"
    [[rule]]
    name = "past"
    kind = "future_date"
"#;

const TODAY: Timestamp = Timestamp(86_400_000);

struct Site {
    dir: tempfile::TempDir,
    contract: Contract,
    spec: DatasetSpec,
}

impl Site {
    fn new(contract: &str, source: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let contract = parse(contract, "contract.toml").unwrap();
        let section = json!({"contract": contract.id().to_string(), "source": source});
        let spec = DatasetSpec::read("rows", &section, "node.toml", dir.path(), &mut Problems::default()).unwrap();
        Self { dir, contract, spec }
    }

    /// Rows with bad lines among them, visits that come again long after, and days to come.
    fn of_csv(contract: &str) -> Self {
        let site = Self::new(contract, &json!({"kind": "csv", "path": "rows.csv"}));
        let mut csv = "patient,visit,on\n".to_owned();
        for i in 0..120 {
            csv += &format!("p{},{i},1970-01-0{}\n", i % 7, 1 + i % 4);
            if i % 11 == 0 {
                csv += "p1,2\n\n";
            }
        }
        fs::write(site.source(), csv + "p3,5,1970-01-01\np4,40,\n").unwrap();
        site
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("rows.csv")
    }

    fn folder(&self, of: &str) -> PathBuf {
        self.dir.path().join(of)
    }

    /// Takes a snapshot, broken off at the step of this number: what came of it, and the steps.
    fn take(&self, of: &str, now: Timestamp, stop: usize) -> (Result<Manifest, SnapshotError>, Vec<Progress>) {
        let steps = RefCell::new(Vec::new());
        let goes_on = |progress| {
            steps.borrow_mut().push(progress);
            steps.borrow().len() < stop
        };
        let size = Size { batch: BatchSize { rows: 9, bytes: usize::MAX }, held_bytes: 1, group_bytes: 1 };
        let dir = self.folder(of);
        let taken = Taking { size, goes_on: &goes_on, ..Taking::into(&dir) }.take(&self.spec, &self.contract, now);
        (taken, steps.into_inner())
    }

    fn left(&self, of: &str) -> PathBuf {
        self.folder(of).join("rows/unfinished.rows")
    }

    /// Broken off at every step, then gone on with: how often rows were taken over, and whether all ever were.
    fn broken_off_everywhere(&self) -> (usize, bool) {
        let (whole, steps) = self.take("whole", TODAY, usize::MAX);
        let whole = whole.unwrap();
        assert!(!self.left("whole").exists());
        let (mut taken_over, mut all) = (0, false);
        for stop in 1..=steps.len() {
            let of = format!("stop{stop}");
            assert!(matches!(self.take(&of, TODAY, stop).0, Err(SnapshotError::Interrupted)), "{stop}");
            let (taken, again) = self.take(&of, TODAY, usize::MAX);
            let taken = taken.unwrap();
            assert_eq!((taken.content, &taken.report), (whole.content, &whole.report), "broken off at {stop}");
            assert_eq!((taken.rows, taken.source_bytes), (whole.rows, whole.source_bytes));
            assert!(!self.left(&of).exists());
            let rows = again.iter().find_map(|step| match step {
                Progress::GoesOn { rows } => Some(*rows),
                _ => None,
            });
            taken_over += usize::from(rows.is_some_and(|rows| rows > 0));
            all |=
                rows == Some(whole.report.source_rows) && !again.iter().any(|s| matches!(s, Progress::Reading { .. }));
        }
        (taken_over, all)
    }
}

#[test]
fn a_csv_file_is_gone_on_with_after_every_batch_with_all_that_rules_and_report_remember() {
    for contract in [CONTRACT.to_owned(), CONTRACT.replace("subject = \"patient\"", "subject = \"row\"")] {
        let site = Site::of_csv(&contract);
        let (taken_over, all) = site.broken_off_everywhere();
        assert!(taken_over > 20 && all, "{taken_over} {all}");
    }
}

#[test]
fn a_packed_csv_file_and_a_folder_of_parts_are_gone_on_with_too() {
    let site = Site::of_csv(CONTRACT);
    let rows = fs::read_to_string(site.source()).unwrap();
    let plain = site.take("plain", TODAY, usize::MAX).0.unwrap();
    let packed = Site::new(CONTRACT, &json!({"kind": "csv", "path": "rows.csv.zst"}));
    fs::write(packed.folder("rows.csv.zst"), zstd::encode_all(rows.as_bytes(), 3).unwrap()).unwrap();
    let (taken_over, all) = packed.broken_off_everywhere();
    assert!(taken_over > 20 && all, "{taken_over} {all}");
    let unpacked = packed.take("again", TODAY, usize::MAX).0.unwrap();
    assert_eq!((unpacked.content, unpacked.report), (plain.content, plain.report.clone()));
    let parts = Site::new(CONTRACT, &json!({"kind": "csv", "path": "parts"}));
    let (header, rows) = rows.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    fs::create_dir(parts.folder("parts")).unwrap();
    for (i, rows) in rows.chunks(50).enumerate() {
        let part = format!("{header}\n{}\n", rows.join("\n"));
        fs::write(parts.folder(&format!("parts/part-{i}.csv")), part).unwrap();
    }
    let (taken_over, all) = parts.broken_off_everywhere();
    assert!(taken_over > 20 && all, "{taken_over} {all}");
    let together = parts.take("again", TODAY, usize::MAX).0.unwrap();
    // Bad lines are named with their files.
    assert_eq!((together.content, together.report.rules), (plain.content, plain.report.rules));
}

#[test]
fn a_parquet_file_and_an_export_are_gone_on_with_too() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let drugs = r#"
        id = "drugs@1"
        subject = "person_id"
        [[column]]
        name = "person_id"
        type = "text"
        [[column]]
        name = "days_supply"
        type = "int"
        range = [0, 370]
        [[column]]
        name = "quantity"
        type = "float"
        range = [0, 1000]
    "#;
    let site = Site::new(drugs, &json!({"kind": "parquet", "path": data.join("omop/drug_exposure.parquet")}));
    let (taken_over, all) = site.broken_off_everywhere();
    assert!(taken_over > 50 && all, "{taken_over} {all}");
    let contracts = pack("fhir-r4-core").unwrap().contracts;
    let contract = contracts.iter().find(|text| text.contains("\"fhir-r4-condition@3\"")).unwrap();
    let export = json!({"kind": "fhir", "path": data.join("fhir/site_3"), "view": "fhir-r4-core/condition"});
    let (taken_over, all) = Site::new(contract, &export).broken_off_everywhere();
    assert!(taken_over > 0 && all, "{taken_over} {all}");
}

#[test]
fn whatever_is_another_now_begins_anew() {
    let site = Site::of_csv(CONTRACT);
    let half = |of: &str| {
        assert!(matches!(site.take(of, TODAY, 8).0, Err(SnapshotError::Interrupted)));
        assert!(site.left(of).exists());
    };
    half("same");
    assert!(goes_on(&site.take("same", TODAY, usize::MAX).1), "nothing is another");
    half("tomorrow");
    assert!(!goes_on(&site.take("tomorrow", Timestamp(2 * TODAY.0), usize::MAX).1), "a rule is about the day");
    half("damaged");
    let mut bytes = fs::read(site.left("damaged")).unwrap();
    bytes[20] ^= 1;
    fs::write(site.left("damaged"), bytes).unwrap();
    assert!(!goes_on(&site.take("damaged", TODAY, usize::MAX).1), "a byte of it is another");
    half("rewritten");
    // As large as before, and as old.
    let (text, facts) = (fs::read_to_string(site.source()).unwrap(), fs::metadata(site.source()).unwrap());
    fs::write(site.source(), text.replace("p3,5,1970-01-01", "p3,6,1970-01-01")).unwrap();
    fs::File::options().write(true).open(site.source()).unwrap().set_modified(facts.modified().unwrap()).unwrap();
    assert!(!goes_on(&site.take("rewritten", TODAY, usize::MAX).1), "its end is another");
    half("grown");
    fs::File::options().append(true).open(site.source()).unwrap().write_all(b"p9,77,1970-01-01\n").unwrap();
    let (taken, steps) = site.take("grown", TODAY, usize::MAX);
    assert!(!goes_on(&steps), "the source is larger");
    assert_eq!(taken.unwrap().content, site.take("new", TODAY, usize::MAX).0.unwrap().content);
    half("failed");
    fs::write(site.source(), "patient,visit,on\n").unwrap();
    assert!(matches!(site.take("failed", TODAY, usize::MAX).0, Err(SnapshotError::Source(_))));
    assert!(!site.left("failed").exists(), "whoever fails leaves nothing");
}

/// How an ingest that takes all goes on.
fn goes_on(steps: &[Progress]) -> bool {
    steps.iter().any(|step| matches!(step, Progress::GoesOn { .. }))
}

#[test]
fn a_mark_that_no_ingest_can_have_written_begins_anew_and_neither_panics_nor_loses_a_row() {
    let site = Site::of_csv(CONTRACT);
    let whole = site.take("whole", TODAY, usize::MAX).0.unwrap();
    let put = |of: &str, stream: Stream, piece: &dyn Fn(&mut Value) -> Vec<u8>| {
        assert!(matches!(site.take(of, TODAY, 8).0, Err(SnapshotError::Interrupted)));
        let (left, floor) = (site.left(of), Floor { disk: &SystemDisk, bytes: 0 });
        let mut spool = Spool::take_up(&left, left.parent().unwrap(), floor, unfinished::MARKS).unwrap().unwrap();
        let mut mark = Vec::new();
        spool.last(unfinished::MARKS, &mut mark).unwrap();
        let mut mark: Value = serde_json::from_slice(&mark).unwrap();
        spool.append(stream, &piece(&mut mark)).unwrap();
        spool.append(unfinished::MARKS, &serde_json::to_vec(&mark).unwrap()).unwrap();
        spool.settle().unwrap();
    };
    let anew = |of: &str| {
        let (taken, steps) = site.take(of, TODAY, usize::MAX);
        assert_eq!(taken.unwrap().content, whole.content, "{of}");
        !goes_on(&steps)
    };
    let says_parts = |mark: &mut Value, parts: u64| {
        mark["parts"] = json!(parts);
        serde_json::to_vec(mark).unwrap()
    };
    put("same", unfinished::MARKS, &|mark| serde_json::to_vec(mark).unwrap());
    assert!(!anew("same"), "nothing is wrong with it");
    for parts in [0, 1, 1025, 1 << 40] {
        let of = format!("parts{parts}");
        put(&of, unfinished::MARKS, &|mark| says_parts(mark, parts));
        assert!(anew(&of), "{of}");
    }
    put("beyond", Stream(unfinished::KEYS + KEY_PARTS + 16), &|_| b"rows".to_vec());
    assert!(anew("beyond"), "a stream that is no part's");
}

#[test]
fn what_ends_every_ingest_behind_the_same_mark_ends_no_third_one() {
    let site = Site::of_csv(CONTRACT);
    let whole = site.take("whole", TODAY, usize::MAX).0.unwrap();
    let broken_off = |of: &str, stop: usize| {
        let (taken, steps) = site.take(of, TODAY, stop);
        assert!(matches!(taken, Err(SnapshotError::Interrupted)));
        goes_on(&steps)
    };
    assert!(!broken_off("ended", 8));
    for _ in 0..2 {
        assert!(broken_off("ended", 2), "as soon as it has gone on");
    }
    let (taken, steps) = site.take("ended", TODAY, usize::MAX);
    assert!(!goes_on(&steps), "it begins anew");
    assert_eq!(taken.unwrap().content, whole.content);
    assert!(!broken_off("comes-on", 8));
    for _ in 0..3 {
        assert!(broken_off("comes-on", 4), "each comes to another mark");
    }
    assert!(goes_on(&site.take("comes-on", TODAY, usize::MAX).1));
}
