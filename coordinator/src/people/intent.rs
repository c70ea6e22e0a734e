//! Changes that are under way. The store and the audit are two files, so no transaction spans both: what is about to be changed over HTTP is written
//! down before, and becomes an entry of the audit afterwards. What a coordinator's sudden end leaves here becomes an entry at its next start, with
//! no status: the change may have been made. So there is no change without its entry.

use bocage_protocol::env::Timestamp;
use rusqlite::{TransactionBehavior, params};

use super::audit::append;
use super::{Act, PeopleError, PeopleFile};

/// A change that is under way.
#[derive(Debug)]
#[must_use = "it stands until it is done"]
pub(crate) struct Intent(i64);

type Result<T> = std::result::Result<T, PeopleError>;

impl PeopleFile {
    /// Writes down what is about to be changed.
    ///
    /// # Errors
    /// It could not be made durable: nothing may be changed then.
    pub(crate) fn intend(&mut self, act: &Act, now: Timestamp) -> Result<Intent> {
        let text = serde_json::to_string(act).map_err(|_| PeopleError::Damaged("a change that is under way"))?;
        self.db.execute("insert into intents (at, act) values (?, ?)", params![now.0, text])?;
        Ok(Intent(self.db.last_insert_rowid()))
    }

    /// Ends an intent: by an entry of the audit, or by none where nothing was changed.
    ///
    /// # Errors
    /// It could not be made durable: the intent stands, and is an entry from the next start on.
    pub(crate) fn done(&mut self, Intent(number): Intent, act: Option<&Act>, now: Timestamp) -> Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("delete from intents where number = ?", [number])?;
        if let Some(act) = act {
            append(&transaction, act, now)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Makes entries of what the last life of the coordinator left under way; answers how many. For the coordinator alone, at its start.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn settle_intents(&mut self) -> Result<usize> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut select = transaction.prepare("select at, act from intents order by number")?;
        let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        let left = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(select);
        for (at, act) in &left {
            let act = serde_json::from_str(act).map_err(|_| PeopleError::Damaged("a change that is under way"))?;
            append(&transaction, &act, Timestamp(*at))?;
        }
        transaction.execute("delete from intents", [])?;
        transaction.commit()?;
        Ok(left.len())
    }
}
