//! What is said about cohorts, features and code lists that are wrong: at which place of the text, and with which hint.

use super::{COHORT, COUNT, HEAD, bound, with};

/// What is said of a condition on patients.
fn said(condition: &str) -> String {
    let cohort = format!("[cohort]\nfrom = \"patient\"\ninclude = [\"{condition}\"]\n");
    bound(&with(&cohort), &[]).map(|study| format!("{study:?}")).unwrap_err()
}

#[test]
fn what_is_wrong_in_a_condition_is_said_at_its_place_with_a_hint() {
    let mut missing = Vec::new();
    for (condition, wanted) in [
        ("has(conditon)", "unknown table `conditon`\n  hint: did you mean `condition`?"),
        ("has(drug)", "unknown table `drug`\n  hint: the tables are condition, observation, patient"),
        ("has(condition, cod = 'a')", "in condition: unknown column `cod`\n  hint: did you mean `code`?"),
        ("has(condition, code = 5)", "in condition: a text cannot be compared with an integer"),
        ("has(condition, stage)", "in condition: expected a condition, found an integer\n  hint: write a comparison"),
        ("has(condition, sex = 'f')", "in condition: unknown column `sex`"),
        ("has(condition, subject = 'x')", "in condition: `subject` names the patient and cannot be read"),
        ("has(condition, atleast = 2)", "unknown argument `atleast`\n  hint: did you mean `at_least`?"),
        ("has(condition, code = 'a', atleast = 2)", "unknown argument `atleast`\n  hint: did you mean `at_least`?"),
        (
            "has(condition, code = 8480-6)",
            "in condition: `8480-6` is a calculation, and codes are texts\n  hint: put it in single quotes: '8480-6'",
        ),
        ("birth < '2010-13-01'", "`'2010-13-01'` is not a date: there is no month 13"),
        (
            "birth < date '2010-13-01'",
            "`DATE '2010-13-01'` is not a date or datetime: there is no month 13\n  hint: write date",
        ),
        (
            "has(condition, after = '2010-02-30')",
            "`'2010-02-30'` is no day: there is no day 30 in 2010-02\n  hint: write",
        ),
        (
            "sum(observation.value) > 1",
            "`sum` does not say of how many rows a patient's is at most\n  hint: it bounds the sum, e.g. at_most = 100",
        ),
        (
            "has(condition, after = date '2020-01-01', before = date '2019-01-01')",
            "no day lies in the window: it ends before it begins\n  hint: `after` and `before` leave",
        ),
        ("has(condition, after = birth, before = birth + days(1))", "no day lies in the window"),
        ("has(condition, from = '2020-01-02', until = '2020-01-01')", "no day lies in the window"),
        ("has(condition, at_least = 0)", "`at_least` is a whole number from 1 to 10000"),
        ("has(condition, at_least = '2')", "`at_least = '2'` is no whole number\n  hint: e.g. at_least = 2"),
        ("has(condition, at_least = 2, at_least = 3)", "`at_least` is given twice"),
        ("count(condition, at_least = 2) > 1", "`count` takes no `at_least`\n  hint: has(TABLE"),
        ("has(condition, stage > 1, code = 'a')", "`code = 'a'` is a second condition\n  hint: join conditions"),
        ("has()", "`has` does not take these arguments\n  hint: write has(TABLE, CONDITION"),
        ("has(condition.code)", "`has` does not take these arguments"),
        ("first(condition) > 1", "`first` does not take these arguments\n  hint: write first(TABLE.COLUMN where"),
        ("first(condition.cde) = 'a'", "in condition: unknown column `cde`\n  hint: did you mean `code`?"),
        ("first(condition.subject) = 'a'", "in condition: `subject` names the patient and cannot be read"),
        ("mean(condition.code) > 1", "expected a number, found a text\n  hint: first(…) and last(…) take any column"),
        ("max(condition.code) = 'a'", "expected a number or a date, found a text"),
        ("last(condition.code) > 7", "a text cannot be compared with an integer"),
        (
            "condition.code = 'a'",
            "`condition` may have several rows of a patient: which one?\n  hint: write e.g. first(",
        ),
        ("a.b.c = 1", "`a.b.c` is not part of the study language"),
        ("has(condition, after = stage)", "unknown column `stage`"),
        ("has(condition, after = sex)", "expected a date, found a code of `sex`\n  hint: write date '2020-01-31'"),
        ("has(condition, after = 'soon')", "`'soon'` is no day\n  hint: write date '2020-01-31', today"),
        ("has(condition, after = birth + 3)", "`birth + 3` is no day\n  hint: write date '2020-01-31', today"),
        ("has(condition, within = days(3))", "`within` does not say of what\n  hint: write it beside after"),
        (
            "has(condition, after = today, within = 90)",
            "`within = 90` is no number of days\n  hint: e.g. within = days(90)",
        ),
        (
            "has(condition, after = birth, before = today, within = days(9))",
            "`within` stands beside one end of a window, and two are given",
        ),
        ("has(condition, after = birth, from = birth)", "`after` and `from` are the same end of the window"),
        ("has(condition, after = birth + days(80000))", "a window reaches at most 73050 days"),
        (
            "has(condition, code in @diabets)",
            "in condition: there is no code list `@diabets`\n  hint: did you mean `@diabetes`?",
        ),
        (
            "has(condition, code in @gout)",
            "in condition: there is no code list `@gout`\n  hint: add it: [codes] gout = {",
        ),
        (
            "has(observation, code in @diabetes)",
            "in observation: `code` has codes of `loinc`, and `@diabetes` those of `icd10cm`\n  hint: use a list of the column's own system",
        ),
        (
            "has(condition, code = @diabetes)",
            "in condition: `@diabetes` is a list of codes\n  hint: write COLUMN in @diabetes",
        ),
        (
            "has(condition, code in (@diabetes, 'E12'))",
            "in condition: code lists and codes stand in one list\n  hint: join them with",
        ),
        (
            "has(condition, stage + 1 in @diabetes)",
            "in condition: `@diabetes` is a list of codes, and what is looked for in it",
        ),
        (
            "has(condition, stage in @diabetes)",
            "in condition: `@diabetes`: the list has beginnings, and the column has whole numbers",
        ),
        (
            "has(condition, first(observation.value) > 1)",
            "in condition: `first` stands in a study's own conditions, not within one on rows",
        ),
        (
            "has(condition, observation.value > 1)",
            "in condition: `observation.value`: a condition on rows reads the columns of their own",
        ),
        ("has(condition where)", "nothing stands behind `where`"),
        ("has(condition where code =)", "cannot be read as an expression"),
        ("age_at(birth, 3) > 1", "`age_at` does not take these arguments\n  hint: write age_at(today)"),
        ("age_at(birth + days(3)) > 1", "`age_at` takes a day, and nothing is added to it"),
        ("age_at(sex) > 1", "expected a date, found a code of `sex`"),
        ("days(3) > 1", "unknown function `days`"),
        ("has(condition", "cannot be read as an expression: the `(` at character 4 is not closed: a `)` is missing"),
        ("has(condition))", "cannot be read as an expression: the `)` at character 15 closes nothing"),
    ] {
        let found = said(condition);
        if !found.contains(&format!("study.toml: cohort.include[0]: {wanted}")) {
            missing.push(format!("{condition}\n{wanted}\nnot in\n{found}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

#[test]
fn what_is_wrong_with_tables_features_and_lists_is_said_at_their_place() {
    let tables = "[tables]\n";
    let of = |from: &str, more: &str| {
        let head = HEAD.replace(
            tables,
            &format!("{tables}device = \"device@1\"\nallergy = \"allergy@1\"\nsurvey = \"survey@1\"\n"),
        );
        bound(&format!("{head}{more}\n[cohort]\n{from}\n{COUNT}"), &[("empty.csv", ""), ("odd.csv", "a,b\n1,2\n")])
            .unwrap_err()
    };
    let patients = |include: &str| format!("from = \"patient\"\ninclude = [\"{include}\"]");
    let any = "from = \"patient\"";
    let mut missing = Vec::new();
    for (from, more, wanted) in [
        (patients("has(device)"), "", "cohort.include[0]: `fhir-patient@1` names patients by text, `device@1` by int"),
        (patients("has(survey)"), "", "cohort.include[0]: `survey@1` has no column that names the patient"),
        (
            patients("first(allergy.substance) = 'x'"),
            "",
            "cohort.include[0]: `allergy` does not say when its rows happened",
        ),
        (patients("has(allergy, after = birth)"), "", "`allergy` does not say when its rows happened: no window"),
        (
            "from = \"survey\"\ninclude = [\"has(condition)\"]".into(),
            "",
            "`survey@1` has no column that names the patient",
        ),
        ("from = \"pateint\"".into(), "", "cohort.from: unknown table `pateint`\n  hint: did you mean `patient`?"),
        ("include = []".into(), "", "missing field `dataset`\n  hint: add a line dataset = …, or name a table"),
        (
            "from = \"condition\"\ninclude = [\"first(observation.value, after = onset) > 1\"]".into(),
            "",
            "cohort.include[0]: other rows about a row are counted, by has or count\n  hint: a window for first",
        ),
        (format!("{any}\nindex = \"sex\""), "", "cohort.index: expected a date of the patient, found a code of `sex`"),
        (format!("{any}\nindex = \"first(condition.date where\""), "", "cohort.index: cannot be read as an expression"),
        (format!("{any}\nexclude = [\"sex\"]"), "", "cohort.exclude[0]: expected a condition, found a code of `sex`"),
        (
            format!("{any}\nwhere = \"sex = 'f'\""),
            "",
            "cohort.where: `where` is not a key of this section\n  hint: write include = [\"CONDITION\"], or `where` above [cohort]",
        ),
        (any.into(), "[features]\nsex = \"has(condition)\"", "features.sex: the contract has a column of this name"),
        (any.into(), "[features]\ntoday = \"has(condition)\"", "features.today: `today` is the day on which"),
        (any.into(), "[features]\na = \"b > 1\"\nb = \"a + 1\"", "`a` is made of itself"),
        (any.into(), "[features]\na = \"first(condition.cod)\"", "features.a: in condition: unknown column `cod`"),
        (patients("aa > 1"), "[features]\nage = \"age_at(today)\"", "cohort.include[0]: unknown column `aa`"),
        (
            patients("agee > 1"),
            "[features]\nage = \"age_at(today)\"",
            "unknown column `agee`\n  hint: did you mean `age`?",
        ),
        (any.into(), "l = { codes = [\"a\"] }", "codes.l: missing field `system`\n  hint: add a line system = …"),
        (
            any.into(),
            "l = { system = \"x\", code = [\"a\"] }",
            "codes.l.code: unknown key\n  hint: did you mean `codes`?",
        ),
        (any.into(), "l = { system = \"x\" }", "codes.l: the list has no code\n  hint: add codes = "),
        (any.into(), "l = { system = \"\", codes = [\"a\"] }", "codes.l.system: a code list says whose codes it has"),
        (any.into(), "l = { system = \"x\", codes = [\"\"] }", "codes.l: a code or prefix has 1 to 500 bytes"),
        (
            any.into(),
            "l = { system = \"icd10cm\", chapter = [\"9\"] }",
            "codes.l.chapter: ICD-10-CM, April 2026 has no chapter `9`\n  hint: chapters are I to XXII",
        ),
        (
            any.into(),
            "l = { system = \"icd10cm\", block = [\"I10-I15\"] }",
            "codes.l.block: ICD-10-CM, April 2026 has no block `I10-I15`\n  hint: did you mean `I10-I1A`?",
        ),
        (
            any.into(),
            "l = { system = \"icd10gm\", chapter = [\"IX\"] }",
            "codes.l.chapter: chapters and blocks are those of ICD-10-CM, and the list has codes of `icd10gm`",
        ),
        (
            any.into(),
            "l = { system = \"x\", range = [\"I25-I20\"] }",
            "codes.l.range: `I25-I20` is no range of categories",
        ),
        (any.into(), "l = { system = \"x\", file = \"no.csv\" }", "codes.l.file: the file `no.csv` was not given"),
        (any.into(), "l = { system = \"x\", file = \"empty.csv\" }", "codes.l.file: empty.csv: it is empty"),
        (
            any.into(),
            "l = { system = \"x\", file = \"odd.csv\" }",
            "odd.csv: it has several columns, and none is called `code`",
        ),
        (
            any.into(),
            "l = { system = \"x\", descendants = [\"a\"] }",
            "codes.l.descendants: what is below a code says a hierarchy",
        ),
        (
            any.into(),
            "l = { system = \"x\", codes = [\"a\"], hierarchy = \"odd.csv\" }",
            "codes.l.hierarchy: a hierarchy is named",
        ),
        (
            any.into(),
            "l = { system = \"x\", descendants = [\"a\"], hierarchy = \"odd.csv\" }",
            "codes.l.hierarchy: odd.csv: its first line does not name the columns `parent` and `child`",
        ),
    ] {
        let found = of(&from, more);
        if !found.contains(wanted) {
            missing.push(format!("{from} {more}\n{wanted}\nnot in\n{found}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

#[test]
fn a_table_that_nobody_knows_or_two_names_for_one_are_refused() {
    let twice = with(COHORT).replace("[codes]", "again = \"fhir-condition@1\"\n[codes]");
    assert!(bound(&twice, &[]).unwrap_err().contains("tables.condition: `condition` and `again` are one dataset"));
    let unknown = with(COHORT).replace("[codes]", "drug = \"drug@1\"\n[codes]");
    assert!(bound(&unknown, &[]).unwrap_err().contains("tables.drug: the contract `drug@1` is not known here"));
    let other = with(COHORT).replace("[tables]", "dataset = \"fhir-condition@1\"\n[tables]");
    assert!(
        bound(&other, &[]).unwrap_err().contains("cohort.from: `patient` is fhir-patient@1, and the study's dataset")
    );
}

#[test]
fn every_problem_of_a_cohort_is_reported_at_once() {
    let text = with(&COHORT.replace("18", "'x'").replace("'4548-4'", "4").replace("@cancer", "@cancr"));
    let found = bound(&text, &[]).unwrap_err();
    for wanted in [
        "cohort.include[0]: ",
        "cohort.include[2]: ",
        "cohort.exclude[0]: in condition: there is no code list `@cancr`",
    ] {
        assert!(found.contains(wanted), "{wanted}\nnot in\n{found}");
    }
}

#[test]
fn a_study_has_no_more_features_than_one_reads_through() {
    let many: Vec<String> = (0..70).map(|n| format!("\"has(condition, stage = {n})\"")).collect();
    let text = with(&format!("[cohort]\nfrom = \"patient\"\ninclude = [{}]\n", many.join(", ")));
    assert!(bound(&text, &[]).unwrap_err().contains("the study has more than 64 features"));
}

#[test]
fn the_measures_of_a_table_choose_the_same_rows() {
    let table = |show: &[&str]| {
        let show = show.iter().map(|of| format!("\"mean({of})\"")).collect::<Vec<_>>().join(", ");
        let table = format!("[[analysis]]\nname = \"a\"\ntable = {{ show = [{show}] }}\n");
        bound(&format!("{HEAD}[cohort]\nfrom = \"patient\"\n{table}"), &[])
    };
    let value = "last(observation.value where code = 'a')";
    let other = "last(observation.value where code = 'a' and not value = 3)";
    let (many, fewer) = ("count(condition)", "count(condition where not (stage = 3 and code = 'x'))");
    let (this_year, last_year) = ("age_at(date '2021-01-01')", "age_at(date '2020-01-01')");
    let product = |a: &str, b: &str| format!("{a} * {b}");
    for (first, second, said) in [
        (value, other, "of one column are of the same rows"),
        ("first(observation.value)", "last(observation.value)", "of one column are of the same rows"),
        (many, fewer, "count the same rows"),
        (this_year, last_year, "has one age"),
        (value, &product(value, many), "of one column are of the same rows"),
        (&product(value, many), &product(value, fewer), "the same rows"),
        (&product(this_year, value), &product(last_year, value), "has one age"),
    ] {
        let found = table(&[first, second]).unwrap_err();
        assert!(found.contains("table.show[1]: "), "{found}");
        assert!(found.contains(said), "{first} beside {second}: {found}");
        assert!(found.contains("hint: ask for it in another analysis"), "{found}");
    }
    for together in [
        vec![value, many, this_year],
        vec![value, this_year, &product(value, this_year)],
        vec![&product(value, other)],
        vec![value, "last(observation.value where 'a' = code)"],
    ] {
        if let Err(found) = table(&together) {
            panic!("{together:?}: {found}");
        }
    }
}
