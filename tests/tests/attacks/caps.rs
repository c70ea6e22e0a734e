//! More cells than may leave: by many studies at once, other words, other studies, restarts, a process that is killed, and records that are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bocage_node::custodian::{Control, Controls, Moment, Switches};
use bocage_protocol::release::Release;
use bocage_protocol::trust::{Permit, Purpose, SignedStudy, Study};
use bocage_protocol::wire::message::{Reply, Request, RoundRequest};
use bocage_tests::crash::{Armed, Whom};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::lifted;

use super::hospital::{Hospital, NOW};
use super::ledger::is_whole;
use super::permitted::{DAY, Permitted};
use super::scenario::{Family, Guard};
use super::ward::twenty;

const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";
const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");
/// Studies at once.
const CROWD: u32 = 64;

/// A ward from which so many cells may leave.
fn capped(cells: u64) -> Hospital {
    let hospital = Hospital::ward(&twenty());
    hospital.edit("[policy]\n", &format!("[policy]\nmax_cells = {cells}\n"));
    hospital
}

fn older_than(hospital: &Hospital, age: u32) -> Study {
    hospital.study(&format!("age > {age}"), COUNT)
}

fn runs(hospital: &Hospital, on: Controls, study: &Study) -> bool {
    hospital.open(on).reply(&hospital.request(study)).is_ok()
}

/// How many of 64 questions that are asked at once are answered.
fn at_once(on: Controls, requests: &[RoundRequest], hospital: &Hospital) -> usize {
    let desk = hospital.open(on);
    std::thread::scope(|scope| {
        let asking: Vec<_> = requests.iter().map(|request| scope.spawn(|| desk.reply(request).is_ok())).collect();
        asking.into_iter().map(|thread| thread.join().expect("an answer")).filter(|answered| *answered).count()
    })
}

fn crowd(on: Controls) -> bool {
    let hospital = capped(10);
    let requests: Vec<_> = (0..CROWD).map(|i| hospital.request(&older_than(&hospital, 20 + i))).collect();
    at_once(on, &requests, &hospital) > 10
}

fn crowd_under_one_permit(on: Controls) -> bool {
    let site = Permitted::new(&twenty());
    let permit = site.signed(&Permit { max_cells: 10, ..site.permit() });
    let request = |i| site.request(&older_than(&site.hospital, 20 + i), &permit);
    at_once(on, &(0..CROWD).map(request).collect::<Vec<_>>(), &site.hospital) > 10
}

/// Whether a second cell leaves where one may: by a study that is made of the first one.
fn a_second(on: Controls, between: impl Fn(&Hospital), second: impl Fn(&Hospital, &Study) -> Study) -> bool {
    let hospital = capped(1);
    let first = older_than(&hospital, 30);
    assert!(runs(&hospital, on, &first), "one cell may leave");
    between(&hospital);
    runs(&hospital, on, &second(&hospital, &first))
}

/// Whether a process that dies when the cells are counted and nothing is computed makes room for others.
fn dies_after_the_reservation(on: Controls) -> bool {
    let hospital = capped(1);
    let dies = Switches {
        controls: on,
        at: Some(Arc::new(|moment| assert_ne!(moment, Moment::Reserved, "the process dies here"))),
        ..Switches::default()
    };
    let first = hospital.request(&older_than(&hospital, 30));
    assert!(catch_unwind(AssertUnwindSafe(|| hospital.open_with(dies).custodian.round(&first))).is_err());
    let desk = hospital.open(on);
    desk.custodian.recover(None).expect("the ledger");
    desk.reply(&hospital.request(&older_than(&hospital, 31))).is_ok()
}

/// The same in a real process that is killed (SIGKILL): whether both studies are answered where one cell may leave.
fn killed_after_the_reservation(guard: Guard) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let (lab, site) = (Lab::new(EXE), HOSPITALS[0]);
    lab.edit_node(site, "[policy]\n", "[policy]\nmax_cells = 1\n");
    let armed = Armed::new(folder.path(), Moment::Reserved.name(), Whom::Itself);
    let mut env = vec![armed.env()];
    if guard == Guard::Off {
        env.push(lifted::env(Control::Cap));
    }
    let node = lab.node(site, &env);
    node.wait_for_line(&["the snapshot is in use"]);
    let ask = |age: u32| {
        let text = bocage_tests::days::study("5m");
        let (heading, _) = text.split_once("[[analysis]]").expect("an analysis");
        let study = lab.bound_study(&format!("{}\n{COUNT}", heading.replace("between 30", &format!("between {age}"))));
        let study = SignedStudy::sign(&study, &lab.researcher()).expect("a signature");
        let steps = vec![bocage_protocol::wire::message::Step {
            analysis: 0,
            state: bocage_protocol::analysis::RoundState::First,
        }];
        Request::Round(RoundRequest { study, round: 0, steps, revocations: None })
    };
    assert!(lab.try_ask_custodian(site, &ask(31)).is_none(), "it dies over the first study");
    assert!(armed.went_off());
    matches!(lab.ask_custodian(site, &ask(32)), Reply::Released(_))
}

/// Whether what was counted is forgotten with the payloads of old studies.
fn dropped_payloads(on: Controls) -> bool {
    let hospital = capped(1);
    hospital.edit("[policy]\n", "[ledger]\nkeep_payloads_days = 30\n[policy]\n");
    assert!(runs(&hospital, on, &older_than(&hospital, 30)));
    hospital.later(100 * DAY);
    let desk = hospital.open(on);
    desk.custodian.drop_old_payloads();
    drop(desk);
    assert!(is_whole(&hospital));
    let (issued_at, expires_at) = (NOW.plus_secs(100 * DAY), NOW.plus_secs(101 * DAY));
    runs(&hospital, on, &Study { issued_at, expires_at, ..older_than(&hospital, 31) })
}

/// Whether one study asks for more than is left, by analyses of which each alone would fit.
fn in_one_study(on: Controls) -> bool {
    let hospital = capped(2);
    let three: String = ["a", "b", "c"]
        .iter()
        .enumerate()
        .map(|(i, name)| format!("[[analysis]]\nname = '{name}'\ntable = {{ show = ['share(age > {})'] }}\n", 33 + i))
        .collect();
    let release: Option<Release> = hospital.open(on).reply(&hospital.request(&hospital.study("", &three))).ok();
    release.is_some_and(|release| release.parts.len() == 3)
}

pub fn family() -> Family {
    Family::new("caps")
        .against(Control::Cap, "64 studies at once, where ten cells may leave", crowd)
        .against(Control::Cap, "64 studies at once under one permit of ten cells", crowd_under_one_permit)
        .against(Control::Cap, "another study, another question", |on| {
            a_second(on, |_| {}, |hospital, _| older_than(hospital, 31))
        })
        .against(Control::Cap, "another question under the words of one that is paid", |on| {
            a_second(
                on,
                |_| {},
                |hospital, first| Study {
                    title: first.title.clone(),
                    nonce: first.nonce.clone(),
                    analyses: first.analyses.clone(),
                    ..older_than(hospital, 31)
                },
            )
        })
        .against(Control::Cap, "another question for another purpose", |on| {
            a_second(on, |_| {}, |hospital, _| Study { purpose: Purpose::Statistics, ..older_than(hospital, 31) })
        })
        .against(Control::Cap, "a question under a new threshold, which is another question", |on| {
            a_second(
                on,
                |hospital| hospital.edit("threshold = 3", "threshold = 4"),
                |hospital, _| older_than(hospital, 30),
            )
        })
        .against(Control::Cap, "three analyses of one study, where two cells may leave", in_one_study)
        .against(Control::Cap, "a death after the reservation", dies_after_the_reservation)
        .lifted("cap", "kill -9 after the reservation", killed_after_the_reservation)
        .against(Control::Cap, "what was counted, after the payloads of old studies were dropped", dropped_payloads)
}
