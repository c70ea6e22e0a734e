//! What goes wrong, in words: the place, the SQLSTATE, and what to do. Never a value.

use std::io;
use std::path::PathBuf;

use bocage_net::secret::SecretError;
use rustls::CertificateError;
use tokio_postgres::Error as Driver;

/// Why rows of PostgreSQL could not be read. Where one comes, the run is over: nothing of it can be used.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The password's file.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// The authority's file.
    #[error("{}: {reason}\n  hint: ca_file holds the certificate (PEM) of the authority that signed the server's", .file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection: no server, another server, or one that does not let us in.
    #[error("{place}: {reason}\n  hint: {hint}")]
    Connection {
        /// The server and database.
        place: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The server says no to a statement.
    #[error("{place}: {of}: {reason} (SQLSTATE {state})\n  hint: {hint}")]
    Server {
        /// The server and database.
        place: String,
        /// The table or query.
        of: String,
        /// What the state means; what the server says where no row was looked at.
        reason: String,
        /// The SQLSTATE.
        state: String,
        /// What to do.
        hint: &'static str,
    },
    /// The role could change the data.
    #[error("{place}: the role `{role}` may write{}\n  hint: {hint}", what_it_may_write(.tables))]
    MayWrite {
        /// The server and database.
        place: String,
        /// The role.
        role: String,
        /// Tables that it may write among those that it reads; none for a superuser, who may write any.
        tables: Vec<String>,
        /// The SQL that ends that.
        hint: String,
    },
    /// The connection ended, or the server said nothing for too long.
    #[error(
        "{place}: {of}: {reason}, {rows} rows into it\n  hint: nothing of this run is kept; when the server is well again, take the snapshot again"
    )]
    Gone {
        /// The server and database.
        place: String,
        /// The table or query.
        of: String,
        /// How.
        reason: &'static str,
        /// How many rows had come.
        rows: u64,
    },
    /// One column cannot be read.
    #[error("{place}: {of}: column `{column}`{}: {reason}", in_row(.row))]
    Column {
        /// The server and database.
        place: String,
        /// The table or query.
        of: String,
        /// The column, as the server names it.
        column: String,
        /// The row, from 1 in the order they came.
        row: Option<u64>,
        /// What is wrong with it, and a hint.
        reason: &'static str,
    },
    /// Somebody stopped it.
    #[error("{place}: {of}: interrupted, {rows} rows into it; nothing of this run is kept")]
    Interrupted {
        /// The server and database.
        place: String,
        /// The table or query.
        of: String,
        /// How many rows had come.
        rows: u64,
    },
    /// This machine has no room for a thread, a socket or the like.
    #[error("{place}: {reason}")]
    Machine {
        /// The server and database.
        place: String,
        /// What the system says.
        reason: String,
    },
}

impl PgError {
    /// Whether it may be well again by itself: the server was away or is full, or its operators stopped it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Gone { .. } => true,
            // Connection exceptions, insufficient resources, operators' interventions.
            Self::Server { state, .. } => ["08", "53", "57P"].iter().any(|class| state.starts_with(class)),
            _ => false,
        }
    }
}

fn what_it_may_write(tables: &[String]) -> String {
    if tables.is_empty() { ": it is a superuser".to_owned() } else { format!(" what it reads: {}", tables.join(", ")) }
}

fn in_row(row: &Option<u64>) -> String {
    row.map_or(String::new(), |row| format!(", row {row}"))
}

/// What is known where an error comes up.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    pub(crate) place: &'a str,
    pub(crate) of: &'a str,
    pub(crate) rows: u64,
}

impl At<'_> {
    /// Of a statement that was prepared and has not run: what the server says is about names and types.
    pub(crate) fn preparing(&self, error: &Driver) -> PgError {
        self.server(error, true)
    }

    /// Of a statement that looks at rows: what the server says may hold their values.
    pub(crate) fn reading(&self, error: &Driver) -> PgError {
        self.server(error, false)
    }

    fn server(&self, error: &Driver, may_repeat: bool) -> PgError {
        let (place, of) = (self.place.to_owned(), self.of.to_owned());
        let Some(db) = error.as_db_error() else {
            let reason = if too_much(error) {
                "the server sent more for one row than a row may have"
            } else {
                "the connection to the server ended"
            };
            return PgError::Gone { place, of, reason, rows: self.rows };
        };
        let state = db.code().code();
        if matches!(state, "57P01" | "57P02" | "57P03" | "57P05" | "25P03") {
            return PgError::Gone { place, of, reason: "the server ended the session", rows: self.rows };
        }
        let (meaning, hint) = meaning(state);
        let said = may_repeat.then(|| one_line(db.message()));
        PgError::Server { place, of, reason: said.unwrap_or_else(|| meaning.to_owned()), state: state.to_owned(), hint }
    }

    pub(crate) fn gone(&self, reason: &'static str) -> PgError {
        PgError::Gone { place: self.place.to_owned(), of: self.of.to_owned(), reason, rows: self.rows }
    }

    pub(crate) fn interrupted(&self) -> PgError {
        PgError::Interrupted { place: self.place.to_owned(), of: self.of.to_owned(), rows: self.rows }
    }
}

/// What a state means, and what to do.
fn meaning(state: &str) -> (&'static str, &'static str) {
    match state {
        "57014" => (
            "it took longer than its time-out",
            "raise timeout_secs in node.toml, or add an index; somebody may also have cancelled it",
        ),
        "42501" => ("permission denied", "the role needs GRANT USAGE ON SCHEMA … and GRANT SELECT ON …"),
        "42P01" | "3F000" => (
            "there is no such table or schema",
            "name the schema too: table = \"cdm.person\"; a schema without USAGE is not seen either",
        ),
        "55P03" => ("somebody holds a lock on it", "try again when the load or migration is over"),
        "25006" => ("it would write", "a source reads only"),
        "40001" | "40P01" => (
            "it could not be read as one state",
            "take the snapshot again; on a standby raise max_standby_streaming_delay",
        ),
        "22021" | "22P05" => (
            "it holds a text that is not valid in the database's encoding",
            "repair it there, or leave the column out; a database in SQL_ASCII takes any bytes",
        ),
        "53100" | "53200" | "53300" => {
            ("the server has no room left", "ask its administrator; the server's log has more")
        }
        _ => match state.get(..2) {
            Some("22") => (
                "a value does not allow the query's arithmetic or casts",
                "the server's log names the value; cast in Bocage's mapping instead, where misfits are counted",
            ),
            Some("42") => ("it is not a statement that this server takes", "try it with psql as the same role"),
            Some("53") => ("the server has no room left", "ask its administrator; the server's log has more"),
            Some("58" | "XX") => ("the server has a fault", "its log has more"),
            _ => ("the server refuses it", "its log has more"),
        },
    }
}

/// Why a session could not begin. The server's words are about names and its own settings: no row was looked at.
pub(crate) fn connecting(place: &str, host: &str, error: &Driver) -> PgError {
    let connection =
        |reason: String, hint: &str| PgError::Connection { place: place.to_owned(), reason, hint: hint.to_owned() };
    if let Some(db) = error.as_db_error() {
        let (state, said) = (db.code().code(), one_line(db.message()));
        let hint = match state {
            "28P01" | "28000" => {
                "check `user` and `password_file`; pg_hba.conf must let the role in from this machine, best with scram-sha-256"
            }
            "3D000" => "check `database`",
            "08P01" => "a pooler of connections may stand in between that takes no options: name the server itself",
            "53300" => "the server has no connection left; its administrator can reserve one",
            "57P03" => "the server is starting or stopping; try again",
            _ => "the server's log has more",
        };
        return connection(format!("{said} (SQLSTATE {state})"), hint);
    }
    if let Some(fault) = certificate_fault(error) {
        return match fault {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => connection(
                "the server's certificate is not signed by an authority of ca_file".into(),
                "ca_file must hold the authority of this server; if it does, somebody else answers in its place",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => connection(
                format!("the server's certificate is not for `{host}`"),
                "`host` must be a name in the certificate; if it is right, somebody else answers in its place",
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => connection(
                "the server's certificate has expired".into(),
                "its administrator renews it; compare the clocks",
            ),
            _ => connection("the server's certificate is not valid".into(), "its administrator has to make another"),
        };
    }
    match error.to_string().as_str() {
        "error performing TLS handshake" => connection(
            "the server does not speak TLS 1.3".into(),
            "its administrator sets ssl = on; without TLS nothing is read over a network",
        ),
        "authentication error" | "invalid configuration" => connection(
            "the server wants another proof of who the role is".into(),
            "it needs a password: password_file = \"…\"",
        ),
        _ => connection("the connection ended before the session began".into(), "is it PostgreSQL that listens there?"),
    }
}

/// The system's word on a socket.
pub(crate) fn unreachable(place: &str, error: &io::Error) -> PgError {
    let (reason, hint) = match error.kind() {
        // Ours, for a name that the resolver does not know.
        io::ErrorKind::AddrNotAvailable => ("its name stands for no address".to_owned(), "check `host`"),
        kind => {
            let hint = match kind {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    "is the server running, and are `host` and `port` right?"
                }
                io::ErrorKind::PermissionDenied => "the node's user may not reach it; a firewall, or a socket's folder",
                _ => "check `host`, `port` and the way there",
            };
            (format!("cannot be reached: {kind}"), hint)
        }
    };
    PgError::Connection { place: place.to_owned(), reason, hint: hint.to_owned() }
}

fn certificate_fault(error: &Driver) -> Option<&CertificateError> {
    let io = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    match io.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(fault) => Some(fault),
        _ => None,
    }
}

fn too_much(error: &Driver) -> bool {
    let io = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    io.is_some_and(|e| e.kind() == io::ErrorKind::FileTooLarge)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_words_and_a_hint_and_those_that_people_meet_have_their_own() {
        let other = meaning("99999");
        for state in ["57014", "42501", "42P01", "55P03", "25006", "40001", "53100", "22P02", "42601", "58030", "XX000"]
        {
            assert_ne!(meaning(state), other, "{state}");
        }
        assert_eq!(meaning(""), other);
    }

    #[test]
    fn what_a_role_may_write_is_named() {
        let error = |tables: Vec<String>| {
            PgError::MayWrite { place: "p".into(), role: "r".into(), tables, hint: "h".into() }.to_string()
        };
        assert_eq!(error(vec!["cdm.person".into()]), "p: the role `r` may write what it reads: cdm.person\n  hint: h");
        assert_eq!(error(vec![]), "p: the role `r` may write: it is a superuser\n  hint: h");
    }
}
