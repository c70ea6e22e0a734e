//! Landlock: this thread, and all that it starts, can open nothing beyond a [`Reach`]. Older kernels know fewer kinds of access; what
//! can be opened is the same from the first version on.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use super::kernel::WHOLE;
use super::reach::Reach;
use super::{Process, SandboxError};

/// The newest version whose kinds of access are tested here.
const TESTED: ABI = ABI::V6;
/// Where name servers listen.
const NAME_SERVER_PORT: u16 = 53;

/// Confines the calling thread to `reach`.
///
/// # Errors
/// Where the kernel has no landlock, or, if it must be `whole`, one that does not know all that is asked of it.
pub(super) fn restrict(process: Process, reach: &Reach, whole: bool) -> Result<(), SandboxError> {
    let unsupported = |reason: String| SandboxError { process, reason };
    let done = ruleset(reach).and_then(RulesetCreated::restrict_self);
    let status = done.map_err(|e| unsupported(format!("landlock: {e}")))?.ruleset;
    enough(&status, whole).map_err(unsupported)
}

/// Whether so much of the rules holds as must.
fn enough(status: &RulesetStatus, whole: bool) -> Result<(), String> {
    match status {
        RulesetStatus::NotEnforced => Err("the kernel has no landlock".to_owned()),
        RulesetStatus::PartiallyEnforced if whole => Err(format!(
            "the kernel's landlock holds a part of the rules only (all from its version {WHOLE} on), and require_whole_sandbox = true asks for all"
        )),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn ruleset(reach: &Reach) -> Result<RulesetCreated, RulesetError> {
    let all = AccessFs::from_all(TESTED);
    let reading = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let handled = if reach.read.is_some() { all } else { all & !reading };
    let mut ruleset = Ruleset::default().handle_access(handled)?.scope(Scope::from_all(TESTED))?;
    if reach.ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::from_all(TESTED))?;
    }
    let mut ruleset = ruleset.create()?;
    for path in &reach.free {
        ruleset = allow(ruleset, path, handled)?;
    }
    for path in reach.read.iter().flatten() {
        ruleset = allow(ruleset, path, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    // A folder of ours holds files, folders and sockets; nothing in it is executed and no device is made there.
    let unwanted = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    for path in &reach.write {
        ruleset = allow(ruleset, path, handled & !unwanted)?;
    }
    let ports = reach.ports.iter().flatten().copied();
    for port in ports.chain(reach.name_servers.then_some(NAME_SERVER_PORT)).filter(|_| reach.ports.is_some()) {
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(ruleset)
}

/// What is not there cannot be allowed, and need not be.
fn allow(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(TESTED) };
    ruleset.add_rule(PathBeneath::new(opened, access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_rules_is_enough_unless_all_are_asked_for() {
        let said = |status: RulesetStatus, whole| enough(&status, whole).err().unwrap_or_default();
        assert_eq!(said(RulesetStatus::PartiallyEnforced, false), "");
        assert!(said(RulesetStatus::PartiallyEnforced, true).contains("require_whole_sandbox = true"));
        assert_eq!(said(RulesetStatus::FullyEnforced, true), "");
        assert_eq!(said(RulesetStatus::NotEnforced, false), "the kernel has no landlock");
    }

    #[test]
    fn the_version_from_which_all_holds_is_the_one_whose_kinds_are_asked_for() {
        assert_eq!(TESTED as u32, WHOLE);
    }
}
