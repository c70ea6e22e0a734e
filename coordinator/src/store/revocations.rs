//! The newest list of revoked permits of each access body. It only ever goes forward.

use bocage_protocol::trust::{Revocations, SignedRevocations};
use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use super::{StoreError, StoreFile};

/// What became of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is the newest now.
    Newest,
    /// It was that already.
    Same,
    /// One of this larger number is kept.
    Behind(i64),
    /// Another one of the same number is kept.
    Other,
}

impl StoreFile {
    /// Keeps a list, unless a newer one of its access body is kept.
    pub fn keep_revocations(&mut self, signed: &SignedRevocations, list: &Revocations) -> Result<Kept, StoreError> {
        let (issuer, text) = (list.issuer.to_string(), signed.to_text());
        let new = i64::try_from(list.number).map_err(|_| StoreError::Damaged("a list's number"))?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let select = "select number, list from revocations where issuer = ?";
        let kept: Option<(i64, String)> =
            transaction.query_row(select, [&issuer], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match kept {
            Some((number, _)) if number > new => return Ok(Kept::Behind(number)),
            Some((number, kept)) if number == new => {
                return Ok(if kept == text { Kept::Same } else { Kept::Other });
            }
            _ => {}
        }
        let insert = "insert or replace into revocations (issuer, number, list) values (?, ?, ?)";
        transaction.execute(insert, params![issuer, new, text])?;
        transaction.commit()?;
        Ok(Kept::Newest)
    }

    /// The newest list of every access body that ever sent one.
    pub fn revocations(&mut self) -> Result<Vec<SignedRevocations>, StoreError> {
        let mut select = self.db.prepare("select list from revocations order by issuer")?;
        let rows = select.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|text| {
            SignedRevocations::from_text(&text?).map_err(|_| StoreError::Damaged("a list of revoked permits"))
        })
        .collect()
    }
}
