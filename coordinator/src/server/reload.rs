//! A configuration that is read again while the coordinator runs: what of it takes effect at once, and what is named as waiting for a restart.

use bocage_daemon::log::Level;
use bocage_protocol::settings::Problems;

use super::Server;
use crate::config::{Config, Setup};
use crate::store::StoreError;

/// How the configuration is read again.
pub type Read = Box<dyn Fn() -> Result<(Config, Setup), Problems> + Send>;

/// What a running coordinator needs for reading its configuration again.
pub struct Reloading {
    /// As it was read last.
    pub config: Config,
    /// Reads it.
    pub read: Read,
    /// The log's level.
    pub level: Level,
}

impl Reloading {
    /// Reads again. A configuration with problems changes nothing, and the log says all of them.
    fn again(&mut self) -> Option<(Config, Setup)> {
        match (self.read)() {
            Ok(read) => Some(read),
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!(key = problem.key, "{}", problem.to_string().replace('\n', " "));
                }
                tracing::error!(
                    problems = problems.0.len(),
                    "the configuration is not read again: what was in force stays"
                );
                None
            }
        }
    }
}

impl Server {
    /// Takes from a configuration what can change while the coordinator runs.
    pub(super) async fn reload(&mut self) -> Result<(), StoreError> {
        let Some(reloading) = &mut self.reloading else { return Ok(()) };
        let Some((config, setup)) = reloading.again() else { return Ok(()) };
        let waiting = waiting_for_restart(&reloading.config, &config);
        if let Err(error) = reloading.level.set(&config.log.level) {
            tracing::warn!(error, "log.level stays as it was");
        }
        self.context.researchers.replace(config.researchers.clone());
        self.revocations = setup.revocations;
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these settings have changed and take effect at the next start");
        }
        // What waits for a restart is compared with what runs, the next time too.
        reloading.config.log.level = config.log.level;
        reloading.config.researchers = config.researchers;
        self.take_revocations().await?;
        tracing::info!("the configuration was read again");
        Ok(())
    }
}

/// The keys whose values have changed and that only a start reads.
fn waiting_for_restart(running: &Config, read: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    let mut note = |changed: bool, key| {
        if changed {
            keys.push(key);
        }
    };
    note(running.network != read.network, "network");
    note(running.state_dir != read.state_dir, "state_dir");
    note(running.stop_secs != read.stop_secs, "stop_secs");
    note(running.quic_listen != read.quic_listen, "quic.listen");
    note(running.tcp_listen != read.tcp_listen, "tcp.listen");
    note(running.ca_file != read.ca_file, "tls.ca_file");
    note(running.cert_file != read.cert_file, "tls.cert_file");
    note(running.key_file != read.key_file, "tls.key_file");
    note(running.issuing != read.issuing, "issuing");
    note(running.invitations != read.invitations, "invitations");
    note(running.api_listen != read.api_listen, "api.listen");
    note(running.api_tls != read.api_tls, "api.cert_file, api.key_file");
    note(running.users != read.users, "user");
    note(running.contracts_dir != read.contracts_dir, "contracts.dir");
    note(running.min_sites != read.min_sites, "publication.min_sites");
    note((running.log.form, running.log.target) != (read.log.form, read.log.target), "log.format, log.target");
    note(running.status != read.status, "status.listen");
    note(running.sites != read.sites, "site");
    note(running.access_bodies != read.access_bodies, "access_body");
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::config;

    #[test]
    fn what_only_a_start_reads_is_named_and_what_is_read_again_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let running = config(dir.path());
        let mut read = running.clone();
        read.log.level = "debug".to_owned();
        read.researchers.clear();
        assert_eq!(waiting_for_restart(&running, &read), Vec::<&str>::new());
        read.min_sites += 1;
        read.sites.pop_first();
        assert_eq!(waiting_for_restart(&running, &read), ["publication.min_sites", "site"]);
    }
}
