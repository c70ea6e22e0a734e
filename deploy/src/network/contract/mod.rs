//! `bocage network contract`: drafts, checks and compares contracts. Only `new` opens data, and what it prints names nobody.

mod check;
mod compare;
mod draft;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bocage_coordinator::client::{ClientError, read_file};
use bocage_node::config::{THRESHOLD_DEFAULT, THRESHOLD_MAX, THRESHOLD_MIN};
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::ids::ColumnName;
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use clap::{Args, Subcommand, ValueEnum};

/// `bocage network contract`.
#[derive(Debug, Args)]
pub struct ContractArgs {
    #[command(subcommand)]
    command: ContractCommand,
}

#[derive(Debug, Subcommand)]
enum ContractCommand {
    /// Print a contract drafted from a file, for a person to edit
    New(NewArgs),
    /// Look for everything that is wrong with contracts
    Check {
        /// The contracts
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Say what differs between two contracts, and what of it breaks studies or mappings
    Diff {
        /// The contract as it was
        a: PathBuf,
        /// The contract as it is to be
        b: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Form::Text)]
        format: Form,
    },
}

/// `bocage network contract new`.
#[derive(Debug, Args)]
struct NewArgs {
    /// The data: FILE.csv or FILE.parquet
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The contract's name; else the file's
    #[arg(long)]
    name: Option<String>,
    /// The column that names the patient; else each row is one
    #[arg(long, value_name = "COLUMN")]
    subject: Option<ColumnName>,
    /// No value is written that fewer patients have (rows, without --subject)
    #[arg(long, default_value_t = THRESHOLD_DEFAULT, value_parser = clap::value_parser!(u32).range(i64::from(THRESHOLD_MIN)..=i64::from(THRESHOLD_MAX)))]
    k: u32,
    /// Of a CSV file: what stands between two values
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// Of a CSV file: its first line is a row already; needs --columns
    #[arg(long)]
    no_header: bool,
    /// Of a CSV file: quoted texts may hold line ends
    #[arg(long)]
    multi_line: bool,
    /// The columns' names, in order, where the file has none or others are wanted
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// What stands for a missing value, beside nothing at all, NA and NaN; may be given several times
    #[arg(long, value_name = "TEXT")]
    missing: Vec<String>,
}

/// How a comparison is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl ContractArgs {
    /// Does it.
    pub fn run(self) -> ExitCode {
        match self.command {
            ContractCommand::New(new) => draft::run(&new),
            ContractCommand::Check { files } => check::run(&files),
            ContractCommand::Diff { a, b, format } => compare::run(&a, &b, format),
        }
    }
}

/// Reads a contract.
///
/// # Errors
/// The file cannot be read; or all that is wrong with the contract.
fn read(file: &Path) -> Result<Contract, Problems> {
    let name = file.display().to_string();
    let text = read_file(file, limits::CONTRACT_TEXT_BYTES).map_err(|error| match error {
        ClientError::Problems(problems) => problems,
        other => {
            let hint = other.hint().unwrap_or_else(|| "a contract is a text in TOML".to_owned());
            Problem::new(&name, "", other.to_string()).hint(hint).into()
        }
    })?;
    contract::parse(&text, &name)
}
