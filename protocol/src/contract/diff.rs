//! What differs between two contracts, and what of it breaks something: a study that was right may then be refused or mean another thing, or a site's
//! mapping may no longer fit.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use super::{Code, Column, Contract, Groups, Kind, OnInvalid, Subject};
use crate::env::Timestamp;
use crate::front::dates::date_text;
use crate::ids::ColumnName;

/// One difference, from the first contract to the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: `age`, `age.range`, `rule.birth_before_death`, `subject`.
    pub place: String,
    /// What kind of difference.
    pub kind: ChangeKind,
    /// What it was; empty where there was nothing.
    pub was: String,
    /// What it is; empty where there is nothing.
    pub is: String,
    /// Whether it breaks something.
    pub breaking: bool,
}

/// A kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ChangeKind {
    Added,
    Removed,
    /// Fewer values are allowed than before.
    Narrowed,
    /// More values are allowed than before.
    Widened,
    /// Other values are allowed, some of the old ones not.
    Moved,
    /// The codes of two contracts stand in another order, which is that of their levels.
    Reordered,
    Type,
    Unit,
    CodeSystem,
    /// Another word for people.
    Words,
    /// Anything else that is declared.
    Declared,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Narrowed => "narrowed",
            ChangeKind::Widened => "widened",
            ChangeKind::Moved => "moved",
            ChangeKind::Reordered => "reordered",
            ChangeKind::Type => "type",
            ChangeKind::Unit => "unit",
            ChangeKind::CodeSystem => "code system",
            ChangeKind::Words => "words",
            ChangeKind::Declared => "changed",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match (self.kind, self.was.as_str(), self.is.as_str()) {
            (ChangeKind::Added, _, is) => write!(f, "{place} added: {is}"),
            (ChangeKind::Removed, was, _) => write!(f, "{place} removed: {was}"),
            (ChangeKind::Narrowed, was, "") => write!(f, "{place} narrowed: no longer {was}"),
            (ChangeKind::Widened, "", is) => write!(f, "{place} widened: also {is}"),
            (ChangeKind::Narrowed | ChangeKind::Widened | ChangeKind::Moved, was, is) => {
                write!(f, "{place} {}: {was}, now {is}", self.kind)
            }
            (ChangeKind::Reordered, ..) => write!(f, "{place} reordered"),
            (_, "", is) => write!(f, "{place}: none before, now {is}"),
            (_, was, "") => write!(f, "{place}: {was} before, now none"),
            (_, was, is) => write!(f, "{place}: {was} before, now {is}"),
        }
    }
}

/// All differences, in the order of the contracts' columns.
pub fn changes(from: &Contract, to: &Contract) -> Vec<Change> {
    let mut found = Found::default();
    found.differs("title", ChangeKind::Words, from.title(), to.title(), false);
    found.differs("subject", ChangeKind::Declared, &subject(from), &subject(to), true);
    let rows = |contract: &Contract| if contract.one_row_per_subject() { "one a patient" } else { "several a patient" };
    found.differs("rows", ChangeKind::Declared, rows(from), rows(to), true);
    // What had none had nothing that could rely on it; but of several rows of one time the smallest value was chosen, and now it is another.
    for (place, was, is, always) in [
        ("time", from.time(), to.time(), false),
        ("order", from.order(), to.order(), true),
        ("birth", from.birth(), to.birth(), false),
        ("key", from.key(), to.key(), false),
    ] {
        let name = |column: Option<&ColumnName>| column.map(ToString::to_string).unwrap_or_default();
        found.differs(place, ChangeKind::Declared, &name(was), &name(is), always || was.is_some());
    }
    for was in from.columns() {
        match to.column(was.name.as_str()) {
            Some(is) => found.column(was, is),
            None => found.push(was.name.to_string(), ChangeKind::Removed, described(was), "", true),
        }
    }
    for is in to.columns().iter().filter(|c| from.column(c.name.as_str()).is_none()) {
        // Every site must map it, or say that it does not collect it; where it is required, it cannot say so.
        found.push(is.name.to_string(), ChangeKind::Added, "", described(is), is.required);
    }
    found.rules(from, to);
    found.0
}

#[derive(Default)]
struct Found(Vec<Change>);

impl Found {
    fn push(
        &mut self,
        place: impl Into<String>,
        kind: ChangeKind,
        was: impl Into<String>,
        is: impl Into<String>,
        breaking: bool,
    ) {
        self.0.push(Change { place: place.into(), kind, was: was.into(), is: is.into(), breaking });
    }

    fn differs(&mut self, place: &str, kind: ChangeKind, was: &str, is: &str, breaking: bool) {
        if was != is {
            self.push(place, kind, was, is, breaking);
        }
    }

    fn column(&mut self, was: &Column, is: &Column) {
        let at = |key: &str| format!("{}.{key}", was.name);
        if was.kind.name() == is.kind.name() {
            self.domain(was, is);
        } else {
            self.push(at("type"), ChangeKind::Type, was.kind.name(), is.kind.name(), true);
        }
        let unit = |column: &Column| column.unit.clone().unwrap_or_default();
        self.differs(&at("unit"), ChangeKind::Unit, &unit(was), &unit(is), true);
        let (before, after) = (was.system().unwrap_or_default(), is.system().unwrap_or_default());
        self.differs(&at("system"), ChangeKind::CodeSystem, before, after, true);
        let precision =
            |column: &Column| column.precision.map(|precision| precision.name().to_owned()).unwrap_or_default();
        self.differs(&at("precision"), ChangeKind::Declared, &precision(was), &precision(is), false);
        let refers = |column: &Column| column.references.clone().unwrap_or_default();
        // What becomes a reference can be read no more.
        self.differs(&at("references"), ChangeKind::Declared, &refers(was), &refers(is), true);
        self.differs(&at("label"), ChangeKind::Words, &was.label, &is.label, false);
        let required = |column: &Column| if column.required { "required" } else { "optional" };
        self.differs(&at("required"), ChangeKind::Declared, required(was), required(is), is.required);
        let invalid = |column: &Column| if column.invalid == OnInvalid::Reject { "reject" } else { "null" };
        if was.required == is.required {
            self.differs(&at("invalid"), ChangeKind::Declared, invalid(was), invalid(is), false);
        }
        self.groupings(was, is);
    }

    fn domain(&mut self, was: &Column, is: &Column) {
        let place = format!("{}.range", was.name);
        match (&was.kind, &is.kind) {
            (Kind::Int { lo: a, hi: b }, Kind::Int { lo: c, hi: d }) => {
                self.range(place, (a, b), (c, d), i64::to_string)
            }
            (Kind::Float { lo: a, hi: b }, Kind::Float { lo: c, hi: d }) => {
                self.range(place, (a, b), (c, d), f64::to_string);
            }
            (Kind::Date { lo: a, hi: b }, Kind::Date { lo: c, hi: d }) => {
                self.range(place, (a, b), (c, d), |day| date_text(*day));
            }
            (Kind::Datetime { lo: a, hi: b }, Kind::Datetime { lo: c, hi: d }) => {
                self.range(place, (a, b), (c, d), |ms| Timestamp(*ms).to_string());
            }
            (Kind::Code { codes: before, .. }, Kind::Code { codes: after, .. }) => {
                self.codes(&format!("{}.codes", was.name), before, after);
            }
            _ => {}
        }
    }

    fn range<T: PartialOrd>(&mut self, place: String, was: (&T, &T), is: (&T, &T), text: impl Fn(&T) -> String) {
        let (narrower, wider) = (is.0 > was.0 || is.1 < was.1, is.0 < was.0 || is.1 > was.1);
        let kind = match (narrower, wider) {
            (false, false) => return,
            (true, false) => ChangeKind::Narrowed,
            (false, true) => ChangeKind::Widened,
            (true, true) => ChangeKind::Moved,
        };
        let shown = |(lo, hi): (&T, &T)| format!("{} to {}", text(lo), text(hi));
        self.push(place, kind, shown(was), shown(is), narrower);
    }

    fn codes(&mut self, place: &str, was: &[Code], is: &[Code]) {
        let labels =
            |codes: &[Code]| codes.iter().map(|c| (c.code.clone(), c.label.clone())).collect::<HashMap<_, _>>();
        let (before, after) = (labels(was), labels(is));
        let beyond = |codes: &[Code], other: &HashMap<String, String>| {
            codes
                .iter()
                .filter(|c| !other.contains_key(&c.code))
                .map(|c| c.code.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (gone, new) = (beyond(was, &after), beyond(is, &before));
        if !gone.is_empty() {
            self.push(place, ChangeKind::Narrowed, &gone, "", true);
        }
        if !new.is_empty() {
            self.push(place, ChangeKind::Widened, "", &new, false);
        }
        let common = |codes: &[Code], other: &HashMap<String, String>| {
            codes.iter().filter(|c| other.contains_key(&c.code)).map(|c| c.code.clone()).collect::<Vec<_>>()
        };
        if common(was, &after) != common(is, &before) {
            self.push(place, ChangeKind::Reordered, "", "", false);
        }
        for code in is {
            if let Some(label) = before.get(&code.code) {
                self.differs(&format!("{place}.{}", code.code), ChangeKind::Words, label, &code.label, false);
            }
        }
    }

    fn groupings(&mut self, was: &Column, is: &Column) {
        for grouping in &was.groupings {
            let place = format!("{}.groupings.{}", was.name, grouping.name);
            match is.grouping(&grouping.name) {
                None => self.push(place, ChangeKind::Removed, groups(&grouping.groups, &was.kind), "", true),
                Some(now) => {
                    let (before, after) = (groups(&grouping.groups, &was.kind), groups(&now.groups, &is.kind));
                    self.differs(&place, ChangeKind::Declared, &before, &after, true);
                }
            }
        }
        for grouping in is.groupings.iter().filter(|g| was.grouping(&g.name).is_none()) {
            let place = format!("{}.groupings.{}", is.name, grouping.name);
            self.push(place, ChangeKind::Added, "", groups(&grouping.groups, &is.kind), false);
        }
    }

    /// Rules decide which rows a snapshot has, and no study reads them: none of it breaks anything.
    fn rules(&mut self, from: &Contract, to: &Contract) {
        let shown = |contract: &Contract| -> BTreeMap<String, String> {
            contract
                .rules()
                .iter()
                .map(|r| (format!("rule.{}", r.name), format!("{} ({})", r.check, r.on_fail)))
                .collect()
        };
        let (before, after) = (shown(from), shown(to));
        for (place, was) in &before {
            match after.get(place) {
                None => self.push(place, ChangeKind::Removed, was, "", false),
                Some(is) => self.differs(place, ChangeKind::Declared, was, is, false),
            }
        }
        for (place, is) in after.iter().filter(|(place, _)| !before.contains_key(*place)) {
            self.push(place, ChangeKind::Added, "", is, false);
        }
    }
}

fn subject(contract: &Contract) -> String {
    match contract.subject() {
        Subject::Row => "row".to_owned(),
        Subject::Column(name) => name.to_string(),
    }
}

fn described(column: &Column) -> String {
    let required = if column.required { ", required" } else { "" };
    let unit = column.unit.as_ref().map(|unit| format!(" in {unit}")).unwrap_or_default();
    format!("{}{unit}{required}", column.kind.name())
}

/// How a grouping groups: two that read the same group the same values.
fn groups(groups: &Groups, kind: &Kind) -> String {
    match (groups, kind) {
        (Groups::Breaks(breaks), _) => breaks.iter().map(f64::to_string).collect::<Vec<_>>().join(", "),
        (Groups::Codes { labels, of }, Kind::Code { codes, .. }) => {
            let members = |group: usize| {
                let codes = codes.iter().zip(of.iter()).filter(|(_, of)| **of as usize == group);
                codes.map(|(code, _)| code.code.as_str()).collect::<Vec<_>>().join(" ")
            };
            labels
                .iter()
                .enumerate()
                .map(|(i, label)| format!("{label}: {}", members(i)))
                .collect::<Vec<_>>()
                .join("; ")
        }
        (Groups::Codes { labels, .. }, _) => labels.join("; "),
    }
}
