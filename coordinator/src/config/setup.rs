//! The files that a configuration names, read and checked: certificates and keys, contracts. `check` and `serve` read them alike.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bocage_net::Identity;
use bocage_net::certificates::{Authority, SiteKey};
use bocage_net::env::SystemEntropy;
use bocage_net::https::WebIdentity;
use bocage_net::secret::{SecretError, read_secret_text};
use bocage_net::settings::unreadable;
use bocage_net::tls::certified_site;
use bocage_protocol::PublicError;
use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{PublicKey, SignedRevocations};

use super::{AccessBody, ApiTls, Config};
use crate::publisher::Publisher;

const KEY_MAX_BYTES: usize = 64 << 10;
/// Contracts in one folder.
const CONTRACTS: usize = 10_000;

/// All that a coordinator needs from the disk before it serves.
#[derive(Debug)]
pub struct Setup {
    /// The coordinator's certificate, key and CA.
    pub identity: Identity,
    /// What certifies sites, if anything does.
    pub issuing: Option<Authority>,
    /// What HTTP clients see of the coordinator, where it speaks TLS with them.
    pub api_tls: Option<WebIdentity>,
    /// The contracts by id.
    pub contracts: BTreeMap<ContractId, KnownContract>,
    /// The lists of revoked permits that stand in files.
    pub revocations: Vec<SignedRevocations>,
    /// By which it publishes, once it has run.
    pub publisher: Option<PublicKey>,
}

/// A contract with the text that it was read from.
#[derive(Debug, Clone)]
pub struct KnownContract {
    /// The contract.
    pub contract: Arc<Contract>,
    /// Its hash.
    pub hash: Digest,
    /// The text, exactly as configured.
    pub text: String,
}

impl Setup {
    /// Reads everything that `config` names.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(config: &Config, now: Timestamp) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let identity = collect(identity(config, now), &mut problems);
        let issuing = own_issuing(config, now).and_then(|read| collect(read, &mut problems));
        // The coordinator's own certificate, if it is that, is renewed at the start where it has ended, and then read anew.
        let renews = |tls: &ApiTls| config.issuing.is_some() && tls.key_file == config.key_file;
        let api_tls = config.api_tls.as_ref().map(|tls| collect(web_identity(tls, renews(tls), now), &mut problems));
        let contracts = contracts(&config.contracts_dir, &mut problems);
        let lists = config.access_bodies.iter().filter_map(revocations);
        let revocations = lists.filter_map(|list| collect(list, &mut problems)).collect();
        let publisher = collect(Publisher::find(&config.state_dir), &mut problems).flatten().map(|of| of.key());
        match (identity, api_tls) {
            (None, _) | (_, Some(None)) => Err(problems),
            (Some(identity), api_tls) => {
                let api_tls = api_tls.flatten();
                problems.into_result(Self { identity, issuing, api_tls, contracts, revocations, publisher })
            }
        }
    }
}

fn collect<T>(result: Result<T, Problem>, problems: &mut Problems) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn problem(path: &Path, message: impl fmt::Display) -> Problem {
    Problem::new(&path.display().to_string(), "", message.to_string())
}

/// The error of a secret file, with its file and its hint in their places.
pub(crate) fn secret_problem(path: &Path, error: &SecretError) -> Problem {
    match error {
        SecretError::Exposed { mode, .. } => {
            problem(path, format_args!("others may read this secret (mode {mode:04o})"))
                .hint(format!("chmod 600 {}", path.display()))
        }
        SecretError::Io { source, .. } => problem(path, format_args!("cannot be read: {}", unreadable(source.kind()))),
        SecretError::TooLarge { limit_bytes, .. } => problem(path, format_args!("larger than {limit_bytes} bytes")),
        SecretError::NotText { .. } => problem(path, "not UTF-8 text"),
        SecretError::NotAFile { .. } => problem(path, "not a regular file"),
        SecretError::Exists { .. } => problem(path, "exists already"),
    }
}

/// A file that a key of the configuration names.
fn named(problem: Problem, key: &str) -> Problem {
    match problem.hint {
        None => problem.hint(format!("{key} in coordinator.toml names it; relative paths are relative to that file")),
        Some(_) => problem,
    }
}

fn public_text(path: &Path, limit_bytes: usize) -> Result<String, Problem> {
    let unread = |e: std::io::Error| problem(path, format_args!("cannot be read: {}", unreadable(e.kind())));
    if std::fs::metadata(path).map_err(unread)?.len() > limit_bytes as u64 {
        return Err(problem(path, format_args!("larger than {limit_bytes} bytes")));
    }
    std::fs::read_to_string(path).map_err(unread)
}

/// The coordinator's own certificate, key and roots, whatever their time.
pub(crate) fn own_identity(config: &Config) -> Result<Identity, Problem> {
    let chain = public_text(&config.cert_file, KEY_MAX_BYTES).map_err(|p| named(p, "tls.cert_file"))?;
    let roots = public_text(&config.ca_file, KEY_MAX_BYTES).map_err(|p| named(p, "tls.ca_file"))?;
    let key = read_secret_text(&config.key_file, KEY_MAX_BYTES)
        .map_err(|e| named(secret_problem(&config.key_file, &e), "tls.key_file"))?;
    let identity = Identity::from_pem(&chain, &key, &roots).map_err(|e| problem(&config.cert_file, e))?;
    if let Ok(site) = identity.site() {
        let message = format!("this is site {site}'s certificate");
        return Err(problem(&config.cert_file, message).hint("the coordinator has one of its own"));
    }
    Ok(identity)
}

/// The same, if its time is now. One that has ended is renewed at the start where there is an authority to do so.
fn identity(config: &Config, now: Timestamp) -> Result<Identity, Problem> {
    let identity = own_identity(config)?;
    let until = if config.issuing.is_some() { now } else { identity.valid_until() };
    in_time(&config.cert_file, identity.valid_from(), until, now)?;
    Ok(identity)
}

/// The authority of `[issuing]`, if it is named. What it certifies is what a handshake accepts, or it is refused here.
pub(crate) fn own_issuing(config: &Config, now: Timestamp) -> Option<Result<Authority, Problem>> {
    let files = config.issuing.as_ref()?;
    let read = || {
        let wrong = |error: bocage_net::identity::CertificateError| problem(&files.cert_file, error);
        let certificate = public_text(&files.cert_file, KEY_MAX_BYTES).map_err(|p| named(p, "issuing.cert_file"))?;
        let roots = public_text(&config.ca_file, KEY_MAX_BYTES).map_err(|p| named(p, "tls.ca_file"))?;
        let key = read_secret_text(&files.key_file, KEY_MAX_BYTES)
            .map_err(|e| named(secret_problem(&files.key_file, &e), "issuing.key_file"))?;
        let authority = Authority::from_pem(&certificate, &key).map_err(wrong)?;
        if authority.is_root() {
            let hint = "name the intermediate; the root's key belongs offline";
            return Err(problem(&files.cert_file, "this is a root").hint(hint));
        }
        if now > authority.valid_until() {
            let message = format!("the issuing certificate expired at {}", authority.valid_until());
            return Err(problem(&files.cert_file, message).hint("make a new one with the root's key"));
        }
        let mut entropy = SystemEntropy;
        let probe = SiteKey::generate(&mut entropy).map_err(wrong)?.public();
        let site = "probe".parse().map_err(|_| problem(&files.cert_file, "no site can be named"))?;
        let chain = authority.certify_site(&site, &probe, now, 1, &mut entropy).map_err(wrong)?;
        certified_site(&chain, &roots, now).map_err(|error| {
            let message = format!("what this authority certifies is not trusted: {error}");
            problem(&files.cert_file, message).hint("it must be an intermediate of a root in tls.ca_file")
        })?;
        Ok(authority)
    };
    Some(read())
}

/// The HTTP interface's own certificate and key; one that `renews` may have ended.
pub(crate) fn web_identity(tls: &ApiTls, renews: bool, now: Timestamp) -> Result<WebIdentity, Problem> {
    let chain = public_text(&tls.cert_file, KEY_MAX_BYTES).map_err(|p| named(p, "api.cert_file"))?;
    let key = read_secret_text(&tls.key_file, KEY_MAX_BYTES)
        .map_err(|e| named(secret_problem(&tls.key_file, &e), "api.key_file"))?;
    let identity = WebIdentity::from_pem(&chain, &key).map_err(|e| problem(&tls.cert_file, e))?;
    in_time(&tls.cert_file, identity.valid_from, if renews { now } else { identity.valid_until }, now)?;
    Ok(identity)
}

/// A certificate that nobody would accept now is a problem at once, not when somebody comes.
fn in_time(path: &Path, from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), Problem> {
    if now > until {
        let message = format!("the certificate expired at {until}");
        return Err(problem(path, message).hint("issue a new one with the network's CA"));
    }
    if now.plus_secs(limits::CLOCK_TOLERANCE_SECS) < from {
        let message = format!("the certificate is valid from {from} only");
        return Err(problem(path, message).hint("look at this machine's clock"));
    }
    Ok(())
}

/// The list in an access body's file, if one is named.
fn revocations(body: &AccessBody) -> Option<Result<SignedRevocations, Problem>> {
    let path = body.revocations_file.as_ref()?;
    let read = || {
        let key = "access_body.revocations_file";
        let text = public_text(path, 2 * limits::REVOCATIONS_BYTES).map_err(|p| named(p, key))?;
        let wrong = |error: PublicError| problem(path, error.message).hint("`bocage permit list` signs one");
        let signed = SignedRevocations::from_text(&text).map_err(wrong)?;
        if signed.verify().map_err(wrong)?.issuer != body.key {
            let message = format!("this is not a list of the access body {}", body.name);
            return Err(problem(path, message).hint("the key in [[access_body]] is the one that signs its lists"));
        }
        Ok(signed)
    };
    Some(read())
}

fn contracts(dir: &Path, problems: &mut Problems) -> BTreeMap<ContractId, KnownContract> {
    let mut contracts = BTreeMap::new();
    let files = match contract_files(dir) {
        Ok(files) if files.is_empty() => {
            problems.push(problem(dir, "there is no contract").hint("put at least one contract (*.toml) there"));
            files
        }
        Ok(files) => files,
        Err(e) => {
            problems
                .push(named(problem(dir, format_args!("cannot be read: {}", unreadable(e.kind()))), "contracts.dir"));
            vec![]
        }
    };
    for path in files {
        let Some(text) = collect(public_text(&path, limits::CONTRACT_TEXT_BYTES), problems) else { continue };
        match parse(&text, &path.display().to_string()) {
            Err(wrong) => problems.extend(wrong),
            Ok(contract) => {
                let id = contract.id().clone();
                let known = KnownContract { hash: contract.hash(), contract: Arc::new(contract), text };
                if contracts.insert(id.clone(), known).is_some() {
                    problems.push(problem(&path, format_args!("contract {id} is there twice")));
                }
            }
        }
    }
    contracts
}

fn contract_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)?.take(CONTRACTS) {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bocage_net::certificates::Authority;
    use bocage_net::env::SystemEntropy;
    use bocage_net::secret::write_secret;

    use super::*;
    use crate::bench::{CONTRACT, START, config};

    /// A folder with every file that the test configuration names.
    fn folder() -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let (network, mut entropy) = ("heart-demo".parse().unwrap(), SystemEntropy);
        let root = Authority::new_root(&network, START, &mut entropy).unwrap();
        let issuing = root.issue_intermediate(&network, START, &mut entropy).unwrap();
        let own = issuing.issue_coordinator(&[], START, 30, &mut entropy).unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("ca.pem"), root.certificate_pem()).unwrap();
        std::fs::write(path("cert.pem"), &own.chain_pem).unwrap();
        write_secret(&path("key.pem"), own.key_pem.as_bytes()).unwrap();
        std::fs::create_dir(path("contracts")).unwrap();
        std::fs::write(path("contracts/heart.toml"), CONTRACT).unwrap();
        let (cert_file, key_file) = (path("cert.pem"), path("key.pem"));
        let config = Config { api_tls: Some(ApiTls { cert_file, key_file }), ..config(dir.path()) };
        (dir, config)
    }

    #[test]
    fn everything_that_the_configuration_names_is_read() {
        let (_dir, config) = folder();
        let setup = Setup::load(&config, START.plus_secs(3600)).unwrap();
        assert!(setup.api_tls.is_some());
        assert_eq!(setup.contracts.len(), 1);
    }

    #[test]
    fn an_expired_certificate_and_an_open_key_are_named() {
        let (dir, config) = folder();
        let expired = Setup::load(&config, START.plus_secs(31 * 86_400)).unwrap_err().to_string();
        assert!(expired.contains("cert.pem: the certificate expired at "), "{expired}");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(dir.path().join("key.pem"), open).unwrap();
        let text = Setup::load(&config, START).unwrap_err().to_string();
        assert!(text.contains("key.pem: others may read this secret (mode 0644)\n  hint: chmod 600 "), "{text}");
    }

    #[test]
    fn the_key_that_signs_results_is_none_before_the_first_start_and_is_looked_at_from_then_on() {
        let (_dir, config) = folder();
        assert_eq!(Setup::load(&config, START).unwrap().publisher, None);
        std::fs::create_dir(&config.state_dir).unwrap();
        let made = Publisher::open(&config.state_dir, &mut SystemEntropy).unwrap().key();
        assert_eq!(Setup::load(&config, START).unwrap().publisher, Some(made));
        let file = Publisher::file(&config.state_dir);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        let text = Setup::load(&config, START).unwrap_err().to_string();
        assert!(text.contains("publisher.key: others may read this secret (mode 0604)"), "{text}");
    }

    #[test]
    fn an_interface_with_anothers_key_or_none_at_all_is_no_interface() {
        let (dir, config) = folder();
        let (network, mut entropy) = ("heart-demo".parse().unwrap(), SystemEntropy);
        let other = Authority::new_root(&network, START, &mut entropy).unwrap();
        write_secret(&dir.path().join("other.pem"), other.key_pem().as_bytes()).unwrap();
        write_secret(&dir.path().join("none.pem"), b"no key").unwrap();
        for (file, says) in [
            ("other.pem", "cert.pem: the private key does not belong to the certificate"),
            ("none.pem", "cert.pem: not a private key in PEM form"),
            ("nowhere.pem", "hint: api.key_file in coordinator.toml names it"),
        ] {
            let tls = ApiTls { key_file: dir.path().join(file), ..config.api_tls.clone().unwrap() };
            let text = Setup::load(&Config { api_tls: Some(tls), ..config.clone() }, START).unwrap_err().to_string();
            assert!(text.contains(says), "{says}\nnot in\n{text}");
        }
    }

    #[test]
    fn every_bad_contract_is_reported_and_the_good_ones_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let good = "id = \"heart@1\"\nsubject = \"row\"\n[[column]]\nname = \"sick\"\ntype = \"bool\"\n";
        std::fs::write(dir.path().join("a.toml"), good).unwrap();
        std::fs::write(dir.path().join("b.toml"), good).unwrap();
        std::fs::write(dir.path().join("c.toml"), "id = 1").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "no contract").unwrap();
        let mut problems = Problems::default();
        let found = contracts(dir.path(), &mut problems);
        assert_eq!(found.len(), 1);
        let text = problems.to_string();
        assert!(text.contains("b.toml: contract heart@1 is there twice"), "{text}");
        assert!(text.contains("c.toml: "), "{text}");
    }
}
