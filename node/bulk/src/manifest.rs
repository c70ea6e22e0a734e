//! The list of an export's files, as a server gives it: read within bounds. What becomes part of a file's name here is a resource's name and a number,
//! never anything of a link.

use std::collections::BTreeMap;

use bocage_protocol::limits::BULK_FILES;
use reqwest::Url;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use crate::base::Base;
use crate::error::BulkError;
use crate::server::ResourceType;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Resources.
    Output,
    /// What was deleted since, as Bundles.
    Deleted,
    /// What went wrong, as OperationOutcomes.
    Error,
}

impl Kind {
    /// The folder within the export. Only resources are at its top, where they are read from.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Output => "",
            Self::Deleted => "about/deleted",
            Self::Error => "about/error",
        }
    }
}

/// One file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) kind: Kind,
    pub(crate) resource: ResourceType,
    /// `Patient.00001`.
    pub(crate) name: String,
    pub(crate) url: Url,
    /// Lines, where the server says so.
    pub(crate) count: Option<u64>,
}

/// The list of an export's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The server's time of the data.
    pub(crate) transaction_time: Option<String>,
    /// Whether links want the access token.
    pub(crate) requires_token: bool,
    pub(crate) links: Vec<Link>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    transaction_time: Option<String>,
    requires_access_token: bool,
    output: Vec<RawFile>,
    #[serde(default)]
    deleted: Option<Vec<RawFile>>,
    #[serde(default)]
    error: Option<Vec<RawFile>>,
    #[serde(default)]
    link: Option<Vec<RawLink>>,
}

#[derive(Deserialize)]
struct RawFile {
    r#type: String,
    url: String,
    count: Option<u64>,
}

#[derive(Deserialize)]
struct RawLink {
    #[serde(default)]
    relation: String,
}

impl Manifest {
    /// Reads what `status` answered. Relative links are relative to it.
    pub(crate) fn parse(bytes: &[u8], status: &Url, base: &Base, place: &str) -> Result<Self, BulkError> {
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| {
            // The parser's own words hold the value that is wrong.
            let what = if error.is_data() { "a member is missing or has another type" } else { "it is not JSON" };
            let at = format!("line {}, column {}", error.line(), error.column());
            BulkError::malformed(place, format!("the list of files cannot be read: {what} ({at})"))
        })?;
        if raw.link.iter().flatten().any(|link| link.relation == "next") {
            let what = "the list of files has further pages, which were not asked for";
            return Err(BulkError::malformed(place, what));
        }
        let all = [
            (Kind::Output, raw.output),
            (Kind::Deleted, raw.deleted.unwrap_or_default()),
            (Kind::Error, raw.error.unwrap_or_default()),
        ];
        let files: usize = all.iter().map(|(_, files)| files.len()).sum();
        if files > BULK_FILES {
            return Err(BulkError::malformed(place, format!("the list has {files} files; {BULK_FILES} are the most")));
        }
        let mut numbers: BTreeMap<(Kind, ResourceType), u32> = BTreeMap::new();
        let mut links = Vec::with_capacity(files);
        for (kind, files) in all {
            for (index, file) in files.into_iter().enumerate() {
                let wrong = |what: &str| {
                    let list = match kind {
                        Kind::Output => "output",
                        Kind::Deleted => "deleted",
                        Kind::Error => "error",
                    };
                    BulkError::malformed(place, format!("{list}[{index}]: {what}"))
                };
                let resource: ResourceType =
                    file.r#type.parse().map_err(|_| wrong("its type is not the name of a resource"))?;
                let url = status.join(&file.url).map_err(|_| wrong("its url is not an address"))?;
                if !base.allows(&url) {
                    return Err(wrong("its url is not an https:// address"));
                }
                let number = numbers.entry((kind, resource.clone())).or_default();
                *number += 1;
                let name = format!("{resource}.{number:05}");
                if raw.requires_access_token && !base.owns(&url) {
                    return Err(BulkError::OtherOrigin { place: name, base: base.to_string() });
                }
                links.push(Link { kind, resource, name, url, count: file.count });
            }
        }
        let is_time = |text: &String| text.len() <= 64 && chrono::DateTime::parse_from_rfc3339(text).is_ok();
        let transaction_time = raw.transaction_time.filter(is_time);
        Ok(Self { transaction_time, requires_token: raw.requires_access_token, links })
    }

    /// A digest of what must not change while an export's links are renewed.
    pub(crate) fn shape(&self) -> String {
        let files = self.links.iter().map(|link| format!("{:?} {} {:?}\n", link.kind, link.name, link.count));
        let text = format!("{:?}\n{}", self.transaction_time, files.collect::<String>());
        digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest, String> {
        let base = Base::parse("https://fhir.example.org/r4", false).unwrap();
        let status = Url::parse("https://fhir.example.org/jobs/7").unwrap();
        Manifest::parse(text.as_bytes(), &status, &base, "the server").map_err(|error| error.to_string())
    }

    fn with(file: &str, token: bool) -> Result<Manifest, String> {
        parse(&format!(
            r#"{{"transactionTime":"2026-01-31T00:00:00Z","requiresAccessToken":{token},"output":[{file}]}}"#
        ))
    }

    #[test]
    fn names_are_made_of_resources_and_numbers_and_links_may_be_relative() {
        let manifest = with(
            r#"{"type":"Patient","url":"a?x=../../etc"},{"type":"Patient","url":"/b"},{"type":"Device","url":"c","count":3}"#,
            true,
        )
        .unwrap();
        let files: Vec<_> =
            manifest.links.iter().map(|link| (link.name.as_str(), link.url.path(), link.count)).collect();
        let wanted =
            [("Patient.00001", "/jobs/a", None), ("Patient.00002", "/b", None), ("Device.00001", "/jobs/c", Some(3))];
        assert_eq!(files, wanted);
    }

    #[test]
    fn what_is_no_list_of_files_is_refused_with_its_place_and_without_its_values() {
        for (file, why) in [
            (r#"{"type":"../../etc/cron.d/x","url":"a"}"#, "output[0]: its type"),
            (r#"{"type":"Patient/..","url":"a"}"#, "output[0]: its type"),
            (r#"{"type":"Patient","url":"file:///etc/passwd"}"#, "output[0]: its url"),
            (r#"{"type":"Patient","url":"http://fhir.example.org/a"}"#, "output[0]: its url"),
            (r#"{"type":"Patient","url":"https://elsewhere.org/a"}"#, "needs the access token"),
            (r#"{"type":"Patient","url":"a","count":"MARIA MUSTERMANN"}"#, "has another type"),
            (r#"{"type":"Patient"}"#, "a member is missing"),
        ] {
            let error = with(file, true).unwrap_err();
            assert!(error.contains(why) && !error.contains("MARIA") && !error.contains("etc"), "{error}");
        }
        assert!(with(r#"{"type":"Patient","url":"https://elsewhere.org/a"}"#, false).is_ok());
        assert!(parse("<html>").unwrap_err().contains("not JSON (line 1"));
        let paged = r#"{"requiresAccessToken":false,"output":[],"link":[{"relation":"next","url":"x"}]}"#;
        assert!(parse(paged).unwrap_err().contains("further pages"));
        let many = vec![r#"{"type":"Patient","url":"a"}"#; BULK_FILES + 1].join(",");
        assert!(with(&many, false).unwrap_err().contains("are the most"));
    }

    #[test]
    fn fresh_links_to_the_same_files_have_the_same_shape() {
        let shape = |file| with(file, false).unwrap().shape();
        let first = shape(r#"{"type":"Patient","url":"a","count":3}"#);
        assert_eq!(shape(r#"{"type":"Patient","url":"b","count":3}"#), first);
        assert_ne!(shape(r#"{"type":"Patient","url":"a","count":4}"#), first);
        assert_ne!(shape(r#"{"type":"Device","url":"a","count":3}"#), first);
    }
}
