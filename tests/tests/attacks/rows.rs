//! From row to row: what somebody opted out of, what is never offered and what a permit does not name is not to be had by a key either, nor by a window
//! about a row of another table.

use std::fmt::Write as _;
use std::fs;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::contract;
use bocage_protocol::plan::{Comparison, Derived, Edge, Expr, Feature, Literal, Moment, RelatedTable, Rows, Window};
use bocage_protocol::trust::{Permit, Scope, Study};

use super::hospital::{Hospital, K};
use super::permitted::Permitted;
use super::relations::{COUNT, counts};
use super::scenario::Family;

const FINDINGS: &str = r#"
id = "findings@1"
subject = "patient"
time = "seen"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "during"
type = "text"
references = "stays"
[[column]]
name = "seen"
type = "date"
range = ["2020-01-01", "2026-01-01"]
"#;
const STAYS: &str = r#"
id = "stays@1"
subject = "patient"
time = "begin"
key = "stay"
[[column]]
name = "stay"
type = "text"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "begin"
type = "date"
range = ["2020-01-01", "2026-01-01"]
[[column]]
name = "ward"
type = "text"
[[rule]]
name = "one_row_a_stay"
kind = "duplicate"
columns = ["stay"]
"#;
const SOURCE: &str = "source = { kind = \"csv\", path = \"rows.csv\" }";
const STAYED: &str = "source = { kind = \"csv\", path = \"stays.csv\" }";
const PATIENTS: usize = 60;

/// Sixty patients with a finding each, during a stay; those of the first k are on the ward of which they opted out.
fn clinic() -> Hospital {
    let (mut findings, mut stays) =
        ("patient,during,seen\n".to_owned(), "stay,patient,begin,ward,consent\n".to_owned());
    for i in 0..PATIENTS {
        let (ward, consent) = if i < K as usize { ("kuru", "no") } else { ("flu", "yes") };
        let _ = writeln!(findings, "p{i},s{i},2021-01-02");
        let _ = writeln!(stays, "s{i},p{i},2021-01-01,{ward},{consent}");
    }
    let hospital = Hospital::new(FINDINGS, &findings);
    fs::write(hospital.path("contracts/stays.toml"), STAYS).expect("the contract");
    fs::write(hospital.path("stays.csv"), stays).expect("the stays");
    hospital.edit(SOURCE, &format!("{SOURCE}\n[dataset.stays]\ncontract = \"stays@1\"\n{STAYED}"));
    hospital
}

fn is(name: &str, value: &str) -> Expr {
    let left = Box::new(Expr::Column(name.parse().expect("a column")));
    Expr::Compare { op: Comparison::Equal, left, right: Box::new(Expr::Literal(Literal::Text(value.to_owned()))) }
}

/// A study of findings, of each of which a feature `made` is known.
fn study(hospital: &Hospital, of: Derived, filter: Expr) -> Study {
    let stays = contract::parse(STAYS, "stays.toml").expect("a contract");
    let table = RelatedTable { dataset: stays.id().clone(), contract: stays.hash() };
    let mut study = hospital.study("", COUNT);
    study.related = [("stays".parse().expect("a table"), table)].into();
    study.features = vec![Feature { name: "made".parse().expect("a column"), on: None, of }];
    study.filter = Some(filter);
    study
}

/// The ward of the stay that a finding refers to.
fn reached() -> Derived {
    let (through, table, column) = ("during".parse(), "stays".parse(), "ward".parse());
    Derived::Reached {
        through: through.expect("a column"),
        table: table.expect("a table"),
        column: column.expect("a column"),
    }
}

/// Whether a stay on the ward began on the day before the finding.
fn about() -> Derived {
    let edge = || Some(Edge { at: Moment::Column("seen".parse().expect("a column")), days: -1 });
    let window = Some(Window { from: edge(), to: edge() });
    Derived::Has {
        rows: Rows { table: "stays".parse().expect("a table"), filter: Some(is("ward", "kuru")), window },
        at_least: 1,
    }
}

fn made() -> Expr {
    Expr::Column("made".parse().expect("a column"))
}

/// Whether the k who opted out of the stays are found by them.
fn out_of_stays(controls: Controls, of: Derived, filter: Expr) -> bool {
    let hospital = clinic();
    hospital.edit(STAYED, &format!("{STAYED}\noptout = \"consent = 'no'\""));
    counts(&hospital, controls, &study(&hospital, of, filter)) == Some(K)
}

fn never(controls: Controls, hidden: &str, of: Derived, filter: Expr) -> bool {
    let hospital = clinic();
    hospital.edit(STAYED, &format!("{STAYED}\nnever = [\"{hidden}\"]"));
    hospital.open(controls).reply(&hospital.request(&study(&hospital, of, filter))).is_ok()
}

/// Whether it is answered under a permit for these columns of findings and stays.
fn permitted(controls: Controls, of_findings: &[&str], of_stays: &[&str], of: Derived, filter: Expr) -> bool {
    let site = Permitted::of(clinic());
    let named = |columns: &[&str]| Some(columns.iter().map(|name| name.parse().expect("a column")).collect());
    let findings = Scope { dataset: site.hospital.contract.id().clone(), columns: named(of_findings) };
    let stays = Scope { dataset: "stays@1".parse().expect("an id"), columns: named(of_stays) };
    let permit = Permit { datasets: vec![findings, stays], ..site.permit() };
    let request = site.request(&study(&site.hospital, of, filter), &site.signed(&permit));
    site.hospital.open(controls).reply(&request).is_ok()
}

pub fn family() -> Family {
    let kuru = || is("made", "kuru");
    Family::new("rows that rows refer to")
        .against(Control::OptOuts, "a value of the row that the patients opted out of, by its key", move |on| {
            out_of_stays(on, reached(), kuru())
        })
        .against(Control::OptOuts, "whether rows that the patients opted out of lie about a row of theirs", |on| {
            out_of_stays(on, about(), made())
        })
        .against(Control::NeverOffered, "a column that is never offered, by a key", move |on| {
            never(on, "ward", reached(), kuru())
        })
        .against(Control::NeverOffered, "a time that is never offered, by a window about a row", |on| {
            never(on, "begin", about(), made())
        })
        .against(Control::PermitScope, "a column that the permit does not name, by a key", move |on| {
            permitted(on, &["seen"], &["begin"], reached(), kuru())
        })
        .against(Control::PermitScope, "a time that the permit does not name, by a window about a row", |on| {
            permitted(on, &["seen"], &["ward"], about(), made())
        })
}
