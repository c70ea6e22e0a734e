//! `table_one = { by, columns }`: every column by group. It is written as one analysis and signed as one for each column.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{AnalysisSpec, CompareSpec, Confidence, CrosstabSpec, Key, Outcome, Spec, SummaryPart, Whole};
use crate::ids::{AnalysisName, ColumnName};
use crate::plan::{Columns, Expr, Measure, TypeProblem, check_key, check_measure};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawTableOne {
    by: String,
    columns: Vec<ColumnName>,
}

impl Binding<'_> {
    pub(super) fn table_one(&mut self, key: &str, name: &AnalysisName, raw: &RawTableOne) -> Option<Vec<AnalysisSpec>> {
        let key = join(key, "table_one");
        self.independent(&key);
        let by = self.levelled_key(&join(&key, "by"), &raw.by);
        let place = join(&key, "columns");
        if raw.columns.is_empty() {
            let problem = TypeProblem::new("a table one is of one column or more");
            self.refuse::<()>(&place, problem.hint("e.g. columns = [\"age\", \"sex\"]"));
        }
        let by = by?;
        self.group_labels(&join(&key, "by"), &by)?;
        let mut parts = Vec::new();
        for (i, written) in raw.columns.iter().enumerate() {
            let column = self.relations.column(written);
            if raw.columns[..i].contains(written) {
                self.refuse::<()>(&format!("{place}[{i}]"), TypeProblem::new(format!("`{written}` is named twice")));
                continue;
            }
            match self.column_by_group(&column, &by) {
                Ok(spec) => {
                    let long = format!("{name}_{column}");
                    let Ok(part_name) = long.parse() else {
                        let problem =
                            TypeProblem::new(format!("a part of it would be named `{long}`, which is too long"));
                        self.refuse::<()>(&format!("{place}[{i}]"), problem.hint("give the analysis a shorter name"));
                        continue;
                    };
                    let part = SummaryPart { of: name.clone(), column, whole: Whole::TableOne };
                    parts.push(AnalysisSpec { name: part_name, spec, part: Some(part) });
                }
                Err(problem) => {
                    self.refuse::<()>(&format!("{place}[{i}]"), problem);
                }
            }
        }
        Some(parts)
    }

    /// What is asked of a column: means of a number, else counts by level.
    fn column_by_group(&self, column: &ColumnName, by: &Key) -> Result<Spec, TypeProblem> {
        Columns::Contract(self.contract()).type_of(column)?;
        let own = Key { label: column.to_string(), key: Expr::Column(column.clone()) };
        if own.key == by.key {
            return Err(TypeProblem::new("the groups are of this column").hint("leave it out of `columns`"));
        }
        let measure = Measure::Column(column.clone());
        if check_measure(&measure, self.contract()).is_ok() {
            let outcome = Outcome::Number { label: own.label, measure };
            let (by, confidence) = (by.clone(), Confidence::default());
            let spec = CompareSpec { outcome, by, reference: 0, scores: vec![], within_sites: false, confidence };
            return Ok(Spec::Compare(spec));
        }
        check_key(&own.key, self.contract()).map_err(|problem| match problem.hint {
            Some(_) => problem,
            None => problem.hint("name numbers, codes, conditions and their like"),
        })?;
        Ok(Spec::Crosstab(CrosstabSpec { rows: own, columns: by.clone(), roll_up: false }))
    }
}
