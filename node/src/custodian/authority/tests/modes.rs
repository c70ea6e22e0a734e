//! How exact an answer may be: the least exact of what trust, permit and rules say.

use bocage_protocol::trust::PermitMode;

use super::*;
use crate::config::policy::Models;

/// Mode, who says so, threshold, and who says that.
fn of(site: &Site, permit: Option<&Permit>) -> (Mode, String, u32, String) {
    let (config, mut lists) = (site.config(), Lists::default());
    lists.learn(site.list(1, &[]).verify().unwrap());
    let round = permit.map_or_else(|| site.request(&site.study()), |permit| site.request_under(&site.study(), permit));
    let authorised = authorise(&round, NOW, Past::default(), &lists, &config).map_err(|refused| refused.error).unwrap();
    (authorised.mode, authorised.mode_by, authorised.threshold, authorised.policy.threshold_by)
}

#[test]
fn the_least_exact_of_trust_permit_and_rules_holds_and_is_named() {
    let site = Site::new();
    let by = |text: &str| text.to_owned();
    assert_eq!(of(&site, None), (Mode::Exact, by("[[trust]]"), 11, by("the policy's default")));
    site.edit_config(
        "[[trust]]",
        "[[policy.rule]]\npurpose = \"statistics\"\nmode = \"round\"\n\
         [[policy.rule]]\ndataset = \"heart@1\"\nmode = \"exact\"\n[[trust]]",
    );
    assert_eq!(of(&site, None).0, Mode::Exact, "the rule that rounds is about another purpose");
    site.edit_config("purpose = \"statistics\"", "purpose = \"scientific_research\"");
    let raised = by("the policy's default, raised by mode round");
    assert_eq!(of(&site, None), (Mode::Round, by("rule 1: purpose scientific_research"), 13, raised));
}

#[test]
fn a_permit_and_a_trust_entry_can_each_demand_rounding_and_neither_undoes_it() {
    let site = Site::new();
    site.require_permit();
    let permit = |mode| Permit { mode, ..site.permit() };
    assert_eq!(of(&site, Some(&permit(PermitMode::Exact))).0, Mode::Exact);
    let (mode, by, threshold, _) = of(&site, Some(&permit(PermitMode::Round)));
    assert_eq!((mode, by.as_str(), threshold), (Mode::Round, "permit DK-1", 13));
    site.edit_config("mode = \"exact\"", "mode = \"round\"");
    let (mode, by, ..) = of(&site, Some(&permit(PermitMode::Exact)));
    assert_eq!((mode, by.as_str()), (Mode::Round, "[[trust]]"));
}

#[test]
fn a_threshold_at_which_five_counts_share_a_value_is_not_raised() {
    let site = Site::new();
    site.edit_config("threshold = 11", "threshold = 13\nmode = \"round\"");
    let default = || "the policy's default".to_owned();
    assert_eq!(of(&site, None), (Mode::Round, default(), 13, default()));
}

#[test]
fn quiet_hours_are_listed_once_however_many_datasets_and_rules_have_them() {
    let site = Site::new();
    let request = site.request(&site.study());
    site.edit_config(
        "threshold = 11",
        "threshold = 11\nquiet = [\"22:00-06:00\"]\n[[policy.rule]]\npurpose = \"scientific_research\"\nquiet = [\"12:00-13:00\", \"22:00-06:00\"]",
    );
    let config = site.config();
    let authorised = authorise(&request, NOW, Past::default(), &Lists::default(), &config).unwrap();
    let mut account = authorised.requester.account(&authorised.study);
    account.related = vec!["labs@1".parse().unwrap()];
    let quiet = Effective::of(&config.policy, &account).quiet;
    assert_eq!(quiet.iter().map(ToString::to_string).collect::<Vec<_>>(), ["22:00-06:00 UTC", "12:00-13:00 UTC"]);
}

#[test]
fn models_are_answered_where_sites_round_only_if_every_dataset_says_so() {
    let site = Site::new();
    let request = site.request(&site.study());
    let labs = crate::fixture::CONTRACT.replace("heart@1", "labs@1");
    std::fs::write(site.path("contracts/labs.toml"), labs).unwrap();
    let of = |site: &Site, related: &[&str]| {
        let config = site.config();
        let authorised = authorise(&request, NOW, Past::default(), &Lists::default(), &config).unwrap();
        let mut account = authorised.requester.account(&authorised.study);
        account.related = related.iter().map(|id| id.parse().unwrap()).collect();
        let policy = Effective::of(&config.policy, &account);
        (policy.models, [Mode::Exact, Mode::Round].map(|mode| policy.answers_models(mode)))
    };
    assert_eq!(of(&site, &["labs@1"]), (None, [true, false]));
    site.edit_config("threshold = 11", "threshold = 11\nmodels = \"exact\"");
    assert_eq!(of(&site, &["labs@1"]), (Some(Models::Exact), [true, true]));
    site.edit_config("\nmodels = \"exact\"", "");
    site.edit_config("[[trust]]", "[[policy.rule]]\ndataset = \"heart@1\"\nmodels = \"exact\"\n[[trust]]");
    assert_eq!(of(&site, &[]), (Some(Models::Exact), [true, true]));
    assert_eq!(of(&site, &["labs@1"]), (None, [true, false]), "nothing is said of the other dataset");
    site.edit_config("[[trust]]", "[[policy.rule]]\ndataset = \"labs@1\"\nmodels = \"refuse\"\n[[trust]]");
    assert_eq!(of(&site, &["labs@1"]), (Some(Models::Refuse), [false, false]));
}
