//! What an earlier `init` left in a folder: keys, certificates, tokens and what was signed. A network that is made again keeps them.
//!
//! What has left the folder meanwhile is known by what stayed: the coordinator's roster has the release key of a site whose own folder was brought
//! away, and it is not made anew.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bocage_coordinator::people::TokenHash;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::PublicKey;
use zeroize::Zeroizing;

use super::tree::TreeError;

/// No file that `init` writes is larger, and none that is larger is read.
const FILE_BYTES: u64 = 4 << 20;
/// Where others keep theirs.
const NOT_OURS: &[&str] = &["state", "data"];

/// Files by their path within the folder. Nothing of a folder that is not there.
#[derive(Default)]
pub struct Kept(BTreeMap<PathBuf, Zeroizing<String>>);

impl Kept {
    /// Reads what is there.
    ///
    /// # Errors
    /// A file that cannot be read: a key that is there is never made again.
    pub fn read(out: &Path) -> Result<Self, TreeError> {
        let mut kept = Self::default();
        if out.is_dir() {
            kept.collect(out, Path::new(""))?;
        }
        Ok(kept)
    }

    fn collect(&mut self, out: &Path, below: &Path) -> Result<(), TreeError> {
        let folder = out.join(below);
        let wrong = |source| TreeError::Read { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let (path, kind) = (below.join(entry.file_name()), entry.file_type().map_err(wrong)?);
            if kind.is_dir() {
                if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                    self.collect(out, &path)?;
                }
            } else if kind.is_file() {
                let wrong = |source| TreeError::Read { path: entry.path(), source };
                let file = std::fs::File::open(entry.path()).map_err(wrong)?;
                let mut text = Zeroizing::new(String::new());
                // What is no text is none of ours.
                match file.take(FILE_BYTES).read_to_string(&mut text) {
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
                    read => {
                        read.map_err(wrong)?;
                        self.0.insert(path, text);
                    }
                }
            }
        }
        Ok(())
    }

    /// A file's text.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<&str> {
        self.0.get(path.as_ref()).map(|text| text.as_str())
    }

    /// The release key of a site in the coordinator's roster.
    pub fn release_key(&self, site: &SiteId) -> Option<PublicKey> {
        self.listed(
            "site",
            |entry| entry.get("id")?.as_str().filter(|id| *id == site.as_str()).map(drop),
            "release_key",
        )
    }

    /// The key of the coordinator's first entry of this kind with this name.
    pub fn named_key(&self, kind: &str, name: &str) -> Option<PublicKey> {
        self.listed(kind, |entry| entry.get("name")?.as_str().filter(|known| *known == name).map(drop), "key")
    }

    /// The hash of the token that the coordinator's configuration gives a user.
    pub fn token_hash(&self, user: &str) -> Option<TokenHash> {
        self.listed("user", |entry| entry.get("name")?.as_str().filter(|known| *known == user).map(drop), "token")
    }

    fn listed<T: FromStr>(&self, list: &str, is_it: impl Fn(&toml::Table) -> Option<()>, key: &str) -> Option<T> {
        // Where a person keeps the file as it is, what became known since stands in the one beside it.
        ["coordinator/coordinator.toml", "coordinator/coordinator.toml.new"].into_iter().find_map(|file| {
            let config: toml::Table = toml::from_str(self.text(file)?).ok()?;
            let entries = config.get(list)?.as_array()?.iter().filter_map(toml::Value::as_table);
            let mut entries = entries.filter(|entry| is_it(entry).is_some());
            entries.find_map(|entry| entry.get(key)?.as_str()?.parse().ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_folder_is_found_and_neither_data_nor_state_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in
            [("sites/north/release.key", "k"), ("sites/north/data/rows.csv", "x"), ("sites/north/state/ledger", "x")]
        {
            let file = dir.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let kept = Kept::read(dir.path()).unwrap();
        assert_eq!(kept.text("sites/north/release.key"), Some("k"));
        assert_eq!(kept.0.len(), 1);
        assert!(Kept::read(&dir.path().join("absent")).unwrap().0.is_empty());
    }

    #[test]
    fn a_key_that_was_brought_away_is_known_from_the_coordinator_s_roster() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("coordinator")).unwrap();
        let key = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let roster = format!(
            "[[site]]\nid = \"north\"\nrelease_key = \"{key}\"\n[[access_body]]\nname = \"Us\"\nkey = \"{key}\"\n"
        );
        std::fs::write(dir.path().join("coordinator/coordinator.toml"), roster).unwrap();
        let kept = Kept::read(dir.path()).unwrap();
        assert_eq!(kept.release_key(&"north".parse().unwrap()).unwrap().to_string(), key);
        assert_eq!(kept.release_key(&"south".parse().unwrap()), None);
        assert!(kept.named_key("access_body", "Us").is_some() && kept.named_key("researcher", "Us").is_none());
    }
}
