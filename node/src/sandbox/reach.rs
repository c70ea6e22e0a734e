//! Which files each process may open. What it read before its sandbox it need not open again.

use std::path::{Path, PathBuf};

use super::Process;
use crate::config::{Config, Dataset};
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

/// The files of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Files, and folders with all below, to be read. None: everything may be read.
    pub read: Option<Vec<PathBuf>>,
    /// Files, and folders with all below, to be read, written, made and removed.
    pub write: Vec<PathBuf>,
    /// Whether it may ask name servers over TCP, as long answers need.
    pub name_servers: bool,
    /// Ports that it may dial over TCP.
    pub ports: Vec<u16>,
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
                name_servers: true,
                ports: config
                    .datasets
                    .values()
                    .filter_map(|dataset| Some(dataset.spec.source.remote()?.port))
                    .chain(config.coordinator.tcp_port())
                    .collect(),
            },
            Process::Agent => {
                let tls = [&config.tls.ca_file, &config.tls.cert_file, &config.tls.key_file];
                let custodians = secrets_of_the_custodian(config);
                let tls = tls.into_iter().map(|file| around(file, &custodians));
                let proxy = config.coordinator.files().map(Path::to_owned);
                let read = tls.chain(proxy).chain(RESOLVER.iter().map(PathBuf::from)).collect();
                let ports = config.coordinator.tcp_port().into_iter().collect();
                Self { read: Some(read), write: renewed(config).into_iter().collect(), name_servers: true, ports }
            }
            Process::Custodian => {
                // No source: an ingest reads those. The list is replaced by a rename while the node runs; the salt of its ids is a secret like the
                // release key.
                let mut read: Vec<PathBuf> = list(config).into_iter().chain(salt(config)).collect();
                // The ledger's own randomness.
                read.extend([config.release_key_file.clone(), "/dev/urandom".into()]);
                Self { read: Some(read), write: written(config).collect(), name_servers: false, ports: Vec::new() }
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
                let read = files.chain(of_server).chain(resolver.map(PathBuf::from)).collect();
                let write = dataset.iter().map(|dataset| config.state.snapshots().join(&dataset.name)).collect();
                let ports = remote.iter().map(|remote| remote.port).collect();
                Self { read: Some(read), write, name_servers: !remote.is_empty(), ports }
            }
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
    let is_own = |path: PathBuf| {
        let half_written = path.extension().is_some_and(|end| end == "tmp");
        half_written || path.canonicalize().is_ok_and(|path| own.contains(&path))
    };
    let folder = around(&config.tls.key_file, &secrets_of_the_custodian(config));
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
        Some(folder) if !kept.iter().any(|kept| real(kept).is_some_and(|kept| kept.starts_with(&folder))) => folder,
        _ => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fixture::Site;

    #[test]
    fn a_file_brings_its_folder_unless_another_process_keeps_a_secret_there_or_below() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("data/deep")).unwrap();
        for file in ["data/rows.csv", "data/deep/tls.key", "tls.key"] {
            fs::write(at(file), "").unwrap();
        }
        assert_eq!(around(&at("data/rows.csv"), &[at("tls.key")]), at("data"));
        assert_eq!(around(&at("data/rows.csv"), &[at("data/deep/tls.key")]), at("data/rows.csv"));
        assert_eq!(around(&at("data/absent.csv"), &[at("tls.key")]), at("data"));
        std::os::unix::fs::symlink(at("data/rows.csv"), at("link.csv")).unwrap();
        assert_eq!(around(&at("link.csv"), &[at("tls.key")]), at("data"), "the link's target counts");
        std::os::unix::fs::symlink(at("data/deep"), at("elsewhere")).unwrap();
        assert_eq!(around(&at("data/rows.csv"), &[at("elsewhere/tls.key")]), at("data/rows.csv"));
    }

    #[test]
    fn agent_custodian_and_ingest_share_no_folder_and_no_key() {
        let site = Site::new();
        let config = Config::load(&site.origin()).unwrap();
        let [agent, custodian] = [Process::Agent, Process::Custodian].map(|process| Reach::of(process, &config, None));
        let (agent_reads, custodian_reads) = (agent.read.unwrap(), custodian.read.unwrap());
        assert!(agent_reads.contains(&site.path("site.key")) && agent.write.is_empty() && renewed(&config).is_none());
        assert_eq!(custodian_reads, [site.path("release.key"), "/dev/urandom".into()]);
        assert_eq!(custodian.write, [site.path("state")]);
        assert!(!agent_reads.iter().any(|path| custodian_reads.contains(path) || site.path("state").starts_with(path)));
        // A source beside the keys: the file alone.
        let ingest = Reach::of(Process::Ingest, &config, config.datasets.get("heart"));
        assert_eq!(ingest.read, Some(vec![site.path("heart.csv")]));
        assert_eq!(ingest.write, [site.path("state/snapshots/heart")]);
        // A source in a folder of its own, which a new file can be renamed into.
        fs::create_dir(site.path("data")).unwrap();
        site.edit_config("path = \"heart.csv\"", "path = \"data/heart.csv\"");
        let config = Config::load(&site.origin()).unwrap();
        assert_eq!(
            Reach::of(Process::Ingest, &config, config.datasets.get("heart")).read,
            Some(vec![site.path("data")])
        );
    }

    #[test]
    fn the_custodian_reads_the_folder_of_the_opt_outs_and_the_salt_and_the_agent_neither() {
        let site = Site::new();
        fs::create_dir(site.path("lists")).unwrap();
        for file in ["lists/optouts.csv", "salt"] {
            fs::write(site.path(file), "").unwrap();
        }
        let section = |path: &str| {
            format!(
                "optout = \"false\"\n[optouts]\nsource = {{ kind = \"csv\", path = \"{path}\" }}\nids = \"sha256\"\nsalt_file = \"salt\""
            )
        };
        site.write_config(&section("lists/optouts.csv"));
        let config = Config::load(&site.origin()).unwrap();
        let reads = |process| Reach::of(process, &config, None).read.unwrap();
        let (agent, custodian) = (reads(Process::Agent), reads(Process::Custodian));
        for secret in [site.path("lists"), site.path("salt")] {
            assert!(custodian.contains(&secret), "{}", secret.display());
            assert!(!agent.iter().any(|path| secret.starts_with(path)), "{}", secret.display());
        }
        assert!(!guarded_list(&config));
        // Beside the agent's key: the file alone.
        site.write_config(&section("optouts.csv"));
        fs::write(site.path("optouts.csv"), "").unwrap();
        let config = Config::load(&site.origin()).unwrap();
        assert!(guarded_list(&config));
        assert!(Reach::of(Process::Custodian, &config, None).read.unwrap().contains(&site.path("optouts.csv")));
    }

    #[test]
    fn what_opens_other_servers_is_kept_from_the_agent_and_from_other_datasets_ingests() {
        let site = Site::new();
        for (folder, key) in [("tls", "site.key"), ("data", "heart.csv")] {
            fs::create_dir(site.path(folder)).unwrap();
            fs::rename(site.path(key), site.path(&format!("{folder}/{key}"))).unwrap();
            site.edit_config(&format!("\"{key}\""), &format!("\"{folder}/{key}\""));
        }
        let source = fs::read_to_string(site.path("node.toml")).unwrap();
        let reads = |more: &str| {
            fs::write(site.path("node.toml"), format!("{source}\n{more}")).unwrap();
            let config = Config::load(&site.origin()).unwrap();
            let heart = config.datasets.get("heart");
            let [agent, ingest] = [(Process::Agent, None), (Process::Ingest, heart)]
                .map(|(process, dataset)| Reach::of(process, &config, dataset).read.unwrap());
            (agent, ingest)
        };
        let key = |folder: &str| {
            format!(
                "[fhir_server.ward]\nurl = \"https://fhir.example.org\"\nfolder = \"ward\"\nclient_id = \"c\"\nkey_file = \"{folder}/ward.pem\"\n"
            )
        };
        // What is renewed is put into the key's own folder, by nobody but the agent and below who starts it.
        let config = Config::load(&site.origin()).unwrap();
        assert_eq!(renewed(&config), Some(site.path("tls")));
        assert_eq!(Reach::of(Process::Agent, &config, None).write, [site.path("tls")]);
        assert!(!Reach::of(Process::Custodian, &config, None).write.contains(&site.path("tls")));
        // With anything else beside the key the agent could put something of its own in that one's place.
        fs::write(site.path("tls/.site.key.7-1.tmp"), "").unwrap();
        assert!(renewed(&config).is_some());
        fs::write(site.path("tls/node.toml"), "").unwrap();
        assert!(renewed(&config).is_none());
        for folder in ["tls", "data"] {
            fs::write(site.path(&format!("{folder}/ward.pem")), "").unwrap();
        }
        let (agent, ingest) = reads("");
        assert!(agent.contains(&site.path("tls")) && ingest == [site.path("data")]);
        let (agent, _) = reads(&key("tls"));
        assert!(agent.contains(&site.path("tls/site.key")) && !agent.contains(&site.path("tls")), "{agent:?}");
        assert_eq!(reads(&key("data")).1, [site.path("data/heart.csv")]);
        // A database's password beside the agent's key.
        let source = r#"source = { kind = "csv", path = "data/heart.csv" }"#;
        let database = r#"source = { kind = "postgres", host = "/run/postgresql", database = "d", user = "u", password_file = "tls/p", table = "t" }"#;
        fs::write(site.path("tls/p"), "").unwrap();
        reads("");
        site.edit_config(source, database);
        let config = Config::load(&site.origin()).unwrap();
        let agent = Reach::of(Process::Agent, &config, None);
        let reads = agent.read.unwrap();
        assert!(!reads.contains(&site.path("tls")), "{reads:?}");
        // What an ingest dials, its starter must not have given up; the agent does.
        let ports = |process, dataset| Reach::of(process, &config, dataset).ports;
        let ingest = ports(Process::RemoteIngest, config.datasets.get("heart"));
        assert_eq!((ports(Process::Supervisor, None), ingest, agent.ports), (vec![5432], vec![5432], vec![]));
        assert!(secrets_of_others(&config).contains(&site.path("tls/p")));
    }

    #[test]
    fn the_agent_dials_one_port_over_tcp_where_it_dials_that_at_all_and_alone_reads_the_proxys_password() {
        let site = Site::new();
        let address = "address = \"127.0.0.1:4433\"";
        let tcp = format!("{address}\ntcp = \"c.example.org:443\"");
        let ports = |config: &Config| [Process::Supervisor, Process::Agent].map(|of| Reach::of(of, config, None).ports);
        assert_eq!(ports(&Config::load(&site.origin()).unwrap()), [Vec::<u16>::new(), Vec::new()]);
        site.edit_config(address, &tcp);
        assert_eq!(ports(&Config::load(&site.origin()).unwrap()), [vec![443], vec![443]]);
        let proxy = format!("{tcp}\n[coordinator.proxy]\nurl = \"http://p:3128\"\nuser = \"u\"\npassword_file = \"p\"");
        site.edit_config(&tcp, &proxy);
        fs::write(site.path("p"), "").unwrap();
        let config = Config::load(&site.origin()).unwrap();
        assert_eq!(ports(&config), [vec![3128], vec![3128]]);
        let heart = config.datasets.get("heart");
        let reads = |process, dataset| Reach::of(process, &config, dataset).read.unwrap();
        assert!(reads(Process::Agent, None).contains(&site.path("p")));
        for others in [reads(Process::Custodian, None), reads(Process::Ingest, heart)] {
            assert!(!others.iter().any(|path| site.path("p").starts_with(path)), "{others:?}");
        }
        assert!(secrets_of_others(&config).contains(&site.path("p")));
    }
}
