//! Ed25519 keys and signatures. Every signature covers a domain first, so that bytes of one kind never pass for another.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::env::Entropy;

const PUBLIC: &str = "ed25519:";
const SECRET: &str = "bocage-secret-key ed25519 ";

/// Why a text is not a key. The text is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not `ed25519:` and 44 characters of base64.
    #[error("not a public key: expected `ed25519:` followed by 44 characters of base64")]
    Public,
    /// Not a secret key file.
    #[error("not a secret key: expected `bocage-secret-key ed25519` followed by 44 characters of base64")]
    Secret,
    /// A point that makes weak signatures.
    #[error("not a safe public key: the point is of small order")]
    Weak,
}

/// Whom a signature is checked against. Written `ed25519:BASE64`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^ed25519:[A-Za-z0-9+/]{43}=$"))]
pub struct PublicKey(VerifyingKey);

/// What signs. It has no `Debug`, no `Clone` and is wiped when dropped.
pub struct SecretKey(SigningKey);

/// 64 bytes, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Za-z0-9+/]{86}==$"))]
pub struct Signature([u8; 64]);

impl SecretKey {
    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut());
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads what [`SecretKey::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, KeyProblem> {
        let encoded = text.trim().strip_prefix(SECRET).ok_or(KeyProblem::Secret)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded).map_err(|_| KeyProblem::Secret)?);
        let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyProblem::Secret)?);
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// One line of text for a file of mode 0600.
    pub fn to_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(self.0.to_bytes());
        let encoded = Zeroizing::new(BASE64.encode(seed.as_slice()));
        Zeroizing::new(format!("{SECRET}{}\n", encoded.as_str()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `bytes` under `domain`.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(&message(domain, bytes)).to_bytes())
    }

    /// A secret that depends on this key and `purpose` alone, e.g. to name things without giving their content away.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let seed = Zeroizing::new(self.0.to_bytes());
        Zeroizing::new(*crate::ids::Digest::of("bocage/derive/1", &[seed.as_slice(), purpose.as_bytes()]).as_bytes())
    }
}

impl PublicKey {
    /// Whether `signature` was made by this key over `bytes` under `domain`. Strict: one form of a signature only.
    pub fn verifies(&self, domain: &str, bytes: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(&message(domain, bytes), &signature).is_ok()
    }
}

fn message(domain: &str, bytes: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), &[0], bytes].concat()
}

impl FromStr for PublicKey {
    type Err = KeyProblem;
    fn from_str(text: &str) -> Result<Self, KeyProblem> {
        let encoded = text.trim().strip_prefix(PUBLIC).ok_or(KeyProblem::Public)?;
        let bytes = BASE64.decode(encoded).map_err(|_| KeyProblem::Public)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyProblem::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyProblem::Public)?;
        if key.is_weak() { Err(KeyProblem::Weak) } else { Ok(Self(key)) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", BASE64.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyProblem;
    fn try_from(text: String) -> Result<Self, KeyProblem> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for Signature {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let bytes = BASE64.decode(text).map_err(|_| "a signature is base64")?;
        Ok(Self(bytes.try_into().map_err(|_| "a signature has 64 bytes")?))
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        BASE64.encode(signature.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fixed;

    #[test]
    fn keys_read_back_and_a_signature_holds_for_its_domain_and_bytes_only() {
        let key = SecretKey::generate(&mut Fixed(7));
        let again = SecretKey::from_text(&key.to_text()).unwrap();
        let public: PublicKey = again.public().to_string().parse().unwrap();
        let signature = key.sign("a", b"bytes");
        assert!(public.verifies("a", b"bytes", &signature));
        assert!(!public.verifies("b", b"bytes", &signature));
        assert!(!public.verifies("a", b"Bytes", &signature));
        assert!(!SecretKey::generate(&mut Fixed(8)).public().verifies("a", b"bytes", &signature));
    }

    #[test]
    fn a_weak_or_cut_key_is_refused() {
        let weak = format!("ed25519:{}", BASE64.encode([0u8; 32]));
        assert_eq!(weak.parse::<PublicKey>(), Err(KeyProblem::Weak));
        assert_eq!("ed25519:AAAA".parse::<PublicKey>(), Err(KeyProblem::Public));
        assert!(SecretKey::from_text("ed25519:AAAA").is_err());
    }
}
