//! The kinds of analyses as a researcher meets them: what binds, and what is said about what does not.

mod association;
mod ordinary;

use super::super::tests::bind;
use crate::analysis::{AnalysisSpec, Spec};
use crate::plan::Expr;

fn with(analyses: &str) -> String {
    format!("title = 't'\npurpose = 'scientific_research'\ndataset = 'heart@1'\n{analyses}")
}

pub(super) fn analyses(text: &str) -> Result<Vec<AnalysisSpec>, String> {
    bind(&with(text)).map(|study| study.analyses)
}

pub(super) fn one(question: &str) -> Result<Spec, String> {
    analyses(&format!("[[analysis]]\nname = 'a'\n{question}")).map(|all| {
        assert_eq!(all.len(), 1);
        all[0].spec.clone()
    })
}

#[test]
fn a_histogram_is_a_table_by_its_keys_and_then_by_bin() {
    let Ok(Spec::Histogram(spec)) = one("histogram = { of = 'chol', bins = [100, 150.5, 200], by = ['sex'] }") else {
        panic!("a histogram")
    };
    let table = spec.table();
    assert_eq!(table.by.iter().map(|k| k.label.as_str()).collect::<Vec<_>>(), ["sex", "chol"]);
    assert!(matches!(&table.by[1].key, Expr::Cut { breaks, .. } if *breaks == [100.0, 150.5, 200.0]));
    assert!(table.roll_up);
    one("histogram = { of = 'age / 10', bins = [3] }").unwrap();
}

#[test]
fn a_crosstab_quantiles_and_a_flow_bind() {
    let Ok(Spec::Crosstab(spec)) = one("crosstab = { rows = 'sex', columns = 'disease', roll_up = false }") else {
        panic!("a crosstab")
    };
    assert_eq!((spec.table().by.len(), spec.roll_up), (2, false));
    let Ok(Spec::Quantiles(spec)) = one("quantiles = { of = 'chol' }") else { panic!("quantiles") };
    assert_eq!(spec.at, [0.25, 0.5, 0.75]);
    one("quantiles = { of = 'age', at = [0.001, 0.999] }").unwrap();
    let Ok(Spec::Attrition(spec)) = one("attrition = { steps = ['age >=  18', 'chol is not null', 'not disease'] }")
    else {
        panic!("a flow")
    };
    assert_eq!(spec.steps[0].label, "age >= 18");
}

#[test]
fn a_summary_becomes_questions_about_each_column_that_name_it() {
    let all = analyses("[[analysis]]\nname = 's'\nsummary = {}").unwrap();
    let names: Vec<&str> = all.iter().map(|a| a.name.as_str()).collect();
    let wanted = ["s_age", "s_age_quantiles", "s_sex", "s_chol", "s_chol_quantiles", "s_fbs", "s_disease", "s_seen"];
    assert_eq!(names, [&wanted[..], &["s_seen_years"]].concat());
    let part = all[1].part.as_ref().unwrap();
    assert_eq!((part.of.as_str(), part.column.as_str()), ("s", "age"));
    let keys = |i: usize| all[i].spec.table().map(|table| table.by.len());
    assert_eq!([keys(0), keys(1), keys(2), keys(5), keys(7)], [Some(0), None, Some(1), Some(1), Some(0)]);
    let some = analyses("[[analysis]]\nname = 's'\nsummary = { columns = ['sex'] }").unwrap();
    assert_eq!(some.len(), 1);
    assert_eq!(some[0], all[2]);
}

#[test]
fn the_part_of_a_summary_is_signed_only_where_there_is_one() {
    let table = analyses("[[analysis]]\nname = 'a'\ntable = { show = ['count'] }").unwrap();
    assert!(!serde_json::to_string(&table[0]).unwrap().contains("part"));
    let summary = analyses("[[analysis]]\nname = 's'\nsummary = { columns = ['sex'] }").unwrap();
    let text = serde_json::to_string(&summary[0]).unwrap();
    assert_eq!(serde_json::from_str::<AnalysisSpec>(&text).unwrap(), summary[0]);
}

#[test]
fn every_issue_of_all_analyses_is_reported_at_once_with_place_and_hint() {
    let long = "n".repeat(60);
    let problems = analyses(&format!(
        "[[analysis]]\nname = 'h'\nhistogram = {{ of = 'sex', bins = [2, 1], by = ['sx'] }}\n\
         [[analysis]]\nname = 'c'\ncrosstab = {{ rows = 'sex', columns = 'sex' }}\n\
         [[analysis]]\nname = 'q'\nquantiles = {{ of = 'age + 1', at = [0.5, 1] }}\n\
         [[analysis]]\nname = 'f'\nattrition = {{ steps = ['age', 'agee > 3'] }}\n\
         [[analysis]]\nname = 'e'\nattrition = {{ steps = [] }}\n\
         [[analysis]]\nname = 's'\nsummary = {{ columns = ['chl', 'row', 'sex', 'sex'] }}\n\
         [[analysis]]\nname = '{long}'\nsummary = {{ columns = ['chol'] }}\n\
         [[analysis]]\nname = 'n'\nsummary = {{ columns = [] }}\n\
         [[analysis]]\nname = 't'\n\
         [[analysis]]\nname = 'two'\ntable = {{ show = ['count'] }}\nquantiles = {{ of = 'age' }}\n\
         [[analysis]]\nname = 'typo'\nquantile = {{ of = 'age' }}\n"
    ))
    .unwrap_err();
    for wanted in [
        "analysis[0] (h).histogram.of: expected a number, found a code of `sex`\n  hint: count what is no number",
        "analysis[0] (h).histogram.bins: a histogram has 1 to 1000 ascending edges\n  hint: e.g.",
        "analysis[0] (h).histogram.by[0]: unknown column `sx`\n  hint: did you mean `sex`?",
        "analysis[1] (c).crosstab.columns: rows and columns are the same key\n  hint: name two",
        "analysis[2] (q).quantiles.of: `age + 1` is no column",
        "analysis[2] (q).quantiles.at: `at` has 1 to 100 ascending shares above 0 and below 1\n  hint: e.g.",
        "analysis[3] (f).attrition.steps[0]: expected a condition, found an integer\n  hint: write a comparison",
        "analysis[3] (f).attrition.steps[1]: unknown column `agee`\n  hint: did you mean `age`?",
        "analysis[4] (e).attrition.steps: a flow has 1 to 50 steps\n  hint: e.g.",
        "analysis[5] (s).summary.columns[0]: unknown column `chl`\n  hint: did you mean `chol`?",
        "analysis[5] (s).summary.columns[1]: unknown column `row`",
        "analysis[5] (s).summary.columns[3]: `sex` is named twice",
        ".summary.columns[0]: a part of the summary would be named `nnn",
        "analysis[7] (n).summary.columns: a summary is of one column or more\n  hint: leave `columns` out",
        "analysis[8] (t): an analysis asks one question, this one asks 0\n  hint: write one of table, histogram",
        "analysis[9] (two): an analysis asks one question, this one asks 2",
        "analysis[10] (typo).quantile: unknown key\n  hint: did you mean `quantiles`?",
    ] {
        assert!(problems.contains(wanted), "{wanted}\nnot in\n{problems}");
    }
}

#[test]
fn what_only_the_plan_check_sees_is_reported_at_its_place_in_the_text() {
    let problems = analyses(
        "[[analysis]]\nname = 'h'\nhistogram = { of = 'chol', bins = [100], by = ['chol', 'seen'] }\n\
         [[analysis]]\nname = 'c'\ncrosstab = { rows = 'chol', columns = 'seen' }\n\
         [[analysis]]\nname = 'q'\nquantiles = { of = 'sex' }\n",
    )
    .unwrap_err();
    for wanted in [
        "analysis[0] (h).histogram.by[0]: a number has no declared levels",
        "analysis[0] (h).histogram.by[1]: a date has no declared levels",
        "analysis[1] (c).crosstab.rows: a number has no declared levels",
        "analysis[1] (c).crosstab.columns: a date has no declared levels",
        "analysis[2] (q).quantiles.of: `sex` is a code of `sex`, which has no quantiles\n  hint: quantiles are of",
    ] {
        assert!(problems.contains(wanted), "{wanted}\nnot in\n{problems}");
    }
}

#[test]
fn the_parts_of_summaries_count_as_analyses_and_share_their_names() {
    let many: String = (0..13).map(|i| format!("[[analysis]]\nname = 's{i}'\nsummary = {{}}\n")).collect();
    let problems = analyses(&many).unwrap_err();
    assert!(problems.contains("analysis: 117 analyses with the parts of all summaries: at most 100"), "{problems}");
    let taken = "[[analysis]]\nname = 's_sex'\ntable = { show = ['count'] }\n[[analysis]]\nname = 's'\nsummary = {}\n";
    assert!(analyses(taken).unwrap_err().contains("analysis[1].name: `s_sex` is the name of an earlier analysis"));
}
