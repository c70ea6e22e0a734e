//! The default k: who contributes, what is hidden, and that nothing is given that would need what is.

use proptest::prelude::*;

use super::{also, ask, heart, indo, number, row, sites};
use crate::analysis::association::points;
use crate::analysis::association::proportions::{Share, risk_ratio};
use crate::analysis::tests::patients;
use crate::api::types::{Block, Hidden, HiddenReason, Interval, Value};

#[test]
fn where_a_site_hides_a_cell_there_is_no_ratio_and_no_test_and_a_note_says_so() {
    // Women are ten in Switzerland and six in Long Beach.
    let result = ask("compare = { outcome = \"sick\", by = \"sex\", within = \"site\" }", &sites(heart(), 11), 3);
    let against = also(&result, "against female");
    assert!(against.rows.iter().all(|row| row[2] == Value::Null));
    assert!(against.hidden.iter().all(|hidden| hidden.reason == HiddenReason::NotAllExact), "{against:?}");
    assert_eq!(row(also(&result, "tests"), &["chi2", "all groups"]), vec![Value::Null; 4]);
    assert!(result.notes.iter().any(|note| note.starts_with("not every comparison is given")), "{:?}", result.notes);
    let female = result.block.hidden.iter().find(|hidden| hidden.row == 0 && hidden.column == 1).unwrap();
    assert!(female.interval.is_some_and(|interval| interval.1.is_some()), "a count keeps its interval");
}

#[test]
fn within_sites_only_those_count_that_show_the_whole_table_and_only_if_they_are_enough() {
    let question = "compare = { outcome = \"sick\", by = \"sex\", within = \"site\" }";
    let three = ask(question, &sites(heart(), 11), 3);
    let within = also(&three, "within sites");
    assert!(within.hidden.iter().all(|hidden| hidden.reason == HiddenReason::TooFewSites) && within.hidden.len() == 9);
    let tests = also(&three, "tests");
    assert_eq!(row(tests, &["cochran_mantel_haenszel", "all groups"]), vec![Value::Null; 4]);
    assert!(three.notes.iter().any(|note| note.starts_with("within sites, 2 of 4 sites count")), "{:?}", three.notes);
    let two = ask(question, &sites(heart(), 11), 2);
    let within = also(&two, "within sites");
    assert!(matches!(row(within, &["mantel_haenszel_odds_ratio"])[0], Value::Number(_)));
    // Those of Cleveland and Hungary, who are 303 and 294.
    assert_eq!((within.unmarked(1), within.coverage.len()), (vec![], 9));
    assert!(within.coverage.iter().all(|covered| (covered.n, covered.of) == (597, Interval(597, None))));
    let test = also(&two, "tests").coverage_of(2, 5).map(|covered| covered.n);
    assert_eq!(test, Some(597), "that of Cochran, Mantel and Haenszel stands behind those of the pooled patients");
    // The trial's two large hospitals show theirs.
    let all = ask(question, &sites(indo(), 1), 2);
    assert_eq!((also(&all, "within sites").coverage.len(), also(&all, "tests").coverage.len()), (0, 0));
    let trial = ask(question, &sites(indo(), 11), 2);
    assert!(trial.notes.iter().any(|note| note.starts_with("within sites, 2 of 4 sites count")), "{:?}", trial.notes);
}

#[test]
fn numbers_of_other_sites_are_not_compared() {
    let mut hospitals = heart();
    // One hospital measured its women only, so that men's and women's means are of other hospitals.
    hospitals[0].iter_mut().filter(|patient| patient.male).for_each(|patient| patient.chol = None);
    let result = ask("compare = { outcome = \"chol\", by = \"sex\" }", &sites(hospitals, 11), 2);
    let against = also(&result, "against female");
    assert_eq!(row(against, &["male", "mean_difference"]), vec![Value::Null; 3]);
    assert!(against.hidden.iter().all(|hidden| hidden.reason == HiddenReason::NotAllExact), "{against:?}");
    assert!(result.notes.iter().any(|note| note.starts_with("male is not compared")), "{:?}", result.notes);
    let valid = result.block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (1, 2)).unwrap();
    assert!(valid.interval.is_some(), "who has a value is not known exactly: {valid:?}");
}

#[test]
fn rates_of_other_sites_have_no_ratio() {
    // Women are ten in Switzerland and six in Long Beach, so that theirs and the men's rates are of other hospitals.
    let question = "rates = { time = \"age\", event = \"sick\", by = [\"sex\"] }";
    let result = ask(question, &sites(heart(), 11), 2);
    let male = row(&result.block, &["male"]);
    assert!(matches!(male[3..6], [Value::Number(_), Value::Number(_), Value::Number(_)]), "{male:?}");
    assert_eq!(male[6..], vec![Value::Null; 4]);
    let of_ratio = |hidden: &&Hidden| hidden.row == 1 && hidden.column >= 7;
    let hidden: Vec<&Hidden> = result.block.hidden.iter().filter(of_ratio).collect();
    assert!(hidden.len() == 4 && hidden.iter().all(|hidden| hidden.reason == HiddenReason::NotAllExact), "{hidden:?}");
    assert!(result.notes.iter().any(|note| note.starts_with("male has no ratio")), "{:?}", result.notes);
    let all = ask(question, &sites(heart(), 1), 2);
    assert!(matches!(row(&all.block, &["male"])[6], Value::Number(_)));
    assert!(!all.notes.iter().any(|note| note.contains("no ratio")), "{:?}", all.notes);
}

#[test]
fn a_site_without_any_value_is_left_out_of_a_correlation_and_a_note_says_so() {
    let result = ask("correlation = { columns = [\"age\", \"chol\"] }", &sites(heart(), 11), 3);
    assert!(matches!(row(&result.block, &["age", "chol"])[1], Value::Number(_)));
    assert!(result.notes.iter().any(|note| note.starts_with("age and chol: 3 of 4 sites count")), "{:?}", result.notes);
    let few = ask("correlation = { columns = [\"age\", \"chol\"] }", &sites(heart(), 11), 4);
    assert!(
        few.block.hidden.iter().all(|hidden| hidden.reason == HiddenReason::TooFewSites) && few.block.hidden.len() == 5
    );
    let bands = ask("correlation = { columns = [\"cut(age, 30)\", \"cut(chol, 200)\"] }", &sites(heart(), 11), 3);
    assert!(bands.block.hidden.iter().all(|hidden| hidden.reason == HiddenReason::NotAllExact));
}

#[test]
fn hidden_strata_leave_a_rate_out_and_hidden_cells_a_tests_accuracy() {
    let rates = "standardised = { events = \"sick\", by = \"sex\", over = [\"cut(age, 50, 60)\"], population = { \"<50\" = 6, \"[50,60)\" = 3, \">=60\" = 1 } }";
    let result = ask(rates, &sites(heart(), 11), 3);
    assert_eq!(row(&result.block, &["female"])[3..], [Value::Null, Value::Null, Value::Null]);
    assert!(result.notes.iter().any(|note| note.starts_with("not every rate is given")), "{:?}", result.notes);
    let accuracy = ask("accuracy = { test = \"chol >= 240\", truth = \"sick\" }", &sites(heart(), 11), 3);
    let block = also(&accuracy, "accuracy");
    assert!(block.rows.iter().all(|row| row[1] == Value::Null), "Switzerland has no cholesterol");
    assert!(block.hidden.iter().all(|hidden| hidden.reason == HiddenReason::NotAllExact));
}

#[test]
fn a_table_one_shows_what_its_parts_show() {
    let question = "table_one = { by = \"sick\", columns = [\"age\", \"sex\", \"chol\"] }";
    let result = ask(question, &sites(heart(), 11), 3);
    let women = row(&result.block, &["sex", "female"]);
    assert_eq!(women[0], Value::Null, "few women of two hospitals are well");
    let hidden = &result.block.hidden;
    assert!(hidden.iter().any(|hidden| hidden.reason == HiddenReason::FewerThanK && hidden.interval.is_some()));
    assert!(hidden.iter().any(|hidden| hidden.reason == HiddenReason::NotAllExact));
    let about = |column: &str, note: &str| result.notes.iter().any(|n| n.starts_with(&format!("{column}: {note}")));
    assert!(about("age", "true is not compared") && about("sex", "no test"), "{:?}", result.notes);
    assert!(result.notes.iter().any(|note| note == "who has no value of `by` is left out"), "{:?}", result.notes);
}

#[test]
fn what_follows_from_numbers_of_some_sites_says_so_wherever_it_stands() {
    // Switzerland has no cholesterol.
    let known = sites(heart(), 1);
    let compared = ask("compare = { outcome = \"chol\", by = \"sex\" }", &known, 3);
    assert_eq!(compared.block.unmarked(2), []);
    let against = also(&compared, "against female");
    assert!(matches!(row(against, &["male", "mean_difference"])[0], Value::Number(_)), "{against:?}");
    assert_eq!((against.unmarked(2), also(&compared, "tests").unmarked(2)), (vec![], vec![]));
    let both = |block: &Block, columns: std::ops::Range<usize>| {
        let of = |row: usize, column: usize| block.coverage_of(row, column).unwrap().n;
        columns.map(|column| of(0, column) + of(1, column)).collect::<Vec<_>>()
    };
    let n = both(&compared.block, 3..4)[0];
    assert!(against.coverage.iter().all(|covered| covered.n == n && covered.of == Interval(920, Some(920))));
    assert_eq!(both(&compared.block, 3..7), [n; 4], "mean, its spread and its interval are of the same rows");

    let one = ask("table_one = { by = \"sex\", columns = [\"chol\"] }", &known, 3).block;
    let chol = one.rows.iter().position(|row| row[0] == Value::Text("chol".into()) && row[1] == Value::Text("".into()));
    let here = |at: &(usize, usize)| Some(at.0) == chol;
    assert_eq!(one.unmarked(2).into_iter().filter(here).count(), 0, "{one:?}");
    assert!(matches!(one.rows[chol.unwrap()][8..], [Value::Number(_), Value::Number(_)]), "p and how far apart");
    assert!(one.coverage.iter().filter(|of| Some(of.row) == chol).count() >= 6);

    let correlated = ask("correlation = { columns = [\"age\", \"chol\"] }", &sites(heart(), 11), 3);
    assert_eq!(correlated.block.unmarked(2), []);
    assert_eq!(correlated.block.coverage.len(), 5);
    assert_eq!(also(&correlated, "matrix").coverage.len(), 2, "it is 1 with itself");
    let whole = ask("correlation = { columns = [\"age\", \"chol\"] }", &known[..2], 2).block;
    assert_eq!(whole.unmarked(2).len(), 5, "those of all sites have no mark");

    let rates = ask("rates = { time = \"age\", event = \"sick\", by = [\"sex\"] }", &sites(heart(), 11), 2).block;
    assert_eq!(rates.unmarked(2), [], "{rates:?}");
    let men = rates.rows.iter().position(|row| row[0] == Value::Text("male".into())).unwrap();
    assert!(rates.coverage.iter().filter(|of| of.row == men).count() >= 5);
}

#[test]
fn what_nobody_has_or_everybody_has_is_a_named_answer_and_never_a_number_that_is_none() {
    let constant = |sick: Option<bool>, chol: Option<f64>| {
        let mut hospitals = heart();
        hospitals.iter_mut().flatten().for_each(|patient| (patient.sick, patient.chol) = (sick, chol));
        sites(hospitals, 1)
    };
    for sick in [Some(true), Some(false), None] {
        let all = constant(sick, Some(200.0));
        for question in [
            "compare = { outcome = \"sick\", by = \"sex\", within = \"site\" }",
            "compare = { outcome = \"chol\", by = \"cut(age, 50, 60)\" }",
            "compare = { outcome = \"cut(chol, 300)\", by = \"sex\" }",
            "correlation = { columns = [\"age\", \"chol\"] }",
            "correlation = { columns = [\"cut(age, 50)\", \"cut(chol, 300)\"] }",
            "accuracy = { test = \"chol >= 300\", truth = \"sick\" }",
            "table_one = { by = \"sex\", columns = [\"chol\", \"sick\"] }",
            "standardised = { events = \"sick\", over = [\"cut(age, 1, 119)\"], population = { \"<1\" = 1, \"[1,119)\" = 1, \">=119\" = 1 } }",
        ] {
            let result = ask(question, &all, 3);
            let text = serde_json::to_string(&result).unwrap();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            let blocks = std::iter::once(&result.block).chain(result.also.iter().map(|named| &named.block));
            for value in blocks.flat_map(|block| block.rows.iter().flatten()) {
                assert!(!matches!(value, Value::Number(x) if !x.is_finite()), "{question}: {result:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_ratio_that_is_given_is_the_pooled_one(sites in patients::sites(), min_sites in 1_u32..4) {
        let result = ask("compare = { outcome = \"sick\", by = \"sex\" }", &sites, min_sites);
        let all = patients::pooled(&sites);
        let share = |male: bool| {
            let known: Vec<bool> = all.iter().filter(|p| p.male == male).filter_map(|p| p.sick).collect();
            Share { with: known.iter().filter(|sick| **sick).count() as u64, n: known.len() as u64 }
        };
        let wanted = risk_ratio(share(true), share(false), points::z(0.95));
        match &row(also(&result, "against female"), &["male", "risk_ratio"])[0] {
            Value::Null => {}
            value => prop_assert!((number(value) - wanted.unwrap().value).abs() < 1e-12),
        }
    }
}
