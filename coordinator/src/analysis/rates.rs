//! The driver of rates: a table of time and events in, rates with exact intervals and their ratios to the first group's out.
//!
//! A rate is of sites that show both, the time and the events of a group: else the events of some would be divided by the time of others.

mod poisson;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{RatesSpec, TableSpec};
use bocage_protocol::plan::{MeasureLayout, TableLayout, ValidPlan};
use bocage_protocol::release::{CellRelease, MeasureRelease, TableRelease};

use self::poisson::{Seen, interval, ratio};
use super::pool::{Pool, PooledMeasure};
use super::same_sites::of_same_sites;
use super::table::{releases, shows_what_there_is};
use super::{Answer, Setting, SiteAnswer, block, notes, sorted};
use crate::api::types::{AnalysisResult, Block, Hidden, HiddenReason, Interval, Value};

/// The headings of an answer, after those of its keys.
const COLUMNS: [&str; 10] =
    ["count", "time", "events", "rate", "lower", "upper", "ratio", "ratio_lower", "ratio_upper", "p"];

/// All headings of an answer.
pub(super) fn columns(spec: &RatesSpec) -> Vec<String> {
    spec.by.iter().map(|key| key.label.as_str()).chain(COLUMNS).map(str::to_owned).collect()
}

/// The driver of rates.
#[derive(Debug)]
pub struct RatesDriver {
    setting: Setting,
    spec: RatesSpec,
    table: TableSpec,
    layout: TableLayout,
}

impl RatesDriver {
    pub(super) fn new(setting: Setting, spec: &RatesSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let (table, layout) = (spec.table(), plan.written().clone());
        shows_what_there_is(&setting.name, &table, &layout)?;
        Ok(Self { setting, spec: spec.clone(), table, layout })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let mut pool = Pool::new(&self.layout, 0, self.setting.one_row_per_subject);
        for answer in &answers {
            if let Answer::Table(release) = answer.answer {
                pool.add(&both(release));
            }
        }
        let mut notes = notes::of_table(&self.table, &answers, self.setting.min_sites);
        if !self.setting.one_row_per_subject {
            notes.push("a patient can have several rows: the intervals take their events as independent".to_owned());
        }
        let shown = block::publish(&self.table, &pool, self.setting.min_sites);
        let releases = releases(&answers);
        let block = self.rates(shown, &pool, &releases, &mut notes);
        self.setting.result(block, notes)
    }

    /// The table, its share of events as their number, and what follows from both.
    fn rates(&self, mut block: Block, pool: &Pool<'_>, releases: &[&TableRelease], notes: &mut Vec<String>) -> Block {
        let keys = self.spec.by.len();
        let mut first: Option<(usize, Seen)> = None;
        let rows = std::mem::take(&mut block.rows);
        for (row, mut values) in rows.into_iter().enumerate() {
            let seen = self.seen(&values, pool, row);
            match seen {
                Some(seen) => values[keys + 2] = Value::Count(seen.events),
                None => self.rounded_events(&mut block, &mut values, (row, keys + 2), pool),
            }
            let against = first.map(|(at, of)| (of, of_same_sites(releases, &[at, row])));
            if seen.is_some() && against.is_some_and(|(_, same)| !same) {
                let name = pool.labels(row).join(", ");
                notes.push(format!(
                    "{name} has no ratio: some sites show time and events of one of the two groups only"
                ));
            }
            let numbers = self.numbers(seen, against);
            let own = block.coverage_of(row, keys + 1).cloned();
            let both = own.as_ref().zip(first.and_then(|(at, _)| block.coverage_of(at, keys + 1)));
            let both = both.map(|(own, first)| own.and(first));
            first = first.or(seen.map(|seen| (row, seen)));
            for (column, (value, reason)) in numbers.into_iter().enumerate() {
                let value = match reason {
                    Some(reason) => block.value_or_hidden(row, keys + 3 + column, value, reason),
                    None => value.map_or(Value::Null, Value::Number),
                };
                values.push(value);
            }
            block.rows.push(values);
            block.cover(row, keys + 3..keys + 6, own.as_ref());
            block.cover(row, keys + 6..keys + COLUMNS.len(), both.as_ref());
        }
        Block { columns: columns(&self.spec), ..block }
    }

    /// Events and time of a row, where both are published.
    fn seen(&self, values: &[Value], pool: &Pool<'_>, row: usize) -> Option<Seen> {
        let keys = self.spec.by.len();
        let (Value::Number(time), Value::Number(_)) = (&values[keys + 1], &values[keys + 2]) else { return None };
        let events = self.events(pool, row).filter(|events| events.off() == 0)?;
        Some(Seen { events: events.holds, time: *time })
    }

    fn events<'p>(&self, pool: &'p Pool<'_>, row: usize) -> Option<&'p PooledMeasure> {
        let at = self.layout.measures().iter().position(|layout| *layout == MeasureLayout::Condition)?;
        Some(&pool.cells[row].measures[at])
    }

    /// Where the number of events lies, in place of their share, where sites round it.
    fn rounded_events(&self, block: &mut Block, values: &mut [Value], (row, column): (usize, usize), pool: &Pool<'_>) {
        let Some(events) = self.events(pool, row).filter(|_| matches!(values[column], Value::Number(_))) else {
            return;
        };
        let interval = Some(Interval(events.holds.saturating_sub(events.off()), Some(events.holds + events.off())));
        block.within.retain(|within| (within.row, within.column) != (row, column));
        block.hidden.push(Hidden { row, column, interval, reason: HiddenReason::Rounded });
        values[column] = Value::Null;
    }

    /// Rate, interval, ratio, its interval and p, each with the reason why it is not there; without one it does not exist. With the `first` group, and
    /// whether it is of the same sites.
    fn numbers(&self, seen: Option<Seen>, first: Option<(Seen, bool)>) -> Vec<(Option<f64>, Option<HiddenReason>)> {
        let (per, confidence) = (self.spec.per, self.spec.confidence);
        let Some(seen) = seen else { return vec![(None, Some(HiddenReason::NotAllExact)); 7] };
        if seen.time <= 0.0 {
            return vec![(None, Some(HiddenReason::TooFewValues)); 7];
        }
        let ends = interval(seen, confidence);
        let few = Some(HiddenReason::TooFewValues);
        let mut numbers = vec![
            (Some(seen.events as f64 / seen.time * per), few),
            (ends.map(|ends| ends.0 * per), few),
            (ends.map(|ends| ends.1 * per), few),
        ];
        let found = first.filter(|(_, same)| *same).and_then(|(first, _)| ratio(seen, first, confidence));
        // The first group has no ratio to itself.
        let reason = first.map(|(_, same)| if same { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact });
        numbers.extend([
            (found.map(|ratio| ratio.value), reason),
            (found.and_then(|ratio| ratio.lower), reason),
            (found.and_then(|ratio| ratio.upper), reason),
            (found.and_then(|ratio| ratio.p), reason),
        ]);
        numbers
    }
}

/// The release with neither time nor events of a cell where it does not show both.
fn both(release: &TableRelease) -> TableRelease {
    let cell = |cell: &CellRelease| match cell {
        CellRelease::Shown { count, measures } if measures.contains(&MeasureRelease::Hidden) => {
            CellRelease::Shown { count: *count, measures: vec![MeasureRelease::Hidden; measures.len()] }
        }
        other => other.clone(),
    };
    TableRelease { cells: release.cells.iter().map(cell).collect(), ..release.clone() }
}
