//! What happens meanwhile: others write, the server goes away, somebody stops the run.

use bocage_postgres::{Interrupt, Opened, PgError};
use serde_json::json;

use super::started::Server;
use super::{Lab, begin};

const FILL: &str = "create table cdm.t as select i as id, 'Meier' as name from generate_series(1, 20000) i";

/// The backend of a role, or nothing.
fn backend(server: &Server, role: &str) -> String {
    server.sql(
        "postgres",
        &format!("select pid from pg_stat_activity where usename = '{role}' and application_name = 'bocage'"),
    )
}

/// Asks until a role has no session any more; a test that waits for ever has failed.
fn gone(server: &Server, role: &str) {
    while !backend(server, role).is_empty() {}
}

#[test]
fn a_table_that_changes_while_it_is_read_is_read_as_it_was() {
    let Some(lab) = Lab::new("meanwhile", FILL) else { return };
    let mut rows = begin(&lab.source(json!({}))).unwrap();
    let mut ids: Vec<u64> = Vec::new();
    let mut changes = [
        "delete from cdm.t where id > 10000",
        "update cdm.t set id = -id",
        "insert into cdm.t select 1, 'x' from generate_series(1, 5000)",
        "vacuum cdm.t",
    ]
    .into_iter();
    while let Some(batch) = rows.next_batch().unwrap() {
        ids.extend(batch.columns[0].iter().map(|id| id.unwrap().parse::<u64>().unwrap()));
        assert!(batch.columns[1].iter().all(|name| name == Some("Meier")));
        if let Some(change) = changes.next() {
            lab.server.sql("meanwhile", change);
        }
    }
    assert_eq!(ids, (1..=20_000).collect::<Vec<_>>());
}

#[test]
fn a_session_that_is_ended_or_killed_midway_is_an_error_and_never_an_end_of_the_rows() {
    let Some(server) = Server::start(true) else { return };
    let password_file = server.database("victim");
    server.sql(
        "victim",
        &format!("create schema cdm; {FILL}; grant usage on schema cdm to victim; grant select on cdm.t to victim"),
    );
    let lab = Lab { server: server.into(), name: "victim".into(), password_file };
    let how: [&dyn Fn(&str); 2] =
        [&|pid| drop(lab.server.sql("postgres", &format!("select pg_terminate_backend({pid})"))), &|pid| {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }];
    for end in how {
        let mut rows = begin(&lab.source(json!({}))).unwrap();
        assert!(rows.next_batch().unwrap().is_some());
        end(&backend(&lab.server, "victim"));
        let error = loop {
            match rows.next_batch() {
                Ok(batch) => assert!(batch.is_some(), "the rows did not end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, PgError::Gone { rows, .. } if (4096..20_000).contains(&rows)), "{error}");
        assert!(error.to_string().contains("\n  hint: nothing of this run is kept"), "{error}");
    }
}

#[test]
fn a_statement_that_takes_too_long_ends_at_its_time_out() {
    let Some(lab) = Lab::new("slow", "select 1") else { return };
    let source = lab.source(
        json!({"table": null, "query": "select count(*) as n from generate_series(1, 1e12)", "timeout_secs": 1}),
    );
    let error = lab.error(&source);
    assert!(
        error.contains("its query: it took longer than its time-out (SQLSTATE 57014)\n  hint: raise timeout_secs"),
        "{error}"
    );
}

#[test]
fn a_run_that_is_interrupted_stops_at_once_on_the_server_too() {
    let Some(lab) = Lab::new("stopped", "select 1") else { return };
    let interrupt = Interrupt::default();
    let opened =
        Opened::connect(&lab.query("select count(*) as n from generate_series(1, 1e12)"), interrupt.clone()).unwrap();
    let mut rows = opened.rows(&[0]).unwrap();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            let busy = "select count(*) from pg_stat_activity where usename = 'stopped' and state = 'active' and query like 'fetch%'";
            while lab.server.sql("postgres", busy) == "0" {}
            interrupt.stop();
        });
        rows.next_batch().unwrap_err()
    });
    assert!(matches!(error, PgError::Interrupted { rows: 0, .. }), "{error}");
    drop(rows);
    gone(&lab.server, "stopped");
}

#[test]
fn rows_that_nobody_wants_any_more_leave_no_session_behind() {
    let Some(lab) = Lab::new("dropped", FILL) else { return };
    let mut rows = begin(&lab.source(json!({}))).unwrap();
    rows.next_batch().unwrap();
    assert!(!backend(&lab.server, "dropped").is_empty());
    drop(rows);
    gone(&lab.server, "dropped");
}
