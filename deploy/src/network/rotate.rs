//! `bocage network rotate`: a new intermediate each year, and a new root once in ten. Both need the root's key, which is offline; nothing is restarted.
//!
//! A rollover has two steps. The first makes the new root, which the old one certifies (the *cross certificate*), and an intermediate below it; the
//! coordinator tells its nodes of both roots, and what it certifies from then on leads to the new root, and through the cross certificate to the old. The
//! second, when every node has the new root and a certificate below it, drops the old.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bocage_coordinator::api::types::SiteInfo;
use bocage_coordinator::client::{Api, ClientError, Profile};
use bocage_coordinator::config::Config;
use bocage_net::certificates::Authority;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::identity::CertificateError;
use bocage_net::secret::{SecretError, read_secret_text, write_atomically};
use bocage_protocol::env::{Clock as _, Timestamp};
use bocage_protocol::limits::SECRET_FILE_BYTES;
use clap::{Args, Subcommand};

use crate::cli::{fail, print};

/// `bocage network rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a new intermediate with the root's key: once a year
    Intermediate(Folders),
    /// Make a root that succeeds the present one, and an intermediate below it
    Root {
        #[command(flatten)]
        folders: Folders,
        /// Drop the old root, when every site has the new one
        #[arg(long)]
        finish: bool,
        /// With --finish: drop it although sites have not got the new one. They must enrol anew
        #[arg(long, requires = "finish")]
        anyway: bool,
        /// With --finish: a profile, to ask the coordinator which sites have the new root
        #[arg(long, value_name = "FILE", requires = "finish")]
        profile: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Folders {
    /// The folder with root.pem and root.key
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The coordinator's configuration, to put what is new in its place there; without it, it is left in the folder of the CA to be copied
    #[arg(long, value_name = "FILE")]
    coordinator: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum RotateError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{}: {source}", .file.display())]
    Io { file: PathBuf, source: std::io::Error },
    #[error("{}: {source}", .file.display())]
    Certificate { file: PathBuf, source: CertificateError },
    #[error("{}: this is no network's root", .0.display())]
    NotARoot(PathBuf),
    #[error("a rollover is under way: {} is there", .0.display())]
    UnderWay(PathBuf),
    #[error("no rollover is under way: {} is not there", .0.display())]
    NoneUnderWay(PathBuf),
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Coordinator(String),
    #[error("not every site has the new root and a certificate below it:\n{0}")]
    Behind(String),
}

impl RotateError {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Secret(_) | Self::Config(_) | Self::Coordinator(_) | Self::Io { .. } => return None,
            Self::Certificate { .. } | Self::NotARoot(_) => {
                "name the folder `ca` that `bocage network init` made, with the root's key back from its safe"
            }
            Self::UnderWay(_) => "end it first: bocage network rotate root --finish",
            Self::NoneUnderWay(_) => "begin one: bocage network rotate root",
            Self::Behind(_) => {
                "a connected site has both within the hour; --anyway goes on without them, and they must enrol anew"
            }
        })
    }
}

/// What is trusted and who certifies, for the coordinator.
struct Fresh {
    roots: Option<String>,
    issuing: Authority,
}

impl RotateArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        let now = SystemClock.now();
        let done = match &self.what {
            What::Intermediate(folders) => intermediate(folders, now),
            What::Root { folders, finish: false, .. } => begin(folders, now),
            What::Root { folders, anyway, profile, .. } => {
                behind(*anyway, profile.as_deref()).and_then(|()| finish(folders))
            }
        };
        match done {
            Ok(text) => print(&text),
            Err(error) => fail(&error.to_string(), error.hint(), 1),
        }
    }
}

fn read(file: &Path) -> Result<String, RotateError> {
    fs::read_to_string(file).map_err(|source| RotateError::Io { file: file.to_owned(), source })
}

fn authority(certificate: &Path, key: &Path) -> Result<Authority, RotateError> {
    let key = read_secret_text(key, SECRET_FILE_BYTES)?;
    Authority::from_pem(&read(certificate)?, &key)
        .map_err(|source| RotateError::Certificate { file: certificate.to_owned(), source })
}

fn root(ca: &Path) -> Result<Authority, RotateError> {
    let file = ca.join("root.pem");
    let root = authority(&file, &ca.join("root.key"))?;
    if root.is_root() { Ok(root) } else { Err(RotateError::NotARoot(file)) }
}

fn below(root: &Authority, ca: &Path, now: Timestamp) -> Result<Authority, RotateError> {
    let file = ca.join("root.pem");
    let network = root.network().ok_or_else(|| RotateError::NotARoot(file.clone()))?;
    root.issue_intermediate(&network, now, &mut SystemEntropy)
        .map_err(|source| RotateError::Certificate { file, source })
}

fn intermediate(folders: &Folders, now: Timestamp) -> Result<String, RotateError> {
    let cross = folders.ca.join("cross.pem");
    let issuing = below(&root(&folders.ca)?, &folders.ca, now)?;
    // While a root is being replaced, those who know the old one alone follow this.
    let issuing = if cross.exists() { issuing.vouched_by(&read(&cross)?) } else { issuing };
    let until = issuing.valid_until();
    let placed = place(folders, &Fresh { roots: None, issuing })?;
    Ok(format!("a new intermediate, valid until {until}\n{placed}"))
}

fn begin(folders: &Folders, now: Timestamp) -> Result<String, RotateError> {
    let at = |name: &str| folders.ca.join(name);
    let old = root(&folders.ca)?;
    // Left by a run that was interrupted before it made the new root: it is the present one still.
    if at("root.old.pem").exists() && read(&at("root.old.pem"))? != read(&at("root.pem"))? {
        return Err(RotateError::UnderWay(at("root.old.pem")));
    }
    let bad = |source| RotateError::Certificate { file: at("root.pem"), source };
    let network = old.network().ok_or_else(|| RotateError::NotARoot(at("root.pem")))?;
    let (new, cross) = old.succeeding_root(&network, now, &mut SystemEntropy).map_err(bad)?;
    let issuing = new.issue_intermediate(&network, now, &mut SystemEntropy).map_err(bad)?.vouched_by(&cross);
    let bundle = format!("{}{}{cross}", old.certificate_pem(), new.certificate_pem());
    write_atomically(&at("root.old.key"), old.key_pem().as_bytes(), 0o600)?;
    write_atomically(&at("root.old.pem"), read(&at("root.pem"))?.as_bytes(), 0o644)?;
    write_atomically(&at("cross.pem"), cross.as_bytes(), 0o644)?;
    write_atomically(&at("root.key"), new.key_pem().as_bytes(), 0o600)?;
    write_atomically(&at("root.pem"), new.certificate_pem().as_bytes(), 0o644)?;
    let placed = place(folders, &Fresh { roots: Some(bundle), issuing })?;
    Ok(format!(
        "a new root, valid until {}; the old one is in {}\n{placed}\
         when `bocage sites --format json` says of every site's certificate that it is current and has the roots:\n\
         bocage network rotate root --finish --ca {}\n",
        new.valid_until(),
        at("root.old.pem").display(),
        folders.ca.display()
    ))
}

/// Refuses to finish while a site would be left behind.
fn behind(anyway: bool, profile: Option<&Path>) -> Result<(), RotateError> {
    if anyway {
        return Ok(());
    }
    let ask = || -> Result<Vec<SiteInfo>, ClientError> { Ok(Api::new(&Profile::find(profile)?)?.sites()?.sites) };
    let sites = ask().map_err(|error| RotateError::Coordinator(error.to_string()))?;
    let behind: Vec<String> = sites.iter().filter_map(left_behind).collect();
    if behind.is_empty() { Ok(()) } else { Err(RotateError::Behind(behind.join("\n"))) }
}

fn left_behind(site: &SiteInfo) -> Option<String> {
    let why = match &site.certificate {
        // It enrols with the new root, or not at all.
        None if site.revoked || !site.enrolled => return None,
        None => "not heard of since the coordinator started",
        Some(of) if !of.roots => "has not got the new root",
        Some(of) if of.current == Some(false) => "has a certificate of the old authority",
        Some(_) => return None,
    };
    Some(format!("  {}: {why}", site.id))
}

fn finish(folders: &Folders) -> Result<String, RotateError> {
    let at = |name: &str| folders.ca.join(name);
    if !at("cross.pem").exists() {
        return Err(RotateError::NoneUnderWay(at("cross.pem")));
    }
    let new = root(&folders.ca)?;
    let (certificate, key) = issuing_files(folders)?;
    let file = certificate.clone();
    let wrong = |source| RotateError::Certificate { file, source };
    let issuing = authority(&certificate, &key)?;
    let alone = Authority::from_pem(issuing.certificate_pem(), &issuing.key_pem()).map_err(wrong)?;
    let placed = place(folders, &Fresh { roots: Some(new.certificate_pem().to_owned()), issuing: alone })?;
    for (name, kept) in [("root.old.pem", "root.retired.pem"), ("root.old.key", "root.retired.key")] {
        fs::rename(at(name), at(kept)).map_err(|source| RotateError::Io { file: at(name), source })?;
    }
    fs::remove_file(at("cross.pem")).map_err(|source| RotateError::Io { file: at("cross.pem"), source })?;
    Ok(format!("the old root is dropped\n{placed}"))
}

fn issuing_files(folders: &Folders) -> Result<(PathBuf, PathBuf), RotateError> {
    Ok(match coordinator(folders)? {
        Some((_, certificate, key)) => (certificate, key),
        None => (folders.ca.join("intermediate.pem"), folders.ca.join("intermediate.key")),
    })
}

/// The coordinator's files: roots, and the intermediate's certificate and key.
fn coordinator(folders: &Folders) -> Result<Option<(PathBuf, PathBuf, PathBuf)>, RotateError> {
    let Some(file) = &folders.coordinator else { return Ok(None) };
    let config = Config::load(file, &[]).map_err(|problems| RotateError::Config(problems.to_string()))?;
    let issuing =
        config.issuing.ok_or_else(|| RotateError::Config(format!("{}: there is no [issuing]", file.display())))?;
    Ok(Some((config.ca_file, issuing.cert_file, issuing.key_file)))
}

/// Puts what is new in its place: the roots first, so that what is certified next is trusted.
fn place(folders: &Folders, fresh: &Fresh) -> Result<String, RotateError> {
    let kept = |name: &str| folders.ca.join(name);
    let (roots, certificate, key) = match coordinator(folders)? {
        Some(files) => files,
        None => (kept("ca.pem"), kept("intermediate.pem"), kept("intermediate.key")),
    };
    if let Some(text) = &fresh.roots {
        write_atomically(&roots, text.as_bytes(), 0o644)?;
    }
    write_atomically(&key, fresh.issuing.key_pem().as_bytes(), 0o600)?;
    write_atomically(&certificate, fresh.issuing.links_pem().as_bytes(), 0o644)?;
    // Where the folder of the CA has a copy, `network init` certifies new sites with it.
    if kept("intermediate.key").exists() {
        write_atomically(&kept("intermediate.key"), fresh.issuing.key_pem().as_bytes(), 0o600)?;
        write_atomically(&kept("intermediate.pem"), fresh.issuing.links_pem().as_bytes(), 0o644)?;
    }
    let roots = if fresh.roots.is_some() { format!("{}, ", roots.display()) } else { String::new() };
    let files = format!("{roots}{}, {}", certificate.display(), key.display());
    Ok(match folders.coordinator {
        Some(_) => {
            format!("written: {files}\nthe coordinator takes it over within a minute, or at once: kill -HUP PID\n")
        }
        None => format!(
            "written: {files}\nbring them to the coordinator, into the files of tls.ca_file and [issuing]; it takes them over within a minute\n"
        ),
    })
}

#[cfg(test)]
mod tests {
    use bocage_net::identity::Identity;

    use super::*;
    use crate::network::tests::made;

    fn folders(out: &Path) -> Folders {
        Folders { ca: out.join("ca"), coordinator: Some(out.join("coordinator/coordinator.toml")) }
    }

    /// A certificate that the coordinator's authority gives, as this root sees it.
    fn trusted(out: &Path, root: &str) -> bool {
        let at = |name: &str| out.join("coordinator/issuing").join(name);
        let issuing = authority(&at("intermediate.pem"), &at("intermediate.key")).unwrap();
        let site = "aa".parse().unwrap();
        let issued = issuing.issue_site(&site, SystemClock.now(), 30, &mut SystemEntropy).unwrap();
        let identity = Identity::from_pem(&issued.chain_pem, &issued.key_pem, root).unwrap();
        identity.proves(&site, SystemClock.now()).is_ok()
    }

    #[test]
    fn an_intermediate_is_exchanged_below_the_same_root() {
        let (_dir, out) = made();
        let before = read(&out.join("coordinator/issuing/intermediate.pem")).unwrap();
        intermediate(&folders(&out), SystemClock.now()).unwrap();
        assert_ne!(before, read(&out.join("coordinator/issuing/intermediate.pem")).unwrap());
        assert!(trusted(&out, &read(&out.join("ca/root.pem")).unwrap()));
    }

    #[test]
    fn a_rollover_is_trusted_by_old_and_new_until_it_is_finished() {
        let (_dir, out) = made();
        let (old, folders) = (read(&out.join("ca/root.pem")).unwrap(), folders(&out));
        assert!(matches!(finish(&folders), Err(RotateError::NoneUnderWay(_))));
        begin(&folders, SystemClock.now()).unwrap();
        let new = read(&out.join("ca/root.pem")).unwrap();
        assert_ne!(old, new);
        assert!(trusted(&out, &old) && trusted(&out, &new));
        assert!(matches!(begin(&folders, SystemClock.now()), Err(RotateError::UnderWay(_))));
        // A year's rotation in between keeps what vouches for the new root.
        intermediate(&folders, SystemClock.now()).unwrap();
        assert!(trusted(&out, &old) && trusted(&out, &new));
        assert_eq!(read(&out.join("coordinator/ca.pem")).unwrap().matches("BEGIN").count(), 3);
        finish(&folders).unwrap();
        assert!(!trusted(&out, &old) && trusted(&out, &new));
        assert_eq!(read(&out.join("coordinator/ca.pem")).unwrap(), new);
        begin(&folders, SystemClock.now()).unwrap();
    }

    #[test]
    fn who_would_be_left_behind_is_named() {
        let site = |certificate: serde_json::Value| -> SiteInfo {
            let text = serde_json::json!({ "id": "aa", "name": "A", "online": true, "last_seen": null, "skew_ms": null,
                "software": null, "datasets": [], "ledger_warning": null, "certificate": certificate });
            serde_json::from_value(text).unwrap()
        };
        let of = |current: Option<bool>, roots: bool| {
            site(serde_json::json!({ "serial": "0a", "until": 0, "current": current, "roots": roots }))
        };
        assert_eq!(left_behind(&of(Some(true), true)), None);
        assert!(left_behind(&of(Some(false), true)).unwrap().contains("old authority"));
        assert!(left_behind(&of(Some(true), false)).unwrap().contains("new root"));
        assert!(left_behind(&site(serde_json::Value::Null)).unwrap().contains("not heard of"));
    }
}
