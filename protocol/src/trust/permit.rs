//! A permit: what an access body allows one researcher to ask, of which data, for which purposes, where, and how much. A study
//! that relies on one names it by its digest; a site believes neither study nor coordinator about what it says.

#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Document, Signed};
use super::keys::PublicKey;
use super::study::{Purpose, Study};
use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{ColumnName, ContractId, Digest, NetworkId, PermitId, SiteId};
use crate::limits;
use crate::marks::steers;
use crate::plan::Touches;

/// The number of this form of a permit. A node refuses any other.
pub const PERMIT_FORMAT: u16 = 1;

/// How exact values may be that leave under a permit, from the least strict. Later versions add noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermitMode {
    /// As they are, above the threshold.
    Exact,
    /// Counts rounded to multiples of five.
    Round,
}

impl PermitMode {
    /// Every mode, as a permit spells it.
    pub const ALL: [(&str, PermitMode); 2] = [("exact", PermitMode::Exact), ("round", PermitMode::Round)];

    /// As a permit spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            PermitMode::Exact => "exact",
            PermitMode::Round => "round",
        }
    }
}

/// A permit. Its canonical JSON is what the access body signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// [`PERMIT_FORMAT`].
    pub format: u16,
    /// The network that it is for.
    pub network: NetworkId,
    /// As its issuer names it.
    pub id: PermitId,
    /// A line for people.
    pub title: String,
    /// The access body's key, which signs.
    pub issuer: PublicKey,
    /// Who may use it.
    pub holder: Holder,
    /// For what; sorted, each once.
    pub purposes: Vec<Purpose>,
    /// About which data; sorted, each dataset once.
    pub datasets: Vec<Scope>,
    /// Where; every site of the network where it is absent.
    pub sites: Option<Vec<SiteId>>,
    /// A combined cell may be published only if at least so many sites contribute.
    pub min_sites: u32,
    /// k: no count below it may leave, whatever less a site would ask.
    pub threshold: u32,
    /// How exact values may be.
    pub mode: PermitMode,
    /// How many cells may leave each site of each dataset, over the permit's whole life.
    pub max_cells: u64,
    /// From when.
    pub valid_from: Timestamp,
    /// Until when.
    pub valid_to: Timestamp,
    /// 32 hexadecimal digits that tell two equal permits apart.
    pub nonce: String,
}

/// Who may use a permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The person.
    pub name: String,
    /// Where they work.
    pub organisation: String,
    /// With which key they sign studies.
    pub key: PublicKey,
}

/// A dataset that a permit is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The dataset's contract.
    pub dataset: ContractId,
    /// The columns that may be read, in filters too; sorted. All of the contract where it is absent.
    pub columns: Option<Vec<ColumnName>>,
}

/// The permit that a study relies on, as the study names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitRef {
    /// As its issuer names it.
    pub id: PermitId,
    /// [`Signed::digest`].
    pub digest: Digest,
}

/// A permit as it is kept and as it travels.
pub type SignedPermit = Signed<Permit>;

impl Signed<Permit> {
    /// How a study names it.
    ///
    /// # Errors
    /// See [`Signed::verify`].
    pub fn reference(&self) -> Result<PermitRef, PublicError> {
        Ok(PermitRef { id: self.verify()?.id, digest: self.digest() })
    }
}

fn is_a_line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= limits::LABEL_BYTES && !text.contains(steers)
}

fn ascending<T: PartialOrd>(items: &[T]) -> bool {
    items.windows(2).all(|pair| pair[0] < pair[1])
}

impl Document for Permit {
    const DOMAIN: &'static str = "bocage/permit/1";
    const LIMIT_BYTES: usize = limits::PERMIT_BYTES;
    const NAME: &'static str = "permit";
    const INVALID: ErrorCode = ErrorCode::PermitInvalid;

    fn signer(&self) -> &PublicKey {
        &self.issuer
    }

    fn check_shape(&self) -> Result<(), PublicError> {
        let purposes: Vec<&str> = self.purposes.iter().map(|p| p.as_str()).collect();
        let datasets: Vec<&ContractId> = self.datasets.iter().map(|s| &s.dataset).collect();
        let columns = self.datasets.iter().filter_map(|scope| scope.columns.as_ref());
        let rules: [(bool, &str); 12] = [
            (self.format == PERMIT_FORMAT, "the permit is of another format than 1"),
            (
                [&self.title, &self.holder.name, &self.holder.organisation].into_iter().all(|text| is_a_line(text)),
                "the title, the holder's name or organisation is empty, too long or has control characters",
            ),
            (!purposes.is_empty() && ascending(&purposes), "the purposes are none, or not sorted and distinct"),
            (
                !datasets.is_empty() && datasets.len() <= limits::DATASETS && ascending(&datasets),
                "the datasets are none, too many, or not sorted and distinct",
            ),
            (
                columns.clone().all(|columns| !columns.is_empty() && columns.len() <= limits::COLUMNS),
                "a dataset has no column or too many",
            ),
            (columns.clone().all(|columns| ascending(columns)), "a dataset's columns are not sorted and distinct"),
            (
                self.sites.as_ref().is_none_or(|s| !s.is_empty() && s.len() <= limits::SITES && ascending(s)),
                "the sites are none, too many, or not sorted and distinct",
            ),
            (self.min_sites >= 1, "min_sites is 0"),
            (
                self.sites.as_ref().is_none_or(|sites| sites.len() >= self.min_sites as usize),
                "the sites are fewer than min_sites, so no study could use it",
            ),
            (
                (1..=limits::EXACT_INT as u64).contains(&self.max_cells) && self.threshold >= 1,
                "max_cells or threshold is out of its bounds",
            ),
            (self.valid_from < self.valid_to, "the permit ends before it begins"),
            (
                self.nonce.len() == 32 && self.nonce.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
                "the nonce is not 32 hexadecimal digits",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(PublicError::new(ErrorCode::PermitInvalid, *rule)),
            None => Ok(()),
        }
    }
}

impl Permit {
    /// Whether `now` lies in the permit's life, give or take [`limits::CLOCK_TOLERANCE_SECS`].
    ///
    /// # Errors
    /// `permit_not_yet_valid` or `permit_expired`.
    pub fn check_time(&self, now: Timestamp) -> Result<(), PublicError> {
        if self.valid_from > now.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            let message = format!("permit {} is valid from {}", self.id, self.valid_from);
            return Err(PublicError::new(ErrorCode::PermitNotYetValid, message)
                .hint("wait until then; if that time has come, the clock of the machine that says this is late"));
        }
        if now > self.valid_to.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            let message = format!("permit {} was valid until {}", self.id, self.valid_to);
            return Err(
                PublicError::new(ErrorCode::PermitExpired, message).hint("ask the access body for a new permit")
            );
        }
        Ok(())
    }

    /// Whether a study may rely on this permit, of which the digest is `digest`: network, holder, purpose, dataset, `min_sites`.
    /// [`Permit::check_site`], [`Permit::check_columns`] and [`Permit::check_time`] are the other three questions.
    ///
    /// # Errors
    /// `permit_mismatch`, `network_mismatch`, `permit_holder`, `permit_purpose`, `permit_scope`, `permit_sites`.
    pub fn check_study(&self, study: &Study, digest: &Digest) -> Result<(), PublicError> {
        let refused = |code, message: String, hint: String| Err(PublicError::new(code, message).hint(hint));
        let wrong = |code, message: String| Err(PublicError::new(code, message));
        let id = &self.id;
        if study.permit.as_ref() != Some(&PermitRef { id: id.clone(), digest: *digest }) {
            return wrong(ErrorCode::PermitMismatch, format!("the study does not rely on this permit {id}"));
        }
        if self.network != study.network {
            let message = format!("permit {id} is for network {}, the study for {}", self.network, study.network);
            return wrong(ErrorCode::NetworkMismatch, message);
        }
        if self.holder.key != study.researcher {
            let message = format!("permit {id} is held by {}, and another key signed the study", self.holder.name);
            let hint = "sign with the holder's own key, or name a permit that is held by the study's signer".to_owned();
            return refused(ErrorCode::PermitHolder, message, hint);
        }
        if !self.purposes.contains(&study.purpose) {
            let message = format!("permit {id} does not allow the purpose {}", study.purpose.as_str());
            let allowed = self.purposes.iter().map(|purpose| purpose.as_str()).collect::<Vec<_>>().join(", ");
            let hint = format!("it allows {allowed}; for another purpose, ask the access body for another permit");
            return refused(ErrorCode::PermitPurpose, message, hint);
        }
        let datasets = std::iter::once(&study.dataset).chain(study.related.values().map(|table| &table.dataset));
        if let Some(dataset) = datasets.into_iter().find(|dataset| self.scope(dataset).is_none()) {
            return wrong(ErrorCode::PermitScope, format!("permit {id} does not cover dataset {dataset}"));
        }
        if study.min_sites < self.min_sites || study.sites.count() < self.min_sites as usize {
            let message = format!("permit {id} wants {} sites at least to contribute to each cell", self.min_sites);
            return wrong(ErrorCode::PermitSites, message);
        }
        Ok(())
    }

    /// Whether this site may be asked.
    ///
    /// # Errors
    /// `permit_sites`.
    pub fn check_site(&self, site: &SiteId) -> Result<(), PublicError> {
        match &self.sites {
            Some(sites) if sites.binary_search(site).is_err() => {
                Err(PublicError::new(ErrorCode::PermitSites, format!("permit {} does not cover site {site}", self.id)))
            }
            _ => Ok(()),
        }
    }

    /// Whether these columns of a dataset may be read.
    ///
    /// # Errors
    /// `permit_scope` with the columns that may not.
    pub fn check_columns(&self, dataset: &ContractId, reads: &BTreeSet<ColumnName>) -> Result<(), PublicError> {
        let Some(scope) = self.scope(dataset) else {
            let message = format!("permit {} does not cover dataset {dataset}", self.id);
            return Err(PublicError::new(ErrorCode::PermitScope, message));
        };
        let Some(columns) = &scope.columns else { return Ok(()) };
        let outside: Vec<&str> =
            reads.iter().filter(|c| columns.binary_search(c).is_err()).map(ColumnName::as_str).collect();
        if outside.is_empty() {
            return Ok(());
        }
        let message = format!("permit {} does not cover the columns {} of {dataset}", self.id, outside.join(", "));
        Err(PublicError::new(ErrorCode::PermitScope, message)
            .hint("filters count too; ask the access body for a permit with these columns, or leave them out"))
    }

    /// Whether all that plans read may be read, of every dataset that they look into.
    ///
    /// # Errors
    /// `permit_scope` with the first dataset that may not be looked into, or its columns that may not be read.
    pub fn check_touches(&self, touches: &Touches) -> Result<(), PublicError> {
        touches.iter().try_for_each(|(dataset, columns)| self.check_columns(dataset, columns))
    }

    fn scope(&self, dataset: &ContractId) -> Option<&Scope> {
        self.datasets.iter().find(|scope| scope.dataset == *dataset)
    }
}
