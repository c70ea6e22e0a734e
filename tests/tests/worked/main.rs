//! The ten worked cohorts of docs/STUDIES.md, as they stand there, over random patients without disclosure control: each answer is what a plain count of the same
//! patients says, of one hospital that has them all, and what it counts of two that share them.

mod cohorts;
mod last;
mod people;
mod reference;

use std::collections::BTreeSet;

use bocage_coordinator::api::types::{AnalysisResult, Block, Value};
use bocage_protocol::contract::{Contract, PACKS, parse};
use bocage_protocol::front::{Files, StudyText};
use bocage_tests::federation::{Federation, Gate, NOW};

use self::people::{Dice, Person, csv, people};
use self::reference::Table;

const STUDIES: &str = include_str!("../../../docs/STUDIES.md");
const HEAD: &str = "title = \"A worked cohort\"\npurpose = \"scientific_research\"\n";

/// The files that the worked cohorts name.
const FILES: [(&str, &str); 2] = [
    ("codes/cancer.csv", "code,title\nC50.9,Breast\nC61,Prostate\n"),
    ("codes/ancestors.csv", "parent,child\n21601855,1545958\n1545958,1545959\n"),
];

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    text.split(language).skip(1).filter_map(|block| block.split("```").next()).collect()
}

/// The text of a worked cohort, by its number.
fn worked(number: usize) -> String {
    let section = STUDIES.split("### Ten worked cohorts").nth(1).and_then(|rest| rest.split("\n##").next());
    let section = section.expect("a section");
    let text = blocks(section, "```toml\n")[number - 1];
    let tables = if text.contains("[tables]") { "" } else { blocks(section, "```text\n")[0] };
    format!("{HEAD}{tables}{text}")
}

fn contract(id: &str) -> Contract {
    let shipped = PACKS.iter().flat_map(|pack| pack.contracts).map(|text| parse(text, "a pack").expect("a contract"));
    shipped.into_iter().find(|contract| contract.id().to_string() == id).expect("a contract that is shipped")
}

/// A plain count.
type Counting = fn(&[Person]) -> Table;

/// What became of a worked cohort.
struct Answers {
    people: Vec<Person>,
    /// Of one hospital with all patients.
    together: Vec<AnalysisResult>,
    /// Of two: where a side of a share is empty at one, what is shown is the other's alone, so that only counts can be compared.
    apart: Vec<AnalysisResult>,
}

fn answered(number: usize) -> Answers {
    let text = worked(number);
    let study = StudyText::parse(&text, "study.toml").unwrap_or_else(|problems| panic!("{problems}"));
    let base = study.dataset().to_string();
    let others: BTreeSet<String> = study.tables().values().map(ToString::to_string).filter(|id| *id != base).collect();
    let ids: Vec<String> = std::iter::once(base).chain(others).collect();
    let contracts: Vec<Contract> = ids.iter().map(|id| contract(id)).collect();
    let files: Files = FILES.iter().map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned()))).collect();
    let answers = |hospitals: &[(&str, &[Person])]| {
        let name = |id: &String| id.split('@').next().unwrap_or_default().to_owned();
        let tables = |people: &[Person]| ids.iter().map(|id| csv(people, &name(id))).collect();
        let sites: Vec<(&str, Vec<String>)> = hospitals.iter().map(|(site, people)| (*site, tables(people))).collect();
        let federation = Federation::across(&contracts, &sites);
        let study = federation.bind_with(&text, files.clone()).unwrap_or_else(|problems| panic!("{problems}"));
        federation.answer(&study, Gate::OPEN)
    };
    let people = people(1300, &mut Dice(7));
    let (some, more) = people.split_at(800);
    let (together, apart) = (answers(&[("all", &people)]), answers(&[("some", some), ("more", more)]));
    Answers { people, together, apart }
}

fn result<'a>(results: &'a [AnalysisResult], name: &str) -> &'a AnalysisResult {
    results.iter().find(|result| result.name.as_str() == name).expect("an analysis of this name")
}

fn plain(value: &Value) -> Option<f64> {
    match value {
        Value::Count(n) => Some(*n as f64),
        Value::Number(x) => Some(*x),
        Value::Null => None,
        Value::Text(text) => panic!("a text among the numbers: {text}"),
    }
}

impl Answers {
    /// That an analysis has the table's groups, with its numbers, and nobody in the others.
    fn assert_same(&self, name: &str, keys: usize, table: &Table) {
        assert!(!table.is_empty(), "{name}: somebody is in the cohort");
        let together = compared(&result(&self.together, name).block, keys, table, false);
        let numbers: usize = table.values().flatten().filter(|number| number.is_some()).count();
        assert!(together * 3 >= numbers * 2, "{name}: {together} of {numbers} numbers are shown");
        assert!(compared(&result(&self.apart, name).block, keys, table, true) >= table.len(), "{name}");
    }
}

/// Compares what a block shows with a table, and says how many numbers that were.
fn compared(block: &Block, keys: usize, table: &Table, counts_alone: bool) -> usize {
    let (mut seen, mut compared) = (0, 0);
    for row in &block.rows {
        let label = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            other => panic!("no label: {other:?}"),
        };
        let key: Vec<String> = row[..keys].iter().map(label).collect();
        let Some(wanted) = table.get(&key) else {
            let empty = row[keys..].iter().all(|value| plain(value).is_none_or(|x| x == 0.0));
            assert!(empty, "{key:?} should be empty: {row:?}");
            continue;
        };
        seen += 1;
        assert_eq!(row.len() - keys, wanted.len());
        for (at, (value, wanted)) in row[keys..].iter().zip(wanted).enumerate() {
            if counts_alone && !matches!(value, Value::Count(_)) && at > 0 {
                continue;
            }
            let same = match (plain(value), *wanted) {
                (Some(got), Some(wanted)) => (got - wanted).abs() <= 1e-6 * wanted.abs().max(1.0),
                // A share of nobody or of everybody has an empty side, which is hidden.
                (None, Some(wanted)) => at > 0 && (wanted == 0.0 || wanted == 1.0),
                (got, wanted) => got == wanted,
            };
            assert!(same, "{key:?}: {row:?}, and a plain count says {wanted:?}");
            compared += usize::from(*value != Value::Null);
        }
    }
    assert_eq!(seen, table.len(), "every group is shown: {table:?}\n{block:#?}");
    compared
}

/// The number in a row's column.
fn at(block: &Block, row: &[Value], column: &str) -> Option<f64> {
    plain(&row[block.columns.iter().position(|name| name == column).expect("a column of this name")])
}

#[test]
fn the_first_cohort_and_its_flow_are_what_a_plain_count_says() {
    let answers = answered(1);
    let (flow, table) = reference::diabetes(&answers.people);
    answers.assert_same("by_gender_and_age", 2, &table);
    let block = &result(&answers.together, "flow").block;
    assert_eq!(block.rows.len() + 1, flow.len());
    for (row, step) in block.rows.iter().zip(flow.windows(2)) {
        let wanted = [step[0], step[0] - step[1], step[1]].map(|n| n as f64);
        for (value, wanted) in row[1..].iter().zip(wanted) {
            // Where a step loses nobody, how many it loses is hidden, and with it how many are left.
            let hidden = *value == Value::Null && flow.windows(2).any(|step| step[0] == step[1]);
            assert!(hidden || plain(value) == Some(wanted), "{row:?}, and a plain count says {wanted} of {flow:?}");
        }
    }
    let ends = block.rows.last().and_then(|row| row.last()).and_then(plain);
    assert_eq!(ends, flow.last().map(|n| *n as f64));
}

#[test]
fn the_hypertension_cohort_is_what_a_plain_count_says() {
    let answers = answered(2);
    let cohort = reference::hypertension(&answers.people);
    answers.assert_same("pressure", 2, &reference::pressure(&cohort));
    let glance = &result(&answers.apart, "at_a_glance").block;
    let columns =
        [("age", cohort.iter().map(|of| of.2).collect()), ("systolic", cohort.iter().map(|of| of.3).collect())];
    for (name, values) in columns {
        let values: Vec<Option<f64>> = values;
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        let row = glance.rows.iter().find(|row| row[0] == Value::Text(name.to_owned())).expect("a row");
        assert_eq!(at(glance, row, "valid"), Some(known.len() as f64), "{name}");
        assert_eq!(at(glance, row, "missing"), Some((values.len() - known.len()) as f64), "{name}");
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        assert!(at(glance, row, "mean").is_some_and(|shown| (shown - mean).abs() < 1e-6), "{name}: {mean}");
    }
}

#[test]
fn the_cohorts_of_one_table_each_are_what_a_plain_count_says() {
    let cases: [(usize, &str, usize, Counting); 6] = [
        (3, "changed", 1, reference::metformin),
        (4, "strokes", 1, reference::stroke),
        (5, "children", 1, reference::children),
        (6, "overdue", 1, reference::mammograms),
        (8, "back", 2, reference::back),
        (9, "pneumonia", 2, reference::pneumonia),
    ];
    for (number, name, keys, counted) in cases {
        let answers = answered(number);
        answers.assert_same(name, keys, &counted(&answers.people));
    }
}

#[test]
fn the_statins_cohort_is_what_a_plain_count_says_before_and_later() {
    let answers = answered(7);
    let [before, later] = reference::statins(&answers.people);
    answers.assert_same("cholesterol_before", 0, &before);
    answers.assert_same("cholesterol_later", 0, &later);
}

#[test]
fn the_kidneys_cohort_is_what_a_plain_count_says() {
    let Answers { people, together: results, .. } = answered(10);
    let cohort = reference::kidneys(&people);
    let crossed = reference::crossed(&cohort, &[30.0, 60.0]);
    let block = &result(&results, "both").block;
    let mut same = 0;
    for row in block.rows.iter().filter(|row| row[0] != Value::Text("total".to_owned())) {
        let Value::Text(label) = &row[0] else { panic!("a label") };
        for (column, value) in block.columns.iter().zip(row).skip(1).filter(|(column, _)| *column != "total") {
            let wanted = crossed.get(&vec![label.clone(), column.clone()]).map_or(0.0, |of| of[0].unwrap_or_default());
            // Where nobody is in a cell, it is hidden, and perhaps another that would tell it.
            assert!(
                *value == Value::Null || plain(value) == Some(wanted),
                "{label}, {column}: {value:?}, not {wanted}"
            );
            same += usize::from(*value != Value::Null);
        }
    }
    assert!(same * 3 >= crossed.len() * 2, "most pairs with somebody are shown: {block:#?}");
    let mut rates: Vec<f64> = cohort.iter().map(|(before, _)| *before).collect();
    rates.sort_by(f64::total_cmp);
    let block = &result(&results, "before").block;
    for (row, share) in block.rows.iter().zip([0.25, 0.5, 0.75]) {
        let place = share * (rates.len() - 1) as f64;
        let (below, above) = (rates[place.floor() as usize], rates[place.ceil() as usize]);
        let [from, to] = ["from", "to"].map(|column| at(block, row, column).expect("an edge"));
        assert!(from <= above && below <= to, "{share}: {below} to {above} is not within {from} to {to}");
    }
}

#[test]
fn the_plain_count_signs_on_the_day_of_the_studies_and_knows_the_calendar() {
    assert_eq!(NOW.0.div_euclid(86_400_000), i64::from(reference::TODAY));
    for (day, date) in [
        (0, (1970, 1, 1)),
        (-1, (1969, 12, 31)),
        (19_782, (2024, 2, 29)),
        (-25_508, (1900, 3, 1)),
        (20_717, (2026, 9, 21)),
    ] {
        assert_eq!(reference::civil(day), date, "{day}");
    }
}
