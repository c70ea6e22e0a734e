//! A token's text: 256 random bits behind a word that scanners of secrets can look for, and a checksum that tells a token from a slip.
//!
//! `bocage_` + 64 hexadecimal digits + the first 8 of SHA-256 over all before them. The bits are random, so one round of SHA-256 hides
//! them as well as any slow hash would.

use std::fmt;
use std::str::FromStr;

use bocage_protocol::env::Entropy;
use bocage_protocol::ids::TokenId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const PREFIX: &str = "bocage_";
const RANDOM_DIGITS: usize = 64;
const CHECK_DIGITS: usize = 8;
const LENGTH: usize = PREFIX.len() + RANDOM_DIGITS + CHECK_DIGITS;

/// A token. It has no `Display`, its `Debug` shows nothing, and it is wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new one.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut random = Zeroizing::new([0; RANDOM_DIGITS / 2]);
        entropy.fill(random.as_mut());
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(hex::encode(random.as_slice())));
        let check = check(&text);
        text.push_str(&check);
        Self(text)
    }

    /// The token in `text`, if it is one: of its form, and with its checksum.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.is_ascii() || !text.starts_with(PREFIX) {
            return None;
        }
        let (body, given) = text.split_at(LENGTH - CHECK_DIGITS);
        (check(body) == given).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// For whoever is to use it, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

fn check(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..CHECK_DIGITS / 2])
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// SHA-256 of a token's text, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// What people call the token: it says nothing about the token itself.
    pub fn id(&self) -> TokenId {
        // Twelve hexadecimal digits are an id by its rule.
        hex::encode(&self.0[..6]).parse().unwrap_or_else(|_| unreachable!("twelve hexadecimal digits"))
    }
}

/// In a time that does not depend on where two differ.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

/// The text is not a token's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token's hash: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl FromStr for TokenHash {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digits = text.strip_prefix("sha256:").ok_or(NotAHash)?;
        let mut bytes = [0; 32];
        let lower = !digits.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(NotAHash),
        }
    }
}

impl TryFrom<String> for TokenHash {
    type Error = NotAHash;
    fn try_from(text: String) -> Result<Self, NotAHash> {
        text.parse()
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> String {
        hash.to_string()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use bocage_net::env::SystemEntropy;

    use super::*;

    #[test]
    fn a_token_reads_back_and_a_slip_in_it_is_noticed() {
        let token = Token::generate(&mut SystemEntropy);
        let text = token.reveal();
        assert_eq!(Token::parse(text).unwrap().hash(), token.hash());
        for at in 0..text.len() {
            let mut slip = text.as_bytes().to_vec();
            slip[at] = if slip[at] == b'0' { b'1' } else { b'0' };
            assert!(Token::parse(std::str::from_utf8(&slip).unwrap()).is_none(), "at {at}");
        }
        for odd in ["", "bocage_", &text[1..], &format!("{text}0"), &text.to_uppercase(), &"é".repeat(LENGTH)] {
            assert!(Token::parse(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn nothing_shows_a_token_and_its_hash_is_what_sha256sum_says() {
        struct Fixed;
        impl Entropy for Fixed {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.fill(7);
            }
        }
        let token = Token::generate(&mut Fixed);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.reveal().len(), 79);
        let hash = token.hash();
        assert_eq!(hash.to_string(), format!("sha256:{}", hex::encode(Sha256::digest(token.reveal()))));
        assert_eq!(hash.to_string().parse::<TokenHash>().unwrap(), hash);
        assert!(hash.to_string().contains(hash.id().as_str()));
        assert!("sha256:00".parse::<TokenHash>().is_err());
    }
}
