//! `bocage keys` and `bocage permit`: arguments, and what each prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bocage_coordinator::api::types::RevocationsInfo;
use bocage_coordinator::client::{Client, ClientError, GivenPermit, exit, read_file};
use bocage_coordinator::report::{Format, json};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::env::Clock as _;
use bocage_protocol::limits;
use bocage_protocol::trust::{Permit, PublicKey, Revocations};
use clap::{Args, Subcommand, ValueEnum};

use super::before::{self, Beside};
use super::show::Standing;
use super::verify::Against;
use super::{Request, contracts, keys, list, show, sign, verify};
use crate::cli::{print, say};
use crate::network::Network;

/// A usual number of sites behind a cell.
const MIN_SITES: u32 = 3;
/// A usual smallest count.
const THRESHOLD: u32 = 11;

/// `bocage keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a secret key in a new file, and print its public half
    New {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Print the public half of a secret key
    Show {
        /// The secret key's file
        file: PathBuf,
    },
}

/// `bocage permit`.
#[derive(Debug, Args)]
pub struct PermitArgs {
    #[command(subcommand)]
    command: PermitCommand,
}

#[derive(Debug, Subcommand)]
enum PermitCommand {
    /// Print a permit's text to be filled in
    New {
        /// Name the datasets and columns of the contracts in this folder
        #[arg(long, value_name = "DIR")]
        contracts: Option<PathBuf>,
    },
    /// Sign the permit that a text describes, and print it
    Sign {
        /// The permit's text
        file: PathBuf,
        /// The access body's secret key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Look datasets and columns up in the contracts in this folder
        #[arg(long, value_name = "DIR")]
        contracts: Option<PathBuf>,
        /// Look the network's name and the sites up in this text of a network, as `bocage network init` reads it
        #[arg(long, value_name = "FILE")]
        network: Option<PathBuf>,
        /// Refuse an id that stands in this list of revoked permits
        #[arg(long, value_name = "FILE")]
        revocations: Option<PathBuf>,
    },
    /// Show a signed permit, or a list of revoked ones
    Show {
        /// The permit or the list
        file: PathBuf,
        /// How it is written to stdout
        #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
        format: ShowFormat,
        /// The access body's list of revoked permits
        #[arg(long, value_name = "FILE")]
        revocations: Option<PathBuf>,
    },
    /// Say whether a permit holds: signature, time, and what it is held against
    Verify {
        /// The signed permit
        file: PathBuf,
        /// The access body's public key, ed25519:…
        #[arg(long, value_name = "KEY", conflicts_with = "key_file")]
        issuer: Option<PublicKey>,
        /// The file with the access body's public key
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// The access body's list of revoked permits
        #[arg(long, value_name = "FILE")]
        revocations: Option<PathBuf>,
    },
    /// Take a permit back: sign the next list of revoked permits, with this one in it
    Revoke {
        /// The signed permit
        file: PathBuf,
        #[command(flatten)]
        next: Next,
    },
    /// Sign the next list of revoked permits as it stands: sites want a fresh one, also where nothing is taken back
    List {
        #[command(flatten)]
        next: Next,
    },
    /// Hand a list of revoked permits to the coordinator, which passes it on to every site
    Publish {
        /// The list
        list: PathBuf,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Debug, Args)]
struct Next {
    /// The access body's secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file of the list, which is replaced by the next one; made if it is not there
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

impl KeysArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        let public = match &self.command {
            KeysCommand::New { file } => keys::make(file),
            KeysCommand::Show { file } => keys::secret(file).map(|key| key.public()),
        };
        told(public.map(|public| format!("{public}\n")))
    }
}

impl PermitArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        told(match &self.command {
            PermitCommand::New { contracts } => new(contracts.as_deref()),
            PermitCommand::Sign { file, key, contracts, network, revocations } => {
                signed(file, key, contracts.as_deref(), network.as_deref(), revocations.as_deref())
            }
            PermitCommand::Show { file, format, revocations } => shown(file, *format, revocations.as_deref()),
            PermitCommand::Verify { file, issuer, key_file, revocations } => {
                verified(file, *issuer, key_file.as_deref(), revocations.as_deref())
            }
            PermitCommand::Revoke { file, next } => next.sign(Some(file)),
            PermitCommand::List { next } => next.sign(None),
            PermitCommand::Publish { list, client } => published(list, client),
        })
    }
}

fn told(outcome: Result<String, ClientError>) -> ExitCode {
    match outcome {
        Ok(text) => print(&text),
        Err(error) => exit(Err(error)),
    }
}

fn new(dir: Option<&Path>) -> Result<String, ClientError> {
    let contracts = dir.map(contracts::read).transpose()?.unwrap_or_default();
    let datasets = Request::datasets_of(&contracts);
    let request = Request { min_sites: MIN_SITES, threshold: THRESHOLD, datasets, ..Request::default() };
    Ok(request.text(SystemClock.now()))
}

fn signed(
    file: &Path,
    key: &Path,
    dir: Option<&Path>,
    network: Option<&Path>,
    revocations: Option<&Path>,
) -> Result<String, ClientError> {
    let text = read_file(file, limits::CONFIG_TEXT_BYTES)?;
    let contracts = dir.map(contracts::read).transpose()?;
    let network = network.map(Network::read).transpose()?;
    let list = revocations.map(list::read).transpose()?;
    let key = keys::secret(key)?;
    if let (Some(path), Some((_, list))) = (revocations, &list)
        && list.issuer != key.public()
    {
        return Err(list::others(path));
    }
    let file = file.display().to_string();
    let signed = sign(&text, &file, &key, contracts.as_deref(), &mut SystemEntropy)?;
    let list = list.as_ref().map(|(_, list)| list);
    let beside = Beside { now: SystemClock.now(), network: network.as_ref(), list };
    before::problems(&signed.verify()?, &file, &beside).into_result(())?;
    Ok(signed.to_text())
}

fn shown(file: &Path, format: ShowFormat, revocations: Option<&Path>) -> Result<String, ClientError> {
    if list::is_one(file) {
        let (_, list) = list::read(file)?;
        return Ok(if format == ShowFormat::Json { json(&list) } else { show::list(&list) });
    }
    let given = GivenPermit::read(file)?;
    let list = revocations.map(list::read).transpose()?.map(|(_, list)| list);
    if let (Some(path), Some(_)) = (revocations, list.as_ref().filter(|list| list.issuer != given.permit.issuer)) {
        return Err(list::others(path));
    }
    let standing = Standing::of(&given.permit, &given.signed, list.as_ref(), SystemClock.now());
    Ok(match format {
        ShowFormat::Text => show::permit(&given.permit, &given.signed, &standing),
        ShowFormat::Json => show::permit_json(&given.permit, &given.signed, &standing),
    })
}

fn verified(
    file: &Path,
    issuer: Option<PublicKey>,
    key_file: Option<&Path>,
    revocations: Option<&Path>,
) -> Result<String, ClientError> {
    let given = GivenPermit::read(file)?;
    let issuer = issuer.map_or_else(|| key_file.map(keys::public).transpose(), |key| Ok(Some(key)))?;
    let list = revocations.map(list::read).transpose()?;
    let list_file = revocations.map(|path| path.display().to_string()).unwrap_or_default();
    let against =
        Against { issuer, list: list.as_ref().map(|(_, list)| (list_file.as_str(), list)), now: SystemClock.now() };
    verify::problems(&given.permit, &given.signed, &given.file, &against).into_result(())?;
    match &list {
        Some((_, list)) => namesakes(list, &given),
        None => say("note: whether it was taken back is not looked at without --revocations"),
    }
    let Permit { id, issuer: signer, valid_to, .. } = &given.permit;
    Ok(match issuer {
        Some(_) => format!("permit {id} holds until {valid_to}\n"),
        // Anyone can sign such a permit: this must not read as if it held.
        None => format!(
            "permit {id} was signed by {signer} and not altered, and ends at {valid_to}; nobody said whether to trust that key: name the one that you trust with --issuer or --key-file\n"
        ),
    })
}

/// Says which other permits of the same id the list takes back.
fn namesakes(list: &Revocations, given: &GivenPermit) {
    let digest = given.signed.digest();
    for other in list.revoked.iter().filter(|other| other.id == given.permit.id && other.digest != digest) {
        say(&format!(
            "note: another permit {} was taken back at {} (digest {})",
            other.id,
            other.at,
            other.digest.short()
        ));
    }
}

impl Next {
    fn sign(&self, revoked: Option<&PathBuf>) -> Result<String, ClientError> {
        let (key, now) = (keys::secret(&self.key)?, SystemClock.now());
        let given = revoked.map(|file| GivenPermit::read(file)).transpose()?;
        if let Some(given) = given.as_ref().filter(|given| given.permit.issuer != key.public()) {
            let against = Against { issuer: Some(key.public()), list: None, now: given.permit.valid_from };
            verify::problems(&given.permit, &given.signed, &given.file, &against).into_result(())?;
        }
        let revoked = given.as_ref().map(|given| (&given.permit, &given.signed));
        let signed = list::sign_next(&self.list, &key, revoked, now)?;
        if let Some(given) = &given {
            namesakes(&signed, given);
            let (id, digest) = (&given.permit.id, given.signed.digest().short());
            say(&format!(
                "note: this takes back the permit of digest {digest}; any other that was signed as {id} stays in force"
            ));
        }
        let file = self.list.display();
        say(&format!("\nhand it to the coordinator: bocage permit publish {file} --profile PROFILE"));
        Ok(told_of(&signed, &file.to_string()))
    }
}

fn told_of(list: &Revocations, file: &str) -> String {
    format!("{file}: list {}, permits taken back: {}\n", list.number, list.revoked.len())
}

fn published(file: &Path, client: &Client) -> Result<String, ClientError> {
    let (signed, _) = list::read(file)?;
    let (_, api) = client.open()?;
    let info = api.publish(&signed)?;
    if client.format == Format::Json {
        return Ok(json(&info));
    }
    let RevocationsInfo { access_body, number, revoked, .. } = info;
    Ok(format!("list {number} of {access_body} is in force at {}, permits taken back: {revoked}\n", api.url()))
}
