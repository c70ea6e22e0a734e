//! The messages of protocol versions 1 to 4. What a later version adds stands behind what there was, so the bytes of the earlier one stay; a side says it
//! only in a session of that version.
//!
//! Changing anything here changes the wire: add a protocol version, keep the golden files of the old one, and write it into the CHANGELOG.
//!
//! ```text
//! coordinator ──Request──▶ agent ──Request──▶ custodian
//! coordinator ◀──Reply──── agent ◀──Reply──── custodian
//! ```
//! The agent hands the two on unread.

use serde::{Deserialize, Serialize};

use crate::analysis::RoundState;
use crate::contract::ColumnTraits;
use crate::env::Timestamp;
use crate::error::PublicError;
use crate::ids::{ColumnName, ContractId, Digest};
use crate::trust::{SignedCheckpoint, SignedRelease, SignedRevocations, SignedStudy};

/// What a coordinator asks of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Which datasets the node offers.
    Catalogue,
    /// Compute one round of a study.
    Round(RoundRequest),
    /// What is to be known of the datasets before one is asked about them; from version [`super::hello::PARTICULARS`] on. The hashes are those of the
    /// contracts that the coordinator holds, at most [`crate::limits::KNOWN_CONTRACTS`].
    Particulars(Vec<Digest>),
    /// What the coordinator remembers of the site's own ledger, signed by the site: it sees whether its ledger still has it all. Once a session, before
    /// its first round; from version [`super::hello::WITNESS`] on. At most [`crate::limits::WITNESSED`].
    Witness(Vec<SignedCheckpoint>),
    /// [`Request::Round`], and what is released comes filled up to the length that its plans have ([`crate::release::length`]): the reply's bytes, then
    /// zeros. From version [`super::hello::FILLED`] on.
    Filled(RoundRequest),
}

/// One round of a study: independent analyses share it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRequest {
    /// The study, with every round again: a node keeps nothing that it would have to trust.
    pub study: SignedStudy,
    /// The round, from 0.
    pub round: u16,
    /// Which analyses (by position, ascending) and with which numbers.
    pub steps: Vec<Step>,
    /// The newest list of revoked permits of the access body that issued the study's permit, where the coordinator has one.
    pub revocations: Option<SignedRevocations>,
}

/// An analysis' part in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The analysis' position in the study.
    pub analysis: u16,
    /// The round's numbers.
    pub state: RoundState,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Catalogue`].
    Catalogue(Catalogue),
    /// To [`Request::Round`] and [`Request::Filled`].
    Released(SignedRelease),
    /// No, and why.
    Refused(PublicError),
    /// Not yet: a person at the site decides, or its policy wants a later time. The same round may be asked again.
    Pending(PublicError),
    /// To [`Request::Particulars`].
    Particulars(Particulars),
    /// To [`Request::Witness`]: it was looked at. What came of it the rounds' answers say.
    Witnessed,
}

/// What a node offers: facts of its configuration, none of its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// At most [`crate::limits::DATASETS`].
    pub datasets: Vec<Offer>,
}

/// A dataset that a node offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The contract that it follows.
    pub contract: ContractId,
    /// The contract's hash.
    pub hash: Digest,
    /// When the current snapshot was taken, if there is one.
    pub snapshot_at: Option<Timestamp>,
    /// Whether the site answers about it under a permit only: it lets no researcher ask without one.
    pub needs_permit: bool,
}

/// What is to be known of a node's datasets before one is asked about them: facts of its configuration, none of its data. A column that is empty in a
/// snapshot without being declared so is a fact of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    /// At most [`crate::limits::DATASETS`], with at most [`crate::limits::PARTICULAR_COLUMNS`] columns in all.
    pub datasets: Vec<Particular>,
}

/// What is to be known of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particular {
    /// The contract that it follows.
    pub contract: ContractId,
    /// The columns that the site declares not to collect.
    pub absent: Vec<ColumnName>,
    /// The contract's columns, where the coordinator does not hold it and there is room.
    pub columns: Option<Vec<ColumnTraits>>,
}

impl Particulars {
    /// How many columns are named.
    pub fn columns(&self) -> usize {
        self.datasets.iter().map(|dataset| dataset.absent.len() + dataset.columns.as_ref().map_or(0, Vec::len)).sum()
    }
}
