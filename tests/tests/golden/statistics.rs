//! The canonical forms of survival and association, and the plans that follow from them.

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
