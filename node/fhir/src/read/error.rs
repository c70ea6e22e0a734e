//! Why an export cannot be read. Each names the file, and says what to do.

use std::path::PathBuf;

/// Why an export cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("{path}: there is no such file or folder\n  hint: paths in node.toml are relative to node.toml")]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// It may not be read.
    #[error(
        "{path}: permission denied\n  hint: the node's user must be allowed to read the file and to enter its folders"
    )]
    Forbidden {
        /// The file or folder.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error(
        "{path}: cannot be read: {reason}\n  hint: look after the disk; to go on without the file, move it out of the folder"
    )]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A folder without any file that could be read.
    #[error(
        "{path}: no file of an export\n  hint: files end in .ndjson, .jsonl or .json, and perhaps in .gz or .zst behind it"
    )]
    NoFiles {
        /// The folder, or the one file.
        path: PathBuf,
    },
    /// Compressed data that ends too early or is damaged.
    #[error(
        "{path}: its compressed data is damaged or ends too early, behind line {line}\n  hint: the file was not copied as a whole: copy it again. What it holds beyond that line nobody can tell, so no dataset of the folder is taken with it; to go on without its rows, move it out of the folder"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The last line that could be read.
        line: u64,
    },
    /// It became another while it was read.
    #[error(
        "{path}: it was changed or replaced while it was read\n  hint: write a new export beside it, rename it into place, then take the snapshot again"
    )]
    Changed {
        /// The file or folder.
        path: PathBuf,
    },
    /// A Bundle, or another file of one piece, that is damaged.
    #[error(
        "{path}: {reason}\n  hint: a .json file holds a whole Bundle or resource; one with a resource a line ends in .ndjson; to go on without it, move it out of the folder"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A Bundle, or another file of one piece, that is too large.
    #[error(
        "{path}: unpacked it has more than {limit} bytes, or more than {entries} entries\n  hint: have it exported as NDJSON, or as several Bundles; a file with one resource a line ends in .ndjson"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound on bytes.
        limit: usize,
        /// The bound on entries.
        entries: usize,
    },
}

impl ReadError {
    /// What is wrong, without the file and what to do about it.
    pub(super) fn reason(&self) -> String {
        let text = self.to_string();
        let first = text.lines().next().unwrap_or_default();
        let path = match self {
            ReadError::Missing { path }
            | ReadError::Forbidden { path }
            | ReadError::Unreadable { path, .. }
            | ReadError::NoFiles { path }
            | ReadError::Damaged { path, .. }
            | ReadError::Changed { path }
            | ReadError::Broken { path, .. }
            | ReadError::TooLarge { path, .. } => path,
        };
        first.strip_prefix(&format!("{}: ", path.display())).unwrap_or(first).to_owned()
    }
}
