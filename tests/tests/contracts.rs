//! `bocage network contract` as a person uses it: drafts of real files, and what is said of bad ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bocage_protocol::contract;
use serde_json::Value;

const HEART: &str = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num";

/// The real files, and how a person asks for a draft of each.
const DRAFTS: [(&str, &str, &[&str]); 5] = [
    ("heart", "heart/cleveland.csv", &["--name", "heart", "--no-header", "--columns", HEART]),
    ("long-beach", "heart/long-beach.csv", &["--no-header", "--columns", HEART, "--k", "20"]),
    ("person", "omop/person.csv", &["--subject", "person_id"]),
    ("drug-exposure", "omop/drug_exposure.csv", &["--subject", "person_id"]),
    ("drug-exposure", "omop/drug_exposure.parquet", &["--subject", "person_id"]),
];

fn bocage(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output: Output =
        Command::new(env!("CARGO_BIN_EXE_bocage-lab")).args(args).current_dir(dir).output().expect("the command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn draft(file: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let from = file.to_str().expect("UTF-8");
    bocage(&tests(), &[&["network", "contract", "new", "--from", from], flags].concat())
}

#[test]
fn drafts_of_real_files_are_these_and_parse_as_contracts() {
    for (name, file, flags) in DRAFTS {
        let (code, found, said) = draft(&tests().join("data").join(file), flags);
        assert_eq!(code, Some(0), "{file}: {said}");
        let parsed = contract::parse(&found, file).unwrap_or_else(|problems| panic!("{file}: {problems}"));
        assert_eq!(parsed.id().name(), name);
        let golden = tests().join(format!("golden/drafts/{name}.toml"));
        assert_eq!(found, std::fs::read_to_string(&golden).unwrap_or_default(), "found:\n{found}");
    }
}

/// Each value of each file, read by nothing of ours, with who has it.
fn rare(file: &str, subject: Option<usize>, header: bool, k: usize) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(tests().join("data").join(file)).expect("the data");
    let mut lines = text.lines();
    let names: Vec<String> = match header {
        true => lines.next().expect("a header").split(',').map(str::to_owned).collect(),
        false => HEART.split(',').map(str::to_owned).collect(),
    };
    let mut who: HashMap<(String, String), std::collections::HashSet<String>> = HashMap::new();
    for (row, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let holder = subject.map_or_else(|| row.to_string(), |at| fields[at].to_owned());
        for (name, field) in names.iter().zip(&fields) {
            let plain = field.parse::<f64>().map_or_else(|_| (*field).to_owned(), |x| x.to_string());
            who.entry((name.clone(), plain)).or_default().insert(holder.clone());
        }
    }
    who.into_iter().filter(|(_, holders)| holders.len() < k).map(|(value, _)| value).collect()
}

#[test]
fn no_value_that_few_patients_have_stands_in_a_draft() {
    for ((name, file, _), subject) in DRAFTS.iter().zip([None, None, Some(0), Some(1)]) {
        let text = std::fs::read_to_string(tests().join(format!("golden/drafts/{name}.toml"))).expect("a draft");
        let k = if *name == "long-beach" { 20 } else { 11 };
        let rare = rare(file, subject, subject.is_some(), k);
        assert!(rare.len() > 20, "{file}");
        let mut column = String::new();
        for line in text.lines().map(|line| line.trim_start_matches("# ").trim()) {
            if let Some(name) = line.strip_prefix("name = \"") {
                column = name.trim_end_matches('"').to_owned();
            }
            let values = line.split(['"', '[', ']', ',', ' ']).filter(|part| !part.is_empty());
            // A range may begin or end at 0 whoever has it.
            let is_value = line.starts_with("range") || line.starts_with("{ code");
            for value in values.filter(|value| is_value && *value != "0") {
                let plain = value.parse::<f64>().map_or_else(|_| value.to_owned(), |x| x.to_string());
                assert!(!rare.contains(&(column.clone(), plain)), "{file}: {value} of {column} in\n{text}");
            }
        }
    }
}

#[test]
fn a_draft_says_which_lines_it_passed_over_and_which_dates_may_be_moments() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut file = b"id,birth_date,admission_date,note\n".to_vec();
    for i in 0..30 {
        file.extend(format!("p{i},19{}-01-05,2020-02-{:02},x\n", 50 + i, 1 + i % 28).bytes());
    }
    file.extend(b"p30,1950-01-05,2020-02-01,M\xfcller\np31,1950-01-05,2020-02-01,J\xf6rg\n");
    let path = dir.path().join("stays.csv");
    std::fs::write(&path, file).expect("a file");
    let (code, found, said) = draft(&path, &["--subject", "id"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 lines were left out: not UTF-8\n  hint: save the file as UTF-8"), "{said}");
    let commented = |line: &str| found.lines().any(|found| found.starts_with(line));
    assert!(commented("# birth = \"birth_date\"") && commented("# time = \"admission_date\""), "{found}");
    assert!(!found.lines().any(|line| line.starts_with("birth =") || line.starts_with("time =")), "{found}");
}

#[test]
fn a_file_that_no_contract_can_be_drafted_from_is_refused_with_place_and_hint() {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = |row: &str| format!("id,sex\n{}", format!("{row}\n").repeat(50));
    let unique: String = (0..60).map(|i| format!("p{i}\n")).collect();
    let cases: [(&str, Vec<u8>, &[&str], &str); 22] = [
        ("gone.csv", vec![], &[], "gone.csv: there is no such file\n  hint: the path is taken from"),
        ("a.xlsx", b"PK".to_vec(), &[], "the command line: --from: a.xlsx is neither .csv nor .parquet\n  hint: "),
        ("empty.csv", vec![], &[], "empty.csv: no usable row: the file is empty"),
        ("header.csv", b"a,b\n".to_vec(), &[], "header.csv: no usable row: the file has no rows"),
        (
            "few.csv",
            b"a,b\n1,2\n".to_vec(),
            &[],
            "few.csv: it has fewer than 11 rows, so nothing could be said of it\n  hint: ",
        ),
        ("one.csv", rows("p,f").into(), &["--subject", "id"], "it has fewer than 11 patients"),
        (
            "bare.csv",
            b"63,1\n".repeat(50),
            &[],
            "bare.csv: its columns have numbers for names\n  hint: if the first line is a row",
        ),
        (
            "subject.csv",
            rows("p,f").into(),
            &["--subject", "idd"],
            "there is no column `idd`\n  hint: did you mean `id`?",
        ),
        (
            "semicolon.csv",
            b"a;b\n1;2\n".to_vec(),
            &[],
            "the header is one column, with `;` in it\n  hint: say --delimiter ",
        ),
        (
            "delimiter.csv",
            rows("p,f").into(),
            &["--delimiter", ";;"],
            "the command line: delimiter: must be one character",
        ),
        (
            "nameless.csv",
            rows("p,f").into(),
            &["--no-header"],
            "columns: needed where the file has no header\n  hint: list the file's columns in order: --columns age,sex",
        ),
        ("twice.csv", b"A,a\n1,2\n".to_vec(), &[], "columns 1 and 2 have the same name"),
        ("columns.csv", rows("p,f").into(), &["--columns", "a,b,c"], "the header has 2 columns, --columns names 3"),
        ("lines.csv", b"a,b\n\"x\ny\",1\n1,2\n".to_vec(), &[], "say --multi-line"),
        ("utf16.csv", b"\xFF\xFEa\0,\0b\0".to_vec(), &[], "utf16.csv: the file is UTF-16\n  hint: save it as UTF-8"),
        ("latin.csv", b"a,b\nM\xFCller,1\n".to_vec(), &[], "latin.csv: no usable row: no line is UTF-8"),
        ("quote.csv", b"a,b\n1,2\n\"1,2\n3,4\n".to_vec(), &[], "quote.csv: line 3: "),
        ("cut.csv", [rows("p,f").into_bytes(), b"p".to_vec()].concat(), &[], "cut.csv: line 52: "),
        ("csv.parquet", rows("p,f").into(), &[], "csv.parquet: it is no Parquet file\n  hint: if it is a CSV file"),
        (
            "parquet.csv",
            std::fs::read(tests().join("data/omop/person.parquet")).expect("the data"),
            &[],
            "parquet.csv: it is a Parquet file\n  hint: let its name end with .parquet",
        ),
        ("ids.csv", format!("patient\n{unique}").into(), &[], "ids.csv: no column can be drafted\n  hint: "),
        (
            "Ünï.csv",
            rows("p,f").into(),
            &["--name", "My Heart"],
            "the command line: --name: `My Heart` cannot be a contract's name\n  hint: ",
        ),
    ];
    for (name, content, flags, wanted) in cases {
        let file = dir.path().join(name);
        if name != "gone.csv" {
            std::fs::write(&file, content).expect("written");
        }
        let args = [&["network", "contract", "new", "--from", name], flags].concat();
        let (code, out, said) = bocage(dir.path(), &args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{name}: {said}");
        assert!(said.contains(wanted) && said.starts_with("error: "), "{name}: {wanted}\nnot in\n{said}");
    }
}

#[test]
fn a_threshold_below_three_is_refused() {
    let (code, _, said) = draft(&tests().join("data/omop/person.csv"), &["--k", "2"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("invalid value '2' for '--k <K>'"), "{said}");
}

#[test]
fn a_draft_is_checked_compared_and_its_problems_are_told_all_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = std::fs::read_to_string(tests().join("golden/drafts/heart.toml")).expect("a draft");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("a.toml", &golden);
    let run = |args: &[&str]| bocage(dir.path(), &[&["network", "contract"], args].concat());
    let (code, out, _) = run(&["check", "a.toml"]);
    assert!(
        code == Some(0) && out.starts_with("a.toml: no problems: heart@1 (") && out.ends_with(" 14 columns\n"),
        "{out}"
    );
    let several = std::fs::read_to_string(tests().join("golden/drafts/person.toml")).expect("a draft");
    write("several.toml", &several);
    let (code, out, _) = run(&["check", "several.toml"]);
    assert!(code == Some(0) && out.contains("\n  note: a patient can have several rows: no total leaves"), "{out}");
    write("several.toml", &several.replace("# one_row_per_subject", "one_row_per_subject"));
    let (code, out, _) = run(&["check", "several.toml"]);
    assert!(code == Some(0) && out.lines().count() == 1, "{out}");
    let b = golden.replace("type = \"int\"\nrange = [0, 80]", "type = \"int\"\nrange = [0, 75]\nunit = \"a\"");
    assert_ne!(b, golden);
    write("b.toml", &format!("{b}\n[[rule]]\nname = \"young\"\ncheck = \"age < 75\"\n"));
    let (code, out, _) = run(&["check", "b.toml"]);
    assert!(code == Some(0) && out.ends_with(" 14 columns, 1 rule\n"), "{out}");
    let (code, out, _) = run(&["diff", "a.toml", "b.toml"]);
    assert_eq!(code, Some(0));
    for wanted in [
        "\nbreaking  age.range narrowed: 0 to 80, now 0 to 75\n",
        "\nbreaking  age.unit: none before, now a\n",
        "\n          rule.young added: age < 75 (keep)\n",
        "Both have one name and version",
    ] {
        assert!(out.contains(wanted), "{wanted}\nnot in\n{out}");
    }
    let (_, out, _) = run(&["diff", "a.toml", "b.toml", "--format", "json"]);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&told["breaking"], &told["same_version"], &told["changes"][0]["kind"]),
        (&true.into(), &true.into(), &"narrowed".into())
    );
    let (_, out, _) = run(&["diff", "a.toml", "a.toml"]);
    assert!(out.ends_with("the same columns and rules\n"), "{out}");
    // Two contents under one name, beside two that are no contracts.
    write("c.toml", &golden.replace("\"float\"", "\"flaot\""));
    let (code, out, said) = run(&["check", "a.toml", "b.toml", "c.toml", "d.toml"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for wanted in [
        "error: 4 problems found",
        "b.toml: id: a.toml is heart@1 too, with another content\n  hint: a changed contract is a new version: heart@2",
        "c.toml: line 115, column[9] (oldpeak).type: unknown type `flaot`",
        "d.toml: cannot read d.toml: ",
    ] {
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
    let (code, _, said) = run(&["diff", "c.toml", "d.toml"]);
    assert!(code == Some(1) && said.contains("c.toml: ") && said.contains("d.toml: "), "{said}");
}
