//! Fetches one file: goes on where it broke off, as long as the server's file is the same, and believes nothing until the lines are counted.

use std::path::Path;

use bocage_protocol::limits::BULK_CUTS;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};

use crate::body::{BLOCK_BYTES, Body, Broken};
use crate::draft::{Draft, Head, Part};
use crate::error::BulkError;
use crate::lines::{self, Wrong};
use crate::manifest::Link;
use crate::session::{Request, Session};
use crate::wait::back_off;
use crate::world::Event;

/// The disk's room is looked at whenever so much has come.
const ROOM_BYTES: u64 = 64 << 20;

/// What came of a file.
pub(crate) enum Fetched {
    /// It is whole.
    Whole {
        /// Its resources.
        resources: u64,
        /// Its size as it came.
        bytes: u64,
    },
    /// Its link leads nowhere.
    Expired(u16),
}

/// How one answer ended.
enum Came {
    Whole,
    Broken(Broken),
    /// What is here does not fit what the server has.
    Anew,
}

impl Session<'_> {
    /// Fetches a file unless it is here, and counts its resources. One that does not hold what it should is fetched once more from its beginning.
    pub(crate) async fn fetch(
        &mut self,
        draft: &Draft,
        link: &Link,
        number: usize,
        with_token: bool,
    ) -> Result<Fetched, BulkError> {
        for gzip in [false, true] {
            let path = draft.whole(link, gzip);
            if path.exists() {
                match self.counted(link, &path, gzip) {
                    Ok(whole) => return Ok(whole),
                    // A machine that lost its power may have kept a name without its bytes.
                    Err(_) => crate::draft::remove(&path)?,
                }
            }
        }
        let mut part = Part::open(draft.part(link))?;
        let mut again = false;
        loop {
            if let Some(expired) = self.download(draft, link, &mut part, number, with_token).await? {
                return Ok(expired);
            }
            let gzip = part.head.gzip || lines::is_gzip(&part.path).map_err(BulkError::disk(&part.path))?;
            match self.counted(link, &part.path, gzip) {
                Ok(whole) => {
                    part.finish(&draft.whole(link, gzip))?;
                    return Ok(whole);
                }
                Err(error) => {
                    part.restart(Head::default())?;
                    if again {
                        return Err(error);
                    }
                }
            }
            again = true;
        }
    }

    fn counted(&self, link: &Link, path: &Path, gzip: bool) -> Result<Fetched, BulkError> {
        let limit_bytes = self.world.bounds.file_bytes;
        let place = &link.name;
        let resources = lines::count(path, gzip, limit_bytes).map_err(|wrong| match wrong {
            Wrong::Disk(source) => BulkError::Disk { path: path.to_owned(), source },
            Wrong::Gzip => BulkError::malformed(place, "it was sent as gzip and is none, or breaks off"),
            Wrong::TooLarge => BulkError::TooLarge { place: place.clone(), limit_bytes },
            Wrong::NotJson(line) => BulkError::malformed(place, format!("line {line} is no JSON object")),
        })?;
        match link.count {
            Some(said) if said != resources => {
                Err(BulkError::WrongCount { place: place.clone(), said, found: resources })
            }
            _ => {
                let bytes = path.metadata().map_err(BulkError::disk(path))?.len();
                Ok(Fetched::Whole { resources, bytes })
            }
        }
    }

    /// Fetches until nothing is missing; what it hands back has expired.
    async fn download(
        &mut self,
        draft: &Draft,
        link: &Link,
        part: &mut Part,
        number: usize,
        with_token: bool,
    ) -> Result<Option<Fetched>, BulkError> {
        // In vain: one after another, without progress.
        let (mut cuts, mut in_vain) = (0, 0);
        loop {
            let request = request(link, part, with_token);
            let of_a_part = request.headers.contains_key(RANGE);
            let answer = self.ask(&request).await?;
            match answer.status().as_u16() {
                200 | 206 | 416 => {}
                status @ (403 | 404 | 410) => return Ok(Some(Fetched::Expired(status))),
                status => {
                    return Err(BulkError::Status { place: link.name.clone(), status, codes: String::new() });
                }
            }
            let before = part.have;
            let broken = match self.receive(draft, link, part, (answer, of_a_part), number).await? {
                Came::Whole => return Ok(None),
                Came::Broken(broken) => broken,
                Came::Anew => {
                    part.restart(Head::default())?;
                    Broken::Cut
                }
            };
            cuts += 1;
            // What trickles is no progress.
            let least = if broken == Broken::Slow { BLOCK_BYTES as u64 } else { 1 };
            in_vain = if part.have >= before + least { 1 } else { in_vain + 1 };
            if in_vain >= self.world.bounds.tries || cuts >= BULK_CUTS {
                return Err(self.gave_up(broken, &link.name, cuts));
            }
            let wait_ms = back_off(in_vain, self.world.entropy);
            self.pause(wait_ms, &link.name).await;
        }
    }

    async fn receive(
        &mut self,
        draft: &Draft,
        link: &Link,
        part: &mut Part,
        (answer, of_a_part): (Response, bool),
        number: usize,
    ) -> Result<Came, BulkError> {
        let headers = answer.headers();
        match answer.status() {
            // A part that nobody asked for may be of any file.
            StatusCode::PARTIAL_CONTENT if of_a_part && continues(part, headers) => {}
            StatusCode::OK => part.restart(head(headers, &link.name)?)?,
            // Nothing is left to send of a file that is here.
            StatusCode::RANGE_NOT_SATISFIABLE if part.have > 0 && part.head.bytes == Some(part.have) => {
                return Ok(Came::Whole);
            }
            _ => return Ok(Came::Anew),
        }
        let floor = self.world.bounds.free_bytes;
        let limit_bytes = self.world.bounds.file_bytes;
        let too_large = || BulkError::TooLarge { place: link.name.clone(), limit_bytes };
        let Part { have, head: Head { bytes, .. }, .. } = *part;
        (self.world.told)(Event::File { name: &link.name, number, have, bytes });
        if bytes.is_some_and(|bytes| bytes > limit_bytes) {
            return Err(too_large());
        }
        draft.room(bytes.unwrap_or(0).saturating_sub(have), floor)?;
        let mut looked = have;
        let mut body = Body::new(answer, self.world.bounds.block_patience);
        loop {
            match body.next().await {
                Ok(Some(piece)) => {
                    if part.have + piece.len() as u64 > limit_bytes {
                        return Err(too_large());
                    }
                    part.write(&piece)?;
                    (self.world.told)(Event::Bytes(piece.len() as u64));
                    if part.have - looked >= ROOM_BYTES {
                        looked = part.have;
                        draft.room(0, floor)?;
                    }
                }
                Ok(None) if part.head.bytes.is_none_or(|bytes| bytes == part.have) => return Ok(Came::Whole),
                Ok(None) if part.head.bytes.is_some_and(|bytes| bytes < part.have) => return Ok(Came::Anew),
                Ok(None) => return Ok(Came::Broken(Broken::Cut)),
                Err(broken) => return Ok(Came::Broken(broken)),
            }
        }
    }
}

fn request<'a>(link: &'a Link, part: &Part, with_token: bool) -> Request<'a> {
    let mut request = Request { with_token, ..Request::get(link.url.clone(), &link.name) };
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/fhir+ndjson"));
    request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    // Without a word of the server on its file nobody could tell whether it is still the same.
    let validator = part.head.validator.as_ref().and_then(|validator| HeaderValue::from_str(validator).ok());
    if let (1.., Some(validator), Ok(range)) = (part.have, validator, format!("bytes={}-", part.have).parse()) {
        request.headers.insert(IF_RANGE, validator);
        request.headers.insert(RANGE, range);
    }
    request
}

/// Whether the rest that is sent is the rest of what is here.
fn continues(part: &Part, headers: &HeaderMap) -> bool {
    let range = text(headers, &CONTENT_RANGE).and_then(|text| text.strip_prefix("bytes "));
    let Some((span, total)) = range.and_then(|range| range.split_once('/')) else { return false };
    let starts_here = span.split_once('-').is_some_and(|(from, _)| from.parse() == Ok(part.have));
    let as_long = total == "*" || part.head.bytes.is_none_or(|bytes| total.parse() == Ok(bytes));
    let same = text(headers, &ETAG).is_none_or(|tag| !is_strong(tag) || part.head.validator.as_deref() == Some(tag))
        || part.head.validator.as_deref() == text(headers, &LAST_MODIFIED);
    starts_here && as_long && same
}

fn head(headers: &HeaderMap, place: &str) -> Result<Head, BulkError> {
    let gzip = match text(headers, &CONTENT_ENCODING) {
        None | Some("" | "identity") => false,
        Some("gzip" | "x-gzip") => true,
        Some(_) => return Err(BulkError::malformed(place, "it comes in an encoding that was not asked for")),
    };
    let tag = text(headers, &ETAG).filter(|tag| is_strong(tag));
    let validator = tag.or_else(|| text(headers, &LAST_MODIFIED)).filter(|text| text.len() <= 1024);
    let bytes = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    Ok(Head { validator: validator.map(str::to_owned), gzip, bytes })
}

/// A weak tag does not promise the same bytes.
fn is_strong(tag: &str) -> bool {
    tag.starts_with('"')
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}
