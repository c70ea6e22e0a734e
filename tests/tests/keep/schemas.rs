//! Files of every schema that was ever released, as a daemon of that time left them: each is opened, verified, and goes on. `tests/data/schemas/README.md`
//! says how they were made.

use std::path::{Path, PathBuf};

use bocage_coordinator::store::{FORMAT as STORE_FORMAT, StoreError, StoreFile};
use bocage_node::custodian::ledger::{Entry, FORMAT as LEDGER_FORMAT, Kind, Ledger, LedgerError};
use bocage_protocol::env::Timestamp;
use bocage_tests::lab::{Lab, repository};

use super::{EXE, SITE, fine, running, study};

/// The files of a kind, each with the number of its schema.
fn files(kind: &str) -> Vec<(i64, PathBuf)> {
    let folder = repository("tests/data/schemas");
    let mut files: Vec<(i64, PathBuf)> = std::fs::read_dir(&folder)
        .expect("the files")
        .map(|entry| entry.expect("a file").path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".sqlite")?;
            let number = name.strip_prefix(kind)?.strip_prefix('-')?;
            Some((number.split('-').next()?.parse().expect("a number"), path))
        })
        .collect();
    files.sort();
    files
}

fn user_version(path: &Path, set: Option<i64>) -> i64 {
    let db = rusqlite::Connection::open(path).expect("a database");
    if let Some(number) = set {
        db.pragma_update(None, "user_version", number).expect("the number");
    }
    db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("the number")
}

#[test]
fn there_is_a_file_of_the_present_schemas() {
    assert!(
        files("ledger").iter().any(|(number, _)| *number == LEDGER_FORMAT),
        "tests/data/schemas/ledger-{LEDGER_FORMAT}"
    );
    let store = files("coordinator").iter().any(|(number, _)| *number == STORE_FORMAT);
    assert!(store, "tests/data/schemas/coordinator-{STORE_FORMAT}.sqlite: its README says how to make it");
}

#[test]
fn a_ledger_of_every_schema_opens_verifies_and_goes_on() {
    for (number, file) in files("ledger") {
        let dir = tempfile::tempdir().expect("a folder");
        let copy = dir.path().join("ledger.sqlite");
        std::fs::copy(&file, &copy).expect("a copy");
        assert_eq!(user_version(&copy, None), number);
        let ledger = Ledger::open(&copy).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let before = ledger.verify().expect("readable").expect("its chain holds").records;
        assert!(before > 0, "{} is empty", file.display());
        let (mut releases, mut found) = (0, 0);
        ledger.records(None, |record| releases += usize::from(record.kind() == Some(Kind::Release))).expect("records");
        ledger.records(None, |record| found += usize::from(record.kind().is_none())).expect("records");
        assert!(releases > 0 && found == 0, "{releases} releases, {found} records that nobody knows");
        ledger.append(Timestamp(1), &[Entry::of_site(Kind::Pause, &serde_json::json!({}))]).expect("it goes on");
        drop(ledger);
        let ledger = Ledger::open(&copy).expect("once more");
        assert_eq!(ledger.verify().expect("readable").expect("its chain holds").records, before + 1);
        drop(ledger);
        assert_eq!(user_version(&copy, None), LEDGER_FORMAT);
        user_version(&copy, Some(99));
        for error in [Ledger::open(&copy).err(), Ledger::open_read_only(&copy).err()] {
            let said = error.expect("a newer one is refused").to_string();
            assert!(said.contains("99") && said.contains(&LEDGER_FORMAT.to_string()), "{said}");
        }
        let newer = Ledger::open(&copy).err();
        assert!(matches!(newer, Some(LedgerError::Newer { found: 99, .. })), "{newer:?}");
    }
}

#[test]
fn a_store_of_every_schema_opens_with_its_studies_and_goes_on() {
    for (number, file) in files("coordinator") {
        let dir = tempfile::tempdir().expect("a folder");
        let copy = dir.path().join("coordinator.sqlite");
        std::fs::copy(&file, &copy).expect("a copy");
        assert_eq!(user_version(&copy, None), number);
        drop(StoreFile::open(dir.path()).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
        assert_eq!(user_version(&copy, None), STORE_FORMAT);
        let db = rusqlite::Connection::open(&copy).expect("a database");
        let rows = |table: &str| -> i64 {
            db.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).expect("a number")
        };
        for table in ["studies", "releases", "results", "checkpoints"] {
            assert!(rows(table) > 0, "{table} of {}", file.display());
        }
        drop(db);
        user_version(&copy, Some(99));
        let newer = StoreFile::open(dir.path()).err();
        assert!(matches!(newer, Some(StoreError::Newer { found: 99, known: STORE_FORMAT, .. })), "{newer:?}");
        let said = newer.expect("it is refused").to_string();
        assert!(said.contains("99") && said.contains(&STORE_FORMAT.to_string()), "{said}");
    }
}

/// A coordinator whose state is of the oldest schema keeps what is in it, and takes new studies.
#[test]
fn a_coordinator_with_a_store_of_the_oldest_schema_keeps_its_studies_and_publishes_new_ones() {
    let lab = Lab::new(EXE);
    let state = lab.path("net/coordinator/state");
    std::fs::create_dir_all(&state).expect("the state folder");
    let (_, oldest) = files("coordinator").remove(0);
    std::fs::copy(oldest, state.join("coordinator.sqlite")).expect("a copy");
    let (coordinator, _nodes) = running(&lab);
    lab.study("next", &study(45)).published();
    fine(&lab, &["study", "list"]);
    drop(coordinator);
    let store = rusqlite::Connection::open(state.join("coordinator.sqlite")).expect("the store");
    let studies: i64 = store.query_row("select count(*) from results", [], |row| row.get(0)).expect("a number");
    assert_eq!(studies, 2, "that of before, and the new one");
    assert_eq!(lab.verify_ledger(SITE).0, Some(0));
}
