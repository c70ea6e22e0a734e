//! `crosstab = { rows, columns, roll_up }`: two keys against each other.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{CrosstabSpec, Spec};
use crate::plan::TypeProblem;
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawCrosstab {
    rows: String,
    columns: String,
    roll_up: Option<bool>,
}

impl Binding<'_> {
    pub(super) fn crosstab(&mut self, key: &str, raw: &RawCrosstab) -> Option<Spec> {
        let rows = self.levelled_key(&join(key, "crosstab.rows"), &raw.rows);
        let columns = self.levelled_key(&join(key, "crosstab.columns"), &raw.columns);
        let (rows, columns) = rows.zip(columns)?;
        if rows.key == columns.key {
            let problem = TypeProblem::new("rows and columns are the same key");
            return self.refuse(&join(key, "crosstab.columns"), problem.hint("name two different ones"));
        }
        Some(Spec::Crosstab(CrosstabSpec { rows, columns, roll_up: raw.roll_up.unwrap_or(true) }))
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(place: &str) -> String {
    match place {
        "by[0]" => "crosstab.rows",
        "by[1]" => "crosstab.columns",
        _ => "crosstab",
    }
    .to_owned()
}
