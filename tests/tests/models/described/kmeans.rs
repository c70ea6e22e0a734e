//! Clusters are those of the pooled rows.

use bocage_coordinator::analysis::{Answer, Driver, Next, SiteAnswer};
use bocage_coordinator::api::types::AnalysisResult;
use bocage_protocol::PublicError;
use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::plan::{Centroids, Described, ValidPlan};
use bocage_protocol::release::Outcome;
use bocage_tests::federation::{Federation, Gate, block, number};

use super::super::data::{self, HEART, Rows};
use super::lloyd::lloyd;
use super::{also, complete, list, near, numbers};

const COLUMNS: [&str; 3] = ["age", "trestbps", "thalach"];
/// The contract's ranges of these.
const RANGES: [(f64, f64); 3] = [(0.0, 120.0), (0.0, 300.0), (40.0, 230.0)];

fn kmeans(clusters: u32, rest: &str) -> String {
    format!("[[analysis]]\nname = \"k\"\nkmeans = {{ columns = {COLUMNS:?}, clusters = {clusters}{rest} }}")
}

/// What a study is answered with, and what was asked and released on the way.
struct Run {
    result: AnalysisResult,
    asked: Vec<Centroids>,
    released: Vec<(Described, Vec<f64>)>,
}

fn run(federation: &Federation, analysis: &str, gate: Gate) -> Run {
    run_in(federation, analysis, gate, false)
}

/// The same, where sites answer in the order of their names or against it.
fn run_in(federation: &Federation, analysis: &str, gate: Gate, against: bool) -> Run {
    let head = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\n";
    let study = federation.bind(&format!("{head}{analysis}")).expect("a study");
    let spec = &study.analyses[0];
    let plan = |round, state: &RoundState| {
        let plan = plan_for(&spec.spec, study.query(), round, state).expect("a plan");
        ValidPlan::check(plan, federation.contract()).expect("a valid plan")
    };
    let (mut round, mut state) = (0, RoundState::First);
    let mut driver = Driver::new(spec, &plan(0, &state), federation.contract(), gate.min_sites).expect("a driver");
    let (mut asked, mut released) = (Vec::new(), Vec::new());
    loop {
        let plan = plan(round, &state);
        let outcomes: Vec<(_, Result<Outcome, PublicError>)> = study
            .sites
            .names()
            .expect("sites")
            .iter()
            .map(|site| (site.clone(), federation.outcome(site, &plan, gate.threshold)))
            .collect();
        let mut answers: Vec<SiteAnswer<'_>> =
            outcomes.iter().map(|(site, outcome)| SiteAnswer { site, answer: answer(outcome) }).collect();
        if against {
            answers.reverse();
        }
        let described = plan.model().and_then(|(_, layout)| layout.described).expect("a described plan");
        released.extend(outcomes.iter().filter_map(|(_, outcome)| match outcome {
            Ok(Outcome::Model(release)) => Some((described, release.sums.clone())),
            _ => None,
        }));
        match driver.step(&answers) {
            Next::Round(next) => {
                if let RoundState::Centroids(at) = &next {
                    asked.push(as_asked(at, plan.stands()));
                }
                (round, state) = (round + 1, next);
            }
            Next::Publish(result) => break Run { result: *result, asked, released },
            Next::Each(_) => panic!("clusters are asked of all sites alike"),
        }
    }
}

fn answer(outcome: &Result<Outcome, PublicError>) -> Answer<'_> {
    match outcome {
        Ok(Outcome::Model(release)) => Answer::Model(release),
        Err(error) => Answer::Refused(error),
        other => panic!("{other:?}"),
    }
}

/// Centroids by the columns in the order of the question.
fn as_asked(at: &Centroids, stands: &[usize]) -> Centroids {
    let centroid = |of: &Vec<i32>| stands.iter().map(|column| of[*column]).collect();
    let starts = at.starts.iter().map(|start| start.iter().map(centroid).collect()).collect();
    Centroids { weights: stands.iter().map(|column| at.weights[*column]).collect(), starts }
}

/// Rows by half the contract's ranges.
fn scaled(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let scale = |(x, (lo, hi)): (&f64, &(f64, f64))| (x - (lo + hi) / 2.0) / ((hi - lo) / 2.0);
    rows.iter().map(|row| row.iter().zip(&RANGES).map(scale).collect()).collect()
}

#[test]
fn from_the_same_starts_the_best_end_is_that_of_a_plain_lloyd_on_the_pooled_rows() {
    let rows = scaled(&complete(&data::heart(), &COLUMNS));
    let federation = data::by_site(HEART, &data::heart());
    for (clusters, rest) in [(3, ""), (4, ", scale = \"range\", seed = 7"), (5, ", scale = \"none\", starts = 3")] {
        let run = run(&federation, &kmeans(clusters, &format!("{rest}, iterations = 49")), Gate::OPEN);
        let Centroids { weights, starts } = &run.asked[0];
        let ends = starts.iter().map(|start| lloyd(&rows, weights, start, 1000));
        let best = ends.min_by(|a, b| a.within.total_cmp(&b.within)).expect("a start");
        let sizes: Vec<f64> = best.clusters.iter().map(|(n, _)| *n as f64).collect();
        assert_eq!(numbers(&run.result.block, 1), sizes, "{:?}", run.result.notes);
        for (column, (lo, hi)) in RANGES.iter().enumerate() {
            let wanted: Vec<f64> =
                best.clusters.iter().map(|(_, mean)| (lo + hi) / 2.0 + (hi - lo) / 2.0 * mean[column]).collect();
            near(&numbers(&run.result.block, 3 + column), &wanted, 1e-8);
        }
    }
}

#[test]
fn the_best_of_the_starts_is_that_of_scikit_learn() {
    let theirs = data::reference_of("described", "heart, 3 clusters");
    let federation = data::by_site(HEART, &data::heart());
    let result = run(&federation, &kmeans(3, ", iterations = 49"), Gate::OPEN).result;
    assert_eq!(numbers(&result.block, 1), list(&theirs["sizes"]));
    let centroids = list(&theirs["centroids"]);
    for column in 0..3 {
        let wanted: Vec<f64> = centroids.iter().skip(column).step_by(3).copied().collect();
        near(&numbers(&result.block, 3 + column), &wanted, 1e-8);
    }
    let fit = block(&result, "fit");
    near(&[number(fit, "sum of squares within clusters", "value")], &list(&theirs["within"]), 1e-8);
    near(&[number(fit, "Calinski-Harabasz index", "value")], &list(&theirs["calinski_harabasz"]), 1e-8);
}

#[test]
fn one_two_four_and_sixteen_sites_have_the_same_clusters() {
    let rows = data::heart();
    let of = |sites| {
        let federation = data::dealt(HEART, &rows, sites);
        let result = run(&federation, &kmeans(4, ", iterations = 49"), Gate::OPEN).result;
        let values: Vec<Vec<f64>> = (1..6).map(|column| numbers(&result.block, column)).collect();
        (values, also(&result, "profiles", 2))
    };
    let (values, profiles) = of(1);
    for sites in [2, 4, 16] {
        let (found, differences) = of(sites);
        found.iter().zip(&values).for_each(|(found, wanted)| near(found, wanted, 1e-10));
        near(&differences, &profiles, 1e-9);
    }
}

#[test]
fn in_whatever_order_columns_are_named_the_clusters_and_components_are_the_same() {
    let federation = data::by_site(HEART, &data::heart());
    let of = |columns: [&str; 3]| {
        let kmeans = format!("[[analysis]]\nname = \"k\"\nkmeans = {{ columns = {columns:?}, clusters = 1 }}");
        let pca = format!("[[analysis]]\nname = \"p\"\npca = {{ columns = {columns:?} }}");
        (federation.run(&kmeans, Gate::OPEN).remove(0), federation.run(&pca, Gate::OPEN).remove(0))
    };
    let ((clusters, components), (turned, other)) = (of(COLUMNS), of(["thalach", "age", "trestbps"]));
    assert_eq!(turned.block.columns[3..], ["thalach", "age", "trestbps"]);
    for (column, as_named) in [(3, 4), (4, 5), (5, 3)] {
        near(&numbers(&turned.block, as_named), &numbers(&clusters.block, column), 1e-12);
    }
    near(&numbers(&other.block, 1), &numbers(&components.block, 1), 1e-12);
    let of_age = |at: &AnalysisResult, row: usize| also(at, "columns", 1)[row];
    assert_eq!(of_age(&other, 1), of_age(&components, 0));
}

#[test]
fn in_whatever_order_sites_answer_the_bits_are_the_same() {
    let rows = data::heart();
    let of = |against| run_in(&data::by_site(HEART, &rows), &kmeans(3, ""), Gate::USUAL, against).result;
    assert_eq!(of(false), of(true));
    let pca = format!("[[analysis]]\nname = \"p\"\npca = {{ columns = {COLUMNS:?} }}");
    let of = |against| run_in(&data::by_site(HEART, &rows), &pca, Gate::OPEN, against).result;
    assert_eq!(of(false), of(true));
}

#[test]
fn under_the_usual_gate_every_cluster_of_every_site_is_nobody_or_k_and_the_answer_is_near_the_pooled_one() {
    let federation = data::by_site(HEART, &data::heart());
    let analysis = kmeans(3, ", starts = 20, iterations = 49");
    let run = run(&federation, &analysis, Gate::USUAL);
    let (mut answers, mut nothing_new) = (0, 0);
    for (described, sums) in &run.released {
        let Described::Clusters { width, .. } = described else { continue };
        for start in sums[*width..].chunks(described.block()) {
            let sizes: Vec<f64> = start.chunks(1 + width).map(|cluster| cluster[0]).collect();
            assert!(sizes.iter().all(|n| *n == 0.0 || *n >= 11.0), "{sizes:?}");
            answers += 1;
            nothing_new += usize::from(sizes.iter().sum::<f64>() == 0.0);
        }
    }
    assert!(answers > 3 * 20 && nothing_new < answers / 2, "{nothing_new} of {answers} say nothing");
    // A blood pressure of 0 is most of what varies at Long Beach.
    let refused: Vec<&String> = run.result.notes.iter().filter(|note| note.contains(" refused: ")).collect();
    assert!(
        refused.len() == 1 && refused[0].starts_with("long-beach refused: one patient says too much"),
        "{refused:?}"
    );
    let others: Rows = data::heart().into_iter().filter(|(site, _)| site != "long-beach").collect();
    let open = self::run(&data::by_site(HEART, &others), &analysis, Gate::OPEN);
    let all = |result: &AnalysisResult| numbers(&result.block, 1).iter().sum::<f64>();
    assert_eq!(all(&run.result), all(&open.result), "{:?}", run.result.notes);
    let within = |result: &AnalysisResult| number(block(result, "fit"), "sum of squares within clusters", "value");
    let (found, best) = (within(&run.result), within(&open.result));
    assert!((best * (1.0 - 1e-3)..best * 1.05).contains(&found), "{found}, not {best}: {:?}", run.result.notes);
}
