//! An invitation: what a hospital gets to enrol with, in one file. It holds a one-time token, so it is a secret until it is used; and it says
//! whom the new site will trust, so whoever takes it must know where it comes from.
//!
//! The coordinator keeps a hash of the token alone: what it has lost enrols nobody.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::canonical::canonical;
use super::keys::PublicKey;
use super::permit::PermitMode;
use crate::contract::{self, Contract};
use crate::env::{Entropy, Timestamp};
use crate::error::{ErrorCode, PublicError};
use crate::front::toml_problem;
use crate::ids::{ContractId, Digest, NetworkId, SiteId};
use crate::limits;
use crate::marks::{one_line, steers};
use crate::settings::{Problem, Problems};

/// The form of the file.
pub const INVITATION_FORMAT: u32 = 1;
/// Before the token's digits, so that it is known for what it is where it turns up.
const TOKEN: &str = "bocage_invitation_";
const TOKEN_DOMAIN: &str = "bocage/invitation/1";
const SEAL_DOMAIN: &str = "bocage/invited/1";

/// What proves that one was invited: 256 random bits. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct InvitationToken(Zeroizing<[u8; 32]>);

/// The text is no token. It is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an invitation's token: expected `{TOKEN}` and 64 hexadecimal digits")]
pub struct NoToken;

impl InvitationToken {
    /// A new one.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut());
        Self(bytes)
    }

    /// What is kept of it. A random text of this length cannot be found from its hash.
    pub fn hash(&self) -> Digest {
        Digest::of(TOKEN_DOMAIN, &[self.0.as_slice()])
    }
}

impl fmt::Debug for InvitationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationToken(…)")
    }
}

impl FromStr for InvitationToken {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        let digits = text.trim().strip_prefix(TOKEN).ok_or(NoToken)?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| NoToken)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for InvitationToken {
    type Error = NoToken;
    fn try_from(text: String) -> Result<Self, NoToken> {
        Zeroizing::new(text).parse()
    }
}

impl From<InvitationToken> for String {
    fn from(token: InvitationToken) -> String {
        format!("{TOKEN}{}", hex::encode(token.0.as_slice()))
    }
}

/// An access body that the network trusts, as a new site is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitedBody {
    /// For people.
    pub name: String,
    /// What signs its permits.
    pub key: PublicKey,
    /// How exact the network asks the site's answers to be.
    pub mode: PermitMode,
}

/// A contract of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitedContract {
    /// Its id, which the text says too.
    pub id: ContractId,
    /// The text, as its authors wrote it.
    pub text: String,
}

/// See the module. What it holds is well-formed once [`Invitation::parse`] has read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// [`INVITATION_FORMAT`].
    pub format: u32,
    /// Whose invitation.
    pub network: NetworkId,
    /// Who is invited.
    pub site: SiteId,
    /// Its name for people.
    pub name: String,
    /// Where its node reaches the coordinator by QUIC: `HOST:PORT`.
    pub quic: String,
    /// Where by TCP, which is how it enrols.
    pub tcp: String,
    /// Good once.
    pub token: InvitationToken,
    /// Until then.
    pub expires_at: Timestamp,
    /// What people compare: the digest of all that the file says, but this and the token ([`Invitation::sealed`]).
    pub fingerprint: String,
    /// The k that the network proposes.
    pub threshold: u32,
    /// What else it proposes of the site's `[policy]`, as `node.toml` spells it. What these words mean, and whether they can be, its node says.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub policy: serde_json::Map<String, serde_json::Value>,
    /// The network's roots, in PEM.
    pub roots: String,
    /// Whose permits the network goes by.
    #[serde(default, rename = "access_body")]
    pub access_bodies: Vec<InvitedBody>,
    /// The network's contracts.
    #[serde(default, rename = "contract")]
    pub contracts: Vec<InvitedContract>,
}

impl Invitation {
    /// The file's text, comments first. Everything goes through serialisation, so that no name can become syntax.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn to_text(&self) -> Result<String, Problems> {
        let unwritable = |error: toml::ser::Error| Problem::new("invitation", "", error.to_string());
        let body = toml::to_string_pretty(self).map_err(unwritable)?;
        Ok(format!(
            "# An invitation of site {site} ({name}) to the network {network}, good once, until {until}.\n\
             # It holds a secret: hand it to the hospital by a way that nobody else reads, and there type\n\
             #     bocage node enrol FILE --dir DIR\n\
             # and compare the fingerprint with whoever sent it.\n\n{body}",
            site = self.site,
            name = one_line(&self.name),
            network = self.network,
            until = self.expires_at,
        ))
    }

    /// The same with its fingerprint: whom the new site will trust, where it goes and how it starts cannot be changed under it. The token is no part of
    /// it: that is between the site and the coordinator.
    ///
    /// # Errors
    /// It cannot be written as canonical JSON.
    pub fn sealed(mut self) -> Result<Self, PublicError> {
        self.fingerprint = self.digest()?;
        Ok(self)
    }

    /// Whether it says what it said when it was sealed.
    pub fn is_as_sealed(&self) -> bool {
        self.digest().is_ok_and(|digest| digest == self.fingerprint)
    }

    fn digest(&self) -> Result<String, PublicError> {
        let wrong = |_| PublicError::new(ErrorCode::Malformed, "the invitation cannot be written as JSON");
        let mut said = serde_json::to_value(self).map_err(wrong)?;
        if let Some(said) = said.as_object_mut() {
            said.remove("token");
            said.remove("fingerprint");
        }
        Ok(Digest::of(SEAL_DOMAIN, &[&canonical(&said)?]).to_string())
    }

    /// Reads a file's text, with its contracts.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, file: &str) -> Result<(Self, Vec<Contract>), Problems> {
        let hint = "ask whoever sent the invitation for the file as `bocage network invite` wrote it";
        let wrong = |key: &str, message: String| Problems::from(Problem::new(file, key, message).hint(hint));
        if text.len() > limits::INVITATION_BYTES {
            return Err(wrong("", format!("larger than {} bytes", limits::INVITATION_BYTES)));
        }
        let format = toml::from_str::<Format>(text).map_err(|error| toml_problem(text, file, &error).hint(hint))?;
        if format.format != INVITATION_FORMAT {
            let message = format!("of form {}, and this version reads form {INVITATION_FORMAT}", format.format);
            return Err(Problem::new(file, "format", message).hint("install the version that the network uses").into());
        }
        let read: Self = toml::from_str(text).map_err(|error| toml_problem(text, file, &error).hint(hint))?;
        let names = read.access_bodies.iter().map(|body| &body.name).chain([&read.name]);
        if names.into_iter().any(|name| name.len() > limits::LABEL_BYTES || name.contains(steers)) {
            return Err(wrong("name", format!("a name is one line of at most {} bytes", limits::LABEL_BYTES)));
        }
        for (key, address) in [("quic", &read.quic), ("tcp", &read.tcp)] {
            if !is_address(address) {
                return Err(wrong(key, "not an address of the form HOST:PORT".to_owned()));
            }
        }
        if read.access_bodies.len() > limits::ACCESS_BODIES || read.contracts.len() > limits::KNOWN_CONTRACTS {
            return Err(wrong("", "it names more access bodies or contracts than a network has".to_owned()));
        }
        let mut contracts = Vec::new();
        for (index, invited) in read.contracts.iter().enumerate() {
            let contract = contract::parse(&invited.text, &format!("{file}: contract {}", invited.id))?;
            if *contract.id() != invited.id {
                return Err(wrong(&format!("contract[{index}].id"), format!("the text is {}'s", contract.id())));
            }
            contracts.push(contract);
        }
        Ok((read, contracts))
    }
}

/// What a file of any form says.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Whether a text is `HOST:PORT` with a port that can be dialled.
pub fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let parts = text.rsplit_once(':');
    text.len() <= limits::LABEL_BYTES
        && text.chars().all(plain)
        && parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fixed;
    use crate::trust::SecretKey;

    const CONTRACT: &str = "id = \"heart@1\"\nsubject = \"row\"\n[[column]]\nname = \"sick\"\ntype = \"bool\"\nlabel = '''a \"b\" \\ c'''\n";

    fn invitation() -> Invitation {
        Invitation {
            format: INVITATION_FORMAT,
            network: "north".parse().unwrap(),
            site: "aa".parse().unwrap(),
            name: "A \"quoted\"\n[token]".replace('\n', " "),
            quic: "coordinator.example.org:4433".into(),
            tcp: "[2001:db8::1]:443".into(),
            token: InvitationToken::generate(&mut Fixed(3)),
            expires_at: Timestamp(1_790_000_000_000),
            fingerprint: "ab".repeat(32),
            threshold: 11,
            policy: serde_json::Map::from_iter([
                ("decide".to_owned(), "ask".into()),
                ("quiet".to_owned(), serde_json::json!([{ "from": "22:00", "to": "06:00" }])),
            ]),
            roots: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n".into(),
            access_bodies: vec![InvitedBody {
                name: "Body".into(),
                key: SecretKey::generate(&mut Fixed(4)).public(),
                mode: PermitMode::Round,
            }],
            contracts: vec![InvitedContract { id: "heart@1".parse().unwrap(), text: CONTRACT.into() }],
        }
    }

    fn problem(change: impl FnOnce(&mut Invitation)) -> String {
        let mut changed = invitation();
        change(&mut changed);
        Invitation::parse(&changed.to_text().unwrap(), "aa.invite").unwrap_err().to_string()
    }

    #[test]
    fn nothing_that_a_site_would_trust_can_be_changed_under_a_fingerprint() {
        let sealed = invitation().sealed().unwrap();
        assert!(sealed.is_as_sealed());
        let other = InvitationToken::generate(&mut Fixed(9));
        assert!(Invitation { token: other, ..sealed.clone() }.is_as_sealed(), "the token is the coordinator's matter");
        let changes: [fn(&mut Invitation); 8] = [
            |i| i.roots.push_str("-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n"),
            |i| i.access_bodies[0].key = SecretKey::generate(&mut Fixed(5)).public(),
            |i| i.threshold = 3,
            |i| drop(i.policy.insert("decide".to_owned(), "auto".into())),
            |i| i.quic = "elsewhere.example.org:4433".into(),
            |i| i.tcp = "elsewhere.example.org:443".into(),
            |i| i.contracts.clear(),
            |i| i.site = "bb".parse().unwrap(),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut changed = sealed.clone();
            change(&mut changed);
            assert!(!changed.is_as_sealed(), "{n}");
        }
    }

    #[test]
    fn an_invitation_reads_back_from_its_file_with_its_contracts() {
        let text = invitation().to_text().unwrap();
        let (read, contracts) = Invitation::parse(&text, "aa.invite").unwrap();
        assert_eq!(read, invitation());
        assert_eq!(contracts[0].id().to_string(), "heart@1");
        assert!(text.starts_with("# An invitation of site aa"));
    }

    #[test]
    fn a_token_is_shown_nowhere_but_in_its_file_and_kept_as_a_hash() {
        let token = InvitationToken::generate(&mut Fixed(3));
        assert!(!format!("{token:?} {:?}", invitation()).contains("0303"));
        let text = String::from(token.clone());
        assert!(text.starts_with("bocage_invitation_0303"));
        assert_eq!(text.parse::<InvitationToken>().unwrap().hash(), token.hash());
        assert_ne!(token.hash(), InvitationToken::generate(&mut Fixed(4)).hash());
        for bad in ["", "bocage_invitation_", "bocage_invitation_03", &text[1..], &format!("{text}03")] {
            assert!(bad.parse::<InvitationToken>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_no_coordinator_writes_is_refused_with_its_place() {
        assert!(problem(|i| i.format = 2).contains("format: of form 2, and this version reads form 1"));
        assert!(problem(|i| i.tcp = "host:0".into()).contains("tcp: not an address"));
        assert!(problem(|i| i.quic = "ho\"st:1".into()).contains("quic: not an address"));
        assert!(problem(|i| i.name = "a\u{202e}b".into()).contains("name: a name is one line"));
        assert!(problem(|i| i.contracts[0].id = "other@1".parse().unwrap()).contains("the text is heart@1's"));
        assert!(problem(|i| i.contracts[0].text = "id = 1".into()).contains("aa.invite: contract heart@1"));
        let cut = &invitation().to_text().unwrap()[..400];
        assert!(Invitation::parse(cut, "aa.invite").unwrap_err().to_string().contains("hint: ask whoever sent"));
        assert!(Invitation::parse("<html>", "aa.invite").is_err());
    }
}
