//! Scores, categories and one end of follow-up, under the gate as nodes have it and as a site may set it for pairs.

use std::fmt::Write as _;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Federation, Gate, block, number};

const CONTRACT: &str = r#"
    id = "scores@1"
    subject = "row"
    column = [
        { name = "score", type = "int", range = [0, 4] },
        { name = "dose", type = "float", range = [0, 10] },
        { name = "x", type = "float", range = [-10, 10] },
        { name = "treated", type = "bool" },
        { name = "days", type = "int", range = [0, 400] },
        { name = "died", type = "bool" },
        { name = "stage2", type = "int", range = [0, 1] },
        { name = "stage3", type = "int", range = [0, 1] },
    ]
"#;

/// A patient of a file.
struct Row {
    score: usize,
    dose: f64,
    treated: bool,
}

/// Two sites of 120 patients. `change` is of each patient by their place at their site, 24 of each score.
fn sites(change: impl Fn(usize, &mut Row)) -> Federation {
    let site = |from: usize| {
        let mut text = "score,dose,x,treated,days,died,stage2,stage3\n".to_owned();
        for i in 0..120 {
            let mut row = Row { score: i % 5, dose: [0.0, 2.5, 5.0][i % 3], treated: i / 5 % 2 == 0 };
            change(i, &mut row);
            let Row { score, dose, treated } = row;
            // Everybody who does not die is there at the end.
            let died = (i * 7 + from) % 11 < 5;
            let days = if died { 1 + (i * 37 + from) % 300 } else { 365 };
            let x = score as f64 + ((i * 13 + from) % 17) as f64 / 4.0 - 3.0 + f64::from(u8::from(treated));
            let [stage2, stage3] = [2, 3].map(|stage| u8::from(score == stage));
            let _ = writeln!(text, "{score},{dose},{x},{treated},{days},{died},{stage2},{stage3}");
        }
        text
    };
    Federation::new(CONTRACT, &[("north", site(0)), ("south", site(3))])
}

fn run(sites: &Federation, gate: Gate, analysis: &str) -> AnalysisResult {
    sites.run(&format!("[[analysis]]\nname = \"m\"\n{analysis}"), gate).remove(0)
}

/// The same coefficients as without a gate, over both sites.
fn is_answered(sites: &Federation, gate: Gate, analysis: &str, terms: &[&str]) {
    let (open, told) = (run(sites, Gate::OPEN, analysis), run(sites, gate, analysis));
    assert_eq!(number(block(&told, "fit"), "sites", "value"), 2.0, "{:?}", told.notes);
    for term in terms {
        let of = |result: &AnalysisResult| number(&result.block, term, "estimate");
        assert!((of(&open) - of(&told)).abs() <= 1e-9 * of(&open).abs(), "{term}");
    }
}

fn is_refused(sites: &Federation, gate: Gate, analysis: &str, why: &str) {
    let result = run(sites, gate, analysis);
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
    assert!(result.notes.iter().any(|note| note.starts_with(why)), "{why}: {:?}", result.notes);
}

#[test]
fn a_score_is_a_category() {
    let scores = sites(|_, _| {});
    let why = "north refused: `score` varies too little";
    is_refused(&scores, Gate::USUAL, "model = { formula = \"x ~ score\" }", why);
    // Two of them, or their product, solve for how many have each pair of values: no setting lets them in.
    is_refused(&scores, Gate::PAIRS, "model = { formula = \"x ~ score * dose\" }", why);
    is_answered(&scores, Gate::USUAL, "model = { formula = \"x ~ cut(score, 1, 2, 3, 4)\" }", &["(intercept)"]);
    let two = sites(|_, row| row.dose = if row.dose > 0.0 { 5.0 } else { 0.0 });
    is_answered(&two, Gate::USUAL, "model = { formula = \"x ~ (dose > 0)\" }", &["(intercept)"]);
}

#[test]
fn the_cells_of_two_columns_have_k_patients_or_what_the_policy_says() {
    let model = "model = { formula = \"x ~ (score >= 4) + treated\" }";
    let few = |treated: usize| {
        move |i: usize, row: &mut Row| {
            if row.score == 4 {
                row.treated = i < 5 * treated;
            }
        }
    };
    let why = "north refused: `score >= 4 = true` and `treated = true` vary too little together";
    is_refused(&sites(few(5)), Gate::USUAL, model, why);
    is_answered(&sites(few(5)), Gate::PAIRS, model, &["treated[true]"]);
    is_answered(&sites(few(3)), Gate::PAIRS, model, &["treated[true]"]);
    for hidden in [0, 2] {
        is_refused(&sites(few(hidden)), Gate::PAIRS, model, why);
    }
}

#[test]
fn one_column_alone_has_k_patients_on_each_side_whatever_the_policy_says_of_pairs() {
    let ten = sites(|i, row| row.treated = i % 12 == 0);
    let model = "model = { formula = \"x ~ treated\" }";
    is_refused(&ten, Gate::PAIRS, model, "north refused: `treated = true` varies too little");
}

#[test]
fn one_end_of_follow_up_for_all_is_no_reason_to_refuse_a_cox_model() {
    let cox = "cox = { formula = \"surv(days, died) ~ (score >= 3) + treated\" }";
    let sites = sites(|_, _| {});
    is_answered(&sites, Gate::USUAL, cox, &["treated[true]"]);
    // The test of proportionality sums times: there they must differ among those without the event, too.
    let tested = "cox = { formula = \"surv(days, died) ~ (score >= 3) + treated\", proportionality = \"identity\" }";
    is_refused(&sites, Gate::USUAL, tested, "north refused: `days` varies too little on one side of `the outcome`");
}

#[test]
fn what_excludes_each_other_is_one_category_as_the_refusal_writes_it() {
    let sites = sites(|_, _| {});
    let of_numbers =
        ("stage2 + stage3 + score", "`stage2` and `stage3` vary too little together; `score` varies too little");
    let of_conditions =
        ("(score = 1) + (score = 4)", "`score = 1 = true` and `score = 4 = true` vary too little together");
    for (terms, why) in [of_numbers, of_conditions] {
        let result = run(&sites, Gate::USUAL, &format!("model = {{ formula = \"x ~ {terms}\" }}"));
        for site in ["north", "south"] {
            let said = format!("{site} refused: {why} (too_few_for_model)");
            assert!(result.notes.contains(&said), "{said}: {:?}", result.notes);
        }
        let hints: Vec<&String> = result.notes.iter().filter(|note| note.starts_with("hint of ")).collect();
        let [hint] = hints.as_slice() else { panic!("one for both: {hints:?}") };
        let (named, category) = hint.split_once(" are one category: ").expect("a category");
        assert!(named.starts_with("hint of north, south: if nobody can have two of"), "{hint}");
        let (category, _) = category.split_once("; ").expect("and what else helps");
        is_answered(&sites, Gate::USUAL, &format!("model = {{ formula = \"x ~ {category}\" }}"), &["(intercept)"]);
    }
}

#[test]
fn of_two_conditions_of_which_everybody_has_one_the_refusal_leaves_one_out() {
    let sites = sites(|_, _| {});
    let result = run(&sites, Gate::USUAL, "model = { formula = \"x ~ (score < 3) + (score >= 3)\" }");
    let said = "if everybody has one of them, leave `score >= 3` out; ";
    assert!(result.notes.iter().any(|note| note.contains(said)), "{:?}", result.notes);
    is_answered(&sites, Gate::USUAL, "model = { formula = \"x ~ (score < 3)\" }", &["(intercept)"]);
}
