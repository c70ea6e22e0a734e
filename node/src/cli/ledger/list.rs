//! `bocage-node ledger list`: one line for each study.

use std::io::{self, Write};

use bocage_protocol::marks::one_line;
use serde::Serialize;

use super::verify::holds;
use super::{Failure, Format, open, print, print_json};
use crate::config::Config;
use crate::custodian::ledger::account::{Account, Cells, Window};
use crate::custodian::ledger::bodies::About;
use crate::report;

/// Which studies.
#[derive(Debug, Default)]
pub struct Filter {
    /// Whose id begins so.
    pub study: Option<String>,
    /// Whose researcher's name or key contains this, in any capitals.
    pub researcher: Option<String>,
    /// Of this time.
    pub window: Window,
}

impl Filter {
    fn takes(&self, account: &Account) -> bool {
        let named = |wanted: &String| {
            account.about.as_ref().is_some_and(|about| {
                let wanted = wanted.to_lowercase();
                about.researcher.to_lowercase().contains(&wanted)
                    || about.key.to_string().to_lowercase().contains(&wanted)
            })
        };
        self.study.as_ref().is_none_or(|study| account.study.starts_with(study.as_str()))
            && self.researcher.as_ref().is_none_or(named)
    }
}

#[derive(Serialize)]
struct Line {
    study: String,
    first_at: String,
    last_at: String,
    title: Option<String>,
    researcher: Option<String>,
    purpose: Option<String>,
    permit: Option<String>,
    dataset: Option<String>,
    decision: String,
    decided_by: Vec<String>,
    shown: u64,
    hidden: u64,
    again: u64,
    state: &'static str,
}

impl From<&Account> for Line {
    fn from(account: &Account) -> Self {
        let (about, Cells { shown, hidden, again }) = (account.about.as_ref(), account.cells());
        Line {
            study: account.study.clone(),
            first_at: account.first.to_string(),
            last_at: account.last.to_string(),
            title: about.map(|about| about.title.clone()),
            researcher: about.map(|about| about.researcher.clone()),
            purpose: about.map(report::purpose),
            permit: account.permit.clone(),
            dataset: about.map(About::datasets),
            decision: account.decision(),
            decided_by: account.decided_by(),
            shown,
            hidden,
            again,
            state: account.state().as_str(),
        }
    }
}

/// Prints the studies.
///
/// # Errors
/// Where the ledger cannot be read, or does not hold: what was printed then cannot be believed.
pub fn list(config: &Config, filter: &Filter, format: Format) -> Result<(), Failure> {
    let ledger = open(config)?;
    let mut studies = ledger.accounts(&filter.window)?.studies;
    studies.retain(|account| filter.takes(account));
    match format {
        Format::Json => print_json(&studies.iter().map(Line::from).collect::<Vec<_>>()),
        Format::Csv => print(|out| report::studies(&studies, out)),
        Format::Text => print(|out| table(out, &studies)),
    }?;
    holds(&ledger).map(|_| ())
}

const HEADINGS: [&str; 11] =
    ["first asked", "study", "who", "purpose", "permit", "dataset", "decision", "left", "hidden", "again", "state"];

fn table(out: &mut dyn Write, studies: &[Account]) -> io::Result<()> {
    let rows: Vec<[String; HEADINGS.len()]> = studies.iter().map(row).collect();
    let mut widths = HEADINGS.map(str::len);
    for row in &rows {
        for (width, field) in widths.iter_mut().zip(row) {
            *width = (*width).max(field.chars().count());
        }
    }
    let headings = HEADINGS.map(str::to_owned);
    for row in std::iter::once(&headings).chain(&rows) {
        let mut line = String::new();
        for (field, width) in row.iter().zip(widths) {
            line.push_str(&format!("{field:width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(account: &Account) -> [String; HEADINGS.len()] {
    let Line { first_at, researcher, purpose, permit, dataset, decision, shown, hidden, again, state, .. } =
        account.into();
    let or_dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| one_line(&text));
    let first = first_at.get(..16).unwrap_or(&first_at).replace('T', " ");
    [
        first,
        account.short().to_owned(),
        or_dash(researcher),
        or_dash(purpose),
        or_dash(permit),
        or_dash(dataset),
        one_line(&decision),
        shown.to_string(),
        hidden.to_string(),
        again.to_string(),
        state.to_owned(),
    ]
}
