//! What the chain's records add up to: cells that were spent, studies that were begun, and the newest lists of revoked permits. It is
//! read from the chain once and then kept in memory; nothing on the disk can say anything else than the records do.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::limits;
use bocage_protocol::trust::{PublicKey, Revocations, SignedRevocations};
use rusqlite::Connection;

use super::bodies::{Account, Attempt, AttemptState, Refusal, Related, Released, Reservation, Spend};
use super::record::Kind;

/// Studies that began so long ago count nowhere, unless they may come back.
const DAY_MS: i64 = 86_400_000;

/// So that the records that count are found without reading the others. Ledgers that were begun without it get it when they are opened.
pub(super) const INDEX: &str = "
DROP INDEX IF EXISTS record_books;
CREATE INDEX IF NOT EXISTS record_sums ON record (seq) WHERE kind IN ('reservation', 'attempt', 'release', 'refusal', 'revocations');
";

/// What the records add up to.
#[derive(Default)]
pub struct Books {
    spent: HashMap<String, Spent>,
    begun: BTreeMap<String, Begun>,
    lists: Lists,
    /// What was left out of answers, each only once: from one change of the opt-outs to the next all answers leave out the same.
    left_out: Vec<GroupsLeftOut>,
    /// Of how many answers that there may be.
    compared: HashMap<Compared, u32>,
}

/// What cells are, and the place in [`Books::left_out`] of what was left out of an answer about them.
type Compared = (Digest, usize);

/// The groups that were left out of an answer: of its own dataset, and of the others by their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupsLeftOut {
    own: Option<Digest>,
    related: BTreeMap<String, Digest>,
}

impl GroupsLeftOut {
    fn of(reservation: &Reservation) -> Self {
        let out = |related: &Related| Some((related.dataset.name().to_owned(), related.groups_out?));
        Self { own: reservation.groups_out, related: reservation.related.iter().filter_map(out).collect() }
    }

    /// Those of its own dataset, or of another one under whatever version of the contract.
    pub fn from(&self, related: Option<&ContractId>) -> Option<Digest> {
        related.map_or(self.own, |id| self.related.get(id.name()).copied())
    }
}

#[derive(Default)]
struct Spent {
    cells: u64,
    questions: HashSet<Digest>,
    plans: HashSet<Digest>,
}

struct Begun {
    at: Timestamp,
    account: Account,
    /// How many rounds may follow the one that was reserved last.
    further_rounds: u16,
    standing: Standing,
    /// What the answers to the questions of the round that was reserved last would be compared with.
    asks: Vec<(Digest, Compared)>,
}

/// How far a study is that has begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A round is reserved and not answered.
    Reserved,
    /// It is being computed: only then does a refusal speak of what was begun, and not of one more request beside it.
    Running,
    /// A round was answered then, and another may come.
    Between(Timestamp),
    /// No round is expected any more.
    Over,
}

/// The newest list of each access body.
#[derive(Debug, Clone, Default)]
pub struct Lists(BTreeMap<String, Revocations>);

impl Lists {
    /// The newest list that an access body signed.
    pub fn of(&self, issuer: &PublicKey) -> Option<&Revocations> {
        self.0.get(&issuer.to_string())
    }

    /// Takes a list, if it is newer than the one that is known.
    pub fn learn(&mut self, list: Revocations) {
        if self.of(&list.issuer).is_none_or(|known| known.number < list.number) {
            self.0.insert(list.issuer.to_string(), list);
        }
    }
}

impl Books {
    /// Adds up the records of a ledger.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT kind, study, at_ms, body, CASE kind WHEN 'revocations' THEN payload END FROM record
                   WHERE kind IN ('reservation', 'attempt', 'release', 'refusal', 'revocations') ORDER BY seq";
        let mut books = Self::default();
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind: String = row.get(0)?;
            let Some(kind) = Kind::ALL.into_iter().find(|k| k.as_str() == kind) else { continue };
            let (study, body): (Option<String>, String) = (row.get(1)?, row.get(3)?);
            let payload: Option<Vec<u8>> = row.get(4)?;
            books.add(kind, study.as_deref(), Timestamp(row.get(2)?), &body, payload.as_deref());
        }
        Ok(books)
    }

    /// Takes note of the next record.
    pub(super) fn add(&mut self, kind: Kind, study: Option<&str>, at: Timestamp, body: &str, payload: Option<&[u8]>) {
        match (kind, study) {
            (Kind::Reservation, Some(study)) => {
                let Ok(reservation) = serde_json::from_str::<Reservation>(body) else { return };
                self.reserve(study, at, reservation);
            }
            (Kind::Attempt, Some(study)) => {
                let started = serde_json::from_str::<Attempt>(body).is_ok_and(|a| a.state == AttemptState::Started);
                if let Some(begun) = self.begun.get_mut(study) {
                    begun.standing = match begun.standing {
                        _ if started => Standing::Running,
                        Standing::Running => Standing::Reserved,
                        other => other,
                    };
                }
            }
            (Kind::Release, Some(study)) => {
                if let Ok(released) = serde_json::from_str::<Released>(body) {
                    self.withdraw(study, &released);
                }
                self.answered(study, at);
            }
            (Kind::Refusal, Some(study)) => {
                let is_final = serde_json::from_str::<Refusal>(body).is_ok_and(|refusal| refusal.r#final);
                if is_final || self.begun.get(study).is_some_and(|begun| begun.standing == Standing::Running) {
                    self.end(study);
                }
            }
            (Kind::Revocations, _) => {
                // Its signature speaks for it, not its place in the ledger.
                let list = payload
                    .and_then(|bytes| std::str::from_utf8(bytes).ok())
                    .and_then(|text| SignedRevocations::from_text(text).ok())
                    .and_then(|signed| signed.verify().ok());
                list.into_iter().for_each(|list| self.lists.learn(list));
            }
            _ => {}
        }
    }

    fn end(&mut self, study: &str) {
        if let Some(begun) = self.begun.get_mut(study) {
            begun.standing = Standing::Over;
        }
    }

    fn answered(&mut self, study: &str, at: Timestamp) {
        if let Some(begun) = self.begun.get_mut(study) {
            begun.standing = if begun.further_rounds > 0 { Standing::Between(at) } else { Standing::Over };
        }
    }

    /// Of what the gate withheld there is no answer that a later one could be compared with.
    fn withdraw(&mut self, study: &str, released: &Released) {
        let Some(begun) = self.begun.get_mut(study) else { return };
        let answered: Option<HashSet<Digest>> =
            released.parts.iter().filter(|part| part.refused.is_none()).map(|part| part.question).collect();
        // Older records do not say to what they are the answers.
        let Some(answered) = answered else { return };
        for (_, compared) in begun.asks.extract_if(.., |(question, _)| !answered.contains(question)) {
            if let Entry::Occupied(mut answers) = self.compared.entry(compared) {
                *answers.get_mut() -= 1;
                if *answers.get() == 0 {
                    answers.remove();
                }
            }
        }
    }

    fn reserve(&mut self, study: &str, at: Timestamp, reservation: Reservation) {
        let place = self.place_of(GroupsLeftOut::of(&reservation));
        for cells in reservation.spend.iter().filter_map(|spend| spend.compares) {
            *self.compared.entry((cells, place)).or_default() += 1;
        }
        let asks = reservation.spend.iter().filter_map(|spend| Some((spend.question?, (spend.compares?, place))));
        let asks = asks.collect();
        let Reservation { account: Some(account), further_rounds, .. } = reservation else { return };
        for dataset in account.datasets() {
            let spent = self.spent.entry(name(&account, dataset)).or_default();
            for spend in &reservation.spend {
                spent.plans.insert(spend.plan);
                if spend.question.is_none_or(|question| spent.questions.insert(question)) {
                    spent.cells = spent.cells.saturating_add(spend.cells);
                }
            }
        }
        // One that comes back is not one that begins, as long as it may come back.
        self.begun.retain(|_, begun| at.since_ms(begun.at) <= DAY_MS || begun.may_come(at));
        let standing = Standing::Reserved;
        let begun =
            self.begun.entry(study.to_owned()).or_insert(Begun { at, account, further_rounds, standing, asks: vec![] });
        (begun.further_rounds, begun.standing, begun.asks) = (further_rounds, standing, asks);
    }

    fn place_of(&mut self, left_out: GroupsLeftOut) -> usize {
        let known = self.left_out.iter().rposition(|known| *known == left_out);
        known.unwrap_or_else(|| {
            self.left_out.push(left_out);
            self.left_out.len() - 1
        })
    }

    /// The cells of a dataset that left, or may have left, on an account.
    pub fn spent(&self, account: &Account, dataset: &ContractId) -> u64 {
        self.spent.get(&name(account, dataset)).map_or(0, |spent| spent.cells)
    }

    /// The cells of a dataset that left, or may have left, on the account that has had the most of it.
    pub fn most_spent_of(&self, dataset: &ContractId) -> u64 {
        let of = format!(" {dataset}");
        self.spent
            .iter()
            .filter(|(name, _)| name.ends_with(&of))
            .map(|(_, spent)| spent.cells)
            .max()
            .unwrap_or_default()
    }

    /// The cells of that dataset of an account of which the most have left.
    pub fn most_spent(&self, account: &Account) -> u64 {
        account.datasets().map(|dataset| self.spent(account, dataset)).max().unwrap_or_default()
    }

    /// The cells of those questions to a dataset that were not paid for on this account yet.
    pub fn cost(&self, account: &Account, dataset: &ContractId, spend: &[Spend]) -> u64 {
        let paid = self.spent.get(&name(account, dataset)).map(|spent| &spent.questions);
        let mut new = HashSet::new();
        let counts =
            |spend: &&Spend| spend.question.is_none_or(|q| paid.is_none_or(|paid| !paid.contains(&q)) && new.insert(q));
        spend.iter().filter(counts).fold(0, |sum: u64, spend| sum.saturating_add(spend.cells))
    }

    /// The cells of those plans that were never paid for on this account: so much they cost at least, on whatever snapshot.
    pub fn least_cost(
        &self,
        account: &Account,
        dataset: &ContractId,
        plans: impl Iterator<Item = (Digest, u64)>,
    ) -> u64 {
        let paid = self.spent.get(&name(account, dataset)).map(|spent| &spent.plans);
        let mut new = HashSet::new();
        let counts = |(plan, _): &(Digest, u64)| paid.is_none_or(|paid| !paid.contains(plan)) && new.insert(*plan);
        plans.filter(counts).fold(0, |sum: u64, (_, cells)| sum.saturating_add(cells))
    }

    /// How many of these studies are open.
    pub fn open(&self, now: Timestamp, of: impl Fn(&Account) -> bool) -> usize {
        self.begun.values().filter(|begun| begun.is_open(now) && of(&begun.account)).count()
    }

    /// How many of these studies began after a time.
    pub fn begun_since(&self, since: Timestamp, of: impl Fn(&Account) -> bool) -> usize {
        self.begun.values().filter(|begun| begun.at > since && of(&begun.account)).count()
    }

    /// The groups that were left out of each answer that there may be about these cells.
    pub fn left_out_of(&self, cells: &Digest) -> Vec<GroupsLeftOut> {
        let left_out = self.left_out.iter().enumerate();
        left_out
            .filter(|(place, _)| self.compared.contains_key(&(*cells, *place)))
            .map(|(_, out)| out.clone())
            .collect()
    }

    /// The newest lists of revoked permits.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }
}

impl Begun {
    /// A study that was left open by a dead process is over when it expires.
    fn is_open(&self, now: Timestamp) -> bool {
        let lasts = match self.standing {
            Standing::Reserved | Standing::Running => true,
            Standing::Between(answered) => now.since_ms(answered) < limits::STUDY_IDLE_SECS * 1000,
            Standing::Over => false,
        };
        lasts && now <= self.account.expires_at
    }

    /// Whether it may still be asked about, by a clock that is behind.
    fn may_come(&self, now: Timestamp) -> bool {
        now <= self.account.expires_at.plus_secs(limits::CLOCK_TOLERANCE_SECS)
    }
}

/// What is counted apart: a permit, or a researcher who has none, and a dataset.
fn name(account: &Account, dataset: &ContractId) -> String {
    let whose = account.permit.map_or_else(|| account.researcher.to_string(), |permit| permit.to_string());
    format!("{whose} {dataset}")
}
