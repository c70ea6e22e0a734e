//! The files that a configuration names, by the one rule of all our configurations: a key that ends in `_file` names a file, and
//! `contracts.dir` a folder of contracts. So what a later version names is in a backup without a word about it here.
//!
//! What is read from elsewhere is not among them: a hospital's data, and its list of opt-outs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The files and folders that `tree` names, relative ones below `base`, each once. Whether they are there is not looked at.
pub fn named_files(tree: &Value, base: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    walk(tree, base, &mut found);
    let contracts = tree.pointer("/contracts/dir").and_then(Value::as_str).unwrap_or("contracts");
    found.insert(base.join(contracts));
    found
}

/// How the settings end that name a secret.
const SECRETS: [&str; 4] = ["key_file", "password_file", "token_file", "salt_file"];

/// Those of them that nobody else may open: keys, passwords, tokens and salts, by the names of their settings.
pub fn named_secrets(tree: &Value, base: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    secrets(tree, base, &mut found);
    found
}

/// The same of a configuration that is no TOML as a whole: what its lines say, each by itself.
pub fn secrets_in_lines(text: &str, base: &Path) -> Vec<PathBuf> {
    let found: BTreeSet<PathBuf> =
        SECRETS.iter().flat_map(|end| in_lines(text, end)).map(|path| base.join(path)).collect();
    found.into_iter().collect()
}

/// What lines of a text give, in quotes, to settings that end so; not what is a comment.
pub fn in_lines<'a>(text: &'a str, end: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.trim_start()).filter(|line| !line.starts_with('#'));
    let found = lines.flat_map(|line| {
        let values = line.match_indices(end).filter_map(|(at, _)| {
            let value = line[at + end.len()..].trim_start().strip_prefix('=')?.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            value[1..].split_once(quote).map(|(path, _)| path).filter(|path| !path.is_empty())
        });
        values.collect::<Vec<_>>()
    });
    found.collect()
}

fn secrets(value: &Value, base: &Path, found: &mut Vec<PathBuf>) {
    let secret = |key: &str| SECRETS.iter().any(|end| key.ends_with(end));
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(path) if secret(key) && !path.is_empty() => found.push(base.join(path)),
                    other => secrets(other, base, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| secrets(value, base, found)),
        _ => {}
    }
}

fn walk(value: &Value, base: &Path, found: &mut BTreeSet<PathBuf>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(path) if key.ends_with("_file") && !path.is_empty() => {
                        found.insert(base.join(path));
                    }
                    // A view of a FHIR source is a file, or the name of one that comes with Bocage.
                    Value::String(path) if key == "view" && base.join(path).is_file() => {
                        found.insert(base.join(path));
                    }
                    other => walk(other, base, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, base, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_that_is_no_configuration_each_line_tells_what_it_names() {
        let text = "site = [\n[tls\nkey_file = 'tls/key.pem' # its own\n  # key_file = \"old.key\"\n\
                    source = { kind = \"postgres\", password_file = \"pw\", ca_file=\"ca.pem\" }\n\
                    key_file\nkey_file =\nkey_file = 7\nkey_file = \"half\nsalt_file=\"/etc/salt\"\nstate_dir = \"/var/lib/x\"";
        let found: Vec<String> =
            secrets_in_lines(text, Path::new("/n")).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["/etc/salt", "/n/pw", "/n/tls/key.pem"]);
        assert_eq!(in_lines(text, "state_dir"), ["/var/lib/x"]);
    }

    #[test]
    fn every_file_that_a_configuration_names_is_found_and_no_data_is() {
        let tree = serde_json::json!({
            "tls": { "ca_file": "ca.pem", "key_file": "/etc/keys/tls.key" },
            "access_body": [{ "revocations_file": "lists/body.json", "key": "abc" }],
            "dataset": { "a": { "source": { "kind": "csv", "path": "data/a.csv", "password_file": "pw" } } },
            "optouts": { "source": { "path": "data/optouts.csv" }, "salt_file": "salt" },
            "contracts": { "dir": "agreed" },
            "log_file": "",
        });
        let found: Vec<String> =
            named_files(&tree, Path::new("/n")).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["/etc/keys/tls.key", "/n/agreed", "/n/ca.pem", "/n/lists/body.json", "/n/pw", "/n/salt"]);
        let secret: Vec<String> =
            named_secrets(&tree, Path::new("/n")).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(secret, ["/n/pw", "/n/salt", "/etc/keys/tls.key"]);
        assert!(named_files(&serde_json::json!({}), Path::new("/n")).contains(Path::new("/n/contracts")));
    }
}
