//! Permits in a liar's hands: forged, altered, out of date, taken back, of somebody else, or for less than is asked.

use bocage_net::env::SystemEntropy;
use bocage_node::custodian::{Control, Controls};
use bocage_protocol::release::{CellRelease, Outcome, Release};
use bocage_protocol::trust::{
    Permit, Purpose, Scope, SecretKey, Signed, SignedPermit, SignedRevocations, SignedStudy, Study,
};
use bocage_protocol::wire::message::RoundRequest;

use super::hospital::{Hospital, NOW};
use super::permitted::{DAY, Permitted};
use super::scenario::{Family, Guard};
use super::ward::{Patient, count, patients, table, twenty};

const BY_SEX: &str = "[[analysis]]\nname = 'a'\ntable = { by = ['sex'], show = ['count'] }\n";
const COUNT: &str = "[[analysis]]\nname = 'a'\ntable = { show = ['count'] }\n";

fn site() -> Permitted {
    Permitted::new(&twenty())
}

fn tells(release: &Release) -> bool {
    let shown = |outcome: &Outcome| matches!(outcome, Outcome::Table(t) if t.cells.iter().any(CellRelease::is_shown));
    release.parts.iter().any(|part| shown(&part.outcome))
}

/// Whether somebody learns a number.
fn learns(site: &Permitted, controls: Controls, request: &RoundRequest) -> bool {
    site.hospital.open(controls).reply(request).is_ok_and(|release| tells(&release))
}

/// Whether a study is answered under a permit that the access body signed so.
fn under(controls: Controls, permit: impl Fn(&mut Permit), study: impl Fn(&mut Study)) -> bool {
    let site = site();
    let (mut allowed, mut wanted) = (site.permit(), site.hospital.study("age > 30", BY_SEX));
    permit(&mut allowed);
    study(&mut wanted);
    learns(&site, controls, &site.request(&wanted, &site.signed(&allowed)))
}

/// Whether a permit that allows too little helps when it is altered, under its old signature. Off: as if the signature held.
fn altered(guard: Guard, less: impl Fn(&mut Permit)) -> bool {
    let site = site();
    let mut issued = site.permit();
    less(&mut issued);
    let (issued, wished) = (site.signed(&issued), site.signed(&site.permit()));
    let study = site.hospital.study("age > 30", BY_SEX);
    assert!(!learns(&site, Controls::default(), &site.request(&study, &issued)), "it allows enough as it is");
    let mut request = site.request(&study, &wished);
    if guard == Guard::On {
        request.study = request.study.with_permit(Some(resigned(wished, &issued)));
    }
    learns(&site, Controls::default(), &request)
}

/// Whether analyses that read more than age and sex are answered.
fn out_of_scope(controls: Controls, filter: &str, analyses: &str, change: impl Fn(&mut RoundRequest)) -> bool {
    let site = site();
    let mut request = site.request(&site.hospital.study(filter, analyses), &site.signed(&site.permit()));
    change(&mut request);
    site.hospital.open(controls).reply(&request).is_ok()
}

fn reads(controls: Controls, analysis: &str) -> bool {
    out_of_scope(controls, "", &format!("[[analysis]]\nname = 'a'\n{analysis}\n"), |_| {})
}

/// A document under the signature of another.
fn resigned<T>(mut document: Signed<T>, other: &Signed<T>) -> Signed<T> {
    document.signature = other.signature;
    document
}

fn key() -> SecretKey {
    SecretKey::generate(&mut SystemEntropy)
}

/// Whether a permit that another than the site's access body signed is believed.
fn issued_by(controls: Controls, key: impl Fn(&Hospital) -> SecretKey) -> bool {
    let site = site();
    let issuer = key(&site.hospital);
    let permit = Permit { issuer: issuer.public(), ..site.permit() };
    let permit = SignedPermit::sign(&permit, &issuer).expect("a permit");
    let mut request = site.request(&site.hospital.study("", COUNT), &permit);
    // Whoever forges permits has a fresh list of their own.
    let list = Permitted { body: issuer, ..Permitted::new(&twenty()) }.list(9, 0, &[]);
    request.revocations = Some(list);
    learns(&site, controls, &request)
}

/// Whether a thief of a permit is answered, who signs studies with a key of their own.
fn stolen(controls: Controls) -> bool {
    let (site, thief) = (site(), key());
    let permit = site.signed(&site.permit());
    let mut request = site.request(&site.hospital.study("", COUNT), &permit);
    let study = Study { researcher: thief.public(), permit: permit.reference().ok(), ..site.hospital.study("", COUNT) };
    request.study = SignedStudy::sign(&study, &thief).expect("a signature").with_permit(Some(permit));
    learns(&site, controls, &request)
}

/// Whether a study is answered with a permit beside it of the same id, wider than the one that it names.
fn swapped(controls: Controls) -> bool {
    let site = site();
    let narrow = Permit { nonce: "cd".repeat(16), max_cells: 1, ..site.permit() };
    let (narrow, wide) = (site.signed(&narrow), site.signed(&site.permit()));
    let mut request = site.request(&site.hospital.study("", BY_SEX), &narrow);
    request.study = request.study.with_permit(Some(wide));
    learns(&site, controls, &request)
}

/// What a coordinator in an attacker's hands does about lists: whether a permit that the body took back opens anything.
fn lists(controls: Controls, passed: impl Fn(&Permitted, &SignedPermit) -> Vec<Option<SignedRevocations>>) -> bool {
    let site = site();
    let permit = site.signed(&site.permit());
    let mut answered = false;
    for list in passed(&site, &permit) {
        let mut request = site.request(&site.hospital.study("", COUNT), &permit);
        request.revocations = list;
        // A custodian of its own each time: what is known outlives the process.
        answered = learns(&site, controls, &request);
    }
    answered
}

/// Whether what left under a permit leaves again when the permit was taken back.
fn repeated(controls: Controls) -> bool {
    let site = site();
    let permit = site.signed(&site.permit());
    let mut request = site.request(&site.hospital.study("", COUNT), &permit);
    assert!(learns(&site, controls, &request));
    request.revocations = Some(site.list(2, 0, &[&permit]));
    learns(&site, controls, &request)
}

/// Whether a cell of four leaves although the permit's threshold is five.
fn below_its_threshold(controls: Controls) -> bool {
    let mut rows = twenty();
    rows.extend(patients(4, |_| Patient { sex: "1", ..Patient::default() }));
    let site = Permitted::new(&rows);
    let permit = site.signed(&Permit { threshold: 5, ..site.permit() });
    let release = site.hospital.open(controls).reply(&site.request(&site.hospital.study("", BY_SEX), &permit));
    table(&release.expect("a release").parts[0].outcome).cells.iter().any(|cell| count(cell) == Some(4))
}

fn forged(family: Family) -> Family {
    const SIGNATURE: &str = "permit signature";
    family
        .against_all(
            [Control::IssuerTrust, Control::Revocation],
            "a permit of an access body that the site does not trust",
            |on| issued_by(on, |_| key()),
        )
        .against_all([Control::IssuerTrust, Control::Revocation], "a permit that its holder signed", |on| {
            issued_by(on, |hospital| SecretKey::from_text(&hospital.researcher.to_text()).expect("a key"))
        })
        .beside(SIGNATURE, "a permit that a stranger signed in the body's name", |guard| {
            let site = site();
            let permit = site.signed(&site.permit());
            let mut request = site.request(&site.hospital.study("", COUNT), &permit);
            if guard == Guard::On {
                let stranger = key();
                let own = Permit { issuer: stranger.public(), ..site.permit() };
                let own = SignedPermit::sign(&own, &stranger).expect("a permit");
                request.study = request.study.with_permit(Some(resigned(permit, &own)));
            }
            learns(&site, Controls::default(), &request)
        })
        .beside(SIGNATURE, "another holder written in", |guard| altered(guard, |p| p.holder.key = key().public()))
        .beside(SIGNATURE, "another purpose written in", |guard| {
            altered(guard, |p| p.purposes = vec![Purpose::Statistics])
        })
        .beside(SIGNATURE, "another dataset written in", |guard| {
            altered(guard, |p| p.datasets[0].dataset = "other@1".parse().expect("a contract"))
        })
        .beside(SIGNATURE, "a column written in", |guard| {
            altered(guard, |p| p.datasets[0].columns = Some(vec!["age".parse().expect("a column")]))
        })
        .beside(SIGNATURE, "a site written in", |guard| {
            altered(guard, |p| p.sites = Some(vec!["south".parse().expect("a site")]))
        })
        .beside(SIGNATURE, "another network written in", |guard| {
            altered(guard, |p| p.network = "elsewhere".parse().expect("a network"))
        })
        .beside(SIGNATURE, "its min_sites lowered", |guard| altered(guard, |p| (p.min_sites, p.sites) = (2, None)))
        .beside(SIGNATURE, "its threshold lowered", |guard| altered(guard, |p| p.threshold = 30))
        .beside(SIGNATURE, "its cap raised", |guard| altered(guard, |p| p.max_cells = 1))
        .beside(SIGNATURE, "its end put off", |guard| altered(guard, |p| p.valid_to = NOW.plus_secs(-301)))
        .beside(SIGNATURE, "its beginning put forward", |guard| altered(guard, |p| p.valid_from = NOW.plus_secs(301)))
}

fn unfit(family: Family) -> Family {
    family
        .against_all([Control::PermitBinding, Control::PermitStudy], "a permit of somebody else", stolen)
        .against_all([Control::PermitBinding, Control::PermitStudy], "another permit of the same id", swapped)
        .against(Control::PermitStudy, "a purpose that the permit does not have", |on| {
            under(on, |_| {}, |study| study.purpose = Purpose::Statistics)
        })
        .against_all([Control::PermitStudy, Control::PermitScope], "a dataset that the permit does not have", |on| {
            let other = Scope { dataset: "other@1".parse().expect("a contract"), columns: None };
            under(on, move |p| p.datasets = vec![other.clone()], |_| {})
        })
        .against(Control::PermitStudy, "fewer sites than the permit wants", |on| {
            under(on, |p| (p.min_sites, p.sites) = (2, None), |_| {})
        })
        .against(Control::PermitStudy, "a permit of another network", |on| {
            under(on, |p| p.network = "elsewhere".parse().expect("a network"), |_| {})
        })
        .against(Control::PermitSites, "a permit for another site", |on| {
            under(on, |p| p.sites = Some(vec!["south".parse().expect("a site")]), |_| {})
        })
        .against(Control::PermitTime, "a permit that has expired", |on| {
            under(on, |p| p.valid_to = NOW.plus_secs(-301), |_| {})
        })
        .against(Control::PermitTime, "a permit that is not valid yet", |on| {
            under(on, |p| p.valid_from = NOW.plus_secs(301), |_| {})
        })
        .against(Control::Threshold, "a cell below the permit's own threshold", below_its_threshold)
}

fn scope(family: Family) -> Family {
    family
        .against(Control::PermitScope, "a column out of scope in the filter", |on| {
            out_of_scope(on, "weight > 10", COUNT, |_| {})
        })
        .against(Control::PermitScope, "a column out of scope as a key", |on| {
            reads(on, "table = { by = ['area'], show = ['count'] }")
        })
        .against(Control::PermitScope, "a column out of scope as a measure", |on| {
            reads(on, "table = { show = ['mean(weight)'] }")
        })
        .against(Control::PermitScope, "a column out of scope within a product", |on| {
            reads(on, "table = { show = ['sum(age * weight)'] }")
        })
        .against(Control::PermitScope, "a column out of scope in a condition", |on| {
            reads(on, "table = { show = ['share(weight > 65)'] }")
        })
        .against(Control::PermitScope, "a column out of scope as a key that the data names", |on| {
            reads(on, "table = { by = ['discovered(diagnosis)'], show = ['count'] }")
        })
        .against(Control::PermitScope, "a column out of scope in a step of inclusion", |on| {
            reads(on, "attrition = { steps = ['age > 30', 'weight > 10'] }")
        })
        .against(Control::PermitScope, "a column out of scope in a quantile", |on| {
            reads(on, "quantiles = { of = 'weight' }")
        })
        .against(Control::PermitScope, "a column out of scope in an analysis that is asked later", |on| {
            let two = format!("{COUNT}[[analysis]]\nname = 'b'\ntable = {{ by = ['area'], show = ['count'] }}\n");
            out_of_scope(on, "", &two, |request| request.steps.truncate(1))
        })
}

fn taken_back(family: Family) -> Family {
    family
        .against(Control::Revocation, "a permit that was taken back", |on| {
            lists(on, |site, permit| vec![Some(site.list(2, 0, &[permit]))])
        })
        .against(Control::Revocation, "what left under a permit, asked again when it was taken back", repeated)
        .against(Control::Revocation, "an older list in place of the one that takes back", |on| {
            lists(on, |site, permit| vec![Some(site.list(3, 0, &[permit])), Some(site.list(2, 0, &[]))])
        })
        .against(Control::Revocation, "the list that takes back withheld after a restart", |on| {
            lists(on, |site, permit| vec![Some(site.list(3, 0, &[permit])), None])
        })
        .against(Control::Revocation, "no list ever passed on", |on| lists(on, |_, _| vec![None]))
        .against(Control::Revocation, "an old list passed on for ever", |on| {
            lists(on, |site, _| vec![Some(site.list(1, 40, &[]))])
        })
        .against(Control::Revocation, "an old list that was made to look new", |on| {
            lists(on, |site, _| {
                let (old, new) = (site.list(1, 40, &[]), site.list(1, 0, &[]));
                vec![Some(resigned(new, &old))]
            })
        })
        .against(Control::Revocation, "a list of another body", |on| {
            lists(on, |_, _| {
                let other = Permitted { body: key(), ..site() };
                vec![Some(other.list(9, 0, &[]))]
            })
        })
        .against(Control::Revocation, "new studies for as long as the last list was fresh, and longer", |on| {
            let site = site();
            let permit = site.signed(&Permit { valid_to: NOW.plus_secs(300 * DAY), ..site.permit() });
            assert!(learns(&site, on, &site.request(&site.hospital.study("", COUNT), &permit)));
            site.hospital.later(40 * DAY);
            let study = Study {
                issued_at: NOW.plus_secs(40 * DAY),
                expires_at: NOW.plus_secs(41 * DAY),
                ..site.hospital.study("", COUNT)
            };
            learns(&site, on, &site.request(&study, &permit))
        })
}

pub fn family() -> Family {
    taken_back(scope(unfit(forged(Family::new("permits")))))
}
