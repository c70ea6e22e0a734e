//! A folder that was made before, against what it would be made of now: what is new, what changes, and what a person has changed since.
//!
//! `made.sha256` beside the files says what was written, in the form of `sha256sum`: a file that is no longer so was changed by hand, and is never
//! overwritten without a word. A secret that is there is never touched, and never shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bocage_net::secret::{write_atomically, write_secret};
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use super::tree::{Content, Tree, TreeError};

/// The list of what was written.
pub const MADE: &str = "made.sha256";

/// What would become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is made.
    New {
        /// Its text.
        text: String,
    },
    /// It is made, and its owner alone may read it.
    NewSecret,
    /// Its text changes.
    Changed {
        /// What it says.
        before: String,
        /// What it is to say.
        after: String,
        /// Whether a person changed it since it was written.
        by_hand: bool,
    },
    /// It was written once and is part of nothing any more. It stays.
    NoLongerPart,
}

/// What would become of a folder, by path.
#[derive(Debug, Default)]
pub struct Changes(pub BTreeMap<PathBuf, Change>);

impl Tree {
    /// What writing this tree into the folder `out` would change.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn changes(&self, out: &Path) -> Result<Changes, TreeError> {
        let made = written_before(out)?;
        let mut changes = BTreeMap::new();
        for (path, content) in self.files() {
            let change = match (content, read(&out.join(path))?) {
                (Content::Public(text), None) => Change::New { text: text.clone() },
                (Content::Secret(_), None) => Change::NewSecret,
                (Content::Secret(_), Some(_)) => continue,
                (Content::Public(text), Some(there)) if there == text.as_bytes() => continue,
                (Content::Public(text), Some(there)) => Change::Changed {
                    by_hand: made.get(path) != Some(&hash(&there)),
                    before: String::from_utf8_lossy(&there).into_owned(),
                    after: text.clone(),
                },
            };
            changes.insert(path.clone(), change);
        }
        for path in made.into_keys() {
            if self.files().all(|(other, _)| *other != path) && out.join(&path).exists() {
                changes.insert(path, Change::NoLongerPart);
            }
        }
        Ok(Changes(changes))
    }

    /// Makes the folder what this tree is: files one by one, each whole or not at all. Nothing is removed.
    ///
    /// # Errors
    /// A file that was changed by hand, unless `overwrite` allows it; then nothing was written. Or the operating system's word.
    pub fn update(&self, out: &Path, changes: &Changes, overwrite: bool) -> Result<(), TreeError> {
        let by_hand = changes.by_hand();
        if !by_hand.is_empty() && !overwrite {
            return Err(TreeError::ByHand(by_hand));
        }
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| TreeError::Write { path, source }
        };
        for folder in self.folders() {
            let path = out.join(folder);
            std::fs::create_dir_all(&path).map_err(wrong(&path))?;
        }
        for (path, content) in self.files().filter(|(path, _)| changes.0.contains_key(*path)) {
            let path = out.join(path);
            match content {
                Content::Public(text) => {
                    let folder = path.parent().unwrap_or(out);
                    std::fs::create_dir_all(folder).map_err(wrong(folder))?;
                    write_atomically(&path, text.as_bytes(), 0o644)?;
                }
                Content::Secret(text) => write_secret(&path, text.as_bytes())?,
            }
        }
        if out.is_dir() {
            write_atomically(&out.join(MADE), self.list().as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// The list of the files that anybody may read, with their hashes.
    pub fn list(&self) -> String {
        let mut lines: Vec<String> = self
            .files()
            .filter_map(|(path, content)| match content {
                Content::Public(text) => Some(format!("{}  {}\n", hash(text.as_bytes()), path.display())),
                Content::Secret(_) => None,
            })
            .collect();
        lines.sort_by(|a, b| a[64..].cmp(&b[64..]));
        lines.concat()
    }
}

impl Changes {
    /// Whether nothing would change. What stays where it is changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|change| *change == Change::NoLongerPart)
    }

    /// The files that a person changed and that would be overwritten.
    pub fn by_hand(&self) -> Vec<PathBuf> {
        let changed = |change: &Change| matches!(change, Change::Changed { by_hand: true, .. });
        self.0.iter().filter(|(_, change)| changed(change)).map(|(path, _)| path.clone()).collect()
    }

    /// One line for each file.
    pub fn summary(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (path, change)| {
            let word = match change {
                Change::New { .. } | Change::NewSecret => "new",
                Change::Changed { by_hand: false, .. } => "changed",
                Change::Changed { by_hand: true, .. } => "changed, over what was changed by hand",
                Change::NoLongerPart => "no longer part of it, left as it is",
            };
            let _ = writeln!(text, "{}: {word}", path.display());
            text
        })
    }

    /// Everything, as a unified difference. Secrets are only named.
    pub fn unified(&self) -> String {
        let mut text = String::new();
        for (path, change) in &self.0 {
            let path = path.display();
            let (before, after) = match change {
                Change::New { text } => ("", text.as_str()),
                Change::Changed { before, after, .. } => (before.as_str(), after.as_str()),
                Change::NewSecret => {
                    let _ = writeln!(text, "new secret: {path}");
                    continue;
                }
                Change::NoLongerPart => {
                    let _ = writeln!(text, "no longer part of it, left as it is: {path}");
                    continue;
                }
            };
            if matches!(change, Change::Changed { by_hand: true, .. }) {
                let _ = writeln!(text, "changed by hand since it was written: {path}");
            }
            let old = if matches!(change, Change::New { .. }) { "/dev/null".to_owned() } else { format!("a/{path}") };
            let difference = TextDiff::from_lines(before, after);
            let _ = write!(text, "{}", difference.unified_diff().header(&old, &format!("b/{path}")));
        }
        text
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TreeError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound) => Ok(None),
        Err(source) => Err(TreeError::Read { path: path.to_owned(), source }),
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What was written before, by path; nothing where nobody wrote it down.
fn written_before(out: &Path) -> Result<BTreeMap<PathBuf, String>, TreeError> {
    let text = read(&out.join(MADE))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = |line: &str| line.split_once("  ").map(|(hash, path)| (PathBuf::from(path), hash.to_owned()));
    // Only what lies below the folder is ever looked at.
    Ok(text.lines().filter_map(line).filter(|(path, _)| is_below(path)).collect())
}

fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn tree(port: u16) -> Tree {
        let mut tree = Tree::default();
        tree.file("coordinator/coordinator.toml", format!("a = 1\nport = {port}\n"));
        tree.file("README.txt", "read me\n");
        tree.secret("coordinator/api.token", Zeroizing::new(format!("token-{port}\n")));
        tree
    }

    fn made() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("net");
        tree(1).write(&out).unwrap();
        (dir, out)
    }

    #[test]
    fn the_same_again_changes_nothing_and_writes_the_same_bytes() {
        let (_dir, out) = made();
        let list = std::fs::read(out.join(MADE)).unwrap();
        let changes = tree(1).changes(&out).unwrap();
        assert!(changes.0.is_empty());
        tree(1).update(&out, &changes, false).unwrap();
        assert_eq!(std::fs::read(out.join(MADE)).unwrap(), list);
    }

    #[test]
    fn a_difference_shows_texts_line_by_line_and_names_secrets_only() {
        let (_dir, out) = made();
        std::fs::remove_file(out.join("coordinator/api.token")).unwrap();
        let text = tree(2).changes(&out).unwrap().unified();
        assert!(text.contains("--- a/coordinator/coordinator.toml\n+++ b/coordinator/coordinator.toml\n"), "{text}");
        assert!(text.contains("-port = 1\n+port = 2\n") && !text.contains("read me"), "{text}");
        assert!(text.contains("new secret: coordinator/api.token") && !text.contains("token-2"), "{text}");
    }

    #[test]
    fn a_secret_that_is_there_stays_and_what_was_not_touched_is_brought_up_to_date() {
        let (_dir, out) = made();
        let changes = tree(2).changes(&out).unwrap();
        tree(2).update(&out, &changes, false).unwrap();
        let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
        assert_eq!(read("coordinator/coordinator.toml"), "a = 1\nport = 2\n");
        assert_eq!(read("coordinator/api.token"), "token-1\n");
        assert!(tree(2).changes(&out).unwrap().0.is_empty());
    }

    #[test]
    fn what_a_person_changed_is_overwritten_only_on_their_word_and_what_is_no_longer_part_stays() {
        let (_dir, out) = made();
        std::fs::write(out.join("README.txt"), "mine\n").unwrap();
        let mut next = Tree::default();
        next.file("README.txt", "read me again\n");
        let changes = next.changes(&out).unwrap();
        let error = next.update(&out, &changes, false).unwrap_err().to_string();
        assert!(error.contains("README.txt"), "{error}");
        assert_eq!(std::fs::read_to_string(out.join("README.txt")).unwrap(), "mine\n");
        assert_eq!(changes.0[Path::new("coordinator/coordinator.toml")], Change::NoLongerPart);
        next.update(&out, &changes, true).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("README.txt")).unwrap(), "read me again\n");
        assert!(out.join("coordinator/coordinator.toml").exists());
    }

    #[test]
    fn a_list_that_points_out_of_the_folder_is_not_followed() {
        let (_dir, out) = made();
        std::fs::write(out.join(MADE), format!("{}  ../other\n{}  /etc/passwd\n", "0".repeat(64), "0".repeat(64)))
            .unwrap();
        assert!(tree(1).changes(&out).unwrap().0.is_empty());
    }
}
