//! Bad networks between nodes and coordinator: studies go through them all the same.

use std::cell::Cell;
use std::time::Duration;

use bocage_tests::days::question;
use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::process::Process;
use bocage_tests::relay::{Relay, Weather};
use serde_json::Value;

use super::EXE;

struct Relayed {
    lab: Lab,
    relay: Relay,
    coordinator: Process,
    nodes: Vec<Process>,
    asked: Cell<u64>,
}

/// All hospitals behind one relay.
fn relayed(seed: u64, weather: Weather) -> Relayed {
    let lab = Lab::new(EXE);
    let relay = Relay::new(lab.quic_address().parse().expect("an address"), seed);
    relay.weather(weather);
    let coordinator = lab.coordinator();
    let nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[relay.env()])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    Relayed { lab, relay, coordinator, nodes, asked: Cell::new(0) }
}

fn all_answered(result: &Value) {
    for site in HOSPITALS {
        assert_eq!(status(result, site)["status"], "answered", "{result:#}");
    }
}

/// A study that nobody has asked before.
fn answer(relayed: &Relayed) {
    let number = relayed.asked.replace(relayed.asked.get() + 1);
    all_answered(&relayed.lab.study("weather", &question(number, "5m")).published());
}

#[test]
fn studies_go_through_loss_delay_and_reordering() {
    let ms = Duration::from_millis;
    let relayed = relayed(7, Weather { loss_percent: 5, delay: ms(20), jitter: ms(20), black_hole: false });
    for loss_percent in [0, 1, 5, 20] {
        relayed.relay.weather(Weather { loss_percent, ..Weather::default() });
        answer(&relayed);
    }
    relayed.relay.weather(Weather { delay: ms(300), ..Weather::default() });
    answer(&relayed);
    // What differs by more than the gap between two packets overtakes.
    relayed.relay.weather(Weather { jitter: ms(200), ..Weather::default() });
    answer(&relayed);
    relayed.relay.weather(Weather { loss_percent: 5, delay: ms(50), jitter: ms(200), black_hole: false });
    answer(&relayed);
    assert!(relayed.relay.lost() > 0, "the relay lost nothing");
}

#[test]
fn a_node_whose_address_changes_keeps_its_session() {
    let relayed = relayed(8, Weather::default());
    answer(&relayed);
    relayed.relay.change_addresses();
    answer(&relayed);
    for node in &relayed.nodes {
        assert_eq!(node.log().matches("session ready").count(), 1, "{}", node.log());
    }
}

#[test]
fn an_address_that_changes_while_a_hospital_computes_loses_no_answer() {
    let lab = Lab::new(EXE);
    let relay = Relay::new(lab.quic_address().parse().expect("an address"), 11);
    let hold = Hold::new(&lab.path(""));
    let coordinator = lab.coordinator();
    let _nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[relay.env(), hold.env()])).collect();
    lab.wait_for_offers(&HOSPITALS);
    let study = lab.study("moving", &bocage_tests::days::study("5m"));
    let held = HOSPITALS.map(|_| hold.next());
    relay.change_addresses();
    drop(held);
    hold.lift();
    all_answered(&study.published());
    assert!(!coordinator.log().contains("asked in vain"), "{}", coordinator.log());
}

#[test]
fn a_study_outlasts_a_black_hole_that_ends_every_session() {
    let relayed = relayed(9, Weather::default());
    relayed.relay.weather(Weather { black_hole: true, ..Weather::default() });
    let study = relayed.lab.study("hole", &bocage_tests::days::study("5m"));
    for site in HOSPITALS {
        relayed.coordinator.wait_for_line(&["site disconnected", site]);
    }
    relayed.relay.weather(Weather::default());
    all_answered(&study.published());
}

#[test]
fn a_study_is_answered_after_thirty_seconds_without_any_network() {
    let relayed = relayed(10, Weather::default());
    answer(&relayed);
    relayed.relay.black_hole_for(Duration::from_secs(30));
    let study = relayed.lab.study("hole", &question(relayed.asked.get(), "5m"));
    for site in HOSPITALS {
        relayed.coordinator.wait_for_line(&["site disconnected", site]);
    }
    let lost = relayed.relay.lost();
    all_answered(&study.published());
    assert!(relayed.relay.lost() > lost, "the hole had ended before the sessions did");
}
