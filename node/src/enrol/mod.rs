//! `bocage-node enrol`: from an invitation to a folder that a node runs from. Both keys are made here and stay here.
//!
//! ```text
//! invitation ─▶ Draft: keys, durable ─▶ TLS to the coordinator, held against the invitation's roots
//!            ─▶ one request, one answer ─▶ the certificate is verified ─▶ node.toml, contracts ─▶ renamed into place
//! ```
//! Whatever interrupts it once something was sent, the same command goes on with the same keys, as long as the invitation is good. Nothing half-made is
//! ever in the folder's place.

mod draft;
mod exchange;
mod node_file;
mod proposal;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bocage_net::certificates::COORDINATOR_NAME;
use bocage_net::frame::FrameError;
use bocage_net::identity::CertificateError;
use bocage_net::secret::SecretError;
use bocage_net::tcp::{Credentials, Proxy, ProxyUrl, Route, connect_to_enrol};
use bocage_net::{ConnectError, transport::CertificateFault};
use bocage_protocol::PublicError;
use bocage_protocol::contract::Contract;
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::limits::{CLOCK_TOLERANCE_SECS, INVITATION_BYTES};
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::{Invitation, KeyProblem};

use zeroize::Zeroizing;

use self::draft::{Draft, Keys};

pub use node_file::{NodeFile, ProxySaid, Trusted, UnitPlaces};
pub use proposal::{MORE, Proposal};

/// Beside `node.toml`, where the way leads through a proxy.
const PROXY_PASSWORD: &str = "proxy.password";
const PROXY_CA: &str = "proxy-ca.pem";

/// Why a site did not enrol. Keys that the coordinator may know stay where they are for the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The invitation's file cannot be read, or others may read it.
    #[error(transparent)]
    File(#[from] SecretError),
    /// It is not an invitation.
    #[error(transparent)]
    Invitation(#[from] Problems),
    /// Its time is over.
    #[error("the invitation expired at {0}")]
    Expired(Timestamp),
    /// The folder of an interrupted enrolment is somebody else's, or others may write there.
    #[error("{}: this folder of keys is not this user's alone", .0.display())]
    ForeignDraft(PathBuf),
    /// It does not say what it said when it was made.
    #[error("the invitation was altered: it does not say what its fingerprint stands for")]
    Altered,
    /// It proposes a policy that cannot be written down.
    #[error("the invitation's policy.{key} is no value that node.toml can have")]
    Policy {
        /// The key.
        key: String,
    },
    /// There is a node in the folder.
    #[error("{} holds a node already", .0.display())]
    HasNode(PathBuf),
    /// There is something in the folder.
    #[error("{} exists and is not an empty folder", .0.display())]
    NotEmpty(PathBuf),
    /// It cannot have a name beside it.
    #[error("{} is not a folder that can be made", .0.display())]
    NoFolder(PathBuf),
    /// An attempt for another site was interrupted here.
    #[error("{} has the keys of {whose}, whose enrolment was interrupted", .dir.display())]
    OtherDraft {
        /// The draft.
        dir: PathBuf,
        /// Network and site.
        whose: String,
    },
    /// The operating system refused.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A key of an earlier attempt is none.
    #[error("{}: {problem}", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// The proxy cannot be used.
    #[error("the proxy cannot be used: {reason}")]
    Proxy {
        /// Why not.
        reason: String,
    },
    /// A key cannot be made or used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The coordinator was not reached, or is another one.
    #[error("cannot reach the coordinator at {address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// Why not.
        source: ConnectError,
    },
    /// The connection broke.
    #[error("the coordinator did not answer: {0}")]
    Lost(#[from] FrameError),
    /// The coordinator says no.
    #[error("{0}")]
    Refused(PublicError),
    /// The clocks differ.
    #[error("this machine's clock is {} s {} the coordinator's", .skew_secs.abs(), if *.skew_secs > 0 { "ahead of" } else { "behind" })]
    Clock {
        /// Ours minus theirs.
        skew_secs: i64,
    },
    /// What the coordinator gave is of no use.
    #[error("the certificate that the coordinator gave is not usable: {reason}")]
    BadChain {
        /// Why not.
        reason: String,
    },
}

impl EnrolError {
    /// What to do about it, where the message does not say it.
    pub fn hint(&self) -> Option<String> {
        let again = "ask whoever sent the invitation for a new one: `bocage network invite SITE`";
        let clock = "set this machine's clock (NTP), then give the same command again";
        Some(match self {
            EnrolError::Expired(_) => format!("{again}; if its day is still to come, set this machine's clock"),
            EnrolError::Altered => again.to_owned(),
            EnrolError::Policy { .. } => format!("its operator mends [invitations.policy] in coordinator.toml; then {again}"),
            EnrolError::ForeignDraft(_) => {
                "look who made it; remove it, and enrol into a folder whose parent only this user may write".to_owned()
            }
            EnrolError::HasNode(dir) => {
                let file = dir.join("node.toml");
                format!("look at it with `bocage node check --config {}`, or name another folder: --dir DIR", file.display())
            }
            EnrolError::NotEmpty(_) | EnrolError::NoFolder(_) => "name a folder that does not exist: --dir DIR".to_owned(),
            EnrolError::OtherDraft { dir, .. } => {
                format!("name another folder: --dir DIR; or remove {} if those keys are not wanted", dir.display())
            }
            EnrolError::Key { file, .. } => format!("remove {}: a new key is made then", file.display()),
            EnrolError::Connect { source, .. } => return connecting(source).map(str::to_owned),
            EnrolError::Lost(_) => "give the same command again: it goes on with the same keys".to_owned(),
            EnrolError::Refused(error) => return error.hint.clone(),
            EnrolError::Clock { .. } => clock.to_owned(),
            EnrolError::BadChain { .. } => {
                "tell the network's operator: the coordinator's [issuing] may be of another root; or set this machine's clock".to_owned()
            }
            EnrolError::Proxy { .. } => "--proxy http://HOST:PORT; https:// needs --proxy-ca-file".to_owned(),
            EnrolError::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "the folder is made beside its place: name one within a folder that this user may write to".to_owned()
            }
            EnrolError::File(_) | EnrolError::Invitation(_) | EnrolError::Write { .. } | EnrolError::Certificate(_) => return None,
        })
    }
}

fn connecting(error: &ConnectError) -> Option<&'static str> {
    Some(match error {
        ConnectError::Resolve { .. } | ConnectError::Unreachable { .. } | ConnectError::Silent { .. } => {
            "outgoing TCP to this address must be allowed; if there is an HTTP proxy, name it: --proxy http://HOST:PORT"
        }
        ConnectError::PeerCertificate(CertificateFault::Expired | CertificateFault::NotYetValid) => {
            "look at this machine's clock first; if it is right, the coordinator's certificate ran out: tell its operator"
        }
        ConnectError::PeerCertificate(CertificateFault::UnknownIssuer) => {
            "whoever answers there is not the coordinator of the invitation's network: compare the address and the fingerprint with its operator"
        }
        ConnectError::PeerCertificate(_) => {
            "whoever answers there is not this network's coordinator: ask its operator for the address"
        }
        ConnectError::WrongProtocol => {
            "this coordinator enrols nobody: its operator sets [issuing] and [tcp] in coordinator.toml"
        }
        _ => return None,
    })
}

/// An invitation that was read, with its contracts.
#[derive(Debug)]
pub struct Invited {
    /// What it says.
    pub invitation: Invitation,
    /// Its contracts.
    pub contracts: Vec<Contract>,
    /// The policy that it proposes.
    pub proposal: Proposal,
}

impl Invited {
    /// Reads an invitation's file, which is a secret.
    ///
    /// # Errors
    /// It cannot be read, is none, is over, or proposes what cannot be written down.
    pub fn read(file: &Path, now: Timestamp) -> Result<Self, EnrolError> {
        let text = bocage_net::secret::read_secret_text(file, INVITATION_BYTES)?;
        let (invitation, contracts) = Invitation::parse(&text, &file.display().to_string())?;
        if !invitation.is_as_sealed() {
            return Err(EnrolError::Altered);
        }
        if now > invitation.expires_at.plus_secs(CLOCK_TOLERANCE_SECS) {
            return Err(EnrolError::Expired(invitation.expires_at));
        }
        let proposal = Proposal::of(&invitation)?;
        Ok(Self { invitation, contracts, proposal })
    }

    /// Enrols: makes `out`, which must not exist or be empty. `stream` is made once the keys are on the disk.
    ///
    /// # Errors
    /// [`EnrolError`]; then `out` is as it was.
    pub async fn enrol(
        &self,
        out: &Path,
        through: Option<&Through>,
        clock: Arc<dyn Clock>,
        entropy: &mut dyn Entropy,
    ) -> Result<PathBuf, EnrolError> {
        let proxy = through.map(|through| through.proxy(&clock)).transpose()?;
        let draft = Draft::open(out, &self.invitation)?;
        let keys = draft.keys(entropy)?;
        let address = self.invitation.tcp.clone();
        let route = Route { address: address.clone(), proxy };
        let connected = connect_to_enrol(&route, COORDINATOR_NAME, &self.invitation.roots, Arc::clone(&clock)).await;
        let mut stream = match connected {
            Ok(stream) => stream,
            Err(source) => {
                draft.abandon();
                return Err(EnrolError::Connect { address, source });
            }
        };
        self.finish(draft, &keys, &mut stream, through, clock.now()).await
    }

    /// What comes once there is a stream to the coordinator.
    async fn finish<S>(
        &self,
        draft: Draft,
        keys: &Keys,
        stream: &mut S,
        through: Option<&Through>,
        now: Timestamp,
    ) -> Result<PathBuf, EnrolError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let enrolled = match exchange::exchange(stream, &self.invitation, keys).await {
            Ok(enrolled) => enrolled,
            Err(refused @ EnrolError::Refused(_)) => {
                draft.abandon();
                return Err(refused);
            }
            Err(error) => return Err(error),
        };
        exchange::verify(&enrolled, &self.invitation, keys, now)?;
        draft.write("tls/cert.pem", &enrolled.chain, 0o644)?;
        draft.write("ca.pem", &self.invitation.roots, 0o644)?;
        for contract in &self.invitation.contracts {
            draft.write(&format!("contracts/{}.toml", contract.id), &contract.text, 0o644)?;
        }
        draft.folder("contracts")?;
        draft.folder("data")?;
        through.map_or(Ok(()), |through| through.keep(&draft))?;
        draft.write("node.toml", self.node_file(through).document().text(), 0o644)?;
        draft.publish()
    }

    fn node_file<'a>(&'a self, through: Option<&'a Through>) -> NodeFile<'a> {
        static NO_DATASETS: BTreeMap<String, toml::Table> = BTreeMap::new();
        let of = &self.invitation;
        let bodies = of.access_bodies.iter();
        NodeFile {
            network: &of.network,
            site: &of.site,
            name: &of.name,
            contact: None,
            places: None,
            quic: &of.quic,
            tcp: Some(&of.tcp),
            proxy: through.map(Through::said),
            policy: self.proposal.table().clone(),
            access_bodies: bodies.map(|b| Trusted { name: &b.name, key: b.key, mode: b.mode.as_str() }).collect(),
            researchers: Vec::new(),
            datasets: &NO_DATASETS,
            example: self.contracts.first(),
        }
    }
}

/// The HTTP proxy on the way to the coordinator.
pub struct Through {
    /// Its address, as it was given.
    pub url: String,
    /// User and password.
    pub credentials: Option<(String, Zeroizing<String>)>,
    /// The authorities that vouch for one with TLS.
    pub ca_pem: Option<String>,
}

impl Through {
    fn proxy(&self, clock: &Arc<dyn Clock>) -> Result<Proxy, EnrolError> {
        let url = self.url.parse::<ProxyUrl>().map_err(|reason| EnrolError::Proxy { reason: reason.to_owned() })?;
        let credentials = self.credentials.as_ref();
        let credentials = credentials.map(|(user, password)| Credentials::new(user.as_str(), password.clone()));
        let proxy = Proxy::new(&url, credentials.as_ref(), self.ca_pem.as_deref(), Arc::clone(clock));
        proxy.map_err(|_| EnrolError::Proxy { reason: "its certificate cannot be verified without ca_file".to_owned() })
    }

    /// Writes what the node needs to go the same way.
    fn keep(&self, draft: &Draft) -> Result<(), EnrolError> {
        if let Some((_, password)) = &self.credentials {
            draft.write(PROXY_PASSWORD, password, 0o600)?;
        }
        match &self.ca_pem {
            Some(ca) => draft.write(PROXY_CA, ca, 0o644),
            None => Ok(()),
        }
    }

    fn said(&self) -> ProxySaid<'_> {
        ProxySaid {
            url: &self.url,
            user: self.credentials.as_ref().map(|(user, _)| user.as_str()),
            password_file: self.credentials.as_ref().map(|_| PROXY_PASSWORD),
            ca_file: self.ca_pem.as_ref().map(|_| PROXY_CA),
        }
    }
}

#[cfg(test)]
mod tests;
