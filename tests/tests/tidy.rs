//! The repository's own rules: layering, module docs, file length, what never lands.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bocage_node::custodian::Control;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files_below(&root(), "rs", &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        (name, fs::read_to_string(path).expect("a source file"))
    };
    let all: Vec<_> = paths.iter().map(read).collect();
    assert!(all.len() > 50, "the walk found only {} files", all.len());
    all
}

fn offenders(rule: impl Fn(&str, &str) -> bool) -> Vec<String> {
    sources().into_iter().filter(|(name, text)| rule(name, text)).map(|(name, _)| name).collect()
}

/// What each crate's manifest may name of the others.
fn may_depend_on(package: &str) -> &'static [&'static str] {
    match package {
        "bocage-protocol" => &[],
        "bocage-net" | "bocage-daemon" | "bocage-fhir" => &["bocage-protocol"],
        "bocage-bulk" | "bocage-postgres" | "bocage-keep" => &["bocage-protocol", "bocage-net"],
        "bocage-coordinator" => &["bocage-protocol", "bocage-net", "bocage-daemon", "bocage-keep"],
        "bocage-node" => &[
            "bocage-protocol",
            "bocage-net",
            "bocage-daemon",
            "bocage-keep",
            "bocage-bulk",
            "bocage-fhir",
            "bocage-postgres",
        ],
        "bocage" => &["bocage-protocol", "bocage-net", "bocage-node", "bocage-coordinator"],
        "bocage-tests" => &[
            "bocage-protocol",
            "bocage-net",
            "bocage-daemon",
            "bocage-keep",
            "bocage-fhir",
            "bocage-node",
            "bocage-coordinator",
            "bocage",
        ],
        other => panic!("`{other}` has no place in the layering"),
    }
}

fn manifests() -> BTreeMap<String, toml::Table> {
    [
        "protocol",
        "protocol/net",
        "protocol/daemon",
        "protocol/keep",
        "node/bulk",
        "node/fhir",
        "node/postgres",
        "node",
        "coordinator",
        "deploy",
        "tests",
    ]
    .iter()
    .map(|folder| {
        let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let table: toml::Table = toml::from_str(&text).expect("TOML");
        (table["package"]["name"].as_str().expect("a name").to_owned(), table)
    })
    .collect()
}

fn dependencies(manifest: &toml::Table) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

#[test]
fn crates_depend_in_one_direction_only() {
    for (package, manifest) in manifests() {
        for dependency in dependencies(&manifest).iter().filter(|d| d.starts_with("bocage")) {
            assert!(may_depend_on(&package).contains(&dependency.as_str()), "{package} depends on {dependency}");
        }
    }
}

#[test]
fn only_the_node_knows_polars_and_parquet_and_the_protocol_is_pure() {
    let io = ["tokio", "quinn", "rustls", "getrandom", "rand", "rusqlite", "config", "rcgen"];
    for (package, manifest) in manifests() {
        let mut named = dependencies(&manifest);
        if package == "bocage-tests" {
            // A bench compares with Polars; nothing else of this crate may.
            let dev: Vec<String> =
                manifest["dev-dependencies"].as_table().into_iter().flat_map(|t| t.keys().cloned()).collect();
            named.retain(|name| !dev.contains(name));
        }
        if package != "bocage-node" {
            // The coordinator's client writes a report's tables as Parquet, and opens no such file.
            let of_node = |d: &String| d.starts_with("polars") || (d == "parquet" && package != "bocage-coordinator");
            assert!(!named.iter().any(of_node), "{package} names polars or parquet");
        }
        if package == "bocage-protocol" {
            assert!(!named.iter().any(|d| io.contains(&d.as_str())), "the protocol does I/O");
        }
    }
    let of_parquet = |name: &str, text: &str| name.starts_with("coordinator/") && text.contains("parquet::file");
    assert_eq!(offenders(of_parquet), ["coordinator/src/report/folder/parquet.rs"]);
    let impure = ["std::fs", "std::net", "std::time::SystemTime", "Instant::now", "std::env::var", "std::thread"];
    let found = offenders(|name, text| name.starts_with("protocol/src/") && impure.iter().any(|i| text.contains(i)));
    assert_eq!(found, Vec::<String>::new(), "impure");
}

#[test]
fn bincode_is_named_in_one_file() {
    let named = |name: &str, text: &str| !name.starts_with("tests/") && text.contains("bincode::");
    assert_eq!(offenders(named), ["protocol/src/wire/codec.rs"]);
}

#[test]
fn releases_are_signed_behind_the_gate_only() {
    let ways = ["SignedRelease::sign(", "SignedRelease::of_bytes(", "SignedCheckpoint::sign("];
    let signs = |name: &str, text: &str| name.starts_with("node/src") && ways.iter().any(|way| text.contains(way));
    let found = offenders(signs);
    assert!(!found.is_empty() && found.iter().all(|name| name.starts_with("node/src/custodian/gate")), "{found:?}");
}

#[test]
fn commands_write_by_what_bears_a_closed_pipe() {
    let printing = concat!("print", "ln!(");
    let panics =
        |line: &str| !line.trim_start().starts_with("//") && (line.contains(printing) || line.contains("print!("));
    let of_tests = |name: &str| name.starts_with("tests/") || name.contains("/tests/");
    let found = offenders(|name, text| !of_tests(name) && text.lines().any(panics));
    assert_eq!(found, Vec::<String>::new(), "it panics where nobody reads");
}

#[test]
fn every_module_says_what_it_is_for() {
    assert_eq!(offenders(|_, text| !text.starts_with("//!")), Vec::<String>::new(), "no //!");
}

#[test]
fn no_file_is_longer_than_500_lines() {
    assert_eq!(offenders(|_, text| text.lines().count() > 500), Vec::<String>::new(), "too long");
}

#[test]
fn nothing_unfinished_or_ignored_lands() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    assert_eq!(offenders(|_, text| marks.iter().any(|m| text.contains(m))), Vec::<String>::new());
}

#[test]
fn unsafe_code_is_denied_everywhere() {
    let workspace: toml::Table =
        toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).expect("a manifest")).expect("TOML");
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("deny"));
    for (package, manifest) in manifests() {
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{package} does not inherit the lints");
    }
}

#[test]
fn no_switch_for_tests_is_compiled_into_the_product() {
    for (package, manifest) in manifests() {
        assert!(!manifest.contains_key("features"), "{package} has Cargo features");
    }
}

#[test]
fn a_nodes_controls_are_each_consulted_in_one_place_and_taken_away_by_attacks_alone() {
    let defined = "node/src/custodian/controls.rs";
    let consulting: Vec<(String, String)> =
        sources().into_iter().filter(|(name, _)| name.starts_with("node/src/") && name != defined).collect();
    for control in Control::ALL {
        // As the only argument or as the first of two.
        let asks = [")", ","].map(|end| format!("(Control::{control:?}{end}"));
        let times = |text: &str| asks.iter().map(|asks| text.matches(asks.as_str()).count()).sum::<usize>();
        let all: usize = consulting.iter().map(|(_, text)| times(&text.split_whitespace().collect::<String>())).sum();
        assert_eq!(all, 1, "{control:?}");
    }
    let takes_away = concat!(".with", "out(");
    let elsewhere = |name: &str, text: &str| {
        let attacks = ["tests/tests/attacks/", "tests/src/lifted.rs"];
        name != defined && !attacks.iter().any(|attack| name.starts_with(attack)) && text.contains(takes_away)
    };
    assert_eq!(offenders(elsewhere), Vec::<String>::new(), "controls are taken away");
}

#[test]
fn every_check_of_the_doctor_stands_in_the_manual_with_its_remedy() {
    let manual = fs::read_to_string(root().join("docs/OPERATING.md")).expect("the manual");
    let (_, table) = manual.split_once("## Doctor").expect("the doctor");
    let (table, _) = table.split_once("\n## ").expect("the next section");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let listed: Vec<&str> = lines.iter().map(|cells| cells[1].trim_matches('`')).collect();
    let checks: Vec<&str> = bocage_keep::doctor::Check::ALL.iter().map(|check| check.as_str()).collect();
    assert_eq!(listed, checks, "a line | `CHECK` | what | what to do | for each, in the order of Check::ALL");
    assert!(lines.iter().all(|cells| cells.len() == 5 && !cells[3].is_empty()), "each has a remedy");
}

#[test]
fn every_error_code_stands_in_the_manual_with_its_remedy() {
    let manual = fs::read_to_string(root().join("docs/OPERATING.md")).expect("the manual");
    let (_, table) = manual.split_once("## Error codes").expect("the list");
    let lines =
        || table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").collect::<Vec<_>>());
    let listed: Vec<&str> = lines().map(|cells| cells[0].trim_matches(['|', '`', ' '])).collect();
    let codes: Vec<&str> = bocage_protocol::ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let missing: Vec<_> = codes.iter().filter(|code| !listed.contains(code)).collect();
    let unknown: Vec<_> = listed.iter().filter(|code| !codes.contains(code)).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "docs/OPERATING.md, \"## Error codes\": add a line | `CODE` | meaning | what to do | for each of {missing:?}, remove those of {unknown:?}"
    );
    assert_eq!(listed, codes, "the lines stand in the order of ErrorCode::ALL");
    let empty: Vec<&str> = lines()
        .filter(|cells| cells.len() != 3 || cells.iter().any(|cell| cell.trim_matches(['|', ' ']).is_empty()))
        .map(|cells| cells[0])
        .collect();
    assert_eq!(empty, Vec::<&str>::new(), "each says what it means and what to do");
}

#[test]
fn every_filter_of_the_soak_names_tests_that_there_are() {
    let soak = fs::read_to_string(root().join("tests/soak.sh")).expect("the soak");
    let filters: Vec<&str> =
        soak.lines().filter_map(|line| line.strip_prefix("hold ")?.split(' ').nth(1)).filter(|f| *f != "''").collect();
    assert!(filters.len() > 3, "{filters:?}");
    let sources = sources();
    for filter in filters {
        let last = filter.rsplit("::").next().unwrap_or(filter);
        let named = |text: &str| text.contains(&format!("mod {last};")) || text.contains(&format!("fn {last}"));
        assert!(sources.iter().any(|(_, text)| named(text)), "tests/soak.sh: no test has {filter} in its name");
    }
}
