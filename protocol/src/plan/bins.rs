//! A public grid of ordered cells, and the dense table by which an engine counts over it.
//!
//! The grid follows from contract and plan alone. Its cells are far too narrow to leave a site: the gate merges them.

use serde::{Deserialize, Serialize};

use super::typing::{TypeProblem, check_condition};
use super::{Bins, Branch, Columns, Expr, Literal, Table};
use crate::contract::{Contract, Kind};
use crate::ids::ColumnName;
use crate::limits;

/// The cells of a grid, from below. Row-independent and public.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grid {
    /// One cell for each integer of lo … hi.
    Integers {
        /// The smallest.
        lo: i64,
        /// The largest.
        hi: i64,
    },
    /// [`limits::GRID_CELLS`] equal parts of [lo, hi].
    Equal {
        /// The smallest value.
        lo: f64,
        /// The largest value.
        hi: f64,
    },
    /// So many steps: cell i holds who fails step i first, the last cell holds who passes all.
    Steps(usize),
    /// So many declared edges: cell i holds what is below edge i and not below the one before.
    Edges(usize),
}

impl Grid {
    /// The grid of a column, from its range alone.
    ///
    /// # Errors
    /// The column is no number, or cannot be read.
    pub fn of(column: &ColumnName, contract: &Contract) -> Result<Self, TypeProblem> {
        let found = Columns::Contract(contract).type_of(column)?;
        match contract.column(column.as_str()).map(|c| &c.kind) {
            Some(Kind::Int { lo, hi }) if hi - lo < limits::GRID_CELLS as i64 => {
                Ok(Grid::Integers { lo: *lo, hi: *hi })
            }
            Some(Kind::Int { lo, hi }) => Ok(Grid::Equal { lo: *lo as f64, hi: *hi as f64 }),
            Some(Kind::Float { lo, hi }) => Ok(Grid::Equal { lo: *lo, hi: *hi }),
            _ => Err(TypeProblem::new(format!("`{column}` is {}, which has no quantiles", found.name()))
                .hint("quantiles are of an integer or number column; count the others by their levels in a table")),
        }
    }

    /// How many cells it has.
    pub fn cells(&self) -> usize {
        match self {
            Grid::Integers { lo, hi } => (hi - lo + 1) as usize,
            Grid::Equal { .. } => limits::GRID_CELLS,
            Grid::Steps(parts) | Grid::Edges(parts) => parts + 1,
        }
    }

    /// The smallest value that a cell can hold; of steps and declared edges, the cell's index.
    pub fn lower(&self, cell: usize) -> f64 {
        match self {
            Grid::Integers { lo, .. } => (lo + cell as i64) as f64,
            Grid::Equal { lo, hi } => edge(*lo, *hi, cell),
            Grid::Steps(_) | Grid::Edges(_) => cell as f64,
        }
    }

    /// A value that no value of a cell exceeds: of integers and steps its one value, else its upper edge.
    pub fn upper(&self, cell: usize) -> f64 {
        match self {
            Grid::Integers { .. } | Grid::Steps(_) | Grid::Edges(_) => self.lower(cell),
            Grid::Equal { lo, hi } => edge(*lo, *hi, cell + 1),
        }
    }
}

/// Edge `i` of 0 … [`limits::GRID_CELLS`]. The same arithmetic everywhere, or sites would disagree about a row.
fn edge(lo: f64, hi: f64, i: usize) -> f64 {
    if i >= limits::GRID_CELLS {
        return hi;
    }
    let share = i as f64 / limits::GRID_CELLS as f64;
    lo * (1.0 - share) + hi * share
}

/// The grid of a plan and the table over its cells, or every problem with its place in the plan.
pub(super) fn lower(bins: &Bins, contract: &Contract) -> Result<(Grid, Table), Vec<(String, TypeProblem)>> {
    let mut problems = Vec::new();
    if !contract.one_row_per_subject() {
        let problem = TypeProblem::new(format!("a patient can have several rows in `{}`", contract.id()))
            .hint("this needs one row a patient: bins of several rows would count a patient twice");
        problems.push(("of".to_owned(), problem));
    }
    let lowered = match bins {
        Bins::Lines(lines) => {
            return match lines.lower(contract) {
                Ok(lowered) if problems.is_empty() => Ok(lowered),
                Ok(_) => Err(problems),
                Err(found) => Err(problems.into_iter().chain(found).collect()),
            };
        }
        Bins::Column(column) => Grid::of(column, contract).and_then(|grid| Ok((grid, cells_of(column, &grid)?))),
        Bins::Steps(steps) => {
            for (i, step) in steps.iter().enumerate().take(limits::ATTRITION_STEPS) {
                if let Err(problem) = check_condition(step, Columns::Contract(contract)) {
                    problems.push((format!("steps[{i}]"), problem));
                }
            }
            first_failed(steps)
        }
    };
    match lowered {
        Ok((grid, by)) if problems.is_empty() => {
            Ok((grid, Table { by: vec![by], measures: Vec::new(), roll_up: false }))
        }
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(("of".to_owned(), problem));
            Err(problems)
        }
    }
}

fn cells_of(column: &ColumnName, grid: &Grid) -> Result<Expr, TypeProblem> {
    let of = Expr::Column(column.clone());
    let Grid::Equal { .. } = grid else { return Ok(of) };
    let breaks: Vec<f64> = (1..grid.cells()).map(|cell| grid.lower(cell)).collect();
    if breaks.windows(2).all(|w| w[0] < w[1]) {
        Ok(Expr::Cut { of: Box::new(of), breaks })
    } else {
        Err(TypeProblem::new(format!("the range of `{column}` is too narrow for its magnitude to be cut into cells")))
    }
}

/// The first step that is not true, as a level; a step that is null fails.
fn first_failed(steps: &[Expr]) -> Result<(Grid, Expr), TypeProblem> {
    if steps.is_empty() || steps.len() > limits::ATTRITION_STEPS {
        return Err(TypeProblem::new(format!("a flow has 1 to {} steps", limits::ATTRITION_STEPS)));
    }
    let level = |i: usize| Expr::Literal(Literal::Text(i.to_string()));
    let fails = |step: &Expr| {
        let truth = Expr::Coalesce(vec![step.clone(), Expr::Literal(Literal::Bool(false))]);
        Expr::Not(Box::new(truth))
    };
    let branches = steps.iter().enumerate().map(|(i, step)| Branch { when: fails(step), then: level(i) }).collect();
    Ok((Grid::Steps(steps.len()), Expr::Case { branches, otherwise: Some(Box::new(level(steps.len()))) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::parse;
    use crate::plan::{Plan, Statistic, ValidPlan};

    const CONTRACT: &str = r#"
        id = "demo@1"
        subject = "row"
        [[column]]
        name = "age"
        type = "int"
        range = [18, 99]
        required = true
        [[column]]
        name = "thousand"
        type = "int"
        range = [1, 1000]
        [[column]]
        name = "wide"
        type = "int"
        range = [0, 1000]
        [[column]]
        name = "chol"
        type = "float"
        range = [50, 700]
        [[column]]
        name = "narrow"
        type = "float"
        range = [1e15, 1000000000000001]
        [[column]]
        name = "ill"
        type = "bool"
    "#;

    fn checked(bins: Bins) -> Result<ValidPlan, String> {
        let contract = parse(CONTRACT, "demo.toml").unwrap();
        let query = contract.rows(None);
        ValidPlan::check(Plan { query, statistic: Statistic::Bins(bins) }, &contract).map_err(|p| p.to_string())
    }

    fn of(name: &str) -> Result<ValidPlan, String> {
        checked(Bins::Column(name.parse().unwrap()))
    }

    #[test]
    fn a_grid_follows_from_the_columns_range_alone() {
        assert_eq!(of("age").unwrap().grid(), Some(&Grid::Integers { lo: 18, hi: 99 }));
        assert_eq!(of("thousand").unwrap().grid(), Some(&Grid::Integers { lo: 1, hi: 1000 }));
        assert_eq!(of("wide").unwrap().grid(), Some(&Grid::Equal { lo: 0.0, hi: 1000.0 }));
        assert_eq!(of("chol").unwrap().grid(), Some(&Grid::Equal { lo: 50.0, hi: 700.0 }));
        for (name, missing) in [("age", 0), ("thousand", 1), ("wide", 1), ("chol", 1)] {
            let plan = of(name).unwrap();
            assert_eq!(plan.layout().cells_at(0), plan.grid().unwrap().cells() + missing, "{name}");
            assert_eq!((plan.layout().steps(), plan.layout().measures().len()), (1, 0));
        }
    }

    #[test]
    fn the_cells_of_a_grid_touch_and_span_the_range() {
        for grid in [Grid::Equal { lo: -100.0, hi: 700.1 }, Grid::Equal { lo: 0.0, hi: 1e300 }] {
            assert!((1..grid.cells()).all(|cell| grid.upper(cell - 1) == grid.lower(cell)));
            assert!((0..grid.cells()).all(|cell| grid.lower(cell) < grid.upper(cell)));
        }
        let grid = Grid::Equal { lo: -100.0, hi: 700.1 };
        assert_eq!((grid.lower(0), grid.upper(grid.cells() - 1)), (-100.0, 700.1));
        let ages = Grid::Integers { lo: 18, hi: 99 };
        assert_eq!((ages.cells(), ages.lower(0), ages.upper(0), ages.upper(81)), (82, 18.0, 18.0, 99.0));
    }

    #[test]
    fn what_has_no_order_no_range_or_too_many_steps_is_refused() {
        assert!(of("ill").unwrap_err().contains("of: `ill` is a condition, which has no quantiles"));
        assert!(of("chl").unwrap_err().contains("did you mean `chol`?"));
        assert!(of("narrow").unwrap_err().contains("too narrow for its magnitude"));
        let ill = Expr::Column("ill".parse().unwrap());
        assert_eq!(checked(Bins::Steps(vec![ill.clone(); 50])).unwrap().grid(), Some(&Grid::Steps(50)));
        assert!(checked(Bins::Steps(vec![ill.clone(); 51])).unwrap_err().contains("1 to 50 steps"));
        assert!(checked(Bins::Steps(vec![])).unwrap_err().contains("1 to 50 steps"));
        let age = Expr::Column("age".parse().unwrap());
        assert!(checked(Bins::Steps(vec![ill, age])).unwrap_err().contains("steps[1]: expected a condition"));
    }

    #[test]
    fn a_flow_has_a_level_for_each_step_and_one_for_who_passes_all() {
        let ill = Expr::Column("ill".parse().unwrap());
        let plan = checked(Bins::Steps(vec![ill.clone(), Expr::IsNull(Box::new(ill))])).unwrap();
        assert_eq!(plan.layout().keys_at(0)[0].labels, ["0", "1", "2"]);
        assert!(!plan.layout().keys_at(0)[0].missing);
    }
}
