//! The worked cohorts of docs/STUDIES.md are what they say: each binds to the contracts that come with Bocage, and every site could answer it.

use super::{bound, plans};

const STUDIES: &str = include_str!("../../../../../docs/STUDIES.md");

const HEAD: &str = "title = \"A worked cohort\"\npurpose = \"scientific_research\"\n";

/// The files that the worked cohorts name.
const FILES: [(&str, &str); 2] = [
    ("codes/cancer.csv", "code,title\nC50.9,Breast\nC61,Prostate\n"),
    ("codes/ancestors.csv", "parent,child\n21601855,1545958\n1545958,1545959\n"),
];

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    text.split(language).skip(1).filter_map(|block| block.split("```").next()).collect()
}

#[test]
fn every_worked_cohort_binds_to_the_contracts_and_makes_plans() {
    let section = STUDIES.split("### Ten worked cohorts").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let tables = blocks(section, "```text\n");
    let texts = blocks(section, "```toml\n");
    assert_eq!((tables.len(), texts.len()), (1, 10));
    for text in texts {
        let tables = if text.contains("[tables]") { "" } else { tables[0] };
        let study = bound(&format!("{HEAD}{tables}{text}"), &FILES).unwrap_or_else(|wrong| panic!("{text}\n{wrong}"));
        assert!(!study.features.is_empty(), "{text}");
        assert_eq!(plans(&study).len(), study.analyses.len());
    }
}
