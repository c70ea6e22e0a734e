//! What becomes of an invitation on the hospital's side, with a coordinator that answers as it is told.

use std::os::unix::fs::PermissionsExt as _;

use bocage_net::certificates::{Authority, requested_key};
use bocage_net::env::SystemEntropy;
use bocage_net::frame::{read_message, write_message};
use bocage_net::secret::write_secret;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits::ENROL_REQUEST_BYTES;
use bocage_protocol::trust::{
    INVITATION_FORMAT, InvitationToken, InvitedBody, InvitedContract, PermitMode, PublicKey, SecretKey,
};
use bocage_protocol::wire::enrol::{EnrolAnswer, EnrolRequest, Enrolled};
use tokio::io::duplex;

use super::*;
use crate::config::policy::Decide;
use crate::config::{Config, Depth, Origin};

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const CONTRACT: &str = "id = \"heart@1\"\nsubject = \"row\"\n[[column]]\nname = \"sick\"\ntype = \"bool\"\n";

struct Network {
    dir: tempfile::TempDir,
    root: Authority,
    issuing: Authority,
    invited: Invited,
}

impl Network {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (network, site) = ("north".parse().unwrap(), "aa".parse().unwrap());
        let root = Authority::new_root(&network, NOW, &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&network, NOW, &mut SystemEntropy).unwrap();
        let key = SecretKey::generate(&mut SystemEntropy).public();
        let invitation = Invitation {
            format: INVITATION_FORMAT,
            network,
            site,
            name: "Hospital A".into(),
            quic: "127.0.0.1:4433".into(),
            tcp: "127.0.0.1:443".into(),
            token: InvitationToken::generate(&mut SystemEntropy),
            expires_at: NOW.plus_secs(86_400),
            fingerprint: String::new(),
            threshold: 12,
            policy: serde_json::Map::from_iter([("decide".to_owned(), "ask".into()), ("per_day".to_owned(), 3.into())]),
            roots: root.certificate_pem().to_owned(),
            access_bodies: vec![InvitedBody { name: "Body".into(), key, mode: PermitMode::Round }],
            contracts: vec![InvitedContract { id: "heart@1".parse().unwrap(), text: CONTRACT.into() }],
        };
        let invitation = invitation.sealed().unwrap();
        let contracts = vec![bocage_protocol::contract::parse(CONTRACT, "heart.toml").unwrap()];
        let proposal = Proposal::of(&invitation).unwrap();
        Self { dir, root, issuing, invited: Invited { invitation, contracts, proposal } }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("node")
    }

    /// The invitation as a file, changed as wanted.
    fn file(&self, change: impl FnOnce(&mut Invitation)) -> PathBuf {
        let mut changed = self.invited.invitation.clone();
        change(&mut changed);
        let file = self.dir.path().join(format!("{}.invite", changed.token.hash().short()));
        let _ = std::fs::remove_file(&file);
        write_secret(&file, changed.to_text().unwrap().as_bytes()).unwrap();
        file
    }

    /// Enrols with a coordinator that answers so. What it was asked, and what came of it.
    async fn enrol(
        &self,
        answer: impl FnOnce(&EnrolRequest) -> EnrolAnswer,
    ) -> (EnrolRequest, Result<PathBuf, EnrolError>) {
        let (mut ours, mut theirs) = duplex(1 << 16);
        let coordinator = async {
            let request: EnrolRequest = read_message(&mut theirs, ENROL_REQUEST_BYTES).await.unwrap();
            write_message(&mut theirs, &answer(&request)).await.unwrap();
            request
        };
        let node = async {
            let draft = Draft::open(&self.out(), &self.invited.invitation)?;
            let keys = draft.keys(&mut SystemEntropy)?;
            self.invited.finish(draft, &keys, &mut ours, None, NOW).await
        };
        tokio::join!(coordinator, node)
    }

    fn certified(&self, request: &EnrolRequest) -> EnrolAnswer {
        self.certified_by(&self.issuing, "aa", request, NOW)
    }

    fn certified_by(&self, by: &Authority, site: &str, request: &EnrolRequest, now: Timestamp) -> EnrolAnswer {
        let key = requested_key(&request.certificate_request).unwrap();
        let chain = by.certify_site(&site.parse().unwrap(), &key, NOW, 30, &mut SystemEntropy).unwrap();
        EnrolAnswer::Enrolled(Enrolled { chain, now })
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn an_enrolled_site_has_a_folder_that_its_node_runs_from_with_keys_that_went_nowhere() {
    let network = Network::new();
    let (request, done) = network.enrol(|request| network.certified(request)).await;
    let dir = done.unwrap();
    let key = requested_key(&request.certificate_request).unwrap();
    assert!(request.is_proven(&key));
    let config =
        Config::check(&Origin { file: dir.join("node.toml"), overrides: vec![] }, Depth::Everything, NOW).unwrap();
    assert_eq!((config.site.as_str(), config.network.as_str()), ("aa", "north"));
    let text = std::fs::read_to_string(dir.join("node.toml")).unwrap();
    let parsed: toml::Table = toml::from_str(&text).unwrap();
    assert_eq!(parsed["policy"]["threshold"].as_integer(), Some(12));
    let (decide, settings) = (config.policy.decide, &config.policy.general);
    assert_eq!((decide, settings.per_day), (Decide::Ask, Some(3)), "what else the network proposes");
    for line in [
        ("per_day = 3", "# proposed by the network"),
        ("threshold = 12", "leaves, nor one of 0; proposed by the network"),
    ] {
        assert!(text.lines().any(|said| said.starts_with(line.0) && said.ends_with(line.1)), "{line:?} in {text}");
    }
    let usual = text.lines().find(|line| line.starts_with("query_secs")).unwrap();
    assert!(!usual.contains("proposed"), "nobody proposed it: {usual}");
    assert_eq!(parsed["trust"][0]["mode"].as_str(), Some("round"));
    assert!(text.contains("# [dataset.heart]"), "{text}");
    assert_eq!(std::fs::read_to_string(dir.join("contracts/heart@1.toml")).unwrap(), CONTRACT);
    let release = crate::config::environment::read_release_key(&dir.join("release.key")).unwrap();
    assert_eq!(release.public(), request.release_key);
    assert_eq!([mode(&dir), mode(&dir.join("release.key")), mode(&dir.join("tls/key.pem"))], [0o700, 0o600, 0o600]);
    assert_eq!(std::fs::read_dir(network.dir.path()).unwrap().count(), 1, "nothing is left beside the folder");
    assert!(!dir.join("for").exists());
    let again = Draft::open(&network.out(), &network.invited.invitation).unwrap_err();
    assert!(matches!(again, EnrolError::HasNode(_)) && again.hint().unwrap().contains("node check"));
}

#[tokio::test]
async fn what_interrupts_an_enrolment_leaves_the_keys_for_the_next_attempt_and_nothing_in_its_place() {
    let network = Network::new();
    let mut keys: Vec<(PublicKey, [u8; 32])> = Vec::new();
    let refusal = || PublicError::new(ErrorCode::InvitationExpired, "over\n\u{1b}[2J").hint("ask");
    for attempt in 0..3 {
        let (request, done) = network
            .enrol(|request| match attempt {
                1 => EnrolAnswer::Refused(refusal()),
                // It is taken in, and its clock is wrong.
                0 => network.certified_by(&network.issuing, "aa", request, NOW.plus_secs(4000)),
                _ => network.certified(request),
            })
            .await;
        keys.push((request.release_key, requested_key(&request.certificate_request).unwrap()));
        match attempt {
            1 => {
                let error = done.unwrap_err();
                assert_eq!(error.to_string(), "over  [2J (invitation_expired)");
                assert_eq!(error.hint().as_deref(), Some("ask"));
            }
            0 => {
                let error = done.unwrap_err();
                assert_eq!(error.to_string(), "this machine's clock is 4000 s behind the coordinator's");
                assert!(error.hint().unwrap().contains("NTP"));
            }
            _ => drop(done.unwrap()),
        }
        assert_eq!(network.out().exists(), attempt == 2);
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[1], keys[2]);
}

#[tokio::test]
async fn a_refusal_leaves_nothing_of_a_first_attempt() {
    let network = Network::new();
    let refusal = PublicError::new(ErrorCode::InvitationUsed, "used");
    let (_, done) = network.enrol(|_| EnrolAnswer::Refused(refusal)).await;
    assert!(matches!(done, Err(EnrolError::Refused(_))));
    assert_eq!(std::fs::read_dir(network.dir.path()).unwrap().count(), 0, "no keys that nobody knows");
}

#[tokio::test]
async fn a_certificate_of_another_site_key_network_or_time_is_not_taken() {
    let network = Network::new();
    let other = Network::new();
    let other_key = |request: &EnrolRequest| {
        let mut request = request.clone();
        let keys = bocage_net::certificates::SiteKey::generate(&mut SystemEntropy).unwrap();
        request.certificate_request = keys.request().unwrap();
        network.certified(&request)
    };
    let past = |request: &EnrolRequest| {
        let key = requested_key(&request.certificate_request).unwrap();
        let before = NOW.plus_secs(-40 * 86_400);
        let old = network.root.issue_intermediate(&"north".parse().unwrap(), before, &mut SystemEntropy).unwrap();
        let chain = old.certify_site(&"aa".parse().unwrap(), &key, before, 30, &mut SystemEntropy).unwrap();
        EnrolAnswer::Enrolled(Enrolled { chain, now: NOW })
    };
    let nonsense = |_: &EnrolRequest| EnrolAnswer::Enrolled(Enrolled { chain: "-----BEGIN".into(), now: NOW });
    let answers: [&dyn Fn(&EnrolRequest) -> EnrolAnswer; 5] = [
        &|request| network.certified_by(&network.issuing, "bb", request, NOW),
        &|request| network.certified_by(&other.issuing, "aa", request, NOW),
        &other_key,
        &past,
        &nonsense,
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let (_, done) = network.enrol(answer).await;
        let error = done.unwrap_err();
        assert!(matches!(error, EnrolError::BadChain { .. }), "{number}: {error}");
        assert!(error.hint().is_some() && !network.out().exists());
    }
}

#[tokio::test]
async fn a_coordinator_that_hangs_up_floods_or_babbles_is_told_as_that() {
    let network = Network::new();
    for said in [vec![], vec![0, 0, 0, 9, 1], vec![0xff; 1 << 10], [&8_u32.to_be_bytes()[..], &[9; 8]].concat()] {
        let (mut ours, mut theirs) = duplex(1 << 16);
        let coordinator = async {
            let _: EnrolRequest = read_message(&mut theirs, ENROL_REQUEST_BYTES).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut theirs, &said).await.unwrap();
            drop(theirs);
        };
        let draft = Draft::open(&network.out(), &network.invited.invitation).unwrap();
        let keys = draft.keys(&mut SystemEntropy).unwrap();
        let ((), done) = tokio::join!(coordinator, network.invited.finish(draft, &keys, &mut ours, None, NOW));
        let error = done.unwrap_err();
        assert!(matches!(error, EnrolError::Lost(_)) && error.hint().unwrap().contains("same keys"), "{error}");
    }
    assert!(!network.out().exists());
}

#[test]
fn an_invitation_that_others_may_read_is_over_or_was_altered_is_refused_before_anything_is_made() {
    let network = Network::new();
    let good = network.file(|_| {});
    assert_eq!(Invited::read(&good, NOW).unwrap().invitation, network.invited.invitation);
    let expired = Invited::read(&good, NOW.plus_secs(90_000)).unwrap_err();
    assert!(matches!(expired, EnrolError::Expired(_)) && expired.hint().unwrap().contains("network invite"));
    std::fs::set_permissions(&good, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = Invited::read(&good, NOW).unwrap_err().to_string();
    assert!(open.contains("hint: chmod 600"), "{open}");
    let other = Network::new();
    let altered = network.file(|invitation| invitation.roots = other.root.certificate_pem().to_owned());
    assert!(matches!(Invited::read(&altered, NOW).unwrap_err(), EnrolError::Altered));
}

#[test]
fn a_folder_that_holds_something_or_keys_of_another_site_is_left_alone() {
    let network = Network::new();
    std::fs::create_dir(network.out()).unwrap();
    let draft = Draft::open(&network.out(), &network.invited.invitation).unwrap();
    draft.keys(&mut SystemEntropy).unwrap();
    let mut other = network.invited.invitation.clone();
    other.site = "bb".parse().unwrap();
    let error = Draft::open(&network.out(), &other).unwrap_err();
    assert_eq!(error.to_string().split(" has the keys of ").nth(1), Some("north/aa, whose enrolment was interrupted"));
    std::fs::write(network.out().join("notes.txt"), "mine").unwrap();
    let error = draft.publish().unwrap_err();
    assert!(matches!(error, EnrolError::NotEmpty(_)) && error.hint().is_some());
    assert_eq!(std::fs::read_dir(network.out()).unwrap().count(), 1);
}

#[test]
fn what_of_a_proposed_policy_lets_out_more_than_a_node_does_of_itself_is_marked_in_its_file_too() {
    let proposal = |threshold, policy: serde_json::Value| {
        let mut invitation = Network::new().invited.invitation;
        (invitation.threshold, invitation.policy) = (threshold, policy.as_object().unwrap().clone());
        Proposal::of(&invitation).unwrap()
    };
    let marked = |threshold, policy| {
        let lines: Vec<(String, bool)> = proposal(threshold, policy).lines().collect();
        lines.into_iter().filter(|(_, more)| *more).map(|(line, _)| line).collect::<Vec<_>>()
    };
    let more = serde_json::json!({ "models": "exact", "per_site_results": true, "mode": "exact", "decide": "auto" });
    assert_eq!(marked(10, more), ["models = \"exact\"", "per_site_results = true", "threshold = 10"]);
    let less = serde_json::json!({ "models": "refuse", "per_site_results": false, "rule": [{ "threshold": 5 }] });
    assert_eq!(marked(11, less), [""; 0]);
    for rule in [serde_json::json!({ "models": "exact" }), serde_json::json!({ "per_site_results": true })] {
        assert_eq!(marked(11, serde_json::json!({ "rule": [rule] })).len(), 1);
    }
    let mut network = Network::new();
    network.invited.proposal = proposal(3, serde_json::json!({ "per_site_results": true }));
    let text = network.invited.node_file(None).document().text().to_owned();
    for key in ["threshold = 3 ", "per_site_results = true "] {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        assert!(line.ends_with("proposed by the network; more than a site lets out by itself"), "{line}");
    }
}

#[test]
fn a_proposed_rule_that_cannot_be_written_down_is_refused_by_its_name_before_anything_is_made() {
    let network = Network::new();
    let mut invitation = network.invited.invitation.clone();
    invitation.policy.insert("max_cells".to_owned(), 77.into());
    let text = invitation.to_text().unwrap().replace("max_cells = 77", "max_cells = nan");
    let (read, _) = Invitation::parse(&text, "a").unwrap();
    let file = network.dir.path().join("nan.invite");
    let sealed = read.sealed().unwrap().fingerprint;
    let text = text.replace(&network.invited.invitation.fingerprint, &sealed);
    write_secret(&file, text.as_bytes()).unwrap();
    let error = Invited::read(&file, NOW).unwrap_err();
    assert_eq!(error.to_string(), "the invitation's policy.max_cells is no value that node.toml can have");
    assert!(error.hint().unwrap().contains("[invitations.policy]"));
}
