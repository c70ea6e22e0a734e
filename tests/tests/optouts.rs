//! Opt-outs of a node in real, confined processes: a list in a folder of its own, plain and hashed, that is replaced by a rename while the
//! node runs, and one that is broken; and a column of another dataset than the one that is asked about.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::release::{CellRelease, Outcome};
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest, Step};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::peer::release_key;
use bocage_tests::process::Process;

const SITE: &str = HOSPITALS[0];
const SALT: &str = "pepper";
/// k of the lab's policy.
const K: u64 = 11;

/// A hospital whose patients are named `p0`, `p1`, …, with a list that opts nobody out.
struct Clinic {
    lab: Lab,
    hashed: bool,
    patients: u64,
}

impl Clinic {
    fn new(hashed: bool) -> Self {
        let lab = Lab::new(env!("CARGO_BIN_EXE_bocage-lab"));
        let site = lab.site(SITE);
        let contract = site.join("contracts/heart@1.toml");
        let text = fs::read_to_string(&contract).expect("the contract");
        let column = "[[column]]\nname = \"patient\"\ntype = \"text\"\n\n[[column]]\nname      = \"age\"";
        let text =
            text.replacen("= \"row\"", "= \"patient\"", 1).replacen("[[column]]\nname      = \"age\"", column, 1);
        fs::write(contract, text).expect("the contract");
        let data = site.join("data/heart.csv");
        let text = fs::read_to_string(&data).expect("the data");
        let mut rows = String::new();
        for (i, row) in text.lines().enumerate() {
            let _ = writeln!(rows, "p{i},{row}");
        }
        fs::write(data, rows).expect("the data");
        lab.edit_node(SITE, "\"age\",", "\"patient\", \"age\",");
        let clinic = Self { lab, hashed, patients: text.lines().count() as u64 };
        let folder = clinic.list_file();
        fs::create_dir(folder.parent().expect("a folder")).expect("the list's folder");
        clinic.list(&[]);
        let config = site.join("node.toml");
        let mut text = fs::read_to_string(&config).expect("node.toml");
        let _ = write!(text, "\n[optouts]\nsource = {{ kind = \"csv\", path = {:?} }}\n", clinic.list_file());
        if hashed {
            let salt = clinic.lab.path("salt");
            bocage_net::secret::write_secret(&salt, SALT.as_bytes()).expect("the salt");
            let _ = write!(text, "ids = \"sha256\"\nsalt_file = {salt:?}\n");
        }
        fs::write(config, text).expect("node.toml");
        clinic
    }

    /// Outside the node's own folders.
    fn list_file(&self) -> PathBuf {
        self.lab.path("registry/optouts.csv")
    }

    /// Renames a list of these patients into place.
    fn list(&self, patients: &[&str]) {
        let mut text = "subject,purpose,date\n".to_owned();
        for patient in patients {
            let id = if self.hashed { sha256(&format!("{SALT}{patient}")) } else { (*patient).to_owned() };
            let _ = writeln!(text, "{id},all,");
        }
        self.write(&text);
    }

    fn write(&self, text: &str) {
        let (new, file) = (self.lab.path("registry/optouts.new"), self.list_file());
        fs::write(&new, text).expect("the list");
        fs::rename(new, file).expect("it takes the place");
    }

    /// Offers a register of the patients too, in a column of which these say no.
    fn register(&self, no: &[&str], scope: &str) {
        let site = self.lab.site(SITE);
        let contract = "id = \"register@1\"\nsubject = \"patient\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
                        [[column]]\nname = \"name\"\ntype = \"text\"\n";
        fs::write(site.join("contracts/register@1.toml"), contract).expect("the contract");
        let mut rows = "patient,name,consent\n".to_owned();
        for patient in (0..self.patients).map(|i| format!("p{i}")) {
            let consent = if no.contains(&patient.as_str()) { "no" } else { "yes" };
            let _ = writeln!(rows, "{patient},n,{consent}");
        }
        fs::write(site.join("data/register.csv"), rows).expect("the data");
        let config = site.join("node.toml");
        let mut text = fs::read_to_string(&config).expect("node.toml");
        let _ = write!(
            text,
            "\n[dataset.register]\ncontract = \"register@1\"\noptout = \"consent = 'no'\"\noptout_scope = \"{scope}\"\n\
             source = {{ kind = \"csv\", path = {:?} }}\n",
            site.join("data/register.csv")
        );
        fs::write(config, text).expect("node.toml");
    }

    fn node(&self) -> Process {
        let node = self.lab.node(SITE, &[]);
        node.wait_for_line(&["the snapshot is in use"]);
        node
    }

    /// How many patients a new study is about, or why it is about none.
    fn ask(&self) -> Result<u64, ErrorCode> {
        let text = "title = \"Everybody\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\n\
                    [[analysis]]\nname = \"all\"\ntable = { show = [\"count\"] }\n";
        let contract = self.lab.site(SITE).join("contracts/heart@1.toml");
        let study = SignedStudy::sign(&self.lab.study_under(&contract, text), &self.lab.researcher()).expect("signed");
        let step = Step { analysis: 0, state: RoundState::First };
        let request = Request::Round(RoundRequest { study, round: 0, steps: vec![step], revocations: None });
        match self.lab.ask_custodian(SITE, &request) {
            Reply::Refused(error) => Err(error.code),
            Reply::Released(signed) => {
                let release = signed.verify(&release_key(&self.lab, SITE).public()).expect("its own release");
                let Outcome::Table(table) = &release.parts[0].outcome else { panic!("no table") };
                match &table.cells[0] {
                    CellRelease::Shown { count, .. } => Ok(count.subjects),
                    CellRelease::FewerThanK => Ok(0),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// As whoever makes a list computes it.
fn sha256(text: &str) -> String {
    let script = "printf %s \"$1\" | sha256sum | cut -c1-64";
    let output = Command::new("/bin/sh").args(["-c", script, "sh", text]).output().expect("sha256sum");
    String::from_utf8(output.stdout).expect("hexadecimal").trim().to_owned()
}

fn a_list_is_followed_while_the_node_runs(hashed: bool) {
    let clinic = Clinic::new(hashed);
    clinic.list(&["p7", "nobody"]);
    let node = clinic.node();
    assert_eq!(clinic.ask(), Ok(clinic.patients - 1), "{}", node.log());
    node.wait_for_line(&["not in the snapshot", "listed=2", "found=1"]);
    // Another one, with as many as hide them.
    clinic.list(&["p7", "p8", "nobody"]);
    assert_eq!(clinic.ask(), Ok(clinic.patients - 2 - K), "{}", node.log());
    clinic.write("subject,purpose,date\np7,all,\np8,everything,\n".replace("p7", &sha256("x")).as_str());
    assert_eq!(clinic.ask(), Err(ErrorCode::OptoutsUnavailable));
    node.wait_for_line(&["registry/optouts.csv: line 3: "]);
    let said = clinic.lab.at_node(SITE, &["check"]);
    assert!(said.2.contains("registry/optouts.csv: line 3"), "{said:?}");
    clinic.list(&["p7", "p8"]);
    assert_eq!(clinic.ask(), Ok(clinic.patients - 2 - K));
    let (code, said, _) = clinic.lab.at_node(SITE, &["check"]);
    assert!(code == Some(0) && said.contains("2 of 2 listed patients are in the snapshot; 11 others"), "{said}");
    let (_, said, _) = clinic.lab.at_node(SITE, &["datasets", "show", "heart"]);
    assert!(said.contains("2 of 2 listed patients are in the snapshot"), "{said}");
    let (_, said, _) = clinic.lab.at_node(SITE, &["datasets", "list"]);
    assert!(said.contains("; 2 patients opted out\n"), "{said}");
}

#[test]
fn a_confined_node_follows_a_list_of_plain_ids() {
    a_list_is_followed_while_the_node_runs(false);
}

#[test]
fn a_confined_node_follows_a_list_of_hashed_ids() {
    a_list_is_followed_while_the_node_runs(true);
}

#[test]
fn a_confined_node_leaves_out_who_said_no_in_another_dataset_unless_that_speaks_for_itself_alone() {
    for (scope, out) in [("node", 3), ("dataset", 1)] {
        let clinic = Clinic::new(false);
        clinic.list(&["p7"]);
        clinic.register(&["p7", "p8", "p9"], scope);
        let node = clinic.node();
        assert_eq!(clinic.ask(), Ok(clinic.patients - out), "{scope}: {}", node.log());
    }
}
