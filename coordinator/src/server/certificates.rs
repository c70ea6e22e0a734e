//! The coordinator's own certificate, the roots it goes by and the authority it certifies sites with, while it runs: read again when a file was replaced,
//! and its own certificate made anew by that authority when two thirds of its life are over, or when the authority has been exchanged.
//!
//! A new file that is of no use changes nothing: what was in force stays, and the log says what is wrong.

use std::path::PathBuf;
use std::sync::Arc;

use bocage_net::certificates::{Authority, LEAF_DAYS};
use bocage_net::env::SystemEntropy;
use bocage_net::identity::CertificateError;
use bocage_net::secret::{SecretError, write_atomically};
use bocage_net::watched::Watched;
use bocage_net::{Identities, Identity};
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::renewal::{Life, WARN_DAYS};
use zeroize::Zeroizing;

use crate::config::{Config, own_identity, own_issuing};
use crate::members::issuing::Issuing;

/// See the module.
#[derive(Debug)]
pub struct Certificates {
    config: Config,
    identities: Identities,
    issuing: Arc<Issuing>,
    watched: Watched,
    renew_at: Timestamp,
    warn_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    File(#[from] SecretError),
}

impl Certificates {
    /// Of the files that `config` names; `identities` and `issuing` are in force.
    pub fn new(config: &Config, identities: &Identities, issuing: &Arc<Issuing>) -> Self {
        let issued = config.issuing.iter().flat_map(|files| [files.cert_file.clone(), files.key_file.clone()]);
        let own = [&config.ca_file, &config.cert_file, &config.key_file].into_iter().cloned();
        let files: Vec<PathBuf> = own.chain(issued).collect();
        let identity = identities.current();
        Self {
            config: config.clone(),
            renew_at: renew_at(&identity),
            warn_at: warn_at(&identity),
            identities: identities.clone(),
            issuing: Arc::clone(issuing),
            watched: Watched::new(files),
        }
    }

    /// Looks whether there is something to do, and does it.
    pub fn look(&mut self, clock: &dyn Clock) {
        let now = clock.now();
        if self.watched.changed() {
            self.read(now);
        }
        self.renew(now);
        let until = self.identities.current().valid_until();
        if now >= self.warn_at {
            self.warn_at = now.plus_secs(24 * 3600);
            if now >= until {
                tracing::error!(%until, "the coordinator's certificate has ended: no node connects; hint: with [issuing] it renews itself");
            } else {
                tracing::warn!(%until, "the coordinator's certificate ends soon and was not renewed; hint: with [issuing] it renews itself");
            }
        }
    }

    fn read(&mut self, now: Timestamp) {
        match own_issuing(&self.config, now) {
            Some(Ok(authority)) if self.issuing.authority().is_none_or(|old| old.key_id() != authority.key_id()) => {
                tracing::info!(until = %authority.valid_until(), "another authority certifies sites from now on");
                self.issuing.replace(authority);
            }
            Some(Ok(authority)) => self.issuing.replace(authority),
            Some(Err(problem)) => tracing::error!(%problem, "new files of [issuing] are not used"),
            None => {}
        }
        match own_identity(&self.config) {
            Ok(identity) if identity.to_pem() != self.identities.current().to_pem() => self.take(identity),
            Ok(_) => {}
            Err(problem) => tracing::error!(%problem, "new files of [tls] are not used"),
        }
    }

    fn take(&mut self, identity: Identity) {
        tracing::info!(until = %identity.valid_until(), roots = identity.root_digests().len(), "the coordinator's certificate and roots were read anew");
        (self.renew_at, self.warn_at) = (renew_at(&identity), warn_at(&identity));
        self.identities.replace(identity);
    }

    fn renew(&mut self, now: Timestamp) {
        let Some(authority) = self.issuing.authority() else { return };
        let identity = self.identities.current();
        if now < self.renew_at && identity.leaf().issuer.as_deref() == authority.key_id() {
            return;
        }
        match self.issue(&authority, &identity, now) {
            Ok(renewed) => {
                // What was written here is no news.
                self.watched.changed();
                self.take(renewed);
            }
            Err(error) => {
                // A minute later again: nothing is lost until the old one ends.
                tracing::error!(%error, "the coordinator's own certificate is not renewed");
            }
        }
    }

    /// Makes a certificate with the names of the one in force, and keeps it with its key in the key's file.
    fn issue(&self, authority: &Authority, old: &Identity, now: Timestamp) -> Result<Identity, RenewError> {
        let issued = authority.issue_coordinator(&old.other_names(), now, LEAF_DAYS, &mut SystemEntropy)?;
        let text = Zeroizing::new(format!("{}{}", *issued.key_pem, issued.chain_pem));
        let renewed = old.reissued(&issued)?;
        write_atomically(&self.config.key_file, text.as_bytes(), 0o600)?;
        Ok(renewed)
    }
}

fn renew_at(identity: &Identity) -> Timestamp {
    Life { from: identity.valid_from(), until: identity.valid_until() }.renew_at(&mut SystemEntropy)
}

fn warn_at(identity: &Identity) -> Timestamp {
    identity.valid_until().plus_secs(-WARN_DAYS * 24 * 3600)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bocage_net::certificates::Issued;
    use bocage_net::secret::write_secret;

    use super::*;
    use crate::bench::{TestClock, config};
    use crate::config::IssuingFiles;

    struct Bench {
        _dir: tempfile::TempDir,
        config: Config,
        root: Authority,
        clock: Arc<TestClock>,
        identities: Identities,
        issuing: Arc<Issuing>,
        certificates: Certificates,
    }

    const DAY: i64 = 24 * 3600;

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (network, clock) = ("heart-demo".parse().unwrap(), TestClock::new());
            let root = Authority::new_root(&network, clock.now(), &mut SystemEntropy).unwrap();
            let mut config = config(dir.path());
            let (cert_file, key_file) = (dir.path().join("issuing.pem"), dir.path().join("issuing.key"));
            config.issuing = Some(IssuingFiles { cert_file, key_file });
            let authority = root.issue_intermediate(&network, clock.now(), &mut SystemEntropy).unwrap();
            let names = ["coordinator.example".to_owned(), "192.0.2.7".to_owned()];
            let own = authority.issue_coordinator(&names, clock.now(), 30, &mut SystemEntropy).unwrap();
            put(&config.ca_file, root.certificate_pem());
            put_pair(&config.cert_file, &config.key_file, &own);
            let identities = Identities::new(own_identity(&config).unwrap());
            let issuing = Arc::new(Issuing::default());
            let mut certificates = Certificates::new(&config, &identities, &issuing);
            put_authority(&config, &authority);
            certificates.look(&*clock);
            Self { _dir: dir, config, root, clock, identities, issuing, certificates }
        }

        fn look(&mut self) -> Arc<Identity> {
            self.certificates.look(&*self.clock);
            self.identities.current()
        }
    }

    fn put(file: &Path, text: &str) {
        let _ = std::fs::remove_file(file);
        write_secret(file, text.as_bytes()).unwrap();
    }

    fn put_pair(cert: &Path, key: &Path, issued: &Issued) {
        put(cert, &issued.chain_pem);
        put(key, &issued.key_pem);
    }

    fn put_authority(config: &Config, authority: &Authority) {
        let files = config.issuing.as_ref().unwrap();
        put(&files.key_file, &authority.key_pem());
        put(&files.cert_file, &authority.links_pem());
    }

    #[test]
    fn the_own_certificate_is_renewed_at_two_thirds_of_its_life_and_keeps_its_names() {
        let mut bench = Bench::new();
        let first = bench.look();
        bench.clock.advance_secs(18 * DAY);
        assert_eq!(bench.look().leaf(), first.leaf());
        bench.clock.advance_secs(3 * DAY);
        let second = bench.look();
        assert_ne!(second.leaf(), first.leaf());
        assert_eq!(second.other_names(), ["coordinator.example", "192.0.2.7"]);
        assert_eq!(second.root_digests(), first.root_digests());
        // After a restart the same one is in force.
        assert_eq!(own_identity(&bench.config).unwrap().leaf(), second.leaf());
        assert_eq!(bench.look().leaf(), second.leaf());
    }

    #[test]
    fn another_authority_and_more_roots_are_taken_over_while_it_runs_and_the_own_certificate_moves() {
        let mut bench = Bench::new();
        let (first, old) = (bench.look(), bench.issuing.authority().unwrap());
        let network = "heart-demo".parse().unwrap();
        let (root, cross) = bench.root.succeeding_root(&network, bench.clock.now(), &mut SystemEntropy).unwrap();
        let next = root.issue_intermediate(&network, bench.clock.now(), &mut SystemEntropy).unwrap().vouched_by(&cross);
        let bundle = format!("{}{}{cross}", bench.root.certificate_pem(), root.certificate_pem());
        put(&bench.config.ca_file, &bundle);
        put_authority(&bench.config, &next);
        let second = bench.look();
        let now = bench.issuing.authority().unwrap();
        assert_ne!(now.key_id(), old.key_id());
        assert_eq!(second.leaf().issuer.as_deref(), now.key_id());
        assert_eq!((first.root_digests().len(), second.root_digests().len()), (1, 2));
        assert_eq!(second.told_roots().len(), 3);
    }

    #[test]
    fn broken_files_leave_in_force_what_was() {
        let mut bench = Bench::new();
        let (first, authority) = (bench.look(), bench.issuing.authority().unwrap());
        put(&bench.config.ca_file, "half a certifi");
        put(&bench.config.issuing.clone().unwrap().key_file, "no key");
        assert_eq!(bench.look().leaf(), first.leaf());
        assert_eq!(bench.identities.current().root_digests(), first.root_digests());
        assert_eq!(bench.issuing.authority().unwrap().key_id(), authority.key_id());
    }
}
