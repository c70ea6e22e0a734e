//! A folder that was made before, against what it would be made of now: what is new, what changes, and what a person has changed since.
//!
//! `made.sha256` beside the files says what was written, in the form of `sha256sum`: a file that is no longer so was changed by hand, and is kept. What it
//! would be is put beside it, as `FILE.new`; where a person has it overwritten all the same, what it was stays as `FILE.old` (`FILE.old.2`, … where that is taken). Who may read a file stays. A secret that is there is never
//! touched, and never shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bocage_net::secret::{write_atomically, write_secret};
use bocage_protocol::ids::SiteId;
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use super::tree::{Content, Tree, TreeError};

/// The list of what was written.
pub const MADE: &str = "made.sha256";
/// Behind the name of a file that a person changed: what it would be.
const PROPOSED: &str = ".new";
/// Behind the name of a file that a person changed and had overwritten: what it was.
const REPLACED: &str = ".old";

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
        by_hand: ByHand,
    },
    /// It was written once, nobody changed it, and it is part of nothing any more. It goes.
    Removed,
    /// The same of what is not ours to remove. It stays.
    NoLongerPart,
}

/// Whether a person changed a file since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// No: it is rewritten.
    No,
    /// Yes, and what it would be has changed too.
    AndAnew,
    /// Yes, and nothing else has changed: there is nothing to say.
    Alone,
}

/// What becomes of files that a person changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// They stay.
    Keep,
    /// They are overwritten.
    Overwrite,
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
                    by_hand: match made.get(path) {
                        // A link to a file elsewhere is a person's.
                        _ if out.join(path).is_symlink() => ByHand::AndAnew,
                        Some(written) if *written == hash(&there) => ByHand::No,
                        Some(written) if *written == hash(text.as_bytes()) => ByHand::Alone,
                        _ => ByHand::AndAnew,
                    },
                    before: String::from_utf8_lossy(&there).into_owned(),
                    after: text.clone(),
                },
            };
            changes.insert(path.clone(), change);
        }
        let changes = Changes(changes);
        let mut past = BTreeMap::new();
        for (path, written) in made {
            if self.files().any(|(other, _)| *other == path) || !self.is_of(&path) {
                continue;
            }
            let Some(there) = read(&out.join(&path))? else { continue };
            let proposal = proposed_for(&path);
            if proposal.as_ref().is_some_and(|of| changes.is_kept(of)) {
                continue;
            }
            let ours = (proposal.is_some() || self.takes_away()) && written == hash(&there);
            past.insert(path, if ours { Change::Removed } else { Change::NoLongerPart });
        }
        Ok(Changes(changes.0.into_iter().chain(past).collect()))
    }

    /// Makes the folder what this tree is: files one by one, each whole or not at all.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn update(&self, out: &Path, changes: &Changes, edited: Edited) -> Result<(), TreeError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| TreeError::Write { path, source }
        };
        for folder in self.folders() {
            let path = out.join(folder);
            std::fs::create_dir_all(&path).map_err(wrong(&path))?;
        }
        let mut list = written_before(out)?;
        for (path, content) in self.files() {
            let (place, change) = (out.join(path), changes.0.get(path));
            let folder = place.parent().unwrap_or(out);
            let text = match content {
                Content::Secret(text) => {
                    if change.is_some() {
                        write_secret(&place, text.as_bytes())?;
                    }
                    continue;
                }
                Content::Public(text) => text.as_bytes(),
            };
            list.insert(path.clone(), hash(text));
            // Who may read a file that is there stays as it is.
            let write = |place: &Path, text: &[u8]| write_atomically(place, text, mode(place).unwrap_or(0o644));
            match change {
                None => {}
                Some(Change::Changed { by_hand: ByHand::Alone, .. }) if edited == Edited::Keep => {}
                Some(Change::Changed { by_hand: ByHand::AndAnew, .. }) if edited == Edited::Keep => {
                    let proposal = beside(&place, PROPOSED);
                    let known = list.get(&beside(path, PROPOSED));
                    if read(&proposal)?.is_some_and(|there| Some(&hash(&there)) != known && there != text) {
                        put_aside(&proposal).map_err(wrong(&proposal))?;
                    }
                    write_atomically(&proposal, text, mode(&place).unwrap_or(0o644))?;
                    list.insert(beside(path, PROPOSED), hash(text));
                }
                Some(Change::Changed { by_hand: ByHand::Alone | ByHand::AndAnew, .. }) => {
                    // Under both names until the new text takes the first, so that there is a file at any moment.
                    put_aside(&place).map_err(wrong(&place))?;
                    write(&place, text)?;
                    // What was proposed has come to pass.
                    let (known, proposal) = (list.remove(&beside(path, PROPOSED)), beside(&place, PROPOSED));
                    if known.is_some() && read(&proposal)?.map(|there| hash(&there)) == known {
                        let _ = std::fs::remove_file(proposal);
                    }
                }
                Some(_) => {
                    std::fs::create_dir_all(folder).map_err(wrong(folder))?;
                    write(&place, text)?;
                }
            }
        }
        for (path, _) in changes.0.iter().filter(|(_, change)| **change == Change::Removed) {
            let place = out.join(path);
            std::fs::remove_file(&place).map_err(wrong(&place))?;
            // A folder that is empty now goes with its last file.
            place
                .ancestors()
                .skip(1)
                .take_while(|folder| *folder != out)
                .all(|folder| std::fs::remove_dir(folder).is_ok());
        }
        list.retain(|path, _| out.join(path).exists());
        write_atomically(&out.join(MADE), listed(&list).as_bytes(), 0o644)?;
        Ok(())
    }

    /// The list of the files that anybody may read, with their hashes.
    pub fn list(&self) -> String {
        let public = self.files().filter_map(|(path, content)| match content {
            Content::Public(text) => Some((path.clone(), hash(text.as_bytes()))),
            Content::Secret(_) => None,
        });
        listed(&public.collect())
    }
}

impl Changes {
    /// Whether nothing would be written. What stays as it is changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0
            .values()
            .all(|change| matches!(change, Change::NoLongerPart | Change::Changed { by_hand: ByHand::Alone, .. }))
    }

    /// Whether a file stays as a person changed it.
    fn is_kept(&self, path: &Path) -> bool {
        matches!(self.0.get(path), Some(Change::Changed { by_hand: ByHand::Alone | ByHand::AndAnew, .. }))
    }

    /// The files that a person changed and that would have changed.
    pub fn proposed(&self) -> impl Iterator<Item = &PathBuf> {
        let anew = |change: &Change| matches!(change, Change::Changed { by_hand: ByHand::AndAnew, .. });
        self.0.iter().filter(move |(_, change)| anew(change)).map(|(path, _)| path)
    }

    /// The files that are written.
    pub fn written(&self, edited: Edited) -> impl Iterator<Item = &PathBuf> {
        let written = move |change: &Change| match change {
            Change::New { .. } | Change::NewSecret | Change::Changed { by_hand: ByHand::No, .. } => true,
            Change::Changed { .. } => edited == Edited::Overwrite,
            Change::Removed | Change::NoLongerPart => false,
        };
        self.0.iter().filter(move |(_, change)| written(change)).map(|(path, _)| path)
    }

    /// Whether a site comes into the coordinator's roster.
    pub fn enters(&self, site: &SiteId) -> bool {
        let line = format!("id = \"{site}\"");
        let names = |text: &str| text.lines().any(|known| known == line);
        self.0.iter().any(|(path, change)| match change {
            Change::Changed { before, after, .. } => {
                path.ends_with("coordinator.toml") && !names(before) && names(after)
            }
            _ => false,
        })
    }

    /// One line for each file.
    pub fn summary(&self, edited: Edited) -> String {
        self.0.iter().fold(String::new(), |mut text, (path, change)| {
            let path = path.display();
            let _ = match change {
                Change::New { .. } | Change::NewSecret => writeln!(text, "{path}: new"),
                Change::Changed { by_hand: ByHand::No, .. } => writeln!(text, "{path}: changed"),
                Change::Changed { .. } if edited == Edited::Overwrite => {
                    writeln!(text, "{path}: overwritten; what a person had made of it is in {path}{REPLACED}, or the last of that name with a number")
                }
                Change::Changed { by_hand: ByHand::Alone, .. } => {
                    writeln!(text, "{path}: kept as it was changed by hand")
                }
                Change::Changed { by_hand: ByHand::AndAnew, .. } => {
                    writeln!(text, "{path}: kept as it was changed by hand; what it would be is in {path}{PROPOSED}")
                }
                Change::Removed => writeln!(text, "{path}: no longer part of it, removed"),
                Change::NoLongerPart => writeln!(text, "{path}: no longer part of it, left as it is"),
            };
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
                Change::Removed => {
                    let _ = writeln!(text, "no longer part of it, would be removed: {path}");
                    continue;
                }
                Change::NoLongerPart => {
                    let _ = writeln!(text, "no longer part of it, left as it is: {path}");
                    continue;
                }
            };
            let _ = match change {
                Change::Changed { by_hand: ByHand::Alone, .. } => {
                    writeln!(text, "changed by hand, and stays (--overwrite would do this): {path}")
                }
                Change::Changed { by_hand: ByHand::AndAnew, .. } => {
                    writeln!(text, "changed by hand, and stays; this would be in {path}{PROPOSED}: {path}")
                }
                _ => Ok(()),
            };
            let old = if matches!(change, Change::New { .. }) { "/dev/null".to_owned() } else { format!("a/{path}") };
            let difference = TextDiff::from_lines(before, after);
            let _ = write!(text, "{}", difference.unified_diff().header(&old, &format!("b/{path}")));
        }
        text
    }
}

/// The same name with an ending behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Gives a file the name `FILE.old` as well, or the next such name that nothing has: as it is, whatever it is.
fn put_aside(place: &Path) -> std::io::Result<()> {
    let names = (2..).map(|n| beside(place, &format!("{REPLACED}.{n}")));
    let free = |name: &PathBuf| name.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    match std::iter::once(beside(place, REPLACED)).chain(names).find(free) {
        Some(name) => std::fs::hard_link(place, name),
        None => Ok(()),
    }
}

/// Who may do what with a file that is there.
fn mode(place: &Path) -> Option<u32> {
    std::fs::metadata(place).ok().map(|found| found.permissions().mode() & 0o777)
}

/// The file that a proposal is for.
fn proposed_for(path: &Path) -> Option<PathBuf> {
    path.to_str()?.strip_suffix(PROPOSED).map(PathBuf::from)
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

/// A list as `sha256sum` writes it, in the order of the names.
fn listed(list: &BTreeMap<PathBuf, String>) -> String {
    list.iter().fold(String::new(), |mut text, (path, hash)| {
        let _ = writeln!(text, "{hash}  {}", path.display());
        text
    })
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
mod tests;
