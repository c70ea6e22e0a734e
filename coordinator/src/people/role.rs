//! What somebody may do: roles give rights, a token's scope takes some away, and each route of the interface wants exactly one right.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bocage_protocol::ids::{TokenId, UserName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a user is to the network. A user may be several things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Hands studies in, and sees those that they handed in.
    Researcher,
    /// Decides who is a member of the network: invites sites and revokes them. Publishes lists of revoked permits too.
    Steward,
    /// Keeps the coordinator running: users, tokens, and everything that there is to read.
    Operator,
    /// Publishes its lists of revoked permits.
    AccessBody,
}

/// What a route of the interface wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See the network: sites, datasets, contracts, checkpoints, lists of revoked permits.
    Look,
    /// See studies: one's own, unless one has [`Right::EveryStudy`] too.
    SeeStudies,
    /// See everybody's studies.
    EveryStudy,
    /// Hand studies in and cancel one's own.
    HandIn,
    /// Publish lists of revoked permits.
    PublishLists,
    /// Invite sites and revoke them.
    Members,
    /// See users and tokens, and what was changed by whom.
    SeePeople,
    /// Make and disable users and tokens.
    ManagePeople,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Researcher, Role::Steward, Role::Operator, Role::AccessBody];

    /// What it may do.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Role::Researcher => &[Right::Look, Right::SeeStudies, Right::HandIn],
            Role::Steward => &[Right::Look, Right::Members, Right::PublishLists],
            Role::Operator => &[
                Right::Look,
                Right::SeeStudies,
                Right::EveryStudy,
                Right::Members,
                Right::SeePeople,
                Right::ManagePeople,
            ],
            Role::AccessBody => &[Right::Look, Right::PublishLists],
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Researcher => "researcher",
            Role::Steward => "steward",
            Role::Operator => "operator",
            Role::AccessBody => "access_body",
        }
    }
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 8] = [
        Right::Look,
        Right::SeeStudies,
        Right::EveryStudy,
        Right::HandIn,
        Right::PublishLists,
        Right::Members,
        Right::SeePeople,
        Right::ManagePeople,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Look => "look",
            Right::SeeStudies => "see_studies",
            Right::EveryStudy => "every_study",
            Right::HandIn => "hand_in",
            Right::PublishLists => "publish_lists",
            Right::Members => "members",
            Right::SeePeople => "see_people",
            Right::ManagePeople => "manage_people",
        }
    }

    /// The roles that have it.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| role.rights().contains(&self))
    }
}

/// The text is none of the words that were wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NoSuchWord(&'static str);

impl FromStr for Role {
    type Err = NoSuchWord;
    fn from_str(text: &str) -> Result<Self, NoSuchWord> {
        let wanted = "researcher, steward, operator or access_body";
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NoSuchWord(wanted))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What of a user's rights a token has. Written `all`, `read`, or rights with commas between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Whatever the user may do.
    All,
    /// Whatever the user may do that changes nothing.
    Read,
    /// These alone, as far as the user has them.
    Only(BTreeSet<Right>),
}

impl FromStr for Scope {
    type Err = NoSuchWord;
    fn from_str(text: &str) -> Result<Self, NoSuchWord> {
        match text {
            "all" => Ok(Scope::All),
            "read" => Ok(Scope::Read),
            list => {
                let right = |word: &str| Right::ALL.into_iter().find(|right| right.as_str() == word);
                let rights: Option<BTreeSet<Right>> = list.split(',').map(|word| right(word.trim())).collect();
                let wanted = "all, read, or some of look, see_studies, every_study, hand_in, publish_lists, members, see_people \
                              and manage_people with commas between";
                rights.map(Scope::Only).ok_or(NoSuchWord(wanted))
            }
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = NoSuchWord;
    fn try_from(text: String) -> Result<Self, NoSuchWord> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("all"),
            Scope::Read => f.write_str("read"),
            Scope::Only(rights) => {
                f.write_str(&rights.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// Whoever makes a request, as their token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserName,
    /// The token.
    pub token: TokenId,
    /// What the user is.
    pub roles: BTreeSet<Role>,
    /// What the token is for.
    pub scope: Scope,
}

impl Caller {
    /// Whether this request may use `right`; `writes` when it would change something.
    pub fn may(&self, right: Right, writes: bool) -> bool {
        let role = self.roles.iter().any(|role| role.rights().contains(&right));
        let scope = match &self.scope {
            Scope::All => true,
            Scope::Read => !writes,
            Scope::Only(rights) => rights.contains(&right),
        };
        role && scope
    }

    /// Whether a token of this scope may be made with this one: nobody gets by a new token what theirs is not for.
    pub fn may_grant(&self, scope: &Scope) -> bool {
        match (&self.scope, scope) {
            (Scope::All, _) => true,
            (Scope::Only(own), Scope::Only(new)) => new.is_subset(own),
            _ => false,
        }
    }
}
