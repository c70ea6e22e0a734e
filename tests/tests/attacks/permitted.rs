//! A hospital that answers under permits only: its access body, a permit for what the tests' study asks, and the lists of those taken back.

use bocage_net::env::SystemEntropy;
use bocage_protocol::trust::{
    Holder, PERMIT_FORMAT, Permit, PermitMode, Purpose, Revocations, Scope, SecretKey, SignedPermit, SignedRevocations,
    Study,
};
use bocage_protocol::wire::message::RoundRequest;

use super::hospital::{Hospital, K, NOW};
use super::ward::Patient;

pub const DAY: i64 = 86_400;

/// The hospital and the key of its access body.
pub struct Permitted {
    pub hospital: Hospital,
    pub body: SecretKey,
}

impl Permitted {
    pub fn new(rows: &[Patient]) -> Self {
        Self::of(Hospital::ward(rows))
    }

    /// A hospital that knows the researcher by permits only.
    pub fn of(hospital: Hospital) -> Self {
        let body = SecretKey::generate(&mut SystemEntropy);
        let researcher = hospital.researcher.public();
        hospital.edit(
            &format!("kind = \"researcher\"\nname = \"Ada\"\nkey = \"{researcher}\""),
            &format!("kind = \"access_body\"\nname = \"DK-HDAB\"\nkey = \"{}\"", body.public()),
        );
        hospital.edit("allow_without_permit = true\n", "");
        Self { hospital, body }
    }

    /// Research on age and sex, at this site.
    pub fn permit(&self) -> Permit {
        Permit {
            format: PERMIT_FORMAT,
            network: "attacked".parse().expect("a network"),
            id: "DK-1".parse().expect("an id"),
            title: "A ward".to_owned(),
            issuer: self.body.public(),
            holder: Holder {
                name: "Ada".to_owned(),
                organisation: "University".to_owned(),
                key: self.hospital.researcher.public(),
            },
            purposes: vec![Purpose::ScientificResearch],
            datasets: vec![Scope {
                dataset: self.hospital.contract.id().clone(),
                columns: Some(["age", "sex"].map(|name| name.parse().expect("a column")).to_vec()),
            }],
            sites: Some(vec!["north".parse().expect("a site")]),
            min_sites: 1,
            threshold: K as u32,
            mode: PermitMode::Exact,
            max_cells: 1_000_000,
            valid_from: NOW.plus_secs(-DAY),
            valid_to: NOW.plus_secs(100 * DAY),
            nonce: "ab".repeat(16),
        }
    }

    pub fn signed(&self, permit: &Permit) -> SignedPermit {
        SignedPermit::sign(permit, &self.body).expect("a permit")
    }

    /// The access body's list of that number, so many days old.
    pub fn list(&self, number: u64, days: i64, revoked: &[&SignedPermit]) -> SignedRevocations {
        let at = NOW.plus_secs(-DAY * days);
        let mut list = Revocations { number, ..Revocations::first(self.body.public(), at) };
        for signed in revoked {
            list = list.with(&signed.verify().expect("a permit"), signed.digest(), at);
        }
        SignedRevocations::sign(&Revocations { number, ..list }, &self.body).expect("a list")
    }

    /// Round 0 of a study of the researcher's that relies on a permit, with a fresh list that takes nothing back.
    pub fn request(&self, study: &Study, permit: &SignedPermit) -> RoundRequest {
        let study = Study { permit: Some(permit.reference().expect("a sound permit")), ..study.clone() };
        let mut request = self.hospital.request(&study);
        request.study = request.study.with_permit(Some(permit.clone()));
        request.revocations = Some(self.list(1, 0, &[]));
        request
    }
}
