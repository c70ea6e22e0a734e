//! What of the configuration is about the daemon and not about the network: its log, where it shows how it is, how long it takes to stop.

use bocage_daemon::log;
use bocage_daemon::status::Place;
use bocage_protocol::settings::{Problem, Problems, log_filter_problem, read};
use serde::Deserialize;
use serde_json::Value;

use super::KEYS;

/// The longest time for stopping: beyond it no round of a study goes on.
const STOP_SECS_MAX: u32 = 3600;
/// A round of a usual study ends within; systemd waits 90 s.
pub(super) const STOP_SECS_DEFAULT: u32 = 30;

#[derive(Deserialize)]
struct RawLog {
    #[serde(default = "info")]
    level: String,
    #[serde(default)]
    format: log::Form,
    #[serde(default)]
    target: log::Target,
}

#[derive(Deserialize)]
struct RawStatus {
    listen: Option<String>,
}

fn info() -> String {
    "info".to_owned()
}

/// `[log]`.
pub(super) fn log(value: &Value, file: &str, problems: &mut Problems) -> Option<log::Settings> {
    let RawLog { level, format, target } = read(value, file, "log", KEYS, problems)?;
    problems.0.extend(log_filter_problem(&level, file));
    Some(log::Settings { level, form: format, target })
}

/// `[status]`.
pub(super) fn status(value: &Value, file: &str, problems: &mut Problems) -> Option<Place> {
    let listen = read::<RawStatus>(value, file, "status", KEYS, problems)?.listen?;
    let rule = |rule: &str| {
        Problem::new(file, "status.listen", format!("{listen}: {rule}")).hint(
            "\"127.0.0.1:9464\" or \"unix:/run/bocage/coordinator-status.sock\": who reaches it asks without a token",
        )
    };
    listen.parse().map_err(|error| problems.push(rule(error))).ok()
}

/// `stop_secs`.
pub(super) fn stop_secs(secs: u32, file: &str, problems: &mut Problems) -> u32 {
    if secs > STOP_SECS_MAX {
        let message = format!("must be from 0 to {STOP_SECS_MAX}");
        problems
            .push(Problem::new(file, "stop_secs", message).hint("the seconds that rounds under way get; 30 is usual"));
    }
    secs
}
