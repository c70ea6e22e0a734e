//! What is published of components: how much each says, what it is made of, means and deviations, and the patients of each site.

use bocage_protocol::analysis::{PcaScale, PcaSpec};
use bocage_protocol::ids::SiteId;

use super::COLUMNS;
use super::components::Components;
use crate::analysis::Setting;
use crate::analysis::model::{headed, named, number};
use crate::analysis::moments::Moments;
use crate::api::types::{AnalysisResult, Block, Value};

pub(super) fn result(
    setting: &Setting,
    spec: &PcaSpec,
    moments: &Moments,
    found: &Components,
    mut notes: Vec<String>,
) -> AnalysisResult {
    let of = match spec.scale {
        PcaScale::Correlation => "correlation",
        PcaScale::Covariance => "covariance",
    };
    notes.insert(0, format!("principal components of the {of} matrix of {} patients", moments.n));
    notes.extend(found.alike.iter().filter(|at| **at <= spec.shown()).map(|at| {
        let (one, other) = (at, at + 1);
        format!("PC{one} and PC{other} have the same variance: any directions between the two are as good as these")
    }));
    if (moments.n as usize) <= spec.columns.len() {
        notes.push("there are no more patients than columns: some components have no variance by necessity".to_owned());
    }
    let mut result = setting.result(variances(found), notes);
    result.also = vec![
        named("loadings", by_component(spec, "loading", |column, at| found.directions[(column, at)])),
        named(
            "correlations with the components",
            by_component(spec, "r", |column, at| found.correlations[(column, at)]),
        ),
        named("columns", columns(spec, moments, found)),
        named("adequacy", adequacy(found)),
        named("patients with all of the columns", sites(&moments.sites)),
    ];
    result
}

fn variances(found: &Components) -> Block {
    let mut block = headed(&COLUMNS);
    let all: f64 = found.variances.iter().sum();
    let mut cumulative = 0.0;
    for (at, variance) in found.variances.iter().enumerate() {
        cumulative += variance / all;
        let numbers = [*variance, variance / all, cumulative.min(1.0)].map(|x| number(Some(x)));
        block.rows.push([component(at)].into_iter().chain(numbers).collect());
    }
    block
}

fn component(at: usize) -> Value {
    Value::Text(format!("PC{}", at + 1))
}

/// A row for each shown component and column.
fn by_component(spec: &PcaSpec, heading: &str, of: impl Fn(usize, usize) -> f64) -> Block {
    let mut block = headed(&["component", "column", heading]);
    for at in 0..spec.shown() {
        for (column, named) in spec.columns.iter().enumerate() {
            block.rows.push(vec![component(at), Value::Text(named.label.clone()), number(Some(of(column, at)))]);
        }
    }
    block
}

fn columns(spec: &PcaSpec, moments: &Moments, found: &Components) -> Block {
    let mut block = headed(&["column", "mean", "sd", "kmo"]);
    for (at, column) in spec.columns.iter().enumerate() {
        let kmo = found.adequacy.as_ref().map(|adequacy| adequacy.kmo.1[at]);
        let numbers = [Some(moments.mean(at)), moments.sd(at).or(Some(0.0)), kmo].map(number);
        block.rows.push([Value::Text(column.label.clone())].into_iter().chain(numbers).collect());
    }
    block
}

fn adequacy(found: &Components) -> Block {
    let mut block = headed(&["measure", "value"]);
    if let Some(adequacy) = &found.adequacy {
        let (statistic, df, p) = adequacy.bartlett;
        for (name, value) in [
            ("Bartlett's test of sphericity: chi-squared", number(Some(statistic))),
            ("degrees of freedom", Value::Count(df)),
            ("p", number(p)),
            ("Kaiser-Meyer-Olkin measure", number(Some(adequacy.kmo.0))),
        ] {
            block.rows.push(vec![Value::Text(name.to_owned()), value]);
        }
    }
    block
}

/// The patients of each site.
pub(in crate::analysis) fn sites(sites: &[(SiteId, u64)]) -> Block {
    let mut block = headed(&["site", "patients"]);
    block.rows = sites.iter().map(|(site, n)| vec![Value::Text(site.to_string()), Value::Count(*n)]).collect();
    block
}
