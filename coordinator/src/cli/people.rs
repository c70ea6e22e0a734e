//! `users`, `tokens` and `audit`: on the coordinator's machine, by its state folder, whether it runs or not. It heeds changes at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use bocage_net::env::SystemEntropy;
use bocage_net::secret::write_secret;
use bocage_protocol::counted::counted;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::{Digest, TokenId, UserName};
use clap::{Args, Subcommand};

use super::Source;
use crate::config::Config;
use crate::people::{Act, NewToken, PeopleError, PeopleFile, Role, Scope};

/// Entries that are read at a time.
const PAGE: usize = 1000;

/// Who uses the HTTP interface
#[derive(Debug, Args)]
pub(super) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Make a user
    Add {
        /// 1 to 63 of a-z, 0-9 and . _ @ -
        name: UserName,
        /// researcher, steward, operator or access_body; may be given several times
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        #[command(flatten)]
        source: Source,
    },
    /// Show all users
    List(Source),
    /// Take none of a user's tokens any more
    Disable {
        /// The user
        name: UserName,
        #[command(flatten)]
        source: Source,
    },
    /// Take a user's tokens again
    Enable {
        /// The user
        name: UserName,
        #[command(flatten)]
        source: Source,
    },
}

/// What users show to the HTTP interface
#[derive(Debug, Args)]
pub(super) struct TokensArgs {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Make a token, which is shown once
    Create {
        /// Whose it is to be
        user: UserName,
        /// How many days it is to live, 366 at most
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// all, read, or rights with commas between, e.g. look,hand_in
        #[arg(long, default_value = "all")]
        scope: Scope,
        /// Write it into this new file, readable to its owner alone, instead of showing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        source: Source,
    },
    /// Show all tokens, without their texts
    List(Source),
    /// Revoke a token for ever
    Revoke {
        /// As `tokens list` shows it
        id: TokenId,
        #[command(flatten)]
        source: Source,
    },
}

/// What was changed, by whom
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Show what was changed, and how many attempts were refused
    List {
        /// Begin behind this number
        #[arg(long, default_value_t = 0)]
        after: u64,
        #[command(flatten)]
        source: Source,
    },
    /// See whether every entry still is as it was written
    Verify {
        /// A hash that was noted earlier: it must be among them
        #[arg(long)]
        noted: Option<Digest>,
        #[command(flatten)]
        source: Source,
    },
    /// Write all entries with their hashes, one JSON object a line
    Export(Source),
}

/// What a command has to say, or why it cannot.
type Said = Result<String, String>;

impl UsersArgs {
    pub(super) fn run(self, clock: &dyn Clock) -> Said {
        let now = clock.now();
        match self.command {
            UsersCommand::Add { name, roles, source } => {
                let roles: BTreeSet<Role> = roles.into_iter().collect();
                let act = act("users add", &name);
                let user = open(&source, now)?.add_user(&name, &roles, now, Some(&act)).map_err(text)?;
                let create = format!("bocage coordinator tokens create {name} --config {}", source.config.display());
                Ok(format!("{}: {}\nnow make a token: {create}\n", user.name, words(&user.roles)))
            }
            UsersCommand::List(source) => {
                let mut said = String::new();
                for user in open(&source, now)?.users(now).map_err(text)? {
                    let disabled = user.disabled_at.map_or_else(String::new, |at| format!("  disabled since {at}"));
                    let (name, roles) = (user.name.as_str(), words(&user.roles));
                    let _ = writeln!(said, "{name:24} {roles:32} {}{disabled}", counted(user.tokens, "token"));
                }
                Ok(said)
            }
            UsersCommand::Disable { name, source } => {
                let act = act("users disable", &name);
                open(&source, now)?.set_disabled(&name, true, now, Some(&act)).map_err(text)?;
                Ok(format!("{name}: none of the tokens is taken any more\n"))
            }
            UsersCommand::Enable { name, source } => {
                let act = act("users enable", &name);
                let user = open(&source, now)?.set_disabled(&name, false, now, Some(&act)).map_err(text)?;
                Ok(format!("{name}: taken again, with {}\n", counted(user.tokens, "token")))
            }
        }
    }
}

impl TokensArgs {
    pub(super) fn run(self, clock: &dyn Clock) -> Said {
        let now = clock.now();
        match self.command {
            TokensCommand::Create { user, days, scope, out, source } => {
                let act = act("tokens create", &user);
                let new = NewToken { user, scope, days };
                let mut people = open(&source, now)?;
                let (token, info) = people.make_token(&new, now, &mut SystemEntropy, Some(&act)).map_err(text)?;
                let Some(path) = out else { return Ok(format!("{}\n", token.reveal())) };
                let written = write_secret(&path, format!("{}\n", token.reveal()).as_bytes());
                if let Err(error) = written {
                    // Nobody has it: it must not live on.
                    let revoked = people.revoke_token(&info.id, now, Some(&self::act("tokens revoke", &info.id)));
                    revoked.map_err(text)?;
                    return Err(error.to_string());
                }
                Ok(format!("token {} of {} is in {}, until {}\n", info.id, info.user, path.display(), info.expires_at))
            }
            TokensCommand::List(source) => {
                let mut said = String::new();
                for token in open(&source, now)?.tokens().map_err(text)? {
                    let state = match token.revoked_at {
                        Some(at) => format!("revoked at {at}"),
                        None if token.expires_at <= now => format!("expired at {}", token.expires_at),
                        None => format!("until {}", token.expires_at),
                    };
                    let used = token
                        .used_on
                        .map_or_else(|| "never used".to_owned(), |day| format!("last used on {}", date(day)));
                    let (user, scope) = (token.user.as_str(), token.scope.to_string());
                    let _ = writeln!(said, "{}  {user:24} {scope:12} {state}  {used}", token.id);
                }
                Ok(said)
            }
            TokensCommand::Revoke { id, source } => {
                let act = act("tokens revoke", &id);
                let token = open(&source, now)?.revoke_token(&id, now, Some(&act)).map_err(text)?;
                Ok(format!("token {id} of {} is revoked\n", token.user))
            }
        }
    }
}

impl AuditArgs {
    pub(super) fn run(self, clock: &dyn Clock) -> Said {
        let now = clock.now();
        match self.command {
            AuditCommand::List { after, source } => {
                let (mut people, mut said) = (open(&source, now)?, String::new());
                pages(&mut people, after, |entry| {
                    let act = &entry.entry.act;
                    let (number, at) = (entry.entry.number, entry.entry.at);
                    let from = act.address.as_deref().unwrap_or("this machine");
                    // Over HTTP an act has a status, unless the coordinator ended before its answer.
                    let cut_short = act.token.is_some() && act.status.is_none();
                    let cut_short = if cut_short { "  (cut short: it may have been made)" } else { "" };
                    let _ = writeln!(
                        said,
                        "{number:6}  {at}  {:24} {:36} {}  from {from}{cut_short}",
                        act.who, act.action, act.subject
                    );
                })?;
                for refused in people.refused().map_err(text)? {
                    let day = date(refused.day);
                    let _ = writeln!(said, "{day}: {} refused ({})", refused.count, refused.reason.as_str());
                }
                Ok(said)
            }
            AuditCommand::Verify { noted, source } => {
                let verified =
                    open(&source, now)?.verify_audit(noted).map_err(text)?.map_err(|broken| broken.to_string())?;
                match verified {
                    (0, _) | (_, None) => Ok("there are no entries yet\n".to_owned()),
                    (count, Some(hash)) => {
                        let all = counted(count, "entry");
                        let hold = if count == 1 { "holds" } else { "hold" };
                        Ok(format!("{all} {hold}; note the last hash elsewhere:\n{hash}\n"))
                    }
                }
            }
            AuditCommand::Export(source) => {
                let (mut people, mut said) = (open(&source, now)?, String::new());
                pages(&mut people, 0, |entry| {
                    // An entry that was read from JSON can be written as JSON.
                    let _ = writeln!(said, "{}", serde_json::to_string(entry).unwrap_or_default());
                })?;
                Ok(said)
            }
        }
    }
}

fn pages(people: &mut PeopleFile, mut after: u64, mut each: impl FnMut(&crate::people::Audited)) -> Result<(), String> {
    loop {
        let page = people.audited(after, PAGE).map_err(text)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.entry.number;
        page.iter().for_each(&mut each);
    }
}

fn open(source: &Source, now: Timestamp) -> Result<PeopleFile, String> {
    let config = Config::load(&source.config, &source.set).map_err(|problems| problems.to_string())?;
    let mut people = PeopleFile::open(&config.state_dir).map_err(text)?;
    people.take_up(&config.users, now).map_err(text)?;
    Ok(people)
}

fn act(action: &str, subject: &impl ToString) -> Act {
    Act {
        who: format!("uid {}", rustix::process::getuid().as_raw()),
        token: None,
        roles: BTreeSet::new(),
        action: action.to_owned(),
        subject: subject.to_string(),
        status: None,
        address: None,
    }
}

fn text(error: PeopleError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}\n  hint: {hint}"),
        None => error.to_string(),
    }
}

fn words(roles: &BTreeSet<Role>) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// The day alone.
fn date(day: Timestamp) -> String {
    day.to_string().chars().take(10).collect()
}
