//! Renewals, another intermediate and another root, under load.

use bocage_net::env::SystemEntropy;
use bocage_protocol::env::Clock as _;

use super::bench::{Bench, Site};

/// Questions between two events. `BOCAGE_TEST_SCALE=10` asks ten times as many.
fn some() -> usize {
    let scale = std::env::var("BOCAGE_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    110_usize.saturating_mul(scale)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_round_fails_while_certificates_renew_and_intermediate_and_root_are_exchanged() {
    let mut bench = Bench::new().await;
    let load = bench.load();
    load.more(some()).await;

    // Two thirds of thirty days, twice: the sites' certificates and the coordinator's own.
    for _ in 0..2 {
        let before: Vec<_> = bench.sites.iter().map(|site| site.identities.current().leaf()).collect();
        bench.clock.by_days(21);
        let renewed = |bench: &Bench, site: &Site| {
            let at = bench.sites.iter().position(|other| other.id == site.id).expect("a site");
            site.identities.current().leaf() != before[at] && bench.has_moved(site)
        };
        bench.until("renewed certificates", renewed).await;
        load.more(some()).await;
    }

    // Another intermediate below the same root.
    let (network, old) = (bench.config.network.clone(), bench.root());
    let now = bench.clock.now();
    let next = old.issue_intermediate(&network, now, &mut SystemEntropy).expect("an intermediate");
    bench.put_issuing(&next);
    let current = |bench: &Bench, site: &Site| {
        let of = bench.info(site).certificate;
        bench.has_moved(site) && of.is_some_and(|of| of.current == Some(true))
    };
    bench.clock.by_days(1);
    bench.until("certificates of the new intermediate", current).await;
    load.more(some()).await;

    // A root that succeeds the old one, and then the old one goes.
    let (root, cross) = old.succeeding_root(&network, now, &mut SystemEntropy).expect("a root");
    let below = root.issue_intermediate(&network, now, &mut SystemEntropy).expect("an intermediate");
    bench.put_roots(&format!("{}{}{cross}", old.certificate_pem(), root.certificate_pem()));
    bench.put_issuing(&below.vouched_by(&cross));
    bench.clock.by_days(1);
    let over = |bench: &Bench, site: &Site| {
        let told = bench.info(site).certificate.is_some_and(|of| of.roots);
        current(bench, site) && told && site.identities.current().root_digests().len() == 2
    };
    bench.until("the new root", over).await;
    load.more(some()).await;
    bench.put_roots(root.certificate_pem());
    bench.until("the end of the old root", |_, site| site.identities.current().root_digests().len() == 1).await;
    load.more(some()).await;

    let (asked, failed) = load.end().await;
    println!("{asked} questions, {failed} in vain");
    assert!(asked >= 500 && failed == 0, "{failed} of {asked} in vain");
    // What was kept is what is in force, also for who reads the files anew.
    for site in &bench.sites {
        let home = bench.out.join("sites").join(site.id.as_str());
        let at = |name: &str| home.join(name);
        let tls = bocage_node::config::Tls {
            ca_file: at("ca.pem"),
            cert_file: at("tls/cert.pem"),
            key_file: at("tls/key.pem"),
        };
        assert_eq!(super::bench::read(&tls).to_pem(), site.identities.current().to_pem());
    }
}
