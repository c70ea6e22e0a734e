#!/bin/sh
# Everything at its full figures, which takes hours: sudden deaths, weathers, crowds, a steady network, renewals over years; plans against opt-outs,
# repeats and the other properties at ten to twenty-five times the cases; each fuzz target for 60 seconds (`cargo install cargo-fuzz` first;
# NO_FUZZ=1 goes without, and says so). Stops at the first that does not hold, and where a filter matches no test.
set -eu
cd "$(dirname "$0")/.."
seed="${1:-1}"
# Other cases than those that every commit is tried on; printed, so that they can be drawn again.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-$(date +%s)}"
echo "PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED"

fuzz=yes
if [ "${NO_FUZZ:-}" = 1 ]; then
    fuzz=no
elif ! cargo fuzz --version > /dev/null 2>&1; then
    echo 'soak.sh: cargo-fuzz is not installed' >&2
    echo '  hint: `cargo install cargo-fuzz`; or NO_FUZZ=1 for a soak without fuzzing' >&2
    exit 1
fi

# hold SCALE FILTER WHERE...: the tests there whose names contain FILTER ('' for all), at so many times the cases.
hold() {
    scale="$1" filter="$2"
    shift 2
    if ! cargo test --workspace "$@" -- "$filter" --list | grep -q ': test$'; then
        echo "soak.sh: no test of $* has '$filter' in its name" >&2
        echo '  hint: tests were renamed or moved; correct the filter' >&2
        exit 1
    fi
    BOCAGE_TEST_SCALE="$scale" cargo test --workspace "$@" -- "$filter"
}

cargo build --workspace --all-targets
for part in deaths weather crowd steady years; do
    BOCAGE_TEST_SCALE=10 target/debug/bocage-soak target/debug/bocage-lab "$seed" "$part"
done
hold 25 engine::tests::optouts --lib
hold 25 engine::features::tests --lib
hold 25 optout::tests --lib
hold 25 any_number_of_repeats --lib
hold 25 '' --test optouts
hold 10 '' --test attacks
if [ "$fuzz" = yes ]; then
    tests/fuzz/smoke.sh 60
else
    echo 'no fuzzing: NO_FUZZ=1'
fi
