//! The driver of standardised rates: a rate for each group, where all of its strata are exact.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{Standard, StandardisedSpec};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::plan::{KeyLevels, ValidPlan};

use super::association::proportions::Share;
use super::association::rates::{direct, indirect};
use super::crosstab::{Published, counts, sum};
use super::estimates::independent;
use super::table::TableDriver;
use super::{Setting, SiteAnswer};
use crate::api::types::{AnalysisResult, Block, HiddenReason, NamedBlock, Value};

/// The driver of one analysis of rates.
#[derive(Debug)]
pub struct StandardisedDriver {
    table: TableDriver,
    spec: StandardisedSpec,
}

/// The counts of a stratum: without the event, and with it.
type Stratum = [Published; 2];

impl StandardisedDriver {
    pub(super) fn new(setting: Setting, spec: &StandardisedSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        independent(&setting)?;
        let name = setting.name.clone();
        let driver = Self { table: TableDriver::new(setting, spec.table(), plan)?, spec: spec.clone() };
        let (strata, numbers) = (driver.strata().len(), spec.standard.numbers().len());
        if strata != numbers {
            let message = format!("analysis `{name}`: {strata} strata, and {numbers} numbers for them");
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        Ok(driver)
    }

    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let mut result = self.table.publish(answers);
        let counts = counts(&result.block);
        let per = self.spec.per;
        let names = match &self.spec.standard {
            Standard::Population(_) => ["crude", "standardised", "from", "to"],
            Standard::Rates(_) => ["expected", "ratio", "from", "to"],
        };
        let label = self.spec.by.iter().map(|by| by.label.clone());
        let columns = label.chain(["patients", "events"].into_iter().chain(names).map(str::to_owned)).collect();
        let mut block = Block { columns, ..Block::default() };
        let mut short = false;
        let groups = match self.spec.by {
            Some(_) => known(&self.keys()[0]).iter().cloned().map(Some).collect(),
            None => vec![None],
        };
        for (row, label) in groups.into_iter().enumerate() {
            let strata = self.strata_of(&counts, label.as_ref().map(|_| row));
            let mut values: Vec<Value> = label.into_iter().map(Value::Text).collect();
            let patients = sum(strata.iter().flatten());
            let events = sum(strata.iter().map(|[_, with]| with));
            for count in [patients, events] {
                let value = block.published(row, values.len(), count);
                values.push(value);
            }
            let shares: Option<Vec<Share>> = strata.iter().map(share).collect();
            short |= shares.is_none();
            let reason = if shares.is_some() { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact };
            for number in self.numbers(shares.as_deref(), per) {
                let value = block.value_or_hidden(row, values.len(), number, reason);
                values.push(value);
            }
            block.rows.push(values);
        }
        if short {
            result.notes.push(
                "not every rate is given: it needs its strata exactly; wider strata have fewer hidden cells".into(),
            );
        }
        if self.keys().iter().any(|key| key.missing) {
            result.notes.push("rates leave out who has a missing value".into());
        }
        let strata = std::mem::replace(&mut result.block, block);
        result.also.push(NamedBlock { title: "strata".into(), block: strata });
        result
    }

    fn numbers(&self, shares: Option<&[Share]>, per: f64) -> [Option<f64>; 4] {
        let Some(shares) = shares else { return [None; 4] };
        let confidence = self.spec.confidence.share();
        match &self.spec.standard {
            Standard::Population(people) => {
                let (with, n) = shares.iter().fold((0, 0), |(with, n), share| (with + share.with, n + share.n));
                let crude = (n > 0).then(|| per * with as f64 / n as f64);
                let found = direct(shares, people, confidence);
                [crude, found.map(|f| f.value * per), found.map(|f| f.from * per), found.map(|f| f.to * per)]
            }
            Standard::Rates(rates) => match indirect(shares, rates, confidence) {
                Some((expected, ratio)) => [Some(expected), Some(ratio.value), Some(ratio.from), Some(ratio.to)],
                None => [None; 4],
            },
        }
    }

    fn keys(&self) -> Vec<KeyLevels> {
        self.table.layout().keys_at(0)
    }

    /// The positions of the strata among the combinations of all levels of `over`, missing ones left out.
    fn strata(&self) -> Vec<usize> {
        let keys = self.keys();
        let over = keys.iter().skip(usize::from(self.spec.by.is_some())).take(self.spec.over.len());
        over.fold(vec![0], |strata, key| {
            let next = |stratum: usize| (0..known(key).len()).map(move |level| stratum * key.labels.len() + level);
            strata.into_iter().flat_map(next).collect()
        })
    }

    /// The counts of a group's strata.
    fn strata_of(&self, counts: &[Published], group: Option<usize>) -> Vec<Stratum> {
        let keys = self.keys();
        let events = keys.last().map_or(1, |key| key.labels.len());
        let by = usize::from(self.spec.by.is_some());
        let all: usize = keys.iter().skip(by).take(self.spec.over.len()).map(|key| key.labels.len()).product();
        let none = Published { interval: None, hidden: Some(HiddenReason::TooFewSites) };
        let cell = |at: usize| counts.get(at).copied().unwrap_or(none);
        let stratum = |stratum: usize| {
            let at = (group.unwrap_or(0) * all + stratum) * events;
            [cell(at), cell(at + 1)]
        };
        self.strata().into_iter().map(stratum).collect()
    }
}

fn known(key: &KeyLevels) -> &[String] {
    &key.labels[..key.labels.len() - usize::from(key.missing)]
}

fn share([without, with]: &Stratum) -> Option<Share> {
    Some(Share::of(with.exact()?, without.exact()?))
}
