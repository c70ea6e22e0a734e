//! What rules find in other datasets, beside a plain look at all rows; and what becomes of them where there is nothing to look into.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;

use bocage_protocol::contract::parse;
use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::SecretKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::custodian::snapshot::{Size, Snapshot, Taking};
use crate::custodian::source::{BatchSize, Reason};

const PEOPLE: &str = "id = \"people@1\"\nsubject = \"patient\"\nbirth = \"born\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
    [[column]]\nname = \"born\"\ntype = \"date\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\nprecision = \"year\"\n";
const STAYS: &str = "id = \"stays@1\"\nsubject = \"patient\"\nkey = \"stay\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
    [[column]]\nname = \"stay\"\ntype = \"int\"\nrange = [0, 99]\n\
    [[rule]]\nname = \"twice\"\nkind = \"duplicate\"\ncolumns = [\"stay\"]\n";
const VISITS: &str = "id = \"visits@1\"\nsubject = \"patient\"\ntime = \"seen\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
    [[column]]\nname = \"seen\"\ntype = \"KIND\"\nrange = [\"1900-01-01T\", \"2100-12-31T\"]\nPRECISION\
    [[column]]\nname = \"during\"\ntype = \"text\"\nreferences = \"stays\"\n\
    [[rule]]\nname = \"twice\"\nkind = \"duplicate\"\ncolumns = [\"patient\", \"seen\"]\n\
    [[rule]]\nname = \"lived\"\nkind = \"before_birth\"\ncolumn = \"seen\"\nborn = \"people\"\n\
    [[rule]]\nname = \"there\"\nkind = \"dangling\"\ncolumn = \"during\"\n";

fn visits(kind: &str) -> Contract {
    let (time, precision) = if kind == "date" { ("\"", "precision = \"year\"\n") } else { ("T00:00:00Z\"", "") };
    contract(&VISITS.replace("KIND", kind).replace("T\"", time).replace("PRECISION", precision))
}

fn contract(text: &str) -> Contract {
    parse(text, "contract.toml").unwrap()
}

/// A folder of sources and snapshots, and the key of its tokens.
struct Site(tempfile::TempDir, IdForm);

impl Site {
    fn new() -> Self {
        let key = SecretKey::generate(&mut bocage_net::env::SystemEntropy);
        Self(tempfile::tempdir().unwrap(), IdForm::of(None, &key).unwrap())
    }

    fn take(
        &self,
        contract: &Contract,
        rows: &str,
        rules: &[(&str, OnFail)],
        others: &Others,
        size: Size,
    ) -> Result<Manifest, SnapshotError> {
        let (dir, name) = (self.0.path(), contract.id().name());
        fs::write(dir.join(format!("{name}.csv")), rows).unwrap();
        let source = json!({"kind": "csv", "path": format!("{name}.csv")});
        let rules: BTreeMap<&str, String> = rules.iter().map(|(rule, of)| (*rule, of.to_string())).collect();
        let section = json!({"contract": contract.id().to_string(), "source": source, "rules": rules});
        let spec = DatasetSpec::read(name, &section, "node.toml", dir, &mut Problems::default()).unwrap();
        let taking = Taking { form: Some(&self.1), others, size, ..Taking::into(dir) };
        taking.take(&spec, contract, Timestamp(1))
    }

    fn other(&self, text: &str, rows: &str) -> (String, Result<Other, String>) {
        let contract = contract(text);
        let manifest = self.take(&contract, rows, &[], Others::none(), Size::default()).unwrap();
        (contract.id().name().to_owned(), Ok(Other { contract: Arc::new(contract), manifest }))
    }
}

/// A day as a source writes it: the first and the last that it may be.
fn span(text: &str) -> (&str, &str) {
    match text {
        "2000" | "2000-07-01" => ("2000-01-01", "2000-12-31"),
        "2001-03" | "2001-03-15" => ("2001-03-01", "2001-03-31"),
        day => (day, day),
    }
}

const DAYS: [&str; 9] = [
    "1999-12-31",
    "2000-01-01",
    "2000",
    "2000-07-01",
    "2000-07-02",
    "2000-12-31",
    "2001-03",
    "2001-03-14",
    "2001-03-15",
];

/// A patient, a day, and a stay.
type Visit = (Option<u8>, Option<usize>, Option<u8>);

#[derive(Debug, Default, PartialEq)]
struct Found {
    lived: Vec<u64>,
    there: Vec<u64>,
    twice: Vec<u64>,
    left_out: BTreeMap<String, u64>,
    kept: u64,
    /// Of the rows that are kept, those with a day and with a stay.
    values: (usize, usize),
}

fn expected(visits: &[Visit], people: &[(u8, usize)], stays: &BTreeSet<(u8, u8)>, on_fail: [OnFail; 2]) -> Found {
    let (mut found, mut seen) = (Found::default(), HashSet::new());
    for ((patient, day, stay), number) in visits.iter().zip(1..) {
        let Some(patient) = patient else { continue };
        let born = people.iter().filter(|(of, _)| of == patient).map(|(_, day)| span(DAYS[*day]).0).min();
        let early = day.is_some_and(|day| born.is_some_and(|born| span(DAYS[day]).1 < born));
        let nowhere = stay.is_some_and(|stay| !stays.contains(&(*patient, stay)));
        found.lived.extend(early.then_some(number));
        found.there.extend(nowhere.then_some(number));
        let rules = [("lived", early), ("there", nowhere)];
        let out = rules.iter().zip(on_fail).find(|((_, fails), on_fail)| *fails && *on_fail == OnFail::Reject);
        if let Some(((rule, _), _)) = out {
            *found.left_out.entry((*rule).to_owned()).or_default() += 1;
            continue;
        }
        // The day that stands for a year is that day.
        let written = day.map(|day| match DAYS[day] {
            "2000" => "2000-07-01",
            "2001-03" => "2001-03-15",
            day => day,
        });
        if written.is_some_and(|day| !seen.insert((patient, day))) {
            found.twice.push(number);
        }
        found.kept += 1;
        found.values.0 += usize::from(day.is_some() && !(early && on_fail[0] == OnFail::Null));
        found.values.1 += usize::from(stay.is_some() && !(nowhere && on_fail[1] == OnFail::Null));
    }
    found
}

fn on_fail() -> impl Strategy<Value = OnFail> {
    prop_oneof![Just(OnFail::Keep), Just(OnFail::Null), Just(OnFail::Reject)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_in_other_datasets_is_what_a_look_at_all_rows_finds_however_they_were_cut(
        people in proptest::collection::vec((0..6u8, 0..DAYS.len()), 0..9),
        stays in proptest::collection::btree_set((0..6u8, 0..5u8), 0..12),
        visits_of in proptest::collection::vec(
            (proptest::option::weighted(0.9, 0..7u8), proptest::option::weighted(0.9, 0..DAYS.len()), proptest::option::weighted(0.7, 0..5u8)),
            1..70,
        ),
        on_fail in [on_fail(), on_fail()],
        batch in 1..9usize,
    ) {
        let site = Site::new();
        let rows: String = people.iter().map(|(patient, day)| format!("p{patient},{}\n", DAYS[*day])).collect();
        let people_there = site.other(PEOPLE, &format!("patient,born\nz,\n{rows}"));
        let rows: String = stays.iter().map(|(patient, stay)| format!("p{patient},{stay}\n")).collect();
        let others = Others([people_there, site.other(STAYS, &format!("patient,stay\nz,9\n{rows}"))].into());
        let text = |number: Option<u8>| number.map(|n| n.to_string()).unwrap_or_default();
        let row = |(patient, day, stay): &Visit| {
            let patient = patient.map(|patient| format!("p{patient}")).unwrap_or_default();
            format!("{patient},{},{}\n", day.map_or("", |day| DAYS[day]), text(*stay))
        };
        let rows: String = visits_of.iter().map(row).collect();
        let expected = expected(&visits_of, &people, &stays, on_fail);
        let cut = |held_bytes| Size { batch: BatchSize { rows: batch, bytes: usize::MAX }, held_bytes, group_bytes: 1 };
        let mut contents = HashSet::new();
        for size in [Size::default(), cut(1), cut(2_000)] {
            let rules = [("lived", on_fail[0]), ("there", on_fail[1])];
            let taken = site.take(&visits("date"), &format!("patient,seen,during\n{rows}"), &rules, &others, size);
            let Ok(manifest) = taken else {
                prop_assert_eq!(expected.kept, 0);
                return Ok(());
            };
            let failed = |rule: &str| &manifest.report.rules[&rule.parse().unwrap()].failed;
            for (rule, rows) in [("lived", &expected.lived), ("there", &expected.there), ("twice", &expected.twice)] {
                let first: Vec<u64> = rows.iter().copied().take(20).collect();
                prop_assert_eq!((failed(rule).count, &failed(rule).first), (rows.len() as u64, &first), "{}", rule);
            }
            let rejected = manifest.report.rows_rejected.iter().filter_map(|rejected| match &rejected.reason {
                Reason::Rule(rule) => Some((rule.to_string(), rejected.rows)),
                _ => None,
            });
            prop_assert_eq!(rejected.collect::<BTreeMap<_, _>>(), expected.left_out.clone());
            prop_assert_eq!((manifest.rows, manifest.report.rows_kept), (expected.kept, expected.kept));
            let snapshot = Snapshot::open(site.0.path(), "visits", &manifest.content).unwrap();
            prop_assert_eq!((snapshot.values("seen"), snapshot.values("during")), expected.values);
            prop_assert_eq!(&manifest.against, &others.against());
            contents.insert(manifest.content);
        }
        prop_assert_eq!(contents.len(), 1);
    }
}

#[test]
fn a_moment_is_of_its_day_and_a_number_finds_the_text_that_writes_it() {
    let site = Site::new();
    let people = site.other(PEOPLE, "patient,born\na,2000-03-20\n");
    let others = Others([people, site.other(STAYS, "patient,stay\na,7\n")].into());
    let rows =
        "patient,seen,during\na,2000-03-19T23:59:59Z,7\na,2000-03-20T00:00:00Z,8\na,1950-01-01T00:00:00+01:00,07\n";
    let manifest = site.take(&visits("datetime"), rows, &[], &others, Size::default()).unwrap();
    let first = |rule: &str| manifest.report.rules[&rule.parse().unwrap()].failed.first.clone();
    assert_eq!((first("lived"), first("there")), (vec![1, 3], vec![2, 3]));
}

#[test]
fn where_there_is_nothing_to_look_into_a_rule_that_counts_says_so_and_one_that_takes_away_takes_no_snapshot() {
    let site = Site::new();
    let rows = "patient,seen,during\na,1950-01-01,1\n";
    let others = Others(
        [site.other(PEOPLE, "patient,born\na,2000\n"), ("stays".to_owned(), Err("nobody stays".to_owned()))].into(),
    );
    let taken = |rule, on_fail| site.take(&visits("date"), rows, &[(rule, on_fail)], &others, Size::default());
    let manifest = taken("lived", OnFail::Null).unwrap();
    let rule = |name: &str| &manifest.report.rules[&name.parse().unwrap()];
    assert_eq!((rule("lived").failed.count, rule("lived").unheld.as_deref()), (1, None));
    assert_eq!((rule("there").failed.count, rule("there").unheld.as_deref()), (0, Some("nobody stays")));
    assert_eq!(manifest.against.keys().collect::<Vec<_>>(), ["people"]);
    for on_fail in [OnFail::Null, OnFail::Reject] {
        let error = taken("there", on_fail).unwrap_err().to_string();
        assert!(error.starts_with("rule `there` takes rows or values away by another dataset, and cannot"), "{error}");
        assert!(error.contains("nobody stays\n  hint: take that dataset's snapshot first"), "{error}");
    }
    let births = contract(&PEOPLE.replace("birth = \"born\"\n", ""));
    assert_eq!(lacks(&visits("date").rules()[1].check, &births).as_deref(), Some("`people@1` has no `birth`"));
}

#[test]
fn tokens_that_were_altered_are_not_looked_at() {
    let site = Site::new();
    let others =
        Others([site.other(PEOPLE, "patient,born\na,2000\n"), site.other(STAYS, "patient,stay\na,7\n")].into());
    let ids = fs::read_dir(site.0.path().join("people")).unwrap().map(|entry| entry.unwrap().path());
    let ids = ids.into_iter().find(|path| path.extension().is_some_and(|end| end == "ids")).unwrap();
    let whole = fs::read(&ids).unwrap();
    let rows = "patient,seen,during\na,1950-01-01,1\n";
    let mut other = whole.clone();
    other[30] ^= 1;
    for (bytes, wanted) in
        [(&other[..], "the content is not that of"), (&whole[..30], "not the tokens of its patients")]
    {
        fs::write(&ids, bytes).unwrap();
        let error = site.take(&visits("date"), rows, &[], &others, Size::default()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
