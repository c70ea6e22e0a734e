//! Patients who said no in a column of one dataset, and who wants them back through another one: by itself, by a join of two that have no such column, in the
//! next round of a study, or by a source that cannot be read any more.

use std::fmt::Write as _;
use std::fs;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::{RoundState, Spec};
use bocage_protocol::contract;
use bocage_protocol::plan::{Comparison, Derived, Expr, Feature, Literal, Position, RelatedTable, Rows};
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::Study;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::hospital::{Desk, Hospital, K};
use super::relations::{COUNT, counts};
use super::scenario::Family;
use super::ward::{count, table};

const PERSONS: &str = r#"
id = "persons@1"
subject = "patient"
one_row_per_subject = true
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
"#;
const LABS: &str = r#"
id = "labs@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "test"
type = "text"
"#;
/// Who they are, and what they agreed to. A row without a name does not fit.
const REGISTER: &str = r#"
id = "register@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "name"
type = "text"
required = true
"#;
const SOURCE: &str = "source = { kind = \"csv\", path = \"rows.csv\" }";
const REGISTERED: &str = "source = { kind = \"csv\", path = \"register.csv\" }";
const PATIENTS: usize = 80;
/// Those who are young, and have been tested for the same.
const YOUNG: usize = 40;

/// A hospital in whose register these said no. Neither of the datasets that are asked about has a column for it.
fn hospital(no: &[usize]) -> Hospital {
    let (mut persons, mut labs) = ("patient,age,weight\n".to_owned(), "patient,test\n".to_owned());
    for i in 0..PATIENTS {
        let (age, test) = match i {
            _ if i < K as usize => (19, "lead"),
            _ if i < YOUNG => (20 + i % 18, "iron"),
            _ => (40 + i % 50, "salt"),
        };
        let _ = writeln!(persons, "p{i},{age},{}", 60 + 7 * i % 23);
        let _ = writeln!(labs, "p{i},{test}");
    }
    let hospital = Hospital::new(PERSONS, &persons);
    for (name, text) in [("labs", LABS), ("register", REGISTER)] {
        fs::write(hospital.path(&format!("contracts/{name}.toml")), text).expect("the contract");
    }
    fs::write(hospital.path("labs.csv"), labs).expect("the labs");
    register(&hospital, "register.csv", no);
    let labs = "[dataset.labs]\ncontract = \"labs@1\"\nsource = { kind = \"csv\", path = \"labs.csv\" }";
    let register = format!("[dataset.register]\ncontract = \"register@1\"\n{REGISTERED}\noptout = \"consent = 'no'\"");
    hospital.edit(SOURCE, &format!("{SOURCE}\n{labs}\n{register}"));
    hospital
}

/// Writes the register. Of those who said no, only the first has a name.
fn register(hospital: &Hospital, file: &str, no: &[usize]) {
    let mut text = "patient,name,consent\n".to_owned();
    for i in 0..PATIENTS {
        let name = if no.contains(&i) && i != no[0] { String::new() } else { format!("n{i}") };
        let _ = writeln!(text, "p{i},{name},{}", if no.contains(&i) { "no" } else { "yes" });
    }
    fs::write(hospital.path(file), text).expect("the register");
}

/// The next snapshot of the register says that these said no.
fn later(hospital: &Hospital, no: &[usize]) {
    register(hospital, "later.csv", no);
    hospital.edit("register.csv", "later.csv");
}

const THREE: [usize; 3] = [0, 1, 2];

fn counted(desk: &Desk<'_>, filter: &str) -> Option<u64> {
    count(&table(&desk.one(filter, "table = { show = ['count'] }")).cells[0])
}

fn is(column: &str, value: Literal) -> Expr {
    let left = Box::new(Expr::Column(column.parse().expect("a column")));
    Expr::Compare { op: Comparison::Equal, left, right: Box::new(Expr::Literal(value)) }
}

/// Those of the persons of whom the labs say so.
fn tested(hospital: &Hospital) -> Study {
    let labs = contract::parse(LABS, "labs.toml").expect("a contract");
    let name: bocage_protocol::ids::TableName = "labs".parse().expect("a table");
    let rows = Rows { table: name.clone(), filter: Some(is("test", Literal::Text("lead".to_owned()))), window: None };
    let made: bocage_protocol::ids::ColumnName = "made".parse().expect("a column");
    let related = RelatedTable { dataset: labs.id().clone(), contract: labs.hash() };
    let feature = Feature { name: made.clone(), on: None, of: Derived::Has { rows, at_least: 1 } };
    Study {
        related: [(name, related)].into(),
        features: vec![feature],
        filter: Some(Expr::Column(made)),
        ..hospital.study("", COUNT)
    }
}

/// What a study of the young says before the three have said no, and after.
fn answered_before(controls: Controls) -> bool {
    let hospital = hospital(&[]);
    let request = hospital.request(&hospital.study("age = 19", COUNT));
    let before = hospital.open(controls).reply(&request).expect("a release").parts;
    later(&hospital, &THREE);
    let desk = hospital.open(controls);
    let again = hospital.request(&hospital.study("age = 19", COUNT));
    [request, again].iter().any(|request| desk.reply(request).is_ok_and(|release| release.parts == before))
}

/// Whether those who said no between two rounds of a fit are in the second.
fn iterated(controls: Controls) -> bool {
    let hospital = hospital(&[]);
    let study = hospital.study("age < 40", "[[analysis]]\nname = 'a'\nmodel = { formula = 'weight ~ age' }\n");
    let Spec::Model(spec) = &study.analyses[0].spec else { panic!("a model") };
    let start = spec.start();
    let state = RoundState::At(Position { beta: vec![0.1; start.beta.len()], ..start });
    let first = hospital.request(&study);
    let patients = |request: &RoundRequest| {
        let release = hospital.open(controls).reply(request).ok()?;
        let Outcome::Model(model) = &release.parts[0].outcome else { return None };
        Some(model.n)
    };
    let before = patients(&first).expect("the study begins");
    later(&hospital, &THREE);
    let second = RoundRequest { round: 1, steps: vec![Step { analysis: 0, state }], ..first };
    patients(&second) == Some(before)
}

/// Whether the three are back when nobody can read the register any more.
fn unreadable(controls: Controls) -> bool {
    let hospital = hospital(&THREE);
    assert!(counted(&hospital.open(controls), "age > 39").is_some());
    hospital.edit("register.csv", "gone.csv");
    let request = hospital.request(&hospital.study("", COUNT));
    let release = hospital.open(controls).reply(&request);
    release.is_ok_and(|release| count(&table(&release.parts[0].outcome).cells[0]) == Some(PATIENTS as u64))
}

/// Whether one who said no is the difference of two studies, one before and one after.
fn one_by_one(controls: Controls) -> bool {
    let hospital = hospital(&[]);
    let before = counted(&hospital.open(controls), "");
    later(&hospital, &[7]);
    let after = counted(&hospital.open(controls), "");
    before.zip(after).is_some_and(|(before, after)| (1..K).contains(&before.abs_diff(after)))
}

pub fn elsewhere(family: Family) -> Family {
    const OUT: Control = Control::OptOuts;
    family
        .against(OUT, "patients who said no in another dataset, by a filter", |on| {
            counted(&hospital(&THREE).open(on), "age = 19") == Some(K)
        })
        .against(OUT, "patients who said no in another dataset, in a total", |on| {
            counted(&hospital(&THREE).open(on), "") == Some(PATIENTS as u64)
        })
        .against(OUT, "patients who said no in another dataset, by a join of two others", |on| {
            let hospital = hospital(&THREE);
            counts(&hospital, on, &tested(&hospital)) == Some(K)
        })
        .against(OUT, "an answer from before patients said no in another dataset", answered_before)
        .against(OUT, "who said no in another dataset after a fit's first round, in its next step", iterated)
        .against(OUT, "patients who said no in another dataset that cannot be read any more", unreadable)
        .against(Control::OptOutSteps, "two studies before and after one no in another dataset", one_by_one)
}
