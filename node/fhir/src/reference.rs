//! References between resources: `Patient/1`, `https://server/fhir/Patient/1`, `urn:uuid:…` of a Bundle's entry.
//!
//! The key of a resource is its `id`. A reference is never followed, so that references in circles harm nobody.

use std::collections::HashMap;

use memchr::memchr;

/// What a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'r> {
    /// The type of the resource, where that is known.
    pub kind: Option<&'r str>,
    /// Its key.
    pub key: &'r str,
}

/// What a Bundle calls its resources. Empty for NDJSON.
#[derive(Debug, Clone, Default)]
pub struct References {
    by_url: HashMap<String, (String, String)>,
}

impl References {
    /// Adds what an entry's `fullUrl` names; whether that is new.
    pub fn add(&mut self, full_url: &str, kind: &str, key: &str) -> bool {
        self.by_url.insert(full_url.to_owned(), (kind.to_owned(), key.to_owned())).is_none()
    }

    /// What a reference names; `said` is its own word on the type. `None` for what names nothing that could be looked up: a
    /// search (`Patient?identifier=…`), a contained resource, a URN of no entry whose type is not said.
    pub fn resolve<'r>(&'r self, reference: &'r str, said: Option<&'r str>) -> Option<Target<'r>> {
        if let Some((kind, key)) = self.by_url.get(reference) {
            return Some(Target { kind: Some(kind), key });
        }
        if let Some(key) = uuid(reference) {
            return said.map(|kind| Target { kind: Some(kind), key });
        }
        // Looking for a text costs more than all else here, and few references have so much as an underscore.
        let versioned = memchr(b'_', reference.as_bytes()).and_then(|_| reference.split_once("/_history/"));
        let whole = versioned.map_or(reference, |(whole, _)| whole);
        let (before, key) = whole.rsplit_once('/')?;
        let kind = before.rsplit_once('/').map_or(before, |(_, kind)| kind);
        let named = kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphabetic());
        let keyed =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        (named && keyed).then_some(Target { kind: Some(kind), key })
    }
}

/// The UUID or OID that a URN names.
pub fn uuid(url: &str) -> Option<&str> {
    url.strip_prefix("urn:uuid:").or_else(|| url.strip_prefix("urn:oid:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_a_type_and_a_key_however_they_are_written() {
        let mut references = References::default();
        assert!(references.add("urn:uuid:0a", "Patient", "7"));
        assert!(references.add("https://old/p/seven", "Patient", "7"));
        assert!(!references.add("urn:uuid:0a", "Patient", "8"));
        let mut references = References::default();
        references.add("urn:uuid:0a", "Patient", "7");
        references.add("https://old/p/seven", "Patient", "7");
        for same in [
            "Patient/7",
            "Patient/7/_history/2",
            "https://server/fhir/Patient/7",
            "http://server/Patient/7/_history/12",
            "urn:uuid:0a",
            "https://old/p/seven",
        ] {
            assert_eq!(references.resolve(same, None), Some(Target { kind: Some("Patient"), key: "7" }), "{same}");
        }
        assert_eq!(references.resolve("urn:uuid:0b", Some("Group")), Some(Target { kind: Some("Group"), key: "0b" }));
    }

    #[test]
    fn what_cannot_be_looked_up_has_no_key() {
        let references = References::default();
        for none in [
            "",
            "7",
            "#7",
            "Patient?identifier=7",
            "urn:uuid:0b",
            "/",
            "Patient/",
            "patient/7",
            "Patient/a b",
            "x/Patient?a=b/c",
        ] {
            assert_eq!(references.resolve(none, None), None, "{none}");
        }
    }
}
