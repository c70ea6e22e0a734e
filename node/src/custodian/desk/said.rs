//! Saying yes or no: what a person's word must be before it is recorded.

use std::sync::PoisonError;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{Digest, StudyId};

use super::case::{Outcome, Word};
use crate::custodian::Custodian;
use crate::custodian::ledger::bodies::desk::{Approval, Denial, Person};
use crate::custodian::ledger::{Entry, Kind, LedgerError};

/// Why a person's word was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unsaid {
    /// The study was never asked here.
    #[error("no study {0} is at the desk")]
    Unknown(String),
    /// Several do.
    #[error("{1} studies begin with {0}")]
    Several(String, usize),
    /// The policy was changed, and the study has not been asked since.
    #[error("the policy has been changed, and the study has not been asked under it yet")]
    NotAsked,
    /// It has ended.
    #[error("the study has ended")]
    Ended,
    /// It was refused before.
    #[error("the study was refused, which is final")]
    Refused,
    /// It has left already.
    #[error("the study was answered at {0}: there is nothing left to approve")]
    Answered(Timestamp),
    /// The site's rules have refused it.
    #[error("the site's rules refused the study at {at}, and it is not asked again ({code}: {message})")]
    ByRules {
        /// When.
        at: Timestamp,
        /// Why, as a code.
        code: ErrorCode,
        /// Why, in words.
        message: String,
    },
    /// This very person has said yes before, and another must.
    #[error("you have said yes already; another person must")]
    SamePerson,
    /// The wanted end is no end of an approval.
    #[error("the end of the approval must lie between now and the study's own, {0}")]
    End(Timestamp),
    /// Not a line of text.
    #[error("not a line of 1 to {max} bytes: {0}", max = bocage_protocol::limits::SITE_MESSAGE_BYTES)]
    Words(String),
    /// The ledger is no older copy, or somebody has accepted it.
    #[error("the ledger does not wait to be accepted")]
    NotRestored,
    /// A checkpoint that is none of this ledger.
    #[error("a checkpoint of the file is not this site's, or was signed with another release key")]
    NotOurCheckpoint,
    /// Records are missing, or may be.
    #[error("{0}; what left after it is not in the ledger")]
    Lost(String),
    /// It cannot be recorded.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Unsaid {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Unsaid::Unknown(_) | Unsaid::Refused | Unsaid::Answered(_) => {
                "`bocage node studies list --all` shows every study that was here"
            }
            Unsaid::Several(..) => "give more digits of the id",
            Unsaid::NotAsked => "the coordinator asks again within a minute; then look at the study again",
            Unsaid::ByRules { .. } => "the researcher must sign another study, once the cause is gone",
            Unsaid::Ended => "the researcher must sign it again",
            Unsaid::SamePerson => {
                "the policy wants two different users of this machine; root and the node's own user are one"
            }
            Unsaid::End(_) => "give --until as a day, or leave it out",
            Unsaid::Words(_) => "write a reason or a note in one line; the researcher reads reasons",
            Unsaid::NotRestored => "there is nothing to do",
            Unsaid::NotOurCheckpoint => {
                "`bocage checkpoint SITE > FILE` writes this site's, on a machine that reaches the coordinator"
            }
            Unsaid::Lost(_) => {
                "find a newer backup; or say `--i-know-what-was-lost`: caps do not know of cells that left since, and studies signed until now must be signed again"
            }
            Unsaid::Ledger(_) => "the node's log has the cause; a full disk is the most frequent one",
        }
    }
}

impl Custodian {
    /// Records a person's yes. Saying it twice adds nothing.
    pub(super) fn approve(
        &self,
        study: &StudyId,
        by: Person,
        until: Option<Timestamp>,
        note: Option<String>,
    ) -> Result<(), Unsaid> {
        let desk = self.desk();
        let case = desk.case(study)?;
        if case.denial.is_some() {
            return Err(Unsaid::Refused);
        }
        match desk.outcome(study, &case)? {
            Some(Outcome::Answered(at)) => return Err(Unsaid::Answered(at)),
            Some(Outcome::Refused(at, error)) => return Err(by_rules(at, error)),
            None => {}
        }
        let word = case.word(&desk.policy, desk.now).ok_or_else(|| Unsaid::Unknown(study.to_string()))?;
        if word == Word::Ended {
            return Err(Unsaid::Ended);
        }
        let pending = match case.latest(&desk.policy) {
            Some((_, _, pending)) if pending.policy == desk.policy => pending,
            _ => return Err(Unsaid::NotAsked),
        };
        let holds = |approval: &Approval| case.lapse(approval, &desk.policy, desk.now).is_none();
        if case
            .approvals
            .iter()
            .any(|(_, approval)| case.person(approval.by.uid) == case.person(by.uid) && holds(approval))
        {
            return if matches!(word, Word::Approved { .. }) { Ok(()) } else { Err(Unsaid::SamePerson) };
        }
        let until = until.unwrap_or(pending.until);
        if until <= desk.now || until > pending.until {
            return Err(Unsaid::End(pending.until));
        }
        let unsealed = Approval { by, policy: desk.policy, until, note, seal: Digest::from_bytes([0; 32]) };
        let approval = Approval { seal: desk.secret.seal(study, &unsealed), ..unsealed };
        tracing::info!(%study, by = %approval.by, %until, "the study is approved");
        self.ledger.append(desk.now, &[Entry::of_study(Kind::Approval, *study, &approval)])?;
        Ok(())
    }

    /// Records a person's no, which is final, also after a yes.
    pub(super) fn deny(&self, study: &StudyId, by: Person, reason: String) -> Result<(), Unsaid> {
        // What is being computed is recorded before this word, or not at all.
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = self.desk();
        let case = desk.case(study)?;
        if case.denial.is_some() {
            return Err(Unsaid::Refused);
        }
        // What was answered may be stopped: then it is not handed out again.
        if let Some(Outcome::Refused(at, error)) = desk.outcome(study, &case)? {
            return Err(by_rules(at, error));
        }
        tracing::info!(%study, %by, "the study is refused by a person");
        self.ledger.append(desk.now, &[Entry::of_study(Kind::Denial, *study, &Denial { by, reason })])?;
        Ok(())
    }
}

fn by_rules(at: Timestamp, error: PublicError) -> Unsaid {
    Unsaid::ByRules { at, code: error.code, message: error.message }
}
