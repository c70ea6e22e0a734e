//! The check of a model, and what follows from it and the contract alone: which inputs are read, how they become columns, which sums leave.

use std::collections::{BTreeMap, HashSet};

use super::scale::{Scale, Spline, Transform, can_centre, same};
use super::{
    CoxSums, Described, Explains, Factor, Family, Folds, GridSums, Model, Position, Product, Response, RiskSlots,
};
use crate::contract::Contract;
use crate::limits;
use crate::plan::domain::KeyDomain;
use crate::plan::normal::Called;
use crate::plan::typing::{Columns, TypeProblem, check_condition, type_of};
use crate::plan::{Expr, Measure, Table, measure_range, written};

/// What is read of each row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// Numbers and conditions, each once.
    pub measures: Vec<Measure>,
    /// Keys, each once, with their levels' labels.
    pub keys: Vec<(Expr, KeyDomain)>,
    /// Of each number the fewest and most that it can be.
    pub ranges: Vec<(f64, f64)>,
    /// Of each whether it takes whole numbers only.
    pub whole: Vec<bool>,
}

/// A factor of a column by its input.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot {
    /// A number.
    Number {
        /// Which of the measures.
        input: usize,
        /// How it is scaled.
        scale: Scale,
    },
    /// A level.
    Level {
        /// Which of the keys.
        input: usize,
        /// Which level.
        level: u32,
    },
    /// A function of a spline.
    Spline {
        /// Which of the measures.
        input: usize,
        /// The function.
        of: Spline,
        /// How its value is scaled.
        scale: Scale,
    },
}

/// The shape of a step: a function of plan and contract alone.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelLayout {
    /// What is read.
    pub inputs: Inputs,
    /// The outcome among the measures, where there is one.
    pub outcome: Option<usize>,
    /// Of hazards: what says when a row is at risk. The outcome is then the event.
    pub risk: Option<RiskSlots>,
    /// Without an outcome: where the sums stand.
    pub described: Option<Described>,
    /// How a gaussian outcome is scaled; others are taken as they are.
    pub outcome_scale: Scale,
    /// The offset among the measures.
    pub offset: Option<usize>,
    /// The weight among the measures.
    pub weight: Option<usize>,
    /// The design's columns.
    pub columns: Vec<Vec<Slot>>,
    /// How they are made of the columns as they were asked.
    pub transform: Transform,
    /// How many blocks of sums a site answers with: one, and those of further fits.
    pub blocks: usize,
    by_site: bool,
    robust: bool,
    pub(in crate::plan) called: Called,
}

/// Where a step's sums stand among its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Sums {
    /// Columns, with a site's own intercept last where there is one.
    pub width: usize,
}

impl Sums {
    /// Σ weights.
    pub const WEIGHT: usize = 0;
    /// Σ outcome, weighted.
    pub const OUTCOME: usize = 1;
    /// Σ log-density.
    pub const LOG_DENSITY: usize = 2;
    /// Σ deviance.
    pub const DEVIANCE: usize = 3;
    /// Σ Pearson's χ².
    pub const PEARSON: usize = 4;
    /// The two derivatives in θ.
    pub const THETA: [usize; 2] = [5, 6];
    /// Those of single numbers.
    pub const SCALARS: usize = 7;

    /// Σ of the rows' scores.
    pub fn score(self) -> std::ops::Range<usize> {
        Self::SCALARS..Self::SCALARS + self.width
    }

    /// The lower triangle of the information, row by row.
    pub fn information(self) -> std::ops::Range<usize> {
        let begin = self.score().end;
        begin..begin + self.width * (self.width + 1) / 2
    }

    /// The lower triangle of the sum of the scores' squares.
    pub fn squares(self) -> std::ops::Range<usize> {
        let begin = self.information().end;
        begin..begin + self.width * (self.width + 1) / 2
    }
}

impl ModelLayout {
    /// Whether it is a step of a linear or generalised linear model, whose sums are [`Sums`].
    pub fn explains_a_mean(&self) -> bool {
        self.risk.is_none() && self.described.is_none()
    }

    /// Where the sums stand.
    pub fn sums(&self) -> Sums {
        Sums { width: self.columns.len() + usize::from(self.by_site) }
    }

    /// Where the sums of hazards stand, where it has such.
    pub fn cox_sums(&self) -> Option<CoxSums> {
        self.risk.as_ref().map(|risk| risk.sums(self.columns.len(), self.robust))
    }

    /// Where the sums of hazards with one baseline stand, where it has such and they are asked for.
    pub fn grid_sums(&self) -> Option<GridSums> {
        let risk = self.risk.as_ref()?;
        risk.shared.as_ref()?.sums(self.columns.len(), self.robust, risk.clock.is_some())
    }

    /// How many numbers a site answers with.
    pub fn values(&self) -> usize {
        self.blocks.saturating_mul(self.block_values())
    }

    /// How many numbers a block of sums has.
    pub fn block_values(&self) -> usize {
        if let Some(described) = self.described {
            return described.values();
        }
        if let Some(shared) = self.risk.as_ref().and_then(|risk| risk.shared.as_ref()) {
            return self.grid_sums().map_or(shared.grid.ends.len(), GridSums::values);
        }
        if let Some(sums) = self.cox_sums() {
            return sums.values();
        }
        if self.robust { self.sums().squares().end } else { self.sums().information().end }
    }

    /// The keys and levels of a column that is 0 or 1; none of one that is something else. The intercept has none of them.
    pub fn levels(&self, column: usize) -> Option<Vec<(usize, u32)>> {
        let level = |slot: &Slot| match slot {
            Slot::Level { input, level } => Some((*input, *level)),
            Slot::Number { .. } | Slot::Spline { .. } => None,
        };
        self.columns[column].iter().map(level).collect()
    }

    /// A column in the study's words, for those who must change it.
    pub fn name(&self, column: usize) -> String {
        let name = |slot: &Slot| match slot {
            Slot::Level { input, level } => {
                let (_, domain) = &self.inputs.keys[*input];
                format!("{} = {}", self.key_name(*input), domain.label_at(0, *level as usize))
            }
            Slot::Number { input, .. } | Slot::Spline { input, .. } => self.input_name(*input),
        };
        let names: Vec<String> = self.columns[column].iter().map(name).collect();
        if names.is_empty() { "the intercept".to_owned() } else { names.join(" × ") }
    }

    /// A key as the study writes it.
    pub fn key_name(&self, input: usize) -> String {
        self.called.calls().say(&written(&self.inputs.keys[input].0))
    }

    /// A measure in words.
    pub fn input_name(&self, input: usize) -> String {
        self.called.calls().say(&self.inputs.measures[input].plainly())
    }
}

/// The layout of a model, and the columns that an engine reads for it, as a table's.
pub(in crate::plan) fn lower(
    model: &Model,
    contract: &Contract,
) -> Result<(ModelLayout, Table), Vec<(String, TypeProblem)>> {
    let mut check = Check { contract, inputs: Inputs::default(), problems: Vec::new() };
    check.shape(model);
    let (outcome, outcome_scale, risk) = match &model.explains {
        Explains::Mean(response) => {
            let (outcome, scale) = check.outcome(model, response);
            (outcome, scale, None)
        }
        Explains::Hazard(hazard) => {
            let (event, risk) = check.hazard(hazard, model.columns.len()).unzip();
            (event, Scale::NONE, risk)
        }
        Explains::Moments | Explains::Clusters(_) => {
            check.described(model);
            (None, Scale::NONE, None)
        }
    };
    let (offset, weight) = match &model.explains {
        Explains::Mean(Response { offset, weight, .. }) => (offset.as_ref(), weight.as_ref()),
        Explains::Hazard(hazard) => (hazard.offset.as_ref(), None),
        Explains::Moments | Explains::Clusters(_) => (None, None),
    };
    let offset = offset.and_then(|of| check.number("offset", of));
    let weight = weight.and_then(|of| check.weight(of));
    let columns: Vec<Option<Vec<Slot>>> = (0..model.columns.len()).map(|at| check.column(model, at)).collect();
    let columns: Option<Vec<Vec<Slot>>> = columns.into_iter().collect();
    check.described_slots(model, columns.as_deref().unwrap_or_default());
    check.position(&model.at, model);
    check.folds(model);
    let Check { inputs, problems, .. } = check;
    let described = Described::of(model);
    // Where it could not be read, that was noted.
    let (Some(columns), true) = (columns, problems.is_empty() && outcome.is_some() != described.is_some()) else {
        return Err(problems);
    };
    let scales: Vec<Vec<Scale>> = columns.iter().map(|slots| slots.iter().map(Slot::scale).collect()).collect();
    let transform = Transform::of(&model.columns, &scales);
    let table = Table {
        by: inputs.keys.iter().map(|(key, _)| key.clone()).collect(),
        measures: inputs.measures.clone(),
        roll_up: false,
    };
    let (by_site, robust, blocks) = (model.by_site, model.at.robust, Folds::blocks(model.folds.as_deref()));
    let layout = ModelLayout {
        inputs,
        outcome,
        risk,
        described,
        outcome_scale,
        offset,
        weight,
        columns,
        transform,
        blocks,
        by_site,
        robust,
        called: Called::default(),
    };
    if layout.blocks > 1 && layout.values() > limits::CELLS {
        let (found, most) = (layout.values(), limits::CELLS);
        let problem = TypeProblem::new(format!("a step of these fits has {found} sums: at most {most}"));
        return Err(vec![("folds".to_owned(), problem.hint("fewer terms, or fewer folds"))]);
    }
    Ok((layout, table))
}

impl Slot {
    pub(super) fn scale(&self) -> Scale {
        match self {
            Slot::Number { scale, .. } | Slot::Spline { scale, .. } => *scale,
            Slot::Level { .. } => Scale::NONE,
        }
    }
}

pub(super) struct Check<'a> {
    pub(super) contract: &'a Contract,
    pub(super) inputs: Inputs,
    pub(super) problems: Vec<(String, TypeProblem)>,
}

impl Check<'_> {
    pub(super) fn note<T>(&mut self, key: &str, problem: TypeProblem) -> Option<T> {
        self.problems.push((key.to_owned(), problem));
        None
    }

    fn shape(&mut self, model: &Model) {
        let cut = matches!(&model.explains, Explains::Hazard(hazard) if hazard.start.is_some());
        if !self.contract.one_row_per_subject() && !cut {
            let problem = TypeProblem::new(format!("a patient can have several rows in `{}`", self.contract.id()));
            let hint = match model.explains {
                Explains::Hazard(_) => "say from when until when each is at risk: surv(start, stop, event)",
                _ => {
                    "a model's rows are independent: count a table with one row a patient, and make features of the other's rows"
                }
            };
            self.note::<()>("of", problem.hint(hint));
        }
        let most = limits::MODEL_COLUMNS;
        if model.columns.is_empty() && !model.by_site || model.columns.len() > most {
            let found = model.columns.len();
            let problem = TypeProblem::new(format!("a model has 1 to {most} columns, this one has {found}"));
            self.note::<()>("columns", problem.hint("fewer terms, or keys with fewer levels"));
        }
        for (at, product) in model.columns.iter().enumerate() {
            if model.columns[..at].iter().any(|earlier| same(earlier, product)) {
                self.note::<()>(&format!("columns[{at}]"), TypeProblem::new("the same column stands there before"));
            }
        }
        if matches!(model.explains, Explains::Hazard(_)) && (model.by_site || model.columns.iter().any(Vec::is_empty)) {
            self.note::<()>("columns", TypeProblem::new("the baseline of hazards takes the place of all intercepts"));
        }
        if model.by_site && model.columns.iter().any(Vec::is_empty) {
            let problem = TypeProblem::new("a model with an intercept for each site has no other");
            self.note::<()>("columns", problem);
        }
    }

    pub(super) fn input(&mut self, measure: &Measure, range: (f64, f64)) -> usize {
        let found = self.inputs.measures.iter().position(|known| known == measure);
        found.unwrap_or_else(|| {
            self.inputs.measures.push(measure.clone());
            self.inputs.ranges.push(range);
            self.inputs.whole.push(is_whole(measure, self.contract));
            self.inputs.measures.len() - 1
        })
    }

    /// A number, and where it stands among the inputs.
    pub(super) fn number(&mut self, key: &str, of: &Measure) -> Option<usize> {
        match measure_range(of, self.contract) {
            Ok(range) => Some(self.input(of, range)),
            Err(problem) => self.note(key, problem),
        }
    }

    fn weight(&mut self, of: &Measure) -> Option<usize> {
        let input = self.number("weight", of)?;
        let (lo, hi) = self.inputs.ranges[input];
        if lo < 0.0 || hi <= 0.0 {
            return self.note("weight", TypeProblem::new("a weight is not negative, and its range must say so"));
        }
        Some(input)
    }

    fn outcome(&mut self, model: &Model, response: &Response) -> (Option<usize>, Scale) {
        let of = &response.of;
        let family = response.family;
        let none = (None, Scale::NONE);
        let refuse = |check: &mut Self, problem: TypeProblem| {
            check.note::<()>("outcome", problem);
            none
        };
        if let Measure::Condition(condition) = of {
            if let Err(problem) = check_condition(condition, Columns::Contract(self.contract)) {
                return refuse(self, problem);
            }
            if !matches!(family, Family::Binomial(_) | Family::Poisson) {
                let problem = TypeProblem::new(format!("the outcome of a {} model is a number", family.name()));
                return refuse(self, problem.hint("true and false are explained by a binomial or poisson model"));
            }
            return (Some(self.input(of, (0.0, 1.0))), Scale::NONE);
        }
        let range = match measure_range(of, self.contract) {
            Ok(range) => range,
            Err(problem) => return refuse(self, problem),
        };
        let problem = match family {
            Family::Binomial(_) => Some("the outcome of a binomial model is a condition"),
            Family::Gamma if range.0 <= 0.0 => {
                Some("the outcome of a gamma model is above 0, and its range must say so")
            }
            Family::Poisson | Family::NegativeBinomial if range.0 < 0.0 || !is_whole(of, self.contract) => {
                Some("the outcome is a count: a column of whole numbers from 0 on")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            return refuse(self, TypeProblem::new(problem).hint("see the families in docs/STUDIES.md"));
        }
        let centred = model.by_site || model.columns.iter().any(Vec::is_empty);
        let scale = match family {
            // What centring takes off falls to the intercept.
            Family::Gaussian => Scale::of(range, centred),
            _ => Scale::NONE,
        };
        (Some(self.input(of, range)), scale)
    }

    fn column(&mut self, model: &Model, at: usize) -> Option<Vec<Slot>> {
        let product = &model.columns[at];
        let key = format!("columns[{at}]");
        if product.len() > limits::MODEL_FACTORS {
            let most = limits::MODEL_FACTORS;
            return self.note(&key, TypeProblem::new(format!("a column is a product of at most {most} factors")));
        }
        // What centring takes off falls to the baseline of hazards as to the intercept of a site; of moments about means it falls out.
        let absorbed = model.by_site || !matches!(model.explains, Explains::Mean(_));
        let centred = can_centre(&model.columns, product, absorbed);
        product.iter().map(|factor| self.slot(&key, factor, centred)).collect()
    }

    pub(super) fn slot(&mut self, place: &str, factor: &Factor, centred: bool) -> Option<Slot> {
        match factor {
            Factor::Number(Measure::Condition(_)) => {
                self.note(place, TypeProblem::new("a condition is a key with the levels false and true, no number"))
            }
            Factor::Number(of) => {
                let input = self.number(place, of)?;
                let scale = Scale::of(self.inputs.ranges[input], centred);
                if !(scale.half > 0.0 && scale.half.is_finite()) {
                    return self.note(place, TypeProblem::new("the range allows one value only"));
                }
                Some(Slot::Number { input, scale })
            }
            Factor::Spline { of, knots, at } => {
                let input = self.number(place, of)?;
                let spline = (knots.len() <= limits::MODEL_KNOTS).then(|| Spline::new(knots, *at)).flatten();
                let Some(spline) = spline else {
                    return self.note(place, TypeProblem::new("a spline has 3 or more ascending knots"));
                };
                let half = spline.largest(self.inputs.ranges[input]);
                if !(half > 0.0 && half.is_finite()) {
                    let problem = TypeProblem::new("the spline is 0 over the whole range of its number");
                    return self.note(place, problem.hint("the knots lie within the contract's range"));
                }
                Some(Slot::Spline { input, of: spline, scale: Scale { centre: 0.0, half } })
            }
            Factor::Level { key, level } => self.level(place, key, *level),
        }
    }

    /// A key with declared levels, and where it stands among the inputs.
    pub(super) fn key(&mut self, place: &str, key: &Expr) -> Option<usize> {
        if let Some(input) = self.inputs.keys.iter().position(|(known, _)| known == key) {
            return Some(input);
        }
        let typed = type_of(key, Columns::Contract(self.contract));
        match typed.and_then(|of| KeyDomain::of(key, &of, self.contract, &HashSet::new())) {
            Ok(domain) => self.inputs.keys.push((key.clone(), domain)),
            Err(problem) => return self.note(place, problem),
        }
        Some(self.inputs.keys.len() - 1)
    }

    fn level(&mut self, place: &str, key: &Expr, level: u32) -> Option<Slot> {
        let input = self.key(place, key)?;
        if level as usize >= self.inputs.keys[input].1.labels.len() {
            return self.note(place, TypeProblem::new("the key has no such level"));
        }
        Some(Slot::Level { input, level })
    }

    fn position(&mut self, at: &Position, model: &Model) {
        let within = |x: &f64, most: f64| x.is_finite() && x.abs() <= most;
        let (slope, intercept) = (limits::MODEL_SLOPE, limits::MODEL_INTERCEPT);
        let bound = |product: &Product| if product.is_empty() { intercept } else { slope };
        let coefficients = |beta: &Vec<f64>| {
            beta.len() == model.columns.len()
                && beta.iter().zip(&model.columns).all(|(x, product)| within(x, bound(product)))
        };
        let fits = coefficients(&at.beta)
            && model.folds.iter().flat_map(|folds| &folds.at).all(coefficients)
            && at.sites.len() <= limits::SITES
            && (model.by_site || at.sites.is_empty())
            && BTreeMap::values(&at.sites).all(|x| within(x, intercept));
        let has_theta =
            matches!(&model.explains, Explains::Mean(response) if response.family == Family::NegativeBinomial);
        let theta = match at.theta {
            Some(theta) => has_theta && limits::MODEL_THETA.contains(&theta),
            None => !has_theta,
        };
        if !fits || !theta {
            let problem = TypeProblem::new(format!(
                "the step's coefficients are out of bounds: of scaled columns at most {slope}, of intercepts {intercept}"
            ));
            self.note::<()>("at", problem);
        }
    }
}

/// Whether a measure takes whole numbers only.
fn is_whole(of: &Measure, contract: &Contract) -> bool {
    use crate::contract::Kind;
    let int = |name: &crate::ids::ColumnName| {
        matches!(contract.column(name.as_str()).map(|column| &column.kind), Some(Kind::Int { .. }))
    };
    match of {
        Measure::Column(name) => int(name),
        Measure::Product(a, b) => int(a) && int(b),
        Measure::Days { .. } | Measure::Condition(_) => true,
        Measure::Ln(_) | Measure::Sqrt(_) => false,
    }
}
