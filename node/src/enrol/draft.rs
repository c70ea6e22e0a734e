//! The folder of a site in the making: beside its place, for its owner alone, until it is whole and renamed into it.
//!
//! The keys are the first thing in it, durable before anything is sent, so that whatever interrupts an enrolment, the next attempt has the keys
//! that the coordinator may know by then. They are made here and go nowhere.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bocage_net::certificates::SiteKey;
use bocage_net::secret::{read_secret_text, write_atomically};
use bocage_protocol::env::Entropy;
use bocage_protocol::limits::SECRET_FILE_BYTES;
use bocage_protocol::trust::{Invitation, SecretKey};

use super::EnrolError;

const TLS_KEY: &str = "tls/key.pem";
const RELEASE_KEY: &str = "release.key";
/// Whose keys these are: a network and a site.
const FOR: &str = "for";

/// A site's two keys.
pub struct Keys {
    /// Of its sessions.
    pub tls: SiteKey,
    /// Of what it releases.
    pub release: SecretKey,
}

/// See the module.
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    out: PathBuf,
    /// Whether it was not there before.
    is_new: bool,
}

impl Draft {
    /// The draft of `out`, which must not exist or be empty. One that an earlier attempt left is gone on with, if it is the same site's.
    ///
    /// # Errors
    /// Something is in `out`, the draft is another site's, or the file system refuses.
    pub fn open(out: &Path, invitation: &Invitation) -> Result<Self, EnrolError> {
        let out = std::path::absolute(out).map_err(|source| EnrolError::Write { path: out.to_owned(), source })?;
        refuse_full(&out)?;
        let name = out.file_name().ok_or_else(|| EnrolError::NoFolder(out.clone()))?;
        let dir = out.with_file_name(format!(".{}.enrolling", name.display()));
        let draft = Self { is_new: !dir.is_dir(), dir, out };
        let whose = format!("{}/{}\n", invitation.network, invitation.site);
        if draft.dir.is_dir() {
            draft.is_ours()?;
            match fs::read_to_string(draft.dir.join(FOR)) {
                Ok(found) if found == whose => return Ok(draft),
                Ok(found) => return Err(EnrolError::OtherDraft { dir: draft.dir, whose: found.trim().to_owned() }),
                // It was made, and nothing was written into it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(EnrolError::Write { path: draft.dir.join(FOR), source }),
            }
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(draft.dir.join("tls"))
            .map_err(|source| EnrolError::Write { path: draft.dir.clone(), source })?;
        draft.write(FOR, &whose, 0o600)?;
        Ok(draft)
    }

    /// Keys that somebody else has put there are not ours, whatever the folder is called.
    fn is_ours(&self) -> Result<(), EnrolError> {
        let wrong = |source| EnrolError::Write { path: self.dir.clone(), source };
        let metadata = fs::symlink_metadata(&self.dir).map_err(wrong)?;
        let own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.is_dir();
        if own && metadata.mode() & 0o077 == 0 { Ok(()) } else { Err(EnrolError::ForeignDraft(self.dir.clone())) }
    }

    /// The keys, made now if they are not there.
    ///
    /// # Errors
    /// A key cannot be written, or what is there is none.
    pub fn keys(&self, entropy: &mut dyn Entropy) -> Result<Keys, EnrolError> {
        if !self.dir.join(TLS_KEY).exists() {
            self.write(TLS_KEY, &SiteKey::generate(entropy)?.to_pem(), 0o600)?;
        }
        if !self.dir.join(RELEASE_KEY).exists() {
            self.write(RELEASE_KEY, &SecretKey::generate(entropy).to_text(), 0o600)?;
        }
        let tls = SiteKey::from_pem(&read_secret_text(&self.dir.join(TLS_KEY), SECRET_FILE_BYTES)?)?;
        let file = self.dir.join(RELEASE_KEY);
        let release = SecretKey::from_text(&read_secret_text(&file, SECRET_FILE_BYTES)?);
        Ok(Keys { tls, release: release.map_err(|problem| EnrolError::Key { file, problem })? })
    }

    /// Writes a file of the folder. Parents are made.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), EnrolError> {
        let path = self.dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| EnrolError::Write { path: parent.to_owned(), source })?;
        }
        Ok(write_atomically(&path, text.as_bytes(), mode)?)
    }

    /// Makes an empty folder in it.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn folder(&self, name: &str) -> Result<(), EnrolError> {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).map_err(|source| EnrolError::Write { path, source })
    }

    /// Takes the folder away, of which the coordinator knows nothing. One that was there before stays: its keys may be known, or are a person's.
    pub fn abandon(self) {
        if self.is_new {
            // What cannot be removed is gone on with at the next attempt.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    /// Puts the folder into its place, whole.
    ///
    /// # Errors
    /// Something came there meanwhile, or the file system refuses.
    pub fn publish(self) -> Result<PathBuf, EnrolError> {
        refuse_full(&self.out)?;
        let wrong = |source| EnrolError::Write { path: self.out.clone(), source };
        // On Linux a rename replaces an empty folder; one that was filled meanwhile stays, and this fails.
        fs::rename(&self.dir, &self.out).map_err(wrong)?;
        fs::remove_file(self.out.join(FOR)).map_err(wrong)?;
        let parent = self.out.parent().unwrap_or(Path::new("/"));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(wrong)?;
        Ok(self.out)
    }
}

fn refuse_full(out: &Path) -> Result<(), EnrolError> {
    let empty = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    match (empty, out.join("node.toml").exists()) {
        (true, _) => Ok(()),
        (false, true) => Err(EnrolError::HasNode(out.to_owned())),
        (false, false) => Err(EnrolError::NotEmpty(out.to_owned())),
    }
}
