//! What a fitted model makes of a row: its linear predictor by the design that the study names, and what is wanted of that.

use std::collections::BTreeSet;
use std::sync::Arc;

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::plan::{Prediction, PredictionLayout};
use polars::prelude as pl;
use polars::prelude::{Column, DataFrame, Float64Chunked, IntoColumn as _, IntoLazy as _};

use crate::custodian::engine::compile::Unfit;
use crate::custodian::engine::model::{Selected, product};
use crate::custodian::engine::pass::PassError;
use crate::custodian::engine::question::compile_inputs;
use crate::custodian::engine::{Engine, collect_on};
use crate::custodian::folds::Folds;

/// A prediction, ready for the rows of a part.
pub struct Predicting {
    of: Prediction,
    layout: PredictionLayout,
    select: Vec<pl::Expr>,
    reads: BTreeSet<ColumnName>,
    /// Where the coefficients are those of a patient's fold.
    folds: Option<Arc<Folds>>,
}

impl Predicting {
    /// Of rows under this contract, with the features before it as columns.
    ///
    /// # Errors
    /// It was checked against another contract, has no coefficients yet, or asks for folds where there are none.
    pub fn new(of: &Prediction, contract: &Contract, folds: Option<Arc<Folds>>) -> Result<Self, Unfit> {
        let layout = of.lower(contract).map_err(|_| Unfit("a fitted model does not fit the columns"))?;
        let select = compile_inputs(&layout.inputs, contract)?;
        let reads = of.reads().into_iter().cloned().collect();
        if layout.beta.is_empty() {
            return Err(Unfit("the coefficients of a fitted model are not known yet"));
        }
        if !layout.folds.is_empty() && folds.is_none() {
            return Err(Unfit("nobody is in a fold here"));
        }
        Ok(Self { of: of.clone(), layout, select, reads, folds })
    }

    /// The columns that it is computed from: the base's, and earlier features.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.reads.iter().map(ColumnName::as_str)
    }

    /// Its value in each row of a part; null where something that it reads is not known.
    ///
    /// # Errors
    /// The part lacks a column.
    pub fn of(&self, rows: &DataFrame) -> Result<Column, PassError> {
        let selected = collect_on(Engine::InMemory, rows.clone().lazy().select_seq(&self.select));
        let selected = selected.map_err(|_| PassError::Shape)?;
        let Selected { subjects, numbers, levels } = Selected::of(&selected, &self.layout.inputs)?;
        let value = |row: usize| {
            let known = numbers.iter().all(|column| column[row].is_finite())
                && levels
                    .iter()
                    .zip(&self.layout.inputs.keys)
                    .all(|(of, (_, domain))| (of[row] as usize) < domain.labels.len());
            let (beta, fold) = self.beta(subjects.get(row)?)?;
            known.then(|| {
                let columns = self.layout.columns.iter().zip(beta);
                let eta = columns.map(|(slots, beta)| beta * product(slots, row, &numbers, &levels)).sum();
                let has = self.layout.condition.is_some_and(|input| numbers[input][row] > 0.5);
                self.layout.value(&self.of, eta, has, fold)
            })
        };
        let values: Float64Chunked = (0..subjects.len()).map(value).collect();
        Ok(values.into_column())
    }

    /// The coefficients that are a patient's, and the fold, where these go by it.
    fn beta(&self, subject: u32) -> Option<(&[f64], usize)> {
        match (u8::try_from(self.layout.folds.len()), &self.folds) {
            (Ok(count @ 1..), Some(folds)) => {
                let fold = folds.of(subject, count)?;
                self.layout.folds.get(fold).map(|beta| (beta.as_slice(), fold))
            }
            _ => Some((&self.layout.beta, 0)),
        }
    }
}
