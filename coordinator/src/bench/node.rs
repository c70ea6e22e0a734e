//! Nodes that answer as they are told, over an in-memory link.

use std::sync::{Arc, Mutex};

use bocage_net::frame::{read_frame, read_message, write_frame, write_message};
use bocage_net::memory::{MemoryLink, MemoryListener};
use bocage_net::{Dialler as _, Link as _};
use bocage_protocol::analysis::{Ends, RoundState, plan_of};
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::plan::{MeasureLayout, ModelLayout, Sums, ValidPlan};
use bocage_protocol::release::{
    CellRelease, Count, MeasureRelease, ModelRelease, Outcome, Part, Release, TableRelease,
};
use bocage_protocol::trust::SignedRelease;
use bocage_protocol::wire::hello::{Answer, Hello, VERSIONS};
use bocage_protocol::wire::message::{Catalogue, Offer, Particulars, Reply, Request, RoundRequest};
use bocage_protocol::{ErrorCode, PublicError};
use tokio::io::AsyncWriteExt as _;

use super::{START, contract, key, site, site_key};

/// How a node answers a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// 20 patients in every cell, each with every value in the middle of its range.
    Honest,
    /// Says busy once, then answers.
    BusyOnce,
    /// Breaks the link at the first request, and answers after that.
    Breaks,
    /// Takes requests and says nothing.
    Silent,
    /// Says no.
    Refuses,
    /// Lets every round wait for its steward.
    Waits,
    /// Answers the first round of a study, and is silent after that.
    OneRound,
    /// Lets a round wait once, and is silent after that.
    WaitsThenSilent,
    /// Signs with a key that is not the site's.
    WrongKey,
    /// Claims to have derived another plan.
    OtherPlan,
    /// Answers for another study.
    OtherStudy,
    /// Sends bytes that are no message.
    Babbles,
}

/// Connects `name` and answers until its task is aborted. A link that ends is made anew.
pub async fn node(listener: Arc<MemoryListener>, name: &'static str, manner: Manner) {
    let requests = Mutex::new(0);
    loop {
        let link = match listener.dialler(site(name)).connect().await {
            Ok(link) => link,
            Err(_) => return,
        };
        if matches!(hello(&link, name).await, Answer::Reject(_)) {
            return;
        }
        while let Ok(mut stream) = link.accept().await {
            let request: Request = match read_message(&mut stream, limits::FRAME_BYTES).await {
                Ok(request) => request,
                Err(_) => continue,
            };
            let reply = match request {
                Request::Catalogue => Some(catalogue()),
                Request::Particulars(_) => Some(Reply::Particulars(Particulars { datasets: Vec::new() })),
                Request::Witness(_) => Some(Reply::Witnessed),
                Request::Round(round) | Request::Filled(round) => {
                    let number = {
                        let mut requests = requests.lock().unwrap();
                        *requests += 1;
                        *requests
                    };
                    match (manner, number) {
                        (Manner::Silent, _) | (Manner::WaitsThenSilent | Manner::OneRound, 2..) => {
                            std::mem::forget(stream);
                            continue;
                        }
                        (Manner::Breaks, 1) => {
                            link.sever("cut");
                            continue;
                        }
                        (Manner::Babbles, _) => {
                            let _ = write_frame(&mut stream, &[255; 40]).await;
                            None
                        }
                        _ => Some(reply(&round, name, manner, number)),
                    }
                }
            };
            if let Some(reply) = reply {
                let _ = write_message(&mut stream, &reply).await;
            }
            let _ = stream.shutdown().await;
        }
    }
}

/// Says hello as `name` and returns the answer.
pub async fn hello(link: &MemoryLink, name: &str) -> Answer {
    let hello = Hello { versions: VERSIONS, site: site(name), software: "test 1".into(), now: START };
    let mut stream = link.open().await.unwrap();
    write_frame(&mut stream, &hello.encode()).await.unwrap();
    Answer::decode(&read_frame(&mut stream, limits::HELLO_BYTES).await.unwrap()).unwrap()
}

fn catalogue() -> Reply {
    let contract = contract();
    let offer =
        Offer { contract: contract.id().clone(), hash: contract.hash(), snapshot_at: Some(START), needs_permit: false };
    Reply::Catalogue(Catalogue { datasets: vec![offer] })
}

fn reply(round: &RoundRequest, name: &str, manner: Manner, number: u32) -> Reply {
    match (manner, number) {
        (Manner::BusyOnce, 1) => return Reply::Refused(PublicError::new(ErrorCode::Busy, "later")),
        (Manner::Waits | Manner::WaitsThenSilent, _) => {
            return Reply::Pending(PublicError::new(ErrorCode::ApprovalPending, "the board meets on Tuesdays"));
        }
        (Manner::Refuses, _) => {
            return Reply::Refused(PublicError::new(ErrorCode::PolicyRefused, "not for this purpose"));
        }
        _ => {}
    }
    let study = round.study.verify().unwrap();
    let ends = Ends::of(round.steps.iter().map(|step| (step.analysis, &step.state)));
    let asks = round.steps.iter().filter(|step| !matches!(step.state, RoundState::Ended { .. }));
    let parts = asks.map(|step| {
        let plan = plan_of(&study, step.analysis, round.round, &step.state, &ends).unwrap();
        let plan = ValidPlan::check(plan, &contract()).unwrap();
        let digest = if manner == Manner::OtherPlan { Digest::of("other", &[]) } else { plan.digest() };
        Part { analysis: step.analysis, plan: digest, outcome: full(&plan) }
    });
    let key = if manner == Manner::WrongKey { key(77) } else { site_key(name) };
    let release = Release {
        study: if manner == Manner::OtherStudy { Digest::of("other", &[]) } else { round.study.id() },
        site: site(name),
        round: round.round,
        snapshot: Digest::of("snapshot", &[name.as_bytes()]),
        snapshot_at: START,
        parts: parts.collect(),
    };
    Reply::Released(SignedRelease::sign(&release, super::standing(u64::from(number), START), &key).unwrap())
}

fn full(plan: &ValidPlan) -> Outcome {
    match plan.model() {
        None => Outcome::Table(full_table(plan)),
        Some((_, layout)) => Outcome::Model(steep_step(layout)),
    }
}

/// Twenty patients whose coefficients are not at their best yet.
fn steep_step(layout: &ModelLayout) -> ModelRelease {
    let at = layout.sums();
    let mut sums = vec![0.0; layout.values()];
    sums[Sums::WEIGHT] = 20.0;
    sums[Sums::OUTCOME] = 10.0;
    sums[at.score()].fill(1.0);
    let diagonal = (0..at.width).map(|row| at.information().start + row * (row + 3) / 2);
    diagonal.for_each(|place| sums[place] = 10.0);
    ModelRelease { threshold: 11, n: 20, sums }
}

fn full_table(plan: &ValidPlan) -> TableRelease {
    let count = Count { subjects: 20, rows: 20 };
    let measure = |layout: &MeasureLayout| match layout {
        MeasureLayout::Number(_) => MeasureRelease::Number { valid: count, sum: 0, sum_sq: 0 },
        MeasureLayout::Condition => MeasureRelease::Condition { valid: count, holds_rows: 10 },
    };
    let measures: Vec<_> = plan.layout().measures().iter().map(measure).collect();
    let cells = vec![CellRelease::Shown { count, measures }; plan.layout().cells_at(0)];
    let total = Count { subjects: 20 * cells.len() as u64, rows: 20 * cells.len() as u64 };
    TableRelease { threshold: 11, step: 0, total: Some(total), cells, held_back: false, rounded: false }
}
