//! What `study check` tells: what the study would ask of every site, under which permit, of whom, and what that takes.

use bocage_protocol::settings::{Problem, Problems};

use super::study::Asked;
use crate::report::{self, Format, Grid};

/// What the study would ask, in the wanted form.
pub(super) fn text(asked: &Asked, format: Format) -> String {
    let mut grid = Grid::new(["analysis", "kind", "cells", "columns"]);
    for analysis in &asked.analyses {
        let cells = analysis.cells.to_string();
        grid.row([analysis.name.to_string(), analysis.kind.clone(), cells, analysis.columns.join("; ")]);
    }
    match format {
        Format::Json => report::json(asked),
        Format::Csv => grid.csv(),
        Format::Text => {
            let sites: Vec<&str> = asked.sites.iter().map(|s| s.as_str()).collect();
            let head = format!(
                "{}: nothing to correct\nwould ask {} sites ({}) about {}; cells need {} sites\n",
                asked.title,
                sites.len(),
                sites.join(", "),
                asked.dataset,
                asked.min_sites
            );
            head + &permit(asked)
                + &grid.text(1)
                + &trees(asked)
                + &report::looks(&asked.looks)
                + &report::estimate(&asked.estimate)
        }
    }
}

/// All that is wrong with a study's text, in the wanted form; nothing where people read it elsewhere.
pub(super) fn problems(problems: &Problems, format: Format) -> String {
    match format {
        Format::Text => String::new(),
        Format::Json => report::json(&serde_json::json!({ "problems": problems.0 })),
        Format::Csv => {
            let mut grid = Grid::new(["file", "line", "place", "message", "hint"]);
            for Problem { file, line, key, message, hint } in problems.0.clone() {
                let line = line.map_or_else(String::new, |line| line.to_string());
                grid.row([file, line, key, message, hint.unwrap_or_default()]);
            }
            grid.csv()
        }
    }
}

fn permit(asked: &Asked) -> String {
    match &asked.permit {
        None => {
            let names: Vec<&str> = asked.needs_permit.iter().map(|site| site.as_str()).collect();
            let demand = match names.as_slice() {
                [] => String::new(),
                names => format!("; {} said that they answer under one only", names.join(", ")),
            };
            format!("no permit: only sites that let you ask without one will answer{demand}\n\n")
        }
        Some(permit) => {
            let cells = asked.cells();
            let too_many = if cells as u64 > permit.max_cells { ": more than it allows may not leave" } else { "" };
            let mut text = report::plain(&format!(
                "permit {} of {} ({}) covers it",
                permit.id, permit.holder, permit.organisation
            ));
            text += &format!(
                "\nvalid from {} to {}; {} cells may leave each site under it in all, this study takes {cells} at most{too_many}\n",
                permit.valid_from, permit.valid_to, permit.max_cells
            );
            if !permit.issuer_known {
                text += "the coordinator does not know who issued it, and sites that do not either refuse\n";
            }
            text + "\n"
        }
    }
}

/// What every site computes, analysis by analysis.
fn trees(asked: &Asked) -> String {
    let mut text = String::new();
    for analysis in &asked.analyses {
        for plan in &analysis.plans {
            text += &format!("\n{}\n{}", analysis.name, plan.tree());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bocage_protocol::front::{StudyText, with_lines};

    use super::*;

    #[test]
    fn programs_are_told_of_mistakes_by_line_place_message_and_hint() {
        let text = "title = 't'\npurpose = 3\nanalyses = []\n";
        let wrong = with_lines(text, "s.toml", StudyText::parse(text, "s.toml").err().unwrap());
        let json: serde_json::Value = serde_json::from_str(&problems(&wrong, Format::Json)).unwrap();
        let told = json["problems"].as_array().unwrap();
        let unknown = told.iter().find(|problem| problem["place"] == "analyses").unwrap();
        let wanted = serde_json::json!({
            "file": "s.toml", "line": 3, "place": "analyses", "message": "unknown key", "hint": "did you mean `analysis`?"
        });
        assert_eq!(*unknown, wanted);
        assert!(told.iter().any(|problem| problem["place"] == "" && problem["line"].is_null()), "{json}");
        let csv = problems(&wrong, Format::Csv);
        assert!(csv.starts_with("file,line,place,message,hint\ns.toml,"), "{csv}");
        assert!(csv.contains("s.toml,3,analyses,unknown key,did you mean `analysis`?\n"), "{csv}");
        assert_eq!(problems(&wrong, Format::Text), "", "people read them on stderr");
    }
}
