//! Values that nobody could take for anything else, planted in a hospital's data, looked for in everything that its network writes and serves.
//!
//! Every daemon logs all that it can. Studies are answered and refused, rows are bad, an ingest fails, the list of opt-outs breaks, the configuration is read again: what a row says is in no
//! log, no metric, no error, no command's output, no record and no file, but for the source, and the snapshots that hold it.

use std::fs;
use std::path::{Path, PathBuf};

use bocage_daemon::status::{Page, ask};
use bocage_tests::lab::Lab;
use rustix::process::Signal;

use super::EXE;

const SITES: [&str; 2] = ["north", "south"];

const CONTRACT: &str = r#"
id = "ward@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
required = true
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "sex"
type = "code"
codes = [{ code = "f", label = "female" }, { code = "m", label = "male" }]
[[column]]
name = "weight"
type = "float"
range = [1, 400]
[[column]]
name = "born"
type = "date"
range = ["1900-01-01", "2030-01-01"]
[[column]]
name = "note"
type = "text"
"#;

const HEADER: &str = "patient,age,sex,weight,born,note\n";

/// All that is planted has one of these in it. A date and numbers are found in whatever base a log may print them: as they are written.
const CANARIES: [&str; 5] = ["CANARY", "77.1304519", "987654321", "1931-07-13", "Q0FOQVJZ"];

fn network() -> String {
    let mut text =
        "[publication]\nmin_sites = 2\n[researcher]\nname = \"Lab\"\nmode = \"exact\"\nallow_without_permit = true\n"
            .to_owned();
    for site in SITES {
        text += &format!(
            "[[site]]\nid = \"{site}\"\n[site.dataset.ward]\ncontract = \"ward@1\"\nsource = {{ kind = \"csv\", path = \"data/ward.csv\" }}\n"
        );
    }
    text
}

/// Ordinary patients, and at one hospital some who can be told from all others.
fn rows(site: &str) -> Vec<u8> {
    let note = |i: usize| if i.is_multiple_of(2) { "angina" } else { "gout" };
    let sex = |i: usize| if i.is_multiple_of(3) { "f" } else { "m" };
    let mut text = HEADER.to_owned();
    for i in 0..90 {
        text += &format!("{site}-{i},{},{},{},19{}-02-03,{}\n", 30 + i % 40, sex(i), 50 + i, 30 + i % 60, note(i));
    }
    if site == SITES[0] {
        for i in 0..4 {
            text += &format!("CANARY-PATIENT-{i},41,f,77.1304519,1931-07-13,CANARY-NOTE-{i}\n");
        }
        text += "CANARY-PATIENT-8,987654321,CANARY-CODE,CANARY-WEIGHT,CANARY-BORN,CANARY-NOTE-8\n";
        text += ",40,f,77.1304519,1931-07-13,CANARY-NOTE-OF-NOBODY\n";
        text += "CANARY-TOO-MANY,1,f,2,1931-07-13,a,b,CANARY-FIELDS\n";
        text += "CANARY-TOO-FEW,987654321\n";
        let mut bytes = text.into_bytes();
        bytes.extend(b"CANARY-BYTES-\xff\xfe,50,m,77.1304519,1931-07-13,CANARY\n");
        return bytes;
    }
    text.into_bytes()
}

fn study(name: &str, filter: &str) -> String {
    format!(
        "title = \"{name}\"\npurpose = \"scientific_research\"\ndataset = \"ward@1\"\nwhere = \"{filter}\"\nanswer_within = \"5m\"\nsites = {SITES:?}\n\
         [[analysis]]\nname = \"by_sex\"\ntable = {{ by = [\"sex\"], show = [\"count\", \"mean(weight)\", \"sd(age)\"] }}\n\
         [[analysis]]\nname = \"notes\"\ntable = {{ by = [\"discovered(note)\"], show = [\"count\"] }}\n"
    )
}

/// Everything that was written or served, each with where it was found.
#[derive(Default)]
struct Found(Vec<(String, Vec<u8>)>);

impl Found {
    fn add(&mut self, place: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.0.push((place.into(), text.into()));
    }

    fn said(&mut self, place: &str, (code, out, said): (Option<i32>, String, String)) {
        self.add(format!("{place} ({code:?}), standard output"), out);
        self.add(format!("{place}, standard error"), said);
    }

    /// The files below a folder, but for those that hold rows by their nature.
    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            if kind.is_dir() {
                self.files(&path);
            } else if kind.is_file() && !holds_rows(&path) {
                self.add(path.display().to_string(), fs::read(&path).expect("a file"));
            }
        }
    }

    fn assert_clean(&self) {
        let has = |text: &[u8], canary: &str| text.windows(canary.len()).any(|window| window == canary.as_bytes());
        for (place, text) in &self.0 {
            for canary in CANARIES {
                if has(text, canary) {
                    let text = String::from_utf8_lossy(text);
                    let line = text.lines().find(|line| line.contains(canary)).unwrap_or_default();
                    panic!("{canary} stands in {place}:\n{}", line.chars().take(600).collect::<String>());
                }
            }
        }
    }
}

/// The source, and in the folder of snapshots what an ingest makes of it.
fn holds_rows(path: &Path) -> bool {
    let is_source = path.ends_with("data/ward.csv");
    let is_snapshot = path.extension().is_some_and(|e| e == "arrow" || e == "rows");
    is_source || is_snapshot
}

fn lab() -> Lab {
    let lab = Lab::of(EXE, ("ward.toml", CONTRACT), &network());
    for site in SITES {
        lab.confine_if_possible(site);
        fs::write(lab.site(site).join("data/ward.csv"), rows(site)).expect("data");
    }
    // What the steward's own command is told: all that its environment says.
    let command =
        format!("[steward]\nnotify_command = [\"/bin/sh\", \"-c\", \"env >> {}\"]\n[policy]", told(&lab).display());
    lab.edit_node(SITES[0], "[policy]", &command);
    // Above what is kept from the command nothing can be made.
    fs::write(told(&lab), "").expect("a file");
    let list = list(&lab);
    fs::create_dir(list.parent().expect("a folder")).expect("a folder");
    fs::write(&list, "subject,purpose,date\nCANARY-PATIENT-0,all,\nCANARY-OPTED-OUT,all,1931-07-13\n").expect("a list");
    let config = lab.site(SITES[0]).join("node.toml");
    let text = fs::read_to_string(&config).expect("node.toml");
    fs::write(config, format!("{text}\n[optouts]\nsource = {{ kind = \"csv\", path = {list:?} }}\n"))
        .expect("node.toml");
    lab
}

fn told(lab: &Lab) -> PathBuf {
    lab.path("told")
}

/// Outside the node's own folders.
fn list(lab: &Lab) -> PathBuf {
    lab.path("registry/optouts.csv")
}

#[test]
fn what_a_row_says_is_in_nothing_that_is_written_or_served() {
    let lab = lab();
    let socket = lab.watch_coordinator();
    let env = |of: &str| [(format!("{of}__LOG__LEVEL"), "trace".to_owned())];
    let coordinator = lab.coordinator_with(&env("BOCAGE_COORDINATOR"));
    let nodes: Vec<_> = SITES.iter().map(|site| lab.node(site, &env("BOCAGE_NODE"))).collect();
    lab.wait_for_offers(&SITES);
    let mut found = Found::default();
    let asked = |found: &mut Found, name: &str, filter: &str| {
        let (code, result, said) = lab.study(name, &study(name, filter)).end();
        found.add(format!("the result of {name} ({code})"), result.to_string());
        found.add(format!("{name}, standard error"), said.clone());
        (result, said)
    };
    let (result, said) = asked(&mut found, "everybody", "age >= 18");
    assert!(result.to_string().contains("angina"), "{said}\n{result:#}");
    asked(&mut found, "few", "age = 41");
    asked(&mut found, "nobody", "age = 119");
    asked(&mut found, "wrong", "heigth > 3");

    // A custodian that reads its settings again counts anew: what it has counted is looked at before.
    for site in SITES {
        let metrics = lab.at_node(site, &["metrics"]);
        assert!(metrics.1.contains("decision=\"released\""), "{metrics:?}");
        found.said("metrics", metrics);
    }

    // One that waits for a person, who is told of it, looks at it and refuses.
    let site = SITES[0];
    let reread = |from: &str, to: &str| {
        lab.edit_node(site, from, to);
        let before = nodes[0].lines();
        nodes[0].signal(Signal::HUP);
        nodes[0].wait_for_line_after(before, &["custodian and agent are up"]);
    };
    reread("[policy]", "[policy]\ndecide = \"ask\"");
    let waits = lab.study("waits", &study("waits", "age > 18"));
    nodes[0].wait_for_line(&["the steward was told"]);
    found.add("what the steward's command was told", fs::read(told(&lab)).expect("what it was told"));
    let (_, desk, _) = lab.at_node(site, &["studies", "list", "--format", "json"]);
    found.add("studies list", desk.clone());
    let desk: serde_json::Value = serde_json::from_str(&desk).expect("JSON");
    let id = desk.pointer("/studies/0/study").and_then(|id| id.as_str());
    let id = id.unwrap_or_else(|| panic!("{desk:#}")).to_owned();
    for command in [&["studies", "show", &id][..], &["studies", "refuse", &id, "--reason", "not now"]] {
        let said = lab.at_node(site, command);
        assert_eq!(said.0, Some(0), "{}", said.2);
        found.said(&command.join(" "), said);
    }
    let (code, result, said) = waits.end();
    found.add(format!("the result of what waited ({code})"), result.to_string());
    found.add("what waited, standard error", said);
    reread("decide = \"ask\"", "decide = \"auto\"");

    // A refresh whose source was cut off, a list that is none, and a policy that refuses.
    fs::write(lab.site(site).join("data/ward.csv"), format!("{HEADER}\"CANARY-CUT,1,f,77.1304519")).expect("data");
    let refreshed = lab.at_node(site, &["datasets", "refresh", "ward"]);
    assert_eq!(refreshed.0, Some(1), "{}", refreshed.1);
    found.said("datasets refresh", refreshed);
    fs::write(list(&lab), "CANARY-LIST;all\nCANARY\u{0}\n").expect("a list");
    let (result, said) = asked(&mut found, "a broken list", "age > 19");
    assert!(result.to_string().contains("optouts_unavailable"), "{said}\n{result:#}");
    reread("decide = \"auto\"", "decide = \"refuse\"");
    asked(&mut found, "refused", "age > 20");

    // Below the site's folder, where every file is looked at.
    let (report, tables) = (lab.site(site).join("report.html"), lab.site(site).join("tables"));
    for command in [
        &["datasets"][..],
        &["datasets", "show", "ward"],
        &["datasets", "show", "ward", "--format", "json"],
        &["check"],
        &["metrics"],
        &["health", "--ready"],
        &["ledger", "list"],
        &["ledger", "show", "--format", "json"],
        &["ledger", "export", "--report", report.to_str().expect("UTF-8")],
        &["ledger", "export", "--csv", tables.to_str().expect("UTF-8")],
        &["studies", "list", "--all"],
        &["doctor"],
        &["doctor", "--format", "json"],
    ] {
        found.said(&command.join(" "), lab.at_node(site, command));
    }
    for page in [Page::Health, Page::Ready, Page::Metrics] {
        found.add(page.path(), ask(&socket, page).expect("an answer").1);
    }
    for path in ["/v1/sites", "/v1/datasets", "/v1/studies"] {
        found.add(path, lab.get(path).to_string());
    }
    for (site, node) in SITES.iter().zip(nodes) {
        node.signal(Signal::TERM);
        node.wait_for_line(&["node stopped"]);
        found.add(format!("the log of {site}"), node.log());
        assert_eq!(node.exit_code(), Some(0));
        found.files(&lab.site(site));
    }
    coordinator.signal(Signal::TERM);
    coordinator.wait_for_line(&["stopping"]);
    found.add("the coordinator's log", coordinator.log());
    assert_eq!(coordinator.exit_code(), Some(0));
    found.files(&lab.path("net/coordinator"));
    found.files(&lab.path("net/researcher"));

    // That it would be found: bad rows were counted and shown, logs were as talkative as they can be, and the store was read.
    let of =
        |place: &str| found.0.iter().filter(|(at, _)| at.contains(place)).map(|(_, text)| text.len()).sum::<usize>();
    let sizes =
        ["the log of north", "the coordinator's log", "coordinator.sqlite", "ledger.sqlite", "datasets show"].map(of);
    assert!(sizes.iter().all(|bytes| *bytes > 1000), "{sizes:?}");
    let talkative = found.0.iter().filter(|(_, text)| text.windows(7).any(|word| word == b" TRACE ")).count();
    assert_eq!(talkative, 1 + SITES.len(), "each log");
    found.assert_clean();
}
