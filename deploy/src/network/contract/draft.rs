//! A contract drafted from a file. What is not certain stands in it as a comment, and no value that fewer than k patients have stands in it at all.

use std::path::Path;
use std::process::ExitCode;

use bocage_node::custodian::source::survey::{Seems, Survey, Surveyed, survey};
use bocage_node::custodian::source::{BadLines, SourceError, SourceSpec};
use bocage_protocol::contract;
use bocage_protocol::ids::ContractId;
use bocage_protocol::settings::{Problem, Problems};
use serde_json::{Map, Value as Json};
use toml::Value;

use super::NewArgs;
use crate::cli::{fail, print, say};
use crate::network::Document;

/// How the command line is called in problems.
const FLAGS: &str = "the command line";

/// In names of dates of birth.
const BIRTH: [&str; 4] = ["birth", "born", "dob", "geb"];
/// In names of dates of what happened.
const TIME: [&str; 12] =
    ["date", "time", "when", "taken", "start", "onset", "admi", "visit", "recorded", "datum", "zeit", "aufnahme"];

/// Prints a draft.
pub(super) fn run(args: &NewArgs) -> ExitCode {
    let prepared = source(args).and_then(|source| Ok((source, id(args)?)));
    let (source, id) = match prepared {
        Ok(prepared) => prepared,
        Err(problems) => return fail(&in_flags(&problems.to_string()), None, 1),
    };
    let survey = match survey(&source, args.subject.as_ref(), args.k) {
        Ok(survey) => survey,
        Err(error) => return failed(&error),
    };
    let drafted = survey.columns.iter().filter(|column| kind(&column.seems).is_some()).count();
    if drafted == 0 {
        let hint = "a contract needs one: write it by hand, or draft it from a larger file";
        return fail(&format!("{}: no column can be drafted", args.from.display()), Some(hint), 1);
    }
    let text = draft(&id, &survey, args);
    if let Err(problems) = contract::parse(&text, "draft") {
        return fail(&format!("the draft is no contract, which is a defect of this program\n{problems}"), None, 2);
    }
    say_left_out(&survey.bad_lines);
    say(&format!(
        "drafted {drafted} of {} columns; what is not certain is a comment: edit it, then `bocage network contract check FILE`",
        survey.columns.len()
    ));
    print(&text)
}

/// A draft of half a file is not one of the file.
fn say_left_out(lines: &BadLines) {
    for (lines, what, hint) in [
        (
            &lines.not_utf8,
            "not UTF-8",
            "save the file as UTF-8 and draft again: the draft knows nothing of these lines",
        ),
        (&lines.wrong_field_count, "of another number of fields", "see whether --delimiter is the one of the file"),
        (&lines.zero_bytes, "with zero bytes", "see whether the file is a text"),
    ] {
        if lines.count > 0 {
            let verb = if lines.count == 1 { "line was" } else { "lines were" };
            say(&format!("{} {verb} left out: {what}\n  hint: {hint}", lines.count));
        }
    }
}

fn failed(error: &SourceError) -> ExitCode {
    let text = in_flags(&error.to_string());
    match text.split_once("\n  hint: ") {
        Some((message, hint)) => fail(message, Some(hint), 1),
        None => fail(&text, None, 1),
    }
}

/// What a node says of its settings, said of this command's flags.
fn in_flags(text: &str) -> String {
    const SPELT: [(&str, &str); 9] = [
        ("say multi_line = true", "say --multi-line"),
        (
            "paths in node.toml are relative to node.toml",
            "the path is taken from the folder that the command is given in",
        ),
        ("`columns` in node.toml", "--columns"),
        ("with `columns`", "with --columns"),
        ("columns = [\"age\", \"sex\"]", "--columns age,sex"),
        ("say `header = false`", "say --no-header"),
        ("say delimiter = ", "say --delimiter "),
        ("say kind = \"parquet\"", "let its name end with .parquet"),
        ("say kind = \"csv\"", "let its name end with .csv"),
    ];
    SPELT.iter().fold(text.to_owned(), |text, (settings, flags)| text.replace(settings, flags))
}

/// The file as a source.
fn source(args: &NewArgs) -> Result<SourceSpec, Problems> {
    let extension = args.from.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let parquet = match extension.as_str() {
        "csv" | "tsv" | "txt" => false,
        "parquet" | "pq" => true,
        _ => {
            let problem =
                Problem::new(FLAGS, "--from", format!("{} is neither .csv nor .parquet", args.from.display()));
            return Err(problem
                .hint("a contract is drafted from a CSV or a Parquet file, which its name's end tells")
                .into());
        }
    };
    let tabs = (extension == "tsv").then(|| "\t".to_owned());
    let mut section = Map::from_iter([
        ("kind".to_owned(), Json::from(if parquet { "parquet" } else { "csv" })),
        ("path".to_owned(), Json::from(args.from.display().to_string())),
    ]);
    let mut set = |key: &str, value: Option<Json>| section.extend(value.map(|value| (key.to_owned(), value)));
    set("delimiter", args.delimiter.clone().or(tabs).map(Json::from));
    set("header", args.no_header.then_some(Json::from(false)));
    set("multi_line", args.multi_line.then_some(Json::from(true)));
    set("columns", args.columns.clone().map(Json::from));
    let missing = ["", "NA", "NaN"].map(str::to_owned).into_iter().chain(args.missing.iter().cloned());
    set("missing", Some(missing.collect::<Vec<_>>().into()));
    let mut problems = Problems::default();
    match SourceSpec::read(&Json::Object(section), FLAGS, "", Path::new(""), &mut problems) {
        Some(source) if problems.is_empty() => Ok(source),
        _ => Err(problems),
    }
}

/// The contract's name: as asked, or as the file's name can be spelt.
fn id(args: &NewArgs) -> Result<ContractId, Problems> {
    let stem = args.from.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let spelt: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(31).collect();
    let name = args.name.as_deref().unwrap_or(&spelt);
    ContractId::new(name, 1).map_err(|error| {
        let problem = Problem::new(FLAGS, "--name", format!("`{name}` cannot be a contract's name"));
        problem.hint(format!("{}: --name heart", error.rule.replace("NAME@VERSION, the name ", ""))).into()
    })
}

/// A column's type in a contract, if it can have one.
fn kind(seems: &Seems) -> Option<&'static str> {
    Some(match seems {
        Seems::Int { .. } => "int",
        Seems::Float { .. } => "float",
        Seems::Code { .. } => "code",
        Seems::Date { .. } => "date",
        Seems::Datetime { .. } => "datetime",
        Seems::Bool => "bool",
        Seems::Text | Seems::Subject => "text",
        Seems::Identifier | Seems::Rare | Seems::Unreadable(_) => return None,
    })
}

fn draft(id: &ContractId, survey: &Survey, args: &NewArgs) -> String {
    let mut draft = Document::new();
    let who = if args.subject.is_some() { "patients" } else { "rows" };
    draft
        .comment("A draft, for a person to edit: what is not certain is a comment.")
        .comment(&format!("No code is in it that fewer than {} {who} have, and ranges are rounded outward.", args.k))
        .set("id", id.to_string())
        .noted("title", id.name(), "one line: what a row is");
    match &args.subject {
        Some(subject) => {
            draft.set("subject", subject.to_string()).comment("one_row_per_subject = true");
        }
        None => {
            draft
                .set("subject", "row")
                .comment("Each row counts as a patient of its own. If a column names the patient, draft again with --subject COLUMN.");
        }
    }
    moments(&mut draft, survey);
    survey.columns.iter().for_each(|found| column(&mut draft, found, args));
    draft.text().to_owned()
}

/// Columns whose names say that they may be when a row happened, or when the patient was born: a person decides.
fn moments(draft: &mut Document, survey: &Survey) {
    let dates = survey.columns.iter().filter(|c| matches!(c.seems, Seems::Date { .. } | Seems::Datetime { .. }));
    for name in dates.map(|column| column.name.as_str()) {
        let named = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if named(&BIRTH) {
            draft.comment(&format!(
                "{:<38} if it says when the patient was born: ages go by it",
                format!("birth = \"{name}\"")
            ));
        } else if named(&TIME) {
            draft.comment(&format!(
                "{:<38} if it says when the row happened: first, last and windows go by it",
                format!("time = \"{name}\"")
            ));
        }
    }
}

fn column(draft: &mut Document, found: &Surveyed, args: &NewArgs) {
    draft.gap();
    let who = if args.subject.is_some() { "patients" } else { "rows" };
    let left_out = match &found.seems {
        Seems::Identifier => {
            "Each row has another value: it names a row, and hardly belongs into a contract.".to_owned()
        }
        Seems::Rare => format!("Fewer than {} {who} have a value.", args.k),
        Seems::Unreadable(reason) => format!("It cannot be read: {reason}."),
        _ => {
            described(draft, found, args.k);
            return;
        }
    };
    let mut as_text = Document::new();
    as_text.element(&["column"]).set("name", found.name.to_string()).set("type", "text");
    draft.comment(&left_out).comment(as_text.text());
}

fn described(draft: &mut Document, found: &Surveyed, k: u32) {
    draft.element(&["column"]).set("name", found.name.to_string()).set("type", kind(&found.seems).unwrap_or("text"));
    let placeholder = |draft: &mut Document, key: &str, note: &str| {
        draft.comment(&format!("{:<38} {note}", format!("{key} = \"\"")));
    };
    match &found.seems {
        Seems::Subject => {
            draft.set("required", true);
            return;
        }
        Seems::Int { lo, hi } => {
            draft.set("range", vec![*lo, *hi]);
            placeholder(draft, "unit", "UCUM, e.g. \"a\" (years) or \"mm[Hg]\"");
        }
        Seems::Float { lo, hi } => {
            draft.set("range", vec![*lo, *hi]);
            placeholder(draft, "unit", "UCUM, e.g. \"mg/dL\"");
        }
        Seems::Code { codes, more, number } => coded(draft, codes, *more, *number, k),
        Seems::Date { lo, hi } => {
            draft.set("range", vec![lo.clone(), hi.clone()]);
        }
        Seems::Datetime { lo, hi, midnight } => {
            draft.set("range", vec![lo.clone(), hi.clone()]);
            if *midnight {
                let day = |text: &str| text.split('T').next().unwrap_or_default().to_owned();
                alternative(draft, "Each is a midnight. If it is a date:", "date", vec![day(lo), day(hi)].into());
            }
        }
        Seems::Text => {
            draft.comment(
                "A text leaves no site but as a discovered key. If few different values are meant, make it a code.",
            );
        }
        Seems::Bool | Seems::Identifier | Seems::Rare | Seems::Unreadable(_) => {}
    }
    placeholder(draft, "label", "a few words for people");
    if !found.gaps {
        draft.comment("required = true                        every row has a value here; a site that has none could not take part");
    }
}

fn coded(draft: &mut Document, codes: &[String], more: bool, number: Option<(i64, i64)>, k: u32) {
    let entry = |code: &String| Value::from(toml::Table::from_iter([("code".to_owned(), Value::from(code.as_str()))]));
    draft.list("codes", codes.iter().map(entry), "label = \"\"");
    if more {
        draft.comment(&format!("There are other values, fewer than {k} of each: what is not a code here is left out."));
    }
    if let Some((lo, hi)) = number {
        alternative(draft, "If it is a number:", "int", vec![lo, hi].into());
    }
    draft.comment("system = \"\"                            where the codes come from, e.g. \"icd10cm\"");
}

/// What the column may be instead.
fn alternative(draft: &mut Document, when: &str, kind: &str, range: Value) {
    let mut instead = Document::new();
    instead.set("type", kind).set("range", range);
    draft.comment(when).comment(instead.text());
}
