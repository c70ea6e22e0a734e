//! Against a real server: what comes of every type, who is let in, and what happens when something goes wrong on the way.

mod changes;
mod doors;
mod started;
mod values;
mod writers;

use std::path::Path;
use std::sync::Arc;

use bocage_postgres::{Interrupt, Opened, PgError, PostgresSource, Rows};
use bocage_protocol::settings::Problems;
use serde_json::{Value, json};

use started::Server;

/// A database of a test's own on the shared server, and how its role gets in.
struct Lab {
    server: Arc<Server>,
    name: String,
    password_file: std::path::PathBuf,
}

impl Lab {
    /// `None`, said in words, where PostgreSQL is not installed. All of schema `cdm` may be read.
    fn new(name: &str, sql: &str) -> Option<Self> {
        let server = Server::shared()?;
        let password_file = server.database(name);
        server.sql(name, &format!("create schema cdm; {sql};\ngrant usage on schema cdm to {name}; grant select on all tables in schema cdm to {name}"));
        Some(Self { server, name: name.to_owned(), password_file })
    }

    fn section(&self) -> Value {
        json!({
            "kind": "postgres", "host": "localhost", "port": self.server.port, "database": self.name, "user": self.name,
            "password_file": self.password_file, "ca_file": self.server.ca(), "table": "cdm.t",
        })
    }

    fn source(&self, changes: Value) -> PostgresSource {
        let mut section = self.section();
        for (key, value) in changes.as_object().unwrap() {
            section.as_object_mut().unwrap().remove(key);
            if !value.is_null() {
                section[key] = value.clone();
            }
        }
        let mut problems = Problems::default();
        PostgresSource::read(&section, "node.toml", "source", Path::new("/"), &mut problems)
            .unwrap_or_else(|| panic!("{problems}"))
    }

    fn query(&self, query: &str) -> PostgresSource {
        self.source(json!({"table": null, "query": query}))
    }

    /// What goes wrong, which never holds anything of the texts that tests take for patients' values.
    fn error(&self, source: &PostgresSource) -> String {
        let error = texts(source).expect_err("it goes wrong").to_string();
        assert!(!error.contains("Meier") && !error.contains("secret of"), "{error}");
        error
    }
}

fn open(source: &PostgresSource) -> Result<Opened, PgError> {
    Opened::connect(source, Interrupt::default())
}

fn begin(source: &PostgresSource) -> Result<Rows, PgError> {
    let opened = open(source)?;
    let all: Vec<usize> = (0..opened.columns().len()).collect();
    opened.rows(&all)
}

/// All rows, each as its texts.
fn texts(source: &PostgresSource) -> Result<Vec<Vec<Option<String>>>, PgError> {
    let mut rows = begin(source)?;
    let mut all = Vec::new();
    while let Some(batch) = rows.next_batch()? {
        let columns: Vec<Vec<Option<&str>>> = batch.columns.iter().map(|texts| texts.iter().collect()).collect();
        for row in 0..columns.first().map_or(0, Vec::len) {
            all.push(columns.iter().map(|column| column[row].map(str::to_owned)).collect());
        }
    }
    Ok(all)
}
