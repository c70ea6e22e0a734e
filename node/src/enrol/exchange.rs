//! The hospital's side of an enrolment: one request, one answer, on a stream whose other end has proven that it is the network's coordinator.

use bocage_net::Identity;
use bocage_net::frame::{FrameError, read_message, write_message};
use bocage_net::tls::certified_site;
use bocage_protocol::env::Timestamp;
use bocage_protocol::limits::{CLOCK_TOLERANCE_SECS, ENROL_ANSWER_BYTES};
use bocage_protocol::marks::one_line;
use bocage_protocol::trust::Invitation;
use bocage_protocol::wire::enrol::{EnrolAnswer, EnrolRequest, Enrolled, proof};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::EnrolError;
use super::draft::Keys;

/// Shows the keys' public halves with the invitation's token, and returns what the coordinator gives for them.
///
/// # Errors
/// The stream failed, or the coordinator refuses.
pub async fn exchange<S>(stream: &mut S, invitation: &Invitation, keys: &Keys) -> Result<Enrolled, EnrolError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (network, site) = (&invitation.network, &invitation.site);
    let request = EnrolRequest {
        network: network.clone(),
        site: site.clone(),
        token: invitation.token.clone(),
        certificate_request: keys.tls.request()?,
        release_key: keys.release.public(),
        proof: proof(&keys.release, network, site, &invitation.token.hash(), &keys.tls.public()),
    };
    write_message(stream, &request).await?;
    let answer = read_message(stream, ENROL_ANSWER_BYTES).await?;
    // It has said all that it says, whether it hears that we are done or not.
    let _ = stream.shutdown().await.map_err(FrameError::Io);
    match answer {
        EnrolAnswer::Enrolled(enrolled) => Ok(enrolled),
        EnrolAnswer::Refused(mut error) => {
            error.message = one_line(&error.message);
            error.hint = error.hint.map(|hint| one_line(&hint));
            Err(EnrolError::Refused(error))
        }
    }
}

/// Whether a chain is what was asked for: this site's, for our key, by the invitation's roots, valid by our clock.
///
/// # Errors
/// What it is instead.
pub fn verify(enrolled: &Enrolled, invitation: &Invitation, keys: &Keys, now: Timestamp) -> Result<(), EnrolError> {
    let skew_ms = now.since_ms(enrolled.now);
    if skew_ms.abs() > CLOCK_TOLERANCE_SECS * 1000 {
        return Err(EnrolError::Clock { skew_secs: skew_ms / 1000 });
    }
    let bad = |error: bocage_net::identity::CertificateError| EnrolError::BadChain { reason: error.to_string() };
    Identity::from_pem(&enrolled.chain, &keys.tls.to_pem(), &invitation.roots).map_err(bad)?;
    let site = certified_site(&enrolled.chain, &invitation.roots, now).map_err(bad)?;
    if site == invitation.site { Ok(()) } else { Err(EnrolError::BadChain { reason: format!("it is site {site}'s") }) }
}
