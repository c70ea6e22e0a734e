//! The same odd data under every kind of analysis.

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Federation, Gate, block, number};

use super::{CONTRACT, Row, changed, csv, finite};

const KINDS: [(&str, &str); 24] = [
    ("model", "model = { formula = 'y ~ x + v' }"),
    ("probit", "model = { formula = 'y ~ x + v', link = 'probit' }"),
    ("gamma", "model = { formula = 'v ~ x', family = 'gamma' }"),
    ("negative binomial", "model = { formula = 'times ~ x + v', family = 'negative_binomial' }"),
    ("two stages", "model = { formula = 'y ~ x', two_stage = 'fixed' }"),
    ("cross-validation", "cross_validation = { formula = 'y ~ x + v', folds = 2 }"),
    ("cross-validation by site", "cross_validation = { formula = 'v ~ x', folds = 'site' }"),
    ("net", "elastic_net = { formula = 'y ~ x + v', points = 4 }"),
    ("net by folds", "elastic_net = { formula = 'y ~ x + v', points = 4, folds = 2 }"),
    ("linear net", "elastic_net = { formula = 'v ~ x + times', points = 4, folds = 'site' }"),
    ("cox", "cox = { formula = 'surv(times, y) ~ x + v' }"),
    ("cox along", "cox = { formula = 'surv(times, y) ~ x + v', grid = [2, 4, 8] }"),
    ("cox in stages", "cox = { formula = 'surv(times, y) ~ x', two_stage = 'fixed' }"),
    ("survival", "survival = { time = 'times', event = 'y', grid = [2, 4, 8], by = ['c'] }"),
    ("rates", "rates = { time = 'times', event = 'y', by = ['c'] }"),
    ("risks", "compare = { outcome = 'y', by = 'c' }"),
    ("means", "compare = { outcome = 'x', by = 'c' }"),
    ("summary", "summary = { columns = ['x', 'v', 'y'] }"),
    ("quantiles", "quantiles = { of = 'x' }"),
    ("correlation", "correlation = { columns = ['x', 'v', 'times'], complete = true }"),
    ("table one", "table_one = { by = 'y', columns = ['x', 'v', 'c'] }"),
    ("accuracy", "accuracy = { test = 'x > 0', truth = 'y' }"),
    ("components", "pca = { columns = ['x', 'v', 'times'] }"),
    ("clusters", "kmeans = { columns = ['x', 'v', 'times'], clusters = 2 }"),
];

/// A contract whose outcome of a gamma model is above 0.
fn contract() -> String {
    CONTRACT.replace("range = [0, 20]", "range = [1, 20]")
}

/// Two sites, with what is blanked out of their files.
struct Data {
    name: &'static str,
    sites: Vec<Vec<Row>>,
    blank: &'static [&'static str],
    cohort: &'static str,
}

impl Data {
    fn federation(&self) -> Federation {
        let sites = self.sites.iter().map(|rows| blanked(&csv(rows), self.blank));
        let sites: Vec<(&str, String)> = ["north", "south"].into_iter().zip(sites).collect();
        Federation::new(&contract(), &sites)
    }
}

fn blanked(text: &str, columns: &[&str]) -> String {
    let (head, rows) = text.split_once('\n').expect("a heading");
    let names: Vec<&str> = head.split(',').collect();
    let line = |line: &str| {
        let values = line.split(',').zip(&names).map(|(value, name)| if columns.contains(name) { "" } else { value });
        values.collect::<Vec<_>>().join(",") + "\n"
    };
    format!("{head}\n{}", rows.lines().map(line).collect::<String>())
}

fn data() -> Vec<Data> {
    let of = |name, sites| Data { name, sites, blank: &[], cohort: "" };
    vec![
        of("separation", changed(&[60, 60], |row| row.y = row.x > Some(0.0))),
        of("no events", changed(&[60, 60], |row| row.y = false)),
        of("constant column", changed(&[60, 60], |row| row.v = 3.0)),
        of("nothing but 0", changed(&[60, 60], |row| row.times = 0)),
        Data { blank: &["x"], ..of("x is missing", changed(&[60, 60], |_| {})) },
        Data { blank: &["y"], ..of("events are unknown", changed(&[60, 60], |_| {})) },
        Data { cohort: "where = \"o > 4\"\n", ..of("nobody in the cohort", changed(&[60, 60], |_| {})) },
    ]
}

/// What is said of odd data under a kind of analysis that fits something; nothing where there is a fit.
fn said(data: &str, kind: &str) -> Option<&'static str> {
    const NOBODY: Option<&str> = Some("north refused: fewer than 1 patients have all that the model reads");
    let reads_events = !matches!(
        kind,
        "gamma" | "negative binomial" | "cross-validation by site" | "linear net" | "components" | "clusters"
    );
    match (data, kind) {
        ("x is missing" | "nobody in the cohort", _) => NOBODY,
        ("events are unknown", _) => NOBODY.filter(|_| reads_events),
        ("separation", "model" | "probit") => Some("no fit: the coefficient of `x` goes beyond 10"),
        ("separation", "two stages") => Some("north is left out: no fit: the coefficient of `x` goes beyond 10"),
        ("separation", "cross-validation") => Some("no cross-validation: on all: no fit: the coefficient of `x`"),
        ("no events", "model" | "probit") => Some("no fit: it has not converged"),
        ("no events", "two stages") => Some("north is left out: no fit: it has not converged"),
        ("no events", "cross-validation") => Some("no cross-validation: on all: no fit: it has not converged"),
        ("no events", "net" | "net by folds") => Some("no fit: everybody has the outcome, or nobody"),
        ("no events", "cox" | "cox along") => Some("no fit: nobody has the event"),
        ("no events", "cox in stages") => Some("north is left out: no fit: nobody has the event"),
        ("constant column", "model" | "probit" | "negative binomial" | "cox" | "cox along") => {
            Some("no fit: `v` is made of the columns before it, or never varies")
        }
        ("constant column", "cross-validation") => Some("no cross-validation: on all: no fit: `v` is made of"),
        ("constant column", "net" | "net by folds") => Some("no fit: `v` never varies"),
        ("constant column", "components") => Some("no components: `v` does not vary"),
        ("constant column", "clusters") => Some("no clusters: `v` does not vary"),
        ("nothing but 0", "negative binomial") => Some("no fit: it has not converged"),
        ("nothing but 0", "linear net") => Some("no fit: `times` never varies"),
        ("nothing but 0", "components") => Some("no components: `times` does not vary"),
        ("nothing but 0", "clusters") => Some("no clusters: `times` does not vary"),
        _ => None,
    }
}

/// Kinds that fit something, and have no row where they do not.
fn fits(kind: &str) -> bool {
    let of_counts =
        ["survival", "rates", "risks", "means", "summary", "quantiles", "correlation", "table one", "accuracy"];
    !of_counts.contains(&kind)
}

#[test]
fn under_every_kind_of_analysis_odd_data_are_named_or_flagged_and_no_number_is_none() {
    for data in data() {
        let federation = data.federation();
        for (gate, (kind, asked)) in
            [Gate::OPEN, Gate::USUAL].into_iter().flat_map(|gate| KINDS.map(|kind| (gate, kind)))
        {
            let what = format!("{}, {kind}, k = {}", data.name, gate.threshold);
            let text = format!("{}[[analysis]]\nname = \"m\"\n{asked}", data.cohort);
            let result = finite(federation.run(&text, gate).remove(0));
            let has_rows = !result.block.rows.is_empty();
            assert!(has_rows || !result.notes.is_empty(), "{what}: nothing is said");
            assert!(has_rows || fits(kind), "{what}: {:?}", result.notes);
            silent(&result, &what);
            if gate.threshold == 1 && fits(kind) {
                let wanted = said(data.name, kind);
                let found = wanted.is_none_or(|wanted| result.notes.iter().any(|note| note.starts_with(wanted)));
                assert!(found && has_rows == wanted.is_none(), "{what}: {wanted:?}, {:#?}", result.notes);
            }
        }
    }
}

/// A row of which no number is given says why of one of them at least, or the notes do.
#[track_caller]
fn silent(result: &AnalysisResult, what: &str) {
    let has_none = |row: &Vec<Value>| row.contains(&Value::Null) && !row.iter().any(is_number);
    for at in (0..result.block.rows.len()).filter(|at| has_none(&result.block.rows[*at])) {
        let is_told = result.block.hidden.iter().any(|hidden| hidden.row == at);
        assert!(is_told, "{what}: {:?} of {:?}", result.block.rows[at], result.block.columns);
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_) | Value::Count(_))
}

#[test]
fn a_path_of_penalties_ends_where_a_column_tells_the_outcome_apart_and_says_so() {
    let data = data().remove(0);
    let federation = data.federation();
    for gate in [Gate::OPEN, Gate::USUAL] {
        let text = "[[analysis]]\nname = \"m\"\nelastic_net = { formula = 'y ~ x + v', points = 4 }";
        let result = finite(federation.run(text, gate).remove(0));
        assert_eq!(block(&result, "path").rows.len(), 2);
        let said = "the path ends after 2 penalties: a coefficient leaves the bounds of a fit";
        assert!(result.notes.iter().any(|note| note.starts_with(said)), "{:?}", result.notes);
    }
}

#[test]
fn of_hazards_too_a_unit_a_thousand_million_times_smaller_or_larger_is_the_same_model() {
    let plain = super::rows(0, 120);
    let scaled = |by: f64, asked: &str| {
        let contract = CONTRACT.replace("range = [0, 20]", &format!("range = [0, {:e}]", 20.0 * by));
        let mut rows = plain.clone();
        rows.iter_mut().for_each(|row| row.v *= by);
        let sites = [("north", csv(&rows[..60])), ("south", csv(&rows[60..]))];
        let text = format!("[[analysis]]\nname = \"m\"\ncox = {{ {asked} }}");
        finite(Federation::new(&contract, &sites).run(&text, Gate::OPEN).remove(0))
    };
    let near = |a: f64, b: f64, what: &str| assert!((a - b).abs() <= 1e-8 * a.abs().max(1e-6), "{what}: {a} and {b}");
    for by in [1e-9, 1e12] {
        // As a column, and as the time that everything is measured in.
        for asked in ["formula = 'surv(times, y) ~ v + c'", "formula = 'surv(times, y) ~ v + c', grid = [2, 4, 8]"] {
            let (one, other) = (scaled(1.0, asked), scaled(by, asked));
            for column in ["estimate", "standard error"] {
                for (term, unit) in [("v", by), ("c[b]", 1.0)] {
                    let of = |result: &AnalysisResult| number(&result.block, term, column);
                    near(of(&one), unit * of(&other), &format!("{asked}, {by:e}: {term}"));
                }
            }
        }
        for grid in ["", ", grid = [{2}, {6}, {12}]"] {
            let at = |by: f64| {
                let grid = [2.0, 6.0, 12.0]
                    .iter()
                    .fold(grid.to_owned(), |text, end| text.replace(&format!("{{{end}}}"), &format!("{:e}", end * by)));
                scaled(by, &format!("formula = 'surv(v, y) ~ x + c'{grid}"))
            };
            let (one, other) = (at(1.0), at(by));
            for term in ["x", "c[b]"] {
                let of = |result: &AnalysisResult| number(&result.block, term, "estimate");
                near(of(&one), of(&other), &format!("time, {by:e}{grid}: {term}"));
            }
        }
    }
}
