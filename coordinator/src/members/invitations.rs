//! Invitations: made, taken back, and what each allows. A site gets in by one once, with the keys that it shows then; with the same keys again, as
//! long as the invitation is good, it gets the same answer, so that an enrolment that was interrupted can be repeated.
//!
//! A site is known by one release key. Only an invitation that says so gives it another.

use bocage_net::env::SystemEntropy;
use bocage_net::identity::chain_der;
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::marks::one_line;
use bocage_protocol::trust::{INVITATION_FORMAT, Invitation, InvitationToken, InvitedBody, InvitedContract, PublicKey};

use super::roster::Roster;
use crate::config::InvitationSettings;
use crate::dispatch::Context;
use crate::store::{Enrolment, KeptInvitation};

/// What is asked for a new invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Who is invited.
    pub site: SiteId,
    /// How long it is good.
    pub days: u32,
    /// Whether the site may get another release key.
    pub replace: bool,
}

/// Makes an invitation and keeps what is needed to know it again. Its token is nowhere but in the answer.
///
/// # Errors
/// This coordinator invites nobody, the site is not in its configuration, or the store failed.
pub async fn invite(context: &Context, wanted: Wanted) -> Result<Invitation, PublicError> {
    let no = |code, message: String, hint: &str| Err(PublicError::new(code, message).hint(hint));
    if context.issuing.authority().is_none() {
        return Err(super::issuing::IssueError::Off.into());
    }
    let Some(settings) = &context.invitations else {
        let message = "this coordinator does not know where sites reach it".to_owned();
        return no(ErrorCode::NotIssuing, message, "name its addresses under [invitations] of coordinator.toml");
    };
    let Some(name) = context.roster.name(&wanted.site) else {
        let message = format!("site {} is not in the network", wanted.site);
        return no(
            ErrorCode::SiteUnknown,
            message,
            "add it to coordinator.toml as [[site]] with id and name, and restart",
        );
    };
    if !limits::INVITATION_DAYS.contains(&wanted.days) {
        let (least, most) = (limits::INVITATION_DAYS.start(), limits::INVITATION_DAYS.end());
        return no(ErrorCode::Malformed, format!("an invitation is good for {least} to {most} days"), "7 is usual");
    }
    let invitation = invitation(context, settings, &wanted, name)?;
    let kept = KeptInvitation {
        token: invitation.token.hash(),
        site: wanted.site,
        replace: wanted.replace,
        made_at: context.clock.now(),
        expires_at: invitation.expires_at,
        withdrawn_at: None,
        used: None,
    };
    tracing::info!(site = %kept.site, invitation = %kept.token.short(), until = %kept.expires_at, replace = kept.replace, "invited");
    context.store.with(move |store| store.invite(&kept)).await?;
    Ok(invitation)
}

fn invitation(
    context: &Context,
    settings: &InvitationSettings,
    wanted: &Wanted,
    name: String,
) -> Result<Invitation, PublicError> {
    let unreadable = |error: String| {
        tracing::error!(error, file = %settings.ca_file.display(), "the network's roots cannot be read");
        PublicError::new(ErrorCode::Internal, "the coordinator cannot read the network's roots")
            .hint("its log has the cause")
    };
    let roots = std::fs::read_to_string(&settings.ca_file).map_err(|error| unreadable(error.to_string()))?;
    chain_der(&roots).map_err(|error| unreadable(error.to_string()))?;
    let bodies = context.access_bodies.all().into_iter();
    let bodies = bodies.map(|(body, _)| InvitedBody { name: one_line(&body.name), key: body.key, mode: settings.mode });
    let contract = |known: &crate::config::KnownContract| InvitedContract {
        id: known.contract.id().clone(),
        text: known.text.clone(),
    };
    let made = Invitation {
        format: INVITATION_FORMAT,
        network: context.network.clone(),
        site: wanted.site.clone(),
        name: one_line(&name),
        quic: settings.quic.clone(),
        tcp: settings.tcp.clone(),
        token: InvitationToken::generate(&mut SystemEntropy),
        expires_at: context.clock.now().plus_secs(i64::from(wanted.days) * 86_400),
        fingerprint: String::new(),
        threshold: settings.threshold,
        policy: settings.policy.clone(),
        roots,
        access_bodies: bodies.collect(),
        contracts: context.contracts.values().map(contract).collect(),
    };
    made.sealed()
}

/// Who asks to be let in. The keys are proven to be its own.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub site: SiteId,
    pub release_key: PublicKey,
    pub tls_key: [u8; 32],
}

/// What an invitation gives to who asks with it.
#[derive(Debug, PartialEq)]
pub(super) enum Admission {
    /// The site is known by these keys from now on.
    New(Box<Enrolment>),
    /// It was let in by this invitation with these keys before.
    Again,
}

/// Whether who asks is let in. `kept` is the invitation of the token that was shown.
pub(super) fn admission(
    kept: Option<KeptInvitation>,
    asking: &Asking,
    roster: &Roster,
    now: Timestamp,
) -> Result<Admission, PublicError> {
    let again = "ask whoever sent it for a new one: `bocage network invite SITE`";
    let no = |code, message: String, hint: &str| Err(PublicError::new(code, message).hint(hint));
    let site = &asking.site;
    let Some(kept) = kept.filter(|kept| kept.site == *site) else {
        let message = format!("this coordinator has made no such invitation of site {site}");
        return no(ErrorCode::InvitationUnknown, message, "compare the network, and use the file as it was sent");
    };
    if !roster.contains(site) {
        let message = format!("site {site} is no longer in the network");
        return no(ErrorCode::SiteUnknown, message, "ask the network's operator");
    }
    let present = roster.release_key(site);
    if let Some(used) = &kept.used {
        let same = used.release_key == asking.release_key && used.tls_key == asking.tls_key;
        if !same {
            let message = format!("the invitation was used with other keys, at {}", used.at);
            let hint = "if that was not you, tell the network's operator at once; else enrol from the folder that has these keys";
            return no(ErrorCode::InvitationUsed, message, hint);
        }
        if present != Some(asking.release_key) {
            let message = format!("site {site} has enrolled with other keys since the invitation was used");
            return no(ErrorCode::InvitationUsed, message, again);
        }
    }
    if let Some(at) = kept.withdrawn_at {
        let message = format!("the invitation was taken back at {at}");
        return no(ErrorCode::InvitationWithdrawn, message, "a newer one of the site takes the place of those before");
    }
    if now > kept.expires_at {
        return no(ErrorCode::InvitationExpired, format!("the invitation expired at {}", kept.expires_at), again);
    }
    if kept.used.is_some() {
        return Ok(Admission::Again);
    }
    if present.is_some_and(|key| key != asking.release_key) && !kept.replace {
        let message = format!("site {site} is known by another release key");
        let hint = "enrol with the release key that it has, or ask for an invitation that replaces it: `bocage network invite SITE --replace`";
        return no(ErrorCode::ReleaseKeyKnown, message, hint);
    }
    if roster.of_key(&asking.release_key).is_some_and(|other| other != *site) {
        let message = "another site is known by this release key".to_owned();
        return no(ErrorCode::ReleaseKeyKnown, message, "every site makes its own: enrol into an empty folder");
    }
    Ok(Admission::New(Box::new(Enrolment {
        site: site.clone(),
        release_key: asking.release_key,
        tls_key: asking.tls_key,
        at: now,
        invitation: kept.token,
    })))
}
