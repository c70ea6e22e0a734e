//! Along a grid, under the gate as nodes have it, on the covid data: which hospitals are in a fit, which ends all of them keep and what is refused. What is
//! then published is the plain fit of these hospitals' rows along these ends.

use std::collections::BTreeMap;

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Gate, block, number};

use super::super::data::{self, COVID};
use super::super::pooled::hazards::{self, Patient};
use super::cox;

const K: usize = 11;
const ALL: [&str; 6] = ["site1", "site2", "site3", "site4", "site5", "site6"];

type Row = BTreeMap<String, String>;

fn usual(sites: &[&str], options: &str) -> AnalysisResult {
    let rows: data::Rows = data::covid().into_iter().filter(|(site, _)| sites.contains(&site.as_str())).collect();
    data::by_site(COVID, &rows).run(&cox(options), Gate::USUAL).remove(0)
}

fn value(row: &Row, column: &str) -> f64 {
    row[column].parse().expect("a number")
}

/// In each interval the ages of who dies and of who leaves otherwise; who stays beyond the last end is in the last interval, without the event.
fn leaving(site: &str, ends: &[f64], of: impl Fn(&Row) -> bool) -> Vec<[Vec<f64>; 2]> {
    let mut groups = vec![[vec![], vec![]]; ends.len()];
    for (_, row) in data::covid().into_iter().filter(|(own, row)| own == site && of(row)) {
        let interval = ends.iter().filter(|end| **end <= value(&row, "los")).count();
        let died = row["death"] == "true" && interval < ends.len();
        groups[interval.min(ends.len() - 1)][usize::from(!died)].push(value(&row, "age"));
    }
    groups
}

/// Whether sums of these ages may be told: there are eight of them, and beside any one k patients have another.
fn differ(ages: &[f64]) -> bool {
    let alike = |age: &f64| ages.iter().filter(|other| *other == age).count();
    let most = ages.iter().map(alike).max().unwrap_or_default();
    let mut apart = ages.to_vec();
    apart.sort_by(f64::total_cmp);
    apart.dedup();
    apart.len() >= 8 && ages.len() - most >= K
}

/// The hospitals that keep all of these ends.
fn keeping(ends: &[f64]) -> Vec<&'static str> {
    ALL.into_iter().filter(|site| leaving(site, ends, |_| true).iter().flatten().all(|ages| differ(ages))).collect()
}

fn ends(result: &AnalysisResult) -> Vec<f64> {
    let baseline = block(result, "baseline");
    let at = baseline.columns.iter().position(|column| column == "to").expect("ends");
    let end = |row: &Vec<Value>| match row[at] {
        Value::Number(end) => end,
        ref other => panic!("{other:?}"),
    };
    baseline.rows.iter().map(end).collect()
}

/// The fit is of these hospitals' patients, along these ends, by these terms and strata.
#[track_caller]
fn is_fit_of(result: &AnalysisResult, sites: &[&str], along: &[f64], (terms, strata): (&[&str], Option<&str>)) {
    let patient = |row: &Row| Patient {
        come: -1.0,
        leave: value(row, "los"),
        event: row["death"] == "true",
        stratum: strata.map_or(0, |key| value(row, key) as usize),
        x: terms.iter().map(|term| value(row, term.trim_end_matches("[1]"))).collect(),
        offset: 0.0,
    };
    let rows = data::covid();
    let own: Vec<Patient> =
        rows.iter().filter(|(site, _)| sites.contains(&site.as_str())).map(|(_, row)| patient(row)).collect();
    let wanted = hazards::fit(&hazards::along(&own, along), true).expect("a fit");
    for (at, term) in terms.iter().enumerate() {
        for (name, wanted) in [("estimate", wanted.estimates[at]), ("standard error", wanted.errors[at])] {
            let found = number(&result.block, term, name);
            assert!((found - wanted).abs() <= 1e-8 * wanted.abs(), "{term}, {name}: {found} is not {wanted}");
        }
    }
    let fit = |name: &str| number(block(result, "fit"), name, "value");
    assert_eq!((fit("sites"), fit("patients")), (sites.len() as f64, own.len() as f64), "{:#?}", result.notes);
    let told = block(result, "patients with all that the model reads").rows.iter();
    let told: Vec<&Value> = told.map(|row| &row[0]).collect();
    let named: Vec<Value> = sites.iter().map(|site| Value::Text((*site).to_owned())).collect();
    assert_eq!(told, named.iter().collect::<Vec<_>>());
}

#[track_caller]
fn says(result: &AnalysisResult, wanted: &str) {
    assert!(result.notes.iter().any(|note| note.starts_with(wanted)), "{wanted}: {:#?}", result.notes);
}

#[track_caller]
fn is_no_fit(result: &AnalysisResult, why: &str) {
    says(result, why);
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
}

#[test]
fn the_fit_is_along_the_ends_that_every_hospital_keeps_and_the_smallest_may_cost_the_others_theirs() {
    let (grid, formula) = ([13.0, 16.0, 30.0], "formula = \"surv(los, death) ~ age\", grid = [13, 16, 30]");
    assert_eq!(keeping(&grid), ALL[..3], "at the others too few die before the thirteenth day");
    assert_eq!(
        keeping(&grid[1..]),
        ALL[..5],
        "of twelve who die before the sixteenth at the last three are of one age"
    );
    let all = usual(&ALL, formula);
    is_no_fit(
        &all,
        "no fit: all sites keep 1 of the 3 intervals (site1 3, site2 3, site3 3, site4 2, site5 2, site6 1)",
    );
    let over_one = usual(&ALL, "formula = \"surv(los, death) ~ age\", grid = [30]");
    assert_eq!(ends(&over_one), grid[2..], "who asks for one interval has it: {:#?}", over_one.notes);
    is_fit_of(&over_one, &ALL, &grid[2..], (&["age"], None));
    let five = usual(&ALL[..5], formula);
    says(
        &five,
        "times are rounded to 2 of the 3 intervals, those that all sites keep: site1 3, site2 3, site3 3, site4 2, site5 2",
    );
    assert_eq!(ends(&five), grid[1..], "{:#?}", five.notes);
    is_fit_of(&five, &ALL[..5], &grid[1..], (&["age"], None));
    let three = usual(&ALL[..3], formula);
    assert_eq!(ends(&three), grid, "{:#?}", three.notes);
    is_fit_of(&three, &ALL[..3], &grid, (&["age"], None));
}

#[test]
fn a_hospital_that_keeps_fewer_intervals_than_are_asked_of_each_is_left_out_of_the_fit() {
    let formula = "formula = \"surv(los, death) ~ age\", grid = [13, 16, 30]";
    let five = usual(&ALL, &format!("{formula}, least_intervals = 2"));
    says(&five, "site6 is left out: it keeps 1 of 3 intervals, and `least_intervals` is 2");
    assert!(!five.notes.iter().any(|note| note.contains("site6 refused")), "{:#?}", five.notes);
    assert_eq!((ends(&five), &five.absent[..]), (vec![16.0, 30.0], &["site6".parse().expect("a site")][..]));
    is_fit_of(&five, &ALL[..5], &[16.0, 30.0], (&["age"], None));
    let three = usual(&ALL, &format!("{formula}, least_intervals = 3, standard_errors = \"robust\""));
    assert_eq!((ends(&three), three.absent.len()), (vec![13.0, 16.0, 30.0], 3));
    let asked = usual(&ALL[..3], &format!("{formula}, standard_errors = \"robust\""));
    assert_eq!(three.block, asked.block, "as if the others had not been asked");
}

#[test]
fn a_hospital_where_of_a_sex_too_few_die_refuses_and_the_others_are_fitted() {
    let grid = [17.0, 30.0];
    let of = |site: &str, sex: &str, ends: &[f64]| -> Vec<usize> {
        leaving(site, ends, |row| row["sex"] == sex).iter().flatten().map(Vec::len).collect()
    };
    let enough = |site: &&str, ends: &[f64]| ["0", "1"].iter().all(|sex| of(site, sex, ends).iter().all(|n| *n >= K));
    assert_eq!(of("site6", "1", &grid[1..]), [8, 28], "of the men of site6 eight died");
    assert!(ALL[..5].iter().all(|site| enough(site, &grid[1..])));
    assert_eq!(ALL.into_iter().filter(|site| enough(site, &grid)).collect::<Vec<_>>(), ALL[..3]);
    let of_two = usual(&ALL, "formula = \"surv(los, death) ~ age + sex\", grid = [17, 30]");
    is_no_fit(&of_two, "no fit: all sites keep 1 of the 2 intervals");
    let result = usual(&ALL, "formula = \"surv(los, death) ~ age + sex\", grid = [30]");
    says(&result, "site6 refused: `sex = 1` and `the outcome` vary too little together");
    assert_eq!(ends(&result), grid[1..], "{:#?}", result.notes);
    is_fit_of(&result, &ALL[..5], &grid[1..], (&["age", "sex[1]"], None));
}

#[test]
fn strata_by_sex_are_of_the_hospitals_where_enough_of_each_sex_leave_in_each_way() {
    let grid = [17.0, 30.0];
    let each = |site: &&str, ends: &[f64]| {
        ["0", "1"]
            .iter()
            .all(|sex| leaving(site, ends, |row| row["sex"] == *sex).iter().flatten().all(|ages| differ(ages)))
    };
    let keeping = |ends: &[f64]| ALL.into_iter().filter(|site| each(site, ends)).collect::<Vec<_>>();
    assert_eq!((keeping(&grid), keeping(&grid[1..])), (ALL[..3].to_vec(), ALL[..5].to_vec()));
    let of_two = usual(&ALL, "formula = \"surv(los, death) ~ age\", grid = [17, 30], strata = [\"sex\"]");
    is_no_fit(&of_two, "no fit: all sites keep 1 of the 2 intervals (site1 2, site2 2, site3 2, site4 1, site5 1)");
    let result = usual(&ALL, "formula = \"surv(los, death) ~ age\", grid = [30], strata = [\"sex\"]");
    says(&result, "site6 refused: too few patients leave or come in an interval, by the event or otherwise");
    is_fit_of(&result, &ALL[..5], &grid[1..], (&["age"], Some("sex")));
}

#[test]
fn three_hospitals_of_the_lung_trial_keep_one_interval_by_age_and_none_by_sex() {
    let run = |terms: &str| {
        let options = format!("formula = \"surv(time, status = 1) ~ {terms}\", grid = [300, 1100]");
        data::by_site(super::LUNG2, &super::lung2()).run(&cox(&options), Gate::USUAL).remove(0)
    };
    let age = run("age");
    is_no_fit(&age, "no fit: all sites keep 1 of the 2 intervals (site1 1, site2 1, site3 1)");
    let both = run("age + sex");
    for site in ["site1", "site2"] {
        says(&both, &format!("{site} refused: `sex = 1` and `the outcome` vary too little together"));
    }
    says(&both, "site3 refused: too few patients leave or come in an interval");
    says(&both, "nothing is published: a cell needs 2 sites, and 0 answered");
    assert!(both.block.rows.is_empty(), "{:#?}", both.block);
}
