//! What a process of a node tries when it wants to get out.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use bocage_node::sandbox::Process;
use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior, test_kill_process};
use serde_json::{Value, json};

use super::raw;

/// What the acts are about.
pub(super) struct Target {
    /// The process beside.
    pub(super) sibling: u32,
    /// The site's folder.
    pub(super) site: PathBuf,
    /// A folder that is none of the node's.
    pub(super) outside: PathBuf,
    /// Somebody who listens, `127.0.0.1:PORT`.
    pub(super) listener: String,
}

impl Target {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "sibling": self.sibling, "site": self.site, "outside": self.outside, "listener": self.listener,
        })
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let path = |name: &str| value[name].as_str().map(PathBuf::from);
        Some(Self {
            sibling: value["sibling"].as_u64()?.try_into().ok()?,
            site: path("site")?,
            outside: path("outside")?,
            listener: value["listener"].as_str()?.to_owned(),
        })
    }

    /// An empty file that may be executed.
    pub(super) fn program(&self) -> PathBuf {
        self.outside.join("program")
    }
}

type Act<'a> = (&'static str, Box<dyn Fn() -> io::Result<()> + 'a>);

fn act<'a>(name: &'static str, does: impl Fn() -> io::Result<()> + 'a) -> Act<'a> {
    (name, Box::new(does))
}

fn change_mode(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

fn read(path: &Path) -> io::Result<()> {
    File::open(path).map(drop)
}

/// All acts of a process. `line` is a socket that was open before the sandbox.
pub(super) fn of<'a>(process: Process, target: &'a Target, line: &'a UnixStream) -> Vec<Act<'a>> {
    let mut acts = of_all(target);
    match process {
        Process::Supervisor => {}
        Process::Agent => {
            acts.extend(of_children(target));
            acts.extend(of_agent(target));
        }
        Process::Custodian => {
            acts.extend(of_children(target));
            acts.extend(of_readers(target, line));
            acts.extend(of_custodian(target));
        }
        Process::Herald => {
            acts.extend(of_children(target));
            acts.extend(of_herald(target));
        }
        // What the site's own command may do is the site's own affair, but for what is kept from it: `tests/desk`.
        Process::CommandHerald => {}
        Process::Ingest | Process::RemoteIngest => {
            acts.extend(of_children(target));
            acts.extend(of_readers(target, line));
            acts.extend(of_ingest(target));
        }
    }
    acts
}

fn of_all(target: &Target) -> Vec<Act<'_>> {
    vec![
        act("write a file outside the state folder", || File::create(target.outside.join("written")).map(drop)),
        act("set an io_uring up", raw::io_uring),
        act("make a namespace by clone", raw::namespace),
        act("type into a terminal", raw::type_into_terminal),
        act("make a file that lies nowhere", raw::memory_file),
        act("turn at the clock", raw::adjust_clock),
        act("watch all files of a mount", raw::watch_files),
        act("change what a mount allows", raw::change_mount),
    ]
}

fn of_children(target: &Target) -> Vec<Act<'_>> {
    let sibling = target.sibling;
    vec![
        act("read /etc/passwd", || read(Path::new("/etc/passwd"))),
        act("list the root folder", || std::fs::read_dir("/").map(drop)),
        act("read the configuration", || read(&target.site.join("node.toml"))),
        act("run a program", || Command::new("/bin/true").status().map(drop)),
        act("become another program", || raw::become_program(&target.program())),
        // On a thread of its own, with whose end the tracing ends too: a signal would stop the sibling.
        act("trace its sibling", move || {
            let traced = std::thread::spawn(move || raw::trace(sibling)).join();
            traced.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        }),
        act("open its sibling's memory in /proc", move || read(Path::new(&format!("/proc/{sibling}/mem")))),
        act("read its sibling's environment in /proc", move || read(Path::new(&format!("/proc/{sibling}/environ")))),
        act("copy from its sibling's memory", move || raw::copy_from(sibling)),
        act("take an open file of its sibling", move || raw::take_file_of(sibling)),
        act("signal its sibling", move || {
            let pid = i32::try_from(sibling).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
            Ok(test_kill_process(pid)?)
        }),
        act("have a file signal its sibling", move || raw::own_file(sibling)),
        act("let itself be traced again", || Ok(set_dumpable_behavior(DumpableBehavior::Dumpable)?)),
        act("make a netlink socket", || raw::socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    ]
}

fn of_agent(target: &Target) -> Vec<Act<'_>> {
    let at = |name: &str| target.site.join(name);
    vec![
        act("read the ledger", move || read(&at("state/ledger.sqlite"))),
        act("list the snapshots", move || std::fs::read_dir(at("state/snapshots")).map(drop)),
        act("read the release key", move || read(&at("release.key"))),
        act("read the data", move || read(&at("data/heart.csv"))),
        act("write to the ledger", move || OpenOptions::new().append(true).open(at("state/ledger.sqlite")).map(drop)),
        act("remove a file of the state folder", move || std::fs::remove_file(at("state/snapshots/stray"))),
        act("change the node's configuration", move || OpenOptions::new().append(true).open(at("node.toml")).map(drop)),
        act("write beside the folder of its key", move || std::fs::write(at("stray"), "")),
        act("listen on a port", || TcpListener::bind("127.0.0.1:0").map(drop)),
        act("dial over TCP", || TcpStream::connect(&target.listener).map(drop)),
        act("dial over multipath TCP", || raw::multipath(&target.listener)),
        act("dial over TCP with its first data", || raw::fast_open(&target.listener)),
        act("make a datagram socket of its own kind", || UnixDatagram::unbound().map(drop)),
    ]
}

fn of_herald(target: &Target) -> Vec<Act<'_>> {
    let at = |name: &str| target.site.join(name);
    vec![
        act("list the snapshots", move || std::fs::read_dir(at("state/snapshots")).map(drop)),
        act("write beside the snapshots", move || File::create(at("state/snapshots/written")).map(drop)),
        act("read the release key", move || read(&at("release.key"))),
        act("read the agent's key", move || read(&at("tls/key.pem"))),
        act("read the data", move || read(&at("data/heart.csv"))),
        act("change the node's configuration", move || OpenOptions::new().append(true).open(at("node.toml")).map(drop)),
        act("listen on a port", || TcpListener::bind("127.0.0.1:0").map(drop)),
        act("dial over TCP", || TcpStream::connect(&target.listener).map(drop)),
        act("dial over multipath TCP", || raw::multipath(&target.listener)),
        act("dial over TCP with its first data", || raw::fast_open(&target.listener)),
    ]
}

/// Of those who see patients' rows.
fn of_readers<'a>(target: &'a Target, line: &'a UnixStream) -> Vec<Act<'a>> {
    let at = |name: &str| target.site.join(name);
    vec![
        act("read the agent's key", move || read(&at("tls/key.pem"))),
        act("read the agent's certificate", move || read(&at("tls/cert.pem"))),
        act("change the mode of a file outside", move || change_mode(&target.program())),
        act("change the mode of the data", move || change_mode(&at("data/heart.csv"))),
        act("change the owner of the data", move || {
            let own = std::fs::metadata(at("data/heart.csv"))?;
            chown(at("data/heart.csv"), Some(own.uid()), Some(own.gid()))
        }),
        act("make a file of its own a set-user-id one", move || {
            let own = at("state/snapshots/heart/program");
            let made = File::create(&own)?.set_permissions(Permissions::from_mode(0o4755));
            std::fs::remove_file(own).and(made)
        }),
        act("change the data", move || OpenOptions::new().append(true).open(at("data/heart.csv")).map(drop)),
        act("replace the release key", move || OpenOptions::new().append(true).open(at("release.key")).map(drop)),
        act("dial over TCP", || TcpStream::connect(&target.listener).map(drop)),
        act("make a UDP socket", || UdpSocket::bind("127.0.0.1:0").map(drop)),
        act("listen on a port", || TcpListener::bind("127.0.0.1:0").map(drop)),
        act("dial a Unix socket", move || UnixStream::connect(at("state/run/custodian.sock")).map(drop)),
        act("listen on another Unix socket", move || {
            UnixListener::bind(at("state/run/other.sock"))?;
            std::fs::remove_file(at("state/run/other.sock"))
        }),
        act("make a pair of sockets", || UnixStream::pair().map(drop)),
        act("receive an open file", || raw::receive_message(line)),
        act("make memory that can be written and run", raw::executable_memory),
    ]
}

fn of_custodian(target: &Target) -> Vec<Act<'_>> {
    let at = |name: &str| target.site.join(name);
    vec![
        act("read the data", move || read(&at("data/heart.csv"))),
        act("list the folder of the data", move || std::fs::read_dir(at("data")).map(drop)),
        act("change the mode of the release key that it has open", move || {
            File::open(at("release.key"))?.set_permissions(Permissions::from_mode(0o600))
        }),
        act("change the times of the release key", move || {
            File::open(at("release.key"))?.set_modified(std::time::UNIX_EPOCH)
        }),
    ]
}

fn of_ingest(target: &Target) -> Vec<Act<'_>> {
    let at = |name: &str| target.site.join(name);
    vec![
        act("read the ledger", move || read(&at("state/ledger.sqlite"))),
        act("write to the ledger", move || OpenOptions::new().append(true).open(at("state/ledger.sqlite")).map(drop)),
        act("read the release key", move || read(&at("release.key"))),
        act("read the key of tokens", move || read(&at("state/ids.key"))),
        act("list the snapshots of all datasets", move || std::fs::read_dir(at("state/snapshots")).map(drop)),
        act("write beside its own snapshots", move || File::create(at("state/snapshots/written")).map(drop)),
        act("change the mode of the data that it has open", move || {
            File::open(at("data/heart.csv"))?.set_permissions(Permissions::from_mode(0o600))
        }),
        act("change the times of the data", move || {
            File::open(at("data/heart.csv"))?.set_modified(std::time::UNIX_EPOCH)
        }),
        act("make a stream socket", || raw::socket(libc::AF_INET, libc::SOCK_STREAM)),
        act("make a datagram socket of its own kind", || UnixDatagram::unbound().map(drop)),
    ]
}
