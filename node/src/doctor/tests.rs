//! What a site is found to be, sound or broken.

use bocage_keep::doctor::Level;

use super::*;
use crate::fixture::{NOW, Site, Still};

fn clock() -> Arc<dyn Clock> {
    Arc::new(Still(NOW))
}

fn looked(site: &Site) -> Vec<Finding> {
    let config = Config::load(&site.origin()).unwrap();
    let problems = Config::check(&site.origin(), Depth::Everything, NOW).err().unwrap_or_default();
    environment(&config, &problems)
}

fn levels(findings: &[Finding], check: Check) -> Vec<Level> {
    findings.iter().filter(|finding| finding.check == check).map(|finding| finding.level).collect()
}

#[test]
fn a_sound_site_has_one_finding_of_each_kind_and_what_is_wrong_stands_under_what_it_is_about() {
    let site = Site::new();
    let fine = looked(&site);
    assert!(fine.iter().all(|finding| finding.level == Level::Ok && finding.fix.is_none()), "{fine:#?}");
    assert_eq!(fine.len(), 6);
    std::fs::write(site.path("release.key"), "nonsense").unwrap();
    std::fs::remove_file(site.path("heart.csv")).unwrap();
    let found = looked(&site);
    for check in [Check::Key, Check::Sources] {
        assert_eq!(levels(&found, check), [Level::Fail], "{found:#?}");
    }
    assert_eq!(levels(&found, Check::Policy), [Level::Ok]);
    assert!(found.iter().all(|finding| finding.level == Level::Ok || finding.fix.is_some()));
}

#[test]
fn a_node_that_offers_nothing_or_trusts_nobody_is_worth_a_look() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.path("node.toml")).unwrap();
    let (before, _) = text.split_once("[[trust]]").unwrap();
    std::fs::write(site.path("node.toml"), before).unwrap();
    let found = looked(&site);
    assert_eq!(levels(&found, Check::Policy), [Level::Ok, Level::Warn]);
    assert_eq!(levels(&found, Check::Sources), [Level::Ok, Level::Warn]);
}

#[test]
fn what_the_kernel_lacks_fails_where_the_node_would_not_start() {
    let none = Support { landlock: None, seccomp: true };
    let part = Support { landlock: Some(4), seccomp: true };
    let all = Support { landlock: Some(7), seccomp: true };
    let level = |support, required, whole| sandbox(support, required, whole).level;
    assert_eq!(level(all, true, true), Level::Ok);
    assert_eq!([level(part, true, false), level(part, true, true)], [Level::Warn, Level::Fail]);
    assert_eq!([level(none, true, false), level(none, false, false)], [Level::Fail, Level::Warn]);
}

#[test]
fn where_the_configuration_cannot_be_used_the_machine_is_looked_at_all_the_same() {
    let site = Site::new();
    site.edit_config("threshold = 11", "threshold = 2");
    let examined = examine(&site.origin(), &clock());
    assert_eq!(examined.exit_code(), 1);
    assert_eq!(levels(&examined.findings, Check::Config), [Level::Fail]);
    for check in [Check::Disk, Check::Memory, Check::Modes] {
        assert_eq!(levels(&examined.findings, check).len(), 1, "{:#?}", examined.findings);
    }
}
