//! The same plan over the patients who have moved since it was answered before: part by part, and as each of the answers has them, with or without
//! their rows in other tables. For the gate, which hides by it and never shows it.
//!
//! Where a model has risk sets, who of them is at risk follows from the events of all who were or are in an answer, not from their own.
//!
//! Whom opt-outs of another table touch is seen by the features: who has the same ones in two answers has not moved between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bocage_protocol::plan::{ModelLayout, ValidPlan};
use polars::prelude::ChunkCompareEq as _;

use super::features::{Columns, Features, Ground, Table, Tables};
use super::model::{Designs, Events, Whom};
use super::parts::{PART_ROWS, Partition};
use super::pass::PassError;
use super::{Asked, EngineError, Fault};
use crate::custodian::gate::{self, Moved, Private};
use crate::custodian::optout::{Lacking, MovedPart};

/// Leaves out every row.
static EVERYBODY: Range<usize> = 0..usize::MAX;

/// A plan over the patients who have moved since it was answered before.
///
/// # Errors
/// See [`EngineError`].
pub fn moved(
    ground: &Ground<'_>,
    (features, designs): (&mut Features, &Designs),
    parts: &[MovedPart],
    plan: &ValidPlan,
    k: u32,
) -> Result<Private<Moved>, EngineError> {
    let mut known = BTreeMap::new();
    for lacking in parts.iter().flat_map(|part| part.had.iter().flatten()) {
        if !known.contains_key(lacking) {
            known.insert(lacking, columns(ground, lacking, plan)?);
        }
    }
    let over = Over { ground, known, plan, k, events: None };
    let over = Over { events: over.events((features, designs), parts)?, ..over };
    let mut moved = Vec::new();
    for part in parts {
        let had: Vec<&Lacking> = part.had.iter().flatten().collect();
        let inside = |lacking: &Lacking| part.had.first().and_then(Option::as_ref) == Some(lacking);
        let add = |numbers: &[u32], lacking: &Lacking, twin: Option<usize>| {
            let stays = twin.is_some() && !plan.cells_read_features();
            Ok(gate::MovedPart { inside: inside(lacking), twin, stays, counted: over.compute(numbers, lacking)? })
        };
        if part.had.contains(&None) {
            for lacking in &had {
                moved.push(add(&part.numbers, lacking, None)?);
            }
        }
        for (i, one) in had.iter().enumerate() {
            for other in &had[i + 1..] {
                let numbers = over.changed(&part.numbers, one, other)?;
                if !numbers.is_empty() {
                    let twin = Some(moved.len());
                    moved.push(add(&numbers, one, twin)?);
                    moved.push(add(&numbers, other, twin)?);
                }
            }
        }
    }
    Ok(Private::new(Moved(moved)))
}

/// A plan's features as they are for those who lack their rows in these tables, and no others.
fn columns(ground: &Ground<'_>, lacking: &Lacking, plan: &ValidPlan) -> Result<Columns, EngineError> {
    if plan.features().is_empty() {
        return Ok(Columns::default());
    }
    let snapshot = ground.base.manifest().content;
    let shape = || EngineError::Rows { snapshot, cause: PassError::Shape };
    let mut tables = Tables::of(ground).ok_or_else(shape)?;
    tables.base = ground.base.rows_outside(&[]).ok_or_else(shape)?;
    for (id, joined) in &ground.related {
        let out: &[Range<usize>] = if lacking.contains(id) { std::slice::from_ref(&EVERYBODY) } else { &[] };
        let rows = joined.offered.rows_outside(out).ok_or_else(shape)?;
        tables.related.entry(id).and_modify(|table| *table = Table { rows, ..*table });
    }
    Features::default().columns(plan, &tables, Partition::of(0))
}

/// What is counted.
struct Over<'a> {
    ground: &'a Ground<'a>,
    known: BTreeMap<&'a Lacking, Columns>,
    plan: &'a ValidPlan,
    k: u32,
    /// When events come, of whoever was or is in an answer: by them it is known who of those who have moved is at risk. None where no plan asks it.
    events: Option<Events>,
}

impl Over<'_> {
    fn shape(&self) -> EngineError {
        Fault::from(PassError::Shape).of(self.ground.base.manifest().content)
    }

    /// The plan over the rows that are in none of these gaps.
    fn asked<'s>(&'s self, gaps: &'s [Range<usize>], lacking: &Lacking) -> Result<Asked<'s>, EngineError> {
        let (plan, k, base) = (self.plan, self.k, self.ground.base);
        let rows = base.rows_outside(gaps).ok_or_else(|| self.shape())?;
        let features = self.known.get(lacking).ok_or_else(|| self.shape())?;
        let contract = plan.contract(self.ground.contract);
        let folds = self.ground.folds.as_deref();
        Ok(Asked { rows, plan, contract, features, folds, k, snapshot: base.manifest().content })
    }

    fn events(
        &self,
        (features, designs): (&mut Features, &Designs),
        parts: &[MovedPart],
    ) -> Result<Option<Events>, EngineError> {
        let own = |layout: &ModelLayout| layout.risk.as_ref().is_some_and(|risk| risk.shared.is_none());
        if parts.is_empty() || !self.plan.model().is_some_and(|(_, layout)| own(layout)) {
            return Ok(None);
        }
        let offered = |asked: Asked<'_>| asked.events(Whom::Offered(designs));
        let mut events = super::of_offered(self.ground, features, self.plan, self.k, offered)?;
        let moved: BTreeSet<u32> = parts.iter().flat_map(|part| part.numbers.iter().copied()).collect();
        let gaps = self.ground.base.all_but(&moved.into_iter().collect::<Vec<_>>());
        for lacking in self.known.keys() {
            events.extend(self.asked(&gaps, lacking)?.events(Whom::Moved(None))?);
        }
        Ok(Some(events.into_iter().collect()))
    }

    fn compute(&self, numbers: &[u32], lacking: &Lacking) -> Result<gate::Computed, EngineError> {
        // A key that one of them has matters to the gate.
        self.asked(&self.ground.base.all_but(numbers), lacking)?.compute(1, Whom::Moved(self.events.as_ref()))
    }

    /// Those of these patients of whom the plan reads another feature in one answer than in the other.
    fn changed(&self, numbers: &[u32], one: &Lacking, other: &Lacking) -> Result<Vec<u32>, EngineError> {
        let gaps = self.ground.base.all_but(numbers);
        let (one, other) = (self.asked(&gaps, one)?, self.asked(&gaps, other)?);
        let mut changed = BTreeSet::new();
        for part in one.rows.parts(PART_ROWS) {
            let read = |of: &Asked<'_>| of.part(&part).map_err(|cause| of.error(cause.into()));
            let (before, after, subjects) = (read(&one)?, read(&other)?, one.rows.subjects(&part));
            for feature in self.plan.features() {
                let name = feature.name.as_str();
                let (Ok(before), Ok(after)) = (before.column(name), after.column(name)) else { continue };
                let differ = before.not_equal_missing(after).map_err(|_| self.shape())?;
                let rows = differ.iter().zip(subjects.iter()).filter(|(differs, _)| *differs != Some(false));
                changed.extend(rows.map(|(_, subject)| *subject));
            }
        }
        Ok(changed.into_iter().collect())
    }
}
