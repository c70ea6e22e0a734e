//! Users: made, listed, disabled. A user who was disabled stays in the list, since the audit names them, and may be enabled again.

use std::collections::BTreeSet;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::UserName;
use bocage_protocol::limits;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, PeopleError, PeopleFile, Role};

/// A user, as operators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserInfo {
    /// The name.
    pub name: UserName,
    /// What they are.
    pub roles: BTreeSet<Role>,
    /// When they were made.
    pub made_at: Timestamp,
    /// When they were disabled: none of their tokens is taken since.
    pub disabled_at: Option<Timestamp>,
    /// Tokens that are neither revoked nor expired.
    pub tokens: u32,
}

type Result<T> = std::result::Result<T, PeopleError>;

impl PeopleFile {
    /// Makes a user. `act` is written into the audit with it, where nobody else does that.
    ///
    /// # Errors
    /// There is one of this name; there are too many.
    pub fn add_user(
        &mut self,
        name: &UserName,
        roles: &BTreeSet<Role>,
        now: Timestamp,
        act: Option<&Act>,
    ) -> Result<UserInfo> {
        if roles.is_empty() {
            return Err(PeopleError::Rule("a user has at least one role"));
        }
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if find(&transaction, name, now)?.is_some() {
            return Err(PeopleError::Exists("user"));
        }
        insert(&transaction, name, roles, now)?;
        if let Some(act) = act {
            super::audit::append(&transaction, act, now)?;
        }
        let user = find(&transaction, name, now)?.ok_or(PeopleError::Damaged("a user that was just made"))?;
        transaction.commit()?;
        Ok(user)
    }

    /// All users, by name.
    pub fn users(&mut self, now: Timestamp) -> Result<Vec<UserInfo>> {
        let mut select = self.db.prepare(&format!("{SELECT} order by name"))?;
        let rows = select.query_map([now.0], read)?;
        rows.map(|row| row?).collect()
    }

    /// Disables a user, or enables them again. The same again changes nothing.
    ///
    /// # Errors
    /// There is no such user.
    pub fn set_disabled(
        &mut self,
        name: &UserName,
        disabled: bool,
        now: Timestamp,
        act: Option<&Act>,
    ) -> Result<UserInfo> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let user = find(&transaction, name, now)?.ok_or(PeopleError::Missing("user"))?;
        if user.disabled_at.is_some() != disabled {
            let at = disabled.then_some(now.0);
            transaction.execute("update users set disabled_at = ? where name = ?", params![at, name.as_str()])?;
        }
        if let Some(act) = act {
            super::audit::append(&transaction, act, now)?;
        }
        let user = find(&transaction, name, now)?.ok_or(PeopleError::Missing("user"))?;
        transaction.commit()?;
        Ok(user)
    }
}

const SELECT: &str = "select name, roles, made_at, disabled_at,
    (select count(*) from tokens where user = name and revoked_at is null and expires_at > ?1) from users";

/// Writes a user who is not there yet.
pub(super) fn insert(db: &Connection, name: &UserName, roles: &BTreeSet<Role>, now: Timestamp) -> Result<()> {
    let count: u32 = db.query_row("select count(*) from users", [], |row| row.get(0))?;
    if count as usize >= limits::API_USERS {
        return Err(PeopleError::Full { what: "users", most: limits::API_USERS });
    }
    let roles = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    db.execute("insert into users (name, roles, made_at) values (?, ?, ?)", params![name.as_str(), roles, now.0])?;
    Ok(())
}

pub(super) fn find(db: &Connection, name: &UserName, now: Timestamp) -> Result<Option<UserInfo>> {
    let sql = format!("{SELECT} where name = ?2");
    db.prepare_cached(&sql)?.query_row(params![now.0, name.as_str()], read).optional()?.transpose()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<UserInfo>> {
    let (name, roles): (String, String) = (row.get(0)?, row.get(1)?);
    let (made_at, disabled_at, tokens) = (row.get(2)?, row.get::<_, Option<i64>>(3)?, row.get(4)?);
    Ok((|| {
        Ok(UserInfo {
            name: name.parse().map_err(|_| PeopleError::Damaged("a user's name"))?,
            roles: roles_of(&roles)?,
            made_at: Timestamp(made_at),
            disabled_at: disabled_at.map(Timestamp),
            tokens,
        })
    })())
}

/// Roles as the file has them.
pub(super) fn roles_of(text: &str) -> Result<BTreeSet<Role>> {
    text.split(',').map(|role| role.parse().map_err(|_| PeopleError::Damaged("a user's roles"))).collect()
}
