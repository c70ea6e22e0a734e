//! Whether result, study and permit belong together, as far as they say so themselves.

use std::collections::BTreeSet;

use bocage_protocol::ids::{AnalysisName, SiteId};
use bocage_protocol::settings::{Problem, Problems};

use super::{Materials, RESULT, STUDY};
use crate::api::types::SiteStatus;
use crate::permits::{self, Touches};

/// Everything in which they contradict each other.
pub(super) fn contradictions(materials: &Materials) -> Problems {
    let mut problems = Problems::default();
    head(materials, &mut problems);
    permit(materials, &mut problems);
    sites(materials, &mut problems);
    analyses(materials, &mut problems);
    problems
}

fn head(materials: &Materials, problems: &mut Problems) {
    let (study, head) = (materials.study(), &materials.result().study);
    let same = [
        ("id", head.id == materials.signed().id()),
        ("title", head.title == study.title),
        ("purpose", head.purpose == study.purpose),
        ("dataset", head.dataset == study.dataset),
        ("contract", head.contract == study.contract),
        ("network", head.network == study.network),
        ("researcher", head.researcher == study.researcher),
        ("issued_at", head.issued_at == study.issued_at),
        (
            "permit",
            head.permit.as_ref().map(|permit| permit.digest) == study.permit.as_ref().map(|permit| permit.digest),
        ),
    ];
    for (name, _) in same.into_iter().filter(|(_, same)| !same) {
        problems.push(Problem::new(RESULT, format!("study.{name}"), "it is another one than in the signed study"));
    }
    if head.min_sites < study.min_sites {
        problems.push(Problem::new(RESULT, "study.min_sites", "it is smaller than the signed study demands"));
    }
    if let Err(error) = study.check_time(head.accepted_at) {
        problems.push(Problem::new(RESULT, "study.accepted_at", error.message));
    }
    if head.published_at < head.accepted_at {
        problems.push(Problem::new(RESULT, "study.published_at", "it was published before it was accepted"));
    }
}

/// What the permit did not cover when the study was signed.
fn permit(materials: &Materials, problems: &mut Problems) {
    let study = materials.study();
    let (permit, digest) = match (materials.permit(), &materials.signed().permit) {
        (Some(permit), Some(signed)) => (permit, signed.digest()),
        _ if study.permit.is_some() => {
            return problems.push(Problem::new(
                STUDY,
                "permit",
                "the study relies on a permit that did not come along",
            ));
        }
        _ => return,
    };
    let reads = permits::reads(&materials.plans().unwrap_or_default());
    let sites = study.sites.names().unwrap_or_default();
    let touches = Touches { study, sites, reads: &reads };
    for error in permits::uncovered(permit, &digest, touches, study.issued_at) {
        problems.push(Problem::new(STUDY, "permit", error.message));
    }
}

fn sites(materials: &Materials, problems: &mut Problems) {
    let result = materials.result();
    let named: Vec<&SiteId> = result.sites.iter().map(|site| &site.id).collect();
    if named != materials.study().sites.names().unwrap_or_default().iter().collect::<Vec<_>>() {
        problems.push(Problem::new(RESULT, "sites", "they are not those that the study asks"));
    }
    let mut receipts = BTreeSet::new();
    if let Some(twice) = result.sites.iter().flat_map(|site| &site.receipts).find(|receipt| !receipts.insert(*receipt))
    {
        problems.push(Problem::new(RESULT, "sites", format!("two releases have the receipt {twice}")));
    }
    // A result of an older coordinator has none at all.
    if !receipts.is_empty() {
        rounds(materials, problems);
    }
}

/// A site has a receipt for each round that it answered: of all rounds, or of those before the one in which it left.
fn rounds(materials: &Materials, problems: &mut Problems) {
    let sites = &materials.result().sites;
    let all = sites.iter().map(|site| site.receipts.len()).max().unwrap_or_default();
    for site in sites {
        let answered = match (site.left_in, site.status) {
            (Some(round), _) => usize::from(round),
            (None, SiteStatus::Answered) => all,
            (None, _) => 0,
        };
        let found = site.receipts.len();
        if found != answered {
            let message = format!("it answered {answered} rounds, and has {found} receipts");
            problems.push(Problem::new(RESULT, format!("sites.{}", site.id), message));
        }
    }
}

/// Analyses are published in the order of the study, those that were written as one under its name.
fn analyses(materials: &Materials, problems: &mut Problems) {
    let mut asked: Vec<&AnalysisName> = Vec::new();
    for analysis in &materials.study().analyses {
        let name = analysis.part.as_ref().map_or(&analysis.name, |part| &part.of);
        if !asked.contains(&name) {
            asked.push(name);
        }
    }
    let answered: Vec<&AnalysisName> = materials.result().analyses.iter().map(|analysis| &analysis.name).collect();
    if asked != answered {
        problems.push(Problem::new(RESULT, "analyses", "they are not those that the study asks"));
    }
}
