//! What is refused, and what is not, whoever asks.

mod modes;

use super::*;
use crate::config::CustodianConfig;
use crate::fixture::{NOW, Site};
use bocage_protocol::ids::Digest;
use bocage_protocol::plan::Expr;
use bocage_protocol::trust::{Permit, SecretKey, SignedPermit, Sites};

const RELEASED: Past = Past { released: true, begun: true };

fn code(request: &RoundRequest, config: &CustodianConfig) -> ErrorCode {
    authorise(request, NOW, Past::default(), &Lists::default(), config).unwrap_err().error.code
}

/// The refusal of a study that was changed and then signed by the trusted researcher.
fn changed(change: impl FnOnce(&mut Study)) -> ErrorCode {
    let site = Site::new();
    let mut study = site.study();
    change(&mut study);
    code(&site.request(&study), &site.config())
}

#[test]
fn a_sound_round_is_authorised_with_the_plans_that_the_site_derived() {
    let site = Site::new();
    let config = site.config();
    let authorised = authorise(&site.request(&site.study()), NOW, Past::default(), &Lists::default(), &config).unwrap();
    assert_eq!((authorised.requester.name.as_str(), authorised.mode), ("Ada", Mode::Exact));
    assert_eq!(authorised.plans.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn one_altered_byte_anywhere_in_the_study_is_refused() {
    let site = Site::new();
    let config = site.config();
    let request = site.request(&site.study());
    for at in 0..request.study.study.len() {
        let mut bytes = request.study.study.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(study) = String::from_utf8(bytes) else { continue };
        let mut altered = request.clone();
        altered.study.study = study;
        let refused = authorise(&altered, NOW, Past::default(), &Lists::default(), &config).unwrap_err();
        assert!(refused.believed.is_none(), "byte {at}");
    }
}

#[test]
fn a_signature_by_another_key_and_a_signer_whom_the_site_does_not_know_are_refused() {
    let site = Site::new();
    let stranger = Site::new();
    let mut study = site.study();
    let forged = RoundRequest {
        study: bocage_protocol::trust::SignedStudy::sign(&study, &stranger.researcher).unwrap(),
        ..site.request(&study)
    };
    assert_eq!(code(&forged, &site.config()), ErrorCode::SignatureInvalid);
    study.researcher = stranger.researcher.public();
    assert_eq!(code(&stranger.request(&study), &site.config()), ErrorCode::SignerUnknown);
}

#[test]
fn every_rule_about_the_study_has_its_own_code() {
    let name = |text: &str| text.parse().unwrap();
    assert_eq!(changed(|s| s.network = "other-net".parse().unwrap()), ErrorCode::NetworkMismatch);
    assert_eq!(changed(|s| s.sites = Sites::of(vec![name("hungary"), name("zurich")])), ErrorCode::SiteNotNamed);
    assert_eq!(changed(|s| s.dataset = "lung@1".parse().unwrap()), ErrorCode::DatasetNotOffered);
    assert_eq!(changed(|s| s.contract = Digest::from_bytes([1; 32])), ErrorCode::ContractMismatch);
    assert_eq!(changed(|s| s.title.clear()), ErrorCode::StudyInvalid);
    let early = |s: &mut Study| {
        s.issued_at = NOW.plus_secs(3600);
        s.expires_at = NOW.plus_secs(7200);
    };
    assert_eq!(changed(early), ErrorCode::StudyNotYetValid);
    let unknown = |s: &mut Study| s.filter = Some(bocage_protocol::plan::Expr::Column("weight".parse().unwrap()));
    assert_eq!(changed(unknown), ErrorCode::StudyInvalid);
}

#[test]
fn an_expired_study_is_refused_unless_its_answer_left_before() {
    let site = Site::new();
    let (config, request) = (site.config(), site.request(&site.study()));
    let late = site.study().expires_at.plus_secs(301);
    assert_eq!(
        authorise(&request, late, Past::default(), &Lists::default(), &config).unwrap_err().error.code,
        ErrorCode::StudyExpired
    );
    assert!(authorise(&request, late, RELEASED, &Lists::default(), &config).is_ok());
}

#[test]
fn the_sites_own_policy_decides_over_datasets_and_mode() {
    let site = Site::new();
    let request = site.request(&site.study());
    let heart = std::fs::read_to_string(site.path("contracts/heart.toml")).unwrap();
    std::fs::write(site.path("contracts/lung.toml"), heart.replacen("heart", "lung", 1)).unwrap();
    site.edit_config("mode = \"exact\"", "mode = \"exact\"\ndatasets = [\"lung@1\"]");
    assert_eq!(code(&request, &site.config()), ErrorCode::PolicyRefused);
    site.edit_config("mode = \"exact\"\ndatasets = [\"lung@1\"]", "");
    let refused = authorise(&request, NOW, Past::default(), &Lists::default(), &site.config()).unwrap_err();
    assert_eq!(refused.error.code, ErrorCode::ModeNotAllowed);
    assert!(refused.error.hint.is_some() && refused.believed.is_some());
}

#[test]
fn a_round_out_of_its_bounds_is_refused() {
    let site = Site::new();
    let config = site.config();
    let sound = site.request(&site.study());
    let refused = |change: &dyn Fn(&mut RoundRequest)| {
        let mut request = sound.clone();
        change(&mut request);
        code(&request, &config)
    };
    assert_eq!(refused(&|r| r.round = 1), ErrorCode::RoundInvalid);
    assert_eq!(refused(&|r| r.round = u16::MAX), ErrorCode::RoundInvalid);
    assert_eq!(refused(&|r| r.steps.clear()), ErrorCode::RoundInvalid);
    assert_eq!(refused(&|r| r.steps.reverse()), ErrorCode::RoundInvalid);
    assert_eq!(refused(&|r| r.steps[1].analysis = 0), ErrorCode::RoundInvalid);
    assert_eq!(refused(&|r| r.steps[1].analysis = 2), ErrorCode::RoundInvalid);
}

#[test]
fn a_revoked_researcher_is_refused_even_what_left_before() {
    let site = Site::new();
    let request = site.request(&site.study());
    let other = SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
    site.edit_config(&site.researcher.public().to_string(), &other.to_string());
    let refused = authorise(&request, NOW, RELEASED, &Lists::default(), &site.config()).unwrap_err();
    assert_eq!(refused.error.code, ErrorCode::SignerUnknown);
}

/// What a site that wants permits says to a round that was changed after it was made.
fn under(
    permit: impl FnOnce(&mut Permit),
    study: impl FnOnce(&mut Study),
    request: impl FnOnce(&mut RoundRequest),
) -> Result<String, ErrorCode> {
    let site = Site::new();
    site.require_permit();
    let (mut asked, mut allowed) = (site.study(), site.permit());
    study(&mut asked);
    permit(&mut allowed);
    let mut round = site.request_under(&asked, &allowed);
    request(&mut round);
    let mut lists = Lists::default();
    if let Some(list) = &round.revocations {
        lists.learn(list.verify().unwrap());
    }
    let config = site.config();
    let authorised = authorise(&round, NOW, Past::default(), &lists, &config).map_err(|refused| refused.error.code)?;
    Ok(authorised.requester.right())
}

#[test]
fn a_permit_opens_what_it_says_and_nothing_else() {
    let (nothing, none, no) = (|_: &mut Permit| {}, |_: &mut Study| {}, |_: &mut RoundRequest| {});
    assert_eq!(under(nothing, none, no).unwrap(), "permit DK-1 of DK-HDAB");
    let permit = |change: &dyn Fn(&mut Permit)| under(change, none, no).unwrap_err();
    let name = |text: &str| text.parse().unwrap();
    let other = SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
    assert_eq!(permit(&|p| p.holder.key = other), ErrorCode::PermitHolder);
    assert_eq!(permit(&|p| p.purposes = vec![bocage_protocol::trust::Purpose::Statistics]), ErrorCode::PermitPurpose);
    assert_eq!(permit(&|p| p.datasets[0].dataset = "lung@1".parse().unwrap()), ErrorCode::PermitScope);
    assert_eq!(permit(&|p| p.datasets[0].columns.as_mut().unwrap().truncate(2)), ErrorCode::PermitScope);
    assert_eq!(permit(&|p| p.sites = Some(vec![name("hungary")])), ErrorCode::PermitSites);
    assert_eq!(permit(&|p| (p.min_sites, p.sites) = (2, None)), ErrorCode::PermitSites);
    assert_eq!(permit(&|p| p.valid_from = NOW.plus_secs(301)), ErrorCode::PermitNotYetValid);
    assert_eq!(permit(&|p| p.valid_to = NOW.plus_secs(-301)), ErrorCode::PermitExpired);
    assert_eq!(permit(&|p| p.network = "other-net".parse().unwrap()), ErrorCode::NetworkMismatch);
    assert_eq!(permit(&|p| p.threshold = 10_001), ErrorCode::PolicyRefused);
    let within = |p: &mut Permit| (p.valid_from, p.valid_to) = (NOW.plus_secs(299), NOW.plus_secs(400));
    assert!(under(within, none, no).is_ok(), "clocks may differ");
    assert!(under(|p| p.datasets[0].columns = None, none, no).is_ok());
}

#[test]
fn a_permit_that_is_missing_altered_or_of_another_body_opens_nothing() {
    let request = |change: &dyn Fn(&mut RoundRequest)| under(|_| {}, |_| {}, change).unwrap_err();
    assert_eq!(request(&|r| r.study.permit = None), ErrorCode::PermitRequired);
    let altered = |r: &mut RoundRequest| {
        let permit = r.study.permit.as_mut().unwrap();
        permit.document = permit.document.replace("\"max_cells\":100", "\"max_cells\":900");
    };
    assert_eq!(request(&altered), ErrorCode::PermitInvalid);
    let stranger = Site::new();
    let (issuer, key) = (stranger.body.public(), &stranger.body);
    let foreign = |r: &mut RoundRequest| {
        let permit = Permit { issuer, ..r.study.permit.as_ref().unwrap().verify().unwrap() };
        r.study.permit = Some(SignedPermit::sign(&permit, key).unwrap());
    };
    assert_eq!(request(&foreign), ErrorCode::PermitIssuerUnknown);
}

#[test]
fn another_sound_permit_of_the_same_body_does_not_stand_in_for_the_one_that_the_study_names() {
    let site = Site::new();
    site.require_permit();
    let mut round = site.request_under(&site.study(), &site.permit());
    let wider = Permit { max_cells: 10_000, nonce: "cd".repeat(16), ..site.permit() };
    round.study.permit = Some(SignedPermit::sign(&wider, &site.body).unwrap());
    assert_eq!(code(&round, &site.config()), ErrorCode::PermitMismatch);
}

#[test]
fn a_study_without_a_permit_needs_a_researcher_whom_the_site_trusts_by_name() {
    let site = Site::new();
    site.require_permit();
    assert_eq!(code(&site.request(&site.study()), &site.config()), ErrorCode::PermitRequired);
}

#[test]
fn a_filter_counts_as_reading_a_column() {
    let filter = |s: &mut Study| {
        s.filter = Some(Expr::IsNull(Box::new(Expr::Column("chol".parse().unwrap()))));
    };
    let narrow = |p: &mut Permit| p.datasets[0].columns = Some(vec!["age".parse().unwrap(), "sex".parse().unwrap()]);
    let count = |s: &mut Study| s.analyses.remove(0);
    let without = under(narrow, |s| drop(count(s)), |_| {});
    assert!(without.is_ok(), "{without:?}");
    let with = |s: &mut Study| {
        filter(s);
        let all = Site::new().study().analyses.remove(1);
        s.analyses = vec![all];
    };
    assert_eq!(under(narrow, with, |_| {}), Err(ErrorCode::PermitScope));
}

#[test]
fn a_revoked_permit_opens_nothing_even_what_left_before_and_an_old_list_stops_what_is_new() {
    let site = Site::new();
    site.require_permit();
    let config = site.config();
    let round = site.request_under(&site.study(), &site.permit());
    let judge = |lists: &Lists, past: Past, now| authorise(&round, now, past, lists, &config).map_err(|r| r.error.code);
    let permit = round.study.permit.clone().unwrap();
    let mut lists = Lists::default();
    assert_eq!(judge(&lists, Past::default(), NOW).unwrap_err(), ErrorCode::RevocationsStale);
    lists.learn(site.list(3, &[]).verify().unwrap());
    assert!(judge(&lists, Past::default(), NOW).is_ok());
    let late = NOW.plus_secs(31 * 86_400);
    let mut late_round = round.clone();
    let study = Study { issued_at: late, expires_at: late.plus_secs(86_400), ..site.study() };
    late_round.study = site.request_under(&study, &site.permit()).study;
    let stale = authorise(&late_round, late, Past::default(), &lists, &config).unwrap_err();
    assert_eq!(stale.error.code, ErrorCode::RevocationsStale);
    let begun = Past { released: false, begun: true };
    assert!(authorise(&late_round, late, begun, &lists, &config).is_ok(), "what was begun may be finished");
    lists.learn(site.list(2, &[&permit]).verify().unwrap());
    assert!(judge(&lists, Past::default(), NOW).is_ok(), "an older list changes nothing");
    lists.learn(site.list(4, &[&permit]).verify().unwrap());
    assert_eq!(judge(&lists, RELEASED, NOW).unwrap_err(), ErrorCode::PermitRevoked);
}

#[test]
fn the_strictest_of_policy_rule_and_permit_holds() {
    let site = Site::new();
    site.require_permit();
    site.edit_config(
        "[[trust]]",
        "[[policy.rule]]\npurpose = \"scientific_research\"\nthreshold = 13\nmax_cells = 50\n\
         [[policy.rule]]\ndataset = \"heart@1\"\nthreshold = 12\nmax_cells = 70\ndecide = \"ask\"\n\
         [[policy.rule]]\naccess_body = \"DK-HDAB\"\ndecide = \"auto\"\ntwo_persons = true\n\
         [[policy.rule]]\npurpose = \"education\"\ndecide = \"refuse\"\nthreshold = 90\n[[trust]]",
    );
    let config = site.config();
    let mut lists = Lists::default();
    lists.learn(site.list(1, &[]).verify().unwrap());
    let of = |permit: &Permit| {
        let round = site.request_under(&site.study(), permit);
        let authorised = authorise(&round, NOW, Past::default(), &lists, &config).unwrap();
        let cap = authorised.policy.cap.clone().unwrap();
        (authorised.threshold, authorised.standing, authorised.policy.two_persons, cap.most, cap.by)
    };
    let why = "rule 2: dataset heart@1".to_owned();
    let rule = "rule 1: purpose scientific_research".to_owned();
    assert_eq!(of(&site.permit()), (13, Standing::Ask { why: why.clone() }, true, 50, rule));
    let strict = Permit { threshold: 20, max_cells: 40, ..site.permit() };
    assert_eq!(of(&strict), (20, Standing::Ask { why }, true, 40, "permit DK-1".to_owned()));
}

#[test]
fn pairs_of_columns_have_what_the_policy_says_and_no_less_than_a_rule_or_a_permit_asks() {
    let site = Site::new();
    site.require_permit();
    let mut lists = Lists::default();
    lists.learn(site.list(1, &[]).verify().unwrap());
    let joint = |permit: &Permit| {
        let round = site.request_under(&site.study(), permit);
        authorise(&round, NOW, Past::default(), &lists, &site.config()).unwrap().policy.joint()
    };
    let lenient = Permit { threshold: 3, ..site.permit() };
    assert_eq!(joint(&lenient), 11, "k where nothing is said");
    site.edit_config("threshold = 11", "threshold = 11\nmodel_threshold = 4");
    assert_eq!(joint(&lenient), 4);
    assert_eq!(joint(&Permit { threshold: 7, ..site.permit() }), 7, "nothing below it leaves a site");
    site.edit_config("[[trust]]", "[[policy.rule]]\ndataset = \"heart@1\"\nthreshold = 20\n[[trust]]");
    assert_eq!(joint(&lenient), 20, "a rule that raises k means pairs too");
    site.edit_config("threshold = 20", "threshold = 20\nmodel_threshold = 6");
    assert_eq!(joint(&lenient), 6, "unless it says otherwise");
}

#[test]
fn a_rule_that_refuses_is_named_and_the_default_decides_where_no_rule_does() {
    let site = Site::new();
    let round = site.request(&site.study());
    site.edit_config("[policy]", "[policy]\ndecide = \"ask\"");
    let standing = |site: &Site| {
        let config = site.config();
        authorise(&round, NOW, Past::default(), &Lists::default(), &config).map(|a| a.standing).map_err(|r| r.error)
    };
    assert_eq!(standing(&site).unwrap(), Standing::Ask { why: "the policy's default".to_owned() });
    site.edit_config("[[trust]]", "[[policy.rule]]\nresearcher = \"Ada\"\ndecide = \"auto\"\n[[trust]]");
    assert_eq!(standing(&site).unwrap(), Standing::Auto);
    site.edit_config("[[trust]]", "[[policy.rule]]\npurpose = \"scientific_research\"\ndecide = \"refuse\"\n[[trust]]");
    let error = standing(&site).unwrap_err();
    assert_eq!(error.code, ErrorCode::PolicyRefused);
    assert!(error.message.contains("rule 2: purpose scientific_research"), "{error}");
}

#[test]
fn without_a_trust_entry_for_exact_answers_the_steward_decides_or_nothing_leaves() {
    let site = Site::new();
    let round = site.request(&site.study());
    site.edit_config("mode = \"exact\"\n", "");
    assert_eq!(code(&round, &site.config()), ErrorCode::ModeNotAllowed);
    site.edit_config("[policy]", "[policy]\ndecide = \"ask\"");
    let config = site.config();
    let authorised = authorise(&round, NOW, Past::default(), &Lists::default(), &config).unwrap();
    assert!(matches!(authorised.standing, Standing::Ask { .. }));
}

#[test]
fn a_column_that_is_never_offered_is_read_by_no_study() {
    let site = Site::new();
    let round = site.request(&site.study());
    site.edit_config("contract = \"heart@1\"", "contract = \"heart@1\"\nnever = [\"chol\"]");
    assert_eq!(code(&round, &site.config()), ErrorCode::PolicyRefused);
    let mut without = site.study();
    without.analyses.remove(0);
    assert!(authorise(&site.request(&without), NOW, Past::default(), &Lists::default(), &site.config()).is_ok());
}

#[test]
fn results_of_the_site_alone_are_published_where_its_policy_says_so() {
    let site = Site::new();
    let model = |more: &str| {
        let text = format!(
            "title = \"t\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\n\
             [[analysis]]\nname = \"alone\"\nmodel = {{ formula = \"chol ~ age\"{more} }}"
        );
        site.request(&site.study_of(&text))
    };
    let alone = model(", two_stage = \"fixed\"");
    let error = authorise(&alone, NOW, Past::default(), &Lists::default(), &site.config()).unwrap_err().error;
    assert_eq!(error.code, ErrorCode::PolicyRefused);
    assert!(error.message.contains("lets no results of its own be published (alone)"), "{error}");
    assert!(error.hint.unwrap().contains("per_site_results = true"));
    assert!(authorise(&model(""), NOW, Past::default(), &Lists::default(), &site.config()).is_ok());
    let allows = |site: &Site| authorise(&alone, NOW, Past::default(), &Lists::default(), &site.config()).is_ok();
    site.edit_config("[policy]", "[policy]\nper_site_results = true");
    assert!(allows(&site));
    // A rule can say it of some studies, and the stricter word holds.
    let rule = |of: &str, says: bool| format!("[[policy.rule]]\n{of}\nper_site_results = {says}\n[[trust]]");
    site.edit_config("[[trust]]", &rule("purpose = \"scientific_research\"", false));
    assert!(!allows(&site));
    site.edit_config("[policy]\nper_site_results = true", "[policy]");
    site.edit_config("per_site_results = false", "per_site_results = true");
    assert!(allows(&site));
    site.edit_config("purpose = \"scientific_research\"", "purpose = \"education\"");
    assert!(!allows(&site));
}

#[test]
fn a_column_whose_values_are_never_discovered_may_be_a_dense_key() {
    let site = Site::new();
    let table = |by: &str| {
        let text = format!(
            "title = \"t\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\n\
             [[analysis]]\nname = \"a\"\ntable = {{ by = [\"{by}\"], show = [\"count\"] }}"
        );
        site.request(&site.study_of(&text))
    };
    let (discovered, dense) = (table("discovered(sex)"), table("sex"));
    assert!(authorise(&discovered, NOW, Past::default(), &Lists::default(), &site.config()).is_ok());
    site.edit_config("contract = \"heart@1\"", "contract = \"heart@1\"\nnever_discovered = [\"sex\"]");
    assert_eq!(code(&discovered, &site.config()), ErrorCode::PolicyRefused);
    assert!(authorise(&dense, NOW, Past::default(), &Lists::default(), &site.config()).is_ok());
}
