//! Sections of `node.toml` about datasets: what they become, and what is said of those that are wrong.

use super::*;
use serde_json::json;

fn spec(section: Value) -> Result<DatasetSpec, String> {
    let mut problems = Problems::default();
    let spec = DatasetSpec::read("heart", &section, "node.toml", Path::new("/srv/node"), &mut problems);
    spec.ok_or_else(|| problems.to_string())
}

#[test]
fn a_section_becomes_a_spec_with_defaults_and_a_path_relative_to_the_file() {
    let spec = spec(json!({
        "contract": "heart@1",
        "source": {"kind": "csv", "path": "data/heart.csv"},
        "map": {"disease": "num > 0"},
        "absent": ["ca"],
    }))
    .unwrap();
    let SourceSpec::Csv(csv) = &spec.source else { panic!("{spec:?}") };
    assert_eq!(csv.path, Path::new("/srv/node/data/heart.csv"));
    assert_eq!((csv.delimiter, csv.header, csv.missing.len()), (b',', true, 3));
    assert_eq!(spec.absent.len(), 1);
}

#[test]
fn problems_are_reported_with_their_place() {
    let error = spec(json!({
        "contract": "heart@1",
        "source": {"kind": "csv", "path": "x.csv", "delimitr": ";", "header": false},
    }))
    .unwrap_err();
    assert!(error.contains("dataset.heart.source.delimitr: unknown key\n  hint: did you mean `delimiter`?"), "{error}");
    assert!(error.contains("dataset.heart.source.columns: needed where the file has no header"), "{error}");
    let error = spec(json!({"contract": "heart@1", "source": {"kind": "excel", "path": "x"}})).unwrap_err();
    assert!(
        error.contains("unknown kind of source `excel`\n  hint: kind = \"csv\", \"parquet\", \"postgres\" or"),
        "{error}"
    );
    let error = spec(json!({"contract": "heart@1", "source": {"kind": "csv", "path": "x", "delimiter": ";;"}}));
    assert!(error.unwrap_err().contains("must be one character"));
}

#[test]
fn a_fhir_export_names_a_view_which_is_checked_and_counts_for_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let spec = |source: Value| {
        let (section, mut problems) = (json!({"contract": "x-y@1", "source": source}), Problems::default());
        let spec = DatasetSpec::read("d", &section, "node.toml", dir.path(), &mut problems);
        spec.ok_or_else(|| problems.to_string())
    };
    let shipped = spec(json!({"kind": "fhir", "path": "export", "view": "fhir-r4-core/condition"})).unwrap();
    let SourceSpec::Fhir(fhir) = &shipped.source else { panic!("{shipped:?}") };
    assert_eq!((fhir.path.as_path(), fhir.missing.len()), (dir.path().join("export").as_path(), 1));
    let said = |word: &str| {
        let source = json!({"kind": "fhir", "path": "export", "view": "fhir-r4-core/condition", "damaged": word});
        spec(source).unwrap().digest()
    };
    assert_eq!(said("stop"), shipped.digest());
    assert_ne!(said("skip"), shipped.digest(), "other rows may be taken");
    let file = dir.path().join("v.json");
    let own = || spec(json!({"kind": "fhir", "path": "export", "view": "v.json"}));
    let view =
        |path: &str| format!(r#"{{"resource":"Patient","select":[{{"column":[{{"name":"id","path":"{path}"}}]}}]}}"#);
    std::fs::write(&file, view("id")).unwrap();
    let before = own().unwrap().digest();
    std::fs::write(&file, view("identifier.value.first()")).unwrap();
    assert_ne!(own().unwrap().digest(), before, "another view makes other rows");
    std::fs::write(&file, view("id.frist()")).unwrap();
    let error = own().unwrap_err();
    assert!(error.contains("v.json: select[0].column[0].path: character 4: there is no function `frist`"), "{error}");
    for (source, wanted) in [
        (json!({"kind": "fhir", "path": "x"}), "dataset.d.source.view: needed"),
        (json!({"kind": "fhir", "path": "x", "view": "w.json"}), "w.json: there is no such file"),
        (
            json!({"kind": "fhir", "path": "x", "view": "condition"}),
            "there is no view `condition`\n  hint: a file that ends in .json, or one of fhir-r4-core/",
        ),
        (
            json!({"kind": "fhir", "path": "x", "view": "fhir-r4-core/patient", "header": true}),
            "source.header: a FHIR export has no such setting",
        ),
        (
            json!({"kind": "fhir", "path": "x", "view": "fhir-r4-core/patient", "damaged": "ignore"}),
            "source.damaged: unknown consequence `ignore`\n  hint: \"stop\": no snapshot is taken",
        ),
        (
            json!({"kind": "csv", "path": "x", "damaged": "skip"}),
            "source.damaged: a CSV file has no such setting\n  hint: leave it out, or say kind = \"fhir\"",
        ),
        (
            json!({"kind": "csv", "path": "x", "view": "fhir-r4-core/patient"}),
            "source.view: a CSV file has no such setting\n  hint: leave it out, or say kind = \"fhir\"",
        ),
    ] {
        let error = spec(source).unwrap_err();
        assert!(error.contains(wanted), "{wanted} not in {error}");
    }
}

#[test]
fn a_parquet_file_is_read_without_the_settings_of_text() {
    let section = |source: Value| json!({"contract": "heart@1", "source": source});
    let spec = |source: Value| spec(section(source));
    let SourceSpec::Parquet(parquet) =
        spec(json!({"kind": "parquet", "path": "data/heart.parquet", "missing": [" -9 "]})).unwrap().source
    else {
        panic!("not a Parquet file");
    };
    assert_eq!(parquet.path, Path::new("/srv/node/data/heart.parquet"));
    assert_eq!((parquet.missing, parquet.columns), (vec!["-9".to_owned()], None));
    let of_csv = json!({"kind": "parquet", "path": "x", "delimiter": ",", "header": true, "multi_line": false});
    let error = spec(of_csv).unwrap_err();
    for key in ["delimiter", "header", "multi_line"] {
        let wanted = format!("dataset.heart.source.{key}: a Parquet file has no such setting\n  hint: leave it out");
        assert!(error.contains(&wanted), "{error}");
    }
}

#[test]
fn a_table_of_postgresql_has_settings_of_its_own_and_the_usual_markers() {
    let source = json!({"kind": "postgres", "host": "/run/postgresql", "database": "omop", "user": "bocage", "table": "cdm.person"});
    let spec = spec(json!({"contract": "heart@1", "source": source})).unwrap();
    let SourceSpec::Postgres(postgres) = &spec.source else { panic!("{spec:?}") };
    assert_eq!(postgres.missing, ["", "NA", "NaN"]);
    assert_eq!(spec.source.path(), Path::new("postgres /run/postgresql:5432/omop"));
    assert_eq!(spec.source.file(), None);
}

#[test]
fn other_names_count_in_the_digest_and_no_names_do_not() {
    let section = |more: Value| {
        let mut section = json!({"contract": "heart@1", "source": {"kind": "csv", "path": "x"}});
        section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec(section).unwrap()
    };
    let usual = section(json!({})).digest();
    assert_eq!(usual, section(json!({"rename": {}, "dates": {}})).digest());
    assert_ne!(usual, section(json!({"rename": {"a": "b"}})).digest());
    assert_ne!(usual, section(json!({"dates": {"a": ["y", "m", "d"]}})).digest());
}

#[test]
fn the_digest_changes_with_every_setting_that_matters() {
    let section = |delimiter: &str| json!({"contract": "heart@1", "source": {"kind": "csv", "path": "x", "delimiter": delimiter}});
    let (a, b) = (spec(section(",")).unwrap(), spec(section(";")).unwrap());
    assert_ne!(a.digest(), b.digest());
    assert_eq!(a.digest(), DatasetSpec { declared_in: "other.toml".into(), ..a.clone() }.digest());
}

#[test]
fn an_export_whose_rows_say_who_opted_out_may_not_lose_a_file_of_them() {
    let problems = |damaged: &str, optout: Option<&str>| {
        let source = json!({"kind": "fhir", "path": "x", "view": "fhir-r4-core/patient", "damaged": damaged});
        let section = json!({"contract": "x-y@1", "source": source, "optout": optout});
        let mut problems = Problems::default();
        DatasetSpec::read("d", &section, "node.toml", Path::new("/srv/node"), &mut problems);
        problems.to_string()
    };
    let said = problems("skip", Some("deceased"));
    assert!(said.contains("dataset.d.source.damaged: with an `optout`, no damaged file may be left out"), "{said}");
    assert!(said.contains("hint: damaged = \"stop\"; or name who opted out in a list"), "{said}");
    for (damaged, optout) in [("stop", Some("deceased")), ("skip", None), ("skip", Some("false"))] {
        assert_eq!(problems(damaged, optout), "", "{damaged} {optout:?}");
    }
}
