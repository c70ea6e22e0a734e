//! What the questions that compare groups have in common: levels by name, conditions as keys, and patients who count once.

use super::Binding;
use super::table::label;
use crate::analysis::{Confidence, Key};
use crate::limits;
use crate::plan::{Columns, Expr, KeyDomain, Type, TypeProblem, type_of};
use crate::settings::nearest;

impl Binding<'_> {
    /// Tests and intervals take rows for patients who have nothing to do with each other.
    pub(super) fn independent(&mut self, key: &str) {
        if !self.contract().one_row_per_subject() {
            let id = self.contract().id();
            let problem = TypeProblem::new(format!(
                "a patient can have several rows of `{id}`, which are not independent: no interval and no test would hold"
            ));
            let hint = "count a table with one row a patient, and look into this one: [cohort] from = …, [features]; if each patient has one row, the contract says one_row_per_subject = true";
            self.refuse::<()>(key, problem.hint(hint));
        }
    }

    /// A condition as a key.
    pub(super) fn condition_key(&mut self, key: &str, text: &str) -> Option<Key> {
        let condition = self.condition(key, text)?;
        Some(Key { label: label(text), key: condition })
    }

    /// The labels of a key's levels, without missing ones.
    pub(super) fn levels(&self, key: &Key) -> Vec<String> {
        let typed = type_of(&key.key, Columns::Contract(self.contract()));
        let domain = typed.and_then(|of| KeyDomain::of(&key.key, &of, self.contract(), &Default::default()));
        domain.map(|domain| domain.labels).unwrap_or_default()
    }

    /// The labels of groups that are to be compared, of which there are not too many.
    pub(super) fn group_labels(&mut self, place: &str, by: &Key) -> Option<Vec<String>> {
        let levels = self.levels(by);
        if levels.len() <= limits::GROUPS {
            return Some(levels);
        }
        let problem = TypeProblem::new(format!("{} groups: at most {} are compared", levels.len(), limits::GROUPS));
        self.refuse(place, problem.hint("make fewer: with grouped(…), wider bands or a case"))
    }

    /// Whether a key's levels have an order.
    pub(super) fn is_ordered(&self, key: &Key) -> bool {
        let typed = type_of(&key.key, Columns::Contract(self.contract()));
        matches!((&key.key, typed), (_, Ok(Type::Band(_))) | (Expr::Column(_), Ok(Type::Int)))
    }

    /// The position of a level.
    pub(super) fn level(&mut self, place: &str, text: &str, key: &Key, levels: &[String]) -> Option<usize> {
        let found = levels.iter().position(|label| label == text);
        found.or_else(|| {
            let code = match &key.key {
                Expr::Column(column) => Columns::Contract(self.contract()).code_meant(column, text),
                _ => None,
            };
            let label = code.map(|code| code.label.clone());
            let near = label.as_deref().or_else(|| nearest(text, levels.iter().map(String::as_str)));
            let hint = near.map_or_else(|| format!("one of {}", levels.join(", ")), |n| format!("did you mean `{n}`?"));
            self.refuse(place, TypeProblem::new(format!("`{text}` is no level")).hint(hint))
        })
    }

    /// How sure the intervals are to be.
    pub(super) fn confidence(&mut self, key: &str, asked: Option<f64>) -> Option<Confidence> {
        match asked.map(Confidence::try_from) {
            None => Some(Confidence::default()),
            Some(Ok(confidence)) => Some(confidence),
            Some(Err(problem)) => {
                self.refuse(key, TypeProblem::new(problem).hint("0.95 is usual, and stands where it is left out"))
            }
        }
    }
}
