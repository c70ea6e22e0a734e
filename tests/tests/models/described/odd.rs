//! Data that has no components or clusters, or barely: each a note that names what it is, or the right answer; never a number that is none.

use std::fmt::Write as _;

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Federation, Gate, block, number};

use super::{also, numbers};

const CONTRACT: &str = r#"
    id = "odd@1"
    subject = "row"
    column = [
        { name = "x", type = "float", range = [-10, 10] },
        { name = "y", type = "float", range = [0, 20] },
        { name = "same", type = "float", range = [0, 10] },
        { name = "tiny", type = "float", range = [0, 1e-9] },
        { name = "huge", type = "float", range = [0, 1e12] },
        { name = "few", type = "int", range = [0, 3] },
    ]
"#;

/// k = 3 at each site, and one site is enough.
const THREE: Gate = Gate { threshold: 3, joint: 3, ..Gate::OPEN };

fn csv(from: usize, n: usize) -> String {
    let mut text = "x,y,same,tiny,huge,few\n".to_owned();
    for i in from..from + n {
        let x = (i * 7 % 19) as f64 / 2.0 - 4.0;
        let y = (i * 5 % 17) as f64 + 1.0;
        let _ =
            writeln!(text, "{x},{y},5,{:e},{:e},{}", (0.3 + y / 40.0) * 1e-9, (0.2 + (x + 5.0) / 30.0) * 1e12, i % 4);
    }
    text
}

fn sites(files: &[String]) -> Federation {
    let names: Vec<String> = (0..files.len()).map(|at| format!("site-{at}")).collect();
    let files: Vec<(&str, String)> = names.iter().map(String::as_str).zip(files.iter().cloned()).collect();
    Federation::new(CONTRACT, &files)
}

fn pca(columns: &[&str], rest: &str) -> String {
    format!("[[analysis]]\nname = \"p\"\npca = {{ columns = {columns:?}{rest} }}")
}

fn kmeans(columns: &[&str], rest: &str) -> String {
    format!("[[analysis]]\nname = \"k\"\nkmeans = {{ columns = {columns:?}{rest} }}")
}

fn says(result: &AnalysisResult, what: &str) {
    assert!(result.notes.iter().any(|note| note.contains(what)), "{what}: {:?}", result.notes);
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
}

#[test]
fn a_constant_column_is_named_and_has_no_variance_in_its_own_unit() {
    let federation = sites(&[csv(0, 60)]);
    let result = federation.run(&pca(&["x", "y", "same"], ""), Gate::OPEN).remove(0);
    says(&result, "no components: `same` does not vary");
    let result = federation.run(&pca(&["x", "y", "same"], ", scale = \"covariance\""), Gate::OPEN).remove(0);
    assert_eq!(numbers(&result.block, 1)[2], 0.0);
    let result = federation.run(&pca(&["x", "same"], ""), THREE).remove(0);
    says(&result, "site-0 refused: `same` varies too little");
    let result = federation.run(&kmeans(&["x", "same"], ", clusters = 2"), Gate::OPEN).remove(0);
    says(&result, "no clusters: `same` does not vary");
}

#[test]
fn fewer_patients_than_columns_are_flagged_and_refused_where_there_is_a_gate() {
    let federation = sites(&[csv(0, 3)]);
    let columns = ["x", "y", "tiny", "huge"];
    let result = federation.run(&pca(&columns, ""), Gate::OPEN).remove(0);
    assert!(result.notes.iter().any(|note| note.contains("no more patients than columns")), "{:?}", result.notes);
    let variances = numbers(&result.block, 1);
    assert!(variances[2..].iter().all(|variance| variance.abs() < 1e-9), "{variances:?}");
    says(&federation.run(&pca(&columns, ""), THREE)[0], "too few patients for 4 parameters");
    says(&federation.run(&kmeans(&["x", "y"], ", clusters = 4"), Gate::OPEN)[0], "fewer patients than the 4 clusters");
}

#[test]
fn of_one_point_many_times_there_is_one_cluster() {
    let text = format!("x,y,same,tiny,huge,few\n{}", "1,2,5,1e-10,1e11,0\n".repeat(30));
    let result = sites(&[text]).run(&kmeans(&["x", "y"], ", clusters = 3, scale = \"range\""), Gate::OPEN).remove(0);
    let sizes: Vec<&Value> = result.block.rows.iter().map(|row| &row[1]).collect();
    assert_eq!(sizes, [&Value::Count(30), &Value::Null, &Value::Null]);
    assert!(result.notes.iter().any(|note| note == "2 of 3 clusters have nobody: ask for fewer"), "{:?}", result.notes);
    assert!(number(block(&result, "fit"), "sum of squares within clusters", "value") < 1e-9);
}

#[test]
fn scales_of_a_billionth_and_of_a_trillion_are_as_good_as_others() {
    let federation = sites(&[csv(0, 40), csv(40, 50)]);
    let found = federation.run(&pca(&["x", "y"], ""), Gate::OPEN).remove(0);
    let scaled = federation.run(&pca(&["huge", "tiny"], ""), Gate::OPEN).remove(0);
    for (found, scaled) in numbers(&found.block, 1).iter().zip(numbers(&scaled.block, 1)) {
        assert!((found - scaled).abs() < 1e-9, "{found} {scaled}");
    }
    let found = federation.run(&kmeans(&["x", "y"], ", clusters = 3"), Gate::OPEN).remove(0);
    let scaled = federation.run(&kmeans(&["huge", "tiny"], ", clusters = 3"), Gate::OPEN).remove(0);
    assert_eq!(numbers(&found.block, 1).iter().sum::<f64>(), numbers(&scaled.block, 1).iter().sum::<f64>());
    assert!(also(&scaled, "profiles", 2).iter().all(|difference| difference.abs() < 5.0));
    let none = kmeans(&["huge", "tiny"], ", clusters = 3, scale = \"none\"");
    says(&federation.run(&none, Gate::OPEN)[0], "differences in `tiny` are nothing beside those in other columns");
}

#[test]
fn a_site_where_nobody_has_all_columns_is_named_and_the_others_answer() {
    let federation =
        sites(&[csv(0, 60), format!("x,y,same,tiny,huge,few\n{}", ",1,5,1e-10,1e11,0\n".repeat(40)), csv(60, 60)]);
    for (text, title) in [
        (pca(&["x", "y"], ""), "patients with all of the columns"),
        (kmeans(&["x", "y"], ", clusters = 2"), "patients with all of the columns"),
    ] {
        let result = federation.run(&text, THREE).remove(0);
        assert!(result.notes.iter().any(|note| note.starts_with("site-1 refused: fewer than 3")), "{:?}", result.notes);
        assert_eq!(block(&result, title).rows.len(), 2);
    }
}

#[test]
fn a_site_that_refuses_midway_is_left_out_of_every_start() {
    let federation = sites(&[csv(0, 60), csv(60, 60), csv(120, 60)]);
    let head = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"odd@1\"\n";
    let study = federation.bind(&format!("{head}{}", kmeans(&["x", "y"], ", clusters = 3"))).expect("a study");
    let refuses = |site: &bocage_protocol::ids::SiteId, round| site.as_str() == "site-1" && round >= 2;
    let result = federation.answer_but(&study, Gate::OPEN, refuses).remove(0);
    assert_eq!(numbers(&result.block, 1).iter().sum::<f64>(), 120.0, "{:?}", result.notes);
    assert!(result.notes.iter().any(|note| note.starts_with("site-1 refused")), "{:?}", result.notes);
    let alone = sites(&[csv(0, 60), csv(120, 60)]).run(&kmeans(&["x", "y"], ", clusters = 3"), Gate::OPEN).remove(0);
    assert_eq!(numbers(&alone.block, 1).iter().sum::<f64>(), 120.0);
    // Means, differences from them and patients are of those that are left as well.
    let title = "patients with all of the columns";
    assert_eq!(also(&result, title, 1), also(&alone, title, 1));
    for (found, wanted) in
        [1, 2].into_iter().flat_map(|at| also(&result, "columns", at).into_iter().zip(also(&alone, "columns", at)))
    {
        assert!((found - wanted).abs() < 1e-9 * wanted.abs(), "{found} {wanted}");
    }
    let sizes = numbers(&result.block, 1);
    let differences = also(&result, "profiles", 2);
    for column in 0..2 {
        let balance: f64 = sizes.iter().zip(differences.chunks(2)).map(|(n, of)| n * of[column]).sum();
        assert!(balance.abs() < 1e-6, "{column}: {balance}");
    }
    assert!(result.notes.iter().any(|note| note.starts_with("distances are in the standard")), "{:?}", result.notes);
}

#[test]
fn keys_and_numbers_of_few_values_make_no_clusters() {
    let federation = sites(&[csv(0, 60)]);
    let head = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"odd@1\"\n";
    let problems = federation.bind(&format!("{head}{}", kmeans(&["x", "few"], ", clusters = 2"))).unwrap_err();
    assert!(
        problems.contains("kmeans.columns[1]: clusters are of numbers that can have 8 values or more"),
        "{problems}"
    );
}
