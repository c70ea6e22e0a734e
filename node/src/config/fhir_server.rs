//! `[fhir_server.NAME]`: a FHIR server whose bulk export `bocage-node fhir-export NAME` fetches into a folder.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use bocage_bulk::{Base, Client, Level, Server};
use bocage_protocol::limits;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::sections::Reader;

#[derive(Deserialize)]
struct RawServer {
    url: String,
    level: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    since: Option<String>,
    folder: PathBuf,
    client_id: Option<String>,
    key_file: Option<PathBuf>,
    key_id: Option<String>,
    scope: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    insecure: bool,
}

impl Reader<'_> {
    pub(super) fn fhir_servers(&mut self, values: &Map<String, Value>) -> BTreeMap<String, Server> {
        let mut servers: BTreeMap<String, Server> = BTreeMap::new();
        for (name, value) in values {
            let key = format!("fhir_server.{name}");
            let Some(server) = self.fhir_server(&key, value) else { continue };
            if servers.values().any(|other| other.folder == server.folder) {
                let hint = "each export replaces its whole folder: give each server one of its own";
                self.problem(format!("{key}.folder"), "another server's export goes there already", hint);
            }
            servers.insert(name.clone(), server);
        }
        servers
    }

    fn fhir_server(&mut self, key: &str, value: &Value) -> Option<Server> {
        let raw: RawServer = self.section(value, key)?;
        let base = match Base::parse(&raw.url, raw.insecure) {
            Ok(base) => Some(base),
            Err((what, hint)) => {
                self.problem(format!("{key}.url"), what, hint);
                None
            }
        };
        let level = raw.level.as_deref().unwrap_or("patient");
        let level = self.understood::<Level>(
            level,
            format!("{key}.level"),
            "whose records: all that there is, all patients', a group's",
        );
        let mut types = Vec::new();
        for (i, text) in raw.types.iter().enumerate() {
            let hint = "for example types = [\"Patient\", \"Condition\"]; without types all that the server gives";
            types.extend(self.understood(text, format!("{key}.types[{i}]"), hint));
        }
        let since = raw.since.as_deref();
        let since =
            since.map(|text| self.understood(text, format!("{key}.since"), "only what changed after it is fetched"));
        let line = |text: &String| {
            !text.is_empty() && text.len() <= limits::LABEL_BYTES && text.bytes().all(|b| (0x20..0x7f).contains(&b))
        };
        for (text, name) in [(&raw.client_id, "client_id"), (&raw.key_id, "key_id"), (&raw.scope, "scope")] {
            if text.as_ref().is_some_and(|text| !line(text)) {
                self.problem(
                    format!("{key}.{name}"),
                    "empty, too long or not plain ASCII",
                    "write it as the server has it",
                );
            }
        }
        let client = match (raw.client_id, raw.key_file) {
            (Some(id), Some(key_file)) => {
                Some(Client { id, key_file: self.base.join(key_file), key_id: raw.key_id, scope: raw.scope })
            }
            (None, None) if raw.key_id.is_none() && raw.scope.is_none() => None,
            _ => {
                let hint = "a client is registered at the server with an id and a key; without both the server is asked without a token";
                self.problem(key, "client_id and key_file belong together", hint);
                None
            }
        };
        let folder = self.base.join(raw.folder);
        if folder.file_name().and_then(|name| name.to_str()).is_none() {
            self.problem(format!("{key}.folder"), "not the name of a folder", "for example folder = \"records\"");
        }
        let ca_file = raw.ca_file.map(|file| self.base.join(file));
        Some(Server { base: base?, level: level?, types, since: since.flatten(), folder, client, ca_file })
    }

    fn understood<T: FromStr<Err: Display>>(&mut self, text: &str, key: String, hint: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.problem(key, error.to_string(), hint)).ok()
    }
}
