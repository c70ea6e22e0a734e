//! What an answer says beside its numbers: names, sizes, catalogues, refusals. Two hospitals whose data differ by what should not show must not be
//! told apart.

use bocage_node::custodian::ledger::Ledger;
use bocage_node::custodian::ledger::bodies::Decision;
use bocage_node::custodian::{Control, Controls};
use bocage_protocol::error::PublicError;
use bocage_protocol::plan::{Plan, Statistic, Table, ValidPlan};
use bocage_protocol::wire::message::RoundRequest;

use super::hospital::Hospital;
use super::scenario::{Family, Guard};
use super::ward::{Patient, WARD, csv, twenty, twenty_and};

const BY_AREA: &str = "[[analysis]]\nname = 'a'\ntable = { by = ['area'], show = ['count'], roll_up = false }\n";

/// A patient whom the threshold hides.
fn hidden() -> Patient {
    Patient { area: "b", age: 111, ..Patient::default() }
}

/// Without the hidden patient, and with.
fn twins() -> [Hospital; 2] {
    [Hospital::ward(&twenty()), Hospital::ward(&twenty_and(hidden()))]
}

fn differ<T: PartialEq>(hospitals: &[Hospital; 2], see: impl Fn(&Hospital) -> T) -> bool {
    see(&hospitals[0]) != see(&hospitals[1])
}

/// A file that is broken at the row of a patient of this age.
fn broken_at(age: usize) -> Hospital {
    let broken = csv(&twenty()).replace(&format!(",{age},"), &format!(",\"{age},"));
    Hospital::new(WARD, &broken)
}

fn refusal(hospital: &Hospital) -> PublicError {
    let desk = hospital.open(Controls::default());
    desk.reply(&hospital.request(&hospital.study("", BY_AREA))).expect_err("no snapshot")
}

/// The sentences that a plan makes: as its author reads them, or as they stand in the site's ledger.
fn explained(hospital: &Hospital, guard: Guard) -> String {
    let contract = &hospital.contract;
    let query = contract.rows(None);
    let statistic = Statistic::Table(Table { by: vec![], measures: vec![], roll_up: false });
    if guard == Guard::On {
        let plan = ValidPlan::check(Plan { query, statistic }, contract).expect("a plan");
        return plan.explain(contract, None).plainly();
    }
    let desk = hospital.open(Controls::default());
    desk.one("", "table = { show = ['count'] }");
    let mut text = String::new();
    let config = hospital.config();
    let ledger = Ledger::open_read_only(&config.state.ledger()).expect("the ledger");
    ledger
        .records(None, |record| {
            text.extend(record.body::<Decision>().into_iter().flat_map(|d| d.explained.into_values()))
        })
        .expect("records");
    text
}

/// What `bocage-node check --study` says about a study.
fn checked(hospital: &Hospital, format: &str) -> Vec<u8> {
    let text = format!(
        "title = \"Attack\"\npurpose = \"scientific_research\"\ndataset = \"ward@1\"\nmin_sites = 1\nwhere = \"age = 111\"\n{BY_AREA}"
    );
    let study = hospital.path("study.toml");
    std::fs::write(&study, text).expect("a study");
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_bocage-lab"))
        .args(["node", "check", "--format", format, "--study"])
        .arg(study)
        .arg("--config")
        .arg(hospital.path("node.toml"))
        .output()
        .expect("the command");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    [said.stdout, said.stderr].concat()
}

/// Whether `check` about one patient says another thing when that patient has come. Off: what it would say if it looked at the snapshot.
fn check_tells(guard: Guard, format: &str) -> bool {
    let hospital = Hospital::ward(&twenty());
    let see = || match guard {
        Guard::On => {
            hospital.open(Controls::default());
            checked(&hospital, format)
        }
        Guard::Off => hospital.refresh().expect("a snapshot").rows.to_be_bytes().to_vec(),
    };
    let before = see();
    hospital.replace_data(&csv(&twenty_and(hidden())));
    hospital.refresh().expect("a snapshot");
    see() != before
}

pub fn family() -> Family {
    Family::new("oracles")
        .beside("keyed snapshot names", "the name of a snapshot confirms a guess of every row", |guard| {
            let hospital = Hospital::ward(&twenty_and(hidden()));
            let guess = Hospital::ward(&twenty_and(hidden())).refresh().expect("a snapshot").content;
            let desk = hospital.open(Controls::default());
            let release = desk.reply(&hospital.request(&hospital.study("", BY_AREA))).expect("a release");
            let name = match guard {
                Guard::On => release.snapshot,
                Guard::Off => hospital.refresh().expect("a snapshot").content,
            };
            name == guess
        })
        .beside("a catalogue without counts", "a catalogue counts patients", |guard| {
            differ(&twins(), |hospital| match guard {
                Guard::On => hospital.open(Controls::default()).custodian.catalogue(),
                Guard::Off => hospital.refresh().expect("a snapshot").rows.to_be_bytes().to_vec(),
            })
        })
        .beside("refusals of public facts", "a refusal says at which patient's row a file is broken", |guard| {
            differ(&[broken_at(35), broken_at(36)], |hospital| match guard {
                Guard::On => format!("{:?}", refusal(hospital)),
                Guard::Off => hospital
                    .refresh()
                    .expect_err("a broken file")
                    .to_string()
                    .replace(&hospital.path("").display().to_string(), ""),
            })
        })
        .beside("explained without data", "what a plan is explained as counts rows", |guard| {
            differ(&twins(), |hospital| explained(hospital, guard))
        })
        .beside("check without data", "check --study about one patient, as it is read", |guard| {
            check_tells(guard, "text")
        })
        .beside("check without data", "check --study about one patient, as programs read it", |guard| {
            check_tells(guard, "json")
        })
        .against(Control::Threshold, "the size of an answer tells one patient from nobody", |on| {
            differ(&twins(), |hospital| {
                let desk = hospital.open(on);
                desk.custodian.round(&hospital.request(&hospital.study("", BY_AREA))).len()
            })
        })
        .against(Control::Threshold, "whole answers tell one patient from nobody", |on| {
            differ(&twins(), |hospital| {
                let desk = hospital.open(on);
                desk.ask(
                    "",
                    &format!(
                        "{BY_AREA}{}",
                        BY_AREA.replace("'a'", "'b'").replace("area", "age").replace("['age']", "['cut(age, 111)']")
                    ),
                )
            })
        })
}

/// Rounds that are refused, each for another reason, and some that look as if they could be for the sake of one patient.
fn refusals(hospital: &Hospital) -> Vec<Option<PublicError>> {
    let desk = hospital.open(Controls::default());
    let study = hospital.study("", BY_AREA);
    let sound = hospital.request(&study);
    let mut requests: Vec<RoundRequest> = vec![
        RoundRequest { round: 1, ..sound.clone() },
        RoundRequest { steps: vec![], ..sound.clone() },
        hospital.request(&bocage_protocol::trust::Study { title: "\u{202e}".to_owned(), ..study.clone() }),
    ];
    let filters =
        ["100 / (age - 111) > 0", "ln(age - 110) >= 0", "exp(age * 7) > 0", "sqrt(110 - age) > 0", "age = 111"];
    requests.extend(filters.map(|filter| hospital.request(&hospital.study(filter, BY_AREA))));
    requests.iter().map(|request| desk.reply(request).err()).collect()
}

#[test]
fn no_refusal_depends_on_a_patient() {
    let [without, with] = twins();
    let (without, with) = (refusals(&without), refusals(&with));
    assert_eq!(without, with);
    assert_eq!(without.iter().flatten().count(), 3, "arithmetic is never refused: {without:?}");
}
