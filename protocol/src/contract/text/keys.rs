//! What of a contract names rows: the column by which others refer to a row (`key`), and those that refer to rows of another dataset (`references`).
//! Both are names only: no study reads them, and a snapshot holds tokens of them. Beside it, what of a date a column takes.

use super::Reader;
use crate::contract::{Check, Column, Contract, Kind, Precision, Subject};
use crate::ids::ColumnName;
use crate::settings::{Problem, join, nearest};

impl Reader<'_> {
    /// The column that `key` names.
    pub(super) fn key(&mut self, text: &str, columns: &[Column]) -> Option<ColumnName> {
        let Some(column) = columns.iter().find(|column| column.name.as_str() == text) else {
            let problem = Problem::new(self.file, "key", format!("there is no column `{text}`"));
            let near = nearest(text, columns.iter().map(|column| column.name.as_str()));
            self.problems.push(problem.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name the column that tells one row from another".to_owned(),
            }));
            return None;
        };
        if !names(&column.kind) {
            let message = format!("`{text}` is of type {}", column.kind.name());
            self.problems.push(Problem::new(self.file, "key", message).hint("a key is of type text or int"));
        }
        Some(column.name.clone())
    }

    /// The dataset that a column refers to.
    pub(super) fn references(&mut self, text: Option<&str>, kind: &Kind, place: &str) -> Option<String> {
        let text = text?;
        let place = join(place, "references");
        let name = self.dataset(text, &place)?;
        if !names(kind) {
            let message = format!("a column of type {} refers to nothing", kind.name());
            self.problems.push(Problem::new(self.file, &*place, message).hint("a reference is of type text or int"));
            return None;
        }
        Some(name)
    }

    /// How coarse a date may be.
    pub(super) fn precision(&mut self, text: Option<&str>, kind: &Kind, place: &str) -> Option<Precision> {
        let text = text?;
        let place = join(place, "precision");
        if !matches!(kind, Kind::Date { .. }) {
            let message = format!("a column of type {} has no precision", kind.name());
            self.problems
                .push(Problem::new(self.file, &*place, message).hint("only dates are known to the month or year"));
        }
        match text {
            "day" => None,
            "month" => Some(Precision::Month),
            "year" => Some(Precision::Year),
            other => {
                let problem = Problem::new(self.file, &*place, format!("unknown precision `{other}`"));
                self.problems.push(problem.hint("\"day\", \"month\" or \"year\": the coarsest date that is taken"));
                None
            }
        }
    }

    /// What is wrong with the names of rows, when all else of the contract is known.
    pub(super) fn names_of_rows(&mut self, contract: &Contract) {
        let references = contract.columns().iter().filter(|column| column.references.is_some());
        let named = references.map(|column| (&column.name, format!("column ({}).references", column.name)));
        let named: Vec<(&ColumnName, String)> =
            contract.key().map(|key| (key, "key".to_owned())).into_iter().chain(named).collect();
        for (i, (name, place)) in named.iter().enumerate() {
            let (problem, hint) = if *contract.subject() == Subject::Row {
                let problem = "a contract whose rows are patients has no other rows to tell apart";
                (problem.to_owned(), "take it away, or name the patient's column by `subject`")
            } else if contract.is_subject(name.as_str()) {
                (format!("`{name}` names the patient"), "name another column")
            } else if named[..i].iter().any(|(other, _)| other == name) {
                (format!("`{name}` is the key of these rows already"), "name another column")
            } else {
                continue;
            };
            self.problem(place, problem, hint);
        }
        if let Some(key) =
            contract.key().filter(|key| !contract.rules().iter().any(|rule| tells_apart(&rule.check, key, contract)))
        {
            let problem =
                Problem::new(self.file, "key", format!("no rule says what becomes of a second row of one `{key}`"));
            self.problems.push(problem.hint(format!(
                "add a [[rule]] with kind = \"duplicate\", columns = [\"{key}\"] and on_fail = \"reject\" or \"keep\": of rows that are kept, none is referred to"
            )));
        }
    }
}

fn names(kind: &Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Int { .. })
}

/// Whether a rule looks at rows that share the key, of one patient or of all.
fn tells_apart(check: &Check, key: &ColumnName, contract: &Contract) -> bool {
    let Check::Duplicate { columns } = check else { return false };
    columns.contains(key) && columns.iter().all(|name| name == key || contract.is_subject(name.as_str()))
}
