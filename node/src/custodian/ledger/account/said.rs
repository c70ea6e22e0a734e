//! What people and the site itself said, as sentences with dates: approvals, refusals, pauses, opt-outs, permits that were taken back.

use std::fmt;

use bocage_protocol::env::Timestamp;
use bocage_protocol::trust::{Revoked, SignedRevocations};
use serde::Serialize;

use super::super::bodies::desk::{Approval, Denial, Pause, Pending, Resume};
use super::super::bodies::restored::{Accepted, Restored};
use super::super::bodies::{OptOutsChanged, RevocationsTaken};
use super::super::record::{Kind, Record};

/// A word of a person or of the site. `Display` is the sentence, without its date.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// A study was put before the steward.
    Waits(Box<Pending>),
    /// A person said yes.
    Approved(Approval),
    /// A person said no.
    Refused(Denial),
    /// A person stopped all answers.
    Paused(Pause),
    /// A person ended a pause.
    Resumed(Resume),
    /// The ledger is an older copy of itself.
    Restored(Restored),
    /// A person accepted that.
    Accepted(Accepted),
    /// Other patients are left out.
    OptOuts(OptOutsChanged),
    /// An access body took permits back.
    Revocations(TakenBack),
}

/// A list of permits that were taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakenBack {
    /// What the record says of it.
    #[serde(flatten)]
    pub list: RevocationsTaken,
    /// The permits that it names and no list before named; empty too where the list's own text cannot be believed.
    pub permits: Vec<Revoked>,
}

impl Said {
    /// The word that a record holds; none where its kind is no word or its form is not known.
    pub fn of(record: &Record) -> Option<Self> {
        match record.kind()? {
            Kind::Pending => record.body().map(|pending| Said::Waits(Box::new(pending))),
            Kind::Approval => record.body().map(Said::Approved),
            Kind::Denial => record.body().map(Said::Refused),
            Kind::Pause => record.body().map(Said::Paused),
            Kind::Resume => record.body().map(Said::Resumed),
            Kind::Restored => record.body().map(Said::Restored),
            Kind::Accepted => record.body().map(Said::Accepted),
            Kind::OptOuts => record.body().map(Said::OptOuts),
            Kind::Revocations => {
                record.body().map(|list| Said::Revocations(TakenBack { list, permits: permits(record) }))
            }
            _ => None,
        }
    }
}

/// The permits that a list names. Its signature speaks for it.
fn permits(record: &Record) -> Vec<Revoked> {
    let text = record.payload.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let list = text.and_then(|text| SignedRevocations::from_text(text).ok()).and_then(|signed| signed.verify().ok());
    list.map(|list| list.revoked).unwrap_or_default()
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Waits(pending) => {
                let Pending { why, persons, until, policy, .. } = pending.as_ref();
                let people = if *persons > 1 { format!(", {persons} people must agree") } else { String::new() };
                write!(
                    f,
                    "put before the steward by {why}{people}, open until {}, under policy {}",
                    day_and_minute(*until),
                    policy.short()
                )
            }
            Said::Approved(Approval { by, until, policy, note, .. }) => {
                write!(f, "approved by {by}, until {}, under policy {}", day_and_minute(*until), policy.short())?;
                note.as_ref().map_or(Ok(()), |note| write!(f, ", note: {note}"))
            }
            Said::Refused(Denial { by, reason }) => write!(f, "refused by {by}, because: {reason}"),
            Said::Paused(Pause { by, reason }) => {
                write!(f, "all answers stopped by {by}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ", because: {reason}"))
            }
            Said::Resumed(Resume { by, ends, .. }) => write!(f, "the pause of record {ends} ended by {by}"),
            Said::Restored(restored) => restored.fmt(f),
            Said::Accepted(accepted) => accepted.fmt(f),
            Said::OptOuts(OptOutsChanged { dataset, purpose, changed, snapshot, .. }) => {
                write!(f, "the patients left out of {dataset} for {} ", purpose.as_str())?;
                match changed {
                    Some(patients) => write!(f, "changed by {patients} patients")?,
                    None => write!(f, "were set for the first time")?,
                }
                write!(f, " (snapshot {})", snapshot.short())
            }
            Said::Revocations(TakenBack { list, permits }) => {
                let RevocationsTaken { access_body, number, issued_at, revoked } = list;
                write!(
                    f,
                    "list {number} of {access_body}, signed on {}, names {revoked} permits as taken back",
                    day_and_minute(*issued_at)
                )?;
                for (i, permit) in permits.iter().enumerate() {
                    let before = if i == 0 { ", newly " } else { ", " };
                    write!(f, "{before}{} ({}) on {}", permit.id, permit.digest.short(), day_and_minute(permit.at))?;
                }
                Ok(())
            }
        }
    }
}

/// A moment as people write it.
pub fn day_and_minute(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16).map_or_else(|| text.clone(), |minute| format!("{} UTC", minute.replace('T', " ")))
}

/// The moment that a field of a record's body holds, by the field's name: numbers of milliseconds say nothing to people.
pub fn moment(name: &str, value: &serde_json::Value) -> Option<Timestamp> {
    let named = matches!(name, "at" | "until" | "valid_from" | "valid_to") || name.ends_with("_at");
    value.as_i64().filter(|_| named).map(Timestamp)
}
