//! `[steward]`: who decides about studies, and who is told that one waits.

use std::path::PathBuf;

use bocage_protocol::limits;
use bocage_protocol::marks::steers;
use serde_json::Value;

use super::raw::RawSteward;
use super::sections::Reader;
use crate::herald::Url;

/// Who decides about studies, and who is told that one waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steward {
    /// A line for the researcher who waits.
    pub message: Option<String>,
    /// The group whose members may decide, beside the node's own user and the superuser.
    pub group: Option<String>,
    /// What is run when a study begins to wait.
    pub notify_command: Vec<String>,
    /// Where it is posted then.
    pub notify_url: Option<String>,
    /// The authorities that may vouch for that server; those of the machine where there is none.
    pub notify_ca_file: Option<PathBuf>,
}

impl Steward {
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
            group: raw.group,
            notify_command: raw.notify_command,
            notify_url: raw.notify_url,
            notify_ca_file: raw.notify_ca_file.map(|file| self.base.join(file)),
        })
    }
}
