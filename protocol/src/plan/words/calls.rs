//! What stands for a feature that has only a number: what the study language would write for it, or the name that the study gave it.
//!
//! Expressions, measures and messages are written with a plan's own names first, and said here: one place for all that a person reads. A text in quotes is
//! data and stays as it is.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Literal, expression, literal};
use crate::ids::{ColumnName, Digest};
use crate::plan::model::Gives;
use crate::plan::{Derived, Edge, Expr, Feature, Moment, Pick, Rows, Window};

/// Characters: of four bytes each they are no more than a heading may have.
const LONGEST_HEADING: usize = crate::limits::LABEL_BYTES / 4 - 1;
/// Characters of a feature's text. Each is part of the texts of those that read it: without an end a chain of features that read the one before twice
/// would have a text of twice the length with every link.
const LONGEST_CALL: usize = 200;

/// For each of a plan's features, what a person reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(BTreeMap<ColumnName, Call>);

#[derive(Debug, Clone)]
struct Call {
    said: String,
    /// Whether it says all of what the feature is.
    whole: bool,
}

impl Calls {
    /// Those of features, each after what it reads. `written` gives the study's own name.
    pub fn of<'a>(
        features: impl IntoIterator<Item = &'a Feature>,
        written: impl Fn(&ColumnName) -> Option<ColumnName>,
    ) -> Self {
        let mut calls = Self::default();
        for feature in features {
            let call = match written(&feature.name) {
                Some(name) => Call { said: name.to_string(), whole: true },
                None => calls.made(feature),
            };
            calls.0.insert(feature.name.clone(), call);
        }
        calls
    }

    /// A column's name as a person reads it.
    pub fn name(&self, name: &ColumnName) -> String {
        self.0.get(name).map_or_else(|| name.to_string(), |call| call.said.clone())
    }

    /// Whether what stands for a column does not say all of what it is.
    pub fn is_short(&self, name: &ColumnName) -> bool {
        self.0.get(name).is_some_and(|call| !call.whole)
    }

    /// The same of every name in an expression.
    pub fn say(&self, text: &str) -> String {
        let mut said = String::new();
        // A text takes all that is written to it.
        let _ = self.write(text, &mut said);
        said
    }

    /// An expression as a heading: what it is made of is told in full where a plan is explained.
    pub fn heading(&self, of: &Expr) -> String {
        let (text, whole) = Short::of(LONGEST_HEADING, |out| self.write(&expression(of), out));
        if whole { text } else { text + "…" }
    }

    /// The same of every name that a message has between its marks, `` `f1` ``; without marks it is an expression.
    pub fn tell(&self, message: &str) -> String {
        if !message.contains('`') {
            return self.say(message);
        }
        let part = |(at, part): (usize, &str)| if at % 2 == 1 { self.say(part) } else { part.to_owned() };
        message.split('`').enumerate().map(part).collect::<Vec<_>>().join("`")
    }

    fn write(&self, text: &str, out: &mut impl Write) -> fmt::Result {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let mut quoted = false;
        for part in text.split_inclusive(ends) {
            let word = part.trim_end_matches(ends);
            let name = if quoted { None } else { word.parse::<ColumnName>().ok() };
            let call = name.and_then(|name| self.0.get(&name));
            out.write_str(call.map_or(word, |call| &call.said))?;
            out.write_str(&part[word.len()..])?;
            quoted ^= part.ends_with('\'');
        }
        Ok(())
    }

    /// What stands for a feature without a name. Two that begin alike never read the same.
    fn made(&self, feature: &Feature) -> Call {
        let (said, whole) = Short::of(LONGEST_CALL, |out| self.call(&feature.of, out));
        if whole {
            return Call { said, whole };
        }
        let all = crate::trust::canonical(&(&feature.on, &feature.of)).unwrap_or_default();
        Call { said: format!("{said}… {}", Digest::of("bocage/call/1", &[&all]).short()), whole }
    }

    /// A feature as a study writes it.
    fn call(&self, of: &Derived, out: &mut impl Write) -> fmt::Result {
        match of {
            Derived::Has { rows, at_least: 1 } => {
                out.write_str("has(")?;
                self.rows(None, rows, out)?;
            }
            Derived::Has { rows, at_least } => {
                out.write_str("has(")?;
                self.rows(None, rows, out)?;
                write!(out, ", at_least = {at_least}")?;
            }
            Derived::Count { rows } => {
                out.write_str("count(")?;
                self.rows(None, rows, out)?;
            }
            Derived::Pick { pick, column, rows } => {
                out.write_str(match pick {
                    Pick::First => "first(",
                    Pick::Last => "last(",
                    Pick::Least => "min(",
                    Pick::Greatest => "max(",
                    Pick::Mean => "mean(",
                })?;
                self.rows(Some(column), rows, out)?;
            }
            Derived::Sum { column, rows, at_most } => {
                out.write_str("sum(")?;
                self.rows(Some(column), rows, out)?;
                write!(out, ", at_most = {at_most}")?;
            }
            Derived::Value { table, column } => return write!(out, "{table}.{}", self.name(column)),
            Derived::Reached { through, column, .. } => {
                return write!(out, "{}.{}", self.name(through), self.name(column));
            }
            Derived::Age { table: None, at } => write!(out, "age_at({}", self.moment(at))?,
            Derived::Age { table: Some(table), at } => write!(out, "{table}.age_at({}", self.moment(at))?,
            Derived::Plausible { column, lo, hi } => write!(out, "plausible({}, {lo}, {hi}", self.name(column))?,
            Derived::Predicted(of) => {
                let what = match &of.gives {
                    Gives::Mean => "predict",
                    Gives::Linear => "linear",
                    Gives::Inverse(_) => "ipw",
                    Gives::Fold => "fold",
                };
                // The coefficients tell one from another.
                let model = Digest::of("bocage/model/1", &[&crate::trust::canonical(of).unwrap_or_default()]);
                write!(out, "{what}(model {}", model.short())?;
            }
        }
        out.write_char(')')
    }

    fn rows(&self, column: Option<&ColumnName>, rows: &Rows, out: &mut impl Write) -> fmt::Result {
        write!(out, "{}", rows.table)?;
        if let Some(column) = column {
            write!(out, ".{}", self.name(column))?;
        }
        if let Some(filter) = &rows.filter {
            out.write_str(" where ")?;
            self.write(&expression(filter), out)?;
        }
        rows.window.as_ref().map_or(Ok(()), |window| self.window(window, out))
    }

    fn window(&self, window: &Window, out: &mut impl Write) -> fmt::Result {
        for (word, edge) in [("from", &window.from), ("until", &window.to)] {
            let Some(Edge { at, days }) = edge else { continue };
            write!(out, ", {word} = {}", self.moment(at))?;
            match days {
                0 => {}
                1.. => write!(out, " + days({days})")?,
                _ => write!(out, " - days({})", days.unsigned_abs())?,
            }
        }
        Ok(())
    }

    fn moment(&self, moment: &Moment) -> String {
        match moment {
            Moment::Date(day) => literal(&Literal::Date(*day)),
            Moment::Column(name) => self.name(name),
        }
    }
}

/// A text that takes so many more characters and then refuses, so that what would be longer is not made.
struct Short {
    text: String,
    left: usize,
}

impl Short {
    /// What is written, up to `most` characters, and whether it is all.
    fn of(most: usize, write: impl FnOnce(&mut Self) -> fmt::Result) -> (String, bool) {
        let mut short = Self { text: String::new(), left: most };
        let whole = write(&mut short).is_ok();
        (short.text, whole)
    }
}

impl Write for Short {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
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

    #[test]
    fn a_long_text_ends_and_is_told_from_others_that_begin_alike() {
        let of = |last: i64| {
            let list = (0..90).map(|n| Literal::Int(1_000_000 + n)).chain([Literal::Int(last)]).collect();
            let filter = Some(Expr::In { of: Box::new(Expr::Column("n".parse().unwrap())), list });
            Derived::Count { rows: Rows { table: "lab".parse().unwrap(), filter, window: None } }
        };
        let calls =
            calls(&[("f1", of(1)), ("f2", of(2)), ("f3", Derived::Age { table: None, at: Moment::Date(0) })], "");
        let [one, other] = ["f1", "f2"].map(|name| calls.say(name));
        assert!(one.starts_with("count(lab where n in (1000000, ") && one.contains("… "), "{one}");
        assert_eq!(one.chars().count(), LONGEST_CALL + "… ".chars().count() + 12);
        assert_ne!(one, other);
        assert_eq!(["f1", "f3"].map(|name| calls.is_short(&name.parse().unwrap())), [true, false]);
    }
}
