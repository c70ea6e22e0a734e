//! Where a number lies: `plausible(COLUMN, LEAST, GREATEST)`. A contract that holds every kind of measurement has one range for all; a study that
//! looks at one kind says a narrower one. Values outside become missing: they are never taken for the nearest end.

use sqlparser::ast::Expr as Sql;

use super::Binder;
use super::relation::usage;
use crate::ids::ColumnName;
use crate::plan::{Derived, Expr, Literal, TypeProblem};

/// The function's name.
pub(super) const PLAUSIBLE: &str = "plausible";

impl Binder<'_> {
    pub(super) fn plausible(&mut self, of: &Sql, ends: &[Sql], want: Option<ColumnName>) -> Option<Expr> {
        let [lo, hi] = ends else { return self.refuse(usage(PLAUSIBLE)) };
        let (found, lo, hi) = (self.lower(of), self.end_of_range(lo), self.end_of_range(hi));
        let (found, lo, hi) = (found?, lo?, hi?);
        let Expr::Column(column) = found else {
            let problem = TypeProblem::new(format!("`{of}` is a calculation, and `plausible` is of a number as it is"));
            return self.refuse(
                problem.hint("write plausible(COLUMN, LEAST, GREATEST), or of first(…), mean(…) and the like"),
            );
        };
        self.register(Derived::Plausible { column, lo, hi }, want)
    }

    fn end_of_range(&mut self, end: &Sql) -> Option<f64> {
        match self.lower(end)? {
            Expr::Literal(Literal::Int(n)) => Some(n as f64),
            Expr::Literal(Literal::Float(x)) => Some(x),
            _ => self.refuse(usage(PLAUSIBLE)),
        }
    }
}
