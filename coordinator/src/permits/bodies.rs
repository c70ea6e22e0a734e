//! The access bodies that the coordinator knows, each with its newest list of revoked permits: the same in memory as in the store.
//!
//! A list is taken only if its access body signed it, and never in the place of a newer one. Every round carries it to the sites.

use std::sync::{PoisonError, RwLock};

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::trust::{PublicKey, Revocations, SignedRevocations};

use crate::config::AccessBody;
use crate::store::{Kept, Store, StoreError};

/// A list that is in force.
#[derive(Debug, Clone)]
pub struct Taken {
    /// As it was signed.
    pub signed: SignedRevocations,
    /// What it says.
    pub list: Revocations,
}

/// See the module.
#[derive(Debug)]
pub struct AccessBodies {
    bodies: Vec<AccessBody>,
    /// By position.
    newest: RwLock<Vec<Option<Taken>>>,
}

impl AccessBodies {
    /// These access bodies, without a list yet.
    pub fn new(bodies: Vec<AccessBody>) -> Self {
        let newest = RwLock::new(vec![None; bodies.len()]);
        Self { bodies, newest }
    }

    /// The access body with this key.
    pub fn find(&self, key: &PublicKey) -> Option<&AccessBody> {
        self.bodies.iter().find(|body| body.key == *key)
    }

    /// Their keys.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.bodies.iter().map(|body| body.key).collect()
    }

    /// The newest list of the access body with this key.
    pub fn newest(&self, key: &PublicKey) -> Option<Taken> {
        let at = self.bodies.iter().position(|body| body.key == *key)?;
        self.newest.read().unwrap_or_else(PoisonError::into_inner).get(at).cloned().flatten()
    }

    /// Every access body, and its newest list.
    pub fn all(&self) -> Vec<(AccessBody, Option<Taken>)> {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        self.bodies.iter().cloned().zip(newest.iter().cloned()).collect()
    }

    /// Reads the lists that the store keeps. Those of access bodies that are known no longer stay where they are.
    ///
    /// # Errors
    /// The store cannot be read, or one of its lists is not what was once taken.
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        for signed in store.with(|file| file.revocations()).await? {
            let list = signed.verify().map_err(|_| StoreError::Damaged("a list of revoked permits"))?;
            self.hold(Taken { signed, list });
        }
        Ok(())
    }

    /// Takes a list that came from outside, if it is newer than the one in force. The same one again is no error.
    ///
    /// # Errors
    /// `revocations_invalid`, `permit_issuer_unknown`, `conflict` where a newer or another one is in force.
    pub async fn take(&self, store: &Store, signed: SignedRevocations, now: Timestamp) -> Result<Taken, PublicError> {
        let list = signed.verify()?;
        if self.find(&list.issuer).is_none() {
            let message = format!("the coordinator does not know the access body {}", list.issuer);
            return Err(PublicError::new(ErrorCode::PermitIssuerUnknown, message)
                .hint("the coordinator's operator adds an [[access_body]] with this key"));
        }
        if list.issued_at > now.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            let message = format!("the list was signed at {}, which is in the future", list.issued_at);
            return Err(PublicError::new(ErrorCode::RevocationsInvalid, message)
                .hint("compare the clocks of the access body and the coordinator"));
        }
        let taken = Taken { signed, list };
        let keeping = taken.clone();
        match store.with(move |file| file.keep_revocations(&keeping.signed, &keeping.list)).await? {
            Kept::Newest | Kept::Same => self.hold(taken.clone()),
            Kept::Behind(number) => {
                let message = format!("list {number} is in force, and this is list {}", taken.list.number);
                return Err(PublicError::new(ErrorCode::Conflict, message)
                    .hint("publish the newest list; `bocage permit list` makes the next one"));
            }
            Kept::Other => {
                let message = format!("another list has the number {}", taken.list.number);
                return Err(PublicError::new(ErrorCode::Conflict, message)
                    .hint("keep one file of lists: `bocage permit list` counts on from it"));
            }
        }
        Ok(taken)
    }

    /// Two that were kept one after the other may come here the other way round: the larger number stays.
    fn hold(&self, taken: Taken) {
        let Some(at) = self.bodies.iter().position(|body| body.key == taken.list.issuer) else { return };
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = newest.get_mut(at)
            && slot.as_ref().is_none_or(|held| held.list.number <= taken.list.number)
        {
            *slot = Some(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{ACCESS_BODY, START, key};

    fn list(number: u64, seed: u8) -> SignedRevocations {
        let first = Revocations::first(key(seed).public(), START);
        SignedRevocations::sign(&Revocations { number, ..first }, &key(seed)).unwrap()
    }

    fn bodies() -> AccessBodies {
        let key = key(ACCESS_BODY).public();
        AccessBodies::new(vec![AccessBody { name: "Body".into(), key, revocations_file: None }])
    }

    #[tokio::test]
    async fn a_list_never_goes_back_and_is_in_force_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let body = bodies();
        body.take(&store, list(2, ACCESS_BODY), START).await.unwrap();
        body.take(&store, list(2, ACCESS_BODY), START).await.unwrap();
        let older = body.take(&store, list(1, ACCESS_BODY), START).await.unwrap_err();
        assert_eq!(older.code, ErrorCode::Conflict);
        let early = START.plus_secs(-86_400);
        let another = Revocations { number: 2, ..Revocations::first(key(ACCESS_BODY).public(), early) };
        let another = SignedRevocations::sign(&another, &key(ACCESS_BODY)).unwrap();
        let other = body.take(&store, another, START).await.unwrap_err();
        assert_eq!(other.code, ErrorCode::Conflict);
        body.take(&store, list(3, ACCESS_BODY), START).await.unwrap();
        let again = bodies();
        again.load(&store).await.unwrap();
        assert_eq!(again.newest(&key(ACCESS_BODY).public()).unwrap().list.number, 3);
    }

    #[tokio::test]
    async fn a_list_of_a_stranger_from_the_future_or_altered_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let body = bodies();
        let code = async |list, now| body.take(&store, list, now).await.unwrap_err().code;
        assert_eq!(code(list(1, 77), START).await, ErrorCode::PermitIssuerUnknown);
        assert_eq!(code(list(1, ACCESS_BODY), START.plus_secs(-301)).await, ErrorCode::RevocationsInvalid);
        let mut altered = list(1, ACCESS_BODY);
        altered.document = altered.document.replace("\"number\":1", "\"number\":9");
        assert_eq!(code(altered, START).await, ErrorCode::RevocationsInvalid);
        assert!(body.newest(&key(ACCESS_BODY).public()).is_none());
    }
}
