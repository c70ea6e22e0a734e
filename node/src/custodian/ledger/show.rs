//! Records as a person reads them: what a release's bytes say, cell by cell, with the labels of the study and its contract.
//!
//! It decodes and never judges: [`super::Ledger::verify`] says whether a record can be believed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bocage_protocol::analysis::{Ends, RoundState, plan_of};
use bocage_protocol::contract::Contract;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::limits;
use bocage_protocol::plan::{Contracts, MeasureLayout, ValidPlan};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, Outcome, Part, Release, TableRelease};
use bocage_protocol::trust::{SignedRelease, SignedStudy, Study};
use bocage_protocol::wire::codec;
use serde::Serialize;

use super::account::{Said, moment};
use super::bodies;
use super::record::{Kind, Record};
use super::{Ledger, LedgerError};

mod bins;
mod discovered;
mod lines;
mod model;

/// A record with everything in it readable.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// 1, 2, 3, …
    pub seq: i64,
    /// When it was written.
    pub at: String,
    /// A [`Kind`].
    pub kind: String,
    /// The study's id.
    pub study: Option<String>,
    /// The round.
    pub round: Option<i64>,
    /// As it was written, but for moments: the record has milliseconds, and here are RFC 3339 texts.
    pub body: serde_json::Value,
    /// What left, of a release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// What it says in a sentence, of a word of a person or of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The snapshot as the researcher knows it, of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<PublicSnapshot>,
    /// What the published result calls the release, of a release: who has both can see that it went into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Digest>,
    /// When its exact bytes were dropped, so that nothing but the record is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// The record's hash.
    pub hash: String,
}

/// How a release names the snapshot that it was computed on.
#[derive(Debug, Clone, Serialize)]
pub struct PublicSnapshot {
    /// Its public name: nobody can tell its content from it.
    pub name: Digest,
    /// When it was taken.
    pub at: String,
}

/// What left of one analysis.
#[derive(Debug, Clone, Serialize)]
pub struct Left {
    /// The analysis' name, or its position where the study is not in the ledger.
    pub analysis: String,
    /// The rows that it was about, where it was not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// No count below it left.
    pub threshold: Option<u32>,
    /// Whether what is hidden may be of any size: fewer than k of its patients had changed since an earlier answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held_back: bool,
    /// Whether counts were rounded to multiples of five, and sums are of so many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rounded: bool,
    /// The whole cohort, where it left.
    pub total: Option<ShownCount>,
    /// Every cell.
    pub cells: Vec<ShownCell>,
    /// Why nothing left.
    pub refused: Option<String>,
}

impl Left {
    /// What is said of a hidden cell.
    pub fn hidden(&self) -> String {
        match self.held_back {
            true => "held back".to_owned(),
            false => format!("fewer than {}", self.threshold.unwrap_or_default()),
        }
    }
}

/// Subjects and rows.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ShownCount {
    /// Distinct patients.
    pub subjects: u64,
    /// Rows.
    pub rows: u64,
}

impl From<Count> for ShownCount {
    fn from(count: Count) -> Self {
        Self { subjects: count.subjects, rows: count.rows }
    }
}

/// One cell.
#[derive(Debug, Clone, Serialize)]
pub struct ShownCell {
    /// What it is about: key and label, or its position.
    pub cell: Vec<String>,
    /// How many; absent where they are hidden.
    pub count: Option<ShownCount>,
    /// Its measures.
    pub measures: Vec<ShownMeasure>,
}

/// One measure of a cell.
#[derive(Debug, Clone, Serialize)]
pub struct ShownMeasure {
    /// What was summed.
    pub measure: String,
    /// Rows and subjects with a value; absent where they are hidden.
    pub valid: Option<ShownCount>,
    /// Rows for which a condition holds.
    pub holds_rows: Option<u64>,
    /// The sum, in the column's unit.
    pub sum: Option<f64>,
    /// The exact integers that left: the sum of the quanta.
    pub sum_quanta: Option<String>,
    /// And of their squares.
    pub sum_sq_quanta: Option<String>,
}

/// Makes records readable. It remembers the studies that it has seen, so records are shown in their order.
pub struct Reader<'a> {
    contracts: &'a BTreeMap<ContractId, Arc<Contract>>,
    studies: HashMap<String, Study>,
    /// Where rounds of each said that its fits ended.
    ends: HashMap<String, Ends>,
    dropped: BTreeMap<i64, Timestamp>,
}

impl<'a> Reader<'a> {
    /// A reader that labels cells with these contracts.
    pub fn new(contracts: &'a BTreeMap<ContractId, Arc<Contract>>) -> Self {
        Self { contracts, studies: HashMap::new(), ends: HashMap::new(), dropped: BTreeMap::new() }
    }

    /// A reader that also knows which bytes this ledger has dropped.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn over(ledger: &Ledger, contracts: &'a BTreeMap<ContractId, Arc<Contract>>) -> Result<Self, LedgerError> {
        Ok(Self { dropped: ledger.dropped_at()?, ..Self::new(contracts) })
    }

    /// Forgets the studies that it has seen.
    pub fn forget(&mut self) {
        self.studies.clear();
        self.ends.clear();
    }

    /// The next record.
    pub fn show(&mut self, record: Record) -> Shown {
        let release = match record.kind() {
            // A study that waits stands in full in its own record, before any request is allowed.
            Some(Kind::Request | Kind::Pending) => {
                self.remember(&record);
                None
            }
            Some(Kind::Release) => record.payload.as_ref().and_then(|bytes| decode(bytes)),
            _ => None,
        };
        let (receipt, release) = release.unzip();
        let left = release.as_ref().map(|release| self.left(&record, release)).unwrap_or_default();
        let named = |release: Release| PublicSnapshot { name: release.snapshot, at: release.snapshot_at.to_string() };
        let (snapshot, says) = (release.map(named), Said::of(&record).map(|said| said.to_string()));
        let Record { seq, at, kind, study, round, body, hash, .. } = record;
        let mut body = serde_json::from_str(&body).unwrap_or(serde_json::Value::String(body));
        tell_moments(&mut body);
        let dropped = self.dropped.get(&seq).map(ToString::to_string);
        Shown { seq, at: at.to_string(), kind, study, round, body, left, says, snapshot, receipt, dropped, hash }
    }

    fn remember(&mut self, record: &Record) {
        let envelope = record.payload.as_deref().and_then(|p| serde_json::from_slice::<SignedStudy>(p).ok());
        let study = envelope.and_then(|e| serde_json::from_str(&e.study).ok());
        if let Some((id, study)) = record.study.clone().zip(study) {
            self.studies.insert(id, study);
        }
        let asked = record.body::<bodies::Request>().map(|asked| asked.steps).unwrap_or_default();
        let ends = Ends::of(asked.iter().map(|step| (step.analysis, &step.state)));
        if let Some(id) = record.study.clone().filter(|_| ends != Ends::default()) {
            self.ends.insert(id, ends);
        }
    }

    fn left(&self, record: &Record, release: &Release) -> Vec<Left> {
        let study = record.study.as_ref().and_then(|id| self.studies.get(id));
        let ends = record.study.as_ref().and_then(|id| self.ends.get(id)).cloned().unwrap_or_default();
        release.parts.iter().map(|part| self.part(part, release.round, study, &ends)).collect()
    }

    fn part(&self, part: &Part, round: u16, study: Option<&Study>, ends: &Ends) -> Left {
        let spec = study.and_then(|s| s.analyses.get(usize::from(part.analysis)));
        let analysis = spec.map_or_else(|| format!("analysis {}", part.analysis), |a| a.name.to_string());
        let plan = self.plan(part, round, study, ends);
        let find = |id: &ContractId| self.contracts.get(id).map(AsRef::as_ref);
        let base = study.and_then(|study| find(&study.dataset));
        let explained =
            plan.as_ref().zip(base).map(|(plan, base)| plan.explain(Contracts::of(base, plan.related(), find), None));
        let filter = explained.and_then(|explained| explained.keeps);
        let none = Left {
            analysis,
            filter,
            threshold: None,
            held_back: false,
            rounded: false,
            total: None,
            cells: Vec::new(),
            refused: None,
        };
        match &part.outcome {
            Outcome::Refused(error) => Left { refused: Some(error.to_string()), ..none },
            Outcome::Table(table) => {
                let keys: Vec<String> = spec
                    .and_then(|a| a.spec.table())
                    .map_or_else(Vec::new, |table| table.by.into_iter().map(|k| k.label).collect());
                let (total, cells) = (table.total.map(Into::into), cells(table, plan.as_ref(), &keys));
                Left {
                    threshold: Some(table.threshold),
                    held_back: table.held_back,
                    rounded: table.rounded,
                    total,
                    cells,
                    ..none
                }
            }
            Outcome::Discovered(release) => {
                let cells = discovered::cells(release, spec.map(|a| &a.spec), plan.as_ref());
                Left {
                    threshold: Some(release.threshold),
                    held_back: release.held_back,
                    rounded: release.rounded,
                    cells,
                    ..none
                }
            }
            Outcome::Model(release) => {
                let cells =
                    vec![model::cell(release, spec.map(|a| &a.spec), self.stands(part, study).as_deref(), round)];
                Left { threshold: Some(release.threshold), cells, ..none }
            }
            Outcome::Lines(release) => {
                let cells = lines::cells(release, spec.map(|a| &a.spec), plan.as_ref());
                Left {
                    threshold: Some(release.threshold),
                    held_back: release.held_back,
                    rounded: release.rounded,
                    cells,
                    ..none
                }
            }
            Outcome::Bins(release) => {
                let label = bins::labels(spec.map(|a| &a.spec), plan.as_ref().and_then(ValidPlan::grid));
                let cells = bins::cells(release, &label);
                Left {
                    threshold: Some(release.threshold),
                    held_back: release.held_back,
                    rounded: release.rounded,
                    cells,
                    ..none
                }
            }
        }
    }

    /// The plan that a part answers. Another contract of the same name would label other cells: then positions are all that is certain.
    fn plan(&self, part: &Part, round: u16, study: Option<&Study>, ends: &Ends) -> Option<ValidPlan> {
        let study = study?;
        let plan = plan_of(study, part.analysis, round, &RoundState::First, ends).ok()?;
        let find = |id: &ContractId| self.contracts.get(id).map(AsRef::as_ref);
        let plan = ValidPlan::check(plan, Contracts::of(find(&study.dataset)?, &study.related, find)).ok()?;
        (plan.digest() == part.plan && part.outcome.fits(&plan)).then_some(plan)
    }

    /// Where the columns of a model without an outcome stand, in each of its rounds.
    fn stands(&self, part: &Part, study: Option<&Study>) -> Option<Vec<usize>> {
        let study = study?;
        let plan = plan_of(study, part.analysis, 0, &RoundState::First, &Ends::default()).ok()?;
        let find = |id: &ContractId| self.contracts.get(id).map(AsRef::as_ref);
        let plan = ValidPlan::check(plan, Contracts::of(find(&study.dataset)?, &study.related, find)).ok()?;
        Some(plan.stands().to_vec())
    }
}

/// Puts moments in words, wherever they stand.
fn tell_moments(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match moment(name, value) {
                    Some(at) => *value = serde_json::Value::String(at.to_string()),
                    None => tell_moments(value),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(tell_moments),
        _ => {}
    }
}

/// A release and its receipt.
fn decode(bytes: &[u8]) -> Option<(Digest, Release)> {
    let signed: SignedRelease = codec::decode(bytes, limits::FRAME_BYTES).ok()?;
    Some((signed.receipt(), codec::decode(&signed.body, limits::FRAME_BYTES).ok()?))
}

fn cells(table: &TableRelease, plan: Option<&ValidPlan>, keys: &[String]) -> Vec<ShownCell> {
    let show = |(i, of): (usize, &CellRelease)| cell(labels(plan, usize::from(table.step), i, keys), of, plan);
    table.cells.iter().enumerate().map(show).collect()
}

/// Key and label of a cell, or its position. `keys` are those of the study in its order.
fn labels(plan: Option<&ValidPlan>, step: usize, at: usize, keys: &[String]) -> Vec<String> {
    match plan {
        Some(plan) => {
            let labels = plan.layout().labels(step, at);
            labels.iter().zip(plan.of_keys(keys)).map(|(label, key)| format!("{key} = {label}")).collect()
        }
        None => vec![format!("cell {at}")],
    }
}

fn cell(labels: Vec<String>, of: &CellRelease, plan: Option<&ValidPlan>) -> ShownCell {
    match of {
        CellRelease::FewerThanK => ShownCell { cell: labels, count: None, measures: Vec::new() },
        CellRelease::Shown { count, measures } => ShownCell {
            cell: labels,
            count: Some((*count).into()),
            measures: measures.iter().enumerate().map(|(m, value)| measure(m, value, plan)).collect(),
        },
    }
}

fn measure(at: usize, value: &MeasureRelease, plan: Option<&ValidPlan>) -> ShownMeasure {
    let name = plan.and_then(|plan| Some(plan.said(plan.table().measures.get(at)?)));
    let name = name.unwrap_or_else(|| format!("measure {at}"));
    let quantum = plan.and_then(|p| match p.layout().measures().get(at) {
        Some(MeasureLayout::Number(quantum)) => Some(*quantum),
        _ => None,
    });
    let hidden =
        ShownMeasure { measure: name, valid: None, holds_rows: None, sum: None, sum_quanta: None, sum_sq_quanta: None };
    match value {
        MeasureRelease::Hidden => hidden,
        MeasureRelease::Condition { valid, holds_rows } => {
            ShownMeasure { valid: Some((*valid).into()), holds_rows: Some(*holds_rows), ..hidden }
        }
        MeasureRelease::Number { valid, sum, sum_sq } => ShownMeasure {
            valid: Some((*valid).into()),
            sum: quantum.map(|q| q.sum(valid.rows, *sum)),
            sum_quanta: Some(sum.to_string()),
            sum_sq_quanta: Some(sum_sq.to_string()),
            ..hidden
        },
    }
}
