//! What the records of a ledger say that is an older copy of itself, and of the person who accepted that.

use std::fmt;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::Checkpoint;
use serde::{Deserialize, Serialize};

use super::desk::Person;

/// Of a ledger that is an older copy of itself: nothing is answered until a person of the site has accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the backup was made that was put back, as it says itself; none where the coordinator's checkpoint showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// A checkpoint that the site signed and the ledger does not fit, where that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Checkpoint>,
}

/// Of a person's word that answers go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Who accepted it.
    pub by: Person,
    /// The record that it ends: it ends no other.
    pub ends: i64,
    /// When.
    pub at: Timestamp,
    /// Whether records may be lost: then what was signed before and is not in the ledger is not answered.
    pub lost: bool,
    /// The newest checkpoint that the ledger was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Checkpoint>,
    /// Made with the site's own secret: whoever can merely write the ledger's file makes none.
    pub seal: Digest,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.backup, &self.known) {
            (Some(made), _) => write!(f, "the ledger was put back from a backup of {made}"),
            (None, Some(known)) => {
                let Checkpoint { records, at, .. } = known;
                write!(
                    f,
                    "the ledger is not the one that had {records} records at {at}: an older copy was put in its place, or it was cut off"
                )
            }
            (None, None) => f.write_str("the ledger is an older copy of itself"),
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted the ledger as it is", self.by)?;
        match (&self.compared, self.lost) {
            (_, true) => f.write_str(", knowing that records after it may be lost: no study that was signed before is answered, unless its answer is in the ledger"),
            (Some(known), false) => write!(f, ": it has all {} records that the coordinator knew of at {}", known.records, known.at),
            (None, false) => Ok(()),
        }
    }
}
