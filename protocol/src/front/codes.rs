//! `[codes]`: lists of codes that conditions name as `@list`: exact ones, beginnings, chapters and blocks of ICD-10-CM, and all that a hierarchy has
//! below some.
//!
//! Files are read by whoever reads the study's text; here they are texts already.

mod chapters;
mod files;
mod ranges;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use self::chapters::Part;
use super::study::KEYS;
use crate::ids::{ColumnName, Digest};
use crate::limits;
use crate::plan::{Comparison, Expr, Literal, TypeProblem};
use crate::settings::{Problem, Problems, join, read};
use crate::trust::CodeList;

pub(super) use files::rows as table_rows;

/// What files hold, by the names that a study's text gives them, or why one could not be read.
pub type Files = BTreeMap<String, Result<String, String>>;

#[derive(Deserialize)]
struct RawList {
    system: String,
    codes: Option<Vec<String>>,
    prefix: Option<Vec<String>>,
    range: Option<Vec<String>>,
    chapter: Option<Vec<String>>,
    block: Option<Vec<String>>,
    file: Option<String>,
    descendants: Option<Vec<String>>,
    hierarchy: Option<String>,
}

/// The lists of a study. One that could not be read is there, with nothing.
pub(super) type Lists = BTreeMap<ColumnName, Option<List>>;

/// A list of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    pub system: String,
    codes: BTreeSet<String>,
    prefixes: BTreeSet<String>,
}

/// The files that the lists name.
pub(super) fn named_files(raw: &BTreeMap<ColumnName, Value>) -> BTreeSet<&str> {
    let keys = ["file", "hierarchy"];
    raw.values().flat_map(|list| keys.iter().filter_map(|key| list.get(key)?.as_str())).collect()
}

/// Reads the lists; what is wrong with them is noted.
pub(super) fn lists(raw: &BTreeMap<ColumnName, Value>, files: &Files, file: &str, problems: &mut Problems) -> Lists {
    if raw.len() > limits::CODE_LISTS {
        problems.push(Problem::new(file, "codes", format!("a study has at most {} code lists", limits::CODE_LISTS)));
    }
    let mut found = Lists::new();
    for (name, value) in raw.iter().take(limits::CODE_LISTS) {
        let key = format!("codes.{name}");
        let list = read::<RawList>(value, file, &key, KEYS, problems)
            .and_then(|raw| Reader { file, key: &key, files, problems }.list(raw));
        found.insert(name.clone(), list);
    }
    found
}

struct Reader<'a> {
    file: &'a str,
    key: &'a str,
    files: &'a Files,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, key: &str, message: impl Into<String>, hint: &str) -> Option<T> {
        let problem = Problem::new(self.file, join(self.key, key), message);
        self.problems.push(if hint.is_empty() { problem } else { problem.hint(hint) });
        None
    }

    fn list(&mut self, raw: RawList) -> Option<List> {
        let before = self.problems.0.len();
        if raw.system.trim().is_empty() || raw.system.len() > limits::LABEL_BYTES {
            let hint = "as contracts name it, e.g. system = \"icd10cm\"";
            self.refuse::<()>("system", "a code list says whose codes it has", hint);
        }
        let mut list = List { system: raw.system, codes: BTreeSet::new(), prefixes: BTreeSet::new() };
        list.codes.extend(raw.codes.iter().flatten().cloned());
        list.prefixes.extend(raw.prefix.iter().flatten().cloned());
        for range in raw.range.iter().flatten() {
            match ranges::prefixes(range) {
                Ok(prefixes) => list.prefixes.extend(prefixes),
                Err(problem) => {
                    self.refuse::<()>("range", problem.message, problem.hint.as_deref().unwrap_or_default());
                }
            }
        }
        for (part, names) in [(Part::Chapter, &raw.chapter), (Part::Block, &raw.block)] {
            let Some(names) = names else { continue };
            if !chapters::is_of(&list.system) {
                let message =
                    format!("chapters and blocks are those of ICD-10-CM, and the list has codes of `{}`", list.system);
                self.refuse::<()>(part.name(), message, "say the categories themselves: range = [\"I20-I25\"]");
                continue;
            }
            for name in names {
                match chapters::prefixes(part, name) {
                    Ok(prefixes) => list.prefixes.extend(prefixes),
                    Err(problem) => {
                        self.refuse::<()>(part.name(), problem.message, problem.hint.as_deref().unwrap_or_default());
                    }
                }
            }
        }
        if let Some(codes) = raw.file.as_deref().and_then(|name| self.read("file", name, files::codes)) {
            list.codes.extend(codes);
        }
        match (raw.descendants, raw.hierarchy) {
            (Some(roots), Some(name)) => {
                if let Some(pairs) = self.read("hierarchy", &name, files::pairs) {
                    self.descend(&roots, &pairs, &mut list.codes);
                }
            }
            (Some(_), None) => {
                let hint = "add hierarchy = \"FILE\" with the columns parent and child";
                self.refuse::<()>("descendants", "what is below a code says a hierarchy, and none is named", hint);
            }
            (None, Some(_)) => {
                let hint = "add descendants = [\"CODE\"], or leave `hierarchy` out";
                self.refuse::<()>("hierarchy", "a hierarchy is named, and no code whose descendants are meant", hint);
            }
            (None, None) => {}
        }
        if list.codes.iter().chain(&list.prefixes).any(|code| code.is_empty() || code.len() > limits::LABEL_BYTES) {
            let message = format!("a code or prefix has 1 to {} bytes", limits::LABEL_BYTES);
            self.refuse::<()>("", message, "take it out");
        }
        if self.problems.0.len() == before && list.codes.is_empty() && list.prefixes.is_empty() {
            let hint = "add codes = [\"…\"], prefix = [\"…\"], range, chapter or block = [\"…\"], file = \"…\", or descendants with a hierarchy";
            self.refuse::<()>("", "the list has no code", hint);
        }
        if list.codes.len() > limits::IN_LIST {
            let message = format!("the list has {} codes, and {} fit a condition", list.codes.len(), limits::IN_LIST);
            self.refuse::<()>("", message, "name beginnings: prefix = [\"…\"]");
        }
        (self.problems.0.len() == before).then_some(list)
    }

    fn read<T>(&mut self, key: &str, name: &str, of: fn(&str) -> Result<T, TypeProblem>) -> Option<T> {
        let beside = "it lies beside the study's own file";
        let text = match self.files.get(name) {
            Some(Ok(text)) => text,
            Some(Err(why)) => return self.refuse(key, format!("cannot read `{name}`: {why}"), beside),
            None => return self.refuse(key, format!("the file `{name}` was not given"), beside),
        };
        match of(text) {
            Ok(found) => Some(found),
            Err(problem) => {
                let hint = problem.hint.unwrap_or_default();
                self.refuse(key, format!("{name}: {}", problem.message), &hint)
            }
        }
    }

    /// The codes and all that is below them, however deep.
    fn descend(&mut self, roots: &[String], pairs: &[(String, String)], codes: &mut BTreeSet<String>) {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (parent, child) in pairs {
            below.entry(parent).or_default().push(child);
        }
        let known: BTreeSet<&str> =
            pairs.iter().flat_map(|(parent, child)| [parent.as_str(), child.as_str()]).collect();
        for root in roots.iter().filter(|root| !known.contains(root.as_str())) {
            let hint = "codes are compared as they are written, with dots and in capitals";
            self.refuse::<()>("descendants", format!("the hierarchy does not have `{root}`"), hint);
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = roots.iter().map(String::as_str).collect();
        while let Some(code) = open.pop() {
            if seen.insert(code) {
                open.extend(below.get(code).into_iter().flatten());
            }
        }
        codes.extend(seen.into_iter().map(str::to_owned));
    }
}

impl List {
    /// As it stands in the signed study.
    pub fn signed(&self, name: &ColumnName) -> CodeList {
        let count = (self.codes.len() + self.prefixes.len()) as u32;
        let parts = crate::trust::canonical(&(&self.codes, &self.prefixes)).unwrap_or_default();
        let hash = Digest::of("bocage/codes/1", &[self.system.as_bytes(), &parts]);
        CodeList { name: name.clone(), system: self.system.clone(), hash, count }
    }

    /// Whether `of` is in the list. Of a column that declares its codes, `declared` are those; of one of whole numbers, codes are these.
    pub fn condition(&self, of: &Expr, declared: Option<&BTreeSet<&str>>, whole: bool) -> Result<Expr, TypeProblem> {
        if whole && !self.prefixes.is_empty() {
            return Err(TypeProblem::new("the list has beginnings, and the column has whole numbers")
                .hint("name whole codes: codes = [\"…\"]"));
        }
        let codes = self.codes.iter().filter(|code| declared.is_none_or(|known| known.contains(code.as_str())));
        let literal = |code: &String| match whole {
            true => code.parse().map(Literal::Int).map_err(|_| {
                TypeProblem::new(format!("the list's code `{code}` is no whole number, and the column has such"))
            }),
            false => Ok(Literal::Text(code.clone())),
        };
        let mut literals: Vec<Literal> = codes.map(literal).collect::<Result<_, _>>()?;
        let boxed = || Box::new(of.clone());
        let mut parts = Vec::new();
        if literals.len() == 1 {
            let right = Box::new(Expr::Literal(literals.remove(0)));
            parts.push(Expr::Compare { op: Comparison::Equal, left: boxed(), right });
        } else if !literals.is_empty() {
            parts.push(Expr::In { of: boxed(), list: literals });
        }
        parts.extend(self.prefixes.iter().map(|prefix| Expr::Prefix { of: boxed(), prefix: prefix.clone() }));
        match parts.len() {
            0 => Err(TypeProblem::new("the contract declares none of the list's codes")
                .hint("codes are compared as they are written, with dots and in capitals")),
            1 => Ok(parts.remove(0)),
            _ => Ok(Expr::Or(parts)),
        }
    }
}
