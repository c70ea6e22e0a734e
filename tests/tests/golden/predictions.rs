//! The canonical form of fitted models and of plausible numbers in a study, and the plans that follow from them.

use bocage_protocol::analysis::{Ends, plan_of};

use super::*;

const PREDICTIONS: &str = r#"
title = "Scores"
purpose = "statistics"
dataset = "vector@1"
[models.risk]
formula = "chol > 240 ~ age + C(sex)"
coefficients = { "(intercept)" = -4.5, age = 0.0625, "C(sex)[male]" = 0.25 }
[[analysis]]
name = "bands"
table = { by = ["cut(predict(risk), 0.1, 0.2)"], show = ["count"] }
[[analysis]]
name = "weighted"
model = { formula = "chol ~ sex + offset(linear(risk))", weights = "ipw(risk)" }
"#;

#[test]
fn a_fitted_model_in_a_study_has_this_canonical_form_and_these_plans() {
    let key = SecretKey::generate(&mut Counting);
    let study = bound(PREDICTIONS, &key);
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let plans: Vec<ValidPlan> = study.analyses.iter().map(|a| first_plan(&study, &a.spec)).collect();
    let found = json!({
        "features": study.features,
        "plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
        "weighted": plans[1].plan(),
        "explained": plans[1].explain(&contract, None).plainly(),
    });
    assert_eq!(found, golden("predictions-v1.json"), "found:\n{found:#}");
}

const CHAIN: &str = r#"
title = "A fit and what reads it"
purpose = "statistics"
dataset = "vector@1"
[models.risk]
analysis = "fit"
[[analysis]]
name = "fit"
model = { formula = "chol > 240 ~ age + C(sex)" }
[[analysis]]
name = "weighted"
model = { formula = "chol ~ sex", weights = "ipw(risk)" }
"#;

#[test]
fn a_fit_of_the_same_study_has_this_canonical_form_these_steps_and_the_plans_of_its_coefficients() {
    let key = SecretKey::generate(&mut Counting);
    let study = bound(CHAIN, &key);
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let ended = RoundState::Ended { round: 4, beta: vec![-4.5, 0.0625, 0.25] };
    let ends = Ends::of([(0, &ended)].into_iter());
    let plan = plan_of(&study, 1, 5, &RoundState::First, &ends).expect("a plan");
    let plan = ValidPlan::check(plan, &contract).expect("a valid plan");
    let steps = [(0, ended), (1, RoundState::First)].map(|(analysis, state)| Step { analysis, state });
    let found = json!({
        "features": study.features,
        "plan": plan.digest(),
        "explained_first": first_plan(&study, &study.analyses[1].spec).explain(&contract, None).plainly(),
        "steps": hex(&codec::encode(&steps.to_vec()).expect("bytes")),
    });
    assert_eq!(found, golden("chained-v1.json"), "found:\n{found:#}");
    // The same coefficients by hand are the same plan: what was answered to one answers the other.
    let by_hand = CHAIN.replace("analysis = \"fit\"", "formula = \"chol > 240 ~ age + C(sex)\"\ncoefficients = { \"(intercept)\" = -4.5, age = 0.0625, \"C(sex)[male]\" = 0.25 }");
    let by_hand = bound(&by_hand, &key);
    assert_eq!(first_plan(&by_hand, &by_hand.analyses[1].spec).digest(), plan.digest());
}

const EVALUATION: &str = r#"
title = "How good a score is"
purpose = "statistics"
dataset = "vector@1"
[models.risk]
formula = "chol > 240 ~ age + C(sex)"
coefficients = { "(intercept)" = -4.5, age = 0.0625, "C(sex)[male]" = 0.25 }
[[analysis]]
name = "good"
evaluate = { model = "risk", grid = [0.1, 0.2, 0.4], bands = [0.2] }
[[analysis]]
name = "any"
evaluate = { score = "age", truth = "chol > 240", grid = [40, 60] }
"#;

#[test]
fn an_evaluation_is_signed_as_these_analyses() {
    let key = SecretKey::generate(&mut Counting);
    let study = bound(EVALUATION, &key);
    let plans: Vec<ValidPlan> = study.analyses.iter().map(|a| first_plan(&study, &a.spec)).collect();
    let found = json!({
        "analyses": study.analyses,
        "plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
    });
    assert_eq!(found, golden("evaluation-v1.json"), "found:\n{found:#}");
}

const PLAUSIBLE: &str = r#"
title = "Plausible numbers"
purpose = "statistics"
dataset = "vector@1"
[features]
cholesterol = "plausible(chol, 100, 400)"
[[analysis]]
name = "mean"
table = { by = ["sex"], show = ["count", "mean(cholesterol)"] }
[[analysis]]
name = "median"
quantiles = { of = "cholesterol" }
"#;

#[test]
fn a_plausible_number_in_a_study_has_this_canonical_form_and_these_plans() {
    let key = SecretKey::generate(&mut Counting);
    let study = bound(PLAUSIBLE, &key);
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let plans: Vec<ValidPlan> = study.analyses.iter().map(|a| first_plan(&study, &a.spec)).collect();
    let found = json!({
        "features": study.features,
        "plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
        "mean": plans[0].plan(),
        "explained": plans[1].explain(&contract, None).plainly(),
    });
    assert_eq!(found, golden("plausible-v1.json"), "found:\n{found:#}");
}
