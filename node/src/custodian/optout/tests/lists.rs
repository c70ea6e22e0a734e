//! Lists that are wrong: each says the file, the line and what to do, and never what stands in it.

use std::fs;

use bocage_protocol::env::Timestamp;
use bocage_protocol::trust::Purpose;

use super::super::OptOutSpec;
use super::super::list::{List, OptOut};

fn read(bytes: &[u8], salt: bool) -> Result<Vec<OptOut>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("optouts.csv");
    fs::write(&path, bytes).unwrap();
    let salt_file = salt.then(|| dir.path().join("salt"));
    let spec = OptOutSpec { path, delimiter: b',', salt_file, declared_in: "node.toml".into() };
    let text = |e: super::super::ListError| e.to_string().replace(&format!("{}/", dir.path().display()), "");
    List::read(&spec, false).map(|list| list.optouts).map_err(text)
}

#[test]
fn a_line_names_a_patient_a_purpose_or_all_and_a_day_or_none() {
    let text = "\u{feff}date,subject,note,purpose\r\n2024-02-29, p1 ,x,all\r\n\r\n,\"p,2\",,education\n,p1,,statistics\n,p3,,\n";
    let optout = |subject: &str, purpose, from| OptOut { subject: subject.into(), purpose, from };
    let wanted = [
        optout("p1", None, Some(19_782)),
        optout("p,2", Some(Purpose::Education), None),
        optout("p1", Some(Purpose::Statistics), None),
        optout("p3", None, None),
    ];
    assert_eq!(read(text.as_bytes(), false).unwrap(), wanted);
    assert!(wanted[1].holds(Purpose::Education, Timestamp(0)) && !wanted[1].holds(Purpose::Statistics, Timestamp(0)));
    let midnight = |day: i64| Timestamp(day * 86_400_000);
    assert!(wanted[0].holds(Purpose::Education, midnight(19_782)));
    assert!(!wanted[0].holds(Purpose::Education, midnight(19_781)));
    assert_eq!(read(b"subject,purpose,date\n", false).unwrap(), []);
}

#[test]
fn a_list_that_is_wrong_anywhere_is_refused_with_its_line() {
    let with = |line: &str| format!("subject,purpose,date\nsecret1,all,\n{line}").into_bytes();
    let cases: [(Vec<u8>, &str); 13] = [
        (vec![], "line 1: the file is empty"),
        (b"subject,purpose\n".to_vec(), "line 1: the header has no column `date`"),
        (b"subject;purpose;date\n".to_vec(), "line 1: the header has no column `subject`"),
        (b"subject,purpose,date,date\n".to_vec(), "line 1: the header has `date` twice"),
        (with("secret2,everything,\n"), "line 3: unknown purpose\n  hint: all, or one of public_interest, "),
        (with("secret2,all,29.2.2024\n"), "line 3: not a date\n  hint: write it as YYYY-MM-DD"),
        (with("secret2,all,2023-02-29\n"), "line 3: not a date"),
        (with("secret2,all\n"), "line 3: the header has 3 columns, this line 2"),
        (with(" ,all,\n"), "line 3: no patient is named"),
        (with("\nsecret1,,\n"), "line 4: the same patient and purpose as in line 2"),
        (with("secret2,all,"), "line 3: the file ends within this line"),
        (with("\"secret2,all,\n"), "line 3: a quote that begins here never closes"),
        ([with(""), b"Ren\xe9,all,\n".to_vec()].concat(), "line 3: not UTF-8"),
    ];
    for (bytes, wanted) in cases {
        let says = read(&bytes, false).unwrap_err();
        assert!(says.starts_with(&format!("optouts.csv: {wanted}")), "{says}");
        assert!(says.contains("\n  hint: ") && !says.contains("secret"), "{says}");
    }
    let says = read(&with(""), true).unwrap_err();
    assert!(says.starts_with("optouts.csv: line 2: not a SHA-256 in hexadecimal"), "{says}");
}

#[test]
fn where_every_patient_is_a_whole_number_no_other_id_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("optouts.csv");
    let spec = OptOutSpec { path: path.clone(), delimiter: b',', salt_file: None, declared_in: "node.toml".into() };
    fs::write(&path, "subject,purpose,date\n007,all,\n7.5,all,\n").unwrap();
    let says = List::read(&spec, true).unwrap_err().to_string();
    assert!(
        says.contains("line 3: the patient's id is not a whole number\n  hint: ") && !says.contains("7.5"),
        "{says}"
    );
    assert_eq!(List::read(&spec, false).unwrap().optouts.len(), 2);
}
