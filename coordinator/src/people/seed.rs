//! Those whom `coordinator.toml` names: a new network has users before it has a state folder.
//!
//! A seed is taken up once. From then on the file has the word: whoever was disabled or revoked stays so, whatever the configuration says.

use std::collections::BTreeSet;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::UserName;
use rusqlite::TransactionBehavior;
use serde::Deserialize;

use super::{NewToken, PeopleError, PeopleFile, Role, Scope, TokenHash, tokens, users};

/// A `[[user]]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Seed {
    /// The name.
    pub name: UserName,
    /// What they are.
    pub roles: BTreeSet<Role>,
    /// The hash of a first token, which their profile has.
    pub token: Option<TokenHash>,
    /// How many days that token lives, from when the coordinator first hears of it.
    #[serde(default = "tokens::usual_days")]
    pub days: u32,
}

impl PeopleFile {
    /// Takes up those who are not there yet.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn take_up(&mut self, seeds: &[Seed], now: Timestamp) -> Result<(), PeopleError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for seed in seeds {
            if users::find(&transaction, &seed.name, now)?.is_none() {
                users::insert(&transaction, &seed.name, &seed.roles, now)?;
            }
            if let Some(hash) = &seed.token {
                let new = NewToken { user: seed.name.clone(), scope: Scope::All, days: seed.days };
                tokens::insert(&transaction, &new, hash, now)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}
