//! What sites offer, and what is to be known before they are asked, for people.

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::ColumnName;

use super::grid::Grid;
use super::{plain, wrap};
use crate::api::types::{OfferInfo, SiteInfo};
use crate::client::{Note, SiteLook};

/// Columns that are named; of more the number is.
const NAMED: usize = 8;

/// The sites of a study, each with what it offers, and below what is to be known of them.
pub fn looks(looks: &[SiteLook]) -> String {
    let mut grid = Grid::new(["site", "asked", "contract", "hash", "snapshot"]);
    for look in looks {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        grid.row([
            look.site.to_string(),
            if look.asked { "yes" } else { "no" }.to_owned(),
            or_none(look.contract.as_ref().map(ToString::to_string)),
            or_none(look.hash.map(|hash| hash.short())),
            or_none(look.snapshot_at.map(|at| at.to_string())),
        ]);
    }
    let mut out = format!("\nthe sites, as far as they say it\n{}", grid.text(1));
    let one = looks.windows(2).all(|pair| pair[0].dataset == pair[1].dataset);
    let mut lines = Vec::new();
    for look in looks {
        for note in &look.notes {
            let whole = one || matches!(note, Note::Offline | Note::NotOffered { .. });
            let of = if whole { String::new() } else { format!(", {}", look.dataset) };
            let line = wrap(&format!("{}{of}: {}", look.site, plain(&note.to_string())));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    out.extend(lines);
    out
}

/// The sites that have a contract, or another one of its name.
pub fn offers(contract: &Contract, sites: &[SiteInfo]) -> String {
    let mut out = String::new();
    for site in sites {
        for offer in site.datasets.iter().filter(|offer| offer.contract.name() == contract.id().name()) {
            let same = offer.hash == contract.hash();
            let form = match (same, offer.contract == *contract.id()) {
                (true, _) => String::new(),
                (false, true) => format!("another content ({}), ", offer.hash.short()),
                (false, false) => format!("{} ({}), ", offer.contract, offer.hash.short()),
            };
            let snapshot = offer.snapshot_at.map_or("no snapshot".to_owned(), |at| format!("snapshot of {at}"));
            let line = format!("{}: {form}{snapshot}{}", site.id, without(offer));
            out.push_str(&wrap(&plain(&line)));
        }
    }
    if out.is_empty() { "\nno site offers it\n".to_owned() } else { format!("\nsites\n{out}") }
}

/// The columns that a site declares not to collect, as the end of a sentence.
pub(super) fn without(offer: &OfferInfo) -> String {
    let absent: &[ColumnName] = offer.absent.as_deref().unwrap_or_default();
    let named: Vec<&str> = absent.iter().take(NAMED).map(ColumnName::as_str).collect();
    match (named.len(), absent.len() - named.len()) {
        (0, _) => String::new(),
        (_, 0) => format!(", without {}", named.join(", ")),
        (_, more) => format!(", without {} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(dataset: &str, notes: Vec<Note>) -> SiteLook {
        SiteLook {
            site: "aa".parse().unwrap(),
            dataset: dataset.parse().unwrap(),
            asked: true,
            contract: None,
            hash: None,
            snapshot_at: None,
            notes,
        }
    }

    #[test]
    fn what_is_to_be_known_of_one_of_several_tables_names_it_and_what_is_of_the_site_is_said_once() {
        let both = [look("visit@1", vec![Note::Offline, Note::NoSnapshot]), look("drug@1", vec![Note::Offline])];
        let said = looks(&both);
        assert!(said.contains("aa, visit@1: it has no snapshot that can be used\n"), "{said}");
        assert_eq!(said.matches("aa: it is not connected\n").count(), 1, "{said}");
        let said = looks(&both[..1]);
        assert!(said.contains("aa: it has no snapshot that can be used\n"), "{said}");
    }
}
