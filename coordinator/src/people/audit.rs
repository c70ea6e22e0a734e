//! What was changed, by whom: entries that are only ever added, each with the hash of all before it.
//!
//! Whoever has noted one hash can see later whether everything up to it still is as it was. An entry is made when a change was made, or may have
//! been ([`super::intent`]); what was refused is counted ([`super::refused`]).

use std::collections::BTreeSet;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, TokenId};
use bocage_protocol::trust::canonical;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PeopleError, PeopleFile, Role};

const DOMAIN: &str = "bocage/audit/1";

/// A change, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// The user, or `uid N` for a command on the coordinator's machine.
    pub who: String,
    /// The token.
    pub token: Option<TokenId>,
    /// What the user was then.
    pub roles: BTreeSet<Role>,
    /// The route, or the command.
    pub action: String,
    /// What it was about: an id or a name.
    pub subject: String,
    /// The HTTP status of the answer. None of a command; nor of a change over HTTP that the coordinator's end cut short, which may have been made.
    pub status: Option<u16>,
    /// Where the request came from.
    pub address: Option<String>,
}

/// A change as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// From 1, without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// An entry with its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audited {
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// SHA-256 of the hash before it and of the entry's canonical JSON.
    pub hash: Digest,
}

/// Where the chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit does not hold at entry {number}: {what}")]
pub struct Broken {
    /// The entry.
    pub number: u64,
    /// What is wrong.
    pub what: &'static str,
}

type Result<T> = std::result::Result<T, PeopleError>;

impl PeopleFile {
    /// Adds an entry.
    ///
    /// # Errors
    /// It could not be made durable.
    pub fn audit(&mut self, act: &Act, now: Timestamp) -> Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        append(&transaction, act, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// The entries behind number `after`, at most `most`.
    pub fn audited(&mut self, after: u64, most: usize) -> Result<Vec<Audited>> {
        let sql = "select entry, hash from audit where number > ? order by number limit ?";
        let mut select = self.db.prepare_cached(sql)?;
        let (after, most) = (i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(most).unwrap_or(i64::MAX));
        let rows = select.query_map([after, most], text)?;
        rows.map(|row| {
            let (entry, hash) = row?;
            let entry = serde_json::from_str(&entry).map_err(|_| PeopleError::Damaged("an entry of the audit"))?;
            let hash = hash.parse().map_err(|_| PeopleError::Damaged("a hash of the audit"))?;
            Ok(Audited { entry, hash })
        })
        .collect()
    }

    /// How many entries there are, and the hash of the last, if all of them hold and one of them has the hash `noted`, where one is given.
    ///
    /// # Errors
    /// The file cannot be read. That the chain does not hold is the inner error.
    pub fn verify_audit(
        &mut self,
        noted: Option<Digest>,
    ) -> Result<std::result::Result<(u64, Option<Digest>), Broken>> {
        let mut select = self.db.prepare("select entry, hash, number from audit order by number")?;
        let mut rows = select.query([])?;
        let (mut last, mut count, mut seen) = (None, 0_u64, noted.is_none());
        while let Some(row) = rows.next()? {
            let (entry, hash) = text(row)?;
            let number: i64 = row.get(2)?;
            count += 1;
            let broken = |what| Ok(Err(Broken { number: count, what }));
            if u64::try_from(number) != Ok(count) {
                return broken("it is missing");
            }
            let next = link(last, &entry);
            if next.to_string() != hash {
                return broken("its hash is not that of its text and of what stands before it");
            }
            if serde_json::from_str::<Entry>(&entry).map_or(true, |entry| entry.number != count) {
                return broken("it is no entry of this number");
            }
            seen |= noted == Some(next);
            last = Some(next);
        }
        if !seen {
            return Ok(Err(Broken {
                number: count + 1,
                what: "the hash that was noted is not there: entries are missing at the end, or all were made anew",
            }));
        }
        Ok(Ok((count, last)))
    }
}

/// Adds an entry within a transaction of its change.
pub(super) fn append(db: &Connection, act: &Act, now: Timestamp) -> Result<()> {
    let sql = "select number, hash from audit order by number desc limit 1";
    let last: Option<(i64, String)> = db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (number, hash) = match last {
        Some((number, hash)) => (number, Some(hash.parse().map_err(|_| PeopleError::Damaged("a hash of the audit"))?)),
        None => (0, None),
    };
    let entry = Entry { number: number.unsigned_abs() + 1, at: now, act: act.clone() };
    let bytes = canonical(&entry).map_err(|_| PeopleError::Damaged("an entry of the audit"))?;
    let entry = String::from_utf8(bytes).map_err(|_| PeopleError::Damaged("an entry of the audit"))?;
    let hash = link(hash, &entry);
    db.execute(
        "insert into audit (number, entry, hash) values (?, ?, ?)",
        params![number + 1, entry, hash.to_string()],
    )?;
    Ok(())
}

fn link(before: Option<Digest>, entry: &str) -> Digest {
    let before = before.map_or_else(Vec::new, |digest| digest.as_bytes().to_vec());
    Digest::of(DOMAIN, &[&before, entry.as_bytes()])
}

fn text(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}
