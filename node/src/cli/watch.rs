//! What a running node says of itself, for scripts and for Prometheus' textfile collector: agent and custodian listen on Unix sockets alone, which no scraper reaches.

use bocage_daemon::status::{AskError, Page, ask};

use super::output::{Failure, print};
use crate::config::{Config, Origin, StateDir};

/// The processes that have a status socket.
const PROCESSES: [&str; 2] = ["custodian", "agent"];

/// Where the node's sockets are. A mistake in `node.toml` is no word about the node that runs, so that only the places count then.
///
/// # Errors
/// Not even these can be read.
pub(super) fn state(origin: &Origin) -> Result<StateDir, Failure> {
    Config::load(origin).map(|config| config.state).or_else(|problems| {
        let text = std::fs::read_to_string(&origin.file).ok();
        let table = text.and_then(|text| text.parse::<toml::Table>().ok());
        let place = |table: &toml::Table, key: &str| Some(origin.base().join(table.get(key)?.as_str()?));
        let table = table.ok_or(problems)?;
        let state = place(&table, "state_dir").unwrap_or_else(|| origin.base().join("state"));
        Ok(StateDir(state, place(&table, "run_dir")))
    })
}

/// Prints the metrics of both. One that does not answer is a failure, after what the other says: half a page is better than none where something is wrong.
pub(super) fn metrics(state: &StateDir) -> Result<(), Failure> {
    let (mut text, mut silent) = (String::new(), Vec::new());
    for process in PROCESSES {
        match ask(&state.status_socket(process), Page::Metrics) {
            Ok((_, page)) => text.push_str(&page),
            Err(error) => silent.push(error),
        }
    }
    print(|out| out.write_all(text.as_bytes()))?;
    does_it_run(&silent)?;
    silent.into_iter().next().map_or(Ok(()), |error| Err(Failure::theirs(error).hint(HINT)))
}

/// Says of both how they are. Not well is exit code 1.
pub(super) fn health(state: &StateDir, ready: bool) -> Result<(), Failure> {
    let page = if ready { Page::Ready } else { Page::Health };
    let (mut text, mut well, mut silent) = (String::new(), true, Vec::new());
    for process in PROCESSES {
        let (fine, said) = match ask(&state.status_socket(process), page) {
            Ok((fine, said)) => (fine, said.trim_end().to_owned()),
            Err(error) => {
                let said = error.to_string();
                silent.push(error);
                (false, said)
            }
        };
        well &= fine;
        text.push_str(&format!("{process:<10} {said}\n"));
    }
    print(|out| out.write_all(text.as_bytes()))?;
    does_it_run(&silent)?;
    if well { Ok(()) } else { Err(Failure::theirs("the node is not well").hint(HINT)) }
}

/// Where nobody listens at any of the sockets, there is nothing to be found out.
fn does_it_run(silent: &[AskError]) -> Result<(), Failure> {
    let nobody = silent.iter().filter(|error| matches!(error, AskError::Nobody(_))).count();
    match silent.first() {
        Some(first) if nobody == PROCESSES.len() => Err(Failure::theirs(format!("the node does not run: {first}"))
            .hint("start it: `bocage node run`; if it does run, it is with another state_dir or run_dir than this file has")),
        _ => Ok(()),
    }
}

const HINT: &str = "the node's log says why; the command is given by the node's own user, beside a node that runs";
