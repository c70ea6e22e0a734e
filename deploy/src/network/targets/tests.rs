//! What is rendered, as text: pure, the same twice, and deaf to whatever stands in a name.

use std::path::Path;

use super::super::Network;
use super::super::tree::Content;
use super::*;

fn network(more: &str) -> Network {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let text = format!("{}\n{more}", include_str!("../../../templates/network.toml"));
    Network::parse(&text, "network.toml", &templates).unwrap()
}

fn texts(network: &Network) -> Vec<(String, String)> {
    let tree = rendered(network, Target::All);
    let text = |content: &Content| match content {
        Content::Public(text) => text.clone(),
        Content::Secret(_) => panic!("a secret is rendered"),
    };
    tree.files().map(|(path, content)| (path.display().to_string(), text(content))).collect()
}

#[test]
fn rendering_twice_gives_the_same_files_each_once() {
    let network = network("");
    let (once, twice) = (texts(&network), texts(&network));
    assert_eq!(once, twice);
    let paths: std::collections::BTreeSet<&String> = once.iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), once.len());
    let all = once.len();
    let apart = [Target::Systemd, Target::Compose, Target::Deb, Target::Firewall, Target::Prometheus];
    assert_eq!(apart.map(|target| rendered(&network, target).files().count()).iter().sum::<usize>(), all);
}

#[test]
fn names_for_people_stand_in_plain_text_alone() {
    let evil = "x'; rm -rf / #\\\" $(id) `id` %i | ] } ${HOME} [Service] -->";
    let text = include_str!("../../../templates/network.toml").replace("Cleveland Clinic Foundation", evil);
    let text = text.replace("Demo researcher", evil).replace("Demo access body", evil);
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let attacked = Network::parse(&text, "network.toml", &templates).unwrap();
    let plain = network("");
    for ((path, attacked), (_, plain)) in texts(&attacked).into_iter().zip(texts(&plain)) {
        if path.ends_with("README.txt") {
            continue;
        }
        assert_eq!(attacked, plain, "{path}");
    }
}

#[test]
fn a_host_path_or_user_that_could_be_syntax_is_no_network() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let text = include_str!("../../../templates/network.toml");
    for (more, key) in [
        ("[paths]\nconfig = \"/etc/bocage\\nUser=root\"", "paths.config"),
        ("[paths]\nprograms = \"/usr/bin; reboot\"", "paths.programs"),
        ("[paths]\nstate = \"/var/lib/%i\"", "paths.state"),
        ("[paths]\nrun = \"/var/run/bocage\"", "paths.run"),
        ("[users]\nagent = \"a\\\"} drop\"", "users.agent"),
        ("[users]\nagent = \"bocage\"", "users.agent"),
        ("[users]\ncustodian = \"root\"", "users.custodian"),
    ] {
        let error = Network::parse(&format!("{text}\n{more}\n"), "network.toml", &templates).unwrap_err().to_string();
        assert!(error.starts_with("network.toml: line ") && error.contains(&format!(", {key}: ")), "{more}: {error}");
    }
    let hostile = text.replace("127.0.0.1:4433", "a } ; flush ruleset ; {:4433");
    let error = Network::parse(&hostile, "network.toml", &templates).unwrap_err().to_string();
    assert!(error.contains("coordinator.quic"), "{error}");
}

#[test]
fn a_source_on_another_machine_opens_the_network_to_the_ingest_alone_and_a_hostile_server_s_name_is_left_out() {
    let remote = |host: &str| {
        network(&format!(
            "[[site]]\nid = \"vienna\"\n[site.dataset.heart]\ncontract = \"heart@1\"\nsource = {{ kind = \"postgres\", host = {host:?}, port = 5433, database = \"d\", user = \"u\", table = \"t\" }}\n"
        ))
    };
    let text = |network: &Network, path: &str| texts(network).into_iter().find(|(known, _)| known == path).unwrap().1;
    let sound = remote("db.example.org");
    let ingest = text(&sound, "systemd/sites/vienna/bocage-ingest.service");
    assert!(ingest.contains("AF_INET") && !ingest.contains("PrivateNetwork"), "{ingest}");
    assert!(text(&sound, "systemd/sites/vienna/bocage-custodian.service").contains("PrivateNetwork=yes"));
    assert!(text(&sound, "systemd/sites/hungary/bocage-ingest.service").contains("PrivateNetwork=yes"));
    assert!(text(&sound, "firewall/sites/vienna.nft").contains("meta skuid \"bocage\" tcp dport 5433 accept"));
    let hostile = text(&remote("x } flush ruleset {"), "firewall/sites/vienna.nft");
    assert!(!hostile.contains("flush") && hostile.contains("add it by hand"), "{hostile}");
}

proptest::proptest! {
    #[test]
    fn any_paths_and_users_that_are_taken_give_the_same_files_twice_and_stand_in_them_unchanged(
        state in "/[a-z][a-zA-Z0-9._-]{0,20}(/[a-z0-9][a-zA-Z0-9._-]{0,12}){0,2}",
        agent in "[a-z_][a-z0-9_-]{0,20}",
    ) {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let text = include_str!("../../../templates/network.toml");
        let text = format!("{text}\n[paths]\nstate = \"{state}\"\n[users]\nagent = \"{agent}\"\n");
        if let Ok(network) = Network::parse(&text, "network.toml", &templates) {
            let files = texts(&network);
            proptest::prop_assert_eq!(&files, &texts(&network));
            let unit = &files.iter().find(|(path, _)| path.ends_with("hungary/bocage-agent.service")).unwrap().1;
            let inaccessible = format!("InaccessiblePaths={state} ");
            let user = format!("User={agent}\n");
            proptest::prop_assert!(unit.contains(&inaccessible), "{}", unit);
            proptest::prop_assert!(unit.contains(&user), "{}", unit);
        }
    }
}
