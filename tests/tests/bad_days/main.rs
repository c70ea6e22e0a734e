//! The ordinary bad days: sudden deaths, bad networks, clocks that jump, full disks. Every study ends, every ledger stays whole, and nothing is
//! released twice with other bytes. And what a node costs on a good one.

mod clocks;
mod deaths;
mod disks;
mod memory;
mod networks;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");
