//! The two halves of a key, as age spells them: `age1…` and `AGE-SECRET-KEY-1…`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use bech32::{Bech32, Hrp};
use bocage_net::env::SystemEntropy;
use bocage_net::secret::{SecretError, read_secret_text, write_secret};
use bocage_protocol::env::Entropy as _;
use curve25519_dalek::MontgomeryPoint;
use zeroize::{Zeroize as _, Zeroizing};

use super::SealError;

/// A file of identities is far smaller.
const IDENTITY_BYTES: usize = 64 << 10;
/// So many public keys that each open a backup, and identities of one file.
pub const RECIPIENTS: usize = 32;

const PUBLIC: Hrp = Hrp::parse_unchecked("age");
const SECRET: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// A public key to which backups are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(pub(super) [u8; 32]);

impl FromStr for Recipient {
    type Err = SealError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(PUBLIC, text.trim()).map(|bytes| Self(*bytes)).ok_or(SealError::Recipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode_lower::<Bech32>(PUBLIC, &self.0).map_err(|_| fmt::Error)?)
    }
}

/// A secret half.
pub(super) struct Identity(pub(super) Zeroizing<[u8; 32]>);

impl Identity {
    /// Its public half.
    pub(super) fn recipient(&self) -> Recipient {
        Recipient(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes())
    }

    fn parse(text: &str) -> Option<Self> {
        decode(SECRET, text).map(Self)
    }
}

/// The secret halves that open a backup.
pub struct Identities(pub(super) Vec<Identity>);

impl Identities {
    /// Reads a file as `age-keygen` writes it, which nobody else may read.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it holds something else.
    pub fn read(file: &Path) -> Result<Self, SealError> {
        let text = read_secret_text(file, IDENTITY_BYTES)?;
        let name = || file.display().to_string();
        let mut identities = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = Identity::parse(line).filter(|_| identities.len() < RECIPIENTS);
            identities.push(identity.ok_or_else(|| SealError::Identity { file: name(), line: index + 1 })?);
        }
        if identities.is_empty() { Err(SealError::NoIdentity { file: name() }) } else { Ok(Self(identities)) }
    }
}

/// Makes a pair, writes the secret half into a new file of mode 0600, and returns the public one.
///
/// # Errors
/// The file exists or cannot be written.
pub fn generate(file: &Path) -> Result<Recipient, SecretError> {
    let mut secret = Zeroizing::new([0; 32]);
    SystemEntropy.fill(secret.as_mut_slice());
    let identity = Identity(secret);
    let recipient = identity.recipient();
    let spelt = bech32::encode_upper::<Bech32>(SECRET, identity.0.as_slice()).map(Zeroizing::new).unwrap_or_default();
    let text = Zeroizing::new(format!("# public key: {recipient}\n{}\n", *spelt));
    write_secret(file, text.as_bytes())?;
    Ok(recipient)
}

/// 32 bytes under this prefix, with the checksum that age uses and no other.
fn decode(prefix: Hrp, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(text).ok()?;
    if checked.hrp() != prefix {
        return None;
    }
    let mut bytes: Vec<u8> = checked.byte_iter().collect();
    let found = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).ok();
    bytes.zeroize();
    found
}
