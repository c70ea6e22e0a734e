//! Rounds as a coordinator in an attacker's hands would send them.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::wire::message::RoundRequest;

use super::hospital::Hospital;
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
}
