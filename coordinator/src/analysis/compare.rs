//! The driver of a comparison: what is asked about each group, what the groups are against a reference, and tests of whether they differ.
//!
//! What is counted is published as of any table. A statistic is made of published numbers alone, and not given where one that it needs is hidden;
//! what is put together within sites is made of each site's own table, and published as sums over `min_sites` sites or more.

mod means;
mod ranks;
mod risks;
mod within_sites;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{CompareSpec, Outcome};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::plan::{KeyLevels, ValidPlan};

use super::crosstab::{counts, matrix};
use super::estimates::independent;
use super::table::{TableDriver, releases};
use super::{Setting, SiteAnswer, sorted};
use crate::api::types::{AnalysisResult, Block, NamedBlock};

/// The title of the block with tests.
pub(super) const TESTS: &str = "tests";
/// The measure that tells how far two groups are apart, in standard deviations.
pub(super) const STANDARDISED: &str = "standardised_difference";
/// Whom a test of all groups is about.
const ALL: &str = "all groups";

/// The driver of one comparison.
#[derive(Debug)]
pub struct CompareDriver {
    table: TableDriver,
    spec: CompareSpec,
}

impl CompareDriver {
    pub(super) fn new(setting: Setting, spec: &CompareSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        independent(&setting)?;
        let name = setting.name.clone();
        let driver = Self { table: TableDriver::new(setting, spec.table(), plan)?, spec: spec.clone() };
        let groups = driver.groups().len();
        let problem = spec.problem_of(groups).or_else(|| {
            (spec.within_sites && groups != 2).then(|| "only two groups are compared within sites".to_owned())
        });
        match problem {
            Some(problem) => Err(PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{name}`: {problem}"))),
            None => Ok(driver),
        }
    }

    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let mut result = self.table.publish(answers);
        match &self.spec.outcome {
            Outcome::Holds(_) => {
                let counts = self.matrix(&mut result);
                self.risks(&mut result, &counts, answers);
            }
            Outcome::Ordered(_) => {
                let counts = self.matrix(&mut result);
                self.ranks(&mut result, &counts);
            }
            Outcome::Number { .. } => self.means(&mut result, &releases(&sorted(answers))),
        }
        result
    }

    /// Shows the counts of groups and outcome as a matrix; answers those of each group with a label, missing outcomes left out.
    fn matrix(&self, result: &mut AnalysisResult) -> Vec<Vec<Option<u64>>> {
        let counts = counts(&result.block);
        let [by, outcome] = [self.key(0), self.key(1)];
        let heading = format!("{} by {}", self.spec.by.label, self.spec.outcome.label());
        result.block = matrix(&heading, &by.labels, &outcome.labels, &counts, false);
        if by.missing || outcome.missing {
            result.notes.push("comparisons leave out who has a missing value".into());
        }
        let known = outcome.labels.len() - usize::from(outcome.missing);
        let rows = counts.chunks(outcome.labels.len().max(1)).take(self.groups().len());
        rows.map(|row| row.iter().take(known).map(super::crosstab::Published::exact).collect()).collect()
    }

    fn key(&self, at: usize) -> KeyLevels {
        let none = KeyLevels { labels: vec![], missing: false };
        self.table.layout().keys_at(0).into_iter().nth(at).unwrap_or(none)
    }

    /// The groups' labels, without the missing ones.
    fn groups(&self) -> Vec<String> {
        let mut by = self.key(0);
        by.labels.truncate(by.labels.len() - usize::from(by.missing));
        by.labels
    }

    fn reference(&self) -> usize {
        self.spec.reference as usize
    }

    /// The positions and labels of the groups that are held against the reference.
    fn others(&self) -> Vec<(usize, String)> {
        self.groups().into_iter().enumerate().filter(|(at, _)| *at != self.reference()).collect()
    }

    /// A block about each group against the reference.
    fn against(&self, block: Block) -> NamedBlock {
        let reference = self.groups().swap_remove(self.reference());
        NamedBlock { title: format!("against {reference}"), block }
    }
}
