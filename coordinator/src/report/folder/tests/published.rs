//! What its researcher altered and signed anew is told from what the coordinator published, by the coordinator's key alone.

use bocage_protocol::trust::{Publication, SignedPublication};

use super::*;

/// The coordinator's, and what somebody takes for it.
const PUBLISHER: u8 = 70;
const OTHER: u8 = 71;

/// As the coordinator signs what these materials say.
fn publication(of: &Materials, key_of: u8) -> SignedPublication {
    Publication::sign(of.signed().id(), of.result_text().as_bytes(), &key(key_of)).unwrap()
}

/// A folder with this signature, as its researcher signs it.
fn folder(of: &Materials, publication: Option<&SignedPublication>) -> (Files, String) {
    let mut files = of.files().unwrap();
    files.extend(publication.map(|signed| (PUBLICATION.to_owned(), signed.to_text().into_bytes())));
    let manifest = signed(&files, of.signed().id(), &key(HOLDER), VERSION);
    (files, manifest)
}

/// The places of what is wrong for who demands a coordinator's key, and for who demands none.
fn found((files, manifest): &(Files, String)) -> [Vec<String>; 2] {
    [Some(key(PUBLISHER).public()), None]
        .map(|published_by| places(check_as(files, manifest, Known { made_by: None, published_by })))
}

const NONE: [&str; 0] = [];

#[test]
fn a_result_that_the_coordinator_signed_holds_and_names_its_key() {
    let materials = materials(|_| ());
    let signed = publication(&materials, PUBLISHER);
    let published = materials.clone().published(signed.clone()).unwrap();
    let (files, manifest) = folder(&published, None);
    assert_eq!(files[PUBLICATION], signed.to_text().into_bytes(), "it is one of its files");
    assert_eq!(found(&(files.clone(), manifest.clone())), [NONE, NONE]);
    let verified = check(&files, &manifest, None).unwrap();
    assert!(verified.made_again && verified.materials.publisher() == Some(key(PUBLISHER).public()));
    let none = folder(&materials, None);
    assert_eq!(check(&none.0, &none.1, None).unwrap().materials.publisher(), None);
}

#[test]
fn numbers_and_receipts_that_the_researcher_alters_and_signs_anew_are_found_without_the_coordinator() {
    type Change = fn(&mut StudyResult);
    let attacks: [(&str, Change); 3] = [
        ("a number", |r| r.analyses[0].block.rows[1][2] = Value::Count(304)),
        ("those of another site", exchange),
        ("another study's", |r| r.sites[0].receipts[0] = Digest::of("receipt", &["another study".as_bytes()])),
    ];
    let honest = publication(&materials(|_| ()), PUBLISHER);
    for (name, change) in attacks {
        let forged = materials(change);
        // With the coordinator's signature left in it, it is found by everybody.
        assert_eq!(found(&folder(&forged, Some(&honest))), [["result.sig.json: result"]; 2], "{name}");
        // Without, or with somebody's own, by who demands the coordinator's; who demands none takes it for what it says.
        assert_eq!(found(&folder(&forged, None)), [vec!["result.sig.json"], vec![]], "{name}: left out");
        let own = publication(&forged, OTHER);
        assert_eq!(found(&folder(&forged, Some(&own))), [vec!["result.sig.json: publisher"], vec![]], "{name}: own");
    }
}

#[test]
fn a_page_that_says_something_else_is_not_covered_by_another_version_s_name() {
    let materials = materials(|_| ());
    let (mut files, _) = folder(&materials, Some(&publication(&materials, PUBLISHER)));
    files.insert("report.html".to_owned(), b"<p>It works.</p>".to_vec());
    let manifest = |version| signed(&files, materials.signed().id(), &key(HOLDER), version);
    assert_eq!(found(&(files.clone(), manifest(VERSION))), [["report.html"]; 2]);
    // Who demands no coordinator's key is told in words that nothing was compared.
    assert_eq!(found(&(files.clone(), manifest("0.0.9"))), [vec!["manifest.json: version"], vec![]]);
}

#[test]
fn a_signature_of_another_study_or_one_that_was_altered_is_none() {
    let one = materials(|_| ());
    let other = Publication::sign(Digest::of("other", &[]), one.result_text().as_bytes(), &key(PUBLISHER)).unwrap();
    assert_eq!(found(&folder(&one, Some(&other))), [["result.sig.json: study"]; 2]);
    let soundly = publication(&one, PUBLISHER);
    // Somebody's own signature under the coordinator's name.
    let mut stolen = soundly.clone();
    stolen.signature = publication(&one, OTHER).signature;
    assert_eq!(found(&folder(&one, Some(&stolen))), [[PUBLICATION]; 2]);
    let mut cut = folder(&one, Some(&soundly)).0;
    cut.insert(PUBLICATION.to_owned(), b"{}".to_vec());
    let manifest = signed(&cut, one.signed().id(), &key(HOLDER), VERSION);
    assert_eq!(found(&(cut, manifest)), [[PUBLICATION]; 2]);
}

#[test]
fn another_version_of_the_program_cannot_be_named_to_get_past_the_signature() {
    let forged = materials(|result| result.analyses[0].block.rows[1][2] = Value::Count(304));
    let (files, _) = folder(&forged, Some(&publication(&materials(|_| ()), PUBLISHER)));
    let older = signed(&files, forged.signed().id(), &key(HOLDER), "0.0.1");
    assert_eq!(found(&(files, older)), [["result.sig.json: result"]; 2]);
}
