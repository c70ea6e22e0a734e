//! The certificate of the HTTP interface while it runs: read again when its files were replaced. New files that are of no use change nothing.

use std::sync::Arc;
use std::time::Duration;

use bocage_net::https::WebIdentity;
use bocage_net::watched::Watched;
use bocage_protocol::env::Clock;
use tokio_rustls::TlsAcceptor;

use crate::config::{ApiTls, web_identity};

/// Between two looks at the files.
pub(super) const LOOK: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct WebTls {
    acceptor: TlsAcceptor,
    files: ApiTls,
    watched: Watched,
    clock: Arc<dyn Clock>,
}

impl WebTls {
    /// Of the files that `identity` was read from.
    pub fn new(identity: WebIdentity, files: ApiTls, clock: Arc<dyn Clock>) -> Self {
        let watched = Watched::new([files.cert_file.clone(), files.key_file.clone()]);
        Self { acceptor: identity.config.into(), files, watched, clock }
    }

    /// What the next connection is accepted with.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks whether there is something new.
    pub fn look(&mut self) {
        if !self.watched.changed() {
            return;
        }
        match web_identity(&self.files, false, self.clock.now()) {
            Ok(identity) => {
                tracing::info!(until = %identity.valid_until, "the HTTP interface's certificate was read anew");
                self.acceptor = identity.config.into();
            }
            Err(problem) => tracing::error!(%problem, "new files of [api] are not used"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bocage_net::certificates::Authority;
    use bocage_net::env::{SystemClock, SystemEntropy};
    use bocage_net::secret::write_atomically;

    use super::*;

    #[test]
    fn files_that_are_replaced_come_into_force_and_broken_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (network, now, mut entropy) = ("heart-demo".parse().unwrap(), SystemClock.now(), SystemEntropy);
        let root = Authority::new_root(&network, now, &mut entropy).unwrap();
        let issuing = root.issue_intermediate(&network, now, &mut entropy).unwrap();
        let mut issue = || issuing.issue_coordinator(&[], now, 30, &mut entropy).unwrap();
        let files = ApiTls { cert_file: dir.path().join("cert.pem"), key_file: dir.path().join("key.pem") };
        let first = issue();
        std::fs::write(&files.cert_file, &first.chain_pem).unwrap();
        write_atomically(&files.key_file, first.key_pem.as_bytes(), 0o600).unwrap();
        let identity = web_identity(&files, false, now).unwrap();
        let mut tls = WebTls::new(identity, files.clone(), Arc::new(SystemClock));
        let in_force = |tls: &WebTls| Arc::as_ptr(tls.acceptor().config());
        let before = in_force(&tls);
        tls.look();
        assert_eq!(in_force(&tls), before, "nothing is new");
        write_atomically(&files.key_file, b"no key", 0o600).unwrap();
        tls.look();
        assert_eq!(in_force(&tls), before, "what is of no use changes nothing");
        // As the coordinator renews its own: key and chain in the key's file, the old chain beside it.
        let next = issue();
        let both = format!("{}{}", *next.key_pem, next.chain_pem);
        write_atomically(&files.key_file, both.as_bytes(), 0o600).unwrap();
        tls.look();
        assert_ne!(in_force(&tls), before);
    }
}
