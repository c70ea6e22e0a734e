//! What is told of sites that differ from what a study wants.

use super::*;

const ASKED: &str = r#"
    id = "pressure@2"
    subject = "row"
    [[column]]
    name = "systolic"
    type = "float"
    unit = "mm[Hg]"
    range = [50, 300]
    [[column]]
    name = "diagnosis"
    type = "code"
    system = "icd10"
    codes = [{ code = "I10" }]
    [[column]]
    name = "smoker"
    type = "bool"
    [[column]]
    name = "note"
    type = "text"
"#;

const DAY_SECS: i64 = 86_400;

fn contract(text: &str) -> Contract {
    bocage_protocol::contract::parse(text, "pressure.toml").unwrap()
}

fn at(day: i64) -> Timestamp {
    Timestamp(0).plus_secs(day * DAY_SECS)
}

fn site(id: &str, datasets: Vec<OfferInfo>) -> SiteInfo {
    SiteInfo {
        enrolled: true,
        id: id.parse().unwrap(),
        name: id.to_owned(),
        online: true,
        connected_since: None,
        last_seen: Some(at(1)),
        skew_ms: None,
        skew_within_ms: None,
        software: None,
        datasets,
        ledger_warning: None,
        revoked: false,
        certificate: None,
    }
}

fn offer(contract: &Contract, day: i64) -> OfferInfo {
    OfferInfo {
        contract: contract.id().clone(),
        hash: contract.hash(),
        needs_permit: false,
        snapshot_at: Some(at(day)),
        absent: Some(vec![]),
        columns: None,
    }
}

/// What is told of this site, by a study that reads all but the note.
fn told(site: &SiteInfo, asked: bool, not_before: Option<Timestamp>) -> Option<Vec<String>> {
    let contract = contract(ASKED);
    let reads = ["systolic", "diagnosis", "smoker"].map(|c| c.parse().unwrap()).into();
    let asks = if asked { vec![site.id.clone()] } else { vec![] };
    let wanted = Wanted { contract: &contract, reads: &reads, not_before, asks: &asks };
    let looks = looks(std::slice::from_ref(site), &wanted, &mut |_, _| None);
    Some(looks.first()?.notes.iter().map(ToString::to_string).collect())
}

#[test]
fn a_column_that_the_study_reads_and_the_site_does_not_collect_is_told_and_another_one_is_not() {
    let mut offer = offer(&contract(ASKED), 9);
    offer.absent = Some(["note", "smoker"].map(|c| c.parse().unwrap()).to_vec());
    let notes = told(&site("aa", vec![offer]), true, None);
    assert_eq!(notes.unwrap(), ["smoker is not collected: missing in every row"]);
}

#[test]
fn each_difference_of_another_contract_is_told_for_the_columns_that_the_study_reads() {
    let other = ASKED
        .replace("pressure@2", "pressure@1")
        .replace("mm[Hg]", "kPa")
        .replace("\"icd10\"", "\"local\"")
        .replace("\"smoker\"", "\"smokes\"")
        .replace("type = \"text\"", "type = \"bool\"");
    let theirs = contract(&other);
    let offer = OfferInfo { columns: Some(theirs.traits()), ..offer(&theirs, 9) };
    let wanted = [
        "it has another version of the contract, and would refuse",
        "systolic has the unit kPa, not mm[Hg]",
        "diagnosis has the code system local, not icd10",
        "smoker is no column of its contract",
    ];
    assert_eq!(told(&site("aa", vec![offer.clone()]), false, None).unwrap(), wanted);
    // Under the study's own name it is another content; and a type that differs says all.
    let same_name = contract(&other.replace("pressure@1", "pressure@2").replace("type = \"float\"", "type = \"int\""));
    let offer = OfferInfo { contract: "pressure@2".parse().unwrap(), columns: Some(same_name.traits()), ..offer };
    let notes = told(&site("aa", vec![offer]), true, None).unwrap();
    assert_eq!(
        notes[..2],
        [
            "its contract of that name and version says something else, so it would refuse",
            "systolic is of type int, not float"
        ]
    );
}

#[test]
fn what_a_site_cannot_or_does_not_say_is_told_as_that() {
    let theirs = contract(&ASKED.replace("kPa", "mm[Hg]").replace("@2", "@1"));
    let notes = told(&site("aa", vec![offer(&theirs, 9)]), false, None).unwrap();
    assert!(notes.last().unwrap().starts_with("its node does not say"), "{notes:?}");
    let old_node = OfferInfo { absent: None, ..offer(&contract(ASKED), 9) };
    assert_eq!(
        told(&site("aa", vec![old_node]), true, None).unwrap(),
        ["its node does not say which columns it lacks, or how they differ"]
    );
    let gone = SiteInfo { online: false, last_seen: None, ..site("aa", vec![]) };
    assert_eq!(told(&gone, true, None).unwrap(), ["it is not connected"]);
    assert_eq!(told(&site("aa", vec![]), true, None).unwrap(), ["it does not offer pressure@2"]);
    assert_eq!(told(&site("aa", vec![]), false, None), None, "it has nothing to do with the study");
    let none = OfferInfo { snapshot_at: None, ..offer(&contract(ASKED), 9) };
    assert_eq!(told(&site("aa", vec![none]), true, None).unwrap(), ["it has no snapshot that can be used"]);
}

#[test]
fn a_contract_that_the_coordinator_holds_is_compared_though_the_site_does_not_spell_it() {
    let theirs = contract(&ASKED.replace("@2", "@1").replace("mm[Hg]", "kPa"));
    let asked = contract(ASKED);
    let reads = BTreeSet::from(["systolic".parse().unwrap()]);
    let wanted = Wanted { contract: &asked, reads: &reads, not_before: None, asks: &[] };
    let site = site("aa", vec![offer(&theirs, 9)]);
    let mut known =
        |id: &ContractId, hash: &Digest| (*id == *theirs.id() && *hash == theirs.hash()).then(|| theirs.traits());
    let notes = looks(&[site], &wanted, &mut known).remove(0).notes;
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[1].to_string(), "systolic has the unit kPa, not mm[Hg]");
}

#[test]
fn sites_whose_snapshots_are_older_than_asked_are_left_out_or_refused_where_they_are_named() {
    let contract = contract(ASKED);
    let ids: Vec<SiteId> = ["aa", "bb", "cc"].map(|id| id.parse().unwrap()).to_vec();
    let mut none = offer(&contract, 0);
    none.snapshot_at = None;
    let sites = [site("aa", vec![offer(&contract, 10)]), site("bb", vec![offer(&contract, 9)]), site("cc", vec![none])];
    let of = (contract.id(), &contract.hash());
    let recent = |named: &[SiteId], day| recent(&ids, named, &sites, of, at(day), "s.toml").map_err(|p| p.to_string());
    assert_eq!(recent(&[], 10).unwrap(), ids[..1]);
    assert_eq!(recent(&[], 9).unwrap(), ids[..2]);
    let error = recent(&[], 11).unwrap_err();
    assert_eq!(
        error,
        "s.toml: snapshot_not_before: no site has a snapshot of 1970-01-12 or later\n  hint: the newest is of 1970-01-11"
    );
    let error = recent(&ids, 10).unwrap_err();
    for wanted in [
        "s.toml: sites[1]: `bb` has a snapshot of pressure@2 of 1970-01-10, and none before 1970-01-11 is wanted\n  hint: leave the site out",
        "s.toml: sites[2]: `cc` has no snapshot of pressure@2, and none before 1970-01-11 is wanted",
    ] {
        assert!(error.contains(wanted), "{error}");
    }
    let notes = told(&sites[1], true, Some(at(10))).unwrap();
    assert_eq!(notes, ["its snapshot of 1970-01-10T00:00:00Z is older than asked (not before 1970-01-11)"]);
}
