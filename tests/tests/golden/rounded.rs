//! What leaves a site that rounds, and a permit that demands it.

use super::*;

#[test]
fn rounded_releases_and_a_permit_that_demands_them_have_these_bytes() {
    let (key, signed) = signed_study();
    let count = |subjects| Count { subjects, rows: subjects };
    let measures = vec![
        MeasureRelease::Number { valid: count(40), sum: -(1 << 32), sum_sq: 1 << 60 },
        MeasureRelease::Condition { valid: count(40), holds_rows: 20 },
    ];
    let table = TableRelease {
        threshold: 13,
        step: 0,
        total: None,
        cells: vec![CellRelease::Shown { count: count(40), measures }, CellRelease::FewerThanK],
        held_back: false,
        rounded: true,
    };
    let bin = |upto, subjects| BinRelease { upto, count: count(subjects) };
    let bins = BinsRelease {
        threshold: 13,
        missing: Some(count(15)),
        bins: vec![bin(300, 10), bin(1000, 40)],
        held_back: false,
        rounded: true,
    };
    let mut release = release(signed.id());
    release.parts[0].outcome = Outcome::Table(table);
    release.parts[1].outcome = Outcome::Bins(bins);
    let issuer = SecretKey::generate(&mut CountingDown);
    let permit = Permit { mode: PermitMode::Round, ..permit(&key).verify().expect("a permit") };
    let permit = SignedPermit::sign(&permit, &issuer).expect("a permit");
    let found = json!({
        "release": hex(&SignedRelease::sign(&release, standing(), &key).expect("a release").body),
        "permit": permit,
        "permit_digest": permit.digest(),
    });
    assert_eq!(found, golden("rounded-v1.json"), "found:\n{found:#}");
}
