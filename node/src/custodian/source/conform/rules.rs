//! A contract's rules over rows that passed their columns' checks, batch after batch.
//!
//! All rules see a row as its columns' checks left it, so their order does not matter; only those that wait until all rows were read ([`super::late`]) come
//! last, among what the others keep: those that look into another dataset ([`super::elsewhere`]), then `duplicate`. What is kept of a row that fails is its
//! number; nothing grows with the rows.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::{Check, Column, Contract, Kind, OnFail, Rule};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ColumnName, RuleName};
use bocage_protocol::plan::{Comparison, Expr, Literal};
use polars::prelude::{AnyValue, BooleanChunked, DataFrame, IntoLazy, Series};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::DatasetSpec;
use super::super::report::{Lines, Reason, RuleReport};
use super::elsewhere::{Elsewhere, Rows};
use super::late::{Key, TakenAway};
use super::values::Values;
use super::{MARK, Mark, physical};
use crate::custodian::engine::{Scope, collect, compile};
use crate::custodian::optout::Token;

const DAY_MS: i64 = 86_400_000;

/// What must be made null: a column's place in the contract, and rows of the batch.
type Nulls = Vec<(usize, Vec<usize>)>;

/// The rules of a contract at a site, and what they found so far.
pub struct Rules<'a> {
    contract: &'a Contract,
    rules: Vec<AtSite<'a>>,
    /// The places of those that wait until all rows were read, in their order.
    late: Vec<usize>,
    /// Rows of the batches before.
    rows: u64,
    taken: TakenAway,
}

/// What the rules read of a batch, as its columns' checks left it.
pub struct Seen(DataFrame);

/// What the rules found up to some row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    failed: Vec<Lines>,
    rows: u64,
}

struct AtSite<'a> {
    rule: &'a Rule,
    on_fail: OnFail,
    failed: Lines,
    /// Rows that a late one has left out.
    left_out: u64,
    look: Look<'a>,
}

/// How a rule is looked at.
enum Look<'a> {
    /// Conditions, each with the columns at fault where it is false.
    Conditions(Vec<(Expr, Vec<ColumnName>)>),
    /// Columns that no two rows may have the same in, and the keys of rows that nobody took yet.
    Duplicate(&'a [ColumnName], Vec<Key>),
    /// What another dataset says.
    Elsewhere(Elsewhere<'a>),
}

impl<'a> Rules<'a> {
    /// The rules of `contract` with what `spec` makes of them, for a snapshot that is taken now; but for those that are not looked at, each with the reason.
    pub fn new(
        spec: &DatasetSpec,
        contract: &'a Contract,
        now: Timestamp,
        unheld: &BTreeMap<RuleName, String>,
    ) -> Self {
        let look = |rule: &'a Rule| match &rule.check {
            Check::Holds(condition) => Look::Conditions(vec![(condition.clone(), rule.at_fault().to_vec())]),
            Check::FutureDate { columns } => {
                Look::Conditions(columns.iter().filter_map(|name| not_later(name, contract, now)).collect())
            }
            Check::Duplicate { columns } => Look::Duplicate(columns, Vec::new()),
            Check::BeforeBirth { column, .. } | Check::Dangling { column, .. } => {
                Look::Elsewhere(Elsewhere::new(&rule.check, column, contract, unheld.get(&rule.name).cloned()))
            }
        };
        let at_site = |rule: &'a Rule| {
            let (on_fail, failed) = (spec.on_fail(rule), Lines::default());
            AtSite { rule, on_fail, failed, left_out: 0, look: look(rule) }
        };
        let rules: Vec<AtSite<'a>> = contract.rules().iter().map(at_site).collect();
        let places =
            |is: fn(&Look<'a>) -> bool| rules.iter().enumerate().filter(move |(_, at)| is(&at.look)).map(|(i, _)| i);
        let elsewhere = places(|look| matches!(look, Look::Elsewhere(_)));
        let late = elsewhere.chain(places(|look| matches!(look, Look::Duplicate(..)))).collect();
        Self { contract, rules, late, rows: 0, taken: TakenAway::default() }
    }

    /// What was found so far.
    pub fn so_far(&self) -> Looked {
        Looked { failed: self.rules.iter().map(|at| at.failed.clone()).collect(), rows: self.rows }
    }

    /// Goes on behind rows in which this was found.
    pub fn go_on(&mut self, found: Looked) {
        self.rows = found.rows;
        self.rules.iter_mut().zip(found.failed).for_each(|(at, failed)| at.failed = failed);
    }

    /// How many wait until all rows were read, and what each looks for in another dataset.
    pub fn late(&self) -> Vec<Option<&'a Check>> {
        let looks = |at: &usize| match &self.rules[*at].look {
            Look::Elsewhere(elsewhere) => elsewhere.held(),
            _ => None,
        };
        self.late.iter().map(looks).collect()
    }

    /// Whether such a rule may take a row or a value away.
    pub fn take_away_late(&self) -> bool {
        self.late.iter().any(|at| self.rules[*at].on_fail != OnFail::Keep)
    }

    /// The keys of the rows since the last call: one list for each that waits.
    pub fn take_keys(&mut self) -> Vec<Vec<Key>> {
        let Self { late, rules, .. } = self;
        let keys = |at: &usize| match &mut rules[*at].look {
            Look::Duplicate(_, keys) | Look::Elsewhere(Elsewhere { keys, .. }) => std::mem::take(keys),
            Look::Conditions(_) => Vec::new(),
        };
        late.iter().map(keys).collect()
    }

    /// Compares keys of one of these rules, in whatever order: all that are equal, and all of one patient's days, must be among them, and of the other dataset all
    /// that they could find. The rules must be asked one after the other: of `duplicate` each sees what those before it keep.
    pub fn compare(&mut self, late: usize, mut keys: Vec<Key>, theirs: Vec<Key>) {
        let Some(at) = self.late.get(late).and_then(|at| self.rules.get_mut(*at)) else { return };
        let failing: Vec<u32> = match &at.look {
            Look::Conditions(_) => return,
            Look::Elsewhere(elsewhere) => {
                keys.sort_unstable();
                elsewhere.failing(&keys, theirs)
            }
            Look::Duplicate(..) => {
                keys.retain(|key| !self.taken.has_row(key.row));
                keys.sort_unstable();
                keys.chunk_by(|a, b| a.digest == b.digest).flat_map(|same| &same[1..]).map(|key| key.row).collect()
            }
        };
        for row in failing {
            at.failed.note(u64::from(row) + 1);
            match at.on_fail {
                OnFail::Keep => {}
                OnFail::Null => at.rule.at_fault().iter().for_each(|column| self.taken.value(column, row)),
                OnFail::Reject => at.left_out += u64::from(self.taken.row(row)),
            }
        }
    }

    /// What they take away.
    pub fn taken(&self) -> &TakenAway {
        &self.taken
    }

    /// The columns that rules read, each once.
    fn reads(&self) -> BTreeSet<&ColumnName> {
        let of = |at: &'_ AtSite<'a>| -> Vec<ColumnName> {
            match &at.look {
                Look::Conditions(conditions) => conditions.iter().flat_map(|(c, _)| c.columns()).cloned().collect(),
                Look::Duplicate(columns, _) => columns.to_vec(),
                // It sees what a snapshot has.
                Look::Elsewhere(_) => Vec::new(),
            }
        };
        let wanted: BTreeSet<ColumnName> = self.rules.iter().flat_map(of).collect();
        self.contract.columns().iter().map(|c| &c.name).filter(|name| wanted.contains(*name)).collect()
    }

    /// Looks at the next rows of the source: their values by column, and which rows are left out already. Values at fault are taken away, and rows that
    /// are left out now are marked. What it saw is for [`Rules::note_keys`], when no row is left out any more.
    ///
    /// # Errors
    /// The stage that failed; it holds no value.
    pub fn look(
        &mut self,
        columns: &mut [(&Column, Values<'_>)],
        rejected: &mut [Option<Reason>],
    ) -> Result<Seen, &'static str> {
        let reads = self.reads();
        let in_order: Vec<usize> = (0..rejected.len()).collect();
        let read = columns.iter().filter(|(column, _)| reads.contains(&column.name));
        let batch = read.map(|(column, values)| physical(&column.name, &column.kind, values, &in_order)).collect();
        let batch = DataFrame::new(rejected.len(), batch).map_err(|_| "building a rule's columns")?;
        for (column, rows) in self.judge(&batch, rejected)? {
            rows.into_iter().for_each(|row| columns[column].1.clear(row));
        }
        Ok(Seen(batch))
    }

    /// Notes the keys of the rows that [`Rules::look`] saw last, and that nothing leaves out.
    ///
    /// # Errors
    /// The stage that failed; it holds no value.
    pub fn note_keys(&mut self, Seen(batch): &Seen, rejected: &[Option<Reason>]) -> Result<(), &'static str> {
        for at in &mut self.rules {
            let Look::Duplicate(columns, keys) = &mut at.look else { continue };
            let columns = columns.iter().map(|name| series(batch, name)).collect::<Result<Vec<_>, _>>()?;
            for row in (0..rejected.len()).filter(|row| rejected[*row].is_none()) {
                if let Some(digest) = digest(&columns, row)? {
                    // A source has no more rows than a number of 32 bits can say.
                    keys.push(Key { digest, row: (self.rows + row as u64) as u32 });
                }
            }
        }
        self.rows += rejected.len() as u64;
        Ok(())
    }

    /// Notes what rules that look into other datasets see of rows as a snapshot has them, with their numbers in the source. Whose they are is asked if one does.
    ///
    /// # Errors
    /// The stage that failed; it holds no value.
    pub fn note_elsewhere(
        &mut self,
        rows: &DataFrame,
        numbers: &[u32],
        patients: impl FnOnce() -> Vec<Token>,
    ) -> Result<(), &'static str> {
        let mut looking = self.rules.iter_mut().filter_map(AtSite::elsewhere).peekable();
        if looking.peek().is_none() {
            return Ok(());
        }
        let marks = rows.column(MARK).and_then(|marks| marks.u8()).map_err(|_| "finding marks")?;
        let fit: Vec<bool> = marks.into_no_null_iter().map(Mark::fits).collect();
        let of = Rows { rows, numbers, patients: &patients(), fit: &fit };
        looking.try_for_each(|elsewhere| elsewhere.note(of))
    }

    /// What must be made null of a batch with at least the columns of [`Rules::reads`].
    fn judge(&mut self, batch: &DataFrame, rejected: &mut [Option<Reason>]) -> Result<Nulls, &'static str> {
        let mut nulls = Vec::new();
        let alive: Vec<bool> = rejected.iter().map(Option::is_none).collect();
        for at in &mut self.rules {
            let Look::Conditions(conditions) = &at.look else { continue };
            let mut failing = BTreeSet::new();
            for (condition, at_fault) in conditions {
                let passes = evaluated(condition, batch, self.contract)?;
                let rows: Vec<usize> =
                    (0..alive.len()).filter(|row| alive[*row] && passes.get(*row) == Some(false)).collect();
                failing.extend(rows.iter().copied());
                if at.on_fail == OnFail::Null && !rows.is_empty() {
                    let place =
                        |name: &ColumnName| self.contract.columns().iter().position(|column| column.name == *name);
                    nulls.extend(at_fault.iter().filter_map(place).map(|column| (column, rows.clone())));
                }
            }
            at.note(self.rows, failing, rejected);
        }
        Ok(nulls)
    }

    /// Rows that late rules left out, each by the first that does so.
    pub fn left_out_late(&self) -> impl Iterator<Item = (Reason, u64)> {
        let of = |at: &AtSite<'_>| (Reason::Rule(at.rule.name.clone()), at.left_out);
        self.rules.iter().filter(|at| at.left_out > 0).map(of)
    }

    /// What was found.
    pub fn finish(self) -> BTreeMap<RuleName, RuleReport> {
        let report = |at: AtSite<'_>| {
            let check = at.rule.check.to_string();
            let unheld = if let Look::Elsewhere(Elsewhere { unheld, .. }) = at.look { unheld } else { None };
            (at.rule.name.clone(), RuleReport { check, on_fail: at.on_fail, failed: at.failed, unheld })
        };
        self.rules.into_iter().map(report).collect()
    }
}

impl Values<'_> {
    /// Takes a value away.
    fn clear(&mut self, row: usize) {
        match self {
            Values::Int(v) | Values::Datetime(v) => v[row] = None,
            Values::Float(v) => v[row] = None,
            Values::Code(v) => v[row] = None,
            Values::Date(v) => v[row] = None,
            Values::Bool(v) => v[row] = None,
            Values::Text(v) => v[row] = None,
        }
    }
}

impl<'a> AtSite<'a> {
    /// A rule that looks into another dataset, where it is looked at.
    fn elsewhere(&mut self) -> Option<&mut Elsewhere<'a>> {
        match &mut self.look {
            Look::Elsewhere(elsewhere) => elsewhere.held().is_some().then_some(elsewhere),
            _ => None,
        }
    }

    fn note(&mut self, before: u64, failing: BTreeSet<usize>, rejected: &mut [Option<Reason>]) {
        for row in failing {
            self.failed.note(before + row as u64 + 1);
            if self.on_fail == OnFail::Reject {
                rejected[row].get_or_insert_with(|| Reason::Rule(self.rule.name.clone()));
            }
        }
    }
}

/// That a column is not behind the day of `now`: UTC's, since dates have no zone.
fn not_later(name: &ColumnName, contract: &Contract, now: Timestamp) -> Option<(Expr, Vec<ColumnName>)> {
    let today = now.0.div_euclid(DAY_MS);
    let (op, last) = match &contract.column(name.as_str())?.kind {
        Kind::Date { .. } => (Comparison::LessOrEqual, Literal::Date(i32::try_from(today).ok()?)),
        Kind::Datetime { .. } => (Comparison::Less, Literal::Datetime((today + 1) * DAY_MS)),
        _ => return None,
    };
    let (left, right) = (Box::new(Expr::Column(name.clone())), Box::new(Expr::Literal(last)));
    Some((Expr::Compare { op, left, right }, vec![name.clone()]))
}

fn evaluated(condition: &Expr, batch: &DataFrame, contract: &Contract) -> Result<BooleanChunked, &'static str> {
    const FAILED: &str = "looking at a rule";
    let compiled = compile(condition, Scope::Snapshot(contract)).map_err(|_| "compiling a rule")?;
    let frame = collect(batch.clone().lazy().select([compiled.expr.alias("passes")]))?;
    let passes = frame.column("passes").map_err(|_| FAILED)?.as_materialized_series().rechunk();
    let passes = passes.bool().map_err(|_| FAILED)?.clone();
    if passes.len() == batch.height() { Ok(passes) } else { Err(FAILED) }
}

fn series(batch: &DataFrame, name: &ColumnName) -> Result<Series, &'static str> {
    Ok(batch.column(name.as_str()).map_err(|_| "finding a rule's column")?.as_materialized_series().rechunk())
}

/// A digest of a row's values, each behind its length; none where one is missing.
fn digest(columns: &[Series], row: usize) -> Result<Option<[u8; 16]>, &'static str> {
    const FAILED: &str = "reading a rule's column";
    let mut hasher = Sha256::new();
    for column in columns {
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        match column.get(row).map_err(|_| FAILED)? {
            AnyValue::Null => return Ok(None),
            AnyValue::String(text) => add(text.as_bytes()),
            AnyValue::Boolean(truth) => add(&[u8::from(truth)]),
            AnyValue::Int64(i) => add(&i.to_be_bytes()),
            AnyValue::Int32(i) => add(&i.to_be_bytes()),
            AnyValue::UInt8(i) => add(&i.to_be_bytes()),
            AnyValue::UInt16(i) => add(&i.to_be_bytes()),
            AnyValue::UInt32(i) => add(&i.to_be_bytes()),
            AnyValue::Float64(x) => add(&x.to_bits().to_be_bytes()),
            _ => return Err(FAILED),
        }
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize()[..16]);
    Ok(Some(key))
}
