//! Which log a process of a node writes: as `node.toml` says, unless the command line says another form.

use bocage_daemon::log::{self, Form, Level, Settings, Target};

/// The log of a process that the node runs.
pub(super) fn of_daemon(settings: &Settings, form: Option<Form>, process: &'static str) -> Level {
    log::begin(&Settings { form: form.unwrap_or(settings.form), ..settings.clone() }, process)
}

/// The log of a command that a person gives: on the terminal, whatever the node's is.
pub(super) fn of_command(settings: &Settings, form: Option<Form>, process: &'static str) {
    let settings = Settings { level: settings.level.clone(), form: form.unwrap_or_default(), target: Target::Stderr };
    log::begin(&settings, process);
}
