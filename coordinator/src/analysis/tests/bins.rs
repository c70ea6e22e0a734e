//! Quantiles and flows against all rows in the clear, and the quantiles of the real heart-disease data.

use std::path::Path;

use bocage_protocol::analysis::QuantilesSpec;
use bocage_protocol::plan::Grid;
use proptest::prelude::*;

use super::patients::{Patient, Site, assert_holds, hidden_at, number, one, pooled, shown, sites, study};
use crate::api::types::{AnalysisResult, HiddenReason, Interval, Value};

const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
const FLOW: &str =
    "[[analysis]]\nname = \"flow\"\nattrition = { steps = [\"age >= 20\", \"chol is not null\", \"not sick\"] }\n";

fn quantiles(column: &str) -> String {
    format!("[[analysis]]\nname = \"q\"\nquantiles = {{ of = \"{column}\", at = {SHARES:?} }}\n")
}

/// The smallest value x with F(x) ≥ p; p in percent.
fn truth(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent).div_ceil(100) - 1]
}

/// Which step a patient fails first.
fn level(patient: &Patient) -> usize {
    match patient {
        Patient { age: ..20, .. } => 0,
        Patient { chol: None, .. } => 1,
        Patient { sick: Some(true) | None, .. } => 2,
        _ => 3,
    }
}

fn flow(sites: &[Site], order: &[usize], min_sites: u32) -> AnalysisResult {
    study(FLOW, sites, order, min_sites, &level).remove(0)
}

fn straight(sites: &[Site]) -> Vec<usize> {
    (0..sites.len()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_quantiles_interval_holds_the_pooled_quantile(sites in sites(), min_sites in 1_u32..4, int in any::<bool>()) {
        let column = if int { "age" } else { "chol" };
        let result = one(&quantiles(column), &sites, min_sites);
        let mut values: Vec<f64> = pooled(&sites).iter().filter_map(|p| number(p, column)).collect();
        let valid = |site: &Site| site.patients.iter().filter_map(|p| number(p, column)).count();
        let showing = sites.iter().filter(|site| valid(site) >= site.k as usize).count();
        for (row, p) in SHARES.iter().enumerate() {
            let Some(value) = shown(&result.block, row, 1) else {
                prop_assert!(showing < min_sites as usize);
                prop_assert_eq!(hidden_at(&result.block, row, 1).reason, HiddenReason::TooFewSites);
                continue;
            };
            prop_assert!(showing >= min_sites as usize);
            let (from, to) = (shown(&result.block, row, 2).unwrap(), shown(&result.block, row, 3).unwrap());
            let truth = truth(&mut values, (p * 100.0).round() as usize);
            prop_assert!(from <= truth && truth <= to, "{} is not in [{}, {}]", truth, from, to);
            prop_assert!(from <= value && value <= to);
            prop_assert!(!int || value.fract() == 0.0, "a quantile of whole numbers is one");
            let all = pooled(&sites).len() as u64;
            let coverage = result.block.coverage.iter().find(|c| c.row == row).unwrap();
            prop_assert!(coverage.of.contains(all) && coverage.n <= values.len() as u64, "{:?}", coverage);
        }
        let patients = &result.also[0].block;
        assert_holds(patients, 0, 0, values.len() as u64);
        assert_holds(patients, 0, 1, (pooled(&sites).len() - values.len()) as u64);
    }

    #[test]
    fn a_flows_intervals_hold_the_pooled_counts(sites in sites(), min_sites in 1_u32..4) {
        let result = flow(&sites, &straight(&sites), min_sites);
        prop_assert_eq!(&result.block.columns, &["step", "entered", "excluded", "kept"]);
        let levels: Vec<usize> = pooled(&sites).iter().map(level).collect();
        for step in 0..3 {
            let left = |from: usize| levels.iter().filter(|level| **level >= from).count() as u64;
            assert_holds(&result.block, step, 1, left(step));
            assert_holds(&result.block, step, 2, left(step) - left(step + 1));
            assert_holds(&result.block, step, 3, left(step + 1));
        }
    }

    #[test]
    fn any_order_of_the_sites_gives_the_same_bits(
        sites in sites(),
        order in Just(()).prop_perturb(|(), mut rng| rng.random::<u64>()),
    ) {
        let mut mixed = straight(&sites);
        mixed.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(order | 1));
        let text = format!("{}{FLOW}", quantiles("chol"));
        let bits = |order: &[usize]| serde_json::to_string(&study(&text, &sites, order, 2, &level)).unwrap();
        prop_assert_eq!(bits(&straight(&sites)), bits(&mixed));
    }
}

/// A patient at each of these levels, so often.
fn site(k: u32, levels: [usize; 4]) -> Site {
    let at = |level: usize| Patient {
        age: if level == 0 { 10 } else { 50 },
        male: true,
        chol: (level != 1).then_some(200.0),
        sick: Some(level == 2),
    };
    let patients = levels.iter().enumerate().flat_map(|(level, n)| std::iter::repeat_n(at(level), *n));
    Site { patients: patients.collect(), k }
}

#[test]
fn a_flow_that_no_site_merges_is_exact() {
    let sites = [site(5, [10, 6, 7, 30]), site(5, [5, 5, 5, 5]), site(5, [9, 8, 7, 6])];
    let result = flow(&sites, &[0, 1, 2], 3);
    let row = |row: usize| result.block.rows[row][1..].to_vec();
    assert_eq!(row(0), [103, 24, 79].map(Value::Count));
    assert_eq!(row(2), [60, 19, 41].map(Value::Count));
    assert!(result.block.hidden.is_empty() && result.notes.is_empty(), "{:?}", result.notes);
}

#[test]
fn steps_that_a_site_merges_are_named_and_bounded() {
    let sites = [site(5, [10, 6, 7, 30]), site(5, [5, 5, 5, 5]), site(5, [9, 3, 7, 6])];
    let result = flow(&sites, &[0, 1, 2], 2);
    let note = "1 of 3 sites shows who leaves at the steps `chol is not null`, `not sick` merged into one number: \
                apart, one would show fewer than k patients";
    assert_eq!(result.notes, [note]);
    assert_eq!(result.block.rows[0][1], Value::Count(98));
    // 16 of its patients enter, 10 of them leave at one of the two steps. One site alone: rounded up to a power of two.
    assert_eq!(hidden_at(&result.block, 1, 2).interval, Some(Interval(11, Some(98 - 24 - 47))));
    assert_eq!(hidden_at(&result.block, 1, 3).interval, Some(Interval(47, Some(47 + 16))));
}

#[test]
fn nothing_of_a_flow_shows_that_too_few_sites_stand_behind() {
    let result = flow(&[site(5, [10, 6, 7, 30]), site(5, [1, 0, 1, 2])], &[0, 1], 2);
    assert!(result.block.rows.iter().all(|row| row[1..].iter().all(|v| *v == Value::Null)));
    assert!(result.block.hidden.iter().all(|h| h.interval == Some(Interval(0, None))), "{:?}", result.block.hidden);
    let notes = [
        "nothing is published: a number needs 2 sites, and 1 has enough patients",
        "site-1 has fewer than 5 patients in all",
    ];
    assert_eq!(result.notes, notes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_interval_is_no_wider_than_three_times_what_k_patients_of_each_site_fill(
        sites in 1_usize..8,
        patients in 150_usize..1500,
        k in 5_u32..20,
        shift in 0.0..1.0_f64,
    ) {
        // As many everywhere: a patient in each step of 500 / N, dealt out in no order.
        const GOLDEN: f64 = 0.618_033_988_749_895;
        let patient = |i: usize| {
            let chol = 100.0 + 500.0 * (shift + i as f64 * GOLDEN).fract();
            Patient { age: 40, male: true, chol: Some(chol), sick: None }
        };
        let of = |site: usize| (site..sites * patients).step_by(sites).map(patient).collect();
        let all: Vec<Site> = (0..sites).map(|site| Site { patients: of(site), k }).collect();
        let result = one(&quantiles("chol"), &all, 1);
        let (n, density) = ((sites * patients) as f64, 1.0 / 500.0);
        // The public grid has steps of its own.
        let step = 1.0;
        for (row, p) in SHARES.iter().enumerate() {
            let [from, to] = [2, 3].map(|column| shown(&result.block, row, column).expect("an interval"));
            let most = 3.0 * f64::from(k) * sites as f64 / (n * density) + step;
            prop_assert!(to - from <= most, "{p}: [{from}, {to}] of {n} at {sites} sites, k = {k}: at most {most}");
        }
    }
}

/// The patients of the four hospitals; zero cholesterol means that it was not measured.
fn heart() -> Vec<Site> {
    let read = |site: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/data/heart/{site}.csv"));
        let text = std::fs::read_to_string(path).unwrap();
        let patient = |line: &str| {
            let fields: Vec<Option<f64>> = line.split(',').map(|field| field.trim().parse().ok()).collect();
            let chol = fields[4].filter(|x| x.is_finite() && *x >= 100.0 && *x <= 600.0);
            let sick = fields[13].map(|x| x > 0.0);
            Patient { age: fields[0].unwrap() as i64, male: fields[1] == Some(1.0), chol, sick }
        };
        Site { patients: text.lines().map(patient).collect(), k: 11 }
    };
    crate::bench::SITES.map(read).to_vec()
}

#[test]
fn the_quantiles_of_the_heart_data_lie_in_narrow_intervals() {
    let sites = heart();
    assert_eq!(pooled(&sites).len(), 920, "all four hospitals");
    for (column, spread) in [("age", 3.0), ("chol", 30.0)] {
        let result = one(&quantiles(column), &sites, 3);
        let mut values: Vec<f64> = pooled(&sites).iter().filter_map(|p| number(p, column)).collect();
        for (row, p) in SHARES.iter().enumerate().filter(|(_, p)| (0.2..0.8).contains(*p)) {
            let [value, from, to] = [1, 2, 3].map(|c| shown(&result.block, row, c).unwrap());
            let truth = truth(&mut values, (p * 100.0).round() as usize);
            assert!(from <= truth && truth <= to, "{column} {p}: {truth} is not in [{from}, {to}]");
            assert!((value - truth).abs() <= spread / 2.0, "{column} {p}: {value} for {truth}");
            assert!(to - from <= spread, "{column} {p}: [{from}, {to}]");
        }
        let said = result.notes.iter().find(|note| note.contains("of the contract's range"));
        assert!(said.is_none_or(|note| !note.contains("0.5")), "a narrow interval needs no word: {said:?}");
    }
}

#[test]
fn quantiles_whose_intervals_are_nearly_the_whole_range_are_said_to_tell_little() {
    let patient = |chol| Patient { age: 40, male: true, chol: Some(chol), sick: None };
    let sites: Vec<Site> = (0..3).map(|_| Site { patients: vec![patient(100.1); 40], k: 11 }).collect();
    let result = one(&quantiles("chol"), &sites, 3);
    let note = result.notes.iter().find(|note| note.contains("more than 5 % of the contract's range")).unwrap();
    assert!(note.starts_with("of `chol`, 0.05, 0.25, 0.5, 0.75, 0.95 can lie") && note.contains("histogram"), "{note}");
}

#[test]
fn a_range_that_few_measurements_fill_is_warned_of_before_anybody_is_asked() {
    let of = |hi| {
        let spec = QuantilesSpec { of: "value".parse().unwrap(), at: vec![0.5] };
        crate::analysis::quantiles::warning(&spec, &Grid::Equal { lo: 0.0, hi })
    };
    let warning = of(999_000.0).unwrap();
    assert!(
        warning.contains("in steps of 999 only") && warning.contains("\n  hint: say where its numbers lie"),
        "{warning}"
    );
    assert_eq!(of(700.0), None);
}
