//! Who is at which site, and who answers first, is no part of an answer: any split of the rows gives a model the same to 1e-10, any order of sites the same bits.

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_protocol::ids::ContractId;
use bocage_tests::federation::{Federation, Gate};

use super::cross_validation::named;
use super::data::{self, VISITS};

const RISK: &str = "[models.risk]\nformula = \"death ~ age + sex + lab\"\n\
                    coefficients = { \"(intercept)\" = -5.25, age = 0.0431, \"sex[1]\" = 0.37, lab = 0.0123 }\n";

/// Of the pooled rows: the same to 1e-10 however they are split.
const OF_ROWS: [&str; 41] = [
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
    r#"cox = { formula = "surv(los, death) ~ age", strata = ["sex"], ties = "breslow", every = 5, until = 60 }"#,
    r#"elastic_net = { formula = "death ~ age + sex + lab", points = 5, folds = 5 }"#,
    r#"elastic_net = { formula = "lab ~ age + sex", points = 5, folds = 5 }"#,
    r#"cross_validation = { formula = "death ~ age + lab", folds = 2 }"#,
    r#"cross_validation = { formula = "los ~ age + lab", family = "poisson", folds = 2 }"#,
    r#"survival = { time = "los", event = "death", grid = [5, 10, 20, 60], by = ["sex"] }"#,
    r#"rates = { time = "los", event = "death", by = ["sex"] }"#,
    r#"evaluate = { model = "risk" }"#,
    r#"evaluate = { score = "lab", truth = "death", grid = [10, 20, 40, 80] }"#,
    r#"table = { by = ["sex", "cut(age, 50, 60)"], show = ["count", "mean(lab)", "sd(lab)", "share(death)"] }"#,
    r#"table = { by = [], show = ["rows", "sum(los)", "mean(sqrt(age))", "mean(age * lab)"] }"#,
    r#"table = { by = ["discovered(los)", "sex"], show = ["count", "mean(lab)"], top = 30 }"#,
    r#"histogram = { of = "lab", bins = [10, 20, 40], by = ["sex"] }"#,
    r#"crosstab = { rows = "sex", columns = "death" }"#,
    r#"quantiles = { of = "lab", at = [0.25, 0.5, 0.75] }"#,
    r#"attrition = { steps = ["age >= 50", "not death"] }"#,
    r#"summary = { columns = ["age", "sex", "lab"] }"#,
    r#"compare = { outcome = "death", by = "sex" }"#,
    r#"compare = { outcome = "lab", by = "cut(age, 50, 60)" }"#,
    r#"compare = { outcome = "cut(lab, 10, 20, 40)", by = "sex" }"#,
    r#"correlation = { columns = ["age", "lab", "los"], complete = true }"#,
    r#"correlation = { columns = ["age", "lab"] }"#,
    r#"survival = { time = "los", event = "death", competing = { high = "lab > 40" }, grid = [5, 10, 20, 60] }"#,
    r#"table_one = { by = "death", columns = ["age", "sex", "lab"] }"#,
    r#"standardised = { events = "death", by = "sex", over = ["cut(age, 50, 60)"], population = { "<50" = 6000, "[50,60)" = 2500, ">=60" = 1500 } }"#,
    r#"accuracy = { test = "lab >= 20", truth = "death" }"#,
    r#"pca = { columns = ["age", "lab", "los"], scale = "correlation" }"#,
    r#"kmeans = { columns = ["age", "lab", "los"], clusters = 2 }"#,
];

/// The same of counts that vary more than those of the other data.
const OF_COUNTS: &str =
    r#"model = { formula = "visits ~ age + sex + medical_condition", family = "negative_binomial" }"#;

/// What they say depends on who is at which site, each with why.
const OF_SITES: [(&str, &str); 10] = [
    (r#"model = { formula = "death ~ site + age + lab" }"#, "each site has an intercept"),
    (r#"model = { formula = "death ~ site + age", likelihood_ratio = ["site"] }"#, "the sites are what is tested"),
    (r#"model = { formula = "lab ~ age + sex", standard_errors = "site" }"#, "the sites are the clusters"),
    (r#"model = { formula = "death ~ age + lab", two_stage = "hartung_knapp" }"#, "each site has a fit"),
    (r#"cox = { formula = "surv(los, death) ~ age + sex" }"#, "each site has a baseline"),
    (r#"cox = { formula = "surv(los, death) ~ age + sex", standard_errors = "robust" }"#, "each site has a baseline"),
    (r#"cox = { formula = "surv(los, death) ~ age", two_stage = "fixed" }"#, "each site has a fit"),
    (r#"cross_validation = { formula = "death ~ age + lab", folds = "site" }"#, "the sites are the folds"),
    (r#"elastic_net = { formula = "lab ~ age + sex", points = 5, folds = "site" }"#, "the sites are the folds"),
    (r#"compare = { outcome = "death", by = "sex", within = "site" }"#, "the sites are the strata"),
];

/// Part of an answer: the title of a block (the first has none), and the begins of rows and columns of it.
type Place = (&'static str, &'static str, &'static str);

/// What of an answer of the pooled rows is another where they are split, since sites keep something to themselves even where k is 1, each with what that
/// is. All else is the same.
const BUT_FOR: [(&str, &[Place], &str); 5] = [
    ("quantiles = ", &[("", "", "value"), ("", "", "from")], "each site merges the bins between which it has nobody"),
    (
        "summary = ",
        &[("", "", "quantile "), ("quantiles", "", "value"), ("quantiles", "", "from")],
        "so it does for the quantiles of a summary",
    ),
    (
        "evaluate = { model",
        &[("calibration", "", "observed"), ("calibration", "", "from"), ("calibration", "", "to")],
        "in a band a site shows a share only where somebody died and somebody did not",
    ),
    (r#"table = { by = ["sex", "cut(age"#, &[("", "", "share(death)")], "so it does in a cell of a table"),
    (
        "kmeans = ",
        &[("fit", "moves of the centroids", "value")],
        "a site that has nothing new says so, and rounds are counted",
    ),
];

const COVARIANCE: &str = "covariance of the estimates";

/// Least of what a number is held against. A chance is told as it stands; a statistic that is the difference of two log-likelihoods of thousands has their
/// digits, and not its own; and a covariance is told beside the errors of both, of which it can be hardly a part.
fn floor(of: &Entry, all: &[Entry]) -> f64 {
    match of {
        Entry { title, .. } if title.starts_with("likelihood-ratio tests") => 10.0,
        Entry { title, row, column, .. } if title == COVARIANCE => {
            let is_own = |entry: &&Entry, name: &str| entry.place() == [COVARIANCE, name, name];
            let variance = |name: &str| all.iter().find(|entry| is_own(entry, name)).and_then(Entry::number);
            f64::sqrt(variance(row).expect("a variance") * variance(column).expect("a variance"))
        }
        Entry { column, .. } if column == "p" => 1.0,
        _ => 1e-3,
    }
}

/// What is told of the sites themselves, and of the way to an answer.
fn is_of_sites(title: &str, row: &[Value]) -> bool {
    let told = |names: &[&str]| matches!(&row[0], Value::Text(name) if names.contains(&name.as_str()));
    // Pairs are of patients of one site.
    let of_fit = title == "fit" && told(&["sites", "rounds", "concordance", "pairs of patients"]);
    of_fit || title.starts_with("patients with all") || title.ends_with("by site")
}

/// A cell of an answer, and where it stands.
struct Entry {
    title: String,
    row: String,
    column: String,
    cell: Value,
}

impl Entry {
    fn place(&self) -> [&str; 3] {
        [&self.title, &self.row, &self.column]
    }

    fn number(&self) -> Option<f64> {
        match &self.cell {
            Value::Count(n) => Some(*n as f64),
            Value::Number(x) => Some(*x),
            Value::Text(_) | Value::Null => None,
        }
    }

    fn is_within(&self, (title, row, column): &Place) -> bool {
        self.title == *title && self.row.starts_with(row) && self.column.starts_with(column)
    }
}

/// Every cell of an answer, but for what is told of the sites.
fn entries(result: &AnalysisResult) -> Vec<Entry> {
    let blocks =
        std::iter::once(("", &result.block)).chain(result.also.iter().map(|of| (of.title.as_str(), &of.block)));
    let rows = blocks.flat_map(|(title, block)| block.rows.iter().map(move |row| (title, block, row)));
    let cells = rows.filter(|(title, _, row)| !is_of_sites(title, row)).flat_map(|(title, block, row)| {
        let texts = row.iter().filter_map(|cell| match cell {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let name = texts.collect::<Vec<_>>().join(", ");
        let named = row.iter().zip(&block.columns).filter(|(_, column)| *column != "sites");
        named.map(move |(cell, column)| Entry {
            title: title.to_owned(),
            row: name.clone(),
            column: column.clone(),
            cell: cell.clone(),
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

/// The cells of an answer that are others where the same rows are split otherwise, each with what it is there.
fn differences<'a>(analysis: &str, pooled: &'a [Entry], split: &'a [Entry]) -> Vec<(&'a Entry, &'a Entry)> {
    let places = |of: &'a [Entry]| of.iter().map(Entry::place).collect::<Vec<_>>();
    assert_eq!(places(pooled), places(split), "{analysis}: other rows");
    let is_same = |one: &Entry, other: &Entry| match (one.number(), other.number()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-10 * a.abs().max(floor(one, pooled)),
        _ => one.cell == other.cell,
    };
    pooled.iter().zip(split).filter(|(one, other)| !is_same(one, other)).collect()
}

#[test]
fn any_split_of_the_rows_gives_the_same_answer() {
    let (contract, rows) = named();
    let visits = data::visits();
    let of_rows = [1, 2, 4, 16].map(|sites| data::dealt(&contract, &rows, sites));
    let of_counts = [1, 2, 4, 16].map(|sites| data::dealt(VISITS, &visits, sites));
    let asked = OF_ROWS.into_iter().map(|analysis| (analysis, &of_rows));
    let mut wrong = Vec::new();
    for (analysis, splits) in asked.chain([(OF_COUNTS, &of_counts)]) {
        let pooled = entries(&answered(&splits[0], analysis, false));
        let (but_for, why) = BUT_FOR
            .iter()
            .find(|(begin, ..)| analysis.starts_with(begin))
            .map_or((&[][..], ""), |(_, places, why)| (*places, *why));
        let mut met = vec![false; but_for.len()];
        for split in &splits[1..] {
            let split = entries(&answered(split, analysis, false));
            for (one, other) in differences(analysis, &pooled, &split) {
                match but_for.iter().position(|place| one.is_within(place)) {
                    Some(place) => met[place] = true,
                    None => wrong.push(format!("{analysis}, {:?}: {:?} and {:?}", one.place(), one.cell, other.cell)),
                }
            }
        }
        let unmet = but_for.iter().zip(met).filter(|(_, met)| !met);
        wrong.extend(unmet.map(|(place, _)| format!("{analysis}, {place:?} is no exception: {why}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_kind_of_analysis_is_held_against_other_splits() {
    let (contract, rows) = named();
    let federation = data::dealt(&contract, &rows.into_iter().take(40).collect(), 1);
    // A question of no kind is told of all.
    let told = federation.bind(&study(federation.contract().id(), "")).expect_err("no kind");
    let (_, kinds) = told.split_once("write one of ").unwrap_or_else(|| panic!("{told}"));
    let kinds = kinds.lines().next().expect("a line").replace(" or ", ", ");
    let is_asked = |kind: &str| OF_ROWS.iter().any(|analysis| analysis.starts_with(&format!("{kind} = ")));
    let missing: Vec<&str> = kinds.split(", ").map(str::trim).filter(|kind| !is_asked(kind)).collect();
    assert!(missing.is_empty(), "no split is looked at of {missing:?}");
}

#[test]
fn in_whatever_order_sites_answer_every_answer_has_the_same_bits() {
    let (contract, rows) = named();
    let (named, visits) = (data::dealt(&contract, &rows, 12), data::by_site(VISITS, &data::visits()));
    let asked = OF_ROWS.into_iter().chain(OF_SITES.map(|(analysis, _)| analysis)).map(|analysis| (analysis, &named));
    for (analysis, federation) in asked.chain([(OF_COUNTS, &visits)]) {
        let (one, other) = (answered(federation, analysis, false), answered(federation, analysis, true));
        assert_eq!(one, other, "{analysis}");
    }
}
