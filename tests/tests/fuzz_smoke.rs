//! The fuzz targets on stable Rust: over their corpora, and over what a mutation of each makes of it. The real fuzzer is `tests/fuzz/smoke.sh`.

use std::fs;
use std::path::Path;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::RoundState;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::Digest;
use bocage_protocol::release::{Outcome, Part, Release};
use bocage_protocol::trust::{SignedRelease, SignedStudy};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Catalogue, Offer, Reply, Request, RoundRequest, Step};
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest, root_digest};
use bocage_tests::federation::Federation;
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

/// What a site with invented patients answers to each plan of [`targets::plans`].
fn outcomes() -> Vec<(&'static str, Outcome)> {
    let contract = include_str!("../../deploy/templates/heart.toml");
    let patient = |i: usize| format!("{},{},{},{}\n", 30 + i * 7 % 45, i % 2, 150 + i * 13 % 160, i * 11 % 7 < 3);
    let csv = (0..120).map(patient).collect::<String>();
    let federation = Federation::new(contract, &[("aa", format!("age,sex,chol,disease\n{csv}"))]);
    let site = "aa".parse().expect("a site");
    let outcome = |plan| federation.outcome(&site, plan, 5).expect("an answer");
    targets::plans().iter().map(|(name, plan)| (*name, outcome(plan))).collect()
}

/// The seeds that are made of the wire's own types: they are those of today.
fn seeds() -> Vec<(String, Vec<u8>)> {
    macro_rules! bytes {
        ($of:expr) => {
            codec::encode(&$of).expect("bytes")
        };
    }
    let digest = Digest::from_bytes([3; 32]);
    let release = |outcome| Release {
        study: digest,
        site: "aa".parse().expect("a site"),
        round: 0,
        snapshot: digest,
        snapshot_at: Timestamp(1),
        parts: vec![Part { analysis: 0, plan: digest, outcome }],
    };
    let outcomes = outcomes();
    let signed = SignedRelease::sign(&release(outcomes[0].1.clone()), targets::standing(), targets::key());
    let signed = signed.expect("a release");
    let study = targets::study("table = { show = [\"count\"] }");
    let study = SignedStudy::sign(&study, targets::key()).expect("a study");
    let steps = vec![Step { analysis: 0, state: RoundState::First }];
    let round = RoundRequest { study, round: 0, steps, revocations: None };
    let contract = "heart@1".parse().expect("a contract");
    let offer = Offer { contract, hash: digest, snapshot_at: Some(Timestamp(1)), needs_permit: false };
    let refused = || PublicError::new(ErrorCode::Busy, "not now");
    let roots = || vec![vec![0x30, 3, 1, 2, 3]];
    let codec = [
        ("request_catalogue", bytes!(Request::Catalogue)),
        ("request_round", bytes!(Request::Round(round))),
        ("reply_catalogue", bytes!(Reply::Catalogue(Catalogue { datasets: vec![offer] }))),
        ("reply_refused", bytes!(Reply::Refused(refused()))),
        ("reply_released", bytes!(Reply::Released(signed.clone()))),
        ("node_request_roots", bytes!(NodeRequest::Roots(vec![root_digest(b"a root")]))),
        ("node_request_renew", bytes!(NodeRequest::Renew(vec![0x30, 2, 1, 2]))),
        ("node_reply_roots", bytes!(NodeReply::Roots { roots: roots(), renew: true })),
        ("node_reply_renewed", bytes!(NodeReply::Renewed { chain: roots(), roots: roots() })),
        ("node_reply_refused", bytes!(NodeReply::Refused(refused()))),
    ];
    let codec = codec.map(|(name, bytes)| (format!("codec/{name}"), bytes));
    let releases = outcomes.into_iter().map(|(name, outcome)| (format!("release/{name}"), bytes!(release(outcome))));
    releases.chain(codec).chain([("release/release".to_owned(), bytes!(signed))]).collect()
}

#[test]
fn of_every_form_of_answer_the_corpus_has_one_that_fits_its_plan_and_no_other() {
    for (name, outcome) in outcomes() {
        let fits = targets::plans().iter().filter(|(_, plan)| outcome.fits(plan)).map(|(name, _)| *name);
        assert_eq!(fits.collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn seeds_are_what_the_wire_has_today() {
    let (kept, mut old) = (Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus"), Vec::new());
    for (name, bytes) in seeds() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(&name);
        if fs::read(file).ok().as_ref() != Some(&bytes) {
            let file = kept.join(&name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, bytes).expect("a seed");
            old.push(name);
        }
    }
    assert!(old.is_empty(), "{old:?} are of another wire: those of this one are in {}", kept.display());
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("the manifest");
    let script = fs::read_to_string(folder.join("smoke.sh")).expect("the script");
    // The programs are compiled by the fuzzer alone: what they use must be known there too.
    let used =
        include_str!("../fuzz/targets.rs").lines().filter_map(|line| line.strip_prefix("use ")?.split_once("::"));
    for (used, _) in used.filter(|(used, _)| *used != "std") {
        assert!(manifest.contains(&format!("\n{} = ", used.replace('_', "-"))), "tests/fuzz does not know {used}");
    }
    for (name, _) in targets::ALL {
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("targets::{name}(bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")) && script.contains(&format!(" {name}")), "{name}");
    }
}
