//! Opt-outs change at a site between two rounds: what is under way begins again, and its answer is to the last bit that of a study which begins on the new
//! snapshot. One mechanism for every analysis of several rounds; nothing of a step before is taken along.

use std::collections::BTreeMap;
use std::sync::Arc;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_coordinator::config::KnownContract;
use bocage_coordinator::dispatch::{Asked, Course};
use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::release::{Outcome, Part, Release};
use bocage_protocol::trust::{SecretKey, SignedStudy};
use bocage_tests::federation::{Counting, Federation, Gate, NOW};

use super::data::{self, COVID};

const TABLE: &str = "table = { by = ['sex'], show = ['count'] }";
/// An analysis of each kind that takes several rounds.
const ITERATIVE: [&str; 8] = [
    "model = { formula = 'death ~ age + sex + lab', family = 'binomial' }",
    "model = { formula = 'death ~ age + sex', family = 'binomial', likelihood_ratio = true }",
    "model = { formula = 'death ~ age', family = 'binomial', two_stage = 'hartung_knapp' }",
    "cox = { formula = 'surv(los, death) ~ age + sex' }",
    "cox = { formula = 'surv(los, death) ~ age', ties = 'breslow', grid = [10, 20, 40, 60] }",
    "kmeans = { columns = ['age', 'lab'], clusters = 2, starts = 1, iterations = 49 }",
    "elastic_net = { formula = 'death ~ age + sex + lab', lambdas = [0.1, 0.05] }",
    "cross_validation = { formula = 'death ~ age + lab', folds = 5 }",
];

/// The federation before a dozen of its first site's patients have opted out, and after.
struct Opted {
    before: Federation,
    after: Federation,
    site: SiteId,
}

impl Opted {
    fn new() -> Self {
        let rows = data::covid();
        let first = rows[0].0.clone();
        let mut seen = 0;
        let left = |(site, _): &&(String, BTreeMap<String, String>)| {
            seen += u32::from(*site == first);
            *site != first || seen > 12
        };
        let after = rows.iter().filter(left).cloned().collect();
        let site = first.parse().expect("a site");
        Self { before: data::by_site(COVID, &rows), after: data::by_site(COVID, &after), site }
    }

    fn asked(&self, analyses: &str) -> Asked {
        let text = format!("title = 't'\npurpose = 'scientific_research'\ndataset = 'covid@1'\n{analyses}");
        let study = self.before.bind(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let signed = SignedStudy::sign(&study, &SecretKey::generate(&mut Counting(7))).expect("signed");
        let contract = self.before.contract();
        let known = KnownContract { contract: Arc::new(contract.clone()), hash: contract.hash(), text: String::new() };
        Asked::bind(signed, &BTreeMap::from([(contract.id().clone(), known)])).expect("a study")
    }

    /// Runs a study whose sites have the snapshots that `snapshot` says: `None` says no.
    fn run(&self, analyses: &str, snapshot: impl Fn(&SiteId, u16) -> Option<u8>) -> Ran {
        let asked = self.asked(analyses);
        let mut course = Course::begin(&asked, 1).expect("it begins");
        let mut firsts = Vec::new();
        while let Some(round) = course.round() {
            firsts.extend(round.parts.iter().filter(|part| part.state == RoundState::First).map(|_| round.number));
            let (mut releases, mut refusals) = (BTreeMap::new(), BTreeMap::new());
            for site in &asked.sites {
                let Some(over) = snapshot(site, round.number) else {
                    refusals.insert(site.clone(), PublicError::new(ErrorCode::ApprovalRefused, "no"));
                    continue;
                };
                let federation = if over == 0 { &self.before } else { &self.after };
                let part = |part: &bocage_coordinator::dispatch::RoundPart| {
                    let part = part.at(site);
                    let outcome = federation.released(Gate::OPEN, site, &part.plan);
                    Part {
                        analysis: part.analysis,
                        plan: part.digest,
                        outcome: outcome.unwrap_or_else(Outcome::Refused),
                    }
                };
                let release = Release {
                    study: asked.id,
                    site: site.clone(),
                    round: round.number,
                    snapshot: Digest::of("snapshot", &[&[over]]),
                    snapshot_at: NOW,
                    parts: round.parts.iter().map(part).collect(),
                };
                releases.insert(site.clone(), release);
            }
            course.finish_round(&asked, &releases, &refusals).expect("the next round");
        }
        Ran { rounds: course.last_round() + 1, results: course.into_results(), firsts }
    }
}

struct Ran {
    results: Vec<AnalysisResult>,
    rounds: u16,
    /// The rounds in which an analysis began, or began again.
    firsts: Vec<u16>,
}

fn analysis(name: &str, asked: &str) -> String {
    format!("[[analysis]]\nname = '{name}'\n{asked}\n")
}

/// An answer without what is said about its beginning again.
fn bare(mut result: AnalysisResult) -> (AnalysisResult, Vec<String>) {
    let (again, notes) = result.notes.into_iter().partition(|note| note.contains("began again"));
    result.notes = notes;
    (result, again)
}

#[test]
fn what_is_under_way_begins_again_on_the_new_snapshot_and_says_so() {
    let opted = Opted::new();
    for asked in ITERATIVE {
        let asked = analysis("a", asked);
        let fresh = opted.run(&asked, |site, _| Some(u8::from(*site == opted.site)));
        assert!(fresh.rounds > 2, "{asked}: {} rounds", fresh.rounds);
        for moves in [1, 2] {
            let moved = opted.run(&asked, |site, round| Some(u8::from(*site == opted.site && round >= moves)));
            assert_eq!((moved.rounds, &moved.firsts[..]), (fresh.rounds + moves + 1, &[0, moves + 1][..]), "{asked}");
            let (result, again) = bare(moved.results.into_iter().next().expect("an answer"));
            assert_eq!(result, fresh.results[0], "{asked}");
            let said = format!("began again in round {}, since opt-outs had changed at {}", moves + 1, opted.site);
            assert!(again.len() == 1 && again[0].contains(&said), "{again:?}");
        }
    }
}

#[test]
fn what_had_ended_stays_as_it_was_and_what_is_asked_for_the_first_time_need_not_begin_again() {
    let opted = Opted::new();
    let asked = analysis("t", TABLE) + &analysis("m", ITERATIVE[0]);
    let table = opted.run(&asked, |_, _| Some(0)).results.remove(0);
    let moved = opted.run(&asked, |site, round| Some(u8::from(*site == opted.site && round >= 1)));
    assert_eq!((&moved.results[0], &moved.firsts[..]), (&table, &[0, 0, 2][..]));
    // While a fit begins again its site's opt-outs change once more.
    let twice = opted.run(&asked, |site, round| Some(if *site == opted.site { round.min(2) as u8 } else { 0 }));
    assert_eq!(twice.firsts, [0, 0, 2], "the round in which it begins is all of one snapshot");
}

#[test]
fn a_site_that_leaves_or_has_another_snapshot_when_it_is_refused_changes_nothing_for_the_others() {
    let opted = Opted::new();
    let asked = analysis("m", ITERATIVE[0]);
    let left = opted.run(&asked, |site, round| (*site != opted.site || round < 2).then_some(0));
    assert_eq!(left.firsts, [0]);
    assert!(bare(left.results.into_iter().next().expect("an answer")).1.is_empty());
}

#[test]
fn where_the_rounds_do_not_suffice_to_begin_again_the_answer_names_the_site_and_says_what_to_do() {
    let opted = Opted::new();
    for asked in [ITERATIVE[0], ITERATIVE[3], ITERATIVE[5], ITERATIVE[6], ITERATIVE[7]] {
        let asked = analysis("m", asked) + &analysis("t", TABLE);
        let restless =
            opted.run(&asked, |site, round| Some(if *site == opted.site { (round / 2 % 2) as u8 } else { 0 }));
        let bound = opted.asked(&asked).study.analyses[0].spec.further_rounds() + 1;
        assert!(restless.rounds <= bound, "{asked}: {} of {bound} rounds", restless.rounds);
        let said = format!("no answer: opt-outs changed at {} while it was asked", opted.site);
        let notes = &restless.results[0].notes;
        assert!(
            notes.len() == 1
                && notes[0].starts_with(&said)
                && notes[0].ends_with("run the study again, later or without that site"),
            "{notes:?}"
        );
        assert!(restless.results[0].block.rows.is_empty() && !restless.results[1].block.rows.is_empty());
    }
}

#[test]
fn a_later_round_may_ask_the_first_question_again_within_the_rounds_that_there_are() {
    let opted = Opted::new();
    for asked in ITERATIVE.into_iter().chain([TABLE]) {
        let study = opted.asked(&analysis("a", asked)).study;
        let spec = &study.analyses[0].spec;
        let plan = |round: u16| plan_for(spec, study.query(), round, &RoundState::First);
        let (first, further) = (plan(0).expect("a plan"), spec.further_rounds());
        assert_eq!(further > 0, asked != TABLE);
        (1..=further).for_each(|round| assert_eq!(plan(round).expect("a plan"), first, "{asked}: round {round}"));
        assert_eq!(plan(further + 1).expect_err("no such round").code, ErrorCode::RoundInvalid, "{asked}");
    }
}
