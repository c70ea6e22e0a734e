//! A number that a study holds to a narrower range is, in every analysis, what a column would be whose contract says that range; and where a range is
//! too wide for a model, that is what is said.

use std::fmt::Write as _;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Federation, Gate};

const SAID: &str = "[features]\nsbp = \"plausible(any, 40, 300)\"\n";

fn contract(column: &str, range: &str) -> String {
    format!(
        "id = \"any@1\"\nsubject = \"row\"\ncolumn = [\n{{ name = \"{column}\", type = \"float\", range = {range} }},\n\
         {{ name = \"age\", type = \"int\", range = [0, 120] }},\n{{ name = \"sex\", type = \"code\", codes = [{{ code = \"f\" }}, {{ code = \"m\" }}] }},\n]\n"
    )
}

/// Three sites of patients, some of whom have a pressure that is none: `written` is what their files say then.
fn sites(column: &str, written: &str) -> Vec<(&'static str, String)> {
    let file = |site: usize| {
        let mut text = format!("{column},age,sex\n");
        for i in 0..150usize {
            let age = 20 + (i * 37 + site * 11) % 60;
            let pressure = 85.0 + age as f64 / 2.0 + ((i * 53 + site * 17) % 41) as f64 * 1.3;
            let pressure = if i % 5 == 3 { written.to_owned() } else { pressure.to_string() };
            let _ = writeln!(text, "{pressure},{age},{}", ["f", "m"][i / 3 % 2]);
        }
        text
    };
    ["north", "south", "west"].into_iter().enumerate().map(|(site, name)| (name, file(site))).collect()
}

/// Of every kind of measurement, under the range for all.
fn of_all_kinds() -> Federation {
    Federation::new(&contract("any", "[-1000, 1000000]"), &sites("any", "4711"))
}

/// What a kind of analysis makes of the pressures.
fn asked(of: &Federation, features: &str, analysis: &str, gate: Gate) -> AnalysisResult {
    of.run(&format!("{features}[[analysis]]\nname = \"a\"\n{analysis}\n"), gate).remove(0)
}

#[test]
fn every_kind_of_analysis_says_of_plausible_numbers_what_it_says_of_a_column_with_that_range() {
    let (said, declared) = (of_all_kinds(), Federation::new(&contract("sbp", "[40, 300]"), &sites("sbp", "")));
    for analysis in [
        "table = { by = ['sex'], show = ['count', 'mean(sbp)', 'sd(sbp)', 'mean(ln(sbp))', 'share(sbp >= 140)'] }",
        "table = { by = ['cut(sbp, 110, 140)'], show = ['count', 'mean(age)'] }",
        "histogram = { of = 'sbp', bins = [100, 120, 140] }",
        "quantiles = { of = 'sbp' }",
        "summary = { columns = ['sbp', 'sex'] }",
        "compare = { outcome = 'sbp', by = 'sex' }",
        "model = { formula = 'sbp ~ age + sex' }",
        "model = { formula = '(sbp >= 140) ~ age + sex' }",
        "model = { formula = \"(sex = 'f') ~ age + sbp\" }",
        "pca = { columns = ['age', 'sbp'] }",
    ] {
        for gate in [Gate::OPEN, Gate::USUAL] {
            let (one, other) = (asked(&said, SAID, analysis, gate), asked(&declared, "", analysis, gate));
            assert_eq!(one, other, "{analysis}");
            assert!(!one.block.rows.is_empty(), "{analysis}: {:?}", one.notes);
        }
    }
}

#[test]
fn a_range_that_is_too_wide_for_a_model_is_what_is_said_of_it() {
    let wide = of_all_kinds();
    let within = "where = \"any <= 300\"\n";
    for formula in ["(sex = 'f') ~ any", "age ~ any", "(sex = 'f') ~ age + any"] {
        for gate in [Gate::OPEN, Gate::USUAL] {
            let result = asked(&wide, within, &format!("model = {{ formula = \"{formula}\" }}"), gate);
            let wanted =
                "no fit: the range of `any` is wide against what it holds: say where its numbers lie, by plausible(";
            assert!(result.notes.iter().any(|note| note.starts_with(wanted)), "{formula}: {:?}", result.notes);
        }
    }
}

#[test]
fn a_site_refuses_in_the_names_of_the_study() {
    let alike = format!("{SAID}[derive]\nold = \"age >= 200\"\n");
    let result = asked(&of_all_kinds(), &alike, "model = { formula = 'sbp ~ old' }", Gate::USUAL);
    let said = |text: &str| result.notes.iter().any(|note| note.contains(text));
    assert!(said("`age >= 200 = true` varies too little"), "{:?}", result.notes);
    let narrow = "[features]\nalmost = \"plausible(any, 4000, 5000)\"\n";
    let result = asked(&of_all_kinds(), narrow, "pca = { columns = ['age', 'almost'] }", Gate::USUAL);
    assert!(result.notes.iter().any(|note| note.contains("`almost`")), "{:?}", result.notes);
}
