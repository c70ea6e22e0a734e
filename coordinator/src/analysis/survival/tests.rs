//! Of which sites the numbers of a curve are, and that they say so.

use bocage_protocol::analysis::{Band, Key};
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Expr, Literal};
use bocage_protocol::release::{BinRelease, Count, LinesRelease};

use super::*;
use crate::api::types::{Block, Interval, Value};
use crate::bench;

/// Of each group who has no event, the event, and that which competes with it.
type Exits<'a> = [&'a [(u32, u64)]; 3];

const FEW: Exits<'_> = [&[(2, 15), (3, 30)], &[(2, 0)], &[(2, 12)]];
const MANY: Exits<'_> = [&[(1, 12), (2, 13), (3, 20)], &[(1, 20), (2, 20)], &[(1, 12), (2, 13)]];
/// How many these are.
const N: u64 = 110;

fn release(groups: [Exits<'_>; 2]) -> LinesRelease {
    let line = |bins: &[(u32, u64)]| {
        let bin = |(upto, n): &(u32, u64)| BinRelease { upto: *upto, count: Count { subjects: *n, rows: *n } };
        bins.iter().map(bin).collect::<Vec<_>>()
    };
    let of_group = |exits: Exits<'_>| std::iter::once(line(&[(3, 0)])).chain(exits.map(line)).collect::<Vec<_>>();
    LinesRelease { threshold: 11, lines: groups.map(of_group).concat(), held_back: false, rounded: false }
}

/// Three sites, of which the last one answers this.
fn published(last: [Exits<'_>; 2]) -> AnalysisResult {
    of_sites([[MANY, MANY], [MANY, MANY], last])
}

fn of_sites(all: [[Exits<'_>; 2]; 3]) -> AnalysisResult {
    let key = |label: &str| Key { label: label.to_owned(), key: Expr::Literal(Literal::Bool(true)) };
    let spec = SurvivalSpec {
        time: key("time"),
        event: key("died"),
        competing: vec![key("moved")],
        by: vec![key("sex")],
        grid: vec![1.0, 2.0],
        at: vec![0.25],
        confidence: 0.95,
        band: Band::LogLog,
        least_intervals: None,
    };
    let setting = Setting { name: "a".parse().unwrap(), kind: "survival", one_row_per_subject: true, min_sites: 2 };
    let groups = ["f", "m"].map(|label| (vec![label.to_owned()], false)).to_vec();
    let driver = SurvivalDriver { setting, spec, groups, z: 1.96 };
    let sites: Vec<SiteId> = ["aa", "bb", "cc"].map(bench::site).to_vec();
    let releases = all.map(release);
    let answers = sites.iter().zip(&releases);
    let answers: Vec<_> = answers.map(|(site, of)| SiteAnswer { site, answer: Answer::Lines(of) }).collect();
    driver.publish(&answers)
}

fn also<'a>(result: &'a AnalysisResult, title: &str) -> &'a Block {
    &result.also.iter().find(|named| named.title == title).unwrap().block
}

/// The blocks of numbers of a group, each with where they begin.
fn of_groups(result: &AnalysisResult) -> [(&Block, usize); 6] {
    let expected = "events observed, and expected if all groups had the same hazard";
    [
        (&result.block, 4),
        (also(result, "patients"), 2),
        (also(result, "quantiles"), 2),
        (also(result, "restricted mean"), 2),
        (also(result, "cumulative incidence"), 3),
        (also(result, expected), 1),
    ]
}

const TESTS: [&str; 2] = ["log-rank test", "log-rank test, stratified by site"];

#[test]
fn numbers_of_all_sites_have_no_mark() {
    let result = published([MANY, MANY]);
    let covered = |block: &Block| block.coverage.len();
    assert!(of_groups(&result).iter().all(|(block, _)| covered(block) == 0 && !block.unmarked(0).is_empty()));
    assert!(TESTS.iter().all(|title| covered(also(&result, title)) == 0));
}

#[test]
fn numbers_of_a_group_that_a_site_hides_say_of_how_many_patients_they_are() {
    let result = published([FEW, MANY]);
    for (block, from) in of_groups(&result) {
        let of_women = |at: &(usize, usize)| block.rows[at.0][0] == Value::Text("f".into());
        assert!(!block.unmarked(from).iter().any(of_women), "{block:?}");
        assert!(block.coverage.iter().all(|covered| of_women(&(covered.row, covered.column))), "{block:?}");
        assert!(block.coverage.iter().all(|covered| (covered.n, covered.of) == (2 * N, Interval(2 * N, None))));
    }
    let marked = of_groups(&result).map(|(block, _)| block.coverage.len());
    // There is no test of all patients as one, since the groups are of other sites.
    assert_eq!(marked, [18, 5, 4, 6, 16, 0], "of whom nothing is known are few");
    let by_site = also(&result, TESTS[1]);
    // The number of sites is that.
    assert_eq!(by_site.unmarked(1), [(3, 1)]);
    assert!(by_site.coverage.len() == 3 && by_site.coverage.iter().all(|covered| covered.n == 4 * N), "{by_site:?}");
}

#[test]
fn tests_of_groups_that_a_site_hides_alike_say_of_how_many_patients_they_are() {
    let result = published([FEW, FEW]);
    for title in TESTS {
        let block = also(&result, title);
        assert_eq!(block.unmarked(1), [(3, 1)], "{title}");
        assert!(block.coverage.len() == 3 && block.coverage.iter().all(|covered| covered.n == 4 * N), "{block:?}");
    }
    let expected = of_groups(&result)[5].0;
    assert!(expected.unmarked(1).is_empty() && expected.coverage.iter().all(|covered| covered.n == 2 * N));
}

#[test]
fn where_the_number_of_patients_is_open_it_says_how_far() {
    // Who has no event, at one of the two that show the events: one site alone says how many, so it is up to 64 there, and up to 10 here.
    let open: Exits<'_> = [&[(3, 0)], MANY[1], MANY[2]];
    let result = of_sites([[MANY, MANY], [open, MANY], [FEW, MANY]]);
    let patients =
        also(&result, "patients").hidden.iter().find(|hidden| (hidden.row, hidden.column) == (0, 2)).unwrap();
    assert_eq!(patients.interval, Some(Interval(130, Some(204))));
    let covered = result.block.coverage.first().unwrap();
    assert_eq!((covered.n, covered.off), (130, 74));
}
