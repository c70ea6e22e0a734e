//! A folder that is made whole or not at all: collected in memory, written beside its place, renamed into it.
//!
//! It never writes into a folder that holds something, and its secrets are readable by their owner alone from the first byte on.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bocage_net::secret::{SecretError, write_secret};
use bocage_net::settings::unreadable;
use zeroize::Zeroizing;

use super::update::MADE;

/// Files and folders to be, by relative path.
#[derive(Default)]
pub struct Tree {
    files: Vec<(PathBuf, Content)>,
    folders: Vec<PathBuf>,
    below: Option<&'static [&'static str]>,
    takes_away: bool,
}

/// What a file holds, and who may read it.
pub enum Content {
    /// Everybody.
    Public(String),
    /// Its owner.
    Secret(Zeroizing<String>),
}

/// Why a folder could not be made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is something in it.
    #[error("{0} exists and is not an empty folder")]
    NotEmpty(PathBuf),
    /// It cannot have a name beside it.
    #[error("{0} is not a folder that can be made")]
    NoName(PathBuf),
    /// It cannot be seen what is there.
    #[error("cannot read {path}: {}", unreadable(source.kind()))]
    Read {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system refused.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A secret could not be written.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl Tree {
    /// A tree that is made of these folders alone: what lies beside them belongs to others. The default has no others.
    pub fn below(folders: &'static [&'static str]) -> Self {
        Self { below: Some(folders), ..Self::default() }
    }

    /// The same, where a file that it does not have any more is worth nothing.
    pub fn taking_away(self) -> Self {
        Self { takes_away: true, ..self }
    }

    /// Whether a path lies where this tree's files do.
    pub fn is_of(&self, path: &Path) -> bool {
        self.below.is_none_or(|folders| folders.iter().any(|folder| path.starts_with(folder)))
    }

    /// Whether files that are no longer part of it go.
    pub fn takes_away(&self) -> bool {
        self.takes_away
    }

    /// Adds a file that anybody may read.
    pub fn file(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.files.push((path.into(), Content::Public(text.into())));
    }

    /// Adds a file of mode 0600.
    pub fn secret(&mut self, path: impl Into<PathBuf>, text: Zeroizing<String>) {
        self.files.push((path.into(), Content::Secret(text)));
    }

    /// Adds an empty folder.
    pub fn folder(&mut self, path: impl Into<PathBuf>) {
        self.folders.push(path.into());
    }

    /// The files, in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = (&PathBuf, &Content)> {
        self.files.iter().map(|(path, content)| (path, content))
    }

    /// The empty folders.
    pub fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.folders.iter()
    }

    /// Makes the folder `out`, which must not exist or be empty. Its mode is 0700.
    ///
    /// # Errors
    /// [`TreeError`]; then `out` is as it was.
    pub fn write(&self, out: &Path) -> Result<(), TreeError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| TreeError::Write { path, source }
        };
        // A link to an empty folder stays one: the folder behind it is made.
        let place = if out.is_symlink() { out.canonicalize() } else { std::path::absolute(out) };
        let out = place.map_err(wrong(out))?;
        refuse_full(&out)?;
        let parent =
            out.parent().filter(|_| out.file_name().is_some()).ok_or_else(|| TreeError::NoName(out.clone()))?;
        std::fs::create_dir_all(parent).map_err(wrong(parent))?;
        let owner_alone = std::fs::Permissions::from_mode(0o700);
        let beside = tempfile::Builder::new().prefix(".bocage-").permissions(owner_alone).tempdir_in(parent);
        let beside = beside.map_err(wrong(parent))?;
        for folder in &self.folders {
            let path = beside.path().join(folder);
            std::fs::create_dir_all(&path).map_err(wrong(&path))?;
        }
        for (path, content) in &self.files {
            let path = beside.path().join(path);
            match content {
                Content::Public(text) => write_public(&path, text).map_err(wrong(&path))?,
                Content::Secret(text) => write_secret(&path, text.as_bytes())?,
            }
        }
        let list = beside.path().join(MADE);
        write_public(&list, &self.list()).map_err(wrong(&list))?;
        // On Linux a rename replaces an empty folder; one that was filled meanwhile stays, and this fails.
        std::fs::rename(beside.path(), &out).map_err(wrong(&out))?;
        let _ = beside.keep();
        std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(wrong(parent))
    }
}

fn refuse_full(out: &Path) -> Result<(), TreeError> {
    let empty = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    if empty { Ok(()) } else { Err(TreeError::NotEmpty(out.to_owned())) }
}

fn write_public(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.file("a/public.toml", "x = 1\n");
        tree.secret("a/key", Zeroizing::new("secret\n".into()));
        tree.folder("a/data");
        tree
    }

    #[test]
    fn a_folder_is_made_whole_with_secrets_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/net");
        tree().write(&out).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("a/public.toml")).unwrap(), "x = 1\n");
        assert_eq!(std::fs::metadata(out.join("a/key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(out.join("a/data").is_dir());
        assert_eq!(std::fs::read_dir(dir.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_holds_something_is_refused_and_an_empty_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "").unwrap();
        assert!(matches!(tree().write(dir.path()), Err(TreeError::NotEmpty(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        tree().write(&empty).unwrap();
        assert!(empty.join("a/key").exists());
    }

    #[test]
    fn a_link_to_an_empty_folder_stays_a_link_and_one_to_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [link, folder] = ["link", "folder"].map(|name| dir.path().join(name));
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let refused = tree().write(&link).unwrap_err().to_string();
        assert!(refused.contains("link: No such file"), "{refused}");
        std::fs::create_dir(&folder).unwrap();
        tree().write(&link).unwrap();
        assert!(link.is_symlink() && folder.join("a/key").exists());
        assert!(matches!(tree().write(&link), Err(TreeError::NotEmpty(_))));
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = tree();
        tree.file("a/public.toml/impossible", "");
        assert!(tree.write(&dir.path().join("net")).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
