//! Groups on the way of a round: who leaves with whom, when they come back, and what is known of them later.

use super::*;

/// A clinic that answered before and after one patient opted out, and the file of its groups.
fn after_an_opt_out() -> (Clinic, Custodian, std::path::PathBuf) {
    let clinic = Clinic::new(LIST);
    let custodian = clinic.custodian();
    clinic.ask(&custodian);
    clinic.list(&["p7,,"]);
    clinic.ask(&custodian);
    let path = custodian.optouts.dir.join("heart.json");
    (clinic, custodian, path)
}

#[test]
fn who_opts_in_again_comes_back_with_all_who_left_with_them_and_not_without() {
    let clinic = Clinic::new(LIST);
    let custodian = clinic.custodian();
    let all = clinic.ask(&custodian);
    clinic.list(&["p7,,"]);
    let out = clinic.ask(&custodian);
    clinic.list(&[]);
    assert_eq!(clinic.ask(&custodian).parts, all.parts);
    clinic.list(&["p7,,"]);
    assert_eq!(clinic.ask(&custodian).snapshot, out.snapshot, "the same group");
    let many: Vec<String> = (100..140).map(|i| format!("p{i},,")).collect();
    clinic.list(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let together = clinic.count(&custodian);
    assert!((PATIENTS - 40 - K - 1..=PATIENTS - 40).contains(&together), "{together}");
    clinic.list(&many[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(clinic.count(&custodian), together, "one of forty stays");
    clinic.list(&[]);
    assert_eq!(clinic.count(&custodian), PATIENTS);
}

#[test]
fn answers_for_two_purposes_differ_by_k_patients_too() {
    let clinic = Clinic::new(LIST);
    clinic.list(&["p7,education,"]);
    let custodian = clinic.custodian();
    let teaching = released(&custodian, &custodian.round(&clinic.site.request(&clinic.study("education"))));
    assert_eq!(count(&teaching), PATIENTS - 1);
    let research = clinic.ask(&custodian);
    assert_eq!((count(&research), research.snapshot), (PATIENTS - 1, teaching.snapshot), "or not at all");
    let many: Vec<String> = (0..40).map(|i| format!("p{i},education,")).collect();
    clinic.list(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let teaching = released(&custodian, &custodian.round(&clinic.site.request(&clinic.study("education"))));
    assert_eq!(count(&teaching), PATIENTS - 40);
    assert!(count(&clinic.ask(&custodian)) >= PATIENTS - 1);
}

#[test]
fn the_sets_before_are_not_forgotten_when_their_file_is_lost_or_damaged() {
    let (clinic, custodian, path) = after_an_opt_out();
    let whole = fs::read_to_string(&path).unwrap();
    drop(custodian);
    for damaged in [whole.replacen("\"patients\":[\"", "\"patients\":[\"0", 1), whole[..whole.len() / 2].to_owned()] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(clinic.refused(&clinic.custodian()), ErrorCode::OptoutsUnavailable);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(clinic.refused(&clinic.custodian()), ErrorCode::OptoutsUnavailable);
    fs::write(&path, whole).unwrap();
    assert_eq!(clinic.count(&clinic.custodian()), PATIENTS - K - 1);
}

#[test]
fn an_older_file_of_groups_is_not_taken_for_the_newest() {
    let (clinic, custodian, path) = after_an_opt_out();
    let older = fs::read(&path).unwrap();
    clinic.list(&["p7,,", "p8,,"]);
    clinic.ask(&custodian);
    let newest = fs::read(&path).unwrap();
    drop(custodian);
    fs::write(&path, older).unwrap();
    assert_eq!(clinic.refused(&clinic.custodian()), ErrorCode::OptoutsUnavailable);
    fs::write(&path, newest).unwrap();
    assert_eq!(clinic.count(&clinic.custodian()), PATIENTS - 2 * (K + 1));
}

#[test]
fn a_step_is_as_large_as_the_largest_threshold_of_any_rule() {
    let rule = "[[policy.rule]]\npurpose = \"education\"\nthreshold = 25";
    let clinic = Clinic::new(&format!("{LIST}\n{rule}"));
    let custodian = clinic.custodian();
    clinic.ask(&custodian);
    clinic.list(&["p7,,"]);
    assert_eq!(clinic.count(&custodian), PATIENTS - 26);
}

/// From released cells alone: who opted out on the first day?
#[test]
fn cells_that_lose_somebody_and_never_get_them_back_do_not_name_who_opted_out() {
    let clinic = Clinic::of(4000, LIST);
    let bounds: Vec<String> = (31..90).map(|age| age.to_string()).collect();
    let ages = format!(
        "title = \"Ages\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nmin_sites = 1\n[[analysis]]\nname = \"ages\"\n\
         table = {{ by = [\"cut(age, {})\"], show = [\"count\"] }}\n",
        bounds.join(", ")
    );
    let custodian = clinic.custodian();
    let counts = |n: u32| -> Vec<u64> {
        let study = Study { nonce: format!("{n:032x}"), ..clinic.site.study_of(&ages) };
        let release = released(&custodian, &custodian.round(&clinic.site.request(&study)));
        let Outcome::Table(table) = &release.parts[0].outcome else { panic!("no table") };
        let count = |cell: &CellRelease| match cell {
            CellRelease::Shown { count, .. } => count.subjects,
            CellRelease::FewerThanK => 0,
        };
        table.cells.iter().map(count).collect()
    };
    let before = counts(900);
    let mut lines = vec!["p1237,,".to_owned()];
    let mut suspects: Vec<usize> = (0..before.len()).collect();
    for (n, other) in (901..).zip([11, 502, 903, 1504, 2105, 3006]) {
        clinic.list(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let after = counts(n);
        suspects.retain(|cell| after[*cell] < before[*cell]);
        lines.push(format!("p{other},,"));
    }
    // Age 30 + 1237 % 60, among others of the same day.
    assert!(suspects.contains(&37) && suspects.len() > 5, "{suspects:?}");
}

#[test]
fn where_nobody_is_left_to_go_with_an_opt_out_the_site_waits() {
    let clinic = Clinic::of(30, LIST);
    let custodian = clinic.custodian();
    clinic.ask(&custodian);
    clinic.list(&["p1,,"]);
    assert_eq!(clinic.count(&custodian), 30 - K - 1);
    let form = custodian.optouts.form(&custodian.config.datasets["heart"], &custodian.release_key).unwrap().unwrap();
    let mut lines = vec!["p1,,".to_owned()];
    for _ in 0..4 {
        // The next one is not left out yet.
        let used = state::load(&custodian.optouts.dir.join("heart.json"), &form.digest()).unwrap().unwrap();
        let is_out = |i: &u32| used.last.last().unwrap().patients.contains(&form.of_subject(&format!("p{i}")));
        let next = (0..30).find(|i| !is_out(i)).unwrap();
        lines.push(format!("p{next},,"));
        clinic.list(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let frame = custodian.round(&clinic.site.request(&clinic.study("scientific_research")));
        if let Reply::Refused(error) = codec::decode(&frame, limits::FRAME_BYTES).unwrap() {
            assert_eq!((error.code, error.hint.is_some()), (ErrorCode::OptoutsSettling, true));
            return;
        }
    }
    panic!("30 patients cannot hide four steps");
}

#[test]
fn a_site_is_told_before_too_many_are_drawn_to_hide_one_more_opt_out() {
    let clinic = Clinic::new(LIST);
    let custodian = clinic.custodian();
    clinic.ask(&custodian);
    let told = |opted_out: usize| {
        let lines: Vec<String> = (0..opted_out).map(|i| format!("p{i},,")).collect();
        clinic.list(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        clinic.ask(&custodian);
        nearly_used_up(&custodian.config, &custodian.release_key)
    };
    // Eleven are drawn for each of the first ten who opt out alone; a drawn one who opts out later draws nobody.
    let mut warned = Vec::new();
    for opted_out in 1..=PATIENTS as usize {
        warned = told(opted_out);
        if !warned.is_empty() {
            break;
        }
    }
    let (what, hint) = &warned[0];
    assert!(what.starts_with("heart: 77 of the 110 patients are drawn who may be left out"), "{what}");
    assert!(what.contains("with 4 more opt-outs that come alone it answers nothing"), "{what}");
    assert!(hint.starts_with("enter opt-outs 11 or more at a time"), "{hint}");
}
