//! `bocage-node fhir-export`: fetches a FHIR server's bulk export into its folder. An interrupted one goes on with the next call.

use std::io::{IsTerminal as _, Write as _};

use bocage_bulk::{
    About, Bounds, BulkError, Event, Export, Server, SigningKey, SystemTimer, World, cancel as cancelled, export,
};
use bocage_net::env::SystemEntropy;
use bocage_protocol::settings::nearest;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::output::{Failure, Format, print, print_csv, print_json, warn};
use crate::config::Config;

/// Fetches the export and prints what it holds.
///
/// # Errors
/// Where it does not become whole; the export before it stays in use.
pub fn run(config: &Config, name: &str, format: Format) -> Result<(), Failure> {
    let server = find(config, name)?;
    let mut watch = Watch::new();
    let mut told = |event: Event<'_>| watch.told(event);
    let mut entropy = SystemEntropy;
    let world = world(config, &mut entropy, &mut told);
    let done = runtime()?.block_on(async {
        let mut end = signal(SignalKind::terminate()).map_err(Failure::ours)?;
        tokio::select! {
            done = export(server, world) => done.map_err(failure),
            _ = tokio::signal::ctrl_c() => Err(interrupted(name)),
            _ = end.recv() => Err(interrupted(name)),
        }
    });
    watch.end();
    let Export { about, kept_at_server } = done?;
    if about.errors > 0 {
        let hint = format!("its own words are in {}", server.folder.join("about/error").display());
        warn(&format!("the server says of {} records that it could not export them", about.errors), Some(&hint));
    }
    if let Some(why) = kept_at_server {
        warn(&format!("the server may still keep the export: {why}"), Some("it ends by itself in most servers"));
    }
    shown(server, &about, format)
}

/// Ends an export that was interrupted.
///
/// # Errors
/// Where the server cannot be told.
pub fn cancel(config: &Config, name: &str) -> Result<(), Failure> {
    let server = find(config, name)?;
    let mut entropy = SystemEntropy;
    let mut told = |_: Event<'_>| {};
    let done = runtime()?.block_on(cancelled(server, world(config, &mut entropy, &mut told))).map_err(failure)?;
    print(|out| match done {
        true => writeln!(out, "the export of {name} was ended, here and at the server"),
        false => writeln!(out, "there is no export of {name} to end"),
    })
}

/// Prints the public half of the client's key as a JSON Web Key Set.
///
/// # Errors
/// Where there is no key.
pub fn public_key(config: &Config, name: &str) -> Result<(), Failure> {
    let client = find(config, name)?.client.as_ref();
    let client = client
        .ok_or_else(|| Failure::theirs(format!("fhir_server.{name} has no key")).hint("set client_id and key_file"))?;
    let key = SigningKey::read(&client.key_file, client.key_id.as_deref()).map_err(|error| failure(error.into()))?;
    print_json(&json!({ "keys": [key.jwk()] }))
}

fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Server, Failure> {
    config.fhir_servers.get(name).ok_or_else(|| {
        let known = config.fhir_servers.keys().map(String::as_str);
        let hint = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean {near}?"),
            None if config.fhir_servers.is_empty() => format!("describe it in a section [fhir_server.{name}]"),
            None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
        };
        Failure::theirs(format!("{} describes no FHIR server {name}", config.file)).hint(hint)
    })
}

fn world<'a>(config: &Config, entropy: &'a mut SystemEntropy, told: &'a mut dyn FnMut(Event<'_>)) -> World<'a> {
    let free_bytes = u64::from(config.snapshots.min_free_mib) << 20;
    World { timer: &SystemTimer, entropy, bounds: Bounds { free_bytes, ..Bounds::default() }, told }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::ours)
}

fn failure(error: BulkError) -> Failure {
    Failure::theirs(&error).hint(error.hint())
}

fn interrupted(name: &str) -> Failure {
    Failure::theirs(format!("the export of {name} was interrupted; the one before stays in use"))
        .hint("run the command again: it goes on. `--cancel` ends it here and at the server")
}

fn shown(server: &Server, about: &About, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => print_json(about),
        Format::Csv => {
            print_csv(&["resource", "count"], about.resources.iter().map(|(kind, n)| vec![kind.clone(), n.to_string()]))
        }
        Format::Text => print(|out| {
            let time = about.transaction_time.as_deref().unwrap_or("an unknown time");
            let About { files, bytes, deleted, .. } = about;
            writeln!(out, "{}: {files} files of {time}, {}", server.folder.display(), HumanBytes(*bytes))?;
            let width = about.resources.keys().map(String::len).max().unwrap_or(0);
            about.resources.iter().try_for_each(|(kind, count)| writeln!(out, "  {kind:width$}  {count}"))?;
            if *deleted > 0 { writeln!(out, "  {deleted} lines of deleted records, in about/deleted") } else { Ok(()) }
        }),
    }
}

/// What a person sees meanwhile: a line that changes on a terminal, few lines elsewhere.
struct Watch {
    bar: Option<ProgressBar>,
    files: usize,
}

impl Watch {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { bar, files: 0 }
    }

    fn told(&mut self, event: Event<'_>) {
        match event {
            Event::Asked => self.line("asked for a new export"),
            Event::GoesOn => self.line("going on with the export that was begun"),
            Event::Ready { files } => {
                self.files = files;
                self.line(&format!("the export is ready: {files} files"));
            }
            Event::Waiting { percent, secs } => {
                let done = percent.map(|percent| format!(", {percent} % done")).unwrap_or_default();
                self.now(format!("the server prepares the export{done}; asking again in {secs} s"));
            }
            Event::Again { place, secs } => self.now(format!("{place}: trying again in {secs} s")),
            Event::File { name, number, have, bytes } => self.file(name, number, have, bytes),
            Event::Bytes(bytes) => {
                if let Some(bar) = &self.bar {
                    bar.inc(bytes);
                }
            }
            Event::Whole { .. } => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Where standard error is closed nobody watches.
            None => _ = writeln!(std::io::stderr(), "{text}"),
        }
    }

    fn now(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(text);
            bar.tick();
        }
    }

    fn file(&self, name: &str, number: usize, have: u64, bytes: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        let template = match bytes {
            Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
            None => "{msg} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_length(bytes.unwrap_or(0));
        bar.set_position(have);
        bar.reset_eta();
        bar.set_message(format!("{number}/{} {name}", self.files));
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
