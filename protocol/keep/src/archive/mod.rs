//! A backup: a tar of files with a manifest behind them, sealed. `age -d -i IDENTITY FILE | tar x` opens one, too.
//!
//! ```text
//! here/node.toml             what lies below the configuration's folder, by its path from there
//! here/state/ledger.sqlite
//! elsewhere/etc/keys/…       what the configuration names by an absolute path outside of that folder
//! manifest.json              each member's size and SHA-256: an archive without it is none
//! ```
//! What lies within the state folder is put back as one; any other file by itself.

mod pack;
mod place;
mod unpack;

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use pack::{PackError, Packed, Packing};
pub use place::{PlaceError, Placed, Staged};
pub use unpack::{UnpackError, look, unpack};

/// The number of this form of an archive.
pub const FORMAT: u32 = 1;
/// The last member.
const MANIFEST: &str = "manifest.json";
/// The folder of the first kind of members.
const HERE: &str = "here";
/// The folder of the second.
const ELSEWHERE: &str = "elsewhere";
/// Files of one backup. A manifest of so many is some 40 MiB.
const FILES: usize = 200_000;
/// The largest manifest that is read.
const MANIFEST_BYTES: u64 = 64 << 20;

/// What is in a backup, and of whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Of what it is.
    pub about: About,
    /// The members, in their order.
    pub files: Vec<Member>,
}

/// Of what a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// `node` or `coordinator`.
    pub daemon: String,
    /// The network.
    pub network: String,
    /// The site; of a coordinator nothing.
    pub site: Option<String>,
    /// The version that made it.
    pub software: String,
    /// When, as people write it.
    pub made_at: String,
    /// The configuration's member.
    pub config: String,
    /// The state folder's member: everything below it is put back as one.
    pub state: String,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path in the archive.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Where a file stands in an archive: below `here` if it lies below `base`, else below `elsewhere`. None where that is no path of ours.
pub fn member(base: &Path, file: &Path) -> Option<String> {
    let base = std::path::absolute(base).ok()?;
    let file = tidy(&std::path::absolute(file).ok()?);
    let (folder, rest) = match file.strip_prefix(tidy(&base)) {
        Ok(rest) => (HERE, rest),
        Err(_) => (ELSEWHERE, file.strip_prefix("/").ok()?),
    };
    Some(format!("{folder}/{}", rest.to_str()?))
}

/// Where a member goes: below `into`, or to its absolute place.
fn target(member: &str, into: &Path) -> Option<PathBuf> {
    match member.split_once('/')? {
        (HERE, rest) => Some(into.join(safe(rest)?)),
        (ELSEWHERE, rest) => Some(Path::new("/").join(safe(rest)?)),
        _ => None,
    }
}

/// A path of plain names alone: nothing that leads up or out.
fn safe(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().next().is_some()).then_some(path)
}

/// The path without `.` and `..`, by its text.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidied.pop();
            }
            Component::CurDir => {}
            other => tidied.push(other),
        }
    }
    tidied
}

#[cfg(test)]
mod tests;
