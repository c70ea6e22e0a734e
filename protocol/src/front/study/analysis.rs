//! `[[analysis]]`: one question, of one kind. A summary becomes several.

use serde::Deserialize;
use serde_json::Value;

use super::accuracy::RawAccuracy;
use super::attrition::RawAttrition;
use super::compare::RawCompare;
use super::correlation::RawCorrelation;
use super::cox::RawCox;
use super::cross_validation::RawCrossValidation;
use super::crosstab::RawCrosstab;
use super::elastic_net::RawElasticNet;
use super::evaluate::RawEvaluate;
use super::histogram::RawHistogram;
use super::kmeans::RawKmeans;
use super::model::RawModel;
use super::pca::RawPca;
use super::quantiles::RawQuantiles;
use super::rates::RawRates;
use super::standardised::RawStandardised;
use super::summary::RawSummary;
use super::survival::RawSurvival;
use super::table::RawTable;
use super::table_one::RawTableOne;
use super::{
    Binding, KEYS, RawStudy, accuracy, attrition, compare, cox, crosstab, discovered, histogram, kmeans, meant, model,
    pca, quantiles, rates, standardised, survival, table,
};
use crate::analysis::{AnalysisSpec, RoundState, Spec, SummaryPart, Whole, awaits, plan_for};
use crate::ids::AnalysisName;
use crate::limits;
use crate::plan::{Contracts, Query, TypeProblem, ValidPlan};
use crate::settings::{Problem, Problems, join, keys_of, read_as_meant};
use crate::trust::Study;

#[derive(Deserialize)]
struct RawAnalysis {
    name: AnalysisName,
    table: Option<RawTable>,
    histogram: Option<RawHistogram>,
    crosstab: Option<RawCrosstab>,
    quantiles: Option<RawQuantiles>,
    attrition: Option<RawAttrition>,
    rates: Option<RawRates>,
    summary: Option<RawSummary>,
    model: Option<RawModel>,
    accuracy: Option<RawAccuracy>,
    compare: Option<RawCompare>,
    correlation: Option<RawCorrelation>,
    standardised: Option<RawStandardised>,
    table_one: Option<RawTableOne>,
    survival: Option<RawSurvival>,
    cox: Option<RawCox>,
    pca: Option<RawPca>,
    kmeans: Option<RawKmeans>,
    cross_validation: Option<RawCrossValidation>,
    elastic_net: Option<RawElasticNet>,
    evaluate: Option<RawEvaluate>,
}

const KINDS: &str = "table, histogram, crosstab, quantiles, attrition, summary, accuracy, compare, correlation, cox, cross_validation, elastic_net, evaluate, kmeans, model, pca, rates, standardised, survival or table_one";

/// The keys of a kind of question.
pub(super) fn fields(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "table" => keys_of::<RawTable>(),
        "histogram" => keys_of::<RawHistogram>(),
        "crosstab" => keys_of::<RawCrosstab>(),
        "quantiles" => keys_of::<RawQuantiles>(),
        "attrition" => keys_of::<RawAttrition>(),
        "rates" => keys_of::<RawRates>(),
        "summary" => keys_of::<RawSummary>(),
        "model" => keys_of::<RawModel>(),
        "accuracy" => keys_of::<RawAccuracy>(),
        "compare" => keys_of::<RawCompare>(),
        "correlation" => keys_of::<RawCorrelation>(),
        "standardised" => keys_of::<RawStandardised>(),
        "table_one" => keys_of::<RawTableOne>(),
        "survival" => keys_of::<RawSurvival>(),
        "cox" => keys_of::<RawCox>(),
        "pca" => keys_of::<RawPca>(),
        "kmeans" => keys_of::<RawKmeans>(),
        "cross_validation" => keys_of::<RawCrossValidation>(),
        "elastic_net" => keys_of::<RawElasticNet>(),
        "evaluate" => keys_of::<RawEvaluate>(),
        _ => return None,
    })
}

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
            self.rates.is_some(),
            self.summary.is_some(),
            self.model.is_some(),
            self.accuracy.is_some(),
            self.compare.is_some(),
            self.correlation.is_some(),
            self.standardised.is_some(),
            self.table_one.is_some(),
            self.survival.is_some(),
            self.cox.is_some(),
            self.pca.is_some(),
            self.kmeans.is_some(),
            self.cross_validation.is_some(),
            self.elastic_net.is_some(),
            self.evaluate.is_some(),
        ]
        .into_iter()
        .filter(|is| *is)
        .count()
    }
}

impl Binding<'_> {
    /// Those that could be bound; what is wrong with the others is noted.
    pub(super) fn analyses(&mut self, raw: &[Value]) -> Vec<Bound> {
        // One under a wrong heading has been told of.
        let strange =
            |problem: &Problem| problem.key == "analysis" || problem.hint.iter().any(|hint| hint.contains("analysis"));
        if raw.is_empty() && self.problems.0.iter().any(strange) {
            return Vec::new();
        }
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
            let hint = match summary_that_fits(&bound) {
                Some((name, columns)) => {
                    format!("name the first {columns} columns in `{name}`, and the others in a second study")
                }
                None => "name fewer columns in `summary`, or write a second study".to_owned(),
            };
            self.refuse::<()>("analysis", problem.hint(hint));
        }
        bound
    }

    fn analysis(&mut self, index: usize, value: &Value) -> Option<Vec<AnalysisSpec>> {
        let name = value.get("name").and_then(Value::as_str).and_then(|name| name.parse().ok());
        let key = name.map_or_else(|| format!("analysis[{index}]"), |name| place(index, &name));
        let before = self.problems.0.len();
        let mut found = Problems::default();
        let written = value.get("name").and_then(Value::as_str);
        let value = meant::as_meant(value, (self.file, &key, index), &mut found);
        let raw: Option<RawAnalysis> = read_as_meant(&value, self.file, &key, KEYS, &mut found);
        meant::of_an_analysis(&mut found.0, (&key, written), keys_of::<RawStudy>());
        let told = !found.is_empty();
        self.problems.extend(found);
        let raw = raw?;
        // A question under another name, and one that could not be read, have been told of.
        if raw.kinds() != 1 && !(raw.kinds() == 0 && told) {
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
        found.extend(raw.rates.as_ref().map(|raw| self.rates(&key, raw).map(one)));
        found.extend(raw.survival.as_ref().map(|raw| self.survival(&key, raw).map(one)));
        found.extend(raw.summary.as_ref().map(|summary| self.summary(&key, &raw.name, summary)));
        found.extend(raw.model.as_ref().map(|raw| self.model(&key, raw).map(one)));
        found.extend(raw.accuracy.as_ref().map(|raw| self.accuracy(&key, raw).map(one)));
        found.extend(raw.compare.as_ref().map(|raw| self.compare(&key, raw).map(one)));
        found.extend(raw.correlation.as_ref().map(|asked| self.correlation(&key, &raw.name, asked)));
        found.extend(raw.standardised.as_ref().map(|raw| self.standardised(&key, raw).map(one)));
        found.extend(raw.table_one.as_ref().map(|asked| self.table_one(&key, &raw.name, asked)));
        found.extend(raw.cox.as_ref().map(|raw| self.cox(&key, raw).map(one)));
        found.extend(raw.pca.as_ref().map(|raw| self.pca(&key, raw).map(one)));
        found.extend(raw.kmeans.as_ref().map(|raw| self.kmeans(&key, raw).map(one)));
        found.extend(raw.cross_validation.as_ref().map(|raw| self.cross_validation(&key, raw).map(one)));
        found.extend(raw.elastic_net.as_ref().map(|raw| self.elastic_net(&key, raw).map(one)));
        found.extend(raw.evaluate.as_ref().map(|asked| self.evaluate(&key, &raw.name, asked)));
        let found = found.into_iter().next().flatten()?;
        (self.problems.0.len() == before).then_some(found)
    }
}

/// The summary with the most parts, and of how many columns it can be beside all else; none where no column of it can.
fn summary_that_fits(bound: &[Bound]) -> Option<(&AnalysisName, usize)> {
    let parts = |of: &AnalysisName| {
        bound.iter().filter_map(|bound| bound.spec.part.as_ref()).filter(|part| part.of == *of).collect::<Vec<_>>()
    };
    let summaries =
        bound.iter().filter_map(|bound| bound.spec.part.as_ref()).filter(|part| part.whole == Whole::Summary);
    let name = summaries.map(|part| &part.of).max_by_key(|of| parts(of).len())?;
    let parts = parts(name);
    let room = limits::ANALYSES.checked_sub(bound.len() - parts.len())?;
    // The parts of a column stand beside each other; the last column may not have room for all of its own.
    let columns = |parts: &[&SummaryPart]| parts.chunk_by(|one, next| one.column == next.column).count();
    let whole = columns(&parts[..room])
        - usize::from(parts.get(room).is_some_and(|next| room > 0 && next.column == parts[room - 1].column));
    (whole > 0).then_some((name, whole))
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

/// Whether those that read another one's fit stand below it, as every site wants it.
pub(super) fn check_order(file: &str, study: &Study, analyses: &[Bound], problems: &mut Problems) {
    for (position, Bound { index, spec }) in analyses.iter().enumerate() {
        let Err(error) = u16::try_from(position).map_or(Ok(()), |position| awaits(study, position).map(drop)) else {
            continue;
        };
        let name = spec.part.as_ref().map_or(&spec.name, |part| &part.of);
        let problem = Problem::new(file, place(*index, name), error.message);
        problems.push(Problem { hint: error.hint, ..problem });
    }
}

fn text_place(key: &str, plan_place: &str, analysis: &AnalysisSpec) -> String {
    let place = match (plan_place, &analysis.part, &analysis.spec) {
        ("filter", ..) => return "where".to_owned(),
        ("query", ..) => return "dataset".to_owned(),
        (_, Some(part), _) => format!("{}.{}", part.whole.kind(), part.column),
        (place, None, Spec::Table(spec)) => table::text_place(spec, place),
        (place, None, Spec::Discovered(spec)) => discovered::text_place(spec, place),
        (place, None, Spec::Histogram(spec)) => histogram::text_place(spec, place),
        (place, None, Spec::Crosstab(_)) => crosstab::text_place(place),
        (_, None, Spec::Quantiles(_)) => quantiles::TEXT_PLACE.to_owned(),
        (place, None, Spec::Attrition(_)) => attrition::text_place(place),
        (place, None, Spec::Model(_) | Spec::CrossValidation(_) | Spec::ElasticNet(_)) => {
            model::text_place(analysis.spec.kind(), place)
        }
        (place, None, Spec::Accuracy(_)) => accuracy::text_place(place),
        (place, None, Spec::Compare(_)) => compare::text_place(place),
        // Always a part.
        (_, None, Spec::Correlation(_)) => "correlation".to_owned(),
        (_, None, Spec::Roc(_) | Spec::Scored(_)) => "evaluate".to_owned(),
        (place, None, Spec::Standardised(spec)) => standardised::text_place(spec, place),
        (place, None, Spec::Rates(_)) => rates::text_place(place),
        (place, None, Spec::Survival(spec)) => survival::text_place(spec, place),
        (place, None, Spec::Cox(_)) => cox::text_place(place),
        (place, None, Spec::Pca(spec)) => pca::text_place(spec, place),
        (place, None, Spec::Kmeans(spec)) => kmeans::text_place(spec, place),
    };
    join(key, &place)
}

pub(super) fn place(index: usize, name: &AnalysisName) -> String {
    format!("analysis[{index}] ({name})")
}
