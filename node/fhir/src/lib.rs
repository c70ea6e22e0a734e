//! FHIR exports as tables: NDJSON folders and Bundles in, rows of texts out, by view definitions of SQL-on-FHIR v2.
//!
//! ```text
//! ViewDefinition ─▶ view::View ───────────────┐
//! files ─ read ─▶ lines, entries ─ json ─▶ Value ─ view::rows ─▶ Batch
//! ```
//!
//! It knows no contract and no frame: the node makes typed columns of the texts. It must never repeat a value of the data: what it
//! reports names files, lines and columns.

mod json;
mod moment;
mod names;
pub mod pack;
mod path;
mod read;
mod reference;
mod view;

pub use json::Malformed;
pub use path::Trouble;
pub use read::{At, Damaged, DamagedFile, Finding, How, Place, Places, Progress, ReadError, Reader, Report, What};
pub use view::{Batch, Column, Texts, View};
