//! `[issuing]`: the files of the authority that certifies sites.

use std::path::{Path, PathBuf};

use bocage_protocol::settings::{Problems, read};
use serde::Deserialize;
use serde_json::Value;

use super::KEYS;

/// The intermediate's certificate and key, in PEM. The root's key is nowhere near.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IssuingFiles {
    /// Its certificate.
    pub cert_file: PathBuf,
    /// Its key, of mode 0600.
    pub key_file: PathBuf,
}

impl IssuingFiles {
    /// What the section says. None where it is absent, or wrong.
    pub(super) fn read(raw: Option<&Value>, file: &str, base: &Path, problems: &mut Problems) -> Option<Self> {
        let files = read::<Self>(raw?, file, "issuing", KEYS, problems)?;
        Some(Self { cert_file: base.join(files.cert_file), key_file: base.join(files.key_file) })
    }
}
