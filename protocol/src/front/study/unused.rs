//! What a study's text names and never uses: no error, but hardly what its author meant.

use serde_json::Value;

use super::StudyText;
use crate::ids::{ColumnName, TableName};
use crate::trust::Study;

impl StudyText {
    /// Each in a sentence with a hint. `study` is what the text was bound to.
    pub fn unused(&self, study: &Study) -> Vec<String> {
        let base = self.base_name();
        let tables = self.raw.tables.keys();
        let tables = tables.filter(|name| Some(*name) != base.as_ref() && !study.related.contains_key(*name));
        let lists = self.raw.codes.keys().filter(|name| !self.names_list(name));
        tables.map(table).chain(lists.map(list)).collect()
    }

    /// Whether an expression names the list, be it of a feature that nothing reads.
    fn names_list(&self, name: &ColumnName) -> bool {
        let names = |text: &str| {
            let rest = |at: usize| text[at..].chars().next();
            let wanted = format!("@{name}");
            text.match_indices(&wanted)
                .any(|(at, _)| rest(at + wanted.len()).is_none_or(|c| !c.is_alphanumeric() && c != '_'))
        };
        let raw = &self.raw;
        let cohort = raw.cohort.iter().flat_map(|cohort| cohort.expressions());
        let defined = raw.features.values().chain(raw.derive.values()).chain(&raw.filter).map(String::as_str);
        cohort.chain(defined).any(names) || raw.analysis.iter().any(|analysis| any_text(analysis, &names))
    }
}

fn any_text(value: &Value, wanted: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => wanted(text),
        Value::Array(values) => values.iter().any(|value| any_text(value, wanted)),
        Value::Object(values) => values.values().any(|value| any_text(value, wanted)),
        _ => false,
    }
}

fn table(name: &TableName) -> String {
    format!("tables.{name}: nothing looks into it\n  hint: use it, e.g. has({name}), or take the line out")
}

fn list(name: &ColumnName) -> String {
    format!("codes.{name}: no condition names it\n  hint: write COLUMN in @{name}, or take the line out")
}

#[cfg(test)]
mod tests {
    use crate::front::cohorts::{COUNT, HEAD, read_and_bound};

    #[test]
    fn tables_and_code_lists_that_nothing_uses_are_told_and_others_are_not() {
        let cohort = "[cohort]\nfrom = \"patient\"\ninclude = [\"has(condition, code in @diabetes)\"]\n";
        let (text, study) = read_and_bound(&format!("{HEAD}{cohort}{COUNT}"), &[]).unwrap();
        let wanted = [super::table(&"observation".parse().unwrap()), super::list(&"cancer".parse().unwrap())];
        assert_eq!(text.unused(&study), wanted);
    }
}
