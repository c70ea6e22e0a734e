//! `[[rule]]` of a contract: read when its columns are known.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::{KEYS, Reader};
use crate::contract::{Check, Contract, Kind, OnFail, Rule};
use crate::front::bind_rule;
use crate::ids::{ColumnName, RuleName};
use crate::limits;
use crate::settings::{Problem, join, nearest, read};

#[derive(Deserialize)]
pub(super) struct RawRule {
    name: RuleName,
    check: Option<String>,
    kind: Option<String>,
    columns: Option<Vec<ColumnName>>,
    pub(super) column: Option<ColumnName>,
    pub(super) born: Option<String>,
    on_fail: Option<String>,
}

const KINDS: [&str; 4] = ["future_date", "duplicate", "before_birth", "dangling"];

impl Reader<'_> {
    /// The rules of `contract`, which has none yet.
    pub(super) fn rules(&mut self, values: &[Value], contract: &Contract) -> Vec<Rule> {
        if values.len() > limits::RULES {
            let hint = "put several into one, by `and`";
            self.problem("rule", format!("a contract has at most {} rules", limits::RULES), hint);
            return Vec::new();
        }
        let rules: Vec<Rule> =
            values.iter().enumerate().filter_map(|(i, value)| self.rule(i, value, contract)).collect();
        let mut seen = HashSet::new();
        for rule in rules.iter().filter(|rule| !seen.insert(&rule.name)) {
            self.problem(
                "rule",
                format!("`{}` is declared twice", rule.name),
                "rename one of the two, or take it away",
            );
        }
        rules
    }

    fn rule(&mut self, index: usize, value: &Value, contract: &Contract) -> Option<Rule> {
        let name = value.get("name").and_then(Value::as_str).unwrap_or("?");
        let place = format!("rule[{index}] ({name})");
        let raw: RawRule = read(value, self.file, &place, KEYS, &mut self.problems)?;
        let named = raw.columns.iter().flatten().chain(&raw.column);
        let unknown = named.filter(|name| contract.column(name.as_str()).is_none()).count();
        let columns = [("columns", raw.columns.as_deref()), ("column", raw.column.as_ref().map(std::slice::from_ref))];
        for (key, names) in columns {
            names.unwrap_or_default().iter().for_each(|name| self.is_column(name, &join(&place, key), contract));
        }
        let on_fail = match raw.on_fail.as_deref() {
            None => OnFail::Keep,
            Some(text) => OnFail::parse(text).unwrap_or_else(|| {
                let problem = Problem::new(self.file, join(&place, "on_fail"), format!("unknown consequence `{text}`"));
                self.problems.push(problem.hint("\"reject\", \"null\" or \"keep\""));
                OnFail::Keep
            }),
        };
        let check = self.check(&raw, &place, contract)?;
        let column = raw.column.filter(|_| matches!(check, Check::Holds(_)));
        let rule = Rule { name: raw.name, check, on_fail, column };
        // What is wrong with a column that is none was said.
        if let Some(why) = rule.cannot(on_fail, contract).filter(|_| unknown == 0) {
            let problem = Problem::new(self.file, join(&place, "on_fail"), why);
            self.problems
                .push(problem.hint("name the `column` whose value is at fault, or write \"reject\" or \"keep\""));
        }
        Some(rule)
    }

    fn is_column(&mut self, name: &ColumnName, place: &str, contract: &Contract) {
        if contract.column(name.as_str()).is_some() {
            return;
        }
        let problem = Problem::new(self.file, place, format!("there is no column `{name}`"));
        let near = nearest(name.as_str(), contract.columns().iter().map(|c| c.name.as_str()));
        self.problems.push(match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        });
    }

    fn check(&mut self, raw: &RawRule, place: &str, contract: &Contract) -> Option<Check> {
        self.unwanted("born", raw.born.is_some() && raw.kind.as_deref() != Some("before_birth"), place);
        match (&raw.check, raw.kind.as_deref()) {
            (Some(text), None) => {
                self.unwanted("columns", raw.columns.is_some(), place);
                self.condition(text, &join(place, "check"), contract)
            }
            (None, Some("future_date")) => {
                self.unwanted("column", raw.column.is_some(), place);
                self.future(raw, place, contract)
            }
            (None, Some("duplicate")) => {
                self.unwanted("column", raw.column.is_some(), place);
                self.duplicate(raw, place)
            }
            (None, Some("before_birth")) => {
                self.unwanted("columns", raw.columns.is_some(), place);
                self.before_birth(raw, place, contract)
            }
            (None, Some("dangling")) => {
                self.unwanted("columns", raw.columns.is_some(), place);
                self.dangling(raw, place, contract)
            }
            (None, Some(other)) => {
                let hint = match nearest(other, KINDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("one of {}; or a `check` of your own", KINDS.join(", ")),
                };
                let problem = Problem::new(self.file, join(place, "kind"), format!("unknown kind of rule `{other}`"));
                self.problems.push(problem.hint(hint));
                None
            }
            (Some(_), Some(_)) | (None, None) => {
                let problem = Problem::new(self.file, place, "a rule has a `check` or a `kind`, one of the two");
                self.problems.push(problem.hint("e.g. check = \"birth_date <= death_date\", or kind = \"duplicate\""));
                None
            }
        }
    }

    fn unwanted(&mut self, key: &str, given: bool, place: &str) {
        if given {
            self.problem(&join(place, key), "a rule of this kind has no such key", "take it away, or say another kind");
        }
    }

    fn condition(&mut self, text: &str, place: &str, contract: &Contract) -> Option<Check> {
        match bind_rule(text, contract) {
            Ok(condition) if condition.columns().is_empty() => {
                let problem = Problem::new(self.file, place, "it reads no column");
                self.problems.push(problem.hint("say what must hold of a row, e.g. birth_date <= death_date"));
                None
            }
            Ok(condition) => Some(Check::Holds(condition)),
            Err(problems) => {
                for problem in problems {
                    self.problems.push(problem.at(self.file, place));
                }
                None
            }
        }
    }

    fn future(&mut self, raw: &RawRule, place: &str, contract: &Contract) -> Option<Check> {
        let dated = |kind: &Kind| matches!(kind, Kind::Date { .. } | Kind::Datetime { .. });
        let all = || contract.columns().iter().filter(|c| dated(&c.kind)).map(|c| c.name.clone()).collect();
        let columns = raw.columns.clone().unwrap_or_else(all);
        for column in columns.iter().filter_map(|name| contract.column(name.as_str())).filter(|c| !dated(&c.kind)) {
            let message = format!("`{}` is of type {}, neither date nor datetime", column.name, column.kind.name());
            self.problem(&join(place, "columns"), message, "name columns that say when");
        }
        if columns.is_empty() {
            let message = "the contract has no column of type date or datetime";
            self.problem(&join(place, "columns"), message, "take the rule away");
            return None;
        }
        Some(Check::FutureDate { columns })
    }

    fn duplicate(&mut self, raw: &RawRule, place: &str) -> Option<Check> {
        let columns = raw.columns.clone().unwrap_or_default();
        if columns.is_empty() {
            let problem = Problem::new(self.file, join(place, "columns"), "needed: which values no two rows share");
            self.problems.push(problem.hint("e.g. columns = [\"patient\", \"admitted\"]"));
            return None;
        }
        Some(Check::Duplicate { columns })
    }
}
