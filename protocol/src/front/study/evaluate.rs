//! `evaluate = { model | score, truth, grid, bands, confidence }`: how good a score is. It is written as one analysis and signed as several: a curve,
//! and of a fitted model its probabilities, their calibration by bands, and its intercept and slope.

use serde::Deserialize;

use super::Binding;
use super::table::label;
use crate::analysis::{
    AnalysisSpec, Confidence, Key, ModelSpec, Named, RocSpec, ScoredSpec, Show, Shown, Spec, StandardErrors,
    SummaryPart, TableSpec, Term, Whole,
};
use crate::ids::{AnalysisName, ColumnName};
use crate::plan::{Expr, Factor, Family, Fit, Link, Measure, Type, TypeProblem};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawEvaluate {
    model: Option<ColumnName>,
    score: Option<String>,
    truth: Option<String>,
    grid: Option<Vec<f64>>,
    bands: Option<Vec<f64>>,
    confidence: Option<f64>,
}

/// What is asked of an evaluation, and where it stands in the text.
struct Asked<'a> {
    key: String,
    name: &'a AnalysisName,
    column: ColumnName,
    parts: Vec<AnalysisSpec>,
}

impl Asked<'_> {
    fn push(&mut self, what: &str, spec: Spec) -> Result<(), String> {
        let long = format!("{}_{what}", self.name);
        let name = long.parse().map_err(|_| long)?;
        let part = SummaryPart { of: self.name.clone(), column: self.column.clone(), whole: Whole::Evaluation };
        self.parts.push(AnalysisSpec { name, spec, part: Some(part) });
        Ok(())
    }
}

impl Binding<'_> {
    pub(super) fn evaluate(&mut self, key: &str, name: &AnalysisName, raw: &RawEvaluate) -> Option<Vec<AnalysisSpec>> {
        let key = join(key, "evaluate");
        self.independent(&key);
        let confidence = self.confidence(&join(&key, "confidence"), raw.confidence);
        let (score, model) = match (&raw.model, &raw.score) {
            (Some(model), None) => (format!("predict({model})"), Some(model)),
            (None, Some(score)) => (score.clone(), None),
            _ => {
                let problem = TypeProblem::new("an evaluation is of a fitted model, or of another score");
                return self
                    .refuse(&key, problem.hint("model = \"NAME\" of one under [models], or score = \"COLUMN\""));
            }
        };
        let place = join(&key, if model.is_some() { "model" } else { "score" });
        let (of, typed) = self.with_binder(&place, &score, |binder, sql| binder.bind(sql))?;
        let Expr::Column(column) = &of else {
            let problem = TypeProblem::new(format!("`{score}` is {}, and no column", typed.name()));
            return self.refuse(&place, problem.hint("name a number column, or a fitted model"));
        };
        if !matches!(typed, Type::Int | Type::Float) {
            return self.refuse(&place, TypeProblem::new(format!("`{score}` is {}, and no number", typed.name())));
        }
        let outcome = model.and_then(|model| self.outcome_of(model));
        let truth = match (&raw.truth, outcome) {
            (Some(text), _) => self.condition_key(&join(&key, "truth"), text)?,
            (None, Some(outcome)) => Key { label: self.relations.calls().heading(&outcome), key: outcome },
            (None, None) => {
                let problem = TypeProblem::new("what is true is not said");
                return self.refuse(&key, problem.hint("truth = \"CONDITION\""));
            }
        };
        let grid = match (&raw.grid, model) {
            (Some(grid), _) => grid.clone(),
            (None, Some(_)) => (1..100).map(|i| f64::from(i) / 100.0).collect(),
            (None, None) => {
                let problem = TypeProblem::new("a score needs a grid, which must not come from the data");
                return self.refuse(&key, problem.hint("grid = [10, 20, 30], along which patients are counted"));
            }
        };
        let (label, confidence) = (label(&score), confidence?);
        let mut asked = Asked { key, name, column: column.clone(), parts: Vec::new() };
        let score = Key { label, key: of };
        let roc = RocSpec { score: score.clone(), truth: truth.clone(), grid, confidence };
        if let Some(problem) = roc.problem() {
            return self.refuse(&join(&asked.key, "grid"), TypeProblem::new(problem).hint("e.g. grid = [0.1, 0.2]"));
        }
        let mut all = vec![("curve", Spec::Roc(roc))];
        match model {
            Some(model) => {
                all.extend(self.of_model(&asked.key, model, (&score, &truth), raw.bands.as_deref(), confidence)?)
            }
            None if raw.bands.is_some() => {
                let problem = TypeProblem::new("bands are of a fitted model's probabilities");
                return self.refuse(&join(&asked.key, "bands"), problem.hint("leave it out"));
            }
            None => {}
        }
        for (what, spec) in all {
            if let Err(long) = asked.push(what, spec) {
                let problem = TypeProblem::new(format!("a part of it would be named `{long}`, which is too long"));
                return self.refuse(&asked.key, problem.hint("give the analysis a shorter name"));
            }
        }
        Some(asked.parts)
    }

    fn outcome_of(&self, model: &ColumnName) -> Option<Expr> {
        self.relations.models().get(model)?.as_ref()?.outcome.clone()
    }

    /// What is asked of a model beside its curve.
    fn of_model(
        &mut self,
        key: &str,
        model: &ColumnName,
        (score, truth): (&Key, &Key),
        bands: Option<&[f64]>,
        confidence: Confidence,
    ) -> Option<Vec<(&'static str, Spec)>> {
        let fitted = self.relations.models().get(model)?.as_ref()?;
        if fitted.fit != Fit::Mean(Family::Binomial(Link::Logit)) {
            let problem = TypeProblem::new(format!("`{model}` is no logistic model"));
            return self.refuse(
                &join(key, "model"),
                problem.hint(format!("score = \"predict({model})\" with a grid asks for the curve alone")),
            );
        }
        let linear = format!("linear({model})");
        let (of, _) = self.with_binder(&join(key, "model"), &linear, |binder, sql| binder.bind(sql))?;
        let Expr::Column(column) = of else { return None };
        let breaks = bands.map_or_else(|| (1..10).map(|i| f64::from(i) / 10.0).collect(), <[f64]>::to_vec);
        let cut = Expr::Cut { of: Box::new(score.key.clone()), breaks };
        let shown = |label: &str, show| Shown { label: label.to_owned(), show };
        let table = TableSpec {
            by: vec![Key { label: score.label.clone(), key: cut }],
            show: vec![
                shown("count", Show::Count),
                shown(&format!("share({})", truth.label), Show::Share(Measure::Condition(truth.key.clone()))),
            ],
            roll_up: false,
        };
        let scored = ScoredSpec { truth: truth.clone(), linear: column.clone() };
        let named = |label: &str, of| Named { label: label.to_owned(), of };
        let term = |label: &str, of| Term { label: label.to_owned(), columns: vec![named(label, of)] };
        let fit = |terms: Vec<Term>| {
            let right: Vec<&str> = terms.iter().skip(1).map(|term| term.label.as_str()).collect();
            let formula =
                format!("{} ~ {} + offset({linear})", truth.label, [&["1"], right.as_slice()].concat().join(" + "));
            Spec::Model(ModelSpec {
                formula,
                response: scored.response(),
                terms,
                by_site: false,
                standard_errors: StandardErrors::Model,
                confidence: confidence.share(),
                ridge: 0.0,
                two_stage: None,
                likelihood_ratio: vec![],
                contrasts: vec![],
            })
        };
        let intercept = || term("(intercept)", vec![]);
        let slope = term(&linear, vec![Factor::Number(Measure::Column(column))]);
        Some(vec![
            ("scored", Spec::Scored(scored.clone())),
            ("intercept", fit(vec![intercept()])),
            ("slope", fit(vec![intercept(), slope])),
            ("bands", Spec::Table(table)),
        ])
    }
}
