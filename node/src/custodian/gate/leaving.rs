//! The gate's rules for hazards with one baseline along a declared grid, beside those of any model ([`super::model`]). A step's sums are of groups: of
//! those who leave in one interval of a stratum by the event, and of those who leave then otherwise; and where some come late, of those who come in it. They are all that two risk sets which follow each
//! other differ by, so each group must be one of which a model's sums could leave by themselves:
//!
//! 1. **Intervals.** k patients and as many as a model needs, k on both sides of all that columns tell apart, pairs of it and numbers as in any
//!    model, predictions that single nobody out. Neighbouring intervals are merged until both groups of each have that: their ends are tried in a public order, the middle of
//!    the grid, then the middles of both halves, and so on. Nobody is as little as few: else who left an interval by what a researcher calls an
//!    event would be told apart by whether its end stays.
//! 2. **Steps** are along ends that all stay by the first rule, some of them or each: so two steps differ by whole intervals of those. Ends that would
//!    do by themselves but were not tried first are refused, or the difference of two steps could be an interval in which few leave.
//! 3. **Weights.** No patient has more than a third of a group's weights at the step's coefficients.
//! 4. **Opt-outs.** Of whoever has come or gone since earlier answers, nobody is in a group, or as many on each side of what columns tell apart.
//!
//! It must never tell of an end that goes which group was too small.

use std::collections::VecDeque;
use std::sync::Arc;

use bocage_protocol::plan::{ModelLayout, SharedGrid};

use super::columns::{sides, spreads};
use super::model::{CountedModel, NEARER, TooFew, are_enough};
use super::moved::is_settled;
use super::{Rules, Weights, Withheld};
use crate::custodian::controls::Control;

/// So many patients must share a group's weights.
const SHARES: f64 = 3.0;

/// What the engine has counted of those who leave.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct CountedLeaving {
    /// What is told apart of them: by stratum, declared interval, and without and with the event; then the same of those who come in it, where some come late.
    pub cells: Arc<Vec<CountedModel>>,
    /// Of each group of the step the sum of weights, and the largest; none where it is asked which ends can stay.
    pub weights: Vec<(f64, f64)>,
}

/// Says which ends can stay, where that is asked; else checks the groups of a step.
pub(super) fn exact(
    counted: &mut CountedModel,
    moved: &[&CountedModel],
    layout: &ModelLayout,
    rules: Rules,
) -> Result<(), Withheld> {
    let Some(shared) = layout.risk.as_ref().and_then(|risk| risk.shared.as_ref()) else { return Ok(()) };
    let leaving = counted.risk.as_ref().and_then(|risk| risk.leaving.as_ref()).ok_or(Withheld::Inconsistent)?;
    let enforced = rules.controls.enforces(Control::ModelIntervals) && rules.threshold > 1;
    let groups = Groups { leaving, moved, layout, shared, rules, enforced };
    let kinds = if shared.late { 3 } else { 2 };
    if leaving.cells.len() != kinds * shared.strata * groups.intervals() {
        return Err(Withheld::Inconsistent);
    }
    match &shared.grid.stay {
        None => counted.sums = groups.ends()?,
        Some(stay) => groups.check(stay)?,
    }
    Ok(())
}

/// Of whom a group is.
#[derive(Debug, Clone, Copy)]
enum Group {
    /// They leave without the event.
    Otherwise,
    /// They leave by it.
    Event,
    /// They come.
    Enter,
}

struct Groups<'a> {
    leaving: &'a CountedLeaving,
    moved: &'a [&'a CountedModel],
    layout: &'a ModelLayout,
    shared: &'a SharedGrid,
    rules: Rules,
    enforced: bool,
}

impl Groups<'_> {
    fn intervals(&self) -> usize {
        self.shared.grid.ends.len()
    }

    /// Of each declared end 1 if it can stay, else 0.
    fn ends(&self) -> Result<Vec<f64>, Withheld> {
        let all = self.intervals();
        if !self.stands(0, all) {
            return Err(few());
        }
        let mut edges = vec![0, all];
        let mut halves = VecDeque::from([(0, all)]);
        while let Some((from, to)) = halves.pop_front() {
            if to - from > 1 {
                let middle = from.midpoint(to);
                let above = edges.partition_point(|known| *known < middle);
                if self.stands(edges[above - 1], middle) && self.stands(middle, edges[above]) {
                    edges.insert(above, middle);
                }
                halves.extend([(from, middle), (middle, to)]);
            }
        }
        Ok((1..=all).map(|end| f64::from(u8::from(edges.contains(&end)))).collect())
    }

    fn check(&self, stay: &[u32]) -> Result<(), Withheld> {
        let kept = self.ends()?;
        if !stay.iter().all(|end| kept.get(*end as usize) == Some(&1.0)) {
            return Err(few());
        }
        let edges: Vec<usize> = std::iter::once(0).chain(stay.iter().map(|end| *end as usize + 1)).collect();
        if !edges.windows(2).all(|w| self.stands(w[0], w[1])) {
            return Err(few());
        }
        let shared = |(all, most): &(f64, f64)| most * SHARES <= *all;
        match self.enforced && !self.leaving.weights.iter().all(shared) {
            true => {
                let why = "a patient weighs too much among those who leave in an interval";
                Err(Withheld::Model(TooFew::because(why).or(NEARER)))
            }
            false => Ok(()),
        }
    }

    /// Whether those who leave between these declared intervals may be told, in every stratum by the event and otherwise.
    fn stands(&self, from: usize, to: usize) -> bool {
        // Who comes in the first interval is there from the beginning, and from the last entry on nobody comes: both are known of everybody.
        let comes =
            |begin: usize| self.shared.grid.ends.get(begin).is_some_and(|end| *end < self.shared.grid.last_entry());
        let enters = self.shared.late && from.checked_sub(1).is_some_and(comes);
        let kinds = [Some(Group::Otherwise), Some(Group::Event), enters.then_some(Group::Enter)];
        let mut groups =
            (0..self.shared.strata).flat_map(|stratum| kinds.into_iter().flatten().map(move |kind| (stratum, kind)));
        !self.enforced || groups.all(|(stratum, kind)| self.may_be_told(stratum, kind, from, to))
    }

    /// Where a group's cell of a declared interval is.
    fn place(&self, stratum: usize, kind: Group, interval: usize) -> usize {
        let slot = stratum * self.intervals() + interval;
        match kind {
            Group::Otherwise => 2 * slot,
            Group::Event => 2 * slot + 1,
            Group::Enter => 2 * self.shared.strata * self.intervals() + slot,
        }
    }

    fn may_be_told(&self, stratum: usize, kind: Group, from: usize, to: usize) -> bool {
        let (k, parameters) = (self.rules.threshold, self.layout.columns.len() as u64);
        let place = |interval: usize| self.place(stratum, kind, interval);
        let group = |of: &CountedLeaving| union((from..to).filter_map(|interval| of.cells.get(place(interval))), k);
        let even = |group: &CountedModel| group.predictions.iter().all(|(_, shares)| shares.are_even(k));
        let n =
            (from..to).filter_map(|interval| self.leaving.cells.get(place(interval))).map(|cell| cell.n).sum::<u64>();
        if n < u64::from(k) || !are_enough(n, parameters) {
            return false;
        }
        let stands = |group: CountedModel| {
            even(&group) && sides(&group, self.layout, self.rules).next().is_none() && spreads(&group).next().is_none()
        };
        let settled = |group: CountedModel| is_settled(&group, self.layout, self.rules);
        let mut parts = self.moved.iter().filter_map(|part| part.risk.as_ref()?.leaving.as_ref());
        group(self.leaving).is_some_and(stands) && parts.all(|part| group(part).is_some_and(settled))
    }
}

fn few() -> Withheld {
    let why = "too few patients leave or come in an interval, by the event or otherwise, or too alike ones";
    Withheld::Model(TooFew::because(why).or("ask for wider intervals"))
}

/// What is told apart of all these patients.
fn union<'a>(mut cells: impl Iterator<Item = &'a CountedModel>, k: u32) -> Option<CountedModel> {
    let first = cells.next()?;
    let mut all = CountedModel {
        n: first.n,
        sides: first.sides.clone(),
        ones: first.ones.clone(),
        both: first.both.clone(),
        spreads: first.spreads.clone(),
        predictions: first.predictions.clone(),
        sums: Vec::new(),
        weights: Weights::default(),
        risk: None,
        described: None,
        folds: Vec::new(),
    };
    for cell in cells {
        let add = |own: &mut [u64], other: &[u64]| own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        all.n += cell.n;
        add(&mut all.ones, &cell.ones);
        add(&mut all.both, &cell.both);
        all.predictions.iter_mut().zip(&cell.predictions).for_each(|((_, own), (_, other))| own.absorb(other));
        for ((_, own), (_, other)) in all.spreads.iter_mut().zip(&cell.spreads) {
            own.iter_mut().zip(other).for_each(|(own, other)| own.absorb(other, k));
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use bocage_protocol::contract::parse;
    use bocage_protocol::plan::{
        Explains, Expr, Factor, Hazard, Measure, Model, Plan, Position, Statistic, Ties, TimeGrid, ValidPlan,
    };

    use super::super::cox::CountedRisk;
    use super::*;
    use crate::custodian::controls::Controls;

    const K: u32 = 3;

    fn plan(intervals: u32, stay: Option<Vec<u32>>) -> ValidPlan {
        let text = "id = \"demo@1\"\nsubject = \"row\"\n[[column]]\nname = \"t\"\ntype = \"int\"\nrange = [0, 99]\n\
                    [[column]]\nname = \"x\"\ntype = \"int\"\nrange = [0, 99]\n[[column]]\nname = \"ill\"\ntype = \"bool\"\n";
        let contract = parse(text, "demo.toml").unwrap();
        let column = |name: &str| Measure::Column(name.parse().unwrap());
        let hazard = Hazard {
            time: column("t"),
            start: None,
            event: Expr::Column("ill".parse().unwrap()),
            offset: None,
            ties: Ties::Efron,
            strata: Vec::new(),
            grid: Some(TimeGrid { ends: (1..=intervals).map(f64::from).collect(), stay, enter_until: None }),
            robust: false,
            proportionality: None,
        };
        let model = Model {
            explains: Explains::Hazard(Box::new(hazard)),
            columns: vec![vec![Factor::Number(column("x"))]],
            by_site: false,
            at: Position::of_hazards(1),
            folds: None,
        };
        ValidPlan::check(Plan { query: contract.rows(None), statistic: Statistic::Model(model) }, &contract).unwrap()
    }

    /// So many patients who are all different.
    fn cell(n: u64, from: i64) -> CountedModel {
        let mut spread = super::super::Spread::new(K);
        (0..n).for_each(|x| spread.add(from + x as i64, 1, K));
        let (sums, weights) = (Vec::new(), Weights::default());
        CountedModel {
            n,
            sides: vec![],
            ones: vec![],
            both: vec![],
            spreads: vec![(1, vec![spread])],
            sums,
            weights,
            risk: None,
            predictions: vec![],
            described: None,
            folds: Vec::new(),
        }
    }

    /// Of each interval how many leave without and with the event.
    fn counted(leaving: &[(u64, u64)], weights: Vec<(f64, f64)>) -> CountedModel {
        let begun = (0..).step_by(20);
        let cells = leaving.iter().zip(begun);
        let cells = cells.flat_map(|((others, events), from)| [cell(*others, from), cell(*events, from)]).collect();
        let mut risk = CountedRisk::default();
        risk.leaving = Some(CountedLeaving { cells: Arc::new(cells), weights });
        CountedModel { risk: Some(risk), ..cell(leaving.iter().map(|(others, events)| others + events).sum(), 0) }
    }

    fn ends(leaving: &[(u64, u64)], moved: &[&[(u64, u64)]]) -> Result<Vec<f64>, Withheld> {
        let plan = plan(leaving.len() as u32, None);
        let moved: Vec<CountedModel> = moved.iter().map(|part| counted(part, vec![])).collect();
        let mut counted = counted(leaving, vec![]);
        let rules = Rules { threshold: K, joint: K, controls: Controls::default() };
        exact(&mut counted, &moved.iter().collect::<Vec<_>>(), plan.model().unwrap().1, rules).map(|()| counted.sums)
    }

    /// As a model with one column needs.
    const ENOUGH: u64 = 11;

    #[test]
    fn ends_stay_where_enough_leave_on_both_sides_in_both_ways() {
        let all = (ENOUGH, ENOUGH);
        assert_eq!(ends(&[all; 4], &[]), Ok(vec![1.0; 4]));
        assert_eq!(ends(&[all, all, all, (ENOUGH, ENOUGH - 1)], &[]), Ok(vec![1.0, 1.0, 0.0, 1.0]));
        assert_eq!(ends(&[all, all, (ENOUGH - 1, ENOUGH), all], &[]), Ok(vec![1.0, 1.0, 0.0, 1.0]));
        assert_eq!(ends(&[(6, 6), (6, 6), (6, 6), (6, 6)], &[]), Ok(vec![0.0, 1.0, 0.0, 1.0]));
        assert!(ends(&[(ENOUGH, ENOUGH - 1)], &[]).is_err());
    }

    #[test]
    fn nobody_is_not_told_from_few() {
        let all = (ENOUGH, ENOUGH);
        for few in [(0, 0), (ENOUGH, 0), (0, ENOUGH), (ENOUGH, 1), (1, ENOUGH), (2, 2)] {
            assert_eq!(ends(&[all, few], &[]), Ok(vec![0.0, 1.0]), "{few:?}");
        }
    }

    #[test]
    fn who_has_come_or_gone_is_nobody_or_k_in_each_group() {
        let all = (ENOUGH, ENOUGH);
        assert_eq!(ends(&[all, all], &[&[(0, 9), (9, 0)]]), Ok(vec![1.0, 1.0]));
        assert_eq!(ends(&[all, all], &[&[(0, 7), (0, 2)]]), Ok(vec![0.0, 1.0]), "nine in both together");
        assert!(ends(&[all, all], &[&[(0, 2), (9, 0)]]).is_err());
        assert!(ends(&[all, all], &[&[(0, 7), (9, 0)]]).is_err(), "k, and too alike ones");
    }

    #[test]
    fn a_step_is_along_ends_that_may_stay_and_no_patient_outweighs_a_group() {
        let step = |stay: &[u32], weights: Vec<(f64, f64)>| {
            let plan = plan(2, Some(stay.to_vec()));
            let mut counted = counted(&[(6, ENOUGH), (6, ENOUGH)], weights);
            let rules = Rules { threshold: K, joint: K, controls: Controls::default() };
            exact(&mut counted, &[], plan.model().unwrap().1, rules)
        };
        assert_eq!(step(&[1], vec![(12.0, 1.0), (30.0, 10.0)]), Ok(()));
        assert!(step(&[1], vec![(12.0, 1.0), (30.0, 10.1)]).is_err());
        assert!(step(&[0, 1], vec![(12.0, 1.0); 4]).is_err());
    }

    #[test]
    fn two_steps_never_differ_by_an_interval_that_could_not_stay() {
        let leaving = [(6, 6); 6];
        assert_eq!(ends(&leaving, &[]), Ok(vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0]));
        let step = |stay: &[u32]| {
            let plan = plan(6, Some(stay.to_vec()));
            let rules = Rules { threshold: K, joint: K, controls: Controls::default() };
            exact(&mut counted(&leaving, vec![]), &[], plan.model().unwrap().1, rules)
        };
        assert_eq!((step(&[2, 5]), step(&[5])), (Ok(()), Ok(())));
        // Enough leave on both sides of it, and few between it and the end that stays.
        assert!(step(&[1, 5]).is_err() && step(&[3, 5]).is_err());
    }
}
