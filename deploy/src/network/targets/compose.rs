//! Containers: one image, and a compose file for each machine. The custodian's container has no network; the others share the folder of sockets with it, and
//! nothing else but what the ingest is for.

use super::super::Tree;
use super::super::spec::{Network, Site};
use super::yaml::{Yaml, map};
use super::{people, servers};

/// Users of the image, by number, so that volumes can be given to them.
const CUSTODIAN: u32 = 10_001;
const AGENT: u32 = 10_002;
const LINK: u32 = 10_003;
const COORDINATOR: u32 = 10_004;

/// Where things are within a container, whatever they are outside.
const CONFIG: &str = "/etc/bocage";
const STATE: &str = "/var/lib/bocage";
const RUN: &str = "/run/bocage";

const ABOUT: &str =
    "Rendered by `bocage network render`; a change belongs into network.toml or into compose.override.yaml.";

/// All of it.
pub fn render(network: &Network, tree: &mut Tree) {
    tree.file("compose/Containerfile", containerfile(network));
    tree.file("compose/coordinator/compose.yaml", coordinator().document(ABOUT));
    tree.file("compose/coordinator/README.txt", people::COORDINATOR_CONTAINER);
    for site in &network.sites {
        tree.file(format!("compose/sites/{}/compose.yaml", site.id), node(site).document(ABOUT));
        tree.file(format!("compose/sites/{}/README.txt", site.id), people::NODE_CONTAINERS);
    }
}

fn containerfile(network: &Network) -> String {
    let users = &network.users;
    let (custodian, agent, coordinator, link) = (&users.custodian, &users.agent, &users.coordinator, users.link());
    format!(
        "# Rendered by `bocage network render`. From the repository: docker build --file Containerfile --tag bocage .\n\
         FROM rust:1.95-bookworm AS build\n\
         WORKDIR /src\n\
         COPY . .\n\
         RUN cargo build --release --locked --bin bocage\n\
         \n\
         FROM debian:bookworm-slim\n\
         RUN groupadd --system --gid {LINK} {link} \\\n    \
             && useradd --system --uid {CUSTODIAN} --user-group --groups {link} --no-create-home --shell /usr/sbin/nologin {custodian} \\\n    \
             && useradd --system --uid {AGENT} --user-group --groups {link} --no-create-home --shell /usr/sbin/nologin {agent} \\\n    \
             && useradd --system --uid {COORDINATOR} --user-group --no-create-home --shell /usr/sbin/nologin {coordinator} \\\n    \
             && install --directory --mode 0700 --owner {custodian} --group {custodian} {STATE} \\\n    \
             && install --directory --mode 0700 --owner {coordinator} --group {coordinator} {STATE}-coordinator\n\
         COPY --from=build /src/target/release/bocage /usr/bin/bocage\n\
         USER {CUSTODIAN}:{LINK}\n\
         ENTRYPOINT [\"/usr/bin/bocage\"]\n\
         CMD [\"--help\"]\n"
    )
}

/// What every container gives up.
fn hardened(user: u32, group: u32, command: &[&str], more: Vec<(&str, Yaml)>) -> Yaml {
    let mut pairs: Vec<(&str, Yaml)> = vec![
        ("image", "bocage".into()),
        ("command", command.to_vec().into()),
        ("user", format!("{user}:{group}").into()),
        ("init", true.into()),
        ("read_only", true.into()),
        ("cap_drop", vec!["ALL"].into()),
        ("security_opt", vec!["no-new-privileges:true"].into()),
        ("tmpfs", vec!["/tmp:mode=1777,size=64m"].into()),
        ("pids_limit", Yaml::Number(512)),
        ("restart", "unless-stopped".into()),
    ];
    pairs.extend(more);
    Yaml::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn node(site: &Site) -> Yaml {
    let settings = || {
        map([
            ("BOCAGE_NODE__STATE_DIR", STATE.into()),
            ("BOCAGE_NODE__RUN_DIR", RUN.into()),
            ("BOCAGE_NODE__AGENT_USER", AGENT.to_string().into()),
        ])
    };
    let read = |file: &str| format!("./{file}:{CONFIG}/{file}:ro");
    let command = |process: &'static str| vec!["node", process, "--config", "/etc/bocage/node.toml"];
    let run = || format!("run:{RUN}");
    let state = || format!("state:{STATE}");
    let without_network = ("network_mode", Yaml::from("none"));

    let custodian = hardened(
        CUSTODIAN,
        LINK,
        &command("custodian"),
        vec![
            without_network.clone(),
            ("environment", settings()),
            ("volumes", vec![read("node.toml"), read("contracts"), read("release.key"), state(), run()].into()),
        ],
    );
    let mut of_ingest = vec![
        ("environment", settings()),
        ("volumes", vec![read("node.toml"), read("contracts"), read("data"), state(), run()].into()),
        ("depends_on", vec!["custodian"].into()),
    ];
    if servers(site).is_empty() {
        of_ingest.insert(0, without_network);
    }
    let ingest = [&command("ingest")[..], &["--due", "--watch"]].concat();
    let ingest = hardened(CUSTODIAN, LINK, &ingest, of_ingest);
    let agent = hardened(
        AGENT,
        LINK,
        &command("agent"),
        vec![
            ("environment", settings()),
            (
                "volumes",
                vec![read("node.toml"), read("contracts"), read("ca.pem"), format!("./tls:{CONFIG}/tls"), run()].into(),
            ),
            ("depends_on", vec!["custodian"].into()),
        ],
    );
    // It tells people outside, so it is given neither data nor ledger nor a key.
    let herald = hardened(
        CUSTODIAN,
        LINK,
        &[&command("herald")[..], &["--watch"]].concat(),
        vec![
            ("environment", settings()),
            ("volumes", vec![read("node.toml"), read("contracts"), run()].into()),
            ("depends_on", vec!["custodian"].into()),
        ],
    );
    let memory = map([
        ("type", "tmpfs".into()),
        ("device", "tmpfs".into()),
        ("o", format!("mode=3771,uid={CUSTODIAN},gid={LINK},size=1m").into()),
    ]);
    map([
        ("services", map([("custodian", custodian), ("ingest", ingest), ("agent", agent), ("herald", herald)])),
        (
            "volumes",
            map([
                ("state", Yaml::Map(Vec::new())),
                ("run", map([("driver", "local".into()), ("driver_opts", memory)])),
            ]),
        ),
    ])
}

fn coordinator() -> Yaml {
    let volumes = vec![
        format!("./:{CONFIG}/coordinator:ro"),
        format!("./tls:{CONFIG}/coordinator/tls"),
        format!("state:{STATE}-coordinator"),
    ];
    let coordinator = hardened(
        COORDINATOR,
        COORDINATOR,
        &["coordinator", "serve", "--config", "/etc/bocage/coordinator/coordinator.toml"],
        vec![
            // The interface for people may listen on this machine's own address alone.
            ("network_mode", "host".into()),
            ("environment", map([("BOCAGE_COORDINATOR__STATE_DIR", format!("{STATE}-coordinator").into())])),
            ("volumes", volumes.into()),
        ],
    );
    map([("services", map([("coordinator", coordinator)])), ("volumes", map([("state", Yaml::Map(Vec::new()))]))])
}
