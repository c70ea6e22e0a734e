//! How each contract column comes from the source's columns. Bound once, before a row is read; every problem is reported
//! at once.

use std::collections::BTreeMap;
use std::mem::discriminant;

use bocage_protocol::contract::{Column, Contract, Kind};
use bocage_protocol::front::bind_mapping;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::plan::{Expr, Type};
use bocage_protocol::settings::{Problem, Problems, join, nearest};

use super::names::Known;
use super::{DatasetSpec, Names, SourceError};

/// One rule a contract column, in the contract's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The rules.
    pub(super) rules: Vec<Rule>,
    /// Source columns whose values must stay apart.
    pub(super) exact: Vec<(ColumnName, Exact)>,
    /// Source columns that are only taken as they stand, and the kind of what they become: of those a source need not make texts.
    pub(super) untouched: BTreeMap<ColumnName, Kind>,
    /// What is true in a row of a patient who opted out.
    pub(super) optout: Option<Expr>,
    /// What the source's columns are called in all of these.
    pub(super) known: Known,
}

/// What a source column's values become, unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact {
    /// Texts, of a patient or of a column.
    Text,
    /// Whole numbers that name patients.
    Subject,
}

/// Where a contract column comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// The site does not collect it.
    Absent,
    /// An expression over source columns.
    Expression(Expr),
}

impl Mapping {
    /// Binds the rules of `spec` for `contract` over the columns of a source.
    ///
    /// # Errors
    /// [`SourceError::Mapping`] with all problems at once: names that the contract does not have, expressions that do not bind or yield another type, and every
    /// contract column that nothing yields.
    pub fn bind(spec: &DatasetSpec, contract: &Contract, source: &[ColumnName]) -> Result<Self, SourceError> {
        let (known, misnamed) = spec.names.known(source);
        let known = known.spelt(spec.spelling.clone());
        let names = known.names();
        let mut binder = Binder { spec, contract, source: Some(&names), problems: Problems::default() };
        for (key, message) in misnamed {
            // Without the source's own names: where a header is missing, they are a patient's values.
            let hint = "write its name as the source has it; capitals do not matter, and signs count as `_`".to_owned();
            binder.note(&key, message, Some(hint));
        }
        for (key, column) in spec.spelling.unknown(&names) {
            let hint = "write its name as the source has it, or as `rename` gives it".to_owned();
            binder.note(&key, format!("the source has no column `{column}`"), Some(hint));
        }
        if spec.contract != *contract.id() {
            binder.note("contract", format!("`{}` was wanted, `{}` was given", spec.contract, contract.id()), None);
        }
        binder.check_names();
        let rules = contract.columns().iter().map(|column| binder.rule(column)).collect::<Vec<_>>();
        let rules: Vec<Rule> = rules.into_iter().flatten().collect();
        let mut exact = Vec::new();
        // Where a rule is missing, there is a problem.
        for (column, rule) in contract.columns().iter().zip(&rules) {
            let wanted = match column.kind {
                Kind::Text => Exact::Text,
                Kind::Int { .. } if !contract.can_be_read(column.name.as_str()) => Exact::Subject,
                _ => continue,
            };
            if let Rule::Expression(expr) = rule {
                let own = handed_on(expr).into_iter().flat_map(|column| known.own(column));
                exact.extend(own.map(|column| (column, wanted)));
            }
        }
        let optout = binder.optout();
        let untouched = if spec.spelling.is_empty() {
            untouched(contract, &rules, optout.as_ref(), &known)
        } else {
            BTreeMap::new()
        };
        binder.problems.into_result(Self { rules, exact, untouched, optout, known }).map_err(SourceError::Mapping)
    }

    /// Columns of a source as they are.
    pub(super) fn plain(columns: &[ColumnName]) -> Self {
        let rules = columns.iter().map(|name| Rule::Expression(Expr::Column(name.clone()))).collect();
        let (known, _) = Names::default().known(columns);
        Self { rules, exact: Vec::new(), untouched: BTreeMap::new(), optout: None, known }
    }

    /// What is wrong with the rules of `spec`, whatever its source holds: it is not at hand.
    pub fn foreseen(spec: &DatasetSpec, contract: &Contract) -> Problems {
        let mut binder = Binder { spec, contract, source: None, problems: Problems::default() };
        binder.check_names();
        for column in contract.columns().iter().filter(|column| spec.map.contains_key(&column.name)) {
            binder.rule(column);
        }
        binder.optout();
        binder.problems
    }

    /// The source columns that the rules read, each once.
    pub fn wanted(&self) -> Vec<ColumnName> {
        let mut wanted: Vec<ColumnName> = Vec::new();
        let rules = self.rules.iter().filter_map(|rule| match rule {
            Rule::Expression(expr) => Some(expr),
            Rule::Absent => None,
        });
        for expr in rules.chain(&self.optout) {
            for column in expr.columns().into_iter().flat_map(|column| self.known.own(column)) {
                if !wanted.contains(&column) {
                    wanted.push(column);
                }
            }
        }
        wanted
    }
}

/// The source's own columns that no expression computes with, no date is joined of and columns of one kind come from.
fn untouched(contract: &Contract, rules: &[Rule], optout: Option<&Expr>, known: &Known) -> BTreeMap<ColumnName, Kind> {
    let mut kinds: BTreeMap<ColumnName, Option<Kind>> = BTreeMap::new();
    let of_columns = contract.columns().iter().zip(rules).filter_map(|(column, rule)| match rule {
        Rule::Expression(expr) => Some((Some(&column.kind), expr)),
        Rule::Absent => None,
    });
    for (kind, expr) in of_columns.chain(optout.map(|expr| (None, expr))) {
        let kind = kind.filter(|_| matches!(expr, Expr::Column(name) if !known.joins(name)));
        for own in expr.columns().into_iter().flat_map(|name| known.own(name)) {
            let same = |before: &Kind| kind.is_some_and(|kind| discriminant(before) == discriminant(kind));
            kinds.entry(own).and_modify(|k| *k = k.take().filter(same)).or_insert_with(|| kind.cloned());
        }
    }
    kinds.into_iter().filter_map(|(name, kind)| Some((name, kind?))).collect()
}

/// The columns whose values an expression gives as they are.
fn handed_on(expr: &Expr) -> Vec<&ColumnName> {
    match expr {
        Expr::Column(name) => vec![name],
        Expr::Coalesce(parts) => parts.iter().flat_map(handed_on).collect(),
        Expr::NullIf { of, .. } => handed_on(of),
        Expr::Case { branches, otherwise } => {
            branches.iter().map(|b| &b.then).chain(otherwise.as_deref()).flat_map(handed_on).collect()
        }
        _ => vec![],
    }
}

struct Binder<'a> {
    spec: &'a DatasetSpec,
    contract: &'a Contract,
    /// The source's columns, where it is at hand.
    source: Option<&'a [ColumnName]>,
    problems: Problems,
}

impl Binder<'_> {
    fn note(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let key = join(&join("dataset", &self.spec.name), key);
        let problem = Problem::new(&self.spec.declared_in, key, message);
        self.problems.push(Problem { hint, ..problem });
    }

    fn check_names(&mut self) {
        let names: Vec<&str> = self.contract.columns().iter().map(|c| c.name.as_str()).collect();
        let spec = self.spec;
        let keys = spec.map.keys().map(|c| (format!("map.{c}"), c));
        for (key, column) in keys.chain(spec.absent.iter().map(|c| ("absent".to_owned(), c))) {
            if !names.contains(&column.as_str()) {
                let hint =
                    nearest(column.as_str(), names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                self.note(&key, format!("`{}` has no column `{column}`", self.spec.contract), hint);
            }
        }
        let hint = "without it no row fits the contract; map it, or do not offer the dataset";
        for column in spec.absent.iter().filter(|c| self.contract.is_subject(c.as_str())) {
            self.note("absent", format!("`{column}` names the patient"), Some(hint.to_owned()));
        }
        for column in self.contract.columns().iter().filter(|c| c.required && spec.absent.contains(&c.name)) {
            self.note("absent", format!("`{}` is required by the contract", column.name), Some(hint.to_owned()));
        }
        self.check_rules();
    }

    /// A site may be stricter than the contract, never milder.
    fn check_rules(&mut self) {
        let rules = self.contract.rules();
        for (name, wanted) in &self.spec.rules {
            let key = format!("rules.{name}");
            let Some(rule) = rules.iter().find(|rule| rule.name == *name) else {
                let near = nearest(name.as_str(), rules.iter().map(|rule| rule.name.as_str()));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.note(&key, format!("`{}` has no rule `{name}`", self.spec.contract), hint);
                continue;
            };
            if *wanted < rule.on_fail {
                let hint = "keep < null < reject: a site can only be stricter".to_owned();
                self.note(
                    &key,
                    format!("the contract says {}, which is stricter than {wanted}", rule.on_fail),
                    Some(hint),
                );
            } else if let Some(why) = rule.cannot(*wanted, self.contract) {
                self.note(&key, why, Some("write \"reject\"".to_owned()));
            }
        }
    }

    fn rule(&mut self, column: &Column) -> Option<Rule> {
        let name = &column.name;
        if self.spec.absent.contains(name) {
            return Some(Rule::Absent);
        }
        let Some(text) = self.spec.map.get(name) else {
            if self.source.is_some_and(|source| source.contains(name)) {
                return Some(Rule::Expression(Expr::Column(name.clone())));
            }
            self.unmapped(column);
            return None;
        };
        let key = format!("map.{name}");
        match bind_mapping(text, self.source) {
            Ok((expr, of)) if yields(&of, &column.kind) => Some(Rule::Expression(expr)),
            Ok((_, of)) => {
                let message = format!("`{name}` is of type {}, the expression is {}", column.kind.name(), of.name());
                self.note(&key, message, hint_for(&of, &column.kind));
                None
            }
            Err(problems) => {
                for problem in problems {
                    self.note(&key, problem.message, problem.hint);
                }
                None
            }
        }
    }

    fn optout(&mut self) -> Option<Expr> {
        match bind_mapping(self.spec.optout.as_ref()?, self.source) {
            Ok((expr, Type::Bool)) => return Some(expr),
            Ok((_, of)) => {
                let hint = "write a comparison, e.g. optout = \"consent = 'no'\"".to_owned();
                self.note("optout", format!("a condition is wanted, the expression is {}", of.name()), Some(hint));
            }
            Err(problems) => {
                for problem in problems {
                    self.note("optout", problem.message, problem.hint);
                }
            }
        }
        None
    }

    fn unmapped(&mut self, column: &Column) {
        let name = &column.name;
        let near = nearest(name.as_str(), self.source.into_iter().flatten().map(ColumnName::as_str));
        let hint = match near {
            Some(near) => {
                format!("if it is the source's `{near}`: {name} = \"{near}\" under [dataset.{}.map]", self.spec.name)
            }
            None if column.required || self.contract.is_subject(name.as_str()) => {
                format!("map it: {name} = \"…\" under [dataset.{}.map]", self.spec.name)
            }
            None => format!("map it, or declare it not collected: absent = [\"{name}\"]"),
        };
        let message = format!("the source has no column `{name}`, and no rule maps it");
        self.note(&format!("map.{name}"), message, Some(hint));
    }
}

/// Whether values of type `of` can be read as values of a column. Texts can always be tried.
fn yields(of: &Type, kind: &Kind) -> bool {
    match of {
        Type::Text => true,
        Type::Int | Type::Float => matches!(kind, Kind::Int { .. } | Kind::Float { .. } | Kind::Code { .. }),
        Type::Bool => matches!(kind, Kind::Bool),
        Type::Date => matches!(kind, Kind::Date { .. }),
        Type::Datetime => matches!(kind, Kind::Datetime { .. }),
        Type::Code(_) | Type::Band(_) | Type::Group(..) => false,
    }
}

fn hint_for(of: &Type, kind: &Kind) -> Option<String> {
    match (of, kind) {
        (Type::Bool, Kind::Code { .. } | Kind::Int { .. }) => Some("write case when … then '1' else '0' end".into()),
        (Type::Int | Type::Float, Kind::Bool) => Some("write a comparison, e.g. num > 0".into()),
        (Type::Band(_), _) => Some("keep the number; studies cut it into bands".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CsvSource, Names, SourceSpec, Spelling};
    use super::*;
    use std::collections::BTreeMap;

    const CONTRACT: &str = r#"
        id = "heart@1"
        subject = "row"
        [[column]]
        name = "age"
        type = "int"
        range = [0, 120]
        required = true
        [[column]]
        name = "chol"
        type = "float"
        range = [50, 700]
        [[column]]
        name = "disease"
        type = "bool"
        [[column]]
        name = "ca"
        type = "int"
        range = [0, 3]
    "#;

    fn spec(map: &[(&str, &str)], absent: &[&str]) -> DatasetSpec {
        DatasetSpec {
            name: "heart".into(),
            contract: "heart@1".parse().unwrap(),
            source: SourceSpec::Csv(CsvSource {
                path: "x.csv".into(),
                delimiter: b',',
                header: true,
                columns: None,
                missing: vec![],
                multi_line: false,
            }),
            map: map.iter().map(|(c, e)| (c.parse().unwrap(), (*e).to_owned())).collect::<BTreeMap<_, _>>(),
            absent: absent.iter().map(|c| c.parse().unwrap()).collect(),
            optout: None,
            names: Names::default(),
            spelling: Spelling::default(),
            rules: BTreeMap::new(),
            declared_in: "node.toml".into(),
        }
    }

    fn bind(map: &[(&str, &str)], absent: &[&str], source: &[&str]) -> Result<Mapping, String> {
        let contract = bocage_protocol::contract::parse(CONTRACT, "heart.toml").unwrap();
        let spec = spec(map, absent);
        let source: Vec<ColumnName> = source.iter().map(|c| c.parse().unwrap()).collect();
        Mapping::bind(&spec, &contract, &source).map_err(|p| p.to_string())
    }

    #[test]
    fn same_names_map_themselves_and_only_read_columns_are_wanted() {
        let mapping =
            bind(&[("disease", "num > 0"), ("chol", "nullif(chol, 0)")], &["ca"], &["age", "chol", "num", "x"]);
        let wanted: Vec<String> = mapping.unwrap().wanted().iter().map(ToString::to_string).collect();
        assert_eq!(wanted, ["age", "chol", "num"]);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let error = bind(&[("diseas", "num > 0"), ("chol", "num > 0")], &["age"], &["ages", "num", "cas"]).unwrap_err();
        for wanted in [
            "dataset.heart.map.diseas: `heart@1` has no column `diseas`\n  hint: did you mean `disease`?",
            "dataset.heart.absent: `age` is required by the contract",
            "dataset.heart.map.chol: `chol` is of type float, the expression is a condition",
            "dataset.heart.map.disease: the source has no column `disease`, and no rule maps it",
            "dataset.heart.map.ca: the source has no column `ca`, and no rule maps it\n  hint: if it is the source's `cas`",
        ] {
            assert!(error.contains(wanted), "{wanted}\nnot in\n{error}");
        }
    }

    #[test]
    fn other_names_are_what_the_rules_use_and_the_source_s_own_are_what_is_read() {
        let contract = bocage_protocol::contract::parse(CONTRACT, "heart.toml").unwrap();
        let source: Vec<ColumnName> = ["alter_in_jahren", "chol", "num"].map(|c| c.parse().unwrap()).to_vec();
        let named = |rename: &str, to: &str| {
            let mut problems = Problems::default();
            let rename = BTreeMap::from([(rename.to_owned(), to.to_owned())]);
            let names = Names::read(rename, BTreeMap::new(), "node.toml", "dataset.heart", &mut problems);
            let spec = DatasetSpec { names, ..spec(&[("disease", "num > 0")], &["ca"]) };
            Mapping::bind(&spec, &contract, &source).map_err(|e| e.to_string())
        };
        let wanted = named("Alter in Jahren", "age").unwrap().wanted();
        assert_eq!(wanted.iter().map(ColumnName::as_str).collect::<Vec<_>>(), ["alter_in_jahren", "chol", "num"]);
        let error = named("Alter", "age").unwrap_err();
        let said = "dataset.heart.rename.Alter: the source has no such column\n  hint: write its name";
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn an_expression_that_does_not_bind_is_named_with_its_column() {
        let source = ["age", "chol", "num", "ca"];
        let error = bind(&[("disease", "nun > 0")], &[], &source).unwrap_err();
        assert!(
            error.contains("dataset.heart.map.disease: unknown column `nun`\n  hint: did you mean `num`?"),
            "{error}"
        );
        let error = bind(&[("disease", "num = nun")], &[], &source).unwrap_err();
        assert!(error.contains("unknown column `nun`\n  hint: did you mean `num`?"), "{error}");
        let error = bind(&[("disease", "num = positive")], &[], &source).unwrap_err();
        let said = "map.disease: `positive` is no column\n  hint: a text stands in single quotes: 'positive'";
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn columns_whose_values_become_texts_or_name_patients_must_keep_them_apart() {
        let contract = |subject: &str| {
            let text = format!(
                "id = \"ids@1\"\nsubject = \"id\"\n[[column]]\nname = \"id\"\n{subject}\n[[column]]\nname = \"n\"\ntype = \"int\"\nrange = [0, 9]\n"
            );
            bocage_protocol::contract::parse(&text, "ids.toml").unwrap()
        };
        let exact = |subject: &str, rule: &str| {
            let mut spec = spec(&[("id", rule)], &[]);
            spec.contract = "ids@1".parse().unwrap();
            let source: Vec<ColumnName> = ["a", "b", "n"].map(|c| c.parse().unwrap()).to_vec();
            let exact = Mapping::bind(&spec, &contract(subject), &source).unwrap().exact;
            exact.iter().map(|(column, wanted)| format!("{column} {wanted:?}")).collect::<Vec<_>>()
        };
        assert_eq!(exact("type = \"text\"", "a"), ["a Text"]);
        assert_eq!(
            exact("type = \"text\"", "case when n > 3 then a else coalesce(b, 'none') end"),
            ["a Text", "b Text"]
        );
        assert_eq!(exact("type = \"int\"\nrange = [0, 9]", "a"), ["a Subject"]);
    }
}
