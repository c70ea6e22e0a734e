//! `likelihood_ratio = true` or `["age + age:sex"]`, and `contrasts = { "old against young" = "cut(age, 50)[>=50]" }`: smaller models within a
//! model, and combinations of its coefficients by their names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Binding;
use super::super::formula::split;
use super::super::table::label;
use crate::analysis::{Contrast, Nested, Term, Weighted};
use crate::plan::TypeProblem;
use crate::settings::nearest;

impl Binding<'_> {
    /// The smaller models: by every term that no other contains, or by those that are named.
    pub(super) fn nested(&mut self, key: &str, asked: &Value, terms: &[Term]) -> Option<Vec<Nested>> {
        let hint = "likelihood_ratio = true for every term, or [\"sex\", \"age + age:sex\"] for these";
        let terms = Parts::of(terms);
        match asked {
            Value::Bool(false) => Some(Vec::new()),
            Value::Bool(true) => {
                let alone = (0..terms.0.len()).filter(|at| terms.above(*at).is_empty());
                Some(alone.map(|at| terms.leaving_out(&[at])).collect())
            }
            Value::Array(texts) => texts
                .iter()
                .enumerate()
                .map(|(i, text)| {
                    let key = format!("{key}[{i}]");
                    let found = text.as_str().ok_or_else(|| TypeProblem::new("no text").hint(hint));
                    match found.and_then(|text| terms.named(text)) {
                        Ok(nested) => Some(nested),
                        Err(problem) => self.refuse(&key, problem),
                    }
                })
                .collect(),
            _ => self.refuse(key, TypeProblem::new("neither true nor a list of terms").hint(hint)),
        }
    }

    /// Each contrast: a combination, or several in a list.
    pub(super) fn contrasts(
        &mut self,
        key: &str,
        asked: &BTreeMap<String, Value>,
        terms: &[Term],
    ) -> Option<Vec<Contrast>> {
        let hint =
            "contrasts = { \"NAME\" = \"sex[1] - 2 * age\" }, or a list of them, or of terms, that are tested together";
        let coefficients = Coefficients::of(terms);
        let one = |(name, of): (&String, &Value)| {
            let key = format!("{key}.{name}");
            let combinations = match of {
                Value::String(text) => coefficients.combination(text).map(|combination| vec![combination]),
                Value::Array(texts) if !texts.is_empty() => {
                    let parts = texts.iter().map(|text| match text.as_str() {
                        Some(text) => coefficients.combinations(text, terms),
                        None => Err(TypeProblem::new("no text").hint(hint)),
                    });
                    parts.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
                }
                _ => Err(TypeProblem::new("neither a combination nor a list of them").hint(hint)),
            };
            match combinations {
                Ok(combinations) => Some(Contrast { label: label(name), combinations }),
                Err(problem) => self.refuse(&key, problem),
            }
        };
        asked.iter().map(one).collect()
    }
}

/// The terms of a model but its intercept: label, atoms in order, and columns.
struct Parts(Vec<(String, Vec<String>, Vec<u32>)>);

impl Parts {
    fn of(terms: &[Term]) -> Self {
        let mut begin = 0;
        let mut parts = Vec::new();
        for term in terms {
            let columns: Vec<u32> = (begin..).take(term.columns.len()).collect();
            begin += term.columns.len() as u32;
            if term.columns.iter().any(|column| !column.of.is_empty()) {
                parts.push((term.label.clone(), atoms(&term.label), columns));
            }
        }
        Self(parts)
    }

    /// The terms that contain this one.
    fn above(&self, at: usize) -> Vec<usize> {
        let (_, own, _) = &self.0[at];
        let contains = |(other, (_, atoms, _)): &(usize, &(String, Vec<String>, Vec<u32>))| {
            *other != at && own.iter().all(|atom| atoms.contains(atom))
        };
        self.0.iter().enumerate().filter(contains).map(|(other, _)| other).collect()
    }

    fn leaving_out(&self, terms: &[usize]) -> Nested {
        let labels: Vec<&str> = terms.iter().map(|at| self.0[*at].0.as_str()).collect();
        let mut without: Vec<u32> = terms.iter().flat_map(|at| self.0[*at].2.clone()).collect();
        without.sort_unstable();
        without.dedup();
        Nested { label: labels.join(" + "), without }
    }

    /// `age + age:sex`.
    fn named(&self, text: &str) -> Result<Nested, TypeProblem> {
        let mut named = Vec::new();
        for (_, part) in split(text, &['+'])? {
            let wanted = atoms(&label(part));
            let Some(at) = self.0.iter().position(|(_, atoms, _)| *atoms == wanted) else {
                let labels: Vec<&str> = self.0.iter().map(|(label, ..)| label.as_str()).collect();
                let problem = TypeProblem::new(format!("the formula has no term `{part}`"));
                return Err(problem.hint(match nearest(part, labels.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("its terms are {}", labels.join(", ")),
                }));
            };
            named.push(at);
        }
        for at in &named {
            if let Some(above) = self.above(*at).into_iter().find(|above| !named.contains(above)) {
                let (own, above) = (&self.0[*at].0, &self.0[above].0);
                let problem = TypeProblem::new(format!("without `{own}` there would still be `{above}`"));
                return Err(problem.hint(format!("leave both out: \"{own} + {above}\"")));
            }
        }
        Ok(self.leaving_out(&named))
    }
}

/// What a term is a product of, in any order.
fn atoms(term: &str) -> Vec<String> {
    let parts = split(term, &[':']).unwrap_or_default();
    let mut atoms: Vec<String> = parts.into_iter().map(|(_, atom)| atom.to_owned()).collect();
    atoms.sort();
    atoms.dedup();
    atoms
}

/// The names of coefficients, longer ones first: one may be how another begins.
struct Coefficients(Vec<(String, u32)>);

impl Coefficients {
    fn of(terms: &[Term]) -> Self {
        let columns = terms.iter().flat_map(|term| &term.columns);
        let mut names: Vec<(String, u32)> = columns.map(|column| column.label.clone()).zip(0..).collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self(names)
    }

    /// A combination, or every coefficient of a term.
    fn combinations(&self, text: &str, terms: &[Term]) -> Result<Vec<Vec<Weighted>>, TypeProblem> {
        let named = label(text);
        let columns = terms.iter().flat_map(|term| term.columns.iter().map(move |_| &term.label)).zip(0..);
        let of: Vec<u32> = columns.filter(|(term, _)| **term == named).map(|(_, column)| column).collect();
        if !of.is_empty() {
            return Ok(of.into_iter().map(|column| vec![Weighted { column, by: 1.0 }]).collect());
        }
        self.combination(text).map(|combination| vec![combination])
    }

    /// `sex[1] - 0.5 * age`.
    fn combination(&self, text: &str) -> Result<Vec<Weighted>, TypeProblem> {
        let text = label(text);
        let mut rest = text.as_str();
        let mut found: BTreeMap<u32, f64> = BTreeMap::new();
        let mut first = true;
        while first || !rest.is_empty() {
            let sign = match rest.chars().next() {
                Some('-') => -1.0,
                Some('+') => 1.0,
                _ if first => 0.0,
                _ => return Err(TypeProblem::new(format!("`{rest}` follows a coefficient without + or -"))),
            };
            rest = if sign == 0.0 { rest } else { rest[1..].trim_start() };
            let (by, at) = self.times(rest);
            let Some((name, column)) = self.0.iter().find(|(name, _)| at.starts_with(name.as_str())) else {
                return Err(self.unknown(at));
            };
            *found.entry(*column).or_default() += if sign < 0.0 { -by } else { by };
            rest = at[name.len()..].trim_start();
            first = false;
        }
        found.retain(|_, by| *by != 0.0);
        if found.is_empty() {
            return Err(TypeProblem::new(format!("nothing is left of `{text}`")));
        }
        Ok(found.into_iter().map(|(column, by)| Weighted { column, by }).collect())
    }

    /// The number before a `*`, where there is one, and what follows.
    fn times<'a>(&self, text: &'a str) -> (f64, &'a str) {
        let number = text.split_once('*').and_then(|(number, rest)| {
            let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some((number, rest.trim_start()))
        });
        number.unwrap_or((1.0, text))
    }

    fn unknown(&self, text: &str) -> TypeProblem {
        let text = up_to_a_sign(text);
        let mut names: Vec<&(String, u32)> = self.0.iter().collect();
        names.sort_by_key(|(_, column)| *column);
        let names: Vec<&str> = names.into_iter().map(|(name, _)| name.as_str()).collect();
        let problem = TypeProblem::new(format!("no coefficient is called `{text}`"));
        problem.hint(match nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("they are {}", names.join(", ")),
        })
    }
}

/// What stands before the next ` + ` or ` - ` that is in no brackets.
fn up_to_a_sign(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '+' | '-' if depth == 0 && at > 0 => return text[..at].trim_end(),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::analysis::{ModelSpec, Spec};
    use crate::front::tests::bind;

    fn model(formula: &str, more: &str) -> Result<ModelSpec, String> {
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[[analysis]]\nname = 'm'\n";
        let study = bind(&format!("{text}model = {{ formula = \"{formula}\", {more} }}"))?;
        match study.analyses[0].spec.clone() {
            Spec::Model(model) => Ok(model),
            other => panic!("{other:?}"),
        }
    }

    fn smaller(more: &str) -> Result<Vec<(String, Vec<u32>)>, String> {
        let model = model("disease ~ age * sex + chol", &format!("likelihood_ratio = {more}"))?;
        Ok(model.likelihood_ratio.into_iter().map(|nested| (nested.label, nested.without)).collect())
    }

    fn combined(contrast: &str) -> Result<Vec<Vec<(u32, f64)>>, String> {
        let model = model("disease ~ age + cut(chol, 200, 240)", &format!("contrasts = {{ \"it\" = {contrast} }}"))?;
        let plain = |of: &Vec<crate::analysis::Weighted>| of.iter().map(|w| (w.column, w.by)).collect();
        Ok(model.contrasts[0].combinations.iter().map(plain).collect())
    }

    #[test]
    fn every_term_is_left_out_that_no_other_contains() {
        let named = |label: &str, without: &[u32]| (label.to_owned(), without.to_vec());
        assert_eq!(smaller("true").unwrap(), [named("chol", &[3]), named("age:sex", &[4])]);
        assert_eq!(smaller("false").unwrap(), []);
        assert_eq!(smaller("[\"sex:age\", \"age + age:sex\"]").unwrap()[1], named("age + age:sex", &[1, 4]));
    }

    #[test]
    fn a_term_that_is_not_there_or_is_part_of_another_is_not_left_out() {
        let problem = smaller("[\"agee\"]").unwrap_err();
        assert!(problem.contains("the formula has no term `agee`") && problem.contains("`age`"), "{problem}");
        let problem = smaller("[\"age\"]").unwrap_err();
        assert!(problem.contains("without `age` there would still be `age:sex`"), "{problem}");
        assert!(smaller("3").unwrap_err().contains("neither true nor a list"));
        let with = |more: &str| model("disease ~ age", &format!("likelihood_ratio = true, {more}")).unwrap_err();
        assert!(with("ridge = 1.0").contains("without ridge"));
        assert!(with("standard_errors = 'hc0'").contains("robust"));
    }

    #[test]
    fn a_contrast_is_a_combination_of_coefficients_by_their_names() {
        let middle = "cut(chol, 200, 240)[[200,240)]";
        let high = "cut(chol, 200, 240)[>=240]";
        assert_eq!(combined(&format!("\"{high} - {middle}\"")).unwrap(), [[(2, -1.0), (3, 1.0)]]);
        assert_eq!(combined("\"-10*age + (intercept) + 0.5 * age\"").unwrap(), [[(0, 1.0), (1, -9.5)]]);
        let together = combined(&format!("[\"{middle}\", \"age - {high}\"]")).unwrap();
        assert_eq!(together, [vec![(2, 1.0)], vec![(1, 1.0), (3, -1.0)]]);
        assert_eq!(combined("[\"cut(chol, 200, 240)\"]").unwrap(), [[(2, 1.0)], [(3, 1.0)]]);
    }

    #[test]
    fn a_contrast_of_what_is_no_coefficient_is_named() {
        for (contrast, told) in [
            ("\"agee\"", "follows a coefficient without"),
            ("\"sex\"", "no coefficient is called `sex`"),
            ("\"sex[1] + 20 * age\"", "no coefficient is called `sex[1]`"),
            ("\"age - age\"", "nothing is left of `age - age`"),
            ("\"\"", "no coefficient is called"),
            ("\"2\"", "no coefficient is called `2`"),
            ("\"age -\"", "no coefficient is called ``"),
            ("[]", "neither a combination nor a list"),
            ("[1]", "no text"),
        ] {
            let problem = combined(contrast).expect_err(contrast);
            assert!(problem.contains(told), "{contrast}: {problem}");
        }
    }
}
