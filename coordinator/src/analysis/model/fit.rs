//! Fisher scoring over the sums of all sites: where the fit is, and where it goes. Numbers in, numbers out.
//!
//! β ← β + I⁻¹ s with the expected information I and the score s (McCullagh, Nelder 1989, §2.5), halved while the objective grows. Everything is in
//! scaled columns; a ridge penalty λ/2 · Σβ² is on slopes alone.

use std::collections::BTreeMap;

use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{Family, Link, Position, Sums};
use bocage_protocol::release::ModelRelease;
use nalgebra::{DMatrix, DVector};

use super::failure::Failure;
use super::held::{Held, hold};
use super::secants::Secants;
use super::theta::Theta;

/// A step that moves no coefficient of a scaled column by more is the last.
const CLOSE: f64 = 1e-9;
/// Of a fit within another: twice the log-likelihood that a step may still gain. What is left then is of a higher order.
const NEARLY: f64 = 1e-8;
/// So often in a row a step is halved.
const HALVINGS: u32 = 8;
/// A coefficient stays so far short of its bound that rounding does not go beyond.
const WITHIN: f64 = 0.999;
/// A step of which less than this share stays within the bounds, or that is no longer, leads nowhere.
const STUCK: f64 = 1e-3;
/// A column of which less than this share is left beside the others is made of them.
const COLLINEAR: f64 = 1e-9;
/// Of half a range the standard deviation of a column that varies, as far as sums can tell, and of whose range the data fill next to nothing.
const NARROW: (f64, f64) = (1e-6, 0.01);

/// The sums of all sites at a position. Sites are added in the order of their names.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    /// The sites, each with its patients.
    pub sites: Vec<(SiteId, u64)>,
    /// Patients.
    pub n: u64,
    /// What the fit makes small: the deviance, or minus twice the log-likelihood.
    pub objective: f64,
    /// Those of [`Sums`] that are single numbers.
    pub scalars: [f64; Sums::SCALARS],
    /// By columns, then by sites where those have intercepts.
    pub score: DVector<f64>,
    /// The expected information.
    pub information: DMatrix<f64>,
    /// Σ of the squares of rows' scores; of zeros where it was not asked for.
    pub squares: DMatrix<f64>,
    /// Each site's score.
    pub scores: Vec<DVector<f64>>,
}

impl Merged {
    /// Of what sites released. `columns` of the design; with `by_site`, each site has one more.
    pub(super) fn of(
        releases: &[(&SiteId, &ModelRelease)],
        family: Family,
        columns: usize,
        by_site: bool,
        robust: bool,
    ) -> Self {
        let size = columns + if by_site { releases.len() } else { 0 };
        let sums = Sums { width: columns + usize::from(by_site) };
        let mut merged = Merged {
            sites: Vec::new(),
            n: 0,
            objective: 0.0,
            scalars: [0.0; Sums::SCALARS],
            score: DVector::zeros(size),
            information: DMatrix::zeros(size, size),
            squares: DMatrix::zeros(size, size),
            scores: Vec::new(),
        };
        for (position, (site, release)) in releases.iter().enumerate() {
            merged.sites.push(((*site).clone(), release.n));
            merged.n += release.n;
            merged.scalars.iter_mut().zip(&release.sums).for_each(|(all, own)| *all += own);
            // The site's own intercept stands last among its columns.
            let at = |column: usize| if column < columns { column } else { columns + position };
            let mut score = DVector::zeros(size);
            for (column, value) in release.sums[sums.score()].iter().enumerate() {
                score[at(column)] = *value;
            }
            merged.score += &score;
            merged.scores.push(score);
            add_triangle(&mut merged.information, &release.sums[sums.information()], sums.width, at);
            if robust {
                add_triangle(&mut merged.squares, &release.sums[sums.squares()], sums.width, at);
            }
        }
        merged.objective = match family {
            Family::NegativeBinomial => -2.0 * merged.scalars[Sums::LOG_DENSITY],
            _ => merged.scalars[Sums::DEVIANCE],
        };
        merged
    }
}

/// Adds a lower triangle, row by row, whose columns stand there.
pub(in crate::analysis) fn add_triangle(
    to: &mut DMatrix<f64>,
    triangle: &[f64],
    width: usize,
    at: impl Fn(usize) -> usize,
) {
    let mut values = triangle.iter();
    for row in 0..width {
        for column in 0..=row {
            let value = values.next().copied().unwrap_or_default();
            let (i, j) = (at(row), at(column));
            to[(i, j)] += value;
            if i != j {
                to[(j, i)] += value;
            }
        }
    }
}

/// What comes after a step.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Another step, here.
    Go(Position),
    /// The fit is where it ends.
    Done(Box<Fitted>),
    /// It has no end, or not within the bounds.
    Failed(Failure),
}

/// A finished fit, in scaled columns.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    /// By columns, then by sites.
    pub beta: DVector<f64>,
    /// The inverse of the (penalised) information.
    pub inverse: DMatrix<f64>,
    /// The sums at the end.
    pub merged: Merged,
    /// Of a negative binomial family.
    pub theta: Option<f64>,
    /// What of the objective the last step takes off, which `merged` is from before.
    pub left: f64,
    /// How many steps it took.
    pub steps: u32,
}

/// A fit on its way.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    ridge: f64,
    /// Which columns are slopes.
    slopes: Vec<bool>,
    /// Whether the mean is e to the power of the linear predictor.
    logarithmic: bool,
    /// What earlier steps tell, where they do.
    secants: Option<Secants>,
    /// Of a fit within another.
    held: Option<Held>,
    by_site: bool,
    position: Position,
    /// Position and objective of the last step that was taken.
    before: Option<(Position, f64)>,
    /// Who answered, each with its patients.
    sites: Vec<(SiteId, u64)>,
    halvings: u32,
    steps: u32,
}

impl Fit {
    pub(super) fn new(ridge: f64, slopes: Vec<bool>, by_site: bool, start: Position) -> Self {
        let (sites, secants, logarithmic) = (Vec::new(), None, false);
        Self {
            ridge,
            slopes,
            logarithmic,
            secants,
            held: None,
            by_site,
            position: start,
            before: None,
            sites,
            halvings: 0,
            steps: 0,
        }
    }

    /// The same fit of a family whose score the expected information alone does not lead to its end in few steps.
    pub(super) fn of_family(self, family: Family) -> Self {
        let slow =
            matches!(family, Family::Gamma | Family::NegativeBinomial | Family::Binomial(Link::Probit | Link::Cloglog));
        let logarithmic = matches!(family, Family::Poisson | Family::Gamma | Family::NegativeBinomial);
        Self { logarithmic, secants: slow.then(Secants::default), ..self }
    }

    /// The fit within this one that holds this. It begins at `beta` (of columns, then of sites), goes on with the rounds that are left, and comes as near
    /// as its objective needs; none where no round is left.
    pub(super) fn holding(&self, held: Held, mut beta: DVector<f64>) -> Option<Self> {
        if self.has_no_rounds() {
            return None;
        }
        let secants = self.secants.as_ref().map(|_| Secants::default());
        let mut fit = Self { held: Some(held), secants, before: None, halvings: 0, ..self.clone() };
        for (i, beta) in beta.iter_mut().enumerate() {
            let most = WITHIN * fit.bound(i);
            *beta = beta.clamp(-most, most);
        }
        fit.place(beta);
        Some(fit)
    }

    /// Where the sites are asked.
    pub(super) fn position(&self) -> &Position {
        &self.position
    }
    /// Whether the sites have been asked as often as they answer.
    pub(super) fn has_no_rounds(&self) -> bool {
        self.steps >= u32::from(limits::MODEL_ROUNDS)
    }

    /// How many steps there were.
    pub(super) fn steps(&self) -> u32 {
        self.steps
    }

    /// The sites of the last step, by name.
    pub(super) fn sites(&self) -> impl Iterator<Item = &SiteId> {
        self.sites.iter().map(|(site, _)| site)
    }

    /// Goes on from here, with whatever sites there are.
    pub(super) fn resume(&mut self, beta: Vec<f64>) {
        self.position.beta = beta;
        self.before = None;
    }

    /// Takes in the sums at [`Fit::position`].
    pub(super) fn step(&mut self, merged: Merged) -> Verdict {
        self.steps += 1;
        if merged.sites != self.sites {
            // Of other sites, or other patients, nothing can be compared.
            (self.sites, self.before) = (merged.sites.clone(), None);
            self.secants.iter_mut().for_each(Secants::forget);
        }
        let beta = self.beta(&merged);
        let penalty: f64 = self.penalised(beta.len()).map(|(i, ridge)| ridge * beta[i] * beta[i]).sum();
        let objective = merged.objective + penalty;
        if let Some((before, least)) = &self.before
            && (objective.is_nan() || objective > least + 1e-9 * (least.abs() + 1.0))
        {
            self.halvings += 1;
            if self.halvings > HALVINGS {
                return Verdict::Failed(Failure::Steps);
            }
            self.secants.iter_mut().for_each(Secants::forget);
            self.position = between(before, &self.position);
            return self.go();
        }
        self.halvings = 0;
        let (mut score, mut information) = (merged.score.clone(), merged.information.clone());
        for (i, ridge) in self.penalised(beta.len()) {
            score[i] -= ridge * beta[i];
            information[(i, i)] += ridge;
        }
        self.held.iter().for_each(|held| held.narrow(&mut score, &mut information));
        let inverse = match inverse(&information) {
            Ok(inverse) => inverse,
            Err(column) => return Verdict::Failed(self.wide(&merged, column).unwrap_or(Failure::Collinear(column))),
        };
        let theta = self.position.theta.map(|theta| Theta::at(theta, &merged));
        let joint = theta.iter().fold(score.clone(), |score, theta| theta.beside(score));
        self.secants.iter_mut().for_each(|secants| secants.arrive(&joint));
        let alone = self.scoring(&inverse, &joint, &theta);
        if theta.is_some_and(|theta| theta.is_far(&alone)) {
            self.secants.iter_mut().for_each(Secants::forget);
        }
        let scoring = |left: &DVector<f64>| self.scoring(&inverse, left, &theta);
        let joint_step = self.secants.as_ref().map_or(alone, |secants| secants.step(scoring, &joint));
        let left = joint.dot(&joint_step);
        // Where all means are 1, nothing is known of a dispersion about the right ones.
        let (step, next) = match self.first_step(&score, &information) {
            Some(step) => (step, theta.map(|theta| theta.is)),
            None => {
                (joint_step.rows(0, beta.len()).into_owned(), theta.map(|theta| theta.next(joint_step[beta.len()])))
            }
        };
        let far = theta.zip(next).map_or(0.0, |(theta, next)| (next - theta.is).abs() / theta.is / 10.0);
        let ends = match &self.held {
            Some(held) => left <= NEARLY * held.unit,
            None => step.amax().max(far) <= CLOSE,
        };
        if ends {
            let beta = self.put(beta + step);
            return Verdict::Done(Box::new(Fitted { beta, inverse, merged, theta: next, left, steps: self.steps }));
        }
        let (share, narrowest) = self.within(&beta, &step, &[]);
        let step = match share < STUCK {
            false => step * share,
            true => match self.along_bounds(&beta, &score, &information) {
                Some(step) if !self.has_no_rounds() => {
                    self.secants.iter_mut().for_each(Secants::forget);
                    step
                }
                _ => {
                    let far = self.wide(&merged, narrowest).unwrap_or(Failure::Separated(narrowest));
                    return Verdict::Failed(far);
                }
            },
        };
        self.before = Some((self.position.clone(), objective));
        self.place(beta + &step);
        if let Some(secants) = &mut self.secants {
            let step = match theta.zip(next) {
                Some((theta, next)) => step.push(theta.step_to(next)),
                None => step,
            };
            secants.leave(&step, joint);
        }
        if next.is_some() {
            self.position.theta = next;
        }
        self.go()
    }

    /// Where a column's numbers lie so close together in its range that this alone is why there is no fit.
    fn wide(&self, merged: &Merged, column: usize) -> Option<Failure> {
        let of = |i: usize, j: usize| merged.information[(i, j)];
        let is_intercept = |i: &usize| self.slopes.get(*i) != Some(&true);
        if is_intercept(&column) {
            return None;
        }
        // Those of the intercepts are all rows, each once: one intercept has them all, or each site its own.
        let all = (0..merged.score.len()).filter(is_intercept).filter(|i| of(*i, *i) > 0.0);
        let (n, sum) = all.fold((0.0, 0.0), |(n, sum), i| (n + of(i, i), sum + of(i, column)));
        let variance = of(column, column) / n - (sum / n).powi(2);
        (NARROW.0..NARROW.1).contains(&variance.max(0.0).sqrt()).then_some(Failure::Wide(column))
    }

    fn go(&self) -> Verdict {
        if self.has_no_rounds() {
            return Verdict::Failed(Failure::Rounds);
        }
        Verdict::Go(self.position.clone())
    }

    /// Where coefficients come to lie by what is held.
    fn put(&self, mut beta: DVector<f64>) -> DVector<f64> {
        self.held.iter().for_each(|held| held.put(&mut beta));
        beta
    }

    fn place(&mut self, beta: DVector<f64>) {
        let beta = self.put(beta);
        let columns = self.slopes.len();
        self.position.beta = beta.iter().take(columns).copied().collect();
        if self.by_site {
            let own = self.sites.iter().map(|(site, _)| site.clone()).zip(beta.iter().skip(columns).copied());
            self.position.sites = own.collect::<BTreeMap<_, _>>();
        }
    }

    fn beta(&self, merged: &Merged) -> DVector<f64> {
        let own = merged.sites.iter().filter(|_| self.by_site);
        let own = own.map(|(site, _)| self.position.sites.get(site).copied().unwrap_or_default());
        DVector::from_iterator(merged.score.len(), self.position.beta.iter().copied().chain(own))
    }

    fn penalised(&self, size: usize) -> impl Iterator<Item = (usize, f64)> + use<> {
        let ridge = self.ridge;
        let slopes = self.slopes.clone();
        (0..size).filter(move |i| ridge > 0.0 && slopes.get(*i) == Some(&true)).map(move |i| (i, ridge))
    }

    /// Fisher's step of the coefficients, and Newton's of the dispersion.
    fn scoring(&self, inverse: &DMatrix<f64>, score: &DVector<f64>, theta: &Option<Theta>) -> DVector<f64> {
        let of = score.rows(0, inverse.nrows());
        let step = inverse * of;
        match theta {
            Some(theta) => step.push(theta.inverse * score[inverse.nrows()]),
            None => step,
        }
    }

    /// From coefficients of 0, where every mean is 1, a tangent leads to means of e to the power of a large mean. The intercepts alone have their solution at
    /// once: ln(1 + s / I), of rows that weigh alike.
    fn first_step(&self, score: &DVector<f64>, information: &DMatrix<f64>) -> Option<DVector<f64>> {
        if !self.logarithmic || self.steps > 1 {
            return None;
        }
        let ratio = |i: usize| match self.slopes.get(i) {
            Some(true) => 0.0,
            _ => score[i] / information[(i, i)],
        };
        let ratios = DVector::from_fn(score.len(), |i, _| ratio(i));
        let far = ratios.iter().all(|ratio| *ratio > -0.5) && ratios.iter().any(|ratio| *ratio > 1.0);
        far.then(|| ratios.map(f64::ln_1p))
    }

    fn bound(&self, column: usize) -> f64 {
        if self.slopes.get(column) == Some(&true) { limits::MODEL_SLOPE } else { limits::MODEL_INTERCEPT }
    }

    /// A step that leaves the coefficients which are at their bounds there: the others may lead back. None where those have their end.
    fn along_bounds(
        &self,
        beta: &DVector<f64>,
        score: &DVector<f64>,
        information: &DMatrix<f64>,
    ) -> Option<DVector<f64>> {
        let (mut score, mut information, mut stay) = (score.clone(), information.clone(), Vec::new());
        loop {
            let step = inverse(&information).ok()? * &score;
            let (share, narrowest) = self.within(beta, &step, &stay);
            if share >= STUCK {
                return Some(step * share).filter(|step| step.amax() > STUCK);
            }
            hold(narrowest, &mut score, &mut information);
            stay.push(narrowest);
        }
    }

    /// How much of a step stays within the bounds on coefficients, and which one allows the least, but for those that stay.
    fn within(&self, beta: &DVector<f64>, step: &DVector<f64>, stay: &[usize]) -> (f64, usize) {
        let mut least = (1.0, 0);
        for i in (0..beta.len()).filter(|i| !stay.contains(i)) {
            let room = (WITHIN * self.bound(i) - beta[i] * step[i].signum()).max(0.0);
            let share = if step[i] == 0.0 { 1.0 } else { room / step[i].abs() };
            if share < least.0 {
                least = (share, i);
            }
        }
        least
    }
}

fn between(a: &Position, b: &Position) -> Position {
    let middle = |a: f64, b: f64| a / 2.0 + b / 2.0;
    let sites = b.sites.iter().map(|(site, x)| (site.clone(), middle(a.sites.get(site).copied().unwrap_or(*x), *x)));
    Position {
        beta: a.beta.iter().zip(&b.beta).map(|(a, b)| middle(*a, *b)).collect(),
        sites: sites.collect(),
        theta: a.theta.zip(b.theta).map(|(a, b)| middle(a, b)),
        robust: b.robust,
    }
}

/// The inverse of a positive definite matrix, by Cholesky's decomposition of it with a diagonal of ones; or the column that others make up.
pub(in crate::analysis) fn inverse(matrix: &DMatrix<f64>) -> Result<DMatrix<f64>, usize> {
    let size = matrix.nrows();
    let scale: Vec<f64> = (0..size).map(|i| matrix[(i, i)].sqrt()).collect();
    if let Some(none) = scale.iter().position(|scale| !(*scale > 0.0 && scale.is_finite())) {
        return Err(none);
    }
    let unit = DMatrix::from_fn(size, size, |i, j| matrix[(i, j)] / scale[i] / scale[j]);
    let decomposed = nalgebra::Cholesky::new(unit.clone());
    let left = |i: usize| decomposed.as_ref().map_or(0.0, |d| d.l_dirty()[(i, i)].powi(2));
    let Some(found) = decomposed.as_ref().filter(|_| (0..size).all(|i| left(i) > COLLINEAR)) else {
        return Err(made_of_others(&unit));
    };
    let inverse = found.inverse();
    Ok(DMatrix::from_fn(size, size, |i, j| inverse[(i, j)] / scale[i] / scale[j]))
}

/// The first row of which nothing is left beside those before it.
fn made_of_others(unit: &DMatrix<f64>) -> usize {
    let size = unit.nrows();
    let mut lower = DMatrix::<f64>::zeros(size, size);
    for i in 0..size {
        for j in 0..=i {
            let sum: f64 = unit[(i, j)] - (0..j).map(|k| lower[(i, k)] * lower[(j, k)]).sum::<f64>();
            if i == j {
                if sum <= COLLINEAR {
                    return i;
                }
                lower[(i, i)] = sum.sqrt();
            } else {
                lower[(i, j)] = sum / lower[(j, j)];
            }
        }
    }
    size - 1
}
