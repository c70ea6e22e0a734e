//! The gate's rules for hazards, beside those of any model ([`super::model`]): an event tells apart who is at risk at it, and late in a follow-up those
//! are few.
//!
//! 1. **Strata.** Of each that anybody is in, k patients have the event, or nobody; and so have k not.
//! 2. **Risk sets.** At k events or more, nobody who is at risk has more than 1/k of the weights at the step's coefficients.
//! 3. **Events.** Of each column's information no event gives more than 1/k: sums of which one risk set makes the most would be its own.
//!
//! The weights of rule 4 of models are the expected events of patients: the sums are, event for event, those of a Poisson model with them as weights
//! (Laird, Olivier 1981), less what the means of risk sets take off.

use super::leaving::CountedLeaving;
use super::model::{NEARER, TooFew};

/// What the engine has counted of risk sets at a step.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct CountedRisk {
    /// Patients who are at risk at an event. The others are in no sum.
    pub ever: u64,
    /// Of each stratum by declared keys that anybody is in: those with the event, and the others.
    pub strata: Vec<(u64, u64)>,
    /// Events, by the largest share that anybody has of the weights in their risk set.
    shares: Vec<(f64, u32)>,
    /// Of each column's information the sum over events and the most that one adds; then the same with each event's time squared.
    parts: Vec<(f64, f64)>,
    /// Where the latter begin.
    timed: Option<usize>,
    /// With one baseline for all sites nothing is summed over risk sets, but over those who leave.
    pub leaving: Option<CountedLeaving>,
}

impl CountedRisk {
    /// Of no events.
    pub fn new(width: usize, timed: bool) -> Self {
        let parts = vec![(0.0, 0.0); if timed { 2 * width } else { width }];
        Self { parts, timed: timed.then_some(width), ..Self::default() }
    }

    /// So many events of one time, among those who weigh so much together, and singly at most.
    pub fn event_among(&mut self, all: f64, most: f64, events: u32) {
        self.shares.push((most / all, events));
    }

    /// So many events, each of which adds this to a column's information, at a moment of the clock.
    pub fn part(&mut self, column: usize, information: f64, times: f64, clock: f64) {
        let mut add = |at: usize, x: f64| {
            let (sum, most) = &mut self.parts[at];
            (*sum, *most) = (*sum + times * x, most.max(x));
        };
        add(column, information);
        if let Some(width) = self.timed {
            add(width + column, clock * clock * information);
        }
    }
}

/// Checks the rules; says which does not hold. `name` is that of a column.
pub(super) fn check(risk: &CountedRisk, name: impl Fn(usize) -> String, k: u32) -> Result<(), TooFew> {
    if risk.leaving.is_some() {
        return Ok(());
    }
    if !are_empty_or_enough(risk, k) {
        let why = "a stratum has too few patients with the event, or too few without";
        return Err(TooFew::because(why).or("ask for fewer strata, or group their levels"));
    }
    let shared = risk.shares.iter().filter(|(share, _)| share * f64::from(k) <= 1.0);
    let shared: u64 = shared.map(|(_, events)| u64::from(*events)).sum();
    if shared < u64::from(k) {
        let why = "too few events come while enough patients are at risk and none of them outweighs the others";
        return Err(TooFew::because(why));
    }
    let width = risk.timed.unwrap_or(risk.parts.len());
    match risk.parts.iter().position(|(sum, most)| most * f64::from(k) > *sum) {
        Some(at) => Err(TooFew::because(format!("one event says too much of `{}`", name(at % width))).or(NEARER)),
        None => Ok(()),
    }
}

/// Whether in each stratum nobody or k have the event, and nobody or k have not.
pub(super) fn are_empty_or_enough(risk: &CountedRisk, k: u32) -> bool {
    let mut counts = risk.strata.iter().flat_map(|(events, others)| [*events, *others]);
    counts.all(|n| n == 0 || n >= u64::from(k))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u32 = 3;

    /// Risk sets of twenty, each with one event that says as much as the others.
    fn even(events: u32) -> CountedRisk {
        let mut risk = CountedRisk::new(1, true);
        for _ in 0..events {
            risk.event_among(20.0, 1.0, 1);
            risk.part(0, 0.25, 1.0, 0.5);
        }
        risk
    }

    fn why(risk: &CountedRisk) -> String {
        check(risk, |_| "age".to_owned(), K).err().map(|few| few.why().to_owned()).unwrap_or_default()
    }

    #[test]
    fn even_risk_sets_pass() {
        assert_eq!(why(&even(10)), "");
    }

    #[test]
    fn a_stratum_has_nobody_or_k_with_the_event_and_without() {
        for (strata, passes) in [((3, 3), true), ((0, 3), true), ((3, 0), true), ((2, 9), false), ((9, 1), false)] {
            let mut risk = even(10);
            risk.strata = vec![(5, 5), strata];
            assert_eq!(why(&risk).is_empty(), passes, "{strata:?}");
        }
    }

    #[test]
    fn k_events_have_a_risk_set_that_nobody_outweighs() {
        let mut risk = even(2);
        // Half of the weights are one patient's.
        risk.event_among(2.0, 1.0, 5);
        risk.part(0, 0.25, 5.0, 0.5);
        assert!(why(&risk).starts_with("too few events come while enough"), "{}", why(&risk));
        risk.event_among(3.0, 1.0, 1);
        assert_eq!(why(&risk), "");
    }

    #[test]
    fn no_event_says_most_of_a_column() {
        let mut risk = even(4);
        risk.part(0, 0.5, 1.0, 0.5);
        assert_eq!(why(&risk), "");
        risk.part(0, 1.0, 1.0, 0.5);
        assert_eq!(why(&risk), "one event says too much of `age`");
        let mut late = even(4);
        late.part(0, 0.25, 1.0, 1.0);
        assert_eq!(why(&late), "one event says too much of `age`", "along the clock, which counts late ones more");
    }
}
