//! The long form of the bad days: thousands of sudden deaths, a network whose weather changes all the time, a crowd of tiny studies,
//! a network that runs for thousands of rounds and must not grow, and one whose certificates, intermediate and root are exchanged under load. Ends with 0 when everything held.
//!
//! `bocage-soak LAB [SEED] [PART]` takes the path of the lab binary; a seed gives the same victims again; a part is `deaths`, `weather`, `crowd`,
//! `steady` or `years` alone. `BOCAGE_TEST_SCALE` multiplies the 200 rounds of death of the tests, the 20 weathers, the 1,000 tiny studies the 1,000 rounds of a
//! steady network and the 500 over years: the full soak is 10, with 2,000 deaths, 200 weathers, 10,000 tiny studies, 10,000 and 5,000 rounds.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bocage_tests::crowd::crowd;
use bocage_tests::days::study;
use bocage_tests::deaths::{ROUNDS, random_deaths};
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::relay::{Relay, Weather, mixed};
use bocage_tests::scale;
use bocage_tests::steady::{self, steady};
use bocage_tests::years::{self, years};

/// Weathers at scale 1.
const WEATHERS: u64 = 20;
/// Tiny studies at scale 1.
const CROWD: usize = 1000;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(exe) = args.next().map(PathBuf::from).filter(|path| path.is_file()) else {
        eprintln!("usage: bocage-soak LAB [SEED] [PART], with the path of the program bocage-lab");
        return ExitCode::FAILURE;
    };
    let seed = args.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let part = args.next();
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let exe = exe.display().to_string();
    let times = u64::from(scale());
    println!("scale {times}, seed {seed}");
    if wanted("deaths") {
        println!("deaths: {:?}", random_deaths(&exe, ROUNDS * times, seed));
    }
    if wanted("weather") {
        println!("packets lost: {}", weather(&exe, WEATHERS * times, seed));
    }
    if wanted("crowd") {
        println!("peaks: {}", crowd(&exe, CROWD * scale() as usize));
    }
    if wanted("steady") {
        println!("steady: {}", steady(&exe, steady::ROUNDS * times, seed));
    }
    if wanted("years") {
        let years = years(&exe, years::ROUNDS * times);
        println!("years: {years}");
        assert_eq!(years.failed, 0, "{years}");
    }
    ExitCode::SUCCESS
}

/// One study under each of many weathers, now and then with new addresses. Answers how many packets were lost.
fn weather(exe: &str, rounds: u64, seed: u64) -> u64 {
    let lab = Lab::new(exe);
    let relay = Relay::new(lab.quic_address().parse().expect("an address"), seed);
    let coordinator = lab.coordinator();
    let _nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[relay.env()])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    for round in 0..rounds {
        let chance = mixed(seed ^ (round << 32));
        let ms = |shift: u32, most: u64| Duration::from_millis((chance >> shift) % most);
        relay.weather(Weather { loss_percent: chance % 21, delay: ms(8, 300), jitter: ms(24, 100), black_hole: false });
        if chance >> 60 == 0 {
            relay.change_addresses();
        }
        let result = lab.study("weather", &study("5m")).published();
        for site in HOSPITALS {
            assert_eq!(status(&result, site)["status"], "answered", "round {round}: {result:#}");
        }
    }
    relay.lost()
}
