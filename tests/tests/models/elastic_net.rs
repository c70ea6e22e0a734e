//! Elastic nets over several sites equal scikit-learn's on the pooled rows: linear ones by one round, logistic ones by Newton's steps down a path.

use bocage_coordinator::api::types::{AnalysisResult, Block, Value};
use bocage_tests::federation::{Federation, Gate, block, number};

use super::data::{self, COVID};

const TERMS: [&str; 4] = ["(intercept)", "age", "sex[1]", "lab"];

fn near(found: f64, wanted: f64, within: f64, what: &str) {
    assert!((found - wanted).abs() <= within * wanted.abs().max(1.0), "{what}: {found} is not {wanted}");
}

fn net(federation: &Federation, asked: &str, gate: Gate) -> AnalysisResult {
    let asked = format!("[[analysis]]\nname = \"n\"\nelastic_net = {{ {asked} }}\n");
    federation.run(&asked, gate).remove(0)
}

fn covid() -> Federation {
    data::by_site(COVID, &data::covid())
}

/// A row of a block by its penalty.
fn at(block: &Block, lambda: f64, column: &str) -> f64 {
    let place = block.columns.iter().position(|name| name == column).expect(column);
    let is = |row: &&Vec<Value>| matches!(row[0], Value::Number(x) if (x - lambda).abs() < 1e-12);
    match block.rows.iter().find(is).map(|row| &row[place]) {
        Some(Value::Number(x)) => *x,
        other => panic!("{lambda}, {column}: {other:?}"),
    }
}

fn is_as_in_the_reference(result: &AnalysisResult, name: &str, within: f64) {
    let reference = data::reference_of("cross_validation", name);
    for (lambda, beta) in reference.as_object().expect("penalties") {
        for (place, term) in TERMS.into_iter().enumerate() {
            let found = at(block(result, "path"), lambda.parse().expect("a penalty"), term);
            let wanted = beta[place].as_f64().expect("a coefficient");
            near(found, wanted, within, &format!("{name} at {lambda}: {term}"));
            assert_eq!(found == 0.0, wanted == 0.0, "{name} at {lambda}: {term} is left or not");
        }
    }
}

const LINEAR: &str = "formula = \"los ~ age + sex + lab\", lambdas = [2.0, 1.0, 0.5, 0.1, 0.01]";

#[test]
fn a_linear_path_is_that_of_scikit_learn_from_one_round_over_any_number_of_sites() {
    for federation in [covid(), data::dealt(COVID, &data::covid(), 1), data::dealt(COVID, &data::covid(), 16)] {
        let result = net(&federation, LINEAR, Gate::OPEN);
        is_as_in_the_reference(&result, "gaussian_net", 1e-8);
        assert_eq!(number(block(&result, "fit"), "rounds", "value"), 1.0);
        is_as_in_the_reference(&net(&federation, &format!("{LINEAR}, mix = 1"), Gate::OPEN), "lasso", 1e-8);
    }
}

#[test]
fn where_nobody_has_the_event_it_is_said_why_no_deviance_is_explained() {
    let mut rows = data::covid();
    rows.iter_mut().for_each(|(_, row)| drop(row.insert("death".to_owned(), "false".to_owned())));
    let result = net(&data::by_site(COVID, &rows), "formula = \"death ~ age + lab\", lambdas = [0.1]", Gate::OPEN);
    let explained = result.also.iter().find(|of| of.title == "path").map(|path| &path.block.rows[0][2]);
    assert!(explained.is_none_or(|explained| *explained == Value::Null), "{explained:?}");
    assert!(result.notes.iter().any(|note| note.contains("nobody")), "{:?}", result.notes);
    let offset = net(&covid(), "formula = \"los ~ age + offset(lab)\", lambdas = [0.1]", Gate::OPEN);
    assert!(offset.notes.iter().any(|note| note.contains("with an offset")), "{:?}", offset.notes);
}

#[test]
fn a_path_begins_where_no_column_is_left_and_ends_at_the_plain_model() {
    let result = net(&covid(), "formula = \"los ~ age + sex + lab\", mix = 1, points = 50", Gate::OPEN);
    let path = block(&result, "path");
    let Value::Number(largest) = path.rows[0][0] else { panic!("a penalty") };
    let wanted = data::reference_of("cross_validation", "lasso_largest").as_f64().expect("a penalty");
    near(largest, wanted, 1e-9, "the largest penalty");
    assert_eq!((path.rows.len(), &path.rows[0][1]), (50, &Value::Count(0)));
    let plain = "[[analysis]]\nname = \"m\"\nmodel = { formula = \"los ~ age + sex + lab\" }\n";
    let plain = covid().run(plain, Gate::OPEN).remove(0);
    let r_squared = number(block(&plain, "fit"), "R-squared", "value");
    let Some(Value::Number(explained)) = path.rows[49].get(2) else { panic!("a share") };
    near(*explained, r_squared, 1e-4, "what is explained where hardly anything is held");
}

#[test]
fn a_path_that_ends_where_a_site_leaves_says_so_and_explains_nothing_at_its_begin() {
    let federation = covid();
    let asked = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n[[analysis]]\nname = \"n\"\n\
                 elastic_net = { formula = \"death ~ age + sex + lab\", points = 6 }\n";
    let study = federation.bind(asked).expect("a study");
    let site = study.sites.names().expect("names")[0].clone();
    let short = (2..20)
        .map(|left| federation.answer_but(&study, Gate::OPEN, |of, round| *of == site && round >= left).remove(0));
    let short =
        short.into_iter().find(|result| (1..6).contains(&rows_of(result, "path"))).expect("a path that ends early");
    assert!(short.notes[0].contains("the least that the path came to"), "{:?}", short.notes);
    assert!(short.absent.is_empty(), "what was found by then is of all sites: {:?}", short.absent);
    let whole = federation.answer(&study, Gate::OPEN).remove(0);
    assert!(whole.notes[0].contains("the least that was asked"), "{:?}", whole.notes);
    assert_eq!(block(&whole, "path").rows[0][2], Value::Number(0.0), "no column is left");
}

/// How many rows it has, if it is there.
fn rows_of(result: &AnalysisResult, title: &str) -> usize {
    result.also.iter().find(|of| of.title == title).map_or(0, |of| of.block.rows.len())
}

#[test]
fn a_logistic_path_is_that_of_scikit_learn() {
    let asked = "formula = \"death ~ age + sex + lab\", lambdas = [0.15, 0.1, 0.05, 0.01, 0.001]";
    for federation in [covid(), data::dealt(COVID, &data::covid(), 1)] {
        let result = net(&federation, asked, Gate::OPEN);
        is_as_in_the_reference(&result, "logistic_net", 1e-6);
        assert!(number(block(&result, "fit"), "rounds", "value") < 30.0);
    }
}

#[test]
fn a_penalty_is_chosen_by_left_out_sites_as_a_plain_loop_over_scikit_learn_chooses_it() {
    let reference = data::reference_of("cross_validation", "chosen");
    let result = net(&covid(), &format!("{LINEAR}, folds = \"site\", choose = \"1se\""), Gate::OPEN);
    let lambdas = [2.0, 1.0, 0.5, 0.1, 0.01];
    let of = |name: &str, place: usize| reference[name][place].as_f64().expect("a number");
    for (place, lambda) in lambdas.into_iter().enumerate() {
        near(at(block(&result, "losses"), lambda, "mean squared error"), of("loss", place), 1e-8, "loss");
        near(at(block(&result, "losses"), lambda, "standard error"), of("error", place), 1e-8, "error");
    }
    let least = (0..5).min_by(|a, b| of("loss", *a).total_cmp(&of("loss", *b))).expect("one");
    let within = (0..5).find(|at| of("loss", *at) <= of("loss", least) + of("error", least)).expect("one");
    let fit = |name: &str| number(block(&result, "fit"), name, "value");
    assert_eq!(fit("lambda of the least loss"), lambdas[least]);
    assert_eq!((fit("lambda within one standard error"), fit("lambda")), (lambdas[within], lambdas[within]));
    for term in TERMS {
        assert_eq!(number(&result.block, term, "estimate"), at(block(&result, "path"), lambdas[within], term));
    }
}

#[test]
fn folds_of_patients_choose_a_penalty_of_a_logistic_path_within_its_rounds() {
    let asked = "formula = \"death ~ age + sex + lab\", folds = 5, points = 6";
    let result = net(&covid(), asked, Gate::OPEN);
    let losses = block(&result, "losses");
    assert_eq!(losses.rows.len(), 6, "{:?}", result.notes);
    // Nobody's loss is less where hardly anything is known of them.
    let loss = |at: usize| match losses.rows[at][1] {
        Value::Number(x) => x,
        ref other => panic!("{other:?}"),
    };
    assert!(loss(0) > loss(2) && loss(2) > loss(4), "{losses:?}");
    assert!(result.block.columns.contains(&"odds ratio".to_owned()));
    assert!(number(block(&result, "fit"), "rounds", "value") < 40.0);
    // The same shares of deviance as without folds: the fit on all is not another one.
    let plain = net(&covid(), "formula = \"death ~ age + sex + lab\", points = 6", Gate::OPEN);
    for (a, b) in block(&plain, "path").rows.iter().zip(&block(&result, "path").rows) {
        let (Value::Number(a), Value::Number(b)) = (&a[4], &b[4]) else { panic!("coefficients") };
        near(*a, *b, 1e-7, "age");
    }
}

#[test]
fn under_the_usual_gate_a_net_is_fitted_and_a_constant_column_is_named() {
    let result = net(&covid(), "formula = \"lab ~ age + los\", folds = 2", Gate::USUAL);
    assert_eq!(result.block.rows.len(), 3, "{:?}", result.notes);
    let mut rows = data::covid();
    rows.iter_mut().for_each(|(_, row)| drop(row.insert("los".to_owned(), "7".to_owned())));
    let result = net(&data::by_site(COVID, &rows), "formula = \"lab ~ age + los\"", Gate::OPEN);
    assert!(result.notes.iter().any(|note| note.contains("`los` never varies")), "{:?}", result.notes);
}
