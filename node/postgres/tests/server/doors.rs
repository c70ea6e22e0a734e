//! Who is let in, and by whom.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::started::Server;
use super::{Lab, texts};

const TABLE: &str = "create table cdm.t (id int); insert into cdm.t values (1)";

#[test]
fn the_server_is_known_by_its_authority_and_its_name() {
    let Some(lab) = Lab::new("known", TABLE) else { return };
    let query = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(texts(&lab.query(query)).unwrap(), [[Some("true".to_owned()), Some("TLSv1.3".to_owned())]]);

    let error = lab.error(&lab.source(json!({"ca_file": lab.server.other_ca()})));
    assert!(error.contains("the server's certificate is not signed by an authority of ca_file\n  hint: "), "{error}");
    let error = lab.error(&lab.source(json!({"host": "127.0.0.1"})));
    assert!(error.contains("the server's certificate is not for `127.0.0.1`\n  hint: "), "{error}");
}

#[test]
fn a_server_without_tls_is_not_spoken_to_over_a_network() {
    let Some(lab) = Lab::new("plainly", TABLE) else { return };
    let Some(plain) = Server::start(false) else { return };
    let error = lab.error(&lab.source(json!({"port": plain.port})));
    assert!(error.contains("the server does not speak TLS 1.3\n  hint: its administrator sets ssl = on"), "{error}");
}

#[test]
fn tls_may_be_off_within_the_machine_and_a_socket_has_none() {
    let Some(lab) = Lab::new("within", TABLE) else { return };
    lab.server.sql("within", "create role plain login password 'secret of plain'; grant usage on schema cdm to plain; grant select on cdm.t to plain");
    let password = lab.server.password("plain", "secret of plain");
    let off = lab.source(json!({"user": "plain", "password_file": password, "tls": "off", "ca_file": null}));
    assert_eq!(texts(&off).unwrap().len(), 1);
    assert_eq!(off.notices().len(), 1);
    let socket = lab.source(json!({"host": lab.server.socket(), "ca_file": null}));
    assert_eq!(texts(&socket).unwrap().len(), 1);
    // The server wants TLS of everybody else.
    let error = lab.error(&lab.source(json!({"tls": "off", "ca_file": null})));
    assert!(error.contains("(SQLSTATE 28000)\n  hint: check `user` and `password_file`"), "{error}");
}

#[test]
fn a_wrong_name_or_password_is_told_apart_and_the_password_is_not_repeated() {
    let Some(lab) = Lab::new("names", TABLE) else { return };
    let wrong = lab.server.password("wrong", "secret of nobody");
    let says = |changes, wanted: &str| {
        let error = lab.error(&lab.source(changes));
        assert!(error.starts_with("postgres localhost:") && error.contains(wanted), "{wanted} not in {error}");
    };
    says(json!({"password_file": wrong}), "(SQLSTATE 28P01)\n  hint: check `user` and `password_file`");
    says(json!({"user": "nobody"}), "(SQLSTATE 28P01)");
    says(json!({"password_file": null}), "another proof of who the role is\n  hint: it needs a password");
    says(json!({"database": "nowhere"}), "(SQLSTATE 3D000)\n  hint: check `database`");
    let says = |changes, wanted: &str| {
        let error = lab.error(&lab.source(changes));
        assert!(error.contains(wanted), "{wanted} not in {error}");
    };
    says(json!({"host": "/nowhere", "ca_file": null}), "postgres /nowhere:");
    says(json!({"host": "no-such-host.invalid"}), "its name stands for no address\n  hint: check `host`");
    says(json!({"ca_file": "/nowhere/ca.pem"}), "/nowhere/ca.pem: cannot be read");
    fs::set_permissions(&lab.password_file, fs::Permissions::from_mode(0o644)).unwrap();
    says(json!({}), "others may read this secret (mode 0644)");
}

#[test]
fn nobody_who_listens_is_said_so() {
    let Some(lab) = Lab::new("silence", TABLE) else { return };
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let error = lab.error(&lab.source(json!({"port": free})));
    assert!(error.contains("cannot be reached: connection refused\n  hint: is the server running"), "{error}");
}
