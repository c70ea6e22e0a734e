//! What was reserved about the same cells, whichever study asked.

use bocage_protocol::ids::Digest;
use rusqlite::params;

use super::bodies::Reservation;
use super::record::COLUMNS;
use super::{Ledger, LedgerError};

impl Ledger {
    /// The reservations that may have answered about these cells, each with its study and round.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn compared(
        &self,
        compares: &Digest,
        mut each: impl FnMut(Option<String>, Option<i64>, Reservation),
    ) -> Result<(), LedgerError> {
        // What does not name the cells is not even read as JSON.
        let sql =
            format!("SELECT {COLUMNS} FROM record WHERE kind = 'reservation' AND instr(body, ?1) > 0 ORDER BY seq");
        self.each(&sql, params![compares.to_string()], |record| {
            if let Some(body) = record.body::<Reservation>() {
                each(record.study, record.round, body);
            }
        })
    }
}
