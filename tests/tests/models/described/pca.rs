//! Principal components are those of the pooled rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Federation, Gate, block, number};
use proptest::prelude::*;

use super::super::data::{self, HEART};
use super::{also, list, near, numbers};

const COLUMNS: &str = r#"["age", "trestbps", "chol", "thalach", "oldpeak"]"#;

fn pca(rest: &str) -> String {
    format!("[[analysis]]\nname = \"p\"\npca = {{ columns = {COLUMNS}{rest} }}")
}

fn is_the_reference(result: &AnalysisResult, name: &str) {
    let theirs = data::reference_of("described", name);
    near(&numbers(&result.block, 1), &list(&theirs["variances"]), 1e-8);
    near(&numbers(&result.block, 2), &list(&theirs["shares"]), 1e-8);
    near(&also(result, "loadings", 2), &list(&theirs["directions"]), 1e-8);
    near(&also(result, "columns", 1), &list(&theirs["means"]), 1e-8);
    near(&also(result, "columns", 2), &list(&theirs["sds"]), 1e-8);
    near(&also(result, "columns", 3), &list(&theirs["kmo_of_columns"]), 1e-8);
    let adequacy = block(result, "adequacy");
    let measure = |name: &str| number(adequacy, name, "value");
    near(&[measure("Bartlett's test of sphericity: chi-squared")], &list(&theirs["bartlett"]), 1e-8);
    near(&[measure("Kaiser-Meyer-Olkin measure")], &list(&theirs["kmo"]), 1e-8);
    let patients: f64 = also(result, "patients with all of the columns", 1).iter().sum();
    assert_eq!(patients, theirs["n"].as_f64().expect("a number"));
}

#[test]
fn components_of_both_matrices_are_those_of_numpy() {
    let federation = data::by_site(HEART, &data::heart());
    is_the_reference(&federation.run(&pca(""), Gate::OPEN)[0], "heart, correlation");
    is_the_reference(&federation.run(&pca(", scale = \"covariance\""), Gate::OPEN)[0], "heart, covariance");
}

#[test]
fn one_two_four_and_sixteen_sites_have_the_same_components() {
    let rows = data::heart();
    let of = |sites| {
        let result = data::dealt(HEART, &rows, sites).run(&pca(""), Gate::OPEN).remove(0);
        (numbers(&result.block, 1), also(&result, "loadings", 2))
    };
    let (variances, loadings) = of(1);
    for sites in [2, 4, 16] {
        let (found, directions) = of(sites);
        near(&found, &variances, 1e-10);
        near(&directions, &loadings, 1e-10);
    }
}

#[test]
fn under_the_usual_gate_a_site_where_one_patient_is_most_of_a_columns_variance_is_left_out_by_name() {
    let federation = data::by_site(HEART, &data::heart());
    let result = federation.run(&pca(""), Gate::USUAL).remove(0);
    let refusals: Vec<&String> = result.notes.iter().filter(|note| note.contains(" refused: ")).collect();
    assert!(
        refusals[0].starts_with("cleveland refused: one patient says too much of how `chol` varies"),
        "{refusals:?}"
    );
    let columns = r#"["age", "trestbps", "thalach"]"#;
    let text = format!("[[analysis]]\nname = \"p\"\npca = {{ columns = {columns} }}");
    let result = federation.run(&text, Gate::USUAL).remove(0);
    assert_eq!(result.block.rows.len(), 3, "{:?}", result.notes);
    assert!(block(&result, "patients with all of the columns").rows.len() >= 2);
}

const CONTRACT: &str = r#"
    id = "random@1"
    subject = "row"
    column = [
        { name = "a", type = "float", range = [-2, 3] },
        { name = "b", type = "float", range = [0, 1000] },
        { name = "c", type = "float", range = [-50, 50] },
        { name = "d", type = "code", codes = [{ code = "no" }, { code = "yes" }] },
    ]
"#;

/// S of rows, about their means.
fn covariance(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (n, width) = (rows.len() as f64, rows[0].len());
    let mean: Vec<f64> = (0..width).map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / n).collect();
    let of =
        |i: usize, j: usize| rows.iter().map(|row| (row[i] - mean[i]) * (row[j] - mean[j])).sum::<f64>() / (n - 1.0);
    (0..width).map(|i| (0..width).map(|j| of(i, j)).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn of_any_rows_over_any_sites_the_directions_are_eigenvectors_of_the_pooled_matrix(
        drawn in prop::collection::vec((-2.0f64..3.0, 0.0f64..1000.0, -50.0f64..50.0, any::<bool>()), 8..60),
        sites in 1usize..4,
        standardise in any::<bool>(),
    ) {
        let places = |x: f64| (x * 1000.0).round() / 1000.0;
        let rows: Vec<Vec<f64>> = drawn.iter()
            .map(|(a, b, c, d)| vec![places(*a), places(*b + 100.0 * *a).clamp(0.0, 1000.0), places(*c), f64::from(u8::from(*d))])
            .collect();
        let mut files = BTreeMap::new();
        for (at, row) in rows.iter().enumerate() {
            let file: &mut String = files.entry(at % sites).or_insert_with(|| "a,b,c,d\n".to_owned());
            let d = if row[3] > 0.5 { "yes" } else { "no" };
            let _ = writeln!(file, "{},{},{},{d}", row[0], row[1], row[2]);
        }
        let names: Vec<String> = files.keys().map(|site| format!("site-{site}")).collect();
        let files: Vec<(&str, String)> = names.iter().map(String::as_str).zip(files.into_values()).collect();
        let scale = if standardise { "correlation" } else { "covariance" };
        let text = format!("[[analysis]]\nname = \"p\"\npca = {{ columns = [\"a\", \"b\", \"c\", \"d\"], scale = \"{scale}\" }}");
        let result = Federation::new(CONTRACT, &files).run(&text, Gate::OPEN).remove(0);
        let mut matrix = covariance(&rows);
        let sds: Vec<f64> = (0..4).map(|j| matrix[j][j].sqrt()).collect();
        prop_assume!(sds.iter().all(|sd| *sd > 0.0));
        if standardise {
            (0..4).for_each(|i| (0..4).for_each(|j| matrix[i][j] /= sds[i] * sds[j]));
        }
        let (variances, loadings) = (numbers(&result.block, 1), also(&result, "loadings", 2));
        let trace: f64 = (0..4).map(|j| matrix[j][j]).sum();
        prop_assert!((variances.iter().sum::<f64>() - trace).abs() <= 1e-9 * trace);
        prop_assert!(variances.windows(2).all(|w| w[0] >= w[1]));
        for (at, direction) in loadings.chunks(4).enumerate() {
            prop_assert!((direction.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-9);
            for i in 0..4 {
                let product: f64 = (0..4).map(|j| matrix[i][j] * direction[j]).sum();
                prop_assert!((product - variances[at] * direction[i]).abs() <= 1e-9 * trace, "{at}, {i}");
            }
        }
    }
}
