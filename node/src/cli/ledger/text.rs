//! Records and released cells as lines for a terminal.

use std::io::{self, Write};

use bocage_protocol::marks::one_line;
use bocage_protocol::release::rounding;

use crate::custodian::ledger::account::moment;
use crate::custodian::ledger::show::{Left, Shown, ShownMeasure};

/// A record with everything in it.
pub(super) fn record(out: &mut dyn Write, record: &Shown) -> io::Result<()> {
    let study = record.study.as_deref().map(|s| format!("  study {}", s.get(..12).unwrap_or(s))).unwrap_or_default();
    let round = record.round.map(|n| format!("  round {n}")).unwrap_or_default();
    writeln!(out, "#{}  {}  {}{study}{round}", record.seq, record.at, record.kind)?;
    if let Some(says) = &record.says {
        writeln!(out, "    {}", one_line(says))?;
    } else if let serde_json::Value::Object(fields) = &record.body {
        for (name, value) in fields.iter().filter(|(name, _)| record.left.is_empty() || name.as_str() != "parts") {
            field(out, 4, name, value)?;
        }
    }
    if let Some(receipt) = &record.receipt {
        writeln!(out, "    in the published result as {receipt}")?;
    }
    if let Some(at) = &record.dropped {
        writeln!(out, "    the exact bytes were dropped at {at}; their hash is kept")?;
    }
    record.left.iter().try_for_each(|one| left(out, one))
}

/// A name with whatever stands behind it.
pub(super) fn field(out: &mut dyn Write, indent: usize, name: &str, value: &serde_json::Value) -> io::Result<()> {
    if let Some(at) = moment(name, value) {
        return writeln!(out, "{:indent$}{name}  {at}", "");
    }
    match value {
        serde_json::Value::Null => Ok(()),
        serde_json::Value::Object(fields) => {
            writeln!(out, "{:indent$}{name}", "")?;
            fields.iter().try_for_each(|(name, value)| field(out, indent + 4, name, value))
        }
        serde_json::Value::Array(items) if items.iter().all(|item| item.is_string()) => {
            let texts: Vec<&str> = items.iter().filter_map(|item| item.as_str()).collect();
            writeln!(out, "{:indent$}{name}  {}", "", texts.join(", "))
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(|item| field(out, indent, name, item)),
        serde_json::Value::String(text) if text.contains('\n') => {
            writeln!(out, "{:indent$}{name}", "")?;
            text.lines().try_for_each(|line| writeln!(out, "{:indent$}    {line}", ""))
        }
        serde_json::Value::String(text) => writeln!(out, "{:indent$}{name}  {text}", ""),
        other => writeln!(out, "{:indent$}{name}  {other}", ""),
    }
}

/// What left of an analysis, cell by cell.
pub(super) fn left(out: &mut dyn Write, left: &Left) -> io::Result<()> {
    if let Some(refused) = &left.refused {
        return writeln!(out, "    {}: nothing left: {refused}", left.analysis);
    }
    let total =
        left.total.map(|t| format!(", cohort of {} patients in {} rows", t.subjects, t.rows)).unwrap_or_default();
    let rounded =
        if left.rounded { format!(", counts rounded to multiples of {}", rounding::BASE) } else { String::new() };
    writeln!(out, "    {}: {} cells{total}{rounded}", left.analysis, left.cells.len())?;
    for cell in &left.cells {
        let name = if cell.cell.is_empty() { "all".to_owned() } else { cell.cell.join(", ") };
        match cell.count {
            None => writeln!(out, "        {name}: {}", left.hidden())?,
            Some(count) => {
                writeln!(out, "        {name}: {} patients, {} rows", count.subjects, count.rows)?;
                cell.measures.iter().try_for_each(|one| measure(out, one))?;
            }
        }
    }
    Ok(())
}

fn measure(out: &mut dyn Write, measure: &ShownMeasure) -> io::Result<()> {
    write!(out, "            {}: ", measure.measure)?;
    let Some(valid) = measure.valid else { return writeln!(out, "hidden") };
    write!(out, "{} rows of {} patients with a value", valid.rows, valid.subjects)?;
    if let Some(holds) = measure.holds_rows {
        write!(out, ", true in {holds}")?;
    }
    if let Some(sum) = measure.sum {
        write!(out, ", sum {sum}")?;
    }
    if let (Some(sum), Some(sum_sq)) = (&measure.sum_quanta, &measure.sum_sq_quanta) {
        write!(out, " (quanta: sum {sum}, sum of squares {sum_sq})")?;
    }
    writeln!(out)
}
