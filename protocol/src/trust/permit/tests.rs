//! What a permit covers, and what is no permit.

use serde_json::Value;

use super::*;
use crate::env::Fixed;
use crate::trust::{SecretKey, from_canonical};

const END: Timestamp = Timestamp(1_790_000_000_000);

fn key(seed: u8) -> SecretKey {
    SecretKey::generate(&mut Fixed(seed))
}

/// A permit for two columns of one dataset at three sites.
pub(in crate::trust) fn permit(issuer: &SecretKey, id: &str, valid_to: Timestamp) -> Permit {
    Permit {
        format: PERMIT_FORMAT,
        network: "heart-lab".parse().unwrap(),
        id: id.parse().unwrap(),
        title: "A permit".to_owned(),
        issuer: issuer.public(),
        holder: Holder { name: "Ada".into(), organisation: "University".into(), key: key(2).public() },
        purposes: vec![Purpose::ScientificResearch],
        datasets: vec![Scope {
            dataset: "heart@1".parse().unwrap(),
            columns: Some(["age", "sex"].map(|column| column.parse().unwrap()).to_vec()),
        }],
        sites: Some(["aa", "bb", "cc"].map(|site| site.parse().unwrap()).to_vec()),
        min_sites: 2,
        threshold: 11,
        mode: PermitMode::Exact,
        max_cells: 1000,
        valid_from: valid_to.plus_secs(-10_000),
        valid_to,
        nonce: "ab".repeat(16),
    }
}

fn signed() -> SignedPermit {
    SignedPermit::sign(&permit(&key(1), "DK-1", END), &key(1)).unwrap()
}

/// The signature of one permit under another document.
fn swapped(signed: &SignedPermit, document: String) -> SignedPermit {
    let mut swapped = signed.clone();
    swapped.document = document;
    swapped
}

/// Another value of the same form, so that only the signature can tell.
fn other(value: &Value) -> Value {
    match value {
        Value::Number(n) => Value::from(n.as_i64().unwrap() + 1),
        Value::String(text) if text.starts_with("ed25519:") => Value::from(key(3).public().to_string()),
        Value::String(text) if text == "scientific_research" => Value::from("statistics"),
        Value::String(text) => Value::from(format!("{text}0")),
        Value::Array(items) => items.iter().map(other).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), other(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_permit_reads_back_from_its_file_and_every_altered_field_is_refused() {
    let signed = signed();
    let again = SignedPermit::from_text(&signed.to_text()).unwrap();
    assert_eq!((again.verify().unwrap(), again.digest()), (permit(&key(1), "DK-1", END), signed.digest()));
    let document: Value = serde_json::from_str(&signed.document).unwrap();
    let fields: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 16);
    for field in fields {
        let mut altered = document.clone();
        altered[field] = other(&document[field]);
        assert_ne!(altered[field], document[field], "{field}");
        let error = swapped(&signed, altered.to_string()).verify().unwrap_err();
        let codes = [ErrorCode::PermitInvalid, ErrorCode::Malformed];
        assert!(codes.contains(&error.code), "{field}: {error}");
    }
}

#[test]
fn one_altered_byte_anywhere_and_a_signature_by_another_key_are_refused() {
    let signed = signed();
    for at in 0..signed.document.len() {
        let mut bytes = signed.document.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(document) = String::from_utf8(bytes) else { continue };
        assert!(swapped(&signed, document).verify().is_err(), "byte {at}");
    }
    let theirs = permit(&key(3), "DK-1", END);
    let stolen = swapped(&SignedPermit::sign(&theirs, &key(3)).unwrap(), signed.document.clone());
    assert_eq!(stolen.verify().unwrap_err().code, ErrorCode::PermitInvalid);
    assert!(SignedPermit::sign(&theirs, &key(1)).is_err());
}

#[test]
fn a_permit_that_is_no_sound_one_is_not_signed() {
    let refused = |change: &dyn Fn(&mut Permit)| {
        let mut permit = permit(&key(1), "DK-1", END);
        change(&mut permit);
        SignedPermit::sign(&permit, &key(1)).unwrap_err().code
    };
    let changes: [&dyn Fn(&mut Permit); 13] = [
        &|p| p.format = 2,
        &|p| p.title.clear(),
        &|p| p.holder.organisation = "two\nlines".into(),
        &|p| p.purposes.clear(),
        &|p| p.purposes = vec![Purpose::Statistics, Purpose::ScientificResearch],
        &|p| p.datasets.clear(),
        &|p| p.datasets[0].columns = Some(vec![]),
        &|p| p.sites = Some(vec![]),
        &|p| p.min_sites = 0,
        &|p| p.min_sites = 4,
        &|p| p.max_cells = 0,
        &|p| p.valid_to = p.valid_from,
        &|p| p.nonce = "AB".repeat(16),
    ];
    for (i, change) in changes.iter().enumerate() {
        assert_eq!(refused(change), ErrorCode::PermitInvalid, "change {i}");
    }
}

#[test]
fn time_sites_and_columns_are_judged_each_with_its_own_code() {
    let permit = permit(&key(1), "DK-1", END);
    let columns = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<BTreeSet<ColumnName>>();
    assert!(permit.check_time(END.plus_secs(300)).is_ok());
    assert_eq!(permit.check_time(END.plus_secs(301)).unwrap_err().code, ErrorCode::PermitExpired);
    assert!(permit.check_time(permit.valid_from.plus_secs(-300)).is_ok());
    let early = permit.valid_from.plus_secs(-301);
    assert_eq!(permit.check_time(early).unwrap_err().code, ErrorCode::PermitNotYetValid);
    assert!(permit.check_site(&"bb".parse().unwrap()).is_ok());
    assert_eq!(permit.check_site(&"dd".parse().unwrap()).unwrap_err().code, ErrorCode::PermitSites);
    let heart = "heart@1".parse().unwrap();
    assert!(permit.check_columns(&heart, &columns(&["age"])).is_ok());
    let outside = permit.check_columns(&heart, &columns(&["age", "chol", "num"])).unwrap_err();
    assert_eq!(outside.code, ErrorCode::PermitScope);
    assert!(outside.message.contains("chol, num"), "{outside}");
    let lung = permit.check_columns(&"lung@1".parse().unwrap(), &columns(&[])).unwrap_err();
    assert_eq!(lung.code, ErrorCode::PermitScope);
}

#[test]
fn a_permit_beyond_its_bound_is_not_read() {
    let long = swapped(&signed(), " ".repeat(limits::PERMIT_BYTES + 1));
    assert_eq!(long.verify().unwrap_err().code, ErrorCode::TooLarge);
    assert_eq!(SignedPermit::from_text(&" ".repeat(1 << 20)).unwrap_err().code, ErrorCode::TooLarge);
    assert!(from_canonical::<Permit>(b"{}", limits::PERMIT_BYTES).is_err());
}
