//! A study: a researcher's bound and signed request. What is not in it cannot be asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::PublicKey;
use super::permit::PermitRef;
use super::sites::Sites;
use crate::analysis::AnalysisSpec;
use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{AnalysisName, ColumnName, ContractId, Digest, NetworkId, StudyId, TableName};
use crate::limits;
use crate::marks::steers;
use crate::plan::{Derived, Expr, Feature, Plan, Prediction, Query, RelatedTable};

/// The number of this form of a study. A node refuses any other.
pub const STUDY_FORMAT: u16 = 1;

/// Why the data is used: Regulation (EU) 2025/327 (European Health Data Space), article 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Public or occupational health, protection against cross-border threats, surveillance.
    PublicInterest,
    /// Regulatory activities of public bodies.
    PolicyMaking,
    /// Official statistics.
    Statistics,
    /// Teaching at vocational or higher level.
    Education,
    /// Health or care research.
    ScientificResearch,
    /// Improving the delivery of care, treatment optimisation.
    CareImprovement,
}

impl Purpose {
    /// Every purpose, as written in a study.
    pub const ALL: [(&str, Purpose); 6] = [
        ("public_interest", Purpose::PublicInterest),
        ("policy_making", Purpose::PolicyMaking),
        ("statistics", Purpose::Statistics),
        ("education", Purpose::Education),
        ("scientific_research", Purpose::ScientificResearch),
        ("care_improvement", Purpose::CareImprovement),
    ];

    /// As it is written in a study or a permit.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, purpose)| *purpose == self).map_or("", |(name, _)| name)
    }
}

/// A bound study. Its canonical JSON is what is signed; the digest of that is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// [`STUDY_FORMAT`].
    pub format: u16,
    /// The network that it is for.
    pub network: NetworkId,
    /// A line for people.
    pub title: String,
    /// Why the data is used.
    pub purpose: Purpose,
    /// The permit that it relies on.
    pub permit: Option<PermitRef>,
    /// The key of the researcher who signs.
    pub researcher: PublicKey,
    /// The dataset's contract.
    pub dataset: ContractId,
    /// The contract's hash.
    pub contract: Digest,
    /// The other datasets that features look into, by the names that the study gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub related: BTreeMap<TableName, RelatedTable>,
    /// Columns that are made of a patient's rows, each after those that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// The code lists that its conditions were written with, sorted by name. What they hold stands in the conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<CodeList>,
    /// Where the fitted models of earlier studies are from that it was written with, sorted by name. Their coefficients stand in the features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Origin>,
    /// The sites that are asked.
    pub sites: Sites,
    /// A combined cell is published only if so many sites contribute to it.
    pub min_sites: u32,
    /// The cohort: rows for which this is true.
    pub filter: Option<Expr>,
    /// The questions.
    pub analyses: Vec<AnalysisSpec>,
    /// How long the sites have to compute, from acceptance by the coordinator.
    pub answer_within_secs: u32,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// After this time no node starts on it.
    pub expires_at: Timestamp,
    /// 32 hexadecimal digits that tell two equal studies apart.
    pub nonce: String,
}

/// A code list that a study's conditions were written with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeList {
    /// As the study calls it.
    pub name: ColumnName,
    /// Whose codes they are, as contracts name it.
    pub system: String,
    /// Of system, codes and prefixes: two studies with one hash mean the same by the name.
    pub hash: Digest,
    /// How many codes and prefixes there are.
    pub count: u32,
}

/// Where a fitted model is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// As the study calls it.
    pub name: ColumnName,
    /// The study that fitted it.
    pub study: StudyId,
    /// Its analysis.
    pub analysis: AnalysisName,
}

impl Origin {
    /// For people.
    pub fn plainly(&self) -> String {
        let Self { name, study, analysis } = self;
        format!("The researcher says that the fitted model {name} is the one of analysis {analysis} of study {study}.")
    }
}

impl Study {
    /// Where the coefficients are from that a plan predicts by, each a line.
    pub fn origins(&self, plan: &Plan) -> String {
        let of_others = |of: &Prediction| of.from.is_none() && !of.beta.is_empty();
        let predicts = |feature: &Feature| matches!(&feature.of, Derived::Predicted(of) if of_others(of));
        let origins = self.models.iter().filter(|_| plan.query.features.iter().any(predicts));
        origins.map(|origin| origin.plainly() + "\n").collect()
    }

    /// The rows that every analysis of this study is about.
    pub fn query(&self) -> Query {
        Query {
            dataset: self.dataset.clone(),
            contract: self.contract,
            related: self.related.clone(),
            features: self.features.clone(),
            filter: self.filter.clone(),
        }
    }

    /// Every text that a person may read.
    fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.title.as_str()).chain(self.analyses.iter().flat_map(|a| a.spec.headings()))
    }

    /// Checks what needs neither contract nor clock: format, bounds, order of the sites.
    ///
    /// # Errors
    /// `study_invalid` with the first rule that is broken. (The front reports all problems of a text at once; this is the node's own guard.)
    pub fn check_shape(&self) -> Result<(), PublicError> {
        let rules: [(bool, &str); 13] = [
            (self.format == STUDY_FORMAT, "the study is of another format than 1"),
            (!self.title.is_empty() && self.title.len() <= limits::LABEL_BYTES, "the title is empty or too long"),
            (
                self.texts().all(is_a_line),
                "the title or a heading has control characters, invisible ones or marks of reading direction, or is too long",
            ),
            (
                self.related.len() <= limits::RELATED_TABLES && self.features.len() <= limits::FEATURES,
                "the study looks into too many tables, or has too many features",
            ),
            (
                self.codes.len() <= limits::CODE_LISTS
                    && self.codes.windows(2).all(|pair| pair[0].name < pair[1].name)
                    && self.codes.iter().all(|list| is_a_line(&list.system)),
                "the code lists are too many, not sorted and distinct, or one names no system",
            ),
            (
                self.models.len() <= limits::MODELS && self.models.windows(2).all(|pair| pair[0].name < pair[1].name),
                "the fitted models are too many, or not sorted and distinct",
            ),
            ((1..=limits::SITES).contains(&self.sites.count()), "the study names no site or too many"),
            (self.min_sites >= 1, "min_sites is 0"),
            (
                !self.analyses.is_empty() && self.analyses.len() <= limits::ANALYSES,
                "the study has no analysis or too many",
            ),
            (distinct(self.analyses.iter().map(|a| a.name.as_str())), "two analyses have the same name"),
            (self.issued_at < self.expires_at, "the study expires before it is issued"),
            (
                self.expires_at.since_ms(self.issued_at) <= limits::STUDY_LIFE_SECS * 1000,
                "the study stays open for too long",
            ),
            (
                self.nonce.len() == 32 && self.nonce.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
                "the nonce is not 32 hexadecimal digits",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(PublicError::new(ErrorCode::StudyInvalid, *rule)),
            None => Ok(()),
        }
    }

    /// Whether `now` lies in the study's life, give or take [`limits::CLOCK_TOLERANCE_SECS`].
    ///
    /// # Errors
    /// `study_not_yet_valid` or `study_expired`.
    pub fn check_time(&self, now: Timestamp) -> Result<(), PublicError> {
        if self.issued_at > now.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            return Err(PublicError::new(ErrorCode::StudyNotYetValid, "the study was issued in the future")
                .hint("compare the clocks of the researcher's machine and of the site"));
        }
        if now > self.expires_at.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            return Err(PublicError::new(ErrorCode::StudyExpired, format!("the study expired at {}", self.expires_at))
                .hint("sign it again with `bocage study run`"));
        }
        Ok(())
    }
}

/// Whether a terminal or a log can show it as it is.
fn is_a_line(text: &str) -> bool {
    text.len() <= limits::HEADING_BYTES && !text.contains(steers)
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().all(|name| seen.insert(name))
}
