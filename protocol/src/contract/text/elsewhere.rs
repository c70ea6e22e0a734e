//! Rules that look into another dataset: read when the contract's own columns are known. What that dataset has is known at a node only.

use super::Reader;
use super::rules::RawRule;
use crate::contract::{Check, Column, Contract, Kind, Subject};
use crate::ids::ContractId;
use crate::settings::{Problem, join};

impl Reader<'_> {
    pub(super) fn before_birth(&mut self, raw: &RawRule, place: &str, contract: &Contract) -> Option<Check> {
        let column = self.looked_at(raw, place, contract, "date");
        let of = join(place, "born");
        let born = match raw.born.as_deref() {
            None => {
                let problem = Problem::new(self.file, &*of, "needed: the dataset that has the birth");
                self.problems
                    .push(problem.hint("the name of its contract without the version, e.g. \"fhir-r4-patient\""));
                return None;
            }
            Some(name) => self.dataset(name, &of)?,
        };
        if born == contract.id().name() {
            let problem = Problem::new(self.file, &*of, format!("`{born}` is this contract"));
            self.problems
                .push(problem.hint("write a `check` over the row's own columns, e.g. check = \"born <= seen\""));
        }
        let Column { name, kind, .. } = column?;
        if !matches!(kind, Kind::Date { .. } | Kind::Datetime { .. }) {
            let message = format!("`{name}` is of type {}, neither date nor datetime", kind.name());
            self.problem(&join(place, "column"), message, "name a column that says when the row happened");
        }
        Some(Check::BeforeBirth { column: name.clone(), born })
    }

    pub(super) fn dangling(&mut self, raw: &RawRule, place: &str, contract: &Contract) -> Option<Check> {
        let Column { name, references, .. } = self.looked_at(raw, place, contract, "encounter")?;
        let place = join(place, "column");
        let Some(to) = references else {
            let problem = Problem::new(self.file, &*place, format!("`{name}` refers to no dataset"));
            self.problems.push(problem.hint("say to whose rows by `references` of the column"));
            return None;
        };
        if to == contract.id().name() {
            self.problem(
                &place,
                format!("`{name}` refers to rows of its own dataset, which no snapshot has before this one"),
                "leave the rule out, or let the column refer to another dataset",
            );
        }
        Some(Check::Dangling { column: name.clone(), to: to.clone() })
    }

    /// The one column of such a rule. That a name is of none was said.
    fn looked_at<'a>(
        &mut self,
        raw: &RawRule,
        place: &str,
        contract: &'a Contract,
        example: &str,
    ) -> Option<&'a Column> {
        if *contract.subject() == Subject::Row {
            let message = "a contract whose rows are patients has no patient who is known in another dataset";
            self.problem(place, message, "name the column of the patient: subject = \"COLUMN\"; or leave the rule out");
        }
        let Some(name) = &raw.column else {
            let problem = Problem::new(self.file, join(place, "column"), "needed: the column that is looked at");
            self.problems.push(problem.hint(format!("e.g. column = \"{example}\"")));
            return None;
        };
        contract.column(name.as_str())
    }

    /// The name of a dataset's contract, without its version.
    pub(super) fn dataset(&mut self, text: &str, place: &str) -> Option<String> {
        if ContractId::new(text, 1).is_ok() {
            return Some(text.to_owned());
        }
        let name = text.split('@').next().unwrap_or_default();
        let problem = Problem::new(self.file, place, format!("`{text}` is no name of a dataset"));
        let key = place.rsplit('.').next().unwrap_or_default();
        self.problems.push(match ContractId::new(name, 1) {
            Ok(_) => problem.hint(format!("without the version: {key} = \"{name}\"")),
            Err(_) => problem.hint("the name of its contract without the version, e.g. \"fhir-r4-encounter\""),
        });
        None
    }
}
