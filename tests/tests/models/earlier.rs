//! The folder that `bocage study run --out first` writes of an answer, as far as a later study reads it.

use std::collections::BTreeMap;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_protocol::trust::{Entry, MANIFEST_FORMAT, Manifest, SecretKey, SignedManifest, SignedStudy, Study};
use bocage_tests::federation::{Counting, NOW};
use serde_json::json;

/// Files that a study's text names, as `bind_with` takes them.
pub type Files = BTreeMap<String, Result<String, String>>;

/// A study that its researcher signed, and what was published of it.
pub struct Earlier {
    pub signed: SignedStudy,
    pub answer: String,
}

/// Whose study it is.
pub fn researcher() -> SecretKey {
    SecretKey::generate(&mut Counting(7))
}

impl Earlier {
    pub fn new(study: &Study, results: &[AnalysisResult]) -> Self {
        let signed = SignedStudy::sign(study, &researcher()).expect("a signature");
        let answer = json!({ "study": { "id": signed.id() }, "analyses": results }).to_string();
        Self { signed, answer }
    }

    /// The folder `first` of this answer, put together by this key.
    pub fn folder(&self, answer: &str, key: &SecretKey) -> Files {
        let study = serde_json::to_string(&self.signed).expect("JSON");
        let texts = [("study.json", study.as_str()), ("result.json", answer)];
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            study: self.signed.id(),
            researcher: key.public(),
            version: "0.1.0".to_owned(),
            coordinator: "0.1.0".to_owned(),
            made_at: NOW,
            files: texts.map(|(name, text)| (name.to_owned(), Entry::of(text.as_bytes()))).into(),
        };
        let manifest = SignedManifest::sign(&manifest, key).expect("a signature").to_text();
        let files = texts.into_iter().chain([("manifest.json", manifest.as_str())]);
        files.map(|(name, text)| (format!("first/{name}"), Ok(text.to_owned()))).collect()
    }
}
