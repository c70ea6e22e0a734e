//! Reading what people wrote: every problem at once, each with file, key and hint. Pure: the caller reads files and environment.

mod fields;
mod log_filter;
mod nearest;
mod respelt;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use log_filter::log_filter_problem;
pub use nearest::nearest;
use respelt::Respelt;

/// One thing that is wrong with a text that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as the person named it.
    pub file: String,
    /// The line on which the place stands, from 1, where that is known.
    pub line: Option<usize>,
    /// The place in the file: `policy.threshold`, `analysis[0].table.by[1]`. Empty for the file as a whole.
    #[serde(rename = "place")]
    pub key: String,
    /// What is wrong: one sentence, lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(file: &str, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, key: key.into(), message: message.into(), hint: None }
    }

    /// The place in the file, as people read it: `line 3, analysis[0].name`.
    pub fn place(&self) -> String {
        match (self.line, self.key.as_str()) {
            (None, key) => key.to_owned(),
            (Some(line), "") => format!("line {line}"),
            (Some(line), key) => format!("line {line}, {key}"),
        }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let separator = if place.is_empty() { "" } else { ": " };
        write!(f, "{}: {place}{separator}{}", self.file, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All that is wrong, in the order found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of another.
    pub fn extend(&mut self, others: Problems) {
        self.0.extend(others.0);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing is wrong.
    pub fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Reads one section into `T`. All unknown keys, all missing ones and all values of a wrong type are reported, with their places.
///
/// `known` are the keys that a misspelt one may have meant.
pub fn read<T: DeserializeOwned>(
    value: &Value,
    file: &str,
    key: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Option<T> {
    let (read, sound) = read_on(value, file, key, known, None, problems);
    read.filter(|_| sound)
}

/// [`read`], but with what is left of the section where some of its values had to be passed over, so that the rest of it can be looked at too.
/// The problems say that something is wrong.
pub fn read_partly<T: DeserializeOwned>(
    value: &Value,
    file: &str,
    key: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Option<T> {
    read_on(value, file, key, known, None, problems).0
}

/// [`read_partly`], and a misspelt key is read as what it means, so that what it holds is looked at too. Not for configuration: who writes a secret under
/// another key than that of its file shall not read it in a message.
pub(crate) fn read_as_meant<T: DeserializeOwned>(
    value: &Value,
    file: &str,
    key: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Option<T> {
    read_on(value, file, key, known, Some(Respelt::default()), problems).0
}

/// After so many values that are wrong or missing a section is given up.
const MOST_WRONG: usize = 100;

/// What could be read, and whether nothing had to be passed over.
fn read_on<T: DeserializeOwned>(
    value: &Value,
    file: &str,
    key: &str,
    known: &[&str],
    respelt: Option<Respelt>,
    problems: &mut Problems,
) -> (Option<T>, bool) {
    let mut rest = value.clone();
    let mut unknown = BTreeSet::new();
    let mut wrong: Vec<Problem> = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    let mut stand_ins: Vec<String> = Vec::new();
    let (respells, mut respelt) = (respelt.is_some(), respelt.unwrap_or_default());
    let read = loop {
        // Each costs a reading of the whole, and nobody reads more of them.
        if wrong.len() >= MOST_WRONG {
            break None;
        }
        let attempted = attempt::<T>(&rest, &mut unknown);
        let meant = |path: &str| nearest_key::<T>(path, known);
        if respells && respelt.another(&mut rest, &unknown, meant) {
            continue;
        }
        let (path, message) = match attempted {
            Ok(read) => break Some(read),
            Err(failure) => failure,
        };
        if let Some(field) = missing_field(&message) {
            let place = join(&path, field);
            if !removed.contains(&place) && !stand_ins.iter().any(|other| within(&place, other)) {
                let place = join(key, &respelt.as_written(&path));
                wrong.push(Problem::new(file, place, &*message).hint(format!("add a line {field} = …")));
            }
            if !stand_in::<T>(&mut rest, &path, field) {
                break None;
            }
            stand_ins.push(place);
            continue;
        }
        let place = join(key, &respelt.as_written(&path));
        let problem = Problem::new(file, &*place, in_words(&message));
        wrong.push(match otherwise(&message, &place) {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
        match remove(&mut rest, &path) {
            Some(place) => removed.push(place.to_owned()),
            None => break None,
        }
    };
    for path in unknown.iter().filter(|path| !respelt.made(path)) {
        let path = &*respelt.as_written(path);
        problems.push(unknown_key::<T>(file, &join(key, path), path, known));
    }
    let sound = wrong.is_empty();
    problems.0.extend(wrong);
    (read.filter(|_| stand_ins.is_empty()), sound)
}

/// A key that is not read at this place. One of another place is told so: it is not misspelt.
fn unknown_key<'de, T: serde::Deserialize<'de>>(file: &str, place: &str, path: &str, known: &[&str]) -> Problem {
    let last = path.rsplit('.').next().unwrap_or_default();
    match nearest_key::<T>(path, known) {
        Some(near) => Problem::new(file, place, "unknown key").hint(format!("did you mean `{near}`?")),
        None if known.contains(&last) => {
            let own = own_keys::<T>(path);
            let problem = Problem::new(file, place, format!("`{last}` is not a key of this section"));
            if own.is_empty() { problem } else { problem.hint(format!("its keys are {}", own.join(", "))) }
        }
        None => Problem::new(file, place, "unknown key"),
    }
}

/// The keys of the section that a place lies in, where that is `T` itself.
fn own_keys<'de, T: serde::Deserialize<'de>>(path: &str) -> &'static [&'static str] {
    if path.contains('.') { &[] } else { fields::of::<T>() }
}

/// What a key that is not read at this place may have meant.
fn nearest_key<'k, 'de, T: serde::Deserialize<'de>>(path: &str, known: &[&'k str]) -> Option<&'k str> {
    let last = path.rsplit('.').next().unwrap_or_default();
    let own = own_keys::<T>(path);
    if known.contains(&last) {
        // A key of another section is no misspelling, unless it is the beginning of one that belongs here.
        return nearest(last, own.iter().copied().filter(|key| key.starts_with(last)));
    }
    // A section may be read in parts, each with keys of its own.
    nearest(last, own.iter().chain(known).copied())
}

/// The key that a section lacks, if that is what an error says.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Whether a place is `outer` or lies in it.
fn within(place: &str, outer: &str) -> bool {
    place.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Puts something readable in the place of a missing key, so that what else is missing can be found. What is read with it is thrown away.
fn stand_in<T: DeserializeOwned>(value: &mut Value, path: &str, field: &str) -> bool {
    let texts = ["aa", "aa@1", "127.0.0.1:1", "ed25519:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="];
    let others = [serde_json::json!([]), serde_json::json!({}), Value::from(1), Value::from(true)];
    let place = join(path, field);
    texts.map(Value::from).into_iter().chain(others).any(|candidate| {
        let Some(Value::Object(map)) = value.pointer_mut(&pointer(path)) else { return false };
        map.insert(field.to_owned(), candidate);
        match attempt::<T>(value, &mut BTreeSet::new()) {
            Ok(_) => true,
            Err((at, message)) => missing_field(&message).is_some() || !within(&at, &place),
        }
    })
}

/// The keys of a section, as its type declares them.
pub(crate) fn keys_of<'de, T: serde::Deserialize<'de>>() -> &'static [&'static str] {
    fields::of::<T>()
}

/// A type's name as people say it.
fn in_words(message: &str) -> String {
    let message = &message.replacen("invalid type: sequence", "invalid type: a list", 1);
    match message.rsplit_once("expected ") {
        Some((before, "u16" | "u32" | "u64" | "usize")) => format!("{before}expected a whole number, 0 or more"),
        Some((before, "i32" | "i64")) => format!("{before}expected a whole number"),
        Some((before, "f64")) => format!("{before}expected a number"),
        Some((before, "a sequence")) => format!("{before}expected a list"),
        Some((before, what)) if what.starts_with("struct ") => {
            format!("{before}expected a section with keys of its own")
        }
        _ => message.to_owned(),
    }
}

/// How a value of a wrong type is written as one of the right type, where that is plain.
fn otherwise(message: &str, place: &str) -> Option<String> {
    let (found, wanted) = message.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let key = place.rsplit('.').next().unwrap_or(place);
    let text = found.strip_prefix("string \"").and_then(|text| text.strip_suffix('"'));
    match (text, wanted) {
        (None, "a sequence") if found == "map" => {
            Some(format!("it may stand there several times: write it as [[{place}]]"))
        }
        _ if key.contains('[') => None,
        (Some(text), "a sequence") => Some(format!("a list stands in brackets: {key} = [\"{text}\"]")),
        (Some(text), "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "f64") if text.parse::<f64>().is_ok() => {
            Some(format!("a number has no quotes: {key} = {text}"))
        }
        (Some(text @ ("true" | "false")), "a boolean") => Some(format!("it has no quotes: {key} = {text}")),
        _ => None,
    }
}

fn attempt<T: DeserializeOwned>(value: &Value, unknown: &mut BTreeSet<String>) -> Result<T, (String, String)> {
    let mut note = |path: serde_ignored::Path<'_>| {
        // A `?` says only that the section before it may be absent.
        unknown.insert(path.to_string().split('.').filter(|part| *part != "?").collect::<Vec<_>>().join("."));
    };
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note)).map_err(|e| {
        let path = track.path().to_string();
        let path = if path == "." { String::new() } else { path };
        (path, plain(&e.to_string()))
    })
}

/// Takes the value at `path` away, so that what stands behind it can be read too: of a list the whole, or its other places would not be those of
/// the text any more. Returned is what was taken.
fn remove<'a>(value: &mut Value, path: &'a str) -> Option<&'a str> {
    let mut place = path;
    while let Some((list, _)) = place.strip_suffix(']').and_then(|inner| inner.rsplit_once('[')) {
        place = list;
    }
    let (outer, last) = place.rsplit_once('.').unwrap_or(("", place));
    match value.pointer_mut(&pointer(outer)) {
        Some(Value::Object(map)) => map.remove(last).map(|_| place),
        _ => None,
    }
}

fn pointer(path: &str) -> String {
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    parts.fold(String::new(), |pointer, part| pointer + "/" + part)
}

/// `outer.inner`, where either may be empty.
pub fn join(outer: &str, inner: &str) -> String {
    match (outer.is_empty(), inner.is_empty()) {
        (true, _) => inner.to_owned(),
        (_, true) => outer.to_owned(),
        _ if inner.starts_with('[') => format!("{outer}{inner}"),
        _ => format!("{outer}.{inner}"),
    }
}

fn plain(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Section {
        threshold: u32,
        #[serde(default)]
        inner: Inner,
    }

    #[derive(Deserialize, Debug, Default)]
    #[allow(dead_code)]
    struct Inner {
        secs: u32,
    }

    #[test]
    fn unknown_keys_and_a_wrong_type_are_reported_together_with_their_places() {
        let value = serde_json::json!({"treshold": 1, "threshold": 2, "inner": {"sec": 1, "secs": "x"}});
        let mut problems = Problems::default();
        let section = read::<Section>(&value, "node.toml", "policy", &["threshold", "secs"], &mut problems);
        assert!(section.is_none());
        let text = problems.to_string();
        assert!(text.contains("node.toml: policy.treshold: unknown key\n  hint: did you mean `threshold`?"), "{text}");
        assert!(text.contains("policy.inner.sec: unknown key"), "{text}");
        assert!(text.contains("policy.inner.secs: invalid type"), "{text}");
    }

    #[test]
    fn a_key_of_another_section_is_not_offered_as_what_was_meant() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code)]
        struct Outer {
            inner: Option<Inner>,
        }
        let mut problems = Problems::default();
        let value = serde_json::json!({"secs": 1, "inner": {"secs": 1, "threshold": 2}});
        assert!(read::<Outer>(&value, "f", "", &["inner", "secs", "threshold"], &mut problems).is_some());
        let wanted = "f: inner.threshold: `threshold` is not a key of this section\n\
                      f: secs: `secs` is not a key of this section\n  hint: its keys are inner";
        assert_eq!(problems.to_string(), wanted);
    }

    #[test]
    fn a_nearer_key_of_another_part_of_a_section_is_meant_and_not_one_that_only_begins_alike() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code)]
        struct Part {
            optout: Option<String>,
        }
        let mut problems = Problems::default();
        let value = serde_json::json!({"optouts_scope": "a", "opt": "b", "optot": "c"});
        assert!(read::<Part>(&value, "f", "", &["opt", "optout", "optout_scope"], &mut problems).is_some());
        let said = problems.to_string();
        assert!(said.contains("f: optouts_scope: unknown key\n  hint: did you mean `optout_scope`?"), "{said}");
        for beginning in ["opt", "optot"] {
            assert!(said.contains(&format!("f: {beginning}: unknown key\n  hint: did you mean `optout`?")), "{said}");
        }
    }

    #[test]
    fn every_missing_key_is_reported_whatever_its_type() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code)]
        struct Many {
            count: u32,
            list: Vec<String>,
            inner: Inner,
            contract: crate::ids::ContractId,
            wrong: u32,
        }
        let mut problems = Problems::default();
        let read = read::<Many>(&serde_json::json!({"wrong": "x"}), "f", "", &[], &mut problems);
        assert!(read.is_none());
        let text = problems.to_string();
        for field in ["count", "list", "inner", "contract"] {
            assert!(text.contains(&format!("f: missing field `{field}`")), "{field} in {text}");
        }
        // Not missing once more because it was passed over, nor the keys of what stands in.
        assert_eq!(problems.0.len(), 5, "{text}");
    }

    #[test]
    fn what_can_be_read_beside_a_wrong_value_is_left_of_a_section() {
        let mut problems = Problems::default();
        let value = serde_json::json!({"threshold": 3, "inner": "x"});
        let partly = read_partly::<Section>(&value, "f", "", &[], &mut problems);
        assert_eq!((partly.map(|s| s.threshold), problems.0.len()), (Some(3), 1));
        let missing = read_partly::<Section>(&serde_json::json!({}), "f", "", &[], &mut problems);
        assert!(missing.is_none(), "nothing made up is handed out");
    }

    #[test]
    fn a_value_in_the_wrong_form_is_told_how_it_is_written() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code)]
        struct Forms {
            number: u32,
            list: Vec<String>,
            truth: bool,
            section: Inner,
        }
        let mut problems = Problems::default();
        let value = serde_json::json!({"number": "3", "list": "a", "truth": "true", "section": 7});
        assert!(read::<Forms>(&value, "f", "in", &[], &mut problems).is_none());
        let said = problems.to_string();
        for wanted in [
            "expected a whole number, 0 or more\n  hint: a number has no quotes: number = 3",
            "expected a list\n  hint: a list stands in brackets: list = [\"a\"]",
            "expected a boolean\n  hint: it has no quotes: truth = true",
            "in.section: invalid type: integer `7`, expected a section with keys of its own",
        ] {
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_list_hides_nothing_that_stands_behind_it() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code)]
        struct Lists {
            numbers: Vec<u32>,
            sections: Vec<Section>,
            count: u32,
        }
        let mut problems = Problems::default();
        let value = serde_json::json!({"numbers": [1, "x", "y"], "sections": [{"threshold": 1}, {"threshold": "x"}], "count": "x"});
        assert!(read::<Lists>(&value, "f", "", &[], &mut problems).is_none());
        let said = problems.to_string();
        for place in ["f: numbers[1]: invalid", "f: sections[1].threshold: invalid", "f: count: invalid"] {
            assert!(said.contains(place), "{place} in {said}");
        }
        assert!(!said.contains("missing field `numbers`"), "it is there: {said}");
    }
}
