//! The ledger as an account of studies: one for each study, with who asked, what was decided, how much left and what was refused, folded from its
//! records. The cells that left are not in it: [`super::show`] reads them, study by study.
//!
//! A kind of record that this version does not know is kept as it stands, and never an error: ledgers outlive versions.

mod decided;
mod said;

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::{Permit, Revoked, SignedStudy, Study};
use serde::Serialize;

pub use decided::sentence;
pub use said::{Said, TakenBack, day_and_minute, moment};

use super::bodies::{self, AttemptState, Decision, Refusal, Released, Verdict};
use super::record::{Kind, Record};
use super::{Ledger, LedgerError};

/// A span of time; an open end is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this one.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether it holds a moment.
    pub fn has(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// One study at this site.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Its id.
    pub study: String,
    /// When it first asked.
    pub first: Timestamp,
    /// The last record about it.
    pub last: Timestamp,
    /// Who asks, for what; absent where signature or signer could not be trusted.
    pub about: Option<bodies::About>,
    /// The permit that it relies on.
    pub permit: Option<String>,
    /// The permit's digest: two permits may have one id.
    pub permit_digest: Option<Digest>,
    /// When it ends, where its text is still in the ledger.
    pub expires_at: Option<Timestamp>,
    /// How often it asked.
    pub requests: u32,
    /// What was decided.
    pub decisions: Vec<On<Decision>>,
    /// The content of the data that it was computed on.
    pub snapshots: BTreeSet<Digest>,
    /// On what each round was computed.
    pub computed: BTreeMap<i64, Computed>,
    /// What had left before of each round, to whomever: the same answer again is counted once. By its question, the record with which it left then.
    pub again: BTreeMap<i64, BTreeMap<Digest, i64>>,
    /// What left.
    pub releases: Vec<On<Released>>,
    /// What was refused.
    pub refusals: Vec<On<Refusal>>,
    /// Whether it was put before the site's steward.
    pub put_to_steward: bool,
    /// Whether a computation has begun that has no end yet.
    pub running: bool,
    /// What people said about it, all of it: a study of this month may have been approved in the last.
    pub said: Vec<On<Said>>,
    /// Whatever else was recorded about it, of kinds that are not known.
    pub others: Vec<Other>,
}

/// What a round was computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Computed {
    /// The content of the snapshot.
    pub snapshot: Digest,
    /// Whether patients who opted out were left out of it, or of another dataset that was looked into.
    pub left_out: bool,
}

/// How many cells left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cells {
    /// With a value.
    pub shown: u64,
    /// Hidden.
    pub hidden: u64,
    /// As they had left before, shown or hidden, to this study or another: in none of the two others.
    pub again: u64,
}

impl std::iter::Sum for Cells {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            shown: a.shown + b.shown,
            hidden: a.hidden + b.hidden,
            again: a.again + b.again,
        })
    }
}

/// What a record says, and where it stands.
#[derive(Debug, Clone, Serialize)]
pub struct On<T> {
    /// The record's number.
    pub record: i64,
    /// When it was written.
    pub at: Timestamp,
    /// The study's round.
    pub round: i64,
    /// What it says.
    #[serde(flatten)]
    pub says: T,
}

impl<T> On<T> {
    fn of(record: &Record, says: T) -> Self {
        Self { record: record.seq, at: record.at, round: record.round.unwrap_or_default(), says }
    }
}

/// A record of another kind, as it stands.
#[derive(Debug, Clone, Serialize)]
pub struct Other {
    /// The record's number.
    pub record: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it is about.
    pub kind: String,
    /// What it says.
    pub body: serde_json::Value,
}

/// How a study stands at this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Something left.
    Released,
    /// A computation runs, or was interrupted.
    Computing,
    /// Nothing left.
    Refused,
    /// It waits, or waited until its end: for the site's steward, or because it was told to come again.
    Waiting,
    /// People said yes, and it has not asked since.
    Approved,
    /// It asked; nothing was decided yet.
    Asked,
}

impl State {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Released => "released",
            State::Computing => "computing",
            State::Refused => "refused",
            State::Waiting => "waiting",
            State::Approved => "approved",
            State::Asked => "asked",
        }
    }
}

impl Account {
    fn new(study: String, at: Timestamp) -> Self {
        Self {
            study,
            first: at,
            last: at,
            about: None,
            permit: None,
            permit_digest: None,
            expires_at: None,
            requests: 0,
            decisions: Vec::new(),
            snapshots: BTreeSet::new(),
            computed: BTreeMap::new(),
            again: BTreeMap::new(),
            releases: Vec::new(),
            refusals: Vec::new(),
            put_to_steward: false,
            running: false,
            said: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The beginning of the id, for people.
    pub fn short(&self) -> &str {
        self.study.get(..12).unwrap_or(&self.study)
    }

    /// The cells that left.
    pub fn cells(&self) -> Cells {
        let mut cells = Cells::default();
        for release in &self.releases {
            for (at, part) in release.says.parts.iter().enumerate() {
                match self.left_before(release.record, at) {
                    Some(_) => cells.again += part.shown + part.hidden,
                    None => (cells.shown, cells.hidden) = (cells.shown + part.shown, cells.hidden + part.hidden),
                }
            }
        }
        cells
    }

    /// The record with which the part at this place of a release had left before, to whomever.
    pub fn left_before(&self, release: i64, part: usize) -> Option<i64> {
        let release = self.releases.iter().find(|on| on.record == release)?;
        let question = release.says.parts.get(part)?.question?;
        self.again.get(&release.round)?.get(&question).copied()
    }

    /// How often what had left before left again.
    pub fn repeats(&self) -> usize {
        self.decisions.iter().filter(|d| d.says.decision == Verdict::Repeat).count()
    }

    fn add(&mut self, record: &Record, permits: &mut BTreeMap<Digest, Permit>) {
        fn on<T: serde::de::DeserializeOwned>(record: &Record) -> Option<On<T>> {
            record.body().map(|says| On::of(record, says))
        }
        self.last = record.at;
        let known = match record.kind() {
            Some(Kind::Request) => {
                self.requests += 1;
                self.ask(record, permits);
                true
            }
            Some(Kind::Decision) => on(record).map(|d| self.decisions.push(d)).is_some(),
            Some(Kind::Reservation) => record
                .body::<bodies::Reservation>()
                .map(|reservation| self.reserve(record.round.unwrap_or_default(), &reservation))
                .is_some(),
            Some(Kind::Attempt) => record
                .body::<bodies::Attempt>()
                .map(|attempt| self.running = attempt.state == AttemptState::Started)
                .is_some(),
            Some(Kind::Release) => {
                self.running = false;
                on(record).map(|r| self.releases.push(r)).is_some()
            }
            Some(Kind::Refusal) => {
                self.running = false;
                on(record).map(|r| self.refusals.push(r)).is_some()
            }
            _ => Said::of(record).map(|said| self.hear(record, said, permits)).is_some(),
        };
        if !known {
            self.others.push(other(record));
        }
    }

    /// Learns who asks for what: from the record's body, and the study's own text where that is still kept.
    fn ask(&mut self, record: &Record, permits: &mut BTreeMap<Digest, Permit>) {
        let about = record.body::<bodies::Request>().and_then(|request| request.study);
        self.about = self.about.take().or(about);
        self.read(record, permits);
    }

    fn reserve(&mut self, round: i64, reservation: &bodies::Reservation) {
        let left_out =
            reservation.left_out.is_some() || reservation.related.iter().any(|related| related.left_out.is_some());
        let computed = Computed { snapshot: reservation.snapshot, left_out };
        self.snapshots.insert(computed.snapshot);
        self.snapshots.extend(reservation.related.iter().map(|related| related.snapshot));
        self.computed.entry(round).or_insert(computed);
        let again = reservation.spend.iter().filter_map(|spend| Some((spend.question?, spend.repeats?)));
        self.again.entry(round).or_default().extend(again);
    }

    fn hear(&mut self, record: &Record, said: Said, permits: &mut BTreeMap<Digest, Permit>) {
        if let Said::Waits(pending) = &said {
            self.put_to_steward = true;
            self.about = self.about.take().or_else(|| Some(pending.study.clone()));
            self.expires_at = self.expires_at.or(Some(pending.until));
            self.read(record, permits);
        }
        self.said.push(On::of(record, said));
    }

    /// Reads the signed study and the permit that came with it, where their bytes are still kept.
    fn read(&mut self, record: &Record, permits: &mut BTreeMap<Digest, Permit>) {
        let envelope = record.payload.as_deref().and_then(|bytes| serde_json::from_slice::<SignedStudy>(bytes).ok());
        let study = envelope.as_ref().and_then(|envelope| serde_json::from_str::<Study>(&envelope.study).ok());
        self.expires_at = self.expires_at.or(study.map(|study| study.expires_at));
        let Some(named) = self.about.as_ref().and_then(|about| about.permit.as_ref()) else { return };
        self.permit.get_or_insert_with(|| named.id.to_string());
        self.permit_digest = Some(named.digest);
        let signed = envelope.and_then(|envelope| envelope.permit).filter(|signed| signed.digest() == named.digest);
        if let Some(permit) = signed.and_then(|signed| signed.verify().ok()) {
            permits.entry(named.digest).or_insert(permit);
        }
    }

    /// Forgets what lies outside the window. None where nothing is left.
    fn within(mut self, window: &Window) -> Option<Self> {
        self.decisions.retain(|on| window.has(on.at));
        self.releases.retain(|on| window.has(on.at));
        self.refusals.retain(|on| window.has(on.at));
        self.others.retain(|other| window.has(other.at));
        let said = self.said.iter().filter(|on| window.has(on.at)).count();
        let lines = said + self.decisions.len() + self.releases.len() + self.refusals.len() + self.others.len();
        (lines > 0 || window.has(self.first) || window.has(self.last)).then_some(self)
    }
}

fn other(record: &Record) -> Other {
    let body = serde_json::from_str(&record.body).unwrap_or(serde_json::Value::String(record.body.clone()));
    Other { record: record.seq, at: record.at, kind: record.kind.clone(), body }
}

/// A snapshot that was taken.
#[derive(Debug, Clone, Serialize)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// Of what.
    #[serde(flatten)]
    pub says: bodies::SnapshotTaken,
}

/// All that the ledger says, without the cells.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The studies, in the order in which they first asked.
    pub studies: Vec<Account>,
    /// The snapshots, in the order in which they were taken.
    pub snapshots: Vec<Taken>,
    /// Pauses, opt-outs, permits that were taken back.
    pub said: Vec<On<Said>>,
    /// What else was recorded of the site itself.
    pub others: Vec<Other>,
    /// The permits that studies relied on, by their digests, where the bytes are still kept.
    pub permits: BTreeMap<Digest, Permit>,
    /// The permits that were taken back by the end of the time, whenever that was.
    pub revoked: BTreeMap<Digest, Revoked>,
}

impl Accounts {
    /// Takes note of a record of the site itself.
    fn add(&mut self, record: &Record) {
        if record.kind() == Some(Kind::Snapshot)
            && let Some(says) = record.body()
        {
            self.snapshots.push(Taken { at: record.at, says });
            return;
        }
        let Some(mut said) = Said::of(record) else {
            self.others.push(other(record));
            return;
        };
        if let Said::Revocations(list) = &mut said {
            // Each list names all that were ever taken back.
            list.permits.retain(|permit| !self.revoked.contains_key(&permit.digest));
            self.revoked.extend(list.permits.iter().map(|permit| (permit.digest, permit.clone())));
        }
        self.said.push(On::of(record, said));
    }
}

impl Ledger {
    /// The account of a span of time.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn accounts(&self, window: &Window) -> Result<Accounts, LedgerError> {
        let mut found = Accounts::default();
        let mut place: BTreeMap<String, usize> = BTreeMap::new();
        self.outlines(|record| match &record.study {
            Some(study) => {
                let at = *place.entry(study.clone()).or_insert_with(|| {
                    found.studies.push(Account::new(study.clone(), record.at));
                    found.studies.len() - 1
                });
                if let Some(account) = found.studies.get_mut(at) {
                    account.add(&record, &mut found.permits);
                }
            }
            None => found.add(&record),
        })?;
        found.studies = found.studies.into_iter().filter_map(|account| account.within(window)).collect();
        let used: BTreeSet<Digest> = found.studies.iter().flat_map(|account| account.snapshots.clone()).collect();
        found.snapshots.retain(|taken| window.has(taken.at) || used.contains(&taken.says.content));
        found.said.retain(|on| window.has(on.at));
        found.others.retain(|other| window.has(other.at));
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
