//! The complete cases of a snapshot, as columns of a design; where a plan asks for folds, those of each by themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bocage_protocol::plan::{Feature, Model, ModelLayout};
use polars::prelude::{DataFrame, UInt32Chunked};

use super::at_risk::{AtRisk, Events, Times, apart, end, is_ever};
use super::clusters::Answered;
use super::described::Columns;
use super::facts::Facts;
use super::lacking::Lacking;
use super::selected::{Selected, product};
use crate::custodian::engine::parts::PartCount;
use crate::custodian::engine::pass::PassError;
use crate::custodian::folds::Folds;
use crate::custodian::gate::CountedModel;

/// The complete cases, part by part.
pub struct Design {
    /// Of hazards they are all in `risk`.
    pub(super) parts: Vec<Cases>,
    pub(super) risk: Option<AtRisk>,
    pub(super) facts: Facts,
    /// Of hazards with one baseline, who leaves when and how: by stratum, declared interval, and without and with the event.
    pub(super) leaving: Option<Arc<Vec<CountedModel>>>,
    /// Where patients are told apart by their fold, what is known of the cases of each.
    pub(super) of_folds: Vec<Facts>,
    /// Which clusters of these cases were answered; none: that is not known yet.
    pub(super) answered: Mutex<Option<Answered>>,
    /// What is known of columns without an outcome, once it was asked.
    pub(super) columns: OnceLock<Columns>,
    /// Of such columns, who is no complete case since they lack what the study chose.
    pub(super) lacking: Option<Lacking>,
}

/// The complete cases of one part.
pub struct Cases {
    /// How many.
    pub rows: usize,
    /// The scaled columns, one after the other; last one of ones, where sites have intercepts of their own.
    pub x: Vec<f64>,
    /// The outcome, as the family takes it.
    pub y: Vec<f64>,
    /// What is added to the linear predictor; empty where nothing is.
    pub offset: Vec<f64>,
    /// What each counts with; empty where each counts once.
    pub weight: Vec<f64>,
    /// Of hazards, when each is at risk.
    pub times: Times,
    /// Whose cases they are, where patients are told apart by their fold.
    pub fold: usize,
}

impl Cases {
    /// A scaled column.
    pub fn column(&self, j: usize) -> &[f64] {
        &self.x[j * self.rows..(j + 1) * self.rows]
    }
}

impl Design {
    fn of(parts: Vec<Cases>, risk: Option<AtRisk>, facts: Facts) -> Self {
        let (answered, columns) = Default::default();
        Self { parts, risk, facts, leaving: None, of_folds: Vec::new(), answered, columns, lacking: None }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let values = |cases: &Cases| cases.x.len() + cases.y.len() + cases.offset.len() + cases.weight.len();
        let at_risk = self.risk.as_ref().map_or(0, AtRisk::bytes);
        let leaving = self.leaving.iter().flat_map(|slots| slots.iter()).map(CountedModel::bytes).sum::<usize>();
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = answered.as_ref().map_or(0, Answered::memory);
        self.parts.iter().map(values).sum::<usize>() * size_of::<f64>() + at_risk + leaving + answered
    }
}

/// What a thread has made of its parts.
pub struct Making<'a> {
    layout: &'a ModelLayout,
    by_site: bool,
    /// With the first subject of each.
    parts: Vec<(u32, Cases)>,
    /// Of hazards, what is known of each part's cases until it is known who is at risk at an event.
    known: Vec<(u32, Known)>,
    facts: Facts,
    /// Those of each fold, where patients are told apart by theirs.
    of_folds: Vec<Facts>,
    folds: Option<&'a Folds>,
    /// When events come; none: it follows from these cases.
    events: Option<&'a Events>,
    lacking: Option<Lacking>,
    k: u32,
    span: Option<(u32, u32)>,
}

impl<'a> Making<'a> {
    /// Nothing yet, for a gate with the threshold `k`.
    pub fn new(model: &Model, layout: &'a ModelLayout, k: u32) -> Self {
        Self {
            layout,
            by_site: model.by_site,
            parts: Vec::new(),
            known: Vec::new(),
            facts: Facts::new(layout, k),
            of_folds: Vec::new(),
            folds: None,
            events: None,
            lacking: None,
            k,
            span: None,
        }
    }

    /// The same, which looks at how the predictions among these features are shared, and without an outcome at who lacks one of them.
    pub fn looking_at(mut self, features: &[Feature]) -> Self {
        self.facts.look_at_predictions(self.layout, features);
        self.lacking = self.layout.described.map(|_| Lacking::new(self.layout, features));
        self
    }

    /// The same, of cases that are at risk among others with these events.
    pub fn among(mut self, events: Option<&'a Events>) -> Self {
        self.events = events;
        self
    }

    /// The same, which tells so many of these folds apart.
    pub fn in_folds(mut self, count: u8, folds: Option<&'a Folds>) -> Self {
        self.of_folds = vec![self.facts.clone(); usize::from(count)];
        self.folds = folds;
        self
    }

    /// Adds the selected rows of a part: subjects, the measures as numbers, the keys' levels.
    pub fn add(&mut self, selected: &DataFrame) -> Result<(), PassError> {
        let Selected { subjects, mut numbers, levels } = Selected::of(selected, &self.layout.inputs)?;
        if let (Some(slots), Some(event)) = (&self.layout.risk, self.layout.outcome) {
            end(slots, event, &mut numbers);
        }
        let known = |row: &usize| {
            let within =
                |(i, column): (usize, &Vec<u32>)| (column[*row] as usize) < self.layout.inputs.keys[i].1.labels.len();
            numbers.iter().all(|column| column[*row].is_finite())
                && levels.iter().enumerate().all(within)
                && self.layout.risk.as_ref().is_none_or(|slots| is_ever(slots, *row, &numbers))
        };
        let mut rows: Vec<usize> = (0..subjects.len()).filter(known).collect();
        if let Some(lacking) = &mut self.lacking {
            lacking.add(self.layout, subjects.len(), &numbers, &levels);
        }
        if subjects.null_count() > 0 {
            return Err(PassError::OutsideTable);
        }
        let several = self.layout.risk.as_ref().filter(|slots| slots.several);
        let whose: Vec<u32> = several.map(|_| subjects.iter().flatten().collect()).unwrap_or_default();
        if let Some(slots) = several {
            rows = apart(slots, rows, &numbers, &whose);
        }
        // Of nobody, Polars' `first` panics.
        if !subjects.is_empty()
            && let (Some(first), Some(last)) = (subjects.first(), subjects.last())
        {
            self.span = Some((first, last));
        }
        let first = self.span.map_or(0, |span| span.0);
        if self.layout.risk.is_none() {
            let selected = (numbers.as_slice(), levels.as_slice());
            for (fold, rows) in self.by_fold(&subjects, rows)?.into_iter().enumerate() {
                self.facts.add(self.layout, &rows, &numbers, &levels);
                if let Some(facts) = self.of_folds.get_mut(fold) {
                    facts.add(self.layout, &rows, &numbers, &levels);
                }
                self.parts.push((first, Cases { fold, ..self.cases(&rows, selected) }));
            }
            return Ok(());
        }
        let times = self.layout.risk.as_ref();
        let times =
            times.map(|slots| Times::of(slots, self.layout, &rows, &numbers, &levels, &whose)).unwrap_or_default();
        self.parts.push((first, Cases { times, ..self.cases(&rows, (&numbers, &levels)) }));
        self.known.push((first, Known { rows, numbers, levels }));
        Ok(())
    }

    /// The rows of each fold; all of them, where no folds are told apart.
    fn by_fold(&self, subjects: &UInt32Chunked, rows: Vec<usize>) -> Result<Vec<Vec<usize>>, PassError> {
        let Ok(count @ 1..) = u8::try_from(self.of_folds.len()) else { return Ok(vec![rows]) };
        let folds = self.folds.ok_or(PassError::Shape)?;
        let mut of_folds = vec![Vec::new(); usize::from(count)];
        for row in rows {
            let fold = subjects.get(row).and_then(|subject| folds.of(subject, count));
            of_folds[fold.ok_or(PassError::Shape)?].push(row);
        }
        Ok(of_folds)
    }

    /// These rows as cases that are never at risk.
    fn cases(&self, rows: &[usize], (numbers, levels): (&[Vec<f64>], &[Vec<u32>])) -> Cases {
        let pick = |input: usize| rows.iter().map(|row| numbers[input][*row]).collect::<Vec<f64>>();
        let mut x = Vec::with_capacity(rows.len() * (self.layout.columns.len() + 1));
        for slots in &self.layout.columns {
            x.extend(rows.iter().map(|row| product(slots, *row, numbers, levels)));
        }
        if self.by_site {
            x.extend(std::iter::repeat_n(1.0, rows.len()));
        }
        let scale = self.layout.outcome_scale;
        let y = self.layout.outcome.map(pick).unwrap_or_default().into_iter().map(|y| scale.apply(y)).collect();
        // It is in the outcome's unit.
        let mut offset = self.layout.offset.map(pick).unwrap_or_default();
        offset.iter_mut().for_each(|offset| *offset /= scale.half);
        let weight = self.layout.weight.map(pick).unwrap_or_default();
        Cases { rows: rows.len(), x, y, offset, weight, times: Times::default(), fold: 0 }
    }

    /// The design.
    pub fn finish(mut self) -> Design {
        self.parts.sort_by_key(|(first, cases)| (*first, cases.fold));
        let mut parts: Vec<Cases> = std::mem::take(&mut self.parts).into_iter().map(|(_, cases)| cases).collect();
        if self.layout.risk.is_none() {
            let Self { facts, of_folds, lacking, .. } = self;
            return Design { of_folds, lacking, ..Design::of(parts, None, facts) };
        }
        self.known.sort_by_key(|(first, _)| *first);
        if let Some(shared) = self.layout.risk.as_ref().and_then(|risk| risk.shared.as_ref()) {
            let intervals = shared.grid.ends.len();
            let slots = shared.strata * intervals;
            let leaving = self.leaving(&parts, slots, intervals, shared.late);
            let risk = Some(AtRisk::of(&parts, self.layout.columns.len(), false));
            return Design { leaving: Some(Arc::new(leaving)), ..Design::of(Vec::new(), risk, self.facts) };
        }
        let own = self.events.is_none().then(|| Events::of(&parts));
        let concerns = |cases: &Cases, case: &usize| {
            self.events.or(own.as_ref()).is_some_and(|events| events.concern(cases, *case))
        };
        for ((_, known), cases) in self.known.iter().zip(&parts) {
            let concerned = (0..cases.rows).filter(|case| concerns(cases, case)).collect();
            let rows: Vec<usize> = cases.times.last(concerned).into_iter().map(|case| known.rows[case]).collect();
            self.facts.add(self.layout, &rows, &known.numbers, &known.levels);
        }
        let risk = Some(AtRisk::of(&parts, self.layout.columns.len(), true));
        parts.clear();
        Design::of(parts, risk, self.facts)
    }

    /// Facts of all, and of who leaves in each of these slots, without and with the event; then of who comes in each, where some come late.
    fn leaving(&mut self, parts: &[Cases], slots: usize, intervals: usize, late: bool) -> Vec<CountedModel> {
        let nobody = self.facts.of_columns(self.layout, self.k);
        let mut cells: Vec<Facts> = vec![nobody; if late { 3 * slots } else { 2 * slots }];
        for ((_, known), cases) in self.known.iter().zip(parts) {
            self.facts.add(self.layout, &known.rows, &known.numbers, &known.levels);
            let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (case, row) in known.rows.iter().enumerate() {
                let cell = 2 * cases.times.slot(case, intervals) + usize::from(cases.y[case] > 0.5);
                let entry = cases.times.entry(case, intervals).map(|entry| 2 * slots + entry);
                for cell in [Some(cell), entry].into_iter().flatten() {
                    rows.entry(cell).or_default().push(*row);
                }
            }
            for (cell, rows) in rows {
                cells[cell].add(self.layout, &rows, &known.numbers, &known.levels);
            }
        }
        cells.into_iter().map(Facts::told).collect()
    }
}

/// The complete cases among selected rows.
struct Known {
    rows: Vec<usize>,
    numbers: Vec<Vec<f64>>,
    levels: Vec<Vec<u32>>,
}

impl PartCount for Making<'_> {
    fn end_part(&mut self) -> Option<(u32, u32)> {
        self.span.take()
    }

    fn absorb(&mut self, other: Self) -> Result<(), PassError> {
        self.parts.extend(other.parts);
        self.known.extend(other.known);
        self.facts.absorb(&other.facts);
        if let (Some(own), Some(other)) = (&mut self.lacking, &other.lacking) {
            own.absorb(other);
        }
        self.of_folds.iter_mut().zip(&other.of_folds).for_each(|(own, other)| own.absorb(other));
        Ok(())
    }
}
