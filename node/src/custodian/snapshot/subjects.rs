//! Patients numbered: the rows of a group sorted by patient, each patient given the next number, and the ids taken away.
//!
//! Patients stand in the order of their places, which are hashes of their ids: the same in each snapshot of the same patients, and no patient's number says
//! when the patient came. A patient's rows stay in the source's order.

use std::cmp::Ordering;

use polars::prelude::DataFrame;
use polars_arrow::array::{PrimitiveArray, StaticArray as _, Utf8ViewArray};

use super::SnapshotError;
use crate::custodian::optout::{IdForm, Token};
use crate::custodian::source::{ID, MARK, Mark, PLACE};

/// The next numbers, and what was found of those who have one.
pub(super) struct Numbering<'a> {
    form: Option<&'a IdForm>,
    one_row: bool,
    next: u32,
    repeated: u64,
    tokens: Vec<Token>,
    flagged: Vec<u32>,
    strangers: Vec<Token>,
}

/// Rows of a group, and which of them stand in the snapshot: none is moved before it is written.
pub(super) struct Numbered {
    /// The rows as they came, without what names their patients.
    pub(super) rows: DataFrame,
    /// Those that stay, in the snapshot's order.
    pub(super) order: Vec<u32>,
    /// The patient's number of each that stays.
    pub(super) numbers: Vec<u32>,
}

/// What names the patients of some rows.
enum Ids<'a> {
    /// Whole numbers, and their places.
    Numbers(&'a PrimitiveArray<i64>, &'a [u64]),
    /// Texts, and their places.
    Texts(&'a Utf8ViewArray, &'a [u64]),
    /// Nothing: each row is a patient.
    Rows,
}

impl<'a> Ids<'a> {
    fn of(rows: &'a DataFrame) -> Option<Self> {
        let Ok(ids) = rows.column(ID) else { return Some(Ids::Rows) };
        let places = rows.column(PLACE).and_then(|places| places.u64()?.cont_slice()).ok()?;
        match (ids.i64(), ids.str()) {
            (Ok(ids), _) if ids.chunks().len() == 1 => Some(Ids::Numbers(ids.downcast_as_array(), places)),
            (_, Ok(ids)) if ids.chunks().len() == 1 => Some(Ids::Texts(ids.downcast_as_array(), places)),
            _ => None,
        }
    }

    /// The rows in order: by place, then by id, and each patient's as they come; and where each patient's rows end.
    fn sorted(&self, rows: u32) -> (Vec<u32>, Vec<usize>) {
        let places = match self {
            Ids::Numbers(_, places) | Ids::Texts(_, places) => *places,
            Ids::Rows => return ((0..rows).collect(), (1..=rows as usize).collect()),
        };
        // Of rows, side by side with what they are compared by, none has to be looked up.
        let mut keys: Vec<(u64, u32)> = places.iter().copied().zip(0..rows).collect();
        keys.sort_unstable();
        let (mut end, mut ends) = (0, Vec::new());
        for own in keys.chunk_by_mut(|a, b| a.0 == b.0) {
            let first = own[0].1;
            // Almost never have two patients one place.
            if own[1..].iter().any(|key| self.ids(key.1, first) != Ordering::Equal) {
                own.sort_unstable_by(|a, b| self.ids(a.1, b.1).then(a.1.cmp(&b.1)));
                for patient in own.chunk_by(|a, b| self.ids(a.1, b.1) == Ordering::Equal) {
                    end += patient.len();
                    ends.push(end);
                }
            } else {
                end += own.len();
                ends.push(end);
            }
        }
        (keys.into_iter().map(|(_, row)| row).collect(), ends)
    }

    fn ids(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        match self {
            Ids::Numbers(ids, _) => ids.get(a).cmp(&ids.get(b)),
            Ids::Texts(ids, _) => ids.get(a).cmp(&ids.get(b)),
            Ids::Rows => a.cmp(&b),
        }
    }

    /// How the patient of a row is known again. Without ids that is in this snapshot alone.
    fn token(&self, row: u32, number: u32, form: &IdForm) -> Token {
        match self {
            Ids::Numbers(ids, _) => form.of_subject(&ids.get(row as usize).unwrap_or_default().to_string()),
            Ids::Texts(ids, _) => form.of_subject(ids.get(row as usize).unwrap_or_default()),
            Ids::Rows => form.of_subject(&number.to_string()),
        }
    }
}

impl<'a> Numbering<'a> {
    /// The first number is 0. With a `form` each patient gets a token; with `one_row` only a patient's first row stays.
    pub(super) fn new(form: Option<&'a IdForm>, one_row: bool) -> Self {
        Self { form, one_row, next: 0, repeated: 0, tokens: Vec::new(), flagged: Vec::new(), strangers: Vec::new() }
    }

    /// Numbers the patients of a group: no other group may have rows of one of them.
    pub(super) fn number(&mut self, rows: &DataFrame) -> Result<Numbered, SnapshotError> {
        let fault = |stage| SnapshotError::Fault { stage };
        let ids = Ids::of(rows).ok_or_else(|| fault("knowing patients"))?;
        let marks = rows.column(MARK).and_then(|marks| marks.u8()?.cont_slice()).map_err(|_| fault("finding marks"))?;
        let (sorted, ends) = ids.sorted(rows.height() as u32);
        let (mut stay, mut numbers) = (Vec::with_capacity(sorted.len()), Vec::with_capacity(sorted.len()));
        let mut begin = 0;
        for end in ends {
            let own = &sorted[begin..end];
            begin = end;
            let before = stay.len();
            let mut fit = own.iter().filter(|row| Mark::fits(marks[**row as usize]));
            stay.extend(fit.by_ref().take(if self.one_row { 1 } else { usize::MAX }));
            self.repeated += fit.count() as u64;
            let token = self.form.map(|form| ids.token(own[0], self.next, form));
            // In any row, also in one that is not kept.
            let out = own.iter().any(|row| Mark::opts_out(marks[*row as usize]));
            if stay.len() == before {
                self.strangers.extend(token.filter(|_| out));
                continue;
            }
            numbers.resize(stay.len(), self.next);
            self.tokens.extend(token);
            if out {
                self.flagged.push(self.next);
            }
            self.next += 1;
        }
        Ok(Numbered { rows: rows.drop_many([ID, PLACE, MARK]), order: stay, numbers })
    }

    /// The tokens of the patients who were numbered since the last call.
    pub(super) fn take_tokens(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.tokens)
    }

    /// How many patients there are.
    pub(super) fn subjects(&self) -> u32 {
        self.next
    }

    /// How many rows were left out since their patient has an earlier one.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The patients who opted out by a row of theirs.
    pub(super) fn flagged(&self) -> &[u32] {
        &self.flagged
    }

    /// The tokens of those who opted out by a row of theirs and have none that stays.
    pub(super) fn strangers(&self) -> &[Token] {
        &self.strangers
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    #[test]
    fn patients_of_one_place_stay_apart_and_each_keeps_the_order_of_its_rows() {
        let rows = df!(
            ID => ["b", "a", "c", "b", "a", "b"],
            PLACE => [7u64, 7, 3, 7, 7, 7],
            MARK => [1u8; 6],
            "row" => [0i64, 1, 2, 3, 4, 5],
        );
        let numbered = Numbering::new(None, false).number(&rows.unwrap()).unwrap();
        let rows = numbered.rows.column("row").unwrap().i64().unwrap();
        let rows = numbered.order.iter().map(|row| rows.get(*row as usize).unwrap());
        let numbers = numbered.numbers.into_iter();
        assert_eq!(numbers.zip(rows).collect::<Vec<_>>(), [(0, 2), (1, 1), (1, 4), (2, 0), (2, 3), (2, 5)]);
    }
}
