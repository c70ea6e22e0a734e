//! A ledger whose chain holds and that has forgotten something: cut off, put back to an older file, or written anew. The coordinator has a
//! checkpoint of each release, signed by the site.

use bocage_node::custodian::Controls;
use bocage_node::custodian::ledger::{Kind, Ledger};
use bocage_protocol::trust::Checkpoint;

use super::hospital::Hospital;
use super::ledger::{file, forged, is_whole, plant, planted, records};
use super::scenario::{Family, Guard};
use super::ward::twenty;

const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";

/// A hospital that answers, and what the coordinator was told with its last answer.
struct Witnessed {
    hospital: Hospital,
    checkpoint: Checkpoint,
}

fn answer(hospital: &Hospital, age: u32) -> Checkpoint {
    let request = hospital.request(&hospital.study(&format!("age > {age}"), COUNT));
    let release = hospital.open(Controls::default()).signed_reply(&request).expect("a release");
    release.ledger.checkpoint
}

fn answers(hospital: &Hospital, ages: std::ops::Range<u32>) -> Checkpoint {
    ages.map(|age| answer(hospital, age)).last().expect("an answer")
}

impl Witnessed {
    fn new() -> Self {
        let hospital = Hospital::ward(&twenty());
        let checkpoint = answers(&hospital, 31..34);
        Self { hospital, checkpoint }
    }

    /// Whether the change goes unnoticed by who compares with the checkpoint. Off: by who verifies the chain alone.
    fn unnoticed(&self, guard: Guard, change: impl FnOnce(&Hospital)) -> bool {
        let before = records(&self.hospital);
        change(&self.hospital);
        assert_ne!(records(&self.hospital), before, "something was changed");
        let ledger = Ledger::open_read_only(&self.hospital.config().state.ledger()).expect("the ledger");
        is_whole(&self.hospital) && (guard == Guard::Off || ledger.fits(&self.checkpoint).expect("the ledger").is_ok())
    }
}

/// The bytes of the file, of which nothing stands beside it.
fn copied(hospital: &Hospital) -> Vec<u8> {
    std::fs::read(hospital.config().state.ledger()).expect("the file")
}

fn put_back(hospital: &Hospital, old: &[u8]) {
    std::fs::write(hospital.config().state.ledger(), old).expect("the old file");
}

fn cut_off_the_last_study(hospital: &Hospital) {
    let last = "DELETE FROM record WHERE study = (SELECT study FROM record ORDER BY seq DESC LIMIT 1)";
    assert!(file(hospital).execute(last, []).expect("a deletion") > 0);
}

fn cut_off_the_last_record(hospital: &Hospital) {
    let kind = records(hospital).pop().and_then(|last| last.kind());
    assert_eq!(kind, Some(Kind::Release));
    let last = "DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)";
    assert_eq!(file(hospital).execute(last, []).expect("a deletion"), 1);
}

pub fn family() -> Family {
    const CHECKPOINT: &str = "coordinator's checkpoint";
    Family::new("rollback")
        .beside(CHECKPOINT, "the last study is cut off", |guard| {
            Witnessed::new().unnoticed(guard, cut_off_the_last_study)
        })
        .beside(CHECKPOINT, "the last release alone is cut off", |guard| {
            Witnessed::new().unnoticed(guard, cut_off_the_last_record)
        })
        .beside(CHECKPOINT, "the last release alone is cut off, and others were answered since", |guard| {
            Witnessed::new().unnoticed(guard, |hospital| {
                cut_off_the_last_record(hospital);
                answers(hospital, 40..44);
            })
        })
        .beside(CHECKPOINT, "the last release is exchanged for another one, and the chain's end made to fit", |guard| {
            Witnessed::new().unnoticed(guard, |hospital| plant(hospital, forged(&planted(hospital))))
        })
        .beside(CHECKPOINT, "everything is cut off but the first record", |guard| {
            Witnessed::new().unnoticed(guard, |hospital| {
                assert!(file(hospital).execute("DELETE FROM record WHERE seq > 1", []).expect("a deletion") > 0);
            })
        })
        .beside(CHECKPOINT, "the last study is cut off, and others were answered since", |guard| {
            Witnessed::new().unnoticed(guard, |hospital| {
                cut_off_the_last_study(hospital);
                answers(hospital, 40..44);
            })
        })
        .beside(CHECKPOINT, "the file is put back to an earlier one", |guard| {
            let hospital = Hospital::ward(&twenty());
            answers(&hospital, 31..33);
            let old = copied(&hospital);
            let checkpoint = answers(&hospital, 33..35);
            Witnessed { hospital, checkpoint }.unnoticed(guard, |hospital| put_back(hospital, &old))
        })
        .beside(CHECKPOINT, "the file is put back, and others were answered since", |guard| {
            let hospital = Hospital::ward(&twenty());
            answers(&hospital, 31..33);
            let old = copied(&hospital);
            let checkpoint = answers(&hospital, 33..35);
            Witnessed { hospital, checkpoint }.unnoticed(guard, |hospital| {
                put_back(hospital, &old);
                answers(hospital, 40..45);
            })
        })
        .beside(CHECKPOINT, "the ledger is begun anew", |guard| {
            Witnessed::new().unnoticed(guard, |hospital| {
                std::fs::remove_file(hospital.config().state.ledger()).expect("it was there");
                answers(hospital, 40..45);
            })
        })
}
