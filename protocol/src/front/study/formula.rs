//! Formulas in the manner of R: `disease ~ age + C(sex) * ln(crp)`. A formula is cut into terms and atoms here; what an atom means, an
//! expression binder says.
//!
//! Categories are compared with a reference (treatment coding). An interaction of categories needs the terms that it is made of, so that no coding
//! changes in silence.

use std::collections::BTreeSet;

use super::super::expression::Binder;
use super::Binding;
use super::table::{label, measure};
use crate::analysis::{Named, Term};
use crate::contract::Kind;
use crate::limits;
use crate::plan::{Expr, Factor, KeyDomain, Measure, Product, Type, TypeProblem};

/// What stands right of `~`.
#[derive(Debug, Default)]
pub(super) struct RightSide {
    /// The terms, those of fewer atoms first; the intercept is one without.
    pub terms: Vec<Term>,
    /// Whether every site has an intercept of its own.
    pub by_site: bool,
    /// What is added as it is.
    pub offset: Option<Measure>,
}

/// A part of a term: its columns.
#[derive(Clone)]
struct Atom {
    text: String,
    columns: Vec<Named>,
    /// The columns of all levels, where it is a category.
    all_levels: Option<Vec<Named>>,
}

const SITE: &str = "write site() for an intercept of every site, (site) or C(site) for the column";

/// Left and right of the one `~`.
pub(super) fn sides(formula: &str) -> Result<(&str, &str), TypeProblem> {
    let hint = "e.g. formula = \"disease ~ age + C(sex)\"";
    match split(formula, &['~'])?.as_slice() {
        [(_, left), (_, right)] if !left.is_empty() && !right.is_empty() => Ok((left, right)),
        [(_, whole)] if whole.contains('=') => {
            let problem = TypeProblem::new("a formula has an outcome, one `~`, and terms");
            Err(problem.hint("write `~` in the place of `=`: disease ~ age + C(sex)"))
        }
        _ => Err(TypeProblem::new("a formula has an outcome, one `~`, and terms").hint(hint)),
    }
}

/// Cuts at these marks, where no bracket and no quotation is open. Each part comes with the mark before it.
pub(super) fn split<'a>(text: &'a str, marks: &[char]) -> Result<Vec<(Option<char>, &'a str)>, TypeProblem> {
    let (mut depth, mut quoted, mut begin, mut before) = (0u32, false, 0, None);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' | ']' => {
                depth = depth.checked_sub(1).ok_or_else(|| {
                    TypeProblem::new(format!("`{c}` at position {} closes nothing", at + 1)).hint("remove it")
                })?;
            }
            _ if depth == 0 && marks.contains(&c) => {
                parts.push((before, text[begin..at].trim()));
                (begin, before) = (at + c.len_utf8(), Some(c));
            }
            _ => {}
        }
    }
    if depth > 0 || quoted {
        let what = if quoted { "quotation" } else { "bracket" };
        return Err(TypeProblem::new(format!("a {what} is not closed in `{}`", text.trim())));
    }
    parts.push((before, text[begin..].trim()));
    Ok(parts)
}

impl Binding<'_> {
    /// The terms of a formula.
    pub(super) fn right_side(&mut self, key: &str, text: &str) -> Option<RightSide> {
        let parts = match split(text, &['+', '-']) {
            Ok(parts) => parts,
            Err(problem) => return self.refuse(key, problem),
        };
        let (mut side, mut intercept, mut products) = (RightSide::default(), true, Vec::new());
        let before = self.problems.0.len();
        for (mark, part) in parts {
            match (mark, part) {
                (Some('-'), "1") | (None | Some('+'), "0") => intercept = false,
                (None | Some('+'), "1") => intercept = true,
                (None, "") if text.trim_start().starts_with('-') => {}
                (Some('-'), other) => {
                    let problem = TypeProblem::new(format!("`- {other}`: only the intercept can be taken away"));
                    self.refuse::<()>(key, problem.hint("write `- 1`, or leave the term out"));
                }
                (_, "") => {
                    self.refuse::<()>(key, TypeProblem::new("a term is missing beside `+`"));
                }
                (_, "site") if self.names("site") => {
                    let problem = TypeProblem::new("`site` is a column here, and what the network's sites are called");
                    self.refuse::<()>(key, problem.hint(SITE));
                }
                (_, "site" | "site()") => side.by_site = true,
                (_, part) => match call(part, "offset") {
                    Some(_) if side.offset.is_some() => {
                        let problem = TypeProblem::new(format!("`{part}` is a second offset, and a model has one"));
                        self.refuse::<()>(key, problem.hint("make one column of them, e.g. offset(log(a * b))"));
                    }
                    Some(argument) => side.offset = self.number(key, argument),
                    None => products.extend(self.product(key, part)),
                },
            }
        }
        products.sort_by_key(Vec::len);
        if intercept && !side.by_site {
            let columns = vec![Named { label: "(intercept)".to_owned(), of: Vec::new() }];
            side.terms.push(Term { label: "(intercept)".to_owned(), columns });
        }
        self.terms(key, products, &mut side, intercept);
        (self.problems.0.len() == before).then_some(side)
    }

    /// `a * b` is `a + b + a:b`; each as the atoms of a term.
    fn product(&mut self, key: &str, text: &str) -> Vec<Vec<Atom>> {
        let read = |parts: Result<Vec<(Option<char>, &str)>, TypeProblem>| match parts {
            Ok(parts) => Ok(parts.into_iter().map(|(_, part)| part.to_owned()).collect::<Vec<_>>()),
            Err(problem) => Err(problem),
        };
        let stars = match read(split(text, &['*'])) {
            Ok(stars) => stars,
            Err(problem) => return self.refuse(key, problem).unwrap_or_default(),
        };
        let mut crossed: Vec<Vec<Atom>> = Vec::new();
        for star in stars {
            let atoms: Option<Vec<Atom>> = match read(split(&star, &[':'])) {
                Ok(atoms) => atoms.iter().map(|atom| self.atom(key, atom)).collect(),
                Err(problem) => self.refuse(key, problem),
            };
            let Some(atoms) = atoms else { return Vec::new() };
            let with: Vec<Vec<Atom>> = crossed.iter().map(|left| [left.clone(), atoms.clone()].concat()).collect();
            crossed.push(atoms);
            crossed.extend(with);
            if crossed.len() > limits::MODEL_COLUMNS {
                let problem = TypeProblem::new(format!("`{text}` makes too many terms"));
                return self.refuse(key, problem).unwrap_or_default();
            }
        }
        crossed
    }

    fn terms(&mut self, key: &str, products: Vec<Vec<Atom>>, side: &mut RightSide, intercept: bool) {
        let mut all_levels = !intercept && !side.by_site;
        let mut known: Vec<Vec<String>> = Vec::new();
        for mut atoms in products {
            // What stands there twice is there once, as in R.
            let mut names: BTreeSet<String> = BTreeSet::new();
            atoms.retain(|atom| names.insert(atom.text.clone()));
            let names: Vec<String> = names.into_iter().collect();
            if known.contains(&names) {
                continue;
            }
            let lower = |without: &String| names.iter().filter(|name| *name != without).cloned().collect::<Vec<_>>();
            let lacks = names.iter().map(lower).find(|part| !part.is_empty() && !known.contains(part));
            let is_category = |atom: &Atom| atom.all_levels.is_some();
            if let Some(lacks) = lacks.filter(|_| atoms.iter().any(is_category)) {
                let problem =
                    TypeProblem::new(format!("`{}` stands there without `{}`", names.join(":"), lacks.join(":")));
                self.refuse::<()>(key, problem.hint(format!("write {}", names.join(" * "))));
                return;
            }
            // Without an intercept the first category has all its levels.
            if let [atom] = atoms.as_mut_slice()
                && all_levels
                && let Some(all) = atom.all_levels.clone()
            {
                (atom.columns, all_levels) = (all, false);
            }
            let columns =
                atoms.iter().skip(1).fold(atoms[0].columns.clone(), |left, right| crossed(&left, &right.columns));
            let label = atoms.iter().map(|atom| atom.text.as_str()).collect::<Vec<_>>().join(":");
            side.terms.push(Term { label, columns });
            known.push(names);
            let columns: usize = side.terms.iter().map(|term| term.columns.len()).sum();
            if columns > limits::MODEL_COLUMNS {
                let most = limits::MODEL_COLUMNS;
                let problem =
                    TypeProblem::new(format!("the formula makes {columns} columns, a model has {most} at most"));
                self.refuse::<()>(key, problem.hint("group a key's levels: grouped(column, 'name'), or a condition"));
                return;
            }
        }
    }

    fn atom(&mut self, key: &str, text: &str) -> Option<Atom> {
        let text = label(text);
        if text.is_empty() {
            return self.refuse(key, TypeProblem::new("a term is missing beside `*` or `:`"));
        }
        if text == "site()" || (text == "site" && !self.names("site")) {
            let problem = TypeProblem::new("the network's sites are a term by themselves, and no part of another");
            return self.refuse(key, problem.hint("e.g. disease ~ age + site; of single sites, see two_stage"));
        }
        if let Some(arguments) = call(&text, "C") {
            let (of, reference) = self.reference(key, arguments)?;
            return self.category(key, &text, &of, reference.as_deref());
        }
        if let Some(arguments) = call(&text, "ns") {
            return self.spline(key, &text, arguments);
        }
        if let Some(arguments) = call(&text, "poly") {
            return self.powers(key, &text, arguments);
        }
        let bound = self.with_binder(key, &logarithm(&text), |binder, sql| {
            let (expr, of) = binder.bind(sql)?;
            if of.is_number() { measure(binder, sql).map(Ok) } else { Some(Err(expr)) }
        })?;
        match bound {
            Ok(of) => Some(Atom::number(text, of)),
            Err(_) => self.category(key, &text, &text, None),
        }
    }

    /// The columns of a number or a category by itself.
    pub(super) fn described(&mut self, key: &str, text: &str) -> Option<Vec<Named>> {
        self.atom(key, text).map(|atom| atom.columns)
    }

    /// A number that a model may have.
    pub(super) fn number(&mut self, key: &str, text: &str) -> Option<Measure> {
        self.with_binder(key, &logarithm(text), measure)
    }

    /// Whether an expression may name this.
    fn names(&self, name: &str) -> bool {
        self.relations.knows(name) || self.derive.keys().any(|known| known.as_str() == name)
    }

    /// `sex, ref = '1'`.
    fn reference(&mut self, key: &str, arguments: &str) -> Option<(String, Option<String>)> {
        let parts = match split(arguments, &[',']) {
            Ok(parts) => parts,
            Err(problem) => return self.refuse(key, problem),
        };
        // A call within, such as cut(age, 50, 60), keeps its commas.
        match parts.as_slice() {
            [(_, of)] => Some(((*of).to_owned(), None)),
            [(_, of), (_, named)] => match named.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("ref", value)) => Some(((*of).to_owned(), Some(value.trim_matches('\'').to_owned()))),
                _ => {
                    let problem = TypeProblem::new(format!("`{named}` is no argument of C()"));
                    self.refuse(key, problem.hint("C(column), or C(column, ref = 'level')"))
                }
            },
            _ => self.refuse(key, TypeProblem::new("C() has one key").hint("C(column), or C(column, ref = 'level')")),
        }
    }

    fn category(&mut self, key: &str, text: &str, of: &str, reference: Option<&str>) -> Option<Atom> {
        let (expr, typed) = self.with_binder(key, of, |binder: &mut Binder<'_>, sql| binder.bind(sql))?;
        let domain = KeyDomain::of(&expr, &typed, self.contract(), &std::collections::HashSet::new());
        let labels = match domain {
            Ok(domain) => domain.labels,
            Err(problem) => return self.refuse(key, problem),
        };
        let at = match reference {
            None => 0,
            Some(reference) => match self.level_of(&typed, &labels, reference) {
                Some(at) => at,
                None => {
                    let problem = TypeProblem::new(format!("`{of}` has no level `{reference}`"));
                    return self.refuse(key, problem.hint(format!("its levels are {}", labels.join(", "))));
                }
            },
        };
        let level = |(level, name): (usize, &String)| Named {
            label: format!("{text}[{name}]"),
            of: vec![Factor::Level { key: expr.clone(), level: level as u32 }],
        };
        let all: Vec<Named> = labels.iter().enumerate().map(level).collect();
        let columns = all.iter().enumerate().filter(|(level, _)| *level != at).map(|(_, column)| column.clone());
        Some(Atom { text: text.to_owned(), columns: columns.collect(), all_levels: Some(all) })
    }

    /// The level of this name: a label, or the code behind it.
    pub(super) fn level_of(&self, of: &Type, labels: &[String], name: &str) -> Option<usize> {
        let coded = || match of {
            Type::Code(column) => match &self.contract().column(column.as_str())?.kind {
                Kind::Code { codes, .. } => codes.iter().position(|known| known.code == name),
                _ => None,
            },
            _ => None,
        };
        labels.iter().position(|known| known == name).or_else(coded)
    }

    /// `age, knots = [50, 60]`, or with `boundary = [30, 80]`.
    fn spline(&mut self, key: &str, text: &str, arguments: &str) -> Option<Atom> {
        const HINT: &str = "ns(age, knots = [50, 60]); boundary = [30, 80] beside it, where not the contract's range";
        let parts = match split(arguments, &[',']) {
            Ok(parts) => parts,
            Err(problem) => return self.refuse(key, problem),
        };
        let of = self.number(key, parts.first().map_or("", |(_, of)| of))?;
        let (mut knots, mut boundary) = (None, None);
        for (_, part) in &parts[1..] {
            let found = part.split_once('=').map(|(name, list)| (name.trim(), numbers(list)));
            match found {
                Some(("knots", Some(list))) if !list.is_empty() => knots = Some(list),
                Some(("boundary", Some(list))) if list.len() == 2 => boundary = Some((list[0], list[1])),
                _ => return self.refuse(key, TypeProblem::new(format!("`{part}` cannot be read in ns()")).hint(HINT)),
            }
        }
        let Some(knots) = knots else {
            return self
                .refuse(key, TypeProblem::new("ns() needs knots, which must not come from the data").hint(HINT));
        };
        let (lo, hi) = match boundary {
            Some(boundary) => boundary,
            None => match crate::plan::measure_range(&of, self.contract()) {
                Ok(range) => range,
                Err(problem) => return self.refuse(key, problem),
            },
        };
        let knots: Vec<f64> = [lo].into_iter().chain(knots).chain([hi]).collect();
        if knots.len() > limits::MODEL_KNOTS || knots.windows(2).any(|w| w[0] >= w[1]) {
            let most = limits::MODEL_KNOTS - 2;
            let problem = TypeProblem::new(format!("up to {most} ascending knots lie between {lo} and {hi}"));
            return self.refuse(key, problem.hint(HINT));
        }
        let function = |at: u32| Factor::Spline { of: of.clone(), knots: knots.clone(), at };
        let number = [Factor::Number(of.clone())];
        let functions = number.into_iter().chain((1..knots.len() as u32 - 1).map(function)).enumerate();
        let columns = functions.map(|(at, of)| Named { label: format!("{text}{}", at + 1), of: vec![of] }).collect();
        Some(Atom { text: text.to_owned(), columns, all_levels: None })
    }

    /// `age, 3`: the number and its powers as they are.
    fn powers(&mut self, key: &str, text: &str, arguments: &str) -> Option<Atom> {
        let hint = format!("poly(age, 2), up to {}", limits::MODEL_FACTORS);
        let parts = split(arguments, &[',']).unwrap_or_default();
        let [(_, of), (_, degree)] = parts.as_slice() else {
            return self.refuse(key, TypeProblem::new("poly() has a number and a degree").hint(hint));
        };
        let degree = degree.parse::<usize>().ok().filter(|degree| (1..=limits::MODEL_FACTORS).contains(degree));
        let Some(degree) = degree else {
            return self.refuse(key, TypeProblem::new("the degree of poly() is a small whole number").hint(hint));
        };
        let of = self.number(key, of)?;
        let power = |n: usize| Named { label: format!("{text}{n}"), of: vec![Factor::Number(of.clone()); n] };
        Some(Atom { text: text.to_owned(), columns: (1..=degree).map(power).collect(), all_levels: None })
    }
}

impl Atom {
    fn number(text: String, of: Measure) -> Self {
        let columns = vec![Named { label: text.clone(), of: vec![Factor::Number(of)] }];
        Self { text, columns, all_levels: None }
    }
}

/// Every column of one with every column of the other, the left ones fastest, as R has them.
fn crossed(left: &[Named], right: &[Named]) -> Vec<Named> {
    let both = |(a, b): (&Named, &Named)| {
        let of: Product = a.of.iter().chain(&b.of).cloned().collect();
        Named { label: format!("{}:{}", a.label, b.label), of }
    };
    right.iter().flat_map(|b| left.iter().map(move |a| (a, b))).map(both).collect()
}

/// The arguments of a call of this function, where the text is one and nothing else.
pub(super) fn call<'a>(text: &'a str, function: &str) -> Option<&'a str> {
    let inner = text.strip_prefix(function)?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    // `C(a) = C(b)` is no call of C.
    split(inner, &[]).ok().map(|_| inner.trim())
}

/// R's name of the natural logarithm.
fn logarithm(text: &str) -> String {
    match call(text.trim(), "log") {
        Some(of) => format!("ln({of})"),
        None => text.to_owned(),
    }
}

/// `[50, 60]`.
fn numbers(list: &str) -> Option<Vec<f64>> {
    let inner = list.trim().strip_prefix('[')?.strip_suffix(']')?;
    inner.split(',').map(|number| number.trim().parse::<f64>().ok().filter(|x| x.is_finite())).collect()
}

/// The condition or number left of `~`.
pub(super) fn outcome(binding: &mut Binding<'_>, key: &str, text: &str) -> Option<(Measure, Type)> {
    binding.with_binder(key, &logarithm(text), |binder, sql| {
        let (expr, of) = binder.bind(sql)?;
        match of {
            Type::Bool => Some((Measure::Condition(expr), Type::Bool)),
            Type::Int | Type::Float => {
                let is_column = matches!(expr, Expr::Column(_));
                measure(binder, sql).map(|found| (found, if is_column { of } else { Type::Float }))
            }
            other => binder.refuse(
                TypeProblem::new(format!("the outcome is {}", other.name()))
                    .hint("a model explains a number or a condition, e.g. code = 'x'"),
            ),
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::analysis::Spec;
    use crate::front::tests::{CONTRACT, bind, bind_to};
    use crate::plan::Factor;

    fn levels(reference: &str) -> Result<Vec<Factor>, String> {
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[[analysis]]\nname = 'm'\n";
        let formula = format!("model = {{ formula = \"disease ~ C(sex, ref = '{reference}')\" }}");
        let study = bind(&format!("{text}{formula}"))?;
        let Spec::Model(model) = &study.analyses[0].spec else { panic!("no model") };
        Ok(model.columns().flat_map(|column| column.of.clone()).collect())
    }

    /// The labels of a formula's columns, whether it is by site, and how many factors each column has.
    fn bound(contract: &str, analysis: &str) -> Result<(Vec<String>, bool, Vec<usize>), String> {
        let contract = crate::contract::parse(contract, "heart.toml").unwrap();
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[[analysis]]\nname = 'm'\n";
        let study = bind_to(&contract, &format!("{text}{analysis}"))?;
        let (columns, by_site): (Vec<_>, bool) = match &study.analyses[0].spec {
            Spec::Model(model) => (model.columns().collect(), model.by_site),
            Spec::Cox(cox) => (cox.columns().collect(), false),
            other => panic!("{other:?}"),
        };
        let labels = columns.iter().map(|column| column.label.clone()).collect();
        Ok((labels, by_site, columns.iter().map(|column| column.of.len()).collect()))
    }

    #[test]
    fn a_second_offset_is_refused_and_replaces_nothing() {
        for analysis in [
            "model = { formula = 'disease ~ age + offset(chol) + offset(age)' }",
            "cox = { formula = 'surv(chol, disease) ~ sex + offset(chol) + offset(age)' }",
        ] {
            let problem = bound(CONTRACT, analysis).expect_err(analysis);
            assert!(problem.contains("formula: `offset(age)` is a second offset"), "{problem}");
            assert!(problem.contains("hint: make one column of them"), "{problem}");
        }
        bound(CONTRACT, "model = { formula = 'disease ~ age + offset(chol)' }").unwrap();
    }

    #[test]
    fn what_stands_twice_in_a_product_is_there_once() {
        let labels = |right: &str| bound(CONTRACT, &format!("model = {{ formula = 'disease ~ {right}' }}")).unwrap();
        assert_eq!(labels("age:age"), labels("age"));
        assert_eq!(labels("age * age"), labels("age"));
        assert_eq!(labels("age + age:sex:age + sex"), labels("age * sex"));
        assert_eq!(labels("poly(age, 2)").2, [0, 1, 2]);
    }

    #[test]
    fn where_a_column_is_called_site_a_formula_says_which_it_means() {
        let with = format!("{CONTRACT}[[column]]\nname = 'site'\ntype = 'int'\nrange = [1, 90]\n");
        let formula = |contract: &str, right: &str| {
            let formula = format!("model = {{ formula = 'disease ~ {right}' }}");
            bound(contract, &formula).map(|(labels, by_site, _)| (labels, by_site))
        };
        let both = formula(&with, "age + site").unwrap_err();
        assert!(both.contains("`site` is a column here") && both.contains("hint: write site()"), "{both}");
        let labels = |of: &[&str]| of.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
        assert_eq!(formula(&with, "age + site()"), Ok((labels(&["age"]), true)));
        assert_eq!(formula(&with, "age + (site)"), Ok((labels(&["(intercept)", "age", "(site)"]), false)));
        for plain in ["age + site", "age + site()"] {
            assert_eq!(formula(CONTRACT, plain), Ok((labels(&["age"]), true)), "{plain}");
        }
        let crossed = formula(CONTRACT, "age * site").unwrap_err();
        assert!(crossed.contains("a term by themselves"), "{crossed}");
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[derive]\nsite = 'age > 50'\n";
        let derived = format!("{text}[[analysis]]\nname = 'm'\nmodel = {{ formula = 'disease ~ site' }}");
        assert!(bind(&derived).unwrap_err().contains("`site` is a column here"));
    }

    #[test]
    fn a_reference_is_named_by_its_label_or_its_code() {
        assert_eq!(levels("male"), levels("1"));
        assert_eq!(levels("female"), levels("0"));
        assert_ne!(levels("male").unwrap(), levels("female").unwrap());
        assert!(levels("x").unwrap_err().contains("`sex` has no level `x`"));
    }
}
