//! What is told of sites' lines by hand: what all of them keep, and never what one says alone.

use bocage_protocol::analysis::{Band, Key};
use bocage_protocol::plan::{Expr, Literal};
use bocage_protocol::release::Count;
use proptest::prelude::*;

use super::*;
use crate::bench;

/// Four intervals; one event.
fn spec() -> SurvivalSpec {
    let key = |label: &str| Key { label: label.to_owned(), key: Expr::Literal(Literal::Bool(true)) };
    SurvivalSpec {
        time: key("time"),
        event: key("event"),
        competing: vec![],
        by: vec![],
        grid: vec![1.0, 2.0, 3.0, 4.0],
        at: vec![0.5],
        confidence: 0.95,
        band: Band::LogLog,
        least_intervals: None,
    }
}

type Bins<'a> = &'a [(u32, u64)];

/// Of who has no event, and of who has.
fn release(free: Bins<'_>, events: Bins<'_>, held_back: bool) -> LinesRelease {
    let line = |bins: Bins<'_>| {
        let bin = |(upto, n): &(u32, u64)| BinRelease { upto: *upto, count: Count { subjects: *n, rows: *n } };
        bins.iter().map(bin).collect()
    };
    LinesRelease { threshold: 11, lines: vec![line(&[(5, 0)]), line(free), line(events)], held_back, rounded: false }
}

fn group<'a>(releases: &'a [(SiteId, LinesRelease)], min_sites: u32) -> Group<'a> {
    let sites: Vec<SiteLines<'_>> = releases.iter().map(|(site, of)| (site, of)).collect();
    Group::new((vec![], false), &spec(), 0, &sites, min_sites)
}

fn sites(all: Vec<LinesRelease>) -> Vec<(SiteId, LinesRelease)> {
    all.into_iter().enumerate().map(|(i, of)| (bench::site(&format!("site-{i}")), of)).collect()
}

#[test]
fn a_number_is_exact_where_all_sites_keep_an_edge_and_between_those_elsewhere() {
    let all = sites(vec![
        release(&[(4, 20), (5, 30)], &[(1, 11), (2, 12), (5, 13)], false),
        release(&[(2, 15), (4, 15), (5, 40)], &[(2, 14), (3, 15), (5, 16)], false),
    ]);
    let group = group(&all, 2);
    let events = &group.events[0];
    assert_eq!(events.least, [81, 44, 44, 0, 0], "both keep the edge after two intervals");
    assert_eq!(events.most, [Some(81), Some(81), Some(44), Some(44), Some(0)]);
    assert_eq!((group.free.exact(0), group.free.exact(4)), (Some(120), Some(70)));
    assert_eq!((group.free.least[2], group.free.most[2]), (70, Some(120)));
    assert_eq!((group.unknown.least[0], group.unknown.most[0]), (0, Some(20)), "fewer than k at each");
}

#[test]
fn who_has_no_event_and_is_hidden_can_be_at_any_edge_and_is_no_edge_of_its_own() {
    let all = sites(vec![
        release(&[(4, 0), (5, 30)], &[(2, 12), (5, 13)], false),
        release(&[(2, 15), (4, 15), (5, 40)], &[(2, 14), (5, 16)], false),
    ]);
    let alone = group(&all, 1).free;
    assert_eq!((alone.least.clone(), alone.most[2]), (vec![100, 85, 85, 70, 70], Some(95)));
    let two = group(&all, 2).free;
    // Before the end one site alone shows bins: subtraction would tell them.
    assert_eq!(two.least, [70; 5]);
    assert_eq!(two.most, [Some(138), Some(138), Some(138), Some(138), Some(70)]);
}

#[test]
fn what_too_few_sites_show_is_a_power_of_two_and_a_site_without_events_is_not_counted() {
    let all = sites(vec![
        release(&[(5, 0)], &[(5, 13)], false),
        release(&[(2, 15), (5, 40)], &[(5, 16)], false),
        release(&[(5, 90)], &[(5, 0)], false),
    ]);
    let group = group(&all, 2);
    assert_eq!((group.counted.len(), group.silent.len(), group.silent[0].1), (2, 1, Uncounted::Few(11)));
    assert_eq!(group.events[0].exact(0), Some(29));
    assert_eq!((group.free.least[0], group.free.most[0]), (0, Some(64 + 10)), "55 at one site alone");
}

#[test]
fn what_is_held_back_has_no_bound() {
    let all = sites(vec![release(&[(5, 0)], &[(5, 13)], true), release(&[(5, 40)], &[(5, 16)], false)]);
    let group = group(&all, 1);
    assert_eq!((group.free.least[1], group.free.most[1]), (0, None));
    assert_eq!((group.free.least[0], group.free.most[0]), (40, None));
}

/// The counts of a line's cells under a gate that keeps these edges, if a bin has k; else it says 0.
fn line(cells: &[u64], keeps: &[bool], k: u64) -> Vec<BinRelease> {
    let mut bins = Vec::new();
    let (mut from, end) = (0, cells.len());
    for upto in 1..=end {
        let n: u64 = cells[from..upto].iter().sum();
        let rest: u64 = cells[upto..].iter().sum();
        if upto == end || (keeps[upto - 1] && n >= k && rest >= k) {
            let n = if n >= k { n } else { 0 };
            bins.push(BinRelease { upto: upto as u32, count: Count { subjects: n, rows: n } });
            from = upto;
        }
    }
    bins
}

proptest! {
    #[test]
    fn bounds_hold_all_counted_patients_at_every_edge_and_fall(
        of in prop::collection::vec((prop::collection::vec(0_u64..9, 5), prop::collection::vec(0_u64..9, 4),
                                     prop::collection::vec(any::<bool>(), 4)), 1..6),
        k in 2_u64..8,
        min_sites in 1_u32..4,
    ) {
        let releases = of.iter().map(|(free, events, keeps)| {
            let events: Vec<u64> = events.iter().copied().chain([0]).collect();
            let lines = vec![line(&[0; 5], keeps, k), line(free, keeps, k), line(&events, keeps, k)];
            LinesRelease { threshold: k as u32, lines, held_back: false, rounded: false }
        });
        let all = sites(releases.collect());
        let group = group(&all, min_sites);
        let counted: Vec<_> = all.iter().zip(&of).filter(|((site, _), _)| group.counted.contains(&site)).map(|(_, of)| of).collect();
        for edge in 0..5 {
            let left = |cells: &[u64]| cells.get(edge..).map_or(0, |rest| rest.iter().sum::<u64>());
            let free: u64 = counted.iter().map(|(free, ..)| left(free)).sum();
            let events: u64 = counted.iter().map(|(_, events, _)| left(events)).sum();
            for (line, truth) in [(&group.free, free), (&group.events[0], events)] {
                let holds = line.least[edge] <= truth && line.most[edge].is_none_or(|most| truth <= most);
                prop_assert!(holds, "{} at {}: {:?}", truth, edge, line);
                if edge > 0 {
                    prop_assert!(line.least[edge] <= line.least[edge - 1] && line.most[edge] <= line.most[edge - 1], "{:?}", line);
                }
            }
        }
    }
}
