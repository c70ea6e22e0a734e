//! A report is what its researcher signed, or it is said what of it is not.

use std::collections::BTreeMap;

use bocage_protocol::ids::Digest;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{Permit, PublicKey, SecretKey, SignedPermit, SignedStudy, Study};

use super::*;
use crate::api::types::{
    AnalysisResult, Block, Coverage, Hidden, HiddenReason, Interval, NamedBlock, PermitInfo, SiteReport, SiteStatus,
    StudyHead, StudyResult, Value,
};
use crate::bench::{CONTRACT, HOLDER, SITES, START, key, permit, study, under};

mod published;

/// One question, four hospitals, a permit.
pub(crate) fn materials(change: impl FnOnce(&mut StudyResult)) -> Materials {
    let permit = permit(|_| ());
    let (signed, study) = under(&permit, 1);
    of(signed, &study, &permit, change)
}

fn of(signed: SignedStudy, study: &Study, permit: &SignedPermit, change: impl FnOnce(&mut StudyResult)) -> Materials {
    let mut result = result(&signed, study, permit);
    change(&mut result);
    let contracts = BTreeMap::from([(study.dataset.clone(), CONTRACT.to_owned())]);
    Materials::new(signed, &contracts, serde_json::to_string(&result).unwrap()).unwrap()
}

fn result(signed: &SignedStudy, study: &Study, permit: &SignedPermit) -> StudyResult {
    let said: Permit = permit.verify().unwrap();
    let site = |name: &str| SiteReport {
        id: name.parse().unwrap(),
        status: SiteStatus::Answered,
        reason: None,
        bytes: Some(500),
        round_trip_ms: Some(1.5),
        snapshot: Some(Digest::of("snapshot", &[name.as_bytes()])),
        snapshot_at: Some(START),
        receipts: vec![Digest::of("receipt", &[name.as_bytes()])],
        pending_since: None,
        left_in: None,
        moved_in: vec![],
    };
    StudyResult {
        study: StudyHead {
            id: signed.id(),
            title: study.title.clone(),
            purpose: study.purpose,
            dataset: study.dataset.clone(),
            contract: study.contract,
            network: study.network.clone(),
            researcher: study.researcher,
            permit: Some(PermitInfo {
                id: said.id,
                digest: permit.digest(),
                holder: said.holder.name,
                organisation: said.holder.organisation,
                access_body: "Body".into(),
            }),
            min_sites: 3,
            issued_at: study.issued_at,
            accepted_at: START.plus_secs(1),
            published_at: START.plus_secs(2),
        },
        sites: SITES.map(site).to_vec(),
        analyses: vec![AnalysisResult {
            absent: vec![],
            name: "by_sex_and_age".parse().unwrap(),
            kind: "table".into(),
            block: block(),
            notes: vec!["hungary has merged two bands".into()],
            rolled_up: None,
            also: vec![NamedBlock {
                title: "fit".into(),
                block: Block {
                    columns: vec!["quantity".into(), "value".into()],
                    rows: vec![vec![Value::Text("deviance".into()), Value::Number(12.5)]],
                    ..Block::default()
                },
            }],
        }],
    }
}

pub(crate) fn block() -> Block {
    let text = |text: &str| Value::Text(text.into());
    Block {
        columns: ["sex", "cut(age, 50)", "count", "mean(chol)"].map(String::from).to_vec(),
        rows: vec![
            vec![text("female"), text("< 50"), Value::Null, Value::Null],
            vec![text("male"), text(">= 50"), Value::Count(303), Value::Number(1.0 / 3.0)],
        ],
        hidden: vec![
            Hidden { row: 0, column: 2, interval: Some(Interval(70, Some(90))), reason: HiddenReason::FewerThanK },
            Hidden { row: 0, column: 3, interval: None, reason: HiddenReason::TooFewSites },
        ],
        coverage: vec![Coverage { row: 1, column: 3, n: 200, of: Interval(303, Some(303)), off: 0 }],
        within: vec![],
    }
}

/// A report's files without the manifest, and that, signed.
fn signed(files: &Files, id: bocage_protocol::ids::StudyId, key: &SecretKey, version: &str) -> String {
    let manifest = manifest(files, id, (key.public(), "0.1.0".into()), START);
    let manifest = Manifest { version: version.to_owned(), ..manifest };
    SignedManifest::sign(&manifest, key).unwrap().to_text()
}

fn report() -> (Files, String) {
    let materials = materials(|_| ());
    let files = materials.files().unwrap();
    let manifest = signed(&files, materials.signed().id(), &key(HOLDER), VERSION);
    (files, manifest)
}

fn check(files: &Files, manifest: &str, made_by: Option<PublicKey>) -> Result<Verified, Problems> {
    check_as(files, manifest, Known { made_by, published_by: None })
}

fn check_as(files: &Files, manifest: &str, known: Known) -> Result<Verified, Problems> {
    verify(manifest, known, |name, bytes| {
        let found = files.get(name).ok_or_else(|| Problem::new(name, "", "it is missing"))?;
        Ok(found.iter().copied().take(bytes as usize + 1).collect())
    })
}

/// Where the problems are: `FILE` or `FILE: KEY`.
fn places(found: Result<Verified, Problems>) -> Vec<String> {
    let place = |problem: &Problem| match problem.key.as_str() {
        "" => problem.file.clone(),
        key => format!("{}: {key}", problem.file),
    };
    found.err().map_or_else(Vec::new, |problems| problems.0.iter().map(place).collect())
}

#[test]
fn a_folder_has_everything_that_a_reader_needs_and_holds() {
    let (files, manifest) = report();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let wanted = [
        "contracts/heart@1.toml",
        "report.html",
        "result.json",
        "study.json",
        "tables/by_sex_and_age.1-fit.csv",
        "tables/by_sex_and_age.1-fit.parquet",
        "tables/by_sex_and_age.csv",
        "tables/by_sex_and_age.parquet",
    ];
    assert_eq!(names, wanted);
    let verified = check(&files, &manifest, None).unwrap();
    assert!(verified.made_again && verified.materials.lacking().is_empty());
    assert_eq!(verified.manifest.researcher, key(HOLDER).public());
    let csv = String::from_utf8(files["tables/by_sex_and_age.csv"].clone()).unwrap();
    assert_eq!(
        csv,
        "sex,\"cut(age, 50)\",count,count_lo,count_hi,mean(chol),mean(chol)_covers,mean(chol)_of_lo,mean(chol)_of_hi\nfemale,< 50,,70,90,,,,\nmale,>= 50,303,,,0.3333333333333333,200,303,303\n"
    );
}

#[test]
fn every_file_that_was_altered_cut_or_taken_away_is_named() {
    let (files, manifest) = report();
    for name in files.keys() {
        let mut altered = files.clone();
        let bytes = altered.get_mut(name).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert_eq!(places(check(&altered, &manifest, None)), [name.as_str()], "altered");
        let mut grown = files.clone();
        grown.get_mut(name).unwrap().push(b'\n');
        assert_eq!(places(check(&grown, &manifest, None)), [name.as_str()], "grown");
        let mut cut = files.clone();
        cut.get_mut(name).unwrap().pop();
        assert_eq!(places(check(&cut, &manifest, None)), [name.as_str()], "cut");
        let mut gone = files.clone();
        gone.remove(name);
        assert_eq!(places(check(&gone, &manifest, None)), [name.as_str()], "gone");
    }
    let digit = manifest.find("\\\"bytes\\\":").unwrap() + 10;
    let mut altered = manifest.clone().into_bytes();
    altered[digit] = if altered[digit] == b'1' { b'2' } else { b'1' };
    assert_eq!(places(check(&files, std::str::from_utf8(&altered).unwrap(), None)), ["manifest.json"]);
}

#[test]
fn one_digit_of_any_file_that_is_another_one_is_found_in_that_file() {
    let (files, manifest) = report();
    let receipt = Digest::of("receipt", &[SITES[0].as_bytes()]).to_string();
    let result = std::str::from_utf8(&files[RESULT]).unwrap();
    assert!(result.contains(&receipt), "receipts are among the digits of a result");
    for name in [RESULT, STUDY, "tables/by_sex_and_age.csv", "tables/by_sex_and_age.1-fit.csv"] {
        let mut altered = files.clone();
        let digits: Vec<usize> = (0..files[name].len()).filter(|at| files[name][*at].is_ascii_digit()).collect();
        assert!(digits.len() > 2, "{name}");
        for at in digits {
            let digit = files[name][at];
            altered.get_mut(name).unwrap()[at] = b'0' + (digit - b'0' + 1) % 10;
            let said = check(&altered, &manifest, None).map(|_| name).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{name}: it is not the file that was signed")), "{said}");
            altered.get_mut(name).unwrap()[at] = digit;
        }
    }
    // Nor can the manifest be made to fit by who has not the researcher's key.
    let mut altered = files.clone();
    altered.insert(RESULT.to_owned(), result.replace(&receipt[..8], "00000000").into_bytes());
    let [was, is] = [&files, &altered].map(|files| Entry::of(&files[RESULT]).sha256);
    assert_eq!(places(check(&altered, &manifest.replace(&was, &is), None)), ["manifest.json"]);
}

/// The same of two rounds.
fn twice(result: &mut StudyResult) {
    for site in &mut result.sites {
        site.receipts.push(Digest::of("second", &[site.id.as_str().as_bytes()]));
    }
}

fn exchange(result: &mut StudyResult) {
    let (one, others) = result.sites.split_at_mut(1);
    std::mem::swap(&mut one[0].receipts, &mut others[0].receipts);
}

#[test]
fn receipts_that_were_exchanged_turned_round_or_are_of_another_study_are_found_in_the_result() {
    type Change = fn(&mut StudyResult);
    let attacks: [(&str, Change, &[&str]); 5] = [
        ("those of another site", exchange, &[]),
        ("another order", |r| r.sites[0].receipts.reverse(), &[]),
        ("another study's", |r| r.sites[0].receipts[1] = Digest::of("receipt", &["another study".as_bytes()]), &[]),
        ("one less", |r| r.sites[0].receipts.truncate(1), &["result.json: sites.cleveland"]),
        ("one that left too early", |r| r.sites[0].left_in = Some(1), &["result.json: sites.cleveland"]),
    ];
    let materials_of = |change: Change| {
        materials(|result| {
            twice(result);
            change(result);
        })
    };
    let honest = materials_of(|_| ());
    let (files, id) = (honest.files().unwrap(), honest.signed().id());
    let manifest = signed(&files, id, &key(HOLDER), VERSION);
    assert!(check(&files, &manifest, None).is_ok());
    for (name, change, alone) in attacks {
        let forged = materials_of(change).files().unwrap();
        let mut altered = files.clone();
        altered.insert(RESULT.to_owned(), forged[RESULT].clone());
        assert_eq!(places(check(&altered, &manifest, None)), [RESULT], "{name}");
        // Its researcher can sign what only the coordinator, or the hospital's ledger, tells from what it was.
        assert_eq!(places(check(&forged, &signed(&forged, id, &key(HOLDER), VERSION), None)), alone, "{name}");
    }
}

#[test]
fn one_number_of_a_parquet_file_or_of_the_page_is_found_and_so_are_files_that_changed_places() {
    let (files, manifest) = report();
    let [answer, fit] = ["tables/by_sex_and_age.parquet", "tables/by_sex_and_age.1-fit.parquet"];
    for name in [answer, fit, PAGE] {
        for at in (0..files[name].len()).step_by(97) {
            let mut altered = files.clone();
            altered.get_mut(name).unwrap()[at] ^= 1;
            assert_eq!(places(check(&altered, &manifest, None)), [name], "byte {at}");
        }
    }
    let mut turned = files.clone();
    turned.insert(answer.to_owned(), files[fit].clone());
    turned.insert(fit.to_owned(), files[answer].clone());
    let names = [fit, answer];
    assert_eq!(places(check(&turned, &manifest, None)), names);
    // Signed anew by the researcher, they do not say what the result says.
    let again = signed(&turned, materials(|_| ()).signed().id(), &key(HOLDER), VERSION);
    assert_eq!(places(check(&turned, &again, None)), names);
}

#[test]
fn who_signs_an_altered_report_anew_is_told_from_the_researcher() {
    let forged = materials(|result| result.analyses[0].block.rows[1][2] = Value::Count(304));
    let (files, id, other) = (forged.files().unwrap(), forged.signed().id(), key(66));
    let manifest = signed(&files, id, &other, VERSION);
    assert_eq!(places(check(&files, &manifest, None)), ["manifest.json: researcher"]);
    assert_eq!(places(check(&files, &manifest, Some(key(67).public()))), ["manifest.json: researcher"]);
    assert!(check(&files, &manifest, Some(other.public())).is_ok(), "whom the reader trusts");
}

#[test]
fn tables_and_page_say_what_the_result_says_also_where_the_researcher_signs_others() {
    let (mut files, _) = report();
    let id = materials(|_| ()).signed().id();
    let html = String::from_utf8(files[PAGE].clone()).unwrap();
    files.insert(PAGE.to_owned(), html.replace("303", "304").into_bytes());
    files.insert("tables/more.csv".to_owned(), b"n\n7\n".to_vec());
    let manifest = signed(&files, id, &key(HOLDER), VERSION);
    assert_eq!(places(check(&files, &manifest, None)), [PAGE, "tables/more.csv"]);
    // Another version lays them out in another way: what can be told then is that they were signed.
    let older = signed(&files, id, &key(HOLDER), "0.0.1");
    assert!(!check(&files, &older, None).unwrap().made_again);
}

#[test]
fn a_result_that_does_not_belong_to_the_study_is_named_by_what_differs() {
    type Change = fn(&mut StudyResult);
    let cases: [(Change, &str); 14] = [
        (|r| r.study.id = "a".repeat(64).parse().unwrap(), "result.json: study.id"),
        (|r| r.study.title = "Other".into(), "result.json: study.title"),
        (|r| r.study.dataset = "lung@1".parse().unwrap(), "result.json: study.dataset"),
        (|r| r.study.contract = Digest::of("x", &[]), "result.json: study.contract"),
        (|r| r.study.network = "other".parse().unwrap(), "result.json: study.network"),
        (|r| r.study.researcher = key(5).public(), "result.json: study.researcher"),
        (|r| r.study.permit = None, "result.json: study.permit"),
        (|r| r.study.min_sites = 2, "result.json: study.min_sites"),
        (|r| r.study.accepted_at = START.plus_secs(-86_400), "result.json: study.accepted_at"),
        (|r| r.study.published_at = START, "result.json: study.published_at"),
        (|r| drop(r.sites.pop()), "result.json: sites"),
        (|r| r.sites[1].receipts = r.sites[0].receipts.clone(), "result.json: sites"),
        (|r| r.sites[2].receipts.clear(), "result.json: sites.long-beach"),
        (|r| r.analyses[0].name = "other".parse().unwrap(), "result.json: analyses"),
    ];
    for (change, place) in cases {
        let materials = materials(change);
        let (files, id) = (materials.files().unwrap(), materials.signed().id());
        let found = places(check(&files, &signed(&files, id, &key(HOLDER), VERSION), None));
        assert_eq!(found, [place]);
    }
}

#[test]
fn a_study_whose_permit_does_not_cover_it_or_did_not_come_along_is_named() {
    let narrow =
        permit(|permit| permit.datasets[0].columns = Some(vec!["age".parse().unwrap(), "sex".parse().unwrap()]));
    let (signed_study, study_) = under(&narrow, 1);
    let materials = of(signed_study.clone(), &study_, &narrow, |_| ());
    let (files, id) = (materials.files().unwrap(), materials.signed().id());
    assert_eq!(places(check(&files, &signed(&files, id, &key(HOLDER), VERSION), None)), ["study.json: permit"]);
    let without = of(signed_study.with_permit(None), &study_, &narrow, |_| ());
    let files = without.files().unwrap();
    assert_eq!(places(check(&files, &signed(&files, id, &key(HOLDER), VERSION), None)), ["study.json: permit"]);
}

#[test]
fn a_contract_that_the_study_was_not_bound_to_stays_outside_and_is_said_to_lack() {
    let permit = permit(|_| ());
    let (signed_study, study_) = under(&permit, 1);
    let text = serde_json::to_string(&result(&signed_study, &study_, &permit)).unwrap();
    let newer = BTreeMap::from([(study_.dataset.clone(), CONTRACT.replace("[0, 120]", "[0, 130]"))]);
    let materials = Materials::new(signed_study, &newer, text).unwrap();
    assert_eq!(materials.lacking(), [&study_.dataset]);
    let files = materials.files().unwrap();
    assert!(!files.keys().any(|name| name.starts_with("contracts/")));
    assert!(check(&files, &signed(&files, materials.signed().id(), &key(HOLDER), VERSION), None).is_ok());
}

#[test]
fn a_study_that_its_researcher_did_not_sign_has_no_report() {
    let (mut files, _) = report();
    let altered = String::from_utf8(files[STUDY].clone()).unwrap().replace("Heart disease", "Heart diseasf");
    files.insert(STUDY.to_owned(), altered.into_bytes());
    let id = SignedStudy::sign(&study(crate::bench::STUDY, &SITES, 1), &key(crate::bench::RESEARCHER)).unwrap().id();
    let manifest = signed(&files, id, &key(HOLDER), VERSION);
    assert_eq!(places(check(&files, &manifest, None)), ["study.json"]);
}
