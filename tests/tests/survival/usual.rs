//! Under the gate as nodes have it: of which hospitals a curve, an incidence, a test and a rate are, counted here anew by k, and nothing of the product;
//! their numbers are then those of the plain rows of these hospitals.

use std::collections::{BTreeMap, BTreeSet};

use bocage_coordinator::api::types::{AnalysisResult, HiddenReason};
use bocage_tests::federation::{Federation, Gate, block};

use super::plain;
use super::random::{CONFIDENCE, known};
use super::{BY, Patient, asked, assert_all_near, assert_near, column, covid, dealt, federation, lung2, number, run};

const K: usize = 11;

fn by_site(patients: &[Patient]) -> Federation {
    federation(patients, |_, patient| patient.site.clone())
}

fn usual(federation: &Federation, text: &str) -> AnalysisResult {
    run(federation, text, Gate::USUAL)
}

/// Those of a group at some sites.
fn at(patients: &[Patient], part: Option<u8>, sites: &[&str]) -> Vec<Patient> {
    let is_there = |of: &&Patient| part.is_none_or(|part| of.part == part) && sites.contains(&of.site.as_str());
    patients.iter().filter(is_there).cloned().collect()
}

/// They, when whoever leaves otherwise than by death is censored.
fn deaths(patients: &[Patient], ends: &[f64]) -> Vec<plain::Patient> {
    let censored = |of: plain::Patient| plain::Patient { exit: usize::from(of.exit == 1), ..of };
    known(patients, ends).into_iter().map(censored).collect()
}

/// The same patients dealt out to so many sites in turn, as [`dealt`] does.
fn redealt(patients: &[Patient], sites: usize) -> Vec<Patient> {
    let patient = |(i, of): (usize, &Patient)| Patient { site: format!("site-{:02}", i % sites), ..of.clone() };
    patients.iter().enumerate().map(patient).collect()
}

/// Of each site: who has this event in each interval of the grid, and who leaves otherwise in each, those who stay last.
fn leaving(patients: &[Patient], ends: &[f64], event: usize) -> BTreeMap<String, [Vec<usize>; 2]> {
    let mut sites: BTreeMap<String, [Vec<usize>; 2]> = BTreeMap::new();
    for (patient, along) in patients.iter().zip(known(patients, ends)) {
        let [events, others] =
            sites.entry(patient.site.clone()).or_insert_with(|| [vec![0; ends.len()], vec![0; ends.len() + 1]]);
        match along.exit == event {
            true => events[along.interval] += 1,
            false => others[along.interval] += 1,
        }
    }
    sites
}

/// The sites that show every number of a group along a grid: in each interval k have the event, and k leave otherwise, at its end too.
fn showing<'a>(patients: &'a [Patient], part: u8, ends: &[f64]) -> Vec<&'a str> {
    let own: Vec<Patient> = patients.iter().filter(|of| of.part == part).cloned().collect();
    let leave = leaving(&own, ends, 1);
    let all: BTreeSet<&str> = patients.iter().map(|of| of.site.as_str()).collect();
    all.into_iter().filter(|site| leave[*site].iter().flatten().all(|n| *n >= K)).collect()
}

/// All that is said of a curve, without a hidden number, is that of these patients.
#[track_caller]
fn is_curve_of(result: &AnalysisResult, group: &str, patients: &[Patient], ends: &[f64]) {
    let curve = plain::curve(&deaths(patients, ends), ends.len());
    let some = |of: &dyn Fn(&plain::Step) -> f64| curve.iter().map(|step| Some(of(step))).collect::<Vec<_>>();
    let interval = |at: usize| {
        let end = |step: &plain::Step| step.interval(CONFIDENCE[0].1, true).map(|ends| [ends.0, ends.1][at]);
        curve.iter().map(end).collect::<Vec<_>>()
    };
    for (name, wanted) in [
        ("at_risk", some(&|step| step.at_risk)),
        ("events", some(&|step| step.events)),
        ("censored", some(&|step| step.censored)),
        ("survival", some(&|step| step.survival)),
        ("least", some(&|step| step.survival)),
        ("most", some(&|step| step.survival)),
        ("lower", interval(0)),
        ("upper", interval(1)),
    ] {
        assert_all_near(&column(&result.block, group, name), &wanted, &format!("{group} {name}"));
    }
    let (mean, error) = plain::restricted_mean(ends, &curve);
    let of_mean = |name: &str| column(block(result, "restricted mean"), group, name)[0];
    assert_near(of_mean("restricted_mean"), mean, "restricted mean");
    assert_near(of_mean("se"), error, "its error");
    let of_patients = |name: &str| column(block(result, "patients"), group, name)[0];
    assert_eq!(of_patients("patients"), Some(patients.len() as f64), "{group}");
    let sites: BTreeSet<&str> = patients.iter().map(|of| of.site.as_str()).collect();
    assert_eq!(of_patients("sites"), Some(sites.len() as f64), "{group}");
}

#[track_caller]
fn says(result: &AnalysisResult, wanted: &str) {
    assert!(result.notes.iter().any(|note| note == wanted), "{wanted}: {:#?}", result.notes);
}

#[test]
fn a_group_s_curve_is_of_the_sites_where_k_of_it_die_and_the_others_are_named() {
    let (patients, ends) = (covid(), [17.0]);
    let result = usual(&by_site(&patients), &asked("grid = [17]", BY));
    for (part, wanted) in
        [(0, &["site1", "site2", "site3", "site4", "site5"][..]), (1, &["site1", "site2", "site3", "site4"])]
    {
        assert_eq!(showing(&patients, part, &ends), wanted, "{part}");
        let own = at(&patients, Some(part), wanted);
        is_curve_of(&result, &part.to_string(), &own, &ends);
        let row = usize::from(part);
        let covered = result.block.coverage.iter().filter(|covered| covered.row == row);
        assert_eq!(covered.map(|covered| covered.n).collect::<Vec<_>>(), vec![own.len() as u64; 8], "{part}");
    }
    for (site, part, died) in [("site6", 0, 9), ("site5", 1, 9), ("site6", 1, 5)] {
        let own = at(&patients, Some(part), &[site]);
        assert_eq!(leaving(&own, &ends, 1)[site][0], [died], "{site}");
        says(
            &result,
            &format!("{site} is not in the curve of part = {part}: fewer than 11 patients there have an event"),
        );
    }
    // The two curves are of other sites, so there is no test of all as one; four sites show both groups, each by itself.
    let test = |title: &str| column(block(&result, title), "", "value")[0];
    assert_eq!(test("log-rank test"), None);
    let hidden = &block(&result, "log-rank test").hidden;
    assert!(!hidden.is_empty() && hidden.iter().all(|of| of.reason == HiddenReason::NotAllExact), "{hidden:?}");
    says(
        &result,
        "no log-rank test of all patients as one: it needs the same sites in every group, with no line of fewer than k",
    );
    let four = known(&at(&patients, None, &["site1", "site2", "site3", "site4"]), &ends);
    let wanted = plain::log_rank(&four, 2, ends.len(), |of| of.site).expect("a test");
    assert_near(test("log-rank test, stratified by site"), wanted, "stratified");
    let sites = column(block(&result, "log-rank test, stratified by site"), "sites", "value");
    assert_eq!(sites, [Some(4.0)]);
}

#[test]
fn at_two_large_sites_nothing_is_small_so_curves_and_tests_are_those_of_all_rows() {
    let (patients, ends) = (covid(), [13.0, 16.0, 19.0]);
    let two = redealt(&patients, 2);
    for part in [0, 1] {
        assert_eq!(showing(&two, part, &ends).len(), 2, "{part}");
    }
    let result = usual(&dealt(&patients, 2), &asked("grid = [13, 16, 19]", BY));
    for part in [0, 1] {
        is_curve_of(&result, &part.to_string(), &at(&two, Some(part), &["site-00", "site-01"]), &ends);
    }
    let along = known(&two, &ends);
    for (title, strata) in [("log-rank test", false), ("log-rank test, stratified by site", true)] {
        let wanted = plain::log_rank(&along, 2, ends.len(), |of| if strata { of.site } else { 0 }).expect("a test");
        assert_near(column(block(&result, title), "chi2", "value")[0], wanted, title);
    }
    assert_eq!(column(block(&result, "log-rank test"), "intervals", "value"), [Some(3.0)]);
    let expected = block(&result, "events observed, and expected if all groups had the same hazard");
    for part in [0u8, 1] {
        let died = along.iter().filter(|of| of.group == usize::from(part) && of.exit == 1).count();
        assert_eq!(column(expected, &part.to_string(), "observed"), [Some(died as f64)]);
    }
}

#[test]
fn where_a_site_merges_intervals_the_curve_is_at_the_ends_that_all_keep_and_within_bounds_at_the_others() {
    let (patients, ends) = (covid(), [10.0, 16.0, 30.0]);
    let died = leaving(&patients, &ends, 1);
    // Before the tenth day hardly anybody died anywhere; before the sixteenth enough did at each site, and after it.
    assert!(died.values().all(|[events, _]| events[0] < K && events[0] + events[1] >= K && events[2] >= K), "{died:?}");
    let result = usual(&by_site(&patients), &asked("grid = [10, 16, 30]", ""));
    says(
        &result,
        "the curve is over 2 intervals that all its sites share, of 3: `least` and `most` hold that over all",
    );
    let told = |name: &str| column(&result.block, "", name);
    let kept = plain::curve(&deaths(&patients, &ends[1..]), 2);
    assert_eq!(told("survival")[0], None);
    assert!(result.block.hidden.iter().any(|hidden| hidden.row == 0 && hidden.reason == HiddenReason::NotAllExact));
    for (found, wanted) in told("survival")[1..].iter().zip(&kept) {
        assert_near(*found, wanted.survival, "survival");
    }
    for (at, step) in plain::curve(&deaths(&patients, &ends), ends.len()).iter().enumerate() {
        let (least, most) = (told("least")[at].expect("a bound"), told("most")[at].expect("a bound"));
        assert!(least <= step.survival + 1e-12 && step.survival <= most + 1e-12, "{at}: {least}, {step:?}, {most}");
        assert!(most - least < 0.1, "{at}: {least} to {most}");
    }
    let of_patients = |name: &str| column(block(&result, "patients"), "", name)[0];
    assert_eq!((of_patients("sites"), of_patients("patients")), (Some(6.0), Some(2100.0)));
    assert_eq!(of_patients("events"), Some(died.values().flat_map(|[events, _]| events).sum::<usize>() as f64));
    let mean = block(&result, "restricted mean");
    assert_eq!(column(mean, "", "restricted_mean"), [None], "it needs the curve at every end");
}

#[test]
fn a_site_that_keeps_fewer_intervals_than_are_asked_of_each_is_left_out_and_the_others_keep_theirs() {
    let (patients, ends) = (covid(), [13.0, 17.0]);
    let leave = leaving(&patients, &ends, 1);
    let keeping = leave.iter().filter(|(_, ways)| ways.iter().flatten().all(|n| *n >= K));
    assert_eq!(keeping.map(|(site, _)| site.as_str()).collect::<Vec<_>>(), ["site1", "site2", "site3"]);
    let all = usual(&by_site(&patients), &asked("grid = [13, 17]", ""));
    assert_eq!(column(&all.block, "", "survival")[0], None);
    let result = usual(&by_site(&patients), &asked("grid = [13, 17]", ", least_intervals = 2"));
    let own = at(&patients, None, &["site1", "site2", "site3"]);
    is_curve_of(&result, "", &own, &ends);
    for site in ["site4", "site5", "site6"] {
        says(&result, &format!("{site} is not in the curve: it keeps 1 of 2 intervals, and `least_intervals` is 2"));
    }
    assert!(!result.block.coverage.is_empty());
    assert!(result.block.coverage.iter().all(|covered| covered.n == own.len() as u64));
    let one = usual(&by_site(&patients), &asked("grid = [13, 17]", ", least_intervals = 1"));
    assert_eq!((one.block, one.notes), (all.block, all.notes), "each keeps one");
}

/// The women's discharges compete with death, the men's are censored.
const COMPETING: &str = ", competing = { discharged = \"status = '2' and part = '0'\" }";

/// As [`COMPETING`] has them.
fn competing(patients: &[Patient]) -> Vec<Patient> {
    let patient =
        |of: &Patient| Patient { status: if of.status == 2 && of.part == 1 { 0 } else { of.status }, ..of.clone() };
    patients.iter().map(patient).collect()
}

#[track_caller]
fn are_incidences_of(result: &AnalysisResult, patients: &[Patient], ends: &[f64], hidden: usize) {
    let found = block(result, "cumulative incidence");
    for (name, exit) in [("event", 1), ("discharged", 2)] {
        let (incidence, error) = (column(found, name, "incidence"), column(found, name, "se"));
        assert!(incidence[..hidden].iter().all(Option::is_none), "{name}: {incidence:?}");
        let wanted = plain::incidence(&known(patients, ends), exit, ends.len());
        let (values, errors): (Vec<_>, Vec<_>) = wanted.into_iter().map(|(x, error)| (Some(x), Some(error))).unzip();
        assert_all_near(&incidence[hidden..], &values, name);
        assert_all_near(&error[hidden..], &errors, name);
    }
}

#[test]
fn the_incidence_of_events_that_compete_is_of_all_rows_where_nothing_is_small() {
    let (patients, ends) = (covid(), [13.0, 16.0, 19.0]);
    let three = competing(&redealt(&patients, 3));
    let [died, went] = [1, 2].map(|event| leaving(&three, &ends, event));
    for (site, [deaths, others]) in &died {
        let went = &went[site][0];
        // Of the others, those who did not go by the other event: in each interval, and at the end.
        let stay = |at: usize| others[at] - went.get(at).copied().unwrap_or_default();
        assert!(deaths.iter().chain(went).all(|n| *n >= K) && (0..=ends.len()).all(|at| stay(at) >= K), "{site}");
    }
    let result = usual(&dealt(&patients, 3), &asked("grid = [13, 16, 19]", COMPETING));
    are_incidences_of(&result, &three, &ends, 0);
}

#[test]
fn an_incidence_is_at_the_ends_that_all_sites_keep() {
    let (patients, ends) = (competing(&covid()), [13.0, 17.0]);
    let died = leaving(&patients, &ends, 1);
    let few: Vec<&str> = died.iter().filter(|(_, [events, _])| events[0] < K).map(|(site, _)| site.as_str()).collect();
    assert_eq!(few, ["site4", "site5", "site6"], "too few die there before the thirteenth day");
    let result = usual(&by_site(&covid()), &asked("grid = [13, 17]", COMPETING));
    says(
        &result,
        "the curve is over 1 intervals that all its sites share, of 2: `least` and `most` hold that over all",
    );
    are_incidences_of(&result, &patients, &ends[1..], 1);
}

#[test]
fn where_every_exit_is_an_event_nobody_is_told_from_few_and_there_is_no_incidence() {
    let more = format!(", competing = {{ discharged = \"status = '2'\" }}{BY}");
    let result = usual(&by_site(&covid()), &asked("grid = [17]", &more));
    for (site, part) in [("site6", 0), ("site5", 1), ("site6", 1)] {
        says(
            &result,
            &format!(
                "{site} is not in the curve of part = {part}: fewer than 11 patients there have one of the events"
            ),
        );
    }
    for (part, sites) in [("0", 5.0), ("1", 4.0)] {
        assert_eq!(column(block(&result, "patients"), part, "sites"), [Some(sites)], "{part}");
        says(
            &result,
            &format!(
                "the curve of part = {part} is over 0 intervals that all its sites share, of 1: `least` and `most` hold that over all"
            ),
        );
    }
    let found = block(&result, "cumulative incidence");
    let at = found.columns.iter().position(|column| column == "incidence").expect("a column");
    assert!(found.rows.iter().all(|row| number(&row[at]).is_none()), "{found:?}");
    assert!(found.hidden.iter().any(|hidden| hidden.reason == HiddenReason::NotAllExact), "{found:?}");
}

#[test]
fn a_rate_is_of_the_sites_where_k_die_and_k_do_not_and_no_single_one_is_shown() {
    let text = "[[analysis]]\nname = \"r\"\nrates = { time = \"time\", event = \"status = '1'\", by = [\"part\"], per = 1000 }\n";
    let patients = lung2();
    let shown = |part: u8| -> Vec<&str> {
        let ends = [f64::MAX];
        let own: Vec<Patient> = patients.iter().filter(|of| of.part == part).cloned().collect();
        let leave = leaving(&own, &ends, 1);
        let sites = ["site1", "site2", "site3"];
        sites.into_iter().filter(|site| leave[*site].iter().all(|ways| ways[0] >= K)).collect()
    };
    assert_eq!((shown(0), shown(1)), (vec!["site3"], vec!["site1", "site3"]));
    let result = usual(&by_site(&patients), text);
    let told = |result: &AnalysisResult, name: &str| column(&result.block, "1", name)[0];
    let two = at(&patients, Some(1), &["site1", "site3"]);
    assert_eq!(told(&result, "events"), Some(two.iter().filter(|of| of.status == 1).count() as f64));
    let open = run(&by_site(&two), text, Gate::OPEN);
    for name in ["events", "time", "rate", "lower", "upper"] {
        assert_near(told(&result, name), told(&open, name).expect("a number"), name);
    }
    let covered = result.block.coverage.iter().map(|coverage| coverage.n).collect::<BTreeSet<_>>();
    assert_eq!(covered, BTreeSet::from([two.len() as u64]));
    // Of the men one site alone could say it.
    for name in ["events", "rate", "lower", "upper"] {
        assert_eq!(column(&result.block, "0", name), [None], "{name}");
    }
    assert_eq!(told(&result, "ratio"), None, "there is no other group");
}
