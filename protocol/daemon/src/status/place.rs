//! Where a status socket may be: on this machine.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Door;

/// A place that no other machine reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A port of a loopback address.
    Loopback(SocketAddr),
    /// A socket in the file system, which its mode guards.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            return if path.is_absolute() { Ok(Self::Unix(path.to_owned())) } else { Err("not an absolute path") };
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Loopback(address)),
            Ok(_) => Err("other machines could reach it: only loopback and Unix sockets are allowed"),
            Err(_) => Err("neither ADDRESS:PORT nor unix:PATH"),
        }
    }
}

impl Place {
    /// Leaves nothing there.
    pub fn close(&self) {
        if let Self::Unix(path) = self {
            unbind(path);
        }
    }

    /// Listens there.
    ///
    /// # Errors
    /// What the operating system said.
    pub async fn open(&self) -> io::Result<Door> {
        match self {
            Self::Loopback(address) => Ok(Door::Tcp(tokio::net::TcpListener::bind(address).await?)),
            Self::Unix(path) => {
                let listener = bind_private(path)?;
                Ok(Door::Unix(tokio::net::UnixListener::from_std(listener)?))
            }
        }
    }
}

/// Takes a socket away at which nobody listens any more, and nothing else. Where it cannot be, the next that is bound there takes its place.
pub fn unbind(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

/// Binds a socket of mode 0600, which does not block. One that an earlier process left is replaced, and nothing else ever is. A folder that is not there yet
/// is made for its owner alone.
///
/// # Errors
/// What the operating system said.
pub fn bind_private(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Bound under a name that nobody knows yet, so that there is no moment in which others may open it.
    let aside = path.with_extension(format!("{}", std::process::id()));
    let _ = fs::remove_file(&aside);
    let listener = UnixListener::bind(&aside)?;
    fs::set_permissions(&aside, Permissions::from_mode(0o600))?;
    fs::rename(&aside, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_other_machines_reach_is_none() {
        assert_eq!("127.0.0.1:9464".parse(), Ok(Place::Loopback("127.0.0.1:9464".parse().unwrap())));
        assert_eq!("[::1]:9464".parse(), Ok(Place::Loopback("[::1]:9464".parse().unwrap())));
        assert_eq!("unix:/run/bocage/status.sock".parse(), Ok(Place::Unix("/run/bocage/status.sock".into())));
        for open in ["0.0.0.0:9464", "[::]:9464", "10.0.0.7:9464", "unix:status.sock", "unix:", "localhost:9464", ""] {
            assert!(open.parse::<Place>().is_err(), "{open}");
        }
    }

    #[test]
    fn a_socket_is_its_owners_replaces_a_stale_one_and_never_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/agent-status.sock");
        drop(bind_private(&path).unwrap());
        let _again = bind_private(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let file = dir.path().join("node.toml");
        fs::write(&file, "site").unwrap();
        assert!(bind_private(&file).is_err());
        unbind(&file);
        assert_eq!(fs::read_to_string(&file).unwrap(), "site");
        unbind(&path);
        assert!(!path.exists());
    }
}
