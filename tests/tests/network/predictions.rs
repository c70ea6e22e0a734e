//! A model that one study fitted is a column of the next: over the four hospitals as processes, by the folder that was written of the first answer.

use bocage_tests::lab::Lab;
use serde_json::Value;

use super::analyses::{analysis, rows};
use super::{EXE, everyone, study};

fn run(lab: &Lab, args: &[&str]) -> String {
    let output = lab.run(args);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

#[test]
fn a_second_study_finds_the_published_model_as_it_should_be_on_the_rows_of_the_first() {
    let lab = Lab::new(EXE);
    let _network = everyone(&lab);
    let (first, second) = (lab.path("first.toml"), lab.path("second.toml"));
    let fitted = "[[analysis]]\nname = \"risk\"\nmodel = { formula = \"thalach >= 130 ~ age\" }\n";
    std::fs::write(&first, study("5m") + fitted).expect("a study");
    let path = |name: &str| lab.path(name).to_str().expect("UTF-8").to_owned();
    run(&lab, &["study", "run", &path("first.toml"), "--out", &path("first")]);
    let asked = "[models.fit]\nfrom = \"first\"\nanalysis = \"risk\"\n\
                 [[analysis]]\nname = \"calibration\"\n\
                 model = { formula = \"thalach >= 130 ~ linear(fit) + offset(linear(fit))\" }\n\
                 [[analysis]]\nname = \"bands\"\nhistogram = { of = \"predict(fit)\", bins = [0.5, 0.8] }\n\
                 [[analysis]]\nname = \"good\"\nevaluate = { model = \"fit\" }\n";
    std::fs::write(&second, study("5m") + asked).expect("a study");
    let told = run(&lab, &["study", "check", &path("second.toml")]);
    assert!(told.contains("a binomial model of age with coefficients that the study names"), "{told}");
    run(&lab, &["study", "run", &path("second.toml"), "--out", &path("second")]);
    run(&lab, &["study", "verify", &path("second")]);
    let result = std::fs::read_to_string(lab.path("second/result.json")).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    for row in rows(analysis(&result, "calibration")) {
        assert!(row[1].as_f64().is_some_and(|found| found.abs() < 1e-6), "{row}");
    }
    let counts: Vec<u64> = rows(analysis(&result, "bands")).iter().filter_map(|row| row[3].as_u64()).collect();
    assert!(counts.iter().sum::<u64>() > 500, "{counts:?}");
    let good = analysis(&result, "good");
    let of = |name: &str| {
        rows(good).iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no {name}: {good:#}")).clone()
    };
    let area = of("area under the curve");
    let [least, most] = [4, 5].map(|at| area[at].as_f64().unwrap_or_else(|| panic!("{area}")));
    assert!(0.5 < most && least < most, "{area}");
    assert!(of("Brier score")[1].as_f64().is_some_and(|brier| 0.0 < brier && brier < 0.25), "{good:#}");
    assert!(of("calibration slope")[1].as_f64().is_some_and(|slope| (slope - 1.0).abs() < 1e-6), "{good:#}");
    let page = std::fs::read_to_string(lab.path("second/report.html")).expect("a page");
    assert!(page.contains("area under the curve") && page.contains("calibration slope"));
    let signed = std::fs::read_to_string(lab.path("second/study.json")).expect("a study");
    let first = std::fs::read_to_string(lab.path("first/result.json")).expect("a result");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert!(signed.contains(first["study"]["id"].as_str().expect("an id")), "the signed study says where it is from");
}

#[test]
fn hazards_that_one_study_found_order_the_patients_of_the_next_unless_its_folder_was_edited() {
    let lab = Lab::new(EXE);
    let _network = everyone(&lab);
    let path = |name: &str| lab.path(name).to_str().expect("UTF-8").to_owned();
    let fitted = "[[analysis]]\nname = \"risk\"\n\
                  cox = { formula = \"surv(age, thalach >= 130) ~ trestbps\", ties = \"breslow\" }\n";
    std::fs::write(lab.path("first.toml"), study("5m") + fitted).expect("a study");
    run(&lab, &["study", "run", &path("first.toml"), "--out", &path("first")]);
    let asked = "[models.fit]\nfrom = \"first\"\nanalysis = \"risk\"\n\
                 [[analysis]]\nname = \"ratios\"\ntable = { by = [\"cut(predict(fit), 1)\"], show = [\"count\"] }\n";
    std::fs::write(lab.path("second.toml"), study("5m") + asked).expect("a study");
    let told = run(&lab, &["study", "check", &path("second.toml")]);
    assert!(told.contains("of trestbps with coefficients that the study names"), "{told}");
    run(&lab, &["study", "run", &path("second.toml"), "--out", &path("second")]);
    let read = |name: &str| std::fs::read_to_string(lab.path(name)).expect("a file of the folder");
    let result: Value = serde_json::from_str(&read("second/result.json")).expect("JSON");
    let counts: Vec<u64> = rows(analysis(&result, "ratios")).iter().filter_map(|row| row[1].as_u64()).collect();
    assert!(counts.iter().sum::<u64>() > 300, "{result:#}");
    // What was edited since is no answer to go by.
    std::fs::write(lab.path("first/result.json"), read("first/result.json") + " ").expect("an edited answer");
    let output = lab.run(&["study", "check", &path("second.toml")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let wanted = "models.fit.from: its result.json is not the file that was signed with the folder\n  hint: ";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn one_study_fits_a_model_and_then_asks_what_reads_it_as_two_studies_would() {
    let lab = Lab::new(EXE);
    let _network = everyone(&lab);
    let asked = "[models.fit]\nanalysis = \"risk\"\n\
                 [[analysis]]\nname = \"risk\"\nmodel = { formula = \"thalach >= 130 ~ age\" }\n\
                 [[analysis]]\nname = \"calibration\"\n\
                 model = { formula = \"thalach >= 130 ~ linear(fit) + offset(linear(fit))\" }\n\
                 [[analysis]]\nname = \"bands\"\nhistogram = { of = \"predict(fit)\", bins = [0.5, 0.8] }\n";
    std::fs::write(lab.path("chain.toml"), study("5m") + asked).expect("a study");
    let path = |name: &str| lab.path(name).to_str().expect("UTF-8").to_owned();
    let told = run(&lab, &["study", "check", &path("chain.toml")]);
    assert!(told.contains("a binomial model of age with coefficients that `risk` finds first"), "{told}");
    run(&lab, &["study", "run", &path("chain.toml"), "--out", &path("chain")]);
    run(&lab, &["study", "verify", &path("chain")]);
    let result = std::fs::read_to_string(lab.path("chain/result.json")).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    assert_eq!(rows(analysis(&result, "risk")).len(), 2, "{result:#}");
    for row in rows(analysis(&result, "calibration")) {
        assert!(row[1].as_f64().is_some_and(|found| found.abs() < 1e-6), "{row}");
    }
    let counts: Vec<u64> = rows(analysis(&result, "bands")).iter().filter_map(|row| row[3].as_u64()).collect();
    assert!(counts.iter().sum::<u64>() > 500, "{counts:?}");
}
