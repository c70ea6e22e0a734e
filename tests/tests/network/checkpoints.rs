//! A ledger that was cut off or put back has a chain that holds: what the coordinator remembers of it tells.

use std::path::Path;

use bocage_protocol::trust::KeptCheckpoints;
use bocage_tests::lab::{HOSPITALS, Lab};

use super::{EXE, everyone, study};

const SITE: &str = HOSPITALS[0];

fn config(lab: &Lab) -> String {
    lab.site(SITE).join("node.toml").to_str().expect("UTF-8").to_owned()
}

/// What the coordinator remembers, in a file.
fn fetch(lab: &Lab, name: &str) -> (String, KeptCheckpoints) {
    let output = lab.run(&["checkpoint", SITE]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = lab.path(name);
    std::fs::write(&file, &output.stdout).expect("the file");
    (file.to_str().expect("UTF-8").to_owned(), serde_json::from_slice(&output.stdout).expect("checkpoints"))
}

fn verify(lab: &Lab, more: &[&str]) -> (Option<i32>, String) {
    let config = config(lab);
    let output = lab.run(&[&["node", "ledger", "verify", "--config", &config], more].concat());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code(), said)
}

/// Takes records off the ledger's end, as somebody would who owns the file.
fn cut(ledger: &Path, from: u64) {
    let sql = rusqlite::Connection::open(ledger).expect("the ledger");
    sql.execute_batch("drop trigger record_no_delete").expect("dropped");
    assert!(sql.execute("delete from record where seq >= ?1", [from as i64]).expect("deleted") > 0);
}

#[test]
fn a_ledger_that_was_cut_off_is_found_at_the_hospital_and_noticed_by_the_coordinator_even_after_it_has_grown_again() {
    let lab = Lab::new(EXE);
    let (coordinator, mut nodes) = everyone(&lab);
    let unknown = lab.run(&["checkpoint", SITE]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("(not_found)"));
    lab.study("first", &study("5m")).published();
    lab.study("second", &study("5m")).published();
    let (file, kept) = fetch(&lab, "kept.json");
    assert_eq!(kept.contradiction, None);
    let (code, said) = verify(&lab, &["--checkpoint", &file]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("it has all {} records", kept.newest.checkpoint.records)), "{said}");

    nodes.remove(0).kill();
    // More than the steward's word and the next study add before its release.
    cut(&lab.site(SITE).join("state/ledger.sqlite"), kept.newest.checkpoint.records - 8);
    assert_eq!(verify(&lab, &[]).0, Some(0), "the chain itself holds");
    let (code, said) = verify(&lab, &["--checkpoint", &file]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("records were cut off its end") && said.contains("hint: "), "{said}");

    let from = coordinator.lines();
    let _node = lab.node(SITE, &[]);
    // Told what the coordinator remembers, it answers nothing until a person has spoken.
    coordinator.wait_for_line_after(from, &["connected", SITE]);
    let (code, _, said) = lab.at_node(SITE, &["ledger", "accept-restored", "--checkpoint", &file]);
    assert!(code == Some(1) && said.contains("records were cut off its end"), "{said}");
    let (code, _, said) = lab.at_node(SITE, &["ledger", "accept-restored", "--i-know-what-was-lost"]);
    assert_eq!(code, Some(0), "{said}");
    for (n, title) in ["third", "fourth", "fifth"].into_iter().enumerate() {
        // Another question each time, so that each is recorded with all that belongs to it.
        let text = study("5m").replace("between 30 and 80", &format!("between {} and 80", 31 + n));
        lab.study(title, &text).published();
    }
    coordinator.wait_for_line(&["contradicts itself", SITE]);
    let sites = lab.run(&["sites"]);
    let said = String::from_utf8_lossy(&sites.stdout).into_owned();
    assert!(said.contains(&format!("the ledger of {SITE} contradicts itself")), "{said}");
    let (file, grown) = fetch(&lab, "grown.json");
    assert!(grown.newest.checkpoint.records > kept.newest.checkpoint.records, "it has grown past the place");
    assert_eq!(grown.contradiction.expect("it is remembered").known, kept.newest);
    let (code, said) = verify(&lab, &["--checkpoint", &file]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not the one that stood there"), "{said}");
}

#[test]
fn a_checkpoint_of_another_site_or_one_that_was_altered_accuses_nobody() {
    let lab = Lab::new(EXE);
    let _everyone = everyone(&lab);
    lab.study("first", &study("5m")).published();
    let (_, kept) = fetch(&lab, "kept.json");
    let other = lab.run(&["checkpoint", HOSPITALS[1]]);
    let file = lab.path("other.json");
    std::fs::write(&file, other.stdout).expect("the file");
    let (code, said) = verify(&lab, &["--checkpoint", file.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the checkpoint is of site"), "{said}");
    let mut altered = kept;
    altered.newest.checkpoint.records += 1000;
    std::fs::write(&file, serde_json::to_vec(&altered).expect("JSON")).expect("the file");
    let (code, said) = verify(&lab, &["--checkpoint", file.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1));
    assert!(said.contains("not signed by the site's release key") && said.contains("proves nothing"), "{said}");
    std::fs::write(&file, "{}").expect("the file");
    assert!(verify(&lab, &["--checkpoint", file.to_str().expect("UTF-8")]).1.contains("holds no checkpoint"));
}

#[test]
fn the_ledger_is_listed_shown_and_exported_for_people() {
    let lab = Lab::new(EXE);
    let _everyone = everyone(&lab);
    lab.study("first", &study("5m").replace("\"Lab\"", "\"<script>Lab\"")).published();
    let config = config(&lab);
    let run = |args: &[&str]| {
        let output = lab.run(&[&["node", "ledger"], args, &["--config", &config]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let list: serde_json::Value = serde_json::from_str(&run(&["list", "--format", "json"])).expect("JSON");
    let (id, title) = (list[0]["study"].as_str().expect("an id"), list[0]["title"].as_str().expect("a title"));
    assert_eq!((title, &list[0]["state"]), ("<script>Lab", &serde_json::json!("released")));
    let line = run(&["list", "--researcher", "lab", "--since", "2020-01-01"]);
    assert!(line.contains(&id[..12]) && line.contains("scientific_research"), "{line}");
    assert_eq!(run(&["list", "--since", "2999-01-01"]).lines().count(), 1, "the headings alone");
    let story = run(&["show", &id[..10]]);
    for wanted in ["who ", "purpose ", "allowed ", "by_sex", "sex = female", " patients, "] {
        assert!(story.contains(wanted), "{wanted}\nnot in\n{story}");
    }
    let (page, tables) = (lab.path("report.html"), lab.path("tables"));
    let (page_name, tables_name) = (page.to_str().expect("UTF-8"), tables.to_str().expect("UTF-8"));
    run(&["export", "--report", page_name, "--csv", tables_name]);
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains("&lt;script&gt;Lab") && !page.contains("<script"), "{page}");
    let cells = std::fs::read_to_string(tables.join("cells.csv")).expect("the cells");
    assert!(cells.contains("sex = female"), "{cells}");
    assert!(tables.join("studies.csv").exists() && tables.join("records.csv").exists());
    let nothing = lab.run(&["node", "ledger", "export", "--config", &config]);
    assert_eq!(nothing.status.code(), Some(1));
}
