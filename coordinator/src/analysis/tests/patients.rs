//! Random patients at random sites, what a plain gate lets out of them for any study, and what is combined of that.

use bocage_protocol::analysis::plan_for;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::plan::{
    Comparison, Expr, Literal, MISSING, Measure, MeasureLayout, Statistic, ValidPlan, band_labels,
};
use bocage_protocol::release::{BinRelease, BinsRelease, CellRelease, Count, MeasureRelease, Outcome, TableRelease};
use proptest::prelude::*;

use crate::analysis::{Answer, Driver, Next, SiteAnswer, summarise};
use crate::api::types::{AnalysisResult, Block, Hidden, Value};
use crate::bench;

/// One patient, one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patient {
    pub age: i64,
    pub male: bool,
    pub chol: Option<f64>,
    pub sick: Option<bool>,
}

/// A site's patients and its k.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub patients: Vec<Patient>,
    pub k: u32,
}

/// What a site let out of one analysis.
#[derive(Debug, Clone)]
pub(super) enum LetOut {
    Table(TableRelease),
    Bins(BinsRelease),
}

fn patient() -> impl Strategy<Value = Patient> {
    let chol = prop::option::weighted(0.8, (1000_u32..6000).prop_map(|x| f64::from(x) / 10.0));
    (0_i64..=120, any::<bool>(), chol, prop::option::weighted(0.9, any::<bool>()))
        .prop_map(|(age, male, chol, sick)| Patient { age, male, chol, sick })
}

/// Few to many sites, some of them nearly empty.
pub(super) fn sites() -> impl Strategy<Value = Vec<Site>> {
    let patients = prop_oneof![
        3 => prop::collection::vec(patient(), 0..150),
        1 => prop::collection::vec(patient(), 0..6),
    ];
    prop::collection::vec((patients, 1_u32..12).prop_map(|(patients, k)| Site { patients, k }), 1..6)
}

/// All patients of all sites.
pub(super) fn pooled(sites: &[Site]) -> Vec<Patient> {
    sites.iter().flat_map(|site| site.patients.clone()).collect()
}

/// A number column of a patient.
pub(super) fn number(patient: &Patient, column: &str) -> Option<f64> {
    match column {
        "age" => Some(patient.age as f64),
        _ => patient.chol,
    }
}

/// The label of a key.
pub(super) fn label(key: &Expr, patient: &Patient) -> String {
    if let Expr::Compare { op: Comparison::GreaterOrEqual, left, right } = key {
        let bound = match right.as_ref() {
            Expr::Literal(Literal::Int(n)) => *n as f64,
            Expr::Literal(Literal::Float(x)) => *x,
            other => panic!("{other:?}"),
        };
        let holds = number(patient, left.columns()[0].as_str()).map(|x| x >= bound);
        return holds.map_or(MISSING.to_owned(), |holds| holds.to_string());
    }
    let (column, breaks) = match key {
        Expr::Cut { of, breaks } => (of.columns()[0].as_str(), breaks),
        key => match key.columns()[0].as_str() {
            "sex" => return if patient.male { "male" } else { "female" }.to_owned(),
            _ => return patient.sick.map_or(MISSING.to_owned(), |sick| sick.to_string()),
        },
    };
    let band = |x: f64| band_labels(breaks)[breaks.iter().filter(|b| **b <= x).count()].clone();
    number(patient, column).map_or(MISSING.to_owned(), band)
}

/// The study's plans, its analyses in order.
pub(super) fn plans(analyses: &str) -> Vec<(bocage_protocol::analysis::AnalysisSpec, ValidPlan)> {
    let head = "title = \"T\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\n";
    let study = bench::study(&format!("{head}{analyses}"), &bench::SITES, 1);
    let plan = |spec: &bocage_protocol::analysis::AnalysisSpec| {
        let plan = plan_for(&spec.spec, study.query(), 0, &super::RoundState::First).unwrap();
        ValidPlan::check(plan, &bench::contract()).unwrap()
    };
    study.analyses.iter().map(|spec| (spec.clone(), plan(spec))).collect()
}

fn count(n: usize) -> Count {
    Count { subjects: n as u64, rows: n as u64 }
}

/// A plain gate: thresholds and merging, nothing else. `level` gives a patient's level of a flow.
pub(super) fn let_out(site: &Site, plan: &ValidPlan, level: &dyn Fn(&Patient) -> usize) -> LetOut {
    match (&plan.plan().statistic, plan.grid()) {
        (Statistic::Bins(of), Some(grid)) => {
            let cell = |patient: &Patient| match of {
                bocage_protocol::plan::Bins::Steps(_) => Some(level(patient)),
                bocage_protocol::plan::Bins::Lines(_) => panic!("lines have tests of their own"),
                bocage_protocol::plan::Bins::Column(column) => number(patient, column.as_str())
                    .map(|x| (0..grid.cells()).rev().find(|cell| grid.lower(*cell) <= x).unwrap()),
            };
            let cells: Vec<Option<usize>> = site.patients.iter().map(cell).collect();
            let missing = cells.iter().filter(|cell| cell.is_none()).count();
            let release = BinsRelease {
                threshold: site.k,
                missing: (missing >= site.k as usize).then(|| count(missing)),
                bins: merged(&cells, grid.cells(), site.k as usize),
                held_back: false,
                rounded: false,
            };
            assert!(release.fits(grid, plan.layout().keys_at(0).iter().any(|key| key.missing)));
            LetOut::Bins(release)
        }
        _ => LetOut::Table(table(site, plan)),
    }
}

fn merged(cells: &[Option<usize>], size: usize, k: usize) -> Vec<BinRelease> {
    let (mut bins, mut open) = (Vec::<BinRelease>::new(), 0);
    for cell in 0..size {
        open += cells.iter().filter(|of| **of == Some(cell)).count();
        if open >= k {
            bins.push(BinRelease { upto: cell as u32 + 1, count: count(open) });
            open = 0;
        }
    }
    if let Some(last) = bins.last_mut() {
        *last = BinRelease { upto: size as u32, count: count(last.count.rows as usize + open) };
    }
    bins
}

fn table(site: &Site, plan: &ValidPlan) -> TableRelease {
    let (layout, k) = (plan.layout(), site.k as usize);
    let cell = |at: usize| {
        let wanted = layout.labels(0, at);
        // The only condition that these plans have: that a value is there.
        let filter = plan.plan().query.filter.as_ref();
        let needed: Vec<&str> = filter.iter().flat_map(|f| f.columns()).map(ColumnName::as_str).collect();
        let is_in = |patient: &&Patient| {
            needed.iter().all(|column| number(patient, column).is_some())
                && plan.table().by.iter().zip(&wanted).all(|(key, wanted)| label(key, patient) == *wanted)
        };
        let inside: Vec<&Patient> = site.patients.iter().filter(is_in).collect();
        let measure = |(measure, layout): (&Measure, &MeasureLayout)| {
            let MeasureLayout::Number(quantum) = layout else {
                // The only condition that these plans sum: to be sick.
                let holds = inside.iter().filter(|patient| patient.sick == Some(true)).count();
                let known = inside.iter().filter(|patient| patient.sick.is_some()).count();
                let sides = [holds, known - holds, inside.len() - known];
                return match sides.iter().any(|side| (1..k).contains(side)) {
                    true => MeasureRelease::Hidden,
                    false => MeasureRelease::Condition { valid: count(known), holds_rows: holds as u64 },
                };
            };
            let value = |patient: &&Patient| match measure {
                Measure::Column(column) => number(patient, column.as_str()),
                Measure::Product(a, b) => Some(number(patient, a.as_str())? * number(patient, b.as_str())?),
                other => panic!("{other:?}"),
            };
            let values = inside.iter().filter_map(value);
            let quanta: Vec<i128> = values.map(|x| i128::from(quantum.quanta(x).unwrap())).collect();
            if quanta.len() < k {
                return MeasureRelease::Hidden;
            }
            let sum_sq = quanta.iter().map(|q| q * q).sum();
            MeasureRelease::Number { valid: count(quanta.len()), sum: quanta.iter().sum(), sum_sq }
        };
        match inside.len() >= k {
            false => CellRelease::FewerThanK,
            true => CellRelease::Shown {
                count: count(inside.len()),
                measures: plan.table().measures.iter().zip(layout.measures()).map(measure).collect(),
            },
        }
    };
    let release = TableRelease {
        threshold: site.k,
        step: 0,
        total: None,
        cells: (0..layout.cells_at(0)).map(cell).collect(),
        held_back: false,
        rounded: false,
    };
    assert!(release.fits(layout));
    match plan.as_written(&Outcome::Table(release)).into_owned() {
        Outcome::Table(release) => release,
        other => panic!("{other:?}"),
    }
}

/// The results of a study over these sites, taken in in the order of `order`.
pub(super) fn study(
    analyses: &str,
    sites: &[Site],
    order: &[usize],
    min_sites: u32,
    level: &dyn Fn(&Patient) -> usize,
) -> Vec<AnalysisResult> {
    let plans = plans(analyses);
    let ids: Vec<_> = (0..sites.len()).map(|i| bench::site(&format!("site-{i}"))).collect();
    let result = |(spec, plan): &(_, ValidPlan)| {
        let mut driver = Driver::new(spec, plan, &bench::contract(), min_sites).unwrap();
        let out: Vec<LetOut> = sites.iter().map(|site| let_out(site, plan, level)).collect();
        let answer = |i: &usize| match &out[*i] {
            LetOut::Table(table) => Answer::Table(table),
            LetOut::Bins(bins) => Answer::Bins(bins),
        };
        let answers: Vec<_> = order.iter().map(|i| SiteAnswer { site: &ids[*i], answer: answer(i) }).collect();
        match driver.step(&answers) {
            Next::Publish(result) => *result,
            Next::Round(_) | Next::Each(_) => panic!("one round"),
        }
    };
    let results: Vec<_> = plans.iter().map(result).collect();
    summarise(plans.iter().map(|(spec, _)| spec).zip(results).collect(), true)
}

/// The one result of one analysis.
pub(super) fn one(analysis: &str, sites: &[Site], min_sites: u32) -> AnalysisResult {
    let order: Vec<usize> = (0..sites.len()).collect();
    let mut results = study(analysis, sites, &order, min_sites, &|_| panic!("no flow"));
    assert_eq!(results.len(), 1);
    results.remove(0)
}

/// Whether the count at a place is `truth`, or hidden with an interval that holds it.
pub(super) fn assert_holds(block: &Block, row: usize, column: usize, truth: u64) {
    match &block.rows[row][column] {
        Value::Count(n) => assert_eq!(*n, truth, "at {row}, {column} of {block:?}"),
        Value::Null => {
            let hidden = hidden_at(block, row, column);
            assert!(hidden.interval.is_none_or(|i| i.contains(truth)), "{hidden:?} without {truth}: {block:?}");
            assert!(hidden.interval.is_none_or(|i| i.1 != Some(i.0)), "an interval of one number");
        }
        other => panic!("{other:?} is no count"),
    }
}

/// Why a value is hidden.
pub(super) fn hidden_at(block: &Block, row: usize, column: usize) -> &Hidden {
    block.hidden.iter().find(|h| (h.row, h.column) == (row, column)).expect("a reason")
}

/// A published statistic.
pub(super) fn shown(block: &Block, row: usize, column: usize) -> Option<f64> {
    match block.rows[row][column] {
        Value::Number(x) => Some(x),
        Value::Null => None,
        ref other => panic!("{other:?} is no statistic"),
    }
}
