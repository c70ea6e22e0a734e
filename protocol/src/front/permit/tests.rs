//! A permit's text, made typed: what it means, and everything that can be wrong with it.

use super::*;
use crate::contract;
use crate::env::Fixed;
use crate::trust::{SecretKey, SignedPermit};

const GOOD: &str = r#"
    id = "DK-2026/17"
    title = "Heart disease and age"
    network = "heart-lab"
    purposes = ["statistics", "scientific_research"]
    sites = ["hungary", "cleveland"]
    min_sites = 2
    threshold = 11
    mode = "exact"
    max_cells = 1000
    valid_from = 2026-01-01
    valid_to = "2026-12-31"
    [holder]
    name = "Ada"
    organisation = "University"
    key = "KEY"
    [[dataset]]
    id = "heart@1"
    columns = ["sex", "age"]
"#;

fn key(seed: u8) -> SecretKey {
    SecretKey::generate(&mut Fixed(seed))
}

fn good() -> String {
    GOOD.replace("KEY", &key(2).public().to_string())
}

fn parsed(text: &str) -> Result<Permit, Problems> {
    let text_of = "id = \"heart@1\"\nsubject = \"pid\"\n[[column]]\nname = \"pid\"\ntype = \"text\"\nrequired = true\n\
                   [[column]]\nname = \"age\"\ntype = \"int\"\nrange = [0, 120]\n[[column]]\nname = \"sex\"\ntype = \"bool\"\n";
    let contracts = [contract::parse(text_of, "heart.toml").unwrap()];
    let context = PermitContext { issuer: key(1).public(), contracts: Some(&contracts), nonce: [0xab; 16] };
    permit(text, "permit.toml", &context)
}

#[test]
fn a_text_becomes_a_permit_that_can_be_signed_with_lists_sorted_and_whole_days() {
    let permit = parsed(&good()).unwrap();
    SignedPermit::sign(&permit, &key(1)).unwrap().verify().unwrap();
    assert_eq!(permit.purposes, [Purpose::ScientificResearch, Purpose::Statistics]);
    assert_eq!(permit.sites.unwrap()[0].as_str(), "cleveland");
    assert_eq!(permit.datasets[0].columns.as_ref().unwrap()[0].as_str(), "age");
    let times = (permit.valid_from.to_string(), permit.valid_to.to_string());
    assert_eq!(times, ("2026-01-01T00:00:00Z".to_owned(), "2026-12-31T23:59:59Z".to_owned()));
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let text = good()
        .replace("DK-2026/17", "DK 17")
        .replace("\"statistics\"", "\"statistic\"")
        .replace("min_sites = 2", "min_sites = 3\nmin_site = 1")
        .replace("\"exact\"", "\"rough\"")
        .replace("2026-01-01", "\"soon\"")
        .replace("\"sex\", \"age\"", "\"ago\", \"pid\"")
        .replace("name = \"Ada\"", "name = \"\"");
    let told = parsed(&text).unwrap_err().to_string();
    for wanted in [
        "permit.toml: line 8, min_site: unknown key\n  hint: did you mean `min_sites`?",
        "permit.toml: line 2, id: not a valid permit id",
        "permit.toml: line 15, holder.name: not a line of text",
        "permit.toml: line 5, purposes[0]: unknown purpose `statistic`",
        "permit.toml: line 20, dataset[0].columns[0]: heart@1 has no column `ago`\n  hint: did you mean `age`?",
        "permit.toml: line 20, dataset[0].columns[1]: `pid` names the patient",
        "permit.toml: line 7, min_sites: must be at least 1 and at most 2",
        "permit.toml: line 10, mode: unknown mode `rough`",
        "permit.toml: line 12, valid_from: not a date\n  hint: write 2026-12-31",
    ] {
        assert!(told.contains(wanted), "{wanted}\nnot in\n{told}");
    }
}

#[test]
fn a_missing_key_hides_nothing_of_the_sections() {
    let text = good().replace("threshold = 11", "").replace("ed25519:", "ed25518:").replace("heart@1", "hart@1");
    let told = parsed(&text).unwrap_err().to_string();
    for wanted in ["missing field `threshold`", "holder.key: not a public key", "did you mean `heart@1`?"] {
        assert!(told.contains(wanted), "{wanted}\nnot in\n{told}");
    }
}
