//! Nobody who opted out has an influence on what leaves, by whatever list or column they said so, in whichever of the node's datasets: values that they opted
//! out of may be any others, and the same leaves.

use std::collections::BTreeMap;

use bocage_protocol::release::Part;
use proptest::prelude::*;

use super::*;

const REGISTER: &str = r#"
id = "register@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "name"
type = "text"
"#;
const VISITS: &str = r#"
id = "visits@1"
subject = "patient"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "reason"
type = "code"
codes = [{ code = "flu" }, { code = "gout" }]
[[column]]
name = "days"
type = "int"
range = [0, 100]
"#;

/// How a patient said no: by the site's list, or by a column of one of these datasets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    List,
    Heart,
    Register,
    Visits,
}

/// In which datasets the columns count.
#[derive(Debug, Clone, Copy)]
struct Scopes {
    heart: OptOutScope,
    register: OptOutScope,
    visits: OptOutScope,
}

impl Scopes {
    const NODE: Scopes = Scopes { heart: OptOutScope::Node, register: OptOutScope::Node, visits: OptOutScope::Node };

    /// Whether a no that was said so is one to all datasets.
    fn is_of_all(self, way: Way) -> bool {
        let scope = match way {
            Way::List => return true,
            Way::Heart => self.heart,
            Way::Register => self.register,
            Way::Visits => self.visits,
        };
        scope == OptOutScope::Node
    }

    fn is_out_of_heart(self, way: Way) -> bool {
        way == Way::Heart || self.is_of_all(way)
    }

    fn is_out_of_visits(self, way: Way) -> bool {
        way == Way::Visits || self.is_of_all(way)
    }
}

/// Who is out.
type Outs = BTreeMap<u64, Way>;

fn section(scope: OptOutScope) -> String {
    let scope = match scope {
        OptOutScope::Node => "node",
        OptOutScope::Dataset => "dataset",
    };
    format!("optout = \"consent = 'no'\"\noptout_scope = \"{scope}\"")
}

/// A clinic where the values of whom `moves` names are others, by so much.
fn clinic(outs: &Outs, scopes: Scopes, with: u64, moves: impl Fn(Way, &str) -> bool) -> Clinic {
    let clinic = Clinic::new("");
    let path = |name: &str| clinic.site.path(name);
    let contract = fs::read_to_string(path("contracts/heart.toml")).unwrap();
    let contract = contract.replace("subject = \"patient\"", "subject = \"patient\"\none_row_per_subject = true");
    fs::write(path("contracts/heart.toml"), contract).unwrap();
    fs::write(path("contracts/register.toml"), REGISTER).unwrap();
    fs::write(path("contracts/visits.toml"), VISITS).unwrap();
    let says = |i: u64, way: Way| if outs.get(&i) == Some(&way) { "no" } else { "yes" };
    let moved = |i: u64, dataset: &str| outs.get(&i).filter(|way| moves(**way, dataset)).map_or(0, |_| with);
    let heart = |i: u64| {
        let v = i + moved(i, "heart");
        format!("p{i},{},{},{},{}\n", 30 + v % 60, v % 2, 180 + (7 * v) % 100, says(i, Way::Heart))
    };
    let register = |i: u64| format!("p{i},n{i},{}\n", says(i, Way::Register));
    let visits = |i: u64| {
        let v = i + moved(i, "visits");
        let visit = |at: u64| format!("p{i},{},{}", ["flu", "gout"][((v + at) % 3 % 2) as usize], (11 * v + at) % 100);
        format!("{},yes\n{},{}\n", visit(0), visit(1), says(i, Way::Visits))
    };
    let file = |name: &str, header: &str, row: &dyn Fn(u64) -> String| {
        fs::write(path(name), format!("{header}\n{}", (0..PATIENTS).map(row).collect::<String>())).unwrap();
    };
    file("heart.csv", "patient,age,sex,chol,consent", &heart);
    file("register.csv", "patient,name,consent", &register);
    file("visits.csv", "patient,reason,days,consent", &visits);
    let dataset = |name: &str, scope: OptOutScope| {
        let source = format!("source = {{ kind = \"csv\", path = \"{name}.csv\" }}");
        format!("[dataset.{name}]\ncontract = \"{name}@1\"\n{source}\n{}\n", section(scope))
    };
    // Those of the first dataset stand at the end of what the fixture writes of it.
    let [register, visits] = [dataset("register", scopes.register), dataset("visits", scopes.visits)];
    clinic.site.write_config(&format!("{}\n{register}{visits}{LIST}", section(scopes.heart)));
    let listed = outs.iter().filter(|(_, way)| **way == Way::List).map(|(i, _)| format!("p{i},,"));
    clinic.list(&listed.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
    clinic
}

fn parts(clinic: &Clinic, text: &str) -> Vec<Part> {
    let custodian = clinic.custodian();
    released(&custodian, &custodian.round(&clinic.site.request(&clinic.site.study_of(text)))).parts
}

fn study(filter: Option<&str>, analysis: &str) -> String {
    let filter = filter.map(|filter| format!("where = \"{filter}\"\n")).unwrap_or_default();
    format!(
        "title = 't'\npurpose = 'scientific_research'\ndataset = 'heart@1'\nmin_sites = 1\n{filter}\
         [tables]\nvisits = 'visits@1'\n\
         [features]\ncame = \"has(visits, reason = 'gout')\"\nlong = \"max(visits.days)\"\n\
         [[analysis]]\nname = 'a'\n{analysis}\n"
    )
}

const GOUT: &str = "table = { by = ['came'], show = ['count', 'mean(chol)'] }";

fn questions() -> impl Strategy<Value = String> {
    let table =
        (0usize..5, 35u32..85, prop::sample::select(vec!["count", "mean(chol)", "share(age > 50)", "mean(long)"]))
            .prop_map(|(keys, cut, show)| {
                let by = ["'sex'", "'cut(age, CUT)'", "'sex', 'cut(age, CUT)'", "'came'", "'came', 'cut(long, CUT)'"];
                format!("table = {{ by = [{}], show = ['{show}'] }}", by[keys].replace("CUT", &cut.to_string()))
            });
    let other = prop::sample::select(vec![
        GOUT,
        "table = { by = ['discovered(sex)'], show = ['count'] }",
        "crosstab = { rows = 'came', columns = 'cut(age, 60)' }",
        "quantiles = { of = 'chol', at = [0.25, 0.5] }",
        "survival = { time = 'chol', event = 'came', by = ['sex'], every = 25, until = 275 }",
        "model = { formula = 'chol ~ age + came' }",
        "cox = { formula = 'surv(chol, came) ~ age' }",
    ]);
    let filter = prop::option::of(prop::sample::select(vec!["age > 45", "came", "long > 20 and sex = '1'"]));
    (prop_oneof![2 => table, 3 => other.prop_map(str::to_owned)], filter)
        .prop_map(|(analysis, filter)| study(filter, &analysis))
}

fn scopes() -> impl Strategy<Value = Scopes> {
    let scope = || prop::sample::select(vec![OptOutScope::Node, OptOutScope::Dataset]);
    (scope(), scope(), scope()).prop_map(|(heart, register, visits)| Scopes { heart, register, visits })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16 * super::cells::scale()) })]

    #[test]
    fn what_patients_opted_out_of_influences_no_answer_by_whatever_list_or_column_of_whichever_dataset(
        outs in proptest::collection::btree_map(
            0..PATIENTS,
            prop::sample::select(vec![Way::List, Way::Heart, Way::Register, Way::Visits]),
            1..40,
        ),
        scopes in scopes(),
        with in 1u64..50,
        text in questions(),
    ) {
        let moves = |way: Way, dataset: &str| match dataset {
            "heart" => scopes.is_out_of_heart(way),
            _ => scopes.is_out_of_visits(way),
        };
        let as_they_are = parts(&clinic(&outs, scopes, 0, moves), &text);
        prop_assert_eq!(as_they_are, parts(&clinic(&outs, scopes, with, moves), &text));
    }
}

/// Whether it shows in an answer that a dataset says something else of a patient who said no there or elsewhere.
fn shows(way: Way, scopes: Scopes, dataset: &str, analysis: &str) -> bool {
    let outs: Outs = (0..30).map(|i| (i, way)).collect();
    let text = study(None, analysis);
    let [one, other] = [0, 1].map(|with| parts(&clinic(&outs, scopes, with, |_, of| of == dataset), &text));
    one != other
}

#[test]
fn a_no_in_one_dataset_reaches_as_far_as_its_scope_and_what_is_beyond_counts() {
    let own = OptOutScope::Dataset;
    let table = "table = { show = ['count', 'mean(chol)'] }";
    let of_visits = Scopes { visits: own, ..Scopes::NODE };
    assert!(!shows(Way::Visits, Scopes::NODE, "heart", table), "a no in the visits is one to all");
    assert!(shows(Way::Visits, of_visits, "heart", table), "or to the visits alone");
    assert!(!shows(Way::Visits, of_visits, "visits", GOUT));
    let of_register = Scopes { register: own, ..Scopes::NODE };
    assert!(!shows(Way::Register, Scopes::NODE, "visits", GOUT));
    assert!(shows(Way::Register, of_register, "visits", GOUT), "a registry of its own, which nobody asks about");
}
