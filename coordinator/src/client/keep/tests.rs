//! A report on the disk is there as a whole or not at all.

use bocage_protocol::trust::Publication;

use super::super::fake::{answering, ok};
use super::*;
use crate::api::types::NetworkInfo;
use crate::bench::{CONTRACT, HOLDER, key};
use crate::report::folder::tests::materials;

/// The coordinator's key.
const PUBLISHER: u8 = 70;

/// What a coordinator says of itself that publishes so.
fn network(publisher: Option<PublicKey>) -> NetworkInfo {
    NetworkInfo {
        network: "heart-demo".parse().unwrap(),
        min_sites: 3,
        version: "0.1.0".into(),
        researchers: None,
        access_bodies: None,
        certificate_until: None,
        authority_until: None,
        publisher,
    }
}

fn files(text: &str) -> Files {
    Files::from([(MANIFEST.to_owned(), text.as_bytes().to_vec()), ("tables/a.csv".to_owned(), b"n\n".to_vec())])
}

fn beside(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_report_is_replaced_by_force_only_and_nothing_else_ever_is() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    Place::find(&out, false).unwrap().write(&files("first")).unwrap();
    assert_eq!(fs::read_to_string(out.join(MANIFEST)).unwrap(), "first");
    let refused = Place::find(&out, false).unwrap_err().to_string();
    assert!(refused.contains("a report is there already") && refused.contains("--force"), "{refused}");
    let second = Files::from([(MANIFEST.to_owned(), b"second".to_vec())]);
    Place::find(&out, true).unwrap().write(&second).unwrap();
    assert_eq!(beside(&out), [MANIFEST], "nothing of the old one is left in it");
    assert_eq!(beside(dir.path()), ["out"], "nor beside it");
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    assert!(Place::find(&home, false).is_ok(), "it is empty");
    fs::write(home.join("thesis.tex"), "").unwrap();
    for force in [false, true] {
        assert!(Place::find(&home, force).unwrap_err().to_string().contains("something else than a report"));
        let file = Place::find(&home.join("thesis.tex"), force).unwrap_err().to_string();
        assert!(file.contains("this is a file"), "{file}");
    }
}

#[test]
fn what_interrupts_the_writing_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // A file where a folder must be cannot be written, and comes after others that can.
    let mut bad = files("new");
    bad.insert("tables".to_owned(), Vec::new());
    let error = Place::find(&out, false).unwrap().write(&bad).unwrap_err();
    assert!(error.to_string().starts_with("cannot write ") && error.hint().is_some(), "{error}");
    assert!(beside(dir.path()).is_empty());
    Place::find(&out, false).unwrap().write(&files("old")).unwrap();
    Place::find(&out, true).unwrap().write(&bad).unwrap_err();
    assert_eq!(fs::read_to_string(out.join(MANIFEST)).unwrap(), "old");
    assert_eq!(beside(dir.path()), ["out"]);
    let nowhere = Place::find(&dir.path().join("no/such/out"), false).unwrap().write(&files("x")).unwrap_err();
    assert!(nowhere.to_string().contains("does not exist"), "{nowhere}");
}

#[test]
fn a_fetched_report_verifies_from_the_disk_and_against_the_coordinator_and_not_when_a_file_has_grown() {
    let materials = materials(|_| ());
    let (publisher, result) = (key(PUBLISHER), (200, materials.result_text().to_owned()));
    let signed = Publication::sign(materials.signed().id(), result.1.as_bytes(), &publisher).unwrap();
    let network = ok(&network(Some(publisher.public())));
    let pinned = Some(publisher.public());
    let answers =
        vec![network.clone(), ok(materials.signed()), (200, CONTRACT.to_owned()), result.clone(), ok(&signed)];
    let (api, _heard) = answering(answers);
    let fetched = fetch(&api, &materials.signed().id(), &key(HOLDER), pinned).unwrap();
    assert_eq!(fetched.publisher, pinned);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    Place::find(&out, false).unwrap().write(&fetched.files).unwrap();
    let verified = verify_folder(&out, Known::default()).unwrap();
    let text = said(&verified, Known::default(), false);
    assert!(text.contains("tables and page say what the result says"), "{text}");
    assert!(text.contains(&format!("published by the coordinator {}\n", publisher.public())), "{text}");
    assert!(text.contains("--published-by KEY"), "{text}");
    let known = Known { made_by: None, published_by: pinned };
    let text = said(&verify_folder(&out, known).unwrap(), known, false);
    assert!(text.contains("the coordinator signed this result: no number and no receipt"), "{text}");
    let (api, _heard) = answering(vec![network.clone(), result.clone(), ok(materials.signed())]);
    compare(&api, &verified, pinned).unwrap();
    // What its researcher altered and signed anew only the coordinator can tell: a number, or the receipt of a release.
    let receipt = materials.result().sites[0].receipts[0].to_string();
    let of_another_site = materials.result().sites[1].receipts[0].to_string();
    let exchanged = result.1.replace(&receipt, "…").replace(&of_another_site, &receipt).replace('…', &of_another_site);
    let no_release = result.1.replace(&receipt, &"0".repeat(receipt.len()));
    for other in [result.1.replace("303", "304"), no_release, exchanged] {
        assert_ne!(other, result.1);
        let (api, _heard) = answering(vec![network.clone(), (200, other), ok(materials.signed())]);
        let error = compare(&api, &verified, None).unwrap_err().to_string();
        assert!(error.contains("result.json: the coordinator published another result"), "{error}");
    }
    fs::write(out.join(".thumbnails"), "").unwrap();
    verify_folder(&out, Known::default()).unwrap();
    let error = verify_folder(&out.join(RESULT), Known::default()).unwrap_err().to_string();
    let named =
        format!("a report is a folder\n  hint: name the folder that it lies in: bocage study verify {}", out.display());
    assert!(error.ends_with(&named), "{error}");
    for more in ["more.txt", "tables/more.csv"] {
        fs::write(out.join(more), "n\n7\n").unwrap();
        let error = verify_folder(&out, Known::default()).unwrap_err().to_string();
        assert!(error.contains(&format!("{more}: it is not part of the report")), "{error}");
        fs::remove_file(out.join(more)).unwrap();
    }
    let mut csv = fs::read(out.join("tables/by_sex_and_age.csv")).unwrap();
    csv.extend(b"female,>= 50,7,,,\n");
    fs::write(out.join("tables/by_sex_and_age.csv"), csv).unwrap();
    let error = verify_folder(&out, Known::default()).unwrap_err().to_string();
    assert!(error.contains("tables/by_sex_and_age.csv: it is not the file that was signed"), "{error}");
    fs::remove_file(out.join(RESULT)).unwrap();
    assert!(verify_folder(&out, Known::default()).unwrap_err().to_string().contains("result.json: it is missing"));
}

#[test]
fn a_coordinator_that_gives_another_study_is_not_believed() {
    let materials = materials(|_| ());
    let (api, _heard) = answering(vec![ok(&network(None)), ok(materials.signed())]);
    let other = "a".repeat(64).parse().unwrap();
    assert!(matches!(fetch(&api, &other, &key(HOLDER), None), Err(ClientError::Answer { .. })));
}

/// What a coordinator that publishes so is asked for, up to a result with this answer for a signature.
fn fetched(
    publisher: Option<PublicKey>,
    signature: (u16, String),
    pinned: Option<PublicKey>,
) -> Result<Fetched, ClientError> {
    let materials = materials(|_| ());
    let result = (200, materials.result_text().to_owned());
    let (api, _heard) =
        answering(vec![ok(&network(publisher)), ok(materials.signed()), (200, CONTRACT.to_owned()), result, signature]);
    fetch(&api, &materials.signed().id(), &key(HOLDER), pinned)
}

fn not_found() -> (u16, String) {
    (404, r#"{"type":"urn:bocage:problem:not_found","title":"x","status":404,"detail":"no","code":"not_found"}"#.into())
}

#[test]
fn a_coordinator_with_another_key_than_the_profile_has_is_told_and_nothing_is_kept_of_it() {
    let [ours, theirs] = [PUBLISHER, 71].map(|seed| key(seed).public());
    for publisher in [Some(theirs), None] {
        let error = fetched(publisher, not_found(), Some(ours)).unwrap_err();
        assert!(matches!(error, ClientError::OtherPublisher { .. }), "{error}");
        assert!(error.to_string().contains(&ours.to_string()) && error.hint().is_some(), "{error}");
    }
}

#[test]
fn an_older_coordinator_signs_nothing_and_the_folder_says_so_plainly() {
    let fetched = fetched(None, not_found(), None).unwrap();
    assert!(fetched.publisher.is_none() && !fetched.files.contains_key(PUBLICATION));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    Place::find(&out, false).unwrap().write(&fetched.files).unwrap();
    let text = said(&verify_folder(&out, Known::default()).unwrap(), Known::default(), false);
    assert!(text.contains("the result has no signature of a coordinator") && !text.contains("published by"), "{text}");
    let known = Known { made_by: None, published_by: Some(key(PUBLISHER).public()) };
    let error = verify_folder(&out, known).unwrap_err().to_string();
    assert!(error.contains("result.sig.json: it is missing: nothing shows that ed25519:"), "{error}");
}

#[test]
fn a_coordinator_that_shows_a_key_and_signs_with_another_or_not_at_all_is_not_believed() {
    let (materials, other) = (materials(|_| ()), key(71));
    let signed = |bytes: &[u8]| ok(&Publication::sign(materials.signed().id(), bytes, &other).unwrap());
    for signature in [not_found(), signed(materials.result_text().as_bytes())] {
        let error = fetched(Some(key(PUBLISHER).public()), signature, None).unwrap_err();
        assert!(matches!(error, ClientError::Answer { .. }), "{error}");
    }
    let error = fetched(Some(other.public()), signed(b"another result"), None).unwrap_err().to_string();
    assert!(error.contains("result.sig.json: result: the coordinator published another result"), "{error}");
}

#[test]
fn a_coordinator_whose_key_was_replaced_since_is_told_from_the_one_that_published() {
    let (materials, old) = (materials(|_| ()), key(71));
    let result = (200, materials.result_text().to_owned());
    let signed = Publication::sign(materials.signed().id(), result.1.as_bytes(), &old).unwrap();
    let fetched = fetched(Some(old.public()), ok(&signed), None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    Place::find(&out, false).unwrap().write(&fetched.files).unwrap();
    let verified = verify_folder(&out, Known::default()).unwrap();
    for now in [Some(key(PUBLISHER).public()), None] {
        let (api, _heard) = answering(vec![ok(&network(now)), result.clone(), ok(materials.signed())]);
        let error = compare(&api, &verified, None).unwrap_err().to_string();
        assert!(
            error.contains(&format!("result.sig.json: publisher: {} published the result", old.public())),
            "{error}"
        );
    }
}
