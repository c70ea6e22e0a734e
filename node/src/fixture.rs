//! A small site for tests: a contract, a CSV file, keys, `node.toml`, and studies that a trusted researcher signs. Test code only.

use std::fs;
use std::path::PathBuf;

use bocage_net::certificates::Authority;
use bocage_net::env::SystemEntropy;
use bocage_net::secret::write_secret;
use bocage_protocol::analysis::RoundState;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::plan::Contracts;
use bocage_protocol::trust::{
    Holder, PERMIT_FORMAT, Permit, PermitMode, Purpose, REVOCATIONS_FORMAT, Revocations, Revoked, Scope, SecretKey,
    SignedPermit, SignedRevocations, SignedStudy, Study,
};
use bocage_protocol::wire::message::{RoundRequest, Step};

use crate::config::{Config, CustodianConfig, Origin};

/// The time of all tests.
pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// A clock that stands still.
pub(crate) struct Still(pub(crate) Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub(crate) const CONTRACT: &str = r#"
id = "heart@1"
title = "Hearts"
subject = "row"
[[column]]
name = "age"
type = "int"
range = [0, 120]
[[column]]
name = "sex"
type = "code"
codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
[[column]]
name = "chol"
type = "float"
range = [50, 700]
"#;

const STUDY: &str = r#"
title = "Cholesterol by sex"
purpose = "scientific_research"
dataset = "heart@1"
min_sites = 1
[[analysis]]
name = "by_sex"
table = { by = ["sex"], show = ["count", "mean(chol)", "share(age > 60)"] }
[[analysis]]
name = "all"
table = { show = ["count"] }
"#;

/// A site in a temporary directory.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) researcher: SecretKey,
    pub(crate) body: SecretKey,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let researcher = SecretKey::generate(&mut SystemEntropy);
        let body = SecretKey::generate(&mut SystemEntropy);
        let site = Self { dir, researcher, body };
        fs::create_dir_all(site.path("contracts")).unwrap();
        fs::write(site.path("contracts/heart.toml"), CONTRACT).unwrap();
        let rows: String = (0..60).map(|i| format!("{},{},{}\n", 30 + i, i % 2, 180 + 2 * i)).collect();
        fs::write(site.path("heart.csv"), format!("age,sex,chol\n{rows}")).unwrap();
        let release = SecretKey::generate(&mut SystemEntropy);
        write_secret(&site.path("release.key"), release.to_text().as_bytes()).unwrap();
        site.certify("cleveland", NOW);
        site.write_config("");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a certificate for `name`, valid for 30 days from `at`.
    pub(crate) fn certify(&self, name: &str, at: Timestamp) {
        let network = "heart-demo".parse().unwrap();
        let root = Authority::new_root(&network, at, &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&network, at, &mut SystemEntropy).unwrap();
        let issued = issuing.issue_site(&name.parse().unwrap(), at, 30, &mut SystemEntropy).unwrap();
        fs::write(self.path("ca.pem"), root.certificate_pem()).unwrap();
        fs::write(self.path("site.pem"), &issued.chain_pem).unwrap();
        let _ = fs::remove_file(self.path("site.key"));
        write_secret(&self.path("site.key"), issued.key_pem.as_bytes()).unwrap();
    }

    /// Writes `node.toml` with `more` at its end.
    pub(crate) fn write_config(&self, more: &str) {
        let key = self.researcher.public();
        let text = format!(
            r#"network = "heart-demo"
site = "cleveland"
[coordinator]
address = "127.0.0.1:4433"
[tls]
ca_file = "ca.pem"
cert_file = "site.pem"
key_file = "site.key"
[release]
key_file = "release.key"
[policy]
threshold = 11
[[trust]]
kind = "researcher"
name = "Ada"
key = "{key}"
mode = "exact"
allow_without_permit = true
[dataset.heart]
contract = "heart@1"
source = {{ kind = "csv", path = "heart.csv" }}
{more}"#
        );
        fs::write(self.path("node.toml"), text).unwrap();
    }

    /// From now on the site knows the researcher by permits only.
    pub(crate) fn require_permit(&self) {
        let (researcher, body) = (self.researcher.public(), self.body.public());
        self.edit_config(
            &format!("kind = \"researcher\"\nname = \"Ada\"\nkey = \"{researcher}\""),
            &format!("kind = \"access_body\"\nname = \"DK-HDAB\"\nkey = \"{body}\""),
        );
        self.edit_config("allow_without_permit = true\n", "");
    }

    /// A permit for all that the fixture's study asks.
    pub(crate) fn permit(&self) -> Permit {
        Permit {
            format: PERMIT_FORMAT,
            network: "heart-demo".parse().unwrap(),
            id: "DK-1".parse().unwrap(),
            title: "Hearts".to_owned(),
            issuer: self.body.public(),
            holder: Holder {
                name: "Ada".to_owned(),
                organisation: "University".to_owned(),
                key: self.researcher.public(),
            },
            purposes: vec![Purpose::ScientificResearch],
            datasets: vec![Scope {
                dataset: "heart@1".parse().unwrap(),
                columns: Some(["age", "chol", "sex"].map(|c| c.parse().unwrap()).to_vec()),
            }],
            sites: Some(vec!["cleveland".parse().unwrap()]),
            min_sites: 1,
            threshold: 11,
            mode: PermitMode::Exact,
            max_cells: 100,
            valid_from: NOW.plus_secs(-86_400),
            valid_to: NOW.plus_secs(86_400 * 300),
            nonce: "ab".repeat(16),
        }
    }

    /// A list of revoked permits.
    pub(crate) fn list(&self, number: u64, revoked: &[&SignedPermit]) -> SignedRevocations {
        let mut revoked: Vec<Revoked> = revoked
            .iter()
            .map(|p| {
                let (permit, at) = (p.verify().unwrap(), NOW.plus_secs(-60));
                Revoked { digest: p.digest(), id: permit.id, at, valid_to: permit.valid_to }
            })
            .collect();
        revoked.sort();
        let issuer = self.body.public();
        let list = Revocations { format: REVOCATIONS_FORMAT, issuer, number, issued_at: NOW.plus_secs(-60), revoked };
        SignedRevocations::sign(&list, &self.body).unwrap()
    }

    /// Round 0 of a study that relies on a permit, with a fresh list of revoked ones.
    pub(crate) fn request_under(&self, study: &Study, permit: &Permit) -> RoundRequest {
        let permit = SignedPermit::sign(permit, &self.body).unwrap();
        let study = Study { permit: Some(permit.reference().unwrap()), ..study.clone() };
        let mut request = self.request(&study);
        request.study = request.study.with_permit(Some(permit));
        request.revocations = Some(self.list(1, &[]));
        request
    }

    /// Replaces text in `node.toml`.
    pub(crate) fn edit_config(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("node.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.path("node.toml"), text.replace(from, to)).unwrap();
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin { file: self.path("node.toml"), overrides: Vec::new() }
    }

    pub(crate) fn config(&self) -> CustodianConfig {
        Config::load(&self.origin()).unwrap().custodian()
    }

    pub(crate) fn study(&self) -> Study {
        self.study_of(STUDY)
    }

    /// The study of this text, bound to the site's contract.
    pub(crate) fn study_of(&self, text: &str) -> Study {
        let config = Config::load(&self.origin()).unwrap();
        let text = StudyText::parse(text, "study.toml").unwrap();
        let base = config.contracts.values().next().unwrap();
        let tables = text.tables().iter();
        let related = tables.filter_map(|(name, id)| Some((name.clone(), &**config.contracts.get(id)?))).collect();
        let context = BindContext {
            network: config.network.clone(),
            researcher: self.researcher.public(),
            offering: std::slice::from_ref(&config.site),
            roster: std::slice::from_ref(&config.site),
            min_sites_floor: 1,
            now: NOW,
            nonce: [7; 16],
            permit: None,
        };
        text.bind(Contracts { base, related }, &context).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Round 0 of a study, with all its analyses.
    pub(crate) fn request(&self, study: &Study) -> RoundRequest {
        RoundRequest {
            study: SignedStudy::sign(study, &self.researcher).unwrap(),
            round: 0,
            steps: (0..study.analyses.len()).map(|i| Step { analysis: i as u16, state: RoundState::First }).collect(),
            revocations: None,
        }
    }
}
