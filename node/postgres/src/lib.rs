//! Rows of a hospital's PostgreSQL as texts, read by a role that may only read.
//!
//! ```text
//! node.toml ─▶ PostgresSource ─▶ Opened (one read-only transaction; the role and the columns are looked at) ─▶ Rows ─▶ Batch, Batch, …
//! ```
//!
//! All rows of a run stand together: one `REPEATABLE READ` transaction sees one state of the database, whatever is written meanwhile. Values come
//! as exact texts, through a cursor on the server, so that memory follows a batch and never the table.
//!
//! It must never write, and never repeat a value in an error: errors name the server, the table, a column, a number of a row and the SQLSTATE. What a
//! server says of an error (its `DETAIL` above all) can hold values, so it is repeated only where no row was looked at yet.

mod batch;
mod columns;
mod error;
mod role;
mod rows;
mod session;
mod settings;
mod socket;
mod tls;

pub use batch::{Batch, Texts};
pub use columns::{Form, PgColumn};
pub use error::PgError;
pub use rows::Rows;
pub use session::{Interrupt, Opened};
pub use settings::{PostgresSource, Relation, Tls};
