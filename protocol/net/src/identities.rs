//! The identity that is in force: shared by all that make or accept connections, looked at anew for each, and exchanged while they run.

use std::sync::Arc;

use tokio::sync::watch;

use crate::denylist::Denylist;
use crate::identity::Identity;

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
