//! Peers with good certificates and bad manners, over real sockets against real processes: each is named and cut off, memory stays bounded, and
//! the others do not notice.

mod coordinators;
mod crowds;
mod nodes;
mod releases;
mod tcp;

use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::process::Process;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");
/// What a hostile peer may cost a process beyond what it held before, in KiB: five whole frames, since one is held as it came and as it was read, and an
/// allocator keeps what was freed for a while. Far less than what such a peer announces, or than its cells unfolded.
const COST_KIB: u64 = 80 << 10;
/// A frame of 1 GiB, announced.
const GIB: [u8; 4] = (1_u32 << 30).to_be_bytes();

fn study_of(sites: &[&str], answer_within: &str) -> String {
    format!(
        "title = \"Lab\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age between 30 and 80\"\n\
         answer_within = \"{answer_within}\"\nsites = {sites:?}\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\"] }}\n"
    )
}

/// A coordinator and the nodes of all hospitals but the first, which the test plays.
struct Others {
    lab: Lab,
    coordinator: Process,
    nodes: Vec<Process>,
    before_kib: u64,
}

impl Others {
    fn start() -> Self {
        let lab = Lab::new(EXE);
        let coordinator = lab.coordinator();
        let nodes: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
        for site in &HOSPITALS[1..] {
            coordinator.wait_for_line(&["connected", site]);
        }
        let this = Self { lab, coordinator, nodes, before_kib: 0 };
        this.do_not_notice();
        Self { before_kib: this.coordinator.peak_kib(), ..this }
    }

    /// The other hospitals answer a study as ever, over the sessions that they had.
    fn do_not_notice(&self) {
        let result = self.lab.study("others", &study_of(&HOSPITALS[1..], "5m")).published();
        for site in &HOSPITALS[1..] {
            assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
        }
        for (site, node) in HOSPITALS[1..].iter().zip(&self.nodes) {
            assert_eq!(node.log().matches("session ready").count(), 1, "{site} lost its session:\n{}", node.log());
        }
    }

    /// The coordinator's resident memory was at no time larger than before by more than a hostile peer may cost.
    fn memory_is_bounded(&self) {
        let grown = self.coordinator.peak_kib().saturating_sub(self.before_kib);
        println!("the coordinator held {} KiB before, and at most {grown} KiB more", self.before_kib);
        assert!(grown < COST_KIB, "the coordinator grew by {grown} KiB");
    }
}
