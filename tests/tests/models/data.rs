//! The data of these tests, split over its sites.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bocage_tests::federation::Federation;
use serde_json::Value;

pub const HEART: &str = r#"
    id = "heart@1"
    subject = "row"
    column = [
        { name = "age", type = "int", range = [0, 120] },
        { name = "sex", type = "code", codes = [{ code = "0" }, { code = "1" }] },
        { name = "cp", type = "code", codes = [{ code = "1" }, { code = "2" }, { code = "3" }, { code = "4" }] },
        { name = "trestbps", type = "int", range = [0, 300] },
        { name = "chol", type = "float", range = [0, 700] },
        { name = "thalach", type = "int", range = [40, 230] },
        { name = "exang", type = "code", codes = [{ code = "0" }, { code = "1" }] },
        { name = "oldpeak", type = "float", range = [-5, 10] },
        { name = "ca", type = "int", range = [0, 3] },
        { name = "disease", type = "bool" },
    ]
"#;

pub const COVID: &str = r#"
    id = "covid@1"
    subject = "row"
    column = [
        { name = "age", type = "float", range = [0, 120] },
        { name = "sex", type = "code", codes = [{ code = "0" }, { code = "1" }] },
        { name = "lab", type = "float", range = [0, 100] },
        { name = "los", type = "int", range = [1, 60] },
        { name = "death", type = "bool" },
    ]
"#;

pub const RCT: &str = r#"
    id = "rct@1"
    subject = "row"
    column = [
        { name = "age", type = "int", range = [0, 120] },
        { name = "risk", type = "float", range = [0, 10] },
        { name = "outcome", type = "bool" },
        { name = "rx", type = "bool" },
    ]
"#;

pub const VISITS: &str = r#"
    id = "visits@1"
    subject = "row"
    column = [
        { name = "age", type = "float", range = [0, 10] },
        { name = "sex", type = "code", codes = [{ code = "0" }, { code = "1" }] },
        { name = "medical_condition", type = "float", range = [0, 10] },
        { name = "visits", type = "int", range = [0, 1000] },
    ]
"#;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// The rows of a CSV file with a header, as texts by column.
pub fn rows(path: &Path, header: Option<&str>) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = header.map_or_else(|| text.clone(), |header| format!("{header}\n{text}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

/// Rows as the text of a file with these columns.
pub fn text(rows: &[&BTreeMap<String, String>], columns: &[&str]) -> String {
    let line = |row: &&BTreeMap<String, String>| {
        let values: Vec<&str> = columns.iter().map(|column| row[*column].as_str()).collect();
        values.join(",")
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    format!("{}\n{}\n", columns.join(","), lines.join("\n"))
}

/// A whole number without its point.
pub fn code(text: &str) -> String {
    text.strip_suffix(".0").unwrap_or(text).to_owned()
}

/// All rows, each with its site.
pub type Rows = Vec<(String, BTreeMap<String, String>)>;

pub fn heart() -> Rows {
    let header = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num";
    let mut all = Vec::new();
    for site in ["cleveland", "hungary", "long-beach", "switzerland"] {
        for mut row in rows(&root().join(format!("heart/{site}.csv")), Some(header)) {
            for value in row.values_mut() {
                *value = if value == "NaN" { String::new() } else { code(value) };
            }
            row.insert("disease".to_owned(), (row["num"] != "0").to_string());
            all.push((site.to_owned(), row));
        }
    }
    all
}

pub fn named(file: &str, change: impl Fn(&mut BTreeMap<String, String>)) -> Rows {
    let with_site = |mut row: BTreeMap<String, String>| {
        change(&mut row);
        (row["site"].to_lowercase().replace('_', "-"), row)
    };
    rows(&root().join(file), None).into_iter().map(with_site).collect()
}

pub fn covid() -> Rows {
    named("pda/covid.csv", |row| {
        row.insert("los".to_owned(), code(&row["los"]));
        row.insert("death".to_owned(), (row["death"] == "1").to_string());
    })
}

pub fn rct() -> Rows {
    named("indo_rct/indo_rct.csv", |row| {
        row.insert("site".to_owned(), format!("s-{}", &row["site"][2..]));
        for column in ["outcome", "rx"] {
            row.insert(column.to_owned(), row[column].starts_with('1').to_string());
        }
    })
}

pub fn visits() -> Rows {
    named("pda/visits.csv", |_| {})
}

/// The columns of a contract.
fn columns(contract: &str) -> Vec<String> {
    let contract = bocage_protocol::contract::parse(contract, "contract.toml").expect("a contract");
    contract.columns().iter().map(|column| column.name.to_string()).collect()
}

/// A federation of the rows by their sites.
pub fn by_site(contract: &str, rows: &Rows) -> Federation {
    let mut sites: BTreeMap<&str, Vec<&BTreeMap<String, String>>> = BTreeMap::new();
    rows.iter().for_each(|(site, row)| sites.entry(site).or_default().push(row));
    federate(contract, sites.into_iter().map(|(site, rows)| (site.to_owned(), rows)).collect())
}

/// A federation of the rows over so many sites, dealt out.
pub fn dealt(contract: &str, rows: &Rows, sites: usize) -> Federation {
    let of = |site: usize| rows.iter().skip(site).step_by(sites).map(|(_, row)| row).collect();
    federate(contract, (0..sites).map(|site| (format!("site-{site:02}"), of(site))).collect())
}

fn federate(contract: &str, sites: Vec<(String, Vec<&BTreeMap<String, String>>)>) -> Federation {
    let columns = columns(contract);
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let sites: Vec<(&str, String)> = sites.iter().map(|(site, rows)| (site.as_str(), text(rows, &columns))).collect();
    Federation::new(contract, &sites)
}

/// A pooled answer.
pub fn reference(name: &str) -> Value {
    reference_of("models", name)
}

/// A pooled answer of one of the scripts.
pub fn reference_of(script: &str, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("reference/{script}.json"));
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("references")).expect("JSON");
    all.get(name).unwrap_or_else(|| panic!("no reference {name}")).clone()
}
