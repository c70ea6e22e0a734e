//! What has no fit, and what does not leave a site under the usual gate.

use bocage_coordinator::analysis::{Answer, Driver, Next, SiteAnswer};
use bocage_protocol::PublicError;
use bocage_protocol::analysis::{RoundState, Spec, plan_for};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Position, ValidPlan};
use bocage_protocol::release::Outcome;
use bocage_protocol::trust::Study;
use bocage_tests::federation::{Federation, Gate, block, number};

use super::super::data;
use super::{LUNG2, cox, lung2, pooled};

#[track_caller]
fn says(notes: &[String], wanted: &str) {
    assert!(notes.iter().any(|note| note.starts_with(wanted)), "{wanted}: {notes:?}");
}

#[test]
fn what_has_no_fit_says_why() {
    for (formula, wanted) in [
        ("surv(time, time > 5000) ~ age", "no fit: nobody has the event"),
        ("surv(time, status = 1) ~ (status = 1)", "no fit: the coefficient of `(status = 1)[true]` goes beyond"),
        ("surv(time, status = 1) ~ sex + (sex = '1')", "no fit: `(sex = '1')[true]` is made of the columns before it"),
        (
            "surv(time, status = 1) ~ (age > 20)",
            "no fit: `(age > 20)[true]` is made of the columns before it, or never",
        ),
    ] {
        let result = pooled(&format!("formula = \"{formula}\""));
        says(&result.notes, wanted);
        assert!(result.block.rows.is_empty());
        assert!(number(block(&result, "fit"), "patients", "value") > 200.0, "of whom it would have been is told");
    }
}

#[test]
fn a_fit_that_uses_up_its_rounds_is_flagged_and_says_of_whom_it_would_have_been() {
    // In every round another site stops answering, so that what the fit goes to moves on.
    let rows: data::Rows = [lung2(), lung2()].concat();
    let federation = data::dealt(LUNG2, &rows, 28);
    for grid in ["", ", every = 50, until = 1000"] {
        let text = format!("formula = \"surv(time, status = 1) ~ age\"{grid}");
        let text =
            format!("title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"lung2@1\"\n{}", cox(&text));
        let study = federation.bind(&text).expect("a study");
        let stops = |site: &SiteId, round: u16| {
            round > 1 && site.as_str()["site-".len()..].parse::<u16>().expect("a number") + 2 <= round
        };
        let result = federation.answer_but(&study, Gate::OPEN, stops).remove(0);
        says(&result.notes, "no fit: it has not converged in the 25 rounds");
        assert!(result.block.rows.is_empty());
        let known = |name: &str| number(block(&result, "fit"), name, "value");
        assert_eq!((known("rounds"), known("sites")), (25.0, 5.0), "{:?}", result.notes);
        assert!(known("patients") > 50.0 && known("events") > 30.0);
        assert_eq!(block(&result, "patients with all that the model reads").rows.len(), 5);
    }
}

#[test]
fn where_a_site_left_the_tests_against_no_terms_are_hidden_and_a_note_says_why() {
    let federation = data::by_site(LUNG2, &lung2());
    let study = study(&federation, "surv(time, status = 1) ~ age");
    let leaves = |site: &SiteId, round| site.as_str() == "site1" && round >= 1;
    let result = federation.answer_but(&study, Gate::OPEN, leaves).remove(0);
    says(&result.notes, "no likelihood-ratio and score test");
    assert_eq!(result.absent, ["site1".parse().expect("a site")]);
    for (title, rows) in
        [("fit", vec!["log-likelihood without terms"]), ("tests of the model", vec!["likelihood ratio", "score"])]
    {
        let of = block(&result, title);
        let hidden: Vec<String> = of.hidden.iter().map(|hidden| format!("{:?}", of.rows[hidden.row][0])).collect();
        assert!(
            !hidden.is_empty() && hidden.iter().all(|name| rows.iter().any(|row| name.contains(row))),
            "{hidden:?}"
        );
    }
    let all = federation.answer(&study, Gate::OPEN).remove(0);
    assert!(all.absent.is_empty() && block(&all, "fit").hidden.is_empty());
}

#[test]
fn under_the_usual_gate_three_hospitals_are_fitted_together() {
    let federation = data::by_site(LUNG2, &lung2());
    let result = federation.run(&cox("formula = \"surv(time, status = 1) ~ age\""), Gate::USUAL).remove(0);
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 3.0, "{:?}", result.notes);
    assert_eq!(number(block(&result, "fit"), "events", "value"), 165.0);
}

#[test]
fn under_the_usual_gate_small_groups_with_or_without_the_event_are_refused_by_name() {
    let federation = data::by_site(LUNG2, &lung2());
    let result = federation.run(&cox("formula = \"surv(time, status = 1) ~ age + sex\""), Gate::USUAL).remove(0);
    for site in ["site1", "site2"] {
        says(&result.notes, &format!("{site} refused: `sex = 1` and `the outcome` vary too little together"));
    }
    assert!(result.block.rows.is_empty(), "one site answered of two that are needed");
    let strata = "formula = \"surv(time, status = 1) ~ age\", strata = [\"sex\"]";
    let result = federation.run(&cox(strata), Gate::USUAL).remove(0);
    says(&result.notes, "site1 refused: a stratum has too few patients with the event, or too few without");
}

fn study(federation: &Federation, formula: &str) -> Study {
    let text = format!(
        "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"lung2@1\"\n{}",
        cox(&format!("formula = \"{formula}\""))
    );
    federation.bind(&text).expect("a study")
}

/// What the hospital `site1` says to these coefficients.
fn at(federation: &Federation, formula: &str, beta: Vec<f64>, threshold: u32) -> Result<(), String> {
    let study = study(federation, formula);
    let spec = &study.analyses[0].spec;
    assert!(matches!(spec, Spec::Cox(_)));
    let state = RoundState::At(Position { beta, ..Position::of_hazards(1) });
    let plan = plan_for(spec, study.query(), 1, &state).expect("a plan");
    let plan = ValidPlan::check(plan, federation.contract()).map_err(|problems| problems.to_string())?;
    match federation.outcome(&"site1".parse().expect("a site"), &plan, threshold) {
        Ok(_) => Ok(()),
        Err(error) if error.code == ErrorCode::TooFewForModel => Err(error.message),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn steep_coefficients_that_leave_risk_sets_to_a_few_are_refused() {
    let federation = data::by_site(LUNG2, &lung2());
    let formula = "surv(time, status = 1) ~ age";
    assert_eq!(at(&federation, formula, vec![0.5], 11), Ok(()));
    assert_eq!(at(&federation, formula, vec![9.9], 1), Ok(()));
    let refused = at(&federation, formula, vec![9.9], 11).unwrap_err();
    assert!(refused.starts_with("a patient weighs too much"), "{refused}");
    let refused = at(&federation, formula, vec![10.1], 1).unwrap_err();
    assert!(refused.contains("out of bounds"), "{refused}");
}

#[test]
fn steep_in_time_each_risk_set_is_that_of_those_who_leave_next() {
    // No patient weighs much in all the sums, but each risk set is of a few: what leaves is how those differ who follow each other.
    let mut text = "hospital,time,late,status,age,sex\n".to_owned();
    for i in 0..80 {
        text += &format!("site1,{},0,{},{},0\n", 20 + 13 * i, i % 2, 40 + i % 30);
    }
    let federation = Federation::new(LUNG2, &[("site1", text)]);
    let formula = "surv(time, status = 1) ~ time";
    assert_eq!(at(&federation, formula, vec![-0.5], 11), Ok(()));
    assert_eq!(at(&federation, formula, vec![-9.9], 1), Ok(()));
    let refused = at(&federation, formula, vec![-9.9], 11).unwrap_err();
    assert!(refused.starts_with("too few events come while enough patients are at risk"), "{refused}");
}

#[test]
fn who_is_at_risk_at_no_event_does_not_hide_the_others() {
    // All but one of those at risk have the same age; it varies among those who leave before the first event alone.
    let mut text = "hospital,time,late,status,age,sex\n".to_owned();
    for i in 0..40 {
        text += &format!("site1,{},0,0,{},0\n", 1 + i, 40 + i);
    }
    for i in 0..40 {
        let age = if i == 30 { 77 } else { 50 };
        text += &format!("site1,{},0,{},{age},0\n", 100 + i, i % 2);
    }
    let federation = Federation::new(LUNG2, &[("site1", text)]);
    let refused = at(&federation, "surv(time, status = 1) ~ age", vec![0.0], 11).unwrap_err();
    assert_eq!(refused, "`age` varies too little");
}

#[test]
fn a_site_that_refuses_the_end_alone_is_left_out_and_the_fit_goes_on() {
    let mut rows = lung2();
    let federation = data::by_site(LUNG2, &rows);
    let study = study(&federation, "surv(time, status = 1) ~ age + sex");
    let spec = &study.analyses[0];
    let plan = |round: u16, state: &RoundState| {
        let plan = plan_for(&spec.spec, study.query(), round, state).unwrap();
        ValidPlan::check(plan, federation.contract()).unwrap()
    };
    let sites: Vec<SiteId> = ["site1", "site2", "site3"].map(|site| site.parse().unwrap()).into();
    let refused = PublicError::new(ErrorCode::TooFewForModel, "not this");
    let (mut round, mut state) = (0, RoundState::First);
    let mut driver = Driver::new(spec, &plan(0, &state), federation.contract(), 2).unwrap();
    let result = loop {
        let plan = plan(round, &state);
        let at_end = matches!(&state, RoundState::At(at) if at.robust);
        let outcomes: Vec<Option<Outcome>> = sites
            .iter()
            .map(|site| (!at_end || site != &sites[2]).then(|| federation.outcome(site, &plan, 1).unwrap()))
            .collect();
        let answers: Vec<SiteAnswer<'_>> = sites
            .iter()
            .zip(&outcomes)
            .map(|(site, outcome)| {
                let answer = match outcome {
                    Some(Outcome::Model(release)) => Answer::Model(release),
                    _ => Answer::Refused(&refused),
                };
                SiteAnswer { site, answer }
            })
            .collect();
        match driver.step(&answers) {
            Next::Round(next) => (round, state) = (round + 1, next),
            Next::Each(_) => panic!("a step for all"),
            Next::Publish(result) => break *result,
        }
    };
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 2.0, "{:?}", result.notes);
    rows.retain(|(site, _)| site != "site3");
    let two = super::run(&data::by_site(LUNG2, &rows), "formula = \"surv(time, status = 1) ~ age + sex\"");
    for row in ["age", "sex[1]"] {
        let (one, other) = (number(&result.block, row, "estimate"), number(&two.block, row, "estimate"));
        assert!((one - other).abs() <= 1e-10, "{row}: {one} and {other}");
    }
}
