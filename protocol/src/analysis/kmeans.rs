//! k-means (Lloyd 1982): groups of patients who are like each other. A first round asks for moments, from which starts are drawn; each further one
//! gives the centroids of all starts that are on their way, and asks who lies about them.

use serde::{Deserialize, Serialize};

use super::pca::described;
use super::{Named, RoundState};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Centroids, Explains, Plan, Query, Statistic};

/// A clustering as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmeansSpec {
    /// By which columns.
    pub columns: Vec<Named>,
    /// Into how many.
    pub clusters: u32,
    /// How many starts are tried.
    pub starts: u32,
    /// How often centroids move at most.
    pub iterations: u16,
    /// What the starts are drawn with.
    pub seed: u32,
    /// What distances are measured in.
    pub scale: Metric,
}

/// What a column's differences are divided by before they are squared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The column's standard deviation among all patients.
    Sd,
    /// Half the contract's range.
    Range,
    /// Nothing: columns in their own units.
    None,
}

impl KmeansSpec {
    /// Every text of the researcher that the answer repeats.
    pub fn headings(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.label.as_str()).collect()
    }

    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        let refuse = |code, message: String| Err(PublicError::new(code, message));
        let at = match state {
            RoundState::First if round == 0 => Centroids::default(),
            RoundState::Centroids(at) if (1..limits::CLUSTER_ROUNDS).contains(&round) => at.clone(),
            _ => {
                let most = limits::CLUSTER_ROUNDS;
                return refuse(
                    ErrorCode::RoundInvalid,
                    format!("a kmeans has {most} rounds, each but the first with centroids"),
                );
            }
        };
        if !(1..=limits::CLUSTERS as u32).contains(&self.clusters) {
            return refuse(ErrorCode::StudyInvalid, format!("`clusters` is from 1 to {}", limits::CLUSTERS));
        }
        if !(1..=limits::CLUSTER_STARTS as u32).contains(&self.starts) {
            return refuse(ErrorCode::StudyInvalid, format!("`starts` is from 1 to {}", limits::CLUSTER_STARTS));
        }
        if !(1..limits::CLUSTER_ROUNDS).contains(&self.iterations) {
            return refuse(
                ErrorCode::StudyInvalid,
                format!("`iterations` is from 1 to {}", limits::CLUSTER_ROUNDS - 1),
            );
        }
        let asked = at.starts.len() <= self.starts as usize
            && at.starts.iter().all(|start| start.len() == self.clusters as usize)
            && round <= self.iterations
            && (round == 0) == at.starts.is_empty();
        if !asked {
            return refuse(ErrorCode::RoundInvalid, "the round's centroids are not those of the study".to_owned());
        }
        let model = described(&self.columns, Explains::Clusters(Box::new(at)));
        Ok(Plan { query, statistic: Statistic::Model(model) })
    }
}
