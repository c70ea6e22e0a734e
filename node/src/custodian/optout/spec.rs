//! What `node.toml` says about the list of opt-outs. No file is touched here.

use std::path::{Path, PathBuf};

use bocage_protocol::settings::{Problem, Problems, join, read};
use serde::Deserialize;
use serde_json::Value;

/// The section's name.
pub const SECTION: &str = "optouts";

/// The site's list of patients who opted out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutSpec {
    /// The CSV file.
    pub path: PathBuf,
    /// One ASCII character.
    pub delimiter: u8,
    /// The file with the salt, where the list holds hashed ids.
    pub salt_file: Option<PathBuf>,
    /// The configuration file, for messages.
    pub declared_in: String,
}

#[derive(Deserialize)]
struct RawOptOuts {
    source: Value,
    ids: Option<String>,
    salt_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct RawSource {
    kind: String,
    path: PathBuf,
    delimiter: Option<String>,
}

const KEYS: &[&str] = &["source", "ids", "salt_file", "kind", "path", "delimiter"];

impl OptOutSpec {
    /// Reads the section `optouts` of `file`. Relative paths are taken from `base`. `None` where there is none or something is wrong.
    pub fn read(section: &Value, file: &str, base: &Path, problems: &mut Problems) -> Option<Self> {
        if section.is_null() {
            return None;
        }
        if !section.is_object() {
            problems.push(Problem::new(file, SECTION, "must be a section").hint(format!("write it as [{SECTION}]")));
            return None;
        }
        let raw: RawOptOuts = read(section, file, SECTION, KEYS, problems)?;
        let key = join(SECTION, "source");
        let source: Option<RawSource> = read(&raw.source, file, &key, KEYS, problems);
        let mut problem = |key: String, message: &str, hint: &str| {
            problems.push(Problem::new(file, key, message).hint(hint));
        };
        let hashed = match raw.ids.as_deref() {
            None | Some("plain") => Some(false),
            Some("sha256") => Some(true),
            Some(_) => {
                problem(join(SECTION, "ids"), "unknown form of ids", "ids = \"plain\" or ids = \"sha256\"");
                None
            }
        };
        let salt_file = match (hashed, raw.salt_file) {
            (Some(true), None) => {
                let hint = "whoever makes the list hashes salt and id together; without a salt the ids can be guessed";
                problem(join(SECTION, "salt_file"), "needed where ids = \"sha256\"", hint);
                return None;
            }
            (Some(false), Some(_)) => {
                problem(join(SECTION, "salt_file"), "plain ids have no salt", "leave it out, or say ids = \"sha256\"");
                return None;
            }
            (_, salt_file) => salt_file,
        };
        let source = source?;
        if source.kind != "csv" {
            problem(join(&key, "kind"), "unknown kind of list", "kind = \"csv\"");
            return None;
        }
        let delimiter = match source.delimiter.as_deref().map(str::as_bytes) {
            None => b',',
            Some(&[one]) if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => one,
            Some(_) => {
                let hint = "e.g. \",\", \";\" or \"\\t\"";
                problem(join(&key, "delimiter"), "must be one character, not a quote or line end", hint);
                return None;
            }
        };
        hashed?;
        Some(Self {
            path: base.join(source.path),
            delimiter,
            salt_file: salt_file.map(|path| base.join(path)),
            declared_in: file.to_owned(),
        })
    }
}
