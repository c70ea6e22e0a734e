//! Discovered keys of several sites: order does not matter, every interval holds the truth, and what too few sites show is never named.

use std::collections::BTreeMap;

use bocage_protocol::release::{CellRelease, Count, DiscoveredRelease, KeyRelease, MeasureRelease};
use proptest::prelude::*;

use super::patients::{assert_holds, hidden_at, plans};
use crate::analysis::{Answer, Driver, Next, SiteAnswer};
use crate::api::types::{AnalysisResult, HiddenReason, Interval, Value};
use crate::bench;

/// Ages as discovered keys, with two cells each.
fn study(top: u32, show: &str) -> String {
    format!(
        "[[analysis]]\nname = \"d\"\ntable = {{ by = [\"discovered(age)\", \"sex\"], show = [{show}], top = {top} }}\n"
    )
}

/// The patients of a site by age: women and men.
type Truth = BTreeMap<i64, [u64; 2]>;

#[derive(Debug, Clone)]
struct Site {
    truth: Truth,
    k: u32,
    /// So many keys fit.
    most: usize,
    /// Women of every third age are hidden, however many they are.
    held_back: bool,
}

fn count(n: u64) -> Count {
    Count { subjects: n, rows: n }
}

/// A plain gate: the keys with the most patients in cells that are shown, thresholds, nothing else.
fn let_out(site: &Site, measures: usize) -> DiscoveredRelease {
    let k = u64::from(site.k);
    let cell = |n: u64| match n >= k {
        true => CellRelease::Shown { count: count(n), measures: vec![MeasureRelease::Hidden; measures] },
        false => CellRelease::FewerThanK,
    };
    // What is hidden counts as nobody.
    let seen = |(age, cells): (&i64, &[u64; 2])| {
        let women = if site.held_back && age % 3 == 0 { 0 } else { cells[0] };
        (*age, [women, cells[1]])
    };
    // The patients in cells that are shown, and those of the largest.
    let shown = |cells: &[u64; 2]| cells.iter().copied().filter(|n| *n >= k).sum::<u64>();
    let largest = |(_, cells): &(i64, [u64; 2])| cells.iter().copied().max();
    let mut frequent: Vec<(i64, [u64; 2])> =
        site.truth.iter().map(seen).filter(|(_, cells)| shown(cells) > 0).collect();
    frequent.sort_by_key(|(age, cells)| (std::cmp::Reverse(shown(cells)), *age));
    let left_out = frequent.split_off(site.most.min(frequent.len()));
    let beyond = left_out.iter().filter_map(largest).max().map(u64::next_power_of_two);
    frequent.sort_unstable();
    let keys = frequent.into_iter();
    let key =
        |(age, cells): (i64, [u64; 2])| KeyRelease { key: Some(age.to_string()), cells: cells.map(cell).to_vec() };
    DiscoveredRelease {
        threshold: site.k,
        keys: keys.map(key).collect(),
        beyond,
        held_back: site.held_back,
        rounded: false,
    }
}

fn combine(text: &str, sites: &[Site], order: &[usize], min_sites: u32) -> AnalysisResult {
    let (spec, plan) = plans(text).remove(0);
    let releases: Vec<DiscoveredRelease> =
        sites.iter().map(|site| let_out(site, plan.layout().measures().len())).collect();
    let key = plan.discovered().unwrap();
    assert!(releases.iter().all(|release| release.fits(key, plan.layout())));
    let ids: Vec<_> = (0..sites.len()).map(|i| bench::site(&format!("site-{i}"))).collect();
    let answers: Vec<_> =
        order.iter().map(|i| SiteAnswer { site: &ids[*i], answer: Answer::Discovered(&releases[*i]) }).collect();
    match Driver::new(&spec, &plan, &bench::contract(), min_sites).unwrap().step(&answers) {
        Next::Publish(result) => *result,
        Next::Round(_) | Next::Each(_) => panic!("one round"),
    }
}

fn one(text: &str, sites: &[Site], min_sites: u32) -> AnalysisResult {
    combine(text, sites, &(0..sites.len()).collect::<Vec<_>>(), min_sites)
}

fn site(k: u32, truth: &[(i64, [u64; 2])]) -> Site {
    Site { truth: truth.iter().copied().collect(), k, most: 100, held_back: false }
}

fn some_site() -> impl Strategy<Value = Site> {
    let truth = prop::collection::btree_map(0_i64..12, [0_u64..40, 0_u64..15], 0..12);
    let most = prop_oneof![3 => Just(100_usize), 1 => 1_usize..6];
    (truth, 1_u32..12, most, prop::bool::weighted(0.2)).prop_map(|(truth, k, most, held_back)| Site {
        truth,
        k,
        most,
        held_back,
    })
}

/// The keys of a result, in its order.
fn named(result: &AnalysisResult) -> Vec<String> {
    let name = |row: &Vec<Value>| match &row[0] {
        Value::Text(name) => name.clone(),
        other => panic!("{other:?} is no key"),
    };
    result.block.rows.iter().step_by(2).map(name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_order_of_the_sites_gives_the_same_bits(
        sites in prop::collection::vec(some_site(), 1..6),
        order in any::<u64>(),
    ) {
        let straight: Vec<usize> = (0..sites.len()).collect();
        let mut mixed = straight.clone();
        mixed.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(order | 1));
        let text = |order: &[usize]| serde_json::to_string(&combine(&study(5, "\"count\""), &sites, order, 2)).unwrap();
        prop_assert_eq!(text(&straight), text(&mixed));
    }

    #[test]
    fn intervals_hold_the_truth_and_what_too_few_sites_show_is_not_named(
        sites in prop::collection::vec(some_site(), 1..6),
        min_sites in 1_u32..4,
        top in 1_u32..15,
    ) {
        let result = one(&study(top, "\"count\", \"rows\""), &sites, min_sites);
        let releases: Vec<DiscoveredRelease> = sites.iter().map(|site| let_out(site, 0)).collect();
        let sites_that_show = |name: &str, at: usize| {
            let key = |release: &DiscoveredRelease| release.keys.iter().find(|k| k.key.as_deref() == Some(name)).cloned();
            releases.iter().filter(|r| key(r).is_some_and(|k| k.cells[at].is_shown())).count() as u32
        };
        let names = named(&result);
        for (row, values) in result.block.rows.iter().enumerate() {
            let (name, at) = (&names[row / 2], row % 2);
            let truth = sites.iter().filter_map(|s| s.truth.get(&name.parse().unwrap())).map(|cells| cells[at]).sum();
            for column in [2, 3] {
                assert_holds(&result.block, row, column, truth);
                let published = matches!(values[column], Value::Count(_))
                    || hidden_at(&result.block, row, column).reason == HiddenReason::FewerThanK;
                prop_assert_eq!(published, sites_that_show(name, at) >= min_sites, "{} {}", name, at);
            }
        }
        // Exactly the keys that enough sites show in one cell are candidates, and the first of them are shown.
        let publishable = |age: &i64| (0..2).any(|at| sites_that_show(&age.to_string(), at) >= min_sites);
        let all = (0..12).filter(publishable).count();
        prop_assert_eq!(names.len(), all.min(top as usize));
        for name in &names {
            prop_assert!(publishable(&name.parse().unwrap()), "{}", name);
        }
    }
}

#[test]
fn keys_stand_by_the_patients_that_their_published_cells_show_and_equals_in_their_own_order() {
    let sites = [
        site(5, &[(9, [20, 0]), (10, [20, 0]), (40, [30, 20]), (70, [900, 900]), (50, [5, 0])]),
        site(5, &[(9, [20, 0]), (10, [20, 0]), (40, [30, 4]), (50, [5, 0])]),
    ];
    let result = one(&study(50, "\"count\""), &sites, 2);
    assert_eq!(named(&result), ["40", "9", "10", "50"], "70 is one site's alone, and 9 is less than 10");
    assert_eq!(result.block.columns, ["discovered(age)", "sex", "count"]);
    let text = |t: &str| Value::Text(t.to_owned());
    assert_eq!(result.block.rows[0], [text("40"), text("female"), Value::Count(60)]);
    let men = hidden_at(&result.block, 1, 2);
    assert_eq!((men.reason, men.interval), (HiddenReason::TooFewSites, Some(Interval(0, Some(2048)))));
    assert_eq!(result.kind, "table");
    assert_eq!(
        result.notes,
        [
            "all 4 keys that can be published are shown",
            "a key is published where 2 sites show it in one cell, however frequent it is elsewhere",
        ]
    );
    let first = one(&study(2, "\"count\""), &sites, 2);
    assert_eq!(named(&first), ["40", "9"]);
    assert_eq!(first.notes[0], "4 keys can be published: the 2 with the most patients are shown");
}

#[test]
fn a_site_that_does_not_name_a_key_may_have_up_to_k_less_one_or_what_it_had_no_room_for() {
    let named_by_two = [site(5, &[(40, [30, 0])]), site(5, &[(40, [31, 0])])];
    let silent = site(8, &[(40, [7, 7])]);
    let full = Site { most: 1, ..site(5, &[(40, [20, 0]), (41, [21, 0])]) };
    let interval = |other: &Site| {
        let sites = [named_by_two[0].clone(), named_by_two[1].clone(), other.clone()];
        let result = one(&study(9, "\"count\""), &sites, 2);
        (hidden_at(&result.block, 0, 2).interval, result.notes)
    };
    let (of_silent, notes) = interval(&silent);
    assert_eq!(of_silent, Some(Interval(61, Some(68))));
    assert!(
        notes.contains(&"site-2 names no key: none that can be named has 8 patients in one cell".to_owned()),
        "{notes:?}"
    );
    let (of_full, notes) = interval(&full);
    assert_eq!(of_full, Some(Interval(61, Some(61 + 32))), "20 patients are below the next power of two");
    assert!(notes.iter().any(|note| note.starts_with("site-2 has more keys than an answer holds")), "{notes:?}");
}

#[test]
fn places_that_hidden_patients_could_change_are_counted_in_a_note() {
    let sites = [
        site(5, &[(40, [30, 0]), (41, [28, 0]), (42, [9, 0])]),
        site(5, &[(40, [30, 0]), (41, [30, 0]), (42, [9, 0])]),
    ];
    let sites = [sites[0].clone(), sites[1].clone(), site(5, &[(40, [4, 0])])];
    let result = one(&study(50, "\"count\""), &sites, 2);
    assert_eq!(named(&result), ["40", "41", "42"]);
    let note = "the order is by the patients that are shown: 1 of these 3 keys could have fewer than the next one, since sites hide \
                cells of fewer than k or round";
    assert_eq!(result.notes.last().map(String::as_str), Some(note));
}

#[test]
fn where_no_key_is_shown_by_enough_sites_none_is_named_and_a_note_says_so() {
    let sites = [site(5, &[(40, [30, 30])]), site(5, &[(41, [30, 30])])];
    let result = one(&study(50, "\"count\", \"mean(chol)\""), &sites, 2);
    assert!(result.block.rows.is_empty() && result.block.hidden.is_empty());
    assert!(
        result.notes.contains(&"no key is published: none has a cell that 2 sites show".to_owned()),
        "{:?}",
        result.notes
    );
    assert!(
        result.notes.iter().any(|note| note.starts_with("site-0 has no `mean(chol)` to contribute")),
        "{:?}",
        result.notes
    );
    let text = serde_json::to_string(&result).unwrap();
    assert!(!text.contains("\"40\"") && !text.contains("\"41\"") && !text.contains("30"), "{text}");
}
