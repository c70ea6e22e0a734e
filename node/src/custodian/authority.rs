//! Who may ask what. Every round is judged here from the signed study, the site's configuration and its own clock; never from data, and
//! never because a coordinator says so.

use bocage_protocol::analysis::plan_for;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::limits;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::Study;
use bocage_protocol::wire::message::RoundRequest;

use crate::config::policy::Decide;
use crate::config::{CustodianConfig, Dataset, Mode, Researcher};

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
    pub researcher: &'a Researcher,
    /// How exact the answer may be.
    pub mode: Mode,
    /// k: no count below it leaves.
    pub threshold: u32,
    /// Whether the steward decides.
    pub standing: Standing,
    /// About which data.
    pub dataset: &'a Dataset,
    /// The plans that the site itself derived: position of the analysis in the study, and plan.
    pub plans: Vec<(u16, ValidPlan)>,
}

/// A refusal, and whether the study may be believed: its signature holds and the site knows the signer.
#[derive(Debug)]
pub struct Refused {
    /// What the requester is told.
    pub error: PublicError,
    /// The study, where it is what a trusted researcher signed.
    pub believed: Option<Box<Study>>,
}

/// Judges a round.
///
/// `released` says that this very round left the site before: then the study's end does not matter, for nothing new leaves.
///
/// # Errors
/// The first rule that the request breaks.
pub fn authorise<'a>(
    request: &RoundRequest,
    now: Timestamp,
    released: bool,
    config: &'a CustodianConfig,
) -> Result<Authorised<'a>, Refused> {
    let stranger = |error| Refused { error, believed: None };
    let study = request.study.verify().map_err(stranger)?;
    let researcher = signer(&study, config).map_err(stranger)?;
    match judge(&study, researcher, request, now, released, config) {
        Ok((mode, dataset, plans)) => {
            let standing = match config.policy.decide {
                Decide::Auto => Standing::Auto,
                Decide::Ask | Decide::Refuse => Standing::Ask { why: "policy.decide".to_owned() },
            };
            let threshold = config.policy.threshold;
            Ok(Authorised { study, researcher, mode, threshold, standing, dataset, plans })
        }
        Err(error) => Err(Refused { error, believed: Some(Box::new(study)) }),
    }
}

type Judged<'a> = (Mode, &'a Dataset, Vec<(u16, ValidPlan)>);

fn judge<'a>(
    study: &Study,
    researcher: &Researcher,
    request: &RoundRequest,
    now: Timestamp,
    released: bool,
    config: &'a CustodianConfig,
) -> Result<Judged<'a>, PublicError> {
    addressed(request, study, config)?;
    if !released {
        study.check_time(now)?;
    }
    let dataset = offered(study, researcher, config)?;
    let mode = mode(researcher)?;
    steps(request, study)?;
    Ok((mode, dataset, plans(request, study, dataset)?))
}

fn signer<'a>(study: &Study, config: &'a CustodianConfig) -> Result<&'a Researcher, PublicError> {
    config.trust.researchers.iter().find(|r| r.key == study.researcher).ok_or_else(|| {
        PublicError::new(
            ErrorCode::SignerUnknown,
            format!("site {} does not trust the key that signed the study", config.site),
        )
        .hint("the site adds the researcher's public key to [[trust]] in its node.toml")
    })
}

fn addressed(request: &RoundRequest, study: &Study, config: &CustodianConfig) -> Result<(), PublicError> {
    if study.network != config.network {
        let message = format!("the study is for network {}, this site is in {}", study.network, config.network);
        return Err(PublicError::new(ErrorCode::NetworkMismatch, message));
    }
    if !request.study.names(study, &config.site) {
        let message = format!("the study does not name site {}", config.site);
        return Err(PublicError::new(ErrorCode::SiteNotNamed, message));
    }
    Ok(())
}

fn offered<'a>(
    study: &Study,
    researcher: &Researcher,
    config: &'a CustodianConfig,
) -> Result<&'a Dataset, PublicError> {
    let dataset = config.dataset(&study.dataset).ok_or_else(|| {
        let message = format!("site {} has no dataset under contract {}", config.site, study.dataset);
        PublicError::new(ErrorCode::DatasetNotOffered, message).hint("`bocage datasets` shows what every site offers")
    })?;
    if dataset.contract.hash() != study.contract {
        let message = format!("site {} holds contract {} with another content", config.site, study.dataset);
        return Err(PublicError::new(ErrorCode::ContractMismatch, message)
            .hint("compare the contract file of the site with the network's"));
    }
    if researcher.datasets.as_ref().is_some_and(|allowed| !allowed.contains(&study.dataset)) {
        let message = format!("site {} does not let this researcher ask about {}", config.site, study.dataset);
        return Err(PublicError::new(ErrorCode::PolicyRefused, message)
            .hint("the site lists the datasets of a researcher in [[trust]] datasets"));
    }
    Ok(dataset)
}

fn mode(researcher: &Researcher) -> Result<Mode, PublicError> {
    researcher.mode.ok_or_else(|| {
        PublicError::new(ErrorCode::ModeNotAllowed, "the site has not allowed exact answers to this researcher")
            .hint("this version answers exactly or not at all: the site sets mode = \"exact\" for the key in [[trust]]")
    })
}

fn steps(request: &RoundRequest, study: &Study) -> Result<(), PublicError> {
    let rules = [
        (request.round < limits::ROUNDS, "the round's number is too large"),
        (!request.steps.is_empty(), "the round asks nothing"),
        (request.steps.len() <= study.analyses.len(), "the round asks more than the study has"),
        (request.steps.windows(2).all(|w| w[0].analysis < w[1].analysis), "the round's analyses are not in order"),
        (
            request.steps.iter().all(|s| usize::from(s.analysis) < study.analyses.len()),
            "the round asks an analysis that the study does not have",
        ),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(PublicError::new(ErrorCode::RoundInvalid, *rule)),
        None => Ok(()),
    }
}

fn plans(request: &RoundRequest, study: &Study, dataset: &Dataset) -> Result<Vec<(u16, ValidPlan)>, PublicError> {
    let plan = |step: &bocage_protocol::wire::message::Step| {
        let analysis = study.analyses.get(usize::from(step.analysis)).ok_or_else(|| {
            PublicError::new(ErrorCode::RoundInvalid, "the round asks an analysis that the study does not have")
        })?;
        let plan = plan_for(&analysis.spec, study.query(), request.round, &step.state)?;
        let valid =
            ValidPlan::check(plan, &dataset.contract).map_err(|problems| told(analysis.name.as_str(), &problems))?;
        Ok((step.analysis, valid))
    };
    request.steps.iter().map(plan).collect()
}

/// The first problems of a plan, as a requester may read them: they speak of study and contract only.
fn told(analysis: &str, problems: &Problems) -> PublicError {
    let texts: Vec<String> =
        problems.0.iter().take(PROBLEMS_TOLD).map(|p| format!("{}: {}", p.key, p.message)).collect();
    PublicError::new(ErrorCode::StudyInvalid, format!("analysis {analysis}: {}", texts.join("; ")))
        .hint("`bocage study check` shows every problem before a study is signed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CustodianConfig;
    use crate::fixture::{NOW, Site};
    use bocage_protocol::ids::Digest;
    use bocage_protocol::trust::{SecretKey, Sites};

    fn code(request: &RoundRequest, config: &CustodianConfig) -> ErrorCode {
        authorise(request, NOW, false, config).unwrap_err().error.code
    }

    /// The refusal of a study that was changed and then signed by the trusted researcher.
    fn changed(change: impl FnOnce(&mut Study)) -> ErrorCode {
        let site = Site::new();
        let mut study = site.study();
        change(&mut study);
        code(&site.request(&study), &site.config())
    }

    #[test]
    fn a_sound_round_is_authorised_with_the_plans_that_the_site_derived() {
        let site = Site::new();
        let config = site.config();
        let authorised = authorise(&site.request(&site.study()), NOW, false, &config).unwrap();
        assert_eq!((authorised.researcher.name.as_str(), authorised.mode), ("Ada", Mode::Exact));
        assert_eq!(authorised.plans.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn one_altered_byte_anywhere_in_the_study_is_refused() {
        let site = Site::new();
        let config = site.config();
        let request = site.request(&site.study());
        for at in 0..request.study.study.len() {
            let mut bytes = request.study.study.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(study) = String::from_utf8(bytes) else { continue };
            let mut altered = request.clone();
            altered.study.study = study;
            let refused = authorise(&altered, NOW, false, &config).unwrap_err();
            assert!(refused.believed.is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_signature_by_another_key_and_a_signer_whom_the_site_does_not_know_are_refused() {
        let site = Site::new();
        let stranger = Site::new();
        let mut study = site.study();
        let forged = RoundRequest {
            study: bocage_protocol::trust::SignedStudy::sign(&study, &stranger.researcher).unwrap(),
            ..site.request(&study)
        };
        assert_eq!(code(&forged, &site.config()), ErrorCode::SignatureInvalid);
        study.researcher = stranger.researcher.public();
        assert_eq!(code(&stranger.request(&study), &site.config()), ErrorCode::SignerUnknown);
    }

    #[test]
    fn every_rule_about_the_study_has_its_own_code() {
        let name = |text: &str| text.parse().unwrap();
        assert_eq!(changed(|s| s.network = "other-net".parse().unwrap()), ErrorCode::NetworkMismatch);
        assert_eq!(changed(|s| s.sites = Sites::of(vec![name("hungary"), name("zurich")])), ErrorCode::SiteNotNamed);
        assert_eq!(changed(|s| s.dataset = "lung@1".parse().unwrap()), ErrorCode::DatasetNotOffered);
        assert_eq!(changed(|s| s.contract = Digest::from_bytes([1; 32])), ErrorCode::ContractMismatch);
        assert_eq!(changed(|s| s.title.clear()), ErrorCode::StudyInvalid);
        let early = |s: &mut Study| {
            s.issued_at = NOW.plus_secs(3600);
            s.expires_at = NOW.plus_secs(7200);
        };
        assert_eq!(changed(early), ErrorCode::StudyNotYetValid);
        let unknown = |s: &mut Study| s.filter = Some(bocage_protocol::plan::Expr::Column("weight".parse().unwrap()));
        assert_eq!(changed(unknown), ErrorCode::StudyInvalid);
    }

    #[test]
    fn an_expired_study_is_refused_unless_its_answer_left_before() {
        let site = Site::new();
        let (config, request) = (site.config(), site.request(&site.study()));
        let late = site.study().expires_at.plus_secs(301);
        assert_eq!(authorise(&request, late, false, &config).unwrap_err().error.code, ErrorCode::StudyExpired);
        assert!(authorise(&request, late, true, &config).is_ok());
    }

    #[test]
    fn the_sites_own_policy_decides_over_datasets_and_mode() {
        let site = Site::new();
        let request = site.request(&site.study());
        site.edit_config("mode = \"exact\"", "mode = \"exact\"\ndatasets = [\"lung@1\"]");
        assert_eq!(code(&request, &site.config()), ErrorCode::PolicyRefused);
        site.edit_config("mode = \"exact\"\ndatasets = [\"lung@1\"]", "");
        let refused = authorise(&request, NOW, false, &site.config()).unwrap_err();
        assert_eq!(refused.error.code, ErrorCode::ModeNotAllowed);
        assert!(refused.error.hint.is_some() && refused.believed.is_some());
    }

    #[test]
    fn a_round_out_of_its_bounds_is_refused() {
        let site = Site::new();
        let config = site.config();
        let sound = site.request(&site.study());
        let refused = |change: &dyn Fn(&mut RoundRequest)| {
            let mut request = sound.clone();
            change(&mut request);
            code(&request, &config)
        };
        assert_eq!(refused(&|r| r.round = 1), ErrorCode::RoundInvalid);
        assert_eq!(refused(&|r| r.round = u16::MAX), ErrorCode::RoundInvalid);
        assert_eq!(refused(&|r| r.steps.clear()), ErrorCode::RoundInvalid);
        assert_eq!(refused(&|r| r.steps.reverse()), ErrorCode::RoundInvalid);
        assert_eq!(refused(&|r| r.steps[1].analysis = 0), ErrorCode::RoundInvalid);
        assert_eq!(refused(&|r| r.steps[1].analysis = 2), ErrorCode::RoundInvalid);
    }

    #[test]
    fn a_revoked_researcher_is_refused_even_what_left_before() {
        let site = Site::new();
        let request = site.request(&site.study());
        let other = SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
        site.edit_config(&site.researcher.public().to_string(), &other.to_string());
        let refused = authorise(&request, NOW, true, &site.config()).unwrap_err();
        assert_eq!(refused.error.code, ErrorCode::SignerUnknown);
    }
}
