//! Studies that should not run: altered, forged, of strangers, expired, early, of another network, of another site.

use bocage_net::env::SystemEntropy;
use bocage_node::custodian::{Control, Controls};
use bocage_protocol::trust::{SecretKey, SignedStudy, Sites, Study};
use bocage_protocol::wire::message::RoundRequest;

use super::hospital::{Hospital, NOW};
use super::scenario::{Family, Guard};
use super::ward::{WARD, csv, twenty};

const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";

fn hospital() -> Hospital {
    Hospital::ward(&twenty())
}

fn runs(hospital: &Hospital, controls: Controls, request: &RoundRequest) -> bool {
    hospital.open(controls).reply(request).is_ok()
}

/// Whether a study that was changed before the trusted researcher signed it is answered.
fn changed(controls: Controls, change: impl Fn(&mut Study)) -> bool {
    let hospital = hospital();
    let mut study = hospital.study("", COUNT);
    change(&mut study);
    runs(&hospital, controls, &hospital.request(&study))
}

/// Whether a study is answered that was altered after it was signed. Off: as if the signature held, that is under one that does.
fn altered(guard: Guard, change: impl Fn(&mut Study)) -> bool {
    let hospital = hospital();
    let mut study = hospital.study("age > 30", COUNT);
    let signed = hospital.request(&study);
    change(&mut study);
    let mut request = hospital.request(&study);
    assert_ne!(request.study.study, signed.study.study);
    if guard == Guard::On {
        request.study.signature = signed.study.signature;
    }
    runs(&hospital, Controls::default(), &request)
}

fn stranger() -> SecretKey {
    SecretKey::generate(&mut SystemEntropy)
}

fn signed_by(hospital: &Hospital, study: &Study, key: &SecretKey) -> RoundRequest {
    RoundRequest { study: SignedStudy::sign(study, key).expect("a signature"), ..hospital.request(study) }
}

pub fn family() -> Family {
    Family::new("studies")
        .beside("signature", "a filter that was taken away after signing", |guard| {
            altered(guard, |study| study.filter = None)
        })
        .beside("signature", "an expiry that was put off after signing", |guard| {
            altered(guard, |study| study.expires_at = NOW.plus_secs(60 * 86_400))
        })
        .beside("signature", "a study that a stranger signed in the researcher's name", |guard| {
            let hospital = hospital();
            let study = hospital.study("", COUNT);
            let request = match guard {
                Guard::On => signed_by(&hospital, &study, &stranger()),
                Guard::Off => hospital.request(&study),
            };
            runs(&hospital, Controls::default(), &request)
        })
        .against(Control::SignerTrust, "a study of a stranger", |on| {
            let (hospital, key) = (hospital(), stranger());
            let study = Study { researcher: key.public(), ..hospital.study("", COUNT) };
            runs(&hospital, on, &signed_by(&hospital, &study, &key))
        })
        .against(Control::SignerTrust, "what left before, asked again by who is trusted no more", |on| {
            let hospital = hospital();
            let request = hospital.request(&hospital.study("", COUNT));
            assert!(runs(&hospital, on, &request));
            hospital.edit(&hospital.researcher.public().to_string(), &stranger().public().to_string());
            runs(&hospital, on, &request)
        })
        .against(Control::NetworkNamed, "a study of another network", |on| {
            changed(on, |study| study.network = "elsewhere".parse().expect("a network"))
        })
        .against(Control::SiteNamed, "a study that asks another site", |on| {
            changed(on, |study| study.sites = Sites::of(vec!["south".parse().expect("a site")]))
        })
        .against(Control::Validity, "a study that has expired, kept and sent again", |on| {
            changed(on, |study| {
                study.issued_at = NOW.plus_secs(-86_400);
                study.expires_at = NOW.plus_secs(-301);
            })
        })
        .against(Control::Validity, "a study of the future", |on| {
            changed(on, |study| study.issued_at = NOW.plus_secs(301))
        })
        .beside("contract hash", "a study under a contract with another content", |guard| {
            let hospital = hospital();
            let other = Hospital::new(&WARD.replace("range = [0, 120]", "range = [0, 110]"), &csv(&twenty()));
            let mut study = Study { researcher: hospital.researcher.public(), ..other.study("", COUNT) };
            if guard == Guard::Off {
                study.contract = hospital.contract.hash();
            }
            runs(&hospital, Controls::default(), &hospital.request(&study))
        })
        .against(Control::DatasetAllowed, "a dataset that the researcher may not ask about", |on| {
            let hospital = hospital();
            let other = WARD.replacen("ward", "other", 1);
            std::fs::write(hospital.path("contracts/other.toml"), other).expect("a contract");
            hospital.edit("mode = \"exact\"", "mode = \"exact\"\ndatasets = [\"other@1\"]");
            runs(&hospital, on, &hospital.request(&hospital.study("", COUNT)))
        })
        .against(Control::ModeGranted, "exact numbers for whom the site granted none", |on| {
            let hospital = hospital();
            hospital.edit("mode = \"exact\"", "");
            runs(&hospital, on, &hospital.request(&hospital.study("", COUNT)))
        })
}
