//! Why an export did not succeed. An error names a place and a remedy; never a token, a link or a value of a record.

use std::io;
use std::path::PathBuf;

use crate::key::KeyError;

/// Why an export did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// No answer at all.
    #[error("{place}: no answer: {why}")]
    Unreachable {
        /// Who was asked for what.
        place: String,
        /// What the system said.
        why: String,
    },
    /// Answers that end before they are whole, again and again.
    #[error("{place}: the answer broke off {times} times: {how}")]
    Cut {
        /// Who was asked for what.
        place: String,
        /// How often.
        times: u32,
        /// In which way, the last time.
        how: String,
    },
    /// A status that is neither success nor a reason to wait.
    #[error("{place}: status {status}{codes}")]
    Status {
        /// Who was asked for what.
        place: String,
        /// The HTTP status.
        status: u16,
        /// Codes of an OperationOutcome, of the published lists only.
        codes: String,
    },
    /// The export failed at the server.
    #[error("{place}: the server gave up the export (status {status}{codes})")]
    Failed {
        /// Who was asked.
        place: String,
        /// The HTTP status.
        status: u16,
        /// Codes of an OperationOutcome, of the published lists only.
        codes: String,
    },
    /// The server sends us to another one.
    #[error("{place}: the server redirects to another host, or in a circle, which is not followed")]
    Redirected {
        /// Who was asked for what.
        place: String,
    },
    /// The server wants us to wait longer than we do.
    #[error("{place}: the server asks to wait {secs} s, longer than the {limit_secs} s that this node waits")]
    Busy {
        /// Who was asked for what.
        place: String,
        /// What it asks.
        secs: i64,
        /// What we bear.
        limit_secs: i64,
    },
    /// The export is not ready in time.
    #[error("{place}: the export was not ready after {secs} s; the server was told to drop it")]
    NeverReady {
        /// Who was asked.
        place: String,
        /// How long we waited.
        secs: i64,
    },
    /// More than we take.
    #[error("{place}: more than {limit_bytes} bytes")]
    TooLarge {
        /// What is too large.
        place: String,
        /// The bound.
        limit_bytes: u64,
    },
    /// An answer that is not what the standard says.
    #[error("{place}: {what}")]
    Malformed {
        /// Whose answer.
        place: String,
        /// What is wrong, without its values.
        what: String,
    },
    /// A file that another server has, where that cannot be.
    #[error("{place}: its link leads to another server and needs the access token, which is for {base} only")]
    OtherOrigin {
        /// The file.
        place: String,
        /// The server.
        base: String,
    },
    /// The token server says no.
    #[error("{place}: no access token: {why}")]
    Refused {
        /// Who was asked.
        place: String,
        /// The code of RFC 6749 or the status.
        why: String,
    },
    /// The FHIR server says no to a token that is fresh.
    #[error("{place}: the server does not accept {what} (status 401)")]
    Unauthorised {
        /// Who was asked for what.
        place: String,
        /// The token, or that there is none.
        what: &'static str,
    },
    /// A file that does not hold what the manifest says.
    #[error("{place}: {found} resources, where the server's list says {said}")]
    WrongCount {
        /// The file.
        place: String,
        /// What the manifest says.
        said: u64,
        /// What was there.
        found: u64,
    },
    /// A link that leads nowhere even when it is fresh.
    #[error("{place}: the link has expired, and the fresh one that was asked for, too (status {status})")]
    Expired {
        /// The file.
        place: String,
        /// The last status.
        status: u16,
    },
    /// The server lists other files than before.
    #[error("{place}: the server lists other files than before")]
    Changed {
        /// Who was asked.
        place: String,
    },
    /// The disk is too full.
    #[error("{}: {free_mib} MiB free, and {floor_mib} MiB must stay free", .path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// What is free.
        free_mib: u64,
        /// What must stay free.
        floor_mib: u64,
    },
    /// The operating system refuses.
    #[error("{}: {source}", .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The folder is none of ours.
    #[error("{}: is there already and is no earlier export", .path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is at it.
    #[error("{}: another process is fetching into this folder", .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The client's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate authorities.
    #[error("{}: {what}", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// TLS or the HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

impl BulkError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "see that url is right, that this machine may reach it, and that ca_file holds the authority of its certificate; then run the command again"
            }
            Self::Cut { .. } => "what is here is kept: run the command again when the network is better",
            Self::Failed { .. } => {
                "the earlier export stays in use; ask the server's administrator, or ask for less (types, level, since)"
            }
            Self::Status { status: 403 | 404 | 400, .. } => {
                "see that url, level and types are what the server offers, and that this client may read them"
            }
            Self::Status { .. } => {
                "ask the server's administrator what it says of this time; run the command again afterwards"
            }
            Self::Redirected { .. } => "write the address to which the server redirects as url, if it is the right one",
            Self::Busy { .. } => "run the command again later; what is here is kept",
            Self::NeverReady { .. } => {
                "ask for less (types, level, since), or ask the server's administrator why it takes so long"
            }
            Self::TooLarge { .. } => "ask for less (types, level, since), or have the server cut its files smaller",
            Self::Malformed { .. } => {
                "see that url is the base of a FHIR server with Bulk Data Access (version 2), and ask its administrator"
            }
            Self::OtherOrigin { .. } => {
                "have the server keep its files where its interface is, or give out links that need no token"
            }
            Self::Refused { .. } => {
                "see that client_id and the key are registered at the server (`fhir-export NAME --public-key` shows the key), that scope is allowed, and that this machine's clock is right"
            }
            Self::Unauthorised { what: "a request without a token", .. } => {
                "set client_id and key_file, and register the key at the server"
            }
            Self::Unauthorised { .. } => {
                "see that the client may read what it asks for, and that the server trusts its own token server"
            }
            Self::WrongCount { .. } => {
                "the earlier export stays in use; run the command again, and tell the server's administrator if it stays so"
            }
            Self::Expired { .. } => "run the command again: it goes on where this one ended",
            Self::Changed { .. } => "run the command again: it asks for a new export",
            Self::NoRoom { .. } => "make room, then run the command again: it goes on where this one ended",
            Self::Disk { .. } => {
                "see that the folder can be written by the node's user and the disk has room; then run the command again"
            }
            Self::NotOurs { .. } => {
                "name a folder that does not exist or is empty: an export replaces the whole folder"
            }
            Self::InUse { .. } => "wait for it, or end it",
            Self::Key(error) => error.hint(),
            Self::Ca { .. } => "ca_file holds certificates in PEM",
            Self::Setup(_) => "this is a fault of the program; please report it",
        }
    }

    /// Whether the export at the server can still become whole. One that cannot is dropped there and here.
    pub(crate) fn goes_on(&self) -> bool {
        !matches!(
            self,
            Self::NeverReady { .. }
                | Self::Failed { .. }
                | Self::TooLarge { .. }
                | Self::Malformed { .. }
                | Self::OtherOrigin { .. }
                | Self::WrongCount { .. }
                | Self::Changed { .. }
        )
    }

    pub(crate) fn malformed(place: &str, what: impl Into<String>) -> Self {
        Self::Malformed { place: place.to_owned(), what: what.into() }
    }

    pub(crate) fn disk(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
