//! The canonical forms of survival and association, and the plans that follow from them.

use bocage_protocol::limits;
use bocage_protocol::plan::Centroids;
use bocage_protocol::release::ModelRelease;

use super::*;

const LINES: &str = r#"
title = "Time to an event"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "s"
survival = { time = "age", event = "chol > 200", competing = { low = "chol < 100" }, by = ["sex"], every = 30, until = 90 }
[[analysis]]
name = "r"
rates = { time = "age", event = "chol > 200", by = ["sex"], per = 1000 }
"#;

#[test]
fn time_to_an_event_has_this_canonical_form_these_plans_and_these_released_bytes() {
    let (key, signed) = signed_study();
    let study = bound(LINES, &key);
    let plans: Vec<ValidPlan> = study.analyses.iter().map(|a| first_plan(&study, &a.spec)).collect();
    let bin = |upto, subjects| BinRelease { upto, count: Count { subjects, rows: subjects } };
    let cells = plans[0].grid().expect("a grid").cells();
    let lines = plans[0].layout().cells_at(0) / cells;
    let shown = [vec![bin(2, 11), bin(4, 40)], vec![bin(3, 0), bin(4, 12)]];
    let lines = shown.into_iter().cycle().take(lines).collect();
    let outcome = Outcome::Lines(LinesRelease { threshold: 11, lines, held_back: false, rounded: false });
    assert!(outcome.fits(&plans[0]));
    let mut release = release(signed.id());
    release.parts[0].outcome = outcome;
    let found = json!({
        "analyses": study.analyses,
        "plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
        "explained": plans[0].explain(&contract::parse(CONTRACT, "vector.toml").expect("a contract"), None).plainly(),
        "release": hex(&SignedRelease::sign(&release, standing(), &key).expect("a release").body),
    });
    assert_eq!(found, golden("lines-v1.json"), "found:\n{found:#}");
}

const ASSOCIATION: &str = r#"
title = "Groups held against each other"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "risks"
compare = { outcome = "chol > 200", by = "sex", reference = "male", within = "site", confidence = 0.9 }
[[analysis]]
name = "trend"
compare = { outcome = "chol > 200", by = "cut(age, 50, 60)" }
[[analysis]]
name = "means"
compare = { outcome = "ln(chol)", by = "sex" }
[[analysis]]
name = "ranks"
compare = { outcome = "cut(chol, 200)", by = "sex" }
[[analysis]]
name = "pair"
correlation = { columns = ["age", "chol"] }
[[analysis]]
name = "bands"
correlation = { columns = ["cut(age, 50)", "cut(chol, 200)"] }
[[analysis]]
name = "one"
table_one = { by = "sex", columns = ["age", "chol"] }
[[analysis]]
name = "rates"
standardised = { events = "chol > 200", by = "sex", over = ["cut(age, 50)"], population = { "<50" = 3, ">=50" = 1 }, per = 1000 }
[[analysis]]
name = "ratio"
standardised = { events = "chol > 200", over = ["sex"], rates = { male = 0.5, female = 0.25 } }
[[analysis]]
name = "told"
accuracy = { test = "chol > 200", truth = "age >= 60", interval = "exact" }
"#;

#[test]
fn analyses_of_association_have_this_canonical_form_and_these_plans() {
    let (key, _) = signed_study();
    let study = bound(ASSOCIATION, &key);
    let found = json!({
        "analyses": study.analyses,
        "plans": study.analyses.iter().map(|a| first_plan(&study, &a.spec).digest()).collect::<Vec<_>>(),
    });
    assert_eq!(found, golden("association-v1.json"), "found:\n{found:#}");
}

const DESCRIBED: &str = r#"
title = "What patients are like"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "axes"
pca = { columns = ["age", "ln(chol)"], scale = "covariance", components = 1 }
[[analysis]]
name = "types"
kmeans = { columns = ["age", "chol"], clusters = 2, starts = 3, iterations = 20, seed = 7, scale = "range" }
"#;

#[test]
fn components_and_clusters_have_this_canonical_form_these_plans_and_these_released_bytes() {
    let (key, signed) = signed_study();
    let study = bound(DESCRIBED, &key);
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let one = limits::CLUSTER_STEPS;
    let centroids = Centroids { weights: vec![1.0, 0.25], starts: vec![vec![vec![0, -one], vec![one, 3]]] };
    let state = RoundState::Centroids(centroids);
    let later = plan_for(&study.analyses[1].spec, study.query(), 1, &state).expect("a plan");
    let later = ValidPlan::check(later, &contract).expect("a valid plan");
    let mut plans: Vec<ValidPlan> = study.analyses.iter().map(|a| first_plan(&study, &a.spec)).collect();
    plans.push(later);
    let sums = vec![9.5, 12.25, 11.0, 1.5, -2.25, 40.0, -3.0, 8.125];
    let outcome = Outcome::Model(ModelRelease { threshold: 11, n: 51, sums });
    assert!(outcome.fits(&plans[2]));
    let mut release = release(signed.id());
    release.parts[0].outcome = outcome;
    let found = json!({
        "analyses": study.analyses,
        "plans": plans.iter().map(ValidPlan::digest).collect::<Vec<_>>(),
        "explained": plans.iter().map(|plan| plan.explain(&contract, None).plainly()).collect::<Vec<_>>(),
        "state": hex(&codec::encode(&state).expect("a state")),
        "release": hex(&SignedRelease::sign(&release, standing(), &key).expect("a release").body),
    });
    assert_eq!(found, golden("described-v1.json"), "found:\n{found:#}");
}
