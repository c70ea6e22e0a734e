//! Through another table: what somebody opted out of, what a site never offers, and what a permit does not name is not to be had by a feature either;
//! and every dataset's rules hold for a study that looks into several.

use std::fmt::Write as _;
use std::fs;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::contract;
use bocage_protocol::plan::{
    Comparison, Derived, Edge, Expr, Feature, Literal, Moment, Pick, Quantum, RelatedTable, Rows, Window,
};
use bocage_protocol::trust::{Permit, Scope, Study};

use super::hospital::{Desk, Hospital, K};
use super::permitted::Permitted;
use super::scenario::Family;
use super::ward::{count, sums, table};

const PEOPLE: &str = r#"
id = "people@1"
subject = "patient"
birth = "born"
one_row_per_subject = true
[[column]]
name = "patient"
type = "text"
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "born"
type = "date"
range = ["1900-01-01", "2026-01-01"]
"#;
const VISITS: &str = r#"
id = "visits@1"
subject = "patient"
time = "at"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "at"
type = "date"
range = ["2020-01-01", "2026-01-01"]
[[column]]
name = "diagnosis"
type = "text"
[[column]]
name = "weight"
type = "float"
range = [0, 300]
"#;
pub const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";
const SOURCE: &str = "source = { kind = \"csv\", path = \"rows.csv\" }";
const VISITED: &str = "source = { kind = \"csv\", path = \"visits.csv\" }";
const PATIENTS: usize = 60;
/// Fewer than k, with many visits.
const FEW: usize = K as usize - 1;

/// The first k patients have kuru and are 111; the next ones, fewer than k, have measles, are 112, and come often.
fn clinic() -> Hospital {
    let (mut people, mut visits) =
        ("patient,age,born\n".to_owned(), "patient,at,diagnosis,weight,consent\n".to_owned());
    for i in 0..PATIENTS {
        let (age, diagnosis, consent, times) = match i {
            _ if i < K as usize => (111, "kuru", "no", 2),
            _ if i < K as usize + FEW => (112, "measles", "yes", 20),
            _ => (30 + i % 50, "flu", "yes", 1),
        };
        let _ = writeln!(people, "p{i},{age},1950-01-01");
        for _ in 0..times {
            let _ = writeln!(visits, "p{i},2021-01-01,{diagnosis},70,{consent}");
        }
    }
    let hospital = Hospital::new(PEOPLE, &people);
    fs::write(hospital.path("contracts/visits.toml"), VISITS).expect("the contract");
    fs::write(hospital.path("visits.csv"), visits).expect("the visits");
    hospital.edit(SOURCE, &format!("{SOURCE}\n[dataset.visits]\ncontract = \"visits@1\"\n{VISITED}"));
    hospital
}

fn column(name: &str) -> Expr {
    Expr::Column(name.parse().expect("a column"))
}

fn is(name: &str, value: Literal) -> Expr {
    Expr::Compare { op: Comparison::Equal, left: Box::new(column(name)), right: Box::new(Expr::Literal(value)) }
}

/// Visits with kuru.
fn kuru() -> Rows {
    let filter = is("diagnosis", Literal::Text("kuru".to_owned()));
    Rows { table: "visits".parse().expect("a table"), filter: Some(filter), window: None }
}

/// All visits since 2000.
fn since() -> Rows {
    let window = Window { from: Some(Edge { at: Moment::Date(10_957), days: 0 }), to: None };
    Rows { table: "visits".parse().expect("a table"), filter: None, window: Some(window) }
}

fn has(rows: Rows) -> Derived {
    Derived::Has { rows, at_least: 1 }
}

/// A study that counts the people for whom `filter` is true of a column `made`.
fn study(hospital: &Hospital, of: Derived, filter: Expr) -> Study {
    let visits = contract::parse(VISITS, "visits.toml").expect("a contract");
    let table = RelatedTable { dataset: visits.id().clone(), contract: visits.hash() };
    let mut study = hospital.study("", COUNT);
    study.related = [("visits".parse().expect("a table"), table)].into();
    study.features = vec![Feature { name: "made".parse().expect("a column"), on: None, of }];
    study.filter = Some(filter);
    study
}

/// A study that counts the visitors whose one row among the people says this age.
fn visitors(hospital: &Hospital, age: i64) -> Study {
    let visits = contract::parse(VISITS, "visits.toml").expect("a contract");
    let people = RelatedTable { dataset: hospital.contract.id().clone(), contract: hospital.contract.hash() };
    let (table, column) = ("people".parse().expect("a table"), "age".parse().expect("a column"));
    let mut study = study(hospital, Derived::Value { table, column }, is("made", Literal::Int(age)));
    (study.dataset, study.contract) = (visits.id().clone(), visits.hash());
    study.related = [("people".parse().expect("a table"), people)].into();
    study
}

/// What an attacker counts, where there is an answer at all.
pub fn counts(hospital: &Hospital, controls: Controls, study: &Study) -> Option<u64> {
    let release = hospital.open(controls).reply(&hospital.request(study)).ok()?;
    count(&table(&release.parts[0].outcome).cells[0])
}

fn answers(hospital: &Hospital, controls: Controls, study: &Study) -> bool {
    hospital.open(controls).reply(&hospital.request(study)).is_ok()
}

/// Whether the k who opted out of the visits are found by them.
fn out_of_visits(controls: Controls, of: Derived, filter: Expr) -> bool {
    let hospital = clinic();
    hospital.edit(VISITED, &format!("{VISITED}\noptout = \"consent = 'no'\""));
    counts(&hospital, controls, &study(&hospital, of, filter)) == Some(K)
}

/// Whether a feature is answered of a table of which the site never offers a column.
fn never(controls: Controls, hidden: &str, of: Derived, filter: Expr) -> bool {
    let hospital = clinic();
    hospital.edit(VISITED, &format!("{VISITED}\nnever = [\"{hidden}\"]"));
    answers(&hospital, controls, &study(&hospital, of, filter))
}

/// Whether a feature is answered under a permit for these columns of the visits, and the ages of people.
fn permitted(controls: Controls, columns: Option<&[&str]>, of: Derived, filter: Expr) -> bool {
    let site = Permitted::of(clinic());
    let named = |columns: &[&str]| Some(columns.iter().map(|name| name.parse().expect("a column")).collect());
    let people = Scope { dataset: site.hospital.contract.id().clone(), columns: named(&["age"]) };
    let visits = columns.map(|columns| Scope { dataset: "visits@1".parse().expect("an id"), columns: named(columns) });
    let permit = Permit { datasets: [people].into_iter().chain(visits).collect(), ..site.permit() };
    let request = site.request(&study(&site.hospital, of, filter), &site.signed(&permit));
    site.hospital.open(controls).reply(&request).is_ok()
}

/// Whether a study sums what lies in a range that leaves one patient of a cell out, so that a sum of all less this one is that patient's value.
fn one_left_out(controls: Controls) -> bool {
    let (mut people, oldest) = ("patient,age,born\n".to_owned(), 117u32);
    for i in 0..PATIENTS {
        let _ = writeln!(people, "p{i},{},1950-01-01", if i == 0 { oldest } else { 30 + i as u32 % 50 });
    }
    let hospital = Hospital::new(PEOPLE, &people);
    let sum = |of: &str, most: i64| {
        let text = format!("[[analysis]]\nname = 'a'\ntable = {{ show = ['count', 'mean({of})'] }}\n");
        let release = hospital.open(controls).reply(&hospital.request(&hospital.study("", &text))).ok()?;
        sums(&table(&release.parts[0].outcome).cells[0], Quantum::of_int_range(0, most)).map(|sums| sums.sum)
    };
    let difference = sum("age", 120).zip(sum("plausible(age, 0, 116)", 116));
    difference.is_some_and(|(all, others)| all - others == f64::from(oldest))
}

/// Whether a study is answered where a rule of the policy is about the visits.
fn ruled(controls: Controls, rule: &str) -> bool {
    let hospital = clinic();
    hospital.edit("[[trust]]", &format!("[[policy.rule]]\ndataset = \"visits@1\"\n{rule}\n[[trust]]"));
    counts(&hospital, controls, &study(&hospital, has(kuru()), column("made"))) == Some(K)
}

/// Whether more cells leave of the visits than their cap allows, since they are looked into from another dataset.
fn beyond_the_cap(controls: Controls) -> bool {
    let hospital = clinic();
    hospital.edit("[[trust]]", "[[policy.rule]]\ndataset = \"visits@1\"\nmax_cells = 1\n[[trust]]");
    let desk = hospital.open(controls);
    let mut of_visits = visitors(&hospital, 111);
    (of_visits.related, of_visits.features, of_visits.filter) = Default::default();
    assert!(desk.reply(&hospital.request(&of_visits)).is_ok(), "the first cell leaves");
    desk.reply(&hospital.request(&study(&hospital, has(kuru()), column("made")))).is_ok()
}

/// Whether a cohort that is made by visits changes by fewer than k when one of it opts out: of 600 people the first five have kuru.
fn one_opts_out(controls: Controls, restart: bool) -> bool {
    let (mut people, mut visits) = ("patient,age,born\n".to_owned(), "patient,at,diagnosis,weight\n".to_owned());
    for i in 0..600 {
        let _ = writeln!(people, "p{i},{},1950-01-01", 30 + i % 50);
        let _ = writeln!(visits, "p{i},2021-01-01,{},70", if i < 5 { "kuru" } else { "flu" });
    }
    let hospital = clinic();
    fs::write(hospital.path("rows.csv"), people).expect("the people");
    fs::write(hospital.path("visits.csv"), visits).expect("the visits");
    let list = |text: &str| {
        fs::write(hospital.path("optouts.new"), format!("subject,purpose,date\n{text}")).expect("the list");
        fs::rename(hospital.path("optouts.new"), hospital.path("optouts.csv")).expect("the list");
    };
    hospital.edit("[[trust]]", "[optouts]\nsource = { kind = \"csv\", path = \"optouts.csv\" }\n[[trust]]");
    list("");
    let ask = |desk: &Desk<'_>| {
        let release = desk.reply(&hospital.request(&study(&hospital, has(kuru()), column("made")))).ok()?;
        count(&table(&release.parts[0].outcome).cells[0])
    };
    let mut desk = hospital.open(controls);
    let before = ask(&desk);
    list("p3,all,\n");
    if restart {
        drop(desk);
        desk = hospital.open(controls);
    }
    before.zip(ask(&desk)).is_some_and(|(before, after)| (1..K).contains(&before.abs_diff(after)))
}

fn last(column: &str, rows: Rows) -> Derived {
    Derived::Pick { pick: Pick::Last, column: column.parse().expect("a column"), rows }
}

fn heavy() -> Expr {
    is("made", Literal::Float(70.0))
}

pub fn family() -> Family {
    let made = || column("made");
    let text = || is("made", Literal::Text("kuru".to_owned()));
    Family::new("other tables")
        .against(Control::OptOuts, "whether there are rows that the patients opted out of", move |on| {
            out_of_visits(on, has(kuru()), made())
        })
        .against(Control::OptOuts, "a value of the last row that the patients opted out of", |on| {
            out_of_visits(on, last("weight", kuru()), heavy())
        })
        .against(Control::OptOuts, "the one row that the patients opted out of, from their visits", |on| {
            let hospital = clinic();
            hospital.edit(SOURCE, &format!("{SOURCE}\noptout = \"age = 111\""));
            counts(&hospital, on, &visitors(&hospital, 111)) == Some(K)
        })
        .against(Control::Threshold, "many visits of few patients, by what another table says of them", |on| {
            let hospital = clinic();
            counts(&hospital, on, &visitors(&hospital, 112)) == Some(FEW as u64)
        })
        .against(Control::NeverOffered, "a column that is never offered, in a feature's condition", move |on| {
            never(on, "diagnosis", has(kuru()), made())
        })
        .against(Control::NeverOffered, "a column that is never offered, as a feature's value", move |on| {
            never(on, "diagnosis", last("diagnosis", since()), text())
        })
        .against(Control::NeverOffered, "a time that is never offered, by a window", move |on| {
            never(on, "at", has(since()), made())
        })
        .against(Control::NeverOffered, "a time that is never offered, by the order of rows", |on| {
            never(on, "at", last("weight", kuru()), heavy())
        })
        .against(Control::PermitScope, "a column that the permit does not name, in a feature's condition", move |on| {
            permitted(on, Some(&["at", "weight"]), has(kuru()), made())
        })
        .against(Control::PermitScope, "a time that the permit does not name, by a window", move |on| {
            permitted(on, Some(&["diagnosis", "weight"]), has(since()), made())
        })
        .against(Control::PermitScope, "a time that the permit does not name, by the order of rows", |on| {
            permitted(on, Some(&["diagnosis", "weight"]), last("weight", kuru()), heavy())
        })
        .against(Control::PermitScope, "a birth that the permit does not name, by an age", |on| {
            let age = Derived::Age { table: None, at: Moment::Date(18_262) };
            permitted(on, Some(&["at"]), age, is("made", Literal::Int(70)))
        })
        .against_all(
            [Control::PermitScope, Control::PermitStudy],
            "a dataset that the permit does not name",
            move |on| permitted(on, None, has(kuru()), made()),
        )
        .against(Control::PolicyDecides, "a dataset about which the policy answers nobody", |on| {
            ruled(on, "decide = \"refuse\"")
        })
        .against(Control::Threshold, "a dataset of which the policy wants a larger k", |on| ruled(on, "threshold = 20"))
        .against(Control::DatasetAllowed, "a dataset that the researcher may not ask about", move |on| {
            let hospital = clinic();
            hospital.edit("mode = \"exact\"", "mode = \"exact\"\ndatasets = [\"people@1\"]");
            answers(&hospital, on, &study(&hospital, has(kuru()), made()))
        })
        .against(Control::OptOutCells, "a small cohort made by another dataset, before and after one opt-out", |on| {
            one_opts_out(on, false)
        })
        .against(
            Control::OptOutCells,
            "a small cohort made by another dataset, before and after one opt-out and a restart",
            |on| one_opts_out(on, true),
        )
        .against(Control::ConditionNulls, "the value of the one patient whose number is not plausible", one_left_out)
        .against(Control::Cap, "more cells of a dataset than may leave, by way of another", beyond_the_cap)
}
