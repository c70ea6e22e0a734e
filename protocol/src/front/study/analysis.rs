//! `[[analysis]]`: one question, of one kind. A summary becomes several.

use serde::Deserialize;
use serde_json::Value;

use super::attrition::RawAttrition;
use super::cox::RawCox;
use super::crosstab::RawCrosstab;
use super::histogram::RawHistogram;
use super::model::RawModel;
use super::quantiles::RawQuantiles;
use super::summary::RawSummary;
use super::table::RawTable;
use super::{Binding, KEYS, attrition, cox, crosstab, discovered, histogram, model, quantiles, table};
use crate::analysis::{AnalysisSpec, RoundState, Spec, plan_for};
use crate::ids::AnalysisName;
use crate::limits;
use crate::plan::{Contracts, Query, TypeProblem, ValidPlan};
use crate::settings::{Problem, Problems, join, read};

#[derive(Deserialize)]
struct RawAnalysis {
    name: AnalysisName,
    table: Option<RawTable>,
    histogram: Option<RawHistogram>,
    crosstab: Option<RawCrosstab>,
    quantiles: Option<RawQuantiles>,
    attrition: Option<RawAttrition>,
    summary: Option<RawSummary>,
    model: Option<RawModel>,
    cox: Option<RawCox>,
}

const KINDS: &str = "table, histogram, crosstab, quantiles, attrition, summary, model or cox";

/// A question with its position in the text.
pub(super) struct Bound {
    pub index: usize,
    pub spec: AnalysisSpec,
}

impl RawAnalysis {
    fn kinds(&self) -> usize {
        [
            self.table.is_some(),
            self.histogram.is_some(),
            self.crosstab.is_some(),
            self.quantiles.is_some(),
            self.attrition.is_some(),
            self.summary.is_some(),
            self.model.is_some(),
            self.cox.is_some(),
        ]
        .into_iter()
        .filter(|is| *is)
        .count()
    }
}

impl Binding<'_> {
    /// Those that could be bound; what is wrong with the others is noted.
    pub(super) fn analyses(&mut self, raw: &[Value]) -> Vec<Bound> {
        if raw.is_empty() || raw.len() > limits::ANALYSES {
            let problem = TypeProblem::new(format!("a study has 1 to {} analyses", limits::ANALYSES));
            self.refuse::<()>("analysis", problem.hint("begin one with [[analysis]]"));
        }
        let all: Vec<Option<Vec<AnalysisSpec>>> =
            raw.iter().take(limits::ANALYSES).enumerate().map(|(i, value)| self.analysis(i, value)).collect();
        let mut seen = std::collections::HashSet::new();
        let mut bound = Vec::new();
        for (index, specs) in all.iter().enumerate() {
            for spec in specs.iter().flatten() {
                if !seen.insert(spec.name.clone()) {
                    let problem = TypeProblem::new(format!("`{}` is the name of an earlier analysis", spec.name));
                    self.refuse::<()>(&format!("analysis[{index}].name"), problem);
                }
                bound.push(Bound { index, spec: spec.clone() });
            }
        }
        if bound.len() > limits::ANALYSES {
            let problem = TypeProblem::new(format!(
                "{} analyses with the parts of all summaries: at most {}",
                bound.len(),
                limits::ANALYSES
            ));
            self.refuse::<()>("analysis", problem.hint("name fewer columns in `summary`, or write a second study"));
        }
        bound
    }

    fn analysis(&mut self, index: usize, value: &Value) -> Option<Vec<AnalysisSpec>> {
        let key = format!("analysis[{index}]");
        let before = self.problems.0.len();
        let raw: RawAnalysis = read(value, self.file, &key, KEYS, &mut self.problems)?;
        let key = place(index, &raw.name);
        if raw.kinds() != 1 {
            let problem = TypeProblem::new(format!("an analysis asks one question, this one asks {}", raw.kinds()));
            self.refuse::<()>(&key, problem.hint(format!("write one of {KINDS}")));
        }
        let one = |spec: Spec| vec![AnalysisSpec { name: raw.name.clone(), spec, part: None }];
        let mut found: Vec<Option<Vec<AnalysisSpec>>> = Vec::new();
        found.extend(raw.table.as_ref().map(|raw| self.table(&key, raw).map(one)));
        found.extend(raw.histogram.as_ref().map(|raw| self.histogram(&key, raw).map(one)));
        found.extend(raw.crosstab.as_ref().map(|raw| self.crosstab(&key, raw).map(one)));
        found.extend(raw.quantiles.as_ref().map(|raw| self.quantiles(&key, raw).map(one)));
        found.extend(raw.attrition.as_ref().map(|raw| self.attrition(&key, raw).map(one)));
        found.extend(raw.summary.as_ref().map(|summary| self.summary(&key, &raw.name, summary)));
        found.extend(raw.model.as_ref().map(|raw| self.model(&key, raw).map(one)));
        found.extend(raw.cox.as_ref().map(|raw| self.cox(&key, raw).map(one)));
        let found = found.into_iter().next().flatten()?;
        (self.problems.0.len() == before).then_some(found)
    }
}

/// The node's own check, with its places translated to those of the text.
pub(super) fn check_plans(
    file: &str,
    query: &Query,
    analyses: &[Bound],
    contracts: &Contracts<'_>,
    problems: &mut Problems,
) {
    for Bound { index, spec: analysis } in analyses {
        let name = analysis.part.as_ref().map_or(&analysis.name, |part| &part.of);
        let key = place(*index, name);
        let plan = match plan_for(&analysis.spec, query.clone(), 0, &RoundState::First) {
            Ok(plan) => plan,
            Err(error) => {
                problems.push(Problem::new(file, key, error.message));
                continue;
            }
        };
        let Err(found) = ValidPlan::check(plan, contracts.clone()) else { continue };
        for problem in found.0 {
            let key = text_place(&key, &problem.key, analysis);
            let problem = Problem { file: file.to_owned(), key, ..problem };
            if !problems.0.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

fn text_place(key: &str, plan_place: &str, analysis: &AnalysisSpec) -> String {
    let place = match (plan_place, &analysis.part, &analysis.spec) {
        ("filter", ..) => return "where".to_owned(),
        ("query", ..) => return "dataset".to_owned(),
        (_, Some(part), _) => format!("summary.{}", part.column),
        (place, None, Spec::Table(spec)) => table::text_place(spec, place),
        (place, None, Spec::Discovered(spec)) => discovered::text_place(spec, place),
        (place, None, Spec::Histogram(spec)) => histogram::text_place(spec, place),
        (place, None, Spec::Crosstab(_)) => crosstab::text_place(place),
        (_, None, Spec::Quantiles(_)) => quantiles::TEXT_PLACE.to_owned(),
        (place, None, Spec::Attrition(_)) => attrition::text_place(place),
        (place, None, Spec::Model(_)) => model::text_place(place),
        (place, None, Spec::Cox(_)) => cox::text_place(place),
    };
    join(key, &place)
}

fn place(index: usize, name: &AnalysisName) -> String {
    format!("analysis[{index}] ({name})")
}
