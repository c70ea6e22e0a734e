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
    let section = STUDIES.split("### Ten worked cohorts").nth(1).and_then(|rest| rest.split("\n##").next()).unwrap();
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

#[test]
fn what_is_shown_of_conditions_from_row_to_row_binds_to_the_contracts_that_come_with_bocage() {
    let section =
        STUDIES.split("#### From row to row").nth(1).and_then(|rest| rest.split("**Who is in.**").next()).unwrap();
    let tables = blocks(STUDIES.split("### Ten worked cohorts").nth(1).unwrap(), "```text\n")[0];
    let codes = "[codes]\ndiabetes = { system = \"icd10cm\", block = [\"E08-E13\"] }\n";
    let texts = blocks(section, "```toml\n");
    assert_eq!(texts.len(), 2);
    for text in texts {
        let study = format!("{HEAD}{tables}{codes}[cohort]\nfrom = \"patient\"\n{text}{}", super::COUNT);
        let study = bound(&study, &[]).unwrap_or_else(|wrong| panic!("{text}\n{wrong}"));
        assert!(study.features.iter().any(|feature| feature.on.is_some()), "{text}");
        plans(&study);
    }
    let stays = "[[analysis]]\nname = \"a\"\ntable = { by = [\"class\"], show = [\"rows\", \"share(has(encounter, class = 'IMP', after = end_date, within = days(30)))\"] }\n";
    let study = format!("{HEAD}{tables}[cohort]\nfrom = \"encounter\"\ninclude = [\"class = 'IMP'\"]\n{stays}");
    assert_eq!(plans(&bound(&study, &[]).unwrap()).len(), 1);
}
