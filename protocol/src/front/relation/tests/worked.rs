//! The worked cohorts of docs/STUDIES.md are what they say: each binds, and every site could answer it.

use super::{bound, plans};

const STUDIES: &str = include_str!("../../../../../docs/STUDIES.md");

const HEAD: &str = r#"
title = "A worked cohort"
purpose = "scientific_research"
[tables]
patient = "fhir-patient@1"
condition = "fhir-condition@1"
observation = "fhir-observation@2"
drug = "fhir-drug@1"
encounter = "fhir-encounter@1"
procedure = "fhir-procedure@1"
"#;

/// The files that the worked cohorts name.
const FILES: [(&str, &str); 2] = [
    ("codes/cancer.csv", "code,title\nC50.9,Breast\nC61,Prostate\n"),
    ("codes/atc.csv", "parent,child\nC10,C10A\nC10A,C10AA\nC10AA,C10AA05\n"),
];

#[test]
fn every_worked_cohort_binds_to_the_contracts_and_makes_plans() {
    let section = STUDIES.split("### Ten worked cohorts").nth(1).and_then(|rest| rest.split("\n## ").next());
    let texts: Vec<&str> = section.into_iter().flat_map(|s| s.split("```toml\n").skip(1)).collect();
    assert_eq!(texts.len(), 10);
    for text in texts {
        let text = text.split("```").next().unwrap_or_default();
        let study = bound(&format!("{HEAD}{text}"), &FILES).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        assert!(!study.features.is_empty(), "{text}");
        assert_eq!(plans(&study).len(), study.analyses.len());
    }
}
