//! Rounds as a coordinator in an attacker's hands would send them.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::analysis::RoundState;
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::hospital::Hospital;
use super::models::eighty;
use super::scenario::Family;
use super::ward::twenty;

const TWO: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n[[analysis]]\nname = 'b'\ntable = { by = ['sex'], show = ['count'] }\n";

/// Whether a sound round that was changed is answered.
fn changed(controls: Controls, change: impl Fn(&mut RoundRequest)) -> bool {
    let hospital = Hospital::ward(&twenty());
    let mut request = hospital.request(&hospital.study("", TWO));
    change(&mut request);
    hospital.open(controls).reply(&request).is_ok()
}

/// A count by bands of what an analysis of the same study fits.
const CHAIN: &str = "[models.s]\nanalysis = 'a'\n[[analysis]]\nname = 'a'\nmodel = { formula = 'sick ~ age' }\n\
                     [[analysis]]\nname = 'b'\nhistogram = { of = 'predict(s)', bins = [0.5] }\n";

/// How many of rounds that say of one fit where it ended are answered.
fn after(on: Controls, ends: &[[f64; 2]]) -> usize {
    let hospital = Hospital::ward(&eighty());
    let desk = hospital.open(on);
    let study = hospital.study("", CHAIN);
    let first = hospital.request(&study);
    let fit = RoundRequest { steps: first.steps[..1].to_vec(), ..first.clone() };
    assert!(desk.reply(&fit).is_ok());
    let said = |(at, beta): (usize, &[f64; 2])| {
        // The later analysis begins anew after each.
        let round = 1 + at as u16;
        let end = Step { analysis: 0, state: RoundState::Ended { round: round - 1, beta: beta.to_vec() } };
        let steps = vec![end, Step { analysis: 1, state: RoundState::First }];
        desk.reply(&RoundRequest { round, steps, ..first.clone() }).is_ok()
    };
    ends.iter().enumerate().filter(|at| said((at.0, at.1))).count()
}

pub fn family() -> Family {
    Family::new("rounds")
        .against(Control::RoundShape, "one analysis asked twice in a round", |on| {
            changed(on, |request| request.steps[1].analysis = 0)
        })
        .against(Control::RoundShape, "analyses in another order than the study's", |on| {
            changed(on, |request| request.steps.reverse())
        })
        .against(Control::RoundShape, "a round that asks nothing and learns which snapshot there is", |on| {
            changed(on, |request| request.steps.clear())
        })
        .against(Control::RoundShape, "more analyses in a round than the study has", |on| {
            changed(on, |request| {
                let again = request.steps.clone();
                request.steps.extend(again);
            })
        })
        .against(Control::SameSteps, "a round asked again with other steps", |on| {
            let hospital = Hospital::ward(&twenty());
            let desk = hospital.open(on);
            let request = hospital.request(&hospital.study("", TWO));
            let part = RoundRequest { steps: request.steps[..1].to_vec(), ..request.clone() };
            assert!(desk.reply(&part).is_ok());
            desk.reply(&request).is_ok()
        })
        .against(Control::SameSteps, "a fit that is said to have ended at one place after the other", |on| {
            after(on, &[[-3.0, 0.05], [-2.5, 0.05]]) == 2
        })
}
