//! A site that is revoked while it is connected, over a restart, and until that is lifted; and certificates whose time is over.

use std::time::Duration;

use bocage_coordinator::members::revocation::{lift, revoke};
use bocage_coordinator::store::Revoked;
use bocage_net::certificates::{Authority, COORDINATOR_NAME};
use bocage_net::env::SystemEntropy;
use bocage_net::frame::{read_frame, write_frame};
use bocage_net::quic::QuicClient;
use bocage_net::transport::{CertificateFault, ConnectError};
use bocage_net::{CloseCode, Closed, Dialler as _, Identity, Link as _};
use bocage_protocol::env::Clock as _;
use bocage_protocol::wire::hello::{Hello, VERSIONS};

use super::bench::{Bench, DAY};

fn all(bench: &Bench, at: usize) -> Revoked {
    let site = bench.sites[at].id.clone();
    Revoked { site, serial: None, at: bench.clock.now(), reason: "stolen".into(), before: None }
}

async fn dial(bench: &Bench, identity: &Identity) -> Result<bocage_net::quic::QuicLink, ConnectError> {
    let address = bench.config.quic_listen.to_string();
    QuicClient::new(address, COORDINATOR_NAME, identity, bench.clock.clone()).expect("a client").connect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_site_is_cut_off_stays_out_over_a_restart_and_comes_back_when_that_is_lifted() {
    let mut bench = Bench::new().await;
    bench.restart_coordinator().await;
    bench.until("sessions after a restart", |bench, site| bench.info(site).online).await;
    revoke(&bench.coordinator().context, all(&bench, 0)).await.expect("a revocation");
    bench.until("a session that is cut", |bench, site| bench.info(site).online != bench.info(site).revoked).await;
    let identity = bench.sites[0].identities.current();
    let refused = dial(&bench, &identity).await.expect_err("a refusal");
    assert!(matches!(refused, ConnectError::OwnCertificate(CertificateFault::Revoked)), "{refused}");

    bench.restart_coordinator().await;
    bench.until("the others' sessions", |bench, site| bench.info(site).online != bench.info(site).revoked).await;
    let refused = dial(&bench, &identity).await.expect_err("a refusal");
    assert!(matches!(refused, ConnectError::OwnCertificate(CertificateFault::Revoked)), "{refused}");

    let site = bench.sites[0].id.clone();
    lift(&bench.coordinator().context, &site, None).await.expect("a lift");
    bench.until("a session again", |bench, site| bench.info(site).online).await;
    assert!(lift(&bench.coordinator().context, &site, None).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_its_certificate() {
    let mut bench = Bench::new().await;
    bench.stop_agents().await;
    bench.restart_coordinator().await;
    let read = |name: &str| std::fs::read_to_string(bench.out.join("coordinator").join(name)).expect("a file");
    let issuing = Authority::from_pem(&read("issuing/intermediate.pem"), &read("issuing/intermediate.key"));
    let site = bench.sites[0].id.clone();
    // It ends in two seconds.
    let begun = bench.clock.now().plus_secs(2 - DAY);
    let issued = issuing.expect("an authority").issue_site(&site, begun, 1, &mut SystemEntropy).expect("a certificate");
    let identity = Identity::from_pem(&issued.chain_pem, &issued.key_pem, &read("ca.pem")).expect("an identity");
    let link = dial(&bench, &identity).await.expect("a link");
    let mut control = link.open().await.expect("a stream");
    let hello = Hello { versions: VERSIONS, site, software: "test 1".into(), now: bench.clock.now() };
    write_frame(&mut control, &hello.encode()).await.expect("a hello");
    read_frame(&mut control, 1000).await.expect("a welcome");
    let ended = async {
        loop {
            tokio::select! {
                // Questions are left alone.
                stream = link.accept() => drop(stream),
                ended = link.closed() => return ended,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("an end");
    assert!(
        matches!(&ended, Closed::ByPeer { code: CloseCode::DENIED, reason } if reason.contains("certificate")),
        "{ended}"
    );
}
