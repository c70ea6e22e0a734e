//! Patients who opted out, and who wants them back: by every way of asking, by what was answered or begun before, by a list that is broken or
//! gone, and by subtracting an answer from the one before.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bocage_node::custodian::{Control, Controls, Moment, Switches};
use bocage_protocol::plan::Quantum;
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::{Purpose, Study};

use super::hospital::{Desk, Hospital, K};
use super::optout_designs::designs;
use super::optout_rounds::between;
use super::optouts_elsewhere::elsewhere;
use super::scenario::Family;
use super::ward::{Patient, bins, count, counts, keys, patients, sides, sums, table, twenty};

const CLINIC: &str = r#"
id = "clinic@1"
title = "A clinic"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "weight"
type = "float"
range = [0, 300]
[[column]]
name = "diagnosis"
type = "text"
"#;
const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";
const PATIENTS: usize = 60;
const SOURCE: &str = "source = { kind = \"csv\", path = \"rows.csv\" }";
const LIST: &str = "[optouts]\nsource = { kind = \"csv\", path = \"optouts.csv\" }";

/// The first three patients are of one age and one diagnosis, which nobody else has; each patient has two rows.
fn rows() -> String {
    let mut text = "patient,age,weight,diagnosis,consent\n".to_owned();
    for i in 0..PATIENTS {
        let (age, diagnosis) = if i < K as usize { (111, "kuru") } else { (30 + i, "flu") };
        // Only one row of a patient says no.
        let consent = if i < K as usize { "no" } else { "yes" };
        let weight = 60 + i;
        let _ = write!(text, "p{i},{age},{weight},{diagnosis},yes\np{i},{age},{weight},{diagnosis},{consent}\n");
    }
    text
}

/// A clinic with a list of opt-outs, which is empty.
fn clinic() -> Hospital {
    let hospital = Hospital::new(CLINIC, &rows());
    hospital.edit(SOURCE, &format!("{SOURCE}\n{LIST}"));
    list(&hospital, 0..0);
    hospital
}

/// Lists these patients as having opted out of everything.
fn list(hospital: &Hospital, patients: std::ops::Range<usize>) {
    let lines: String = patients.map(|i| format!("p{i},all,\n")).collect();
    write(hospital, &format!("subject,purpose,date\n{lines}"));
}

fn write(hospital: &Hospital, text: &str) {
    // Renamed into place, so that it is another file within one tick of the clock too.
    fs::write(hospital.path("optouts.new"), text).expect("the list");
    fs::rename(hospital.path("optouts.new"), hospital.path("optouts.csv")).expect("the list");
}

/// A clinic of which the three have opted out.
fn three_out() -> Hospital {
    let hospital = clinic();
    list(&hospital, 0..K as usize);
    hospital
}

fn group(desk: &Desk<'_>) -> Option<u64> {
    counts(table(&desk.one("age = 111", "table = { show = ['count'] }")))[0]
}

fn three(controls: Controls, ask: impl Fn(&Desk<'_>) -> bool) -> bool {
    ask(&three_out().open(controls))
}

/// What comes of an analysis of a ward where a row is a patient, of whom three opted out by a column of the source.
fn three_of_a_ward(controls: Controls, analysis: &str) -> Outcome {
    let mut rows = twenty();
    rows.extend(patients(K as usize, |_| Patient { age: 111, ..Patient::default() }));
    let hospital = Hospital::ward(&rows);
    hospital.edit(SOURCE, &format!("{SOURCE}\noptout = \"age = 111\""));
    hospital.open(controls).one("", analysis)
}

/// Whether what was answered before the three opted out is handed out after it, to the same study or to another one.
fn answered_before(controls: Controls, same_study: bool, restart: bool) -> bool {
    let hospital = clinic();
    let mut desk = hospital.open(controls);
    let first = hospital.request(&hospital.study("age = 111", COUNT));
    let before = desk.reply(&first).expect("a release").parts;
    list(&hospital, 0..K as usize);
    if restart {
        drop(desk);
        desk = hospital.open(controls);
    }
    let again = if same_study { first } else { hospital.request(&hospital.study("age = 111", COUNT)) };
    desk.reply(&again).is_ok_and(|release| release.parts == before)
}

/// Whether a study that was begun before goes on with the patients of then.
fn begun_before(controls: Controls) -> bool {
    let hospital = clinic();
    let dies = Switches {
        controls,
        at: Some(Arc::new(|moment| assert_ne!(moment, Moment::Reserved, "the process dies here"))),
        ..Switches::default()
    };
    let request = hospital.request(&hospital.study("age = 111", COUNT));
    assert!(catch_unwind(AssertUnwindSafe(|| hospital.open_with(dies).custodian.round(&request))).is_err());
    list(&hospital, 0..K as usize);
    let release = hospital.open(controls).reply(&request);
    release.is_ok_and(|release| counts(table(&release.parts[0].outcome))[0] == Some(K))
}

/// Whether a list that cannot be used lets them in again.
fn spoilt(controls: Controls, spoil: impl Fn(&Hospital)) -> bool {
    let hospital = three_out();
    let desk = hospital.open(controls);
    let _ = group(&desk);
    spoil(&hospital);
    let request = hospital.request(&hospital.study("age > 30", COUNT));
    desk.reply(&request).is_ok_and(|release| counts(table(&release.parts[0].outcome))[0] == Some(PATIENTS as u64))
}

fn everybody(desk: &Desk<'_>) -> Outcome {
    desk.one("", "table = { show = ['sum(weight)'] }")
}

fn counted(outcome: &Outcome) -> u64 {
    count(&table(outcome).cells[0]).expect("it is shown")
}

fn weighed(outcome: &Outcome) -> f64 {
    sums(&table(outcome).cells[0], Quantum::of_float_range(0.0, 300.0)).map_or(f64::NAN, |sums| sums.sum)
}

/// Whether two studies, before and after some lists, differ by fewer than k patients, and by some.
fn differ(controls: Controls, restart: bool, lists: &[(usize, usize)]) -> bool {
    let hospital = clinic();
    let mut desk = hospital.open(controls);
    let mut seen = vec![counted(&everybody(&desk))];
    for (from, to) in lists {
        list(&hospital, *from..*to);
        if restart {
            drop(desk);
            desk = hospital.open(controls);
        }
        seen.push(counted(&everybody(&desk)));
    }
    let apart = |a: u64, b: u64| (1..K).contains(&a.abs_diff(b));
    seen.iter().any(|a| seen.iter().any(|b| apart(*a, *b)))
}

/// Whether the weight of the one patient who opted out is the difference of two sums.
fn the_weight(controls: Controls) -> bool {
    let hospital = clinic();
    let desk = hospital.open(controls);
    let before = weighed(&everybody(&desk));
    list(&hospital, 7..8);
    // Two rows of 67.
    (before - weighed(&everybody(&desk)) - 134.0).abs() < 0.01
}

/// Whether an opt-out from one purpose only shows in the answers for two.
fn two_purposes(controls: Controls) -> bool {
    let hospital = clinic();
    write(&hospital, "subject,purpose,date\np7,education,\n");
    let desk = hospital.open(controls);
    let of = |purpose| {
        let study = Study { purpose, ..hospital.study("", COUNT) };
        let release = desk.reply(&hospital.request(&study)).expect("a release");
        counted(&release.parts[0].outcome)
    };
    let apart = of(Purpose::Education).abs_diff(of(Purpose::ScientificResearch));
    (1..K).contains(&apart)
}

fn asked(family: Family) -> Family {
    const OUT: Control = Control::OptOuts;
    family
        .against(OUT, "patients who opted out, by a filter", |on| three(on, |desk| group(desk).is_some()))
        .against(OUT, "patients who opted out, as a band", |on| {
            three(on, |desk| {
                let outcome = desk.one("", "table = { by = ['cut(age, 100)'], show = ['count'], roll_up = false }");
                counts(table(&outcome)).contains(&Some(K))
            })
        })
        .against(OUT, "patients who opted out, as a side of a condition", |on| {
            three(on, |desk| {
                let outcome = desk.one("", "table = { show = ['share(age = 111)'] }");
                sides(&table(&outcome).cells[0]).is_some_and(|sides| sides[0] > 0)
            })
        })
        .against(OUT, "patients who opted out, in a sum", |on| {
            three(on, |desk| counted(&everybody(desk)) == PATIENTS as u64)
        })
        .against(OUT, "patients who opted out, by a diagnosis that only they have", |on| {
            three(on, |desk| {
                let outcome = desk.one("", "table = { by = ['discovered(diagnosis)'], show = ['count'] }");
                keys(&outcome).keys.iter().any(|key| key.key.as_deref() == Some("kuru"))
            })
        })
        .against(OUT, "patients who opted out, by a step of inclusion", |on| {
            let outcome = three_of_a_ward(on, "attrition = { steps = ['age < 111'] }");
            bins(&outcome).bins.iter().any(|bin| bin.count.subjects == K)
        })
        .against(OUT, "patients who opted out, in the total of a quantile", |on| {
            let outcome = three_of_a_ward(on, "quantiles = { of = 'age' }");
            bins(&outcome).bins.iter().map(|bin| bin.count.subjects).sum::<u64>() == 20 + K
        })
        .against(OUT, "the rows of patients of whom another row says no", |on| {
            let hospital = Hospital::new(CLINIC, &rows());
            hospital.edit(SOURCE, &format!("{SOURCE}\noptout = \"consent = 'no'\""));
            group(&hospital.open(on)).is_some()
        })
        .against(OUT, "patients who opted out, for another purpose", |on| {
            three(on, |desk| {
                let hospital = desk.hospital;
                let study = Study { purpose: Purpose::Statistics, ..hospital.study("age = 111", COUNT) };
                let release = desk.reply(&hospital.request(&study)).expect("a release");
                counts(table(&release.parts[0].outcome))[0].is_some()
            })
        })
        .against(OUT, "patients who opted out, after a restart", |on| {
            let hospital = three_out();
            assert!(hospital.open(on).custodian.catalogue().len() > 1);
            group(&hospital.open(on)).is_some()
        })
}

fn from_before(family: Family) -> Family {
    const OUT: Control = Control::OptOuts;
    family
        .against(OUT, "an answer from before, to another study", |on| answered_before(on, false, false))
        .against(OUT, "an answer from before, to another study, after a restart", |on| answered_before(on, false, true))
        .against(OUT, "an answer from before, to the same study", |on| answered_before(on, true, false))
        .against(OUT, "an answer from before, to the same study, after a restart", |on| answered_before(on, true, true))
        .against(OUT, "a study that was begun before, gone on with", begun_before)
        .against(OUT, "a list that is removed", |on| {
            spoilt(on, |hospital| fs::remove_file(hospital.path("optouts.csv")).expect("it was there"))
        })
        .against(OUT, "a list without its first line", |on| {
            spoilt(on, |hospital| write(hospital, "p0,all,\np1,all,\n"))
        })
        .against(OUT, "a list that is cut off within a line", |on| {
            spoilt(on, |hospital| write(hospital, "subject,purpose,date\np0,al"))
        })
        .against(OUT, "a list with a purpose that nobody knows", |on| {
            spoilt(on, |hospital| write(hospital, "subject,purpose,date\np0,everything,\n"))
        })
        .against(OUT, "a list that is empty", |on| spoilt(on, |hospital| write(hospital, "")))
}

/// A clinic of 600, five of whom are younger than 38: one of these opts out between two studies. Those who leave with them are most likely
/// elsewhere, and then the cell changes by one.
fn small_cell(
    controls: Controls,
    restart: bool,
    asked: [&str; 2],
    counts: impl Fn(&Outcome) -> Vec<Option<u64>>,
) -> bool {
    let row = |i: usize| {
        let (age, diagnosis) = if i < 5 { (33 + i, "scurvy") } else { (40 + i % 50, "flu") };
        format!("p{i},{age},{},{diagnosis},yes\n", 60 + i % 100)
    };
    let rows: String = (0..600).map(row).collect();
    let hospital = Hospital::new(CLINIC, &format!("patient,age,weight,diagnosis,consent\n{rows}"));
    hospital.edit(SOURCE, &format!("{SOURCE}\n{LIST}"));
    list(&hospital, 0..0);
    let mut desk = hospital.open(controls);
    let before = counts(&desk.one("", asked[0]));
    list(&hospital, 3..4);
    if restart {
        drop(desk);
        desk = hospital.open(controls);
    }
    let after = counts(&desk.one("", asked[1]));
    let apart = before.iter().zip(&after).filter_map(|(a, b)| Some((*a)?.abs_diff((*b)?)));
    apart.into_iter().any(|n| (1..K).contains(&n))
}

fn named(outcome: &Outcome) -> Vec<Option<u64>> {
    let keys = &keys(outcome).keys;
    let of = |name: &str| keys.iter().find(|key| key.key.as_deref() == Some(name)).and_then(|key| count(&key.cells[0]));
    ["scurvy", "flu"].map(of).to_vec()
}

fn cells(family: Family) -> Family {
    const CELLS: Control = Control::OptOutCells;
    const AGES: &str = "table = { by = ['cut(age, 38)'], show = ['count'], roll_up = false }";
    let tables = |outcome: &Outcome| counts(table(outcome));
    family
        .against(CELLS, "a small cell before and after one opt-out", move |on| small_cell(on, false, [AGES; 2], tables))
        .against(CELLS, "a small cell before and after one opt-out, and a restart between", move |on| {
            small_cell(on, true, [AGES; 2], tables)
        })
        .against(CELLS, "a small cell before and after one opt-out, with another measure", move |on| {
            let other = "table = { by = ['cut(age, 38.0)'], show = ['mean(weight)', 'count'], roll_up = false }";
            small_cell(on, false, [AGES, other], tables)
        })
        .against(CELLS, "a rare diagnosis before and after one opt-out", |on| {
            small_cell(on, false, ["table = { by = ['discovered(diagnosis)'], show = ['count'] }"; 2], named)
        })
}

pub fn family() -> Family {
    const STEPS: Control = Control::OptOutSteps;
    elsewhere(designs(between(cells(from_before(asked(Family::new("opt-outs")))))))
        .against(STEPS, "two studies before and after one opt-out", |on| differ(on, false, &[(7, 8)]))
        .against(STEPS, "two studies before and after one opt-out, and a restart between", |on| {
            differ(on, true, &[(7, 8)])
        })
        .against(STEPS, "studies between opt-outs, one by one", |on| differ(on, false, &[(0, 4), (0, 5), (0, 6)]))
        .against(STEPS, "studies before and after an opt-out that was taken back", |on| {
            differ(on, false, &[(0, 20), (0, 19)])
        })
        .against(STEPS, "an opt-out from one purpose, by studies for two", two_purposes)
        .against(STEPS, "the weight of one patient who opted out, by two sums", the_weight)
}
