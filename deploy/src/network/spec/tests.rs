//! What `network.toml` may say, and what it is told.

use super::*;

const GOOD: &str = r#"
    network = "heart-demo"
    contracts = ["heart.toml"]
    [coordinator]
    quic = "127.0.0.1:4433"
    api = "127.0.0.1:8443"
    [publication]
    min_sites = 1
    [researcher]
    name = "A researcher"
    mode = "exact"
    [[site]]
    id = "cleveland"
    name = "Cleveland Clinic Foundation"
    [site.dataset.heart]
    contract = "heart@1"
    [site.dataset.heart.map]
    disease = "num > 0"
"#;

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

#[test]
fn a_network_is_read_with_its_contracts_and_dataset_blocks() {
    let network = Network::parse(GOOD, "network.toml", &templates()).unwrap();
    assert_eq!(network.contracts[0].name, "heart@1.toml");
    assert_eq!(network.sites[0].datasets["heart"]["map"]["disease"].as_str(), Some("num > 0"));
}

#[test]
fn a_pack_s_contracts_come_beside_the_network_s_own() {
    let with = GOOD.replace("[\"heart.toml\"]", "[\"heart.toml\"]\npacks = [\"omop-5.4\"]");
    let network = Network::parse(&with, "network.toml", &templates()).unwrap();
    let names: Vec<&str> = network.contracts.iter().map(|contract| contract.name.as_str()).collect();
    assert_eq!(names[..2], ["heart@1.toml", "omop-person@540.toml"]);
    let alone = GOOD.replace("contracts = [\"heart.toml\"]", "packs = [\"omop-5.3\"]");
    assert_eq!(Network::parse(&alone, "network.toml", &templates()).unwrap().contracts.len(), 15);
    let wrong = GOOD.replace("contracts = [\"heart.toml\"]", "packs = [\"omop-5.5\", \"omop-5.3\", \"omop-5.3\"]");
    let text = Network::parse(&wrong, "network.toml", &templates()).unwrap_err().to_string();
    assert!(text.contains("packs[0]: there is no pack `omop-5.5`\n  hint: did you mean `omop-5."), "{text}");
    assert!(text.contains("packs[2]: `omop-person@530` is given twice"), "{text}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let bad = GOOD
        .replace("heart.toml", "hart.toml")
        .replace("min_sites = 1", "min_sites = 4\nmin_site = 2")
        .replace("4433", "0")
        .replace("id = \"cleveland\"", "id = \"Cleveland\"");
    let text = Network::parse(&bad, "network.toml", &templates()).unwrap_err().to_string();
    for wanted in [
        "publication.min_site: unknown key\n  hint: did you mean `min_sites`?",
        "contracts[0]: cannot read",
        "coordinator.quic: not an address",
        "publication.min_sites: must be 1 to 1",
        "site[0].id: not a valid site id",
    ] {
        assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
    }
}
