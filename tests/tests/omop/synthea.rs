//! Synthea's patients in OMOP CDM 5.4: from CSV, from Parquet and from PostgreSQL they are the same snapshots, bit for bit.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use bocage_tests::example::reference;
use bocage_tests::lab::repository;
use serde_json::Value;

use super::started::Server;
use super::{Network, contract};

/// Tables with their rows and persons, and what else their datasets say. In the Parquet files codes of sources have a zero behind a point that the CSV files do not have, so they are left out.
const TABLES: &[(&str, u64, u64, &str)] = &[
    (
        "person",
        28,
        28,
        "dates = { ymd = [\"year_of_birth\", \"month_of_birth\", \"day_of_birth\"] }\nmap = { birth_date = \"coalesce(birth_datetime, ymd)\" }",
    ),
    ("observation_period", 28, 28, ""),
    ("visit_occurrence", 1791, 28, ""),
    ("condition_occurrence", 470, 26, "absent = [\"condition_source_value\"]"),
    ("drug_exposure", 883, 26, "absent = [\"drug_source_value\"]"),
    ("measurement", 10040, 28, ""),
    ("death", 3, 3, "absent = [\"cause_source_value\"]"),
];

fn site(id: &str, source: impl Fn(&str) -> String) -> String {
    TABLES.iter().fold(format!("[[site]]\nid = \"{id}\"\n"), |mut text, (table, _, _, more)| {
        let (contract, source) = (contract("omop-5.4", table), source(table));
        let _ = writeln!(text, "[site.dataset.{table}]\ncontract = \"{contract}\"\nsource = {{ {source} }}\n{more}");
        text
    })
}

fn file(kind: &str) -> impl Fn(&str) -> String {
    let kind = kind.to_owned();
    move |table| {
        format!("kind = \"{kind}\", path = \"{}\"", repository(&format!("tests/data/omop/{table}.{kind}")).display())
    }
}

/// The content and the report of every table's snapshot.
fn snapshots(network: &Network, site: &str) -> Vec<(Value, Value)> {
    let taken = TABLES.iter().map(|(table, rows, persons, _)| {
        let (manifest, _) = network.snapshot(site, table);
        assert_eq!(
            (&manifest["rows"], &manifest["subjects"]),
            (&Value::from(*rows), &Value::from(*persons)),
            "{table}"
        );
        (manifest["content"].clone(), manifest["report"].clone())
    });
    taken.collect()
}

#[test]
fn csv_and_parquet_give_the_same_snapshots() {
    let network = Network::new("omop-5.4", &[site("csv", file("csv")), site("parquet", file("parquet"))].concat());
    let of_csv = snapshots(&network, "csv");
    network.lend_key_of_names("csv", "parquet");
    assert_eq!(of_csv, snapshots(&network, "parquet"));
}

#[test]
fn a_warehouse_in_postgresql_gives_the_same_snapshots_as_its_files() {
    let Some(server) = Server::shared() else { return };
    let password_file = server.database("omop");
    server.sql("omop", &warehouse());
    let warehouse = |table: &str| {
        format!(
            "kind = \"postgres\", host = \"localhost\", port = {}, database = \"omop\", user = \"omop\", password_file = \"{}\", ca_file = \"{}\", table = \"cdm.{table}\"",
            server.port,
            password_file.display(),
            server.ca().display()
        )
    };
    let network = Network::new("omop-5.4", &[site("csv", file("csv")), site("warehouse", warehouse)].concat());
    let of_csv = snapshots(&network, "csv");
    network.lend_key_of_names("csv", "warehouse");
    assert_eq!(of_csv, snapshots(&network, "warehouse"));
}

/// The set's other tables, as they are published.
const OTHERS: [&str; 5] = ["procedure_occurrence", "observation", "condition_era", "visit_detail", "device_exposure"];

#[test]
fn the_tables_of_the_published_set_hold_what_an_independent_reader_finds_where_it_is_there() {
    let set = repository("../shared/data/omop_synthea27nj/Synthea27Nj_5.4.zip");
    let files = tempfile::tempdir().expect("a folder");
    let unpack = Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&set).arg(files.path()).output();
    if !set.exists() || unpack.is_err() {
        eprintln!("skipped: Synthea is not at {}, or there is no python3", set.display());
        return;
    }
    let datasets = OTHERS.map(|table| {
        let file = files.path().join(format!("{}.csv", table.to_uppercase()));
        format!(
            "[site.dataset.{table}]\ncontract = \"{}\"\nsource = {{ kind = \"csv\", path = \"{}\" }}\n",
            contract("omop-5.4", table),
            file.display()
        )
    });
    let network = Network::new("omop-5.4", &format!("[[site]]\nid = \"whole\"\n{}", datasets.concat()));
    let reference = reference("synthea, whole");
    for table in OTHERS {
        let (manifest, _) = network.snapshot("whole", table);
        let counted = (&reference[table]["rows"], &reference[table]["patients"]);
        assert_eq!((&manifest["rows"], &manifest["subjects"]), counted, "{table}");
    }
}

/// The tables of the CSV files, with the types of the model.
fn warehouse() -> String {
    let fields = fs::read_to_string(repository("tests/data/omop/OMOP_CDMv5.4_Field_Level.csv")).expect("the model");
    let mut reader = csv::Reader::from_reader(fields.trim_start_matches('\u{feff}').as_bytes());
    let types: Vec<(String, String, &str)> = reader
        .records()
        .map(|record| {
            let record = record.expect("a line of the model");
            let of = match record[3].to_lowercase().as_str() {
                "integer" => "integer",
                "float" => "numeric",
                "date" => "date",
                "datetime" => "timestamp",
                _ => "varchar",
            };
            (record[0].to_owned(), record[1].to_lowercase(), of)
        })
        .collect();
    let mut sql = "create schema cdm;\n".to_owned();
    for (table, ..) in TABLES {
        let data = fs::read_to_string(repository(&format!("tests/data/omop/{table}.csv"))).expect("the data");
        let (header, rows) = data.split_once('\n').expect("a header");
        let columns: Vec<String> = header
            .trim()
            .to_lowercase()
            .split(',')
            .map(|name| {
                let (.., of) = types.iter().find(|(t, n, _)| t == table && n == name).expect("a field of the model");
                format!("{name} {of}")
            })
            .collect();
        let _ = write!(
            sql,
            "create table cdm.{table} ({});\ncopy cdm.{table} from stdin csv;\n{}\n\\.\n",
            columns.join(", "),
            rows.trim_end()
        );
    }
    sql.push_str("grant usage on schema cdm to omop; grant select on all tables in schema cdm to omop;\n");
    sql
}
