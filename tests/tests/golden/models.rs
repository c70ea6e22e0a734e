//! The canonical forms of models, the plans of their rounds, and what travels in them.

use std::collections::BTreeMap;

use bocage_protocol::plan::Position;
use bocage_protocol::release::ModelRelease;

use super::*;

const MODELS: &str = r#"
title = "Models"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "odds"
model = { formula = "chol > 200 ~ age * sex", likelihood_ratio = true, contrasts = { "men of 60" = "sex[male] + 60 * age:sex[male]", "sex at all" = ["sex", "age:sex[male]"] } }
[[analysis]]
name = "line"
model = { formula = "ln(chol) ~ site + ns(age, knots = [50, 60]) + C(sex, ref = 'male')", standard_errors = "hc1", confidence = 0.9 }
[[analysis]]
name = "counts"
model = { formula = "age ~ poly(chol, 2) + offset(log(chol))", family = "negative_binomial", weights = "chol", ridge = 2.5 }
[[analysis]]
name = "stages"
model = { formula = "chol > 200 ~ age", link = "probit", two_stage = "hartung_knapp" }
"#;

const COX: &str = r#"
title = "Hazards"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "hazard"
cox = { formula = "surv(age, chol > 200) ~ sex", ties = "breslow", standard_errors = "robust", proportionality = "identity" }
"#;

const LEFT_OUT: &str = r#"
title = "Left out"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "folds"
cross_validation = { formula = "chol > 200 ~ age", folds = 2, grid = [0.25, 0.5] }
[[analysis]]
name = "sites"
cross_validation = { formula = "chol ~ age", folds = "site" }
[[analysis]]
name = "net"
elastic_net = { formula = "chol ~ age + sex", mix = 0.75, points = 9, folds = 5, choose = "1se" }
[[analysis]]
name = "path"
elastic_net = { formula = "chol > 200 ~ age + sex", lambdas = [0.5, 0.25] }
"#;

/// A second round's numbers of a question of so many coefficients.
fn second(columns: usize, theta: Option<f64>) -> RoundState {
    let beta = (0..columns).map(|at| at as f64 / 4.0 - 0.5).collect();
    let sites = BTreeMap::new();
    RoundState::At(Position { beta, sites, theta, robust: theta.is_none() })
}

/// The forms of a study, its plans in two rounds, a request of the second, and what answers it.
fn forms(text: &str, states: &[RoundState]) -> Value {
    let (key, signed) = signed_study();
    let study = bound(text, &key);
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let plan = |spec: &Spec, state: &RoundState| {
        let plan = plan_for(spec, study.query(), 1, state).expect("a plan");
        ValidPlan::check(plan, &contract).expect("a valid plan")
    };
    let plans: Vec<ValidPlan> =
        study.analyses.iter().zip(states).map(|(analysis, state)| plan(&analysis.spec, state)).collect();
    let values = plans[0].model().expect("a model").1.values();
    let sums = (0..values).map(|at| at as f64 / 8.0).collect();
    let outcome = Outcome::Model(ModelRelease { threshold: 11, n: 60, sums });
    assert!(outcome.fits(&plans[0]));
    let mut release = release(signed.id());
    release.parts[0].outcome = outcome;
    let steps = states.iter().enumerate().map(|(at, state)| Step { analysis: at as u16, state: state.clone() });
    json!({
        "analyses": study.analyses,
        "first_plans": study.analyses.iter().map(|a| first_plan(&study, &a.spec).digest()).collect::<Vec<_>>(),
        "second_plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
        "explained": plans[0].explain(&contract, None).plainly(),
        "steps": hex(&codec::encode(&steps.collect::<Vec<Step>>()).expect("bytes")),
        "release": hex(&SignedRelease::sign(&release, standing(), &key).expect("a release").body),
    })
}

#[test]
fn models_have_these_canonical_forms_these_plans_and_these_released_bytes() {
    let states = [second(4, None), second(4, None), second(3, Some(2.0)), second(2, None)];
    let found = forms(MODELS, &states);
    assert_eq!(found, golden("models-v1.json"), "found:\n{found:#}");
}

#[test]
fn hazards_have_this_canonical_form_these_plans_and_these_released_bytes() {
    let found = forms(COX, &[second(1, None)]);
    assert_eq!(found, golden("cox-v1.json"), "found:\n{found:#}");
}

#[test]
fn fits_that_leave_some_out_have_these_canonical_forms_these_plans_and_these_released_bytes() {
    let (key, _) = signed_study();
    let study = bound(LEFT_OUT, &key);
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let folds = |fits: usize, columns: usize| {
        let RoundState::At(at) = second(columns, None) else { panic!("a position") };
        RoundState::Folds { folds: vec![at.beta.clone(); fits], at: Position { robust: false, ..at } }
    };
    let curve = RoundState::LeftOut(vec![vec![-1.5, 0.03125], vec![-1.25, 0.0625]]);
    let asked = [(0, folds(2, 2)), (0, curve), (1, folds(3, 2)), (3, second(3, None))];
    let plan = |(analysis, state): &(usize, RoundState)| {
        let plan = plan_for(&study.analyses[*analysis].spec, study.query(), 1, state).expect("a plan");
        ValidPlan::check(plan, &contract).expect("a valid plan")
    };
    let plans: Vec<ValidPlan> = asked.iter().map(plan).collect();
    let steps = asked.iter().map(|(at, state)| Step { analysis: *at as u16, state: state.clone() });
    let found = json!({
        "analyses": study.analyses,
        "first_plans": study.analyses.iter().map(|a| first_plan(&study, &a.spec).digest()).collect::<Vec<_>>(),
        "later_plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
        "values": plans.iter().map(|plan| plan.model().map(|(_, layout)| layout.values())).collect::<Vec<_>>(),
        "explained": plans.iter().map(|plan| plan.explain(&contract, None).plainly()).collect::<Vec<_>>(),
        "steps": hex(&codec::encode(&steps.collect::<Vec<Step>>()).expect("bytes")),
    });
    assert_eq!(found, golden("left-out-v1.json"), "found:\n{found:#}");
}
