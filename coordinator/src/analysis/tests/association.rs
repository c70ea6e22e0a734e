//! The analyses of association over real patients, against scipy and statsmodels on the pooled rows; over more or fewer sites; and what of them a
//! site's k hides.

mod hidden;
mod pooled;

use super::patients::{Patient, Site, study};
use crate::analysis::association::reference::entry;
use crate::api::types::{AnalysisResult, Block, Value};

/// The patients of the four hospitals of `tests/data/heart`.
fn heart() -> Vec<Vec<Patient>> {
    let texts = [
        include_str!("../../../../tests/data/heart/cleveland.csv"),
        include_str!("../../../../tests/data/heart/hungary.csv"),
        include_str!("../../../../tests/data/heart/long-beach.csv"),
        include_str!("../../../../tests/data/heart/switzerland.csv"),
    ];
    let patient = |line: &str| {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        Patient {
            age: fields[0] as i64,
            male: fields[1] == 1.0,
            chol: Some(fields[4]).filter(|chol| (100.0..=600.0).contains(chol)),
            sick: Some(fields[13] > 0.0),
        }
    };
    texts.map(|text| text.lines().map(patient).collect()).to_vec()
}

/// The patients of the trial of indomethacin, by hospital: men are those who were treated, sick those who had pancreatitis.
fn indo() -> Vec<Vec<Patient>> {
    let text = include_str!("../../../../tests/data/indo_rct/indo_rct.csv");
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (site, age, treated, outcome) = (at("site"), at("age"), at("rx"), at("outcome"));
    let mut sites: std::collections::BTreeMap<&str, Vec<Patient>> = std::collections::BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let patient = Patient {
            age: fields[age].parse().unwrap(),
            male: fields[treated].starts_with('1'),
            chol: None,
            sick: Some(fields[outcome].starts_with('1')),
        };
        sites.entry(fields[site]).or_default().push(patient);
    }
    sites.into_values().collect()
}

fn sites(patients: Vec<Vec<Patient>>, k: u32) -> Vec<Site> {
    patients.into_iter().map(|patients| Site { patients, k }).collect()
}

/// The result of one question over these sites.
fn ask(question: &str, sites: &[Site], min_sites: u32) -> AnalysisResult {
    let order: Vec<usize> = (0..sites.len()).collect();
    ask_in(question, sites, &order, min_sites)
}

fn ask_in(question: &str, sites: &[Site], order: &[usize], min_sites: u32) -> AnalysisResult {
    let text = format!("[[analysis]]\nname = \"a\"\n{question}\n");
    let mut results = study(&text, sites, order, min_sites, &|_| panic!("no flow"));
    assert_eq!(results.len(), 1, "one answer to one question");
    results.remove(0)
}

fn also<'a>(result: &'a AnalysisResult, title: &str) -> &'a Block {
    &result.also.iter().find(|named| named.title == title).unwrap_or_else(|| panic!("no {title}: {result:#?}")).block
}

/// The values behind the texts that a row begins with.
fn row<'a>(block: &'a Block, names: &[&str]) -> &'a [Value] {
    let is = |row: &&Vec<Value>| names.iter().zip(*row).all(|(name, value)| *value == Value::Text((*name).to_owned()));
    let found = block.rows.iter().find(is).unwrap_or_else(|| panic!("no {names:?} in {block:#?}"));
    &found[names.len()..]
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Count(n) => *n as f64,
        Value::Number(x) => *x,
        other => panic!("{other:?} is no number"),
    }
}

/// To eight digits: what left the sites was rounded to the contract's quanta.
#[track_caller]
fn assert_values(found: &[Value], path: &str) {
    let wanted = entry(path).as_array().map_or_else(|| vec![entry(path).clone()], Clone::clone);
    assert_eq!(found.len(), wanted.len(), "{found:?} against {wanted:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        let (found, wanted) = (number(found), wanted.as_f64().unwrap());
        assert!((found - wanted).abs() <= 1e-8 * wanted.abs().max(1e-4), "{found} is not {wanted}, {path}");
    }
}

/// A test's statistic, degrees of freedom and p.
#[track_caller]
fn assert_test(block: &Block, names: &[&str], path: &str) {
    let (found, wanted) = (row(block, names), entry(path));
    for (found, name) in found.iter().zip(["statistic", "df", "df_2", "p"]) {
        match wanted[name].as_f64() {
            Some(wanted) => {
                let found = number(found);
                assert!((found - wanted).abs() <= 1e-8 * wanted.abs(), "{found} is not {wanted}, {path} {name}");
            }
            None => assert_eq!(*found, Value::Null),
        }
    }
}
