//! Bundles: what their entries are called is gathered first, since a reference may point to what stands behind it.

use std::ops::Range;

use bocage_protocol::limits;

use super::report::What;
use crate::json::{Malformed, elements, members, next_value};
use crate::reference::{References, uuid};

/// A file that is one piece: a Bundle, a resource, or several of these.
#[derive(Debug, Default)]
pub struct Document {
    /// All of it.
    pub text: String,
    /// Where its resources stand.
    pub entries: Vec<Entry>,
    /// What its entries are called.
    pub references: References,
}

/// One resource of a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub at: Range<usize>,
    /// Which value of the document it is or stands in, from 1.
    pub value: u64,
    /// Which entry of that Bundle it is, from 1.
    pub number: Option<u64>,
    /// What it is called, where that is no `id`.
    pub key: Option<String>,
}

/// Something wrong: what, in which value of the document, in which entry of that.
pub type Fault = (What, u64, Option<u64>);

/// Why a text is none of which resources could be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// It has more entries than a Bundle may have.
    TooMany,
    /// It is no JSON, or ends too early.
    Malformed(Malformed),
}

impl Document {
    /// Finds the resources of a text. Values that are no Bundle are resources themselves.
    pub fn new(text: String, first: u64, faults: &mut Vec<Fault>) -> Result<Self, Broken> {
        let mut document = Self { text, ..Self::default() };
        let (mut at, mut value) = (0, first);
        loop {
            match next_value(&document.text, at) {
                Ok(None) => return Ok(document),
                Ok(Some(range)) => {
                    at = range.end;
                    document.value(range, value, faults)?;
                }
                Err(malformed) => return Err(Broken::Malformed(malformed)),
            }
            value += 1;
        }
    }

    fn value(&mut self, at: Range<usize>, value: u64, faults: &mut Vec<Fault>) -> Result<(), Broken> {
        let alone = Entry { at: at.clone(), value, number: None, key: None };
        match Bundle::read(&self.text, &at) {
            // What is no object is told by whoever reads it.
            Ok(None) | Err(_) => self.push(alone),
            Ok(Some(bundle)) if bundle.kind.as_deref() == Some("history") => {
                faults.push((What::History, value, None));
                Ok(())
            }
            Ok(Some(bundle)) => {
                let Some(entries) = bundle.entries else {
                    // A search that found nothing has none.
                    return Ok(());
                };
                match elements(&self.text, entries.start, limits::FHIR_BUNDLE_ENTRIES) {
                    Ok(Some(entries)) => self.entries(&entries, value, faults),
                    Ok(None) => Err(Broken::TooMany),
                    Err(_) => {
                        faults.push((What::NoEntries, value, None));
                        Ok(())
                    }
                }
            }
        }
    }

    fn entries(&mut self, entries: &[Range<usize>], value: u64, faults: &mut Vec<Fault>) -> Result<(), Broken> {
        for (number, at) in (1..).zip(entries) {
            let number = Some(number);
            match Named::read(&self.text, at) {
                Err(malformed) => faults.push((What::Malformed(malformed), value, number)),
                // A request to delete has no resource.
                Ok(None) => {}
                Ok(Some(Named { at, full_url, kind, id })) => {
                    let key = id.clone().or_else(|| full_url.as_deref().and_then(uuid).map(str::to_owned));
                    if let (Some(url), Some(kind), Some(key)) = (&full_url, kind, &key)
                        && !self.references.add(url, &kind, key)
                    {
                        faults.push((What::SameUrl, value, number));
                    }
                    let key = if id.is_some() { None } else { key };
                    self.push(Entry { at, value, number, key })?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<(), Broken> {
        if self.entries.len() == limits::FHIR_BUNDLE_ENTRIES {
            return Err(Broken::TooMany);
        }
        self.entries.push(entry);
        Ok(())
    }
}

struct Bundle {
    kind: Option<String>,
    entries: Option<Range<usize>>,
}

impl Bundle {
    /// `None` for what is no Bundle.
    fn read(text: &str, at: &Range<usize>) -> Result<Option<Self>, Malformed> {
        let (mut is_bundle, mut kind, mut entries) = (false, None, None);
        for (key, value) in members(text, at.start)? {
            match &*key {
                "resourceType" => is_bundle = string(text, &value).as_deref() == Some("Bundle"),
                "type" => kind = string(text, &value),
                "entry" => entries = Some(value),
                _ => {}
            }
        }
        Ok(is_bundle.then_some(Self { kind, entries }))
    }
}

/// An entry's resource, and what it is called.
struct Named {
    at: Range<usize>,
    full_url: Option<String>,
    kind: Option<String>,
    id: Option<String>,
}

impl Named {
    fn read(text: &str, at: &Range<usize>) -> Result<Option<Self>, Malformed> {
        let (mut resource, mut full_url) = (None, None);
        for (key, value) in members(text, at.start)? {
            match &*key {
                "resource" => resource = Some(value),
                "fullUrl" => full_url = string(text, &value),
                _ => {}
            }
        }
        let Some(at) = resource else { return Ok(None) };
        let (mut kind, mut id) = (None, None);
        for (key, value) in members(text, at.start)? {
            match &*key {
                "resourceType" => kind = string(text, &value),
                "id" => id = string(text, &value),
                _ => {}
            }
        }
        Ok(Some(Self { at, full_url, kind, id }))
    }
}

fn string(text: &str, at: &Range<usize>) -> Option<String> {
    serde_json::from_str(&text[at.clone()]).ok()
}
