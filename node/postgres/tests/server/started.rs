//! A PostgreSQL server of the tests' own: Debian's programs, a folder that goes away again, a free port and a Unix socket.
//!
//! The tests of other crates include this file, so it names nothing of this one.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};

/// A running server. It ends with its last owner.
pub struct Server {
    dir: tempfile::TempDir,
    bin: PathBuf,
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    user: Option<(u32, u32)>,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server that tests of one program share while one of them runs. `None`, said in words, where PostgreSQL is not installed.
    pub fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start(true)?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server of one's own, with TLS or without.
    pub fn start(tls: bool) -> Option<Self> {
        let Some(bin) = programs() else {
            eprintln!("skipped: PostgreSQL's server is not installed here (Debian: apt-get install postgresql)");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().is_root().then(unprivileged);
        own(dir.path(), user);
        let data = dir.path().join("data");
        let made = command(&bin.join("initdb"), user)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let rules = "local all postgres trust\nlocal all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n\
                     hostnossl all plain 127.0.0.1/32 scram-sha-256\n";
        write(&data.join("pg_hba.conf"), rules, user);
        certificates(dir.path(), &data, user);
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut child = command(&bin.join("postgres"), user)
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F", "-c", if tls { "ssl=on" } else { "ssl=off" }])
            .args(["-c", "logging_collector=off", "-c", "log_destination=stderr", "-c"])
            .arg(format!("unix_socket_directories={}", dir.path().display()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let ready = lines.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("ready to accept connections"))
        });
        assert!(ready, "the server did not start: {said:?}");
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { dir, bin, child, port, user })
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    /// The authority of its certificate, which names `localhost`.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Another authority.
    pub fn other_ca(&self) -> PathBuf {
        self.dir.path().join("other.pem")
    }

    /// Runs SQL as the superuser, and gives what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut child = command(&self.bin.join("psql"), self.user)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-p"])
            .arg(self.port.to_string())
            .arg("-h")
            .arg(self.socket())
            .env("PGOPTIONS", "-c client_min_messages=error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sql = sql.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(sql.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Makes a database of a test's own, and a role of the same name that may connect, with its password in a file that is returned.
    pub fn database(&self, name: &str) -> PathBuf {
        self.sql("postgres", &format!("create database {name}; create role {name} login password 'secret of {name}'"));
        self.password(name, &format!("secret of {name}"))
    }

    /// A file with a password.
    pub fn password(&self, name: &str, password: &str) -> PathBuf {
        let file = self.dir.path().join(format!("{name}.password"));
        fs::write(&file, format!("{password}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.child.wait();
    }
}

/// The folder with the server's programs.
fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().rev().find(|bin| ["initdb", "postgres", "psql"].iter().all(|name| bin.join(name).is_file()))
}

/// User and group of `postgres`, or of `nobody`: the server refuses to run as root.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map_while(|id| id.parse().ok());
        Some((ids.next()?, ids.next()?))
    };
    find("postgres").or_else(|| find("nobody")).unwrap_or((65_534, 65_534))
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C").env_remove("PGPASSWORD").env_remove("PGSERVICE");
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

fn own(path: &Path, user: Option<(u32, u32)>) {
    if let Some((user, group)) = user {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn write(path: &Path, text: &str, user: Option<(u32, u32)>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    own(path, user);
}

fn certificates(dir: &Path, data: &Path, user: Option<(u32, u32)>) {
    let authority = |file: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join(file), authority.pem()).unwrap();
        authority
    };
    authority("other.pem");
    let ca = authority("ca.pem");
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &ca).unwrap();
    write(&data.join("server.crt"), &certificate.pem(), user);
    write(&data.join("server.key"), &key.serialize_pem(), user);
}
