//! One record of the ledger: what is in it, and the hash that ties it to all records before it.
//!
//! The form of [`Record::expected_hash`] is what an auditor recomputes: it must never change for records that exist.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, StudyId};
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

const DOMAIN: &str = "bocage/ledger/1";

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asked for a round of a study.
    Request,
    /// The site's answer to whether it may be computed.
    Decision,
    /// A snapshot was taken.
    Snapshot,
    /// Other patients are left out than before.
    OptOuts,
    /// What a round may spend: written before anything is computed.
    Reservation,
    /// A computation began, was interrupted, or died.
    Attempt,
    /// What left the site, with the exact bytes.
    Release,
    /// Nothing left, and why.
    Refusal,
    /// An access body's list of revoked permits, as it signed it.
    Revocations,
    /// A study waits for the steward.
    Pending,
    /// A person of the site said yes to a study.
    Approval,
    /// A person of the site said no to a study, for good.
    Denial,
    /// A person of the site stopped all answers.
    Pause,
    /// A person of the site ended a pause.
    Resume,
    /// The ledger is an older copy of itself.
    Restored,
    /// A person of the site accepted that.
    Accepted,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 16] = [
        Kind::Request,
        Kind::Decision,
        Kind::Snapshot,
        Kind::OptOuts,
        Kind::Reservation,
        Kind::Attempt,
        Kind::Release,
        Kind::Refusal,
        Kind::Revocations,
        Kind::Pending,
        Kind::Approval,
        Kind::Denial,
        Kind::Pause,
        Kind::Resume,
        Kind::Restored,
        Kind::Accepted,
    ];

    /// The kind as it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Decision => "decision",
            Kind::Snapshot => "snapshot",
            Kind::OptOuts => "optouts",
            Kind::Reservation => "reservation",
            Kind::Attempt => "attempt",
            Kind::Release => "release",
            Kind::Refusal => "refusal",
            Kind::Revocations => "revocations",
            Kind::Pending => "pending",
            Kind::Approval => "approval",
            Kind::Denial => "denial",
            Kind::Pause => "pause",
            Kind::Resume => "resume",
            Kind::Restored => "restored",
            Kind::Accepted => "accepted",
        }
    }
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// The study, where there is one.
    pub study: Option<StudyId>,
    /// The round, where there is one.
    pub round: Option<u16>,
    /// What a person reads.
    pub body: serde_json::Value,
    /// Exact bytes, where there are some.
    pub payload: Option<Vec<u8>>,
    /// Of a release: the questions that it answers, so that it is found when they are asked again. No part of the chain.
    pub answers: Vec<Digest>,
}

impl Entry {
    /// An entry about a study's round.
    pub fn new(kind: Kind, study: StudyId, round: u16, body: &impl Serialize) -> Self {
        // A body is made of texts and integers; nothing in it can fail to become JSON.
        let body = serde_json::to_value(body).unwrap_or_default();
        Self { kind, study: Some(study), round: Some(round), body, payload: None, answers: Vec::new() }
    }

    /// An entry about a study as a whole.
    pub fn of_study(kind: Kind, study: StudyId, body: &impl Serialize) -> Self {
        Self { study: Some(study), ..Self::of_site(kind, body) }
    }

    /// An entry about the site itself.
    pub fn of_site(kind: Kind, body: &impl Serialize) -> Self {
        let body = serde_json::to_value(body).unwrap_or_default();
        Self { kind, study: None, round: None, body, payload: None, answers: Vec::new() }
    }

    /// The same entry with exact bytes.
    #[must_use]
    pub fn payload(mut self, bytes: Vec<u8>) -> Self {
        self.payload = Some(bytes);
        self
    }

    /// The same entry, to be found as the answer to these questions.
    #[must_use]
    pub fn answers(mut self, questions: Vec<Digest>) -> Self {
        self.answers = questions;
        self
    }
}

/// A record as it stands in the database. Nothing in it is trusted before its hash was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3, …
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// A [`Kind`].
    pub kind: String,
    /// The study's id.
    pub study: Option<String>,
    /// The round.
    pub round: Option<i64>,
    /// Canonical JSON.
    pub body: String,
    /// Exact bytes.
    pub payload: Option<Vec<u8>>,
    /// The hash of the record before.
    pub prev_hash: String,
    /// The hash of this record.
    pub hash: String,
}

/// The columns that [`Record::read`] expects, in this order.
pub(super) const COLUMNS: &str = "seq, at_ms, kind, study, round, body, payload, prev_hash, hash";

impl Record {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: Timestamp(row.get(1)?),
            kind: row.get(2)?,
            study: row.get(3)?,
            round: row.get(4)?,
            body: row.get(5)?,
            payload: row.get(6)?,
            prev_hash: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    /// The hash that belongs to this record: over every other field, the payload by its own hash.
    ///
    /// An absent field is no bytes; a present one begins with a byte 1.
    pub fn expected_hash(&self) -> Digest {
        self.hash_with(self.payload.as_deref().map(payload_hash).as_ref())
    }

    /// The same, given the hash of the payload, which need not be there any more.
    pub(super) fn hash_with(&self, payload: Option<&Digest>) -> Digest {
        let present = |bytes: &[u8]| [&[1], bytes].concat();
        let study = self.study.as_ref().map(|s| present(s.as_bytes())).unwrap_or_default();
        let round = self.round.map(|r| present(&r.to_be_bytes())).unwrap_or_default();
        let payload = payload.map(|hash| present(hash.as_bytes())).unwrap_or_default();
        Digest::of(
            DOMAIN,
            &[
                &self.seq.to_be_bytes(),
                &self.at.0.to_be_bytes(),
                self.kind.as_bytes(),
                &study,
                &round,
                self.body.as_bytes(),
                &payload,
                self.prev_hash.as_bytes(),
            ],
        )
    }

    /// What it is about, if this version knows it.
    pub fn kind(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == self.kind)
    }

    /// The body as one of [`super::bodies`], if it has that form.
    pub fn body<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.body).ok()
    }
}

/// The hash by which a payload enters its record's hash.
pub fn payload_hash(payload: &[u8]) -> Digest {
    Digest::of(DOMAIN, &[payload])
}

/// The hash before the first record.
pub fn first_prev_hash() -> String {
    Digest::of(DOMAIN, &[]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record {
            seq: 1,
            at: Timestamp(1_700_000_000_000),
            kind: "release".to_owned(),
            study: None,
            round: Some(0),
            body: "{}".to_owned(),
            payload: Some(vec![]),
            prev_hash: first_prev_hash(),
            hash: String::new(),
        };
        record.hash = record.expected_hash().to_string();
        record
    }

    #[test]
    fn the_form_of_the_hash_is_frozen() {
        // Computed once by an independent program from the description of `expected_hash` and `Digest::of`.
        assert_eq!(record().hash, "22825316d38b6b600252644bccd34ecf294725d83690b297360fc06005be5836");
    }

    #[test]
    fn an_absent_field_and_an_empty_one_hash_differently() {
        let without = Record { payload: None, ..record() };
        assert_ne!(without.expected_hash(), record().expected_hash());
        let empty = Record { study: Some(String::new()), ..record() };
        assert_ne!(empty.expected_hash(), record().expected_hash());
    }
}
