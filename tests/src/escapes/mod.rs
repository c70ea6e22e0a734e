//! Escapes from the sandbox, tried inside the real processes of a node: with the sandbox, and without it.
//!
//! ```text
//! lab binary: Switches::sealed ──line──▶ "I am the custodian, pid 7"      test
//!                              ◀──────── sibling, folders, a listener
//!             every act        ────────▶ what came of each
//! ```

mod acts;
mod raw;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use bocage_node::sandbox::{OnSealed, Process};
use serde_json::{Value, json};

use crate::lab::{HOSPITALS, Lab};
use crate::process::PATIENCE;
use acts::Target;

/// The environment variable of the lab binary (not of the product) that names the socket.
pub const VARIABLE: &str = "BOCAGE_LAB_ESCAPES";
/// The environment variable of the lab binary with which its nodes have no sandbox, if their configuration requires none either.
pub const UNSANDBOXED: &str = "BOCAGE_LAB_UNSANDBOXED";

/// The environment variable of the lab binary with which its ingests try to make a socket while they read.
pub const DIALS: &str = "BOCAGE_LAB_DIALS";

/// Tries to make a socket, and says what came of it.
pub fn dial() {
    let made = UdpSocket::bind("127.0.0.1:0").map(drop);
    eprintln!("a socket: {:?}", made.map_err(|error| error.raw_os_error().unwrap_or_default()));
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel did it.
    Succeeded,
    /// The kernel refused it: EPERM or EACCES.
    Refused,
    /// It failed for another reason, which proves nothing.
    Failed(String),
}

impl Outcome {
    fn of(result: &io::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Succeeded,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Refused,
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Succeeded => "succeeded".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::Failed(why) => format!("failed: {why}"),
        }
    }

    fn from_text(text: &str) -> Self {
        match text {
            "succeeded" => Self::Succeeded,
            "refused" => Self::Refused,
            why => Self::Failed(why.to_owned()),
        }
    }
}

/// An act of a process, with the sandbox on and off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escape {
    /// Who tries what.
    pub name: String,
    /// With the sandbox.
    pub on: Outcome,
    /// Without.
    pub off: Outcome,
}

/// The processes' side: what each does when it is sealed, where the environment asks for it.
pub fn from_env() -> Option<OnSealed> {
    let line = UnixStream::connect(std::env::var_os(VARIABLE)?).ok()?;
    Some(std::sync::Arc::new(move |process| {
        // Where the test has gone nobody wants to know.
        let _ = try_all(process, &line);
    }))
}

fn try_all(process: Process, mut line: &UnixStream) -> io::Result<()> {
    raw::let_everybody_trace();
    writeln!(line, "{}", json!({ "process": process.name(), "pid": std::process::id() }))?;
    let order: Value = serde_json::from_str(&first_line(line)?)?;
    let target = Target::from_json(&order).ok_or(io::ErrorKind::InvalidData)?;
    let tried: Vec<(&str, String)> =
        acts::of(process, &target, line).iter().map(|(name, act)| (*name, Outcome::of(&act()).to_text())).collect();
    writeln!(line, "{}", json!(tried))
}

/// Byte by byte: what is behind the line is for an act.
fn first_line(mut line: &UnixStream) -> io::Result<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    loop {
        line.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return String::from_utf8(text).map_err(io::Error::other);
        }
        text.push(byte[0]);
    }
}

/// Every act of every process of a node, with and without its sandbox.
pub fn escapes(exe: &str) -> Vec<Escape> {
    let on = outcomes(exe, &[]);
    let off = [(UNSANDBOXED, "1"), ("BOCAGE_NODE__REQUIRE_SANDBOX", "false")];
    let mut off = outcomes(exe, &off.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let escape = |(name, on): (String, Outcome)| {
        let off = off.remove(&name).expect("the same acts");
        Escape { name, on, off }
    };
    on.into_iter().map(escape).collect()
}

/// The acts of all processes of one node, by name.
fn outcomes(exe: &str, env: &[(String, String)]) -> BTreeMap<String, Outcome> {
    let lab = Lab::new(exe);
    let site = HOSPITALS[0];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = |sibling| Target {
        sibling,
        site: lab.site(site),
        outside: lab.path("outside"),
        listener: listener.local_addr().expect("an address").to_string(),
    };
    lab.edit_node(site, "[policy]", "[steward]\nnotify_url = \"https://127.0.0.1:9/\"\n[policy]");
    prepare(&target(0));
    let socket = lab.path("escapes.sock");
    let lines = accept(&socket);
    let mut env = env.to_vec();
    env.push((VARIABLE.to_owned(), socket.display().to_string()));
    let _node = lab.node(site, &env);

    let mut outcomes = BTreeMap::new();
    // The herald is started first, and which of the two is ready first nobody knows.
    let (one, other) = (Prisoner::next(&lines), Prisoner::next(&lines));
    let (supervisor, herald) = if one.process == Process::Supervisor.name() { (one, other) } else { (other, one) };
    outcomes.extend(herald.try_all(&target(supervisor.pid)));
    outcomes.extend(supervisor.try_all(&target(0)));
    // Both stand still until both are there.
    let (one, other) = (Prisoner::next(&lines), Prisoner::next(&lines));
    outcomes.extend(one.try_all(&target(other.pid)));
    outcomes.extend(other.try_all(&target(one.pid)));
    // The custodian goes on, and an ingest begins.
    let custodian = if one.process == Process::Custodian.name() { one.pid } else { other.pid };
    outcomes.extend(Prisoner::next(&lines).try_all(&target(custodian)));
    outcomes
}

/// What the acts find.
fn prepare(target: &Target) {
    fs::create_dir_all(target.site.join("state/snapshots/heart")).expect("a folder");
    fs::write(target.site.join("state/snapshots/stray"), "").expect("a file");
    fs::create_dir(&target.outside).expect("a folder");
    fs::write(target.program(), "").expect("a program");
    fs::set_permissions(target.program(), fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn accept(socket: &Path) -> Receiver<UnixStream> {
    let listener = UnixListener::bind(socket).expect("a socket");
    let (sender, lines) = channel();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    lines
}

/// A process that is ready to try.
struct Prisoner {
    process: String,
    pid: u32,
    line: BufReader<UnixStream>,
}

impl Prisoner {
    fn next(lines: &Receiver<UnixStream>) -> Self {
        let line = lines.recv_timeout(PATIENCE).expect("a process of the node");
        line.set_read_timeout(Some(PATIENCE)).expect("a bound");
        let mut line = BufReader::new(line);
        let hello = received(&mut line);
        let pid = hello["pid"].as_u64().expect("a process id") as u32;
        Self { process: hello["process"].as_str().expect("a name").to_owned(), pid, line }
    }

    fn try_all(&self, target: &Target) -> BTreeMap<String, Outcome> {
        let mut stream = self.line.get_ref();
        write!(stream, "{}\n!", target.to_json()).expect("the order is sent");
        let tried = received(&mut BufReader::new(stream));
        let named = |act: &Value| {
            let (name, outcome) = (act[0].as_str().expect("a name"), act[1].as_str().expect("an outcome"));
            (format!("{}: {name}", self.process), Outcome::from_text(outcome))
        };
        tried.as_array().expect("acts").iter().map(named).collect()
    }
}

fn received(line: &mut impl io::BufRead) -> Value {
    let mut text = String::new();
    line.read_line(&mut text).expect("a line of the process");
    serde_json::from_str(&text).expect("JSON")
}
