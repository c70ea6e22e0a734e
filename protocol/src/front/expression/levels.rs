//! The functions that give a value declared levels: `cut`, `grouped` and the calendar's periods.

use sqlparser::ast::Expr as Sql;

use super::Binder;
use crate::plan::{Columns, Expr, Literal, PeriodUnit, Periods, TypeProblem};

impl Binder<'_> {
    pub(super) fn cut(&mut self, of: &Sql, breaks: &[Sql]) -> Option<Expr> {
        let of = self.lower_number(of);
        let lowered: Vec<Option<Expr>> = breaks.iter().map(|b| self.lower(b)).collect();
        let mut numbers = Vec::new();
        for part in lowered {
            match part? {
                Expr::Literal(Literal::Int(i)) => numbers.push(i as f64),
                Expr::Literal(Literal::Float(x)) => numbers.push(x),
                _ => {
                    return self
                        .refuse(TypeProblem::new("the breaks of `cut` are numbers").hint("e.g. cut(age, 40, 50)"));
                }
            }
        }
        Some(Expr::Cut { of: Box::new(of?), breaks: numbers })
    }

    /// `week(column)`, or `week(column, date 'first', date 'last')`.
    pub(super) fn periods(&mut self, unit: PeriodUnit, args: &[Sql]) -> Option<Expr> {
        let lowered: Vec<Option<Expr>> = args.iter().map(|arg| self.lower(arg)).collect();
        let lowered: Vec<Expr> = lowered.into_iter().collect::<Option<_>>()?;
        let (column, between) = match lowered.as_slice() {
            [Expr::Column(column)] => (column, None),
            [Expr::Column(column), Expr::Literal(Literal::Date(first)), Expr::Literal(Literal::Date(last))] => {
                (column, Some((*first, *last)))
            }
            _ => {
                let unit = unit.as_str();
                return self.refuse(
                    TypeProblem::new(format!("`{unit}` takes a column of dates, or a column and two days")).hint(
                        format!("e.g. {unit}(admitted), or {unit}(admitted, date '2020-01-01', date '2020-12-31')"),
                    ),
                );
            }
        };
        let Columns::Contract(contract) = self.columns() else {
            return self.refuse(TypeProblem::new("calendar periods belong to studies"));
        };
        match Periods::spanning(column.clone(), unit, between, contract) {
            Ok(periods) => Some(Expr::Periods(periods)),
            Err(problem) => self.refuse(problem),
        }
    }

    pub(super) fn grouped(&mut self, column: &str, grouping: &Sql) -> Option<Expr> {
        let column = self.name(column)?;
        match (column, self.lower(grouping)?) {
            (Expr::Column(column), Expr::Literal(Literal::Text(grouping))) => Some(Expr::Grouped { column, grouping }),
            _ => {
                self.refuse(TypeProblem::new("`grouped` takes a column and the name of one of its groupings in quotes"))
            }
        }
    }
}
