//! A key whose values are found in the data: its column, and what of it may be said.
//!
//! Which values there are is the data's; which there *could* be follows from the contract alone, so that a receiver can tell what no site
//! can honestly say. Texts are the one place where a site's own words could leave: only short plain ones do.

use std::collections::{BTreeMap, HashSet};

use super::domain::MISSING;
use super::{Columns, Expr, TypeProblem, nullable};
use crate::contract::{Contract, Kind};
use crate::ids::ColumnName;
use crate::limits;
use crate::marks::steers;

/// The key of [`super::Statistic::Discovered`].
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoveredKey {
    column: ColumnName,
    values: Values,
    missing: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    Text,
    Codes {
        /// Code and label, in the contract's order.
        codes: Vec<(String, String)>,
        at: BTreeMap<String, usize>,
    },
    Integers {
        lo: i64,
        hi: i64,
    },
}

/// A value of a discovered key, in the column's own order: texts by their bytes, codes as the contract lists them, integers from below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyValue<'a> {
    /// The position of a code, or an integer.
    At(i64),
    /// A text.
    Text(&'a str),
}

impl DiscoveredKey {
    /// The key that a column makes, in rows where the columns in `present` are not null.
    ///
    /// # Errors
    /// The column cannot be read, or has no values that are worth naming.
    pub fn of(column: &ColumnName, contract: &Contract, present: &HashSet<ColumnName>) -> Result<Self, TypeProblem> {
        let found = Columns::Contract(contract).type_of(column)?;
        let values = match contract.column(column.as_str()).map(|c| &c.kind) {
            Some(Kind::Text) => Values::Text,
            Some(Kind::Int { lo, hi }) => Values::Integers { lo: *lo, hi: *hi },
            Some(Kind::Code { codes, .. }) => Values::Codes {
                codes: codes.iter().map(|c| (c.code.clone(), c.label.clone())).collect(),
                at: codes.iter().enumerate().map(|(i, c)| (c.code.clone(), i)).collect(),
            },
            _ => {
                return Err(TypeProblem::new(format!(
                    "`{column}` is {}, which has no values to discover",
                    found.name()
                ))
                .hint("discovered(…) takes a column of texts, codes or integers; cut numbers into bands"));
            }
        };
        let missing = nullable(&Expr::Column(column.clone()), contract, present);
        Ok(Self { column: column.clone(), values, missing })
    }

    /// The column.
    pub fn column(&self) -> &ColumnName {
        &self.column
    }

    /// Whether the missing values are a key of their own.
    pub fn can_be_missing(&self) -> bool {
        self.missing
    }

    /// Whether the values are texts, which no contract declares.
    pub fn is_text(&self) -> bool {
        self.values == Values::Text
    }

    /// The value that a release calls `text`; none where no honest one does.
    pub fn value<'a>(&self, text: &'a str) -> Option<KeyValue<'a>> {
        match &self.values {
            Values::Text => may_be_said(text).then_some(KeyValue::Text(text)),
            Values::Codes { at, .. } => at.get(text).map(|i| KeyValue::At(*i as i64)),
            Values::Integers { lo, hi } => {
                let value: i64 = text.parse().ok()?;
                ((*lo..=*hi).contains(&value) && value.to_string() == text).then_some(KeyValue::At(value))
            }
        }
    }

    /// What a release calls a value; none where it may not be said, or is no value of the column.
    pub fn text(&self, value: KeyValue<'_>) -> Option<String> {
        match (&self.values, value) {
            (Values::Text, KeyValue::Text(text)) => may_be_said(text).then(|| text.to_owned()),
            (Values::Codes { codes, .. }, KeyValue::At(i)) => {
                usize::try_from(i).ok().and_then(|i| codes.get(i)).map(|(code, _)| code.clone())
            }
            (Values::Integers { lo, hi }, KeyValue::At(value)) => {
                (*lo..=*hi).contains(&value).then(|| value.to_string())
            }
            _ => None,
        }
    }

    /// The label of a key that a release names so: a code's own label, `(missing)` for none.
    pub fn label(&self, text: Option<&str>) -> String {
        let Some(text) = text else { return MISSING.to_owned() };
        match &self.values {
            Values::Codes { codes, at } => {
                at.get(text).and_then(|i| codes.get(*i)).map_or_else(|| text.to_owned(), |(_, label)| label.clone())
            }
            Values::Text | Values::Integers { .. } => text.to_owned(),
        }
    }

    /// How many there can be, the missing values among them.
    pub fn most(&self) -> usize {
        let values = match &self.values {
            Values::Text => usize::MAX,
            Values::Codes { codes, .. } => codes.len(),
            Values::Integers { lo, hi } => usize::try_from(hi.abs_diff(*lo)).unwrap_or(usize::MAX).saturating_add(1),
        };
        values.saturating_add(usize::from(self.missing))
    }

    /// The bytes of the longest name that a value can have.
    pub fn longest(&self) -> usize {
        match &self.values {
            Values::Text => limits::KEY_BYTES,
            Values::Codes { codes, .. } => codes.iter().map(|(code, _)| code.len()).max().unwrap_or(0),
            Values::Integers { .. } => 20,
        }
    }
}

/// Whether a text of the data may leave as a key's name: short, on one line, without characters that steer a terminal, turn the
/// reading direction or do not show, and not the name of the missing values.
fn may_be_said(text: &str) -> bool {
    text.len() <= limits::KEY_BYTES && text != MISSING && !text.contains(steers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::parse;

    const CONTRACT: &str = r#"
        id = "demo@1"
        subject = "patient"
        [[column]]
        name = "patient"
        type = "text"
        [[column]]
        name = "note"
        type = "text"
        [[column]]
        name = "icd"
        type = "code"
        required = true
        codes = [{ code = "I10", label = "hypertension" }, { code = "E11" }]
        [[column]]
        name = "ward"
        type = "int"
        range = [-5, 100000]
        [[column]]
        name = "crp"
        type = "float"
        range = [0, 500]
    "#;

    fn key(column: &str) -> Result<DiscoveredKey, TypeProblem> {
        DiscoveredKey::of(&column.parse().unwrap(), &parse(CONTRACT, "demo.toml").unwrap(), &HashSet::new())
    }

    #[test]
    fn texts_codes_and_integers_can_be_discovered_and_nothing_else() {
        assert!(key("note").unwrap().can_be_missing() && !key("icd").unwrap().can_be_missing());
        assert!(key("ward").is_ok());
        assert!(key("crp").unwrap_err().message.contains("`crp` is a number, which has no values to discover"));
        assert!(key("patient").unwrap_err().message.contains("names the patient and cannot be read"));
        assert!(key("nota").unwrap_err().hint.unwrap().contains("did you mean `note`?"));
    }

    #[test]
    fn a_value_has_one_name_and_the_columns_own_order() {
        let (icd, ward) = (key("icd").unwrap(), key("ward").unwrap());
        assert!(icd.value("I10") < icd.value("E11"), "as the contract lists them");
        assert_eq!((icd.value("e11"), icd.label(Some("I10"))), (None, "hypertension".to_owned()));
        assert!(ward.value("9") < ward.value("10") && ward.value("-5") < ward.value("0"));
        for wrong in ["", "+9", "09", "-0", "9.0", " 9", "-6", "100001", "99999999999999999999"] {
            assert_eq!(ward.value(wrong), None, "{wrong}");
        }
        for (key, text) in [(&icd, "E11"), (&ward, "-5")] {
            assert_eq!(key.text(key.value(text).unwrap()).as_deref(), Some(text));
        }
        assert_eq!(icd.text(KeyValue::At(2)), None);
        assert_eq!(key("note").unwrap().label(None), MISSING);
    }

    #[test]
    fn a_text_that_is_long_steers_a_terminal_or_poses_as_missing_has_no_name() {
        let note = key("note").unwrap();
        for good in ["", "E11.9", "Über 3 µg", "می‌شود", &"x".repeat(limits::KEY_BYTES)] {
            assert_eq!(note.value(good), Some(KeyValue::Text(good)));
            assert_eq!(note.text(KeyValue::Text(good)).as_deref(), Some(good));
        }
        for bad in [
            "a\nb",
            "\u{1b}[2J",
            "a\u{202e}b",
            "a\u{2028}b",
            "\u{feff}a",
            "a\u{61c}b",
            "a\u{ad}b",
            MISSING,
            &"x".repeat(201),
        ] {
            assert_eq!((note.value(bad), note.text(KeyValue::Text(bad))), (None, None), "{bad:?}");
        }
    }
}
