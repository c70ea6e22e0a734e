//! Who is at which site, and who answers first, is no part of an answer: any split of the rows gives a model the same to 1e-10, any order of sites the same bits.

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_protocol::ids::ContractId;
use bocage_tests::federation::{Federation, Gate};

use super::cross_validation::named;
use super::data::{self, VISITS};

const RISK: &str = "[models.risk]\nformula = \"death ~ age + sex + lab\"\n\
                    coefficients = { \"(intercept)\" = -5.25, age = 0.0431, \"sex[1]\" = 0.37, lab = 0.0123 }\n";

/// Of the pooled rows, to 1e-10 however they are split.
const OF_ANY_SPLIT: [&str; 4] = [
    r#"model = { formula = "death ~ age * sex + lab", likelihood_ratio = true }"#,
    r#"model = { formula = "death ~ age * sex + lab", standard_errors = "hc0", contrasts = { "ten years" = "10 * age" } }"#,
    r#"model = { formula = "lab ~ age + sex", standard_errors = "hc1" }"#,
    r#"model = { formula = "lab ~ age + sex", weights = "los" }"#,
];

/// Of the pooled rows.
const OF_ROWS: [&str; 36] = [
    r#"model = { formula = "death ~ age * sex + lab", likelihood_ratio = true }"#,
    r#"model = { formula = "death ~ age * sex + lab", standard_errors = "hc0", contrasts = { "ten years" = "10 * age" } }"#,
    r#"model = { formula = "lab ~ age + sex", standard_errors = "hc1" }"#,
    r#"model = { formula = "lab ~ age + sex", weights = "los" }"#,
    r#"model = { formula = "lab ~ ns(age, knots = [50, 65]) + cut(los, 5, 10)" }"#,
    r#"model = { formula = "death ~ age + sex + lab", ridge = 5 }"#,
    r#"model = { formula = "death ~ age + sex + lab", link = "probit" }"#,
    r#"model = { formula = "death ~ age + sex + lab", link = "cloglog" }"#,
    r#"model = { formula = "death ~ age + sex + lab", family = "poisson", standard_errors = "hc0" }"#,
    r#"model = { formula = "lab ~ age + sex + offset(los)" }"#,
    r#"model = { formula = "los ~ age + sex + lab", family = "gamma" }"#,
    r#"cox = { formula = "surv(los, death) ~ age + sex", every = 5, until = 60 }"#,
    r#"cox = { formula = "surv(los, death) ~ age + sex", every = 5, until = 60, standard_errors = "robust" }"#,
    r#"elastic_net = { formula = "death ~ age + sex + lab", points = 5, folds = 5 }"#,
    r#"elastic_net = { formula = "lab ~ age + sex", points = 5, folds = 5 }"#,
    r#"cross_validation = { formula = "death ~ age + lab", folds = 2 }"#,
    r#"cross_validation = { formula = "los ~ age + lab", family = "poisson", folds = 2 }"#,
    r#"survival = { time = "los", event = "death", grid = [5, 10, 20, 60], by = ["sex"] }"#,
    r#"rates = { time = "los", event = "death", by = ["sex"] }"#,
    r#"evaluate = { model = "risk" }"#,
    r#"evaluate = { score = "lab", truth = "death", grid = [10, 20, 40, 80] }"#,
    r#"table = { by = ["sex", "cut(age, 50, 60)"], show = ["count", "mean(lab)", "sd(lab)", "share(death)"] }"#,
    r#"histogram = { of = "lab", bins = [10, 20, 40], by = ["sex"] }"#,
    r#"crosstab = { rows = "sex", columns = "death" }"#,
    r#"quantiles = { of = "lab", at = [0.25, 0.5, 0.75] }"#,
    r#"attrition = { steps = ["age >= 50", "not death"] }"#,
    r#"summary = { columns = ["age", "sex", "lab"] }"#,
    r#"compare = { outcome = "death", by = "sex" }"#,
    r#"compare = { outcome = "lab", by = "cut(age, 50, 60)" }"#,
    r#"compare = { outcome = "cut(lab, 10, 20, 40)", by = "sex" }"#,
    r#"correlation = { columns = ["age", "lab", "los"], complete = true }"#,
    r#"table_one = { by = "death", columns = ["age", "sex", "lab"] }"#,
    r#"standardised = { events = "death", by = "sex", over = ["cut(age, 50, 60)"], population = { "<50" = 6000, "[50,60)" = 2500, ">=60" = 1500 } }"#,
    r#"accuracy = { test = "lab >= 20", truth = "death" }"#,
    r#"pca = { columns = ["age", "lab", "los"], scale = "correlation" }"#,
    r#"kmeans = { columns = ["age", "lab", "los"], clusters = 2 }"#,
];

/// The same of counts that vary more than those of the other data.
const OF_COUNTS: &str =
    r#"model = { formula = "visits ~ age + sex + medical_condition", family = "negative_binomial" }"#;

/// What they say depends on who is at which site: intercepts, baselines, clusters, strata, folds or stages that are the sites themselves.
const OF_SITES: [&str; 8] = [
    r#"model = { formula = "death ~ site + age + lab", standard_errors = "model" }"#,
    r#"model = { formula = "lab ~ age + sex", standard_errors = "site" }"#,
    r#"model = { formula = "death ~ age + lab", two_stage = "hartung_knapp" }"#,
    r#"cox = { formula = "surv(los, death) ~ age + sex" }"#,
    r#"cox = { formula = "surv(los, death) ~ age", two_stage = "fixed" }"#,
    r#"cross_validation = { formula = "death ~ age + lab", folds = "site" }"#,
    r#"elastic_net = { formula = "lab ~ age + sex", points = 5, folds = "site" }"#,
    r#"compare = { outcome = "death", by = "sex", within = "site" }"#,
];

/// Least of what a number is held against. A chance is told as it stands; a statistic that is the difference of two log-likelihoods of thousands has their
/// digits, and not its own.
fn floor(what: &str) -> f64 {
    match what {
        _ if what.starts_with("likelihood-ratio tests") => 10.0,
        _ if what.ends_with(", p: ") => 1.0,
        _ => 1e-3,
    }
}

/// What is told of the sites themselves, and of the way to an answer.
fn is_of_sites(title: &str, row: &[Value]) -> bool {
    let told = |names: &[&str]| matches!(&row[0], Value::Text(name) if names.contains(&name.as_str()));
    title.starts_with("patients with all") || (title == "fit" && told(&["sites", "rounds"]))
}

/// Every number of an answer, with what it is called.
fn numbers(result: &AnalysisResult) -> Vec<(String, Option<f64>)> {
    let blocks =
        std::iter::once(("", &result.block)).chain(result.also.iter().map(|of| (of.title.as_str(), &of.block)));
    let rows =
        blocks.flat_map(|(title, block)| block.rows.iter().enumerate().map(move |(at, row)| (title, block, at, row)));
    let cells = rows.filter(|(title, _, _, row)| !is_of_sites(title, row)).flat_map(|(title, block, at, row)| {
        row.iter().zip(&block.columns).map(move |(cell, column)| {
            let (text, number) = match cell {
                Value::Count(n) => ("", Some(*n as f64)),
                Value::Number(x) => ("", Some(*x)),
                Value::Text(text) => (text.as_str(), None),
                Value::Null => ("null", None),
            };
            (format!("{title}, row {at}, {column}: {text}"), number)
        })
    });
    cells.collect()
}

fn study(dataset: &ContractId, analysis: &str) -> String {
    let models = if analysis.contains("model = \"risk\"") { RISK } else { "" };
    let head = "title = \"A test\"\npurpose = \"scientific_research\"\n";
    format!("{head}dataset = \"{dataset}\"\n{models}[[analysis]]\nname = \"m\"\n{analysis}")
}

fn answered(federation: &Federation, analysis: &str, backwards: bool) -> AnalysisResult {
    let study = federation
        .bind(&study(federation.contract().id(), analysis))
        .unwrap_or_else(|problems| panic!("{analysis}: {problems}"));
    let mut results = match backwards {
        true => federation.run_backwards(&study, Gate::OPEN),
        false => federation.answer(&study, Gate::OPEN),
    };
    assert!(!results[0].block.rows.is_empty(), "{analysis}: {:?}", results[0].notes);
    results.remove(0)
}

#[test]
fn any_split_of_the_rows_gives_the_same_answer() {
    let (contract, rows) = named();
    let splits = [1, 2, 4, 16].map(|sites| data::dealt(&contract, &rows, sites));
    for analysis in OF_ANY_SPLIT {
        let pooled = numbers(&answered(&splits[0], analysis, false));
        for split in &splits[1..] {
            let found = numbers(&answered(split, analysis, false));
            assert_eq!(found.len(), pooled.len(), "{analysis}");
            for ((what, one), (other_what, other)) in pooled.iter().zip(&found) {
                assert_eq!((what, one.is_some()), (other_what, other.is_some()), "{analysis}");
                let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
                assert!(
                    (one - other).abs() <= 1e-10 * one.abs().max(floor(what)),
                    "{analysis}, {what}: {one} and {other}"
                );
            }
        }
    }
}

#[test]
fn in_whatever_order_sites_answer_every_answer_has_the_same_bits() {
    let (contract, rows) = named();
    let (named, visits) = (data::dealt(&contract, &rows, 12), data::by_site(VISITS, &data::visits()));
    let asked = OF_ROWS.into_iter().chain(OF_SITES).map(|analysis| (analysis, &named));
    for (analysis, federation) in asked.chain([(OF_COUNTS, &visits)]) {
        let (one, other) = (answered(federation, analysis, false), answered(federation, analysis, true));
        assert_eq!(one, other, "{analysis}");
    }
}
