//! What a study calls its features. A plan in normal form numbers them, and people read the study's own names, or what the study language would write where
//! it gave none: in what a plan does, in why a site refuses, in what a fit says.

use std::collections::BTreeMap;

use crate::ids::ColumnName;
use crate::plan::Feature;
use crate::plan::words::calls::Calls;

/// The study's name for each of a plan's features.
#[derive(Debug, Clone, Default)]
pub(in crate::plan) struct Called {
    written: BTreeMap<ColumnName, ColumnName>,
    calls: Calls,
}

/// It is no part of what a plan is: two that differ in it only are one.
impl PartialEq for Called {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Called {
    /// Of these features, by the plan's names; of several names of one, the first. What the front had to number has none.
    pub fn of(features: &[Feature], written: impl Iterator<Item = (ColumnName, ColumnName)>) -> Self {
        let mut names = BTreeMap::new();
        for (normal, written) in written.filter(|(_, written)| !is_numbered(written)) {
            names.entry(normal).or_insert(written);
        }
        let calls = Calls::of(features, |name| names.get(name).cloned());
        Self { written: names, calls }
    }

    /// As the study calls it: a column's own name where it is no feature, nothing where the study gave it no name.
    pub fn written(&self, name: &ColumnName) -> Option<&ColumnName> {
        self.written.get(name)
    }

    /// What a person reads of a plan's features.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }
}

/// Whether a name is one that the front gives where the study gave none.
pub(crate) fn is_numbered(name: &ColumnName) -> bool {
    name.as_str().strip_prefix('f').is_some_and(|number| number.parse::<u32>().is_ok())
}
