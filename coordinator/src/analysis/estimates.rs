//! Blocks of statistics: rows of names and numbers, where what is not given has a reason.

use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;

use super::Setting;
use super::association::{Estimate, Test};
use crate::api::types::{Block, Coverage, Hidden, HiddenReason, Value};

/// The headings of tests.
const TESTS: [&str; 6] = ["test", "group", "statistic", "df", "df_2", "p"];

/// Rows of texts and then numbers.
pub(super) struct Statistics {
    block: Block,
}

impl Statistics {
    /// Under these headings.
    pub(super) fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { block: Block { columns: columns.into_iter().map(Into::into).collect(), ..Block::default() } }
    }

    /// Tests, each a row.
    pub(super) fn tests() -> Self {
        Self::new(TESTS)
    }

    /// A row; each number that there is not for `reason`.
    pub(super) fn row(&mut self, names: &[&str], numbers: &[Option<f64>], reason: HiddenReason) {
        let row = self.block.rows.len();
        let mut values: Vec<Value> = names.iter().map(|name| Value::Text((*name).to_owned())).collect();
        for number in numbers {
            let finite = number.filter(|x| x.is_finite());
            let value = self.block.value_or_hidden(row, values.len(), finite, reason);
            values.push(value);
        }
        self.block.rows.push(values);
    }

    /// A row of a number and its interval.
    pub(super) fn estimate(&mut self, names: &[&str], estimate: Option<Estimate>, reason: HiddenReason) {
        self.row(names, &[estimate.map(|e| e.value), estimate.map(|e| e.from), estimate.map(|e| e.to)], reason);
    }

    /// A row of a number that has no interval.
    pub(super) fn number(&mut self, names: &[&str], number: Option<f64>, reason: HiddenReason) {
        self.row(names, &[number], reason);
        self.pad();
    }

    /// A row of a test, under the headings of [`Statistics::tests`].
    pub(super) fn test(&mut self, name: &str, group: &str, test: Option<Test>, reason: HiddenReason) {
        let row = self.block.rows.len();
        let mut values = vec![Value::Text(name.to_owned()), Value::Text(group.to_owned())];
        match test {
            Some(test) => {
                let or_nothing = |x: Option<f64>| x.map_or(Value::Null, Value::Number);
                values.extend([
                    Value::Number(test.statistic),
                    or_nothing(test.df),
                    or_nothing(test.df_2),
                    Value::Number(test.p),
                ]);
            }
            None => {
                for column in [2, 5] {
                    self.block.hidden.push(Hidden { row, column, interval: None, reason });
                }
                values.extend([Value::Null, Value::Null, Value::Null, Value::Null]);
            }
        }
        self.block.rows.push(values);
    }

    /// A row of an exact test: it has a chance and no statistic.
    pub(super) fn chance(&mut self, name: &str, group: &str, p: Option<f64>, reason: HiddenReason) {
        let row = self.block.rows.len();
        let names = [name, group].map(|text| Value::Text(text.to_owned()));
        let p = self.block.value_or_hidden(row, 5, p, reason);
        self.block.rows.push(names.into_iter().chain([Value::Null, Value::Null, Value::Null, p]).collect());
    }

    /// The last row's numbers follow from such that stand for so much.
    pub(super) fn covered(&mut self, by: Option<&Coverage>) {
        let row = self.block.rows.len().saturating_sub(1);
        self.block.cover(row, 0..self.block.columns.len(), by);
    }

    /// The last row's further values do not exist.
    fn pad(&mut self) {
        let width = self.block.columns.len();
        if let Some(row) = self.block.rows.last_mut() {
            row.resize(width, Value::Null);
        }
    }

    pub(super) fn block(self) -> Block {
        self.block
    }
}

/// Intervals and tests take rows for patients who have nothing to do with each other.
///
/// # Errors
/// `study_invalid` where a patient can have several rows.
pub(super) fn independent(setting: &Setting) -> Result<(), PublicError> {
    if setting.one_row_per_subject {
        return Ok(());
    }
    let message = format!("analysis `{}`: a patient can have several rows, which are not independent", setting.name);
    Err(PublicError::new(ErrorCode::StudyInvalid, message).hint("count a table with one row a patient"))
}
