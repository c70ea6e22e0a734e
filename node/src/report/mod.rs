//! What a data protection officer reads: one page about everything that was asked of this site and everything that left it, ordered by the
//! Five Safes, with a record of processing activities (GDPR, article 30). And the same as tables for programs.
//!
//! The page is a single file without scripts and without anything that would be fetched; every text of a requester is escaped by the way it
//! is made. It is written study by study, so that a ledger of any size fits. It reads ledger and configuration, never the data.

mod csv;
mod data;
mod outputs;
mod people;
mod permits;
mod processing;
mod projects;
mod settings;
mod study;
mod words;

use std::io::{self, Write};

use bocage_protocol::env::Timestamp;
use bocage_protocol::trust::SecretKey;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::config::Config;
use crate::custodian::desk::Secret;
use crate::custodian::ledger::account::{Account, Accounts, Cells, Said, State, Window};
use crate::custodian::ledger::{Broken, Ledger, LedgerError, Verified};
use words::{day, number, when};

pub use csv::{cells, records, studies};
pub(crate) use csv::{plain, purpose};

const STYLE: &str = include_str!("style.css");

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// Whether the ledger is the one that somebody else remembers.
#[derive(Debug, Clone)]
pub enum Witness {
    /// It was compared with nothing.
    NotAsked,
    /// It is, and this is to be said.
    Fits(Vec<String>),
    /// It is not, or that cannot be told.
    Differs(String),
}

/// What a report is made of.
pub struct Report<'a> {
    /// The site as it is configured now.
    pub config: &'a Config,
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// What the ledger says.
    pub accounts: &'a Accounts,
    /// Whether it can be believed.
    pub verified: &'a Result<Verified, Broken>,
    /// Whether it is the one that the coordinator remembers.
    pub witness: Witness,
    /// What approvals are sealed with; none where the key could not be read.
    pub release_key: Option<&'a SecretKey>,
    /// Of which time.
    pub window: Window,
    /// When it was made.
    pub made_at: Timestamp,
}

impl Report<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// Where the ledger cannot be read or the page not be written.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        let title = format!("What was asked of {}, and what left it", self.name());
        let head = html! {
            (DOCTYPE)
            (PreEscaped("<html lang=\"en\">"))
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            (PreEscaped("<body>"))
        };
        out.write_all(head.0.as_bytes())?;
        let sections = [projects::section(self), people::section(self), settings::section(self), data::section(self)];
        out.write_all(self.top(&title).0.as_bytes())?;
        out.write_all(b"<main>")?;
        for section in sections {
            out.write_all(section.0.as_bytes())?;
        }
        outputs::write(self, out)?;
        out.write_all(processing::section(self).0.as_bytes())?;
        out.write_all(b"</main>")?;
        out.write_all(self.foot().0.as_bytes())?;
        Ok(out.write_all(b"</body></html>\n")?)
    }

    /// The organisation, or the site where that is not named.
    fn name(&self) -> String {
        self.config.organisation.name.clone().unwrap_or_else(|| self.config.site.to_string())
    }

    /// Whether an approval is this site's own, in words; none of what is no approval.
    fn sealed(&self, study: &str, said: &Said) -> Option<&'static str> {
        let Said::Approved(approval) = said else { return None };
        let Some(key) = self.release_key else { return Some("seal not checked: the release key could not be read") };
        let own = study.parse().is_ok_and(|study| Secret(key).holds(&study, approval));
        Some(if own {
            "seal checked: this site's own"
        } else {
            "NOT this site's own: the seal is wrong, and it does not count"
        })
    }

    fn period(&self) -> String {
        let Window { from, until } = self.window;
        let last = until.map(|until| day(until.plus_secs(-1)));
        match (from.map(day), last) {
            (None, None) => "from the ledger's beginning to the day of this report".to_owned(),
            (Some(from), None) => format!("from {from} on"),
            (None, Some(last)) => format!("until {last}"),
            (Some(from), Some(last)) => format!("from {from} to {last}"),
        }
    }

    fn top(&self, title: &str) -> Markup {
        let studies = &self.accounts.studies;
        let count = |state| studies.iter().filter(|study| study.state() == state).count() as u64;
        let Cells { shown, hidden, again } = studies.iter().map(Account::cells).sum();
        html! {
            header {
                h1 { (title) }
                p.lede {
                    "Site " code { (self.config.site) } " of the network " code { (self.config.network) } ", "
                    (self.period()) ". Made " (when(self.made_at)) " UTC from the site's own ledger and configuration."
                }
                dl.figures {
                    (figure("Studies", studies.len() as u64))
                    (figure("Released", count(State::Released)))
                    (figure("Refused", count(State::Refused)))
                    (figure("Waiting", count(State::Waiting) + count(State::Approved)))
                    (figure("Cells with numbers", shown))
                    (figure("Hidden cells", hidden))
                    @if again > 0 { (figure("Cells again", again)) }
                }
                (self.trustworthy())
                (self.witnessed())
                nav aria-label="Contents" {
                    a href="#projects" { "1 Projects" } a href="#people" { "2 People" } a href="#settings" { "3 Settings" }
                    a href="#data" { "4 Data" } a href="#outputs" { "5 Outputs" } a href="#processing" { "Record of processing" }
                }
            }
        }
    }

    /// Whether the record that all of this is made of holds.
    fn trustworthy(&self) -> Markup {
        match self.verified {
            Ok(Verified { records, dropped, head }) => html! {
                p.note {
                    "The ledger's chain of " (number(*records)) " records was recomputed for this report and holds. "
                    @if *dropped > 0 {
                        "Of " (number(*dropped)) " the exact bytes were dropped after the period that the site set; their hashes stand. "
                    }
                    "Its head is " span.id { (head) } "."
                }
            },
            Err(broken) => html! {
                p.note.bad {
                    strong { "This ledger cannot be trusted: " } (broken) ". What is written here may have been altered from there on."
                }
            },
        }
    }

    /// Whether it is the ledger that the coordinator remembers: one that was cut off or put back has a chain that holds.
    fn witnessed(&self) -> Markup {
        match &self.witness {
            Witness::NotAsked => html! {
                p.note.open {
                    "No checkpoint was compared: that nothing was cut off the ledger's end is not shown. "
                    code { "ledger export --checkpoint FILE" } " compares it with what the coordinator remembers."
                }
            },
            Witness::Fits(said) => html! {
                p.note { "This is the ledger that the coordinator remembers: " (said.join("; ")) "." }
            },
            Witness::Differs(why) => html! {
                p.note.bad { strong { "This is not shown to be the ledger that the coordinator remembers: " } (why) "." }
            },
        }
    }

    fn foot(&self) -> Markup {
        html! {
            footer {
                p {
                    "How to read this. A " em { "study" } " is a request that a researcher signed; it asks one or more "
                    em { "analyses" } ". A " em { "cell" } " is one line of a table: how many patients, and sums over them. "
                    "No cell of fewer patients than the threshold leaves; it is " em { "hidden" } ", and whether it had none or a few cannot be told. "
                    "Patients' rows never leave the site. Numbers in “with a value” count the rows of a cell that have one."
                }
                p { "The order is that of the Five Safes (projects, people, settings, data, outputs). Times are UTC." }
            }
        }
    }
}

fn figure(name: &str, n: u64) -> Markup {
    html! { div { dt { (name) } dd { (number(n)) } } }
}

/// With so many lines a table stands open; beyond, a click opens it, so that the page stays one that can be read. Paper has all.
const OPEN_LINES: usize = 50;

/// A table of so many lines.
fn table(lines: usize, what: &str, table: &Markup) -> Markup {
    if lines <= OPEN_LINES {
        return html! { div.scroll role="group" tabindex="0" aria-label="Table" { (table) } };
    }
    html! { details { summary { "All " (number(lines as u64)) " " (what) } div.scroll role="group" tabindex="0" aria-label="Table" { (table) } } }
}

/// A study's id; a link where all about it is said below.
fn link(study: &Account) -> Markup {
    if study.about.is_none() && study.releases.is_empty() {
        return html! { span.id { (study.short()) } };
    }
    html! { a.id href=(format!("#s{}", study.short())) { (study.short()) } }
}

fn state(study: &Account) -> Markup {
    let state = study.state().as_str();
    html! { span class=(format!("state {state}")) { (state) } }
}

#[cfg(test)]
mod tests;
