//! Names and digests. A value of one of these types is well-formed: parsing is the only way to make one.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is not a name of the wanted kind. The text itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// The kind of name that was wanted.
    pub kind: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("pattern" = $pattern))]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId { kind: $kind, rule: $rule }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn kebab(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn snake(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

text_id!(
    /// A hospital in a network; also the SAN of its certificate (as `SITE.site.bocage`).
    SiteId, "site id", "2 to 31 of a-z, 0-9 and -, beginning with a letter", "^[a-z][a-z0-9-]{1,30}$",
    |t| kebab(t, 2, 31)
);
text_id!(
    /// A network's name.
    NetworkId, "network id", "2 to 31 of a-z, 0-9 and -, beginning with a letter", "^[a-z][a-z0-9-]{1,30}$",
    |t| kebab(t, 2, 31)
);
text_id!(
    /// A column of a contract or a name derived from columns.
    ColumnName, "column name", "1 to 63 of a-z, 0-9 and _, beginning with a letter", "^[a-z][a-z0-9_]{0,62}$",
    |t| snake(t, 63)
);
text_id!(
    /// A table as a study calls it: a dataset of every site, under one contract.
    TableName, "table name", "1 to 63 of a-z, 0-9 and _, beginning with a letter", "^[a-z][a-z0-9_]{0,62}$",
    |t| snake(t, 63)
);
text_id!(
    /// An analysis within a study.
    AnalysisName, "analysis name", "1 to 63 of a-z, 0-9 and _, beginning with a letter", "^[a-z][a-z0-9_]{0,62}$",
    |t| snake(t, 63)
);
text_id!(
    /// A rule of a contract.
    RuleName, "rule name", "1 to 63 of a-z, 0-9 and _, beginning with a letter", "^[a-z][a-z0-9_]{0,62}$",
    |t| snake(t, 63)
);
text_id!(
    /// A permit, as its issuer names it.
    PermitId, "permit id", "1 to 100 of A-Z, a-z, 0-9 and . _ / -", "^[A-Za-z0-9._/-]{1,100}$", |t| {
        (1..=100).contains(&t.len()) && t.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
    }
);

text_id!(
    /// Somebody, or something, that uses the coordinator's HTTP interface.
    UserName, "user name", "1 to 63 of a-z, 0-9 and . _ @ -, beginning with a letter", "^[a-z][a-z0-9._@-]{0,62}$",
    |t| {
        (1..=63).contains(&t.len())
            && t.starts_with(|c: char| c.is_ascii_lowercase())
            && t.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c))
    }
);
text_id!(
    /// A token of the HTTP interface, as people call it: the first digits of its hash.
    TokenId, "token id", "12 lower-case hexadecimal digits", "^[0-9a-f]{12}$",
    |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

/// A contract's name and version, written `heart@1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z][a-z0-9-]{1,30}@[1-9][0-9]{0,9}$"))]
pub struct ContractId {
    name: String,
    version: u32,
}

impl ContractId {
    /// Joins a name (as [`NetworkId`] spells them) and a version from 1.
    pub fn new(name: &str, version: u32) -> Result<Self, InvalidId> {
        if kebab(name, 2, 31) && version >= 1 {
            Ok(Self { name: name.to_owned(), version })
        } else {
            Err(InvalidId {
                kind: "contract id",
                rule: "NAME@VERSION, the name 2 to 31 of a-z, 0-9 and -, the version from 1",
            })
        }
    }

    /// The part before `@`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part behind `@`.
    pub fn version(&self) -> u32 {
        self.version
    }
}

impl FromStr for ContractId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (name, version) = text.split_once('@').unwrap_or((text, ""));
        let plain = !version.starts_with(['0', '+']);
        Self::new(name, version.parse().ok().filter(|_| plain).unwrap_or(0))
    }
}

impl TryFrom<String> for ContractId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ContractId> for String {
    fn from(id: ContractId) -> String {
        id.to_string()
    }
}

impl fmt::Display for ContractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `parts`, each preceded by its length, under a domain so that equal bytes of two kinds never collide.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain.as_bytes());
        hasher.update([0]);
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// A digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(InvalidId { kind: "digest", rule: "64 lower-case hexadecimal digits" }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A study's id: the digest of its canonical bytes.
pub type StudyId = Digest;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_alphabet_are_refused() {
        for bad in ["", "A", "a", "-ab", "1ab", "ab_c", "ab c", &"a".repeat(32)] {
            assert!(bad.parse::<SiteId>().is_err(), "{bad}");
        }
        assert!("long-beach".parse::<SiteId>().is_ok());
        assert!("a_1".parse::<ColumnName>().is_ok());
    }

    #[test]
    fn a_contract_id_reads_back_as_it_was_written() {
        let id: ContractId = "heart@12".parse().unwrap();
        assert_eq!((id.name(), id.version(), id.to_string().as_str()), ("heart", 12, "heart@12"));
        for bad in ["heart", "heart@", "heart@0", "heart@01", "heart@+1", "heart@x", "@1", "heart@1@2"] {
            assert!(bad.parse::<ContractId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_that_are_cut_elsewhere_hash_differently() {
        assert_ne!(Digest::of("d", &[b"ab", b"c"]), Digest::of("d", &[b"a", b"bc"]));
        let digest = Digest::of("d", &[]);
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    }
}
