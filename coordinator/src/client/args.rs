//! The researcher's commands: arguments, what each prints, and how it exits.
//!
//! Results go to stdout, everything else to stderr. Exit 0: done; 1: the user's problem; 2: ours; 3: the study is still open.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bocage_net::code_files::with_code_files;
use bocage_net::env::SystemClock;
use bocage_protocol::env::Clock as _;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::front::{StudyText, with_lines};
use bocage_protocol::ids::{ContractId, SiteId, StudyId};
use bocage_protocol::limits;
use bocage_protocol::trust::PublicKey;
use clap::{Args, Subcommand};

use super::check;
use super::doctor::examine;
use super::ending::{Out, Then, ended, left_open, show};
use super::follow::{Followed, News, follow};
use super::keep::{compare, said, verify_folder};
use super::progress::Progress;
use super::study::{Bound, bind, sign_and_submit};
use super::waiting::Waiting;
use super::{Api, ClientError, GivenPermit, Profile, read_file};
use crate::api::types::{InvitationInfo, InvitationState, StudyStatus};
use crate::output::{self, say};
use crate::report::folder::Known;
use crate::report::{self, Format, Standing};

/// The shortest beginning of a study id that is looked up.
const PREFIX_DIGITS: usize = 4;

/// What every command of the researcher takes.
#[derive(Debug, Clone, Args)]
pub struct Client {
    /// The profile to use [default: $BOCAGE_PROFILE, else ./profile.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub profile: Option<PathBuf>,
    /// How the answer is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
}

/// `bocage study`.
#[derive(Debug, Args)]
pub struct StudyArgs {
    #[command(flatten)]
    client: Client,
    #[command(subcommand)]
    command: StudyCommand,
}

/// What can be done with studies.
#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// Check a study without asking anything of a hospital
    Check {
        /// The study's text
        file: PathBuf,
        /// The signed permit that it relies on [default: the profile's `permit`]
        #[arg(long, value_name = "FILE")]
        permit: Option<PathBuf>,
    },
    /// Sign a study, hand it in, wait for its result
    Run {
        /// The study's text
        file: PathBuf,
        /// The signed permit that it relies on [default: the profile's `permit`]
        #[arg(long, value_name = "FILE")]
        permit: Option<PathBuf>,
        /// Hand it in and leave (exit 3)
        #[arg(long, conflicts_with = "wait")]
        no_wait: bool,
        /// Wait at most so long, then leave it open (exit 3)
        #[arg(long, value_name = "SECS")]
        wait: Option<u64>,
        /// Where its report goes
        #[command(flatten)]
        out: Out,
    },
    /// List your studies, latest first; an operator sees all of the network
    List,
    /// Show a study's result, or where it stands (exit 3 if it is still open)
    Show {
        /// The study's id, or at least its first 4 digits
        id: String,
    },
    /// Show a study's result as `show` does, or write its report into a folder
    Result {
        /// The study's id, or at least its first 4 digits
        id: String,
        /// Where its report goes
        #[command(flatten)]
        out: Out,
    },
    /// Check that a report's folder is as its researcher signed it, and what that shows
    Verify(Box<VerifyArgs>),
    /// End an open study without a result
    Cancel {
        /// The study's id, or at least its first 4 digits
        id: String,
    },
}

/// `bocage study verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder
    dir: PathBuf,
    /// Who else than the study's researcher may have put it together
    #[arg(long, value_name = "KEY")]
    made_by: Option<PublicKey>,
    /// The key of the coordinator that must have published the result
    #[arg(long, value_name = "KEY")]
    published_by: Option<PublicKey>,
    /// Also ask the coordinator whether it keeps the same result, and signs by the same key
    #[arg(long)]
    ask_coordinator: bool,
}

/// `bocage sites`.
#[derive(Debug, Args)]
pub struct SitesArgs {
    #[command(flatten)]
    client: Client,
}

/// `bocage doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    client: Client,
}

/// `bocage datasets`.
#[derive(Debug, Args)]
pub struct DatasetsArgs {
    /// Show the columns, types, codes and ranges of this dataset, e.g. heart@1
    id: Option<ContractId>,
    #[command(flatten)]
    client: Client,
}

/// `bocage checkpoint`.
#[derive(Debug, Args)]
pub struct CheckpointArgs {
    /// The site whose ledger it is
    site: SiteId,
    #[command(flatten)]
    client: Client,
}

impl StudyArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        if let StudyCommand::Verify(verify) = &self.command {
            return exit(self.verify(verify));
        }
        // What is wrong with a file by itself is told without a profile.
        if let StudyCommand::Check { file, .. } | StudyCommand::Run { file, .. } = &self.command
            && let Err(error) = read_study(file)
        {
            return exit(wrong(Err(error), self.client.format));
        }
        exit(self.client.open().and_then(|(profile, api)| {
            let format = self.client.format;
            match &self.command {
                StudyCommand::Check { file, permit } => {
                    wrong(check(&profile, &api, file, permit.as_deref(), format), format)
                }
                StudyCommand::Run { file, permit, no_wait, wait, out } => {
                    let wait = if *no_wait { Some(0) } else { *wait };
                    let then = Then { format, keep: out.place()?.map(|place| (place, &profile)) };
                    run(&profile, &api, (file, permit.as_deref()), wait.map(Duration::from_secs), &then)
                }
                StudyCommand::List => print(&report::studies(&api.studies()?, format)),
                StudyCommand::Show { id } => show(&api, id, &Then { format, keep: None }),
                StudyCommand::Result { id, out } => {
                    let then = Then { format, keep: out.place()?.map(|place| (place, &profile)) };
                    show(&api, id, &then)
                }
                // It needs no profile, and was run.
                StudyCommand::Verify(_) => Ok(0),
                StudyCommand::Cancel { id } => print(&report::status(&api.cancel(&find(&api, id)?)?, format)),
            }
        }))
    }

    /// A folder is verified by whoever has it: a profile is needed only where the coordinator is asked.
    fn verify(&self, args: &VerifyArgs) -> Result<u8, ClientError> {
        let known = Known { made_by: args.made_by, published_by: args.published_by };
        let verified = verify_folder(&args.dir, known)?;
        if args.ask_coordinator {
            let (profile, api) = self.client.open()?;
            compare(&api, &verified, profile.published_by)?;
        }
        print(&said(&verified, known, args.ask_coordinator))
    }
}

impl SitesArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(_, api)| print(&report::sites(&api.sites()?, self.client.format))))
    }
}

impl DoctorArgs {
    /// Runs the command: 0 where nothing failed, 1 where something did, 2 where it is our fault.
    pub fn run(&self) -> ExitCode {
        let examined = examine(self.client.profile.as_deref());
        let said = match self.client.format {
            Format::Text => {
                let mut out = Vec::new();
                // Writing into memory does not fail.
                let _ = bocage_keep::doctor::text(&mut out, &examined.findings);
                String::from_utf8_lossy(&out).into_owned()
            }
            _ => report::json(&examined.findings),
        };
        exit(print(&said).map(|_| examined.exit_code()))
    }
}

impl CheckpointArgs {
    /// Runs the command. Its answer is a file for a hospital, so it is JSON in every format.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(_, api)| print(&report::json(&api.checkpoints(&self.site)?))))
    }
}

impl DatasetsArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(_, api)| match &self.id {
            Some(id) => {
                let format = self.client.format;
                let contract = api.contract(id)?;
                let sites =
                    if format == Format::Text { report::offers(&contract, &api.sites()?.sites) } else { String::new() };
                print(&(report::contract(&contract, format) + &sites))
            }
            None => print(&report::datasets(&api.datasets()?, self.client.format)),
        }))
    }
}

impl Client {
    /// The profile, and the coordinator as it reaches it.
    ///
    /// # Errors
    /// The profile or its token cannot be used.
    pub fn open(&self) -> Result<(Profile, Api), ClientError> {
        let profile = Profile::find(self.profile.as_deref())?;
        let api = Api::new(&profile)?;
        Ok((profile, api))
    }
}

impl Client {
    /// How the network stands, with what this user may know of it.
    ///
    /// # Errors
    /// The profile cannot be used, or the coordinator does not answer.
    pub fn standing(&self) -> Result<Standing, ClientError> {
        let (_, api) = self.open()?;
        let open = |of: &InvitationInfo| of.state == InvitationState::Open;
        let invitations = match api.invitations() {
            Ok(list) => Some(list.invitations.into_iter().filter(open).collect()),
            Err(ClientError::Refused(error)) if error.code == ErrorCode::Forbidden => None,
            Err(error) => return Err(error),
        };
        Ok(Standing { network: api.network()?, sites: api.sites()?.sites, invitations })
    }
}

/// A study's text as it stands in its file, and with the files that it names.
fn read_study(path: &Path) -> Result<(String, StudyText), ClientError> {
    let text = read_file(path, limits::STUDY_TEXT_BYTES)?;
    let file = path.display().to_string();
    let study = StudyText::parse(&text, &file).map_err(|problems| with_lines(&text, &file, problems))?;
    Ok((text, with_code_files(study, path)))
}

/// A study that is read and bound; what is wrong with it is told with its lines.
fn bound(
    profile: &Profile,
    api: &Api,
    path: &Path,
    permit: Option<&Path>,
    key: PublicKey,
) -> Result<Bound, ClientError> {
    let ((text, study), permit) = (read_study(path)?, read_permit(profile, permit)?);
    let file = path.display().to_string();
    bind(api, profile, key, permit.as_ref(), study, &file).map_err(|error| match error {
        ClientError::Problems(problems) => with_lines(&text, &file, problems).into(),
        other => other,
    })
}

/// The permit that was named, else the profile's.
fn read_permit(profile: &Profile, named: Option<&Path>) -> Result<Option<GivenPermit>, ClientError> {
    named.or(profile.permit.as_deref()).map(GivenPermit::read).transpose()
}

fn check(profile: &Profile, api: &Api, file: &Path, permit: Option<&Path>, format: Format) -> Result<u8, ClientError> {
    let bound = bound(profile, api, file, permit, profile.key()?.public())?;
    say_what_is_odd(&bound, file);
    let wanted = bound.asked(api)?;
    for analysis in &wanted.analyses {
        analysis.warnings.iter().for_each(|warning| say(format_args!("warning: {}: {warning}", analysis.name)));
    }
    print(&check::text(&wanted, format))
}

/// What is wrong with a study's text, for programs too: in the wanted form on stdout, beside the sentences that people read.
fn wrong(outcome: Result<u8, ClientError>, format: Format) -> Result<u8, ClientError> {
    if let Err(ClientError::Problems(problems)) = &outcome {
        print(&check::problems(problems, format))?;
    }
    outcome
}

/// What its author hardly meant: names that nothing uses, and answers of fewer hospitals than a reader thinks of.
fn say_what_is_odd(bound: &Bound, file: &Path) {
    bound.unused.iter().for_each(|unused| say(format_args!("warning: {}: {unused}", file.display())));
    let names: Vec<&str> = bound.left_out().into_iter().map(SiteId::as_str).collect();
    if !names.is_empty() {
        say(format_args!(
            "not asked: {}\n  hint: they do not offer the study's data now: not connected since the coordinator started, a first snapshot on its way, or \
             another contract; `bocage sites` shows which. Wait for them, or name them: sites = [\"{}\", …]",
            names.join(", "),
            names[0]
        ));
    }
}

fn run(
    profile: &Profile,
    api: &Api,
    (file, permit): (&Path, Option<&Path>),
    wait: Option<Duration>,
    then: &Then<'_>,
) -> Result<u8, ClientError> {
    let key = profile.key()?;
    let bound = bound(profile, api, file, permit, key.public())?;
    say_what_is_odd(&bound, file);
    let status = sign_and_submit(api, &bound, &key)?;
    let id = status.id;
    say(format_args!("study {} is accepted by {} and asks {} sites", id.short(), api.url(), status.sites.len()));
    let progress = std::io::stderr().is_terminal().then(Progress::new);
    let mut warned = false;
    let (mut deciding, mut waiting) = (BTreeSet::new(), Waiting::since(SystemClock.now()));
    let followed = follow(api, status, wait, true, &mut |news| match (news, &progress) {
        (News::Status(status), progress) => {
            warned = false;
            match progress {
                Some(progress) => progress.show(status),
                None => say_who_waits(status, &mut deciding),
            }
        }
        (News::Still(status), progress) => match (waiting.line(status, SystemClock.now()), progress) {
            (Some(line), Some(progress)) => progress.say(&line),
            (Some(line), None) => say(line),
            (None, _) => {}
        },
        (News::Unreachable(error), _) if !warned => {
            warned = true;
            say(format_args!("{error}; trying again"));
        }
        (News::Unreachable(_), _) => {}
    })?;
    drop(progress);
    match followed {
        Followed::Ended(status) => ended(api, &status, then),
        Followed::TimeOver(status) | Followed::Interrupted(status) => left_open(&status, then),
    }
}

/// Says of each site once that it waits for its steward.
fn say_who_waits(status: &StudyStatus, said: &mut BTreeSet<SiteId>) {
    for site in status.sites.iter().filter(|site| site.pending_since.is_some()) {
        if let Some(reason) = site.reason.as_ref().filter(|_| said.insert(site.id.clone())) {
            say(format_args!("{}: {}", site.id, report::plain(&reason.to_string())));
        }
    }
}

/// The study whose id is `text` or, alone of all, begins with it.
pub(super) fn find(api: &Api, text: &str) -> Result<StudyId, ClientError> {
    let prefix = text.trim().to_lowercase();
    let digits = prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !digits || !(PREFIX_DIGITS..=64).contains(&prefix.len()) {
        return Err(ClientError::NotAnId(text.to_owned()));
    }
    if let Ok(id) = prefix.parse() {
        return Ok(id);
    }
    let list = api.studies()?.studies;
    let found: Vec<StudyId> = list.iter().map(|s| s.id).filter(|id| id.to_string().starts_with(&prefix)).collect();
    match found.as_slice() {
        [id] => Ok(*id),
        _ => Err(ClientError::Prefix { prefix, found: found.len() }),
    }
}

/// Writes a result. A reader that went away is no error.
pub(super) fn print(text: &str) -> Result<u8, ClientError> {
    output::print(text).map(|()| 0).map_err(|e| ClientError::Write { reason: e.kind() })
}

/// Tells of an error, and makes the exit code.
pub fn exit(outcome: Result<u8, ClientError>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(format_args!("error: {error}"));
            if let Some(hint) = error.hint() {
                say(format_args!("  hint: {hint}"));
            }
            let ours = matches!(&error, ClientError::Answer { .. })
                || matches!(&error, ClientError::Refused(e) if e.code == ErrorCode::Internal);
            ExitCode::from(if ours { 2 } else { 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{answering, ok, study};
    use super::*;
    use crate::api::types::{StudyList, StudyState};

    #[test]
    fn a_file_that_is_not_there_is_said_in_words_and_with_a_hint() {
        let nowhere = Path::new("no-such-study.toml");
        let read = read_study(nowhere).err().unwrap();
        let profile = Profile::find(Some(nowhere)).unwrap_err();
        for error in [read, profile] {
            assert_eq!(error.to_string(), "cannot read no-such-study.toml: there is no such file");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_study_is_found_by_a_beginning_of_its_id_that_no_other_has() {
        let studies = ["abcdef12", "abcdef34"].map(|first| study(first, StudyState::Open, 1)).to_vec();
        let list = StudyList { studies: studies.clone() };
        let (api, _heard) = answering(vec![ok(&list), ok(&list), ok(&list)]);
        assert_eq!(find(&api, "ABCDEF1").unwrap(), studies[0].id);
        assert!(matches!(find(&api, "abcd"), Err(ClientError::Prefix { found: 2, .. })));
        assert!(matches!(find(&api, "abcdef99"), Err(ClientError::Prefix { found: 0, .. })));
        for bad in ["abc", "abcdeg", "", &"a".repeat(65)] {
            assert!(matches!(find(&api, bad), Err(ClientError::NotAnId(_))), "{bad}");
        }
        assert_eq!(find(&api, &studies[1].id.to_string()).unwrap(), studies[1].id);
    }
}
