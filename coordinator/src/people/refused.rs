//! Attempts that were refused, by day and reason. They are counted, not kept: whoever tries without end fills no disk.

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use rusqlite::{TransactionBehavior, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PeopleError, PeopleFile};

const DAY_MS: i64 = 86_400_000;
/// Days that are shown and kept.
const DAYS: i64 = 366;
/// Counts are written down so often at most: nobody keeps the disk busy by being refused.
const EVERY_MS: i64 = 10_000;

/// Why somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedReason {
    /// No token, or something that is none.
    NoToken,
    /// A token that is none of ours.
    UnknownToken,
    /// A token whose time is over.
    Expired,
    /// A token that was revoked.
    Revoked,
    /// A token of a disabled user.
    Disabled,
    /// A sound token for something that it is not for.
    Forbidden,
    /// More requests than there may be.
    TooMany,
    /// A change that was allowed to be asked for, and refused for what it was.
    Failed,
}

impl RefusedReason {
    /// All of them.
    pub const ALL: [RefusedReason; 8] = [
        RefusedReason::NoToken,
        RefusedReason::UnknownToken,
        RefusedReason::Expired,
        RefusedReason::Revoked,
        RefusedReason::Disabled,
        RefusedReason::Forbidden,
        RefusedReason::TooMany,
        RefusedReason::Failed,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusedReason::NoToken => "no_token",
            RefusedReason::UnknownToken => "unknown_token",
            RefusedReason::Expired => "expired",
            RefusedReason::Revoked => "revoked",
            RefusedReason::Disabled => "disabled",
            RefusedReason::Forbidden => "forbidden",
            RefusedReason::TooMany => "too_many",
            RefusedReason::Failed => "failed",
        }
    }
}

/// How many were refused on a day for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The beginning of the day (UTC).
    pub day: Timestamp,
    /// Why.
    pub reason: RefusedReason,
    /// How many.
    pub count: u64,
}

/// Counts that are not written down yet. Time is an argument.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<(i64, RefusedReason), u64>,
    written_at: i64,
}

/// Counts on their way to the disk.
pub(crate) type Counts = BTreeMap<(i64, RefusedReason), u64>;

impl Tally {
    /// Counts one; answers what is to be written down now, if anything.
    pub fn count(&mut self, reason: RefusedReason, now: Timestamp) -> Option<Counts> {
        *self.counts.entry((now.0.div_euclid(DAY_MS), reason)).or_default() += 1;
        // A clock that was set back must not silence it.
        let due = (now.0 - self.written_at).abs() >= EVERY_MS;
        due.then(|| {
            self.written_at = now.0;
            self.take()
        })
    }

    /// Everything that is not written down yet.
    pub fn take(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

impl PeopleFile {
    /// Adds counts to those of their days, and forgets days that are long past.
    pub(crate) fn add_refused(&mut self, counts: &Counts, now: Timestamp) -> Result<(), PeopleError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "insert into refused (day, reason, count) values (?1, ?2, ?3)
             on conflict (day, reason) do update set count = count + ?3";
        for ((day, reason), count) in counts {
            transaction.execute(sql, params![day, reason.as_str(), i64::try_from(*count).unwrap_or(i64::MAX)])?;
        }
        transaction.execute("delete from refused where day < ?", [now.0.div_euclid(DAY_MS) - DAYS])?;
        transaction.commit()?;
        Ok(())
    }

    /// How many were refused, the latest day first.
    pub fn refused(&mut self) -> Result<Vec<Refused>, PeopleError> {
        let mut select = self.db.prepare("select day, reason, count from refused order by day desc, reason")?;
        let rows =
            select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))?;
        rows.map(|row| {
            let (day, reason, count) = row?;
            let reason = RefusedReason::ALL.into_iter().find(|known| known.as_str() == reason);
            let reason = reason.ok_or(PeopleError::Damaged("a reason of refusals"))?;
            Ok(Refused { day: Timestamp(day * DAY_MS), reason, count: count.unsigned_abs() })
        })
        .collect()
    }
}
