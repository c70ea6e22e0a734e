//! Putting an opened backup where it belongs. Nothing is overwritten: what stands in the way is refused, or moved aside and named.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ELSEWHERE, Manifest, target};

/// Paths that an error names.
const NAMED: usize = 5;

/// Why nothing was put in its place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Something is there already.
    #[error("{} there already\n  hint: restore into an empty folder; or stop the daemon, and --replace moves what is there aside", named(.0))]
    Occupied(Vec<PathBuf>),
    /// Files of the backup belong outside of the folder.
    #[error("{} not below the folder that it is restored into\n  hint: `restore --check` lists all; where this backup is yours, --elsewhere puts them there", named(.0))]
    Elsewhere(Vec<PathBuf>),
    /// The manifest names a place that is none.
    #[error("the backup's manifest names a place that is none: {0}\n  hint: it was not made by `backup`")]
    NoPlace(String),
    /// The operating system refused.
    #[error("{}: {source}\n  hint: what was moved so far was moved back", .place.display())]
    Io {
        /// Where.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn named(paths: &[PathBuf]) -> String {
    let mut text: Vec<String> = paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    if paths.len() > NAMED {
        text.push(format!("and {} more", paths.len() - NAMED));
    }
    text.join(", ") + if paths.len() == 1 { " is" } else { " are" }
}

/// A backup that was opened and held to its manifest, in a folder of its own. Dropped, it is gone.
pub struct Staged {
    dir: TempDir,
    /// What is in it.
    pub manifest: Manifest,
    into: PathBuf,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed {
    /// What was put in its place.
    pub placed: Vec<PathBuf>,
    /// What stood there, and where it is now.
    pub aside: Vec<(PathBuf, PathBuf)>,
}

impl Staged {
    pub(super) fn new(dir: TempDir, manifest: Manifest, into: &Path) -> Self {
        Self { dir, manifest, into: into.to_owned() }
    }

    /// Where a member is now.
    pub fn path(&self, member: &str) -> PathBuf {
        self.dir.path().join(member)
    }

    /// Where the configuration will be.
    pub fn config(&self) -> Option<PathBuf> {
        target(&self.manifest.about.config, &self.into)
    }

    /// Where the state folder will be.
    pub fn state(&self) -> Option<PathBuf> {
        target(&self.manifest.about.state, &self.into)
    }

    /// What is moved as one, with its place: the state folder, then each other file, the configuration last, since without it nothing starts.
    fn units(&self) -> Result<Vec<(PathBuf, PathBuf)>, PlaceError> {
        let about = &self.manifest.about;
        let inside = format!("{}/", about.state);
        let files = self.manifest.files.iter().map(|file| file.path.as_str());
        let mut members: Vec<&str> = files.filter(|path| !path.starts_with(&inside) && *path != about.config).collect();
        members.insert(0, &about.state);
        members.push(&about.config);
        let place = |member: &str| {
            let target = target(member, &self.into).ok_or_else(|| PlaceError::NoPlace(member.to_owned()))?;
            Ok((self.path(member), target))
        };
        let units: Result<Vec<_>, PlaceError> = members.into_iter().map(place).collect();
        Ok(units?.into_iter().filter(|(from, _)| from.exists()).collect())
    }

    /// Puts everything in its place. `replace` is what is added to the name of what stands there; without it that is refused. `elsewhere` allows
    /// places outside of the folder.
    ///
    /// # Errors
    /// Something stands in the way, or cannot be moved: then all is as before.
    pub fn place(&self, replace: Option<&str>, elsewhere: bool) -> Result<Placed, PlaceError> {
        let units = self.units()?;
        let outside = self.manifest.files.iter().filter(|file| file.path.starts_with(&format!("{ELSEWHERE}/")));
        let outside: Vec<PathBuf> = outside.filter_map(|file| target(&file.path, &self.into)).collect();
        if !outside.is_empty() && !elsewhere {
            return Err(PlaceError::Elsewhere(outside));
        }
        let occupied: Vec<PathBuf> = units
            .iter()
            .map(|(_, to)| to)
            .filter(|to| to.symlink_metadata().is_ok() && !is_empty(to))
            .cloned()
            .collect();
        let Some(suffix) = replace.or(occupied.is_empty().then_some("")) else {
            return Err(PlaceError::Occupied(occupied));
        };
        let mut done = Placed::default();
        match self.put(&units, suffix, &mut done) {
            Ok(()) => Ok(done),
            Err(error) => {
                self.undo(&units, &done);
                Err(error)
            }
        }
    }

    fn put(&self, units: &[(PathBuf, PathBuf)], suffix: &str, done: &mut Placed) -> Result<(), PlaceError> {
        // The old configuration goes first and the new one comes last: a half that is cut off starts nowhere.
        for (_, to) in units.iter().rev() {
            let failed = |source| PlaceError::Io { place: to.clone(), source };
            if is_empty(to) {
                fs::remove_dir(to).map_err(failed)?;
            } else if to.symlink_metadata().is_ok() {
                let aside = free_name(to, suffix);
                fs::rename(to, &aside).map_err(failed)?;
                done.aside.push((to.clone(), aside));
            }
        }
        for (from, to) in units {
            let failed = |source| PlaceError::Io { place: to.clone(), source };
            if let Some(folder) = to.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
            }
            move_to(from, to).map_err(failed)?;
            done.placed.push(to.clone());
        }
        // What is durable is what its folder says.
        for folder in units.iter().filter_map(|(_, to)| to.parent()) {
            let failed = |source| PlaceError::Io { place: folder.to_owned(), source };
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    fn undo(&self, units: &[(PathBuf, PathBuf)], done: &Placed) {
        for (from, to) in units.iter().filter(|(_, to)| done.placed.contains(to)) {
            let _ = move_to(to, from);
        }
        for (to, aside) in done.aside.iter().rev() {
            let _ = fs::rename(aside, to);
        }
    }
}

fn is_empty(path: &Path) -> bool {
    !path.is_symlink() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn free_name(of: &Path, suffix: &str) -> PathBuf {
    let name = |count: usize| {
        let mut name = of.as_os_str().to_owned();
        name.push(format!(".{suffix}"));
        if count > 0 {
            name.push(format!("-{count}"));
        }
        PathBuf::from(name)
    };
    (0..).map(name).find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| name(0))
}

/// A rename; onto another disk a copy, which gets its name when it is whole.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let beside = free_name(to, "restoring");
            let copied = copy(from, &beside).and_then(|()| fs::rename(&beside, to));
            if copied.is_err() {
                let _ = if beside.is_dir() { fs::remove_dir_all(&beside) } else { fs::remove_file(&beside) };
            }
            copied
        }
        other => other,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
        return fs::File::open(to)?.sync_all();
    }
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
