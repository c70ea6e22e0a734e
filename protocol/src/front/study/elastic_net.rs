//! `elastic_net = { formula, family, mix, lambdas | points, folds, choose }`: a model whose coefficients are held small.

use serde::Deserialize;
use serde_json::Value;

use super::Binding;
use super::model::RawModel;
use crate::analysis::{Choice, ElasticNetSpec, Spec};
use crate::limits;
use crate::plan::{Family, Link, TypeProblem};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawElasticNet {
    formula: String,
    family: Option<String>,
    mix: Option<f64>,
    lambdas: Option<Vec<f64>>,
    points: Option<u16>,
    folds: Option<Value>,
    choose: Option<String>,
}

/// α, where nothing is said: as much of one penalty as of the other.
const MIX: f64 = 0.5;

impl Binding<'_> {
    pub(super) fn elastic_net(&mut self, key: &str, raw: &RawElasticNet) -> Option<Spec> {
        let kind = "elastic_net";
        let place = |name: &str| join(key, &format!("{kind}.{name}"));
        let left_out = match &raw.folds {
            None => None,
            Some(value) => Some(self.left_out(&place("folds"), value)?),
        };
        let choice = match (raw.choose.as_deref(), left_out) {
            (None | Some("min"), _) => Choice::Min,
            (Some("1se"), _) => Choice::OneSe,
            (Some(other), _) => {
                let problem = TypeProblem::new(format!("there is no choice `{other}`"));
                return self.refuse(&place("choose"), problem.hint("choose = \"min\" or \"1se\""));
            }
        };
        if raw.choose.is_some() && left_out.is_none() {
            let problem = TypeProblem::new("nobody is left out by whom a penalty could be chosen");
            return self.refuse(&place("choose"), problem.hint("add folds = 5, or leave it out"));
        }
        let model = self.model_of(key, kind, &RawModel::of_family(&raw.formula, raw.family.clone(), None))?;
        self.left_out_by(&place("formula"), &model)?;
        let family = model.response.family;
        if !matches!(family, Family::Gaussian | Family::Binomial(Link::Logit)) {
            let problem = TypeProblem::new(format!("an elastic net is gaussian or binomial, not {}", family.name()));
            return self.refuse(&place("family"), problem);
        }
        if family != Family::Gaussian && model.response.offset.is_some() {
            let problem = TypeProblem::new("a logistic elastic net has no offset");
            return self.refuse(&place("formula"), problem.hint("make it a column, or fit a `model`"));
        }
        if model.columns().all(|column| column.of.is_empty()) {
            return self
                .refuse(&place("formula"), TypeProblem::new("the model has an intercept and nothing to hold small"));
        }
        let points = raw.points.unwrap_or(match family {
            Family::Gaussian => limits::PATH_POINTS as u16,
            _ => limits::PATH_STEPS as u16 / 2,
        });
        let (mix, lambdas) = (raw.mix.unwrap_or(MIX), raw.lambdas.clone().unwrap_or_default());
        if raw.points.is_some() && raw.lambdas.is_some() {
            let problem = TypeProblem::new("penalties are named, or there are so many");
            return self.refuse(&place("points"), problem.hint("leave `points` or `lambdas` out"));
        }
        let spec = ElasticNetSpec { model, mix, lambdas, points, left_out, choice };
        match spec.problem() {
            Some(problem) => self.refuse(&join(key, kind), TypeProblem::new(problem)),
            None => Some(Spec::ElasticNet(spec)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;
    use crate::plan::LeftOut;

    #[test]
    fn an_elastic_net_binds_with_a_path_of_its_family() {
        let Ok(Spec::ElasticNet(spec)) = one("elastic_net = { formula = 'chol ~ age' }") else { panic!("a net") };
        assert_eq!((spec.mix, spec.points, spec.left_out), (0.5, 100, None));
        let text = "elastic_net = { formula = 'disease ~ age', mix = 1, folds = 5, choose = '1se' }";
        let Ok(Spec::ElasticNet(spec)) = one(text) else { panic!("a net") };
        assert_eq!((spec.points, spec.left_out, spec.choice), (10, Some(LeftOut::Fold(5)), Choice::OneSe));
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for (text, place) in [
            ("elastic_net = { formula = 'disease ~ age', mix = 0 }", "elastic_net"),
            ("elastic_net = { formula = 'disease ~ age', lambdas = [0.1, 0.2] }", "elastic_net"),
            ("elastic_net = { formula = 'disease ~ age', points = 21 }", "elastic_net"),
            ("elastic_net = { formula = 'disease ~ age', choose = 'min' }", "elastic_net.choose"),
            ("elastic_net = { formula = 'disease ~ 1' }", "elastic_net.formula"),
            ("elastic_net = { formula = 'disease ~ age + offset(chol)' }", "elastic_net.formula"),
            ("elastic_net = { formula = 'disease ~ age', family = 'poisson' }", "elastic_net.family"),
        ] {
            let problems = one(text).map(|_| ()).expect_err(text).to_string();
            assert!(problems.contains(place), "{text}: {problems}");
        }
    }
}
