//! Opt-outs on the way of a round: lists that change, break and come back; what is offered then, and what two answers may differ by.

mod cells;
mod clusters;
mod columns;
mod designs;
mod groups;
mod influence;
mod lists;
mod models;
mod steps;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bocage_protocol::limits;
use bocage_protocol::release::{CellRelease, Outcome, Release};
use bocage_protocol::trust::Study;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::Reply;

use super::*;
use crate::config::Config;
use crate::config::environment::{Depth, read_release_key};
use crate::custodian::ledger::bodies::{Attempt, AttemptState};
use crate::custodian::snapshot::Manifest;
use crate::custodian::source::place;
use crate::custodian::{Custodian, Switches, data};
use crate::fixture::{CONTRACT, NOW, Site, Still};

const K: u64 = 11;
const PATIENTS: u64 = 300;
const LIST: &str = "[optouts]\nsource = { kind = \"csv\", path = \"optouts.csv\" }";
const STUDY: &str = r#"
title = "Everybody"
purpose = "PURPOSE"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "all"
table = { show = ["count", "mean(chol)"] }
[[analysis]]
name = "notes"
table = { by = ["discovered(sex)"], show = ["count"] }
"#;

/// A clinic whose contract names its patients: `p0`, `p1`, …, each with two rows.
struct Clinic {
    site: Site,
    asked: AtomicU32,
    queries: Arc<AtomicU32>,
}

impl Clinic {
    fn new(more: &str) -> Self {
        Self::of(PATIENTS, more)
    }

    fn of(patients: u64, more: &str) -> Self {
        let clinic = Self { site: Site::new(), asked: AtomicU32::new(0), queries: Arc::default() };
        let column = "[[column]]\nname = \"patient\"\ntype = \"text\"\n[[column]]\nname = \"age\"";
        let contract = CONTRACT.replace("subject = \"row\"", "subject = \"patient\"");
        let contract = contract.replacen("[[column]]\nname = \"age\"", column, 1);
        fs::write(clinic.site.path("contracts/heart.toml"), contract).unwrap();
        clinic.rows(patients, |_| "yes");
        clinic.list(&[]);
        clinic.site.write_config(more);
        clinic
    }

    fn rows(&self, patients: u64, consent: impl Fn(u64) -> &'static str) {
        let row = |i: u64| {
            let (age, sex, chol) = (30 + i % 60, i % 2, 180 + i % 100);
            format!("p{i},{age},{sex},{chol},{}\np{i},{age},{sex},{},yes\n", consent(i), chol + 1)
        };
        let rows: String = (0..patients).map(row).collect();
        fs::write(self.site.path("heart.csv"), format!("patient,age,sex,chol,consent\n{rows}")).unwrap();
    }

    /// Writes the list: patient, purpose, date.
    fn list(&self, lines: &[&str]) {
        let text: String =
            std::iter::once(&"subject,purpose,date").chain(lines).map(|line| format!("{line}\n")).collect();
        self.write(&text);
    }

    /// Lists the first so many.
    fn list_first(&self, first: u64) {
        let lines: Vec<String> = (0..first).map(|i| format!("p{i},,")).collect();
        self.list(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn write(&self, text: &str) {
        // Renamed into place, so that it is another file within one tick of the clock too.
        fs::write(self.site.path("optouts.new"), text).unwrap();
        fs::rename(self.site.path("optouts.new"), self.site.path("optouts.csv")).unwrap();
    }

    /// Makes the snapshot as a version wrote it that knew patients again for opt-outs only.
    fn forget_patients(&self) {
        let config = self.site.config();
        let taken = data::usable(&config, &config.datasets["heart"]).unwrap();
        let folder = config.state.snapshots().join("heart");
        fs::remove_file(folder.join(format!("{}.ids", taken.content))).unwrap();
        let path = folder.join(format!("{}.json", taken.content));
        fs::write(path, serde_json::to_vec(&Manifest { ids: None, ..taken }).unwrap()).unwrap();
    }

    fn custodian(&self) -> Custodian {
        self.custodian_with(Switches::default())
    }

    fn custodian_with(&self, switches: Switches) -> Custodian {
        let config = self.site.config();
        fs::create_dir_all(&config.state.0).unwrap();
        let ledger = Ledger::open(&config.state.ledger()).unwrap();
        let key = read_release_key(&config.release_key_file).unwrap();
        let count = Arc::clone(&self.queries);
        let before_query: crate::custodian::BeforeQuery = Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let switches = Switches { before_query: Some(before_query), ..switches };
        let custodian = Custodian::new(config, ledger, key, Arc::new(Still(NOW)), Arc::new(|_| {}), switches);
        custodian.take_due_snapshots();
        custodian
    }

    /// The same question, in a study of its own.
    fn study(&self, purpose: &str) -> Study {
        let nonce = self.asked.fetch_add(1, Ordering::Relaxed);
        Study { nonce: format!("{nonce:032x}"), ..self.site.study_of(&STUDY.replace("PURPOSE", purpose)) }
    }

    fn ask(&self, custodian: &Custodian) -> Release {
        released(custodian, &custodian.round(&self.site.request(&self.study("scientific_research"))))
    }

    /// How many patients the answer to a new study is about.
    fn count(&self, custodian: &Custodian) -> u64 {
        count(&self.ask(custodian))
    }

    fn refused(&self, custodian: &Custodian) -> ErrorCode {
        refusal(&custodian.round(&self.site.request(&self.study("scientific_research")))).code
    }
}

fn released(custodian: &Custodian, frame: &[u8]) -> Release {
    match codec::decode(frame, limits::FRAME_BYTES).unwrap() {
        Reply::Released(signed) => signed.verify(&custodian.release_key.public()).unwrap(),
        other => panic!("not released: {other:?}"),
    }
}

fn refusal(frame: &[u8]) -> PublicError {
    match codec::decode(frame, limits::FRAME_BYTES).unwrap() {
        Reply::Refused(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn count(release: &Release) -> u64 {
    let Outcome::Table(table) = &release.parts[0].outcome else { panic!("no table") };
    match &table.cells[0] {
        CellRelease::Shown { count, .. } => count.subjects,
        CellRelease::FewerThanK => panic!("hidden"),
    }
}

fn changes(custodian: &Custodian) -> Vec<OptOutsChanged> {
    let mut changes = Vec::new();
    custodian
        .ledger
        .records(None, |record| changes.extend((record.kind == "optouts").then(|| record.body().unwrap())))
        .unwrap();
    changes
}

#[test]
fn with_an_empty_list_everything_is_as_without_one() {
    let (clinic, plain) = (Clinic::new(LIST), Clinic::new(""));
    let (with, without) = (clinic.custodian(), plain.custodian());
    assert_eq!(clinic.ask(&with).parts, plain.ask(&without).parts);
    assert!(changes(&with).is_empty());
    assert!(!clinic.site.config().state.optouts().exists());
}

#[test]
fn who_opted_out_before_anything_was_released_is_left_out_alone() {
    let clinic = Clinic::new(LIST);
    clinic.list(&["p7,all,", "p8,scientific_research,2020-01-01", "stranger,,"]);
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS - 2);
    let changes = changes(&custodian);
    assert_eq!((changes.len(), changes[0].changed), (1, None));
}

#[test]
fn an_opt_out_counts_at_once_and_leaves_together_with_others() {
    let clinic = Clinic::new(LIST);
    let custodian = clinic.custodian();
    let before = clinic.ask(&custodian);
    assert_eq!(count(&before), PATIENTS);
    let queries = clinic.queries.load(Ordering::Relaxed);
    clinic.list(&["p7,,"]);
    let after = clinic.ask(&custodian);
    assert_eq!(count(&after), PATIENTS - K - 1);
    assert_eq!(clinic.queries.load(Ordering::Relaxed), 2 * queries, "no answer from before is given again");
    assert_ne!(before.snapshot, after.snapshot);
    let form = custodian.optouts.form(&custodian.config.datasets["heart"], &custodian.release_key).unwrap().unwrap();
    let used = state::load(&custodian.optouts.dir.join("heart.json"), &form.digest()).unwrap().unwrap();
    assert!(used.last.last().unwrap().patients.contains(&form.of_subject("p7")));
    assert_eq!(changes(&custodian)[0].changed, None, "with the first set there is none before");
    // A second one: a group of its own, and the first one's stays.
    let left = &used.last.last().unwrap().patients;
    let other = (8..PATIENTS).map(|i| format!("p{i}")).find(|id| !left.contains(&form.of_subject(id))).unwrap();
    clinic.list(&["p7,,", &format!("{other},,")]);
    let third = clinic.count(&custodian);
    assert_eq!(third, PATIENTS - 2 * (K + 1));
    assert!(changes(&custodian)[1].changed.unwrap() > K);
}

#[test]
fn a_restart_leaves_out_the_same_patients_and_computes_nothing_again() {
    let clinic = Clinic::new(LIST);
    let first = clinic.custodian();
    clinic.ask(&first);
    clinic.list(&["p7,,"]);
    let before = clinic.ask(&first);
    let queries = clinic.queries.load(Ordering::Relaxed);
    drop(first);
    let second = clinic.custodian();
    let after = clinic.ask(&second);
    assert_eq!((&before.parts, before.snapshot), (&after.parts, after.snapshot));
    assert_eq!(clinic.queries.load(Ordering::Relaxed), queries);
    assert_eq!(changes(&second).len(), 1);
}

#[test]
fn a_list_that_breaks_stops_every_answer_until_it_is_whole_again() {
    let clinic = Clinic::new(LIST);
    let custodian = clinic.custodian();
    let request = clinic.site.request(&clinic.study("scientific_research"));
    let frame = custodian.round(&request);
    for broken in
        ["subject,purpose\np1,all\n", "subject,purpose,date\np1,everything,\n", "subject,purpose,date\np1,all,", ""]
    {
        clinic.write(broken);
        assert_eq!(clinic.refused(&custodian), ErrorCode::OptoutsUnavailable, "{broken}");
        let error = refusal(&custodian.round(&request));
        assert_eq!(error.code, ErrorCode::OptoutsUnavailable, "nor is an answer from before handed out");
        assert!(error.hint.is_some() && !error.to_string().contains("p1"));
    }
    fs::remove_file(clinic.site.path("optouts.csv")).unwrap();
    assert_eq!(clinic.refused(&custodian), ErrorCode::OptoutsUnavailable);
    let problems = Config::check(&clinic.site.origin(), Depth::Everything, NOW).unwrap_err().to_string();
    assert!(problems.contains("optouts.source: ") && problems.contains("there is no such file"), "{problems}");
    clinic.list(&[]);
    assert_eq!(custodian.round(&request), frame);
    assert_eq!(clinic.count(&custodian), PATIENTS);
}

#[test]
fn a_study_that_began_before_an_opt_out_is_told_to_begin_again() {
    let clinic = Clinic::new(LIST);
    let custodian = clinic.custodian();
    let (done, begun) = (clinic.study("scientific_research"), clinic.study("scientific_research"));
    let (done, begun) = (clinic.site.request(&done), clinic.site.request(&begun));
    custodian.round(&done);
    // The other one's computation was interrupted: its reservation stands.
    let mut reservation = None;
    let note = |record: crate::custodian::ledger::Record| {
        reservation = reservation.take().or((record.kind == "reservation").then_some(record))
    };
    custodian.ledger.records(None, note).unwrap();
    let body: crate::custodian::ledger::bodies::Reservation = reservation.unwrap().body().unwrap();
    let entries = [
        Entry::new(Kind::Reservation, begun.study.id(), 0, &body),
        Entry::new(Kind::Attempt, begun.study.id(), 0, &Attempt { state: AttemptState::Stopped }),
    ];
    custodian.ledger.append(NOW, &entries).unwrap();
    clinic.list(&["p7,,"]);
    for request in [&done, &begun] {
        for _ in 0..2 {
            let error = refusal(&custodian.round(request));
            assert_eq!((error.code, error.hint.is_some()), (ErrorCode::OptoutsChanged, true));
        }
    }
    assert!(changes(&custodian).is_empty(), "what is not answered is no use of a set");
    assert_eq!(clinic.count(&custodian), PATIENTS - K - 1);
}

#[test]
fn a_day_that_is_to_come_does_not_count_yet() {
    let clinic = Clinic::new(LIST);
    // The tests' time is 2026-09-21T14:13:20Z: the 22nd has begun somewhere.
    clinic.list(&["p1,,2026-09-22", "p2,,2026-09-23"]);
    assert_eq!(clinic.count(&clinic.custodian()), PATIENTS - 1);
}

#[test]
fn a_column_of_the_source_says_who_opted_out_in_any_row() {
    let clinic = Clinic::new("optout = \"consent = 'no'\"");
    clinic.rows(PATIENTS, |i| if i % 100 == 5 { "no" } else { "" });
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS - 3);
    // With the list as well.
    clinic.site.write_config(&format!("optout = \"consent = 'no'\"\n{LIST}"));
    clinic.list(&["p5,,", "p6,,"]);
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS - 3 - K - 1, "one more, and others with them");
    let form = custodian.optouts.form(&custodian.config.datasets["heart"], &custodian.release_key).unwrap().unwrap();
    let used = state::load(&custodian.optouts.dir.join("heart.json"), &form.digest()).unwrap().unwrap();
    for id in ["p5", "p105", "p205", "p6"] {
        assert!(used.last.last().unwrap().patients.contains(&form.of_subject(id)), "{id}");
    }
}

#[test]
fn a_row_that_is_rejected_or_cannot_be_read_opts_its_patient_out_as_well() {
    let clinic = Clinic::new("optout = \"consent < 1\"");
    let path = clinic.site.path("contracts/heart.toml");
    let contract =
        fs::read_to_string(&path).unwrap().replacen("range = [0, 120]", "range = [0, 120]\nrequired = true", 1);
    fs::write(path, contract).unwrap();
    clinic.rows(PATIENTS, |_| "1");
    let text = fs::read_to_string(clinic.site.path("heart.csv")).unwrap().replace(",yes\n", ",1\n");
    let text = text.replace("p3,33,1,183,1\n", "p3,,1,183,0\n").replace("p4,34,0,184,1\n", "p4,34,0,184,perhaps\n");
    fs::write(clinic.site.path("heart.csv"), text).unwrap();
    assert_eq!(clinic.count(&clinic.custodian()), PATIENTS - 2);
}

#[test]
fn a_list_of_hashed_ids_needs_the_salt_that_they_were_hashed_with() {
    let hashed = format!("{LIST}\nids = \"sha256\"\nsalt_file = \"salt\"");
    let clinic = Clinic::new(&hashed);
    bocage_net::secret::write_secret(&clinic.site.path("salt"), b"pepper\n").unwrap();
    // As `printf pepperp7 | sha256sum` makes it.
    let hash = {
        use sha2::Digest as _;
        Digest::from_bytes(sha2::Sha256::digest(b"pepperp7").into()).to_string()
    };
    clinic.list(&[&format!("{},,", hash.to_uppercase())]);
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS - 1);
    drop(custodian);
    // Under another salt nobody knows who was left out before; with the former one it goes on.
    for (salt, known) in [("paprika\n", false), ("pepper\n", true)] {
        fs::remove_file(clinic.site.path("salt")).unwrap();
        bocage_net::secret::write_secret(&clinic.site.path("salt"), salt.as_bytes()).unwrap();
        let running = clinic.custodian();
        match known {
            true => assert_eq!(clinic.count(&running), PATIENTS - 1),
            false => assert_eq!(clinic.refused(&running), ErrorCode::OptoutsUnavailable),
        }
    }
    let running = clinic.custodian();
    fs::remove_file(clinic.site.path("salt")).unwrap();
    assert_eq!(clinic.refused(&running), ErrorCode::OptoutsUnavailable);
}

#[test]
fn what_left_before_a_site_had_opt_outs_is_not_handed_out_to_the_same_study_later() {
    let clinic = Clinic::new("");
    let request = clinic.site.request(&clinic.study("scientific_research"));
    clinic.custodian().round(&request);
    clinic.forget_patients();
    clinic.site.write_config(LIST);
    clinic.list(&["p7,,"]);
    clinic.rows(PATIENTS + 1, |_| "yes");
    let custodian = clinic.custodian();
    assert_eq!(refusal(&custodian.round(&request)).code, ErrorCode::OptoutsChanged);
    assert_eq!(clinic.count(&custodian), PATIENTS - K);
}

#[test]
fn the_same_rows_of_other_patients_are_matched_anew_in_a_running_node() {
    let clinic = Clinic::new(LIST);
    clinic.list(&["p7,,"]);
    let custodian = clinic.custodian();
    let before = clinic.ask(&custodian);
    // p7's rows become somebody else's, who stands in p7's place.
    let text = fs::read_to_string(clinic.site.path("heart.csv")).unwrap();
    let places = |ids: &[String]| ids.iter().map(|id| place(id.as_str())).collect::<BTreeSet<u64>>();
    let all = places(&(0..PATIENTS).map(|i| format!("p{i}")).collect::<Vec<_>>());
    let own = place("p7");
    let above = all.range(own + 1..).next().copied().unwrap_or(u64::MAX);
    let below = all.range(..own).next_back().copied().unwrap_or(0);
    let other = (0..).map(|i| format!("q{i}")).find(|id| (below + 1..above).contains(&place(id.as_str()))).unwrap();
    fs::write(clinic.site.path("heart.csv"), text.replace("p7,", &format!("{other},"))).unwrap();
    let dataset = &custodian.config.datasets["heart"];
    let content = data::usable(&custodian.config, dataset).unwrap().content;
    let form = custodian.optouts.form(dataset, &custodian.release_key).unwrap();
    let taken =
        data::refresh(&custodian.config, &custodian.ledger, dataset, form.as_ref(), crate::ingest::Why::Refresh, NOW)
            .unwrap();
    assert_eq!(taken.content, content);
    let after = clinic.ask(&custodian);
    assert_eq!((count(&before), count(&after)), (PATIENTS - 1, PATIENTS));
    assert_ne!(before.snapshot, after.snapshot);
}

#[test]
fn a_snapshot_without_tokens_is_taken_again() {
    let clinic = Clinic::new("");
    drop(clinic.custodian());
    clinic.forget_patients();
    clinic.site.write_config(LIST);
    let config = clinic.site.config();
    assert!(data::usable(&config, &config.datasets["heart"]).unwrap_err().contains("without the patients' tokens"));
    clinic.list(&["p7,,"]);
    let custodian = clinic.custodian();
    assert_eq!(clinic.count(&custodian), PATIENTS - 1);
    let manifest = data::usable(&config, &config.datasets["heart"]).unwrap();
    let place = config.state.snapshots().join("heart").join(format!("{}.ids", manifest.content));
    let bytes = fs::read(&place).unwrap();
    assert!((100..PATIENTS).all(|n| !bytes.windows(4).any(|some| some == format!("p{n}").as_bytes())));
    drop(custodian);
    fs::write(&place, &bytes[1..]).unwrap();
    assert_eq!(clinic.refused(&clinic.custodian()), ErrorCode::OptoutsUnavailable);
    fs::remove_file(&place).unwrap();
    assert_eq!(clinic.refused(&clinic.custodian()), ErrorCode::OptoutsUnavailable);
}
