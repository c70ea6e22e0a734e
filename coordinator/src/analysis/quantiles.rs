//! The driver of quantiles: bins of all sites in, an interval a quantile out that holds the quantile of the pooled rows, and an estimate in it.
//!
//! Every site merged the cells of the contract's public grid into bins of k or more patients. What they leave open is the interval; it
//! must never be narrower than that, and never empty.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::QuantilesSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::plan::{Grid, ValidPlan};

use super::binned::Binned;
use super::cumulative::Place;
use super::pool::plus;
use super::{Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block, Coverage, HiddenReason, Interval, NamedBlock, Value};
use crate::report::short_number;

/// The headings of an answer.
pub(super) const COLUMNS: [&str; 4] = ["at", "value", "from", "to"];
/// The headings of the block that says how many values stand behind it.
pub(super) const VALUES: [&str; 2] = ["valid", "missing"];

/// An interval that takes a greater part of the column's range says little of where the quantile is.
const WIDE: f64 = 0.05;
/// A range that few measurements of people fill: `study check` warns of it. The cells of its grid are ten units wide and more.
const WIDE_RANGE: f64 = 10_000.0;
/// What to do about either.
const NARROWER: &str =
    "say where its numbers lie, by plausible(COLUMN, LEAST, GREATEST), or ask for a histogram with edges of your own";

/// The driver of the quantiles of one column.
#[derive(Debug)]
pub struct QuantilesDriver {
    setting: Setting,
    spec: QuantilesSpec,
    grid: Grid,
    can_be_missing: bool,
}

impl QuantilesDriver {
    pub(super) fn new(setting: Setting, spec: &QuantilesSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let grid = *plan.grid().ok_or_else(|| {
            PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: its plan has no grid", setting.name))
        })?;
        let can_be_missing = plan.layout().keys_at(0).iter().any(|key| key.missing);
        Ok(Self { setting, spec: spec.clone(), grid, can_be_missing })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let binned = Binned::new(&answers);
        let mut notes = notes::of_bins(&answers, &binned, self.setting.min_sites);
        for (site, release) in &binned.silent {
            let (of, k) = (&self.spec.of, release.threshold);
            if !release.held_back {
                notes.push(format!("{site} has fewer than {k} patients with `{of}`: they can lie anywhere"));
            }
        }
        let block = self.block(&binned);
        notes.extend(self.too_wide(&block));
        let mut result = self.setting.result(block, notes);
        result.also = vec![NamedBlock { title: "patients".to_owned(), block: self.values(&binned) }];
        result
    }

    fn block(&self, binned: &Binned<'_>) -> Block {
        let sum = binned.sum(self.grid.cells());
        let enough = binned.shown.len() >= self.setting.min_sites as usize;
        let reason = if enough { HiddenReason::TooFewValues } else { HiddenReason::TooFewSites };
        let mut block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
        for (row, p) in self.spec.at.iter().enumerate() {
            let place = sum.quantile(*p).filter(|_| enough);
            let numbers = place.map(|place| self.numbers(&place));
            let mut values = vec![Value::Text(p.to_string())];
            for column in 0..3 {
                values.push(block.value_or_hidden(row, column + 1, numbers.map(|n| n[column]), reason));
            }
            if place.is_some() {
                let (n, off) = (sum.shown(), sum.off());
                block.coverage.push(Coverage { row, column: 1, n, of: self.of(binned), off });
            }
            block.rows.push(values);
        }
        block
    }

    /// The quantiles whose intervals say little, from what is published alone.
    fn too_wide(&self, block: &Block) -> Option<String> {
        let range = self.grid.upper(self.grid.cells() - 1) - self.grid.lower(0);
        let wide = |row: &&Vec<Value>| match (&row[2], &row[3]) {
            (Value::Number(from), Value::Number(to)) => to - from > WIDE * range,
            _ => false,
        };
        let at: Vec<String> = block.rows.iter().filter(wide).map(|row| label(row)).collect();
        (!at.is_empty()).then(|| {
            format!(
                "of `{}`, {} can lie within more than {} % of the contract's range: it is far wider than the values, or there are few \
                 patients; {NARROWER}",
                self.spec.of,
                at.join(", "),
                WIDE * 100.0
            )
        })
    }

    /// Estimate, lower and upper bound.
    fn numbers(&self, place: &Place) -> [f64; 3] {
        let (from, to) = (self.grid.lower(place.from), self.grid.upper(place.to - 1));
        let (low, high) = (self.grid.lower(place.cell), self.grid.upper(place.cell));
        [(low + place.beyond * (high - low)).clamp(from, to), from, to]
    }

    /// How many patients the sites that answered have in all.
    fn of(&self, binned: &Binned<'_>) -> Interval {
        let (valid, mut missing) = (binned.valid(), binned.missing(self.can_be_missing));
        if missing.sites < self.setting.min_sites {
            // Too few show it: as an upper bound only, rounded.
            let few = if missing.exact > 0 { missing.exact.next_power_of_two() } else { 0 };
            missing.silent = plus(missing.silent, Some(few));
            missing.exact = 0;
        }
        let shown = valid.exact + missing.exact;
        Interval(shown, plus(Some(shown), plus(valid.silent, missing.silent)))
    }

    fn values(&self, binned: &Binned<'_>) -> Block {
        let mut block = Block { columns: VALUES.map(str::to_owned).to_vec(), ..Block::default() };
        let cohort = binned.cohort(self.can_be_missing, self.setting.min_sites);
        let parts = [binned.valid(), binned.missing(self.can_be_missing)];
        let values = parts
            .iter()
            .enumerate()
            .map(|(column, parts)| (column, parts.interval(self.setting.min_sites), parts.inexact()))
            .map(|(column, found, inexact)| block.count_or_hidden((0, column), found, inexact, cohort));
        let values = values.collect();
        block.rows.push(values);
        block
    }
}

/// What is to be known of quantiles over `grid` before anybody is asked.
pub(crate) fn warning(spec: &QuantilesSpec, grid: &Grid) -> Option<String> {
    let (lo, hi, cell) = (grid.lower(0), grid.upper(grid.cells() - 1), grid.upper(0) - grid.lower(0));
    (hi - lo > WIDE_RANGE).then(|| {
        format!(
            "quantiles of `{}` are told apart in steps of {} only, since its range in the contract is {lo} to {hi}: where most values lie within a \
             few steps, the answer is an interval as wide as the range\n  hint: {NARROWER}",
            spec.of,
            short_number(cell),
        )
    })
}

fn label(row: &[Value]) -> String {
    match row.first() {
        Some(Value::Text(at)) => at.clone(),
        _ => String::new(),
    }
}
