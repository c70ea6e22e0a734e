//! Users and tokens for operators, and what was changed by whom.

use axum::Json;
use axum::http::Uri;
use bocage_net::env::SystemEntropy;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{TokenId, UserName};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::answer::Made;
use super::call::{Call, QueryPart, query};
use super::types::{AuditList, MadeToken, NewUser, TokenList, UserList};
use super::{App, Problem};
use crate::people::{NewToken, PeopleError, TokenInfo, UserInfo};

/// Entries of the audit in one answer.
const LISTED: usize = 1000;

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        Problem(PublicError::from(error))
    }
}

pub(super) async fn users(app: App, _: Call) -> Result<Json<UserList>, Problem> {
    let now = app.context.clock.now();
    Ok(Json(UserList { users: app.gate.people.with(move |people| people.users(now)).await? }))
}

pub(super) async fn add_user(app: App, call: Call<(), (), NewUser>) -> Result<Made<UserInfo>, Problem> {
    let (now, new) = (app.context.clock.now(), call.body);
    let value = app.gate.people.with(move |people| people.add_user(&new.name, &new.roles, now, None)).await?;
    Ok(Made { new: true, value })
}

pub(super) async fn disable(app: App, call: Call<UserName>) -> Result<Json<UserInfo>, Problem> {
    set_disabled(app, call, true).await
}

pub(super) async fn enable(app: App, call: Call<UserName>) -> Result<Json<UserInfo>, Problem> {
    set_disabled(app, call, false).await
}

async fn set_disabled(app: App, call: Call<UserName>, disabled: bool) -> Result<Json<UserInfo>, Problem> {
    let (now, name) = (app.context.clock.now(), call.path);
    Ok(Json(app.gate.people.with(move |people| people.set_disabled(&name, disabled, now, None)).await?))
}

pub(super) async fn tokens(app: App, _: Call) -> Result<Json<TokenList>, Problem> {
    Ok(Json(TokenList { tokens: app.gate.people.with(|people| people.tokens()).await? }))
}

/// The only answer of the interface that holds a token.
pub(super) async fn make_token(app: App, call: Call<(), (), NewToken>) -> Result<Made<MadeToken>, Problem> {
    let (now, new) = (app.context.clock.now(), call.body.clone());
    if !call.caller.may_grant(&new.scope) {
        let error = PublicError::new(ErrorCode::Forbidden, "a token makes tokens of no wider scope than its own");
        return Err(error.hint("`bocage coordinator tokens create` on the coordinator's machine makes any").into());
    }
    let made = app.gate.people.with(move |people| people.make_token(&new, now, &mut SystemEntropy, None));
    let (token, info) = made.await?;
    call.concerns(&format!("{} {}", info.user, info.id));
    Ok(Made { new: true, value: MadeToken { token: token.reveal().to_owned(), info } })
}

pub(super) async fn revoke_token(app: App, call: Call<TokenId>) -> Result<Json<TokenInfo>, Problem> {
    let (now, id) = (app.context.clock.now(), call.path);
    Ok(Json(app.gate.people.with(move |people| people.revoke_token(&id, now, None)).await?))
}

/// Where a page of the audit begins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct After {
    /// The number of the last entry that is known.
    #[serde(default)]
    after: u64,
}

impl QueryPart for After {
    const HINT: &'static str = "?after=NUMBER";
    fn read(uri: &Uri) -> Result<Self, PublicError> {
        query(uri, Self::HINT)
    }
    fn schema(schemas: &mut SchemaGenerator) -> Option<Schema> {
        Some(Self::json_schema(schemas))
    }
}

pub(super) async fn audit(app: App, call: Call<(), After>) -> Result<Json<AuditList>, Problem> {
    let (now, after) = (app.context.clock.now(), call.query.after);
    app.gate.settle(now).await;
    let read = |people: &mut crate::people::PeopleFile, after| Ok((people.audited(after, LISTED)?, people.refused()?));
    let (entries, refused) = app.gate.people.with(move |people| read(people, after)).await?;
    Ok(Json(AuditList { entries, refused }))
}
