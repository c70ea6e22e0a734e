//! `at = [{ age = 60, sex = 'female' }]`: patients of whom a Cox model says how long they go without the event. Each names a value for every number
//! and key of the formula, as the formula writes it.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::Binding;
use crate::analysis::{Pattern, Term};
use crate::limits;
use crate::plan::{Calls, Columns, Expr, Factor, KeyDomain, Measure, TypeProblem, measure_range, type_of, written};

/// A value as a study writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Given {
    Truth(bool),
    Number(f64),
    Text(String),
}

impl Given {
    fn text(&self) -> String {
        match self {
            Given::Truth(is) => is.to_string(),
            Given::Number(x) => x.to_string(),
            Given::Text(text) => text.clone(),
        }
    }
}

/// What the terms read, by the names under which a pattern gives it.
#[derive(Default)]
struct Inputs {
    numbers: Vec<(String, Measure)>,
    keys: Vec<(String, Expr)>,
}

impl Inputs {
    fn of(terms: &[Term], calls: &Calls) -> Self {
        let mut inputs = Self::default();
        for factor in terms.iter().flat_map(|term| &term.columns).flat_map(|column| &column.of) {
            match factor {
                Factor::Number(of) | Factor::Spline { of, .. } => {
                    if !inputs.numbers.iter().any(|(_, known)| known == of) {
                        inputs.numbers.push((calls.say(&of.plainly()), of.clone()));
                    }
                }
                Factor::Level { key, .. } => {
                    if !inputs.keys.iter().any(|(_, known)| known == key) {
                        inputs.keys.push((calls.say(&written(key)), key.clone()));
                    }
                }
            }
        }
        inputs
    }

    fn names(&self) -> Vec<&str> {
        self.numbers
            .iter()
            .map(|(name, _)| name)
            .chain(self.keys.iter().map(|(name, _)| name))
            .map(String::as_str)
            .collect()
    }
}

impl Binding<'_> {
    pub(super) fn patterns(
        &mut self,
        key: &str,
        given: &[BTreeMap<String, Given>],
        terms: &[Term],
        has_grid: bool,
    ) -> Option<Vec<Pattern>> {
        if given.is_empty() {
            return Some(Vec::new());
        }
        if !has_grid {
            let problem = TypeProblem::new("how long patients go without the event is said along a grid");
            return self.refuse(key, problem.hint("e.g. every = 30, until = 360"));
        }
        if given.len() > limits::COX_PATTERNS {
            let most = limits::COX_PATTERNS;
            return self.refuse(key, TypeProblem::new(format!("at most {most} patients are looked at")));
        }
        let inputs = Inputs::of(terms, &self.relations.calls());
        let patterns = given.iter().enumerate();
        patterns.map(|(at, given)| self.pattern(&format!("{key}[{at}]"), given, &inputs)).collect()
    }

    fn pattern(&mut self, key: &str, given: &BTreeMap<String, Given>, inputs: &Inputs) -> Option<Pattern> {
        let names = inputs.names();
        let wrong = given.keys().map(String::as_str).find(|name| !names.contains(name));
        let missing = names.iter().find(|name| !given.contains_key(**name));
        let hint = || format!("one value each for {}", names.join(", "));
        if let Some(wrong) = wrong {
            return self.refuse(key, TypeProblem::new(format!("no term reads `{wrong}`")).hint(hint()));
        }
        if let Some(missing) = missing {
            return self.refuse(key, TypeProblem::new(format!("`{missing}` has no value")).hint(hint()));
        }
        let numbers = inputs.numbers.iter().map(|(name, of)| self.given_number(key, name, of, &given[name]));
        let numbers: Option<Vec<(Measure, f64)>> = numbers.collect();
        let levels: Option<Vec<(Expr, u32)>> =
            inputs.keys.iter().map(|(name, of)| self.given_level(key, name, of, &given[name])).collect();
        let text = |(name, value): (&String, &Given)| format!("{name} = {}", value.text());
        let label = given.iter().map(text).collect::<Vec<_>>().join(", ");
        Some(Pattern { label, numbers: numbers?, levels: levels? })
    }

    fn given_number(&mut self, key: &str, name: &str, of: &Measure, given: &Given) -> Option<(Measure, f64)> {
        let (lo, hi) = match measure_range(of, self.contract()) {
            Ok(range) => range,
            Err(problem) => return self.refuse(key, problem),
        };
        match given {
            Given::Number(x) if (lo..=hi).contains(x) => Some((of.clone(), *x)),
            _ => {
                let found = given.text();
                let problem = TypeProblem::new(format!("`{name} = {found}` is no number of the contract's range"));
                self.refuse(key, problem.hint(format!("from {lo} to {hi}")))
            }
        }
    }

    fn given_level(&mut self, key: &str, name: &str, of: &Expr, given: &Given) -> Option<(Expr, u32)> {
        let typed = type_of(of, Columns::Contract(self.contract()));
        let domain = typed.and_then(|typed| {
            let domain = KeyDomain::of(of, &typed, self.contract(), &HashSet::new())?;
            Ok((typed, domain.labels))
        });
        let (typed, labels) = match domain {
            Ok(domain) => domain,
            Err(problem) => return self.refuse(key, problem),
        };
        match self.level_of(&typed, &labels, &given.text()) {
            Some(level) => Some((of.clone(), level as u32)),
            None => {
                let problem = TypeProblem::new(format!("`{name}` has no level `{}`", given.text()));
                self.refuse(key, problem.hint(format!("its levels are {}", labels.join(", "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use crate::analysis::Spec;

    const FORMULA: &str = "formula = 'surv(chol, disease) ~ age + sex'";

    #[test]
    fn a_pattern_has_a_value_for_all_that_the_terms_read() {
        let text = format!("cox = {{ {FORMULA}, every = 100, until = 300, at = [{{ age = 60, sex = 'female' }}] }}");
        let Ok(Spec::Cox(spec)) = one(&text) else { panic!("a cox model: {:?}", one(&text)) };
        let pattern = &spec.patterns[0];
        assert_eq!((pattern.label.as_str(), pattern.numbers[0].1), ("age = 60, sex = female", 60.0));
        let values: Vec<Option<f64>> = spec.columns().map(|column| pattern.value(&column.of[0])).collect();
        assert_eq!(values[0], Some(60.0));
        assert!(values[1..].iter().all(|value| value.is_some_and(|value| value == 0.0 || value == 1.0)));
        assert_eq!(spec.hazard.grid.map(|grid| grid.ends), Some(vec![100.0, 200.0, 300.0]));
    }

    #[test]
    fn a_pattern_that_does_not_fit_says_where() {
        for (at, wanted) in [
            ("{ age = 60 }", "cox.at[0]: `sex` has no value"),
            ("{ age = 60, sex = 'female', chol = 3 }", "cox.at[0]: no term reads `chol`"),
            ("{ age = 600, sex = 'female' }", "cox.at[0]: `age = 600` is no number of the contract's range"),
            ("{ age = 60, sex = 'x' }", "cox.at[0]: `sex` has no level `x`"),
        ] {
            let problems = one(&format!("cox = {{ {FORMULA}, grid = [100, 300], at = [{at}] }}")).unwrap_err();
            assert!(problems.contains(wanted), "{at}: {problems}");
        }
        let problems = one(&format!("cox = {{ {FORMULA}, at = [{{ age = 60, sex = 'female' }}] }}")).unwrap_err();
        assert!(problems.contains("cox.at: how long patients go without the event is said along a grid"), "{problems}");
    }
}
