//! `cross_validation = { formula, family, link, ridge, folds, grid, fold_areas, confidence }`: a model held against those who were left out of it.

use serde::Deserialize;
use serde_json::Value;

use super::Binding;
use super::model::RawModel;
use crate::analysis::{CrossValidationSpec, Key, ModelSpec, RocSpec, Spec};
use crate::ids::ColumnName;
use crate::limits;
use crate::plan::{Expr, Family, LeftOut, Measure, TypeProblem};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawCrossValidation {
    formula: String,
    family: Option<String>,
    link: Option<String>,
    ridge: Option<f64>,
    folds: Option<Value>,
    grid: Option<Vec<f64>>,
    #[serde(default)]
    fold_areas: bool,
    confidence: Option<f64>,
}

/// So many folds, where nothing is said.
const FOLDS: u8 = 10;

impl Binding<'_> {
    pub(super) fn cross_validation(&mut self, key: &str, raw: &RawCrossValidation) -> Option<Spec> {
        let kind = "cross_validation";
        let place = |name: &str| join(key, &format!("{kind}.{name}"));
        let left_out = match &raw.folds {
            None => Some(LeftOut::Fold(FOLDS)),
            Some(value) => self.left_out(&place("folds"), value),
        };
        let confidence = self.confidence(&place("confidence"), raw.confidence);
        let of = RawModel::of_family(&raw.formula, raw.family.clone(), raw.link.clone()).with_ridge(raw.ridge);
        let model = self.model_of(key, kind, &of)?;
        self.left_out_by(&place("formula"), &model)?;
        let (left_out, confidence) = (left_out?, confidence?);
        let Measure::Condition(outcome) = &model.response.of else {
            if raw.grid.is_some() {
                let problem = TypeProblem::new("a grid is of the probabilities of a condition");
                return self.refuse(&place("grid"), problem.hint("leave it out"));
            }
            if raw.fold_areas {
                let problem = TypeProblem::new("areas under a curve are of the probabilities of a condition");
                return self.refuse(&place("fold_areas"), problem.hint("leave it out"));
            }
            let (curve, fold_areas) = (None, false);
            return Some(Spec::CrossValidation(CrossValidationSpec { model, left_out, curve, fold_areas }));
        };
        // A risk that may be above 1 is no probability, an offset is in no fitted model's column, and a mean expects the same of everybody.
        let has_curve = matches!(model.response.family, Family::Binomial(_))
            && model.response.offset.is_none()
            && model.columns().any(|column| !column.of.is_empty());
        let grid = raw.grid.clone().unwrap_or_else(|| (1..100).map(|i| f64::from(i) / 100.0).collect());
        let curve = RocSpec {
            score: Key { label: "expected by who did not know them".to_owned(), key: Expr::Column(self.free_name()?) },
            truth: Key { label: self.relations.calls().heading(outcome), key: outcome.clone() },
            grid,
            confidence,
        };
        if let Some(problem) = curve.problem() {
            return self.refuse(&place("grid"), TypeProblem::new(problem).hint("e.g. grid = [0.1, 0.2]"));
        }
        let curve = has_curve.then_some(curve);
        // Those of sites follow from the curve's own lines.
        let fold_areas = raw.fold_areas && curve.is_some() && left_out != LeftOut::Site;
        Some(Spec::CrossValidation(CrossValidationSpec { model, left_out, curve, fold_areas }))
    }

    /// A name that no column has.
    fn free_name(&self) -> Option<ColumnName> {
        let mut names = (1..).map_while(|n| format!("expected_of_who_is_left_out_{n}").parse::<ColumnName>().ok());
        names.find(|name| self.contract().column(name.as_str()).is_none())
    }

    /// `folds = 5`, or `folds = "site"`.
    pub(super) fn left_out(&mut self, place: &str, value: &Value) -> Option<LeftOut> {
        let count = value.as_u64().and_then(|count| u8::try_from(count).ok()).filter(|n| limits::FOLDS.contains(n));
        match (count, value.as_str()) {
            (Some(count), _) => Some(LeftOut::Fold(count)),
            (None, Some("site")) => Some(LeftOut::Site),
            _ => {
                let [few, some, many] = limits::FOLDS;
                let problem = TypeProblem::new(format!("folds are {few}, {some} or {many} of patients, or the sites"));
                self.refuse(place, problem.hint("folds = 5, or folds = \"site\""))
            }
        }
    }

    /// Whether a model can be fitted without some of its patients.
    pub(super) fn left_out_by(&mut self, place: &str, model: &ModelSpec) -> Option<()> {
        let problem = if model.by_site {
            TypeProblem::new("a site's own intercept says nothing of those who were left out").hint("leave `site` out")
        } else if model.response.family == Family::NegativeBinomial {
            TypeProblem::new("a negative binomial model is not fitted again and again").hint("family = \"poisson\"")
        } else if !model.columns().any(|column| column.of.is_empty()) {
            TypeProblem::new("the model has no intercept").hint("leave `- 1` or `0 +` out")
        } else {
            return Some(());
        };
        self.refuse(place, problem)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn a_cross_validation_binds_with_ten_folds_and_a_curve_of_a_condition() {
        let Ok(Spec::CrossValidation(spec)) = one("cross_validation = { formula = 'disease ~ age' }") else {
            panic!("{:?}", one("cross_validation = { formula = 'disease ~ age' }"))
        };
        assert_eq!((spec.left_out, spec.model.columns().count()), (LeftOut::Fold(10), 2));
        assert_eq!(spec.curve.map(|curve| curve.grid.len()), Some(99));
        let Ok(Spec::CrossValidation(spec)) = one("cross_validation = { formula = 'disease ~ 1' }") else {
            panic!("a mean")
        };
        assert!(spec.curve.is_none());
        let Ok(Spec::CrossValidation(spec)) = one("cross_validation = { formula = 'chol ~ age', folds = 'site' }")
        else {
            panic!("by site")
        };
        assert!(spec.left_out == LeftOut::Site && spec.curve.is_none());
    }

    #[test]
    fn what_cannot_be_left_out_is_refused_with_its_place() {
        for (text, place) in [
            ("cross_validation = { formula = 'disease ~ age', folds = 3 }", "cross_validation.folds"),
            ("cross_validation = { formula = 'disease ~ age', folds = 'ward' }", "cross_validation.folds"),
            ("cross_validation = { formula = 'disease ~ age + site' }", "cross_validation.formula"),
            ("cross_validation = { formula = 'disease ~ age - 1' }", "cross_validation.formula"),
            ("cross_validation = { formula = 'chol ~ age', grid = [0.5] }", "cross_validation.grid"),
        ] {
            let problems = one(text).map(|_| ()).expect_err(text).to_string();
            assert!(problems.contains(place), "{text}: {problems}");
        }
    }
}
