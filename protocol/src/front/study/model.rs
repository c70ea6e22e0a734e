//! `model = { formula, family, link, weights, standard_errors, confidence, ridge, likelihood_ratio, contrasts, two_stage }`: a
//! linear or generalised linear model.

mod both_sides;
mod hypotheses;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::analysis::{Bound, place};
use super::{Binding, formula};
use crate::analysis::{ModelSpec, Pooling, Spec, StandardErrors};
use crate::limits;
use crate::plan::{Family, Link, Measure, Response, TypeProblem};
use crate::settings::{join, nearest};

#[derive(Default, Deserialize)]
pub(super) struct RawModel {
    formula: String,
    family: Option<String>,
    link: Option<String>,
    weights: Option<String>,
    standard_errors: Option<String>,
    confidence: Option<f64>,
    ridge: Option<f64>,
    two_stage: Option<String>,
    likelihood_ratio: Option<Value>,
    #[serde(default)]
    contrasts: BTreeMap<String, Value>,
}

impl RawModel {
    /// Of a family alone, for a model that was fitted before.
    pub(super) fn of_family(formula: &str, family: Option<String>, link: Option<String>) -> Self {
        let formula = formula.to_owned();
        Self { formula, family, link, ..Self::default() }
    }

    /// The same with a ridge.
    pub(super) fn with_ridge(self, ridge: Option<f64>) -> Self {
        Self { ridge, ..self }
    }
}

const FAMILIES: [&str; 5] = ["gaussian", "binomial", "poisson", "gamma", "negative_binomial"];

impl Binding<'_> {
    pub(super) fn model(&mut self, key: &str, raw: &RawModel) -> Option<Spec> {
        self.model_of(key, "model", raw).map(Spec::Model)
    }

    /// The model of an analysis of this kind.
    pub(super) fn model_of(&mut self, key: &str, kind: &str, raw: &RawModel) -> Option<ModelSpec> {
        let place = |name: &str| join(key, &format!("{kind}.{name}"));
        let sides = match formula::sides(&raw.formula) {
            Ok(sides) => sides,
            Err(problem) => return self.refuse(&place("formula"), problem),
        };
        let outcome = formula::outcome(self, &place("formula"), sides.0);
        let right = self.right_side(&place("formula"), sides.1);
        let weight = match &raw.weights {
            Some(text) => Some(self.number(&place("weights"), text)?),
            None => None,
        };
        let standard_errors = self.standard_errors(&place("standard_errors"), raw.standard_errors.as_deref())?;
        let (outcome, right) = outcome.zip(right)?;
        self.explains_another(&place("formula"), &outcome.0, &right)?;
        let family = self.family(&place("family"), raw, &outcome.0)?;
        let confidence = raw.confidence.unwrap_or(0.95);
        if !(0.5..1.0).contains(&confidence) {
            let problem = TypeProblem::new("confidence is from 0.5 to below 1").hint("e.g. confidence = 0.95");
            return self.refuse(&place("confidence"), problem);
        }
        let ridge = raw.ridge.unwrap_or(0.0);
        if !(0.0..=1e12).contains(&ridge) {
            return self.refuse(&place("ridge"), TypeProblem::new("ridge is 0 or more, and finite"));
        }
        let likelihood_ratio = match &raw.likelihood_ratio {
            Some(asked) => self.nested(&place("likelihood_ratio"), asked, &right)?,
            None => Vec::new(),
        };
        if !likelihood_ratio.is_empty() && (ridge > 0.0 || standard_errors != StandardErrors::Model) {
            let problem = TypeProblem::new(
                "likelihoods are compared of the model as it is, without ridge and without robust standard errors",
            );
            return self.refuse(
                &place("likelihood_ratio"),
                problem.hint("leave one out; tests of terms and contrasts take any standard errors"),
            );
        }
        let contrasts = self.contrasts(&place("contrasts"), &raw.contrasts, &right)?;
        let two_stage = match &raw.two_stage {
            Some(way) => Some(self.pooling(&place("two_stage"), way)?),
            None => None,
        };
        if two_stage.is_some() {
            let with = [
                (right.by_site, "`site` in the formula"),
                (standard_errors == StandardErrors::Site, "standard errors by site"),
                (ridge > 0.0, "ridge"),
                (!likelihood_ratio.is_empty(), "likelihood_ratio"),
                (!contrasts.is_empty(), "contrasts"),
            ];
            if let Some((_, what)) = with.iter().find(|(there, _)| *there) {
                let problem = TypeProblem::new(format!("a model in two stages has no {what}"));
                return self.refuse(
                    &place("two_stage"),
                    problem.hint("each site is fitted by itself; leave one of the two out"),
                );
            }
        }
        let response = Response { of: outcome.0, family, offset: right.offset, weight };
        let formula = super::table::label(&raw.formula);
        let (terms, by_site) = (right.terms, right.by_site);
        Some(ModelSpec {
            formula,
            response,
            terms,
            by_site,
            standard_errors,
            confidence,
            ridge,
            two_stage,
            likelihood_ratio,
            contrasts,
        })
    }

    pub(super) fn family(&mut self, key: &str, raw: &RawModel, outcome: &Measure) -> Option<Family> {
        let is_condition = matches!(outcome, Measure::Condition(_));
        let usual = if is_condition { "binomial" } else { "gaussian" };
        let family = match raw.family.as_deref().unwrap_or(usual) {
            "gaussian" => Family::Gaussian,
            "binomial" => Family::Binomial(Link::Logit),
            "poisson" => Family::Poisson,
            "gamma" => Family::Gamma,
            "negative_binomial" => Family::NegativeBinomial,
            other => {
                let near = nearest(other, FAMILIES);
                let hint =
                    near.map_or(format!("one of {}", FAMILIES.join(", ")), |near| format!("did you mean `{near}`?"));
                return self.refuse(key, TypeProblem::new(format!("there is no family `{other}`")).hint(hint));
            }
        };
        match (family, raw.link.as_deref()) {
            (family, None) => Some(family),
            (Family::Binomial(_), Some("logit")) => Some(family),
            (Family::Binomial(_), Some("probit")) => Some(Family::Binomial(Link::Probit)),
            (Family::Binomial(_), Some("cloglog")) => Some(Family::Binomial(Link::Cloglog)),
            (family, Some(link)) if link == family.link() => Some(family),
            (family, Some(link)) => {
                let problem = TypeProblem::new(format!("a {} model has no link `{link}`", family.name()));
                self.refuse(
                    &key.replace("family", "link"),
                    problem.hint("logit, probit or cloglog of a binomial one; the others have one link each"),
                )
            }
        }
    }

    pub(super) fn pooling(&mut self, key: &str, text: &str) -> Option<Pooling> {
        let found = Pooling::ALL.iter().find(|(name, _)| *name == text).map(|(_, pooling)| *pooling);
        if found.is_none() {
            let problem = TypeProblem::new(format!("sites are not put together by `{text}`"));
            return self.refuse(key, problem.hint("two_stage = \"fixed\", \"dersimonian_laird\" or \"hartung_knapp\""));
        }
        found
    }

    /// Whether so many sites are asked as errors by site need.
    pub(super) fn errors_by_site(&mut self, analyses: &[Bound], sites: usize) {
        let most = limits::SITES_OF_ERRORS;
        for Bound { index, spec: analysis } in analyses {
            let by_site = matches!(&analysis.spec, Spec::Model(spec) if spec.standard_errors == StandardErrors::Site);
            if by_site && (1..most).contains(&sites) {
                let key = join(&place(*index, &analysis.name), "model.standard_errors");
                let problem = TypeProblem::new(format!("errors by site need {most} sites, and {sites} are asked"));
                self.refuse::<()>(&key, problem.hint("standard_errors = \"hc1\" is of patients; or ask more sites"));
            }
        }
    }

    fn standard_errors(&mut self, key: &str, text: Option<&str>) -> Option<StandardErrors> {
        match text {
            None | Some("model") => Some(StandardErrors::Model),
            Some("hc0") => Some(StandardErrors::Hc0),
            Some("hc1") => Some(StandardErrors::Hc1),
            Some("site") => Some(StandardErrors::Site),
            Some(other) => {
                let problem = TypeProblem::new(format!("there are no standard errors `{other}`"));
                self.refuse(key, problem.hint("model, hc0, hc1 or site"))
            }
        }
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(kind: &str, place: &str) -> String {
    match place {
        "weight" => format!("{kind}.weights"),
        "outcome" | "offset" => format!("{kind}.formula"),
        place if place.starts_with("columns") => format!("{kind}.formula"),
        _ => kind.to_owned(),
    }
}
