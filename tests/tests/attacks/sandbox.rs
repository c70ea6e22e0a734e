//! Ways out of a node's processes: every act of `bocage_tests::escapes`, tried in the real processes with the sandbox, and without it.

use std::sync::OnceLock;

use bocage_tests::escapes::{Escape, Outcome, escapes};

use super::scenario::{Family, Guard};

/// All acts are tried once, in one node with a sandbox and one without.
fn tried() -> &'static [Escape] {
    static TRIED: OnceLock<Vec<Escape>> = OnceLock::new();
    TRIED.get_or_init(|| escapes(env!("CARGO_BIN_EXE_bocage-lab")))
}

fn done(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Succeeded => true,
        Outcome::Refused => false,
        Outcome::Failed(why) => panic!("it proves nothing: {why}"),
    }
}

pub fn family() -> Family {
    tried().iter().fold(Family::new("sandbox"), |family, Escape { name, on, off }| {
        family.lifted("sandbox", name, move |guard| done(if guard == Guard::On { on } else { off }))
    })
}
