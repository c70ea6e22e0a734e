//! What a network proposes of a site's `[policy]`: every key as `node.toml` spells it, and which of them let out more than a node does of itself. Whoever
//! enrols is shown it, since the policy is the site's.

use bocage_net::document::Document;
use bocage_protocol::marks::one_line;
use bocage_protocol::trust::Invitation;
use toml::{Table, Value};

use super::EnrolError;
use crate::config::THRESHOLD_DEFAULT;
use crate::config::policy::Models;

/// What is said of a line that lets out more.
pub const MORE: &str = "more than a site lets out by itself";

/// The `[policy]` that an invitation proposes. Whether it can be one, the look at the new folder says.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal(Table);

impl Proposal {
    /// All that the invitation says of it.
    ///
    /// # Errors
    /// A key has a value that no file of a node can have. It may be what holds something back, so it is not left out.
    pub fn of(invitation: &Invitation) -> Result<Self, EnrolError> {
        let mut table = Table::new();
        for (key, value) in &invitation.policy {
            let value = Value::try_from(value).map_err(|_| EnrolError::Policy { key: one_line(key) })?;
            table.insert(key.clone(), value);
        }
        table.insert("threshold".to_owned(), i64::from(invitation.threshold).into());
        Ok(Self(table))
    }

    /// As `node.toml` has it.
    pub fn table(&self) -> &Table {
        &self.0
    }

    /// Its lines, and whether each lets out more.
    pub fn lines(&self) -> impl Iterator<Item = (String, bool)> {
        self.0.iter().map(|(key, value)| {
            let mut document = Document::new();
            document.set(key, value.clone());
            (one_line(document.text().trim_end()), lets_out_more(key, value))
        })
    }
}

/// Whether more leaves with this than where `[policy]` says nothing. A rule's thresholds can only raise the policy's.
pub(super) fn lets_out_more(key: &str, value: &Value) -> bool {
    match (key, value) {
        ("threshold" | "model_threshold", Value::Integer(k)) => *k < i64::from(THRESHOLD_DEFAULT),
        ("models", Value::String(text)) => Models::ALL.contains(&(text.as_str(), Models::Exact)),
        ("per_site_results", Value::Boolean(may)) => *may,
        ("rule", Value::Array(rules)) => {
            let mut said = rules.iter().filter_map(Value::as_table).flatten();
            said.any(|(key, value)| {
                !["threshold", "model_threshold"].contains(&key.as_str()) && lets_out_more(key, value)
            })
        }
        _ => false,
    }
}
