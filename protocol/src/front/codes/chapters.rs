//! Chapters and blocks of ICD-10-CM, as its tabular list names them: `IX`, `I20-I25`. A file of this repository has them; the signed study has the
//! beginnings of codes that they become, so that another edition changes no study.

use std::collections::BTreeSet;

use super::ranges;
use crate::plan::TypeProblem;
use crate::settings::nearest;

const LIST: &str = include_str!("../../../vocab/icd10cm-2026-04.csv");
const EDITION: &str = "ICD-10-CM, April 2026";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Chapter,
    Block,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Part::Chapter => "chapter",
            Part::Block => "block",
        }
    }
}

/// Whether a system's name is one of ICD-10-CM: `icd10cm`, `ICD10CM`, `http://hl7.org/fhir/sid/icd-10-cm`.
pub(super) fn is_of(system: &str) -> bool {
    let plain: String = system.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    plain.ends_with("icd10cm")
}

/// The beginnings of all codes of a chapter or block.
pub(super) fn prefixes(part: Part, name: &str) -> Result<BTreeSet<String>, TypeProblem> {
    let lines = || LIST.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let of_part = || lines().filter(|fields| fields[0] == part.name() && fields.len() == 4);
    match of_part().find(|fields| fields[1] == name) {
        Some(fields) => ranges::prefixes(&format!("{}-{}", fields[2], fields[3])),
        None => {
            let names: Vec<&str> = of_part().map(|fields| fields[1]).collect();
            let begins =
                names.iter().find(|known| name.len() >= 3 && name.is_char_boundary(3) && known.starts_with(&name[..3]));
            let hint = match (part, begins.copied().or_else(|| nearest(name, names.iter().copied()))) {
                (Part::Chapter, _) => "chapters are I to XXII, in Roman numerals: chapter = [\"IX\"]".to_owned(),
                (Part::Block, Some(near)) => {
                    format!("did you mean `{near}`? Other stretches of categories are a range: range = [\"I20-I22\"]")
                }
                (Part::Block, None) => "other stretches of categories are a range: range = [\"I20-I22\"]".to_owned(),
            };
            Err(TypeProblem::new(format!("{EDITION} has no {} `{name}`", part.name())).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(part: Part, name: &str) -> String {
        prefixes(part, name).unwrap().into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_chapter_or_block_is_the_beginnings_of_its_codes() {
        assert_eq!(of(Part::Chapter, "IX"), "I");
        assert_eq!(of(Part::Chapter, "II"), "C D0 D1 D2 D3 D4");
        assert_eq!(of(Part::Block, "I20-I25"), "I20 I21 I22 I23 I24 I25");
        assert_eq!(of(Part::Block, "C50"), "C50");
    }

    #[test]
    fn every_letter_and_digit_is_in_one_chapter_and_every_block_within_one() {
        let parts: Vec<Vec<&str>> = LIST.lines().map(|line| line.split(',').collect()).collect();
        let chapters: Vec<BTreeSet<String>> = parts
            .iter()
            .filter(|fields| fields[0] == "chapter")
            .map(|fields| prefixes(Part::Chapter, fields[1]).unwrap())
            .collect();
        assert_eq!(chapters.len(), 22);
        let chapters_of =
            |code: &str| chapters.iter().filter(|of| of.iter().any(|begin| code.starts_with(begin))).count();
        for code in [
            "A00", "B99", "C7A", "D49", "D50", "E11", "F03", "G47", "H59", "H60", "I10", "J45", "K95", "L40", "M1A",
            "N18", "O9A", "P96", "Q99", "R73", "S72", "T88", "V00", "W19", "X58", "Y99", "Z3A", "U07",
        ] {
            assert_eq!(chapters_of(code), 1, "{code}");
        }
        let blocks =
            parts.iter().filter(|fields| fields[0] == "block").map(|fields| prefixes(Part::Block, fields[1]).unwrap());
        let mut count = 0;
        for block in blocks {
            count += 1;
            let within =
                |of: &BTreeSet<String>| block.iter().all(|part| of.iter().any(|begin| part.starts_with(begin)));
            assert_eq!(chapters.iter().filter(|of| within(of)).count(), 1, "{block:?}");
        }
        assert!(count > 280, "{count}");
    }

    #[test]
    fn what_is_no_chapter_or_block_is_said_with_what_is_near() {
        let said = |part, name: &str| {
            let problem = prefixes(part, name).unwrap_err();
            format!("{}: {}", problem.message, problem.hint.unwrap())
        };
        assert!(said(Part::Chapter, "9").contains("no chapter `9`: chapters are I to XXII"));
        assert!(said(Part::Block, "I10-I15").contains("no block `I10-I15`: did you mean `I10-I1A`?"));
        assert!(said(Part::Block, "").contains("other stretches"));
    }

    #[test]
    fn the_system_is_icd_10_cm_however_it_is_spelt() {
        for system in ["icd10cm", "ICD10CM", "ICD-10-CM", "http://hl7.org/fhir/sid/icd-10-cm"] {
            assert!(is_of(system), "{system}");
        }
        for system in ["icd10", "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "snomed"] {
            assert!(!is_of(system), "{system}");
        }
    }
}
