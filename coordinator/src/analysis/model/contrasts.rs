//! Combinations of a model's coefficients: estimates of single ones, Wald's test of several together.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::analysis::{Contrast, Weighted};
use bocage_protocol::ids::SiteId;
use nalgebra::{DMatrix, DVector};

use super::errors::Estimates;
use super::fit::inverse;
use super::published::{coefficients, headed, number};
use crate::api::types::{Block, Value};

/// L β with L C Lᵀ, of those contrasts that are one combination each.
pub(super) fn estimated(ratio: Option<&str>, confidence: f64, asked: &[Contrast], found: &Estimates) -> Option<Block> {
    let single: Vec<&Contrast> = there(asked, found).filter(|contrast| contrast.combinations.len() == 1).collect();
    if single.is_empty() {
        return None;
    }
    let rows = combinations(&single, found);
    let of = Estimates {
        names: single.iter().map(|contrast| contrast.label.clone()).collect(),
        sites: Vec::new(),
        beta: &rows * &found.beta,
        covariance: &rows * &found.covariance * rows.transpose(),
        reference: found.reference,
        dispersion: found.dispersion,
    };
    let mut block = coefficients(ratio, confidence, &of);
    block.columns[0] = "contrast".to_owned();
    Some(block)
}

/// Which sites are not in the fit, each with the contrasts that are not given since they hold it against others.
pub(super) fn without_sites(asked: &[Contrast], found: &Estimates) -> Vec<String> {
    let mut lost: BTreeMap<&SiteId, Vec<String>> = BTreeMap::new();
    for contrast in asked {
        for site in absent(contrast, found) {
            lost.entry(site).or_default().push(format!("`{}`", contrast.label));
        }
    }
    let said = |(site, contrasts): (&SiteId, Vec<String>)| {
        let contrasts = if let [one] = contrasts.as_slice() {
            format!("contrast {one}")
        } else {
            format!("contrasts {}", contrasts.join(", "))
        };
        format!("`{site}` is not in the fit, so there is no {contrasts}")
    };
    lost.into_iter().map(said).collect()
}

/// The sites of a contrast that are not in the fit.
fn absent<'a>(contrast: &'a Contrast, found: &Estimates) -> BTreeSet<&'a SiteId> {
    let named = contrast.combinations.iter().flatten().filter_map(Weighted::site);
    named.filter(|site| !found.sites.contains(site)).collect()
}

/// The contrasts of what is in the fit.
fn there<'a>(asked: &'a [Contrast], found: &'a Estimates) -> impl Iterator<Item = &'a Contrast> {
    asked.iter().filter(|contrast| absent(contrast, found).is_empty())
}

/// (L β)ᵀ (L C Lᵀ)⁻¹ L β, of those contrasts that are several combinations each.
pub(super) fn tested(asked: &[Contrast], found: &Estimates) -> Option<Block> {
    let several = there(asked, found).filter(|contrast| contrast.combinations.len() > 1);
    let mut block = headed(&["contrast", "statistic", "degrees of freedom", "p"]);
    for contrast in several {
        let rows = combinations(&[contrast], found);
        block.rows.push(tested_together(&contrast.label, &rows, found));
    }
    (!block.rows.is_empty()).then_some(block)
}

/// Wald's test of these combinations being 0 together; none where some are made of the others.
pub(super) fn tested_together(label: &str, rows: &DMatrix<f64>, found: &Estimates) -> Vec<Value> {
    let df = rows.nrows();
    let of = wald(&(rows * &found.beta), &(rows * &found.covariance * rows.transpose()));
    let of = of.filter(|_| found.reference.allows(df));
    let p = of.and_then(|of| found.reference.p_of_several(of, df as f64));
    vec![Value::Text(label.to_owned()), number(of), Value::Count(df as u64), number(p)]
}

/// Why a test of that block that is not given is not. Where there are no errors at all, that is said once for all tests.
pub(super) fn untested<'a>(block: &'a Block, found: &Estimates) -> impl Iterator<Item = String> + 'a {
    let reference = found.reference;
    let known = found.have_errors();
    let none = block.rows.iter().filter(move |row| known && row.get(1) == Some(&Value::Null));
    none.filter_map(move |row| match row.as_slice() {
        [Value::Text(label), _, Value::Count(df), ..] if !reference.allows(*df as usize) => Some(format!(
            "no test of `{label}`: errors by site say nothing of {df} coefficients at once where there are no more sites"
        )),
        [Value::Text(label), ..] => Some(format!("no test of `{label}`: some of what it tests is made of the others")),
        _ => None,
    })
}

fn wald(beta: &DVector<f64>, covariance: &DMatrix<f64>) -> Option<f64> {
    inverse(covariance).ok().map(|inverse| (beta.transpose() * inverse * beta)[(0, 0)])
}

/// A row for each combination, over all estimates: those of sites stand before those of columns. That of the first is in all of these, and so in no
/// combination that holds sites against each other.
fn combinations(contrasts: &[&Contrast], found: &Estimates) -> DMatrix<f64> {
    let all: Vec<_> = contrasts.iter().flat_map(|contrast| &contrast.combinations).collect();
    let mut rows = DMatrix::zeros(all.len(), found.names.len());
    for (row, combination) in all.iter().enumerate() {
        for weighted in combination.iter() {
            let at = match weighted {
                Weighted::Column { column, .. } => Some(found.sites.len() + *column as usize),
                Weighted::Site { site, .. } => found.sites.iter().position(|own| own == site).filter(|at| *at > 0),
            };
            if let Some(at) = at {
                rows[(row, at)] += weighted.by();
            }
        }
    }
    rows
}
