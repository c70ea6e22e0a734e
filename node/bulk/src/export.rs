//! The life of an export: asked for, waited for, fetched, published, dropped at the server. Each step finds what the run before it left.

use std::collections::BTreeSet;
use std::time::Duration;

use bocage_protocol::limits::BULK_ANSWER_BYTES;
use reqwest::header::{ACCEPT, CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::download::Fetched;
use crate::draft::{Draft, State};
use crate::error::BulkError;
use crate::manifest::{Kind, Link, Manifest};
use crate::publish::{About, publish, seal};
use crate::server::Server;
use crate::session::{Answer, Request, Session};
use crate::wait::retry_after;
use crate::world::{Event, World};

/// The first wait for a server that does not say how long, and the longest.
const WAIT_SECS: (i64, i64) = (5, 300);
/// The codes of an OperationOutcome that are told (FHIR R4, IssueType): its other texts may hold anything.
const ISSUES: &[&str] = &[
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
];

/// An export that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// What it says of itself.
    pub about: About,
    /// Whether the server has dropped it; where it has not, what it answered.
    pub kept_at_server: Option<String>,
}

/// Fetches what `server` describes into its folder. Where an earlier run was interrupted it goes on.
///
/// # Errors
/// See [`BulkError`]; the folder is as it was then.
pub async fn export(server: &Server, world: World<'_>) -> Result<Export, BulkError> {
    let draft = Draft::open(&server.folder)?;
    let mut run = Run { session: Session::new(server, world)?, draft, question: server.question() };
    match run.through().await {
        Err(error) if !error.goes_on() => {
            // The error is worth more than what becomes of its clearing up.
            if let Some(state) = run.draft.state() {
                let _ = run.drop_at_server(&state).await;
            }
            let _ = run.draft.clear();
            Err(error)
        }
        other => other,
    }
}

/// Ends an export that was interrupted: the server drops it, and its draft goes. Whether there was one.
///
/// # Errors
/// See [`BulkError`].
pub async fn cancel(server: &Server, world: World<'_>) -> Result<bool, BulkError> {
    let draft = Draft::open(&server.folder)?;
    let Some(state) = draft.state() else { return Ok(false) };
    let mut run = Run { session: Session::new(server, world)?, draft, question: server.question() };
    run.drop_at_server(&state).await?;
    run.draft.clear()?;
    Ok(true)
}

struct Run<'a> {
    session: Session<'a>,
    draft: Draft,
    question: Url,
}

/// What the server says of an export.
enum Ready {
    Yes(Manifest),
    /// It does not know it any more.
    Gone(u16),
}

impl Run<'_> {
    async fn through(&mut self) -> Result<Export, BulkError> {
        let mut state = match self.draft.state() {
            Some(state) if state.question == self.question.as_str() => {
                if let Some(about) = About::read(&self.draft.folder).filter(|about| about.id == state.id) {
                    return self.finish(&state, about).await;
                }
                (self.session.world.told)(Event::GoesOn);
                state
            }
            other => {
                if let Some(state) = other {
                    // It was about something else. A server that does not drop it will forget it by itself.
                    let _ = self.drop_at_server(&state).await;
                }
                self.ask().await?
            }
        };
        let mut manifest = self.ready(&state).await?;
        let known =
            |state: &State, manifest: &Manifest| state.shape.as_ref().is_none_or(|shape| *shape == manifest.shape());
        if !matches!(&manifest, Ready::Yes(manifest) if known(&state, manifest)) {
            let _ = self.drop_at_server(&state).await;
            state = self.ask().await?;
            manifest = self.ready(&state).await?;
        }
        let manifest = match manifest {
            Ready::Yes(manifest) => manifest,
            Ready::Gone(status) => {
                return Err(BulkError::Failed { place: self.place(), status, codes: String::new() });
            }
        };
        state.shape = Some(manifest.shape());
        self.draft.keep(&state)?;
        (self.session.world.told)(Event::Ready { files: manifest.links.len() });
        let about = self.fetch_all(&state, manifest).await?;
        seal(&self.draft, &about)?;
        publish(&self.draft)?;
        self.finish(&state, about).await
    }

    /// Asks for a new export and writes down where it is, before anything else.
    async fn ask(&mut self) -> Result<State, BulkError> {
        self.draft.clear()?;
        let place = format!("$export of {}", self.session.base);
        let mut request = Request::get(self.question.clone(), &place);
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/fhir+json"));
        request.headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("respond-async"));
        let answer = self.session.ask(&request).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status != StatusCode::ACCEPTED {
            let bytes = self.session.read(answer, BULK_ANSWER_BYTES, &place).await?.unwrap_or_default();
            return Err(BulkError::Status { place, status: status.as_u16(), codes: codes(&bytes) });
        }
        let status = headers.get(CONTENT_LOCATION).and_then(|location| location.to_str().ok());
        let status = status.and_then(|location| self.question.join(location).ok());
        let status = status.ok_or_else(|| {
            BulkError::malformed(&place, "its answer does not say where the export is (Content-Location)")
        })?;
        if !self.session.base.owns(&status) {
            return Err(BulkError::malformed(&place, "it keeps the export's status on another server"));
        }
        let mut id = [0; 16];
        self.session.world.entropy.fill(&mut id);
        let state = State {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            question: self.question.to_string(),
            status: status.to_string(),
            asked: self.session.now(),
            shape: None,
        };
        self.draft.keep(&state)?;
        (self.session.world.told)(Event::Asked);
        Ok(state)
    }

    /// Waits until the export is ready.
    async fn ready(&mut self, state: &State) -> Result<Ready, BulkError> {
        let place = self.place();
        let mut unsaid = WAIT_SECS.0;
        loop {
            let mut request = self.about_status(state, Method::GET, &place)?;
            request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            let limit = self.session.world.bounds.manifest_bytes;
            let Answer { status, headers, bytes } = self.session.ask_whole(&request, limit).await?;
            match status.as_u16() {
                200 => return Manifest::parse(&bytes, &request.url, &self.session.base, &place).map(Ready::Yes),
                202 => {}
                status @ (404 | 410) => return Ok(Ready::Gone(status)),
                status @ (429 | 502..=504) => return Err(BulkError::Status { place, status, codes: codes(&bytes) }),
                status => return Err(BulkError::Failed { place, status, codes: codes(&bytes) }),
            }
            let secs = retry_after(&headers, self.session.now()).unwrap_or_else(|| {
                let now = unsaid;
                unsaid = (unsaid * 3 / 2).min(WAIT_SECS.1);
                now
            });
            let limit_secs = self.session.world.bounds.ready_secs;
            let waited = self.session.now().since_ms(state.asked).max(0) / 1000;
            if waited.saturating_add(secs) > limit_secs {
                return Err(BulkError::NeverReady { place, secs: waited });
            }
            let wait = self.session.bearable(secs, &place)?;
            (self.session.world.told)(Event::Waiting { percent: percent(&headers), secs: wait });
            self.session.world.timer.wait(Duration::from_secs(wait)).await;
        }
    }

    async fn fetch_all(&mut self, state: &State, mut manifest: Manifest) -> Result<About, BulkError> {
        self.draft.make()?;
        let mut about = About {
            id: state.id.clone(),
            question: state.question.clone(),
            transaction_time: manifest.transaction_time.clone(),
            ..About::default()
        };
        for index in 0..manifest.links.len() {
            let mut fetched = self.fetch(&manifest, index).await?;
            if let Fetched::Expired(_) = fetched {
                manifest = self.fresh(state).await?;
                fetched = self.fetch(&manifest, index).await?;
            }
            let Link { name, kind, resource, .. } = &manifest.links[index];
            let (resources, bytes) = match fetched {
                Fetched::Whole { resources, bytes } => (resources, bytes),
                Fetched::Expired(status) => return Err(BulkError::Expired { place: name.clone(), status }),
            };
            (self.session.world.told)(Event::Whole { name, resources });
            about.files += 1;
            about.bytes += bytes;
            match kind {
                Kind::Output => *about.resources.entry(resource.to_string()).or_default() += resources,
                Kind::Deleted => about.deleted += resources,
                Kind::Error => about.errors += resources,
            }
        }
        Ok(about)
    }

    async fn fetch(&mut self, manifest: &Manifest, index: usize) -> Result<Fetched, BulkError> {
        let link = &manifest.links[index];
        self.session.fetch(&self.draft, link, index + 1, manifest.requires_token).await
    }

    /// The same files with fresh links.
    async fn fresh(&mut self, state: &State) -> Result<Manifest, BulkError> {
        match self.ready(state).await? {
            Ready::Yes(manifest) if state.shape.as_ref() == Some(&manifest.shape()) => Ok(manifest),
            _ => Err(BulkError::Changed { place: self.place() }),
        }
    }

    /// The new export is in use: the server may drop it, and what is left of the draft goes.
    async fn finish(&mut self, state: &State, about: About) -> Result<Export, BulkError> {
        let dropped = self.drop_at_server(state).await;
        self.draft.clear()?;
        Ok(Export { about, kept_at_server: dropped.err().map(|error| error.to_string()) })
    }

    async fn drop_at_server(&mut self, state: &State) -> Result<(), BulkError> {
        let place = self.place();
        let request = self.about_status(state, Method::DELETE, &place)?;
        let answer = self.session.ask(&request).await?;
        match answer.status() {
            status if status.is_success() || matches!(status.as_u16(), 404 | 410) => Ok(()),
            status => Err(BulkError::Status { place, status: status.as_u16(), codes: String::new() }),
        }
    }

    fn about_status<'a>(&self, state: &State, method: Method, place: &'a str) -> Result<Request<'a>, BulkError> {
        let url = Url::parse(&state.status).ok().filter(|url| self.session.base.owns(url));
        let url = url.ok_or_else(|| BulkError::malformed(place, "the state file names another server"))?;
        Ok(Request { method, ..Request::get(url, place) })
    }

    /// The status address itself may be a secret.
    fn place(&self) -> String {
        format!("the export at {}", self.session.base.host())
    }
}

/// What `X-Progress` says, where it is a percentage.
fn percent(headers: &HeaderMap) -> Option<u8> {
    let text = headers.get("x-progress")?.to_str().ok()?;
    let (before, _) = text.split_once('%')?;
    let digits = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    digits.split('.').next()?.parse().ok().filter(|percent| *percent <= 100)
}

/// The codes of an OperationOutcome's issues, as the end of a sentence.
fn codes(bytes: &[u8]) -> String {
    let outcome: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let issues = outcome["issue"].as_array().into_iter().flatten();
    let known: BTreeSet<&str> =
        issues.filter_map(|issue| ISSUES.iter().find(|code| issue["code"] == **code)).copied().collect();
    if known.is_empty() { String::new() } else { format!(": {}", known.into_iter().collect::<Vec<_>>().join(", ")) }
}
