//! The identity that is in force: shared by all that make or accept connections, looked at anew for each, and exchanged while they run.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::denylist::Denylist;
use crate::identity::{CertificateError, Identity};

/// Who one is now, and whom one refuses. Clones are the same: what one exchanges, all see from the next handshake on.
#[derive(Debug, Clone)]
pub struct Identities {
    current: watch::Sender<Arc<Identity>>,
    denylist: Denylist,
}

impl Identities {
    /// Begins with `identity`, and refuses nobody.
    pub fn new(identity: Identity) -> Self {
        Self { current: watch::Sender::new(Arc::new(identity)), denylist: Denylist::default() }
    }

    /// The identity in force.
    pub fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.borrow())
    }

    /// From now on this identity is in force. Links that stand stay as they are.
    pub fn replace(&self, identity: Identity) {
        self.current.send_replace(Arc::new(identity));
    }

    /// Tells of every exchange from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Identity>> {
        self.current.subscribe()
    }

    /// Who is refused although the certificate would hold.
    pub fn denylist(&self) -> &Denylist {
        &self.denylist
    }
}

type Make<T> = Box<dyn Fn(&Identity, &Denylist) -> Result<T, CertificateError> + Send + Sync>;

/// What follows from the identity in force, such as settings of TLS: made anew when that has been exchanged.
pub(crate) struct Derived<T> {
    identities: Identities,
    make: Make<T>,
    made: Mutex<(Arc<Identity>, T)>,
}

impl<T: Clone> Derived<T> {
    pub(crate) fn new(identities: Identities, make: Make<T>) -> Result<Self, CertificateError> {
        let identity = identities.current();
        let made = Mutex::new((Arc::clone(&identity), make(&identity, &identities.denylist)?));
        Ok(Self { identities, make, made })
    }

    /// An identity that it cannot be made of leaves the one before in force.
    pub(crate) fn get(&self) -> T {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = self.identities.current();
        if !Arc::ptr_eq(&made.0, &identity) {
            match (self.make)(&identity, &self.identities.denylist) {
                Ok(new) => made.1 = new,
                Err(error) => tracing::error!(%error, "a new certificate is not used"),
            }
            made.0 = identity;
        }
        made.1.clone()
    }

    #[cfg(test)]
    pub(crate) fn spoil(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.made.lock().unwrap_or_else(PoisonError::into_inner).1);
    }
}

impl From<&Identity> for Identities {
    fn from(identity: &Identity) -> Self {
        Self::new(identity.clone())
    }
}

impl From<&Identities> for Identities {
    fn from(identities: &Identities) -> Self {
        identities.clone()
    }
}
