//! The canonical form of fitted models and of plausible numbers in a study, and the plans that follow from them.

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
