//! `[steward]`: who decides about studies, and who is told that one waits.

use std::fmt::{self, Display};
use std::path::PathBuf;

use bocage_protocol::limits;
use bocage_protocol::marks::steers;
use bocage_protocol::settings::nearest;
use serde_json::Value;

use super::raw::RawSteward;
use super::sections::Reader;
use crate::custodian::desk::people::{group_id, groups, user_id, users};
use crate::herald::Url;

/// Who decides about studies, and who is told that one waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steward {
    /// A line for the researcher who waits.
    pub message: Option<String>,
    /// The group whose members may decide, beside the node's own user and the superuser.
    pub group: Option<Group>,
    /// What is run when a study begins to wait.
    pub notify_command: Vec<String>,
    /// Where it is posted then.
    pub notify_url: Option<String>,
    /// The authorities that may vouch for that server; those of the machine where there is none.
    pub notify_ca_file: Option<PathBuf>,
}

/// A group of this machine. Its number is looked up when the configuration is read: in its sandbox a custodian cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As `node.toml` has it.
    pub name: String,
    /// Its number.
    pub id: u32,
}

impl Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Steward {
    /// Where it is posted, understood.
    pub fn url(&self) -> Option<Url> {
        self.notify_url.as_deref().and_then(Url::parse)
    }

    /// Whether anybody is to be told that a study waits.
    pub fn is_told(&self) -> bool {
        !self.notify_command.is_empty() || self.notify_url.is_some()
    }
}

impl Reader<'_> {
    pub(super) fn steward(&mut self, value: &Value) -> Option<Steward> {
        let raw: RawSteward = self.section(value, "steward")?;
        if raw
            .message
            .as_ref()
            .is_some_and(|m| m.is_empty() || m.len() > limits::SITE_MESSAGE_BYTES || m.contains(steers))
        {
            let message = format!("not a line of 1 to {} bytes", limits::SITE_MESSAGE_BYTES);
            self.problem("steward.message", message, "researchers read it while they wait: whom to ask, when you look");
        }
        if raw.notify_command.first().is_some_and(|program| !program.starts_with('/')) {
            let hint = "for example notify_command = [\"/usr/local/bin/tell-steward\"]; it gets BOCAGE_STUDY, BOCAGE_TITLE and BOCAGE_SITE";
            self.problem("steward.notify_command", "the program is not an absolute path", hint);
        }
        if raw.notify_url.as_ref().is_some_and(|url| Url::parse(url).is_none()) {
            self.problem(
                "steward.notify_url",
                "not an https:// address",
                "for example notify_url = \"https://steward.example.org/hook\"",
            );
        }
        Some(Steward {
            message: raw.message,
            group: raw.group.as_ref().and_then(|group| self.group(group)),
            notify_command: raw.notify_command,
            notify_url: raw.notify_url,
            notify_ca_file: raw.notify_ca_file.map(|file| self.base.join(file)),
        })
    }
    /// A user by its name or its number.
    pub(super) fn user(&mut self, value: &Value, key: &str) -> Option<u32> {
        let name = spelt(value);
        let id = user_id(&name);
        if id.is_none() {
            let known = users();
            let hint = match nearest(&name, known.iter().map(|(name, _)| name.as_str())) {
                Some(near) => format!("did you mean {near}?"),
                None => "write the name of a user of this machine, or its number".to_owned(),
            };
            self.problem(key, format!("there is no user {name} in /etc/passwd"), hint);
        }
        id
    }

    /// A group by its name or its number.
    fn group(&mut self, value: &Value) -> Option<Group> {
        let name = spelt(value);
        if let Some(id) = group_id(&name) {
            return Some(Group { name, id });
        }
        let known = groups();
        let hint = match nearest(&name, known.iter().map(|(name, _)| name.as_str())) {
            Some(near) => format!("did you mean {near}?"),
            None => "write the name of a group of this machine, or its number".to_owned(),
        };
        self.problem("steward.group", format!("there is no group {name} in /etc/group"), hint);
        None
    }
}

/// A name or a number, whichever of the two TOML makes of it.
fn spelt(value: &Value) -> String {
    match value {
        Value::String(name) => name.clone(),
        number => number.to_string(),
    }
}
