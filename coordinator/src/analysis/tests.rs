//! Laws of combining: order does not matter, every interval holds the truth, nothing shows that too few sites stand behind.

mod association;
mod bins;
mod discovered;
mod patients;
mod summaries;
mod tables;

use std::collections::BTreeMap;

use bocage_protocol::ErrorCode;
use bocage_protocol::analysis::plan_for;
use bocage_protocol::plan::{MeasureLayout, Quantum, TableLayout};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease};
use proptest::prelude::*;

use super::*;
use crate::api::types::{Block, HiddenReason, Interval, Value};
use crate::bench;

/// A patient: cell, cholesterol, sick.
type Row = (usize, Option<f64>, Option<bool>);

/// A site's rows, and how its gate was minded.
#[derive(Debug, Clone)]
struct Site {
    rows: Vec<Row>,
    threshold: u32,
    step: usize,
    total: bool,
    /// A cell that is hidden whatever its size.
    held_back: Option<usize>,
}

fn asked() -> (AnalysisSpec, ValidPlan) {
    let study = bench::study(bench::STUDY, &bench::SITES, 1);
    let plan = plan_for(&study.analyses[0].spec, study.query(), 0, &RoundState::First).unwrap();
    (study.analyses[0].clone(), ValidPlan::check(plan, &bench::contract()).unwrap())
}

fn quantum(layout: &TableLayout) -> Quantum {
    match layout.measures()[0] {
        MeasureLayout::Number(quantum) => quantum,
        MeasureLayout::Condition => panic!("cholesterol is a number"),
    }
}

fn count(rows: usize) -> Count {
    Count { subjects: rows as u64, rows: rows as u64 }
}

/// A plain gate: thresholds, nothing else.
fn gate(site: &Site, layout: &TableLayout) -> TableRelease {
    let k = site.threshold as usize;
    let containing = layout.containing(0, site.step);
    let cell = |at: usize| {
        let rows: Vec<&Row> = site.rows.iter().filter(|row| containing[row.0] == at).collect();
        if rows.len() < k || site.held_back == Some(at) {
            return CellRelease::FewerThanK;
        }
        let chol: Vec<i128> =
            rows.iter().filter_map(|r| r.1).map(|x| i128::from(quantum(layout).quanta(x).unwrap())).collect();
        let sick: Vec<bool> = rows.iter().filter_map(|r| r.2).collect();
        let holds = sick.iter().filter(|s| **s).count();
        let side = |n: usize| n == 0 || n >= k;
        let number = match chol.len() >= k {
            true => MeasureRelease::Number {
                valid: count(chol.len()),
                sum: chol.iter().sum(),
                sum_sq: chol.iter().map(|q| q * q).sum(),
            },
            false => MeasureRelease::Hidden,
        };
        let condition = match sick.len() >= k && side(holds) && side(sick.len() - holds) {
            true => MeasureRelease::Condition { valid: count(sick.len()), holds_rows: holds as u64 },
            false => MeasureRelease::Hidden,
        };
        CellRelease::Shown { count: count(rows.len()), measures: vec![number, condition] }
    };
    let total = (site.total && site.rows.len() >= k).then(|| count(site.rows.len()));
    let cells = (0..layout.cells_at(site.step)).map(cell).collect();
    TableRelease {
        threshold: site.threshold,
        step: site.step as u16,
        total,
        cells,
        held_back: site.held_back.is_some(),
        rounded: false,
    }
}

fn combine(sites: &[Site], order: &[usize], min_sites: u32) -> AnalysisResult {
    let (spec, plan) = asked();
    let mut driver = Driver::new(&spec, &plan, &bench::contract(), min_sites).unwrap();
    let ids: Vec<SiteId> = (0..sites.len()).map(|i| bench::site(&format!("site-{i}"))).collect();
    let releases: Vec<TableRelease> = sites.iter().map(|site| gate(site, plan.written())).collect();
    assert!(releases.iter().all(|release| release.fits(plan.written())));
    let answers: Vec<SiteAnswer<'_>> =
        order.iter().map(|i| SiteAnswer { site: &ids[*i], answer: Answer::Table(&releases[*i]) }).collect();
    match driver.step(&answers) {
        Next::Publish(result) => *result,
        Next::Round(_) | Next::Each(_) => panic!("a table has one round"),
    }
}

fn row() -> impl Strategy<Value = Row> {
    let chol = prop::option::weighted(0.8, (1000_u32..6000).prop_map(|x| f64::from(x) / 10.0));
    (prop_oneof![3 => 0_usize..2, 1 => 0_usize..6], chol, prop::option::weighted(0.9, any::<bool>()))
}

fn some_site() -> impl Strategy<Value = Site> {
    let step = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    let threshold = prop_oneof![1 => Just(1_u32), 4 => 3_u32..8];
    let held_back = prop::option::weighted(0.2, 0_usize..2);
    (prop::collection::vec(row(), 0..60), threshold, step, any::<bool>(), held_back)
        .prop_map(|(rows, threshold, step, total, held_back)| Site { rows, threshold, step, total, held_back })
}

/// Checks a block against all rows in the clear.
fn check(block: &Block, sites: &[Site], layout: &TableLayout, step: usize, min_sites: u32) {
    let containing = layout.containing(0, step);
    let hidden: BTreeMap<_, _> = block.hidden.iter().map(|h| ((h.row, h.column), h)).collect();
    for (at, row) in block.rows.iter().enumerate() {
        let inside = |site: &Site| site.rows.iter().filter(|r| containing[r.0] == at).copied().collect::<Vec<Row>>();
        let truth = sites.iter().map(|site| inside(site).len() as u64).sum::<u64>();
        let showing: Vec<&Site> = sites.iter().filter(|site| shows(site, layout, at, step)).collect();
        for (column, value) in row.iter().enumerate().skip(2) {
            match value {
                Value::Null => {
                    let why = hidden[&(at, column)];
                    assert!(why.interval.is_none_or(|i| i.contains(truth)), "{why:?} without {truth}");
                    assert_eq!(why.interval.is_some(), column < 4, "counts have an interval");
                    let few = showing.len() < min_sites as usize;
                    assert!(!few || why.reason == HiddenReason::TooFewSites);
                    assert!(!few || why.interval.is_none_or(|i| i.0 == 0));
                }
                _ if column < 4 => assert_eq!(*value, Value::Count(truth)),
                _ => {
                    let coverage = block.coverage.iter().find(|c| (c.row, c.column) == (at, column)).unwrap();
                    assert!(coverage.of.contains(truth) && coverage.n <= truth);
                }
            }
            assert!(
                *value == Value::Null || showing.len() >= min_sites as usize,
                "too few sites stand behind {value:?}"
            );
        }
        if let Value::Number(mean) = row[4] {
            let with = |site: &&Site| {
                let values: Vec<f64> = inside(site).iter().filter_map(|r| r.1).collect();
                let fine = fine_cells(site, layout, at, step);
                fine.iter().all(|cell| matches!(cell, Some(MeasureRelease::Number { .. }))).then_some(values)
            };
            let values: Vec<f64> = showing.iter().filter_map(with).flatten().collect();
            let expected = values.iter().sum::<f64>() / values.len() as f64;
            assert!((mean - expected).abs() < 1e-6, "{mean} is not {expected}");
        }
    }
}

/// The cholesterol of each of the site's cells inside a cell of `step`.
fn fine_cells(site: &Site, layout: &TableLayout, at: usize, step: usize) -> Vec<Option<MeasureRelease>> {
    let release = gate(site, layout);
    let inside = layout.containing(site.step, step);
    let cells = release.cells.iter().zip(inside).filter(|(_, to)| *to == at);
    cells
        .map(|(cell, _)| match cell {
            CellRelease::Shown { measures, .. } => Some(measures[0].clone()),
            CellRelease::FewerThanK => None,
        })
        .collect()
}

fn shows(site: &Site, layout: &TableLayout, at: usize, step: usize) -> bool {
    site.step <= step && fine_cells(site, layout, at, step).iter().all(Option::is_some)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_order_of_the_sites_gives_the_same_bits(
        sites in prop::collection::vec(some_site(), 1..6),
        order in Just(()).prop_perturb(|(), mut rng| rng.random::<u64>()),
    ) {
        let straight: Vec<usize> = (0..sites.len()).collect();
        let mut mixed = straight.clone();
        mixed.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(order | 1));
        let text = |order: &[usize]| serde_json::to_string(&combine(&sites, order, 2)).unwrap();
        prop_assert_eq!(text(&straight), text(&mixed));
    }

    #[test]
    fn intervals_hold_the_truth_and_nothing_shows_that_too_few_sites_stand_behind(
        sites in prop::collection::vec(some_site(), 1..6),
        min_sites in 1_u32..4,
    ) {
        let (_, plan) = asked();
        let order: Vec<usize> = (0..sites.len()).collect();
        let result = combine(&sites, &order, min_sites);
        check(&result.block, &sites, plan.written(), 0, min_sites);
        let coarsest = sites.iter().map(|s| s.step).max().unwrap();
        prop_assert_eq!(result.rolled_up.is_some(), coarsest > 0);
        if let Some(block) = &result.rolled_up {
            check(block, &sites, plan.written(), coarsest, min_sites);
        }
    }
}

fn uniform(per_cell: usize, step: usize) -> Site {
    let rows = (0..6).flat_map(|cell| (0..per_cell).map(move |i| (cell, Some(200.0 + i as f64), Some(i % 2 == 0))));
    Site { rows: rows.collect(), threshold: 5, step, total: true, held_back: None }
}

#[test]
fn where_every_site_shows_all_the_numbers_are_exact() {
    let sites = [uniform(10, 0), uniform(12, 0), uniform(14, 0)];
    let result = combine(&sites, &[0, 1, 2], 3);
    assert_eq!(result.block.columns[..4], ["sex", "cut(age, 50, 60)", "count", "rows"]);
    assert!(result.block.hidden.is_empty() && result.notes.is_empty() && result.rolled_up.is_none());
    let Value::Number(share) = result.block.rows[0][7] else { panic!() };
    assert_eq!(share, 0.5);
    let first = &result.block.coverage[0];
    assert_eq!((first.n, first.of), (36, Interval(36, Some(36))));
}

#[test]
fn a_site_that_rolled_up_bounds_the_fine_cells_and_a_coarse_table_is_added() {
    let sites = [uniform(10, 0), uniform(10, 0), uniform(10, 0), uniform(3, 1)];
    let result = combine(&sites, &[0, 1, 2, 3], 3);
    // The site's bands below 60 hold 6 patients together, the one above 3, which is fewer than 5.
    let interval = |row: usize| result.block.hidden.iter().find(|h| h.row == row && h.column == 2).unwrap().interval;
    assert_eq!(interval(0), Some(Interval(30, Some(38))), "6, rounded up to a power of two: one site alone");
    assert_eq!(interval(2), Some(Interval(30, Some(34))));
    let coarse = result.rolled_up.unwrap();
    assert_eq!(coarse.rows[0][..3], [Value::Text("female".into()), Value::Text("<60".into()), Value::Count(66)]);
    assert!(result.notes.iter().any(|n| n.starts_with("1 of 4 sites rolled up")), "{:?}", result.notes);
}

#[test]
fn fewer_sites_than_needed_publish_nothing_and_say_so() {
    let result = combine(&[uniform(10, 0), uniform(10, 0)], &[0, 1], 3);
    assert!(result.block.rows.iter().all(|row| row[2..].iter().all(|v| *v == Value::Null)));
    assert!(result.block.hidden.iter().all(|h| h.interval.is_none_or(|i| i == Interval(0, None))));
    let [note] = result.notes.as_slice() else { panic!("{:?}", result.notes) };
    assert!(
        note.starts_with("nothing is published: a cell needs 3 sites, and the study asks 2 only (min_sites of"),
        "{note}"
    );
}

#[test]
fn notes_say_who_is_missing_and_who_has_nothing_to_contribute() {
    let (spec, plan) = asked();
    let mut driver = Driver::new(&spec, &plan, &bench::contract(), 2).unwrap();
    let mut without = uniform(10, 0);
    without.rows.iter_mut().for_each(|row| row.1 = None);
    let releases = [gate(&uniform(10, 0), plan.written()), gate(&without, plan.written())];
    let names = bench::SITES.map(bench::site);
    let refused = PublicError::new(ErrorCode::PolicyRefused, "not for this purpose");
    let answers = [
        SiteAnswer { site: &names[3], answer: Answer::Table(&releases[1]) },
        SiteAnswer { site: &names[0], answer: Answer::Table(&releases[0]) },
        SiteAnswer { site: &names[1], answer: Answer::Refused(&refused) },
        SiteAnswer { site: &names[2], answer: Answer::Missing },
    ];
    let Next::Publish(result) = driver.step(&answers) else { panic!() };
    let expected = [
        "hungary refused: not for this purpose (policy_refused)",
        "long-beach is missing: it did not answer before the deadline",
        "counts cover the 2 of 4 sites that answered",
        "switzerland has no `mean(chol)` to contribute: fewer than 5 patients have a value, or one unlike the others', in any cell",
    ];
    assert_eq!(result.notes, expected);
    let chol = result.block.hidden.iter().find(|h| h.column == 4).unwrap();
    assert_eq!((chol.reason, chol.interval), (HiddenReason::TooFewSites, None));
    assert_eq!(result.block.rows[0][2], Value::Count(20));
}

#[test]
fn a_share_of_a_number_is_refused_at_the_door() {
    use bocage_protocol::analysis::{Show, Spec};
    use bocage_protocol::plan::Measure;
    let (mut spec, _) = asked();
    let Spec::Table(table) = &mut spec.spec else { panic!() };
    table.show[2].show = Show::Share(Measure::Column("chol".parse().unwrap()));
    let study = bench::study(bench::STUDY, &bench::SITES, 1);
    let plan = plan_for(&spec.spec, study.query(), 0, &RoundState::First).unwrap();
    let plan = ValidPlan::check(plan, &bench::contract()).unwrap();
    let error = Driver::new(&spec, &plan, &bench::contract(), 3).unwrap_err();
    assert_eq!(error.code, ErrorCode::StudyInvalid);
}
