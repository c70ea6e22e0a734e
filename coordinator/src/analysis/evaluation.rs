//! Puts together what an evaluation of a score was signed as: its area and curve, its probabilities, their calibration. It never knows more than the
//! parts published.

use bocage_protocol::analysis::{AnalysisSpec, Confidence, Spec, Whole};
use bocage_protocol::ids::AnalysisName;
use bocage_protocol::plan::MISSING;

use super::association::points;
use super::association::proportions::Share;
use super::roc::COLUMNS;
use crate::api::types::{AnalysisResult, Block, NamedBlock, Value};

/// The headings of the calibration by bands.
const BANDS: [&str; 5] = ["expected", "patients", "observed", "from", "to"];

/// Puts the parts of one evaluation together.
pub(super) fn put_together<'a>(
    name: &AnalysisName,
    parts: impl Iterator<Item = &'a (&'a AnalysisSpec, AnalysisResult)>,
) -> AnalysisResult {
    let mut block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
    let (mut notes, mut also): (Vec<String>, Vec<NamedBlock>) = (Vec::new(), Vec::new());
    let mut confidence = Confidence::default();
    for (spec, result) in parts {
        let what = match &spec.spec {
            // It comes first, and has that of all parts.
            Spec::Roc(roc) => {
                confidence = roc.confidence;
                block.rows.extend(result.block.rows.iter().cloned());
                block.hidden.extend(result.block.hidden.iter().cloned());
                block.coverage.extend(result.block.coverage.iter().cloned());
                also.extend(result.also.iter().cloned());
                "curve"
            }
            Spec::Scored(_) => {
                let wanted = ["Brier score", "scaled Brier score", "observed over expected"];
                let rows = result.block.rows.iter().filter(|row| wanted.iter().any(|name| is(row, name)));
                block.rows.extend(rows.map(|row| padded(row.clone())));
                also.push(NamedBlock { title: "probabilities".to_owned(), block: result.block.clone() });
                "probabilities"
            }
            Spec::Model(model) if model.columns().count() == 1 => {
                block.rows.extend(estimate(&result.block, "(intercept)", "calibration intercept", 0.0));
                "calibration intercept"
            }
            // The linear predictor is in the offset, too.
            Spec::Model(model) => {
                let slope = model.columns().nth(1).map_or("", |column| column.label.as_str());
                block.rows.extend(estimate(&result.block, slope, "calibration slope", 1.0));
                "calibration slope"
            }
            _ => {
                also.push(NamedBlock {
                    title: "calibration".to_owned(),
                    block: calibration(&result.block, confidence),
                });
                "calibration"
            }
        };
        for note in &result.notes {
            // A regression says what it is and explains; here it is a part of something else.
            if ![" regression with ", "pseudo R-squared"].iter().any(|own| note.contains(own)) {
                notes.push(format!("{what}: {note}"));
            }
        }
    }
    let (name, kind) = (name.clone(), Whole::Evaluation.kind().to_owned());
    AnalysisResult { name, kind, block, notes, rolled_up: None, also, absent: vec![] }
}

fn is(row: &[Value], name: &str) -> bool {
    row.first() == Some(&Value::Text(name.to_owned()))
}

/// As wide as the headings.
fn padded(mut row: Vec<Value>) -> Vec<Value> {
    row.resize(COLUMNS.len(), Value::Null);
    row
}

/// A coefficient with its interval, moved by what stands in the offset.
fn estimate(of: &Block, term: &str, name: &str, moved: f64) -> Option<Vec<Value>> {
    let row = of.rows.iter().find(|row| is(row, term))?;
    let number = |heading: &str| {
        let at = of.columns.iter().position(|column| column == heading)?;
        match row.get(at)? {
            Value::Number(x) => Some(Value::Number(x + moved)),
            _ => None,
        }
    };
    let [value, from, to] = ["estimate", "from", "to"].map(|heading| number(heading).unwrap_or(Value::Null));
    Some(padded(vec![Value::Text(name.to_owned()), value, from, to]))
}

/// What came of patients in each band of what was expected of them, with Wilson's interval (1927); nothing where a site hides it.
fn calibration(table: &Block, confidence: Confidence) -> Block {
    let mut block = Block { columns: BANDS.map(str::to_owned).to_vec(), ..Block::default() };
    let z = points::z(confidence.share());
    for (at, row) in table.rows.iter().enumerate().filter(|(_, row)| !is(row, MISSING)) {
        let to = block.rows.len();
        let covered = table.coverage_of(at, 2);
        let share = match (row.get(2), covered) {
            (Some(Value::Number(share)), Some(covered)) => {
                let with = (share * covered.n as f64).round() as u64;
                Share { with, n: covered.n }.wilson(z)
            }
            _ => None,
        };
        let mut values = vec![row[0].clone(), block.copy(to, 1, table, (at, 1))];
        match share {
            Some(share) => values.extend([share.value, share.from, share.to].map(Value::Number)),
            None => {
                values.push(block.copy(to, 2, table, (at, 2)));
                values.extend([Value::Null, Value::Null]);
            }
        }
        block.rows.push(values);
        block.cover(to, 2..BANDS.len(), covered);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Coverage, Interval};

    #[test]
    fn what_was_observed_at_some_sites_says_of_how_many_it_is() {
        let rows = vec![
            vec![Value::Text("[0.7,0.8)".into()), Value::Count(406), Value::Number(311.0 / 406.0)],
            vec![Value::Text("[0.8,0.9)".into()), Value::Count(76), Value::Number(41.0 / 51.0)],
        ];
        let of = |row, n, of| Coverage { row, column: 2, n, of: Interval(of, Some(of)), off: 0 };
        let coverage = vec![of(0, 406, 406), of(1, 51, 76)];
        let table = Block {
            columns: BANDS[..3].iter().map(|name| (*name).to_owned()).collect(),
            rows,
            coverage,
            ..Block::default()
        };
        let block = calibration(&table, Confidence::default());
        let band: Vec<(usize, u64)> = block.coverage.iter().filter(|c| c.row == 1).map(|c| (c.column, c.n)).collect();
        assert_eq!(band, [(2, 51), (3, 51), (4, 51)]);
        assert!(block.coverage.iter().all(|c| (c.of == Interval(c.n, Some(c.n))) == (c.row == 0)), "{block:?}");
        assert_eq!(block.rows[1][2], Value::Number(41.0 / 51.0));
    }
}
