//! The kinds that compare groups: what binds, by the types of what they name, and what is said about what does not.

use super::{analyses, one, with};
use crate::analysis::{Outcome, Pair, RoundState, Spec, Standard, Whole, plan_for};
use crate::env::Timestamp;
use crate::front::tests::{bind_to, contract};
use crate::front::{BindContext, Files, StudyText};
use crate::plan::Measure;
use crate::trust::SecretKey;

fn compared(question: &str) -> crate::analysis::CompareSpec {
    match one(question) {
        Ok(Spec::Compare(spec)) => spec,
        other => panic!("{question}: {other:?}"),
    }
}

#[test]
fn what_the_outcome_is_decides_how_groups_are_compared() {
    let outcome = |text: &str| compared(&format!("compare = {{ outcome = '{text}', by = 'sex' }}")).outcome;
    assert!(matches!(outcome("disease"), Outcome::Holds(key) if key.label == "disease"));
    assert!(matches!(outcome("chol >= 240"), Outcome::Holds(_)));
    assert!(matches!(outcome("chol"), Outcome::Number { measure: Measure::Column(_), .. }));
    assert!(matches!(outcome("ln(chol)"), Outcome::Number { measure: Measure::Ln(_), .. }));
    assert!(matches!(outcome("cut(chol, 200)"), Outcome::Ordered(_)));
    assert!(matches!(outcome("fbs"), Outcome::Ordered(_)), "an integer of two values has no mean that may be summed");
}

#[test]
fn ordered_groups_have_scores_and_others_only_if_they_are_written() {
    let scores = |rest: &str| compared(&format!("compare = {{ outcome = 'disease', {rest} }}")).scores;
    assert_eq!(scores("by = 'cut(age, 50, 60)'"), [0.0, 1.0, 2.0]);
    assert_eq!(scores("by = 'cut(age, 50, 60)', scores = [1, 5, 9]"), [1.0, 5.0, 9.0]);
    assert!(scores("by = 'sex'").is_empty());
    assert_eq!(scores("by = 'sex', scores = [0, 1]"), [0.0, 1.0]);
    assert!(compared("compare = { outcome = 'chol', by = 'cut(age, 50, 60)' }").scores.is_empty());
    let spec = compared(
        "compare = { outcome = 'disease', by = 'sex', reference = 'male', within = 'site', confidence = 0.9 }",
    );
    assert!(spec.reference == 1 && spec.within_sites && spec.confidence.share() == 0.9);
}

#[test]
fn a_correlation_of_three_columns_is_signed_as_three_pairs() {
    let all =
        analyses("[[analysis]]\nname = 'c'\ncorrelation = { columns = ['cut(age, 50)', 'cut(chol, 200)', 'fbs'] }")
            .unwrap();
    let names: Vec<&str> = all.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["c_1_2", "c_1_3", "c_2_3"]);
    assert!(all.iter().all(|a| a.part.as_ref().is_some_and(|p| p.whole == Whole::Correlation && p.of.as_str() == "c")));
    let numbers = analyses("[[analysis]]\nname = 'c'\ncorrelation = { columns = ['age', 'chol'] }").unwrap();
    let Spec::Correlation(spec) = &numbers[0].spec else { panic!("{numbers:?}") };
    assert!(matches!(&spec.pair, Pair::Numbers(a, b) if a.as_str() == "age" && b.as_str() == "chol"));
}

#[test]
fn pairs_are_of_who_has_both_or_of_who_has_all() {
    let read = |rest: &str| {
        let text = with(&format!(
            "[[analysis]]\nname = 'c'\ncorrelation = {{ columns = ['cut(age, 50)', 'cut(chol, 200)', 'fbs']{rest} }}"
        ));
        let study = crate::front::tests::bind(&text).unwrap();
        let plan = plan_for(&study.analyses[0].spec, study.query(), 0, &RoundState::First).unwrap();
        let filter = plan.query.filter.iter().flat_map(|filter| filter.columns()).map(|name| name.to_string());
        filter.collect::<Vec<String>>()
    };
    assert!(read("").is_empty(), "the bands of missing values are left out of the table");
    assert_eq!(read(", complete = true"), ["age", "chol", "fbs"]);
}

#[test]
fn a_table_one_is_signed_as_a_comparison_or_a_crosstab_for_each_column() {
    let all = analyses("[[analysis]]\nname = 't'\ntable_one = { by = 'disease', columns = ['age', 'sex'] }").unwrap();
    assert!(matches!((&all[0].spec, &all[1].spec), (Spec::Compare(_), Spec::Crosstab(_))));
    assert_eq!(all[1].name.as_str(), "t_sex");
    let text = serde_json::to_string(&all[0]).unwrap();
    assert!(text.contains("\"whole\":\"table_one\""));
    let summary = analyses("[[analysis]]\nname = 's'\nsummary = { columns = ['sex'] }").unwrap();
    assert!(!serde_json::to_string(&summary[0]).unwrap().contains("whole"), "summaries are signed as before");
}

const STRATA: &str = "events = 'disease', over = ['sex', 'cut(age, 50)']";

#[test]
fn a_standard_population_has_a_number_for_each_stratum_in_the_order_of_the_levels() {
    let nested = "population = { male = { '>=50' = 4, '<50' = 3 }, female = { '<50' = 1, '>=50' = 2 } }";
    let Ok(Spec::Standardised(spec)) = one(&format!("standardised = {{ {STRATA}, {nested} }}")) else { panic!() };
    assert_eq!(spec.standard, Standard::Population(vec![1.0, 2.0, 3.0, 4.0]));
    let rates = "rates = { '0' = 0.1 }";
    let text = format!(
        "standardised = {{ events = 'disease', over = ['cut(age, 50)'], {} }}",
        rates.replace("'0' = 0.1", "'<50' = 0.1, '>=50' = 0.3")
    );
    let Ok(Spec::Standardised(spec)) = one(&text) else { panic!() };
    assert_eq!(spec.standard, Standard::Rates(vec![0.1, 0.3]));
}

fn with_file(file: &str) -> Result<Spec, String> {
    let text = with(&format!("[[analysis]]\nname = 'a'\nstandardised = {{ {STRATA}, population = 'who.csv' }}"));
    let text = StudyText::parse(&text, "study.toml").unwrap();
    assert_eq!(text.files(), ["who.csv"], "whoever reads the text is told which file to read");
    let sites: Vec<_> = ["basel", "cleveland", "hungary"].iter().map(|s| s.parse().unwrap()).collect();
    let context = BindContext {
        network: "heart-demo".parse().unwrap(),
        researcher: SecretKey::generate(&mut Fixed(5)).public(),
        offering: &sites,
        roster: &sites,
        min_sites_floor: 3,
        now: Timestamp(0),
        nonce: [1; 16],
        permit: None,
    };
    let text = text.with_files(Files::from([("who.csv".to_owned(), Ok(file.to_owned()))]));
    text.bind(&contract(), &context).map(|study| study.analyses[0].spec.clone()).map_err(|p| p.to_string())
}

use crate::env::Fixed;

#[test]
fn a_standard_population_may_be_a_file_beside_the_study() {
    let Ok(Spec::Standardised(spec)) =
        with_file("sex;age;population\nmale;<50;3\nmale;>=50;4\nfemale;<50;1\nfemale;>=50;2\n")
    else {
        panic!()
    };
    assert_eq!(spec.standard, Standard::Population(vec![1.0, 2.0, 3.0, 4.0]));
    for (file, wanted) in [
        ("sex;age;people\nmale;<50;3\n", "the first line of `who.csv` does not name 2 keys and then `population`"),
        ("sex;age;population\nmale;<50;x\n", "row 2 of `who.csv` is not 2 levels and a number"),
        ("sex;age;population\nmale;<50;3\nmale;<50;3\n", "male, <50 stands there twice"),
        (
            "sex;age;population\nmale;<50;3\n",
            "3 of 4 strata have no number\n  hint: write every combination of sex × cut(age, 50)",
        ),
        ("sex;age;population\nmal;<50;3\n", "`mal` is no level\n  hint: did you mean `male`?"),
        (
            "sex;age;population\nmale;<50;-3\nmale;>=50;4\nfemale;<50;1\nfemale;>=50;2\n",
            "a stratum has 0 to 100000000000 people",
        ),
    ] {
        let problem = with_file(file).unwrap_err();
        assert!(problem.contains("standardised.population") && problem.contains(wanted), "{wanted}\nnot in\n{problem}");
    }
}

#[test]
fn every_issue_is_said_at_its_place_with_a_hint() {
    for (question, wanted) in [
        (
            "compare = { outcome = 'sex', by = 'disease' }",
            "compare.outcome: groups are not compared by a code of `sex`\n  hint: a condition",
        ),
        ("compare = { outcome = 'chol', by = 'age' }", "compare.by"),
        (
            "compare = { outcome = 'disease', by = 'sex', reference = 'man' }",
            "compare.reference: `man` is no level\n  hint: ",
        ),
        (
            "compare = { outcome = 'disease', by = 'disease' }",
            "compare.by: outcome and groups are the same\n  hint: name another",
        ),
        (
            "compare = { outcome = 'chol', by = 'sex', scores = [1, 2] }",
            "compare.scores: only a condition has a test for trend\n  hint: leave",
        ),
        (
            "compare = { outcome = 'disease', by = 'sex', scores = [1, 1] }",
            "compare.scores: `scores` are 2 numbers within ±1000000, not all the same\n  hint: one",
        ),
        (
            "compare = { outcome = 'disease', by = 'sex', within = 'age' }",
            "compare.within: groups are not compared within `age`\n  hint: write",
        ),
        (
            "compare = { outcome = 'disease', by = 'cut(age, 1, 2)', within = 'site' }",
            "compare.within: only a condition in two groups",
        ),
        (
            "compare = { outcome = 'disease', by = 'sex', confidence = 95 }",
            "compare.confidence: `confidence` is 0.5 to 0.9999\n  hint: 0.95 is usual",
        ),
        (
            "correlation = { columns = ['age'] }",
            "correlation.columns: a correlation is of two columns or more\n  hint: e.g.",
        ),
        (
            "correlation = { columns = ['age', 'cut(chol, 200)'] }",
            "correlation.columns[1]: a number and bands are not correlated",
        ),
        (
            "correlation = { columns = ['age', 'sex'] }",
            "correlation.columns[1]: `sex` is neither a number column nor has ordered levels\n  hint: name a number",
        ),
        ("correlation = { columns = ['age', 'chol', 'age'] }", "correlation.columns[2]: `age` is named twice"),
        (
            "table_one = { by = 'sex', columns = ['sex', 'agee'] }",
            "table_one.columns[0]: the groups are of this column\n  hint: leave it out",
        ),
        (
            "table_one = { by = 'sex', columns = ['agee'] }",
            "table_one.columns[0]: unknown column `agee`\n  hint: did you mean `age`?",
        ),
        (
            "table_one = { by = 'sex', columns = [] }",
            "table_one.columns: a table one is of one column or more\n  hint: e.g.",
        ),
        (
            "accuracy = { test = 'disease', truth = 'disease' }",
            "accuracy.truth: test and truth are the same condition\n  hint: name two",
        ),
        ("accuracy = { test = 'chol', truth = 'disease' }", "accuracy.test: expected a condition, found a number"),
        (
            "accuracy = { test = 'chol > 1', truth = 'disease', interval = 'wald' }",
            "accuracy.interval: there is no interval `wald`\n  hint: write",
        ),
        (
            "standardised = { events = 'disease', over = [], population = {} }",
            "standardised.over: a standard population has strata\n  hint: e.g.",
        ),
        (
            "standardised = { events = 'disease', over = ['sex'] }",
            "standardised: a standard is either a `population` or `rates`\n  hint: population =",
        ),
        (
            "standardised = { events = 'disease', over = ['sex'], rates = { male = 2, female = 0.1 } }",
            "standardised.rates: a stratum has 0 to 1 events of one patient",
        ),
        (
            "standardised = { events = 'disease', over = ['sex'], population = { male = 0, female = 0 } }",
            "and one of them more than 0",
        ),
        (
            "standardised = { events = 'disease', over = ['sex'], population = { male = { x = 1 } } }",
            "standardised.population: a number for each stratum, or the name of a file, is wanted\n  hint: e.g.",
        ),
        (
            "standardised = { events = 'disease', over = ['sex'], population = { male = 1, female = 1 }, per = 0 }",
            "standardised.per: `per` is 1 to 10000000\n  hint: e.g.",
        ),
    ] {
        let problems = one(question).unwrap_err();
        assert!(problems.contains(wanted), "{wanted}\nnot in\n{problems}");
    }
}

#[test]
fn where_a_patient_can_have_several_rows_nothing_is_tested() {
    let text = crate::front::tests::CONTRACT.replace("subject = \"row\"", "subject = \"patient\"").replace(
        "[[column]]\n    name = \"age\"",
        "[[column]]\n    name = \"patient\"\n    type = \"text\"\n    [[column]]\n    name = \"age\"",
    );
    let several = crate::contract::parse(&text, "heart.toml").unwrap();
    for question in [
        "compare = { outcome = 'disease', by = 'sex' }",
        "correlation = { columns = ['age', 'chol'] }",
        "table_one = { by = 'sex', columns = ['age'] }",
        "accuracy = { test = 'chol > 240', truth = 'disease' }",
        "standardised = { events = 'disease', over = ['sex'], population = { male = 1, female = 1 } }",
    ] {
        let problems = bind_to(&several, &with(&format!("[[analysis]]\nname = 'a'\n{question}"))).unwrap_err();
        assert!(
            problems.contains("a patient can have several rows of `heart@1`, which are not independent"),
            "{problems}"
        );
        assert!(problems.contains("hint: count a table with one row a patient"), "{problems}");
    }
}
