//! What a study calls its features. A plan in normal form numbers them, and people read the study's own names: in what a plan does, in why a site
//! refuses, in what a fit says.

use std::collections::BTreeMap;

use crate::ids::ColumnName;

/// The study's name for each of a plan's features.
#[derive(Debug, Clone, Default)]
pub(in crate::plan) struct Called(BTreeMap<ColumnName, ColumnName>);

/// It is no part of what a plan is: two that differ in it only are one.
impl PartialEq for Called {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Called {
    /// By the plan's names; of several that are one, the first. What the front had to number has no name, and keeps the plan's number.
    pub fn of(written: impl Iterator<Item = (ColumnName, ColumnName)>) -> Self {
        let mut called = BTreeMap::new();
        for (normal, written) in written.filter(|(_, written)| !is_numbered(written)) {
            called.entry(normal).or_insert(written);
        }
        Self(called)
    }

    /// As the study says it: a column's own name where it is no feature.
    pub fn name(&self, name: &ColumnName) -> ColumnName {
        self.0.get(name).unwrap_or(name).clone()
    }
}

fn is_numbered(name: &ColumnName) -> bool {
    name.as_str().strip_prefix('f').is_some_and(|number| number.parse::<u32>().is_ok())
}
