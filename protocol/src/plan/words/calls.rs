//! What stands for a feature that has only a number: what the study language would write for it, or the name that the study gave it.
//!
//! Expressions, measures and messages are written with a plan's own names first, and said here: one place for all that a person reads. A text in quotes is
//! data and stays as it is.

use std::collections::BTreeMap;

use super::{Literal, expression, literal};
use crate::ids::{ColumnName, Digest};
use crate::plan::model::Gives;
use crate::plan::{Derived, Edge, Expr, Feature, Moment, Pick, Rows, Window};

/// Characters: of four bytes each they are no more than a heading may have.
const LONGEST_HEADING: usize = crate::limits::LABEL_BYTES / 4 - 1;

/// For each of a plan's features, what a person reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(BTreeMap<ColumnName, String>);

impl Calls {
    /// Those of features, each after what it reads. `written` gives the study's own name.
    pub fn of<'a>(
        features: impl IntoIterator<Item = &'a Feature>,
        written: impl Fn(&ColumnName) -> Option<ColumnName>,
    ) -> Self {
        let mut calls = Self::default();
        for feature in features {
            let said = match written(&feature.name) {
                Some(name) => name.to_string(),
                None => calls.call(&feature.of),
            };
            calls.0.insert(feature.name.clone(), said);
        }
        calls
    }

    /// A column's name as a person reads it.
    pub fn name(&self, name: &ColumnName) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| name.to_string())
    }

    /// The same of every name in an expression.
    pub fn say(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let (mut said, mut word, mut quoted) = (String::new(), String::new(), false);
        let name = |word: &mut String| {
            let word = std::mem::take(word);
            word.parse().ok().and_then(|name: ColumnName| self.0.get(&name).cloned()).unwrap_or(word)
        };
        for c in text.chars() {
            if !quoted && (c.is_ascii_alphanumeric() || c == '_') {
                word.push(c);
                continue;
            }
            said += &name(&mut word);
            quoted ^= c == '\'';
            said.push(c);
        }
        said + &name(&mut word)
    }

    /// An expression as a heading: what it is made of is told in full where a plan is explained.
    pub fn heading(&self, of: &Expr) -> String {
        let text = self.say(&expression(of));
        match text.char_indices().nth(LONGEST_HEADING) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    /// The same of every name that a message has between its marks, `` `f1` ``; without marks it is an expression.
    pub fn tell(&self, message: &str) -> String {
        if !message.contains('`') {
            return self.say(message);
        }
        let part = |(at, part): (usize, &str)| if at % 2 == 1 { self.say(part) } else { part.to_owned() };
        message.split('`').enumerate().map(part).collect::<Vec<_>>().join("`")
    }

    /// A feature as a study writes it.
    fn call(&self, of: &Derived) -> String {
        match of {
            Derived::Has { rows, at_least: 1 } => format!("has({})", self.rows(None, rows)),
            Derived::Has { rows, at_least } => format!("has({}, at_least = {at_least})", self.rows(None, rows)),
            Derived::Count { rows } => format!("count({})", self.rows(None, rows)),
            Derived::Pick { pick, column, rows } => {
                let pick = match pick {
                    Pick::First => "first",
                    Pick::Last => "last",
                    Pick::Least => "min",
                    Pick::Greatest => "max",
                    Pick::Mean => "mean",
                };
                format!("{pick}({})", self.rows(Some(column), rows))
            }
            Derived::Sum { column, rows, at_most } => {
                format!("sum({}, at_most = {at_most})", self.rows(Some(column), rows))
            }
            Derived::Value { table, column } => format!("{table}.{}", self.name(column)),
            Derived::Reached { through, column, .. } => format!("{}.{}", self.name(through), self.name(column)),
            Derived::Age { table: None, at } => format!("age_at({})", self.moment(at)),
            Derived::Age { table: Some(table), at } => format!("{table}.age_at({})", self.moment(at)),
            Derived::Plausible { column, lo, hi } => format!("plausible({}, {lo}, {hi})", self.name(column)),
            Derived::Predicted(of) => {
                let what = match &of.gives {
                    Gives::Mean => "predict",
                    Gives::Linear => "linear",
                    Gives::Inverse(_) => "ipw",
                    Gives::Fold => "fold",
                };
                // The coefficients tell one from another.
                let model = Digest::of("bocage/model/1", &[&crate::trust::canonical(of).unwrap_or_default()]);
                format!("{what}(model {})", model.short())
            }
        }
    }

    fn rows(&self, column: Option<&ColumnName>, rows: &Rows) -> String {
        let of = column.map(|column| format!(".{}", self.name(column))).unwrap_or_default();
        let filter = rows.filter.as_ref().map(|filter| format!(" where {}", self.say(&expression(filter))));
        let window = rows.window.as_ref().map(|window| self.window(window));
        format!("{}{of}{}{}", rows.table, filter.unwrap_or_default(), window.unwrap_or_default())
    }

    fn window(&self, window: &Window) -> String {
        let edge = |word: &str, edge: &Option<Edge>| {
            let Edge { at, days } = edge.as_ref()?;
            let moment = self.moment(at);
            Some(match days {
                0 => format!(", {word} = {moment}"),
                1.. => format!(", {word} = {moment} + days({days})"),
                _ => format!(", {word} = {moment} - days({})", days.unsigned_abs()),
            })
        };
        [edge("from", &window.from), edge("until", &window.to)].into_iter().flatten().collect()
    }

    fn moment(&self, moment: &Moment) -> String {
        match moment {
            Moment::Date(day) => literal(&Literal::Date(*day)),
            Moment::Column(name) => self.name(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(features: &[(&str, Derived)], named: &str) -> Calls {
        let feature = |(name, of): &(&str, Derived)| Feature { name: name.parse().unwrap(), on: None, of: of.clone() };
        let features: Vec<Feature> = features.iter().map(feature).collect();
        Calls::of(&features, |name| (name.as_str() == named).then(|| "age_now".parse().unwrap()))
    }

    #[test]
    fn names_are_said_wherever_they_stand_and_texts_that_look_like_them_are_not() {
        let age = Derived::Age { table: None, at: Moment::Date(18_292) };
        let near = Derived::Plausible { column: "f1".parse().unwrap(), lo: 18.0, hi: 90.0 };
        let plain = calls(&[("f1", age.clone()), ("f2", near.clone())], "");
        assert_eq!(
            plain.say("cut(f2, 40) and f10 = 'f1''f2' or f1 > 5"),
            "cut(plausible(age_at(date '2020-01-31'), 18, 90), 40) and f10 = 'f1''f2' or age_at(date '2020-01-31') > 5"
        );
        assert_eq!(
            plain.tell("the range of `f1` is the contract's: f1"),
            "the range of `age_at(date '2020-01-31')` is the contract's: f1"
        );
        assert_eq!(calls(&[("f1", age), ("f2", near)], "f1").say("f2"), "plausible(age_now, 18, 90)");
        assert_eq!(Calls::default().say("f1"), "f1");
    }
}
