//! What a study will take, as far as its asker may know it before anybody is asked: rows, rounds and time.
//!
//! It is made of the study's own plans and of answers that are published and that the asker may read anyway. No site says how many rows it has, and none
//! is asked here: whoever has read nothing yet is told that nothing is known.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::analysis::awaits;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ContractId, Digest, SiteId, StudyId};
use bocage_protocol::plan::{Explained, Passed};
use serde::Serialize;

use super::{Api, Bound, ClientError};
use crate::api::types::{AnalysisResult, Block, SiteReport, StudyResult, StudyState, StudyStatus, Value};

/// So many answers are looked at, the latest: what is older says little of today.
const LOOKED_AT: usize = 5;
/// The rows that a time is told for where nobody knows how many there are.
const SCALE_ROWS: u64 = 1_000_000;

/// What a study will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// How many rounds there are at most.
    pub rounds: u32,
    /// About how many seconds one core of a site takes for a million rows of each of `tables`, in all rounds there may be.
    pub secs_a_million_rows: f64,
    /// The tables that are passed over, the study's own first.
    pub tables: Vec<ContractId>,
    /// Rows that an earlier answer counted. None where there is no such answer.
    pub rows: Option<Counted>,
    /// How long rounds took. None where there is no earlier answer that says it.
    pub measured: Option<Measured>,
}

/// How many rows an answer counted: there may be more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// So many, with two digits that count.
    pub at_least: u64,
    /// At so many sites.
    pub sites: usize,
    /// The study that was answered.
    pub study: StudyId,
    /// When.
    pub published_at: Timestamp,
}

/// How long rounds took in earlier answers, each until the last of its sites had answered, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// In so many answers.
    pub answers: usize,
    /// In the fastest of them.
    pub round_secs_from: f64,
    /// In the slowest.
    pub round_secs_to: f64,
    /// The sites of the study that answered none of them.
    pub without: Vec<SiteId>,
}

impl Bound {
    /// What the study will take.
    ///
    /// # Errors
    /// A plan of the study does not pass the check that every site repeats.
    pub fn estimate(&self, api: &Api) -> Result<Estimate, ClientError> {
        let (mut looks_secs, mut tables) = (0.0, Vec::new());
        let mut until: BTreeMap<u16, u32> = BTreeMap::new();
        for (position, explained) in (0..).zip(self.explained()?) {
            looks_secs += explained.secs_of(SCALE_ROWS);
            let Explained { rounds, passes, .. } = explained;
            for Passed { table, .. } in passes {
                if !tables.contains(&table) {
                    tables.push(table);
                }
            }
            // Who reads another one's fit begins after it; all others share their rounds.
            let after = awaits(&self.study, position)?.iter().filter_map(|at| until.get(at)).max().copied();
            until.insert(position, after.unwrap_or_default() + rounds);
        }
        let earlier = earlier(api, &self.study.dataset, self.study.contract);
        let asked: BTreeSet<&SiteId> = self.study.sites.names().unwrap_or_default().iter().collect();
        Ok(Estimate {
            rounds: until.into_values().max().unwrap_or(1),
            secs_a_million_rows: looks_secs,
            tables,
            rows: most_rows(&earlier),
            measured: measured(&earlier, &asked),
        })
    }
}

/// The latest answers about the same data that the asker may read. Where they cannot be had nothing is known, which is no reason to check no study.
fn earlier(api: &Api, dataset: &ContractId, contract: Digest) -> Vec<StudyResult> {
    let Ok(list) = api.studies() else { return Vec::new() };
    let about = |study: &&StudyStatus| study.state == StudyState::Published && study.dataset == *dataset;
    let latest = list.studies.iter().filter(about).take(LOOKED_AT);
    let results = latest.filter_map(|study| api.result(&study.id).ok());
    results.filter(|result| result.study.contract == contract).collect()
}

fn most_rows(earlier: &[StudyResult]) -> Option<Counted> {
    let of_one = |result: &StudyResult| {
        let rows = result.analyses.iter().filter_map(rows_of).max().filter(|rows| *rows > 0)?;
        Some(Counted {
            at_least: two_digits(rows),
            sites: result.sites.iter().filter(|site| site.was_heard()).count(),
            study: result.study.id,
            published_at: result.study.published_at,
        })
    };
    // Of equals the latest, which comes first.
    earlier.iter().filter_map(of_one).rev().max_by_key(|counted| counted.at_least)
}

/// How many rows an answer counted at the least: a row is in one cell of a table at most, and a patient who is counted has a row.
fn rows_of(analysis: &AnalysisResult) -> Option<u64> {
    let block = &analysis.block;
    match analysis.kind.as_str() {
        "table" | "histogram" => {
            let at = column(block, "rows").or_else(|| column(block, "count"))?;
            Some(counts(block, at).sum())
        }
        "attrition" => counts(block, column(block, "entered")?).max(),
        _ => {
            let fit = &analysis.also.iter().find(|named| named.title == "fit")?.block;
            let patients = |row: &&Vec<Value>| row.first() == Some(&Value::Text("patients".to_owned()));
            fit.rows.iter().find(patients)?.iter().find_map(count)
        }
    }
}

fn column(block: &Block, name: &str) -> Option<usize> {
    block.columns.iter().position(|column| column == name)
}

fn counts(block: &Block, column: usize) -> impl Iterator<Item = u64> {
    block.rows.iter().filter_map(move |row| row.get(column).and_then(count))
}

fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Count(count) => Some(*count),
        _ => None,
    }
}

/// `rows` with all digits but the first two set to 0.
fn two_digits(rows: u64) -> u64 {
    let mut unit = 1;
    while rows / unit >= 100 {
        unit *= 10;
    }
    rows / unit * unit
}

fn measured(earlier: &[StudyResult], asked: &BTreeSet<&SiteId>) -> Option<Measured> {
    let secs: Vec<f64> = earlier.iter().filter_map(|result| round_secs(&result.sites)).collect();
    let least = secs.iter().copied().min_by(f64::total_cmp)?;
    let most = secs.iter().copied().max_by(f64::total_cmp)?;
    let answered =
        |site: &SiteId| earlier.iter().flat_map(|r| &r.sites).any(|of| of.id == *site && of_one(of).is_some());
    Some(Measured {
        answers: secs.len(),
        round_secs_from: least,
        round_secs_to: most,
        without: asked.iter().filter(|site| !answered(site)).map(|site| (*site).clone()).collect(),
    })
}

/// A round takes as long as its slowest site.
fn round_secs(sites: &[SiteReport]) -> Option<f64> {
    sites.iter().filter_map(of_one).max_by(f64::total_cmp)
}

/// How long a site took for a round. An older coordinator does not say how many there were.
fn of_one(site: &SiteReport) -> Option<f64> {
    let rounds = site.receipts.len();
    (rounds > 0).then_some(site.round_trip_ms? / 1000.0 / rounds as f64)
}

#[cfg(test)]
mod tests;
