//! The contracts of the cohorts that are tested, and of those in docs/STUDIES.md.

const PATIENT: &str = r#"
id = "fhir-patient@1"
subject = "patient"
one_row_per_subject = true
birth = "birth"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "birth"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "sex"
type = "code"
codes = [{ code = "f" }, { code = "m" }]
required = true
"#;

const CONDITION: &str = r#"
id = "fhir-condition@1"
subject = "subject"
time = "onset"
[[column]]
name = "subject"
type = "text"
[[column]]
name = "onset"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "code"
type = "text"
system = "icd10cm"
[[column]]
name = "stage"
type = "int"
range = [0, 4]
[[column]]
name = "severity"
type = "code"
system = "snomed"
codes = [{ code = "255604002" }, { code = "6736007" }]
"#;

const OBSERVATION: &str = r#"
id = "fhir-observation@2"
subject = "patient"
time = "taken"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "taken"
type = "datetime"
range = ["1900-01-01T00:00:00Z", "2030-12-31T00:00:00Z"]
[[column]]
name = "code"
type = "text"
system = "loinc"
[[column]]
name = "value"
type = "float"
range = [0, 1000]
[[column]]
name = "date"
type = "date"
range = ["1900-01-01", "2030-12-31"]
"#;

const DRUG: &str = r#"
id = "fhir-drug@1"
subject = "patient"
time = "started"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "started"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "code"
type = "text"
system = "atc"
"#;

const ENCOUNTER: &str = r#"
id = "fhir-encounter@1"
subject = "patient"
time = "begin"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "begin"
type = "datetime"
range = ["1900-01-01T00:00:00Z", "2030-12-31T00:00:00Z"]
[[column]]
name = "class"
type = "code"
codes = [{ code = "AMB" }, { code = "EMER" }, { code = "IMP" }]
required = true
[[column]]
name = "days"
type = "int"
range = [0, 400]
"#;

const PROCEDURE: &str = r#"
id = "fhir-procedure@1"
subject = "patient"
time = "performed"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "performed"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "code"
type = "text"
system = "snomed"
"#;

/// A table without a time, of whole numbers for patients.
const DEVICE: &str = r#"
id = "device@1"
subject = "person"
[[column]]
name = "person"
type = "int"
range = [0, 1000000]
[[column]]
name = "kind"
type = "int"
system = "gmdn"
range = [0, 100000]
"#;

/// Another without a time.
const ALLERGY: &str = r#"
id = "allergy@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "substance"
type = "text"
"#;

const ROWS: &str = r#"
id = "survey@1"
subject = "row"
[[column]]
name = "answer"
type = "text"
"#;

pub(super) const TABLES: [(&str, &str); 9] = [
    ("patient", PATIENT),
    ("condition", CONDITION),
    ("observation", OBSERVATION),
    ("drug", DRUG),
    ("encounter", ENCOUNTER),
    ("procedure", PROCEDURE),
    ("device", DEVICE),
    ("allergy", ALLERGY),
    ("survey", ROWS),
];
