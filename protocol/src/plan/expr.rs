//! The closed expression language: what a filter, a key or a condition may say. No user-defined functions, no row index, no joins.
//!
//! Evaluation follows SQL's three-valued logic. Arithmetic is in doubles; a result that is not finite is null.

use serde::{Deserialize, Serialize};

use super::Periods;
use crate::ids::ColumnName;

/// A constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Literal {
    /// An integer of at most [`crate::limits::EXACT_INT`].
    Int(i64),
    /// A finite double.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text or a code.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Datetime(i64),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An arithmetic operation on doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// eˣ.
    Exp,
    /// The natural logarithm; null for x ≤ 0.
    Ln,
    /// The square root; null for x < 0.
    Sqrt,
    /// The absolute value.
    Abs,
}

/// The unit of a difference between two dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateUnit {
    /// Whole days.
    Days,
    /// Days divided by 365.25.
    Years,
}

/// What a text of a source is read as. Only a snapshot's mapping may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ParseAs {
    Float,
    Date,
    Datetime,
    Bool,
}

/// One branch of a `case`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// The condition; null counts as false.
    pub when: Expr,
    /// The value if it holds.
    pub then: Expr,
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Expr {
    Column(ColumnName),
    Literal(Literal),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare {
        op: Comparison,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Membership in a list of constants.
    In {
        of: Box<Expr>,
        list: Vec<Literal>,
    },
    IsNull(Box<Expr>),
    /// Whether a text or code begins with `prefix`.
    Prefix {
        of: Box<Expr>,
        prefix: String,
    },
    Arithmetic {
        op: Operation,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Apply {
        function: Function,
        of: Box<Expr>,
    },
    /// `to` − `from`.
    Between {
        unit: DateUnit,
        from: Box<Expr>,
        to: Box<Expr>,
    },
    Case {
        branches: Vec<Branch>,
        otherwise: Option<Box<Expr>>,
    },
    /// The band of a number among ascending breaks b₁ < … < bₙ: (−∞, b₁), [b₁, b₂), …, [bₙ, ∞).
    Cut {
        of: Box<Expr>,
        breaks: Vec<f64>,
    },
    /// The group of a code under one of the contract's groupings.
    Grouped {
        column: ColumnName,
        grouping: String,
    },
    /// The calendar period of a date, or before or after all of them.
    Periods(Periods),
    /// The first value that is not null.
    Coalesce(Vec<Expr>),
    /// Null where the two are equal, else the first.
    NullIf {
        of: Box<Expr>,
        equal: Box<Expr>,
    },
    /// A text of a source read as a value; null where it cannot be.
    Parse {
        of: Box<Expr>,
        to: ParseAs,
    },
}

impl Expr {
    /// The direct parts of this expression.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::Grouped { .. } | Expr::Periods(_) => vec![],
            Expr::Not(of) | Expr::IsNull(of) => vec![of],
            Expr::In { of, .. }
            | Expr::Prefix { of, .. }
            | Expr::Apply { of, .. }
            | Expr::Cut { of, .. }
            | Expr::Parse { of, .. } => vec![of],
            Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts) => parts.iter().collect(),
            Expr::Compare { left, right, .. } | Expr::Arithmetic { left, right, .. } => vec![left, right],
            Expr::Between { from, to, .. } => vec![from, to],
            Expr::NullIf { of, equal } => vec![of, equal],
            Expr::Case { branches, otherwise } => {
                branches.iter().flat_map(|b| [&b.when, &b.then]).chain(otherwise.as_deref()).collect()
            }
        }
    }

    /// Every column that the expression reads, in order of appearance, with repeats.
    pub fn columns(&self) -> Vec<&ColumnName> {
        match self {
            Expr::Column(name) | Expr::Grouped { column: name, .. } | Expr::Periods(Periods { column: name, .. }) => {
                vec![name]
            }
            _ => self.children().into_iter().flat_map(Expr::columns).collect(),
        }
    }

    /// The expression with every column under another name.
    #[must_use]
    pub fn renamed(&self, name: &impl Fn(&ColumnName) -> ColumnName) -> Expr {
        let of = |part: &Expr| part.renamed(name);
        let boxed = |part: &Expr| Box::new(part.renamed(name));
        let all = |parts: &[Expr]| parts.iter().map(of).collect();
        match self {
            Expr::Column(column) => Expr::Column(name(column)),
            Expr::Grouped { column, grouping } => Expr::Grouped { column: name(column), grouping: grouping.clone() },
            Expr::Periods(periods) => Expr::Periods(Periods { column: name(&periods.column), ..periods.clone() }),
            Expr::Literal(_) => self.clone(),
            Expr::Not(part) => Expr::Not(boxed(part)),
            Expr::IsNull(part) => Expr::IsNull(boxed(part)),
            Expr::And(parts) => Expr::And(all(parts)),
            Expr::Or(parts) => Expr::Or(all(parts)),
            Expr::Coalesce(parts) => Expr::Coalesce(all(parts)),
            Expr::Compare { op, left, right } => Expr::Compare { op: *op, left: boxed(left), right: boxed(right) },
            Expr::Arithmetic { op, left, right } => {
                Expr::Arithmetic { op: *op, left: boxed(left), right: boxed(right) }
            }
            Expr::In { of, list } => Expr::In { of: boxed(of), list: list.clone() },
            Expr::Prefix { of, prefix } => Expr::Prefix { of: boxed(of), prefix: prefix.clone() },
            Expr::Apply { function, of } => Expr::Apply { function: *function, of: boxed(of) },
            Expr::Between { unit, from, to } => Expr::Between { unit: *unit, from: boxed(from), to: boxed(to) },
            Expr::Case { branches, otherwise } => Expr::Case {
                branches: branches.iter().map(|b| Branch { when: of(&b.when), then: of(&b.then) }).collect(),
                otherwise: otherwise.as_deref().map(boxed),
            },
            Expr::Cut { of, breaks } => Expr::Cut { of: boxed(of), breaks: breaks.clone() },
            Expr::NullIf { of, equal } => Expr::NullIf { of: boxed(of), equal: boxed(equal) },
            Expr::Parse { of, to } => Expr::Parse { of: boxed(of), to: *to },
        }
    }

    /// The number of nodes and the depth, or `None` as soon as a bound of [`crate::limits`] is exceeded.
    pub fn size(&self) -> Option<(usize, usize)> {
        fn walk(expr: &Expr, depth: usize, nodes: &mut usize) -> Option<usize> {
            *nodes += 1;
            if depth > crate::limits::EXPRESSION_DEPTH || *nodes > crate::limits::EXPRESSION_NODES {
                return None;
            }
            let mut deepest = depth;
            for child in expr.children() {
                deepest = deepest.max(walk(child, depth + 1, nodes)?);
            }
            Some(deepest)
        }
        let mut nodes = 0;
        let depth = walk(self, 1, &mut nodes)?;
        Some((nodes, depth))
    }
}
