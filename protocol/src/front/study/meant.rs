//! What an unknown key of a study may have meant: a misspelt one, one of another section, or the word that another tool has for it.

use serde_json::Value;

use crate::settings::{Problem, Problems, nearest};

/// What people call a kind of question, and what asks it here.
const QUESTIONS: &[(&[&str], &str)] = &[
    (&["median", "percentile", "percentiles", "iqr"], "quantiles = { of = \"COLUMN\", at = [0.5] } asks for a median"),
    (&["mean", "average", "sum", "sd", "share"], "a table shows it: table = { show = [\"mean(COLUMN)\"] }"),
    (
        &["count", "counts", "frequency", "frequencies", "aggregate", "groupby"],
        "table = { by = [\"COLUMN\"], show = [\"count\"] } counts",
    ),
    (
        &[
            "regression",
            "glm",
            "lm",
            "logistic",
            "logit",
            "linear",
            "poisson",
            "logistic_regression",
            "linear_regression",
        ],
        "model = { formula = \"OUTCOME ~ COLUMN + COLUMN\" } fits one",
    ),
    (&["lasso", "ridge", "glmnet", "penalised", "penalized"], "did you mean `elastic_net`?"),
    (&["kaplan_meier", "km", "logrank", "log_rank", "cumulative_incidence"], "did you mean `survival`?"),
    (&["coxph", "hazard", "proportional_hazards"], "did you mean `cox`?"),
    (
        &[
            "ttest",
            "t_test",
            "chi2",
            "chisq",
            "chi_squared",
            "wilcoxon",
            "mann_whitney",
            "anova",
            "fisher",
            "test",
            "odds_ratio",
            "risk_ratio",
        ],
        "did you mean `compare`?",
    ),
    (&["contingency", "cross_table", "tabulate"], "did you mean `crosstab`?"),
    (&["k_means", "clusters", "clustering", "cluster"], "did you mean `kmeans`?"),
    (&["flow", "flowchart", "consort"], "did you mean `attrition`?"),
    (&["incidence", "rate", "prevalence"], "did you mean `rates`?"),
    (&["describe", "descriptives", "overview"], "did you mean `summary`?"),
    (&["roc", "auc", "calibration", "discrimination"], "did you mean `evaluate`?"),
    (&["sensitivity", "specificity"], "did you mean `accuracy`?"),
    (&["table1", "tableone", "baseline"], "did you mean `table_one`?"),
    (&["cv"], "did you mean `cross_validation`?"),
    (&["principal_components"], "did you mean `pca`?"),
    (&["kind", "type", "method"], "the kind is a key itself, e.g. table = { show = [\"count\"] }"),
];

/// What other tools call a key of a question; the first that the question has is meant.
const KEYS: &[(&[&str], &[&str])] = &[
    (&["k", "n_clusters", "centers", "centres", "n"], &["clusters", "components", "folds"]),
    (&["n_components"], &["components"]),
    (&["n_init", "nstart", "restarts"], &["starts"]),
    (&["max_iter", "iter", "rounds"], &["iterations"]),
    (&["random_state", "set_seed"], &["seed"]),
    (
        &["group", "groups", "group_by", "groupby", "grouped_by", "key", "keys", "strata", "stratify"],
        &["by", "strata", "within"],
    ),
    (&["rows", "columns"], &["by"]),
    (&["column", "variable", "var", "x", "value", "on"], &["of", "columns", "outcome", "formula", "by"]),
    (&["variables", "vars", "features", "fields", "of"], &["columns", "outcome", "formula"]),
    (&["measure", "measures", "select", "stats", "statistics", "values", "metrics", "aggregates"], &["show"]),
    (&["breaks", "cuts", "edges", "cut", "bands"], &["bins", "grid"]),
    (&["probs", "probabilities", "p", "q", "quantiles", "percentiles", "quantile"], &["at"]),
    (
        &["y", "outcome", "response", "target", "dependent", "predictors", "covariates", "terms", "equation"],
        &["formula", "outcome", "truth", "columns"],
    ),
    (&["time", "event", "entry", "start"], &["formula"]),
    (&["duration", "times", "followup", "follow_up", "tte"], &["time", "formula"]),
    (&["status", "failure", "outcome", "events"], &["event", "events"]),
    (&["alpha", "ci", "conf", "conf_level", "level"], &["confidence"]),
    (&["distribution"], &["family"]),
    (&["cv", "splits", "n_splits"], &["folds"]),
    (&["lambda", "penalty", "l2"], &["ridge", "lambdas"]),
    (&["alpha", "l1_ratio"], &["mix"]),
    (&["criteria", "include", "conditions"], &["steps"]),
    (&["gold", "label", "actual"], &["truth"]),
    (&["predicted", "marker"], &["test", "score"]),
    (&["se", "errors", "robust", "vcov"], &["standard_errors"]),
    (&["limit", "head"], &["top"]),
];

/// What other tools call a key of a study.
const OF_A_STUDY: &[(&[&str], &str)] = &[
    (&["filter", "condition", "having", "subset", "population"], "did you mean `where`?"),
    (&["name", "id", "description"], "a study has a `title`"),
    (&["data", "source", "contract", "datasets", "from"], "did you mean `dataset`?"),
    (&["hospitals", "hospital", "nodes", "site", "centers", "centres"], "did you mean `sites`?"),
    (&["question", "questions", "query", "queries"], "a question begins with [[analysis]]"),
    (&["deadline", "timeout", "wait"], "did you mean `answer_within`?"),
    (&["expires", "until", "valid_to"], "did you mean `open_until`?"),
    (&["variables", "variable", "compute", "define", "let", "mutate"], "did you mean `derive`?"),
    (&["threshold", "k", "mode", "min_count"], "that is each hospital's own: a study cannot set it"),
];

const COHORT: &str = "a cohort is of the whole study: `where` stands above the first [[analysis]]; a condition on one number is share(CONDITION)";

/// Says of unknown keys of the study itself what was meant. `own` are those that it has.
pub(super) fn of_the_study(problems: &mut [Problem], own: &[&str]) {
    for problem in problems.iter_mut().filter(|problem| problem.key == "where" && problem.message.contains("a list")) {
        problem.hint = Some("it is one text: conditions are joined by `and`".to_owned());
    }
    for problem in problems.iter_mut().filter(|problem| is_unknown(problem)) {
        let key = problem.key.as_str();
        if let Some((_, hint)) = OF_A_STUDY.iter().find(|(words, _)| words.contains(&key)) {
            problem.hint = Some((*hint).to_owned());
        } else if super::analysis::fields(key).is_some() {
            problem.hint = Some("a question stands under [[analysis]], with a name".to_owned());
        } else if nearest(key, own.iter().copied()).is_none()
            && let Some((_, hint)) = question(key)
        {
            problem.hint = Some(format!("a question stands under [[analysis]], with a name: {hint}"));
        }
    }
}

/// An analysis with the keys that were meant in place of what other tools call them, and with a name where it has none: what is told of, and hides nothing
/// that stands behind it.
pub(super) fn as_meant(value: &Value, (file, place, index): (&str, &str, usize), problems: &mut Problems) -> Value {
    let mut value = value.clone();
    let Value::Object(analysis) = &mut value else { return value };
    if !analysis.contains_key("name") {
        let problem = Problem::new(file, place, "missing field `name`");
        problems.push(problem.hint("add a line name = …"));
        analysis.insert("name".to_owned(), format!("a{index}").into());
    }
    for (kind, question) in analysis.iter_mut() {
        let (Some(own), Value::Object(question)) = (super::analysis::fields(kind), question) else { continue };
        let strange: Vec<String> = question.keys().filter(|key| !own.contains(&key.as_str())).cloned().collect();
        for key in strange {
            if let Some(meant) = meant(&key, own).filter(|meant| !question.contains_key(*meant))
                && let Some(held) = question.remove(&key)
            {
                let problem = Problem::new(file, format!("{place}.{kind}.{key}"), "unknown key");
                problems.push(problem.hint(format!("did you mean `{meant}`?")));
                question.insert(meant.to_owned(), held);
            }
        }
    }
    value
}

/// Says of unknown keys of an analysis what was meant. `above` are the study's keys.
pub(super) fn of_an_analysis(problems: &mut [Problem], (place, name): (&str, Option<&str>), above: &[&str]) {
    for problem in problems.iter_mut().filter(|problem| is_unknown(problem)) {
        let Some(key) = problem.key.strip_prefix(place).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let parts: Vec<&str> = key.split('.').collect();
        let hint = match parts.as_slice() {
            [key] => of_no_kind(key, above),
            [kind, key] => super::analysis::fields(kind).map(|own| of_a_kind(kind, key, own, meant(key, own))),
            _ => None,
        };
        problem.hint = hint.or(problem.hint.take());
    }
    for problem in problems.iter_mut() {
        let key = problem.key.strip_prefix(place).unwrap_or_default().trim_start_matches('.');
        if key == "name" && problem.message.starts_with("not a valid") {
            problem.hint = name.and_then(plain_name).map(|name| format!("e.g. name = \"{name}\""));
        } else if key == "histogram.bins" && problem.hint.is_none() {
            problem.hint = Some("the edges of its bins, e.g. bins = [40, 50, 60]".to_owned());
        } else if let Some((kind, own)) = key
            .split('[')
            .next()
            .and_then(|kind| Some((kind, super::analysis::fields(kind)?)))
            .filter(|_| problem.hint.is_none())
        {
            problem.hint = Some(format!("write {kind} = {{ … }}; its keys are {}", own.join(", ")));
        }
    }
}

/// A name that can be one, as near as possible to what was written.
fn plain_name(text: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = text.chars().map(plain).take(63).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).trim_end_matches('_');
    (!name.is_empty()).then(|| name.to_owned())
}

fn of_no_kind(key: &str, above: &[&str]) -> Option<String> {
    let filters = ["where", "filter", "condition", "subset", "include", "exclude"];
    if filters.contains(&key) {
        return Some(COHORT.to_owned());
    }
    if let Some((_, hint)) = question(key) {
        return Some((*hint).to_owned());
    }
    above.contains(&key).then(|| {
        "it is the study's own key, and stands above the first [[analysis]]: whatever follows a heading belongs to it".to_owned()
    })
}

fn of_a_kind(kind: &str, key: &str, own: &[&str], meant: Option<&str>) -> String {
    if meant.is_none() && ["where", "filter", "condition", "subset"].contains(&key) {
        return COHORT.to_owned();
    }
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the keys of `{kind}` are {}", own.join(", ")),
    }
}

/// The key of a question that was meant.
fn meant<'a>(key: &str, own: &[&'a str]) -> Option<&'a str> {
    let named = KEYS.iter().filter(|(words, _)| words.contains(&key)).flat_map(|(_, meant)| meant.iter());
    let named = named.filter_map(|meant| own.iter().find(|own| *own == meant)).next().copied();
    named.or_else(|| nearest(key, own.iter().copied()))
}

fn question(key: &str) -> Option<&'static (&'static [&'static str], &'static str)> {
    QUESTIONS.iter().find(|(words, _)| words.contains(&key))
}

/// Whether it says that a key is not read where it stands.
pub(super) fn is_unknown(problem: &Problem) -> bool {
    problem.message == "unknown key" || problem.message.ends_with("is not a key of this section")
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::bind;

    fn said(head: &str, analysis: &str) -> String {
        let text = format!(
            "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n{head}\n[[analysis]]\nname = 'a'\n{analysis}\n"
        );
        bind(&text).unwrap_err()
    }

    #[test]
    fn the_word_that_another_tool_has_for_a_key_leads_to_ours() {
        for (analysis, wanted) in [
            ("kmeans = { columns = ['age'], k = 3 }", "(a).kmeans.k: unknown key\n  hint: did you mean `clusters`?"),
            (
                "table = { group_by = ['sex'], show = ['count'] }",
                "table.group_by: unknown key\n  hint: did you mean `by`?",
            ),
            (
                "table = { by = ['sex'], measures = ['count'] }",
                "table.measures: unknown key\n  hint: did you mean `show`?",
            ),
            ("quantiles = { column = 'age' }", "quantiles.column: unknown key\n  hint: did you mean `of`?"),
            ("histogram = { of = 'age', breaks = [5] }", "histogram.breaks: unknown key\n  hint: did you mean `bins`?"),
            ("model = { outcome = 'disease', covariates = ['age'] }", "hint: did you mean `formula`?"),
            ("table = { show = ['count'], colour = 'red' }", "hint: the keys of `table` are by, show, roll_up, top"),
            (
                "table = { show = ['count'], where = 'age > 3' }",
                "hint: a cohort is of the whole study: `where` stands above",
            ),
        ] {
            let said = said("", analysis);
            assert!(said.contains(wanted), "{wanted} not in {said}");
        }
        // What is written under another name is not missing as well.
        let said = said("", "kmeans = { columns = ['age'], k = 3 }");
        assert!(!said.contains("missing field"), "{said}");
    }

    #[test]
    fn the_word_that_people_have_for_a_question_leads_to_ours_and_is_not_no_question() {
        for (analysis, wanted) in [
            ("median = { of = 'age' }", "(a).median: unknown key\n  hint: quantiles = { of = \"COLUMN\", at = [0.5] }"),
            ("logistic = { formula = 'disease ~ age' }", "hint: model = { formula = "),
            ("kaplan_meier = {}", "hint: did you mean `survival`?"),
            (
                "quantiles = 'chol'",
                "expected a section with keys of its own\n  hint: write quantiles = { … }; its keys are of, at",
            ),
            ("histogram = { of = 'age', bins = 10 }", "hint: the edges of its bins, e.g. bins = [40, 50, 60]"),
            ("correlation = ['age', 'chol']", "hint: write correlation = { … }; its keys are columns"),
            (
                "cox = { time = 'age', event = 'disease' }",
                "(a).cox.time: `time` is not a key of this section\n  hint: did you mean `formula`?",
            ),
            ("type = 'table'", "hint: the kind is a key itself"),
            (
                "min_sites = 3\ntable = { show = ['count'] }",
                "hint: it is the study's own key, and stands above the first",
            ),
        ] {
            let said = said("", analysis);
            assert!(said.contains(wanted) && !said.contains("asks 0"), "{wanted} not in {said}");
        }
        assert!(said("", "").contains("an analysis asks one question, this one asks 0"));
    }

    #[test]
    fn a_name_that_can_be_none_is_told_with_one_that_can() {
        let head = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[[analysis]]\n";
        let said = bind(&format!("{head}name = '1. Mean age (f)'\ntable = {{ show = ['count'] }}")).unwrap_err();
        assert!(said.ends_with("\n  hint: e.g. name = \"mean_age__f\""), "{said}");
    }

    #[test]
    fn the_studys_own_keys_are_found_by_other_words_and_a_question_has_its_place() {
        let table = "table = { show = ['count'] }";
        for (head, wanted) in [
            ("filter = 'age > 3'", "study.toml: filter: unknown key\n  hint: did you mean `where`?"),
            (
                "where = ['age > 3']",
                "where: invalid type: a list, expected a string\n  hint: it is one text: conditions",
            ),
            ("hospitals = ['basel']", "hint: did you mean `sites`?"),
            ("threshold = 5", "hint: that is each hospital's own"),
            ("table = { show = ['count'] }", "study.toml: table: unknown key\n  hint: a question stands under"),
        ] {
            let said = said(head, table);
            assert!(said.contains(wanted), "{wanted} not in {said}");
        }
    }
}
