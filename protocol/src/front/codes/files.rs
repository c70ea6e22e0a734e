//! Files of codes: one code a line or a table with a column `code`; a hierarchy is a table with the columns `parent` and `child`.

use crate::limits;
use crate::plan::TypeProblem;

/// The codes of a file.
pub(super) fn codes(text: &str) -> Result<Vec<String>, TypeProblem> {
    let rows = rows(text)?;
    let header = rows.first().map(|row| lower(row)).unwrap_or_default();
    let column = header.iter().position(|name| name == "code");
    if column.is_none() && rows.iter().any(|row| row.len() > 1) {
        return Err(TypeProblem::new("it has several columns, and none is called `code`")
            .hint("write one code a line, or name the column `code` in the first line"));
    }
    let rows = rows.into_iter().skip(usize::from(column.is_some()));
    let found = rows.filter_map(|row| row.into_iter().nth(column.unwrap_or(0))).filter(|code| !code.is_empty());
    some(found.collect())
}

/// The pairs of parent and child of a file.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, TypeProblem> {
    let rows = rows(text)?;
    let header = rows.first().map(|row| lower(row)).unwrap_or_default();
    let at = |wanted: &str| header.iter().position(|name| name == wanted);
    let Some((parent, child)) = at("parent").zip(at("child")) else {
        return Err(TypeProblem::new("its first line does not name the columns `parent` and `child`")
            .hint("a hierarchy is a table: parent,child"));
    };
    let pair = |row: Vec<String>| Some((row.get(parent)?.clone(), row.get(child)?.clone()));
    some(
        rows.into_iter()
            .skip(1)
            .filter_map(pair)
            .filter(|(parent, child)| !parent.is_empty() && !child.is_empty())
            .collect(),
    )
}

fn some<T>(found: Vec<T>) -> Result<Vec<T>, TypeProblem> {
    if found.is_empty() { Err(TypeProblem::new("it is empty")) } else { Ok(found) }
}

fn lower(row: &[String]) -> Vec<String> {
    row.iter().map(|name| name.to_lowercase()).collect()
}

/// The lines that are not empty, cut at commas, semicolons or tabs, whichever the first one has.
pub(in crate::front) fn rows(text: &str) -> Result<Vec<Vec<String>>, TypeProblem> {
    if text.len() > limits::CODES_TEXT_BYTES {
        return Err(TypeProblem::new(format!("larger than {} bytes", limits::CODES_TEXT_BYTES)));
    }
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let delimiter = [b';', b'\t'].into_iter().find(|d| first.as_bytes().contains(d)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let row = |record: Result<csv::StringRecord, csv::Error>| match record {
        Ok(record) => Ok(record.iter().map(str::to_owned).collect()),
        Err(error) => {
            let line = error.position().map_or(String::new(), |position| format!("line {}: ", position.line()));
            Err(TypeProblem::new(format!("{line}cannot be read as a table")).hint("write one code a line"))
        }
    };
    let rows: Result<Vec<Vec<String>>, TypeProblem> = reader.records().map(row).collect();
    Ok(rows?.into_iter().filter(|row| row.iter().any(|cell| !cell.is_empty())).collect())
}
