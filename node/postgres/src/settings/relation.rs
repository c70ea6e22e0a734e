//! What is read: a table or a query, as it stands in a statement.

use serde::Serialize;

/// A table, view or query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The parts of a table's or view's name, as the server knows them.
    Table(Vec<String>),
    /// One `select`.
    Query(String),
}

/// A query of `node.toml`: a page of SQL is a tenth of it.
const QUERY_BYTES: usize = 64 << 10;

impl Relation {
    /// `person`, `cdm.person` or `"CDM"."Person"`: as SQL reads names, what is not in quotes is lower case.
    pub(super) fn table(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let (part, behind) = match rest.strip_prefix('"') {
                Some(quoted) => quoted_name(quoted)?,
                None => plain_name(rest)?,
            };
            parts.push(part);
            match behind.strip_prefix('.') {
                Some(more) => rest = more,
                None if behind.is_empty() && parts.len() <= 2 => return Ok(Relation::Table(parts)),
                None => return Err("not the name of a table"),
            }
        }
    }

    /// One statement; that it is one and reads only, the server says when it is prepared.
    pub(super) fn query(text: &str) -> Result<Self, &'static str> {
        let text = text.trim().trim_end_matches(';').trim_end();
        match text.len() {
            0 => Err("empty"),
            1..=QUERY_BYTES if !text.contains('\0') => Ok(Relation::Query(text.to_owned())),
            _ => Err("longer than 64 KiB"),
        }
    }

    /// As it stands behind `from`. A comment at a query's end stays its own.
    pub(crate) fn sql(&self) -> String {
        match self {
            Relation::Table(parts) => parts.iter().map(|part| quoted(part)).collect::<Vec<_>>().join("."),
            Relation::Query(text) => format!("(\n{text}\n)"),
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Relation::Table(parts) => format!("table {}", parts.join(".")),
            Relation::Query(_) => "its query".to_owned(),
        }
    }
}

/// A name as SQL takes it literally.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn plain_name(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.find('.').unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    let fits = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit() || c == '$')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    if fits { Ok((name.to_lowercase(), behind)) } else { Err("not the name of a table") }
}

fn quoted_name(text: &str) -> Result<(String, &str), &'static str> {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                name.push('"');
            }
            '"' if name.is_empty() => break,
            '"' => return Ok((name, &text[at + 1..])),
            '\0' => break,
            c => name.push(c),
        }
    }
    Err("not the name of a table: its quotes do not close")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_s_name_is_read_as_sql_reads_it_and_cannot_become_a_statement() {
        let sql = |text: &str| Relation::table(text).map(|table| table.sql());
        assert_eq!(sql("cdm.PERSON").unwrap(), "\"cdm\".\"person\"");
        assert_eq!(sql("\"CDM\".\"Per\"\"son\"").unwrap(), "\"CDM\".\"Per\"\"son\"");
        assert_eq!(sql("person").unwrap(), "\"person\"");
        for bad in ["", "a.b.c", "a.", ".a", "a b", "person; drop table x", "\"a", "\"a\"b", "\"\"", "1a", "a-b"] {
            assert!(sql(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_is_one_text_with_or_without_its_semicolon() {
        assert_eq!(Relation::query(" select 1 ; ").unwrap().sql(), "(\nselect 1\n)");
        assert!(Relation::query(" ; ").is_err());
        assert!(Relation::query(&"x".repeat(QUERY_BYTES + 1)).is_err());
    }
}
