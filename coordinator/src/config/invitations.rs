//! `[invitations]`: what the coordinator tells a hospital that it invites. It listens on addresses of its own; only its operator knows by which
//! ones others reach it.

use std::path::{Path, PathBuf};

use bocage_protocol::settings::{Problem, Problems, read};
use bocage_protocol::trust::{PermitMode, is_address};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::KEYS;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct InvitationSettings {
    /// Where nodes reach the coordinator by QUIC: `HOST:PORT`.
    pub quic: String,
    /// Where by TCP, which is how they enrol.
    pub tcp: String,
    /// How exact the network asks sites to answer.
    pub mode: PermitMode,
    /// The k that it proposes.
    pub threshold: u32,
    /// What else of a site's `[policy]`: handed on, and understood by nodes alone.
    pub policy: Map<String, Value>,
    /// The network's roots.
    pub ca_file: PathBuf,
}

#[derive(Deserialize)]
struct RawInvitations {
    quic: String,
    tcp: String,
    #[serde(default = "exact")]
    mode: PermitMode,
    #[serde(default = "eleven")]
    threshold: u32,
    #[serde(default)]
    policy: Map<String, Value>,
}

fn exact() -> PermitMode {
    PermitMode::Exact
}

fn eleven() -> u32 {
    11
}

impl InvitationSettings {
    /// What the section says. None where it is absent, or wrong.
    pub(super) fn read(raw: Option<&Value>, file: &str, ca_file: &Path, problems: &mut Problems) -> Option<Self> {
        let raw = read::<RawInvitations>(raw?, file, "invitations", KEYS, problems)?;
        for (key, address) in [("quic", &raw.quic), ("tcp", &raw.tcp)] {
            if !is_address(address) {
                let problem = Problem::new(file, format!("invitations.{key}"), "not an address of the form HOST:PORT");
                problems.push(problem.hint("say where hospitals reach this coordinator, not where it listens"));
            }
        }
        if raw.threshold < 3 {
            let problem = Problem::new(file, "invitations.threshold", "nodes take no threshold below 3");
            problems.push(problem.hint("11 is usual"));
        }
        if raw.policy.contains_key("threshold") {
            let problem = Problem::new(file, "invitations.policy.threshold", "k is said one level above");
            problems.push(problem.hint("[invitations] threshold = 11"));
        }
        let RawInvitations { quic, tcp, mode, threshold, policy } = raw;
        Some(Self { quic, tcp, mode, threshold, policy, ca_file: ca_file.to_owned() })
    }
}
