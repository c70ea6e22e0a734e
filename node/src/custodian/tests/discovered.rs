//! Discovered keys through authority, engine, gate and ledger: what a rare text leaves behind, and where.

use std::io::Write;
use std::sync::{Arc, Mutex};

use bocage_protocol::release::{Outcome, Release};

use super::*;

const RARE: &str = "Meyer";

const STUDY: &str = r#"
title = "Diagnoses"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "found"
table = { by = ["discovered(note)", "sex"], show = ["count", "mean(chol)"], top = 3 }
[[analysis]]
name = "ages"
table = { by = ["discovered(age)"], show = ["count"] }
[[analysis]]
name = "sexes"
table = { by = ["discovered(sex)"], show = ["count"] }
"#;

/// The site with a column of texts: two frequent ones, none for some, and a patient's name.
fn site() -> Site {
    let site = Site::new();
    let contract = std::fs::read_to_string(site.path("contracts/heart.toml")).unwrap();
    let note = "[[column]]\nname = \"note\"\nlabel = \"main diagnosis\"\ntype = \"text\"\n";
    std::fs::write(site.path("contracts/heart.toml"), contract + note).unwrap();
    let note = |i: usize| match i {
        0..40 => "angina",
        40..45 => "",
        45..57 => "gout",
        _ => "seen by Dr Meyer",
    };
    let rows: String = (0..60).map(|i| format!("{},{},{},{}\n", 30 + i, i % 2, 180 + 2 * i, note(i))).collect();
    std::fs::write(site.path("heart.csv"), format!("age,sex,chol,note\n{rows}")).unwrap();
    site
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_rare_text_is_in_no_byte_that_leaves_nor_in_the_ledger_nor_in_the_log() {
    let (site, lines) = (site(), Lines::default());
    let writer = lines.clone();
    let log =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // While there is a second subscriber, tests on other threads, which have none, do not switch this one's lines off.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let (release, frame, custodian) = tracing::subscriber::with_default(log, || {
        let custodian = ready(&site);
        let frame = custodian.round(&site.request(&site.study_of(STUDY)));
        let Reply::Released(signed) = reply(&frame) else { panic!("{:?}", reply(&frame)) };
        let release: Release = signed.verify(&custodian.release_key.public()).unwrap();
        (release, frame, custodian)
    });
    let Outcome::Discovered(found) = &release.parts[0].outcome else { panic!("{release:?}") };
    let names: Vec<Option<&str>> = found.keys.iter().map(|key| key.key.as_deref()).collect();
    assert_eq!(names, [Some("angina")], "no sex has 11 patients with gout");
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(has(&frame, "angina") && !has(&frame, "gout") && !has(&frame, RARE));
    let mut recorded = 0;
    let records = |record: super::ledger::Record| {
        recorded += 1;
        let payload = record.payload.unwrap_or_default();
        for word in [RARE, "gout"] {
            assert!(!has(record.body.as_bytes(), word) && !has(&payload, word), "{} holds {word}", record.kind);
        }
    };
    custodian.ledger.records(None, records).unwrap();
    let log = lines.0.lock().unwrap().clone();
    assert!(recorded > 4 && has(&log, "released"), "{}", String::from_utf8_lossy(&log));
    for word in [RARE, "gout", "angina"] {
        assert!(!has(&log, word), "{}", String::from_utf8_lossy(&log));
    }
    // The file that the data came from has them all, so the search would find them.
    assert!(has(&std::fs::read(site.path("heart.csv")).unwrap(), RARE));
}

#[test]
fn integers_and_codes_are_discovered_and_the_ledger_shows_what_left_by_label() {
    let site = site();
    site.edit_config("threshold = 11", "threshold = 5");
    let custodian = ready(&site);
    let study = site.study_of(STUDY);
    let frame = custodian.round(&site.request(&study));
    assert!(matches!(reply(&frame), Reply::Released(_)));
    let config = crate::config::Config::load(&site.origin()).unwrap();
    let mut reader = ledger::show::Reader::new(&config.contracts);
    let (mut left, mut told) = (Vec::new(), Vec::new());
    let note = |record: super::ledger::Record| {
        told.extend(record.body::<super::ledger::bodies::Decision>().map(|decision| decision.explained));
        left.extend(reader.show(record).left);
    };
    custodian.ledger.records(None, note).unwrap();
    let shown = |name: &str| {
        let part = left.iter().find(|part| part.analysis == name).unwrap();
        assert!(part.total.is_none());
        let cell = |c: &ledger::show::ShownCell| (c.cell.join(", "), c.count.map(|n| n.subjects));
        part.cells.iter().map(cell).collect::<Vec<_>>()
    };
    assert_eq!(
        shown("sexes"),
        [("discovered(sex) = female".to_owned(), Some(30)), ("discovered(sex) = male".into(), Some(30))]
    );
    assert_eq!(shown("ages"), [], "everybody has another age");
    let of = |key: &str, sex: &str, n: u64| (format!("discovered(note) = {key}, sex = {sex}"), Some(n));
    let found = shown("found");
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found.contains(&of("angina", "female", 20)) && found.contains(&of("gout", "male", 6)), "{found:?}");
    let sentences = told.iter().find_map(|of| of.get(&study.analyses[0].name)).unwrap();
    for wanted in [
        "Reads chol, note (main diagnosis), sex;",
        "Groups them by note (main diagnosis), every value found in the data, by sex (3 groups): 30000 groups at most.",
        "Computes for each group the text itself, where k or more patients of one group have it; patients and rows;",
    ] {
        assert!(sentences.contains(wanted), "{wanted}\nnot in\n{sentences}");
    }
}

#[test]
fn another_study_gets_the_keys_that_left_before_without_a_second_look() {
    let (site, asked) = (site(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&asked);
    let switches = Switches {
        before_query: Some(Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })),
        ..Switches::default()
    };
    let custodian = custodian_with(&site, switches, Arc::new(|_| {}));
    custodian.take_due_snapshots();
    let parts = |nonce: &str, top: &str| {
        let text = STUDY.replace("top = 3", top);
        let study = bocage_protocol::trust::Study { nonce: nonce.repeat(32), ..site.study_of(&text) };
        let Reply::Released(signed) = reply(&custodian.round(&site.request(&study))) else { panic!("refused") };
        signed.verify(&custodian.release_key.public()).unwrap().parts
    };
    let first = parts("1", "top = 3");
    // How many keys the researcher wants to see is no part of the question to a site.
    assert_eq!(parts("2", "top = 900"), first);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
