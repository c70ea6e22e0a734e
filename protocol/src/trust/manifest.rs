//! What holds a report's folder together: which files there are and what is in them, signed by who put them together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Document, PublicKey, Signed};
use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::StudyId;
use crate::limits;

/// What holds the folder together.
pub const MANIFEST: &str = "manifest.json";
/// The signed study.
pub const STUDY: &str = "study.json";
/// The published result.
pub const RESULT: &str = "result.json";

/// The number of this form of a manifest.
pub const MANIFEST_FORMAT: u16 = 1;

/// The files of a report. Its canonical JSON is what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u16,
    /// The study that it is about.
    pub study: StudyId,
    /// The key of who put it together, which signs.
    pub researcher: PublicKey,
    /// With which version.
    pub version: String,
    /// The version of the coordinator that it was fetched from.
    pub coordinator: String,
    /// When.
    pub made_at: Timestamp,
    /// Every file but this one.
    pub files: BTreeMap<String, Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits, as `sha256sum` has it.
    pub sha256: String,
}

/// A manifest as it stands in its file.
pub type SignedManifest = Signed<Manifest>;

impl Entry {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: bytes.len() as u64, sha256 }
    }
}

impl Manifest {
    /// Whether a file of this name is the one that was signed.
    pub fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        self.files.get(name) == Some(&Entry::of(bytes))
    }
}

impl Document for Manifest {
    const DOMAIN: &'static str = "bocage/report/1";
    const LIMIT_BYTES: usize = limits::REPORT_MANIFEST_BYTES;
    const NAME: &'static str = "manifest";
    const INVALID: ErrorCode = ErrorCode::SignatureInvalid;

    fn signer(&self) -> &PublicKey {
        &self.researcher
    }

    fn check_shape(&self) -> Result<(), PublicError> {
        let rules = [
            (self.format == MANIFEST_FORMAT, "the manifest is of another format than 1"),
            (self.files.len() <= limits::REPORT_FILES, "the manifest has too many files"),
            (self.files.keys().all(|name| is_within(name)), "the manifest names a file that cannot be in a report"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(PublicError::new(ErrorCode::SignatureInvalid, *rule)),
            None => Ok(()),
        }
    }
}

/// Whether it is the name of a file in the folder or in a folder of it: a manifest may come from anyone, and no other file is read for it.
fn is_within(name: &str) -> bool {
    let plain = |part: &str| {
        (1..=limits::REPORT_NAME_BYTES).contains(&part.len())
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
    };
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() <= 2 && parts.into_iter().all(plain) && name != MANIFEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_no_file_outside_its_folder() {
        for good in ["result.json", "contracts/heart@1.toml", "tables/by_sex.1-fit.parquet"] {
            assert!(is_within(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../result.json",
            "tables/../../x",
            "a/b/c",
            ".hidden",
            "tables/",
            "manifest.json",
            "a\\b",
        ] {
            assert!(!is_within(bad), "{bad}");
        }
    }

    #[test]
    fn a_file_is_named_as_sha256sum_does() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Entry::of(b"abc"), Entry { bytes: 3, sha256: abc.to_owned() });
    }
}
