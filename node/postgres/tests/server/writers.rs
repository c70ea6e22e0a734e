//! A role that may write is refused, with the SQL that ends it; and what is not allowed is said without values.

use serde_json::json;

use super::{Lab, texts};

#[test]
fn a_role_that_could_change_what_it_reads_is_refused_with_the_remedy() {
    let sql = "create table cdm.t (id int); create table cdm.other (id int); create table cdm.part (id int, word text); \
        create view cdm.v as select id from cdm.part; create table cdm.safe (id int)";
    let Some(lab) = Lab::new("writer", sql) else { return };
    let of = |table: &str| lab.source(json!({"table": table}));
    lab.server.sql("writer", "grant delete on cdm.t to writer; grant insert on cdm.other to public; grant update (word) on cdm.part to writer");
    let error = lab.error(&of("cdm.t"));
    assert!(error.contains("the role `writer` may write what it reads: cdm.t\n  hint: REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON \"cdm\".\"t\" FROM \"writer\";"), "{error}");
    assert!(lab.error(&of("cdm.other")).contains("may write what it reads: cdm.other"), "by what PUBLIC may");
    assert!(lab.error(&of("cdm.part")).contains("may write what it reads: cdm.part"), "by one column");
    assert!(lab.error(&of("cdm.v")).contains("may write what it reads: cdm.part"), "behind a view");
    assert!(lab.error(&lab.query("select a.id from cdm.safe a join cdm.t b on a.id = b.id")).contains("reads: cdm.t"));
    assert_eq!(texts(&of("cdm.safe")).unwrap().len(), 0, "what it could do elsewhere is none of ours");

    // The remedy is one.
    let remedy = error.split_once("hint: ").unwrap().1.split_once(';').unwrap().0;
    lab.server.sql("writer", remedy);
    assert_eq!(texts(&of("cdm.t")).unwrap().len(), 0);
    let accepted = lab.source(json!({"table": "cdm.other", "allow_writing_role": true}));
    assert_eq!(texts(&accepted).unwrap().len(), 0);
    assert!(accepted.notices()[0].contains("allow_writing_role = true"));
}

#[test]
fn a_superuser_is_refused() {
    let Some(lab) = Lab::new("mighty", "create table cdm.t (id int)") else { return };
    lab.server.sql("postgres", "alter role mighty superuser");
    let error = lab.error(&lab.source(json!({})));
    assert!(
        error.contains(
            "the role `mighty` may write: it is a superuser\n  hint: make a role for Bocage alone: CREATE ROLE"
        ),
        "{error}"
    );
    lab.server.sql("postgres", "alter role mighty nosuperuser");
    assert!(texts(&lab.source(json!({}))).is_ok());
}

#[test]
fn nothing_is_written_even_where_role_and_query_try() {
    let sql = "create table cdm.t (id int); create function cdm.sneak() returns int language sql volatile as $$ insert into cdm.t values (1) returning id $$";
    let Some(lab) = Lab::new("sneaky", sql) else { return };
    lab.server.sql("sneaky", "grant all on cdm.t to sneaky");
    let says = |query: &str, wanted: &str| {
        let source = lab.source(json!({"table": null, "query": query, "allow_writing_role": true}));
        let error = texts(&source).expect_err(query).to_string();
        assert!(error.contains(wanted), "{query}: {error}");
    };
    says("select cdm.sneak() as id", "its query: it would write (SQLSTATE 25006)\n  hint: a source reads only");
    says(
        "select 1 as id) as r; commit; insert into cdm.t values (2); select 1 from (select 2",
        "cannot insert multiple commands into a prepared statement (SQLSTATE 42601)",
    );
    says("insert into cdm.t values (3) returning id", "(SQLSTATE 42601)");
    says("with w as (insert into cdm.t values (4) returning id) select id from w", "(SQLSTATE 0A000)");
    assert_eq!(lab.server.sql("sneaky", "select count(*) from cdm.t"), "0");
}

#[test]
fn what_the_server_refuses_is_said_with_state_and_hint_and_never_a_value() {
    let sql = "create table cdm.t (id int, name text); insert into cdm.t values (1, 'Meier'); create schema hidden; create table hidden.h (id int)";
    let Some(lab) = Lab::new("refused", sql) else { return };
    let says = |source, wanted: &str| {
        let error = lab.error(&source);
        assert!(error.contains(wanted) && error.contains("\n  hint: "), "{wanted} not in {error}");
    };
    says(
        lab.source(json!({"table": "hidden.h"})),
        "table hidden.h: permission denied for schema hidden (SQLSTATE 42501)\n  hint: the role needs GRANT USAGE",
    );
    says(lab.source(json!({"table": "cdm.persn"})), "relation \"cdm.persn\" does not exist (SQLSTATE 42P01)");
    says(lab.query("select nme from cdm.t"), "its query: column \"nme\" does not exist (SQLSTATE 42703)");
    // The server's own words here are: invalid input syntax for type integer: "Meier".
    says(
        lab.query("select name::int as n from cdm.t"),
        "its query: a value does not allow the query's arithmetic or casts (SQLSTATE 22P02)",
    );
    says(lab.query("select 1 / (id - 1) as n from cdm.t"), "(SQLSTATE 22012)");
    lab.server.sql("refused", "revoke select on cdm.t from refused");
    says(lab.source(json!({})), "table cdm.t: permission denied (SQLSTATE 42501)");
}
