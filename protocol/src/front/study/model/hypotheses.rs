//! `likelihood_ratio = true` or `["age + age:sex"]`, and `contrasts = { "old against young" = "cut(age, 50)[>=50]" }`: smaller models within a
//! model, and combinations of its coefficients by their names; `site` is a term, and `site[NAME]` a coefficient, where each site has an intercept.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Binding;
use super::super::analysis::{Bound, place};
use super::super::formula::{RightSide, split};
use super::super::table::label;
use crate::analysis::{Contrast, Nested, Spec, Term, Weighted, balances_sites};
use crate::ids::SiteId;
use crate::plan::TypeProblem;
use crate::settings::{join, nearest};

impl Binding<'_> {
    /// The smaller models: by every term that no other contains, or by those that are named.
    pub(super) fn nested(&mut self, key: &str, asked: &Value, side: &RightSide) -> Option<Vec<Nested>> {
        let hint = "likelihood_ratio = true for every term, or [\"sex\", \"age + age:sex\"] for these";
        let terms = Parts::of(side);
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
    pub(in super::super) fn contrasts(
        &mut self,
        key: &str,
        asked: &BTreeMap<String, Value>,
        side: &RightSide,
    ) -> Option<Vec<Contrast>> {
        let hint =
            "contrasts = { \"NAME\" = \"sex[1] - 2 * age\" }, or a list of them, or of terms, that are tested together";
        let coefficients = Coefficients::of(side);
        let one = |(name, of): (&String, &Value)| {
            let key = format!("{key}.{name}");
            let combinations = match of {
                Value::String(text) => coefficients.combination(text).map(|combination| vec![combination]),
                Value::Array(texts) if !texts.is_empty() => {
                    let parts = texts.iter().map(|text| match text.as_str() {
                        Some(text) => coefficients.combinations(text, &side.terms),
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

    /// Whether the sites of contrasts are asked.
    pub(in super::super) fn contrasts_of_sites(&mut self, analyses: &[Bound], sites: &[SiteId]) {
        for Bound { index, spec: analysis } in analyses {
            let Spec::Model(spec) = &analysis.spec else { continue };
            for contrast in &spec.contrasts {
                let mut named = contrast.combinations.iter().flatten().filter_map(Weighted::site);
                if let Some(unknown) = named.find(|site| !sites.is_empty() && !sites.contains(site)) {
                    let key = join(&place(*index, &analysis.name), &format!("model.contrasts.{}", contrast.label));
                    let names: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
                    let problem = TypeProblem::new(format!("the site `{unknown}` is not asked"));
                    self.refuse::<()>(
                        &key,
                        problem.hint(match nearest(unknown.as_str(), names.iter().copied()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("those that are asked: {}", names.join(", ")),
                        }),
                    );
                }
            }
        }
    }
}

/// A term of a model.
struct Part {
    label: String,
    atoms: Vec<String>,
    /// None of the term `site`, whose coefficients are intercepts.
    columns: Vec<u32>,
}

/// The terms of a model but its intercept.
struct Parts(Vec<Part>);

impl Parts {
    fn of(side: &RightSide) -> Self {
        let mut begin = 0;
        let mut parts = Vec::new();
        if side.by_site {
            parts.push(Part { label: SITE.to_owned(), atoms: vec![SITE.to_owned()], columns: Vec::new() });
        }
        for term in &side.terms {
            let columns: Vec<u32> = (begin..).take(term.columns.len()).collect();
            begin += term.columns.len() as u32;
            if term.columns.iter().any(|column| !column.of.is_empty()) {
                parts.push(Part { label: term.label.clone(), atoms: atoms(&term.label), columns });
            }
        }
        Self(parts)
    }

    /// The terms that contain this one.
    fn above(&self, at: usize) -> Vec<usize> {
        let own = &self.0[at].atoms;
        let contains =
            |(other, part): &(usize, &Part)| *other != at && own.iter().all(|atom| part.atoms.contains(atom));
        self.0.iter().enumerate().filter(contains).map(|(other, _)| other).collect()
    }

    fn leaving_out(&self, terms: &[usize]) -> Nested {
        let left: Vec<&Part> = terms.iter().map(|at| &self.0[*at]).collect();
        let labels: Vec<&str> = left.iter().map(|part| part.label.as_str()).collect();
        let mut without: Vec<u32> = left.iter().flat_map(|part| part.columns.clone()).collect();
        without.sort_unstable();
        without.dedup();
        let one_intercept = left.iter().any(|part| part.columns.is_empty());
        Nested { label: labels.join(" + "), without, one_intercept }
    }

    /// `age + age:sex`.
    fn named(&self, text: &str) -> Result<Nested, TypeProblem> {
        let mut named = Vec::new();
        for (_, part) in split(text, &['+'])? {
            let wanted = if part == "site()" { atoms(SITE) } else { atoms(&label(part)) };
            let Some(at) = self.0.iter().position(|part| part.atoms == wanted) else {
                let labels: Vec<&str> = self.0.iter().map(|part| part.label.as_str()).collect();
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
                let (own, above) = (&self.0[*at].label, &self.0[above].label);
                let problem = TypeProblem::new(format!("without `{own}` there would still be `{above}`"));
                return Err(problem.hint(format!("leave both out: \"{own} + {above}\"")));
            }
        }
        Ok(self.leaving_out(&named))
    }
}

/// The term of the sites' intercepts.
const SITE: &str = "site";
/// How contrasts of sites are written.
const AGAINST: &str =
    "hold sites against each other: \"site[a] - site[b]\", \"site[a] - 0.5 * site[b] - 0.5 * site[c]\"";

/// What a term is a product of, in any order.
fn atoms(term: &str) -> Vec<String> {
    let parts = split(term, &[':']).unwrap_or_default();
    let mut atoms: Vec<String> = parts.into_iter().map(|(_, atom)| atom.to_owned()).collect();
    atoms.sort();
    atoms.dedup();
    atoms
}

/// The coefficients of a model by their names.
struct Coefficients {
    /// Those of columns, longer names first: one may be how another begins.
    columns: Vec<(String, u32)>,
    /// Whether each site has one.
    by_site: bool,
}

/// A coefficient, in the order in which a combination has them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Coefficient {
    Column(u32),
    Site(SiteId),
}

impl Coefficients {
    fn of(side: &RightSide) -> Self {
        let columns = side.terms.iter().flat_map(|term| &term.columns);
        let mut columns: Vec<(String, u32)> = columns.map(|column| column.label.clone()).zip(0..).collect();
        columns.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { columns, by_site: side.by_site }
    }

    /// The coefficient that a text begins with, and what follows.
    fn first<'a>(&self, text: &'a str) -> Result<(Coefficient, &'a str), TypeProblem> {
        if let Some((name, column)) = self.columns.iter().find(|(name, _)| text.starts_with(name.as_str())) {
            return Ok((Coefficient::Column(*column), &text[name.len()..]));
        }
        let site = text.strip_prefix("site[").and_then(|rest| rest.split_once(']')).filter(|_| self.by_site);
        let (name, rest) = site.ok_or_else(|| self.unknown(text))?;
        let site = name.trim().parse().map_err(|_| TypeProblem::new(format!("`{name}` is no name of a site")))?;
        Ok((Coefficient::Site(site), rest))
    }

    /// A combination, or every coefficient of a term.
    fn combinations(&self, text: &str, terms: &[Term]) -> Result<Vec<Vec<Weighted>>, TypeProblem> {
        let named = label(text);
        let columns = terms.iter().flat_map(|term| term.columns.iter().map(move |_| &term.label)).zip(0..);
        let of: Vec<u32> = columns.filter(|(term, _)| **term == named).map(|(_, column)| column).collect();
        if !of.is_empty() {
            return Ok(of.into_iter().map(|column| vec![Weighted::Column { column, by: 1.0 }]).collect());
        }
        self.combination(text).map(|combination| vec![combination])
    }

    /// `sex[1] - 0.5 * age`.
    fn combination(&self, text: &str) -> Result<Vec<Weighted>, TypeProblem> {
        let text = label(text);
        let mut rest = text.as_str();
        let mut found: BTreeMap<Coefficient, f64> = BTreeMap::new();
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
            let (coefficient, after) = self.first(at)?;
            *found.entry(coefficient).or_default() += if sign < 0.0 { -by } else { by };
            rest = after.trim_start();
            first = false;
        }
        found.retain(|_, by| *by != 0.0);
        if found.is_empty() {
            return Err(TypeProblem::new(format!("nothing is left of `{text}`")));
        }
        let weighted = |(of, by)| match of {
            Coefficient::Column(column) => Weighted::Column { column, by },
            Coefficient::Site(site) => Weighted::Site { site, by },
        };
        let found: Vec<Weighted> = found.into_iter().map(weighted).collect();
        if balances_sites(&found) {
            return Ok(found);
        }
        Err(TypeProblem::new(format!("in `{text}` the sites do not add up to nothing")).hint(AGAINST))
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
        let mut names: Vec<&(String, u32)> = self.columns.iter().collect();
        names.sort_by_key(|(_, column)| *column);
        let of_sites = self.by_site.then_some("site[NAME]");
        let names: Vec<&str> = names.into_iter().map(|(name, _)| name.as_str()).chain(of_sites).collect();
        let problem = TypeProblem::new(format!("no coefficient is called `{text}`"));
        if text == SITE || text.starts_with("site(") || text.starts_with("site[") {
            return problem.hint(match self.by_site {
                true => format!("{AGAINST}; whether sites differ at all, the answer's tests of terms say"),
                false => "no site has an intercept here: with `site` in the formula each has, and site[a] - site[b] holds two against each other".to_owned(),
            });
        }
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
    use crate::analysis::{ModelSpec, Spec, Weighted};
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
        let plain = |of: &Vec<Weighted>| of.iter().map(column).collect();
        Ok(model.contrasts[0].combinations.iter().map(plain).collect())
    }

    fn column(of: &Weighted) -> (u32, f64) {
        match of {
            Weighted::Column { column, by } => (*column, *by),
            Weighted::Site { .. } => panic!("{of:?}"),
        }
    }

    #[test]
    fn the_sites_are_a_term_where_each_has_an_intercept() {
        let left_out = |more: &str| {
            let model = model("disease ~ site + age", &format!("likelihood_ratio = {more}"))?;
            let asked = model.likelihood_ratio.into_iter().map(|n| (n.label, n.without, n.one_intercept));
            Ok::<_, String>(asked.collect::<Vec<_>>())
        };
        let (site, age) = (("site".to_owned(), vec![], true), ("age".to_owned(), vec![0], false));
        assert_eq!(left_out("true"), Ok(vec![site.clone(), age]));
        assert_eq!(left_out("[\"site()\"]"), Ok(vec![site]));
        assert_eq!(left_out("[\"site + age\"]"), Ok(vec![("site + age".to_owned(), vec![0], true)]));
        let problem = smaller("[\"site\"]").unwrap_err();
        assert!(problem.contains("the formula has no term `site`"), "{problem}");
    }

    #[test]
    fn a_contrast_holds_sites_that_are_asked_against_each_other() {
        let contrast = |formula: &str, text: &str| {
            Ok::<_, String>(
                model(formula, &format!("contrasts = {{ \"it\" = {text} }}"))?.contrasts[0].combinations.clone(),
            )
        };
        let site = |name: &str, by| Weighted::Site { site: name.parse().unwrap(), by };
        let found = contrast("disease ~ site + age", "\"site[basel] - site[cleveland] + 10 * age\"");
        assert_eq!(
            found.unwrap(),
            [[Weighted::Column { column: 0, by: 10.0 }, site("basel", 1.0), site("cleveland", -1.0)]]
        );
        for (formula, text, told) in [
            ("disease ~ site + age", "\"site[basel]\"", "in `site[basel]` the sites do not add up to nothing"),
            ("disease ~ site + age", "\"site[basel] - site[elsewhere]\"", "the site `elsewhere` is not asked"),
            ("disease ~ site + age", "\"site[A B] - site[cleveland]\"", "`A B` is no name of a site"),
            ("disease ~ site + age", "\"sit\"", "no coefficient is called `sit`"),
            ("disease ~ age", "\"site[basel] - site[cleveland]\"", "no coefficient is called `site[basel]`"),
            ("disease ~ age", "\"site[basel] - site[cleveland]\"", "with `site` in the formula"),
            ("disease ~ site + age", "\"site\"", "hint: hold sites against each other: \"site[a] - site[b]\""),
            ("disease ~ site + age", "[\"site()\"]", "hint: hold sites against each other: \"site[a] - site[b]\""),
        ] {
            let problem = contrast(formula, text).expect_err(text);
            assert!(problem.contains(told), "{text}: {problem}");
        }
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
