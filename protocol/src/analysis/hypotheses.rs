//! What is asked of a fitted model beside its estimates: smaller models within it, and combinations of its coefficients. A node never looks at it.

use serde::{Deserialize, Serialize};

use crate::ids::SiteId;
use crate::limits;

/// A model within a model: some of its columns have a coefficient of 0, or its sites one intercept. It is fitted to the same rows, since the same plan is
/// put at other coefficients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nested {
    /// The terms that are left out, as the researcher wrote them.
    pub label: String,
    /// Their columns, by position, ascending.
    pub without: Vec<u32>,
    /// Whether all sites have one intercept, where each has its own in the whole model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_intercept: bool,
}

/// Combinations of coefficients that are estimated or, where there are several, tested together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// What the researcher calls it.
    pub label: String,
    /// One is estimated; several are tested for being 0 together.
    pub combinations: Vec<Vec<Weighted>>,
}

/// A coefficient in a combination, and what it is multiplied by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Weighted {
    /// Of a column, by position.
    Column {
        /// The position.
        column: u32,
        /// What it is multiplied by.
        by: f64,
    },
    /// The intercept of a site. Those of a combination add up to nothing, so that none depends on which site is the reference.
    Site {
        /// The site.
        site: SiteId,
        /// What it is multiplied by.
        by: f64,
    },
}

impl Weighted {
    /// What the coefficient is multiplied by.
    pub fn by(&self) -> f64 {
        match self {
            Weighted::Column { by, .. } | Weighted::Site { by, .. } => *by,
        }
    }

    /// Whose intercept it is, where it is one.
    pub fn site(&self) -> Option<&SiteId> {
        match self {
            Weighted::Site { site, .. } => Some(site),
            Weighted::Column { .. } => None,
        }
    }
}

/// Whether a combination holds sites against each other only.
pub fn balances_sites(combination: &[Weighted]) -> bool {
    let of_sites = || combination.iter().filter(|of| of.site().is_some()).map(Weighted::by);
    of_sites().sum::<f64>().abs() <= 1e-9 * of_sites().map(f64::abs).sum::<f64>()
}

impl Nested {
    /// Whether it is within a model of so many columns, and smaller. `by_site` says whether each site has an intercept there.
    pub(super) fn fits(&self, columns: usize, by_site: bool) -> bool {
        (self.one_intercept || !self.without.is_empty())
            && (by_site || !self.one_intercept)
            && self.without.windows(2).all(|w| w[0] < w[1])
            && self.without.iter().all(|column| (*column as usize) < columns)
    }
}

impl Contrast {
    /// Whether it is about a model of so many columns. `by_site` says whether each site has an intercept there.
    pub(super) fn fits(&self, columns: usize, by_site: bool) -> bool {
        let there = |of: &Weighted| match of {
            Weighted::Column { column, .. } => (*column as usize) < columns,
            Weighted::Site { .. } => by_site,
        };
        let fits = |of: &Weighted| there(of) && of.by().is_finite() && of.by().abs() <= 1e9;
        let within = |of: &Vec<Weighted>| (1..=limits::MODEL_COLUMNS).contains(&of.len());
        (1..=limits::MODEL_COLUMNS).contains(&self.combinations.len())
            && self.combinations.iter().all(|of| within(of) && of.iter().all(fits) && balances_sites(of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coefficient_is_of_a_column_or_of_a_site_and_of_nothing_else() {
        let read = serde_json::from_str::<Weighted>;
        assert_eq!(read(r#"{"column":2,"by":1.5}"#).unwrap(), Weighted::Column { column: 2, by: 1.5 });
        let site = Weighted::Site { site: "basel".parse().unwrap(), by: -1.0 };
        assert_eq!(read(r#"{"site":"basel","by":-1.0}"#).unwrap(), site);
        for text in [r#"{"column":2,"site":"basel","by":1.0}"#, r#"{"by":1.0}"#, r#"{"column":2,"by":1.0,"more":0}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_about_sites_fits_no_model_without_their_intercepts() {
        let nested =
            |without: &[u32], one_intercept| Nested { label: String::new(), without: without.to_vec(), one_intercept };
        assert!(nested(&[], true).fits(1, true) && nested(&[0], true).fits(1, true));
        assert!(!nested(&[], true).fits(1, false) && !nested(&[], false).fits(1, true));
        let site = |name: &str, by| Weighted::Site { site: name.parse().unwrap(), by };
        let contrast = |of: Vec<Weighted>| Contrast { label: String::new(), combinations: vec![of] };
        assert!(contrast(vec![site("basel", 1.0), site("bern", -1.0)]).fits(1, true));
        assert!(!contrast(vec![site("basel", 1.0), site("bern", -1.0)]).fits(1, false));
        assert!(!contrast(vec![site("basel", 1.0), site("bern", -0.5)]).fits(1, true));
    }
}
