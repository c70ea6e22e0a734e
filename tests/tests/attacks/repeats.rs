//! One question asked again and again: by one study, by many, in other words, and over restarts.

use std::collections::BTreeSet;

use bocage_node::custodian::ledger::{Kind, Ledger};
use bocage_node::custodian::{Control, Controls};
use bocage_protocol::wire::codec;

use super::hospital::{Desk, Hospital};
use super::scenario::{Family, Guard};
use super::ward::{Patient, patients};

/// How often one question is asked.
fn often() -> u32 {
    300 * bocage_tests::scale()
}

fn hospital() -> Hospital {
    Hospital::ward(&patients(40, |i| Patient {
        age: 30 + i as i64,
        sex: ["0", "1"][i % 2],
        weight: Some(60.0 + i as f64),
        ..Patient::default()
    }))
}

/// A question whose study, name, title and headings differ every time, and whose plan does not.
fn ask(desk: &Desk<'_>, n: u32) -> Vec<u8> {
    let of = |words: [&'static str; 4], every: u32| words[(n / every) as usize % 4];
    let name = of(["a", "first", "q", "count"], 1);
    let show = of(
        ["'count', 'mean(weight)'", "'mean(weight)', 'count'", "'count', 'mean( weight )'", "'sd(weight)', 'count'"],
        2,
    );
    let filter = of(["age >= 31", "(age >= 31)", "age   >= 31", "( age >= 31 )"], 3);
    let text = format!("[[analysis]]\nname = '{name}'\ntable = {{ by = ['sex'], show = [{show}] }}\n");
    codec::encode(&desk.ask(filter, &text)[0]).expect("bytes")
}

fn releases(desk: &Desk<'_>) -> usize {
    let config = desk.hospital.config();
    let ledger = Ledger::open_read_only(&config.state.ledger()).expect("the ledger");
    let mut found = 0;
    ledger.records(None, |record| found += usize::from(record.kind() == Some(Kind::Release))).expect("records");
    found
}

/// Whether many studies of one question, over some restarts, have more than one answer or more than one computation.
fn many_studies(controls: Controls) -> bool {
    let hospital = hospital();
    let (mut answers, mut queries) = (BTreeSet::new(), 0);
    for life in 0..5 {
        let desk = hospital.open(controls);
        for n in 0..often() / 5 {
            answers.insert(ask(&desk, life + n));
            assert_eq!(answers.len(), 1, "exact numbers do not change");
            if queries + desk.queries() > 1 {
                return true;
            }
        }
        queries += desk.queries();
    }
    false
}

/// Whether one study that is sent again and again is answered anew.
fn one_study(controls: Controls, restarts: u32) -> bool {
    let hospital = hospital();
    let request = hospital.request(&hospital.study("", "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n"));
    let mut frames = BTreeSet::new();
    (0..=restarts).any(|_| {
        let desk = hospital.open(controls);
        frames.extend((0..10).map(|_| desk.custodian.round(&request)));
        frames.len() > 1 || releases(&desk) > 1
    })
}

/// One cohort in other words.
const WORDS: [&str; 5] = [
    "sex in ('0', '1') and age between 35 and 45",
    "sex in ('1', '0') and age between 35 and 45",
    "sex in ('0', '1') and age >= 35 and age <= 45",
    "45 >= age and sex in ('0', '1') and 35 <= age",
    "not (not (sex in ('0', '1') and age between 35 and 45))",
];

/// One cohort in words that mean the same among whole numbers and days.
const WHOLE: [&str; 4] = [
    "age between 35 and 45 and admitted >= date '2020-01-01'",
    "age > 34 and age < 46 and admitted > date '2019-12-31'",
    "not (age < 34.5 or age > 45.5) and not admitted < date '2020-01-01'",
    "34 < age and 45.9 >= age and not date '2020-01-01' > admitted",
];

/// Whether one cohort in other words is computed again. Off: as if plans stayed as they were written.
fn reworded(guard: Guard, words: &[&str]) -> bool {
    let hospital = hospital();
    let desk = hospital.open(Controls::default());
    let count = "table = { show = ['count'] }";
    let answers: Vec<_> = words.iter().map(|filter| desk.one(filter, count)).collect();
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "the answer is the same");
    match guard {
        Guard::On => desk.queries() > 1,
        Guard::Off => {
            let written = words.iter().map(|filter| {
                format!("{:?}", hospital.study(filter, &format!("[[analysis]]\nname = 'a'\n{count}\n")).filter)
            });
            written.collect::<BTreeSet<_>>().len() > 1
        }
    }
}

/// Whether one table in another order is computed again, or its answer is read wrong. Off: as if keys and measures stayed as they were written.
fn another_order(guard: Guard) -> bool {
    let hospital = hospital();
    let desk = hospital.open(Controls::default());
    let table = |by: &str, show: &str| format!("table = {{ by = [{by}], show = [{show}], roll_up = false }}");
    let one = table("'sex', 'cut(age, 50)'", "'count', 'mean(weight)', 'share(age > 40)'");
    let other = table("'cut(age, 50)', 'sex'", "'share(age > 40)', 'mean(weight)', 'count'");
    let ask = |of: &str| desk.ask("", &format!("[[analysis]]\nname = 'a'\n{of}\n"));
    assert_eq!(ask(&one), ask(&other), "sites answer in one order");
    match guard {
        Guard::On => desk.queries() > 1,
        Guard::Off => {
            let written =
                |of: &str| format!("{:?}", hospital.study("", &format!("[[analysis]]\nname = 'a'\n{of}\n")).analyses);
            written(&one) != written(&other)
        }
    }
}

pub fn family() -> Family {
    Family::new("repeats")
        .beside("normal form of plans", "one table with its keys and measures in another order", another_order)
        .beside("normal form of plans", "one question in other words", |guard| reworded(guard, &WORDS))
        .beside("normal form of plans", "one question in other words of whole numbers and days", |guard| {
            reworded(guard, &WHOLE)
        })
        .against(Control::ReuseOfAnswers, "one question by hundreds of studies, over restarts", many_studies)
        .against(Control::RepeatFromLedger, "one study, sent again", |on| one_study(on, 0))
        .against(Control::RepeatFromLedger, "one study, sent again over restarts", |on| one_study(on, 4))
}
