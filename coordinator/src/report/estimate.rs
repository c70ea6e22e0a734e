//! What a study will take, in words: about how many rows, how many rounds, how long. What nobody has told is said to be not known, or to be an estimate.

use bocage_protocol::counted::counted;

use super::wrap;
use crate::client::{Counted, Estimate, Measured};

/// Below this a time says nothing more.
const LEAST_SECS: f64 = 0.1;

/// What a study will take, as an estimate of what is known before it is asked.
pub fn estimate(of: &Estimate) -> String {
    let told = [rows(of.rows.as_ref()), rounds(of.rounds), time(of)];
    let lines: String = told.iter().map(|line| wrap(line)).collect();
    format!("\nwhat it will take, as far as it is known\n{lines}")
}

fn rows(known: Option<&Counted>) -> String {
    match known {
        None => "rows    not known: no site says how many it has, and no answer on this dataset that you may read has counted them".to_owned(),
        Some(of) => format!(
            "rows    {} or more at {}, as study {} counted them on {}",
            thousands(of.at_least),
            counted(of.sites, "site"),
            of.study.short(),
            crate::client::day(of.published_at)
        ),
    }
}

fn rounds(most: u32) -> String {
    match most {
        1 => "rounds  1".to_owned(),
        most => format!("rounds  {most} at most; what is fitted seldom needs half of them"),
    }
}

fn time(of: &Estimate) -> String {
    let each = match of.tables.as_slice() {
        [] | [_] => String::new(),
        tables => {
            format!(" of each of {}", tables.iter().map(|table| table.to_string()).collect::<Vec<_>>().join(", "))
        }
    };
    let rows = format!("a million rows{each} take one core of a site {}", about(of.secs_a_million_rows, of.rounds > 1));
    let Some(Measured { answers, round_secs_from, round_secs_to, without }) = &of.measured else {
        return format!(
            "time    estimated by the columns it reads and not measured, since you have no answer on this dataset yet: {rows}, ten million {}; the way to the sites comes on top",
            about(10.0 * of.secs_a_million_rows, of.rounds > 1)
        );
    };
    let round = if of.rounds > 1 { " a round" } else { "" };
    let earlier = if *answers == 1 { "the last answer".to_owned() } else { format!("the last {answers} answers") };
    let all = match of.rounds {
        1 => String::new(),
        rounds => {
            format!(", so {rounds} rounds {} and what passes between them", secs(round_secs_to * f64::from(rounds)))
        }
    };
    let without = match without.as_slice() {
        [] => String::new(),
        sites => format!("; {} answered none of them", sites.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ")),
    };
    format!(
        "time    about {}{round}, as {earlier} on this dataset took at the slowest site{all}{without}. By the columns it reads, {rows}. \
         Waiting for a steward, or for a site that is not connected, comes on top",
        range(*round_secs_from, *round_secs_to)
    )
}

fn about(of: f64, all: bool) -> String {
    let rounds = if all { " in all rounds" } else { "" };
    if of < LEAST_SECS { format!("less than {LEAST_SECS} s{rounds}") } else { format!("about {}{rounds}", secs(of)) }
}

fn range(from: f64, to: f64) -> String {
    let (from, to) = (secs(from), secs(to));
    if from == to { to } else { format!("{from} to {to}") }
}

/// Two digits that count, and no more than two decimals.
fn secs(of: f64) -> String {
    match of {
        of if of < 0.01 => "0.01 s".to_owned(),
        of if of < 1.0 => format!("{of:.2} s"),
        of if of < 10.0 => format!("{of:.1} s"),
        of if of < 120.0 => format!("{of:.0} s"),
        of if of < 7_200.0 => format!("{:.0} min", of / 60.0),
        of => format!("{:.0} h", of / 3600.0),
    }
}

fn thousands(of: u64) -> String {
    let digits = of.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(rounds: u32, measured: Option<Measured>) -> Estimate {
        let study = "ab".repeat(32).parse().unwrap();
        let published_at = bocage_protocol::env::Timestamp(86_400_000);
        let rows = measured.as_ref().map(|_| Counted { at_least: 1_200_000, sites: 4, study, published_at });
        let tables = vec!["heart@1".parse().unwrap()];
        Estimate { rounds, secs_a_million_rows: 0.35, tables, rows, measured }
    }

    #[test]
    fn where_nothing_was_answered_yet_rows_are_not_known_and_the_time_is_an_estimate_for_so_many() {
        let wanted = "
what it will take, as far as it is known
rows    not known: no site says how many it has, and no answer on this dataset that you may read has
  counted them
rounds  1
time    estimated by the columns it reads and not measured, since you have no answer on this dataset
  yet: a million rows take one core of a site about 0.35 s, ten million about 3.5 s; the way to the
  sites comes on top
";
        assert_eq!(estimate(&known(1, None)), wanted);
    }

    #[test]
    fn a_time_names_the_tables_where_a_study_reads_several() {
        let tables = ["heart@1", "labs@1"].map(|id| id.parse().unwrap()).to_vec();
        let said = estimate(&Estimate { tables, ..known(1, None) }).replace("\n  ", " ");
        assert!(said.contains(" a million rows of each of heart@1, labs@1 take one core of a site about "), "{said}");
    }

    #[test]
    fn what_earlier_answers_took_is_told_as_a_range_for_a_round_and_for_all_rounds() {
        let measured =
            Measured { answers: 3, round_secs_from: 0.2, round_secs_to: 2.04, without: vec!["cc".parse().unwrap()] };
        let said = estimate(&known(25, Some(measured.clone()))).replace("\n  ", " ");
        for wanted in [
            "\nrows    1,200,000 or more at 4 sites, as study abababababab counted them on 1970-01-02\n",
            "\nrounds  25 at most; ",
            "\ntime    about 0.20 s to 2.0 s a round, as the last 3 answers on this dataset took at the slowest site, so 25 rounds 51 s and what passes between them; cc answered none of them. ",
            " a million rows take one core of a site about 0.35 s in all rounds. ",
        ] {
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
        let once = Measured { answers: 1, round_secs_from: 0.001, round_secs_to: 0.001, without: vec![] };
        let said = estimate(&known(1, Some(once))).replace("\n  ", " ");
        assert!(said.contains("about 0.01 s, as the last answer on this dataset took at the slowest site. "), "{said}");
    }
}
