//! What was said about one study, folded from its records. Pure: it reads no ledger and no clock.

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{Digest, StudyId};
use bocage_protocol::limits;

use super::seal::Secret;
use crate::custodian::controls::{Control, Controls};
use crate::custodian::ledger::bodies::Refusal;
use crate::custodian::ledger::bodies::desk::{Approval, Denial, Pending};
use crate::custodian::ledger::{Kind, Record};

/// A study at the desk.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    controls: Controls,
    /// The node's own user.
    own: u32,
    /// The records that say that it waits, one for each policy: their number, their time, what they say.
    pub pending: Vec<(i64, Timestamp, Pending)>,
    /// Approvals that the site itself made, whether they hold or not.
    pub approvals: Vec<(Timestamp, Approval)>,
    /// The refusal, which is final.
    pub denial: Option<(Timestamp, Denial)>,
}

/// Where a study stands that nobody has refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// It may be answered, until then.
    Approved { until: Timestamp },
    /// Too few people have said yes, or what they said does not hold any more.
    Waits {
        /// How many have.
        given: u32,
        /// Why an approval that was given does not hold.
        lapsed: Option<Lapse>,
    },
    /// Its own time is over.
    Ended,
}

/// What came of a study after it was put on the desk.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// It left.
    Answered(Timestamp),
    /// The site's rules refused it.
    Refused(Timestamp, PublicError),
}

impl Outcome {
    /// The next record after `before`. A round that left stays answered, whatever is said about it later.
    pub fn then(before: Option<Self>, record: &Record) -> Option<Self> {
        match record.kind() {
            Some(Kind::Release) => Some(Self::Answered(record.at)),
            Some(Kind::Refusal) if !matches!(before, Some(Self::Answered(_))) => {
                let error = record.body::<Refusal>().map(|refusal| refusal.error);
                // "Later" is asked again.
                error.filter(|e| e.code != ErrorCode::PolicyLater).map(|e| Self::Refused(record.at, e)).or(before)
            }
            _ => before,
        }
    }
}

/// Why an approval does not hold any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lapse {
    /// The policy is another one by now.
    Policy,
    /// Its time is over.
    Time,
}

impl Case {
    /// A study of which nothing was said yet.
    pub fn under(controls: Controls, own: u32) -> Self {
        Self { controls, own, ..Self::default() }
    }

    /// Takes note of the next record of this study. What cannot be read, and an approval that is not the site's own, is passed over.
    pub fn add(&mut self, study: &StudyId, record: &Record, secret: Secret<'_>) {
        match record.kind() {
            Some(Kind::Pending) => self.pending.extend(record.body().map(|body| (record.seq, record.at, body))),
            Some(Kind::Approval) => {
                let anybodys = !self.controls.enforces(Control::ApprovalSeal);
                let own = |approval: &Approval| {
                    anybodys || (secret.holds(study, approval) && record.hash == record.expected_hash().to_string())
                };
                self.approvals.extend(record.body().filter(own).map(|approval| (record.at, approval)));
            }
            // A forged refusal takes nothing from any patient, so none is passed over.
            Some(Kind::Denial) if self.denial.is_none() => {
                self.denial = record.body().map(|denial| (record.at, denial));
            }
            _ => {}
        }
    }

    /// Whether it waited under this policy before.
    pub fn knows(&self, policy: &Digest) -> bool {
        self.pending.iter().any(|(_, _, pending)| pending.policy == *policy)
    }

    /// The record under this policy; where there is none, the last one.
    pub fn latest(&self, policy: &Digest) -> Option<&(i64, Timestamp, Pending)> {
        self.pending.iter().rfind(|(_, _, pending)| pending.policy == *policy).or(self.pending.last())
    }

    /// Where it stands under this policy; none where it never waited.
    pub fn word(&self, policy: &Digest, now: Timestamp) -> Option<Word> {
        let (_, _, pending) = self.latest(policy)?;
        if now > pending.until.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            return Some(Word::Ended);
        }
        Some(match self.approved(policy, pending.persons, now) {
            // Under a policy that never put it here the last record's number of people says nothing.
            Some(until) if self.knows(policy) => Word::Approved { until },
            _ => {
                let lapse = |(_, approval): &(Timestamp, Approval)| self.lapse(approval, policy, now);
                let lapsed = self.approvals.iter().filter_map(lapse).next_back();
                Word::Waits { given: self.holding(policy, now).len() as u32, lapsed }
            }
        })
    }

    /// Until when so many people's approvals hold; none where too few do.
    pub fn approved(&self, policy: &Digest, persons: u32, now: Timestamp) -> Option<Timestamp> {
        self.holding(policy, now).get(persons.max(1) as usize - 1).copied()
    }

    /// The ends of the approvals that hold, the latest first: of each person the one that holds longest.
    fn holding(&self, policy: &Digest, now: Timestamp) -> Vec<Timestamp> {
        let mut people: BTreeMap<u32, Timestamp> = BTreeMap::new();
        for (_, approval) in self.approvals.iter().filter(|(_, approval)| self.lapse(approval, policy, now).is_none()) {
            let end = people.entry(self.person(approval.by.uid)).or_insert(approval.until);
            *end = approval.until.max(*end);
        }
        let mut ends: Vec<Timestamp> = people.into_values().collect();
        ends.sort_unstable_by_key(|end| std::cmp::Reverse(*end));
        ends
    }

    /// Whom a user stands for. Root can speak as the node's own user, and whoever may be one of them may mostly be the other: they are one person.
    pub fn person(&self, uid: u32) -> u32 {
        if uid == 0 { self.own } else { uid }
    }

    /// Why this approval does not hold.
    pub fn lapse(&self, approval: &Approval, policy: &Digest, now: Timestamp) -> Option<Lapse> {
        match approval {
            approval if approval.policy != *policy && self.controls.enforces(Control::ApprovalPolicy) => {
                Some(Lapse::Policy)
            }
            approval if now > approval.until && self.controls.enforces(Control::ApprovalEnd) => Some(Lapse::Time),
            _ => None,
        }
    }
}

impl std::fmt::Display for Lapse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Lapse::Policy => "the policy has been changed since",
            Lapse::Time => "its time is over",
        })
    }
}
