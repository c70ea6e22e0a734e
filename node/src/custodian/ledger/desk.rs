//! Finding what people said: few records among many, so they have indices of their own. It only reads.

use std::collections::BTreeSet;

use bocage_protocol::ids::StudyId;
use rusqlite::params;

use super::record::{COLUMNS, Record};
use super::{Ledger, LedgerError};

const AT_THE_DESK: &str = "kind IN ('pending', 'approval', 'denial')";
const PAUSES: &str = "kind IN ('pause', 'resume')";
const RESTORED: &str = "kind IN ('restored', 'accepted')";

/// Aids for searching, no part of the chain. SQLite uses one only for the very same condition.
pub(super) const INDEX: &str = "
CREATE INDEX IF NOT EXISTS record_desk ON record (seq) WHERE kind IN ('pending', 'approval', 'denial');
CREATE INDEX IF NOT EXISTS record_pause ON record (seq) WHERE kind IN ('pause', 'resume');
CREATE INDEX IF NOT EXISTS record_restored ON record (seq) WHERE kind IN ('restored', 'accepted');
";

impl Ledger {
    /// Calls `each` with what was said about a study, or about all, in its order. Of a pending study the payload is left out.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn at_the_desk(&self, study: Option<&StudyId>, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        let columns = COLUMNS.replace("payload", "CASE kind WHEN 'pending' THEN NULL ELSE payload END");
        let sql = |of: &str| format!("SELECT {columns} FROM record WHERE {AT_THE_DESK}{of} ORDER BY seq");
        match study {
            Some(study) => self.each(&sql(" AND study = ?1"), params![study.to_string()], each),
            None => self.each(&sql(""), [], each),
        }
    }

    /// Calls `each` with all pauses and their ends, in their order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn pauses(&self, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        self.each(&format!("SELECT {COLUMNS} FROM record WHERE {PAUSES} ORDER BY seq"), [], each)
    }

    /// Calls `each` with what says that the ledger is an older copy, and that a person accepted it, in their order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn restorations(&self, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        self.each(&format!("SELECT {COLUMNS} FROM record WHERE {RESTORED} ORDER BY seq"), [], each)
    }

    /// Calls `each` with what came of a study, in its order: releases and refusals, without payloads.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn outcomes(&self, study: &StudyId, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        let columns = COLUMNS.replace("payload", "NULL");
        // The plus keeps SQLite from walking through all releases and refusals of the site.
        let kinds = "+kind IN ('release', 'refusal')";
        let sql = format!("SELECT {columns} FROM record WHERE study = ?1 AND {kinds} ORDER BY seq");
        self.each(&sql, params![study.to_string()], each)
    }

    /// The studies that were asked here, whose ids begin so.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn asked(&self, beginning: &str) -> Result<Vec<StudyId>, LedgerError> {
        let mut asked = BTreeSet::new();
        let of = "kind = 'request' AND substr(study, 1, length(?1)) = ?1";
        let columns = COLUMNS.replace("payload", "NULL");
        self.each(&format!("SELECT {columns} FROM record WHERE {of}"), params![beginning], |record| {
            asked.extend(record.study.and_then(|study| study.parse::<StudyId>().ok()));
        })?;
        Ok(asked.into_iter().collect())
    }

    /// Calls `each` with all requests, pending studies, decisions and releases, in their order, without payloads.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn asked_and_released(&self, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        let columns = COLUMNS.replace("payload", "NULL");
        let kinds = "kind IN ('request', 'pending', 'decision', 'release')";
        self.each(&format!("SELECT {columns} FROM record WHERE {kinds} ORDER BY seq"), [], each)
    }
}
