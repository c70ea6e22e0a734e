//! Curves against patients one by one, and bounds against every curve that they allow.

use proptest::prelude::*;

use super::*;

/// Exactly so many are left at each edge.
fn exact(left: &[u64]) -> Line {
    Line { least: left.to_vec(), most: left.iter().copied().map(Some).collect() }
}

/// Who has an event, and who is gone without one, in each interval; and who is left at the end.
fn lines(intervals: &[(u64, u64)], reached: u64) -> (Line, Line) {
    let left = |of: fn(&(u64, u64)) -> u64, end: u64| -> Vec<u64> {
        let sum = |at: usize| intervals[at..].iter().map(of).sum::<u64>() + end;
        (0..=intervals.len()).map(sum).collect()
    };
    (exact(&left(|interval| interval.0, 0)), exact(&left(|interval| interval.1, reached)))
}

/// The product over the intervals, as the textbook has it.
fn plain(intervals: &[(u64, u64)], reached: u64) -> Vec<f64> {
    let mut at_risk = intervals.iter().map(|(d, c)| d + c).sum::<u64>() + reached;
    let mut s = 1.0;
    let after = |(d, c): &(u64, u64)| {
        if at_risk > 0 {
            s *= 1.0 - *d as f64 / at_risk as f64;
        }
        at_risk -= d + c;
        s
    };
    intervals.iter().map(after).collect()
}

#[test]
fn the_curve_of_a_textbook_has_its_numbers() {
    // Freireich 1963, 6-MP: of 21, 3 have an event and 1 is censored in week 6, 1 event in week 7, …; S = 0.857, 0.807, SE = 0.0764, 0.0869.
    let (events, others) = lines(&[(3, 1), (1, 0), (0, 1), (1, 1)], 13);
    let curve = Curve::new(&events, &others);
    let s: Vec<f64> = curve.survival.iter().map(|s| s.unwrap()).collect();
    for (edge, (wanted, se)) in [(1, (0.857, 0.0764)), (2, (0.807, 0.0869)), (4, (0.753, 0.0963))] {
        assert!((s[edge] - wanted).abs() < 5e-4, "{} at {edge}", s[edge]);
        assert!((s[edge] * curve.variance[edge].sqrt() - se).abs() < 1e-4, "at {edge}");
    }
    assert_eq!((curve.least.clone(), curve.most.clone()), (s.clone(), s), "nothing is hidden");
}

#[test]
fn intervals_are_those_of_the_textbook_and_none_beyond_the_last_patient() {
    let (events, others) = lines(&[(3, 1), (17, 0)], 0);
    let curve = Curve::new(&events, &others);
    let (lower, upper) = curve.interval(1, 1.959_963_984_540_054, Band::LogLog).unwrap();
    // survival 3.5 (R): 0.6197 … 0.9516.
    assert!((lower - 0.6197).abs() < 5e-5 && (upper - 0.9516).abs() < 5e-5, "{lower} {upper}");
    let (lower, upper) = curve.interval(1, 1.959_963_984_540_054, Band::Plain).unwrap();
    assert!((lower - 0.7075).abs() < 5e-5 && upper == 1.0, "{lower} {upper}");
    assert_eq!(curve.interval(2, 1.96, Band::LogLog), None, "S is 0");
    assert_eq!(curve.interval(0, 1.96, Band::LogLog), Some((1.0, 1.0)));
}

#[test]
fn a_median_is_the_first_time_at_which_half_have_had_an_event() {
    let (events, others) = lines(&[(1, 0), (1, 0), (1, 0), (1, 0)], 0);
    let curve = Curve::new(&events, &others);
    assert_eq!(curve.quantile(0.5), (Some(2), Some(2)));
    assert_eq!(curve.quantile(0.6), (Some(3), Some(3)));
    let (events, others) = lines(&[(1, 0), (1, 0)], 8);
    assert_eq!(Curve::new(&events, &others).quantile(0.5), (None, None), "not within the grid");
}

#[test]
fn a_restricted_mean_is_the_area_under_the_curve() {
    let (events, others) = lines(&[(1, 0), (1, 0)], 2);
    let mean = Curve::new(&events, &others).restricted_mean(&[0.0, 10.0, 30.0]);
    let (value, se) = mean.value.unwrap();
    assert_eq!(value, 0.75 * 10.0 + 0.5 * 20.0);
    // A = 17.5 and 10: 17.5² · 1 / (4 · 3) + 10² · 1 / (3 · 2).
    assert!((se * se - (17.5 * 17.5 / 12.0 + 100.0 / 6.0)).abs() < 1e-9);
    assert_eq!((mean.least, mean.most), (17.5, 10.0 + 0.75 * 20.0), "events at the end of their intervals");
    let (events, others) = lines(&[(2, 0), (2, 0)], 0);
    let mean = Curve::new(&events, &others).restricted_mean(&[0.0, 10.0, 30.0]);
    assert!(mean.value.unwrap().1.is_finite(), "with nobody left");
}

#[test]
fn with_nobody_at_all_nothing_happens() {
    let (events, others) = lines(&[(0, 0), (0, 0)], 0);
    let curve = Curve::new(&events, &others);
    assert_eq!((curve.survival, curve.least, curve.most), (vec![Some(1.0); 3], vec![1.0; 3], vec![1.0; 3]));
}

/// A line of which only some edges are told, and as many as `silent` others may be at any edge but the last.
fn told(line: &Line, keeps: &[bool], silent: Option<u64>) -> Line {
    let last = line.least.len() - 1;
    let known = |edge: &usize| *edge == 0 || *edge == last || keeps[*edge];
    let least = (0..=last).map(|edge| line.least[(edge..=last).find(known).unwrap()]);
    let most = (0..=last).map(|edge| {
        let known = line.least[(0..=edge).rev().find(known).unwrap()];
        if edge == last { Some(known) } else { silent.map(|silent| known + silent) }
    });
    Line { least: least.collect(), most: most.collect() }
}

proptest! {
    #[test]
    fn bounds_hold_the_curve_and_its_interval_whatever_is_not_told(
        intervals in prop::collection::vec((0_u64..6, 0_u64..6), 1..9),
        reached in 0_u64..6,
        keeps in prop::collection::vec(any::<[bool; 2]>(), 10),
        silent in prop::option::weighted(0.8, 0_u64..4),
        more in 0_u64..4,
        log_log in any::<bool>(),
    ) {
        let (events, others) = lines(&intervals, reached);
        let of = |side: usize| keeps.iter().map(|keeps| keeps[side]).collect::<Vec<_>>();
        // Of the others so many more are not told, who leave when they like: here after the last interval.
        let more = silent.map_or(more, |most| more.min(most));
        let truth = Curve::new(&events, &exact(&others.least.iter().map(|n| n + more).collect::<Vec<_>>()));
        let mut wide = told(&others, &of(1), silent);
        let last = intervals.len();
        wide.most[last] = silent.map(|silent| others.least[last] + silent);
        let curve = Curve::new(&told(&events, &of(0), Some(0)), &wide);
        let band = if log_log { Band::LogLog } else { Band::Plain };
        let wanted = plain(&intervals, reached + more);
        for edge in 0..=last {
            let s = truth.survival[edge].unwrap();
            if edge > 0 {
                prop_assert!((s - wanted[edge - 1]).abs() < 1e-12, "{} is not {}", s, wanted[edge - 1]);
            }
            let (least, most) = (curve.least[edge], curve.most[edge]);
            prop_assert!(least - 1e-12 <= s && s <= most + 1e-12, "{} is not in [{}, {}]", s, least, most);
            if let Some(banded) = curve.survival[edge] {
                prop_assert!(least - 1e-12 <= banded && banded <= most + 1e-12, "{} in [{}, {}]", banded, least, most);
            }
            let (inner, outer) = (truth.interval(edge, 1.96, band), curve.interval(edge, 1.96, band));
            if let (Some(inner), Some(outer)) = (inner, outer) {
                prop_assert!(outer.0 <= inner.0 + 1e-9 && inner.1 <= outer.1 + 1e-9, "{:?} in {:?}", inner, outer);
            }
        }
        let (truth, bounds) = (truth.quantile(0.5), curve.quantile(0.5));
        let or_never = |edge: Option<usize>| edge.unwrap_or(usize::MAX);
        prop_assert!(or_never(bounds.0) <= or_never(truth.0) && or_never(truth.1) <= or_never(bounds.1));
    }
}
