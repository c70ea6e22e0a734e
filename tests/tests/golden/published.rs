//! What a coordinator signs of a result.

use std::path::Path;

use bocage_protocol::env::Entropy;
use bocage_protocol::trust::{Publication, SecretKey};
use serde_json::json;

use super::golden;

/// 32 times the same byte: the coordinator's key of the test vector.
struct Same;
impl Entropy for Same {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0x2a);
    }
}

/// The golden file was made by another program, from PROTOCOL alone.
#[test]
fn a_publication_has_these_bytes_and_this_signature() {
    let (key, kept) = (SecretKey::generate(&mut Same), golden("publication-v1.json"));
    let (result, study) = (kept["result"].as_str().expect("a text"), kept["study"].as_str().expect("an id"));
    let signed = Publication::sign(study.parse().expect("an id"), result.as_bytes(), &key).expect("a publication");
    let found = json!({
        "secret_key": key.to_text().trim(),
        "publisher": key.public(),
        "study": study,
        "result": result,
        "publication": signed,
    });
    assert_eq!(found, kept, "found:\n{found:#}");
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let manual = std::fs::read_to_string(manual).expect("the protocol's description");
    let (result, signed) = (&found["result"], &found["publication"]);
    let lines = [("publisher", &found["publisher"]), ("study", &found["study"]), ("result", result)];
    for (name, text) in
        lines.into_iter().chain([("document", &signed["document"]), ("signature", &signed["signature"])])
    {
        let line = format!("\n{name:<9}  {}\n", text.as_str().expect("a text"));
        assert!(manual.contains(&line), "docs/PROTOCOL.md has no line{line}");
    }
}
