//! Misspelt keys read as what they mean: what they hold is looked at with everything else, and is not missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{join, pointer, within};

/// So many misspelt keys are read as what they mean; each costs a reading of the whole.
const MOST: usize = 20;

/// Which keys were read as others: the place of each as it is read, and as it was written.
#[derive(Default)]
pub(super) struct Respelt(BTreeMap<String, String>);

impl Respelt {
    /// Renames the next of the `unknown` keys that means one which is not there; whether there was any.
    pub(super) fn another<'k>(
        &mut self,
        value: &mut Value,
        unknown: &BTreeSet<String>,
        meant: impl Fn(&str) -> Option<&'k str>,
    ) -> bool {
        if self.0.len() >= MOST {
            return false;
        }
        let tried = |path: &str| self.0.iter().any(|(read, written)| within(path, read) || within(path, written));
        let untried: Vec<&String> = unknown.iter().filter(|path| !tried(path)).collect();
        for path in untried {
            let (outer, last) = path.rsplit_once('.').unwrap_or(("", path));
            let (Some(near), Some(Value::Object(section))) = (meant(path), value.pointer_mut(&pointer(outer))) else {
                continue;
            };
            if section.contains_key(near) {
                continue;
            }
            if let Some(held) = section.remove(last) {
                section.insert(near.to_owned(), held);
                self.0.insert(join(outer, near), path.clone());
                return true;
            }
        }
        false
    }

    /// Whether there is such a key only because another was renamed.
    pub(super) fn made(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// A place as the text has it.
    pub(super) fn as_written(&self, path: &str) -> String {
        let found = self.0.iter().filter(|(read, _)| within(path, read)).max_by_key(|(read, _)| read.len());
        found.map_or_else(|| path.to_owned(), |(read, written)| format!("{written}{}", &path[read.len()..]))
    }
}
