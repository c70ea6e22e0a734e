//! Writes configuration files with comments. Every key and value goes through TOML serialisation, so that no name or title can become syntax.

use std::fmt::Write as _;

use toml::Value;

/// A TOML file in the making.
#[derive(Debug, Default)]
pub struct Document(String);

impl Document {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lines for people. A line break in `text` begins another comment line.
    pub fn comment(&mut self, text: &str) -> &mut Self {
        for line in text.lines() {
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(self.0, "{}", format!("# {line}").trim_end());
        }
        self
    }

    /// An empty line.
    pub fn gap(&mut self) -> &mut Self {
        self.0.push('\n');
        self
    }

    /// `key = value`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let _ = writeln!(self.0, "{} = {}", name(key), value.into());
        self
    }

    /// `key = value` with a few words behind it.
    pub fn noted(&mut self, key: &str, value: impl Into<Value>, note: &str) -> &mut Self {
        let _ = write!(self.0, "{:<40}", format!("{} = {}", name(key), value.into()));
        self.0.push(' ');
        self.comment(note)
    }

    /// `key = […]` with an element on each line, and a few words behind each.
    pub fn list(&mut self, key: &str, values: impl IntoIterator<Item = Value>, note: &str) -> &mut Self {
        let _ = writeln!(self.0, "{} = [", name(key));
        for value in values {
            let _ = write!(self.0, "    {value}, ");
            self.comment(note);
        }
        self.0.push_str("]\n");
        self
    }

    /// `[a.b]`.
    pub fn table(&mut self, path: &[&str]) -> &mut Self {
        let _ = writeln!(self.0, "[{}]", dotted(path));
        self
    }

    /// `[[a.b]]`.
    pub fn element(&mut self, path: &[&str]) -> &mut Self {
        let _ = writeln!(self.0, "[[{}]]", dotted(path));
        self
    }

    /// A whole table with its inner tables, under `path`.
    pub fn block(&mut self, path: &[&str], table: &toml::Table) -> &mut Self {
        let (inner, plain): (Vec<_>, Vec<_>) = table.iter().partition(|(_, v)| v.is_table());
        self.table(path);
        for (key, value) in plain {
            self.set(key, value.clone());
        }
        for (key, value) in inner {
            if let Some(table) = value.as_table() {
                self.gap().block(&[path, &[key.as_str()]].concat(), table);
            }
        }
        self
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

fn dotted(path: &[&str]) -> String {
    path.iter().map(|part| name(part)).collect::<Vec<_>>().join(".")
}

/// A key as TOML spells it: bare where that is allowed, else quoted.
fn name(key: &str) -> String {
    let pair = toml::Table::from_iter([(key.to_owned(), Value::Integer(0))]).to_string();
    pair.trim_end().trim_end_matches('0').trim_end_matches(" = ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_key_or_comment_can_become_syntax() {
        let evil = "x\"\n[policy]\nthreshold = 1 '''\u{7f}";
        let mut document = Document::new();
        document.comment(evil).table(&["a", evil]).set(evil, evil).noted("plain", evil, evil).set("n", 3);
        let parsed: toml::Table = toml::from_str(document.text()).unwrap();
        let inner = parsed["a"][evil].as_table().unwrap();
        assert_eq!(parsed.len(), 1);
        assert_eq!(inner[evil].as_str(), Some(evil));
        assert_eq!(inner["plain"].as_str(), Some(evil));
        assert_eq!(inner["n"].as_integer(), Some(3));
    }

    #[test]
    fn a_block_reads_back_as_the_table_that_it_was_made_from() {
        let table: toml::Table = toml::from_str(
            "contract = \"heart@1\"\nmissing = [\"NaN\", \"\"]\n[source]\nkind = \"csv\"\n[map]\ndisease = \"num > 0\"\n[map.\"odd key\"]\nx = 1.5\n[[list]]\na = 1\n",
        )
        .unwrap();
        let mut document = Document::new();
        document.set("before", true).block(&["dataset", "heart"], &table);
        let parsed: toml::Table = toml::from_str(document.text()).unwrap();
        assert_eq!(parsed["dataset"]["heart"].as_table().unwrap(), &table);
    }
}
