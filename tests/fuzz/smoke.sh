#!/bin/sh
# Runs every fuzz target for so many seconds (60 by default), on a stable compiler. Needs `cargo install cargo-fuzz`.
# What is found stays in artifacts/; what is interesting goes to a folder of its own, so that the small corpus stays small.
set -eu
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
for target in codec contract study_text expression canonical_json release hello; do
    mkdir -p "found/$target"
    cargo fuzz run --fuzz-dir . "$target" "found/$target" "corpus/$target" -- -max_total_time="${1:-60}" -timeout=10 -rss_limit_mb=2048 -max_len=65536
done
