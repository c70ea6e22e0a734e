//! What a site says of a FHIR server, parsed: a value that exists is well formed.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use crate::base::Base;
use crate::draft::is_ours;
use crate::error::BulkError;
use crate::key::SigningKey;
use crate::session::of_file;

/// A FHIR server, and what to fetch from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address.
    pub base: Base,
    /// Whose records.
    pub level: Level,
    /// Which resources; all that the server gives where there is none.
    pub types: Vec<ResourceType>,
    /// Only what changed after this.
    pub since: Option<Since>,
    /// The folder that a whole export replaces.
    pub folder: PathBuf,
    /// Who we are, where the server wants to know.
    pub client: Option<Client>,
    /// The authorities that may vouch for the server; those of the machine where there is none.
    pub ca_file: Option<PathBuf>,
}

/// A client as it is registered at the server (SMART backend services).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its private key.
    pub key_file: PathBuf,
    /// The key's id at the server; the key's thumbprint (RFC 7638) where there is none.
    pub key_id: Option<String>,
    /// What it asks to read; made of `types` where there is none.
    pub scope: Option<String>,
}

/// Whose records an export has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// All that the server has.
    System,
    /// All patients.
    Patient,
    /// The patients of a group.
    Group(String),
}

impl Level {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::System => "$export".to_owned(),
            Self::Patient => "Patient/$export".to_owned(),
            Self::Group(id) => format!("Group/{id}/$export"),
        }
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The ids of FHIR.
        let id = |id: &str| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        match (text, text.strip_prefix("group/")) {
            ("system", _) => Ok(Self::System),
            ("patient", _) => Ok(Self::Patient),
            (_, Some(group)) if id(group) && !group.bytes().all(|b| b == b'.') => Ok(Self::Group(group.to_owned())),
            _ => Err("not `system`, `patient` or `group/ID`"),
        }
    }
}

/// The name of a kind of resource, which is also the beginning of a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceType(String);

impl FromStr for ResourceType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letters = text.bytes().all(|b| b.is_ascii_alphabetic());
        let well_formed = letters && text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_uppercase());
        if well_formed { Ok(Self(text.to_owned())) } else { Err("not the name of a FHIR resource, as `Patient`") }
    }
}

impl Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A FHIR instant: a date, a time with seconds, and a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since(String);

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_digit() || b"-:.TZ+".contains(&b));
        match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(_) if plain => Ok(Self(text.to_owned())),
            _ => Err("not an instant with its time zone, as `2026-01-31T00:00:00Z`"),
        }
    }
}

impl Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Server {
    /// What is wrong with the files that are named, each with the setting that names it. Nobody is asked.
    pub fn look(&self) -> Vec<(&'static str, BulkError)> {
        let key =
            self.client.as_ref().map(|client| SigningKey::read(&client.key_file, client.key_id.as_deref()).map(|_| ()));
        let folder = match is_ours(&self.folder) {
            Ok(true) => Ok(()),
            Ok(false) => Err(BulkError::NotOurs { path: self.folder.clone() }),
            Err(error) => Err(error),
        };
        let looked = [
            ("key_file", key.unwrap_or(Ok(())).map_err(BulkError::Key)),
            ("ca_file", self.ca_file.as_deref().map_or(Ok(()), |file| of_file(file).map(|_| ()))),
            ("folder", folder),
        ];
        looked.into_iter().filter_map(|(key, looked)| Some((key, looked.err()?))).collect()
    }

    /// What is asked, as one line: an export that was begun goes on only for the same.
    pub(crate) fn question(&self) -> reqwest::Url {
        let mut url = self.base.below(&self.level.path());
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("_outputFormat", "application/fhir+ndjson");
            if !self.types.is_empty() {
                let types: Vec<String> = self.types.iter().map(ToString::to_string).collect();
                query.append_pair("_type", &types.join(","));
            }
            if let Some(since) = &self.since {
                query.append_pair("_since", &since.0);
            }
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_types_and_instants_are_well_formed_or_refused() {
        assert_eq!("group/diabetes-2.a".parse(), Ok(Level::Group("diabetes-2.a".to_owned())));
        for wrong in ["", "System", "group", "group/", "group/a/b", "group/..", "group/a b", "group/a%2f"] {
            assert!(wrong.parse::<Level>().is_err(), "{wrong}");
        }
        for wrong in ["", "patient", "../Patient", "Patient,Group", "Patient.1", "Pätient"] {
            assert!(wrong.parse::<ResourceType>().is_err(), "{wrong}");
        }
        for wrong in ["", "2026-01-31", "2026-01-31T00:00:00", "2026-02-31T00:00:00Z", "2026-01-31 00:00:00Z"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
        assert!("2026-01-31T00:00:00.000+01:00".parse::<Since>().is_ok());
    }
}
