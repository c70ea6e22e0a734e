//! Who may ask what. Every round is judged here from the signed study, the site's configuration and its own clock; never from data, and
//! never because a coordinator says so.

mod datasets;
mod later;
mod permit;
pub mod policy;
mod requester;

use std::collections::BTreeSet;

use bocage_protocol::analysis::{AnalysisSpec, Ends, RoundState, awaits, plan_for, plan_of};
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::ContractId;
use bocage_protocol::limits;
use bocage_protocol::plan::{Plan, ValidPlan};
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::{PermitMode, SignedPermit, Study};
use bocage_protocol::wire::message::{RoundRequest, Step};

use super::controls::{Control, Controls};
use super::ledger::Lists;
use crate::config::policy::Decide;
use crate::config::{CustodianConfig, Dataset, Mode, Researcher, THRESHOLD_MAX};

pub use datasets::Datasets;
use datasets::{columns, offered};
pub use later::{may_begin, may_fit, within_cap};
use permit::Shown;
pub use policy::{Cap, Effective};
pub use requester::{PermitUse, Requester, related};

/// How many of a plan's problems a refusal repeats.
const PROBLEMS_TOLD: usize = 3;

/// What the site's policy says about a sound round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is answered.
    Auto,
    /// The steward decides; `why` says by which rule.
    Ask {
        /// For the steward and the researcher.
        why: String,
    },
}

/// A round that may be computed, by its signatures and its scope. Whether the steward must say yes first, its standing tells.
#[derive(Debug)]
pub struct Authorised<'a> {
    /// The study, as signed.
    pub study: Study,
    /// Who asks.
    pub requester: Requester,
    /// How exact the answer may be.
    pub mode: Mode,
    /// Who says so: trust, permit or a rule, in words.
    pub mode_by: String,
    /// k: no count below it leaves.
    pub threshold: u32,
    /// Whether the steward decides.
    pub standing: Standing,
    /// All that the site's policy says about the study. Its cap is the stricter of the policy's and the permit's.
    pub policy: Effective,
    /// About which data.
    pub dataset: &'a Dataset,
    /// The other datasets that it looks into, each once.
    pub related: Vec<&'a Dataset>,
    /// The plans that the site itself derived: position of the analysis in the study, and plan.
    pub plans: Vec<(u16, ValidPlan)>,
}

impl<'a> Authorised<'a> {
    /// All its datasets.
    pub fn datasets(&self) -> Datasets<'a> {
        Datasets { base: self.dataset, related: self.related.clone() }
    }
}

/// A refusal, and whether the study may be believed: its signature holds, and the site knows by what right its signer asks.
#[derive(Debug)]
pub struct Refused {
    /// What the requester is told.
    pub error: PublicError,
    /// The study and who signed it.
    pub believed: Option<Box<(Study, Requester)>>,
}

/// What happened to the study here before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// This very round left the site: then the end of study and permit do not matter, for nothing new leaves.
    pub released: bool,
    /// Some round of it was begun.
    pub begun: bool,
}

/// Who asks, by what right, and what the site's `[[trust]]` says about it.
struct Asker<'a> {
    requester: Requester,
    mode: Option<Mode>,
    datasets: Option<&'a [ContractId]>,
    permit: Option<Shown<'a>>,
}

/// Judges a round. `lists` are the newest lists of revoked permits that the site knows.
///
/// # Errors
/// The first rule that the request breaks.
pub fn authorise<'a>(
    request: &RoundRequest,
    now: Timestamp,
    past: Past,
    lists: &Lists,
    config: &'a CustodianConfig,
) -> Result<Authorised<'a>, Refused> {
    authorise_under(Controls::default(), request, now, past, lists, config)
}

/// [`authorise`] with the controls that the custodian was made with.
pub(super) fn authorise_under<'a>(
    controls: Controls,
    request: &RoundRequest,
    now: Timestamp,
    past: Past,
    lists: &Lists,
    config: &'a CustodianConfig,
) -> Result<Authorised<'a>, Refused> {
    let stranger = |error| Refused { error, believed: None };
    let study = request.study.verify().map_err(stranger)?;
    let asker = asker(&study, request.study.permit.as_ref(), controls, config).map_err(stranger)?;
    let named = request.study.names(&study, &config.site);
    let asked = Asked { named, round: request.round, steps: Some(&request.steps) };
    judged(study, asker, &asked, &Known { now, past, lists, controls }, config)
}

/// Judges the first round of a study as if whom it names had signed it: what a steward asks before anything is signed. `named` says
/// whether it names the site.
///
/// # Errors
/// The first rule that the study would break.
pub fn consider<'a>(
    study: Study,
    named: bool,
    permit: Option<&SignedPermit>,
    now: Timestamp,
    lists: &Lists,
    config: &'a CustodianConfig,
) -> Result<Authorised<'a>, Refused> {
    let controls = Controls::default();
    let asker = asker(&study, permit, controls, config).map_err(|error| Refused { error, believed: None })?;
    judged(
        study,
        asker,
        &Asked { named, round: 0, steps: None },
        &Known { now, past: Past::default(), lists, controls },
        config,
    )
}

/// What a round asks.
struct Asked<'a> {
    /// Whether the study names the site.
    named: bool,
    round: u16,
    /// None where all of the study is looked at before anything is asked.
    steps: Option<&'a [Step]>,
}

/// What a judgement rests on beside study and configuration.
struct Known<'a> {
    now: Timestamp,
    past: Past,
    lists: &'a Lists,
    controls: Controls,
}

fn judged<'a>(
    study: Study,
    asker: Asker<'_>,
    asked: &Asked<'_>,
    known: &Known<'_>,
    config: &'a CustodianConfig,
) -> Result<Authorised<'a>, Refused> {
    match judge(&study, &asker, asked, known, config) {
        Ok(Judged { mode: (mode, mode_by), policy, datasets: Datasets { base: dataset, related }, plans }) => {
            let standing = match policy.decide {
                Decide::Ask => Standing::Ask { why: policy.by.clone() },
                _ => Standing::Auto,
            };
            let (requester, threshold) = (asker.requester, policy.threshold);
            Ok(Authorised { study, requester, mode, mode_by, threshold, standing, policy, dataset, related, plans })
        }
        Err(error) => Err(Refused { error, believed: Some(Box::new((study, asker.requester))) }),
    }
}

struct Judged<'a> {
    mode: (Mode, String),
    policy: Effective,
    datasets: Datasets<'a>,
    plans: Vec<(u16, ValidPlan)>,
}

fn judge<'a>(
    study: &Study,
    asker: &Asker<'_>,
    asked: &Asked<'_>,
    &Known { now, past, lists, controls }: &Known<'_>,
    config: &'a CustodianConfig,
) -> Result<Judged<'a>, PublicError> {
    addressed(asked, study, controls, config)?;
    if !past.released {
        controls.hold(Control::Validity, study.check_time(now))?;
    }
    if let Some(shown) = &asker.permit {
        shown.check(study, now, past, (lists, controls), config)?;
    }
    let datasets = offered(study, asker, controls, config)?;
    let mut policy = policy(study, asker, controls, config)?;
    let mode = mode(asker, &policy, controls)?;
    let threshold = mode.0.threshold(policy.threshold);
    if threshold > policy.threshold {
        policy.threshold = threshold;
        policy.threshold_by = format!("{}, raised by mode {}", policy.threshold_by, mode.0.as_str());
    }
    controls.hold(Control::RoundShape, steps(asked, study))?;
    let plans = plans(asked, study, &datasets)?;
    columns(study, (asked.round, &plans), asker, &datasets, controls)?;
    Ok(Judged { mode, policy, datasets, plans })
}

/// By what right somebody asks. A study that relies on a permit is judged by that permit, whoever signed it.
fn asker<'a>(
    study: &Study,
    permit: Option<&SignedPermit>,
    controls: Controls,
    config: &'a CustodianConfig,
) -> Result<Asker<'a>, PublicError> {
    if study.permit.is_some() {
        let shown = Shown::with(permit, controls, config)?;
        controls.hold(Control::PermitBinding, shown.belongs_to(study))?;
        let holder = &shown.permit.holder;
        let (access_body, issuer) = (shown.issuer.name.clone(), shown.issuer.key);
        let requester = Requester {
            name: holder.name.clone(),
            organisation: Some(holder.organisation.clone()),
            key: holder.key,
            permit: Some(PermitUse { reference: shown.reference(), access_body, issuer }),
        };
        let (mode, datasets) = (shown.issuer.mode, shown.issuer.datasets.as_deref());
        return Ok(Asker { requester, mode, datasets, permit: Some(shown) });
    }
    let known = |r: &&Researcher| r.key == study.researcher || !controls.enforces(Control::SignerTrust);
    if let Some(trusted) = config.trust.researchers.iter().find(known) {
        let requester = Requester { name: trusted.name.clone(), organisation: None, key: trusted.key, permit: None };
        return Ok(Asker { requester, mode: trusted.mode, datasets: trusted.datasets.as_deref(), permit: None });
    }
    Err(if config.trust.access_bodies.is_empty() {
        let message = format!("site {} does not trust the key that signed the study", config.site);
        PublicError::new(ErrorCode::SignerUnknown, message)
            .hint("the site adds the researcher's public key to [[trust]] in its node.toml")
    } else {
        let message = format!("site {} answers a study by this key only under a permit", config.site);
        PublicError::new(ErrorCode::PermitRequired, message)
            .hint("sign the study with `--permit FILE`; the site's access body issues permits")
    })
}

/// What the site's policy and the permit say, the stricter of both.
fn policy(
    study: &Study,
    asker: &Asker<'_>,
    controls: Controls,
    config: &CustodianConfig,
) -> Result<Effective, PublicError> {
    let mut policy = Effective::of(&config.policy, &asker.requester.account(study));
    controls.hold(Control::PolicyDecides, not_refused(study, &policy, config))?;
    let Some(Shown { permit, .. }) = &asker.permit else { return Ok(policy) };
    let by = format!("permit {}", permit.id);
    if permit.threshold > THRESHOLD_MAX {
        let message = format!("{by} wants a threshold of {}, and a site has {THRESHOLD_MAX} at most", permit.threshold);
        return Err(PublicError::new(ErrorCode::PolicyRefused, message).hint("ask the access body for another permit"));
    }
    if permit.threshold > policy.threshold {
        (policy.threshold, policy.threshold_by) = (permit.threshold, by.clone());
    }
    policy.model_threshold = policy.model_threshold.map(|pairs| pairs.max(permit.threshold));
    let own = Cap { most: permit.max_cells, by };
    policy.cap = Some(match policy.cap.take() {
        Some(cap) => cap.stricter(own),
        None => own,
    });
    Ok(policy)
}

/// Whether the policy lets the study in, and publishes results of the site alone where it asks for such.
fn not_refused(study: &Study, policy: &Effective, config: &CustodianConfig) -> Result<(), PublicError> {
    let refuse = |message: String, hint: &str| Err(PublicError::new(ErrorCode::PolicyRefused, message).hint(hint));
    if policy.decide == Decide::Refuse {
        let message = format!("the policy of site {} refuses the study ({})", config.site, policy.by);
        return refuse(message, "talk to the site's steward");
    }
    let own = study.analyses.iter().find(|analysis| analysis.spec.is_per_site());
    match own.filter(|_| !policy.per_site_results) {
        None => Ok(()),
        Some(analysis) => refuse(
            format!("site {} lets no results of its own be published ({})", config.site, analysis.name),
            "leave `two_stage`, or folds = \"site\", out, or ask its steward for per_site_results = true under [policy]",
        ),
    }
}
fn addressed(
    asked: &Asked<'_>,
    study: &Study,
    controls: Controls,
    config: &CustodianConfig,
) -> Result<(), PublicError> {
    if study.network != config.network && controls.enforces(Control::NetworkNamed) {
        let message = format!("the study is for network {}, this site is in {}", study.network, config.network);
        return Err(PublicError::new(ErrorCode::NetworkMismatch, message));
    }
    if !asked.named && controls.enforces(Control::SiteNamed) {
        let message = format!("the study does not name site {}", config.site);
        return Err(PublicError::new(ErrorCode::SiteNotNamed, message));
    }
    Ok(())
}

/// Exact and rounded answers invite differencing: the trust entry allows them, or the steward does. The least exact of what trust, permit and rules
/// say holds.
fn mode(asker: &Asker<'_>, policy: &Effective, controls: Controls) -> Result<(Mode, String), PublicError> {
    let permit = asker.permit.as_ref().map(|shown| {
        let mode = match shown.permit.mode {
            PermitMode::Exact => Mode::Exact,
            PermitMode::Round => Mode::Round,
        };
        (mode, format!("permit {}", shown.permit.id))
    });
    let trusted = match asker.mode {
        Some(allowed) => (allowed, "[[trust]]".to_owned()),
        None if policy.decide == Decide::Ask || !controls.enforces(Control::ModeGranted) => {
            (Mode::Exact, "the steward's word".to_owned())
        }
        None => {
            let message = "the site has not allowed answers without noise to this researcher";
            return Err(PublicError::new(ErrorCode::ModeNotAllowed, message)
                .hint("the site sets mode = \"exact\" or mode = \"round\" in [[trust]], or lets its steward decide"));
        }
    };
    let rules = policy.mode.clone();
    Ok([permit, rules].into_iter().flatten().fold(trusted, policy::coarser))
}

/// Why a site answers no model in a mode.
pub fn no_models(mode: Mode) -> PublicError {
    let message = format!("the site's policy answers no models in mode {}", mode.as_str());
    PublicError::new(ErrorCode::ModeNotAllowed, message)
        .hint("ask a table, or talk to the site's steward: models = \"exact\" in its policy answers models exactly")
}

fn steps(asked: &Asked<'_>, study: &Study) -> Result<(), PublicError> {
    let Some(steps) = asked.steps else { return Ok(()) };
    let asks = |step: &&Step| !matches!(step.state, RoundState::Ended { .. });
    let mut awaited = BTreeSet::new();
    for step in steps.iter().filter(asks) {
        awaited.extend(awaits(study, step.analysis)?);
    }
    let rules = [
        (asked.round < limits::ROUNDS, "the round's number is too large"),
        (steps.iter().any(|step| asks(&step)), "the round asks nothing"),
        (steps.len() <= study.analyses.len(), "the round asks more than the study has"),
        (steps.windows(2).all(|w| w[0].analysis < w[1].analysis), "the round's analyses are not in order"),
        (
            steps.iter().all(|s| usize::from(s.analysis) < study.analyses.len()),
            "the round asks an analysis that the study does not have",
        ),
        (
            steps.iter().all(|step| asks(&step) || awaited.contains(&step.analysis)),
            "the round says where a fit ended that nothing waits for",
        ),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(PublicError::new(ErrorCode::RoundInvalid, *rule)),
        None => Ok(()),
    }
}

fn plans(asked: &Asked<'_>, study: &Study, datasets: &Datasets<'_>) -> Result<Vec<(u16, ValidPlan)>, PublicError> {
    let Some(steps) = asked.steps else {
        return Ok((0..).zip(first_round(study, datasets)?).collect());
    };
    let ends = Ends::of(steps.iter().map(|step| (step.analysis, &step.state)));
    let asks = steps.iter().filter(|step| !matches!(step.state, RoundState::Ended { .. }));
    let plan = |step: &Step| {
        let plan = plan_of(study, step.analysis, asked.round, &step.state, &ends)?;
        let analysis = study.analyses.get(usize::from(step.analysis)).map_or("", |analysis| analysis.name.as_str());
        Ok((step.analysis, checked(plan, analysis, study, datasets)?))
    };
    asks.map(plan).collect()
}

/// The plans of each analysis' first round, whatever a coordinator asks first, and without the coefficients that some of them wait for.
///
/// # Errors
/// `study_invalid`.
pub fn first_round(study: &Study, datasets: &Datasets<'_>) -> Result<Vec<ValidPlan>, PublicError> {
    let plan = |analysis: &AnalysisSpec| {
        let plan = plan_for(&analysis.spec, study.query(), 0, &RoundState::First)?;
        checked(plan, analysis.name.as_str(), study, datasets)
    };
    study.analyses.iter().map(plan).collect()
}

/// The plans of a question's later rounds, each as large as it may be, with how many of it there are at most.
///
/// # Errors
/// `study_invalid`.
pub fn later_rounds(
    analysis: &AnalysisSpec,
    study: &Study,
    datasets: &Datasets<'_>,
) -> Result<Vec<(u16, ValidPlan)>, PublicError> {
    let plan = |(rounds, state): (u16, RoundState)| {
        let plan = plan_for(&analysis.spec, study.query(), 1, &state)?;
        Ok((rounds, checked(plan, analysis.name.as_str(), study, datasets)?))
    };
    analysis.spec.later_rounds(study.sites.count()).into_iter().map(plan).collect()
}

fn checked(plan: Plan, analysis: &str, study: &Study, datasets: &Datasets<'_>) -> Result<ValidPlan, PublicError> {
    ValidPlan::check(plan, datasets.contracts(study)).map_err(|problems| told(analysis, &problems))
}

/// The first problems of a plan, as a requester may read them: they speak of study and contract only.
fn told(analysis: &str, problems: &Problems) -> PublicError {
    let texts: Vec<String> =
        problems.0.iter().take(PROBLEMS_TOLD).map(|p| format!("{}: {}", p.key, p.message)).collect();
    PublicError::new(ErrorCode::StudyInvalid, format!("analysis {analysis}: {}", texts.join("; ")))
        .hint("`bocage study check` shows every problem before a study is signed")
}

#[cfg(test)]
mod tests;
