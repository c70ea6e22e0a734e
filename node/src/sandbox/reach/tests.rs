//! What each process may open, exactly, wherever a site keeps its files.

use std::fs;

use super::*;
use crate::fixture::Site;

#[test]
fn a_file_brings_its_folder_unless_another_process_keeps_a_secret_there_or_below() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("data/deep")).unwrap();
    for file in ["data/rows.csv", "data/deep/tls.key", "tls.key"] {
        fs::write(at(file), "").unwrap();
    }
    assert_eq!(around(&at("data/rows.csv"), &[at("tls.key")]), at("data"));
    assert_eq!(around(&at("data/rows.csv"), &[at("data/deep/tls.key")]), at("data/rows.csv"));
    assert_eq!(around(&at("data/absent.csv"), &[at("tls.key")]), at("data"));
    std::os::unix::fs::symlink(at("data/rows.csv"), at("link.csv")).unwrap();
    assert_eq!(around(&at("link.csv"), &[at("tls.key")]), at("data"), "the link's target counts");
    std::os::unix::fs::symlink(at("data/deep"), at("elsewhere")).unwrap();
    assert_eq!(around(&at("data/rows.csv"), &[at("elsewhere/tls.key")]), at("data/rows.csv"));
}

#[test]
fn agent_custodian_and_ingest_share_no_folder_and_no_key() {
    let site = Site::new();
    let config = Config::load(&site.origin()).unwrap();
    let [agent, custodian] = [Process::Agent, Process::Custodian].map(|process| Reach::of(process, &config, None));
    let (agent_reads, custodian_reads) = (agent.read.unwrap(), custodian.read.unwrap());
    assert!(agent_reads.contains(&site.path("site.key")) && agent.write.is_empty() && renewed(&config).is_none());
    assert_eq!(custodian_reads, [site.path("release.key"), "/dev/urandom".into()]);
    assert_eq!(custodian.write, [site.path("state")]);
    assert!(!agent_reads.iter().any(|path| custodian_reads.contains(path) || site.path("state").starts_with(path)));
    // A source beside the keys: the file alone.
    let ingest = Reach::of(Process::Ingest, &config, config.datasets.get("heart"));
    assert_eq!(ingest.read, Some(vec![site.path("heart.csv")]));
    assert_eq!(ingest.write, [site.path("state/snapshots/heart")]);
    // A source in a folder of its own, which a new file can be renamed into.
    fs::create_dir(site.path("data")).unwrap();
    site.edit_config("path = \"heart.csv\"", "path = \"data/heart.csv\"");
    let config = Config::load(&site.origin()).unwrap();
    assert_eq!(Reach::of(Process::Ingest, &config, config.datasets.get("heart")).read, Some(vec![site.path("data")]));
}

#[test]
fn an_ingest_reads_the_snapshots_of_datasets_that_its_rules_look_into_and_changes_its_own_alone() {
    let site = Site::new();
    let columns = "[[column]]\nname = \"patient\"\ntype = \"text\"\n[[column]]\nname = \"day\"\ntype = \"date\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\n";
    let rule = "[[rule]]\nname = \"lived\"\nkind = \"before_birth\"\ncolumn = \"day\"\nborn = \"people\"\n";
    let contract =
        |name: &str, more: &str, rule: &str| format!("id = \"{name}@1\"\nsubject = \"patient\"\n{more}{columns}{rule}");
    fs::write(site.path("contracts/people.toml"), contract("people", "birth = \"day\"\n", "")).unwrap();
    fs::write(site.path("contracts/visits.toml"), contract("visits", "", rule)).unwrap();
    let section = |name: &str| {
        fs::write(site.path(&format!("{name}.csv")), "patient,day\n").unwrap();
        format!("[dataset.{name}]\ncontract = \"{name}@1\"\nsource = {{ kind = \"csv\", path = \"{name}.csv\" }}\n")
    };
    site.write_config(&(section("people") + &section("visits")));
    let config = Config::load(&site.origin()).unwrap();
    let reach = |name: &str| Reach::of(Process::Ingest, &config, config.datasets.get(name));
    let visits = reach("visits");
    assert_eq!(visits.read, Some(vec![site.path("visits.csv"), site.path("state/snapshots/people")]));
    assert_eq!(visits.write, [site.path("state/snapshots/visits")]);
    assert_eq!(reach("people").read, Some(vec![site.path("people.csv")]));
}

#[test]
fn the_custodian_reads_the_folder_of_the_opt_outs_and_the_salt_and_the_agent_neither() {
    let site = Site::new();
    fs::create_dir(site.path("lists")).unwrap();
    for file in ["lists/optouts.csv", "salt"] {
        fs::write(site.path(file), "").unwrap();
    }
    let section = |path: &str| {
        format!(
            "optout = \"false\"\n[optouts]\nsource = {{ kind = \"csv\", path = \"{path}\" }}\nids = \"sha256\"\nsalt_file = \"salt\""
        )
    };
    site.write_config(&section("lists/optouts.csv"));
    let config = Config::load(&site.origin()).unwrap();
    let reads = |process| Reach::of(process, &config, None).read.unwrap();
    let (agent, custodian) = (reads(Process::Agent), reads(Process::Custodian));
    for secret in [site.path("lists"), site.path("salt")] {
        assert!(custodian.contains(&secret), "{}", secret.display());
        assert!(!agent.iter().any(|path| secret.starts_with(path)), "{}", secret.display());
    }
    assert!(!guarded_list(&config));
    // Beside the agent's key: the file alone.
    site.write_config(&section("optouts.csv"));
    fs::write(site.path("optouts.csv"), "").unwrap();
    let config = Config::load(&site.origin()).unwrap();
    assert!(guarded_list(&config));
    assert!(Reach::of(Process::Custodian, &config, None).read.unwrap().contains(&site.path("optouts.csv")));
}

#[test]
fn what_opens_other_servers_is_kept_from_the_agent_and_from_other_datasets_ingests() {
    let site = Site::new();
    for (folder, key) in [("tls", "site.key"), ("data", "heart.csv")] {
        fs::create_dir(site.path(folder)).unwrap();
        fs::rename(site.path(key), site.path(&format!("{folder}/{key}"))).unwrap();
        site.edit_config(&format!("\"{key}\""), &format!("\"{folder}/{key}\""));
    }
    let source = fs::read_to_string(site.path("node.toml")).unwrap();
    let reads = |more: &str| {
        fs::write(site.path("node.toml"), format!("{source}\n{more}")).unwrap();
        let config = Config::load(&site.origin()).unwrap();
        let heart = config.datasets.get("heart");
        let [agent, ingest] = [(Process::Agent, None), (Process::Ingest, heart)]
            .map(|(process, dataset)| Reach::of(process, &config, dataset).read.unwrap());
        (agent, ingest)
    };
    let key = |folder: &str| {
        format!(
            "[fhir_server.ward]\nurl = \"https://fhir.example.org\"\nfolder = \"ward\"\nclient_id = \"c\"\nkey_file = \"{folder}/ward.pem\"\n"
        )
    };
    // What is renewed is put into the key's own folder, by nobody but the agent and below who starts it.
    let config = Config::load(&site.origin()).unwrap();
    assert_eq!(renewed(&config), Some(site.path("tls")));
    assert_eq!(Reach::of(Process::Agent, &config, None).write, [site.path("tls")]);
    assert!(!Reach::of(Process::Custodian, &config, None).write.contains(&site.path("tls")));
    // With anything else beside the key the agent could put something of its own in that one's place.
    fs::write(site.path("tls/.site.key.7-1.tmp"), "").unwrap();
    assert!(renewed(&config).is_some());
    // What a restored key took the place of is the agent's as well, and nothing else that is called so.
    let named = config.tls.key_file.file_name().unwrap().to_str().unwrap().to_owned();
    fs::write(site.path(&format!("tls/{named}.before-restore-2026")), "").unwrap();
    assert!(renewed(&config).is_some());
    fs::write(site.path("tls/other.before-restore-2026"), "").unwrap();
    assert!(renewed(&config).is_none());
    fs::remove_file(site.path("tls/other.before-restore-2026")).unwrap();
    fs::write(site.path("tls/node.toml"), "").unwrap();
    assert!(renewed(&config).is_none());
    for folder in ["tls", "data"] {
        fs::write(site.path(&format!("{folder}/ward.pem")), "").unwrap();
    }
    let (agent, ingest) = reads("");
    assert!(agent.contains(&site.path("tls")) && ingest == [site.path("data")]);
    let (agent, _) = reads(&key("tls"));
    assert!(agent.contains(&site.path("tls/site.key")) && !agent.contains(&site.path("tls")), "{agent:?}");
    assert_eq!(reads(&key("data")).1, [site.path("data/heart.csv")]);
    // A database's password beside the agent's key.
    let source = r#"source = { kind = "csv", path = "data/heart.csv" }"#;
    let database = r#"source = { kind = "postgres", host = "/run/postgresql", database = "d", user = "u", password_file = "tls/p", table = "t" }"#;
    fs::write(site.path("tls/p"), "").unwrap();
    reads("");
    site.edit_config(source, database);
    let config = Config::load(&site.origin()).unwrap();
    let agent = Reach::of(Process::Agent, &config, None);
    let reads = agent.read.unwrap();
    assert!(!reads.contains(&site.path("tls")), "{reads:?}");
    // What an ingest dials, its starter must not have given up; the agent does.
    let ports = |process, dataset| Reach::of(process, &config, dataset).ports.unwrap();
    let ingest = ports(Process::RemoteIngest, config.datasets.get("heart"));
    assert_eq!((ports(Process::Supervisor, None), ingest, agent.ports.unwrap()), (vec![5432], vec![5432], vec![]));
    assert!(secrets_of_others(&config).contains(&site.path("tls/p")));
}

#[test]
fn the_agent_dials_one_port_over_tcp_where_it_dials_that_at_all_and_alone_reads_the_proxys_password() {
    let site = Site::new();
    let address = "address = \"127.0.0.1:4433\"";
    let tcp = format!("{address}\ntcp = \"c.example.org:443\"");
    let ports =
        |config: &Config| [Process::Supervisor, Process::Agent].map(|of| Reach::of(of, config, None).ports.unwrap());
    assert_eq!(ports(&Config::load(&site.origin()).unwrap()), [Vec::<u16>::new(), Vec::new()]);
    site.edit_config(address, &tcp);
    assert_eq!(ports(&Config::load(&site.origin()).unwrap()), [vec![443], vec![443]]);
    let proxy = format!("{tcp}\n[coordinator.proxy]\nurl = \"http://p:3128\"\nuser = \"u\"\npassword_file = \"p\"");
    site.edit_config(&tcp, &proxy);
    fs::write(site.path("p"), "").unwrap();
    let config = Config::load(&site.origin()).unwrap();
    assert_eq!(ports(&config), [vec![3128], vec![3128]]);
    let heart = config.datasets.get("heart");
    let reads = |process, dataset| Reach::of(process, &config, dataset).read.unwrap();
    assert!(reads(Process::Agent, None).contains(&site.path("p")));
    for others in [reads(Process::Custodian, None), reads(Process::Ingest, heart)] {
        assert!(!others.iter().any(|path| site.path("p").starts_with(path)), "{others:?}");
    }
    assert!(secrets_of_others(&config).contains(&site.path("p")));
}

/// A site with its agent's key in a folder of its own, and one of the others' files moved there or beside the source.
struct Laid {
    site: Site,
    config: Config,
}

impl Laid {
    /// `file` is what is named by `settings`; where these replace what `node.toml` says, `instead` is that.
    fn out(file: &str, instead: &str, settings: &str) -> Self {
        let site = Site::new();
        for (folder, name) in [("keys", "site.key"), ("data", "heart.csv")] {
            fs::create_dir(site.path(folder)).unwrap();
            fs::rename(site.path(name), site.path(&format!("{folder}/{name}"))).unwrap();
            site.edit_config(&format!("\"{name}\""), &format!("\"{folder}/{name}\""));
        }
        let other = crate::fixture::CONTRACT.replace("heart@1", "other@1");
        fs::write(site.path("contracts/other.toml"), other).unwrap();
        if !file.ends_with("state") && !site.path(file).exists() {
            fs::write(site.path(file), "").unwrap();
        }
        match instead {
            "" => fs::write(site.path("node.toml"), fs::read_to_string(site.path("node.toml")).unwrap() + settings)
                .unwrap(),
            instead => site.edit_config(instead, settings),
        }
        let config = Config::load(&site.origin()).unwrap_or_else(|problems| panic!("{file}: {problems}"));
        Self { site, config }
    }

    fn reads(&self, process: Process) -> Vec<PathBuf> {
        let dataset = (process == Process::Ingest).then(|| &self.config.datasets["heart"]);
        Reach::of(process, &self.config, dataset).read.unwrap()
    }
}

/// What must be kept from others: the file, in a folder that the test names, and how `node.toml` says so.
fn secrets(folder: &str) -> Vec<(&'static str, String, String, String)> {
    let at = |name: &str| format!("{folder}/{name}");
    let more = "source = { kind = \"csv\", path = \"data/heart.csv\" }\n";
    let postgres = "kind = \"postgres\", host = \"/run/postgresql\", database = \"d\", user = \"u\", table = \"t\"";
    let address = "address = \"127.0.0.1:4433\"\n";
    vec![
        (
            "the release key",
            at("release.key"),
            "key_file = \"release.key\"".into(),
            format!("key_file = \"{}\"", at("release.key")),
        ),
        (
            "the state",
            at("state"),
            "site = \"cleveland\"".into(),
            format!("site = \"cleveland\"\nstate_dir = \"{}\"", at("state")),
        ),
        (
            "the opt-outs",
            at("list.csv"),
            more.into(),
            format!(
                "{more}optout = \"false\"\n[optouts]\nsource = {{ kind = \"csv\", path = \"{}\" }}\n",
                at("list.csv")
            ),
        ),
        (
            "the salt",
            at("salt"),
            more.into(),
            format!(
                "{more}optout = \"false\"\n[optouts]\nsource = {{ kind = \"csv\", path = \"none/list.csv\" }}\nids = \"sha256\"\nsalt_file = \"{}\"\n",
                at("salt")
            ),
        ),
        (
            "a database's password",
            at("pw"),
            String::new(),
            format!(
                "[dataset.other]\ncontract = \"other@1\"\nsource = {{ {postgres}, password_file = \"{}\" }}\n",
                at("pw")
            ),
        ),
        (
            "a FHIR server's key",
            at("ward.pem"),
            String::new(),
            format!(
                "[fhir_server.ward]\nurl = \"https://fhir.example.org\"\nfolder = \"ward\"\nclient_id = \"c\"\nkey_file = \"{}\"\n",
                at("ward.pem")
            ),
        ),
        (
            "another source",
            at("other.csv"),
            String::new(),
            format!(
                "[dataset.other]\ncontract = \"other@1\"\nsource = {{ kind = \"csv\", path = \"{}\" }}\n",
                at("other.csv")
            ),
        ),
        (
            "the proxy's password",
            at("proxy.pw"),
            address.into(),
            format!(
                "{address}tcp = \"c:443\"\n[coordinator.proxy]\nurl = \"http://p:3128\"\nuser = \"u\"\npassword_file = \"{}\"\n",
                at("proxy.pw")
            ),
        ),
    ]
}

#[test]
fn whichever_secret_lies_beside_the_agents_key_the_agent_reads_its_own_file_alone() {
    for (what, file, instead, settings) in secrets("keys") {
        let own = what == "the proxy's password";
        let laid = Laid::out(&file, &instead, &settings);
        let (folder, key) = (laid.site.path("keys"), laid.site.path("keys/site.key"));
        let reads = laid.reads(Process::Agent);
        assert_eq!((reads.contains(&folder), reads.contains(&key)), (own, !own), "{what}: {reads:?}");
        if !own {
            assert!(!reads.iter().any(|path| laid.site.path(&file).starts_with(path)), "{what}: {reads:?}");
            assert!(renewed(&laid.config).is_none(), "{what}: nothing is written beside it");
        }
    }
}

#[test]
fn whichever_secret_lies_beside_a_source_the_ingest_reads_the_source_alone() {
    let tls = ("the agent's key", "data/k".to_owned(), "keys/site.key".to_owned(), "data/k".to_owned());
    for (what, file, instead, settings) in secrets("data").into_iter().chain([tls]) {
        // Sources are no secrets of one another's: whoever reads one may read its folder.
        let shared = what == "another source";
        let laid = Laid::out(&file, &instead, &settings);
        let expected = if shared { "data" } else { "data/heart.csv" };
        assert_eq!(laid.reads(Process::Ingest), [laid.site.path(expected)], "{what}");
    }
}

#[test]
fn whichever_of_the_agents_secrets_lies_beside_the_opt_outs_the_custodian_reads_the_list_alone() {
    let list = "[optouts]\nsource = { kind = \"csv\", path = \"lists/list.csv\" }\n";
    for (instead, settings) in [
        ("keys/site.key", "lists/k".to_owned()),
        (
            "address = \"127.0.0.1:4433\"\n",
            "address = \"127.0.0.1:4433\"\ntcp = \"c:443\"\n[coordinator.proxy]\nurl = \"http://p:3128\"\nuser = \"u\"\npassword_file = \"lists/pw\"\n".to_owned(),
        ),
    ] {
        let laid = Laid::out("list", "", &format!("optout = \"false\"\n{list}"));
        fs::create_dir(laid.site.path("lists")).unwrap();
        fs::write(laid.site.path("lists/list.csv"), "").unwrap();
        let reads = |config: &Config| Reach::of(Process::Custodian, config, None).read.unwrap();
        assert!(reads(&laid.config).contains(&laid.site.path("lists")));
        laid.site.edit_config(instead, &settings);
        for secret in ["lists/k", "lists/pw"] {
            fs::write(laid.site.path(secret), "").unwrap();
        }
        let config = Config::load(&laid.site.origin()).unwrap();
        assert!(reads(&config).contains(&laid.site.path("lists/list.csv")), "{settings}");
        assert!(!reads(&config).contains(&laid.site.path("lists")), "{settings}");
    }
}

#[test]
fn each_process_has_what_it_needs_and_not_one_thing_more() {
    let laid = Laid::out("data/unused", "", "");
    let at = |name: &str| laid.site.path(name);
    let of = |process, dataset| Reach::of(process, &laid.config, dataset);
    let heart = laid.config.datasets.get("heart");
    let resolver = || RESOLVER.iter().map(PathBuf::from);
    let supervisor = Reach {
        read: None,
        write: vec!["/dev/null".into(), at("state"), at("keys")],
        free: vec![],
        name_servers: true,
        ports: Some(vec![]),
    };
    assert_eq!(of(Process::Supervisor, None), supervisor);
    // Certificate and roots lie beside the release key.
    let own = [at("ca.pem"), at("site.pem"), at("keys")];
    let read = Some(own.into_iter().chain(resolver()).collect());
    let reach = |read, write, name_servers| Reach { read, write, free: vec![], name_servers, ports: Some(vec![]) };
    assert_eq!(of(Process::Agent, None), reach(read, vec![at("keys")], true));
    let read = Some(vec![at("release.key"), "/dev/urandom".into()]);
    assert_eq!(of(Process::Custodian, None), reach(read, vec![at("state")], false));
    let write = vec![at("state/snapshots/heart")];
    let read = Some(vec![at("data")]);
    assert_eq!(of(Process::Ingest, heart), reach(read, write, false));
}

#[test]
fn a_herald_that_posts_reads_public_files_alone_and_dials_the_sites_server() {
    let laid = Laid::out(
        "data/unused",
        "",
        "[steward]\nnotify_url = \"https://tell.example.org:8443/x\"\nnotify_ca_file = \"tell/ca.pem\"\n",
    );
    fs::create_dir(laid.site.path("tell")).unwrap();
    let reach = Reach::of(Process::Herald, &laid.config, None);
    assert_eq!((reach.ports, reach.name_servers), (Some(vec![8443]), true));
    assert!(reach.write.is_empty() && reach.free.is_empty());
    let read = reach.read.unwrap();
    let of_site = |path: &&PathBuf| laid.site.path("").starts_with(path) || path.starts_with(laid.site.path(""));
    assert_eq!(read.iter().filter(of_site).collect::<Vec<_>>(), [&laid.site.path("tell")]);
}

#[test]
fn the_sites_own_command_reaches_all_that_there_is_but_data_state_and_keys() {
    let laid = Laid::out("data/unused", "", "[steward]\nnotify_command = [\"/bin/true\"]\n");
    let at = |name: &str| laid.site.path(name).canonicalize().unwrap();
    for folder in ["state", "script"] {
        fs::create_dir_all(laid.site.path(folder)).unwrap();
    }
    std::os::unix::fs::symlink(at("data"), laid.site.path("link")).unwrap();
    let free = Reach::of(Process::CommandHerald, &laid.config, None).free;
    let reaches = |path: &Path| free.iter().any(|free| path.starts_with(free));
    assert!(reaches(Path::new("/usr")) && reaches(&at("script")) && reaches(&at("node.toml")));
    for kept in ["data", "data/unused", "state", "release.key", "keys/site.key"] {
        assert!(!reaches(&at(kept)) && !free.iter().any(|free| at(kept).starts_with(free)), "{kept}");
    }
    assert!(!free.contains(&laid.site.path("link")), "not by another name either");
}
