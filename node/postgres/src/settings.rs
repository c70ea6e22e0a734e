//! What `node.toml` says about a PostgreSQL source: the section in, a checked form out. No file is read and nothing is connected here.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bocage_protocol::settings::{Problem, Problems, join, read};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod relation;

pub use relation::Relation;
pub(crate) use relation::quoted;

/// A table or query of a PostgreSQL server. What is serialised is what decides which rows come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostgresSource {
    /// A name, an address, or the folder of a Unix socket.
    pub host: String,
    /// 5432 by default.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// The file (mode 0600) of its password; none where the server knows the role otherwise.
    #[serde(skip)]
    pub password_file: Option<PathBuf>,
    /// How the server is known.
    #[serde(skip)]
    pub tls: Tls,
    /// What is read.
    pub relation: Relation,
    /// The column names, where others than the server's are wanted: one for each column, in order.
    pub columns: Option<Vec<String>>,
    /// Values that mean "missing" beside nulls; the caller's usual ones where the section names none.
    pub missing: Option<Vec<String>>,
    /// How long the server may work on one statement.
    #[serde(skip)]
    pub timeout_secs: u32,
    /// Whether a role that could write is accepted.
    #[serde(skip)]
    pub allow_writing_role: bool,
}

/// How the connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// The server's certificate is signed by an authority of this file, and names the host.
    VerifyFull {
        /// Certificates in PEM.
        ca_file: PathBuf,
    },
    /// Not at all: within this machine only.
    Off,
}

/// How long the server may work on one statement, where `node.toml` does not say it.
const TIMEOUT_SECS: u32 = 600;
/// A day: whatever takes longer than that hangs.
const TIMEOUT_SECS_MAX: u32 = 86_400;

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "kind")]
    _kind: String,
    host: String,
    port: Option<u16>,
    database: String,
    user: String,
    password_file: Option<PathBuf>,
    tls: Option<String>,
    ca_file: Option<PathBuf>,
    table: Option<String>,
    query: Option<String>,
    columns: Option<Vec<String>>,
    missing: Option<Vec<String>>,
    timeout_secs: Option<u32>,
    allow_writing_role: Option<bool>,
}

const KEYS: &[&str] = &[
    "kind",
    "host",
    "port",
    "database",
    "user",
    "password_file",
    "tls",
    "ca_file",
    "table",
    "query",
    "columns",
    "missing",
    "timeout_secs",
    "allow_writing_role",
];

impl PostgresSource {
    /// Reads the section at `key` of `file`. Relative paths are taken from `base`. All problems are added to `problems`; `None` where
    /// nothing more can be found.
    pub fn read(section: &Value, file: &str, key: &str, base: &Path, problems: &mut Problems) -> Option<Self> {
        let raw: Raw = read(section, file, key, KEYS, problems)?;
        let mut reader = Reader { file, key, base, problems };
        let tls = reader.tls(&raw);
        let relation = reader.relation(raw.table.as_deref(), raw.query.as_deref());
        let timeout_secs = raw.timeout_secs.unwrap_or(TIMEOUT_SECS);
        if !(1..=TIMEOUT_SECS_MAX).contains(&timeout_secs) {
            let message = format!("must be from 1 to {TIMEOUT_SECS_MAX}");
            reader.problem("timeout_secs", message, "how long the server may work on one statement; 600 is usual");
            return None;
        }
        if raw.port == Some(0) {
            reader.problem("port", "must not be 0", "PostgreSQL's is 5432");
            return None;
        }
        for (name, text) in [("host", &raw.host), ("database", &raw.database), ("user", &raw.user)] {
            if text.is_empty() || text.contains('\0') {
                reader.problem(name, "empty", "leave no name open");
                return None;
            }
        }
        Some(Self {
            host: raw.host,
            port: raw.port.unwrap_or(5432),
            database: raw.database,
            user: raw.user,
            password_file: raw.password_file.map(|file| base.join(file)),
            tls: tls?,
            relation: relation?,
            columns: raw.columns,
            missing: raw.missing,
            timeout_secs,
            allow_writing_role: raw.allow_writing_role.unwrap_or(false),
        })
    }

    /// The files that a connection reads: password and authorities.
    pub fn files(&self) -> Vec<&Path> {
        let authorities = match &self.tls {
            Tls::VerifyFull { ca_file } => Some(ca_file.as_path()),
            Tls::Off => None,
        };
        self.password_file.as_deref().into_iter().chain(authorities).collect()
    }

    /// The server and database, for messages.
    pub fn place(&self) -> String {
        format!("postgres {}:{}/{}", self.host, self.port, self.database)
    }

    /// What a person who runs this should know, each a sentence.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.tls == Tls::Off && !self.is_socket() {
            notices.push(format!(
                "{}: tls = \"off\": password and rows go unprotected over this machine's network",
                self.place()
            ));
        }
        if self.is_socket() && self.password_file.is_none() {
            notices.push(format!(
                "{}: without password_file the server lets in whoever runs as this user, and so the node's agent, which talks to the network: \
                 no kernel before landlock's version 9 keeps it from sockets of this machine",
                self.place()
            ));
        }
        if self.allow_writing_role {
            notices.push(format!(
                "{}: allow_writing_role = true: nothing but Bocage's own care keeps `{}` from changing the data",
                self.place(),
                self.user
            ));
        }
        notices
    }

    /// Whether the host is the folder of a Unix socket.
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

struct Reader<'a> {
    file: &'a str,
    key: &'a str,
    base: &'a Path,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        self.problems.push(Problem::new(self.file, join(self.key, key), message).hint(hint));
    }

    fn tls(&mut self, raw: &Raw) -> Option<Tls> {
        let socket = raw.host.starts_with('/');
        match (raw.tls.as_deref(), &raw.ca_file) {
            (Some("off"), None) if socket || is_loopback(&raw.host) => Some(Tls::Off),
            (Some("off"), None) => {
                let message = "without TLS anybody on the way reads the password and every row";
                self.problem("tls", message, "`off` is for a Unix socket and for this machine's own address only; name the authority: ca_file = \"…\"");
                None
            }
            (Some("off"), Some(_)) => {
                self.problem("ca_file", "it has no meaning where tls = \"off\"", "leave one of the two out");
                None
            }
            (None, None) if socket => Some(Tls::Off),
            (Some("verify-full") | None, _) if socket => {
                self.problem("tls", "PostgreSQL has no TLS on a Unix socket", "leave `tls` and `ca_file` out");
                None
            }
            (Some("verify-full") | None, Some(ca_file)) => Some(Tls::VerifyFull { ca_file: self.base.join(ca_file) }),
            (Some("verify-full") | None, None) => {
                let hint =
                    "the certificate (PEM) of the authority that signed the server's: ca_file = \"postgres-ca.pem\"";
                self.problem("ca_file", "missing: the server's certificate could not be checked", hint);
                None
            }
            (Some(_), _) => {
                self.problem("tls", "unknown", "tls = \"verify-full\" (which it is by itself) or tls = \"off\"");
                None
            }
        }
    }

    fn relation(&mut self, table: Option<&str>, query: Option<&str>) -> Option<Relation> {
        let found = match (table, query) {
            (Some(table), None) => Relation::table(table).map_err(|e| ("table", e)),
            (None, Some(query)) => Relation::query(query).map_err(|e| ("query", e)),
            (Some(_), Some(_)) => Err(("query", "`table` is there too")),
            (None, None) => Err(("table", "missing")),
        };
        found
            .map_err(|(key, message)| {
                self.problem(key, message, "what to read: table = \"cdm.person\", or query = \"select …\"");
            })
            .ok()
    }
}

/// Whether a name stands for this machine. Where it does, what it resolves to is looked at once more when it is dialled.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(changes: Value) -> Result<PostgresSource, String> {
        let mut section = json!({
            "kind": "postgres", "host": "db.example.org", "database": "omop", "user": "bocage",
            "password_file": "pg.password", "ca_file": "pg-ca.pem", "table": "cdm.person",
        });
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(section.as_object_mut().unwrap().remove(key)),
                value => section[key] = value.clone(),
            }
        }
        let mut problems = Problems::default();
        let source = PostgresSource::read(&section, "node.toml", "dataset.x.source", Path::new("/srv"), &mut problems);
        source.filter(|_| problems.is_empty()).ok_or_else(|| problems.to_string())
    }

    #[test]
    fn the_certificate_is_checked_by_default_and_paths_are_relative_to_the_file() {
        let source = parse(json!({})).unwrap();
        assert_eq!(source.tls, Tls::VerifyFull { ca_file: "/srv/pg-ca.pem".into() });
        assert_eq!((source.port, source.timeout_secs, source.allow_writing_role), (5432, 600, false));
        assert_eq!(source.password_file.as_deref(), Some(Path::new("/srv/pg.password")));
        assert_eq!(source.place(), "postgres db.example.org:5432/omop");
        assert!(source.notices().is_empty());
    }

    #[test]
    fn tls_can_be_left_out_within_the_machine_only() {
        let off = json!({"tls": "off", "ca_file": null});
        assert!(parse(off.clone()).unwrap_err().contains("source.tls: without TLS anybody on the way reads"));
        for host in ["localhost", "127.0.0.1", "127.8.9.1", "::1"] {
            let source = parse(json!({"tls": "off", "ca_file": null, "host": host})).unwrap();
            assert_eq!(source.tls, Tls::Off);
            assert!(source.notices()[0].contains("tls = \"off\""), "{:?}", source.notices());
        }
        let socket = parse(json!({"ca_file": null, "host": "/run/postgresql"})).unwrap();
        assert_eq!((&socket.tls, socket.port, socket.notices().len()), (&Tls::Off, 5432, 0));
        let open = parse(json!({"ca_file": null, "host": "/run/postgresql", "password_file": null})).unwrap();
        assert!(open.notices()[0].contains("without password_file"), "{:?}", open.notices());
        for host in ["10.0.0.1", "localhost.example.org", "0.0.0.0"] {
            assert!(parse(json!({"tls": "off", "ca_file": null, "host": host})).is_err(), "{host}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_a_hint() {
        let says = |changes: Value, wanted: &str| {
            let error = parse(changes).unwrap_err();
            assert!(error.contains(wanted) && error.contains("\n  hint: "), "{wanted} not in {error}");
        };
        says(json!({"ca_file": null}), "source.ca_file: missing");
        says(json!({"tls": "require"}), "source.tls: unknown");
        says(json!({"host": "/run/postgresql"}), "source.tls: PostgreSQL has no TLS on a Unix socket");
        says(json!({"table": null}), "source.table: missing");
        says(json!({"query": "select 1"}), "source.query: `table` is there too");
        says(json!({"timeout_secs": 0}), "source.timeout_secs: must be from 1 to");
        says(json!({"pasword_file": "x"}), "source.pasword_file: unknown key\n  hint: did you mean `password_file`?");
    }

    #[test]
    fn what_is_serialised_is_what_decides_which_rows_come() {
        let text = |changes| serde_json::to_string(&parse(changes).unwrap()).unwrap();
        let usual = text(json!({}));
        assert_eq!(usual, text(json!({"password_file": "other", "ca_file": "other", "timeout_secs": 5})));
        for changes in
            [json!({"table": "cdm.death"}), json!({"user": "x"}), json!({"database": "x"}), json!({"port": 1})]
        {
            assert_ne!(usual, text(changes));
        }
    }
}
