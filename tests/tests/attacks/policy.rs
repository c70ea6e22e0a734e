//! The site's own policy, and who tries to get round it: other words, columns that are never offered, quiet hours, limits, tighter thresholds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bocage_node::custodian::{Control, Controls, Moment, Switches};
use bocage_protocol::trust::{Purpose, Study};

use super::hospital::Hospital;
use super::models::eighty;
use super::permitted::Permitted;
use super::scenario::Family;
use super::ward::{Patient, count, patients, table, twenty};

const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";

/// The ward with one more section before `[[trust]]`, or more lines in `[policy]`.
fn with(more: &str) -> Hospital {
    let hospital = Hospital::ward(&twenty());
    rule(&hospital, more);
    hospital
}

fn rule(hospital: &Hospital, more: &str) {
    hospital.edit("[[trust]]", &format!("{more}\n[[trust]]"));
}

fn answered(hospital: &Hospital, on: Controls, study: &Study) -> bool {
    hospital.open(on).reply(&hospital.request(study)).is_ok()
}

/// One question in many words.
fn in_words(hospital: &Hospital) -> Vec<Study> {
    let filters = ["", "age > 30", "age >= 31", "not (age <= 30)", "30 < age and 1 = 1", "age > 30 or age > 40"];
    let named = |(i, filter): (usize, &&str)| {
        let study = hospital.study(filter, &COUNT.replace("'a'", &format!("'question{i}'")));
        Study { title: format!("Another study {i}"), ..study }
    };
    filters.iter().enumerate().map(named).collect()
}

fn refused_dataset(on: Controls) -> bool {
    let hospital = with("[[policy.rule]]\ndataset = \"ward@1\"\ndecide = \"refuse\"");
    in_words(&hospital).iter().any(|study| answered(&hospital, on, study))
}

/// Whether a laxer rule about the same study makes a stricter one void.
fn laxer_beside(on: Controls) -> bool {
    let hospital = with(
        "[[policy.rule]]\nresearcher = \"Ada\"\ndecide = \"refuse\"\n[[policy.rule]]\ndataset = \"ward@1\"\ndecide = \"auto\"",
    );
    answered(&hospital, on, &hospital.study("", COUNT))
}

fn refused_later(on: Controls) -> bool {
    let hospital = Hospital::ward(&twenty());
    let study = hospital.study("", COUNT);
    assert!(answered(&hospital, on, &study));
    rule(&hospital, "[[policy.rule]]\ndataset = \"ward@1\"\ndecide = \"refuse\"");
    answered(&hospital, on, &study)
}

/// Whether a purpose that the site refuses, and the permit is for, is called by another name.
fn renamed_purpose(on: Controls) -> bool {
    let site = Permitted::new(&twenty());
    rule(&site.hospital, "[[policy.rule]]\npurpose = \"statistics\"\ndecide = \"refuse\"");
    let mut permit = site.permit();
    permit.purposes = vec![Purpose::Statistics];
    let study = site.hospital.study("", COUNT);
    assert_eq!(study.purpose, Purpose::ScientificResearch);
    site.hospital.open(on).reply(&site.request(&study, &site.signed(&permit))).is_ok()
}

fn never(on: Controls, never: &str, filter: &str, analyses: &str) -> bool {
    let hospital = Hospital::ward(&twenty());
    hospital.edit("contract = \"ward@1\"", &format!("contract = \"ward@1\"\n{never}"));
    let mut request = hospital.request(&hospital.study(filter, analyses));
    request.steps.truncate(1);
    hospital.open(on).reply(&request).is_ok()
}

fn no_weights(on: Controls, filter: &str, analysis: &str) -> bool {
    never(on, "never = [\"weight\"]", filter, &format!("[[analysis]]\nname = 'a'\n{analysis}\n"))
}

/// Whether more studies begin than one.
fn two_begin(on: Controls, policy: &str, restart: bool) -> bool {
    let hospital = with("");
    hospital.edit("[policy]\n", &format!("[policy]\n{policy}\n"));
    let mut desk = hospital.open(on);
    desk.reply(&hospital.request(&hospital.study("age > 30", COUNT))).expect("the first begins");
    if restart {
        drop(desk);
        desk = hospital.open(on);
    }
    desk.reply(&hospital.request(&hospital.study("age > 31", COUNT))).is_ok()
}

/// Whether a second study begins while the first is open, which a dead process left behind.
fn two_at_a_time(on: Controls) -> bool {
    let hospital = with("");
    hospital.edit("[policy]\n", "[policy]\nconcurrent = 1\n");
    let dies = Switches {
        controls: on,
        at: Some(Arc::new(|moment| assert_ne!(moment, Moment::Reserved, "the process dies here"))),
        ..Switches::default()
    };
    let first = hospital.request(&hospital.study("age > 30", COUNT));
    let died = catch_unwind(AssertUnwindSafe(|| hospital.open_with(dies).custodian.round(&first)));
    assert!(died.is_err());
    answered(&hospital, on, &hospital.study("age > 31", COUNT))
}

/// Whether a second study begins between two rounds of a fit.
fn between_rounds(on: Controls) -> bool {
    let hospital = Hospital::ward(&eighty());
    hospital.edit("[policy]\n", "[policy]\nconcurrent = 1\n");
    let desk = hospital.open(on);
    let fit = hospital.study("", "[[analysis]]\nname = 'a'\nmodel = { formula = 'sick ~ age' }\n");
    desk.reply(&hospital.request(&fit)).expect("the fit begins");
    desk.reply(&hospital.request(&hospital.study("age > 31", COUNT))).is_ok()
}

/// The tests' time is a quarter past two in the afternoon (UTC), in summer.
fn in_quiet_hours(on: Controls, quiet: &str) -> bool {
    let hospital = with("");
    hospital.edit("[policy]\n", &format!("[policy]\nquiet = [\"{quiet}\"]\n"));
    answered(&hospital, on, &hospital.study("", COUNT))
}

/// Whether a cell of four leaves although a rule wants five.
fn below_the_rules_threshold(on: Controls) -> bool {
    let mut rows = twenty();
    rows.extend(patients(4, |_| Patient { sex: "1", ..Patient::default() }));
    let hospital = Hospital::ward(&rows);
    rule(&hospital, "[[policy.rule]]\nresearcher = \"Ada\"\nthreshold = 5");
    let outcome = hospital.open(on).one("", "table = { by = ['sex'], show = ['count'] }");
    table(&outcome).cells.iter().any(|cell| count(cell) == Some(4))
}

pub fn family() -> Family {
    let later = format!("{COUNT}[[analysis]]\nname = 'b'\ntable = {{ show = ['mean(weight)'] }}\n");
    Family::new("policy")
        .against(Control::PolicyDecides, "a refused dataset, asked about in other words", refused_dataset)
        .against(Control::PolicyDecides, "a laxer rule beside the one that refuses", laxer_beside)
        .against(Control::PolicyDecides, "what left before the site refused it, asked again", refused_later)
        .against(Control::PermitStudy, "a refused purpose by another name", renamed_purpose)
        .against(Control::NeverOffered, "a column that is never offered in the filter", |on| {
            no_weights(on, "weight > 65", "table = { show = ['count'] }")
        })
        .against(Control::NeverOffered, "a column that is never offered in a condition", |on| {
            no_weights(on, "", "table = { show = ['share(weight > 65)'] }")
        })
        .against(Control::NeverOffered, "a column that is never offered within a product", |on| {
            no_weights(on, "", "table = { show = ['sum(age * weight)'] }")
        })
        .against(Control::NeverOffered, "a column that is never offered in bands, as a key", |on| {
            no_weights(on, "", "table = { by = ['cut(weight, 65, 70)'], show = ['count'] }")
        })
        .against(Control::NeverOffered, "a column that is never offered in a step of inclusion", |on| {
            no_weights(on, "", "attrition = { steps = ['age > 30', 'weight > 65'] }")
        })
        .against(Control::NeverOffered, "a column that is never offered, by its missing values", |on| {
            no_weights(on, "", "table = { show = ['share(weight is null)'] }")
        })
        .against(
            Control::NeverOffered,
            "a column that is never offered, in an analysis that is asked later",
            move |on| never(on, "never = [\"weight\"]", "", &later),
        )
        .against(Control::NeverOffered, "the values of a column that may be read and not be named", |on| {
            let names = "[[analysis]]\nname = 'a'\ntable = { by = ['discovered(diagnosis)'], show = ['count'] }\n";
            never(on, "never_discovered = [\"diagnosis\"]", "", names)
        })
        .against(Control::Pace, "a study in quiet hours", |on| in_quiet_hours(on, "14:00-15:00"))
        .against(Control::Pace, "a study in quiet hours that go over midnight", |on| in_quiet_hours(on, "22:00-14:30"))
        .against(Control::Pace, "a study in quiet hours by the hospital's own clock", |on| {
            in_quiet_hours(on, "16:00-17:00 Europe/Berlin")
        })
        .against(Control::Pace, "a second study on one day", |on| two_begin(on, "per_day = 1", false))
        .against(Control::Pace, "a second study on one day, after a restart", |on| two_begin(on, "per_day = 1", true))
        .against(Control::Pace, "a second study while one is open that a death left behind", two_at_a_time)
        .against(Control::Pace, "a second study between two rounds of a fit", between_rounds)
        .against(Control::Threshold, "a cell below the threshold of a rule", below_the_rules_threshold)
        .against(Control::Cap, "more cells than the site's own cap", |on| two_begin(on, "max_cells = 1", false))
}
