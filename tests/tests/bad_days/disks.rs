//! A ledger that cannot be written, as on a full disk: the node says so, nothing leaves, and it goes on when there is room again.
//!
//! The kernel's limit on the size of files stands in for the disk: the custodian's writes fail as they do on a full one, whoever runs the test. It is
//! another error than that of a full disk, whose hint is looked at by itself.

use bocage_node::custodian::ledger::LedgerError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::Reply;
use bocage_tests::days::request;
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::Process;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::EXE;

const FIRST: &str = HOSPITALS[0];

/// Bounds the size of what the custodian may write.
fn room(node: &Process, bytes: Option<u64>) {
    let pid = node.child_pid("custodian").expect("a custodian");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("the limit");
}

#[test]
fn a_node_without_room_for_its_ledger_refuses_politely_obeys_a_pause_and_recovers() {
    let lab = Lab::new(EXE);
    let node = lab.node_ignoring_file_size(FIRST);
    node.wait_for_line(&["taking a snapshot"]);
    let study = || SignedStudy::sign(&lab.bound_study(&bocage_tests::days::study("5m")), &lab.researcher());
    let (before, during) = (request(study().expect("a signature")), request(study().expect("a signature")));
    let released = released_by(&lab, &before);
    let pid = node.child_pid("custodian");
    room(&node, Some(1));
    for asked in [&during, &before, &during] {
        let Reply::Refused(error) = lab.ask_custodian(FIRST, asked) else { panic!("released without a record") };
        assert_eq!(error.code, ErrorCode::LedgerUnavailable, "{error}");
    }
    node.wait_for_line(&["the ledger cannot be used"]);
    let (code, said, _) = lab.at_node(FIRST, &["health", "--ready"]);
    assert!(code == Some(1) && said.contains("state: no file can be written there: file too large"), "{said}");
    let (code, said, failed) = lab.at_node(FIRST, &["pause"]);
    assert!(code == Some(1) && said.starts_with("all answers are paused since "), "{said}{failed}");
    assert!(failed.starts_with("error: the pause is not written down: cannot write the ledger: "), "{failed}");
    let paused = |reply: Reply| matches!(reply, Reply::Pending(error) if error.code == ErrorCode::Paused);
    assert!(paused(lab.ask_custodian(FIRST, &before)));
    room(&node, None);
    assert!(paused(lab.ask_custodian(FIRST, &during)));
    node.wait_for_line(&["the pause is in the ledger now"]);
    assert_eq!(lab.at_node(FIRST, &["resume"]).0, Some(0));
    assert!(matches!(lab.ask_custodian(FIRST, &during), Reply::Released(_)));
    assert_eq!(lab.ask_custodian(FIRST, &before), released, "what left before is the same");
    assert_eq!(node.child_pid("custodian"), pid, "the custodian lived through it");
    let (code, said) = lab.verify_ledger(FIRST);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn where_a_disk_is_full_the_hint_is_to_make_room() {
    let full = rusqlite::Connection::open_in_memory().expect("a database");
    full.execute_batch("create table t (a); pragma max_page_count = 2").expect("a table");
    let error = full.execute("insert into t values (randomblob(100000))", []).expect_err("no room");
    assert_eq!(LedgerError::Write(error).hint(), "make room on the disk of the state folder");
}

/// Asks until the first snapshot is taken.
fn released_by(lab: &Lab, asked: &bocage_protocol::wire::message::Request) -> Reply {
    loop {
        match lab.try_ask_custodian(FIRST, asked) {
            Some(reply @ Reply::Released(_)) => return reply,
            None => {}
            Some(Reply::Refused(error)) if matches!(error.code, ErrorCode::SnapshotUnavailable | ErrorCode::Busy) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_ruined_ledger_is_told_once_however_often_the_custodian_is_started_again() {
    let lab = Lab::new(EXE);
    let site = FIRST;
    let first = lab.node(site, &[]);
    first.wait_for_line(&["the snapshot is in use"]);
    first.kill();
    let ledger = lab.site(site).join("state/ledger.sqlite");
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(ledger.with_file_name(format!("ledger.sqlite{ending}")));
    }
    std::fs::write(&ledger, "").expect("an empty file");
    let node = lab.node(site, &[]);
    node.wait_for_line(&["it cannot go on", "is empty", "restore"]);
    node.wait_for_line(&["ended again", "custodian", "longest_secs=60"]);
    let log = node.log();
    assert_eq!(log.matches("it cannot go on").count(), 1, "{log}");
}
