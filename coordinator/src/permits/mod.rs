//! What coordinator and researcher can tell of a permit before a hospital is asked: whether it covers a study, and whether it was taken back.
//!
//! A node believes neither of them and judges for itself; this spares everybody the study that would be refused.

mod bodies;
mod researchers;

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::plan::{Touches as Touched, ValidPlan};
use bocage_protocol::trust::{Permit, PublicKey, Revocations, Study};

pub use bodies::{AccessBodies, Taken};
pub use researchers::Researchers;

/// A study as a permit sees it.
#[derive(Debug, Clone, Copy)]
pub struct Touches<'a> {
    /// The study.
    pub study: &'a Study,
    /// The sites that it asks.
    pub sites: &'a [SiteId],
    /// Every column that one of its plans reads, filters included, of every dataset.
    pub reads: &'a Touched,
}

/// Every column that one of these plans reads, of every dataset that it looks into.
pub fn reads<'a>(plans: impl IntoIterator<Item = &'a ValidPlan>) -> Touched {
    let mut reads = Touched::new();
    for (dataset, columns) in plans.into_iter().flat_map(ValidPlan::touches) {
        reads.entry(dataset.clone()).or_default().extend(columns.iter().cloned());
    }
    reads
}

/// Whether a coordinator takes the study: of a researcher whom it knows, or of the holder of a permit of an access body that it knows.
///
/// # Errors
/// `permit_issuer_unknown` or, without a permit, `signer_unknown`.
pub fn admitted(
    study: &Study,
    permit: Option<&Permit>,
    researchers: &[PublicKey],
    access_bodies: &[PublicKey],
) -> Result<(), PublicError> {
    if researchers.contains(&study.researcher) {
        return Ok(());
    }
    match permit {
        Some(permit) if access_bodies.contains(&permit.issuer) => Ok(()),
        Some(permit) => {
            let message = format!("the coordinator does not know the access body {} of the permit", permit.issuer);
            Err(PublicError::new(ErrorCode::PermitIssuerUnknown, message)
                .hint("ask for an [[access_body]] entry in the coordinator's configuration, and in the sites'"))
        }
        None => {
            let message = format!("the coordinator does not know the key {}", study.researcher);
            Err(PublicError::new(ErrorCode::SignerUnknown, message).hint(
                "name the permit that you hold with --permit, or ask for a [[researcher]] entry in the coordinator's configuration",
            ))
        }
    }
}

/// Everything about the study that the permit of this digest does not cover at this time; nothing if it covers it.
pub fn uncovered(permit: &Permit, digest: &Digest, touches: Touches<'_>, now: Timestamp) -> Vec<PublicError> {
    let Touches { study, sites, reads } = touches;
    let outside: Vec<&str> = sites.iter().filter(|s| permit.check_site(s).is_err()).map(SiteId::as_str).collect();
    let at_sites = if outside.is_empty() {
        Ok(())
    } else {
        let message = format!("permit {} does not cover the sites {}", permit.id, outside.join(", "));
        Err(PublicError::new(ErrorCode::PermitSites, message)
            .hint("name the sites that are to be asked in the study's `sites`"))
    };
    let whole = permit.check_study(study, digest);
    // Of a dataset that it does not cover, the columns need not be said as well.
    let other_dataset = whole.as_ref().is_err_and(|error| error.code == ErrorCode::PermitScope);
    let columns =
        reads.iter().filter(|_| !other_dataset).map(|(dataset, columns)| permit.check_columns(dataset, columns));
    [permit.check_time(now), whole, at_sites].into_iter().chain(columns).filter_map(Result::err).collect()
}

/// The refusal of a permit that stands in its access body's list.
pub fn taken_back(permit: &Permit, digest: &Digest, list: &Revocations) -> Option<PublicError> {
    let revoked = list.revokes(digest)?;
    let message = format!("permit {} was taken back at {}", permit.id, revoked.at);
    Some(PublicError::new(ErrorCode::PermitRevoked, message).hint("ask the access body for a new permit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{SITES, START, contract, key, permit, site, under};
    use bocage_protocol::analysis::{AnalysisSpec, RoundState, plan_for};

    fn columns(study: &Study) -> Touched {
        let plan = |analysis: &AnalysisSpec| {
            let plan = plan_for(&analysis.spec, study.query(), 0, &RoundState::First).unwrap();
            ValidPlan::check(plan, &contract()).unwrap()
        };
        let plans: Vec<ValidPlan> = study.analyses.iter().map(plan).collect();
        reads(&plans)
    }

    #[test]
    fn a_study_is_taken_of_a_known_researcher_or_under_the_permit_of_a_known_access_body() {
        let (signed, study) = under(&permit(|_| ()), 1);
        let permit = signed.permit.unwrap().verify().unwrap();
        let (signer, issuer, other) = (study.researcher, permit.issuer, key(77).public());
        let code = |permit, researchers: &[PublicKey], bodies: &[PublicKey]| {
            admitted(&study, permit, researchers, bodies).err().map(|error| error.code)
        };
        assert_eq!(code(None, &[other, signer], &[]), None);
        assert_eq!(code(Some(&permit), &[other], &[issuer]), None);
        assert_eq!(code(Some(&permit), &[other], &[other]), Some(ErrorCode::PermitIssuerUnknown));
        assert_eq!(code(None, &[other], &[issuer]), Some(ErrorCode::SignerUnknown));
    }

    #[test]
    fn everything_that_a_permit_does_not_cover_is_told_at_once() {
        let (signed, study) = under(&permit(|_| ()), 1);
        let study = (signed.permit.unwrap(), study);
        let sites = SITES.map(site);
        let reads = columns(&study.1);
        let touches = Touches { study: &study.1, sites: &sites, reads: &reads };
        let judged = |change: &dyn Fn(&mut Permit), now| {
            let mut permit = study.0.verify().unwrap();
            change(&mut permit);
            uncovered(&permit, &study.0.digest(), touches, now).iter().map(|error| error.code).collect::<Vec<_>>()
        };
        assert_eq!(judged(&|_| (), START), []);
        let narrower = |p: &mut Permit| {
            p.datasets[0].columns = Some(vec!["age".parse().unwrap()]);
            p.sites = Some(vec![site("cleveland")]);
            p.holder.key = key(5).public();
        };
        let late = START.plus_secs(900 * 86_400);
        let wanted =
            [ErrorCode::PermitExpired, ErrorCode::PermitHolder, ErrorCode::PermitSites, ErrorCode::PermitScope];
        assert_eq!(judged(&narrower, late), wanted);
        assert_eq!(judged(&|p| p.datasets[0].dataset = "lung@1".parse().unwrap(), START), [ErrorCode::PermitScope]);
    }
}
