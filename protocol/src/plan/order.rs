//! In which order a plan lists things. In normal form that is one, whatever it was in the study: sites answer in that order, and whoever asked reads
//! the answer in the study's.
//!
//! The order stays where it means something: of a model's columns with an outcome, of lines and steps, and of keys whose ladder climbs one after the
//! other.

use std::borrow::Cow;

use super::normal::{contents, place};
use super::{Discovered, Explains, Plan, Statistic, TableLayout, ValidPlan};
use crate::ids::ColumnName;
use crate::release::{CellRelease, DiscoveredRelease, KeyRelease, Outcome, TableRelease};

/// Of what a plan lists, as it was written, which one it is in normal form. Empty where nothing has moved.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stands {
    /// Columns of a model.
    pub columns: Vec<usize>,
    /// Keys of a table.
    pub keys: Vec<usize>,
    /// Measures of a table.
    pub measures: Vec<usize>,
}

/// Puts into one order what has none that matters; `written` is the shape of the plan as it was written. Features are told by what they are.
pub(super) fn put(plan: &mut Plan, written: &TableLayout) -> Stands {
    let contents = contents(&plan.query.features);
    let name = |name: &ColumnName| contents.get(name).unwrap_or(name).clone();
    let mut stands = Stands::default();
    match &mut plan.statistic {
        Statistic::Model(model) if matches!(model.explains, Explains::Moments | Explains::Clusters(_)) => {
            let named = model.map(&|measure| measure.renamed(&name), &|key| key.renamed(&name));
            stands.columns = sort(&mut model.columns, named.columns.iter().map(place).collect());
        }
        Statistic::Model(model) => stands.columns = (0..model.columns.len()).collect(),
        Statistic::Table(table) | Statistic::Discovered(Discovered { table, .. }) => {
            table.roll_up &= written.steps() > 1;
            let measures = table.measures.iter().map(|of| place(&of.renamed(&name))).collect();
            stands.measures = sort(&mut table.measures, measures);
            let keys = table.by.iter().map(|key| place(&key.renamed(&name))).collect();
            stands.keys = match written.keys_may_move() {
                true => sort(&mut table.by, keys),
                false => (0..table.by.len()).collect(),
            };
        }
        Statistic::Bins(_) => {}
    }
    stands
}

/// Sorts a list by the place of each; answers of each as it was where it stands now.
fn sort<T: Clone>(list: &mut Vec<T>, places: Vec<Vec<u8>>) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..list.len()).collect();
    sorted.sort_by(|a, b| places[*a].cmp(&places[*b]));
    *list = sorted.iter().map(|at| list[*at].clone()).collect();
    let mut stands = vec![0; sorted.len()];
    sorted.iter().enumerate().for_each(|(now, written)| stands[*written] = now);
    stands
}

/// A list as it was written, each where it stands. One of which nothing is known to have moved stays.
fn put_at<T: Clone>(stands: &[usize], written: &[T]) -> Vec<T> {
    let mut at: Vec<(usize, &T)> =
        written.iter().enumerate().map(|(i, of)| (stands.get(i).copied().unwrap_or(i), of)).collect();
    at.sort_by_key(|(at, _)| *at);
    at.into_iter().map(|(_, of)| of.clone()).collect()
}

/// The shape of a table whose order in the study is another than in the plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    stands: Stands,
    layout: TableLayout,
}

impl Written {
    /// Nothing where the study has the plan's order.
    pub fn of(plan: &TableLayout, stands: &Stands) -> Option<Self> {
        let in_place = |of: &[usize]| of.iter().enumerate().all(|(at, stands)| at == *stands);
        let moved = !(in_place(&stands.keys) && in_place(&stands.measures));
        moved.then(|| Self { stands: stands.clone(), layout: plan.turned(&stands.keys, &stands.measures) })
    }

    fn table(&self, plan: &TableLayout, table: &TableRelease) -> TableRelease {
        let places = plan.places(&self.layout, &self.stands.keys, usize::from(table.step));
        TableRelease { cells: self.cells(&places, &table.cells), ..table.clone() }
    }

    fn found(&self, plan: &TableLayout, found: &DiscoveredRelease) -> DiscoveredRelease {
        let places = plan.places(&self.layout, &self.stands.keys, 0);
        let key = |of: &KeyRelease| KeyRelease { key: of.key.clone(), cells: self.cells(&places, &of.cells) };
        DiscoveredRelease { keys: found.keys.iter().map(key).collect(), ..found.clone() }
    }

    fn cells(&self, places: &[usize], cells: &[CellRelease]) -> Vec<CellRelease> {
        let cell = |of: &CellRelease| match of {
            CellRelease::Shown { count, measures } => {
                let measures = self.stands.measures.iter().filter_map(|at| measures.get(*at).cloned()).collect();
                CellRelease::Shown { count: *count, measures }
            }
            hidden @ CellRelease::FewerThanK => hidden.clone(),
        };
        places.iter().filter_map(|at| cells.get(*at)).map(cell).collect()
    }
}

impl ValidPlan {
    /// The shape of the table in the study's order of keys and measures, where [`ValidPlan::layout`] has that in which sites answer.
    pub fn written(&self) -> &TableLayout {
        self.written.as_ref().map_or(&self.layout, |written| &written.layout)
    }

    /// What is said of the table's keys in the study's order, in that of [`ValidPlan::layout`].
    pub fn of_keys<T: Clone>(&self, written: &[T]) -> Vec<T> {
        put_at(&self.stands.keys, written)
    }

    /// What a site let out, which fits the plan, in the study's order.
    pub fn as_written<'a>(&self, outcome: &'a Outcome) -> Cow<'a, Outcome> {
        match (&self.written, outcome) {
            (Some(written), Outcome::Table(table)) => Cow::Owned(Outcome::Table(written.table(&self.layout, table))),
            (Some(written), Outcome::Discovered(found)) => {
                Cow::Owned(Outcome::Discovered(written.found(&self.layout, found)))
            }
            _ => Cow::Borrowed(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{at_least, column, contract, cut, plan};
    use crate::plan::{Expr, Measure};
    use crate::release::{Count, MeasureRelease};
    use proptest::prelude::*;

    fn keys() -> Vec<Expr> {
        vec![column("stage"), cut("crp", &[5.0, 50.0]), column("icd")]
    }

    fn measures() -> Vec<Measure> {
        let name = |name: &str| name.parse().unwrap();
        vec![Measure::Column(name("crp")), Measure::Condition(at_least("stage", 3)), Measure::Column(name("age"))]
    }

    fn asked(by: Vec<Expr>, measures: Vec<Measure>, roll_up: bool) -> ValidPlan {
        let mut asked = plan(None, by, measures);
        if let Statistic::Table(table) = &mut asked.statistic {
            table.roll_up = roll_up;
        }
        ValidPlan::check(asked, &contract()).unwrap()
    }

    fn place_of(measure: &Measure) -> u64 {
        measures().iter().position(|known| known == measure).unwrap() as u64
    }

    /// A release whose cells say which of the plan's they are, and whose measures which of [`measures()`].
    fn telling(plan: &ValidPlan, step: usize) -> TableRelease {
        let cell = |at: usize| {
            let count = Count { subjects: at as u64, rows: at as u64 };
            let measure = |of: &Measure| match of {
                Measure::Condition(_) => MeasureRelease::Condition { valid: count, holds_rows: place_of(of) },
                _ => MeasureRelease::Number { valid: count, sum: place_of(of).into(), sum_sq: 0 },
            };
            CellRelease::Shown { count, measures: plan.table().measures.iter().map(measure).collect() }
        };
        let cells = (0..plan.layout().cells_at(step)).map(cell).collect();
        TableRelease { threshold: 5, step: step as u16, total: None, cells, held_back: false, rounded: false }
    }

    proptest! {
        #[test]
        fn a_table_in_any_order_is_one_question_and_its_answer_is_read_in_its_own_order(
            by in Just(keys()).prop_shuffle(),
            of in Just(measures()).prop_shuffle(),
            roll_up: bool,
        ) {
            let (plan, other) = (asked(by.clone(), of.clone(), roll_up), asked(keys(), measures(), roll_up));
            prop_assert_eq!((plan.digest(), plan.layout()), (other.digest(), other.layout()));
            let stands: Vec<usize> = by.iter().map(|key| plan.table().by.iter().position(|of| of == key).unwrap()).collect();
            for step in 0..plan.layout().steps() {
                let outcome = Outcome::Table(telling(&plan, step));
                let Outcome::Table(table) = plan.as_written(&outcome).into_owned() else { panic!("another outcome") };
                prop_assert_eq!(table.cells.len(), plan.written().cells_at(step));
                for (at, cell) in table.cells.iter().enumerate() {
                    let CellRelease::Shown { count, measures: shown } = cell else { panic!("hidden") };
                    let there = plan.layout().labels(step, count.subjects as usize);
                    prop_assert_eq!(&plan.of_keys(&by), &plan.table().by);
                    let labels: Vec<String> = stands.iter().map(|key| there[*key].clone()).collect();
                    prop_assert_eq!(labels, plan.written().labels(step, at));
                    let said = shown.iter().map(|measure| match measure {
                        MeasureRelease::Condition { holds_rows, .. } => *holds_rows,
                        MeasureRelease::Number { sum, .. } => *sum as u64,
                        MeasureRelease::Hidden => panic!("hidden"),
                    });
                    prop_assert_eq!(said.collect::<Vec<_>>(), of.iter().map(place_of).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn keys_whose_ladder_climbs_one_after_the_other_stay_where_they_are() {
        let age =
            Expr::Cut { of: Box::new(Expr::Column("age".parse().unwrap())), breaks: vec![20.0, 30.0, 40.0, 60.0] };
        let both = [age, column("icd")];
        let [one, other] = [both.to_vec(), both.iter().rev().cloned().collect()];
        let digests = |roll_up| [&one, &other].map(|by| asked(by.clone(), vec![], roll_up).digest());
        let [a, b] = digests(true);
        assert_ne!(a, b, "the last key climbs first");
        let [a, b] = digests(false);
        assert_eq!(a, b);
    }

    #[test]
    fn a_ladder_without_a_step_is_none() {
        let stage = || vec![column("stage")];
        assert_eq!(asked(stage(), vec![], true).digest(), asked(stage(), vec![], false).digest());
    }
}
