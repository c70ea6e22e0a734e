//! The configuration of a running node, read again: held to all that a start holds it to, before anything of it takes effect.
//!
//! The supervisor reads it, since it alone still can; the custodian begins anew with it. What only a start can change is named.

use bocage_daemon::log::Level;
use bocage_net::env::SystemClock;
use bocage_protocol::env::Clock as _;

use crate::config::{Config, Depth, Origin};

/// See the module.
pub(super) struct Reload {
    origin: Origin,
    /// As the node was started with it, but for what has taken effect since.
    running: Config,
    level: Level,
}

impl Reload {
    pub(super) fn of(origin: Origin, running: Config, level: Level) -> Self {
        Self { origin, running, level }
    }

    /// Reads again; whether the custodian is to begin anew. A configuration with problems changes nothing, and the log says all of them.
    pub(super) fn again(&mut self) -> bool {
        let config = match Config::check(&self.origin, Depth::ToStart, SystemClock.now()) {
            Ok(config) => config,
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!(key = problem.key, "{}", problem.to_string().replace('\n', " "));
                }
                tracing::error!(
                    problems = problems.0.len(),
                    "the configuration is not read again: what was in force stays"
                );
                return false;
            }
        };
        let never = never_while_it_runs(&self.running, &config);
        if !never.is_empty() {
            let keys = never.join(", ");
            tracing::error!(
                keys,
                "these cannot change while the node runs: what was in force stays; stop the node, and start it again"
            );
            return false;
        }
        let later = at_the_next_start(&self.running, &config);
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these settings have changed and take effect at the next start");
        }
        if config.log.level != self.running.log.level {
            match self.level.set(&config.log.level) {
                Ok(()) => {
                    tracing::info!("log.level holds for supervisor and custodian now, for the agent at the next start")
                }
                Err(error) => tracing::warn!(error, "log.level of the supervisor stays as it was"),
            }
            self.running.log.level = config.log.level;
        }
        tracing::info!("the configuration was read again: the custodian begins anew with it");
        true
    }
}

/// Where a child that is started with them would be another node's, or could not be confined as its siblings are.
fn never_while_it_runs(running: &Config, read: &Config) -> Vec<&'static str> {
    let changed = [
        (running.network != read.network, "network"),
        (running.site != read.site, "site"),
        (running.state.0 != read.state.0, "state_dir"),
        (running.require_sandbox != read.require_sandbox, "require_sandbox"),
        (running.require_whole_sandbox != read.require_whole_sandbox, "require_whole_sandbox"),
    ];
    changed.into_iter().filter_map(|(changed, key)| changed.then_some(key)).collect()
}

/// What agent, herald and supervisor have read and read no more.
fn at_the_next_start(running: &Config, read: &Config) -> Vec<&'static str> {
    let ports = |config: &Config| -> Vec<u16> {
        config.datasets.values().filter_map(|dataset| Some(dataset.spec.source.remote()?.port)).collect()
    };
    let notices = |config: &Config| {
        let steward = &config.steward;
        format!("{:?}", (&steward.notify_command, &steward.notify_url, &steward.notify_ca_file))
    };
    let known = ports(running);
    let changed = [
        (running.coordinator != read.coordinator, "coordinator"),
        (running.tls != read.tls, "tls"),
        (notices(running) != notices(read), "steward.notify_command, steward.notify_url"),
        (running.stop_secs != read.stop_secs, "stop_secs"),
        ((running.log.form, running.log.target) != (read.log.form, read.log.target), "log.format, log.target"),
        // The sandbox of the supervisor, which its children inherit, knows the ports that there were.
        (ports(read).iter().any(|port| !known.contains(port)), "the port of a dataset's server"),
    ];
    changed.into_iter().filter_map(|(changed, key)| changed.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Site;

    #[test]
    fn what_cannot_change_is_told_from_what_waits_and_from_what_takes_effect() {
        let site = Site::new();
        let running = Config::load(&site.origin()).unwrap();
        site.edit_config("threshold = 11", "threshold = 20");
        let read = Config::load(&site.origin()).unwrap();
        assert!(never_while_it_runs(&running, &read).is_empty() && at_the_next_start(&running, &read).is_empty());
        site.edit_config("127.0.0.1:4433", "127.0.0.1:4434");
        site.edit_config("site = \"cleveland\"", "site = \"cleveland\"\nstop_secs = 7\nstate_dir = \"elsewhere\"");
        let read = Config::load(&site.origin()).unwrap();
        assert_eq!(never_while_it_runs(&running, &read), ["state_dir"]);
        assert_eq!(at_the_next_start(&running, &read), ["coordinator", "stop_secs"]);
    }
}
