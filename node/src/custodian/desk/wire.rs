//! What a local command and the custodian say to each other on the admin socket: one frame of JSON each way. Both come from one installation, so
//! there are no versions of it.

use bocage_protocol::env::Timestamp;
use bocage_protocol::trust::KeptCheckpoints;
use serde::{Deserialize, Serialize};

use super::shown::{AtTheDesk, Dossier};
use crate::custodian::ledger::bodies::restored::Accepted;

/// A command, and the word that shows that its sender may read what the agent may not.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// What stands in `run/admin.token`.
    pub token: String,
    /// What is wanted.
    pub command: Command,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// All that is at the desk.
    List {
        /// Also what is over.
        all: bool,
    },
    /// One study; its id, or the beginning of it.
    Show {
        /// Which.
        study: String,
    },
    /// A yes.
    Approve {
        /// Which study.
        study: String,
        /// Until when, if before the study's own end.
        until: Option<Timestamp>,
        /// A line for those who read the ledger.
        note: Option<String>,
    },
    /// A no, also to a study that is answered without the desk.
    Refuse {
        /// Which study.
        study: String,
        /// Why: the researcher reads it.
        reason: String,
    },
    /// Stop everything.
    Pause {
        /// Why: the researchers read it.
        reason: Option<String>,
    },
    /// Go on.
    Resume,
    /// Go on with a ledger that is an older copy of itself.
    AcceptRestored {
        /// What the coordinator remembers.
        checkpoints: Vec<KeptCheckpoints>,
        /// Whether the person knows what was lost.
        knowing: bool,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of a list, a pause and its end.
    Desk(AtTheDesk),
    /// Of everything about one study: as it stands now.
    Study(Box<Dossier>),
    /// Of a no to a study that is answered without the desk.
    Stopped {
        /// Which.
        study: String,
    },
    /// Of an accepted ledger: the word as it stands there.
    Accepted(Accepted),
    /// It was not done.
    Failed {
        /// Why.
        message: String,
        /// What to do about it.
        hint: String,
    },
}
