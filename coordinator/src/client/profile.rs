//! The researcher's profile: which coordinator, with which token and key. It names secret files and never holds a secret itself.

use std::path::{Path, PathBuf};

use bocage_net::secret;
use bocage_protocol::front::{Sort, toml_problem};
use bocage_protocol::ids::NetworkId;
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems, read};
use bocage_protocol::trust::{PublicKey, SecretKey};
use serde::Deserialize;

use super::ClientError;

/// The environment variable that names a profile.
pub const PROFILE_VARIABLE: &str = "BOCAGE_PROFILE";
/// A token or a key is far smaller.
const SECRET_BYTES: usize = 4096;
/// The profile of the current folder.
pub const PROFILE_FILE: &str = "profile.toml";

/// A profile that was read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Where the coordinator's interface is: `https://HOST:PORT`, or `http://` on this machine, without a slash at the end.
    pub coordinator: String,
    /// The network that it must serve.
    pub network: NetworkId,
    /// The file with the bearer token.
    pub token_file: PathBuf,
    /// The file with the secret key, for those who sign something.
    pub key_file: Option<PathBuf>,
    /// The authorities that may vouch for the coordinator, instead of this machine's.
    pub ca_file: Option<PathBuf>,
    /// The signed permit that studies rely on where the command names no other.
    pub permit: Option<PathBuf>,
    /// The key by which the coordinator must sign what it publishes.
    pub published_by: Option<PublicKey>,
}

#[derive(Deserialize)]
struct RawProfile {
    coordinator: String,
    network: NetworkId,
    token_file: PathBuf,
    key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    permit: Option<PathBuf>,
    published_by: Option<PublicKey>,
}

const KEYS: &[&str] = &["coordinator", "network", "token_file", "key_file", "ca_file", "permit", "published_by"];

impl Profile {
    /// The profile that a command uses: the one given, else `BOCAGE_PROFILE`, else `profile.toml` in the current folder.
    ///
    /// # Errors
    /// The file cannot be read, or all problems in it.
    pub fn find(given: Option<&Path>) -> Result<Self, ClientError> {
        let named = given.map(Path::to_owned).or_else(|| std::env::var_os(PROFILE_VARIABLE).map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(PROFILE_FILE));
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text, &path)?),
            Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
                let problem = Problem::new(PROFILE_FILE, "", "there is no profile in this folder");
                let hint =
                    format!("name one with --profile FILE or {PROFILE_VARIABLE}; `bocage network init` writes one");
                Err(Problems::from(problem.hint(hint)).into())
            }
            Err(e) => Err(ClientError::Read { path, reason: e.kind() }),
        }
    }

    /// Reads a profile's text. Relative paths are relative to `path`'s folder.
    ///
    /// # Errors
    /// All problems at once.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        if text.len() > limits::CONFIG_TEXT_BYTES {
            return Err(Problem::new(&file, "", format!("larger than {} bytes", limits::CONFIG_TEXT_BYTES)).into());
        }
        let value = toml::from_str(text).map_err(|e| toml_problem(text, &file, &e))?;
        if let Some(problem) = Sort::Profile.taken_for(&value, &file) {
            return Err(problem.into());
        }
        let mut problems = Problems::default();
        let Some(raw) = read::<RawProfile>(&value, &file, "", KEYS, &mut problems) else { return Err(problems) };
        if let Some(problem) = address_problem(&raw.coordinator, &file) {
            problems.push(problem);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        problems.into_result(Self {
            coordinator: raw.coordinator.trim_end_matches('/').to_owned(),
            network: raw.network,
            token_file: folder.join(raw.token_file),
            key_file: raw.key_file.map(|key| folder.join(key)),
            ca_file: raw.ca_file.map(|ca| folder.join(ca)),
            permit: raw.permit.map(|permit| folder.join(permit)),
            published_by: raw.published_by,
        })
    }

    /// The bearer token.
    ///
    /// # Errors
    /// The file cannot be read, or others may read it.
    pub fn token(&self) -> Result<impl std::ops::Deref<Target = String> + use<>, ClientError> {
        secret::read_secret_text(&self.token_file, SECRET_BYTES).map_err(|e| ClientError::Secret(e.to_string()))
    }

    /// The researcher's key.
    ///
    /// # Errors
    /// The profile names none, the file cannot be read, others may read it, or it holds no key.
    pub fn key(&self) -> Result<SecretKey, ClientError> {
        let none = || ClientError::Secret("the profile has no `key_file`: it is of somebody who signs nothing".into());
        let file = self.key_file.as_ref().ok_or_else(none)?;
        let text = secret::read_secret_text(file, SECRET_BYTES).map_err(|e| ClientError::Secret(e.to_string()))?;
        SecretKey::from_text(&text).map_err(|e| ClientError::Secret(format!("{}: {e}", file.display())))
    }

    /// Whether the coordinator is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.coordinator)
    }
}

fn is_loopback(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn address_problem(url: &str, file: &str) -> Option<Problem> {
    let problem = |message: &str, hint: &str| Some(Problem::new(file, "coordinator", message).hint(hint));
    let rest =
        url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).map(|rest| rest.trim_end_matches('/'));
    let plain =
        rest.is_some_and(|r| !r.is_empty() && !r.contains(['/', '?', '#', '@']) && !r.contains(char::is_whitespace));
    if !plain {
        return problem(
            "not an address of the form https://HOST:PORT",
            "for example https://coordinator.example.org:8443",
        );
    }
    if url.starts_with("http://") && !is_loopback(url) {
        let hint = "write https://, or reach its machine by a tunnel (ssh -L 8443:127.0.0.1:8443 HOST) and write http://127.0.0.1:8443";
        return problem("everybody on the way could read the token", hint);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        coordinator = "http://127.0.0.1:8443/"
        network = "heart-demo"
        token_file = "api.token"
        key_file = "/elsewhere/researcher.key"
    "#;

    #[test]
    fn paths_are_relative_to_the_profile() {
        let profile = Profile::parse(GOOD, Path::new("dir/profile.toml")).unwrap();
        assert_eq!(profile.coordinator, "http://127.0.0.1:8443");
        assert_eq!(profile.token_file, Path::new("dir/api.token"));
        assert_eq!(profile.key_file.as_deref(), Some(Path::new("/elsewhere/researcher.key")));
        assert!(profile.is_loopback());
    }

    #[test]
    fn a_token_in_clear_over_a_network_and_unknown_keys_are_refused_together_with_hints() {
        let bad = GOOD.replace("127.0.0.1", "192.0.2.1").replace("key_file", "token = \"secret\"\nkey_file");
        let text = Profile::parse(&bad, Path::new("profile.toml")).unwrap_err().to_string();
        assert!(text.contains("token: unknown key"), "{text}");
        assert!(text.contains("everybody on the way could read the token") && text.contains("ssh -L"), "{text}");
        assert!(!text.contains("secret\""), "{text}");
    }

    #[test]
    fn https_goes_anywhere_and_names_its_authorities_beside_the_profile() {
        let good = GOOD.replace("http://127.0.0.1", "https://192.0.2.1") + "ca_file = \"ca.pem\"\n";
        let profile = Profile::parse(&good, Path::new("dir/profile.toml")).unwrap();
        assert_eq!(profile.ca_file.as_deref(), Some(Path::new("dir/ca.pem")));
        assert_eq!(profile.published_by, None);
        let key = "ed25519:GX9rI+FshTLGq8g4+s1ep4m+DHaykgM0A5v6iz02jWE=";
        let pinned = format!("{good}published_by = \"{key}\"\n");
        let pinned = Profile::parse(&pinned, Path::new("dir/profile.toml")).unwrap();
        assert_eq!(pinned.published_by, Some(key.parse().unwrap()));
        let nobody = GOOD.lines().filter(|line| !line.contains("key_file")).collect::<Vec<_>>().join("\n");
        let error = Profile::parse(&nobody, Path::new("profile.toml")).unwrap().key().err().unwrap().to_string();
        assert!(error.contains("no `key_file`"), "{error}");
    }

    #[test]
    fn only_addresses_without_path_or_user_pass() {
        for bad in ["127.0.0.1:8443", "http://", "ftp://a", "http://user@host", "http://host/v1", "http://a b"] {
            let text = GOOD.replace("http://127.0.0.1:8443/", bad);
            assert!(Profile::parse(&text, Path::new("profile.toml")).is_err(), "{bad}");
        }
        let v6 = Profile::parse(&GOOD.replace("127.0.0.1", "[::1]"), Path::new("profile.toml")).unwrap();
        assert!(v6.is_loopback());
    }
}
