//! What a reader of a combined answer must know, in words. Only contract words, site ids and statuses: never a site's number.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::TableSpec;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::Measure;
use bocage_protocol::release::{CellRelease, DiscoveredRelease, MeasureRelease, TableRelease, rounding};

use super::binned::Binned;
use super::{Answer, SiteAnswer};

/// The notes of a table. `answers` are in the order in which they are to be named.
pub(super) fn of_table(spec: &TableSpec, answers: &[SiteAnswer<'_>], min_sites: u32) -> Vec<String> {
    let tables: Vec<(&SiteAnswer<'_>, &TableRelease)> = answers.iter().filter_map(|a| Some((a, table(a)?))).collect();
    let mut notes = of_round(answers, tables.len(), min_sites);
    let rolled_up = tables.iter().filter(|(_, release)| release.step > 0).count();
    if rolled_up > 0 {
        notes.push(format!(
            "{rolled_up} of {} sites rolled up to coarser groups: see the rolled-up table for their counts",
            tables.len()
        ));
    }
    let cells: Vec<SiteCells<'_>> = tables
        .iter()
        .map(|(answer, release)| (answer.site, release.threshold, release.cells.iter().collect()))
        .collect();
    notes.extend(without_measure(spec, &cells));
    notes
}

/// The notes of discovered keys that come before what is said of the keys themselves.
pub(super) fn of_discovered(spec: &TableSpec, answers: &[SiteAnswer<'_>], min_sites: u32) -> Vec<String> {
    let found: Vec<(&SiteId, &DiscoveredRelease)> = answers
        .iter()
        .filter_map(|answer| match answer.answer {
            Answer::Discovered(release) => Some((answer.site, release)),
            _ => None,
        })
        .collect();
    let mut notes = of_round(answers, found.len(), min_sites);
    for (site, release) in &found {
        if release.keys.is_empty() && !release.held_back {
            let k = release.threshold;
            notes.push(format!("{site} names no key: none that can be named has {k} patients in one cell"));
        }
        if release.beyond.is_some() {
            notes.push(format!(
                "{site} has more keys than an answer holds: it may have many patients of one that it does not name"
            ));
        }
    }
    let cells: Vec<SiteCells<'_>> = found
        .iter()
        .map(|(site, release)| (*site, release.threshold, release.keys.iter().flat_map(|key| &key.cells).collect()))
        .collect();
    notes.extend(without_measure(spec, &cells));
    notes
}

/// A site's threshold and cells.
type SiteCells<'a> = (&'a SiteId, u32, Vec<&'a CellRelease>);

/// Which measures a site shows nowhere though it shows cells.
fn without_measure(spec: &TableSpec, sites: &[SiteCells<'_>]) -> Vec<String> {
    let of_one = |(index, measure): (usize, &Measure)| {
        let without = sites.iter().filter(|(_, _, cells)| hides_all(cells, index));
        let note =
            |(site, k, _): &SiteCells<'_>| nothing_to_contribute(site.as_str(), name(spec, measure), measure, *k);
        without.map(note).collect::<Vec<_>>()
    };
    spec.measures().into_iter().enumerate().flat_map(of_one).collect()
}

/// The notes of bins: who is silent, and whether anything is published.
pub(super) fn of_bins(answers: &[SiteAnswer<'_>], binned: &Binned<'_>, min_sites: u32) -> Vec<String> {
    let (answered, shown) = (binned.shown.len() + binned.silent.len(), binned.shown.len());
    let mut notes = of_round(answers, answered, min_sites);
    if answered >= min_sites as usize && shown < min_sites as usize {
        let verb = if shown == 1 { "has" } else { "have" };
        notes.push(format!(
            "nothing is published: a number needs {min_sites} sites, and {shown} {verb} enough patients"
        ));
    }
    notes
}

/// The notes of a model's round: who is silent.
pub(super) fn of_model(answers: &[SiteAnswer<'_>], fitted: usize, min_sites: u32) -> Vec<String> {
    of_own_fits(answers, answers.len(), fitted, min_sites)
}

/// The same where of all that were `asked` those in `out` are in no answer: who has come to its end may be silent.
pub(super) fn of_own_fits(out: &[SiteAnswer<'_>], asked: usize, fitted: usize, min_sites: u32) -> Vec<String> {
    let mut notes = silent_sites(out);
    if fitted < min_sites as usize {
        notes.push(too_few(asked, fitted, min_sites));
    }
    notes
}

/// The notes of lines along a grid that come before what is said of the groups.
pub(super) fn of_lines(answers: &[SiteAnswer<'_>], answered: usize, min_sites: u32) -> Vec<String> {
    of_round(answers, answered, min_sites)
}

fn of_round(answers: &[SiteAnswer<'_>], answered: usize, min_sites: u32) -> Vec<String> {
    let mut notes = silent_sites(answers);
    notes.extend(answers.iter().filter(|answer| holds_back(answer)).map(|answer| {
        format!(
            "{} holds numbers of any size back: fewer than k of the patients behind them have changed since it was asked the same before",
            answer.site
        )
    }));
    notes.extend(rounding(answers));
    if answered < answers.len() {
        notes.push(format!("counts cover the {answered} of {} sites that answered", answers.len()));
    }
    if answered < min_sites as usize {
        notes.push(too_few(answers.len(), answered, min_sites));
    }
    notes
}

fn table<'a>(answer: &SiteAnswer<'a>) -> Option<&'a TableRelease> {
    match answer.answer {
        Answer::Table(release) => Some(release),
        Answer::Bins(_)
        | Answer::Discovered(_)
        | Answer::Lines(_)
        | Answer::Model(_)
        | Answer::Refused(_)
        | Answer::Missing => None,
    }
}

fn holds_back(answer: &SiteAnswer<'_>) -> bool {
    match answer.answer {
        Answer::Table(release) => release.held_back,
        Answer::Bins(release) => release.held_back,
        Answer::Discovered(release) => release.held_back,
        Answer::Lines(release) => release.held_back,
        Answer::Model(_) | Answer::Refused(_) | Answer::Missing => false,
    }
}

/// Which sites round, and what that makes of a combined number.
fn rounding(answers: &[SiteAnswer<'_>]) -> Option<String> {
    let sites: Vec<&str> = answers.iter().filter(|answer| rounds(answer)).map(|answer| answer.site.as_str()).collect();
    let (verb, base, off) = (if sites.len() == 1 { "rounds" } else { "round" }, rounding::BASE, rounding::OFF);
    (!sites.is_empty()).then(|| {
        format!(
            "{} {verb} each count to a multiple of {base} before it leaves: a combined count is an interval that holds the true one, at most {off} off \
             for each of these sites, and a mean or share has one beside it",
            sites.join(", ")
        )
    })
}

fn rounds(answer: &SiteAnswer<'_>) -> bool {
    match answer.answer {
        Answer::Table(release) => release.rounded,
        Answer::Bins(release) => release.rounded,
        Answer::Discovered(release) => release.rounded,
        Answer::Lines(release) => release.rounded,
        Answer::Model(_) | Answer::Refused(_) | Answer::Missing => false,
    }
}

fn silent_sites(answers: &[SiteAnswer<'_>]) -> Vec<String> {
    let silent = |a: &SiteAnswer<'_>| match a.answer {
        Answer::Table(_) | Answer::Bins(_) | Answer::Discovered(_) | Answer::Lines(_) | Answer::Model(_) => None,
        Answer::Refused(error) => Some(format!("{} refused: {} ({})", a.site, error.message, error.code)),
        Answer::Missing => Some(format!("{} is missing: it did not answer before the deadline", a.site)),
    };
    answers.iter().filter_map(silent).chain(hints(answers)).collect()
}

/// So many sites are named beside a hint.
const NAMED: usize = 5;

/// What sites that refused say could be done, each hint once.
fn hints(answers: &[SiteAnswer<'_>]) -> Vec<String> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for answer in answers {
        let Answer::Refused(PublicError { hint: Some(hint), .. }) = answer.answer else { continue };
        match all.iter_mut().find(|(known, _)| known == hint) {
            Some((_, sites)) => sites.push(answer.site.as_str()),
            None => all.push((hint, vec![answer.site.as_str()])),
        }
    }
    let said = |(hint, sites): (&str, Vec<&str>)| {
        let more = sites.len().saturating_sub(NAMED);
        let named = sites[..sites.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("hint of {named}{more}: {hint}")
    };
    all.into_iter().map(said).collect()
}

fn too_few(asked: usize, answered: usize, min_sites: u32) -> String {
    if asked < min_sites as usize {
        return format!(
            "nothing is published: a cell needs {min_sites} sites, and the study asks {asked} only (min_sites of the study, of the permit, and under \
             [publication] of coordinator.toml: the largest counts)"
        );
    }
    format!("nothing is published: a cell needs {min_sites} sites, and {answered} answered")
}

/// Whether the site shows cells, but this measure in none of them.
fn hides_all(cells: &[&CellRelease], measure: usize) -> bool {
    let mut shown = cells.iter().filter_map(|cell| match cell {
        CellRelease::Shown { measures, .. } => measures.get(measure),
        CellRelease::FewerThanK => None,
    });
    shown.next() == Some(&MeasureRelease::Hidden) && shown.all(|m| *m == MeasureRelease::Hidden)
}

/// What the study calls a measure: its column may be one to which only a number was given.
fn name<'a>(spec: &'a TableSpec, measure: &Measure) -> &'a str {
    spec.show.iter().find(|shown| shown.show.measure() == Some(measure)).map_or("", |shown| &shown.label)
}

fn nothing_to_contribute(site: &str, name: &str, measure: &Measure, threshold: u32) -> String {
    let rule = match measure {
        Measure::Condition(_) => "have a value, stand on one of its sides, or lack a value,",
        _ => "have a value, or one unlike the others',",
    };
    format!("{site} has no `{name}` to contribute: fewer than {threshold} patients {rule} in any cell")
}

#[cfg(test)]
mod tests {
    use bocage_protocol::analysis::{Show, Shown};
    use bocage_protocol::error::ErrorCode;
    use bocage_protocol::release::Count;

    use super::*;

    #[test]
    fn each_hint_of_sites_that_refused_is_said_once_after_all_refusals() {
        let sites: Vec<SiteId> = (0..8).map(|at| format!("site-{at}").parse().unwrap()).collect();
        let few = PublicError::new(ErrorCode::TooFewForModel, "`score` varies too little").hint("cut(score, 1, 2)");
        let no = PublicError::new(ErrorCode::PolicyRefused, "not for this purpose");
        let answer = |(at, site)| SiteAnswer { site, answer: Answer::Refused(if at == 1 { &no } else { &few }) };
        let notes = silent_sites(&sites.iter().enumerate().map(answer).collect::<Vec<_>>());
        assert_eq!(notes[1], "site-1 refused: not for this purpose (policy_refused)");
        let hint = "hint of site-0, site-2, site-3, site-4, site-5 and 2 more: cut(score, 1, 2)";
        assert_eq!(notes[8..], [hint]);
    }

    #[test]
    fn a_measure_to_which_only_a_number_was_given_is_called_by_its_heading() {
        let of = Measure::Column("f1".parse().unwrap());
        let shown = |label: &str, show| Shown { label: label.to_owned(), show };
        let show = vec![shown("count", Show::Count), shown("mean(last(lab.value))", Show::Mean(of))];
        let spec = TableSpec { by: Vec::new(), show, roll_up: false };
        let site = "north".parse().unwrap();
        let cell = CellRelease::Shown { count: Count { subjects: 9, rows: 9 }, measures: vec![MeasureRelease::Hidden] };
        let notes = without_measure(&spec, &[(&site, 5, vec![&cell])]);
        assert!(notes[0].starts_with("north has no `mean(last(lab.value))` to contribute"), "{notes:?}");
    }
}
