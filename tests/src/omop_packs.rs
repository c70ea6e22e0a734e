//! Contracts of the OMOP common data model, made from its own table of fields. `cargo run -p bocage-tests --bin bocage-packs` writes them anew into
//! `protocol/packs`; a test compares.
//!
//! What the model says (names, types, keys, domains) is taken as it is. Ours are the ranges, which bound every sum, and what is left out: columns that number
//! rows or people, or hold free text, have no place in a statistic.

use std::fmt::Write as _;

/// One file of a pack.
pub struct PackFile {
    /// The table, which is also the file's name without its ending.
    pub table: &'static str,
    /// The contract.
    pub text: String,
}

/// A line of the model's table of fields.
struct Field {
    name: String,
    kind: String,
    required: bool,
    domain: Option<String>,
}

/// Whose rows of one day the time of day puts in order.
const ORDERED: &[(&str, &str)] = &[
    ("visit_occurrence", "visit_start_datetime"),
    ("visit_detail", "visit_detail_start_datetime"),
    ("condition_occurrence", "condition_start_datetime"),
    ("drug_exposure", "drug_exposure_start_datetime"),
    ("procedure_occurrence", "procedure_datetime"),
    ("device_exposure", "device_exposure_start_datetime"),
    ("measurement", "measurement_datetime"),
    ("observation", "observation_datetime"),
    ("specimen", "specimen_datetime"),
];

/// How often our part of a table's contract has changed.
fn ours(table: &str) -> u8 {
    match table {
        "person" => 0,
        "measurement" | "observation" => 2,
        _ => 1,
    }
}

/// The tables of a pack, each with the column that says when a row happened.
const TABLES: &[(&str, Option<&str>)] = &[
    ("person", None),
    ("observation_period", Some("observation_period_start_date")),
    ("visit_occurrence", Some("visit_start_date")),
    ("visit_detail", Some("visit_detail_start_date")),
    ("condition_occurrence", Some("condition_start_date")),
    ("drug_exposure", Some("drug_exposure_start_date")),
    ("procedure_occurrence", Some("procedure_date")),
    ("device_exposure", Some("device_exposure_start_date")),
    ("measurement", Some("measurement_date")),
    ("observation", Some("observation_date")),
    ("specimen", Some("specimen_date")),
    ("death", Some("death_date")),
    ("condition_era", Some("condition_era_start_date")),
    ("drug_era", Some("drug_era_start_date")),
    ("dose_era", Some("dose_era_start_date")),
    ("episode", Some("episode_start_date")),
];

/// Where a patient has one row.
const ONE_ROW: &[&str] = &["person", "death"];

/// What is left out: it names people or things, or is free text.
const LEFT_OUT: &[&str] = &[
    "person_source_value",
    "location_id",
    "provider_id",
    "sig",
    "lot_number",
    "unique_device_id",
    "production_id",
    "specimen_source_id",
    "measurement_time",
    // Which table another row's number is of.
    "meas_event_field_concept_id",
    "obs_event_field_concept_id",
    // `birth_date` says it.
    "month_of_birth",
    "day_of_birth",
    "birth_datetime",
];

/// Keys that join tables within a patient, and where patients were.
const KEYS: &[&str] = &["person_id", "visit_occurrence_id", "visit_detail_id", "care_site_id"];
/// Those that name rows: each is the key of its own table, and refers to that table's rows elsewhere.
const ROWS: &[(&str, &str)] = &[("visit_occurrence_id", "visit_occurrence"), ("visit_detail_id", "visit_detail")];

const DAYS: &str = "[\"1900-01-01\", \"2100-12-31\"]";
const INSTANTS: &str = "[\"1900-01-01T00:00:00Z\", \"2100-12-31T23:59:59Z\"]";
/// Of a value of any measurement: counts per microlitre fit, and a value's 32 bits still tell two ten-thousandths apart.
const VALUES: &str = "[-1000, 1000000]";
/// Whole numbers that are exact everywhere.
const IDS: &str = "[-9007199254740991, 9007199254740991]";

const RANGES: &[(&str, &str)] = &[
    ("year_of_birth", "[1880, 2100]"),
    ("refills", "[0, 1000]"),
    ("days_supply", "[0, 3660]"),
    ("quantity", "[0, 100000]"),
    ("condition_occurrence_count", "[0, 100000]"),
    ("drug_exposure_count", "[0, 100000]"),
    ("gap_days", "[0, 40000]"),
    ("dose_value", "[0, 1000000]"),
    ("episode_number", "[0, 10000]"),
    ("birth_date", "[\"1880-01-01\", \"2100-12-31\"]"),
];

const UNITS: &[(&str, &str)] = &[("days_supply", "d"), ("gap_days", "d")];

/// Concepts of a domain that has few: they are declared, so that their cells line up across sites.
const CODES: &[(&str, &[(&str, &str)])] = &[
    (
        "gender_concept_id",
        &[
            ("8507", "male"),
            ("8532", "female"),
            ("8521", "other"),
            ("8570", "ambiguous"),
            ("8551", "unknown"),
            ("0", "no matching concept"),
        ],
    ),
    (
        "ethnicity_concept_id",
        &[("38003563", "Hispanic or Latino"), ("38003564", "not Hispanic or Latino"), ("0", "no matching concept")],
    ),
];

/// Concepts of vital signs with what a living person can have, in the unit that is usual.
const VITAL_SIGNS: &[(&str, f64, f64)] = &[
    ("3004249", 20.0, 350.0),
    ("3012888", 10.0, 250.0),
    ("3027018", 10.0, 400.0),
    ("3020891", 20.0, 46.0),
    ("3025315", 0.2, 700.0),
    ("3036277", 15.0, 280.0),
    ("3038553", 4.0, 250.0),
];

/// The contracts of a version (`5.4`), from the model's table of fields.
pub fn pack(version: &str, fields: &str) -> Vec<PackFile> {
    let made = TABLES.iter().filter_map(|(table, time)| {
        let fields = fields_of(table, fields);
        (!fields.is_empty()).then(|| PackFile { table, text: contract(version, table, *time, &fields) })
    });
    made.collect()
}

fn fields_of(table: &str, text: &str) -> Vec<Field> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let names = reader.headers().expect("a header").clone();
    let column = |name: &str| names.iter().position(|n| n == name).expect("a column of the model's table");
    let [of, name, required, kind, domain] =
        ["cdmTableName", "cdmFieldName", "isRequired", "cdmDatatype", "fkDomain"].map(column);
    let records = reader.records().map(|record| record.expect("a line of the model's table"));
    records
        .filter(|record| record[of].eq_ignore_ascii_case(table))
        .map(|record| Field {
            name: record[name].to_lowercase(),
            kind: record[kind].to_lowercase(),
            required: &record[required] == "Yes",
            domain: Some(record[domain].to_owned()).filter(|domain| domain != "NA"),
        })
        .collect()
}

fn contract(version: &str, table: &str, time: Option<&str>, fields: &[Field]) -> String {
    let order = ORDERED.iter().find(|(of, _)| *of == table).map(|(_, order)| *order);
    let ours = ours(table);
    let mut text = format!(
        "# Made from the OMOP CDM {version} table of fields (OHDSI, Apache-2.0) by bocage-packs. Ranges are ours; the version is the model's and, last, ours.\n\
         id = \"omop-{}@{}{ours}\"\ntitle = \"OMOP CDM {version}: {}\"\nsubject = \"person_id\"\n",
        table.replace('_', "-"),
        version.replace('.', ""),
        words(table)
    );
    if ONE_ROW.contains(&table) {
        text.push_str("one_row_per_subject = true\n");
    }
    if let Some(time) = time {
        let _ = writeln!(text, "time = \"{time}\"");
    }
    if let Some(order) = order {
        let _ = writeln!(text, "order = \"{order}\"");
    }
    let key = ROWS.iter().find(|(_, of)| *of == table).map(|(key, _)| *key);
    if let Some(key) = key {
        let _ = writeln!(text, "key = \"{key}\"");
    }
    if table == "person" {
        text.push_str("birth = \"birth_date\"\n");
    }
    let main = fields.iter().find(|f| f.required && f.name.ends_with("_concept_id")).filter(|_| table != "person");
    for field in fields.iter().filter(|field| is_kept(field, table)) {
        let required = field.name == "person_id"
            || Some(field.name.as_str()) == time
            || main.is_some_and(|main| main.name == field.name && !main.name.contains("type"));
        column(&mut text, field, required);
        if let Some((_, of)) = ROWS.iter().find(|(key, of)| *key == field.name && *of != table) {
            let _ = writeln!(text, "references = \"omop-{}\"", of.replace('_', "-"));
        }
        // The model has it in four columns, of which three may be empty.
        if field.name == "year_of_birth" {
            let date = Field { name: "birth_date".into(), kind: "date".into(), required: false, domain: None };
            column(&mut text, &date, false);
        }
    }
    if let Some(key) = key {
        let _ = write!(
            text,
            "\n# Rows refer to these by their key: to none where several have one.\n[[rule]]\nname = \"one_row_a_key\"\nkind = \"duplicate\"\ncolumns = [\"{key}\"]\non_fail = \"keep\"\n"
        );
        if let (Some(time), Some(main)) = (time, main) {
            let _ = write!(
                text,
                "\n# One stay under two keys; or two of a day.\n[[rule]]\nname = \"one_of_a_day_and_concept\"\nkind = \"duplicate\"\ncolumns = [\"person_id\", \"{time}\", \"{}\"]\non_fail = \"keep\"\n",
                main.name
            );
        }
    }
    rules(&mut text, table, time, fields);
    text
}

/// What is plausible: rows that are not are counted, until a site is stricter.
fn rules(text: &mut String, table: &str, time: Option<&str>, fields: &[Field]) {
    if let Some(day) = time.or((table == "person").then_some("birth_date")) {
        let _ = write!(
            text,
            "\n[[rule]]\nname = \"not_in_the_future\"\nkind = \"future_date\"\ncolumns = [\"{day}\"]\non_fail = \"keep\"\n"
        );
    }
    let end = time.and_then(|time| time.strip_suffix("_start_date")).map(|of| format!("{of}_end_date"));
    if let (Some(begin), Some(end)) = (time, end.filter(|end| fields.iter().any(|field| field.name == *end))) {
        let _ =
            write!(text, "\n[[rule]]\nname = \"begin_before_end\"\ncheck = \"{begin} <= {end}\"\non_fail = \"keep\"\n");
    }
    if let Some(time) = time {
        let _ = write!(
            text,
            "\n[[rule]]\nname = \"not_before_birth\"\nkind = \"before_birth\"\ncolumn = \"{time}\"\nborn = \"omop-person\"\non_fail = \"keep\"\n"
        );
    }
    for (key, of) in ROWS.iter().filter(|(key, of)| *of != table && fields.iter().any(|field| field.name == *key)) {
        let name = of.trim_end_matches("_occurrence");
        let _ = write!(
            text,
            "\n[[rule]]\nname = \"{name}_is_there\"\nkind = \"dangling\"\ncolumn = \"{key}\"\non_fail = \"keep\"\n"
        );
    }
    if table == "measurement" {
        let of = |(concept, lo, hi): &(&str, f64, f64)| {
            format!("not (measurement_concept_id = '{concept}' and not (value_as_number between {lo} and {hi}))")
        };
        let all: Vec<String> = VITAL_SIGNS.iter().map(of).collect();
        let _ = write!(
            text,
            "\n# Of pressures, pulse, temperature, weight, height and body mass index in mm Hg, /min, °C, kg, cm and kg/m²: else the unit is another.\n[[rule]]\nname = \"plausible_vital_signs\"\ncheck = \"\"\"\n{}\"\"\"\non_fail = \"keep\"\n",
            all.join(" and\n")
        );
    }
}

/// Numbers of rows and of other tables' rows are not kept, unless patients' rows meet by them.
fn is_kept(field: &Field, table: &str) -> bool {
    let name = field.name.as_str();
    let numbers = name.ends_with("_id") && !name.ends_with("_concept_id");
    let own = name == format!("{table}_id");
    !LEFT_OUT.contains(&name) && (!numbers || KEYS.contains(&name) || (own && KEYS.contains(&name)))
}

fn column(text: &mut String, field: &Field, required: bool) {
    let name = field.name.as_str();
    let _ = write!(text, "\n[[column]]\nname = \"{name}\"\nlabel = \"{}\"\n", label(field));
    let find = |list: &[(&str, &'static str)]| list.iter().find(|(n, _)| *n == name).map(|(_, found)| *found);
    let ranged = |kind: &str, usual: &str| format!("type = \"{kind}\"\nrange = {}\n", find(RANGES).unwrap_or(usual));
    let kind = match field.kind.as_str() {
        _ if CODES.iter().any(|(n, _)| *n == name) => codes(name),
        _ if name.ends_with("_concept_id") => "type = \"text\"\nsystem = \"OMOP\"\n".to_owned(),
        "integer" if name == "care_site_id" => "type = \"text\"\n".to_owned(),
        "integer" => ranged("int", IDS),
        "float" => ranged("float", VALUES),
        "date" => ranged("date", DAYS),
        "datetime" => ranged("datetime", INSTANTS),
        _ => "type = \"text\"\n".to_owned(),
    };
    text.push_str(&kind);
    if let Some(unit) = find(UNITS) {
        let _ = writeln!(text, "unit = \"{unit}\"");
    }
    if required {
        text.push_str("required = true\n");
    }
}

fn codes(name: &str) -> String {
    let (_, codes) = CODES.iter().find(|(n, _)| *n == name).expect("looked up by the caller");
    let codes: Vec<String> =
        codes.iter().map(|(code, label)| format!("    {{ code = \"{code}\", label = \"{label}\" }},\n")).collect();
    format!("type = \"code\"\nsystem = \"OMOP\"\ncodes = [\n{}]\n", codes.concat())
}

fn label(field: &Field) -> String {
    let domain = field.domain.as_ref().map_or(String::new(), |domain| format!(", of domain {domain}"));
    match field.name.strip_suffix("_concept_id") {
        Some(of) => format!("{}: concept{domain}", words(of)),
        None => words(&field.name),
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
