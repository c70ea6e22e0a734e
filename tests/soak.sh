#!/bin/sh
# Everything at its full figures, which takes hours: sudden deaths, weathers, crowds, a steady network, renewals; plans against opt-outs, repeats and the
# other properties at twenty-five times the cases; each fuzz target for 60 seconds (needs `cargo install cargo-fuzz`; said where it is missing).
# Stops at the first that does not hold.
set -eu
cd "$(dirname "$0")/.."
seed="${1:-1}"
cargo build --workspace --all-targets
for part in deaths weather crowd steady; do
    BOCAGE_TEST_SCALE=10 target/debug/bocage-soak target/debug/bocage-lab "$seed" "$part"
done
BOCAGE_TEST_SCALE=25 cargo test --workspace --lib -- optouts
BOCAGE_TEST_SCALE=25 cargo test --workspace --test optouts
BOCAGE_TEST_SCALE=34 cargo test --workspace --test attacks -- repeats
BOCAGE_TEST_SCALE=10 cargo test --workspace --test attacks
if cargo fuzz --version > /dev/null 2>&1; then
    tests/fuzz/smoke.sh 60
else
    echo 'cargo-fuzz is not installed: no fuzzing'
fi
