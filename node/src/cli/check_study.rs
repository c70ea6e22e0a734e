//! `bocage-node check --study FILE`: what the site's policy makes of a study, and by which rule. It computes nothing and opens no data.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use bocage_net::code_files::with_code_files;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::{ColumnName, ContractId, Digest, SiteId};
use bocage_protocol::limits;
use bocage_protocol::marks::one_line;
use bocage_protocol::plan::{Contracts, ValidPlan};
use bocage_protocol::trust::{PermitRef, PublicKey, SignedPermit, SignedStudy, Study};
use serde::Serialize;

use super::check_policy::Stopped;
use super::output::{Failure, Format, print, print_json};
use crate::config::environment::read_release_key;
use crate::config::policy::Matches;
use crate::config::{Config, CustodianConfig};
use crate::custodian::Controls;
use crate::custodian::authority::{Authorised, Refused, Standing, consider, later_rounds, may_begin, may_fit};
use crate::custodian::ledger::{Books, Ledger};
use crate::custodian::optout::{List, numbers_only};

/// The study to look at, and what it relies on.
pub struct Asked<'a> {
    /// A study's text, or a signed study.
    pub file: &'a Path,
    /// The signed permit.
    pub permit: Option<&'a Path>,
    /// Whose study a text is, where no permit says it: a name of `[[trust]]`, or a key.
    pub researcher: Option<&'a str>,
}

/// What would happen to a study.
#[derive(Serialize)]
struct Verdict {
    decision: &'static str,
    because: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requester: Option<Asker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<Terms>,
    /// What would keep it from being answered at this moment.
    now: Vec<String>,
    policy_version: Digest,
}

#[derive(Serialize)]
struct Asker {
    name: String,
    organisation: Option<String>,
    key: PublicKey,
    permit: Option<PermitRef>,
    access_body: Option<String>,
}

/// Under which terms it would be answered.
#[derive(Serialize)]
struct Terms {
    threshold: u32,
    threshold_by: String,
    mode: &'static str,
    /// Who says so.
    mode_by: String,
    /// Whether it asks models, and they are not answered in this mode.
    refuses_models: bool,
    two_persons: bool,
    cells: u64,
    cap: Option<CapLeft>,
    quiet: Vec<String>,
    limits: Vec<String>,
    /// What it reads, each once; of other datasets than its own with their names.
    columns: BTreeSet<String>,
}

#[derive(Serialize)]
struct CapLeft {
    most: u64,
    left: u64,
    by: String,
}

/// Says what the site's policy makes of a study.
///
/// # Errors
/// Where a file cannot be read or the study cannot be bound. A study that would be refused is no failure.
pub fn run(config: &Config, asked: &Asked<'_>, now: Timestamp, format: Format) -> Result<(), Failure> {
    let permit = asked.permit.map(permit).transpose()?;
    let question = question(config, asked, permit, now)?;
    let verdict = verdict(&config.custodian(), question, now)?;
    match format {
        Format::Json => print_json(&verdict),
        Format::Text => print(|out| text(out, &verdict)),
        Format::Csv => Err(Failure::theirs("a verdict is no table").hint("use --format text or json")),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|e| Failure::theirs(format!("cannot read {}: {e}", file.display())))
}

fn permit(file: &Path) -> Result<SignedPermit, Failure> {
    SignedPermit::from_text(&read(file)?).map_err(|e| Failure::theirs(format!("{}: {e}", file.display())))
}

/// What is looked at.
struct Question {
    study: Study,
    permit: Option<SignedPermit>,
    /// Whether the study names this site.
    named: bool,
}

/// The study of a signed one, whose signature must hold, or of a text, which is bound to this site's contract.
fn question(
    config: &Config,
    asked: &Asked<'_>,
    permit: Option<SignedPermit>,
    now: Timestamp,
) -> Result<Question, Failure> {
    let (text, name) = (read(asked.file)?, asked.file.display().to_string());
    if text.trim_start().starts_with('{') {
        let signed: SignedStudy = serde_json::from_str(&text)
            .map_err(|_| Failure::theirs(format!("{name} is neither a signed study nor a study's text")))?;
        let study = signed.verify().map_err(|e| Failure::theirs(format!("{name}: {e}")))?;
        let named = signed.names(&study, &config.site);
        return Ok(Question { study, permit: permit.or(signed.permit), named });
    }
    let researcher = researcher(config, asked.researcher, permit.as_ref())?;
    let parsed = with_code_files(StudyText::parse(&text, &name).map_err(Failure::theirs)?, asked.file);
    let offered = |id: &ContractId| config.datasets.values().map(|d| d.contract.as_ref()).find(|c| c.id() == id);
    let none = |which: &str| {
        Failure::theirs(format!("{name}: the site offers no dataset under {which}"))
            .hint("`bocage node datasets` shows what it offers")
    };
    let base = offered(parsed.dataset()).ok_or_else(|| none("the study's contract"))?;
    let mut related = BTreeMap::new();
    for (table, id) in parsed.tables() {
        related.insert(table.clone(), offered(id).ok_or_else(|| none(&format!("{id}, its table `{table}`")))?);
    }
    // Who else is in the network, this site does not know. It believes the text; where that names nobody, enough others are supposed.
    let floor = permit.as_ref().and_then(|p| p.verify().ok()).map_or(1, |p| p.min_sites);
    let least = parsed.min_sites().unwrap_or(floor).min(limits::SITES as u32);
    let others = (1..least).filter_map(|i| format!("other-{i}").parse().ok());
    let mut offering: Vec<SiteId> =
        std::iter::once(config.site.clone()).chain(contrasted(&text)).chain(others).collect();
    offering.sort_unstable();
    offering.dedup();
    let roster: Vec<SiteId> = parsed.sites().iter().chain(&offering).cloned().collect();
    let context = BindContext {
        network: config.network.clone(),
        researcher,
        offering: &offering,
        roster: &roster,
        min_sites_floor: floor,
        now,
        nonce: [0; 16],
        permit: permit.as_ref(),
    };
    let study = parsed.bind(Contracts { base, related }, &context).map_err(Failure::theirs)?;
    let named = study.sites.names().is_some_and(|sites| sites.contains(&config.site));
    Ok(Question { study, permit, named })
}

/// Who would sign a text.
fn researcher(config: &Config, said: Option<&str>, permit: Option<&SignedPermit>) -> Result<PublicKey, Failure> {
    if let Some(said) = said {
        let named = config.trust.researchers.iter().find(|r| r.name == said).map(|r| r.key);
        return named.or_else(|| said.parse().ok()).ok_or_else(|| {
            Failure::theirs(format!("{said} is neither a researcher in [[trust]] nor a key"))
                .hint("write the name as it stands in node.toml, or ed25519:…")
        });
    }
    match (permit, config.trust.researchers.as_slice()) {
        (Some(permit), _) => Ok(permit.verify().map_err(Failure::theirs)?.holder.key),
        (None, [only]) => Ok(only.key),
        (None, _) => Err(Failure::theirs("whose study is it?")
            .hint("add --permit FILE, or --researcher with a name of [[trust]] or a key")),
    }
}

fn verdict(config: &CustodianConfig, question: Question, now: Timestamp) -> Result<Verdict, Failure> {
    let Question { study, permit, named } = question;
    let path = config.state.ledger();
    let ledger = path.exists().then(|| Ledger::open_read_only(&path)).transpose()?;
    let lists = match &ledger {
        Some(ledger) => ledger.books(|books| books.lists().clone())?,
        None => Default::default(),
    };
    let policy_version = config.policy_version();
    let asker = |requester: &crate::custodian::authority::Requester| Asker {
        name: requester.name.clone(),
        organisation: requester.organisation.clone(),
        key: requester.key,
        permit: requester.permit.as_ref().map(|p| p.reference.clone()),
        access_body: requester.permit.as_ref().map(|p| p.access_body.clone()),
    };
    match consider(study, named, permit.as_ref(), now, &lists, config) {
        Err(Refused { error, believed }) => Ok(Verdict {
            decision: "refuse",
            because: format!("{} ({})", error.message, error.code),
            hint: error.hint,
            requester: believed.map(|believed| asker(&believed.1)),
            terms: None,
            now: Vec::new(),
            policy_version,
        }),
        Ok(authorised) => {
            let account = authorised.requester.account(&authorised.study);
            let look = |books: &Books| {
                let fits =
                    may_fit(Controls::default(), authorised.policy.cap.as_ref(), &account, &authorised.plans, books);
                (books.most_spent(&account), fits, may_begin(&authorised.policy, now, books))
            };
            let (spent, fits, begins) = match &ledger {
                Some(ledger) => ledger.books(look)?,
                None => look(&Books::default()),
            };
            let auto = authorised.standing == Standing::Auto;
            let (decision, because, hint) = match fits {
                Err(error) => ("refuse", format!("{} ({})", error.message, error.code), error.hint),
                Ok(()) => (if auto { "auto" } else { "ask" }, authorised.policy.by.clone(), None),
            };
            let key = read_release_key(&config.release_key_file)
                .map_err(|(message, hint)| Failure::theirs(format!("release.key_file: {message}")).hint(hint))?;
            let stopped = ledger.as_ref().map(|ledger| Stopped::of(ledger, &key)).transpose()?.unwrap_or_default();
            Ok(Verdict {
                decision,
                because,
                hint,
                requester: Some(asker(&authorised.requester)),
                terms: Some(terms(&authorised, spent)),
                now: hindrances(config, stopped, begins),
                policy_version,
            })
        }
    }
}

/// What keeps every study, or this one, from being answered at this moment, whatever is decided about it.
fn hindrances(config: &CustodianConfig, stopped: Stopped, begins: Result<(), PublicError>) -> Vec<String> {
    let stopped = stopped.in_words().into_iter().map(|(what, _)| what);
    let later = begins.err().map(|error| format!("it would wait: {}", error.message));
    let list = config.optouts.as_ref().and_then(|spec| List::read(spec, numbers_only(config.datasets.values())).err());
    let list = list.map(|error| {
        format!("no study is answered: {}", error.to_string().lines().next().unwrap_or("the list of opt-outs is wrong"))
    });
    stopped.chain(list).chain(later).collect()
}

/// Cells of all later rounds, each as large as it may be. A question whose later rounds have no plan is refused in them, and nothing leaves.
fn in_later_rounds(authorised: &Authorised<'_>) -> u64 {
    let datasets = authorised.datasets();
    let later = authorised.study.analyses.iter().filter_map(|a| later_rounds(a, &authorised.study, &datasets).ok());
    later.flatten().map(|(rounds, plan)| u64::from(rounds) * plan.most_cells() as u64).sum()
}

fn terms(authorised: &Authorised<'_>, spent: u64) -> Terms {
    let policy = &authorised.policy;
    let plans = || authorised.plans.iter().map(|(_, plan)| plan);
    let own = &authorised.study.dataset;
    let word = |dataset: &ContractId, column: &ColumnName| match dataset == own {
        true => column.to_string(),
        false => format!("{}.{column}", dataset.name()),
    };
    let touched = plans().flat_map(ValidPlan::touches);
    let columns = touched.flat_map(|(dataset, columns)| columns.iter().map(move |column| word(dataset, column)));
    let columns: BTreeSet<String> = columns.collect();
    let limit = |limit: &crate::custodian::authority::policy::Limit| {
        let of = if limit.of == Matches::default() { "every study".to_owned() } else { limit.by.clone() };
        let concurrent = limit.concurrent.map(|n| format!("{n} at a time"));
        let per_day = limit.per_day.map(|n| format!("{n} in 24 hours"));
        let numbers: Vec<String> = [concurrent, per_day].into_iter().flatten().collect();
        format!("{} ({of})", numbers.join(", "))
    };
    Terms {
        threshold: authorised.threshold,
        threshold_by: policy.threshold_by.clone(),
        mode: authorised.mode.as_str(),
        mode_by: authorised.mode_by.clone(),
        refuses_models: plans().any(|plan| plan.model().is_some()) && !policy.answers_models(authorised.mode),
        two_persons: policy.two_persons,
        cells: plans().map(|plan| plan.most_cells() as u64).sum::<u64>() + in_later_rounds(authorised),
        cap: policy.cap.as_ref().map(|cap| CapLeft {
            most: cap.most,
            left: cap.most.saturating_sub(spent),
            by: cap.by.clone(),
        }),
        quiet: policy.quiet.iter().map(ToString::to_string).collect(),
        limits: policy.limits.iter().map(limit).collect(),
        columns,
    }
}

fn text(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { decision, because, hint, requester, terms, now, policy_version } = verdict;
    let would = match *decision {
        "auto" => "would answer",
        "ask" => "would ask",
        _ => "would refuse",
    };
    writeln!(out, "decision     {would}, because {because}")?;
    if let Some(hint) = hint {
        writeln!(out, "             {hint}")?;
    }
    now.iter().try_for_each(|line| writeln!(out, "now          {}", one_line(line)))?;
    if let Some(Asker { name, organisation, key, permit, access_body }) = requester {
        let of = organisation.as_ref().map(|o| format!(", {o}")).unwrap_or_default();
        writeln!(out, "requester    {name}{of} {key}")?;
        match (permit, access_body) {
            (Some(permit), Some(body)) => {
                writeln!(out, "permit       {} of {body} ({})", permit.id, permit.digest.short())?
            }
            _ => writeln!(out, "permit       none: trusted by name")?,
        }
    }
    if let Some(terms) = terms {
        let persons = if terms.two_persons { "; two persons approve" } else { "" };
        writeln!(
            out,
            "answers      {} ({}), no count below {} ({}){persons}",
            terms.mode, terms.mode_by, terms.threshold, terms.threshold_by
        )?;
        if terms.refuses_models {
            writeln!(out, "models       not answered in mode {} by the policy", terms.mode)?;
        }
        match &terms.cap {
            Some(CapLeft { most, left, by }) => {
                writeln!(out, "cells        {} at most; {left} of {most} are left ({by})", terms.cells)?;
            }
            None => writeln!(out, "cells        {} at most; no cap", terms.cells)?,
        }
        for quiet in &terms.quiet {
            writeln!(out, "quiet        {quiet}")?;
        }
        for limit in &terms.limits {
            writeln!(out, "studies      {limit}")?;
        }
        let columns: Vec<&str> = terms.columns.iter().map(String::as_str).collect();
        let columns = if columns.is_empty() { "none".to_owned() } else { columns.join(", ") };
        writeln!(out, "columns      {columns}")?;
    }
    writeln!(out, "policy       version {}", policy_version.short())
}

/// The sites that a study's contrasts name.
fn contrasted(text: &str) -> impl Iterator<Item = SiteId> {
    const OPENS: &str = "site[";
    text.match_indices(OPENS).filter_map(|(at, _)| text[at + OPENS.len()..].split(']').next()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custodian::ledger::bodies::restored::Restored;
    use crate::fixture::{NOW, Site};

    fn said(site: &Site, under: Option<SignedPermit>) -> String {
        let permit = under.as_ref().map(|p| p.reference().unwrap());
        let question = Question { study: Study { permit, ..site.study() }, permit: under, named: true };
        let mut out = Vec::new();
        text(&mut out, &verdict(&site.config(), question, NOW).unwrap()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_steward_reads_what_would_be_decided_by_which_rule_and_under_which_terms() {
        let site = Site::new();
        let text = said(&site, None);
        assert!(text.starts_with("decision     would answer, because the policy's default\n"), "{text}");
        assert!(text.contains("permit       none: trusted by name"), "{text}");
        assert!(text.contains("answers      exact ([[trust]]), no count below 11 (the policy's default)"), "{text}");
        assert!(
            text.contains("cells        4 at most; no cap") && text.contains("columns      age, chol, sex"),
            "{text}"
        );
        site.edit_config(
            "[[trust]]",
            "[[policy.rule]]\npurpose = \"scientific_research\"\ndecide = \"ask\"\nthreshold = 20\nmax_cells = 9\nper_day = 3\n\
             two_persons = true\nquiet = [\"22:00-06:00 Europe/Berlin\"]\n[[trust]]",
        );
        let text = said(&site, None);
        for line in [
            "decision     would ask, because rule 1: purpose scientific_research",
            "no count below 20 (rule 1: purpose scientific_research); two persons approve",
            "cells        4 at most; 9 of 9 are left (rule 1: purpose scientific_research)",
            "quiet        22:00-06:00 Europe/Berlin",
            "studies      3 in 24 hours (rule 1: purpose scientific_research)",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_steward_reads_what_would_happen_now() {
        let site = Site::new();
        assert!(!said(&site, None).contains("now "), "nothing is in the way");
        // NOW is 14:13 in the afternoon.
        site.edit_config(
            "[policy]",
            "[policy]\nquiet = [\"14:00-15:00\", \"16:30-18:00 Europe/Berlin\"]\nmax_cells = 3",
        );
        let text = said(&site, None);
        assert!(text.starts_with("decision     would refuse, because 4 cells are asked, and 3 of the 3"), "{text}");
        assert!(text.contains("(cap_reached)\n"), "{text}");
        assert!(
            text.contains(
                "now          it would wait: the site begins no study in its quiet hours, 14:00-15:00 UTC, until 2026-09-21T16:00:00Z\n"
            ),
            "these go over into those by the hospital's own clock: {text}"
        );
        site.edit_config("\"14:00-15:00\", \"16:30-18:00 Europe/Berlin\"", "\"16:00-18:00 Europe/Berlin\"");
        assert!(
            said(&site, None).contains("its quiet hours, 16:00-18:00 Europe/Berlin, until 2026-09-21T18:00:00+02:00\n"),
            "by the hospital's own clock"
        );
        let config = site.config();
        std::fs::create_dir_all(&config.state.0).unwrap();
        let by = crate::custodian::ledger::bodies::desk::Person { uid: 7, user: "eva".to_owned() };
        let pause = crate::custodian::ledger::bodies::desk::Pause { by, reason: Some("an incident".to_owned()) };
        let entry = crate::custodian::ledger::Entry::of_site(crate::custodian::ledger::Kind::Pause, &pause);
        Ledger::open(&config.state.ledger()).unwrap().append(NOW, &[entry]).unwrap();
        let text = said(&site, None);
        assert!(
            text.contains("now          all answers are paused since ") && text.contains("eva (user 7): an incident")
        );
        assert!(!text.contains("accept-restored"), "{text}");
        let body = Restored { backup: Some("yesterday".to_owned()), known: None };
        let entry = crate::custodian::ledger::Entry::of_site(crate::custodian::ledger::Kind::Restored, &body);
        Ledger::open(&config.state.ledger()).unwrap().append(NOW, &[entry]).unwrap();
        let text = said(&site, None);
        let waits =
            "now          nothing is answered: the ledger was put back from a backup of yesterday, and waits for";
        assert!(text.contains(waits), "{text}");
    }

    #[test]
    fn a_refusal_says_its_code_and_what_to_do() {
        let site = Site::new();
        site.require_permit();
        let text = said(&site, None);
        assert!(text.contains("would refuse, because") && text.contains("permit_required"), "{text}");
        let permit = SignedPermit::sign(&site.permit(), &site.body).unwrap();
        let text = said(&site, Some(permit));
        assert!(text.contains("(revocations_stale)\n             the access body signs a new list"), "{text}");
        assert!(text.contains("permit       DK-1 of DK-HDAB"), "{text}");
    }

    #[test]
    fn a_text_is_bound_for_the_permits_holder_or_the_one_researcher_whom_the_site_trusts() {
        let site = Site::new();
        let file = site.path("study.toml");
        let text = "title = \"t\"\npurpose = \"statistics\"\ndataset = \"heart@1\"\nmin_sites = 3\n\
                    [[analysis]]\nname = \"a\"\ntable = { show = [\"count\"] }\n";
        std::fs::write(&file, text).unwrap();
        let asked = |researcher| Asked { file: &file, permit: None, researcher };
        let config = Config::load(&site.origin()).unwrap();
        let bound = question(&config, &asked(None), None, NOW).unwrap();
        assert!(bound.named && bound.study.researcher == site.researcher.public());
        assert!(question(&config, &asked(Some("Ada")), None, NOW).is_ok());
        assert!(question(&config, &asked(Some("Eve")), None, NOW).is_err());
        site.require_permit();
        let config = Config::load(&site.origin()).unwrap();
        assert!(question(&config, &asked(None), None, NOW).is_err(), "nobody is trusted by name");
        let permit = SignedPermit::sign(&site.permit(), &site.body).unwrap();
        assert_eq!(
            question(&config, &asked(None), Some(permit), NOW).unwrap().study.researcher,
            site.researcher.public()
        );
    }
}
