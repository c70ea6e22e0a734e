//! Study files that are wrong as those of newcomers are: everything is said at once, with what was meant.

use super::super::super::tests::{bind, bind_to, contract};
use super::super::StudyText;

const TABLE: &str = "[[analysis]]\nname = 'a'\ntable = { by = ['sx'], show = ['count'] }\n";

fn text(rest: &str) -> String {
    format!("title = 't'\npurpose = 'statistics'\n{rest}\n{TABLE}")
}

/// What is said of a study that keeps rows where this is true, and is wrong in its table as well.
fn keeping(condition: &str) -> String {
    bind(&text(&format!("dataset = 'heart@1'\nwhere = \"{condition}\""))).unwrap_err()
}

#[test]
fn a_site_that_can_be_none_and_values_of_a_wrong_type_hide_no_other_problem() {
    let wrong =
        "dataset = 'heart@1'\nsites = ['x', 'basel', 'Hungary', 'clevland']\nmin_sites = 'three'\nwhere = 'agee > 3'";
    let said = bind(&text(wrong)).unwrap_err();
    for wanted in [
        "study.toml: min_sites: invalid type: string \"three\", expected a whole number, 0 or more",
        "study.toml: sites[0]: there is no site `x` in this network\n  hint: `bocage sites` lists them",
        "study.toml: sites[2]: there is no site `Hungary` in this network\n  hint: did you mean `hungary`?",
        "study.toml: sites[3]: there is no site `clevland` in this network\n  hint: did you mean `cleveland`?",
        "study.toml: where: unknown column `agee`",
        "table.by[0]: unknown column `sx`",
    ] {
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
    assert!(!said.contains("sites[1]") && !said.contains("no site offers"), "{said}");
    assert!(!said.contains("sites are asked"), "those that are not there were meant to be some: {said}");
    let nobody = bind(&text("dataset = 'heart@1'\nsites = []")).unwrap_err();
    assert!(nobody.contains("sites: nobody is asked\n  hint: leave the key out"), "{nobody}");
}

#[test]
fn a_dataset_without_its_version_is_taken_for_the_newest_of_its_name_and_all_else_is_said_too() {
    let known = ["heart@1", "heart@12", "heart@3", "lung@1"].map(|id| id.parse().unwrap());
    let newest = crate::contract::parse(&super::super::super::tests::CONTRACT.replace("heart@1", "heart@12"), "h.toml");
    for (dataset, written) in [("heart", "heart"), ("hart", "hart")] {
        let study = StudyText::parse(&text(&format!("dataset = '{dataset}'")), "study.toml").unwrap().among(&known);
        assert_eq!(study.dataset().to_string(), "heart@12");
        let said = study.problems().to_string();
        let wanted = format!("study.toml: dataset: `{written}` says no version\n  hint: did you mean `heart@12`?");
        assert_eq!(said, wanted);
    }
    let said = bind_to(newest.as_ref().unwrap(), &text("dataset = 'heart'")).unwrap_err();
    assert!(said.contains("dataset: `heart` says no version\n  hint: write NAME@VERSION"), "{said}");
    assert!(said.contains("table.by[0]: unknown column `sx`"), "{said}");
    let tables = "[tables]\nheart = 'heart'\nlung = 'lung@1'\n[cohort]\nfrom = 'heart'";
    let study = StudyText::parse(&text(tables), "study.toml").unwrap().among(&known);
    assert_eq!((study.dataset().to_string(), study.problems().0.len()), ("heart@12".to_owned(), 1));
}

#[test]
fn a_dataset_that_no_text_can_name_is_wrong_and_not_missing() {
    let said = StudyText::parse(&text("dataset = 'Heart Disease@x'"), "study.toml").err().unwrap().to_string();
    assert!(said.contains("study.toml: dataset: ") && !said.contains("missing"), "{said}");
}

#[test]
fn a_text_without_its_quotes_is_told_how_it_is_written() {
    for (condition, wanted) in [
        ("sex = female", "where: `female` is no column\n  hint: a code stands in single quotes: '0' (female)"),
        ("sex in (male)", "where: `male` is no column\n  hint: a code stands in single quotes: '1' (male)"),
        ("sex = Female and age > 3", "hint: a code stands in single quotes: '0' (female)"),
        ("sex = seks", "where: unknown column `seks`"),
    ] {
        let said = keeping(condition);
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
    // A column stands opposite as ever.
    assert!(!keeping("age > chol").contains("where"), "{}", keeping("age > chol"));
}

#[test]
fn signs_of_other_languages_are_told_what_stands_for_them_here() {
    for (condition, wanted) in [
        ("", "where: an expression is empty\n  hint: write one, e.g. age >= 18"),
        ("   ", "where: an expression is empty"),
        ("age > 3 | age < 2", "operator `|` is not part of the study language\n  hint: write `or` between conditions"),
        ("age > 3 || age < 2", "hint: write `or` between conditions"),
        ("age > 3 && chol < 200", "hint: write `and`"),
        ("18 <= age <= 65", "where: `18 <= age` is compared with a third value\n  hint: write `and`"),
        ("age ^ 2 > 4", "hint: write x * x"),
        ("age ≥ 30", "unexpected `≥`\n  hint: write >="),
        ("sex = ‘1’", "hint: write straight quotes"),
        ("age > 30'", "Unterminated string literal at character 9\n  hint: a single quote has no partner"),
        ("if(age > 3, true, false)", "unknown function `if`\n  hint: write case when"),
        ("startswith(sex, '1')", "hint: write a beginning: COLUMN like"),
        ("age => 30", "unexpected `=>`\n  hint: write >="),
        ("sex is female", "`is` stands before `female` at character 8\n  hint: `is` asks for null, true or false"),
        ("age between 30, 60", "hint: write `and` between the two"),
        ("age in 30, 40", "hint: a list stands in parentheses"),
        ("age >", "hint: something is missing at its end"),
        ("age > 3 chol < 2", "unexpected `chol`\n  hint: between values stands a comparison"),
        ("chol = null", "where: nothing is equal to null, or larger or smaller\n  hint: write `chol is null`, or"),
        ("age > '30'", "hint: a number has no quotes"),
        ("chol = 'unknown'", "hint: whether a value is known is asked by `is null`"),
        ("disease = 'yes'", "hint: a condition stands by itself"),
        ("cut(age, [40, 60]) = 1", "`[40, 60]` is a list in brackets\n  hint: values follow one another"),
    ] {
        let said = keeping(condition);
        assert!(said.contains(wanted), "{condition}: {wanted}\nnot in\n{said}");
    }
    let model = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n[[analysis]]\nname = 'a'\n\
                 model = { formula = 'disease ~ age + (1 | site)' }\n";
    let said = bind(model).unwrap_err();
    assert!(said.contains("a model tells sites apart by a term: OUTCOME ~ COLUMN + site"), "{said}");
    assert!(bind(&text("dataset = 'heart@1'\nwhere = \"age == 3\"")).is_err_and(|said| !said.contains("where")));
}

#[test]
fn what_no_table_shows_and_what_is_no_formula_leads_to_what_was_meant() {
    for (question, wanted) in [
        (
            "table = { show = ['median(chol)'] }",
            "hint: a median is an analysis of its own: quantiles = { of = \"chol\"",
        ),
        ("table = { show = ['count(*)'] }", "`count(*)` cannot be shown\n  hint: write \"count\": it counts patients"),
        ("table = { show = ['avg(chol)'] }", "hint: did you mean `mean`?"),
        ("table = { show = ['stddev(chol)'] }", "hint: did you mean `sd`?"),
        ("table = { by = 'sex', show = ['count'] }", "hint: a list stands in brackets: by = [\"sex\"]"),
        ("model = { formula = 'disease = age' }", "hint: write `~` in the place of `=`"),
        ("model = { formula = 'disease ~ age:' }", "a term is missing beside `*` or `:`"),
    ] {
        let said = super::one(question).unwrap_err();
        assert!(said.contains(wanted), "{question}: {wanted}\nnot in\n{said}");
    }
}

#[test]
fn a_question_under_a_heading_that_is_not_quite_right_is_not_missing_as_well() {
    let head = "title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'";
    for (heading, wanted) in [("[[analyses]]", "did you mean `analysis`?"), ("[analysis]", "write it as [[analysis]]")]
    {
        let said = bind(&format!("{head}\n{heading}\nname = 'a'\ntable = {{ show = ['count'] }}")).unwrap_err();
        assert!(said.contains(wanted) && said.matches("study.toml: ").count() == 1, "{said}");
    }
    let nothing = bind(head).unwrap_err();
    assert!(
        nothing.contains("analysis: a study has 1 to 100 analyses\n  hint: begin one with [[analysis]]"),
        "{nothing}"
    );
}

#[test]
fn a_line_that_is_no_toml_is_told_what_it_looks_like() {
    for (line, wanted) in [
        (
            "where = age > 30",
            "s.toml: line 2: string values must be quoted, expected literal string\n  hint: a text stands in quotes: where = \"…\"",
        ),
        ("title: t", "hint: a key and its value have `=` between them: title = …"),
        ("min_sites 3", "hint: the file is TOML"),
        ("x = [1", "hint: the file is TOML"),
    ] {
        let said = StudyText::parse(&format!("purpose = 'statistics'\n{line}\n"), "s.toml").err().unwrap().to_string();
        assert!(said.contains(wanted), "{line}: {wanted}\nnot in\n{said}");
    }
    let json = StudyText::parse("{ \"title\": 1 }", "s.toml").err().unwrap().to_string();
    assert!(json.contains("hint: this is JSON, and the file is TOML"), "{json}");
}

#[test]
fn a_misspelt_key_of_a_fitted_model_is_named_and_nothing_is_said_of_its_origin() {
    let analysis = "[[analysis]]\nname = 'a'\nhistogram = { of = 'predict(r)', bins = [0.1] }\n";
    let model = "[models.r]\nform = 'first'\nanalysis = 'disease'\n";
    let said =
        bind(&format!("title = 't'\npurpose = 'statistics'\ndataset = 'heart@1'\n{model}{analysis}")).unwrap_err();
    assert_eq!(said.trim_end(), "study.toml: models.r.form: unknown key\n  hint: did you mean `from`?");
}

#[test]
fn another_file_of_ours_is_named_and_a_contract_is_no_study() {
    let said = StudyText::parse("id = 'a@1'\nsubject = 'row'\n[[column]]\nname = 'a'\ntype = 'bool'", "a.toml");
    let wanted = "a.toml: this is a contract, and a study is wanted here\n  hint: `bocage network contract check a.toml` looks at it";
    assert_eq!(said.err().unwrap().to_string(), wanted);
    let study = text("dataset = 'heart@1'");
    let said = crate::contract::parse(&study, "s.toml").unwrap_err().to_string();
    assert!(said.starts_with("s.toml: this is a study, and a contract is wanted here"), "{said}");
    assert_eq!(contract().id().to_string(), "heart@1");
}

#[test]
fn words_that_are_nearly_right_hide_nothing_and_what_they_hold_is_looked_at() {
    let wrong = "titel = 't'\npurpos = 'statistics'\ndataset = 'heart@1'\nwere = 'agge > 3'\n[[analysis]]\n\
                 table = { bye = ['sx'], show = ['men(lab)'] }\n[[analysis]]\nname = 'k'\n\
                 kmeans = { k = 3, columns = ['chool'] }";
    let said = bind(wrong).unwrap_err();
    for wanted in [
        "study.toml: titel: unknown key\n  hint: did you mean `title`?",
        "study.toml: purpos: unknown key\n  hint: did you mean `purpose`?",
        "study.toml: were: unknown key\n  hint: did you mean `where`?",
        "study.toml: where: unknown column `agge`\n  hint: did you mean `age`?",
        "analysis[0]: missing field `name`\n  hint: add a line name = …",
        "analysis[0].table.bye: unknown key\n  hint: did you mean `by`?",
        "analysis[0].table.by[0]: unknown column `sx`\n  hint: did you mean `sex`?",
        "analysis[0].table.show[0]: `men` cannot be shown\n  hint: did you mean `mean`?",
        "analysis[1] (k).kmeans.k: unknown key\n  hint: did you mean `clusters`?",
        "analysis[1] (k).kmeans.columns[0]: unknown column `chool`\n  hint: did you mean `chol`?",
    ] {
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
    assert_eq!(said.matches("study.toml: ").count(), 10, "nothing is said twice, nor missing that is there:\n{said}");
}

#[test]
fn what_a_study_lacks_and_a_table_that_there_is_not_hide_nothing() {
    let said = bind(&format!("dataset = 'heart@1'\nwhere = 'agge > 3'\n{TABLE}")).unwrap_err();
    for wanted in ["missing field `title`", "missing field `purpose`", "unknown column `agge`", "unknown column `sx`"] {
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
    let said =
        bind(&text("[tables]\npatient = 'heart@1'\n[cohort]\nfrom = 'patients'\nexcude = ['agge > 3']")).unwrap_err();
    for wanted in [
        "cohort.excude: unknown key\n  hint: did you mean `exclude`?",
        "cohort.from: unknown table `patients`\n  hint: did you mean `patient`?",
        "cohort.exclude[0]: unknown column `agge`",
        "table.by[0]: unknown column `sx`",
    ] {
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
    let wrong = bind("title = 3\npurpose = 'statistics'\ndataset = 'heart@1'").unwrap_err();
    assert!(wrong.contains("title: invalid type") && !wrong.contains("missing field"), "{wrong}");
}

#[test]
fn days_functions_levels_and_keys_that_are_nearly_right_are_told_how_they_are_written() {
    for (condition, wanted) in [
        (
            "seen >= 1980-01-31",
            "`1980-01-31` is a calculation, and days are written in quotes\n  hint: put it in single",
        ),
        ("plausable(chol, 60, 200) > 1", "hint: did you mean `plausible`?"),
        ("age_att(seen) > 3", "hint: did you mean `age_at`?"),
    ] {
        let said = keeping(condition);
        assert!(said.contains(wanted), "{condition}: {wanted}\nnot in\n{said}");
    }
    // A number is no day, and stays a number.
    assert!(keeping("chol > 700-30-1").contains("sx") && !keeping("chol > 700-30-1").contains("where"));
    for (question, wanted) in [
        ("model = { formula = 'disease ~ bs(age)' }", "unknown function `bs`\n  hint: the spline of a formula is ns("),
        (
            "compare = { outcome = 'disease', by = 'sex', reference = '1' }",
            "reference: `1` is no level\n  hint: did you mean `male`?",
        ),
        (
            "table = { by = ['sex', ' sex'], show = ['count'] }",
            "table.by[1]: `sex` is named twice\n  hint: leave one out",
        ),
        (
            "table = { by = ['sex'], show = ['mean(age)', 'count', 'mean(age)'] }",
            "table.show[2]: `mean(age)` is shown twice",
        ),
    ] {
        let said = super::one(question).unwrap_err();
        assert!(said.contains(wanted), "{question}: {wanted}\nnot in\n{said}");
    }
}

#[test]
fn a_text_in_another_language_is_told_which() {
    for (text, wanted) in [
        ("\u{feff}title = “t”\npurpose = 'statistics'", "hint: write straight quotes: title = \"t\""),
        ("patient,age\n1,2\n", "hint: this is a table of values (CSV), and the file is TOML"),
        ("SELECT * FROM patients", "hint: this is SQL, and the file is TOML"),
        ("{\"title\": 1}", "hint: this is JSON, and the file is TOML"),
    ] {
        let said = bind(text).unwrap_err();
        assert!(said.contains(wanted), "{wanted}\nnot in\n{said}");
    }
}
