//! Pieces of an export: what rows are made of by one thread, whatever others do with those before and behind it.

use std::ops::Range;
use std::sync::Arc;

use super::bundle::Document;
use super::lines::{Block, Line};
use super::report::{Report, What};
use super::resources::{Id, Resources};
use crate::view::{Batch, View};

/// What the rows of a piece take before the rest of it becomes another.
const ROWS_BYTES: usize = 2 << 20;

/// Some resources of one file.
pub enum Piece {
    /// Those that stand on lines.
    Lines(Block),
    /// Those of a Bundle.
    Entries(Arc<Document>, Range<usize>),
}

/// What became of a piece.
#[derive(Default)]
pub struct Made {
    /// Its rows.
    pub batch: Batch,
    /// What was found in it.
    pub report: Report,
    /// Ids of its resources.
    pub ids: Vec<Id>,
    /// What is left of it, if its rows would take too much at once.
    pub rest: Option<Piece>,
}

impl Piece {
    /// Makes rows of it, or of its beginning.
    pub fn rows(mut self, view: &View, file: &str) -> Made {
        let mut resources = Resources::new(view, file);
        let mut batch = Batch::new(view.columns().len());
        while batch.bytes() < ROWS_BYTES {
            match &mut self {
                Piece::Lines(block) => match block.next() {
                    Some((Line::Bytes(bytes), number)) => resources.line(bytes, number, &mut batch),
                    Some((Line::TooLong, number)) => resources.found(What::TooLong, number, None),
                    None => break,
                },
                Piece::Entries(document, entries) => match entries.next() {
                    Some(next) => resources.entry(document, &document.entries[next], &mut batch),
                    None => break,
                },
            }
        }
        let over = match &self {
            Piece::Lines(block) => block.is_over(),
            Piece::Entries(_, entries) => entries.is_empty(),
        };
        Made { batch, report: resources.report, ids: resources.ids, rest: (!over).then_some(self) }
    }
}
