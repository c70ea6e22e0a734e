//! `[models.NAME]`: a fitted model that expressions may name. Its coefficients are those that an earlier study published, in the folder that was
//! written of its answer, or stand in the text with their formula, or are found by an analysis of the same study, which those that read them wait for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::relation::Fitted;
use super::cox::{RawCox, is_survival};
use super::elastic_net::RawElasticNet;
use super::model::RawModel;
use super::{Binding, KEYS, RawStudy, formula};
use crate::analysis::{Named, Predictor, fitted};
use crate::ids::{AnalysisName, ColumnName, StudyId};
use crate::limits;
use crate::plan::{Expr, Fit, Measure, TypeProblem};
use crate::settings::{Problems, nearest, read};
use crate::trust::{MANIFEST, Origin, PublicKey, RESULT, STUDY, SignedManifest, SignedStudy, Study};

#[derive(Deserialize)]
struct RawFitted {
    from: Option<String>,
    analysis: Option<AnalysisName>,
    formula: Option<String>,
    family: Option<String>,
    link: Option<String>,
    coefficients: Option<BTreeMap<String, f64>>,
}

const HINT: &str = "analysis = \"NAME\" of this study; with from = \"FOLDER\" of an earlier answer; or formula = \"…\" and coefficients = { \"(intercept)\" = … }";

/// The files of the answers that models are from.
pub(super) fn named_files(models: &BTreeMap<ColumnName, Value>) -> impl Iterator<Item = String> {
    let folders = models.values().filter_map(|model| model.get("from")?.as_str());
    folders.flat_map(|folder| [STUDY, RESULT, MANIFEST].map(|name| within(folder, name)))
}

fn within(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The kinds of analyses that fit a model by whose coefficients others can go.
const KINDS: [&str; 3] = ["model", "elastic_net", "cox"];

impl Binding<'_> {
    /// Binds `[models]`, so that expressions may name them. Returned is where those of earlier studies are from.
    pub(super) fn models(&mut self, study: &RawStudy) -> Vec<Origin> {
        let raw = &study.models;
        if raw.len() > limits::MODELS {
            let problem = TypeProblem::new(format!("a study names at most {} fitted models", limits::MODELS));
            self.refuse::<()>("models", problem);
        }
        let mut origins = Vec::new();
        // Those of this study last, in the order of the analyses that fit them: one may read another.
        let place = |value: &Value| match (value.get("from"), value.get("formula"), value.get("analysis")) {
            (None, None, Some(name)) => study.analysis.iter().position(|analysis| analysis.get("name") == Some(name)),
            _ => None,
        };
        let mut all: Vec<(&ColumnName, &Value)> = raw.iter().take(limits::MODELS).collect();
        all.sort_by_key(|(_, value)| place(value));
        for (name, value) in all {
            let key = format!("models.{name}");
            let before = self.problems.0.len();
            let raw: Option<RawFitted> = read(value, self.file, &key, KEYS, &mut self.problems);
            // What a misspelt key was to say is not known, nor then of which origin the model is.
            let raw = raw.filter(|_| self.problems.0.len() == before);
            let fitted = raw.and_then(|raw| match (raw.from.as_deref(), &raw.formula) {
                (Some(folder), None) => {
                    let (fitted, study, analysis) = self.earlier(&key, folder, raw.analysis.as_ref())?;
                    origins.push(Origin { name: name.clone(), study, analysis });
                    Some(fitted)
                }
                (None, Some(formula)) => self.by_hand(&key, formula, &raw),
                (None, None) if raw.analysis.is_some() => self.of_this_study(&key, raw.analysis?, &study.analysis),
                _ => self.refuse(&key, TypeProblem::new("a fitted model is of one origin").hint(HINT)),
            });
            let sound = self.problems.0.len() == before;
            self.relations.fit(name.clone(), fitted.filter(|_| sound));
        }
        origins
    }

    /// The model of an analysis of the same text, before its coefficients are known.
    fn of_this_study<'a>(&mut self, key: &str, name: AnalysisName, analyses: &'a [Value]) -> Option<Fitted> {
        let at = format!("{key}.analysis");
        let named = |analysis: &&Value| analysis.get("name").and_then(Value::as_str) == Some(name.as_str());
        let fit = |analysis: &'a Value| KINDS.into_iter().find_map(|kind| Some((kind, analysis.get(kind)?)));
        let Some((kind, model)) = analyses.iter().find(named).and_then(fit) else {
            let models = analyses.iter().filter(|analysis| fit(analysis).is_some());
            let names: Vec<&str> = models.filter_map(|model| model.get("name")?.as_str()).collect();
            let near = nearest(name.as_str(), names.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => format!("it has none: name an analysis of kind {}", kinds()),
                None => format!("its models are: {}", names.join(", ")),
            };
            return self.refuse(&at, TypeProblem::new(format!("this study has no model `{name}`")).hint(hint));
        };
        // What is wrong with it is said where it stands.
        let said = self.problems.0.len();
        let unread = &mut Problems::default();
        let spec = match kind {
            "elastic_net" => {
                read::<RawElasticNet>(model, self.file, &at, KEYS, unread).and_then(|raw| self.elastic_net(&at, &raw))
            }
            "cox" => read::<RawCox>(model, self.file, &at, KEYS, unread).and_then(|raw| self.cox(&at, &raw)),
            _ => read::<RawModel>(model, self.file, &at, KEYS, unread).and_then(|raw| self.model(&at, &raw)),
        };
        let sound = self.problems.0.len() == said;
        self.problems.0.truncate(said);
        let Some(spec) = spec.filter(|_| sound) else {
            return self.refuse(&at, TypeProblem::new(format!("the analysis `{name}` is wrong by itself")));
        };
        let Some(spec) = fitted(&spec) else { return self.refuse(&at, beyond_columns()) };
        let columns = spec.columns().map(|column| column.of.clone()).collect();
        let outcome = spec.outcome.cloned();
        Some(Fitted { fit: spec.fit, columns, beta: vec![], from: Some(name), outcome })
    }

    fn by_hand(&mut self, key: &str, text: &str, raw: &RawFitted) -> Option<Fitted> {
        let at = |name: &str| format!("{key}.{name}");
        let sides = match formula::sides(text) {
            Ok(sides) => sides,
            Err(problem) => return self.refuse(&at("formula"), problem),
        };
        let explained = self.explained(key, sides.0, text, raw);
        let right = self.right_side(&at("formula"), sides.1)?;
        let (fit, outcome) = explained?;
        if right.by_site || right.offset.is_some() {
            return self.refuse(&at("formula"), beyond_columns());
        }
        let columns = right.terms.into_iter().flat_map(|term| term.columns);
        // The baseline of hazards takes the place of the intercept.
        let columns: Vec<Named> =
            columns.filter(|column| fit != Fit::ProportionalHazards || !column.of.is_empty()).collect();
        let Some(coefficients) = &raw.coefficients else {
            return self.refuse(key, TypeProblem::new("a formula alone is no fitted model").hint(HINT));
        };
        self.fitted(&at("coefficients"), fit, columns, outcome, coefficients)
    }

    /// What is left of `~`: an outcome, of whose family the text may say more, or the time to an event.
    fn explained(&mut self, key: &str, left: &str, text: &str, raw: &RawFitted) -> Option<(Fit, Option<Expr>)> {
        let at = |name: &str| format!("{key}.{name}");
        if is_survival(left) {
            if raw.family.is_some() || raw.link.is_some() {
                let problem = TypeProblem::new("a model of the time to an event has no family and no link");
                return self.refuse(key, problem.hint("leave them out"));
            }
            return self.survival_outcome(&at("formula"), left).map(|_| (Fit::ProportionalHazards, None));
        }
        let (outcome, _) = formula::outcome(self, &at("formula"), left)?;
        let asked = RawModel::of_family(text, raw.family.clone(), raw.link.clone());
        let family = self.family(&at("family"), &asked, &outcome)?;
        let condition = match outcome {
            Measure::Condition(condition) => Some(condition),
            _ => None,
        };
        Some((Fit::Mean(family), condition))
    }

    fn earlier(
        &mut self,
        key: &str,
        folder: &str,
        analysis: Option<&AnalysisName>,
    ) -> Option<(Fitted, StudyId, AnalysisName)> {
        let at = format!("{key}.from");
        let Some(name) = analysis else {
            return self.refuse(key, TypeProblem::new("which analysis of that study?").hint(HINT));
        };
        let (id, study, result) = match self.published(folder) {
            Ok(found) => found,
            Err(problem) => return self.refuse(&at, problem),
        };
        let found = model(&study, name).and_then(|spec| Ok((spec, estimates(&result, name)?)));
        let (spec, coefficients) = match found {
            Ok(found) => found,
            Err(problem) => return self.refuse(&at, problem),
        };
        let columns: Vec<Named> = spec.columns().cloned().collect();
        let fitted = self.fitted(&at, spec.fit, columns, spec.outcome.cloned(), &coefficients)?;
        Some((fitted, id, name.clone()))
    }

    /// An earlier study as it was signed, and what was published of it.
    fn published(&self, folder: &str) -> Result<(StudyId, Study, Value), TypeProblem> {
        let hint = format!(
            "`{folder}` is a folder that `bocage study run --out {folder}` wrote, beside this text or below it"
        );
        let text = |file: String| match self.files.get(&file) {
            Some(Ok(text)) => Ok(text.as_str()),
            Some(Err(why)) => Err(TypeProblem::new(format!("`{file}` cannot be read: {why}")).hint(hint.as_str())),
            None => Err(TypeProblem::new(format!("`{file}` was not read")).hint(hint.as_str())),
        };
        let [study, result, manifest] = [STUDY, RESULT, MANIFEST].map(|name| text(within(folder, name)));
        let (written, result, manifest) = (study?, result?, manifest?);
        let signed: SignedStudy = serde_json::from_str(written)
            .map_err(|_| TypeProblem::new("its study.json is no signed study").hint(hint.as_str()))?;
        let study = signed.verify().map_err(|error| TypeProblem::new(format!("its study.json: {}", error.message)))?;
        self.put_together(manifest, study.researcher, [(STUDY, written), (RESULT, result)])
            .map_err(|problem| problem.hint(format!("fetch it again: bocage study result ID --out {folder}")))?;
        let result: Value = serde_json::from_str(result)
            .map_err(|_| TypeProblem::new("its result.json is no answer of a study").hint(hint.as_str()))?;
        if result.pointer("/study/id").and_then(Value::as_str) != Some(signed.id().to_string().as_str()) {
            return Err(TypeProblem::new("its result.json is the answer of another study than its study.json"));
        }
        Ok((signed.id(), study, result))
    }

    /// Whether a folder's manifest names these files as they are, and is signed by who signed the study in it, or signs this one.
    fn put_together(&self, text: &str, researcher: PublicKey, files: [(&str, &str); 2]) -> Result<(), TypeProblem> {
        let manifest = SignedManifest::from_text(text).and_then(|signed| signed.verify());
        let manifest = manifest.map_err(|error| TypeProblem::new(format!("its {MANIFEST}: {}", error.message)))?;
        if ![researcher, self.researcher].contains(&manifest.researcher) {
            let problem = "another key put the folder together than the one that signed its study, or signs this one";
            return Err(TypeProblem::new(problem));
        }
        match files.iter().find(|(name, text)| !manifest.holds(name, text.as_bytes())) {
            Some((name, _)) => {
                Err(TypeProblem::new(format!("its {name} is not the file that was signed with the folder")))
            }
            None => Ok(()),
        }
    }

    fn fitted(
        &mut self,
        key: &str,
        fit: Fit,
        columns: Vec<Named>,
        outcome: Option<Expr>,
        coefficients: &BTreeMap<String, f64>,
    ) -> Option<Fitted> {
        let mut beta = Vec::with_capacity(columns.len());
        for Named { label, .. } in &columns {
            match coefficients.get(label) {
                Some(of) => beta.push(*of),
                None => {
                    let problem = TypeProblem::new(format!("there is no coefficient of `{label}`"));
                    let near = nearest(label, coefficients.keys().map(String::as_str));
                    let hint = near.map_or("every column of the formula has one".to_owned(), |near| {
                        format!("is it the one that is called `{near}`?")
                    });
                    self.refuse::<()>(key, problem.hint(hint));
                }
            }
        }
        if let Some(unknown) = coefficients.keys().find(|name| columns.iter().all(|column| column.label != **name)) {
            let labels: Vec<&str> = columns.iter().map(|column| column.label.as_str()).collect();
            let problem = TypeProblem::new(format!("`{unknown}` is no column of the formula"));
            self.refuse::<()>(key, problem.hint(format!("its columns are {}", labels.join(", "))));
        }
        let columns: Vec<_> = columns.into_iter().map(|column| column.of).collect();
        (beta.len() == columns.len()).then_some(Fitted { fit, columns, beta, from: None, outcome })
    }
}

fn beyond_columns() -> TypeProblem {
    TypeProblem::new(
        "a model with an intercept for each site, with an offset, or in two stages predicts nothing by its coefficients alone",
    )
    .hint("fit it without `site`, `offset()` and `two_stage`")
}

fn model<'a>(study: &'a Study, name: &AnalysisName) -> Result<Predictor<'a>, TypeProblem> {
    let fits = study.analyses.iter().filter(|analysis| KINDS.contains(&analysis.spec.kind()));
    let Some(found) = fits.clone().find(|analysis| analysis.name == *name) else {
        let names: Vec<&str> = fits.map(|analysis| analysis.name.as_str()).collect();
        let problem = TypeProblem::new(format!("that study has no model `{name}`"));
        return Err(problem.hint(match names.as_slice() {
            [] => format!("it has none: name an analysis of kind {}", kinds()),
            names => format!("its models are: {}", names.join(", ")),
        }));
    };
    let spec = fitted(&found.spec).ok_or_else(beyond_columns)?;
    let reads = spec.columns().flat_map(|column| &column.of).flat_map(|factor| factor.columns());
    if let Some(made) = reads.into_iter().find(|column| study.features.iter().any(|feature| feature.name == **column)) {
        let problem = TypeProblem::new(format!("it reads `{made}`, which that study made of other tables"));
        return Err(problem.hint("write its formula and coefficients here, with this study's own features"));
    }
    Ok(spec)
}

fn kinds() -> String {
    KINDS.map(|kind| format!("`{kind}`")).join(" or ")
}

/// The estimates that were published of an analysis, by their names.
fn estimates(result: &Value, name: &AnalysisName) -> Result<BTreeMap<String, f64>, TypeProblem> {
    let is_it = |analysis: &&Value| analysis.get("name").and_then(Value::as_str) == Some(name.as_str());
    let analyses = result.get("analyses").and_then(Value::as_array);
    let found = analyses.and_then(|all| all.iter().find(is_it)).and_then(told);
    found.ok_or_else(|| TypeProblem::new(format!("nothing was published of `{name}`")))
}

fn told(analysis: &Value) -> Option<BTreeMap<String, f64>> {
    let columns = analysis.get("columns")?.as_array()?;
    let at = columns.iter().position(|column| column.as_str() == Some("estimate"))?;
    let rows = analysis.get("rows")?.as_array()?;
    let row = |row: &Value| Some((row.get(0)?.as_str()?.to_owned(), row.get(at)?.as_f64()?));
    let found: BTreeMap<String, f64> = rows.iter().map(row).collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}
