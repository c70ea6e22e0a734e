//! What a doctor finds: typed findings, each with what to do about it, from probes that run at the same time and are each bounded in time.
//!
//! A finding never holds a patient's value, a secret or the text of a source; it names places.

pub mod machine;
mod run;

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

pub use run::{Examined, Probe, run};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or less well than it could.
    Warn,
    /// It does not work.
    Fail,
}

macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// What is looked at. The texts are part of the manual and of what programs read: they are never renamed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum Check {
            $($(#[$doc])* #[serde(rename = $text)] $variant),+
        }

        impl Check {
            /// Every check, in the order of the manual.
            pub const ALL: &[Check] = &[$(Check::$variant),+];

            /// The check as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Check::$variant => $text),+ }
            }
        }
    };
}

checks! {
    /// The configuration, or the researcher's profile.
    Config = "config",
    /// The name of the coordinator, or of the proxy.
    Dns = "dns",
    /// A QUIC handshake with the coordinator.
    Udp = "udp",
    /// A TCP connection to the coordinator.
    Tcp = "tcp",
    /// The HTTP proxy on the way.
    Proxy = "proxy",
    /// Whether somebody on the way looks into TLS.
    Interception = "interception",
    /// Whether the coordinator would take this site in, and speaks a version of ours.
    Session = "session",
    /// Whether the clocks of both sides agree.
    Clock = "clock",
    /// The own certificate, its chain and its days.
    Certificate = "certificate",
    /// The keys of release and researcher.
    Key = "key",
    /// The disk of the state folder.
    Disk = "disk",
    /// The machine's memory.
    Memory = "memory",
    /// What the kernel offers to confine a node.
    Sandbox = "sandbox",
    /// Who may read and write the daemon's files.
    Modes = "modes",
    /// The sources of the datasets.
    Sources = "sources",
    /// The contracts that the site knows.
    Contracts = "contracts",
    /// What the site allows, and whom.
    Policy = "policy",
    /// The list of patients who opted out.
    OptOuts = "optouts",
    /// The snapshots, and the last ingest of each dataset.
    Snapshots = "snapshots",
    /// The ledger.
    Ledger = "ledger",
    /// The coordinator's HTTP interface.
    Api = "api",
    /// The token for that interface.
    Token = "token",
    /// The researcher's permit.
    Permit = "permit",
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub what: String,
    /// What to do about it; of what is as it should be, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: Check, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), fix: None }
    }

    /// It works, but.
    pub fn warn(check: Check, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, what: what.into(), fix: Some(fix.into()) }
    }

    /// It does not work.
    pub fn fail(check: Check, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, what: what.into(), fix: Some(fix.into()) }
    }
}

/// Writes findings for people: a line each, and the fix below.
///
/// # Errors
/// Where it cannot be written.
pub fn text(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    for Finding { check, level, what, fix } in findings {
        let level = match level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        writeln!(out, "{level:<5} {:<13} {}", check.as_str(), what.replace('\n', "\n                    "))?;
        if let Some(fix) = fix {
            writeln!(out, "      {:<13} fix: {fix}", "")?;
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.level == wanted).count();
    writeln!(out, "{} ok, {} to be looked at, {} failed", count(Level::Ok), count(Level::Warn), count(Level::Fail))
}
