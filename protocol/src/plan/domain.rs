//! The declared levels of a table's key, and the contract's coarser views of it.

use std::collections::HashSet;

use super::check::nullable;
use super::typing::{Type, TypeProblem};
use super::{Expr, KeyLevels, Literal};
use crate::contract::{Contract, Grouping, Groups, Kind};
use crate::ids::ColumnName;
use crate::limits;

/// The levels of a key. A row's level is its position in `labels`; missing values, where possible, come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDomain {
    /// The levels' labels, without the one for missing values.
    pub labels: Vec<String>,
    /// Whether the key can be null.
    pub missing: bool,
    /// Coarser views, finest first; each is nested in the next.
    pub coarser: Vec<Coarser>,
}

/// A coarser view of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coarser {
    /// The labels of its levels.
    pub labels: Vec<String>,
    /// For each level of the key, the level of this view that contains it.
    pub of: Vec<usize>,
}

/// The label of the level for missing values.
pub const MISSING: &str = "(missing)";

impl KeyDomain {
    /// The levels of `key`, an expression of type `of`, in rows where the columns in `present` are not null.
    ///
    /// # Errors
    /// The key has no declared levels, or too many.
    pub fn of(key: &Expr, of: &Type, contract: &Contract, present: &HashSet<ColumnName>) -> Result<Self, TypeProblem> {
        let (labels, coarser) = levels(key, of, contract)?;
        Ok(Self { labels, missing: nullable(key, contract, present), coarser })
    }

    /// The number of levels, the one for missing values included.
    pub fn size(&self) -> usize {
        self.labels.len() + usize::from(self.missing)
    }

    /// The levels under coarser view `coarser` (from 1; 0 is the key itself).
    pub(super) fn levels_at(&self, coarser: usize) -> KeyLevels {
        let mut labels = match coarser.checked_sub(1) {
            None => self.labels.clone(),
            Some(i) => self.coarser[i].labels.clone(),
        };
        if self.missing {
            labels.push(MISSING.to_owned());
        }
        KeyLevels { labels, missing: self.missing }
    }

    /// How many levels there are under a view.
    pub(super) fn count_at(&self, coarser: usize) -> usize {
        let labels = coarser.checked_sub(1).map_or(self.labels.len(), |i| self.coarser[i].labels.len());
        labels + usize::from(self.missing)
    }

    /// The label of one level under a view.
    pub fn label_at(&self, coarser: usize, level: usize) -> &str {
        let labels = coarser.checked_sub(1).map_or(&self.labels, |i| &self.coarser[i].labels);
        labels.get(level).map_or(MISSING, String::as_str)
    }

    /// For each level under view `from`, the level under the coarser view `to`.
    pub(super) fn map(&self, from: usize, to: usize) -> Vec<usize> {
        let level = |view: usize, fine: usize| match view.checked_sub(1) {
            None => fine,
            Some(i) => self.coarser[i].of[fine],
        };
        let (from_levels, to_levels) = (self.count_at(from), self.count_at(to));
        let mut map = vec![0; from_levels];
        for fine in 0..self.labels.len() {
            map[level(from, fine)] = level(to, fine);
        }
        if self.missing {
            map[from_levels - 1] = to_levels - 1;
        }
        map
    }
}

/// The labels of the bands that `breaks` make: `<40`, `[40,50)`, `>=50`.
pub fn band_labels(breaks: &[f64]) -> Vec<String> {
    let mut labels = vec![format!("<{}", breaks[0])];
    labels.extend(breaks.windows(2).map(|w| format!("[{},{})", w[0], w[1])));
    labels.push(format!(">={}", breaks[breaks.len() - 1]));
    labels
}

fn levels(key: &Expr, of: &Type, contract: &Contract) -> Result<(Vec<String>, Vec<Coarser>), TypeProblem> {
    let groupings = |column: &ColumnName| contract.column(column.as_str()).map_or(&[][..], |c| &c.groupings);
    match (key, of) {
        (_, Type::Code(column)) => {
            let labels = code_labels(column, contract);
            let coarser = groupings(column).iter().map(|g| view(&g.groups, &[])).collect();
            Ok((labels, coarser))
        }
        (_, Type::Bool) => Ok((vec!["false".into(), "true".into()], vec![])),
        (Expr::Cut { of, breaks }, Type::Band(_)) => {
            let declared = match of.as_ref() {
                Expr::Column(column) => groupings(column),
                _ => &[],
            };
            let coarser = declared.iter().filter_map(|g| coarser_breaks(breaks, g)).collect();
            Ok((band_labels(breaks), coarser))
        }
        (Expr::Periods(periods), Type::Band(_)) => {
            periods.levels(contract).map(|levels| (levels.labels, levels.coarser))
        }
        (Expr::Grouped { column, grouping }, Type::Group(..)) => {
            let all = groupings(column);
            let at = all.iter().position(|g| g.name == *grouping).unwrap_or(all.len());
            let Some(own) = all.get(at) else { return Err(TypeProblem::new("no such grouping")) };
            let coarser = all[at + 1..].iter().map(|g| coarser_view(&own.groups, &g.groups)).collect();
            Ok((group_labels(&own.groups), coarser))
        }
        (Expr::Column(column), Type::Int) => int_levels(column, contract, groupings(column)),
        (Expr::Case { branches, otherwise }, Type::Text) => {
            let mut labels: Vec<String> = Vec::new();
            for result in branches.iter().map(|b| &b.then).chain(otherwise.as_deref()) {
                let Expr::Literal(Literal::Text(label)) = result else {
                    return Err(TypeProblem::new("a `case` that is a key must give quoted labels"));
                };
                if !labels.contains(label) {
                    labels.push(label.clone());
                }
            }
            Ok((labels, vec![]))
        }
        (_, Type::Int | Type::Float) => {
            Err(TypeProblem::new("a number has no declared levels")
                .hint("cut it into bands, e.g. cut(age, 40, 50, 60)"))
        }
        (Expr::Column(column), Type::Text) => Err(TypeProblem::new("a text has no declared levels")
            .hint(format!("let the data name them, as the first key of a table: discovered({column})"))),
        (Expr::Column(column), Type::Date | Type::Datetime) => Err(TypeProblem::new("a date has no declared levels")
            .hint(format!(
                "count by calendar period: week({column}), month({column}), quarter({column}) or year({column})"
            ))),
        (_, other) => Err(TypeProblem::new(format!("{} has no declared levels", other.name()))
            .hint("a key is a code, a condition, cut(…), grouped(…), or a `case` with quoted labels")),
    }
}

fn int_levels(
    column: &ColumnName,
    contract: &Contract,
    groupings: &[Grouping],
) -> Result<(Vec<String>, Vec<Coarser>), TypeProblem> {
    match contract.column(column.as_str()).map(|c| &c.kind) {
        Some(Kind::Int { lo, hi }) if hi - lo < limits::INT_KEY_LEVELS => {
            let labels = (*lo..=*hi).map(|i| i.to_string()).collect();
            let coarser = groupings.iter().map(|g| view(&g.groups, &(*lo..=*hi).collect::<Vec<_>>())).collect();
            Ok((labels, coarser))
        }
        _ => Err(TypeProblem::new(format!("`{column}` has more than {} levels", limits::INT_KEY_LEVELS))
            .hint(format!("cut it into bands, cut({column}, …), or let the data name them: discovered({column})"))),
    }
}

fn code_labels(column: &ColumnName, contract: &Contract) -> Vec<String> {
    match contract.column(column.as_str()).map(|c| &c.kind) {
        Some(Kind::Code { codes, .. }) => codes.iter().map(|c| c.label.clone()).collect(),
        _ => vec![],
    }
}

fn group_labels(groups: &Groups) -> Vec<String> {
    match groups {
        Groups::Breaks(breaks) => band_labels(breaks),
        Groups::Codes { labels, .. } => labels.to_vec(),
    }
}

/// The view that a grouping gives of codes, or of the integers `values`.
fn view(groups: &Groups, values: &[i64]) -> Coarser {
    let of = match groups {
        Groups::Codes { of, .. } => of.iter().map(|g| *g as usize).collect(),
        Groups::Breaks(breaks) => values.iter().map(|v| band(breaks, *v as f64)).collect(),
    };
    Coarser { labels: group_labels(groups), of }
}

/// The view of bands among `breaks` that a grouping gives, if its breaks are some of them.
fn coarser_breaks(breaks: &[f64], grouping: &Grouping) -> Option<Coarser> {
    let Groups::Breaks(coarse) = &grouping.groups else { return None };
    let nested = coarse.len() < breaks.len() && coarse.iter().all(|b| breaks.contains(b));
    nested.then(|| coarser_view(&Groups::Breaks(breaks.to_vec()), &grouping.groups))
}

/// The view of one grouping's groups that a coarser one gives.
fn coarser_view(own: &Groups, coarse: &Groups) -> Coarser {
    let of = match (own, coarse) {
        (Groups::Breaks(own), Groups::Breaks(coarse)) => {
            std::iter::once(f64::NEG_INFINITY).chain(own.iter().copied()).map(|from| band(coarse, from)).collect()
        }
        (Groups::Codes { labels, of }, Groups::Codes { of: coarse, .. }) => (0..labels.len())
            .map(|group| of.iter().position(|g| *g as usize == group).map_or(0, |code| coarse[code] as usize))
            .collect(),
        _ => vec![],
    };
    Coarser { labels: group_labels(coarse), of }
}

/// Which band a number is in: how many breaks are at or below it.
fn band(breaks: &[f64], x: f64) -> usize {
    breaks.iter().take_while(|b| **b <= x).count()
}
