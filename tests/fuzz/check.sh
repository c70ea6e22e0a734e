#!/bin/sh
# Compiles the fuzz targets as far as their types, so that they do not rot: no cargo-fuzz, no C++ compiler and no nightly. The product's own lock file says
# which crates, so that what is built of them is used again.
set -eu
cd "$(dirname "$0")"
cp ../../Cargo.lock Cargo.lock
# A library that is named and never linked: else the fuzzer's would be compiled.
CUSTOM_LIBFUZZER_PATH="$PWD/libfuzzer.a" CARGO_TARGET_DIR=../../target cargo check --bins
