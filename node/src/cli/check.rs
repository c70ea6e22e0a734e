//! `bocage-node check`: looks at the configuration and at everything that it names, and says what the node would do. It starts nothing
//! and takes no snapshot.

use std::io::{self, Write};

use bocage_keep::doctor::{Level, machine};
use bocage_protocol::counted::counted;
use bocage_protocol::env::Timestamp;
use bocage_protocol::front::dates::duration_text;
use bocage_protocol::ids::ContractId;
use bocage_protocol::trust::PublicKey;

use super::datasets::mended;
use super::output::{Failure, print, warn};
use super::{check_policy, warnings};
use crate::config::{AccessBody, Config, Depth, Mode, Origin, Researcher, Steward, Trust};
use crate::custodian::data::usable;
use crate::custodian::ledger::Ledger;
use crate::custodian::optout::{List, speaks_for_all};
use crate::doctor::known::{Seen, old};
use crate::ingest::attempt::{Unfinished, unfinished};
use crate::sandbox::{Support, WHOLE, guarded_list, renewed};

/// Prints what the node would do.
///
/// # Errors
/// All problems at once.
pub fn run(origin: &Origin, now: Timestamp) -> Result<(), Failure> {
    let config = Config::check(origin, Depth::Everything, now).map_err(|problems| {
        let what = counted(problems.0.len(), "problem");
        Failure::theirs(format!("{what} found\n\n{problems}"))
    })?;
    // The configuration is one thing, the node's state another: what is said first must hold for both, and what is said last too.
    let faults: Vec<(String, String)> =
        disk(&config).into_iter().chain(ledger(&config)).chain(last_ingests(&config)).collect();
    let warnings = warnings::of_config(&config);
    print(|out| {
        writeln!(out, "{}: {}\n", config.file, verdict(faults.len(), warnings.len()))?;
        plan(out, &config, now)
    })?;
    warnings.iter().for_each(|(what, hint)| warn(what, hint.as_deref()));
    Failure::of_all(faults).map_or(Ok(()), Err)
}

/// What came of the look, as the exit code says it too.
fn verdict(faults: usize, warnings: usize) -> String {
    let warned = format!("{} at the end", counted(warnings, "warning"));
    match (faults, warnings) {
        (0, 0) => "no problems".to_owned(),
        (0, _) => format!("no problems, and {warned}"),
        (_, 0) => {
            format!("no problems in the configuration, and {} of the node at the end", counted(faults, "problem"))
        }
        _ => format!("no problems in the configuration; {} of the node and {warned}", counted(faults, "problem")),
    }
}

/// Without room the ledger cannot go on: nothing leaves, and no snapshot is taken.
fn disk(config: &Config) -> Option<(String, String)> {
    let found = machine::disk(&config.state.0, config.snapshots.min_free_mib);
    (found.level == Level::Fail).then(|| (found.what, found.fix.unwrap_or_default()))
}

/// Without a ledger that can be read the node answers nothing, and one whose chain breaks proves nothing. That there is none yet is no problem.
fn ledger(config: &Config) -> Option<(String, String)> {
    let path = config.state.ledger();
    std::fs::symlink_metadata(&path).ok()?;
    let ledger = Ledger::open_read_only(&path);
    let damaged = "keep the file as it is, and compare it with a backup; `bocage node ledger verify` looks at it alone";
    match ledger.and_then(|ledger| Ok((ledger.is_whole()?, ledger.verify()?))) {
        Ok((true, Ok(_))) => None,
        Ok((_, Err(broken))) => Some((format!("{}: {broken}", path.display()), damaged.to_owned())),
        Ok((false, Ok(_))) => Some((format!("{}: the database is damaged", path.display()), damaged.to_owned())),
        Err(error) => Some((error.to_string(), error.hint().to_owned())),
    }
}

/// Whatever the configuration: a dataset whose last ingest failed answers on old rows, or not at all. What was changed since may have mended it.
fn last_ingests(config: &Config) -> impl Iterator<Item = (String, String)> {
    let snapshots = config.state.snapshots();
    config.datasets.values().filter_map(move |dataset| match unfinished(&snapshots, &dataset.name)? {
        failed @ Unfinished::Failed(_) if !mended(config, dataset, &failed) => Some((
            format!("{}: {}", dataset.name, failed.sentence()),
            format!("mend what it says, then `bocage node datasets refresh {}`", dataset.name),
        )),
        Unfinished::Failed(_) | Unfinished::Runs(_) => None,
    })
}

fn plan(out: &mut dyn Write, config: &Config, now: Timestamp) -> io::Result<()> {
    writeln!(out, "site         {} in network {}", config.site, config.network)?;
    writeln!(out, "coordinator  {} (certificate name {})", config.coordinator.in_words(), config.coordinator.name)?;
    writeln!(out, "state        {}", config.state.0.display())?;
    sandbox(out, config, Support::ask())?;
    check_policy::policy(out, config)?;
    steward(out, config)?;
    check_policy::pause(out, config)?;
    if config.datasets.is_empty() {
        writeln!(out, "datasets     none: the node answers no study")?;
    }
    let custodian = config.custodian();
    for dataset in config.datasets.values() {
        let contract = &dataset.contract;
        writeln!(out, "dataset      {}: {} ({})", dataset.name, contract.id(), contract.hash().short())?;
        for notice in dataset.spec.source.notices() {
            writeln!(out, "             {notice}")?;
        }
        match usable(&custodian, dataset) {
            Ok(manifest) => {
                super::datasets::report(out, &manifest)?;
                super::datasets::held_against(out, config, dataset, &manifest)?;
                super::datasets::optouts(out, config, dataset, &manifest)?;
            }
            Err(reason) => {
                let reason = reason.lines().next().unwrap_or_default().to_owned();
                writeln!(out, "             a snapshot will be taken when the node starts: {reason}")?;
            }
        }
        super::datasets::attempt(out, config, dataset)?;
        if let Some(secs) = dataset.refresh.secs() {
            writeln!(out, "             a running node takes a new snapshot after {}", duration_text(secs))?;
        }
    }
    for (name, server) in &config.fhir_servers {
        let client = server.client.as_ref().map_or("without a token", |client| client.id.as_str());
        writeln!(out, "fhir-export  {name}: {} as {client}, into {}", server.base, server.folder.display())?;
    }
    for dataset in config.datasets.values() {
        if let Some(rows) = dataset.spec.flags() {
            let next = match dataset.refresh.secs() {
                Some(secs) => format!("the next one is taken {} after the last", duration_text(secs)),
                None => "the next one is taken by hand".to_owned(),
            };
            let whereto = match speaks_for_all(dataset) {
                true => "in all datasets that name patients",
                false => "in this dataset alone",
            };
            writeln!(out, "opt-outs     of {}: rows where {rows}; {whereto}, for all purposes,", dataset.name)?;
            writeln!(out, "             from the next snapshot on: {next}")?;
        }
    }
    if let Some(optouts) = &config.optouts {
        let ids = if optouts.salt_file.is_some() { "hashed ids" } else { "plain ids" };
        let lines = List::read(optouts, false).map_or(0, |list| list.optouts.len());
        writeln!(out, "opt-outs     {}: {lines} lines with {ids}", optouts.path.display())?;
        if guarded_list(config) {
            writeln!(
                out,
                "             the agent's key lies in the folder of the list or below it: a new list that is renamed into its"
            )?;
            writeln!(
                out,
                "             place is read after a restart only, and until then no study is answered; keep it in a folder of its own"
            )?;
        }
    }
    if renewed(config).is_none() {
        writeln!(
            out,
            "certificate  beside tls.key_file lies what the agent must not change: it cannot keep a renewed certificate; give the key a"
        )?;
        writeln!(out, "             folder of its own")?;
    }
    let Trust { researchers, access_bodies } = &config.trust;
    if researchers.is_empty() && access_bodies.is_empty() {
        writeln!(out, "trust        nobody: every study is refused")?;
    }
    let seen = Seen::of(config);
    for body in access_bodies {
        let AccessBody { name, key, mode, datasets, .. } = body;
        trusted(out, "permits of", (name, key), *mode, datasets.as_deref())?;
        match seen.newest(body).map(|at| old(body, at, now)) {
            // Each round brings the newest one that the coordinator has.
            None => writeln!(
                out,
                "             no list of taken back permits was seen here yet: the first round brings one"
            )?,
            Some(Some((what, _))) => writeln!(out, "             {what}, unless the next round brings a newer one")?,
            Some(None) => {}
        }
    }
    for researcher in researchers {
        let Researcher { name, key, mode, datasets } = researcher;
        trusted(out, "without a permit:", (name, key), *mode, datasets.as_deref())?;
    }
    Ok(())
}

/// What the kernel offers, and what the node would do with it.
fn sandbox(out: &mut dyn Write, config: &Config, support: Support) -> io::Result<()> {
    let lacks = support.lacks();
    let (whole, required) = (config.require_whole_sandbox, config.require_sandbox || config.require_whole_sandbox);
    let then = match (support.complete(), required) {
        (true, _) if whole && !lacks.is_empty() => {
            "the node does not start, for this is a part only; require_whole_sandbox = true asks for all"
        }
        (true, true) if !lacks.is_empty() => {
            "each process is confined in part; require_whole_sandbox = true would keep the node from starting"
        }
        (true, true) => "each process is confined",
        (true, false) => "each process is confined, and require_sandbox = false lets the node run where it cannot be",
        (false, true) => "the node does not start; require_sandbox = false overrides",
        (false, false) => "the node runs with what there is, as require_sandbox = false allows",
    };
    writeln!(out, "sandbox      {support}: {then}")?;
    if !lacks.is_empty() {
        writeln!(
            out,
            "             this kernel does not confine: {} (all from landlock ABI {WHOLE}, Linux 6.12, on)",
            lacks.join("; ")
        )?;
    }
    Ok(())
}

/// Who may decide, and who is told.
fn steward(out: &mut dyn Write, config: &Config) -> io::Result<()> {
    let Steward { group, notify_command, notify_url, .. } = &config.steward;
    let group = group.as_ref().map(|group| format!(", members of {group}")).unwrap_or_default();
    let told = notify_command.first().into_iter().chain(notify_url).cloned().collect::<Vec<_>>().join(", ");
    let told = if told.is_empty() { "nobody".to_owned() } else { told };
    writeln!(out, "steward      this node's user, root{group}; of studies that wait hears {told}")
}

fn trusted(
    out: &mut dyn Write,
    what: &str,
    (name, key): (&str, &PublicKey),
    mode: Option<Mode>,
    datasets: Option<&[ContractId]>,
) -> io::Result<()> {
    let mode = match mode {
        Some(mode) => format!("answers are {}", mode.as_str()),
        None => "no answers: mode is not set".to_owned(),
    };
    let datasets = match datasets {
        Some(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "all datasets".to_owned(),
    };
    writeln!(out, "trust        {what} {name} {key}; {datasets}; {mode}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Site;

    fn said(site: &Site, support: Support) -> String {
        let mut out = Vec::new();
        sandbox(&mut out, &Config::load(&site.origin()).unwrap(), support).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_line_says_of_problems_and_warnings_where_they_are() {
        assert_eq!(verdict(0, 0), "no problems");
        assert_eq!(verdict(0, 2), "no problems, and 2 warnings at the end");
        assert_eq!(verdict(1, 0), "no problems in the configuration, and 1 problem of the node at the end");
        assert_eq!(verdict(2, 1), "no problems in the configuration; 2 problems of the node and 1 warning at the end");
    }

    #[test]
    fn a_disk_without_room_is_a_problem_of_the_node_with_place_and_hint() {
        let site = Site::new();
        site.edit_config("[policy]", "[snapshots]\nmin_free_mib = 4294967295\n[policy]");
        let (what, hint) = disk(&Config::load(&site.origin()).unwrap()).unwrap();
        let place = format!("{}: ", site.path("state").display());
        assert!(what.starts_with(&place) && what.ends_with(" MiB free"), "{what}");
        assert!(hint.starts_with("make room, or move the folder"), "{hint}");
    }

    #[test]
    fn the_state_of_the_sandbox_is_told_with_what_follows_from_it() {
        let site = Site::new();
        let whole = Support { landlock: Some(7), seccomp: true };
        let text = said(&site, whole);
        assert!(text.starts_with("sandbox      landlock ABI 7, seccomp: each process is confined\n"), "{text}");
        let part = Support { landlock: Some(4), seccomp: true };
        let text = said(&site, part);
        assert!(text.starts_with("sandbox      landlock ABI 4, seccomp: each process is confined in part;"), "{text}");
        assert!(text.contains("does not confine: device calls; signals and abstract sockets"), "{text}");
        let none = Support { landlock: None, seccomp: true };
        assert!(said(&site, none).contains("no landlock, seccomp: the node does not start; require_sandbox = false"));
        site.edit_config("site = ", "require_sandbox = false\nsite = ");
        assert!(said(&site, none).contains("the node runs with what there is"));
        site.edit_config("site = ", "require_whole_sandbox = true\nsite = ");
        assert!(said(&site, part).contains("the node does not start, for this is a part only"));
        assert!(said(&site, whole).contains("each process is confined\n"), "{}", said(&site, whole));
    }
}
