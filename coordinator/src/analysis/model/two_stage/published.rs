//! What is published of a model in two stages: the sites' estimates together by the way that was asked for, by the others beside it, how sites
//! differ, and each site's own as a forest.

use bocage_protocol::analysis::Pooling;
use bocage_protocol::ids::SiteId;
use nalgebra::{DMatrix, DVector};

use super::super::errors::Estimates;
use super::super::meta::{Estimate, Pooled, Together, together};
use super::super::published::{coefficients, headed, named, number};
use super::Setting;
use crate::api::types::{AnalysisResult, Block, Value};

/// A site's patients, events where there are such, and estimates.
#[derive(Debug)]
pub(super) struct Site {
    pub id: SiteId,
    pub patients: u64,
    pub events: Option<u64>,
    pub rounds: u32,
    pub found: Estimates,
}

/// What all sites say of a column.
struct Column {
    name: String,
    together: Option<Together>,
}

/// What is put together, and how.
pub(super) struct Stage<'a> {
    pub setting: &'a Setting,
    /// The columns' names.
    pub labels: Vec<&'a str>,
    /// What e to the power of a coefficient is, where it is something.
    pub ratio: Option<&'static str>,
    pub confidence: f64,
    pub pooling: Pooling,
    /// The kind of regression, in words.
    pub of: String,
    pub formula: &'a str,
}

impl Stage<'_> {
    pub(super) fn published(&self, sites: &[Site], mut notes: Vec<String>) -> AnalysisResult {
        let column = |(at, name): (usize, &&str)| {
            let of = |site: &Site| Estimate { value: site.found.beta[at], variance: site.found.covariance[(at, at)] };
            let together = together(&sites.iter().map(of).collect::<Vec<_>>());
            Column { name: (*name).to_owned(), together }
        };
        let columns: Vec<Column> = self.labels.iter().enumerate().map(column).collect();
        let way = words(self.pooling);
        notes.insert(0, format!("{} of each site by itself, together by {way}: {}", self.of, self.formula));
        let mut result = self.setting.result(self.combined(&columns, self.pooling), notes);
        let others = Pooling::ALL.into_iter().filter(|(_, pooling)| *pooling != self.pooling);
        result.also = others.map(|(name, pooling)| named(name, self.combined(&columns, pooling))).collect();
        result.also.push(named("heterogeneity", self.heterogeneity(&columns)));
        result.also.push(named("forest", self.forest(sites, &columns)));
        result.also.push(named("patients with all that the model reads", patients(sites)));
        result
    }

    /// The estimates of all sites in one of the ways.
    fn combined(&self, columns: &[Column], pooling: Pooling) -> Block {
        let all: Vec<(&str, Pooled)> = columns
            .iter()
            .filter_map(|column| Some((column.name.as_str(), pooled(column.together.as_ref()?, pooling)?)))
            .collect();
        let error = |i: usize| all[i].1.error;
        let Some((_, Pooled { reference, .. })) = all.first().copied() else {
            return headed(&super::COLUMNS);
        };
        let found = Estimates {
            sites: Vec::new(),
            names: all.iter().map(|(name, _)| (*name).to_owned()).collect(),
            beta: DVector::from_fn(all.len(), |i, _| all[i].1.value),
            // How estimates of different columns go together is not known of sites by themselves.
            covariance: DMatrix::from_fn(all.len(), all.len(), |i, j| if i == j { error(i).powi(2) } else { 0.0 }),
            reference,
            dispersion: 1.0,
        };
        coefficients(self.ratio, self.confidence, &found)
    }

    fn heterogeneity(&self, columns: &[Column]) -> Block {
        let mut block = headed(&[
            "term",
            "Q",
            "degrees of freedom",
            "p",
            "I-squared",
            "tau-squared",
            "prediction from",
            "prediction to",
        ]);
        for Column { name, together } in columns {
            let differ = together.as_ref().and_then(|together| together.heterogeneity);
            let prediction = together.as_ref().and_then(|together| together.prediction(self.confidence));
            let df = differ.map_or(Value::Null, |differ| Value::Count(differ.df as u64));
            let mut row = vec![Value::Text(name.clone()), number(differ.map(|differ| differ.q)), df];
            row.push(number(differ.and_then(|differ| differ.p)));
            row.extend([differ.map(|differ| differ.i_squared), differ.map(|differ| differ.tau_squared)].map(number));
            row.extend([0, 1].map(|end| number(prediction.map(|ends| ends[end]))));
            block.rows.push(row);
        }
        block
    }

    /// Each column's estimate at each site, with what it weighs, and then of all sites.
    fn forest(&self, sites: &[Site], columns: &[Column]) -> Block {
        let mut block = headed(&["term", "site", "estimate", "standard error", "from", "to"]);
        let ratio = self.ratio;
        block.columns.extend(ratio.iter().flat_map(|ratio| [*ratio, "ratio from", "ratio to"]).map(str::to_owned));
        block.columns.push("weight".to_owned());
        for (at, Column { name, together }) in columns.iter().enumerate() {
            let of = |site: &Site| Pooled {
                value: site.found.beta[at],
                error: site.found.covariance[(at, at)].sqrt(),
                reference: site.found.reference,
            };
            let share = |i: usize| together.as_ref().map(|together| self.shares(together)[i]);
            let own = sites.iter().enumerate().map(|(i, site)| (site.id.to_string(), Some(of(site)), share(i)));
            let all = together.as_ref().and_then(|together| pooled(together, self.pooling));
            for (label, found, share) in own.chain([("all sites".to_owned(), all, together.as_ref().map(|_| 1.0))]) {
                let within = found.and_then(|found| Some(found.reference.quantile(self.confidence)? * found.error));
                let ends = found.zip(within).map(|(found, within)| [found.value - within, found.value + within]);
                let mut row = vec![Value::Text(name.clone()), Value::Text(label)];
                row.extend([found.map(|found| found.value), found.map(|found| found.error)].map(number));
                row.extend([0, 1].map(|end| number(ends.map(|ends| ends[end]))));
                if ratio.is_some() {
                    row.push(number(found.map(|found| found.value.exp())));
                    row.extend([0, 1].map(|end| number(ends.map(|ends| ends[end].exp()))));
                }
                row.push(number(share));
                block.rows.push(row);
            }
        }
        block
    }

    /// What each site weighs in the way that was asked for.
    fn shares(&self, together: &Together) -> Vec<f64> {
        match self.pooling {
            Pooling::Fixed => together.fixed_shares.clone(),
            Pooling::DersimonianLaird | Pooling::HartungKnapp => together.shares.clone(),
        }
    }
}

fn patients(sites: &[Site]) -> Block {
    let mut block = headed(&["site", "patients"]);
    block.columns.extend(sites.iter().any(|site| site.events.is_some()).then(|| "events".to_owned()));
    block.columns.push("rounds".to_owned());
    for Site { id, patients, events, rounds, .. } in sites {
        let mut row = vec![Value::Text(id.to_string()), Value::Count(*patients)];
        row.extend(events.map(Value::Count));
        row.push(Value::Count(u64::from(*rounds)));
        block.rows.push(row);
    }
    block
}

fn pooled(together: &Together, pooling: Pooling) -> Option<Pooled> {
    match pooling {
        Pooling::Fixed => Some(together.fixed),
        Pooling::DersimonianLaird => Some(together.random),
        Pooling::HartungKnapp => together.hartung_knapp,
    }
}

fn words(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Fixed => "a fixed effect",
        Pooling::DersimonianLaird => "random effects (DerSimonian and Laird)",
        Pooling::HartungKnapp => "random effects (DerSimonian and Laird, intervals after Hartung and Knapp)",
    }
}
