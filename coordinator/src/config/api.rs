//! `[api]` and `[[user]]`: where the HTTP interface listens, its certificate, and who may use it from the start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems, read};
use serde::Deserialize;
use serde_json::Value;

use super::KEYS;
use crate::people::Seed;

#[derive(Deserialize)]
pub(super) struct RawApi {
    #[serde(default = "default_listen")]
    pub(super) listen: SocketAddr,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

/// The files of the interface's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTls {
    /// The chain, in PEM.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8443))
}

impl RawApi {
    /// Reports what is wrong with the section alone.
    pub(super) fn check(&self, file: &str, problems: &mut Problems) {
        let hint = "api.cert_file and api.key_file name the interface's certificate and its key";
        match (&self.cert_file, &self.key_file) {
            (None, None) if !self.listen.ip().is_loopback() => {
                let message =
                    format!("{} can be reached from other machines, and the interface has no TLS", self.listen);
                let hint = format!("{hint}; or listen on 127.0.0.1");
                problems.push(Problem::new(file, "api.listen", message).hint(hint));
            }
            (Some(_), None) => problems.push(Problem::new(file, "api.key_file", "is missing").hint(hint)),
            (None, Some(_)) => problems.push(Problem::new(file, "api.cert_file", "is missing").hint(hint)),
            _ => {}
        }
    }

    /// The certificate's files, relative to `base`.
    pub(super) fn tls(&self, base: &Path) -> Option<ApiTls> {
        let (cert_file, key_file) = (self.cert_file.as_ref()?, self.key_file.as_ref()?);
        Some(ApiTls { cert_file: base.join(cert_file), key_file: base.join(key_file) })
    }
}

/// Whom the configuration names.
pub(super) fn users(raw: &[Value], file: &str, problems: &mut Problems) -> Vec<Seed> {
    let mut users: Vec<Seed> = Vec::new();
    for (index, value) in raw.iter().enumerate() {
        let place = format!("user[{index}]");
        let Some(user) = read::<Seed>(value, file, &place, KEYS, problems) else { continue };
        let problem = |key: &str, message: &str| Problem::new(file, format!("{place}.{key}"), message);
        if user.roles.is_empty() {
            let hint = "researcher, steward, operator or access_body";
            problems.push(problem("roles", "a user has at least one role").hint(hint));
        }
        if !(1..=limits::API_TOKEN_DAYS).contains(&user.days) {
            problems.push(problem("days", "a token lives for 1 to 366 days"));
        }
        if users.iter().any(|other| other.name == user.name) {
            problems.push(problem("name", "another user has the same name"));
        }
        if user.token.is_some() && users.iter().any(|other| other.token == user.token) {
            problems.push(problem("token", "another user has the same token").hint("each has their own"));
        }
        users.push(user);
    }
    users
}
