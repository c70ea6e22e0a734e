//! A number over declared edges, counted in one line for each group: the bins of many groups at once.
//!
//! The grid is declared, so that sites agree about it; it is no finer than what quantiles tell, or a patient's value would be known as exactly as
//! a researcher likes. Its cells may be far too narrow to leave a site: the gate merges those of each line by itself.

use serde::{Deserialize, Serialize};

use super::bins::Grid;
use super::typing::{Columns, TypeProblem, type_of};
use super::words::expression;
use super::{DateUnit, Expr, KeyLevels, Literal, Table};
use crate::contract::{Contract, Kind};
use crate::ids::ColumnName;
use crate::limits;

/// What is counted along which edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Every combination of these keys' levels is a line.
    pub by: Vec<Expr>,
    /// A number column, or the days between two date columns. Who has none stands in the first cell: a key of `by` tells who that is.
    pub of: Expr,
    /// The ascending edges e₁ < … < eₙ of the cells (−∞, e₁), [e₁, e₂), …, [eₙ, ∞).
    pub edges: Vec<f64>,
}

impl Lines {
    /// The same of other expressions.
    pub(super) fn map(&self, with: impl Fn(&Expr) -> Expr) -> Self {
        Self { by: self.by.iter().map(&with).collect(), of: with(&self.of), edges: self.edges.clone() }
    }

    pub(super) fn columns(&self) -> Vec<&ColumnName> {
        self.by.iter().chain([&self.of]).flat_map(Expr::columns).collect()
    }

    /// Groups and grid for people. `keys` are those of the table.
    pub(super) fn words(&self, keys: &[KeyLevels]) -> Vec<String> {
        let group = |(by, key): (&Expr, &KeyLevels)| format!("{} ({} groups)", expression(by), key.labels.len());
        let along = format!("{}, over {} declared intervals", expression(&self.of), self.edges.len() + 1);
        self.by.iter().zip(keys).map(group).chain([along]).collect()
    }

    /// The grid and the table over the cells of all lines, the grid's last.
    pub(super) fn lower(&self, contract: &Contract) -> Result<(Grid, Table), Vec<(String, TypeProblem)>> {
        let problems: Vec<(String, TypeProblem)> = [("edges", self.check_edges()), ("of", self.check_of(contract))]
            .into_iter()
            .filter_map(|(place, checked)| Some((place.to_owned(), checked.err()?)))
            .collect();
        let (Some(first), []) = (self.edges.first(), problems.as_slice()) else { return Err(problems) };
        let below = Expr::Literal(Literal::Float(first - 1.0));
        let along = Expr::Coalesce(vec![self.of.clone(), below]);
        let cell = Expr::Cut { of: Box::new(along), breaks: self.edges.clone() };
        let by = self.by.iter().cloned().chain([cell]).collect();
        Ok((Grid::Edges(self.edges.len()), Table { by, measures: Vec::new(), roll_up: false }))
    }

    pub(super) fn check_edges(&self) -> Result<(), TypeProblem> {
        let ascending = self.edges.windows(2).all(|w| w[0] < w[1]) && self.edges.iter().all(|edge| edge.is_finite());
        match ascending && (1..=limits::BREAKS).contains(&self.edges.len()) {
            true => Ok(()),
            false => Err(TypeProblem::new(format!("a grid has 1 to {} ascending edges", limits::BREAKS))
                .hint("e.g. 90, 180, 365")),
        }
    }

    /// Whether it is a number that may be told as finely as these edges.
    pub(super) fn check_of(&self, contract: &Contract) -> Result<(), TypeProblem> {
        let columns = Columns::Contract(contract);
        let found = type_of(&self.of, columns)?;
        let column = |of: &Expr| matches!(of, Expr::Column(_));
        let (lo, hi) = match &self.of {
            // Whole numbers: no cell tells more than one of them.
            Expr::Between { unit: DateUnit::Days, from, to } if column(from) && column(to) => return Ok(()),
            Expr::Column(name) => match contract.column(name.as_str()).map(|column| &column.kind) {
                Some(Kind::Int { .. }) => return Ok(()),
                Some(Kind::Float { lo, hi }) => (*lo, *hi),
                _ => return Err(not_counted(&self.of, &found.name())),
            },
            _ => return Err(not_counted(&self.of, &found.name())),
        };
        let step = (hi - lo) / limits::GRID_CELLS as f64;
        let inside = self.edges.iter().copied().filter(|edge| lo < *edge && *edge < hi);
        let all: Vec<f64> = std::iter::once(lo).chain(inside).chain([hi]).collect();
        if all.windows(2).all(|w| w[1] - w[0] >= step * (1.0 - 1e-9)) {
            return Ok(());
        }
        let of = expression(&self.of);
        let problem = TypeProblem::new(format!("the intervals of `{of}` are narrower than a thousandth of its range"));
        Err(problem.hint(format!("they are {step} wide at least, that at either end of its range too")))
    }
}

fn not_counted(of: &Expr, found: &str) -> TypeProblem {
    let of = expression(of);
    TypeProblem::new(format!("`{of}` is {found}, and not a number column or the days between two"))
        .hint("name a number column, or days_between(from, to) of two date columns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::parse;
    use crate::plan::{Bins, Plan, Statistic, ValidPlan};

    const CONTRACT: &str = r#"
        id = "demo@1"
        subject = "row"
        [[column]]
        name = "days"
        type = "int"
        range = [0, 5000]
        [[column]]
        name = "months"
        type = "float"
        range = [0, 100]
        [[column]]
        name = "begun"
        type = "date"
        range = ["2020-01-01", "2021-12-31"]
        [[column]]
        name = "ended"
        type = "date"
        range = ["2020-01-01", "2021-12-31"]
        [[column]]
        name = "ill"
        type = "bool"
        required = true
    "#;

    fn column(name: &str) -> Expr {
        Expr::Column(name.parse().unwrap())
    }

    fn checked(of: Expr, edges: &[f64]) -> Result<ValidPlan, String> {
        let contract = parse(CONTRACT, "demo.toml").unwrap();
        let lines = Lines { by: vec![column("ill")], of, edges: edges.to_vec() };
        let plan = Plan { query: contract.rows(None), statistic: Statistic::Bins(Bins::Lines(lines)) };
        ValidPlan::check(plan, &contract).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_line_has_the_cells_of_the_grid_and_nobody_is_missing_from_it() {
        let plan = checked(column("days"), &[30.0, 60.0]).unwrap();
        assert_eq!(plan.grid(), Some(&Grid::Edges(2)));
        assert_eq!((plan.layout().cells_at(0), plan.layout().can_be_missing()), (6, false));
        let between = |unit| Expr::Between { unit, from: Box::new(column("begun")), to: Box::new(column("ended")) };
        assert!(checked(between(DateUnit::Days), &[1.0, 2.0]).is_ok());
        assert!(checked(between(DateUnit::Years), &[1.0, 2.0]).unwrap_err().contains("not a number column"));
    }

    #[test]
    fn a_grid_is_no_finer_than_what_quantiles_tell() {
        assert!(checked(column("months"), &[0.1, 0.2, 50.0]).is_ok());
        assert!(checked(column("months"), &[0.0, 50.0, 100.0]).is_ok());
        for edges in [&[1e-6][..], &[50.0, 50.05], &[99.95]] {
            let problem = checked(column("months"), edges).unwrap_err();
            assert!(problem.contains("of: the intervals of `months` are narrower than a thousandth"), "{problem}");
        }
        assert!(checked(column("days"), &[1.0, 2.0]).is_ok(), "whole numbers");
    }

    #[test]
    fn what_is_no_grid_or_no_number_is_refused() {
        for edges in [&[][..], &[2.0, 1.0], &[1.0, 1.0], &[f64::NAN]] {
            assert!(
                checked(column("days"), edges).unwrap_err().contains("edges: a grid has 1 to 1000 ascending edges")
            );
        }
        assert!(checked(column("ill"), &[1.0]).unwrap_err().contains("of: `ill` is a condition"));
    }
}
