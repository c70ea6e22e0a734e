//! Which files each process may open. What it read before its sandbox it need not open again.

use std::path::{Path, PathBuf};

use super::Process;
use crate::config::{Config, Dataset};
use crate::custodian::others::looked_into;
use crate::custodian::source::Remote;

/// Name resolution: what the C library reads for it. Nothing here is secret.
const RESOLVER: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// The authorities that this machine trusts, wherever its distribution keeps them.
const AUTHORITIES: &[&str] =
    &["/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/share/pki"];

/// The files of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Files, and folders with all below, to be read. None: everything may be read.
    pub read: Option<Vec<PathBuf>>,
    /// Files, and folders with all below, to be read, written, made and removed.
    pub write: Vec<PathBuf>,
    /// Files, and folders with all below, of which it may do anything: run them, too.
    pub free: Vec<PathBuf>,
    /// Whether it may ask name servers over TCP, as long answers need.
    pub name_servers: bool,
    /// Ports that it may dial over TCP. None: all, and it may listen.
    pub ports: Option<Vec<u16>>,
}

impl Reach {
    /// The files of a process of this node, and of the dataset that it reads, where it is an ingest.
    pub fn of(process: Process, config: &Config, dataset: Option<&Dataset>) -> Self {
        match process {
            // Its children inherit this, and they need data and keys between them: only what may be changed can be narrowed, and to which ports of databases
            // an ingest may dial, and the agent to a coordinator or proxy.
            Process::Supervisor => Self {
                read: None,
                write: [PathBuf::from("/dev/null")].into_iter().chain(written(config)).chain(renewed(config)).collect(),
                free: Vec::new(),
                name_servers: true,
                ports: Some(
                    config
                        .datasets
                        .values()
                        .filter_map(|dataset| Some(dataset.spec.source.remote()?.port))
                        .chain(config.coordinator.tcp_port())
                        .collect(),
                ),
            },
            Process::Agent => {
                let tls = [&config.tls.ca_file, &config.tls.cert_file, &config.tls.key_file];
                let custodians = secrets_of_the_custodian(config);
                let tls = tls.into_iter().map(|file| around(file, &custodians));
                let proxy = config.coordinator.files().map(Path::to_owned);
                let read = tls.chain(proxy).chain(RESOLVER.iter().map(PathBuf::from)).collect();
                let ports = Some(config.coordinator.tcp_port().into_iter().collect());
                let write = renewed(config).into_iter().collect();
                Self { read: Some(read), write, free: Vec::new(), name_servers: true, ports }
            }
            Process::Custodian => {
                // No source: an ingest reads those. The list is replaced by a rename while the node runs; the salt of its ids is a secret like the
                // release key.
                let mut read: Vec<PathBuf> = list(config).into_iter().chain(salt(config)).collect();
                // The ledger's own randomness.
                read.extend([config.release_key_file.clone(), "/dev/urandom".into()]);
                let (write, ports) = (written(config).collect(), Some(Vec::new()));
                Self { read: Some(read), write, free: Vec::new(), name_servers: false, ports }
            }
            // What it reads of keys of tokens it has read.
            Process::Ingest | Process::RemoteIngest => {
                let kept = secrets_of_others(config);
                let sources = || dataset.iter().map(|dataset| &dataset.spec.source);
                // A folder is the source itself.
                let reach = |file: &Path| if file.is_dir() { file.to_owned() } else { around(file, &kept) };
                let files = sources().filter_map(|source| source.file()).map(reach);
                let remote: Vec<Remote<'_>> = sources().filter_map(|source| source.remote()).collect();
                let resolver = RESOLVER.iter().take(if remote.is_empty() { 0 } else { RESOLVER.len() });
                let of_server = remote.iter().flat_map(|remote| remote.files.iter().map(|file| (*file).to_owned()));
                let looked_into = dataset.iter().flat_map(|dataset| looked_into(&config.datasets, dataset));
                let others = looked_into.map(|other| config.state.snapshots().join(&other.name));
                let read = files.chain(of_server).chain(resolver.map(PathBuf::from)).chain(others).collect();
                let write = dataset.iter().map(|dataset| config.state.snapshots().join(&dataset.name)).collect();
                let ports = Some(remote.iter().map(|remote| remote.port).collect());
                Self { read: Some(read), write, free: Vec::new(), name_servers: !remote.is_empty(), ports }
            }
            Process::Herald => {
                let own = config.steward.notify_ca_file.iter().map(|file| around(file, &secrets(config)));
                let public = AUTHORITIES.iter().chain(RESOLVER).map(PathBuf::from);
                let port = config.steward.url().map(|url| url.port());
                Self {
                    read: Some(own.chain(public).collect()),
                    write: Vec::new(),
                    free: Vec::new(),
                    name_servers: true,
                    ports: Some(port.into_iter().collect()),
                }
            }
            // What the site's own command needs nobody knows but the site.
            Process::CommandHerald => Self {
                read: Some(Vec::new()),
                write: Vec::new(),
                free: all_but(&secrets(config)),
                name_servers: true,
                ports: None,
            },
        }
    }
}

/// The folders of the node's state.
fn written(config: &Config) -> impl Iterator<Item = PathBuf> {
    [Some(config.state.0.clone()), config.state.1.clone()].into_iter().flatten()
}

/// Whether the list of opt-outs lies in one folder with the agent's key: a new list is then read after a restart only.
pub fn guarded_list(config: &Config) -> bool {
    list(config).is_some_and(|reach| !reach.is_dir())
}

/// The folder of the agent's key, in which it puts a renewed one in its place. None where anything lies there but its own files: with the right to write
/// there it could put another in that one's place, `node.toml` and what this names among them.
pub fn renewed(config: &Config) -> Option<PathBuf> {
    let tls = [&config.tls.ca_file, &config.tls.cert_file, &config.tls.key_file];
    let own: Vec<PathBuf> = tls.into_iter().filter_map(|file| file.canonicalize().ok()).collect();
    let folder = around(&config.tls.key_file, &secrets_of_the_custodian(config));
    let is_own = |path: PathBuf| {
        let half_written = path.extension().is_some_and(|end| end == "tmp");
        // What a restored file took the place of was the agent's as well.
        let of = |name: &str| name.split_once(".before-restore-").map(|(of, _)| folder.join(of));
        let before = path.file_name().and_then(|name| of(name.to_str()?));
        let replaced = before.and_then(|of| of.canonicalize().ok()).is_some_and(|of| own.contains(&of));
        half_written || replaced || path.canonicalize().is_ok_and(|path| own.contains(&path))
    };
    let mut entries = std::fs::read_dir(&folder).ok()?;
    entries.all(|entry| entry.is_ok_and(|entry| is_own(entry.path()))).then_some(folder)
}

fn list(config: &Config) -> Option<PathBuf> {
    let agents: Vec<PathBuf> = [&config.tls.key_file]
        .into_iter()
        .cloned()
        .chain(config.coordinator.password_file().map(Path::to_owned))
        .collect();
    config.optouts.as_ref().map(|optouts| around(&optouts.path, &agents))
}

fn salt(config: &Config) -> Option<PathBuf> {
    config.optouts.as_ref().and_then(|optouts| optouts.salt_file.clone())
}

/// What an ingest must not open with a source's folder.
fn secrets_of_others(config: &Config) -> Vec<PathBuf> {
    let optouts = config.optouts.iter().map(|optouts| optouts.path.clone()).chain(salt(config));
    let keys = [config.tls.key_file.clone(), config.release_key_file.clone(), config.state.0.clone()];
    let proxy = config.coordinator.password_file().map(Path::to_owned);
    optouts.chain(keys).chain(proxy).chain(credentials(config)).collect()
}

fn secrets_of_the_custodian(config: &Config) -> Vec<PathBuf> {
    let data = config.datasets.values().filter_map(|dataset| dataset.spec.source.file().map(Path::to_owned));
    let optouts = config.optouts.iter().map(|optouts| optouts.path.clone()).chain(salt(config));
    let own = [config.release_key_file.clone(), config.state.0.clone()];
    data.chain(optouts).chain(own).chain(credentials(config)).collect()
}

/// What of a node no program of somebody else may see: data, state, sockets and keys.
fn secrets(config: &Config) -> Vec<PathBuf> {
    let agents = [Some(config.tls.key_file.as_path()), config.coordinator.password_file()];
    let agents = agents.into_iter().flatten().map(Path::to_owned);
    let others = secrets_of_the_custodian(config).into_iter().chain(written(config)).chain(agents);
    others.chain(config.datasets.values().filter_map(|dataset| data(config, dataset.spec.source.file()?))).collect()
}

/// The folder of a source, with what else is exported there; none where the configuration lies in it, or the site's own command.
fn data(config: &Config, file: &Path) -> Option<PathBuf> {
    let folder = if file.is_dir() { file } else { file.parent()? };
    let folder = place(folder)?;
    let others = [Some(config.file.as_str()), config.steward.notify_command.first().map(String::as_str)];
    let mut others = others.into_iter().flatten().filter_map(|path| place(Path::new(path)));
    (!others.any(|path| path.starts_with(&folder))).then_some(folder)
}

/// What there is now beside what is `kept`, in as few folders as can be: landlock allows and never takes away. What is made later in a folder above
/// something that is kept is none of it.
fn all_but(kept: &[PathBuf]) -> Vec<PathBuf> {
    let kept: Vec<PathBuf> = kept.iter().filter_map(|path| place(path)).collect();
    let (mut free, mut above) = (Vec::new(), vec![PathBuf::from("/")]);
    while let Some(folder) = above.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        // A link's target is reached by its own name, or is kept.
        let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
        for path in real.map(|entry| entry.path()) {
            if kept.iter().any(|kept| path.starts_with(kept)) {
                continue;
            }
            let is_above = kept.iter().any(|kept| kept.starts_with(&path));
            if is_above { above.push(path) } else { free.push(path) }
        }
    }
    free
}

/// What opens the servers that sources come from.
fn credentials(config: &Config) -> impl Iterator<Item = PathBuf> {
    let databases = config.datasets.values().filter_map(|dataset| dataset.spec.source.remote());
    let exports = config.fhir_servers.values().filter_map(|server| server.client.as_ref());
    let files = databases.flat_map(|remote| remote.files).map(Path::to_owned);
    files.chain(exports.map(|client| client.key_file.clone()))
}

/// The folder of `file`, so that a new file which is renamed into its place can be opened; the file alone where that folder holds what is
/// `kept` from the process. Landlock knows no names: its rule for a file holds for what stands there now.
fn around(file: &Path, kept: &[PathBuf]) -> PathBuf {
    let real = |path: &Path| path.canonicalize().ok();
    // A link is followed: its target's folder counts. A file that is not there yet has its own folder.
    let folder = match real(file) {
        Some(target) => target.parent().map(Path::to_owned),
        None => file
            .parent()
            .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
            .and_then(real),
    };
    match folder {
        Some(folder) if !kept.iter().any(|kept| place(kept).is_some_and(|kept| kept.starts_with(&folder))) => folder,
        _ => file.to_owned(),
    }
}

/// Where a file is, or will be: one that is made later must not be open to who was confined before.
fn place(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|there| {
        let there_is = if there.as_os_str().is_empty() { Path::new(".") } else { there };
        Some(there_is.canonicalize().ok()?.join(path.strip_prefix(there).ok()?))
    })
}

#[cfg(test)]
mod tests;
