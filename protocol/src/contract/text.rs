//! A contract as text (TOML): parsed, checked, every problem reported at once.

mod elsewhere;
mod groupings;
mod keys;
mod known;
mod rules;

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use self::known::KEYS;
use super::{Code, Column, Contract, Kind, OnInvalid, Subject};
use crate::front::{Sort, dates, toml_problem, with_lines};
use crate::ids::{ColumnName, ContractId, Digest};
use crate::limits;
use crate::settings::{Problem, Problems, join, nearest, read};

#[derive(Deserialize)]
struct RawContract {
    id: ContractId,
    #[serde(default)]
    title: String,
    subject: String,
    #[serde(default)]
    one_row_per_subject: bool,
    time: Option<String>,
    order: Option<String>,
    birth: Option<String>,
    key: Option<String>,
    #[serde(default)]
    column: Vec<Value>,
    #[serde(default)]
    rule: Vec<Value>,
}

#[derive(Deserialize)]
struct RawColumn {
    name: ColumnName,
    #[serde(default)]
    label: String,
    #[serde(rename = "type")]
    kind: String,
    unit: Option<String>,
    range: Option<Vec<Value>>,
    system: Option<String>,
    references: Option<String>,
    precision: Option<String>,
    #[serde(default)]
    codes: Vec<RawCode>,
    #[serde(default)]
    required: bool,
    invalid: Option<String>,
    #[serde(default)]
    groupings: Vec<RawGrouping>,
}

#[derive(Deserialize)]
struct RawCode {
    code: String,
    label: Option<String>,
}

#[derive(Deserialize)]
struct RawGrouping {
    name: String,
    breaks: Option<Vec<f64>>,
    groups: Option<Vec<RawGroup>>,
}

#[derive(Deserialize)]
struct RawGroup {
    label: String,
    codes: Vec<String>,
}

/// Parses a contract.
///
/// # Errors
/// All problems at once, each with its line. `file` names the text in them.
pub fn parse(text: &str, file: &str) -> Result<Contract, Problems> {
    contract(text, file).map_err(|problems| with_lines(text, file, problems))
}

fn contract(text: &str, file: &str) -> Result<Contract, Problems> {
    if text.len() > limits::CONTRACT_TEXT_BYTES {
        return Err(Problem::new(file, "", format!("larger than {} bytes", limits::CONTRACT_TEXT_BYTES)).into());
    }
    let value = toml::from_str::<Value>(text).map_err(|e| toml_problem(text, file, &e))?;
    if let Some(problem) = Sort::Contract.taken_for(&value, file) {
        return Err(problem.into());
    }
    let mut problems = Problems::default();
    let raw = read::<RawContract>(&value, file, "", KEYS, &mut problems);
    let mut reader = Reader { file, problems };
    let Some(raw) = raw else {
        // What is wrong with the columns is said too; rules could only be held against all of it.
        let columns = value.get("column").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let columns: Vec<Column> = columns.iter().enumerate().filter_map(|(i, v)| reader.column(i, v)).collect();
        if let Some(subject) = value.get("subject").and_then(Value::as_str) {
            reader.subject(subject, &columns);
        }
        return Err(reader.problems);
    };
    if raw.column.is_empty() || raw.column.len() > limits::COLUMNS {
        let message = format!("a contract has 1 to {} columns", limits::COLUMNS);
        reader.problem("column", message, "declare each by a [[column]] with name and type");
    }
    let columns: Vec<Column> = raw.column.iter().enumerate().filter_map(|(i, v)| reader.column(i, v)).collect();
    // As they are written: a column with a mistake of its own is one of them.
    let mut seen = HashSet::new();
    let names = raw.column.iter().filter_map(|column| column.get("name")?.as_str()?.parse::<ColumnName>().ok());
    for name in names.filter(|name| !seen.insert(name.clone())) {
        reader.problem("column", format!("`{name}` is declared twice"), "rename one of the two, or take it away");
    }
    let subject = reader.subject(&raw.subject, &columns);
    let time = raw.time.and_then(|name| reader.moment("time", &name, &columns));
    let order = raw.order.and_then(|name| reader.order(&name, time.as_ref(), &columns));
    let birth = raw.birth.and_then(|name| reader.moment("birth", &name, &columns));
    let key = raw.key.and_then(|name| reader.key(&name, &columns));
    let mut contract = Contract {
        id: raw.id,
        title: raw.title,
        subject,
        one_row_per_subject: raw.one_row_per_subject,
        time,
        order,
        birth,
        key,
        columns,
        rules: Vec::new(),
        hash: Digest::from_bytes([0; 32]),
    };
    contract.rules = reader.rules(&raw.rule, &contract);
    reader.names_of_rows(&contract);
    reader.problems.into_result(contract.hashed())
}

struct Reader<'a> {
    file: &'a str,
    problems: Problems,
}

impl Reader<'_> {
    /// Says what is wrong, and what to do.
    fn problem(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(self.file, key, message).hint(hint));
    }

    fn subject(&mut self, text: &str, columns: &[Column]) -> Subject {
        if text == "row" {
            return Subject::Row;
        }
        let found = columns.iter().find(|c| c.name.as_str() == text);
        match found {
            Some(column) if matches!(column.kind, Kind::Text | Kind::Int { .. }) => {}
            Some(column) => {
                let message = format!("`{text}` is of type {}", column.kind.name());
                self.problem("subject", message, "a patient's id is of type text or int");
            }
            None => self.problem(
                "subject",
                format!("there is no column `{text}`"),
                "name the column that holds the patient, or write `subject = \"row\"` if a row is a patient",
            ),
        }
        found.map_or(Subject::Row, |c| Subject::Column(c.name.clone()))
    }

    /// The column that `order` names.
    fn order(&mut self, text: &str, time: Option<&ColumnName>, columns: &[Column]) -> Option<ColumnName> {
        let order = self.moment("order", text, columns)?;
        if time.is_none_or(|time| *time == order) {
            let problem =
                Problem::new(self.file, "order", "it puts rows of one `time` in order, and there is no other");
            self.problems
                .push(problem.hint("time = the column with the day, order = the one with the time of day too"));
        }
        Some(order)
    }

    /// The column that `time`, `order` or `birth` names.
    fn moment(&mut self, key: &str, text: &str, columns: &[Column]) -> Option<ColumnName> {
        let found = columns.iter().find(|c| c.name.as_str() == text);
        match found {
            Some(column) if matches!(column.kind, Kind::Date { .. } | Kind::Datetime { .. }) => {
                Some(column.name.clone())
            }
            Some(column) => {
                let message = format!("`{text}` is of type {}", column.kind.name());
                self.problem(key, message, "name a column of type date or datetime");
                None
            }
            None => {
                let near = nearest(text, columns.iter().map(|c| c.name.as_str()));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name a column of type date or datetime".to_owned(),
                };
                self.problem(key, format!("there is no column `{text}`"), hint);
                None
            }
        }
    }

    fn column(&mut self, index: usize, value: &Value) -> Option<Column> {
        let name = value.get("name").and_then(Value::as_str).unwrap_or("?");
        let key = format!("column[{index}] ({name})");
        let raw: RawColumn = read(value, self.file, &key, KEYS, &mut self.problems)?;
        let kind = self.kind(&raw, &key)?;
        let invalid = match raw.invalid.as_deref() {
            None if raw.required => OnInvalid::Reject,
            None | Some("null") => OnInvalid::Null,
            Some("reject") => OnInvalid::Reject,
            Some(other) => {
                let message = format!("nothing invalid becomes `{other}`");
                self.problem(&join(&key, "invalid"), message, "\"reject\" or \"null\"");
                OnInvalid::Reject
            }
        };
        if raw.required && raw.invalid.as_deref() == Some("null") {
            self.problem(
                &join(&key, "invalid"),
                "a required column cannot be null",
                "write \"reject\", or leave it out",
            );
        }
        let groupings = self.groupings(&raw, &kind, &key);
        let precision = self.precision(raw.precision.as_deref(), &kind, &key);
        let references = self.references(raw.references.as_deref(), &kind, &key);
        Some(Column {
            label: if raw.label.is_empty() { raw.name.to_string() } else { raw.label },
            name: raw.name,
            unit: raw.unit,
            system: raw.system.filter(|_| !matches!(kind, Kind::Code { .. })),
            required: raw.required,
            references,
            precision,
            invalid,
            groupings,
            kind,
        })
    }

    fn kind(&mut self, raw: &RawColumn, key: &str) -> Option<Kind> {
        let ranged = matches!(raw.kind.as_str(), "int" | "float" | "date" | "datetime");
        if raw.range.is_some() && !ranged {
            let message = format!("a column of type {} has no range", raw.kind);
            self.problem(&join(key, "range"), message, "take it away: numbers, dates and datetimes have one");
        }
        if raw.kind != "code" && !raw.codes.is_empty() {
            let hint = "type = \"code\", or take the codes away";
            self.problem(&join(key, "codes"), "only a column of type code has codes", hint);
        }
        if raw.system.is_some() && !matches!(raw.kind.as_str(), "code" | "text" | "int") {
            let message = "only a column of type code, text or int has a code system";
            self.problem(&join(key, "system"), message, "take it away, or say another type");
        }
        match raw.kind.as_str() {
            "bool" => Some(Kind::Bool),
            "text" => Some(Kind::Text),
            "code" => self.codes(raw, key),
            _ if ranged => self.range(raw, key),
            other => {
                let known = ["int", "float", "code", "date", "datetime", "bool", "text"];
                let hint = format!("one of {}", known.join(", "));
                self.problem(&join(key, "type"), format!("unknown type `{other}`"), hint);
                None
            }
        }
    }

    fn range(&mut self, raw: &RawColumn, key: &str) -> Option<Kind> {
        let place = join(key, "range");
        let Some(range) = &raw.range else {
            let hint = "the plausible range: range = [lowest, highest]; it bounds every sum";
            self.problem(&place, format!("a column of type {} needs a range", raw.kind), hint);
            return None;
        };
        let kind = match (raw.kind.as_str(), range.as_slice()) {
            ("int", [lo, hi]) => lo.as_i64().zip(hi.as_i64()).map(|(lo, hi)| Kind::Int { lo, hi }),
            ("float", [lo, hi]) => lo.as_f64().zip(hi.as_f64()).map(|(lo, hi)| Kind::Float { lo, hi }),
            ("date", [lo, hi]) => day(lo).zip(day(hi)).map(|(lo, hi)| Kind::Date { lo, hi }),
            (_, [lo, hi]) => instant(lo).zip(instant(hi)).map(|(lo, hi)| Kind::Datetime { lo, hi }),
            _ => None,
        };
        let in_order = match kind {
            Some(Kind::Int { lo, hi }) => lo < hi && lo >= -limits::EXACT_INT && hi <= limits::EXACT_INT,
            Some(Kind::Float { lo, hi }) => lo < hi && (hi - lo).is_finite() && (hi - lo) > f64::MIN_POSITIVE * 1e20,
            Some(Kind::Date { lo, hi }) => lo < hi,
            Some(Kind::Datetime { lo, hi }) => lo < hi,
            _ => false,
        };
        if !in_order {
            let hint = match raw.kind.as_str() {
                "int" => format!(
                    "two whole numbers within ±{}, the lower one first; ids of more digits are of type text",
                    limits::EXACT_INT
                ),
                "float" => "two numbers, the lower one first".to_owned(),
                _ => "dates are written \"YYYY-MM-DD\", datetimes \"YYYY-MM-DDThh:mm:ssZ\"".to_owned(),
            };
            self.problem(&place, format!("not two ascending values of type {}", raw.kind), hint);
            return None;
        }
        kind
    }

    fn codes(&mut self, raw: &RawColumn, key: &str) -> Option<Kind> {
        let place = join(key, "codes");
        let mut seen = HashSet::new();
        if raw.codes.is_empty() || raw.codes.len() > limits::CODES {
            let message = format!("a column of type code declares 1 to {} codes", limits::CODES);
            self.problem(
                &place,
                message,
                "e.g. codes = [{ code = \"f\", label = \"female\" }]; of more, type = \"text\"",
            );
            return None;
        }
        for code in raw.codes.iter().filter(|c| !seen.insert(c.code.as_str())) {
            self.problem(&place, format!("code `{}` is declared twice", code.code), "take one of the two away");
        }
        let codes = raw
            .codes
            .iter()
            .map(|c| Code { code: c.code.clone(), label: c.label.clone().unwrap_or_else(|| c.code.clone()) })
            .collect();
        Some(Kind::Code { system: raw.system.clone(), codes })
    }
}

fn day(value: &Value) -> Option<i32> {
    dates::parse_date(value.as_str()?)
}

fn instant(value: &Value) -> Option<i64> {
    dates::parse_datetime(value.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        id = "heart@1"
        title = "Heart"
        subject = "row"
        [[column]]
        name = "age"
        type = "int"
        range = [0, 120]
        required = true
        groupings = [{ name = "halves", breaks = [60] }]
        [[column]]
        name = "cp"
        type = "code"
        codes = [{ code = "1", label = "typical" }, { code = "2" }, { code = "3" }]
        groupings = [{ name = "angina", groups = [{ label = "yes", codes = ["1", "2"] }, { label = "no", codes = ["3"] }] }]
        [[column]]
        name = "seen"
        type = "date"
        range = ["2000-01-01", "2030-12-31"]
    "#;

    #[test]
    fn a_good_contract_parses_and_its_hash_does_not_depend_on_spelling() {
        let contract = parse(GOOD, "heart.toml").unwrap();
        assert_eq!(contract.columns().len(), 3);
        assert_eq!(contract.column("age").unwrap().invalid, OnInvalid::Reject);
        let spaced = GOOD.replace("range = [0, 120]", "range = [ 0,   120 ] # years");
        assert_eq!(parse(&spaced, "other.toml").unwrap().hash(), contract.hash());
        let wider = GOOD.replace("[0, 120]", "[0, 121]");
        assert_ne!(parse(&wider, "heart.toml").unwrap().hash(), contract.hash());
    }

    #[test]
    fn a_contract_says_when_a_row_happened_and_when_a_patient_was_born_and_whose_codes_a_text_has() {
        let timed = GOOD.replace("subject =", "time = \"seen\"\nbirth = \"seen\"\nsubject =");
        let contract = parse(&timed, "heart.toml").unwrap();
        assert_eq!(
            contract.time().zip(contract.birth()).map(|(t, b)| (t.as_str(), b.as_str())),
            Some(("seen", "seen"))
        );
        assert_ne!(contract.hash(), parse(GOOD, "heart.toml").unwrap().hash());
        let coded = GOOD.replace(
            "name = \"seen\"\n        type = \"date\"",
            "name = \"seen\"\n        system = \"x\"\n        type = \"date\"",
        );
        let found = parse(&coded, "heart.toml").unwrap_err().to_string();
        assert!(
            found.contains("column[2] (seen).system: only a column of type code, text or int has a code system"),
            "{found}"
        );
        let text = format!("{GOOD}[[column]]\nname = \"icd\"\ntype = \"text\"\nsystem = \"icd10cm\"\n");
        assert_eq!(parse(&text, "heart.toml").unwrap().column("icd").unwrap().system(), Some("icd10cm"));
        for (key, wanted) in [
            ("time = \"sen\"", "time: there is no column `sen`\n  hint: did you mean `seen`?"),
            ("birth = \"age\"", "birth: `age` is of type int\n  hint: name a column of type date or datetime"),
            (
                "time = \"seen\"\norder = \"age\"",
                "order: `age` is of type int\n  hint: name a column of type date or datetime",
            ),
            ("order = \"seen\"", "order: it puts rows of one `time` in order, and there is no other\n  hint: time = "),
            ("time = \"seen\"\norder = \"seen\"", "order: it puts rows of one `time` in order, and there is no other"),
        ] {
            let found = parse(&GOOD.replace("subject =", &format!("{key}\nsubject =")), "heart.toml").unwrap_err();
            assert!(found.to_string().contains(wanted), "{found}");
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let bad = GOOD
            .replace("[0, 120]", "[120, 0]")
            .replace(r#"codes = ["3"]"#, r#"codes = ["4"]"#)
            .replace("type = \"date\"", "type = \"dat\"")
            .replace("required = true", "requird = true");
        let text = parse(&bad, "heart.toml").unwrap_err().to_string();
        for wanted in [
            "column[0] (age).range: not two ascending values of type int",
            "column[0] (age).requird: unknown key\n  hint: did you mean `required`?",
            "column[1] (cp).groupings.angina: `4` is not a code of this column",
            "column[1] (cp).groupings.angina: code `3` stands in no group",
            "column[2] (seen).type: unknown type `dat`",
        ] {
            assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
        }
    }
}
