//! The fuzz targets on stable Rust: over their corpora, and over what a mutation of each makes of it. The real fuzzer is `tests/fuzz/smoke.sh`.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "../fuzz/targets.rs"]
mod targets;

/// Mutated inputs for each target.
const CASES: u32 = 1000;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).expect("a corpus").map(|f| f.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a readable file")).collect()
}

/// What one step of a mutation does at a place of the input.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
    Insert(usize, Vec<u8>),
    Splice(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let words: Vec<&[u8]> = vec![
        b"\"",
        b"[[",
        b"(",
        b")",
        b" and ",
        b"not ",
        b"-",
        b"1e999",
        b"\0",
        b"\xff\xff\xff\xff",
        b"\xfd\0\0\0\0\0\0\0\x10",
        b"{}",
        b"=",
    ];
    let words: Vec<Vec<u8>> = words.into_iter().map(<[u8]>::to_vec).collect();
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, to)| Mutation::Flip(at, to)),
        (any::<usize>(), 1_usize..40).prop_map(|(at, n)| Mutation::Cut(at, n)),
        (any::<usize>(), 1_usize..40).prop_map(|(at, n)| Mutation::Repeat(at, n)),
        (any::<usize>(), prop::sample::select(words)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<usize>(), any::<usize>()).prop_map(|(at, other)| Mutation::Splice(at, other)),
    ]
}

fn mutated(corpus: &[Vec<u8>], first: usize, steps: &[Mutation]) -> Vec<u8> {
    let mut bytes = corpus[first % corpus.len()].clone();
    for step in steps {
        let place = |at: usize, bytes: &[u8]| at % (bytes.len() + 1);
        match step {
            Mutation::Flip(at, to) if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] = *to;
            }
            Mutation::Flip(..) => {}
            Mutation::Cut(at, n) => {
                let at = place(*at, &bytes);
                let end = (at + n).min(bytes.len());
                bytes.drain(at..end);
            }
            Mutation::Repeat(at, n) => {
                let at = place(*at, &bytes);
                let part = bytes[at..(at + n).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Mutation::Insert(at, word) => {
                let at = place(*at, &bytes);
                bytes.splice(at..at, word.iter().copied());
            }
            Mutation::Splice(at, other) => {
                let (at, other) = (place(*at, &bytes), &corpus[other % corpus.len()]);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[at.min(other.len())..]);
            }
        }
    }
    bytes
}

#[test]
fn no_target_panics_on_its_corpus_or_on_what_a_mutation_makes_of_it() {
    for (name, run) in targets::ALL {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        corpus.iter().for_each(|bytes| run(bytes));
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let inputs = (any::<usize>(), prop::collection::vec(mutation(), 1..8));
        let ran = runner.run(&inputs, |(first, steps)| {
            run(&mutated(&corpus, first, &steps));
            Ok(())
        });
        assert!(ran.is_ok(), "{name}: {ran:?}");
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("the manifest");
    let script = fs::read_to_string(folder.join("smoke.sh")).expect("the script");
    for (name, _) in targets::ALL {
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("targets::{name}(bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")) && script.contains(&format!(" {name}")), "{name}");
    }
}
