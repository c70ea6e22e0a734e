//! A warehouse that goes away while it is read.

use std::fs;
use std::process::{Command, Stdio};

use bocage_tests::escapes;

use super::Network;
use super::started::Server;

pub fn view(rows: &str) -> String {
    format!(
        "create or replace view cdm.periods as select i::bigint as person_id, date '2020-01-01' as observation_period_start_date, \
             date '2020-12-31' as observation_period_end_date, 0 as period_type_concept_id from generate_series(1, {rows}) as i;"
    )
}

/// A hospital with a table of a thousand rows, and what else its dataset says.
pub fn network(server: &Server, name: &str, more: &str) -> Network {
    let password_file = server.database(name);
    server.sql(
        name,
        &format!(
            "create schema cdm; {} grant usage on schema cdm to {name}; grant select on cdm.periods to {name}",
            view("1000")
        ),
    );
    let site = format!(
        "[[site]]\nid = \"hospital\"\n[site.dataset.periods]\ncontract = \"omop-observation-period@541\"\nsource = {{ kind = \"postgres\", host = \"localhost\", port = {}, \
         database = \"{name}\", user = \"{name}\", password_file = \"{}\", ca_file = \"{}\", table = \"cdm.periods\" }}\n{more}\n",
        server.port,
        password_file.display(),
        server.ca().display()
    );
    Network::new("omop-5.4", &site)
}

#[test]
fn an_ingest_that_reads_a_warehouse_makes_no_further_socket_once_it_is_connected() {
    let Some(server) = Server::shared() else { return };
    let network = network(&server, "connected", "");
    let dials = |env: &[(&str, &str)]| {
        let refresh = Command::new(env!("CARGO_BIN_EXE_bocage-lab"))
            .args(["node", "datasets", "refresh", "periods", "--config", &network.text("net/sites/hospital/node.toml")])
            .env(escapes::DIALS, "1")
            .envs(env.iter().copied())
            .output()
            .expect("the command");
        assert!(refresh.status.success(), "{}", String::from_utf8_lossy(&refresh.stderr));
        String::from_utf8_lossy(&refresh.stderr).into_owned()
    };
    let confined = dials(&[]);
    assert!(confined.contains("a socket: Err(1)") && !confined.contains("a socket: Ok"), "{confined}");
    let free = dials(&[(escapes::UNSANDBOXED, "1"), ("BOCAGE_NODE__REQUIRE_SANDBOX", "false")]);
    assert!(free.contains("a socket: Ok"), "{free}");
}

#[test]
fn a_warehouse_that_goes_away_midway_leaves_the_snapshot_before_in_place_and_nothing_else() {
    let Some(server) = Server::shared() else { return };
    let network = network(&server, "midway", "");
    let (before, rows) = network.snapshot("hospital", "periods");
    assert_eq!(before["rows"], 1000);
    let folder = rows.parent().expect("its folder");
    let files = || {
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
        // What is told of the attempt that failed.
        names.retain(|name| name != "attempt.json");
        names.sort();
        names
    };
    let (kept, current) = (files(), fs::read(folder.join("current")).expect("the current one"));

    // Without an end, so that it is midway whenever it is ended.
    server.sql("midway", &view("1000000000000"));
    let refresh = Command::new(env!("CARGO_BIN_EXE_bocage-lab"))
        .args(["node", "datasets", "refresh", "periods", "--config", &network.text("net/sites/hospital/node.toml")])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the command");
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'midway' and query like 'fetch%'";
    while server.sql("postgres", end) == "0" {}
    let output = refresh.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("table cdm.periods: the server ended the session, ")
            && said.contains("hint: nothing of this run is kept"),
        "{said}"
    );
    assert_eq!((files(), fs::read(folder.join("current")).expect("the current one")), (kept, current));
}
