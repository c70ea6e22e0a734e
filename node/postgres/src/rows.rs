//! The rows, through a cursor on the server: so many are asked for at a time, and handed on as soon as they are a batch.

use std::pin::Pin;

use bocage_protocol::limits::SOURCE_LINE_BYTES;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, RowStream, Statement};

use super::session::{Answer, Session};
use super::{Batch, PgError};

/// Rows that the server is asked for at a time, and that a batch has at most.
const FETCH_ROWS: u64 = 4096;
/// A batch is handed on when its texts have so many bytes.
const BATCH_BYTES: usize = 8 << 20;

const TOO_LONG: &str = "a value is longer than 1 MiB\n  hint: use a query that leaves it out, or cut it there";

/// Rows that are being read. Batches come in the order of the server.
pub struct Rows {
    // Before the session: it holds a part of it.
    fetching: Option<Pin<Box<RowStream>>>,
    fetch: Statement,
    session: Session,
    /// Names of the wanted columns.
    names: Vec<String>,
    rows: u64,
    /// Rows of the running `FETCH`.
    fetched: u64,
    done: bool,
}

impl Rows {
    pub(crate) fn begin(session: Session, select: &str, names: Vec<String>) -> Result<Self, PgError> {
        let declare = format!("declare bocage_rows no scroll cursor without hold for {select}");
        let fetch = format!("fetch forward {FETCH_ROWS} from bocage_rows");
        let at = session.at(0);
        // Prepared first, which takes one statement only: what stands in a query cannot become a second one.
        session.wait(0, |client| client.prepare(select))?.map_err(|e| at.preparing(&e))?;
        session.wait(0, |client| client.batch_execute(&declare))?.map_err(|e| at.reading(&e))?;
        let fetch = session.wait(0, |client| client.prepare(&fetch))?.map_err(|e| at.reading(&e))?;
        Ok(Self { fetching: None, fetch, session, names, rows: 0, fetched: 0, done: false })
    }

    /// The next rows; `None` behind the last. It blocks, and must not be called from within a `tokio` runtime.
    ///
    /// # Errors
    /// The run is over then, and what came before is not the whole of anything.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, PgError> {
        let mut batch = Batch::new(self.names.len());
        while !self.done && batch.rows < FETCH_ROWS as usize && batch.bytes() < BATCH_BYTES {
            match self.next_row()? {
                Some(row) => {
                    self.take(&row, &mut batch)?;
                }
                None if self.fetched < FETCH_ROWS => self.done = true,
                None => {}
            }
        }
        if self.fetching.is_some() {
            self.session.leave_running();
        }
        Ok((batch.rows > 0).then_some(batch))
    }

    /// How many rows have come.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next row of a `FETCH`, which is begun where none runs; `None` where it ends.
    fn next_row(&mut self) -> Result<Option<Row>, PgError> {
        let at = self.session.at(self.rows);
        let mut fetching = match self.fetching.take() {
            Some(fetching) => fetching,
            None => {
                self.fetched = 0;
                let none: [&(dyn ToSql + Sync); 0] = [];
                let fetch = &self.fetch;
                let begun = self.session.wait(self.rows, |client| client.query_raw(fetch, none))?;
                Box::pin(begun.map_err(|e| at.reading(&e))?)
            }
        };
        // Most rows have come along with the one before.
        let row: Option<Answer<Row>> = match fetching.next().now_or_never() {
            Some(row) => row,
            None => self.session.wait(self.rows, |_| fetching.next())?,
        };
        self.session.allowance.renew();
        let Some(row) = row else { return Ok(None) };
        let row = row.map_err(|e| at.reading(&e))?;
        self.fetching = Some(fetching);
        self.fetched += 1;
        self.rows += 1;
        Ok(Some(row))
    }

    /// Adds a row to a batch.
    fn take(&self, row: &Row, batch: &mut Batch) -> Result<(), PgError> {
        let texts = (0..self.names.len()).map(|i| row.try_get(i)).collect::<Result<Vec<Option<&str>>, _>>();
        let texts = texts.map_err(|_| self.session.at(self.rows).gone("the server sent what is no text"))?;
        for ((name, text), column) in self.names.iter().zip(texts).zip(&mut batch.columns) {
            if text.is_some_and(|text| text.len() > SOURCE_LINE_BYTES) {
                return Err(self.session.column(name, Some(self.rows), TOO_LONG));
            }
            column.push(text);
        }
        batch.rows += 1;
        Ok(())
    }
}
