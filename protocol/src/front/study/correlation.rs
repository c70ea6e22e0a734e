//! `correlation = { columns, complete, confidence }`: every pair of columns. It is written as one analysis and signed as one for each pair.

use serde::Deserialize;

use super::Binding;
use super::table::label;
use crate::analysis::{AnalysisSpec, CorrelationSpec, Key, Pair, Spec, SummaryPart, Whole};
use crate::ids::{AnalysisName, ColumnName};
use crate::plan::{Expr, Measure, TypeProblem, check_key, check_measure};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawCorrelation {
    columns: Vec<String>,
    #[serde(default)]
    complete: bool,
    confidence: Option<f64>,
}

/// One of the columns.
enum Variable {
    /// A column, and what the study wrote.
    Number(ColumnName, String),
    Ordered(Key),
}

impl Binding<'_> {
    pub(super) fn correlation(
        &mut self,
        key: &str,
        name: &AnalysisName,
        raw: &RawCorrelation,
    ) -> Option<Vec<AnalysisSpec>> {
        let key = join(key, "correlation");
        self.independent(&key);
        let confidence = self.confidence(&join(&key, "confidence"), raw.confidence);
        let columns = join(&key, "columns");
        if raw.columns.len() < 2 {
            let problem = TypeProblem::new("a correlation is of two columns or more");
            self.refuse::<()>(&columns, problem.hint("e.g. columns = [\"age\", \"chol\"]"));
        }
        let place = |i: usize| format!("{columns}[{i}]");
        let variables: Vec<_> =
            raw.columns.iter().enumerate().map(|(i, text)| self.variable(&place(i), text)).collect();
        for (i, text) in raw.columns.iter().enumerate() {
            if raw.columns[..i].iter().any(|earlier| label(earlier) == label(text)) {
                self.refuse::<()>(&place(i), TypeProblem::new(format!("`{}` is named twice", label(text))));
            }
        }
        let variables: Vec<Variable> = variables.into_iter().collect::<Option<_>>()?;
        let confidence = confidence?;
        let mut all: Vec<ColumnName> = variables.iter().flat_map(Variable::columns).collect();
        all.sort();
        all.dedup();
        let mut parts = Vec::new();
        for (j, second) in variables.iter().enumerate() {
            for (i, first) in variables[..j].iter().enumerate() {
                let pair = match (first, second) {
                    (Variable::Number(a, _), Variable::Number(b, _)) => self.numbers(a, b),
                    (Variable::Ordered(a), Variable::Ordered(b)) => Pair::Ordered(a.clone(), b.clone()),
                    _ => {
                        let problem = TypeProblem::new("a number and bands are not correlated with each other");
                        let hint = "name numbers alone (Pearson's r), or bands alone (Spearman's ρ)";
                        return self.refuse(&place(j), problem.hint(hint));
                    }
                };
                let long = format!("{name}_{}_{}", i + 1, j + 1);
                let Ok(part_name) = long.parse() else {
                    let problem = TypeProblem::new(format!("a part of it would be named `{long}`, which is too long"));
                    return self.refuse(&key, problem.hint("give the analysis a shorter name"));
                };
                let column = first.columns().into_iter().next()?;
                let part = SummaryPart { of: name.clone(), column, whole: Whole::Correlation };
                let complete = if raw.complete { all.clone() } else { vec![] };
                let written = match (first, second) {
                    (Variable::Number(a, of_a), Variable::Number(b, of_b)) => {
                        let named = a.as_str() == of_a && b.as_str() == of_b;
                        (!named).then(|| [of_a.clone(), of_b.clone()])
                    }
                    _ => None,
                };
                let spec = Spec::Correlation(CorrelationSpec { pair, complete, confidence, written });
                parts.push(AnalysisSpec { name: part_name, spec, part: Some(part) });
            }
        }
        (!parts.is_empty()).then_some(parts)
    }

    /// Two numbers by a table of their products, or by their moments where a table does not sum both: then one may be the other but for one patient, and
    /// sites look at them as at the columns of components.
    fn numbers(&self, a: &ColumnName, b: &ColumnName) -> Pair {
        let [x, y] = [a, b].map(|name| Measure::Column(name.clone()));
        match self.relations.summed_together(&[x, y, Measure::Product(a.clone(), b.clone())]) {
            true => Pair::Numbers(a.clone(), b.clone()),
            false => Pair::Moments(a.clone(), b.clone()),
        }
    }

    fn variable(&mut self, place: &str, text: &str) -> Option<Variable> {
        let key = self.key(place, text)?;
        if let Expr::Column(name) = &key.key
            && check_measure(&Measure::Column(name.clone()), self.contract()).is_ok()
        {
            return Some(Variable::Number(name.clone(), key.label));
        }
        if self.is_ordered(&key) {
            return match check_key(&key.key, self.contract()) {
                Ok(()) => Some(Variable::Ordered(key)),
                Err(problem) => self.refuse(place, problem),
            };
        }
        let problem = TypeProblem::new(format!("`{}` is neither a number column nor has ordered levels", key.label));
        self.refuse(place, problem.hint("name a number column (Pearson's r), or its bands, e.g. cut(age, 50, 60)"))
    }
}

impl Variable {
    /// What it reads.
    fn columns(&self) -> Vec<ColumnName> {
        match self {
            Variable::Number(name, _) => vec![name.clone()],
            Variable::Ordered(key) => key.key.columns().into_iter().cloned().collect(),
        }
    }
}
