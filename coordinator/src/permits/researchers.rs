//! The researchers whose studies are taken without a permit: a list that is exchanged as a whole when the configuration is read again.

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Researcher;

/// See the module.
#[derive(Debug)]
pub struct Researchers(RwLock<Arc<[Researcher]>>);

impl Researchers {
    /// These.
    pub fn new(researchers: Vec<Researcher>) -> Self {
        Self(RwLock::new(researchers.into()))
    }

    /// Those who are known now.
    pub fn all(&self) -> Arc<[Researcher]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these.
    pub fn replace(&self, researchers: Vec<Researcher>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = researchers.into();
    }
}
