//! Tokens: made, listed, revoked, and recognised. Only their hashes are here.

use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::ids::{TokenId, UserName};
use bocage_protocol::limits;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::users::{self, roles_of};
use super::{Act, Caller, PeopleError, PeopleFile, Scope, Token, TokenHash};

const DAY_SECS: i64 = 86_400;

/// A token, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// What people call it.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserName,
    /// What of the user's rights it has.
    pub scope: Scope,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The beginning of the day on which it was last used.
    pub used_on: Option<Timestamp>,
}

/// What a token is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Whose it is to be.
    pub user: UserName,
    /// What of the user's rights it is to have.
    #[serde(default = "everything")]
    pub scope: Scope,
    /// How many days it is to live.
    #[serde(default = "usual_days")]
    #[schemars(range(min = 1, max = 366))]
    pub days: u32,
}

fn everything() -> Scope {
    Scope::All
}

/// A quarter of a year.
pub(super) fn usual_days() -> u32 {
    90
}

/// Why a token is not taken. Said to whoever shows it: they have it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// It is none of this coordinator.
    #[error("the token is not one of this coordinator")]
    Token,
    /// It has expired.
    #[error("the token expired at {0}")]
    Expired(Timestamp),
    /// It was revoked.
    #[error("the token was revoked at {0}")]
    Revoked(Timestamp),
    /// Its user was disabled.
    #[error("the token's user was disabled at {0}")]
    Disabled(Timestamp),
}

type Result<T> = std::result::Result<T, PeopleError>;

impl PeopleFile {
    /// Makes a token. Its text is shown to nobody again.
    ///
    /// # Errors
    /// There is no such user, they are disabled or have too many; it would live too long.
    pub fn make_token(
        &mut self,
        new: &NewToken,
        now: Timestamp,
        entropy: &mut dyn Entropy,
        act: Option<&Act>,
    ) -> Result<(Token, TokenInfo)> {
        if !(1..=limits::API_TOKEN_DAYS).contains(&new.days) {
            return Err(PeopleError::Rule("a token lives for 1 to 366 days"));
        }
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let user = users::find(&transaction, &new.user, now)?.ok_or(PeopleError::Missing("user"))?;
        if user.disabled_at.is_some() {
            return Err(PeopleError::Rule("the user is disabled"));
        }
        if user.tokens as usize >= limits::API_TOKENS_OF_ONE {
            return Err(PeopleError::Full { what: "tokens of this user", most: limits::API_TOKENS_OF_ONE });
        }
        let token = Token::generate(entropy);
        let id = token.hash().id();
        insert(&transaction, new, &token.hash(), now)?;
        if let Some(act) = act {
            super::audit::append(&transaction, &Act { subject: format!("{} {id}", new.user), ..act.clone() }, now)?;
        }
        let info = find(&transaction, &id)?.ok_or(PeopleError::Damaged("a token that was just made"))?;
        transaction.commit()?;
        Ok((token, info))
    }

    /// All tokens, by user and day of making.
    pub fn tokens(&mut self) -> Result<Vec<TokenInfo>> {
        let mut select = self.db.prepare(&format!("{SELECT} order by user, made_at, id"))?;
        let rows = select.query_map([], read)?;
        rows.map(|row| row?).collect()
    }

    /// Revokes a token for ever. The same again changes nothing.
    ///
    /// # Errors
    /// There is no such token.
    pub fn revoke_token(&mut self, id: &TokenId, now: Timestamp, act: Option<&Act>) -> Result<TokenInfo> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "update tokens set revoked_at = coalesce(revoked_at, ?) where id = ?";
        transaction.execute(sql, params![now.0, id.as_str()])?;
        let info = find(&transaction, id)?.ok_or(PeopleError::Missing("token"))?;
        if let Some(act) = act {
            super::audit::append(&transaction, act, now)?;
        }
        transaction.commit()?;
        Ok(info)
    }

    /// Whose token it is, and what it may be used for.
    ///
    /// # Errors
    /// The file cannot be read. That the token is not taken is the inner error.
    pub fn recognise(&mut self, token: &Token, now: Timestamp) -> Result<std::result::Result<Caller, Unknown>> {
        let hash = token.hash();
        let id = hash.id();
        let sql = "select hash, user, scope, expires_at, revoked_at, used_on, roles, disabled_at
             from tokens join users on user = name where id = ?";
        let found = self.db.prepare_cached(sql)?.query_row([id.as_str()], kept).optional()?;
        let Some(kept) = found else { return Ok(Err(Unknown::Token)) };
        // The id is a part of the hash: the whole of it decides.
        if !kept.hash.parse().is_ok_and(|kept: TokenHash| kept == hash) {
            return Ok(Err(Unknown::Token));
        }
        let refusal = match (kept.revoked_at, kept.disabled_at) {
            (Some(at), _) => Some(Unknown::Revoked(Timestamp(at))),
            (None, Some(at)) => Some(Unknown::Disabled(Timestamp(at))),
            (None, None) => (kept.expires_at <= now.0).then_some(Unknown::Expired(Timestamp(kept.expires_at))),
        };
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        let today = now.0.div_euclid(DAY_SECS * 1000) * DAY_SECS * 1000;
        if kept.used_on != Some(today) {
            let sql = "update tokens set used_on = ? where id = ?";
            // On a full disk whoever looks after it must still come in.
            if let Err(error) = self.db.execute(sql, params![today, id.as_str()]) {
                tracing::warn!(%error, token = %id, "the day of a token's use is not written down");
            }
        }
        Ok(Ok(Caller {
            user: kept.user.parse().map_err(|_| PeopleError::Damaged("a user's name"))?,
            token: id,
            roles: roles_of(&kept.roles)?,
            scope: kept.scope.parse().map_err(|_| PeopleError::Damaged("a token's scope"))?,
        }))
    }
}

/// What the file has of a token and its user.
struct Kept {
    hash: String,
    user: String,
    scope: String,
    expires_at: i64,
    revoked_at: Option<i64>,
    used_on: Option<i64>,
    roles: String,
    disabled_at: Option<i64>,
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        hash: row.get(0)?,
        user: row.get(1)?,
        scope: row.get(2)?,
        expires_at: row.get(3)?,
        revoked_at: row.get(4)?,
        used_on: row.get(5)?,
        roles: row.get(6)?,
        disabled_at: row.get(7)?,
    })
}

const SELECT: &str = "select id, user, scope, made_at, expires_at, revoked_at, used_on from tokens";

/// Writes a token, unless it is there: one that was revoked stays so.
pub(super) fn insert(db: &Connection, new: &NewToken, hash: &TokenHash, now: Timestamp) -> Result<()> {
    let sql = "insert or ignore into tokens (id, hash, user, scope, made_at, expires_at) values (?, ?, ?, ?, ?, ?)";
    let (id, expires_at) = (hash.id(), now.plus_secs(i64::from(new.days) * DAY_SECS));
    let (hash, scope) = (hash.to_string(), new.scope.to_string());
    db.execute(sql, params![id.as_str(), hash, new.user.as_str(), scope, now.0, expires_at.0])?;
    Ok(())
}

fn find(db: &Connection, id: &TokenId) -> Result<Option<TokenInfo>> {
    db.query_row(&format!("{SELECT} where id = ?"), [id.as_str()], read).optional()?.transpose()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<TokenInfo>> {
    let (id, user, scope): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (made_at, expires_at): (i64, i64) = (row.get(3)?, row.get(4)?);
    let (revoked_at, used_on): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
    Ok((|| {
        Ok(TokenInfo {
            id: id.parse().map_err(|_| PeopleError::Damaged("a token's id"))?,
            user: user.parse().map_err(|_| PeopleError::Damaged("a user's name"))?,
            scope: scope.parse().map_err(|_| PeopleError::Damaged("a token's scope"))?,
            made_at: Timestamp(made_at),
            expires_at: Timestamp(expires_at),
            revoked_at: revoked_at.map(Timestamp),
            used_on: used_on.map(Timestamp),
        })
    })())
}
