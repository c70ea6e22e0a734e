//! What an unknown key of a study may have meant: a misspelt one, one of another section, or the word that another tool has for it.

use crate::settings::{Problem, nearest};

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
        &["formula", "outcome", "truth"],
    ),
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

/// Says of unknown keys of an analysis what was meant, and takes out what follows from one that is known. `above` are the study's keys.
pub(super) fn of_an_analysis(problems: &mut Vec<Problem>, place: &str, above: &[&str]) {
    let mut renamed: Vec<String> = Vec::new();
    for problem in problems.iter_mut().filter(|problem| is_unknown(problem)) {
        let Some(key) = problem.key.strip_prefix(place).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let parts: Vec<&str> = key.split('.').collect();
        let hint = match parts.as_slice() {
            [key] => of_no_kind(key, above),
            [kind, key] => match super::analysis::fields(kind) {
                Some(own) => {
                    let meant = meant(key, own);
                    renamed.extend(meant.map(|meant| format!("{place}.{kind}: missing field `{meant}`")));
                    Some(of_a_kind(kind, key, own, meant))
                }
                None => None,
            },
            _ => None,
        };
        problem.hint = hint.or(problem.hint.take());
    }
    problems.retain(|problem| !renamed.contains(&format!("{}: {}", problem.key, problem.message)));
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
    fn the_studys_own_keys_are_found_by_other_words_and_a_question_has_its_place() {
        let table = "table = { show = ['count'] }";
        for (head, wanted) in [
            ("filter = 'age > 3'", "study.toml: filter: unknown key\n  hint: did you mean `where`?"),
            ("hospitals = ['basel']", "hint: did you mean `sites`?"),
            ("threshold = 5", "hint: that is each hospital's own"),
            ("table = { show = ['count'] }", "study.toml: table: unknown key\n  hint: a question stands under"),
        ] {
            let said = said(head, table);
            assert!(said.contains(wanted), "{wanted} not in {said}");
        }
    }
}
