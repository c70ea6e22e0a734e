//! What happened to a study at this site so far, folded from its records. Pure: it reads no database.

use std::collections::BTreeMap;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::{ContractId, Digest};

use super::bodies::{Attempt, AttemptState, Refusal, Related, Reservation};
use super::record::{Kind, Record};

/// So many deaths of the process end a study at this site.
pub const DEATHS: u32 = 2;

/// A study's past.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The last round that was reserved: the next one uses the same snapshots, unless opt-outs have changed.
    last: Option<u16>,
    /// Whether the signed study itself is in the ledger.
    pub has_request: bool,
    /// How many requests about the study are in the ledger.
    pub requests: u32,
    /// How often the custodian ended while it computed this study.
    pub deaths: u32,
    rounds: BTreeMap<u16, RoundHistory>,
}

/// A round's past.
#[derive(Debug, Clone, Default)]
pub struct RoundHistory {
    /// What it may spend.
    pub reservation: Option<Reservation>,
    /// The record that holds what left.
    pub release: Option<i64>,
    /// The refusal that ended it for good.
    pub ended: Option<PublicError>,
    /// The attempt that has no end yet.
    pub running: Option<i64>,
    /// Whether an attempt took too long.
    pub overran: bool,
}

/// What of a dataset a study uses since it began here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The snapshot.
    pub snapshot: Digest,
    /// Who is left out of it.
    pub left_out: Option<Digest>,
}

impl History {
    /// Whether the study began here.
    pub fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// What a round uses of the study's own dataset, if the study began: what was reserved for it, or for the last round.
    pub fn begun(&self, round: u16) -> Option<Begun> {
        self.used(round)
            .map(|Reservation { snapshot, left_out, .. }| Begun { snapshot: *snapshot, left_out: *left_out })
    }

    /// What it uses of another one.
    pub fn begun_on(&self, related: &ContractId, round: u16) -> Option<Begun> {
        let found = self.used(round)?.related.iter().find(|known| known.dataset == *related);
        found.map(|Related { snapshot, left_out, .. }| Begun { snapshot: *snapshot, left_out: *left_out })
    }

    /// Whether a round may be computed on other snapshots than the one before, as an iterative analysis does when opt-outs change: nothing of it is
    /// reserved yet.
    pub fn may_begin_anew(&self, round: u16) -> bool {
        self.has_begun() && self.reserved(round).is_none()
    }

    /// Where rounds that were reserved say that the fit of this analysis ended.
    pub fn ended(&self, analysis: u16) -> impl Iterator<Item = &RoundState> {
        let reserved = self.rounds.values().filter_map(|round| round.reservation.as_ref());
        let steps = reserved.flat_map(|reserved| &reserved.steps).filter(move |step| step.analysis == analysis);
        steps.map(|step| &step.state).filter(|state| matches!(state, RoundState::Ended { .. }))
    }

    fn used(&self, round: u16) -> Option<&Reservation> {
        self.reserved(round).or_else(|| self.reserved(self.last?))
    }

    fn reserved(&self, round: u16) -> Option<&Reservation> {
        self.rounds.get(&round)?.reservation.as_ref()
    }

    /// Takes note of the next record.
    pub fn add(&mut self, record: &Record) {
        let Some((kind, round)) = record.kind().zip(record.round.and_then(|r| u16::try_from(r).ok())) else { return };
        let state = self.rounds.entry(round).or_default();
        match kind {
            Kind::Decision => self.has_request = true,
            Kind::Reservation => {
                state.reservation = record.body();
                self.last = state.reservation.as_ref().map(|_| round).or(self.last);
            }
            Kind::Attempt => match record.body::<Attempt>().map(|a| a.state) {
                Some(AttemptState::Started) => state.running = Some(record.seq),
                Some(AttemptState::Stopped) | None => state.running = None,
                Some(AttemptState::Died) => {
                    state.running = None;
                    self.deaths += 1;
                }
                Some(AttemptState::Overran) => {
                    state.running = None;
                    state.overran = true;
                    self.deaths += 1;
                }
            },
            Kind::Release => {
                state.running = None;
                state.release = Some(record.seq);
            }
            Kind::Refusal => {
                state.running = None;
                state.ended = record.body::<Refusal>().filter(|r| r.r#final).map(|r| r.error).or(state.ended.take());
            }
            Kind::Request => self.requests += 1,
            // What people say is the desk's affair.
            Kind::Snapshot
            | Kind::Revocations
            | Kind::OptOuts
            | Kind::Pending
            | Kind::Approval
            | Kind::Denial
            | Kind::Pause
            | Kind::Resume
            | Kind::Restored
            | Kind::Accepted => {}
        }
    }

    /// The past of a round, if it has one.
    pub fn round(&self, round: u16) -> Option<&RoundHistory> {
        self.rounds.get(&round)
    }

    /// Whether this round may not be computed (again): it took too long, or the process died too often over this study.
    pub fn too_heavy(&self, round: u16) -> bool {
        self.deaths >= DEATHS || self.round(round).is_some_and(|r| r.overran)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::env::Timestamp;
    use serde::Serialize;

    fn record(seq: i64, kind: Kind, round: i64, body: &impl Serialize) -> Record {
        Record {
            seq,
            at: Timestamp(0),
            kind: kind.as_str().to_owned(),
            study: None,
            round: Some(round),
            body: serde_json::to_string(body).unwrap(),
            payload: None,
            prev_hash: String::new(),
            hash: String::new(),
        }
    }

    fn history(states: &[(i64, AttemptState)]) -> History {
        let mut history = History::default();
        for (i, (round, state)) in states.iter().enumerate() {
            history.add(&record(i as i64 + 1, Kind::Attempt, *round, &Attempt { state: *state }));
        }
        history
    }

    #[test]
    fn a_round_that_died_once_may_be_tried_again_and_one_that_died_twice_ends_the_study() {
        use AttemptState::{Died, Started};
        let once = history(&[(0, Started), (0, Died)]);
        assert!(!once.too_heavy(0) && once.round(0).unwrap().running.is_none());
        let twice = history(&[(0, Started), (0, Died), (0, Started), (0, Died)]);
        assert!(twice.too_heavy(0) && twice.too_heavy(1));
    }

    #[test]
    fn a_round_that_overran_is_over_and_other_rounds_of_the_study_are_not() {
        use AttemptState::{Overran, Started};
        let history = history(&[(0, Started), (0, Overran)]);
        assert!(history.too_heavy(0) && !history.too_heavy(1));
    }

    #[test]
    fn a_stop_by_the_operator_is_held_against_nobody() {
        use AttemptState::{Started, Stopped};
        let history = history(&[(0, Started), (0, Stopped), (0, Started), (0, Stopped), (0, Started)]);
        assert!(!history.too_heavy(0));
        assert_eq!(history.round(0).unwrap().running, Some(5));
    }

    #[test]
    fn a_round_uses_what_was_reserved_for_it_or_for_the_last_one() {
        let digest = |n| Digest::from_bytes([n; 32]);
        let reservation = |n| Reservation {
            snapshot: digest(n),
            left_out: None,
            groups_out: None,
            related: vec![],
            steps: vec![],
            spend: vec![],
            account: None,
            further_rounds: 0,
        };
        let mut history = History::default();
        history.add(&record(1, Kind::Reservation, 0, &reservation(1)));
        history.add(&record(2, Kind::Reservation, 1, &reservation(2)));
        let used = |round| history.begun(round).map(|begun| begun.snapshot);
        assert_eq!([0, 1, 2].map(used), [1, 2, 2].map(|n| Some(digest(n))));
        assert_eq!([0, 1, 2].map(|round| history.may_begin_anew(round)), [false, false, true]);
    }
}
