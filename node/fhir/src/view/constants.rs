//! The constants of a view.

use std::collections::BTreeMap;

use serde_json::Value;

use super::load::Loader;
use crate::path::Constant;

impl Loader<'_> {
    pub(super) fn constants(&mut self, section: Option<&Value>) -> BTreeMap<String, Constant> {
        let mut constants = BTreeMap::new();
        for (i, constant) in self.list("constant", section).iter().enumerate() {
            let key = format!("constant[{i}]");
            let Some(name) = constant.get("name").and_then(Value::as_str) else {
                self.problem(&key, "has no `name`", None);
                continue;
            };
            let value = self.constant(&key, constant);
            if constants.insert(name.to_owned(), value).is_some() {
                self.problem(&key, format!("`{name}` is declared twice"), None);
            }
        }
        constants
    }

    fn constant(&mut self, key: &str, constant: &Value) -> Constant {
        let members = constant.as_object().into_iter().flatten();
        let values: Vec<(&str, &Value)> =
            members.filter_map(|(name, value)| Some((name.strip_prefix("value")?, value))).collect();
        let [(kind, value)] = values[..] else {
            let hint = "e.g. \"valueString\": \"official\"".to_owned();
            self.problem(key, "has not one value", Some(hint));
            return Constant::Unknown;
        };
        match (kind, value) {
            ("Date" | "DateTime" | "Instant" | "Time", Value::String(text)) => Constant::Moment(text.clone()),
            ("Boolean", Value::Bool(truth)) => Constant::Bool(*truth),
            ("Decimal" | "Integer" | "Integer64" | "PositiveInt" | "UnsignedInt", Value::Number(number)) => {
                Constant::Number(number.to_string())
            }
            (
                "Base64Binary" | "Canonical" | "Code" | "Id" | "Markdown" | "Oid" | "String" | "Uri" | "Url" | "Uuid",
                Value::String(text),
            ) => Constant::Text(text.clone()),
            _ => {
                let hint = "text values stand in quotes, numbers and truth values do not".to_owned();
                self.problem(&format!("{key}.value{kind}"), "not a kind of value that a constant can have", Some(hint));
                Constant::Unknown
            }
        }
    }
}
