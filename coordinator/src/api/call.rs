//! What a request brings, read into types before its handler sees it: who calls, the id in its path, its query, its body.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, Request};
use axum::http::Uri;
use bocage_net::places::Place;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{ContractId, SiteId, StudyId, TokenId, UserName};
use bocage_protocol::limits;
use bocage_protocol::trust::{SignedRevocations, SignedStudy};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::types::{InvitationWanted, NewUser, Revocation};
use crate::people::{Caller, NewToken};

/// A request that may be answered: its caller has the route's right.
pub(crate) struct Call<P = (), Q = (), B = ()> {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What stands in the path.
    pub path: P,
    /// What stands behind `?`.
    pub query: Q,
    /// The body.
    pub body: B,
    /// What the audit says that it is about.
    pub(super) subject: Subject,
}

impl<P, Q, B> Call<P, Q, B> {
    /// Says what the call is about, where neither its path nor its body does: an id or a name, never a text that somebody wrote freely.
    pub fn concerns(&self, subject: &impl ToString) {
        self.subject.is(subject.to_string());
    }
}

/// What the audit says that a call is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject(Arc<Mutex<String>>);

impl Subject {
    /// It is this.
    pub fn is(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// As far as is known.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The id that a path names, or nothing.
pub(crate) trait PathPart: Sized + Send {
    /// Reads it.
    fn read(text: Option<&str>) -> Result<Self, PublicError>;
    /// Its text, for the audit.
    fn subject(&self) -> Option<String>;
    /// Its form.
    fn schema(schemas: &mut SchemaGenerator) -> Option<Schema>;
}

impl PathPart for () {
    fn read(_: Option<&str>) -> Result<Self, PublicError> {
        Ok(())
    }
    fn subject(&self) -> Option<String> {
        None
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

macro_rules! path_parts {
    ($($id:ty, $message:literal, $hint:literal;)+) => {$(
        impl PathPart for $id {
            fn read(text: Option<&str>) -> Result<Self, PublicError> {
                let parsed = text.and_then(|text| text.parse().ok());
                parsed.ok_or_else(|| PublicError::new(ErrorCode::Malformed, $message).hint($hint))
            }
            fn subject(&self) -> Option<String> {
                Some(self.to_string())
            }
            fn schema(schemas: &mut SchemaGenerator) -> Option<Schema> {
                Some(<$id>::json_schema(schemas))
            }
        }
    )+};
}

path_parts! {
    StudyId, "not a study id", "a study's id has 64 hexadecimal digits; `bocage study list` shows them";
    SiteId, "not a site id", "`bocage sites` lists those that the coordinator knows";
    ContractId, "not a contract id", "NAME@VERSION; `bocage datasets` lists those that the coordinator knows";
    UserName, "not a user's name", "1 to 63 of a-z, 0-9 and . _ @ -, beginning with a letter";
    TokenId, "not a token's id", "12 hexadecimal digits; GET /v1/tokens lists them";
}

/// What stands behind `?`, or nothing.
pub(crate) trait QueryPart: Sized + Send {
    /// How it is written, for whoever wrote it otherwise.
    const HINT: &'static str;
    /// Reads it.
    fn read(uri: &Uri) -> Result<Self, PublicError>;
    /// Its form, as an object.
    fn schema(schemas: &mut SchemaGenerator) -> Option<Schema>;
}

impl QueryPart for () {
    const HINT: &'static str = "";
    fn read(_: &Uri) -> Result<Self, PublicError> {
        Ok(())
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

/// Reads a query of any form.
pub(super) fn query<Q: DeserializeOwned>(uri: &Uri, hint: &str) -> Result<Q, PublicError> {
    let read = Query::<Q>::try_from_uri(uri);
    read.map(|Query(query)| query)
        .map_err(|_| PublicError::new(ErrorCode::Malformed, "the query is not understood").hint(hint))
}

/// The body, or nothing.
pub(crate) trait BodyPart: Sized + Send {
    /// Whether there is one to wait for.
    const EXPECTED: bool;
    /// Reads it.
    fn read(bytes: &[u8]) -> Result<Self, PublicError>;
    /// What it is about, for the audit: an id or a name.
    fn subject(&self) -> Option<String>;
    /// Its form.
    fn schema(schemas: &mut SchemaGenerator) -> Option<Schema>;
}

impl BodyPart for () {
    const EXPECTED: bool = false;
    fn read(_: &[u8]) -> Result<Self, PublicError> {
        Ok(())
    }
    fn subject(&self) -> Option<String> {
        None
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

macro_rules! json_bodies {
    ($($body:ty, $subject:expr, $message:literal, $hint:literal;)+) => {$(
        impl BodyPart for $body {
            const EXPECTED: bool = true;
            fn read(bytes: &[u8]) -> Result<Self, PublicError> {
                serde_json::from_slice(bytes)
                    .map_err(|_| PublicError::new(ErrorCode::Malformed, $message).hint($hint))
            }
            fn subject(&self) -> Option<String> {
                let subject: fn(&Self) -> Option<String> = $subject;
                subject(self)
            }
            fn schema(schemas: &mut SchemaGenerator) -> Option<Schema> {
                Some(<$body>::json_schema(schemas))
            }
        }
    )+};
}

json_bodies! {
    SignedStudy, |study| Some(study.id().to_string()), "the body is not a signed study", "`bocage study run` makes one";
    InvitationWanted, |wanted| Some(wanted.site.to_string()), "the body does not say whom to invite", r#"send {"site": ID}, with "days" and "replace" if wanted"#;
    Revocation, |_| None, "the body does not say what to revoke", r#"{} for all of the site's certificates, or {"serial": DIGITS}, with "reason" if wanted"#;
    NewUser, |new| Some(new.name.to_string()), "the body is not a new user", r#"{"name": "ada", "roles": ["researcher"]}"#;
    NewToken, |new| Some(new.user.to_string()), "the body is not a new token", r#"{"user": "ada", "scope": "all", "days": 90}"#;
}

impl BodyPart for SignedRevocations {
    const EXPECTED: bool = true;
    fn read(bytes: &[u8]) -> Result<Self, PublicError> {
        SignedRevocations::from_text(&String::from_utf8_lossy(bytes))
    }
    fn subject(&self) -> Option<String> {
        None
    }
    fn schema(schemas: &mut SchemaGenerator) -> Option<Schema> {
        Some(SignedRevocations::json_schema(schemas))
    }
}

/// Where a request came from, and the place of its connection: the server puts it beside the request.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The address.
    pub address: IpAddr,
    /// Held by the connection.
    pub place: Arc<Place>,
}

/// Where it came from, if the server said so.
pub(super) fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.address)
}

/// Whoever sent it has shown a sound token: their connection gives way to no stranger, as long as the user has few of them.
pub(super) fn known(request: &Request, caller: &Caller) {
    if let Some(peer) = request.extensions().get::<Peer>() {
        peer.place.known_as(caller.user.as_str(), limits::HTTP_CONNECTIONS_OF_ONE);
    }
}
