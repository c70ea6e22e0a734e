//! The coordinator as a publisher: the key by which it signs results. It stands in the state folder, is made where there is none, and leaves this process
//! in a sealed backup alone.
//!
//! A signature is made whenever it is asked for. It follows from the key and the published bytes, so there is nothing to keep beside these, and what was
//! published before there was a key, or under one that was lost, is signed as everything else is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bocage_net::secret::{SecretError, read_secret_text, write_atomically};
use bocage_protocol::PublicError;
use bocage_protocol::env::Entropy;
use bocage_protocol::ids::StudyId;
use bocage_protocol::limits;
use bocage_protocol::settings::Problem;
use bocage_protocol::trust::{PublicKey, Publication, SecretKey, SignedPublication};

use crate::config::secret_problem;

const FILE: &str = "publisher.key";

/// Who signs what is published.
pub struct Publisher(SecretKey);

impl Publisher {
    /// Where the key stands in a state folder.
    pub fn file(state: &Path) -> PathBuf {
        state.join(FILE)
    }

    /// That of a state folder, if it has one.
    ///
    /// # Errors
    /// The file is there and cannot be read, others may read it, or it holds no key.
    pub fn find(state: &Path) -> Result<Option<Self>, Problem> {
        let file = Self::file(state);
        let text = match read_secret_text(&file, limits::SECRET_FILE_BYTES) {
            Err(SecretError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| secret_problem(&file, &error))?,
        };
        let key = SecretKey::from_text(&text).map_err(|error| {
            Problem::new(&file.display().to_string(), "", error.to_string())
                .hint("put it back from a backup; where there is none, move it away, and the next start makes another")
        })?;
        Ok(Some(Self(key)))
    }

    /// The same, made where there is none. Whoever opens it holds the store, so nobody else makes one.
    ///
    /// # Errors
    /// As [`Publisher::find`], or it cannot be written.
    pub fn open(state: &Path, entropy: &mut dyn Entropy) -> Result<Self, Problem> {
        if let Some(found) = Self::find(state)? {
            return Ok(found);
        }
        let (file, key) = (Self::file(state), SecretKey::generate(entropy));
        write_atomically(&file, key.to_text().as_bytes(), 0o600).map_err(|error| secret_problem(&file, &error))?;
        tracing::info!(publisher = %key.public(), "a key was made that signs results");
        Ok(Self(key))
    }

    /// By which others know it.
    pub fn key(&self) -> PublicKey {
        self.0.public()
    }

    /// Signs what was published.
    ///
    /// # Errors
    /// As [`Publication::sign`].
    pub fn sign(&self, study: StudyId, result: &str) -> Result<SignedPublication, PublicError> {
        Publication::sign(study, result.as_bytes(), &self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bocage_net::env::SystemEntropy;

    use super::*;

    fn found(state: &Path) -> Option<PublicKey> {
        Publisher::find(state).unwrap().map(|publisher| publisher.key())
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_is_the_same_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(found(dir.path()), None);
        let made = Publisher::open(dir.path(), &mut SystemEntropy).unwrap().key();
        assert_eq!(found(dir.path()), Some(made));
        assert_eq!(Publisher::open(dir.path(), &mut SystemEntropy).unwrap().key(), made);
        let mode = std::fs::metadata(Publisher::file(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let made = Publisher::open(dir.path(), &mut SystemEntropy).unwrap().key();
        let file = Publisher::file(dir.path());
        let said = || Publisher::open(dir.path(), &mut SystemEntropy).err().unwrap().to_string();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let exposed = said();
        assert!(exposed.contains("publisher.key: others may read this secret") && exposed.contains("chmod 600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(found(dir.path()), Some(made));
        std::fs::write(&file, "cut").unwrap();
        let damaged = said();
        assert!(damaged.contains("publisher.key: not a secret key") && damaged.contains("hint: put it back"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "cut");
    }
}
