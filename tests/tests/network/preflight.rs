//! What `study check` tells of sites that differ, before one of them is asked: over real processes, and without a row.

use serde_json::Value;

use super::*;

const STUDY: &str = "title = \"Lab\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\n";
const ANALYSIS: &str = "[[analysis]]\nname = \"t\"\ntable = { by = [\"sex\"], show = [\"count\", \"mean(chol)\", \"share(slope = '1')\"] }\n";

/// Two sites that differ from the others in what they offer, and one that is away.
fn differing() -> (Lab, Process, Vec<Process>) {
    let lab = Lab::new(EXE);
    lab.edit_node("hungary", "contract = \"heart@1\"", "contract = \"heart@1\"\nabsent = [\"slope\", \"thal\"]");
    edit_contract(&lab, "cleveland", "unit  = \"mg/dL\"", "unit  = \"mmol/L\"");
    let here = ["cleveland", "hungary", "long-beach"];
    // With a snapshot from the start the first catalogue is whole.
    for site in here {
        let (code, _, error) = lab.at_node(site, &["datasets", "refresh", "heart"]);
        assert_eq!(code, Some(0), "{site}: {error}");
    }
    let coordinator = lab.coordinator();
    let nodes = here.map(|site| lab.node(site, &[])).into();
    for site in here {
        coordinator.wait_for_line(&["connected", site]);
    }
    lab.wait_for_offers(&here);
    (lab, coordinator, nodes)
}

fn edit_contract(lab: &Lab, site: &str, from: &str, to: &str) {
    let folder = lab.site(site).join("contracts");
    let file = std::fs::read_dir(folder).expect("contracts").next().expect("a contract").expect("a file").path();
    let text = std::fs::read_to_string(&file).expect("the contract");
    assert!(text.contains(from), "{text}");
    std::fs::write(file, text.replacen(from, to, 1)).expect("written");
}

/// `study check` of this text: exit code, standard output, standard error.
fn check(lab: &Lab, text: &str, format: &str) -> (Option<i32>, String, String) {
    let file = lab.path("check.toml");
    std::fs::write(&file, text).expect("a study");
    let output = lab.run(&["study", "check", file.to_str().expect("UTF-8"), "--format", format]);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_study_check_tells_which_column_is_missing_where_and_whose_units_differ_before_anybody_is_asked() {
    let (lab, _coordinator, _nodes) = differing();
    let (code, out, error) = check(&lab, &format!("{STUDY}{ANALYSIS}"), "text");
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("would ask 2 sites (hungary, long-beach)"), "{out}");
    let unknown = "\nrows    not known: no site says how many it has";
    assert!(
        out.contains(unknown)
            && out.contains("\nrounds  1\ntime    estimated by the columns it reads and not measured, "),
        "{out}"
    );
    for line in [
        "hungary: slope is not collected: missing in every row\n",
        "cleveland: its contract of that name and version says something else, so it would refuse\n",
        "cleveland: chol has the unit mmol/L, not mg/dL\n",
    ] {
        assert!(out.contains(line), "{line}not in\n{out}");
    }
    assert!(!out.contains("thal"), "the study does not read it:\n{out}");
    assert!(!out.contains("long-beach: "), "{out}");
    // A site that is named and away is told as that.
    let named = format!("{STUDY}sites = [\"cleveland\", \"hungary\", \"switzerland\"]\n{ANALYSIS}");
    let (code, out, error) = check(&lab, &named, "json");
    assert_eq!(code, Some(0), "{error}");
    let told: Value = serde_json::from_str(&out).expect("JSON");
    let looks = told["looks"].as_array().expect("looks");
    let of = |site: &str| looks.iter().find(|look| look["site"] == site).expect("the site");
    assert_eq!(of("switzerland")["notes"], serde_json::json!([{"what": "offline"}]));
    assert_eq!(of("hungary")["notes"], serde_json::json!([{"what": "not_collected", "column": "slope"}]));
    let unit = serde_json::json!({"what": "unit", "column": "chol", "there": "mmol/L", "here": "mg/dL"});
    assert_eq!(of("cleveland")["notes"], serde_json::json!([{"what": "other_content"}, unit]));
    assert_eq!((&of("cleveland")["asked"], &of("long-beach")["asked"]), (&true.into(), &false.into()));
    // None of them was asked anything about the study.
    for site in ["cleveland", "hungary"] {
        let (_, list, _) = lab.at_node(site, &["ledger", "list", "--format", "json"]);
        assert!(!list.contains("Lab"), "{list}");
    }
    // What an answer took and counted is known to who got it.
    std::fs::write(lab.path("asked.toml"), format!("{STUDY}{ANALYSIS}")).expect("a study");
    let ran = lab.run(&["study", "run", lab.path("asked.toml").to_str().expect("UTF-8")]);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let (_, out, error) = check(&lab, &named, "json");
    let told: Value = serde_json::from_str(&out).expect(&error);
    let estimate = &told["estimate"];
    assert!(estimate["rows"]["at_least"].as_u64().is_some_and(|rows| (200..=490).contains(&rows)), "{estimate}");
    assert_eq!((&estimate["rows"]["sites"], &estimate["rounds"]), (&2.into(), &1.into()), "{estimate}");
    let measured = &estimate["measured"];
    assert_eq!(
        (&measured["answers"], &measured["without"]),
        (&1.into(), &serde_json::json!(["cleveland", "switzerland"])),
        "{estimate}"
    );
    assert!(measured["round_secs_to"].as_f64().is_some_and(|secs| secs > 0.0), "{estimate}");
    let (_, out, _) = check(&lab, &format!("{STUDY}{ANALYSIS}"), "text");
    assert!(out.contains(", as the last answer on this dataset took at the slowest site"), "{out}");
}

#[test]
fn sites_and_datasets_tell_what_is_not_collected() {
    let (lab, _coordinator, _nodes) = differing();
    let said = |args: &[&str]| String::from_utf8(lab.run(args).stdout).expect("UTF-8");
    let sites = said(&["sites"]);
    assert!(sites.contains("heart@1 without slope, thal"), "{sites}");
    let dataset = said(&["datasets", "heart@1"]);
    for line in ["hungary: snapshot of ", ", without slope, thal\n", "cleveland: another content ("] {
        assert!(dataset.contains(line), "{line} not in\n{dataset}");
    }
    let listed: Value = serde_json::from_str(&said(&["sites", "--format", "json"])).expect("JSON");
    let hungary = listed["sites"].as_array().expect("sites").iter().find(|s| s["id"] == "hungary").expect("the site");
    assert_eq!(hungary["datasets"][0]["absent"], serde_json::json!(["slope", "thal"]));
    assert_eq!(hungary["datasets"][0]["columns"], Value::Null, "the coordinator holds the contract");
}

#[test]
fn a_study_that_wants_newer_snapshots_asks_nobody_who_has_older_ones() {
    let (lab, _coordinator, _nodes) = differing();
    let (code, _, error) = check(&lab, &format!("{STUDY}snapshot_not_before = \"2020-01-01\"\n{ANALYSIS}"), "text");
    assert_eq!(code, Some(0), "{error}");
    let wanting =
        |more: &str| check(&lab, &format!("{STUDY}{more}snapshot_not_before = \"2999-01-01\"\n{ANALYSIS}"), "text");
    let (code, _, error) = wanting("");
    assert_eq!(code, Some(1));
    assert!(
        error.contains("snapshot_not_before: no site has a snapshot of 2999-01-01 or later\n  hint: the newest is of "),
        "{error}"
    );
    let (code, _, error) = wanting("sites = [\"hungary\", \"long-beach\"]\n");
    assert_eq!(code, Some(1));
    assert!(
        error.contains("sites[0]: `hungary` has a snapshot of ") && error.contains("sites[1]: `long-beach`"),
        "{error}"
    );
    let (code, _, error) = check(&lab, &format!("{STUDY}snapshot_not_before = \"1.1.2026\"\n{ANALYSIS}"), "text");
    assert_eq!(code, Some(1));
    assert!(error.contains("snapshot_not_before: `1.1.2026` is not a day\n  hint: write it as YYYY-MM-DD"), "{error}");
}

#[test]
fn a_study_that_is_wrong_in_ordinary_ways_is_told_all_at_once_with_lines_and_another_file_is_named() {
    let lab = Lab::new(EXE);
    let _coordinator = lab.coordinator();
    let wrong = "title = \"t\"\npurpose = \"statistics\"\ndataset = \"heart\"\nsites = [\"x\", \"clevland\"]\nwhere = \"sex = female\"\n\
                 [[analysis]]\nname = \"a\"\nkmeans = { columns = [\"age\"], k = 3 }\n";
    let (code, _, said) = check(&lab, wrong, "text");
    assert_eq!(code, Some(1));
    for line in [
        "check.toml: line 3, dataset: `heart` says no version\n  hint: did you mean `heart@1`?",
        "line 4, sites[0]: there is no site `x` in this network\n  hint: `bocage sites` lists them",
        "line 4, sites[1]: there is no site `clevland` in this network\n  hint: did you mean `cleveland`?",
        "line 5, where: `female` is no column\n  hint: a code stands in single quotes: '0' (female)",
        "line 8, analysis[0] (a).kmeans.k: unknown key\n  hint: did you mean `clusters`?",
    ] {
        assert!(said.contains(line), "{line}\nnot in\n{said}");
    }
    let (code, _, said) = check(&lab, "id = \"a@1\"\nsubject = \"row\"\n[[column]]\nname = \"a\"\n", "text");
    assert_eq!(code, Some(1));
    assert!(
        said.contains(
            "check.toml: this is a contract, and a study is wanted here\n  hint: `bocage network contract check"
        ),
        "{said}"
    );
    let nothing = lab.run(&["datasets", "hart@1"]);
    let said = String::from_utf8_lossy(&nothing.stderr);
    assert!(said.contains("did you mean `heart@1`?"), "{said}");
}
