//! The contracts of the cohorts that are tested.

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

/// A table whose rows others refer to, and which refers to itself.
const STAY: &str = r#"
id = "stay@1"
subject = "patient"
time = "begin"
key = "stay"
[[column]]
name = "stay"
type = "text"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "begin"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "leave"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "ward"
type = "code"
codes = [{ code = "icu" }, { code = "ward" }]
[[column]]
name = "cost"
type = "float"
range = [0, 1000]
[[rule]]
name = "one_row_a_stay"
kind = "duplicate"
columns = ["stay"]
on_fail = "reject"
"#;

/// Rows that refer to stays, in two columns.
const FINDING: &str = r#"
id = "finding@1"
subject = "patient"
time = "seen"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "during"
type = "text"
references = "stay"
[[column]]
name = "code"
type = "text"
system = "icd10cm"
[[column]]
name = "seen"
type = "date"
range = ["1900-01-01", "2030-12-31"]
[[column]]
name = "days"
type = "int"
range = [0, 30]
"#;

/// Rows that refer to stays in two columns, and to rows that have no key.
const TRANSFER: &str = r#"
id = "transfer@1"
subject = "patient"
time = "at"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "left"
type = "text"
references = "stay"
[[column]]
name = "entered"
type = "text"
references = "stay"
[[column]]
name = "cause"
type = "text"
references = "fhir-condition"
[[column]]
name = "number"
type = "int"
range = [0, 1000]
references = "stay"
[[column]]
name = "at"
type = "date"
range = ["1900-01-01", "2030-12-31"]
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
    ("device", DEVICE),
    ("allergy", ALLERGY),
    ("survey", ROWS),
    ("stay", STAY),
    ("finding", FINDING),
    ("transfer", TRANSFER),
];
