//! Where files are on a machine that runs daemons as units or containers, and under which users: names that mean nothing to any file that they are
//! rendered into, by their type.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use bocage_protocol::settings::{Problem, Problems};
use serde::Deserialize;

/// The longest path: a socket's within it may have 108 bytes.
const PLACE_BYTES: usize = 80;
/// The longest name of a user.
const USER_BYTES: usize = 31;

/// An absolute path of plain characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

/// The name of a user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(String);

/// The paths of `[paths]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Where the programs are.
    pub programs: Place,
    /// Where a node's and the coordinator's configuration is.
    pub config: Place,
    /// Where a node keeps its state; the coordinator's is beside it.
    pub state: Place,
    /// Where a node's sockets are.
    pub run: Place,
}

/// The users of `[users]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// Has the data: custodian, ingest and herald.
    pub custodian: User,
    /// Has the network: the agent.
    pub agent: User,
    /// The coordinator.
    pub coordinator: User,
}

impl Place {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let parts = text.strip_prefix('/').filter(|_| text.len() <= PLACE_BYTES);
        match parts {
            Some(parts) if parts.split('/').all(plain) => Ok(Self(text.to_owned())),
            _ => Err("not an absolute path of letters, digits and ._-, of 80 bytes at most"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for User {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        if first && rest && text.len() <= USER_BYTES && text != "root" {
            Ok(Self(text.to_owned()))
        } else {
            Err("not a user's name: a lower-case letter, then letters, digits, _ and -, 31 at most, and not root")
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn place(text: &str) -> Place {
    Place(text.to_owned())
}

impl Default for Places {
    fn default() -> Self {
        Self {
            programs: place("/usr/bin"),
            config: place("/etc/bocage"),
            state: place("/var/lib/bocage"),
            run: place("/run/bocage"),
        }
    }
}

impl Default for Users {
    fn default() -> Self {
        let user = |name: &str| User(name.to_owned());
        Self { custodian: user("bocage"), agent: user("bocage-agent"), coordinator: user("bocage-coordinator") }
    }
}

impl Users {
    /// The group of the folder of sockets: custodian and agent.
    pub fn link(&self) -> String {
        format!("{}-link", self.agent)
    }
}

/// `[paths]` as it is spelt.
#[derive(Debug, Deserialize)]
pub(super) struct RawPlaces {
    programs: Option<String>,
    config: Option<String>,
    state: Option<String>,
    run: Option<String>,
}

/// `[users]` as it is spelt.
#[derive(Debug, Deserialize, Default)]
pub(super) struct RawUsers {
    custodian: Option<String>,
    agent: Option<String>,
    coordinator: Option<String>,
}

impl RawPlaces {
    pub(super) fn checked(self, file: &str, problems: &mut Problems) -> Option<Places> {
        let standard = Places::default();
        let programs = named(self.programs, standard.programs, file, "paths.programs", problems);
        let config = named(self.config, standard.config, file, "paths.config", problems);
        let state = named(self.state, standard.state, file, "paths.state", problems);
        let run = named(self.run, standard.run, file, "paths.run", problems);
        let places = Places { programs: programs?, config: config?, state: state?, run: run? };
        if !places.run.as_str().starts_with("/run/") || places.run.as_str()["/run/".len()..].contains('/') {
            let problem = Problem::new(file, "paths.run", "must be a folder directly below /run");
            problems.push(problem.hint("a service manager makes it at each start: run = \"/run/bocage\""));
        }
        Some(places)
    }
}

impl RawUsers {
    pub(super) fn checked(self, file: &str, problems: &mut Problems) -> Option<Users> {
        let standard = Users::default();
        let custodian = named(self.custodian, standard.custodian, file, "users.custodian", problems);
        let agent = named(self.agent, standard.agent, file, "users.agent", problems);
        let coordinator = named(self.coordinator, standard.coordinator, file, "users.coordinator", problems);
        let users = Users { custodian: custodian?, agent: agent?, coordinator: coordinator? };
        if users.agent == users.custodian {
            let problem = Problem::new(file, "users.agent", "must be another user than the custodian's");
            problems.push(problem.hint("the process that talks to the network must not be able to read a row"));
        }
        Some(users)
    }
}

fn named<T: FromStr<Err = &'static str>>(
    text: Option<String>,
    standard: T,
    file: &str,
    key: &str,
    problems: &mut Problems,
) -> Option<T> {
    let Some(text) = text else { return Some(standard) };
    text.parse().map_err(|message| problems.push(Problem::new(file, key, message))).ok()
}

/// `HOST:PORT`, by which others reach a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name, an address of four numbers, or one of IPv6 without brackets.
    pub name: String,
    /// The port, not 0.
    pub port: u16,
}

impl Host {
    /// Reads one; none where it is none.
    pub fn of(text: &str) -> Option<Self> {
        let (name, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let name = match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().ok()?.to_string(),
            None => name.to_owned(),
        };
        Self::is_name(&name).then_some(Self { name, port })
    }

    /// Whether it names a machine: by an address, or by labels of letters, digits and hyphens.
    pub fn is_name(name: &str) -> bool {
        let label = |label: &str| {
            let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-')
        };
        name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
    }

    /// Its address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }
}

/// A proxy between a node and the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: String,
    /// Its machine.
    pub host: Host,
}

impl Proxy {
    /// Reads one; none where it is none.
    pub fn of(url: &str) -> Option<Self> {
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
        Some(Self { url: url.to_owned(), host: Host::of(host)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_users_and_hosts_have_no_character_that_means_anything_elsewhere() {
        for good in ["/srv/bocage", "/opt/b-1.2/x_y"] {
            assert_eq!(good.parse::<Place>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "srv",
            "/srv/../etc",
            "/srv/a b",
            "/srv/a%i",
            "/srv/$HOME",
            "/srv//x",
            "/srv/x\n[Service]",
            "/srv/'x",
        ] {
            assert!(bad.parse::<Place>().is_err(), "{bad:?}");
        }
        for bad in ["", "root", "Bocage", "b c", "-b", "b;c", "b\"", "0b"] {
            assert!(bad.parse::<User>().is_err(), "{bad:?}");
        }
        for good in ["coordinator.example.org:4433", "127.0.0.1:1", "[2001:db8::1]:443", "localhost:443"] {
            assert!(Host::of(good).is_some(), "{good}");
        }
        for bad in [
            "example.org",
            "example.org:0",
            ":1",
            "a b:1",
            "a\";drop:1",
            "[::1:443",
            "a..b:1",
            "-a:1",
            "a{}:1",
            "::1:443x",
        ] {
            assert!(Host::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_is_a_machine_and_says_nobody_s_password() {
        assert!(Proxy::of("http://proxy.north.example:3128").is_some());
        for bad in
            ["proxy:3128", "http://proxy", "http://user:word@proxy:3128", "socks5://proxy:1080", "http://proxy:1/x"]
        {
            assert!(Proxy::of(bad).is_none(), "{bad}");
        }
    }
}
