//! Whether the world is as the configuration says: files are there, secrets are secret, the certificate is this site's and in time, and
//! every dataset's source fits its contract. It reads keys only to see that they are keys.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use bocage_keep::doctor::machine;
use bocage_net::Identity;
use bocage_net::env::SystemClock;
use bocage_net::secret::{SecretError, read_secret_text};
use bocage_net::settings::unreadable;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::limits::SECRET_FILE_BYTES;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::SecretKey;
use rustix::fs::{Access, access};
use rustix::process::{getegid, geteuid, getgroups};
use zeroize::Zeroizing;

use super::sections::Draft;
use super::{Dataset, Group, StateDir, Tls};
use crate::custodian::optout::{List, OptOutSpec, numbers_only};
use crate::custodian::source::{Mapping, Opened, SourceError};

/// Certificates and keys are far smaller.
pub const PEM_BYTES: usize = 64 << 10;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What a node cannot start without: keys, and a certificate of its own. An expired certificate or a missing source is no reason to
    /// stay down: the ledger answers without either.
    ToStart,
    /// Everything.
    Everything,
}

/// Adds every problem of the environment to the draft's.
pub(super) fn look(draft: &mut Draft, depth: Depth, now: Timestamp) {
    let mut look = Look { file: draft.file.clone(), problems: std::mem::take(&mut draft.problems) };
    if let Some(tls) = &draft.tls {
        look.certificate(tls, draft.site.as_ref().map(|s| s.as_str()), depth, now);
    }
    if let Some(proxy) = draft.coordinator.as_ref().and_then(|coordinator| coordinator.proxy.as_ref()) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        if let Err((key, message, hint)) = proxy.read(&clock) {
            look.problem(key, message, hint);
        }
    }
    if let Some(path) = &draft.release_key_file {
        look.release_key(path);
    }
    if let Some(group) = draft.steward.as_ref().and_then(|steward| steward.group.as_ref()) {
        look.group(group);
    }
    if depth == Depth::Everything {
        if let Some(state) = &draft.state {
            look.state(state);
        }
        if let Some(program) = draft.steward.as_ref().and_then(|steward| steward.notify_command.first()) {
            look.notify_command(program);
        }
        draft.datasets.values().for_each(|dataset| look.dataset(dataset));
        if let Some(optouts) = &draft.optouts {
            look.optouts(optouts, numbers_only(draft.datasets.values()));
        }
        for (name, server) in &draft.fhir_servers {
            for (key, error) in server.look() {
                look.problem(&format!("fhir_server.{name}.{key}"), error.to_string(), error.hint());
            }
        }
    }
    draft.problems = look.problems;
}

/// Adds what is wrong with the rules of the draft's datasets, wherever their sources are. Where the columns are said without the source, that is everything.
pub(super) fn foresee(draft: &mut Draft) {
    for Dataset { spec, contract, .. } in draft.datasets.values() {
        let found = match spec.source.declared().map(|columns| Mapping::bind(spec, contract, &columns)) {
            Some(Err(SourceError::Mapping(problems))) => problems,
            Some(_) => Problems::default(),
            None => Mapping::foreseen(spec, contract),
        };
        draft.problems.extend(found);
    }
}

/// The release key.
///
/// # Errors
/// A sentence and a hint.
pub fn read_release_key(path: &Path) -> Result<SecretKey, (String, String)> {
    let text = read_secret_text(path, PEM_BYTES).map_err(secret_problem)?;
    SecretKey::from_text(&text).map_err(|e| {
        (format!("{}: {e}", path.display()), "`bocage network init` makes a release key for every site".to_owned())
    })
}

/// The agent's identity.
///
/// # Errors
/// The key of the configuration that is to blame, a sentence and a hint.
pub fn read_identity(tls: &Tls) -> Result<Identity, (&'static str, String, String)> {
    let open = |path: &Path, key| {
        std::fs::read_to_string(path).map_err(|e| {
            let message = format!("cannot read {}: {}", path.display(), unreadable(e.kind()));
            (key, message, "relative paths are relative to node.toml".to_owned())
        })
    };
    let chain = open(&tls.cert_file, "tls.cert_file")?;
    let roots = open(&tls.ca_file, "tls.ca_file")?;
    if is_certificate_alone(&tls.key_file) {
        let message = format!("{} holds a certificate and no key", tls.key_file.display());
        let hint = "name the file that begins with -----BEGIN PRIVATE KEY-----; the certificate's is tls.cert_file";
        return Err(("tls.key_file", message, hint.to_owned()));
    }
    let key = read_secret_text(&tls.key_file, PEM_BYTES).map_err(|e| {
        let (message, hint) = secret_problem(e);
        ("tls.key_file", message, hint)
    })?;
    Identity::from_pem(&chain, &key, &roots).map_err(|e| {
        let hint = "ask the network's coordinator for this site's folder again";
        ("tls", format!("certificate, key and CA do not fit together: {e}"), hint.to_owned())
    })
}

/// Whether a file that should be a key's was mixed up with a certificate's, whose mode need not be a secret's.
fn is_certificate_alone(path: &Path) -> bool {
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(PEM_BYTES as u64).read_to_string(&mut text));
    read.is_ok() && text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY-----")
}

/// A secret's error as message and hint.
pub(super) fn secret_problem(error: SecretError) -> (String, String) {
    let text = error.to_string();
    match text.split_once("\n  hint: ") {
        Some((message, hint)) => (message.to_owned(), hint.to_owned()),
        None => (text, "a key is a file that only the node's user may read".to_owned()),
    }
}

struct Look {
    file: String,
    problems: Problems,
}

impl Look {
    fn problem(&mut self, key: &str, message: String, hint: impl Into<String>) {
        self.problems.push(Problem::new(&self.file, key, message).hint(hint));
    }

    /// What is free there is no matter of the configuration.
    fn state(&mut self, state: &StateDir) {
        if let Some(found) = machine::unwritable(&state.0) {
            self.problem("state_dir", found.what, found.fix.unwrap_or_default());
        }
    }

    fn certificate(&mut self, tls: &Tls, site: Option<&str>, depth: Depth, now: Timestamp) {
        let identity = match read_identity(tls) {
            Ok(identity) => identity,
            Err((key, message, hint)) => return self.problem(key, message, hint),
        };
        match identity.site() {
            Ok(named) if site.is_none_or(|site| named.as_str() == site) => {}
            Ok(named) => {
                let message = format!("the certificate is for site {named}");
                self.problem("tls.cert_file", message, "copy this site's own folder, or correct `site`");
            }
            Err(error) => self.problem("tls.cert_file", error.to_string(), "a node needs a site's certificate"),
        }
        if depth == Depth::ToStart {
            return;
        }
        if now > identity.valid_until() {
            let message = format!("the certificate expired at {}", identity.valid_until());
            self.problem("tls.cert_file", message, "ask the network's coordinator for a new one");
        } else if now < identity.valid_from() {
            let message = format!("the certificate is valid from {} on", identity.valid_from());
            self.problem("tls.cert_file", message, "compare this machine's clock with the time");
        }
    }

    fn release_key(&mut self, path: &Path) {
        if let Err((message, hint)) = read_release_key(path) {
            self.problem("release.key_file", message, hint);
        }
    }

    /// The node's user gives the admin socket to the group, which only its members can.
    fn group(&mut self, group: &Group) {
        let own = || std::iter::once(getegid()).chain(getgroups().unwrap_or_default());
        if !geteuid().is_root() && !own().any(|gid| gid.as_raw() == group.id) {
            let message = format!("this user is not a member of {group}");
            let hint = "add the node's user to the group, and run the command as that user";
            self.problem("steward.group", message, hint);
        }
    }

    fn notify_command(&mut self, program: &str) {
        let path = Path::new(program);
        // What is no absolute path was reported when it was read.
        if path.is_absolute() && !(path.is_file() && access(path, Access::EXEC_OK).is_ok()) {
            let what = if path.exists() { "cannot be executed" } else { "is not there" };
            let hint =
                "a program with an absolute path that the node's user may run; nobody is told of studies otherwise";
            self.problem("steward.notify_command", format!("{program} {what}"), hint);
        }
    }

    fn optouts(&mut self, spec: &OptOutSpec, numbers: bool) {
        if let Err(error) = List::read(spec, numbers) {
            let text = error.to_string();
            let (message, hint) = text.split_once("\n  hint: ").unwrap_or((&text, "no study is answered without it"));
            self.problem("optouts.source", message.to_owned(), hint);
        }
        if let Some(Err(error)) = spec.salt_file.as_ref().map(|path| read_secret_text(path, SECRET_FILE_BYTES)) {
            let (message, hint) = secret_problem(error);
            self.problem("optouts.salt_file", message, hint);
        }
    }

    fn dataset(&mut self, dataset: &Dataset) {
        let bound = Opened::open(&dataset.spec.source).and_then(|opened| {
            let mapping = Mapping::bind(&dataset.spec, &dataset.contract, &opened.columns())?;
            opened.readable(&mapping)
        });
        match bound {
            Ok(()) => {}
            Err(SourceError::Mapping(problems)) => self.problems.extend(problems),
            Err(error) => {
                let key = format!("dataset.{}.source", dataset.name);
                let text = error.to_string();
                let described = format!("the source is described in [{key}]");
                let (message, hint) = text.split_once("\n  hint: ").unwrap_or((&text, &described));
                self.problem(&key, message.to_owned(), hint);
                // Without the source's columns, much of the rules can be looked at all the same.
                self.problems.extend(Mapping::foreseen(&dataset.spec, &dataset.contract));
            }
        }
    }
}
