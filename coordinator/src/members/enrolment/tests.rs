//! Who gets in by an invitation, and who does not, whatever they send.

mod hostile;

use bocage_net::certificates::{Authority, SiteKey};
use bocage_net::identity::Leaf;
use bocage_net::tls::certified_site;
use bocage_net::{CloseCode, Dialler as _, Link as _};
use bocage_protocol::env::Clock as _;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::{Invitation, SecretKey};
use bocage_protocol::wire::enrol::proof;
use bocage_protocol::wire::hello::Answer;
use serde_json::json;
use tokio::io::duplex;

use super::*;
use crate::bench::{Lab, TOKEN, TestClock, enrolling, hello, key, site};
use crate::config::Config;
use crate::server::Patience;

const LONG_BEACH: &str = "long-beach";

struct Bench {
    lab: Lab,
    clock: Arc<TestClock>,
    config: Config,
    root: Authority,
    issuing: Authority,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (config, root, issuing) = enrolling(dir.path());
        let clock = TestClock::new();
        let lab = Self::lab(&config, &clock, &issuing).await;
        Self { lab, clock, config, root, issuing, _dir: dir }
    }

    async fn lab(config: &Config, clock: &Arc<TestClock>, issuing: &Authority) -> Lab {
        let lab = Lab::start_of(config, Arc::clone(clock), Patience::default()).await;
        let issuing = Authority::from_pem(issuing.certificate_pem(), &issuing.key_pem()).unwrap();
        lab.context.issuing.replace(issuing);
        lab
    }

    async fn restarted(self) -> Self {
        let Self { lab, clock, config, root, issuing, _dir } = self;
        lab.stop().await;
        let lab = Self::lab(&config, &clock, &issuing).await;
        Self { lab, clock, config, root, issuing, _dir }
    }

    async fn invite(&self, of: &str, more: serde_json::Value) -> Invitation {
        let mut wanted = json!({ "site": of });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, made) = self.lab.post("/v1/invitations", wanted.to_string().into_bytes()).await;
        assert_eq!(status, 201, "{made}");
        let text = serde_json::from_value::<Invitation>(made).unwrap().to_text().unwrap();
        Invitation::parse(&text, "x.invite").unwrap().0
    }

    /// What a request is answered, over a stream of its own.
    async fn ask(&self, request: &EnrolRequest) -> Result<Enrolled, PublicError> {
        let (mut ours, theirs) = duplex(1 << 16);
        let context = Arc::clone(&self.lab.context);
        let served = tokio::spawn(async move { serve(&context, theirs, "test", PATIENCE).await });
        write_message(&mut ours, request).await.unwrap();
        let answer = read_message(&mut ours, limits::ENROL_ANSWER_BYTES).await.unwrap();
        served.await.unwrap();
        match answer {
            EnrolAnswer::Enrolled(enrolled) => Ok(enrolled),
            EnrolAnswer::Refused(error) => Err(error),
        }
    }

    async fn refused(&self, request: &EnrolRequest) -> PublicError {
        let error = self.ask(request).await.unwrap_err();
        assert!(error.hint.is_some(), "{error} has no hint");
        error
    }

    fn certified(&self, enrolled: &Enrolled) -> SiteId {
        certified_site(&enrolled.chain, self.root.certificate_pem(), enrolled.now).unwrap()
    }
}

/// A hospital's two keys.
struct Keys {
    tls: SiteKey,
    release: SecretKey,
}

impl Keys {
    fn new(seed: u8) -> Self {
        Self { tls: SiteKey::generate(&mut SystemEntropy).unwrap(), release: key(seed) }
    }

    fn request(&self, invitation: &Invitation) -> EnrolRequest {
        let (network, site) = (&invitation.network, &invitation.site);
        EnrolRequest {
            network: network.clone(),
            site: site.clone(),
            token: invitation.token.clone(),
            certificate_request: self.tls.request().unwrap(),
            release_key: self.release.public(),
            proof: proof(&self.release, network, site, &invitation.token.hash(), &self.tls.public()),
        }
    }
}

#[tokio::test]
async fn a_site_enrols_with_keys_of_its_own_and_is_known_by_them_from_then_on() {
    let bench = Bench::new().await;
    let long_beach = site(LONG_BEACH);
    assert_eq!(bench.lab.context.roster.release_key(&long_beach), None);
    let invitation = bench.invite(LONG_BEACH, json!({})).await;
    assert_eq!(invitation.roots, bench.root.certificate_pem());
    assert_eq!((invitation.contracts.len(), invitation.access_bodies.len()), (1, 1));
    let keys = Keys::new(50);
    let enrolled = bench.ask(&keys.request(&invitation)).await.unwrap();
    assert_eq!(bench.certified(&enrolled), long_beach);
    let again = bench.ask(&keys.request(&invitation)).await.unwrap();
    assert_eq!(bench.certified(&again), long_beach);
    let bench = bench.restarted().await;
    let (_, list) = bench.lab.get("/v1/invitations").await;
    assert_eq!(bench.lab.context.roster.release_key(&long_beach), Some(keys.release.public()));
    assert_eq!(list["invitations"][0]["state"], "used");
    assert_eq!(list["invitations"][0]["release_key"], keys.release.public().to_string());
    assert!(!list.to_string().contains("bocage_invitation_"));
    bench.lab.stop().await;
}

#[tokio::test]
async fn a_site_gets_a_session_and_is_asked_only_once_it_has_enrolled() {
    let bench = Bench::new().await;
    let connect = async || bench.lab.listener.dialler(site(LONG_BEACH)).connect().await.unwrap();
    let early = connect().await;
    let Answer::Reject(error) = hello(&early, LONG_BEACH).await else { panic!("it got in") };
    assert_eq!(error.code, ErrorCode::SiteUnknown);
    early.close(CloseCode::DONE, "");
    let (_, refused) = bench.lab.submit(&crate::bench::signed(1)).await;
    assert!(refused["detail"].as_str().unwrap().contains("site long-beach has yet to enrol"), "{refused}");
    let sites = |value: &serde_json::Value| value["sites"][2]["enrolled"].clone();
    assert_eq!(sites(&bench.lab.get("/v1/sites").await.1), false);
    let invitation = bench.invite(LONG_BEACH, json!({})).await;
    bench.ask(&Keys::new(50).request(&invitation)).await.unwrap();
    assert!(matches!(hello(&connect().await, LONG_BEACH).await, Answer::Welcome(_)));
    assert_eq!(sites(&bench.lab.get("/v1/sites").await.1), true);
    assert_eq!(bench.lab.submit(&crate::bench::signed(1)).await.0, 201);
    bench.lab.stop().await;
}

#[tokio::test]
async fn an_invitation_that_is_over_used_or_another_s_lets_nobody_in() {
    let bench = Bench::new().await;
    let keys = Keys::new(50);
    let first = bench.invite(LONG_BEACH, json!({ "days": 1 })).await;
    let good = keys.request(&first);

    let mut unknown = first.clone();
    unknown.token = bocage_protocol::trust::InvitationToken::generate(&mut SystemEntropy);
    assert_eq!(bench.refused(&keys.request(&unknown)).await.code, ErrorCode::InvitationUnknown);
    let mut elsewhere = first.clone();
    elsewhere.site = site("cleveland");
    assert_eq!(bench.refused(&keys.request(&elsewhere)).await.code, ErrorCode::InvitationUnknown);
    let mut abroad = first.clone();
    abroad.network = "another".parse().unwrap();
    assert_eq!(bench.refused(&keys.request(&abroad)).await.code, ErrorCode::NetworkMismatch);

    bench.clock.advance_secs(86_500);
    let expired = bench.refused(&good).await;
    assert_eq!(expired.code, ErrorCode::InvitationExpired);
    assert!(expired.message.contains("expired at 20"), "{expired}");

    let second = bench.invite(LONG_BEACH, json!({})).await;
    let third = bench.invite(LONG_BEACH, json!({})).await;
    assert_eq!(bench.refused(&keys.request(&second)).await.code, ErrorCode::InvitationWithdrawn);
    let (status, _, _) = bench.lab.request("DELETE", "/v1/invitations/long-beach", Some(TOKEN), vec![]).await;
    assert_eq!(status, 200);
    assert_eq!(bench.refused(&keys.request(&third)).await.code, ErrorCode::InvitationWithdrawn);
    let (status, _, _) = bench.lab.request("DELETE", "/v1/invitations/long-beach", Some(TOKEN), vec![]).await;
    assert_eq!(status, 404);

    let fourth = bench.invite(LONG_BEACH, json!({})).await;
    bench.ask(&keys.request(&fourth)).await.unwrap();
    for others in [Keys::new(51), Keys { tls: Keys::new(50).tls, release: key(50) }] {
        let used = bench.refused(&others.request(&fourth)).await;
        assert_eq!(used.code, ErrorCode::InvitationUsed);
        assert!(used.message.contains("used with other keys, at 20"), "{used}");
    }
    assert_eq!(bench.lab.context.roster.release_key(&site(LONG_BEACH)), Some(keys.release.public()));
    bench.lab.stop().await;
}

#[tokio::test]
async fn a_site_is_known_by_one_release_key_until_an_invitation_says_otherwise() {
    let bench = Bench::new().await;
    let cleveland = site("cleveland");
    let before = bench.lab.context.roster.release_key(&cleveland).unwrap();
    let invitation = bench.invite("cleveland", json!({})).await;
    assert_eq!(bench.refused(&Keys::new(50).request(&invitation)).await.code, ErrorCode::ReleaseKeyKnown);
    // The same release key, and a fresh TLS key: as a site whose certificate ran out.
    let same = Keys::new(1);
    assert_eq!(same.release.public(), before);
    bench.ask(&same.request(&invitation)).await.unwrap();

    let link = bench.lab.listener.dialler(cleveland.clone()).connect().await.unwrap();
    assert!(matches!(hello(&link, "cleveland").await, Answer::Welcome(_)));
    bench.lab.context.members.session(&cleveland).await.unwrap();
    let replacing = bench.invite("cleveland", json!({ "replace": true })).await;
    let hungarys = Keys::new(2);
    assert_eq!(bench.refused(&hungarys.request(&replacing)).await.code, ErrorCode::ReleaseKeyKnown);
    let new = Keys::new(50);
    bench.ask(&new.request(&replacing)).await.unwrap();
    let bocage_net::Closed::ByPeer { code, .. } = link.closed().await else { panic!("still there") };
    assert_eq!(code, CloseCode::DENIED);
    // What it was certified for before is refused, and what it gets now is not.
    let certified = |secs: i64| {
        let from = bench.clock.now().plus_secs(secs - limits::CLOCK_TOLERANCE_SECS);
        let leaf = Leaf { serial: "1".into(), from, until: from.plus_secs(86_400), issuer: None };
        bench.lab.context.members.denylist().denies(&cleveland, Some(&leaf))
    };
    assert!(certified(-60) && !certified(0) && !certified(60));
    // Who was in by the invitation before does not come back by it.
    assert_eq!(bench.refused(&same.request(&invitation)).await.code, ErrorCode::InvitationUsed);
    let bench = bench.restarted().await;
    assert_eq!(bench.lab.get("/v1/sites").await.0, 200);
    assert_eq!(bench.lab.context.roster.release_key(&cleveland), Some(new.release.public()));
    let kept = bench.lab.context.store.with(|store| store.enrolments()).await.unwrap();
    assert_eq!(kept.iter().map(|of| of.release_key).collect::<Vec<_>>(), [before, new.release.public()]);
    bench.lab.stop().await;
}

#[tokio::test]
async fn a_lift_opens_nothing_to_a_certificate_from_before_the_last_enrolment() {
    let bench = Bench::new().await;
    let cleveland = site("cleveland");
    let revoke = "/v1/sites/cleveland/revocation";
    let denies = |secs: i64| {
        let from = bench.clock.now().plus_secs(secs - limits::CLOCK_TOLERANCE_SECS);
        let leaf = Leaf { serial: "1".into(), from, until: from.plus_secs(86_400), issuer: None };
        bench.lab.context.members.denylist().denies(&cleveland, Some(&leaf))
    };
    // A site that never enrolled by an invitation: a mistake leaves nothing.
    assert_eq!(bench.lab.post(revoke, b"{}".to_vec()).await.0, 200);
    assert!(denies(-60) && denies(60));
    assert_eq!(bench.lab.post(&format!("{revoke}/lift"), b"{}".to_vec()).await.0, 200);
    assert!(!denies(-60) && !denies(60));
    // Stolen, and enrolled anew; then revoked by mistake.
    assert_eq!(bench.lab.post(revoke, b"{}".to_vec()).await.0, 200);
    let invitation = bench.invite("cleveland", json!({ "replace": true })).await;
    bench.ask(&Keys::new(50).request(&invitation)).await.unwrap();
    assert_eq!(
        bench.lab.post(&format!("{revoke}/lift"), b"{}".to_vec()).await.0,
        404,
        "what is in force is no mistake"
    );
    assert_eq!(bench.lab.post(revoke, b"{}".to_vec()).await.0, 200);
    assert!(denies(60));
    assert_eq!(bench.lab.post(&format!("{revoke}/lift"), b"{}".to_vec()).await.0, 200);
    assert!(denies(-60) && !denies(60));
    bench.lab.stop().await;
}

#[tokio::test]
async fn a_coordinator_without_an_authority_or_addresses_invites_and_enrols_nobody_and_says_so() {
    let bench = Bench::new().await;
    let invitation = bench.invite(LONG_BEACH, json!({})).await;
    let wanted = |value: serde_json::Value| value.to_string().into_bytes();
    for (body, status) in [
        (wanted(json!({ "site": "atlantis" })), 422),
        (wanted(json!({ "site": LONG_BEACH, "days": 0 })), 400),
        (wanted(json!({ "site": LONG_BEACH, "days": 4000 })), 400),
        (wanted(json!({ "site": LONG_BEACH, "for": "ever" })), 400),
        (b"{".to_vec(), 400),
    ] {
        let (got, said) = bench.lab.post("/v1/invitations", body).await;
        assert_eq!(got, status, "{said}");
        assert!(said["hint"].is_string(), "{said}");
    }
    assert_eq!(bench.lab.request("POST", "/v1/invitations", None, vec![]).await.0, 401);
    let Bench { lab, clock, config, .. } = bench;
    lab.stop().await;
    let lab = Lab::start_of(&config, clock, Patience::default()).await;
    let (status, said) = lab.post("/v1/invitations", wanted(json!({ "site": LONG_BEACH }))).await;
    assert_eq!((status, said["code"].as_str()), (422, Some("not_issuing")));
    let (mut ours, theirs) = duplex(1 << 16);
    let context = Arc::clone(&lab.context);
    let served = tokio::spawn(async move { serve(&context, theirs, "test", PATIENCE).await });
    write_message(&mut ours, &Keys::new(50).request(&invitation)).await.unwrap();
    let answer = read_message(&mut ours, limits::ENROL_ANSWER_BYTES).await.unwrap();
    served.await.unwrap();
    let EnrolAnswer::Refused(error) = answer else { panic!("it got in") };
    assert_eq!(error.code, ErrorCode::NotIssuing);
    assert_eq!(lab.context.roster.release_key(&site(LONG_BEACH)), None);
    lab.stop().await;
}

#[tokio::test]
async fn an_authority_whose_time_is_over_certifies_nobody_and_the_enrolment_can_be_repeated() {
    let bench = Bench::new().await;
    bench.clock.advance_secs(365 * 86_400 + 7_200);
    let invitation = bench.invite(LONG_BEACH, json!({})).await;
    let keys = Keys::new(50);
    let error = bench.refused(&keys.request(&invitation)).await;
    assert_eq!(error.code, ErrorCode::NotIssuing);
    let later = bench.clock.now();
    let renewed = bench.root.issue_intermediate(&bench.config.network, later, &mut SystemEntropy).unwrap();
    bench.lab.context.issuing.replace(renewed);
    assert_eq!(bench.certified(&bench.ask(&keys.request(&invitation)).await.unwrap()), site(LONG_BEACH));
    bench.lab.stop().await;
}
