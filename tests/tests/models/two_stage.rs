//! Every site fitted by itself, and the sites' estimates together: what statsmodels makes of the same (`combine_effects`).

use bocage_coordinator::api::types::{AnalysisResult, Block, Value as Cell};
use bocage_tests::federation::{Gate, block, number};
use serde_json::Value;

use super::data::{self, COVID, HEART, Rows};
use super::references::{model, near};

const NAMES: [(&str, &str); 4] = [("Intercept", "(intercept)"), ("age", "age"), ("sex", "sex[1]"), ("lab", "lab")];

/// The row of a forest.
#[track_caller]
fn row<'a>(forest: &'a Block, term: &str, site: &str) -> &'a [Cell] {
    let text = |text: &str| Cell::Text(text.to_owned());
    let found = forest.rows.iter().find(|row| row[..2] == [text(term), text(site)]);
    found.unwrap_or_else(|| panic!("no {term} of {site}: {forest:#?}"))
}

#[track_caller]
fn at(row: &[Cell], column: usize) -> f64 {
    match row[column] {
        Cell::Number(x) => x,
        ref other => panic!("{other:?} in {row:?}"),
    }
}

#[track_caller]
fn together(found: &Block, expected: &Value, names: &[(&str, &str)]) {
    for (theirs, ours) in names {
        for (number_of, column) in
            [("estimate", "estimate"), ("error", "standard error"), ("from", "from"), ("to", "to")]
        {
            near(number(found, ours, column), &expected[theirs][number_of], 1e-3, &format!("{ours}: {column}"));
        }
    }
}

/// All that is said of a model in two stages, by the way that is the answer.
#[track_caller]
fn equal(result: &AnalysisResult, way: &str, expected: &Value, names: &[(&str, &str)]) {
    for one in ["fixed", "dersimonian_laird", "hartung_knapp"] {
        let found = if one == way { &result.block } else { block(result, one) };
        together(found, &expected[one], names);
    }
    let differ = block(result, "heterogeneity");
    for (theirs, ours) in names {
        for name in ["Q", "p", "I-squared", "tau-squared", "prediction from", "prediction to"] {
            near(
                number(differ, ours, name),
                &expected["heterogeneity"][theirs][name],
                1e-2,
                &format!("{ours}: {name}"),
            );
        }
    }
    let forest = block(result, "forest");
    for (site, of) in expected["sites"].as_object().expect("sites") {
        for (theirs, ours) in names {
            let row = row(forest, ours, site);
            near(at(row, 2), &of["estimates"][theirs], 1e-3, &format!("{ours} of {site}"));
            near(at(row, 3), &of["errors"][theirs], 1e-4, &format!("error of {ours} of {site}"));
        }
        near(number(block(result, "patients with all that the model reads"), site, "patients"), &of["n"], 1.0, site);
    }
}

#[test]
fn the_fits_of_six_hospitals_together_are_those_of_statsmodels() {
    let rows = data::covid();
    let expected = data::reference("covid, two stages");
    for way in ["fixed", "dersimonian_laird", "hartung_knapp"] {
        let text = format!(r#"formula = "death ~ age + sex + lab", two_stage = "{way}""#);
        equal(&model(COVID, &rows, &text), way, &expected, &NAMES);
    }
}

#[test]
fn a_line_of_each_site_has_its_own_dispersion_and_t() {
    let expected = data::reference("covid, two stages of a line");
    let text = r#"formula = "lab ~ age + sex", two_stage = "hartung_knapp", standard_errors = "hc1""#;
    let result = model(COVID, &data::covid(), text);
    equal(&result, "hartung_knapp", &expected, &NAMES[..3]);
    let forest = block(&result, "forest");
    let own = row(forest, "age", "site1");
    near(at(own, 4), &expected["sites"]["site1"]["from"]["age"], 1e-3, "the interval by t");
    assert!(!forest.columns.iter().any(|column| column.contains("ratio")), "{:?}", forest.columns);
}

#[test]
fn the_shares_of_the_sites_are_one_together_and_a_ratio_stands_beside_each() {
    let text = r#"formula = "death ~ age + lab", two_stage = "fixed""#;
    let result = model(COVID, &data::covid(), text);
    let forest = block(&result, "forest");
    let sites: Vec<f64> =
        forest.rows.iter().filter(|row| row[0] == Cell::Text("age".into())).map(|row| at(row, 9)).collect();
    assert_eq!((sites.len(), sites[6]), (7, 1.0));
    assert!((sites[..6].iter().sum::<f64>() - 1.0).abs() < 1e-12, "{sites:?}");
    let all = row(forest, "age", "all sites");
    assert!((at(all, 6) - number(&result.block, "age", "odds ratio")).abs() < 1e-15);
}

#[test]
fn a_site_without_a_fit_or_without_an_answer_is_left_out_by_name() {
    // Switzerland has hardly anybody without the disease, and nobody there has this.
    let rows: Rows = data::heart()
        .into_iter()
        .map(|(site, mut row)| {
            if site == "switzerland" {
                let disease = if row["sex"] == "1" { "true" } else { "false" };
                row.insert("disease".to_owned(), disease.to_owned());
            }
            (site, row)
        })
        .collect();
    let federation = data::by_site(HEART, &rows);
    let analysis =
        "[[analysis]]\nname = \"m\"\nmodel = { formula = \"disease ~ age + sex\", two_stage = \"hartung_knapp\" }";
    let study = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\n";
    let study = federation.bind(&format!("{study}{analysis}")).expect("a study");
    let said = |result: &AnalysisResult, start: &str| {
        assert!(result.notes.iter().any(|note| note.starts_with(start)), "{start}: {:#?}", result.notes);
    };
    let result = federation.answer(&study, Gate::OPEN).remove(0);
    said(&result, "switzerland is left out: no fit: the coefficient of `sex[1]` goes beyond 10");
    assert_eq!(block(&result, "patients with all that the model reads").rows.len(), 3);
    let result =
        federation.answer_but(&study, Gate::OPEN, |site, round| site.as_str() == "hungary" && round == 2).remove(0);
    said(&result, "hungary is left out: it did not answer a later round of its fit");
    assert_eq!(block(&result, "patients with all that the model reads").rows.len(), 2);
    let three = Gate { min_sites: 4, ..Gate::OPEN };
    let result = federation.answer(&study, three).remove(0);
    assert!(result.block.rows.is_empty());
    said(&result, "nothing is published: a cell needs 4 sites, and 3 answered");
}

#[test]
fn intervals_of_few_sites_are_by_exact_points_of_student() {
    // Of one and two degrees of freedom they have a closed form.
    let exact = [(2, (0.475 * std::f64::consts::PI).tan()), (3, 0.95 / (2.0 * 0.975 * 0.025_f64).sqrt())];
    let asked = "[[analysis]]\nname = \"m\"\nmodel = { formula = \"lab ~ age\", two_stage = \"hartung_knapp\" }";
    for (sites, point) in exact {
        let result = data::dealt(COVID, &data::covid(), sites).run(asked, Gate::OPEN).remove(0);
        let of = |column: &str| number(&result.block, "age", column);
        let found = (of("to") - of("estimate")) / of("standard error");
        assert!((found - point).abs() < 1e-11 * point, "{sites} sites: {found} is not {point}");
    }
}

#[test]
fn what_has_no_meaning_for_sites_by_themselves_is_refused() {
    let federation = data::by_site(COVID, &data::covid());
    let study = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n";
    let told = |model: &str| {
        let analysis = format!("[[analysis]]\nname = \"m\"\nmodel = {{ {model} }}");
        federation.bind(&format!("{study}{analysis}")).expect_err("a problem")
    };
    for (more, what) in [
        ("formula = 'death ~ site + age', two_stage = 'fixed'", "`site` in the formula"),
        ("formula = 'death ~ age', two_stage = 'fixed', ridge = 1.0", "ridge"),
        ("formula = 'death ~ age', two_stage = 'fixed', standard_errors = 'site'", "standard errors by site"),
        ("formula = 'death ~ age', two_stage = 'fixed', likelihood_ratio = true", "likelihood_ratio"),
        ("formula = 'death ~ age', two_stage = 'fixed', contrasts = { a = '2 * age' }", "contrasts"),
    ] {
        let problem = told(more);
        assert!(problem.contains(&format!("a model in two stages has no {what}")), "{problem}");
    }
    assert!(told("formula = 'death ~ age', two_stage = 'paule'").contains("sites are not put together by `paule`"));
}
