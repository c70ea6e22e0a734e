//! The ledger in the hands of whoever can write the hospital's disk.

use bocage_node::custodian::Controls;
use bocage_node::custodian::ledger::{Kind, Ledger, Record};
use bocage_protocol::limits;
use bocage_protocol::release::{CellRelease, Outcome, Release};
use bocage_protocol::trust::SignedRelease;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, RoundRequest};
use rusqlite::{Connection, params};

use super::hospital::Hospital;
use super::scenario::{Family, Guard};
use super::ward::{counts, table, twenty};

const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";

/// A hospital that has answered two studies, and the request of the second.
pub fn answered() -> (Hospital, RoundRequest) {
    let hospital = Hospital::ward(&twenty());
    let desk = hospital.open(Controls::default());
    desk.reply(&hospital.request(&hospital.study("age > 35", COUNT))).expect("a release");
    let request = hospital.request(&hospital.study("", COUNT));
    desk.reply(&request).expect("a release");
    drop(desk);
    (hospital, request)
}

/// The file, with the guards of the database out of the way.
pub fn file(hospital: &Hospital) -> Connection {
    let file = Connection::open(hospital.config().state.ledger()).expect("the file");
    file.execute_batch("DROP TRIGGER record_no_update; DROP TRIGGER record_no_delete").expect("triggers");
    file
}

pub fn records(hospital: &Hospital) -> Vec<Record> {
    let ledger = Ledger::open_read_only(&hospital.config().state.ledger()).expect("the ledger");
    let mut records = Vec::new();
    ledger.records(None, |record| records.push(record)).expect("records");
    records
}

/// Whether the chain holds.
pub fn is_whole(hospital: &Hospital) -> bool {
    Ledger::open_read_only(&hospital.config().state.ledger()).expect("the ledger").verify().expect("a chain").is_ok()
}

/// Whether a change of the file goes unnoticed. Off: by who reads the records and does not verify them.
fn unnoticed(guard: Guard, change: impl Fn(&Connection, &[Record])) -> bool {
    let (hospital, _) = answered();
    let before = records(&hospital);
    change(&file(&hospital), &before);
    match guard {
        Guard::On => is_whole(&hospital),
        Guard::Off => records(&hospital) != before,
    }
}

fn run(file: &Connection, sql: &str) {
    assert!(file.execute(sql, []).expect(sql) > 0, "{sql}");
}

fn of_kind(records: &[Record], kind: Kind) -> &Record {
    records.iter().find(|record| record.kind() == Some(kind)).expect("a record of the kind")
}

/// A release of the same study that says something else, under the signature of the true one.
pub fn forged(payload: &[u8]) -> Vec<u8> {
    let mut signed: SignedRelease = codec::decode(payload, limits::FRAME_BYTES).expect("a release");
    let mut release: Release = codec::decode(&signed.body, limits::FRAME_BYTES).expect("a release");
    for part in &mut release.parts {
        let Outcome::Table(table) = &mut part.outcome else { panic!("no table") };
        for cell in &mut table.cells {
            if let CellRelease::Shown { count, .. } = cell {
                (count.subjects, count.rows) = (4000, 4000);
            }
        }
    }
    signed.body = codec::encode(&release).expect("bytes");
    codec::encode(&signed).expect("bytes")
}

/// Gives the last record, which is a release, another payload and the hash that fits.
pub fn plant(hospital: &Hospital, payload: Vec<u8>) {
    let mut last = records(hospital).pop().expect("a record");
    assert_eq!(last.kind(), Some(Kind::Release));
    last.payload = Some(payload);
    let hash = last.expected_hash().to_string();
    let changed = file(hospital)
        .execute("UPDATE record SET payload = ?1, hash = ?2 WHERE seq = ?3", params![last.payload, hash, last.seq]);
    assert_eq!(changed.expect("an update"), 1);
    assert!(is_whole(hospital), "the end of a chain can be rewritten");
}

pub fn planted(hospital: &Hospital) -> Vec<u8> {
    records(hospital).pop().and_then(|last| last.payload).expect("a payload")
}

fn says_4000(payload: &[u8]) -> bool {
    let signed: SignedRelease = codec::decode(payload, limits::FRAME_BYTES).expect("a release");
    let release: Release = codec::decode(&signed.body, limits::FRAME_BYTES).expect("a release");
    // Not the text of the whole release: it has digests, which can hold any digits.
    release.parts.iter().any(|part| counts(table(&part.outcome)).contains(&Some(4000)))
}

/// What the custodian hands out for a round, as a payload; none where it refuses.
fn handed_out(hospital: &Hospital, request: &RoundRequest) -> Option<Vec<u8>> {
    let frame = hospital.open(Controls::default()).custodian.round(request);
    match codec::decode(&frame, limits::FRAME_BYTES).expect("a reply") {
        Reply::Released(signed) => Some(codec::encode(&signed).expect("bytes")),
        _ => None,
    }
}

pub fn family() -> Family {
    const CHAIN: &str = "hash chain";
    const SEAL: &str = "release signature";
    Family::new("ledger")
        .beside(CHAIN, "who asked is another one", |guard| {
            unnoticed(guard, |file, _| {
                run(file, "UPDATE record SET body = replace(body, 'Ada', 'Eve') WHERE kind = 'request'")
            })
        })
        .beside(CHAIN, "what left is something else", |guard| {
            unnoticed(guard, |file, records| {
                let release = of_kind(records, Kind::Release);
                let payload = forged(release.payload.as_ref().expect("a payload"));
                file.execute("UPDATE record SET payload = ?1 WHERE seq = ?2", params![payload, release.seq])
                    .expect("an update");
            })
        })
        .beside(CHAIN, "when it left is another time", |guard| {
            unnoticed(guard, |file, _| run(file, "UPDATE record SET at_ms = at_ms - 86400000 WHERE kind = 'release'"))
        })
        .beside(CHAIN, "a request that was never made is deleted from the middle", |guard| {
            unnoticed(guard, |file, records| {
                run(file, &format!("DELETE FROM record WHERE seq = {}", of_kind(records, Kind::Request).seq));
            })
        })
        .beside(CHAIN, "a whole study is cut out and the rest renumbered", |guard| {
            unnoticed(guard, |file, records| {
                let study = of_kind(records, Kind::Request).study.clone().expect("a study");
                let cut = file.execute("DELETE FROM record WHERE study = ?1", [study]).expect("a deletion");
                run(file, &format!("UPDATE record SET seq = seq - {cut} WHERE seq > 1"));
            })
        })
        .beside(CHAIN, "two records change places", |guard| {
            unnoticed(guard, |file, _| {
                for sql in ["seq = 99 WHERE seq = 2", "seq = 2 WHERE seq = 3", "seq = 3 WHERE seq = 99"] {
                    run(file, &format!("UPDATE record SET {sql}"));
                }
            })
        })
        .beside(CHAIN, "a record is changed and its own hash made to fit", |guard| {
            unnoticed(guard, |file, records| {
                let mut record = of_kind(records, Kind::Decision).clone();
                record.body = record.body.replace("allow", "refuse");
                let hash = record.expected_hash().to_string();
                let sql = "UPDATE record SET body = ?1, hash = ?2 WHERE seq = ?3";
                assert_eq!(file.execute(sql, params![record.body, hash, record.seq]).expect("an update"), 1);
            })
        })
        .beside(SEAL, "a forged answer at the end is given to the next study that asks", |guard| {
            let (hospital, _) = answered();
            plant(&hospital, forged(&planted(&hospital)));
            match guard {
                Guard::On => {
                    let next = hospital.request(&hospital.study("", COUNT));
                    handed_out(&hospital, &next).is_some_and(|payload| says_4000(&payload))
                }
                Guard::Off => says_4000(&planted(&hospital)),
            }
        })
        .beside(SEAL, "a forged answer at the end is handed out again for its own study", |guard| {
            let (hospital, request) = answered();
            plant(&hospital, forged(&planted(&hospital)));
            match guard {
                Guard::On => handed_out(&hospital, &request).is_some_and(|payload| says_4000(&payload)),
                Guard::Off => says_4000(&planted(&hospital)),
            }
        })
        .beside("release names its study", "another study's true release is handed out in its place", |guard| {
            let (hospital, request) = answered();
            let other = of_kind(&records(&hospital), Kind::Release).payload.clone().expect("a payload");
            plant(&hospital, other.clone());
            match guard {
                Guard::On => handed_out(&hospital, &request) == Some(other),
                Guard::Off => planted(&hospital) == other,
            }
        })
}
