//! The data that is attacked: a ward's contract, its patients, and what an attacker reads in a release.

use std::fmt::Write as _;

use bocage_protocol::plan::Quantum;
use bocage_protocol::release::{
    BinsRelease, CellRelease, DiscoveredRelease, LinesRelease, MeasureRelease, Outcome, TableRelease,
};

/// One row a patient. `world` tells many small data sets apart, so that one file holds them all.
pub const WARD: &str = r#"
id = "ward@1"
title = "A ward"
subject = "row"
[[column]]
name = "world"
type = "int"
range = [0, 9999]
required = true
[[column]]
name = "area"
type = "code"
codes = [{ code = "a", label = "a" }, { code = "b", label = "b" }, { code = "c", label = "c" }]
groupings = [{ name = "pairs", groups = [{ label = "ab", codes = ["a", "b"] }, { label = "c", codes = ["c"] }] }]
required = true
[[column]]
name = "sex"
type = "code"
codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
required = true
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "grade"
type = "int"
range = [1, 3]
[[column]]
name = "weight"
type = "float"
range = [0, 300]
[[column]]
name = "dose"
type = "float"
range = [1, 1000]
[[column]]
name = "flag"
type = "float"
range = [0, 1]
[[column]]
name = "sick"
type = "bool"
[[column]]
name = "diagnosis"
type = "text"
[[column]]
name = "admitted"
type = "date"
range = ["2020-01-01", "2021-12-31"]
[[column]]
name = "discharged"
type = "date"
range = ["2020-01-01", "2021-12-31"]
"#;

/// A patient. The default has nothing to hide.
#[derive(Clone)]
pub struct Patient {
    pub world: usize,
    pub area: &'static str,
    pub sex: &'static str,
    pub age: i64,
    pub grade: i64,
    pub weight: Option<f64>,
    pub dose: f64,
    pub flag: f64,
    pub sick: Option<bool>,
    pub diagnosis: &'static str,
    /// Days between admission and discharge.
    pub stay: u32,
}

impl Default for Patient {
    fn default() -> Self {
        Self {
            world: 0,
            area: "a",
            sex: "0",
            age: 40,
            grade: 1,
            weight: Some(70.0),
            dose: 1.0,
            flag: 0.0,
            sick: Some(false),
            diagnosis: "flu",
            stay: 2,
        }
    }
}

/// The patients as the hospital's file.
pub fn csv(rows: &[Patient]) -> String {
    let mut text = "world,area,sex,age,grade,weight,dose,flag,sick,diagnosis,admitted,discharged\n".to_owned();
    for p in rows {
        let weight = p.weight.map(|w| w.to_string()).unwrap_or_default();
        let sick = p.sick.map(|s| s.to_string()).unwrap_or_default();
        let Patient { world, area, sex, age, grade, dose, flag, diagnosis, .. } = p;
        let left = 1 + p.stay;
        let _ = writeln!(
            text,
            "{world},{area},{sex},{age},{grade},{weight},{dose},{flag},{sick},{diagnosis},2020-01-01,2020-01-{left:02}"
        );
    }
    text
}

/// So many patients, each made by its number.
pub fn patients(n: usize, patient: impl Fn(usize) -> Patient) -> Vec<Patient> {
    (0..n).map(patient).collect()
}

/// Twenty ordinary patients whose ages and weights differ.
pub fn twenty() -> Vec<Patient> {
    patients(20, |i| Patient { age: 30 + i as i64, weight: Some(60.0 + i as f64), ..Patient::default() })
}

/// Twenty ordinary patients and one whom the attacker is after.
pub fn twenty_and(target: Patient) -> Vec<Patient> {
    twenty().into_iter().chain([target]).collect()
}

pub fn table(outcome: &Outcome) -> &TableRelease {
    match outcome {
        Outcome::Table(table) => table,
        other => panic!("no table: {other:?}"),
    }
}

pub fn bins(outcome: &Outcome) -> &BinsRelease {
    match outcome {
        Outcome::Bins(bins) => bins,
        other => panic!("no bins: {other:?}"),
    }
}

pub fn lines(outcome: &Outcome) -> &LinesRelease {
    match outcome {
        Outcome::Lines(lines) => lines,
        other => panic!("no lines: {other:?}"),
    }
}

pub fn keys(outcome: &Outcome) -> &DiscoveredRelease {
    match outcome {
        Outcome::Discovered(found) => found,
        other => panic!("no keys: {other:?}"),
    }
}

/// The patients of each cell; none where it is hidden.
pub fn counts(table: &TableRelease) -> Vec<Option<u64>> {
    table.cells.iter().map(count).collect()
}

pub fn count(cell: &CellRelease) -> Option<u64> {
    match cell {
        CellRelease::Shown { count, .. } => Some(count.subjects),
        CellRelease::FewerThanK => None,
    }
}

/// What hidden cells add up to, where the total says so.
pub fn rest(table: &TableRelease) -> Option<u64> {
    Some(table.total?.subjects - counts(table).iter().flatten().sum::<u64>())
}

/// n, Σx and Σx² of a number whose contract's range is [lo, hi].
#[derive(Debug, Clone, Copy)]
pub struct Sums {
    pub n: f64,
    pub sum: f64,
    pub sum_sq: f64,
}

/// The sums of a cell's first measure, where they are shown.
pub fn sums(cell: &CellRelease, quantum: Quantum) -> Option<Sums> {
    let CellRelease::Shown { measures, .. } = cell else { return None };
    let MeasureRelease::Number { valid, sum, sum_sq } = measures.first()? else { return None };
    let (n, q, qq) = (valid.rows as f64, *sum as f64, *sum_sq as f64);
    let Quantum { centre, step } = quantum;
    let sum_sq = n * centre * centre + 2.0 * centre * step * q + step * step * qq;
    Some(Sums { n, sum: quantum.sum(valid.rows, *sum), sum_sq })
}

/// The sides of a cell's first condition: true, false, and neither.
pub fn sides(cell: &CellRelease) -> Option<[u64; 3]> {
    let CellRelease::Shown { count, measures } = cell else { return None };
    let MeasureRelease::Condition { valid, holds_rows } = measures.first()? else { return None };
    Some([*holds_rows, valid.rows - holds_rows, count.rows - valid.rows])
}
