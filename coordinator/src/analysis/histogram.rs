//! The driver of a histogram: a table whose last key is the bin, with the bin's edges beside its label.
//!
//! It publishes what the table does, no more: edges are the study's own.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::HistogramSpec;
use bocage_protocol::plan::ValidPlan;

use super::table::TableDriver;
use super::{Setting, SiteAnswer};
use crate::api::types::{AnalysisResult, Block, Value};

/// The driver of one histogram.
#[derive(Debug)]
pub struct HistogramDriver {
    table: TableDriver,
    edges: Vec<f64>,
}

/// The edges of a bin. What is open has none.
type Edges = (Option<f64>, Option<f64>);

impl HistogramDriver {
    pub(super) fn new(setting: Setting, spec: &HistogramSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        Ok(Self { table: TableDriver::new(setting, spec.table(), plan)?, edges: spec.bins.clone() })
    }

    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        self.table.publish_as(answers, |block, step| with_edges(block, &self.edges_at(step)))
    }

    /// The edges of the bin of each cell of a step: from the first to the last of the asked bins that it contains.
    fn edges_at(&self, step: usize) -> Vec<Edges> {
        let layout = self.table.layout();
        let levels = layout.keys_at(0).last().map_or(1, |bin| bin.labels.len());
        let mut edges: Vec<Option<Edges>> = vec![None; layout.cells_at(step)];
        for (fine, coarse) in layout.containing(0, step).into_iter().enumerate() {
            let (from, to) = self.edges_of(fine % levels);
            edges[coarse] = Some(edges[coarse].map_or((from, to), |(first, _)| (first, to)));
        }
        edges.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The edges of an asked bin; the level after the last bin stands for missing values and has none.
    fn edges_of(&self, bin: usize) -> Edges {
        let below = bin.checked_sub(1).and_then(|i| self.edges.get(i)).copied();
        if bin > self.edges.len() { (None, None) } else { (below, self.edges.get(bin).copied()) }
    }
}

/// The block with the columns `from` and `to` before the count.
fn with_edges(mut block: Block, edges: &[Edges]) -> Block {
    let count = block.columns.len() - 1;
    block.columns.splice(count..count, ["from".to_owned(), "to".to_owned()]);
    let value = |edge: Option<f64>| edge.map_or(Value::Null, Value::Number);
    for (row, (from, to)) in block.rows.iter_mut().zip(edges) {
        row.splice(count..count, [value(*from), value(*to)]);
    }
    block.hidden.iter_mut().for_each(|hidden| hidden.column += 2);
    block.within.iter_mut().for_each(|within| within.column += 2);
    block
}
