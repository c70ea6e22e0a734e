//! Where a daemon's configuration comes from: a TOML file, over it the environment, over that the command line.
//!
//! The result is a plain tree; `bocage_protocol::settings` turns its sections into types. What it finds wrong in the tree is said of the variable
//! or flag that a value came from. Secrets have no place in any of the three: configuration names their files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bocage_protocol::front::{Sort, with_lines};
use bocage_protocol::limits::CONFIG_TEXT_BYTES;
use bocage_protocol::settings::{Problem, Problems, join};
use config::{Config, ConfigError, Environment, FileFormat, ValueKind};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// Between prefix and key, and between the parts of a key, in an environment variable's name.
const SEPARATOR: &str = "__";

/// What file, environment and command line say together.
#[derive(Debug, PartialEq)]
pub struct Settings {
    /// The settings, later sources over earlier ones.
    pub tree: Value,
    /// The file's name, and its text.
    name: String,
    text: String,
    /// What the file alone says.
    file: Value,
    /// Keys that did not come from the file, each with the name of its variable or [`COMMAND_LINE`]; the last one of a key counts.
    others: Vec<(String, String)>,
}

/// Where a problem of an override is.
const COMMAND_LINE: &str = "command line";

impl Settings {
    /// What the file is, where it is one of our others.
    ///
    /// # Errors
    /// That it is, and what reads it.
    pub fn are_of(&self, wanted: Sort) -> Result<(), Problem> {
        wanted.taken_for(&self.file, &self.name).map_or(Ok(()), Err)
    }

    /// The problems of the tree, each with its line, or with the variable or the command line in the file's place where the value came from there.
    #[must_use]
    pub fn attributed(&self, problems: Problems) -> Problems {
        let attributed = |mut problem: Problem| {
            if let Some(source) = self.source(&problem.key) {
                problem.file = source.to_owned();
            }
            problem
        };
        with_lines(&self.text, &self.name, Problems(problems.0.into_iter().map(attributed).collect()))
    }

    /// The variable or flag that made the value at `key`, or the section there, where the file has none.
    fn source(&self, key: &str) -> Option<&str> {
        let within = |made: &str| made.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        let made = |made: &str| made == key || (self.is_absent(key) && within(made));
        self.others.iter().rev().find(|(other, _)| made(other)).map(|(_, source)| source.as_str())
    }

    /// Whether the file has nothing at a key.
    fn is_absent(&self, key: &str) -> bool {
        self.file.pointer(&format!("/{}", key.replace('.', "/"))).is_none()
    }
}

/// Reads `file`, then overrides it by variables `PREFIX__SECTION__KEY` and by `overrides` (`section.key` to text), the
/// latter winning.
///
/// Environment variables' names are lower-cased, which fits our keys. Keys and values within the file keep their case.
/// In variables and overrides, what looks like a boolean or number is one; empty variables are ignored.
///
/// # Errors
/// When the file is missing, larger than [`CONFIG_TEXT_BYTES`] or not TOML (with the line), or a key is no key.
pub fn load(file: &Path, env_prefix: &str, overrides: &[(String, String)]) -> Result<Settings, Problem> {
    load_from(file, env_prefix, None, overrides)
}

/// [`load`] with an environment of its own.
fn load_from(
    file: &Path,
    env_prefix: &str,
    environment: Option<HashMap<String, String>>,
    overrides: &[(String, String)],
) -> Result<Settings, Problem> {
    let name = file.display().to_string();
    let text = read_text(file).map_err(|(message, hint)| Problem::new(&name, "", message).hint(hint))?;
    // Parsed alone first, so that what goes wrong here is the file's.
    let source = || config::File::from_str(&text, FileFormat::Toml);
    let alone = Config::builder().add_source(source()).build().map_err(|error| match too_long(&text) {
        Some(key) => with_line(&text, out_of_range(&name, &key)),
        None => syntax(&name, error),
    })?;
    let file = to_json(&name, "", alone.cache).map_err(|problem| with_line(&text, problem))?;

    let environment = environment.unwrap_or_else(environment_of_process);
    let mut others = named(env_prefix, &environment);
    let variables = Environment::with_prefix(env_prefix)
        .separator(SEPARATOR)
        .try_parsing(true)
        .ignore_empty(true)
        .source(Some(environment.into_iter().collect()));
    let mut builder = Config::builder().add_source(source()).add_source(variables);
    for (key, text) in overrides {
        builder = builder
            .set_override(key, parsed(text))
            .map_err(|_| Problem::new(COMMAND_LINE, key, "not a key of the form section.key"))?;
        others.push((key.clone(), COMMAND_LINE.to_owned()));
    }
    let tree = builder.build().map_err(|error| Problem::new("environment", env_prefix, error.to_string()))?;
    let tree = to_json(&name, "", tree.cache).map_err(|problem| {
        let source = others.iter().rev().find(|(key, _)| *key == problem.key).map(|(_, source)| source.clone());
        Problem { file: source.unwrap_or(problem.file), ..problem }
    })?;
    Ok(Settings { tree, file, others, name, text })
}

/// The variables that are text. What is none cannot be one of ours, which are read as text.
fn environment_of_process() -> HashMap<String, String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// The keys that variables set, with the variables' names.
fn named(env_prefix: &str, environment: &HashMap<String, String>) -> Vec<(String, String)> {
    let prefix = format!("{env_prefix}{SEPARATOR}").to_lowercase();
    let set = environment.iter().filter(|(_, value)| !value.is_empty());
    let key = |name: &String| Some(name.to_lowercase().strip_prefix(&prefix)?.replace(SEPARATOR, "."));
    let mut named: Vec<_> = set.filter_map(|(name, _)| Some((key(name)?, name.clone()))).collect();
    named.sort();
    named
}

/// The text, or what is wrong and what to do about it.
fn read_text(file: &Path) -> Result<String, (String, &'static str)> {
    const NAME: &str = "name the file with --config FILE; it is text in UTF-8";
    let denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    let hint =
        |error: &std::io::Error| if denied(error) { "let the user that runs this command read it" } else { NAME };
    let handle =
        File::open(file).map_err(|error| (format!("cannot be opened: {}", unreadable(error.kind())), hint(&error)))?;
    let mut text = String::new();
    let read = handle.take(CONFIG_TEXT_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| (format!("cannot be read: {error}"), hint(&error)))?;
    if text.len() > CONFIG_TEXT_BYTES {
        return Err((format!("larger than {CONFIG_TEXT_BYTES} bytes"), NAME));
    }
    Ok(text)
}

/// The parser's words, with the line as the place.
fn syntax(name: &str, error: ConfigError) -> Problem {
    let message = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let message = message.trim_end();
    let line = message.strip_prefix("TOML parse error at line ").and_then(|rest| rest.split(',').next());
    let problem = match (line, message.lines().last()) {
        (Some(line), Some(what)) => Problem::new(name, format!("line {line}"), what),
        _ => Problem::new(name, "", message),
    };
    problem.hint("the file is TOML: key = \"text\", key = 1, [section]")
}

fn with_line(text: &str, problem: Problem) -> Problem {
    let name = problem.file.clone();
    with_lines(text, &name, problem.clone().into()).0.pop().unwrap_or(problem)
}

fn out_of_range(name: &str, at: &str) -> Problem {
    Problem::new(name, at, "number out of range").hint("numbers are finite, and whole ones have at most 18 digits")
}

/// The key of a whole number that is TOML and has more digits than are read. The parser says of it that there is one.
fn too_long(text: &str) -> Option<String> {
    fn within(value: &DeValue<'_>, at: &str) -> Option<String> {
        match value {
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).is_err().then(|| at.to_owned())
            }
            DeValue::Table(table) => {
                table.iter().find_map(|(key, value)| within(value.get_ref(), &join(at, key.get_ref())))
            }
            DeValue::Array(list) => {
                list.iter().enumerate().find_map(|(i, value)| within(value.get_ref(), &format!("{at}[{i}]")))
            }
            _ => None,
        }
    }
    within(&DeValue::Table(DeTable::parse(text).ok()?.into_inner()), "")
}

/// An override's text as the value it looks like, by the same rules as environment variables.
fn parsed(text: &str) -> ValueKind {
    if let Ok(flag) = text.to_lowercase().parse::<bool>() {
        return ValueKind::Boolean(flag);
    }
    if let Ok(number) = text.parse::<i64>() {
        return ValueKind::I64(number);
    }
    match text.parse::<f64>() {
        Ok(number) => ValueKind::Float(number),
        Err(_) => ValueKind::String(text.to_owned()),
    }
}

fn to_json(name: &str, at: &str, value: config::Value) -> Result<Value, Problem> {
    let within = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    let out_of_range = || out_of_range(name, at);
    Ok(match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(flag) => Value::Bool(flag),
        ValueKind::I64(number) => Value::from(number),
        ValueKind::I128(number) => Value::from(i64::try_from(number).map_err(|_| out_of_range())?),
        ValueKind::U64(number) => Value::from(number),
        ValueKind::U128(number) => Value::from(u64::try_from(number).map_err(|_| out_of_range())?),
        ValueKind::Float(number) => serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(out_of_range)?,
        ValueKind::String(text) => Value::String(text),
        ValueKind::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| Ok((key.clone(), to_json(name, &within(&key), value)?)))
                .collect::<Result<_, Problem>>()?,
        ),
        ValueKind::Array(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| to_json(name, &format!("{at}[{i}]"), item))
                .collect::<Result<_, Problem>>()?,
        ),
    })
}

/// Why a file cannot be read, as people say it.
pub fn unreadable(kind: std::io::ErrorKind) -> String {
    match kind {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load_text(text: &str, variables: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Value, Problem> {
        load_all(text, variables, overrides).map(|settings| settings.tree)
    }

    fn load_all(text: &str, variables: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Settings, Problem> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.toml");
        std::fs::write(&file, text).unwrap();
        let own = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        load_from(&file, "BOCAGE_NODE", Some(own(variables).into_iter().collect()), &own(overrides))
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let text = "[a]\nx = 1\ny = 1\nz = 1\nsay = \"file\"";
        let variables = [
            ("BOCAGE_NODE__A__Y", "2"),
            ("BOCAGE_NODE__a__z", "2"),
            ("BOCAGE_NODE_A__X", "9"),
            ("BOCAGE_NODE__A__X", ""),
        ];
        let tree = load_text(text, &variables, &[("a.z", "3"), ("b.new", "true"), ("a.say", "Flag")]).unwrap();
        assert_eq!(tree, json!({"a": {"x": 1, "y": 2, "z": 3, "say": "Flag"}, "b": {"new": true}}));
    }

    #[test]
    fn a_problem_is_said_of_the_variable_or_the_flag_that_its_value_came_from() {
        let variables = [("BOCAGE_NODE__A__X", "2"), ("BOCAGE_NODE__FOO__BAR", "2"), ("BOCAGE_NODE__a__z", "2")];
        let settings = load_all("[a]\nx = 1\ny = 1", &variables, &[("a.z", "3"), ("b", "3")]).unwrap();
        let sources = [
            ("a.x", "BOCAGE_NODE__A__X"),
            ("foo", "BOCAGE_NODE__FOO__BAR"),
            ("foo.bar", "BOCAGE_NODE__FOO__BAR"),
            ("a.z", COMMAND_LINE),
            ("b", COMMAND_LINE),
            ("a", "node.toml"),
            ("a.y", "node.toml"),
            ("fo", "node.toml"),
            ("", "node.toml"),
        ];
        let problems = sources.iter().map(|(key, _)| Problem::new("node.toml", *key, "wrong")).collect();
        let attributed = settings.attributed(Problems(problems));
        let files: Vec<&str> = attributed.0.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(files, sources.map(|(_, file)| file));
    }

    #[test]
    fn keys_and_values_of_the_file_keep_their_case() {
        let text = r#"
            [datasets.heart.columns]
            chol = "Chol"
            "Max HR" = "Thalach.Max"
            Chol = 1.5
            [[trust]]
            Kind = "Researcher"
            since = 2026-01-02
        "#;
        let expected = json!({
            "datasets": {"heart": {"columns": {"chol": "Chol", "Max HR": "Thalach.Max", "Chol": 1.5}}},
            "trust": [{"Kind": "Researcher", "since": "2026-01-02"}],
        });
        assert_eq!(load_text(text, &[], &[]).unwrap(), expected);
        let changed = load_text(text, &[("BOCAGE_NODE__datasets__heart__columns__chol", "X")], &[]).unwrap();
        assert_eq!(changed["datasets"]["heart"]["columns"], json!({"chol": "X", "Max HR": "Thalach.Max", "Chol": 1.5}));
    }

    #[test]
    fn a_syntax_error_names_file_and_line() {
        let problem = load_text("[a]\nx = 1\ny = = 2\n", &[], &[]).unwrap_err();
        assert!(problem.file.ends_with("node.toml"));
        assert_eq!(problem.key, "line 3", "{problem}");
    }

    #[test]
    fn a_missing_or_huge_file_and_a_bad_key_are_problems() {
        assert!(load(Path::new("/absent/node.toml"), "BOCAGE_NODE", &[]).unwrap_err().message.contains("opened"));
        let huge = format!("# {}", "x".repeat(CONFIG_TEXT_BYTES));
        assert!(load_text(&huge, &[], &[]).unwrap_err().message.contains("larger"));
        let problem = load_text("", &[], &[("a..b", "1")]).unwrap_err();
        assert_eq!((problem.file.as_str(), problem.key.as_str()), ("command line", "a..b"));
    }

    #[test]
    fn a_number_out_of_range_is_told_with_its_key_and_where_it_came_from() {
        let said = |text: &str, variables: &[(&str, &str)], overrides: &[(&str, &str)]| {
            let problem = load_text(text, variables, overrides).unwrap_err();
            let file = problem.file.rsplit('/').next().unwrap_or_default().to_owned();
            format!("{file}: {}: {}", problem.place(), problem.message)
        };
        let long = "9".repeat(20);
        let in_file = |text: &str| said(text, &[], &[]);
        assert_eq!(in_file(&format!("[a]\nx = {long}")), "node.toml: line 2, a.x: number out of range");
        assert_eq!(
            in_file(&format!("[[r]]\n[[r]]\nx = [1,\n  0x{long}]")),
            "node.toml: line 4, r[1].x[1]: number out of range"
        );
        assert_eq!(in_file("[a]\ny = 1\nx = inf"), "node.toml: line 3, a.x: number out of range");
        assert_eq!(said("", &[], &[("a.b", "inf")]), "command line: a.b: number out of range");
        let variable = [("BOCAGE_NODE__A__B", "nan")];
        assert_eq!(said("", &variable, &[]), "BOCAGE_NODE__A__B: a.b: number out of range");
    }
}
